/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_layer.c - one recurrent layer: whether it can be quantised, and its int8 weights.
 *
 * The state h lies in [-1, 1] whatever the data are: it needs no calibration. The input X is
 * quantised where its range is known (quantize_scale.c); any other input keeps its floats, and so
 * does W. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"
#include "runtime/model/quantize/quantize_plan.h"

#include <string.h>

/* W R B sequence_lens initial_h initial_c P of the operators that are replaced */
enum { X, W, R, B, LENGTHS, H0, C0, P };

static bool is_given(const struct apx_node *node, int i)
{
    return i < node->in_count && node->in[i] >= 0;
}

static const float *floats_of(const struct apx_graph *graph, const struct apx_node *node, int i)
{
    const struct apx_value *value = apx_node_in(graph, node, i);
    return value != NULL && value->dtype == APX_F32 ? value->data : NULL;
}

/* APX_EUNSUPPORTED unless the layer is what the int8 operators define. */
static enum apx_status check(const struct apx_graph *graph, const struct apx_node *node,
                             int64_t opset, struct apx_error *error)
{
    const char *why = NULL;
    int64_t input;
    if (opset < APX_QUANTIZED_OPSET_FIRST)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the model is of opset %lld; the operators need %d: export it again",
                        (long long)opset, APX_QUANTIZED_OPSET_FIRST);
    if (apx_node_in(graph, node, X)->dtype != APX_F32)
        why = "it does not compute in float32";
    else if (!apx_quantize_has_defaults(node))
        why = "its activations are not Sigmoid and Tanh";
    else if (apx_node_float(node, "clip", 0) > 0)
        why = "it clips its gates";
    else if (node->op == APX_OP_LSTM && is_given(node, P))
        why = "it has peepholes";
    else if (node->op == APX_OP_LSTM && apx_node_int(node, "input_forget", 0) != 0)
        why = "its input and forget gates are coupled";
    else if (apx_node_int(node, "layout", 0) != 0)
        why = "it has layout 1; the operators have layout 0";
    else if (floats_of(graph, node, W) == NULL || floats_of(graph, node, R) == NULL ||
             (is_given(node, B) && floats_of(graph, node, B) == NULL))
        why = "its weights are not constants of the model";
    else if (apx_dim_is_constant(&apx_node_in(graph, node, W)->dims[2], &input) &&
             input > APX_LIMIT_INT8_WIDTH)
        why = "it has so many inputs that sums of int8 would not fit 32 bits";
    return why != NULL ? apx_fail(error, APX_EUNSUPPORTED, node->name, "%s", why) : APX_OK;
}

enum apx_status apx_quantize_layer_make(struct apx_graph *graph, int n, int64_t opset,
                                        const struct apx_quantize_options *options,
                                        const char *name, struct apx_quantized_layer *layer,
                                        struct apx_error *error)
{
    const struct apx_node *node = &graph->nodes[n];
    memset(layer, 0, sizeof *layer);
    layer->node = n;
    enum apx_status status = check(graph, node, opset, error);
    if (status != APX_OK)
        return status;
    const char *direction = apx_node_string(node, "direction", "forward");
    const bool is_both = strcmp(direction, "bidirectional") == 0;
    const bool is_lstm = node->op == APX_OP_LSTM;
    layer->directions = is_both ? 2 : 1;
    layer->gates = is_lstm ? 4 : 3;
    apx_dim_is_constant(&graph->values[node->in[W]].dims[2], &layer->input);
    apx_dim_is_constant(&graph->values[node->in[R]].dims[2], &layer->hidden);
    layer->input_scale =
        apx_quantize_input_scale(graph, node->in[X], options, name, &layer->input_bound);
    /* Below it a body cannot read the scale of its call. */
    if (opset < APX_QUANTIZED_LINEAR_OPSET_FIRST &&
        layer->input_scale != 1 / (float)options->hidden_levels)
        layer->input_scale = 0;
    const bool quantises_x = layer->input_scale > 0;
    layer->variant = (struct apx_quantized_variant){
        .is_lstm = is_lstm,
        .direction = is_both                             ? APX_QUANTIZED_BIDIRECTIONAL
                     : strcmp(direction, "reverse") == 0 ? APX_QUANTIZED_REVERSE
                                                         : APX_QUANTIZED_FORWARD,
        .reset_after = !is_lstm && apx_node_int(node, "linear_before_reset", 0) != 0,
        .quantises_x = quantises_x,
        .has_lengths = is_given(node, LENGTHS),
        .has_h0 = is_given(node, H0),
        .has_c0 = is_lstm && is_given(node, C0),
        .levels = options->hidden_levels,
        .opset = opset,
    };
    layer->w_float = floats_of(graph, node, W);
    layer->bias = is_given(node, B) ? floats_of(graph, node, B) : NULL;
    size_t rows = (size_t)layer->directions * (size_t)layer->gates * (size_t)layer->hidden;
    int8_t *r = apx_graph_alloc(graph, rows * (size_t)layer->hidden);
    float *r_scale = apx_graph_alloc(graph, rows * sizeof *r_scale);
    int8_t *w = quantises_x ? apx_graph_alloc(graph, rows * (size_t)layer->input) : NULL;
    float *w_scale = quantises_x ? apx_graph_alloc(graph, rows * sizeof *w_scale) : NULL;
    if (r == NULL || r_scale == NULL || (quantises_x && (w == NULL || w_scale == NULL)))
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    if (!apx_quantize_rows(floats_of(graph, node, R), rows, (size_t)layer->hidden, options, r,
                           r_scale) ||
        (quantises_x &&
         !apx_quantize_rows(layer->w_float, rows, (size_t)layer->input, options, w, w_scale)))
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "a weight is not a finite number");
    layer->r = r;
    layer->r_scale = r_scale;
    layer->w = w;
    layer->w_scale = w_scale;
    return APX_OK;
}
