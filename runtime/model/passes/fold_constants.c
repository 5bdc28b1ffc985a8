/* SPDX-License-Identifier: Apache-2.0 */
/* fold_constants.c - compute at load what does not depend on the inputs.
 *
 * Each such node becomes a graph of its own that the CPU backend compiles and runs: the result has
 * the bits that a run would have had. */
#include <string.h>

#include "runtime/model/infer.h"
#include "runtime/model/passes/passes.h"

#define MOST_BYTES ((int64_t)256 << 20) /* of all results: an Expand may ask for anything */

static bool is_constant(const struct apx_value *value)
{
    return value == NULL || value->data != NULL;
}

/* *room: bytes that results may still take; lowered if the node is foldable. */
static bool is_foldable(const struct apx_graph *graph, const struct apx_node *node, int64_t *room)
{
    int64_t left = *room;
    if (node->is_dead)
        return false;
    for (int i = 0; i < node->in_count; i++)
        if (!is_constant(apx_node_in(graph, node, i)))
            return false;
    for (int i = 0; i < node->out_count; i++) {
        const struct apx_value *value = apx_node_out(graph, node, i);
        int64_t bytes = value != NULL ? (int64_t)apx_dtype_size(value->dtype) : 1;
        if (bytes == 0)
            return false;
        for (int axis = 0; value != NULL && axis < value->rank; axis++) {
            int64_t extent;
            if (!apx_dim_is_constant(&value->dims[axis], &extent) || extent < 0 ||
                (extent > 0 && bytes > left / extent))
                return false;
            bytes *= extent;
        }
        left -= bytes;
    }
    *room = left;
    return true;
}

/* The node alone: its constants, itself, its results as outputs. */
static enum apx_status isolate(const struct apx_graph *graph, const struct apx_node *node,
                               struct apx_graph **out)
{
    enum apx_status status = apx_graph_create(graph->allocator, out);
    if (status != APX_OK)
        return status;
    struct apx_graph *alone = *out;
    alone->opset = graph->opset;
    alone->opset_ml = graph->opset_ml;
    int n = apx_graph_add_node(alone, node->op, node->name, node->in_count, node->out_count);
    alone->outputs = apx_graph_alloc(alone, (size_t)node->out_count * sizeof(int));
    if (n < 0 || alone->outputs == NULL)
        return APX_ENOMEM;
    for (int i = 0; i < node->in_count + node->out_count; i++) {
        const struct apx_value *value = i < node->in_count
                                            ? apx_node_in(graph, node, i)
                                            : apx_node_out(graph, node, i - node->in_count);
        if (value == NULL)
            continue;
        int v = apx_graph_add_value(alone, value->name);
        if (v < 0)
            return APX_ENOMEM;
        /* Constants and attributes are shared: this graph dies first. */
        alone->values[v] = *value;
        alone->values[v].producer = -1;
        if (i < node->in_count) {
            alone->nodes[n].in[i] = v;
        } else {
            alone->values[v].producer = n;
            alone->nodes[n].out[i - node->in_count] = v;
            alone->outputs[alone->output_count++] = v;
        }
    }
    alone->nodes[n].attrs = node->attrs;
    alone->nodes[n].attr_count = node->attr_count;
    /* Tensors in attributes are values of the whole graph; nodes that have them were folded by
     * apx_graph_infer. */
    for (int i = 0; i < node->attr_count; i++)
        if (node->attrs[i].type == APX_ATTR_TENSOR)
            return APX_EUNSUPPORTED;
    return APX_OK;
}

static enum apx_status evaluate(struct apx_graph *graph, const struct apx_node *node,
                                const struct apx_graph *alone, const struct apx_backend *evaluator)
{
    const struct apx_compile_options options = {.allocator = graph->allocator};
    struct apx_tensor outputs[APX_LIMIT_NODE_INPUTS] = {{0}};
    int64_t symbols[APX_MAX_SYMBOLS] = {0};
    struct apx_program *program = NULL;
    struct apx_lane *lane = NULL;
    if (alone->output_count > APX_LIMIT_NODE_INPUTS)
        return APX_EUNSUPPORTED;
    enum apx_status status = evaluator->compile(alone, &options, &program, NULL);
    if (status == APX_OK)
        status = evaluator->lane_create(program, &lane, NULL);
    if (status == APX_OK)
        status = evaluator->lane_reserve(lane, symbols, 1, NULL);
    for (int i = 0; i < alone->output_count && status == APX_OK; i++) {
        const struct apx_value *value = &alone->values[alone->outputs[i]];
        size_t bytes = apx_dtype_size(value->dtype);
        outputs[i].dtype = value->dtype;
        outputs[i].rank = value->rank;
        for (int axis = 0; axis < value->rank; axis++) {
            apx_dim_is_constant(&value->dims[axis], &outputs[i].dims[axis]);
            bytes *= (size_t)outputs[i].dims[axis];
        }
        outputs[i].bytes = bytes;
        outputs[i].data = apx_graph_alloc(graph, bytes > 0 ? bytes : 1);
        if (outputs[i].data == NULL)
            status = APX_ENOMEM;
    }
    const struct apx_slice slice = {.outputs = outputs, .rows = 1, .symbols = symbols};
    if (status == APX_OK)
        status = evaluator->run(lane, &slice, NULL);
    for (int i = 0, o = 0; i < node->out_count && status == APX_OK; i++) {
        if (node->out[i] < 0)
            continue;
        struct apx_value *value = &graph->values[node->out[i]];
        value->data = outputs[o].data;
        value->bytes = outputs[o++].bytes;
        value->producer = -1;
    }
    evaluator->lane_destroy(lane);
    evaluator->program_destroy(program);
    return status;
}

enum apx_status apx_pass_fold_constants(struct apx_graph *graph,
                                        const struct apx_backend *evaluator)
{
    int64_t room = MOST_BYTES;
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *node = &graph->nodes[n];
        if (!is_foldable(graph, node, &room))
            continue;
        struct apx_graph *alone = NULL;
        enum apx_status status = isolate(graph, node, &alone);
        if (status == APX_OK)
            status = evaluate(graph, node, alone, evaluator);
        apx_graph_destroy(alone);
        if (status == APX_ENOMEM)
            return status;
        if (status == APX_OK)
            node->is_dead = true;
    }
    return APX_OK;
}
