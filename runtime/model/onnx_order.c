/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_order.c - nodes in topological order.
 *
 * Depth first in the file's order, producers before the node itself: a file that is in order stays
 * as it is. The stack is explicit, since a chain may be as long as APX_LIMIT_NODES. */
#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/onnx_reader.h"

struct order {
    struct apx_node *sorted; /* [live nodes] */
    int *producer;           /* [values] node before sorting, -1: none */
    bool *is_read;           /* [values] */
    int *state;              /* [nodes] next input to look at; -1: placed */
    int *stack;              /* [nodes] */
    bool *is_open;           /* [nodes] on the stack */
    int placed;
};

static enum apx_status place(const struct apx_graph *graph, struct order *order, int start,
                             struct apx_error *error)
{
    int depth = 0;
    order->stack[depth++] = start;
    order->is_open[start] = true;
    while (depth > 0) {
        int n = order->stack[depth - 1];
        const struct apx_node *node = &graph->nodes[n];
        if (order->state[n] == node->in_count) {
            order->state[n] = -1;
            order->is_open[n] = false;
            order->sorted[order->placed++] = *node;
            depth--;
            continue;
        }
        int v = node->in[order->state[n]++];
        int from = v >= 0 ? order->producer[v] : -1;
        if (from < 0 || order->state[from] < 0)
            continue;
        if (order->is_open[from])
            return apx_fail(error, APX_EFORMAT, graph->nodes[from].name,
                            "the node depends on its own output");
        order->is_open[from] = true;
        order->stack[depth++] = from;
    }
    return APX_OK;
}

static void finish(struct apx_graph *graph, const struct order *order)
{
    for (int v = 0; v < graph->value_count; v++)
        graph->values[v].producer = -1;
    for (int n = 0; n < order->placed; n++) {
        struct apx_node *node = &graph->nodes[n];
        *node = order->sorted[n];
        for (int i = 0; i < node->out_count; i++) {
            /* where a part of a Split lies follows from the parts before it */
            if (node->out[i] >= 0 && !order->is_read[node->out[i]] && node->op != APX_OP_SPLIT)
                node->out[i] = -1;
            if (node->out[i] >= 0)
                graph->values[node->out[i]].producer = n;
        }
    }
    graph->node_count = order->placed;
}

enum apx_status apx_onnx_order(struct apx_graph *graph, struct apx_error *error)
{
    const struct apx_allocator *allocator = graph->allocator;
    size_t nodes = (size_t)graph->node_count, values = (size_t)graph->value_count;
    struct order order = {
        .sorted = apx_alloc(allocator, nodes, sizeof *order.sorted),
        .producer = apx_alloc(allocator, values, sizeof *order.producer),
        .is_read = apx_alloc(allocator, values, sizeof *order.is_read),
        .state = apx_alloc(allocator, nodes, sizeof *order.state),
        .stack = apx_alloc(allocator, nodes, sizeof *order.stack),
        .is_open = apx_alloc(allocator, nodes, sizeof *order.is_open),
    };
    enum apx_status status = APX_OK;
    if (order.sorted == NULL || order.producer == NULL || order.is_read == NULL ||
        order.state == NULL || order.stack == NULL || order.is_open == NULL) {
        status = apx_fail(error, APX_ENOMEM, NULL, "out of memory");
        goto done;
    }
    apx_graph_sweep(graph);
    for (size_t v = 0; v < values; v++)
        order.producer[v] = -1;
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        for (int i = 0; i < node->out_count; i++)
            if (node->out[i] >= 0)
                order.producer[node->out[i]] = n;
        for (int i = 0; i < node->in_count; i++)
            if (!node->is_dead && node->in[i] >= 0)
                order.is_read[node->in[i]] = true;
    }
    for (int i = 0; i < graph->output_count; i++)
        order.is_read[graph->outputs[i]] = true;
    for (int n = 0; n < graph->node_count && status == APX_OK; n++)
        if (!graph->nodes[n].is_dead && order.state[n] >= 0)
            status = place(graph, &order, n, error);
    if (status == APX_OK)
        finish(graph, &order);
done:
    apx_release(allocator, order.sorted);
    apx_release(allocator, order.producer);
    apx_release(allocator, order.is_read);
    apx_release(allocator, order.state);
    apx_release(allocator, order.stack);
    apx_release(allocator, order.is_open);
    return status;
}
