/* SPDX-License-Identifier: Apache-2.0 */
/* loop_replace.c - an LSTM or GRU operator in the place of a loop that is one.
 *
 * Step t reads row t of a sequence; the operator gets the rows up to the trip count by a Slice,
 * which takes all of them in every file seen and then costs nothing. */
#include "runtime/model/onnx_loop.h"

#include <stdio.h>
#include <string.h>

static int add_constant(struct apx_loop *loop, const char *what, enum apx_dtype dtype, int rank,
                        const int64_t *dims, const void *data)
{
    char name[APX_LIMIT_NAME];
    snprintf(name, sizeof name, "%.900s.%s", apx_onnx_node_label(loop->node), what);
    return apx_graph_add_constant(loop->reader->graph, name, dtype, rank, dims, data);
}

static void copy_gate(const struct apx_loop_cell *cell, size_t k, float *w, float *r, float *b)
{
    const struct apx_loop_gate *gate = &cell->gates[k];
    const size_t h = (size_t)cell->hidden, inputs = (size_t)cell->inputs;
    const size_t gates = (size_t)cell->gate_count;
    for (size_t j = 0; j < h; j++) {
        for (size_t i = 0; gate->kernel != NULL && i < inputs; i++)
            w[(k * h + j) * inputs + i] =
                gate->kernel[i * (size_t)gate->kernel_stride + (size_t)gate->kernel_column + j];
        for (size_t i = 0; gate->recurrent != NULL && i < h; i++)
            r[(k * h + j) * h + i] = gate->recurrent[i * (size_t)gate->recurrent_stride +
                                                     (size_t)gate->recurrent_column + j];
        b[k * h + j] = (gate->kernel_bias != NULL ? gate->kernel_bias[j] : 0.0f) + gate->bias;
        b[(gates + k) * h + j] = gate->recurrent_bias != NULL ? gate->recurrent_bias[j] : 0.0f;
    }
}

/* ONNX keeps a gate's weights as rows: W [1,G*H,I], R [1,G*H,H], B [1,2*G*H]. */
static enum apx_status add_weights(struct apx_loop *loop, const struct apx_loop_cell *cell,
                                   int *weights)
{
    struct apx_graph *graph = loop->reader->graph;
    const size_t h = (size_t)cell->hidden, inputs = (size_t)cell->inputs;
    const size_t rows = (size_t)cell->gate_count * h, count = rows * (inputs + h + 2);
    /* Twice: built here, and then copied by the graph. */
    enum apx_status status =
        apx_onnx_charge(loop->reader, apx_onnx_node_label(loop->node), 2 * count * sizeof(float));
    if (status != APX_OK)
        return status;
    float *w = apx_graph_alloc(graph, count * sizeof *w);
    if (w == NULL)
        return apx_onnx_cannot_grow(loop->reader);
    float *r = w + rows * inputs, *b = r + rows * h;
    for (size_t k = 0; k < (size_t)cell->gate_count; k++)
        copy_gate(cell, k, w, r, b);
    const int64_t all = (int64_t)rows;
    weights[0] = add_constant(loop, "W", APX_F32, 3, (int64_t[]){1, all, cell->inputs}, w);
    weights[1] = add_constant(loop, "R", APX_F32, 3, (int64_t[]){1, all, cell->hidden}, r);
    weights[2] = add_constant(loop, "B", APX_F32, 2, (int64_t[]){1, 2 * all}, b);
    return weights[0] < 0 || weights[1] < 0 || weights[2] < 0 ? apx_onnx_cannot_grow(loop->reader)
                                                              : APX_OK;
}

/* alpha and beta of those activations that have them, as ONNX lists them. */
static bool add_parameters(struct apx_loop *loop, const struct apx_loop_cell *cell, int node)
{
    struct apx_graph *graph = loop->reader->graph;
    static const char *const names[2] = {"activation_alpha", "activation_beta"};
    for (int which = 0; which < 2; which++) {
        float *list = apx_graph_alloc(graph, 3 * sizeof *list);
        struct apx_attr *attr =
            apx_graph_add_attr(graph, &graph->nodes[node], names[which], APX_ATTR_FLOATS);
        if (list == NULL || attr == NULL)
            return false;
        for (int i = 0; i < cell->activation_count; i++)
            if (cell->activations[i].takes > which)
                list[attr->count++] =
                    which == 0 ? cell->activations[i].alpha : cell->activations[i].beta;
        attr->floats = list;
    }
    return true;
}

