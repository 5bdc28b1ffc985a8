/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.c - the way from a model to one with int8 layers: read it as the engine does, decide
 * layer by layer, write the file again.
 *
 * The graph that the engine reads and simplifies says what a layer's weights are, whatever nodes
 * they come from; the file's own nodes say where the layer stands. The two meet at the names of the
 * layer's outputs. */
#include "runtime/quantize.h"

#include <math.h>
#include <onnx/onnx.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/model_format.h"
#include "runtime/model/onnx_reader.h"
#include "runtime/model/passes/passes.h"
#include "runtime/model/quantize/quantize_plan.h"

/* Narrower inputs of a recurrent layer are as fast in float, and lose nothing there. */
#define LEAST_INPUT 16
#define LOOP_OPSET  10 /* what takes a Loop's place has a Slice with inputs */

struct job {
    const struct apx_quantize_options *options;
    struct apx_graph *graph;
    Onnx__ModelProto *model;
    struct apx_quantize_report *report;
    struct apx_quantize_item *items; /* [done] */
    size_t done;
    const char **probed; /* [report->layer_count] the value of the file that each layer reads */
    struct apx_quantized_loop *loops; /* [loop_count] layers that the file writes as a Loop */
    size_t loop_count;
    struct apx_error *error;
};

/* A report's text lives behind its layers. */
struct text_block {
    struct text_block *next;
    char text[];
};

struct report_memory {
    struct apx_quantize_report report;
    struct text_block *texts;
};

void apx_quantize_report_destroy(struct apx_quantize_report *report)
{
    struct report_memory *memory = (struct report_memory *)report;
    if (memory == NULL)
        return;
    for (struct text_block *text = memory->texts, *next; text != NULL; text = next) {
        next = text->next;
        free(text);
    }
    free(report->layers);
    free(report->files);
    free(memory);
}

static const char *keep(struct apx_quantize_report *report, const char *text)
{
    struct report_memory *memory = (struct report_memory *)report;
    size_t length = strlen(text);
    struct text_block *block = malloc(sizeof *block + length + 1);
    if (block == NULL)
        return NULL;
    memcpy(block->text, text, length + 1);
    block->next = memory->texts;
    memory->texts = block;
    return block->text;
}

static bool is_recurrent(enum apx_op op)
{
    return op == APX_OP_LSTM || op == APX_OP_GRU;
}

/* "LSTM" or "GRU" of ai.onnx. */
static bool is_layer(const Onnx__NodeProto *node)
{
    const char *op = apx_onnx_or_empty(node->op_type);
    return apx_onnx_domain(node->domain)[0] == '\0' &&
           (strcmp(op, "LSTM") == 0 || strcmp(op, "GRU") == 0);
}

/* A node of the file that may be a dense layer. */
static bool is_product(const Onnx__NodeProto *node)
{
    const char *op = apx_onnx_or_empty(node->op_type);
    return apx_onnx_domain(node->domain)[0] == '\0' &&
           (strcmp(op, "MatMul") == 0 || strcmp(op, "Gemm") == 0);
}

/* The graph's live layer with an output of that name among its own; -1: none. */
static int find_node(const struct apx_graph *graph, const Onnx__NodeProto *from)
{
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        if (node->is_dead || (!is_recurrent(node->op) && !apx_quantize_is_dense(graph, node)))
            continue;
        for (int k = 0; k < node->out_count; k++)
            for (size_t i = 0; node->out[k] >= 0 && i < from->n_output; i++)
                if (strcmp(graph->values[node->out[k]].name, apx_onnx_or_empty(from->output[i])) ==
                    0)
                    return n;
    }
    return -1;
}

static const struct apx_quantized_loop *find_loop(const struct job *job, size_t at)
{
    for (size_t i = 0; i < job->loop_count; i++)
        if (job->loops[i].at == at)
            return &job->loops[i];
    return NULL;
}

static bool is_chosen(const struct apx_quantize_options *options, const char *name)
{
    for (size_t i = 0; i < options->layer_count; i++)
        if (strcmp(options->layers[i], name) == 0)
            return true;
    return options->layers == NULL;
}

