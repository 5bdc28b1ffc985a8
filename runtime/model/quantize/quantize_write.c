/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_write.c - the file with int8 layers: everything of the old one, but for the nodes that
 * are replaced and what only they had read.
 *
 * The messages of the old file are taken over as they are, fields unknown to this build included;
 * lists that change are made anew around the same entries. */
#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/onnx_builder.h"
#include "runtime/model/onnx_reader.h"
#include "runtime/model/quantize/quantize_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_IR 8 /* the first with local functions */

struct writing {
    const struct apx_quantize_rewrite *given;
    const Onnx__ModelProto *model;
    struct apx_onnx *onnx;
    struct apx_onnx_names names; /* every name of the graph; value: index in uses */
    size_t *uses;                /* [name_count] readers of that value */
    size_t name_count, name_capacity;
    struct apx_error *error;
};

static enum apx_status no_memory(const struct writing *w)
{
    return apx_fail(w->error, APX_ENOMEM, "", "out of memory");
}

/* ---- names and their readers -------------------------------------------------------------------
 */

/* Index of the name, added if new; false if out of memory. The text must live on. */
static bool index_of(struct writing *w, const char *name, int *index)
{
    if (apx_onnx_names_find(&w->names, 0, name, index))
        return true;
    if (w->name_count == w->name_capacity) {
        size_t capacity = w->name_capacity == 0 ? 256 : 2 * w->name_capacity;
        size_t *uses = realloc(w->uses, capacity * sizeof *uses);
        if (uses == NULL)
            return false;
        w->uses = uses;
        w->name_capacity = capacity;
    }
    *index = (int)w->name_count;
    w->uses[w->name_count++] = 0;
    return apx_onnx_names_add(&w->names, 0, name, *index);
}

/* One reader more (or less) of the name. */
static bool count_use(struct writing *w, const char *name, bool more)
{
    int index;
    if (apx_onnx_or_empty(name)[0] == '\0')
        return true;
    if (!index_of(w, name, &index))
        return false;
    w->uses[index] += more ? 1 : (size_t)-1;
    return true;
}

static bool count_graph(struct writing *w, const Onnx__GraphProto *graph, bool more);

/* What the node reads, its subgraphs included: their names may be those of the graph around. */
static bool count_node(struct writing *w, const Onnx__NodeProto *node, bool more)
{
    bool ok = true;
    for (size_t i = 0; i < node->n_input; i++)
        ok = ok && count_use(w, node->input[i], more);
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->attribute[i];
        ok = ok && (attribute->g == NULL || count_graph(w, attribute->g, more));
        for (size_t k = 0; k < attribute->n_graphs; k++)
            ok = ok && count_graph(w, attribute->graphs[k], more);
    }
    return ok;
}

static bool count_graph(struct writing *w, const Onnx__GraphProto *graph, bool more)
{
    bool ok = true;
    for (size_t i = 0; i < graph->n_node; i++)
        ok = ok && count_node(w, graph->node[i], more);
    for (size_t i = 0; i < graph->n_output; i++)
        ok = ok && count_use(w, graph->output[i]->name, more);
    return ok;
}

static bool is_read(const struct writing *w, const char *name)
{
    int index;
    return apx_onnx_names_find(&w->names, 0, apx_onnx_or_empty(name), &index) && w->uses[index] > 0;
}

/* A name like "lstm/R_int8" that nothing has yet; NULL if out of memory. */
static const char *new_name(struct writing *w, const char *layer, const char *what)
{
    char text[APX_LIMIT_NAME];
    int index;
    for (int i = 1;; i++) {
        if (i == 1)
            snprintf(text, sizeof text, "%.900s/%s", layer, what);
        else
            snprintf(text, sizeof text, "%.900s/%s_%d", layer, what, i);
        if (!apx_onnx_names_find(&w->names, 0, text, &index)) {
            const char *name = apx_onnx_copy_text(w->onnx, text);
            return name != NULL && index_of(w, name, &index) ? name : NULL;
        }
    }
}

