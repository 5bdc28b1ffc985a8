/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.c - the way from a model to one with int8 layers: read it as the engine does, decide
 * layer by layer, write the file again.
 *
 * The graph that the engine reads and simplifies says what a layer's weights are, whatever nodes
 * they come from; the file's own nodes say where the layer stands. The two meet at the names of the
 * layer's outputs. */
#include "runtime/quantize.h"

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

#define LOOP_OPSET 10 /* what takes a Loop's place has a Slice with inputs */

struct job {
    const struct apx_quantize_options *options;
    struct apx_graph *graph;
    Onnx__ModelProto *model;
    struct apx_quantize_report *report;
    size_t *replaced; /* [done] indices of the file's nodes */
    struct apx_quantized_layer *layers;
    size_t done;
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

/* The graph's node with an output of that name among its own; -1: none is alive. */
static int find_node(const struct apx_graph *graph, const Onnx__NodeProto *from)
{
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        for (int k = 0; !node->is_dead && is_recurrent(node->op) && k < node->out_count; k++)
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
    const struct apx_value *r = &job->graph->values[node->in[2]];
    apx_dim_is_constant(&w->dims[2], &input);
    apx_dim_is_constant(&r->dims[2], &hidden);
    entry->name = keep(job->report, name);
    entry->op = apx_op_info(node->op)->name;
    entry->direction = keep(job->report, apx_node_string(node, "direction", "forward"));
    entry->input = (size_t)input;
    entry->hidden = (size_t)hidden;
    entry->float_bytes = w->bytes + r->bytes;
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

static enum apx_status try_layer(struct job *job, size_t at, int n,
                                 const struct apx_quantized_loop *loop)
{
    const Onnx__NodeProto *from = job->model->graph->node[at];
    struct apx_quantize_layer *entry = &job->report->layers[job->report->layer_count];
    struct apx_error why = {0};
    enum apx_status status = describe(job, n, apx_onnx_node_label(from), entry);
    if (status != APX_OK)
        return status;
    job->report->layer_count++;
    if (!is_chosen(job->options, entry->name)) {
        snprintf(entry->reason, sizeof entry->reason, "not among the layers asked for");
        return APX_OK;
    }
    struct apx_quantized_layer *layer = &job->layers[job->done];
    status = apx_quantize_layer_make(job->graph, n, job->graph->opset, job->options, layer, &why);
    if (status == APX_OK && loop != NULL && job->graph->opset < LOOP_OPSET)
        status = apx_fail(&why, APX_EUNSUPPORTED, "", "a Loop of opset %lld; it needs opset %d",
                          (long long)job->graph->opset, LOOP_OPSET);
    layer->loop = loop;
    if (status == APX_EUNSUPPORTED) {
        snprintf(entry->reason, sizeof entry->reason, "%.190s", why.message);
        return APX_OK;
    }
    if (status != APX_OK)
        return apx_fail(job->error, status, why.field, "%s", why.message);
    entry->is_done = true;
    entry->quantises_x = layer->variant.quantises_x;
    entry->int8_bytes = int8_bytes(layer);
    job->replaced[job->done++] = at;
    job->report->done_count++;
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
        job->report->layer_count++;
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
    job->layers = calloc(nodes, sizeof *job->layers);
    job->replaced = calloc(nodes, sizeof *job->replaced);
    enum apx_status status = APX_OK;
    if (seen == NULL || job->report->layers == NULL || job->layers == NULL || job->replaced == NULL)
        status = apx_fail(job->error, APX_ENOMEM, "", "out of memory");
    for (size_t i = 0; status == APX_OK && i < graph->n_node; i++) {
        const struct apx_quantized_loop *loop = find_loop(job, i);
        int n = loop != NULL               ? loop->node
                : is_layer(graph->node[i]) ? find_node(job->graph, graph->node[i])
                                           : -1;
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

/* Something to write, and every name that was asked for. */
static enum apx_status check_done(const struct job *job)
{
    const struct apx_quantize_report *report = job->report;
    if (report->layer_count == 0 && apx_graph_has_int8(job->graph))
        return apx_fail(job->error, APX_EUNSUPPORTED, "", "its recurrent layers are int8 already");
    for (size_t i = 0; i < job->options->layer_count; i++) {
        size_t k = 0;
        while (k < report->layer_count &&
               strcmp(report->layers[k].name, job->options->layers[i]) != 0)
            k++;
        if (k == report->layer_count)
            return apx_fail(job->error, APX_EUNSUPPORTED, job->options->layers[i],
                            "the model has no recurrent layer \"%s\"%s%s", job->options->layers[i],
                            report->layer_count > 0 ? "; its first is " : "",
                            report->layer_count > 0 ? report->layers[0].name : "");
    }
    if (report->done_count > 0)
        return APX_OK;
    if (report->layer_count == 0)
        return apx_fail(job->error, APX_EUNSUPPORTED, "",
                        "the model has no LSTM and no GRU; nothing else is quantised");
    return apx_fail(job->error, APX_EUNSUPPORTED, "",
                    "none of the %zu recurrent layers can be quantised; %.64s: %s",
                    report->layer_count, report->layers[0].name, report->layers[0].reason);
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
                        "a tree ensemble has no LSTM and no GRU; nothing else is quantised");
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
    if ((status = read_model(&job, data, bytes, directory)) != APX_OK ||
        (status = find_layers(&job)) != APX_OK)
        goto fail;
    job.report->hidden_levels = options.hidden_levels;
    job.report->weight_levels =
        options.weight_levels != 0 ? options.weight_levels : APX_QUANTIZE_WEIGHT_LEVELS;
    status = check_done(&job);
    if (status == APX_OK) {
        struct apx_quantize_rewrite rewrite = {.model = job.model,
                                               .directory = directory,
                                               .replaced = job.replaced,
                                               .layers = job.layers,
                                               .count = job.done,
                                               .weight_levels = job.report->weight_levels};
        status = apx_quantize_write(&rewrite, out, out_bytes, error);
    }
    if (status == APX_OK || status == APX_EUNSUPPORTED) {
        *report = job.report;
        job.report = NULL;
    }
fail:
    apx_quantize_report_destroy(job.report);
    free(job.layers);
    free(job.replaced);
    if (job.model != NULL)
        onnx__model_proto__free_unpacked(job.model, NULL);
    apx_graph_destroy(job.graph);
    return status;
}