/* What the graph says about the layer, quantised or not. */
static enum apx_status describe(struct job *job, int n, const char *name,
                                struct apx_quantize_layer *entry)
{
    const struct apx_node *node = &job->graph->nodes[n];
    int64_t input = 0, hidden = 0;
    const struct apx_value *w = &job->graph->values[node->in[1]];
    entry->is_dense = !is_recurrent(node->op);
    if (entry->is_dense) {
        const bool transposed = node->op == APX_OP_GEMM && apx_node_int(node, "transB", 0) != 0;
        apx_dim_is_constant(&w->dims[transposed ? 1 : 0], &input);
        apx_dim_is_constant(&w->dims[transposed ? 0 : 1], &hidden);
        entry->direction = "";
        entry->float_bytes = w->bytes;
        job->report->dense_count++;
    } else {
        const struct apx_value *r = &job->graph->values[node->in[2]];
        apx_dim_is_constant(&w->dims[2], &input);
        apx_dim_is_constant(&r->dims[2], &hidden);
        entry->direction = keep(job->report, apx_node_string(node, "direction", "forward"));
        entry->float_bytes = w->bytes + r->bytes;
        job->report->recurrent_count++;
    }
    entry->reads_layers = apx_quantize_is_computed(job->graph, node->in[0]);
    entry->name = keep(job->report, name);
    entry->op = apx_op_info(node->op)->name;
    entry->input = (size_t)input;
    entry->hidden = (size_t)hidden;
    job->report->layer_count++;
    return entry->name != NULL && entry->direction != NULL
               ? APX_OK
               : apx_fail(job->error, APX_ENOMEM, "", "out of memory");
}

static size_t int8_bytes(const struct apx_quantized_layer *layer)
{
    size_t rows = (size_t)layer->directions * (size_t)layer->gates * (size_t)layer->hidden;
    size_t input = (size_t)layer->input, scale = sizeof(float);
    return rows * ((size_t)layer->hidden + scale) +
           (layer->variant.quantises_x ? rows * (input + scale) : rows * input * sizeof(float));
}

static enum apx_status make_recurrent(struct job *job, int n, const struct apx_quantized_loop *loop,
                                      struct apx_quantize_layer *entry,
                                      struct apx_quantize_item *item, struct apx_error *why)
{
    const int64_t opset = job->graph->opset;
    struct apx_quantized_layer *layer = apx_graph_alloc(job->graph, sizeof *layer);
    if (layer == NULL)
        return apx_fail(why, APX_ENOMEM, "", "out of memory");
    enum apx_status status =
        apx_quantize_layer_make(job->graph, n, opset, job->options, entry->name, layer, why);
    if (status == APX_OK && loop != NULL && opset < LOOP_OPSET)
        status = apx_fail(why, APX_EUNSUPPORTED, "", "a Loop of opset %lld; it needs opset %d",
                          (long long)opset, LOOP_OPSET);
    if (status != APX_OK)
        return status;
    layer->loop = loop;
    item->layer = layer;
    entry->quantises_x = layer->variant.quantises_x;
    entry->wants_range = !entry->quantises_x && entry->input >= LEAST_INPUT &&
                         opset >= APX_QUANTIZED_LINEAR_OPSET_FIRST;
    entry->input_bound = layer->input_bound;
    entry->int8_bytes = int8_bytes(layer);
    job->report->recurrent_done++;
    return APX_OK;
}

static enum apx_status make_dense(struct job *job, int n, struct apx_quantize_layer *entry,
                                  struct apx_quantize_item *item, struct apx_error *why)
{
    struct apx_quantized_dense *dense = apx_graph_alloc(job->graph, sizeof *dense);
    if (dense == NULL)
        return apx_fail(why, APX_ENOMEM, "", "out of memory");
    enum apx_status status = apx_quantize_dense_make(job->graph, n, job->options, entry->name,
                                                     dense, &entry->wants_range, why);
    if (status != APX_OK)
        return status;
    item->dense = dense;
    entry->quantises_x = true;
    entry->input_bound = dense->input_bound;
    entry->int8_bytes = entry->hidden * (entry->input + sizeof(float));
    job->report->dense_done++;
    return APX_OK;
}

static bool has_range(const struct apx_quantize_options *options, const char *name)
{
    for (size_t i = 0; i < options->range_count; i++)
        if (strcmp(options->ranges[i].layer, name) == 0)
            return true;
    return false;
}