/* Subgraphs' own names count too: they may not stand twice in nested graphs. */
static bool note_graph(struct writing *w, const Onnx__GraphProto *graph)
{
    int index;
    bool ok = true;
    for (size_t i = 0; i < graph->n_input; i++)
        ok = ok && index_of(w, apx_onnx_or_empty(graph->input[i]->name), &index);
    for (size_t i = 0; i < graph->n_initializer; i++)
        ok = ok && index_of(w, apx_onnx_or_empty(graph->initializer[i]->name), &index);
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_output; k++)
            ok = ok && index_of(w, apx_onnx_or_empty(node->output[k]), &index);
        for (size_t k = 0; k < node->n_attribute; k++) {
            ok = ok && (node->attribute[k]->g == NULL || note_graph(w, node->attribute[k]->g));
            for (size_t g = 0; g < node->attribute[k]->n_graphs; g++)
                ok = ok && note_graph(w, node->attribute[k]->graphs[g]);
        }
    }
    return ok;
}

/* ---- the new node ------------------------------------------------------------------------------
 */

static const char *input_of(const Onnx__NodeProto *node, size_t i)
{
    return i < node->n_input ? apx_onnx_or_empty(node->input[i]) : "";
}

/* What a layer is connected to: names, "" for none. */
struct ends {
    const char *label, *name;
    const char *x, *w, *b, *lengths, *h0, *c0;
    const char *out[3];
};

static void ends_of_node(const Onnx__NodeProto *from, bool is_lstm, struct ends *ends)
{
    *ends = (struct ends){.label = apx_onnx_node_label(from),
                          .name = apx_onnx_or_empty(from->name),
                          .x = input_of(from, 0),
                          .w = input_of(from, 1),
                          .b = input_of(from, 3),
                          .lengths = input_of(from, 4),
                          .h0 = input_of(from, 5),
                          .c0 = is_lstm ? input_of(from, 6) : ""};
    for (size_t i = 0; i < 3; i++)
        ends->out[i] = i < from->n_output ? apx_onnx_or_empty(from->output[i]) : "";
}

/* Squeeze and Unsqueeze: axes are an attribute before opset 13. axes: a name of a constant. */
static void add_axis(struct writing *w, const char *op, const char *in, int64_t axis,
                     const char *axes, const char *out)
{
    bool as_input = w->given->opset >= 13;
    apx_onnx_node(w->onnx, "", op, "", (const char *const[]){in, axes}, as_input ? 2 : 1, &out, 1);
    if (!as_input)
        apx_onnx_ints(w->onnx, "axes", &axis, 1);
}

static const char *add_index(struct writing *w, const char *label, const char *what, int64_t index)
{
    static const int64_t one[1] = {1};
    const char *name = new_name(w, label, what);
    if (name != NULL)
        apx_onnx_tensor(w->onnx, name, APX_I64, 1, one, &index);
    return name;
}

/* In front of a layer that stands for a Loop: the steps that it takes, and its states with the axis
 * of directions. */
static bool begin_loop(struct writing *w, const Onnx__NodeProto *from,
                       const struct apx_quantized_layer *layer, struct ends *ends)
{
    const struct apx_quantized_loop *loop = layer->loop;
    const char *label = apx_onnx_node_label(from);
    const char *zero = add_index(w, label, "zero", 0), *one = add_index(w, label, "one", 1);
    const char *trips = new_name(w, label, "trips"), *rows = new_name(w, label, "rows");
    const char *states[2] = {"", ""};
    *ends = (struct ends){.label = label,
                          .name = apx_onnx_or_empty(from->name),
                          .x = rows,
                          .w = "",
                          .b = "",
                          .lengths = "",
                          .h0 = "",
                          .c0 = "",
                          .out = {"", "", ""}};
    if (zero == NULL || one == NULL || trips == NULL || rows == NULL)
        return false;
    apx_onnx_node(w->onnx, "", "Reshape", "", (const char *const[]){loop->trips, one}, 2, &trips,
                  1);
    apx_onnx_node(w->onnx, "", "Slice", "",
                  (const char *const[]){loop->sequence, zero, trips, zero}, 4, &rows, 1);
    for (int i = 0; i < 2 && loop->states[i] != NULL; i++) {
        states[i] = new_name(w, label, i == 0 ? "initial_h" : "initial_c");
        if (states[i] == NULL)
            return false;
        add_axis(w, "Unsqueeze", loop->states[i], 0, zero, states[i]);
    }
    ends->h0 = states[0];
    ends->c0 = states[1];
    return true;
}

/* Behind it: the Loop's own outputs, without the axis of directions. */
static bool end_loop(struct writing *w, const struct apx_quantized_layer *layer,
                     const struct ends *ends)
{
    const struct apx_quantized_loop *loop = layer->loop;
    const char *zero = add_index(w, ends->label, "first", 0);
    const char *one = add_index(w, ends->label, "second", 1);
    if (zero == NULL || one == NULL)
        return false;
    for (int i = 0; i < loop->y_count; i++)
        add_axis(w, "Squeeze", ends->out[0], 1, one, loop->y[i]);
    for (int i = 0; i < 2; i++)
        if (loop->last[i] != NULL)
            add_axis(w, "Squeeze", ends->out[1 + i], 0, zero, loop->last[i]);
    return true;
}

