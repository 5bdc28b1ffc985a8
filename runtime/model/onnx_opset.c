/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_opset.c - nodes of older opsets in the form of the newest.
 *
 * Over the years attributes became inputs (axes, pads, bounds) and Softmax changed its meaning.
 * All of it is undone here, so that inference and lowering know one form of each operator. What
 * infer_rewrite.c will make another operator of gets that one's arguments. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <stdio.h>
#include <string.h>

/* The attribute that an input took the place of. */
static const struct move {
    enum apx_op op;
    const char *attribute;
    int input;
} moves[] = {
    {APX_OP_SQUEEZE, "axes", 1},
    {APX_OP_UNSQUEEZE, "axes", 1},
    {APX_OP_REDUCE_SUM, "axes", 1},
    {APX_OP_REDUCE_MEAN, "axes", 1},
    {APX_OP_REDUCE_MAX, "axes", 1},
    {APX_OP_REDUCE_MIN, "axes", 1},
    {APX_OP_REDUCE_PROD, "axes", 1},
    {APX_OP_REDUCE_L1, "axes", 1},
    {APX_OP_REDUCE_L2, "axes", 1},
    {APX_OP_REDUCE_SUM_SQUARE, "axes", 1},
    {APX_OP_REDUCE_LOG_SUM, "axes", 1},
    {APX_OP_REDUCE_LOG_SUM_EXP, "axes", 1},
    {APX_OP_SPLIT, "split", 1},
    {APX_OP_SLICE, "starts", 1},
    {APX_OP_SLICE, "ends", 2},
    {APX_OP_SLICE, "axes", 3},
    {APX_OP_PAD, "pads", 1},
    {APX_OP_PAD, "value", 2},
    {APX_OP_CLIP, "min", 1},
    {APX_OP_CLIP, "max", 2},
};

static enum apx_status move_attribute(struct apx_onnx_reader *reader, int n,
                                      const struct move *move)
{
    struct apx_graph *graph = reader->graph;
    const struct apx_attr *attr = apx_node_attr(&graph->nodes[n], move->attribute);
    if (attr == NULL ||
        (move->input < graph->nodes[n].in_count && graph->nodes[n].in[move->input] >= 0))
        return APX_OK;
    if (attr->type != APX_ATTR_INTS && attr->type != APX_ATTR_FLOAT)
        return apx_fail(reader->error, APX_EFORMAT, graph->nodes[n].name,
                        "attribute %s has the wrong type", move->attribute);
    char name[APX_LIMIT_NAME];
    snprintf(name, sizeof name, "%.900s.%s", graph->nodes[n].name, move->attribute);
    int64_t count = (int64_t)attr->count;
    int value = attr->type == APX_ATTR_INTS
                    ? apx_graph_add_constant(graph, name, APX_I64, 1, &count, attr->ints)
                    : apx_graph_add_constant(graph, name, APX_F32, 0, NULL, &attr->f);
    int in_count = graph->nodes[n].in_count;
    if (move->input >= in_count)
        in_count = move->input + 1;
    int *in = apx_graph_alloc(graph, (size_t)in_count * sizeof *in);
    if (value < 0 || in == NULL)
        return apx_onnx_cannot_grow(reader);
    for (int i = 0; i < in_count; i++)
        in[i] = i < graph->nodes[n].in_count ? graph->nodes[n].in[i] : -1;
    in[move->input] = value;
    graph->nodes[n].in = in;
    graph->nodes[n].in_count = in_count;
    return APX_OK;
}

static struct apx_attr *find_axis(struct apx_node *node)
{
    for (int i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, "axis") == 0 && node->attrs[i].type == APX_ATTR_INT)
            return &node->attrs[i];
    return NULL;
}

static int add_step(struct apx_graph *graph, enum apx_op op, const char *name, int in, int in2,
                    int out)
{
    int n = apx_graph_add_node(graph, op, name, in2 >= 0 ? 2 : 1, 1);
    if (n < 0)
        return -1;
    graph->nodes[n].in[0] = in;
    if (in2 >= 0)
        graph->nodes[n].in[1] = in2;
    graph->nodes[n].out[0] = out;
    return n;
}

