/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_scale.c - scales of inputs and of weights.
 *
 * Weights are divided by a scale of their own for each row of the matrix (an output), so that the
 * row's largest weight is the largest integer. An input has one scale for all: what lies in [-1, 1]
 * by what makes it needs no data to know it; for others a caller may have looked at data. */
#include "kernels/kernels.h"
#include "runtime/model/infer.h"
#include "runtime/model/quantize/quantize_plan.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* How far back a value's range is looked for, and at how many values on the way. */
#define MOST_DEPTH 64
#define MOST_LOOKS 4096

bool apx_quantize_has_defaults(const struct apx_node *node)
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
           ((node->op == APX_OP_LSTM || node->op == APX_OP_GRU) && apx_quantize_has_defaults(node));
}

/* The value lies in [-1, 1]: h of recurrent layers or what a sigmoid or tanh gives, moved about at
 * most. An initial state beyond [-1, 1] could make a GRU's h larger; then it is bounded, as the
 * layer's own is. looks: at how many values more; a Concat may name one twice, and so may the next.
 */
static bool is_bounded(const struct apx_graph *graph, int v, int depth, int *looks)
{
    int producer = graph->values[v].producer;
    if (producer < 0 || depth > MOST_DEPTH || --*looks < 0)
        return false;
    const struct apx_node *node = &graph->nodes[producer];
    switch (node->op) {
    case APX_OP_LSTM:
    case APX_OP_GRU:
    case APX_OP_QUANTIZED_LSTM:
    case APX_OP_QUANTIZED_GRU:
        return has_bounded_state(node) && (node->out_count < 3 || node->out[2] != v);
    case APX_OP_TANH:
    case APX_OP_SIGMOID:
    case APX_OP_SOFTSIGN:
    case APX_OP_HARD_SIGMOID:
        return true;
    case APX_OP_CONCAT:
        for (int i = 0; i < node->in_count; i++)
            if (!is_bounded(graph, node->in[i], depth + 1, looks))
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
    case APX_OP_RELU:
        return is_bounded(graph, node->in[0], depth + 1, looks);
    case APX_OP_DROPOUT:
        return node->out[0] == v && is_bounded(graph, node->in[0], depth + 1, looks);
    default:
        return false;
    }
}

bool apx_quantize_is_computed(const struct apx_graph *graph, int v)
{
    /* Producers stand before their readers, so the walk ends. */
    for (int n = graph->values[v].producer; n >= 0; n = graph->values[v].producer) {
        const struct apx_node *node = &graph->nodes[n];
        if (node->op == APX_OP_LSTM || node->op == APX_OP_GRU ||
            node->op == APX_OP_QUANTIZED_LSTM || node->op == APX_OP_QUANTIZED_GRU ||
            node->op == APX_OP_QUANTIZED_LINEAR || apx_quantize_is_dense(graph, node))
            return true;
        if (node->in_count == 0 || node->in[0] < 0)
            return false;
        v = node->in[0];
    }
    return false;
}

float apx_quantize_input_scale(const struct apx_graph *graph, int v,
                               const struct apx_quantize_options *options, const char *name,
                               float *bound)
{
    const float levels = (float)options->hidden_levels;
    int looks = MOST_LOOKS;
    *bound = 0;
    if (is_bounded(graph, v, 0, &looks)) {
        *bound = 1;
        return 1 / levels;
    }
    for (size_t i = 0; i < options->range_count; i++) {
        const float scale = options->ranges[i].bound / levels;
        if (options->ranges[i].why_not != NULL || strcmp(options->ranges[i].layer, name) != 0 ||
            !(scale > 0 && isfinite(1 / scale)))
            continue;
        *bound = options->ranges[i].bound;
        return scale;
    }
    return 0;
}

bool apx_quantize_rows(const float *from, size_t rows, size_t columns,
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