/* A new constant of the layer. */
static const char *add_constant(struct writing *w, const struct ends *ends, const char *what,
                                enum apx_dtype dtype, int rank, const int64_t *dims,
                                const void *data)
{
    const char *name = new_name(w, ends->label, what);
    if (name != NULL)
        apx_onnx_tensor(w->onnx, name, dtype, rank, dims, data);
    return name;
}

/* The layer's inputs; false if out of memory. in: [9] */
static bool add_inputs(struct writing *w, const struct apx_quantized_layer *layer,
                       const struct ends *ends, const char **in)
{
    const int64_t rows = layer->gates * layer->hidden;
    const int64_t w_dims[3] = {layer->directions, rows, layer->input};
    const int64_t r_dims[3] = {layer->directions, rows, layer->hidden};
    const int64_t scale_dims[2] = {layer->directions, rows};
    const int64_t bias_dims[2] = {layer->directions, 2 * rows};
    in[0] = ends->x;
    in[1] = ends->w;
    in[2] = "";
    if (layer->variant.quantises_x) {
        in[1] = add_constant(w, ends, "W_int8", APX_I8, 3, w_dims, layer->w);
        in[2] = add_constant(w, ends, "W_scale", APX_F32, 2, scale_dims, layer->w_scale);
    } else if (ends->w[0] == '\0') {
        in[1] = add_constant(w, ends, "W", APX_F32, 3, w_dims, layer->w_float);
    }
    in[3] = add_constant(w, ends, "R_int8", APX_I8, 3, r_dims, layer->r);
    in[4] = add_constant(w, ends, "R_scale", APX_F32, 2, scale_dims, layer->r_scale);
    in[5] = ends->b;
    if (ends->b[0] == '\0') { /* the body adds one */
        const float *bias = layer->bias;
        if (bias == NULL)
            bias =
                apx_onnx_take(w->onnx, 2 * (size_t)layer->directions * (size_t)rows, sizeof *bias);
        in[5] = bias != NULL ? add_constant(w, ends, "B", APX_F32, 2, bias_dims, bias) : NULL;
    }
    in[6] = ends->lengths;
    in[7] = ends->h0;
    in[8] = ends->c0;
    for (int i = 0; i < 9; i++)
        if (in[i] == NULL)
            return false;
    return true;
}

static bool add_layer(struct writing *w, const Onnx__NodeProto *from,
                      const struct apx_quantized_layer *layer)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    static const char *const output_names[3] = {"Y", "Y_h", "Y_c"};
    const struct apx_quantized_variant *variant = &layer->variant;
    struct apx_onnx *onnx = w->onnx;
    struct ends ends;
    const char *in[9];
    if (layer->loop == NULL)
        ends_of_node(from, variant->is_lstm, &ends);
    else if (!begin_loop(w, from, layer, &ends))
        return false;
    if (!add_inputs(w, layer, &ends, in))
        return false;
    int outputs = variant->is_lstm ? 3 : 2, inputs = variant->is_lstm ? 9 : 8;
    for (int i = 0; i < outputs; i++) /* ONNX Runtime infers all of a function's or fails */
        if (ends.out[i][0] == '\0' &&
            (ends.out[i] = new_name(w, ends.label, output_names[i])) == NULL)
            return false;
    while (in[inputs - 1][0] == '\0')
        inputs--;
    char name[96];
    apx_onnx_node(onnx, "auspex", apx_quantized_name(variant, name), ends.name, in, inputs,
                  ends.out, outputs);
    apx_onnx_int(onnx, "hidden_size", layer->hidden);
    apx_onnx_text(onnx, "direction", directions[variant->direction]);
    apx_onnx_int(onnx, "hidden_levels", variant->levels);
    apx_onnx_float(onnx, "input_scale", layer->input_scale);
    if (!variant->is_lstm)
        apx_onnx_int(onnx, "linear_before_reset", variant->reset_after);
    return layer->loop == NULL || end_loop(w, layer, &ends);
}