static enum apx_status try_layer(struct job *job, size_t at, int n,
                                 const struct apx_quantized_loop *loop)
{
    const Onnx__NodeProto *from = job->model->graph->node[at];
    struct apx_quantize_layer *entry = &job->report->layers[job->report->layer_count];
    struct apx_quantize_item *item = &job->items[job->done];
    struct apx_error why = {0};
    job->probed[job->report->layer_count] =
        loop != NULL ? loop->sequence : apx_onnx_or_empty(from->input[0]);
    enum apx_status status = describe(job, n, apx_onnx_node_label(from), entry);
    if (status != APX_OK)
        return status;
    if (!is_chosen(job->options, entry->name)) {
        snprintf(entry->reason, sizeof entry->reason, "not among the layers asked for");
        return APX_OK;
    }
    status = entry->is_dense ? make_dense(job, n, entry, item, &why)
                             : make_recurrent(job, n, loop, entry, item, &why);
    if (status == APX_EUNSUPPORTED) {
        snprintf(entry->reason, sizeof entry->reason, "%.190s", why.message);
        return APX_OK;
    }
    if (status != APX_OK)
        return apx_fail(job->error, status, why.field, "%s", why.message);
    item->at = at;
    entry->is_done = true;
    entry->has_range = entry->input_bound > 0 && has_range(job->options, entry->name);
    job->done++;
    return APX_OK;
}

/* Layers that the graph has and the file does not: it writes them in another way. */
static enum apx_status note_others(struct job *job, const bool *seen)
{
    for (int n = 0; n < job->graph->node_count; n++) {
        const struct apx_node *node = &job->graph->nodes[n];
        if (node->is_dead || !is_recurrent(node->op) || seen[n])
            continue;
        struct apx_quantize_layer *entry = &job->report->layers[job->report->layer_count];
        enum apx_status status = describe(job, n, node->name, entry);
        if (status != APX_OK)
            return status;
        snprintf(entry->reason, sizeof entry->reason,
                 "it is inside of a function, or a Loop of which more than h and c is read");
    }
    return APX_OK;
}

static enum apx_status find_layers(struct job *job)
{
    const Onnx__GraphProto *graph = job->model->graph;
    size_t nodes = (size_t)job->graph->node_count + 1;
    bool *seen = calloc(nodes, sizeof *seen);
    job->report->layers = calloc(nodes, sizeof *job->report->layers);
    job->items = calloc(nodes, sizeof *job->items);
    job->probed = calloc(nodes, sizeof *job->probed);
    enum apx_status status = APX_OK;
    if (seen == NULL || job->report->layers == NULL || job->items == NULL || job->probed == NULL)
        status = apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    for (size_t i = 0; status == APX_OK && i < graph->n_node; i++) {
        const struct apx_quantized_loop *loop = find_loop(job, i);
        const bool may_be = is_layer(graph->node[i]) || is_product(graph->node[i]);
        int n = loop != NULL ? loop->node : may_be ? find_node(job->graph, graph->node[i]) : -1;
        if (n < 0 || seen[n] || job->graph->nodes[n].is_dead)
            continue;
        seen[n] = true;
        status = try_layer(job, i, n, loop);
    }
    if (status == APX_OK)
        status = note_others(job, seen);
    free(seen);
    return status;
}

static enum apx_status check_name(const struct job *job, const char *name)
{
    const struct apx_quantize_report *report = job->report;
    for (size_t k = 0; k < report->layer_count; k++)
        if (strcmp(report->layers[k].name, name) == 0)
            return APX_OK;
    return apx_fail(job->error, APX_EUNSUPPORTED, name,
                    "the model has no recurrent or dense layer \"%s\"%s%s", name,
                    report->layer_count > 0 ? "; its first is " : "",
                    report->layer_count > 0 ? report->layers[0].name : "");
}

/* Of the layers that were asked for, the first recurrent one: what it lacks says more than what a
 * dense one does. */
static const struct apx_quantize_layer *telling_layer(const struct job *job)
{
    const struct apx_quantize_layer *dense = NULL;
    for (size_t i = 0; i < job->report->layer_count; i++) {
        const struct apx_quantize_layer *layer = &job->report->layers[i];
        if (!is_chosen(job->options, layer->name))
            continue;
        if (!layer->is_dense)
            return layer;
        dense = dense == NULL ? layer : dense;
    }
    return dense;
}