static bool add_attributes(struct apx_loop *loop, const struct apx_loop_cell *cell, int node)
{
    struct apx_graph *graph = loop->reader->graph;
    struct apx_attr *size =
        apx_graph_add_attr(graph, &graph->nodes[node], "hidden_size", APX_ATTR_INT);
    if (size == NULL)
        return false;
    size->i = cell->hidden;
    struct apx_attr *order =
        cell->op == APX_OP_LSTM
            ? NULL
            : apx_graph_add_attr(graph, &graph->nodes[node], "linear_before_reset", APX_ATTR_INT);
    if (order == NULL && cell->op != APX_OP_LSTM)
        return false;
    if (order != NULL)
        order->i = cell->is_reset_after;
    struct apx_attr *activations =
        apx_graph_add_attr(graph, &graph->nodes[node], "activations", APX_ATTR_STRINGS);
    const char **names = apx_graph_alloc(graph, 3 * sizeof *names);
    if (activations == NULL || names == NULL)
        return false;
    for (int i = 0; i < cell->activation_count; i++)
        names[i] = cell->activations[i].name;
    activations->strings = names;
    activations->count = (size_t)cell->activation_count;
    return add_parameters(loop, cell, node);
}

/* Outputs that are no state: weights as they were, and the counter's last value. */
static enum apx_status add_rest(struct apx_loop *loop)
{
    struct apx_graph *graph = loop->reader->graph;
    for (size_t i = 0; i < loop->carried; i++) {
        int out = loop->outputs[i];
        bool is_state = i == loop->state[0] || (loop->state_count > 1 && i == loop->state[1]);
        if (out < 0 || is_state)
            continue;
        bool is_counter = loop->before[1 + i] == loop->step.counter;
        int from = is_counter ? loop->inputs[0] : loop->inputs[2 + i];
        if (apx_loop_add_node(loop, is_counter ? APX_OP_CAST : APX_OP_IDENTITY, &from, 1, out) < 0)
            return apx_onnx_cannot_grow(loop->reader);
        if (!is_counter)
            continue;
        struct apx_attr *to =
            apx_graph_add_attr(graph, &graph->nodes[graph->node_count - 1], "to", APX_ATTR_INT);
        if (to == NULL)
            return apx_onnx_cannot_grow(loop->reader);
        to->i = graph->values[loop->inputs[2 + i]].dtype == APX_I32
                    ? ONNX__TENSOR_PROTO__DATA_TYPE__INT32
                    : ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    }
    return APX_OK;
}

enum apx_status apx_loop_replace(struct apx_loop *loop, const struct apx_loop_cell *cell, size_t h)
{
    struct apx_graph *graph = loop->reader->graph;
    const bool is_lstm = cell->op == APX_OP_LSTM;
    int weights[3] = {-1, -1, -1};
    enum apx_status status = add_weights(loop, cell, weights);
    if (status != APX_OK)
        return status;
    const int64_t zero = 0, one = 1;
    int first = add_constant(loop, "first", APX_I64, 1, &one, &zero);
    int second = add_constant(loop, "second", APX_I64, 1, &one, &one);
    int trip = apx_loop_add_node(loop, APX_OP_RESHAPE, (int[]){loop->inputs[0], second}, 2, -1);
    int rows =
        apx_loop_add_node(loop, APX_OP_SLICE, (int[]){cell->sequence, first, trip, first}, 4, -1);
    int states[2] = {-1, -1}, results[3];
    for (size_t i = 0; i < loop->state_count; i++) {
        int from = loop->inputs[2 + loop->state[i == 0 ? h : 1 - h]];
        states[i] = apx_loop_add_node(loop, APX_OP_UNSQUEEZE, (int[]){from, first}, 2, -1);
        if (states[i] < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    for (int i = 0; i < 3; i++)
        results[i] = apx_graph_add_value(graph, "");
    const char *name =
        apx_onnx_full_name(loop->reader, loop->scope, apx_onnx_node_label(loop->node));
    int node = name == NULL
                   ? -1
                   : apx_graph_add_node(graph, cell->op, name, is_lstm ? 7 : 6, is_lstm ? 3 : 2);
    if (node < 0 || rows < 0 || results[0] < 0 || results[1] < 0 || results[2] < 0)
        return apx_onnx_cannot_grow(loop->reader);
    const int in[7] = {rows, weights[0], weights[1], weights[2], -1, states[0], states[1]};
    memcpy(graph->nodes[node].in, in, (is_lstm ? 7 : 6) * sizeof *in);
    memcpy(graph->nodes[node].out, results, (is_lstm ? 3 : 2) * sizeof *results);
    if (!add_attributes(loop, cell, node))
        return apx_onnx_cannot_grow(loop->reader);
    for (size_t i = 0; i < loop->state_count; i++) {
        int last = loop->outputs[loop->state[i == 0 ? h : 1 - h]];
        if (last >= 0 &&
            apx_loop_add_node(loop, APX_OP_SQUEEZE, (int[]){results[1 + i], first}, 2, last) < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    for (size_t i = 0; i < loop->scans; i++) {
        int out = loop->outputs[loop->carried + i];
        if (out >= 0 &&
            apx_loop_add_node(loop, APX_OP_SQUEEZE, (int[]){results[0], second}, 2, out) < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    return add_rest(loop);
}