/* X, W, W_scale, B for a product's input, matrix and C. */
static bool add_dense(struct writing *w, const Onnx__NodeProto *from,
                      const struct apx_quantized_dense *dense)
{
    const int64_t dims[2] = {dense->output, dense->input};
    const struct ends ends = {.label = apx_onnx_node_label(from)};
    const bool has_bias = dense->bias != NULL;
    const char *in[4] = {input_of(from, 0)}, *out = apx_onnx_or_empty(from->output[0]);
    in[1] = add_constant(w, &ends, "W_int8", APX_I8, 2, dims, dense->w);
    in[2] = add_constant(w, &ends, "W_scale", APX_F32, 1, dims, dense->w_scale);
    in[3] = has_bias ? add_constant(w, &ends, "B", APX_F32, 1, dims, dense->bias) : "";
    if (in[1] == NULL || in[2] == NULL || in[3] == NULL)
        return false;
    apx_onnx_node(w->onnx, "auspex", apx_quantized_linear_name(has_bias),
                  apx_onnx_or_empty(from->name), in, has_bias ? 4 : 3, &out, 1);
    apx_onnx_int(w->onnx, "levels", dense->levels);
    apx_onnx_float(w->onnx, "input_scale", dense->input_scale);
    return true;
}

static const char *function_name(const struct apx_quantize_item *item, char text[96])
{
    return item->layer != NULL ? apx_quantized_name(&item->layer->variant, text)
                               : apx_quantized_linear_name(item->dense->bias != NULL);
}

/* The given file's function of that name; NULL: none. */
static const Onnx__FunctionProto *given_function(const struct writing *w, const char *name)
{
    for (size_t i = 0; i < w->model->n_functions; i++) {
        const Onnx__FunctionProto *function = w->model->functions[i];
        if (strcmp(apx_onnx_domain(function->domain), APX_ONNX_OWN_DOMAIN) == 0 &&
            strcmp(apx_onnx_or_empty(function->name), name) == 0)
            return function;
    }
    return NULL;
}

/* *same: whether the two are written as the same bytes. False if out of memory. */
static bool compare_functions(const Onnx__FunctionProto *one, const Onnx__FunctionProto *other,
                              bool *same)
{
    size_t bytes = onnx__function_proto__get_packed_size(one);
    *same = bytes == onnx__function_proto__get_packed_size(other);
    if (!*same)
        return true;
    uint8_t *packed = malloc(2 * bytes + 1);
    if (packed == NULL)
        return false;
    onnx__function_proto__pack(one, packed);
    onnx__function_proto__pack(other, packed + bytes);
    *same = memcmp(packed, packed + bytes, bytes) == 0;
    free(packed);
    return true;
}

/* A function stands in a file once: one that an earlier run has put there serves new layers too. */
static enum apx_status add_function(struct writing *w, const struct apx_quantize_item *item,
                                    const char *name)
{
    Onnx__ModelProto *made = &w->onnx->model;
    const Onnx__FunctionProto *given = given_function(w, name);
    const size_t before = made->n_functions;
    bool same;
    if (item->layer != NULL)
        apx_quantized_body(w->onnx, &item->layer->variant);
    else
        apx_quantized_linear_body(w->onnx, item->dense->opset, item->dense->bias != NULL);
    if (given == NULL)
        return APX_OK;
    if (w->onnx->failure.status != APX_OK || made->n_functions != before + 1 ||
        !compare_functions(given, made->functions[before], &same))
        return no_memory(w);
    if (!same)
        return apx_fail(w->error, APX_EUNSUPPORTED, name,
                        "the model has a function " APX_ONNX_OWN_DOMAIN ".%s already, and not the "
                        "one that this build writes; quantize the float model again",
                        name);
    made->n_functions = before;
    return APX_OK;
}

static enum apx_status add_functions(struct writing *w)
{
    char text[96], other[96];
    enum apx_status status = APX_OK;
    for (size_t i = 0; status == APX_OK && i < w->given->count; i++) {
        const struct apx_quantize_item *item = &w->given->items[i];
        const char *name = function_name(item, text);
        bool is_new = true;
        for (size_t k = 0; k < i && is_new; k++)
            is_new = strcmp(function_name(&w->given->items[k], other), name) != 0;
        if (is_new)
            status = add_function(w, item, name);
    }
    return status;
}

/* ---- the rest of the file ----------------------------------------------------------------------
 */

/* Nodes in their order, replaced ones as layers; those that lose their last reader go, and with
 * them what only they read. */