/* Before opset 13, Softmax saw a matrix: the axes from `axis` on (default 1) were one row.
 * Flatten, Softmax over the row, Reshape to the shape of the input. */
static enum apx_status modernize_softmax(struct apx_onnx_reader *reader, int64_t opset, int n)
{
    struct apx_graph *graph = reader->graph;
    struct apx_attr *axis = find_axis(&graph->nodes[n]);
    if (axis == NULL) {
        axis = apx_graph_add_attr(graph, &graph->nodes[n], "axis", APX_ATTR_INT);
        if (axis == NULL)
            return apx_onnx_cannot_grow(reader);
        axis->i = opset < 13 ? 1 : -1;
    }
    if (opset >= 13 || axis->i == -1)
        return APX_OK;
    char name[APX_LIMIT_NAME];
    int x = graph->nodes[n].in[0], y = graph->nodes[n].out[0];
    int rows = apx_graph_add_value(graph, ""), result = apx_graph_add_value(graph, "");
    int shape = apx_graph_add_value(graph, "");
    snprintf(name, sizeof name, "%.900s.flatten", graph->nodes[n].name);
    int flatten = add_step(graph, APX_OP_FLATTEN, name, x, -1, rows);
    struct apx_attr *from =
        flatten < 0 ? NULL
                    : apx_graph_add_attr(graph, &graph->nodes[flatten], "axis", APX_ATTR_INT);
    if (rows < 0 || result < 0 || shape < 0 || from == NULL ||
        add_step(graph, APX_OP_SHAPE, "", x, -1, shape) < 0)
        return apx_onnx_cannot_grow(reader);
    snprintf(name, sizeof name, "%.900s.reshape", graph->nodes[n].name);
    if (add_step(graph, APX_OP_RESHAPE, name, result, shape, y) < 0)
        return apx_onnx_cannot_grow(reader);
    from->i = axis->i;
    axis->i = 1;
    graph->nodes[n].in[0] = rows;
    graph->nodes[n].out[0] = result;
    return APX_OK;
}

/* Integers behind the inputs of a node, for inference to make another operator of it. */
static enum apx_status append(struct apx_onnx_reader *reader, int n, const int64_t *numbers,
                              int count)
{
    struct apx_graph *graph = reader->graph;
    const int64_t one = 1;
    int in_count = graph->nodes[n].in_count;
    int *in = apx_graph_alloc(graph, (size_t)(in_count + count) * sizeof *in);
    if (in == NULL)
        return apx_onnx_cannot_grow(reader);
    memcpy(in, graph->nodes[n].in, (size_t)in_count * sizeof *in);
    for (int i = 0; i < count; i++) {
        in[in_count + i] = apx_graph_add_constant(graph, "", APX_I64, 1, &one, &numbers[i]);
        if (in[in_count + i] < 0)
            return apx_onnx_cannot_grow(reader);
    }
    graph->nodes[n].in = in;
    graph->nodes[n].in_count = in_count + count;
    return APX_OK;
}

enum apx_status apx_onnx_modernize(struct apx_onnx_reader *reader, int64_t opset, int node)
{
    enum apx_op op = reader->graph->nodes[node].op;
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        enum apx_status status =
            moves[i].op == op ? move_attribute(reader, node, &moves[i]) : APX_OK;
        if (status != APX_OK)
            return status;
    }
    if (op == APX_OP_REVERSE_SEQUENCE) {
        int64_t axis = apx_node_int(&reader->graph->nodes[node], "time_axis", 0);
        return append(reader, node, (int64_t[]){-1, INT64_MIN, axis, -1}, 4);
    }
    if (op == APX_OP_GLOBAL_AVERAGE_POOL)
        return append(reader, node, (int64_t[]){2}, 1);
    if (op == APX_OP_SOFTMAX || op == APX_OP_LOG_SOFTMAX)
        return modernize_softmax(reader, opset, node);
    return APX_OK;
}
