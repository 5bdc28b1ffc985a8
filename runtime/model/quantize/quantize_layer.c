/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_layer.c - one recurrent layer: whether it can be quantised, and its int8 weights.
 *
 * Weights are divided by a scale of their own for each row of the matrix (an output of a gate), so
 * that the row's largest weight is the largest integer. The state h lies in [-1, 1] whatever the
 * data are: it needs no calibration. The input X is quantised where it is such an h as well; any
 * other input keeps its floats, and so does W. */
#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"
#include "runtime/model/quantize/quantize_plan.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* W R B sequence_lens initial_h initial_c P of the operators that are replaced */
enum { X, W, R, B, LENGTHS, H0, C0, P };

static bool is_given(const struct apx_node *node, int i)
{
    return i < node->in_count && node->in[i] >= 0;
}

/* All of the operator's defaults: Sigmoid for the gates, Tanh for the rest. */
static bool has_default_activations(const struct apx_node *node)
{
    const struct apx_attr *names = apx_node_attr(node, "activations");
    size_t period = node->op == APX_OP_LSTM ? 3 : 2;
    for (size_t i = 0; names != NULL && i < names->count; i++)
        if (strcasecmp(names->strings[i], i % period == 0 ? "Sigmoid" : "Tanh") != 0)
            return false;
    return true;
}

/* h is made of Tanh and gates below 1, or of means of such numbers. */
static bool has_bounded_state(const struct apx_node *node)
{
    return node->op == APX_OP_QUANTIZED_LSTM || node->op == APX_OP_QUANTIZED_GRU ||
           ((node->op == APX_OP_LSTM || node->op == APX_OP_GRU) && has_default_activations(node));
}

/* The value is made of h of recurrent layers, moved about at most. An initial state beyond [-1, 1]
 * could make a GRU's h larger; then it is bounded, as the layer's own is. */
static bool is_state(const struct apx_graph *graph, int v, int depth)
{
    int producer = graph->values[v].producer;
    if (producer < 0 || depth > 64)
        return false;
    const struct apx_node *node = &graph->nodes[producer];
    switch (node->op) {
    case APX_OP_LSTM:
    case APX_OP_GRU:
    case APX_OP_QUANTIZED_LSTM:
    case APX_OP_QUANTIZED_GRU:
        return has_bounded_state(node) && (node->out_count < 3 || node->out[2] != v);
    case APX_OP_CONCAT:
        for (int i = 0; i < node->in_count; i++)
            if (!is_state(graph, node->in[i], depth + 1))
                return false;
        return true;
    case APX_OP_TRANSPOSE:
    case APX_OP_RESHAPE:
    case APX_OP_FLATTEN:
    case APX_OP_SQUEEZE:
    case APX_OP_UNSQUEEZE:
    case APX_OP_SPLIT:
    case APX_OP_SLICE:
    case APX_OP_GATHER:
    case APX_OP_EXPAND:
    case APX_OP_TILE:
    case APX_OP_IDENTITY:
        return is_state(graph, node->in[0], depth + 1);
    case APX_OP_DROPOUT:
        return node->out[0] == v && is_state(graph, node->in[0], depth + 1);
    default:
        return false;
    }
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
    if (opset < APX_QUANTIZED_OPSET_FIRST)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the model is of opset %lld; the operators need %d: export it again",
                        (long long)opset, APX_QUANTIZED_OPSET_FIRST);
    if (apx_node_in(graph, node, X)->dtype != APX_F32)
        why = "it does not compute in float32";
    else if (!has_default_activations(node))
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
    return why != NULL ? apx_fail(error, APX_EUNSUPPORTED, node->name, "%s", why) : APX_OK;
}

/* Rows of `columns` weights as integers and scales, in the options' levels or in those that suit
 * each row. False: a weight is not finite. */
static bool quantise(const float *from, size_t rows, size_t columns,
                     const struct apx_quantize_options *options, int8_t *to, float *scales)
{
    for (size_t i = 0; i < rows; i++) {
        const float *row = from + i * columns;
        float largest = 0;
        for (size_t k = 0; k < columns; k++) {
            if (!isfinite(row[k]))
                return false;
            largest = fabsf(row[k]) > largest ? fabsf(row[k]) : largest;
        }
        const int levels = options->weight_levels != 0
                               ? options->weight_levels
                               : apx_int8_weight_levels(row, columns, options->hidden_levels);
        scales[i] = largest / (float)levels;
        for (size_t k = 0; k < columns; k++) {
            /* In double: a scale may be subnormal, its reciprocal infinite. */
            double q = scales[i] > 0 ? rint((double)row[k] / (double)scales[i]) : 0;
            q = q > levels ? levels : q < -levels ? -levels : q;
            to[i * columns + k] = (int8_t)q;
        }
    }
    return true;
}

enum apx_status apx_quantize_layer_make(struct apx_graph *graph, int n, int64_t opset,
                                        const struct apx_quantize_options *options,
                                        struct apx_quantized_layer *layer, struct apx_error *error)
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
    const bool quantises_x = is_state(graph, node->in[X], 0);
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
    layer->input_scale = quantises_x ? 1 / (float)options->hidden_levels : 0;
    layer->w_float = floats_of(graph, node, W);
    layer->bias = is_given(node, B) ? floats_of(graph, node, B) : NULL;
    size_t rows = (size_t)layer->directions * (size_t)layer->gates * (size_t)layer->hidden;
    int8_t *r = apx_graph_alloc(graph, rows * (size_t)layer->hidden);
    float *r_scale = apx_graph_alloc(graph, rows * sizeof *r_scale);
    int8_t *w = quantises_x ? apx_graph_alloc(graph, rows * (size_t)layer->input) : NULL;
    float *w_scale = quantises_x ? apx_graph_alloc(graph, rows * sizeof *w_scale) : NULL;
    if (r == NULL || r_scale == NULL || (quantises_x && (w == NULL || w_scale == NULL)))
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    if (!quantise(floats_of(graph, node, R), rows, (size_t)layer->hidden, options, r, r_scale) ||
        (quantises_x && !quantise(layer->w_float, rows, (size_t)layer->input, options, w, w_scale)))
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "a weight is not a finite number");
    layer->r = r;
    layer->r_scale = r_scale;
    layer->w = w;
    layer->w_scale = w_scale;
    return APX_OK;
}