static enum apx_status add_nodes(struct writing *w)
{
    const Onnx__GraphProto *graph = w->model->graph;
    for (size_t i = 0, next = 0; i < graph->n_node; i++) {
        if (next == w->given->count || w->given->items[next].at != i) {
            apx_onnx_append(w->onnx, &w->onnx->graph.node, &w->onnx->graph.n_node, graph->node[i]);
            continue;
        }
        const struct apx_quantize_item *item = &w->given->items[next++];
        if (!(item->layer != NULL ? add_layer(w, graph->node[i], item->layer)
                                  : add_dense(w, graph->node[i], item->dense)))
            return no_memory(w);
    }
    Onnx__GraphProto *made = &w->onnx->graph;
    if (!count_graph(w, made, true))
        return no_memory(w);
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = made->n_node; i-- > 0;) {
            bool wanted = made->node[i] == NULL;
            for (size_t k = 0; !wanted && k < made->node[i]->n_output; k++)
                wanted = is_read(w, made->node[i]->output[k]);
            if (wanted)
                continue;
            if (!count_node(w, made->node[i], false))
                return no_memory(w);
            made->node[i] = NULL;
            changed = true;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < made->n_node; i++)
        if (made->node[i] != NULL)
            made->node[kept++] = made->node[i];
    made->n_node = kept;
    return APX_OK;
}

/* A copy with the payload that the original keeps in another file. */
static enum apx_status bring_in(struct writing *w, struct apx_onnx_reader *reader,
                                const Onnx__TensorProto *from, Onnx__TensorProto **out)
{
    const char *name = apx_onnx_or_empty(from->name);
    Onnx__TensorProto *tensor = apx_onnx_take(w->onnx, 1, sizeof *tensor);
    size_t bytes = apx_onnx_stored_size(from->data_type);
    for (size_t i = 0; i < from->n_dims; i++) /* the reader has checked them */
        bytes *= (size_t)from->dims[i];
    enum apx_status status = apx_onnx_check_external(reader, from, name, bytes);
    if (status != APX_OK)
        return status;
    void *data = apx_onnx_take(w->onnx, bytes, 1);
    if (tensor == NULL || data == NULL)
        return no_memory(w);
    status = apx_onnx_read_external(reader, from, name, bytes, data);
    *tensor = *from;
    tensor->has_data_location = 0;
    tensor->n_external_data = 0;
    tensor->external_data = NULL;
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){.len = bytes, .data = data};
    *out = tensor;
    return status;
}

static enum apx_status add_initializers(struct writing *w)
{
    const Onnx__GraphProto *graph = w->model->graph;
    struct apx_onnx_reader reader = {.error = w->error, .directory = w->given->directory};
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = graph->initializer[i];
        if (!is_read(w, tensor->name))
            continue;
        if (apx_onnx_is_external(tensor)) {
            enum apx_status status = bring_in(w, &reader, graph->initializer[i], &tensor);
            if (status != APX_OK)
                return status;
        }
        apx_onnx_append(w->onnx, &w->onnx->graph.initializer, &w->onnx->graph.n_initializer,
                        tensor);
    }
    return APX_OK;
}

static bool is_initializer(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (strcmp(apx_onnx_or_empty(graph->initializer[i]->name), apx_onnx_or_empty(name)) == 0)
            return true;
    return false;
}

/* Inputs that were constants, as files of IR 3 list them, go with the constant. */
static void add_values(struct writing *w)
{
    const Onnx__GraphProto *graph = w->model->graph;
    Onnx__GraphProto *made = &w->onnx->graph;
    for (size_t i = 0; i < graph->n_input; i++)
        if (is_read(w, graph->input[i]->name) || !is_initializer(graph, graph->input[i]->name))
            apx_onnx_append(w->onnx, &made->input, &made->n_input, graph->input[i]);
    for (size_t i = 0; i < graph->n_value_info; i++)
        if (is_read(w, graph->value_info[i]->name))
            apx_onnx_append(w->onnx, &made->value_info, &made->n_value_info, graph->value_info[i]);
}

static bool keeps_data_elsewhere(const Onnx__NodeProto *node);

static bool graph_keeps_data_elsewhere(const Onnx__GraphProto *graph)
{
    bool found = false;
    for (size_t i = 0; i < graph->n_initializer; i++)
        found = found || apx_onnx_is_external(graph->initializer[i]);
    for (size_t i = 0; i < graph->n_node; i++)
        found = found || keeps_data_elsewhere(graph->node[i]);
    return found;
}