/* Something to write, and every name that was asked for. */
static enum apx_status check_done(const struct job *job)
{
    const struct apx_quantize_report *report = job->report;
    enum apx_status status = APX_OK;
    if (report->layer_count == 0 && report->int8_before > 0)
        return apx_fail(job->error, APX_EUNSUPPORTED, "", "its layers are int8 already");
    for (size_t i = 0; status == APX_OK && i < job->options->layer_count; i++)
        status = check_name(job, job->options->layers[i]);
    for (size_t i = 0; status == APX_OK && i < job->options->range_count; i++)
        status = check_name(job, job->options->ranges[i].layer);
    if (status != APX_OK || job->done > 0)
        return status;
    if (report->layer_count == 0)
        return apx_fail(job->error, APX_EUNSUPPORTED, "",
                        "the model has no LSTM, no GRU and no dense layer; nothing else is "
                        "quantised");
    const struct apx_quantize_layer *layer = telling_layer(job);
    if (report->int8_before > 0)
        return apx_fail(job->error, APX_EUNSUPPORTED, "",
                        "%zu of its %zu layers are int8 already, and none of the others can be; "
                        "%.64s: %s",
                        report->int8_before, report->int8_before + report->layer_count, layer->name,
                        layer->reason);
    return apx_fail(job->error, APX_EUNSUPPORTED, "",
                    "none of the %zu layers can be quantised; %.64s: %s", report->layer_count,
                    layer->name, layer->reason);
}

static enum apx_status read_options(const struct apx_quantize_options *given,
                                    struct apx_quantize_options *options, struct apx_error *error)
{
    *options = given != NULL ? *given : (struct apx_quantize_options){0};
    if (options->hidden_levels == 0)
        options->hidden_levels = APX_QUANTIZE_LEVELS;
    if (options->hidden_levels != 63 && options->hidden_levels != 127)
        return apx_fail(error, APX_EINVAL, "hidden_levels", "hidden_levels %d: 63 or 127",
                        options->hidden_levels);
    if (options->weight_levels < 0 || options->weight_levels > APX_QUANTIZE_WEIGHT_LEVELS)
        return apx_fail(error, APX_EINVAL, "weight_levels", "weight_levels %d: 1 to 127",
                        options->weight_levels);
    for (size_t i = 0; i < options->range_count; i++)
        if (options->ranges[i].why_not == NULL &&
            !(options->ranges[i].bound > 0 && isfinite(options->ranges[i].bound)))
            return apx_fail(error, APX_EINVAL, "ranges", "range %g of \"%s\": must be positive",
                            (double)options->ranges[i].bound, options->ranges[i].layer);
    return APX_OK;
}

static enum apx_status note_files(struct job *job)
{
    const struct apx_graph_file *file;
    size_t count = 0;
    for (file = job->graph->files; file != NULL; file = file->next)
        count++;
    job->report->files = calloc(count + 1, sizeof *job->report->files);
    if (job->report->files == NULL)
        return apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    for (file = job->graph->files; file != NULL; file = file->next)
        job->report->files[job->report->file_count++] = file->id;
    return APX_OK;
}

static enum apx_status read_model(struct job *job, const void *data, size_t bytes,
                                  const char *directory)
{
    enum apx_status status =
        apx_model_read(data, bytes, directory, apx_allocator_default(), &job->graph, job->error);
    if (status != APX_OK)
        return status;
    if (apx_model_format_guess(data, bytes) != APX_MODEL_ONNX)
        return apx_fail(job->error, APX_EUNSUPPORTED, "",
                        "a tree ensemble has no LSTM, no GRU and no dense layer; nothing else is "
                        "quantised");
    /* The reader has scanned and unpacked these bytes under its limits. */
    job->model = onnx__model_proto__unpack(NULL, bytes, data);
    struct report_memory *memory = calloc(1, sizeof *memory);
    if (memory != NULL)
        job->report = &memory->report;
    if (job->model == NULL || memory == NULL)
        return apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    status = note_files(job);
    if (status == APX_OK)
        status = apx_quantize_find_loops(job->graph, job->model, &job->loops, &job->loop_count,
                                         job->error);
    if (status == APX_OK)
        status = apx_graph_infer(job->graph, job->error);
    if (status == APX_OK)
        status = apx_passes_run(job->graph, &apx_backend_cpu, job->error);
    return status;
}

