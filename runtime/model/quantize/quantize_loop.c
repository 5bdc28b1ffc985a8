/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_loop.c - layers that the file writes as a Loop, as tf2onnx does for GRU.
 *
 * The reader has put an operator with some nodes around it in the Loop's place (loop_replace.c):
 *
 *     sequence -> Slice(0, Reshape(trips)) -> GRU -> Squeeze -> an output of the Loop
 *     h before the first step -> Unsqueeze ->
 *
 * So the names of what is outside can be read off these nodes, as long as inference and the passes
 * have not touched them. */
#include <onnx/onnx.pb-c.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"
#include "runtime/model/quantize/quantize_plan.h"

/* The node that makes input i of `node`, if it is an `op`. */
static const struct apx_node *maker(const struct apx_graph *graph, const struct apx_node *node,
                                    int i, enum apx_op op)
{
    if (i >= node->in_count || node->in[i] < 0 || graph->values[node->in[i]].producer < 0)
        return NULL;
    const struct apx_node *made_by = &graph->nodes[graph->values[node->in[i]].producer];
    return made_by->op == op ? made_by : NULL;
}

static const char *name_of(const struct apx_graph *graph, int v)
{
    return v >= 0 && graph->values[v].name[0] != '\0' ? graph->values[v].name : NULL;
}

/* The Loop of the file with an output of that name. */
static bool find_loop(const Onnx__GraphProto *graph, const char *output, size_t *at)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (strcmp(apx_onnx_or_empty(node->op_type), "Loop") != 0)
            continue;
        for (size_t k = 0; k < node->n_output; k++)
            if (strcmp(apx_onnx_or_empty(node->output[k]), output) == 0) {
                *at = i;
                return true;
            }
    }
    return false;
}

static bool is_ours(const struct apx_quantized_loop *loop, const char *name)
{
    bool found = false;
    for (int i = 0; i < loop->y_count; i++)
        found = found || strcmp(loop->y[i], name) == 0;
    for (int i = 0; i < 2; i++)
        found = found || (loop->last[i] != NULL && strcmp(loop->last[i], name) == 0);
    return found;
}

/* Whatever else of the Loop is read has a live node that makes it. */
static bool is_complete(const struct apx_graph *graph, const Onnx__NodeProto *from,
                        const struct apx_quantized_loop *loop)
{
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        for (int i = 0; !node->is_dead && i < node->out_count; i++) {
            const char *name = name_of(graph, node->out[i]);
            for (size_t k = 0; name != NULL && k < from->n_output; k++)
                if (strcmp(name, apx_onnx_or_empty(from->output[k])) == 0 && !is_ours(loop, name))
                    return false;
        }
    }
    return true;
}

/* Output `which` of the layer through a Squeeze; false: there are too many of them. */
static bool note_output(struct apx_quantized_loop *loop, int which, const char *name)
{
    if (which == 0 && loop->y_count < APX_QUANTIZE_LOOP_OUTPUTS) {
        loop->y[loop->y_count++] = name;
        return true;
    }
    if (which == 0 || loop->last[which - 1] != NULL)
        return false;
    loop->last[which - 1] = name;
    return true;
}

static bool find_ends(const struct apx_graph *graph, const Onnx__GraphProto *file, int n,
                      struct apx_quantized_loop *loop)
{
    const struct apx_node *node = &graph->nodes[n];
    const struct apx_node *slice = maker(graph, node, 0, APX_OP_SLICE);
    const struct apx_node *trips = slice != NULL ? maker(graph, slice, 2, APX_OP_RESHAPE) : NULL;
    *loop = (struct apx_quantized_loop){.node = n};
    if (trips == NULL)
        return false;
    loop->sequence = name_of(graph, slice->in[0]);
    loop->trips = name_of(graph, trips->in[0]);
    for (int i = 0; i < 2; i++) {
        const struct apx_node *state = maker(graph, node, 5 + i, APX_OP_UNSQUEEZE);
        loop->states[i] = state != NULL ? name_of(graph, state->in[0]) : NULL;
    }
    if (loop->sequence == NULL || loop->trips == NULL || loop->states[0] == NULL)
        return false;
    bool found = false;
    for (int m = 0; m < graph->node_count; m++) {
        const struct apx_node *reader = &graph->nodes[m];
        for (int k = 0; !reader->is_dead && k < node->out_count; k++) {
            if (reader->in_count == 0 || node->out[k] < 0 || reader->in[0] != node->out[k])
                continue;
            const char *name = name_of(graph, reader->out[0]);
            if (reader->op != APX_OP_SQUEEZE || name == NULL || !note_output(loop, k, name))
                return false;
            if (!found && !(found = find_loop(file, name, &loop->at)))
                return false;
        }
    }
    return found && is_complete(graph, file->node[loop->at], loop);
}

enum apx_status apx_quantize_find_loops(struct apx_graph *graph, const void *model,
                                        struct apx_quantized_loop **loops, size_t *count,
                                        struct apx_error *error)
{
    const Onnx__GraphProto *file = ((const Onnx__ModelProto *)model)->graph;
    size_t most = 0;
    *count = 0;
    for (int n = 0; n < graph->node_count; n++)
        most += graph->nodes[n].op == APX_OP_LSTM || graph->nodes[n].op == APX_OP_GRU;
    *loops = apx_graph_alloc(graph, most * sizeof **loops);
    if (*loops == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        if (!node->is_dead && (node->op == APX_OP_LSTM || node->op == APX_OP_GRU) &&
            find_ends(graph, file, n, &(*loops)[*count]))
            (*count)++;
    }
    return APX_OK;
}