static bool keeps_data_elsewhere(const Onnx__NodeProto *node)
{
    bool found = false;
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->attribute[i];
        found = found || (attribute->t != NULL && apx_onnx_is_external(attribute->t)) ||
                (attribute->g != NULL && graph_keeps_data_elsewhere(attribute->g));
        for (size_t k = 0; k < attribute->n_tensors; k++)
            found = found || apx_onnx_is_external(attribute->tensors[k]);
        for (size_t k = 0; k < attribute->n_graphs; k++)
            found = found || graph_keeps_data_elsewhere(attribute->graphs[k]);
    }
    return found;
}

static enum apx_status check_external(const struct writing *w)
{
    bool found = false;
    for (size_t i = 0; i < w->onnx->graph.n_node; i++)
        found = found || keeps_data_elsewhere(w->onnx->graph.node[i]);
    for (size_t i = 0; i < w->model->n_functions; i++)
        for (size_t k = 0; k < w->model->functions[i]->n_node; k++)
            found = found || keeps_data_elsewhere(w->model->functions[i]->node[k]);
    if (found)
        return apx_fail(w->error, APX_EUNSUPPORTED, "",
                        "a node's constant is kept in another file; save the model with its data "
                        "inside");
    return APX_OK;
}

/* The lists that grow, around the entries there are. */
static void take_over(struct writing *w)
{
    struct apx_onnx *onnx = w->onnx;
    const Onnx__ModelProto *model = w->model;
    bool imports = false;
    onnx->model = *model;
    onnx->graph = *model->graph;
    onnx->model.graph = &onnx->graph;
    onnx->graph.node = NULL;
    onnx->graph.initializer = NULL;
    onnx->graph.input = onnx->graph.value_info = NULL;
    onnx->graph.n_node = onnx->graph.n_initializer = 0;
    onnx->graph.n_input = onnx->graph.n_value_info = 0;
    onnx->model.opset_import = NULL;
    onnx->model.metadata_props = NULL;
    onnx->model.functions = NULL;
    onnx->model.n_opset_import = onnx->model.n_metadata_props = onnx->model.n_functions = 0;
    onnx->model.ir_version = model->ir_version < LEAST_IR ? LEAST_IR : model->ir_version;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        apx_onnx_append(onnx, &onnx->model.opset_import, &onnx->model.n_opset_import,
                        model->opset_import[i]);
        imports = imports || strcmp(apx_onnx_domain(model->opset_import[i]->domain),
                                    APX_ONNX_OWN_DOMAIN) == 0; /* of the version that is known */
    }
    if (!imports)
        apx_onnx_opset(onnx, APX_ONNX_OWN_DOMAIN, APX_ONNX_OWN_VERSION);
    for (size_t i = 0; i < model->n_functions; i++)
        apx_onnx_append(onnx, &onnx->model.functions, &onnx->model.n_functions,
                        model->functions[i]);
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (strcmp(apx_onnx_or_empty(model->metadata_props[i]->key), "quantized") != 0)
            apx_onnx_append(onnx, &onnx->model.metadata_props, &onnx->model.n_metadata_props,
                            model->metadata_props[i]);
    char text[128];
    size_t recurrent = 0;
    for (size_t i = 0; i < w->given->count; i++)
        recurrent += w->given->items[i].layer != NULL;
    snprintf(text, sizeof text, "int8, %d levels, weights %d, recurrent layers %zu, dense %zu",
             w->given->levels, w->given->weight_levels, recurrent, w->given->count - recurrent);
    apx_onnx_metadata(onnx, "quantized", text);
}

enum apx_status apx_quantize_write(const struct apx_quantize_rewrite *rewrite, void **out,
                                   size_t *out_bytes, struct apx_error *error)
{
    struct writing w = {.given = rewrite,
                        .model = rewrite->model,
                        .onnx = apx_onnx_create(""),
                        .names = {.allocator = apx_allocator_default()},
                        .error = error};
    enum apx_status status = APX_OK;
    *out = NULL;
    if (w.onnx == NULL || !note_graph(&w, w.model->graph)) {
        status = no_memory(&w);
        goto fail;
    }
    take_over(&w);
    if ((status = add_nodes(&w)) != APX_OK || (status = add_initializers(&w)) != APX_OK ||
        (status = check_external(&w)) != APX_OK)
        goto fail;
    add_values(&w);
    if ((status = add_functions(&w)) != APX_OK)
        goto fail;
    status = apx_onnx_write_memory(w.onnx, out, out_bytes, error);
fail:
    apx_onnx_destroy(w.onnx);
    apx_onnx_names_fini(&w.names);
    free(w.uses);
    return status;
}