/* Read the model and decide about every layer. */
static enum apx_status decide(struct job *job, const void *data, size_t bytes,
                              const char *directory)
{
    enum apx_status status = read_model(job, data, bytes, directory);
    if (status == APX_OK)
        status = find_layers(job);
    if (status != APX_OK)
        return status;
    job->report->int8_before = apx_graph_count_int8(job->graph);
    job->report->hidden_levels = job->options->hidden_levels;
    job->report->weight_levels =
        job->options->weight_levels != 0 ? job->options->weight_levels : APX_QUANTIZE_WEIGHT_LEVELS;
    return APX_OK;
}

static void release(struct job *job)
{
    apx_quantize_report_destroy(job->report);
    free(job->items);
    free(job->probed);
    if (job->model != NULL)
        onnx__model_proto__free_unpacked(job->model, NULL);
    apx_graph_destroy(job->graph);
}

enum apx_status apx_quantize(const void *data, size_t bytes, const char *directory,
                             const struct apx_quantize_options *given, void **out,
                             size_t *out_bytes, struct apx_quantize_report **report,
                             struct apx_error *error)
{
    struct apx_quantize_options options;
    struct job job = {.options = &options, .error = error};
    *out = NULL;
    *out_bytes = 0;
    *report = NULL;
    enum apx_status status = read_options(given, &options, error);
    if (status != APX_OK)
        return status;
    if ((status = decide(&job, data, bytes, directory)) != APX_OK)
        goto fail;
    status = check_done(&job);
    if (status == APX_OK) {
        struct apx_quantize_rewrite rewrite = {.model = job.model,
                                               .directory = directory,
                                               .items = job.items,
                                               .count = job.done,
                                               .opset = job.graph->opset,
                                               .levels = options.hidden_levels,
                                               .weight_levels = job.report->weight_levels};
        status = apx_quantize_write(&rewrite, out, out_bytes, error);
    }
    if (status == APX_OK || status == APX_EUNSUPPORTED) {
        *report = job.report;
        job.report = NULL;
    }
fail:
    release(&job);
    return status;
}

/* Layers that want a range, and the values that they read. */
static enum apx_status choose_probes(struct job *job, struct apx_quantize_probes *probes)
{
    probes->list = calloc(job->report->layer_count + 1, sizeof *probes->list);
    if (probes->list == NULL)
        return apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    for (size_t i = 0; i < job->report->layer_count; i++) {
        const struct apx_quantize_layer *layer = &job->report->layers[i];
        if (!layer->wants_range)
            continue;
        job->probed[probes->count] = job->probed[i];
        struct apx_quantize_probed *probed = &probes->list[probes->count++];
        probed->is_computed = layer->reads_layers;
        if ((probed->layer = strdup(layer->name)) == NULL)
            return apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    }
    return APX_OK;
}

enum apx_status apx_quantize_probe(const void *data, size_t bytes, const char *directory,
                                   const struct apx_quantize_options *given,
                                   struct apx_quantize_probes *probes, struct apx_error *error)
{
    struct apx_quantize_options options;
    struct job job = {.options = &options, .error = error};
    *probes = (struct apx_quantize_probes){0};
    enum apx_status status = read_options(given, &options, error);
    if (status != APX_OK)
        return status;
    options.range_count = 0;
    if ((status = decide(&job, data, bytes, directory)) == APX_OK &&
        (status = choose_probes(&job, probes)) == APX_OK && probes->count > 0)
        status = apx_quantize_write_probe(job.model, job.probed, probes->count, &probes->model,
                                          &probes->model_bytes, error);
    release(&job);
    return status;
}

void apx_quantize_probes_fini(struct apx_quantize_probes *probes)
{
    for (size_t i = 0; i < probes->count; i++)
        free(probes->list[i].layer);
    free(probes->list);
    free(probes->model);
    *probes = (struct apx_quantize_probes){0};
}
