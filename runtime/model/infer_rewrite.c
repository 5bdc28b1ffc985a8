/* SPDX-License-Identifier: Apache-2.0 */
/* infer_rewrite.c - operators that turn out to be a case of another once extents are known.
 *
 * They become that other operator here, so that nothing behind inference has to know them. The
 * reader (onnx_opset.c) has put the other's arguments behind their own inputs already. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

#include <string.h>

/* Whether every row's length is the whole `extent`: a constant, or an Expand of the extent itself,
 * which is how exporters say it. */
static bool is_whole(const struct apx_graph *graph, const struct apx_value *lengths,
                     const struct apx_dim *extent)
{
    int64_t number;
    if (lengths->is_filled && apx_dim_is_constant(extent, &number))
        return lengths->fill == (double)number;
    if (lengths->producer < 0 || graph->nodes[lengths->producer].op != APX_OP_EXPAND)
        return false;
    const struct apx_value *from = apx_node_in(graph, &graph->nodes[lengths->producer], 0);
    return from != NULL && from->elem_count == 1 && apx_dim_equal(&from->elems[0], extent);
}

/* Inputs x, lengths; starts, ends, axes, steps of the Slice that reverses the whole time axis. */
enum apx_status apx_infer_reverse_sequence(struct apx_graph *graph, struct apx_node *node,
                                           struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    int axis;
    enum apx_status status =
        apx_node_axis(node, apx_node_int(node, "time_axis", 0), x->rank, &axis, error);
    if (status != APX_OK)
        return status;
    if (!is_whole(graph, apx_node_in(graph, node, 1), &x->dims[axis]))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "ReverseSequence is supported where all rows have the full length");
    node->op = APX_OP_SLICE;
    memmove(&node->in[1], &node->in[2], 4 * sizeof *node->in);
    node->in_count = 5;
    return apx_infer_slice(graph, node, error);
}

/* Inputs x; axes of the mean over all but the first two. */
enum apx_status apx_infer_global_average_pool(struct apx_graph *graph, struct apx_node *node,
                                              struct apx_error *error)
{
    if (apx_node_in(graph, node, 0)->rank != 3)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "GlobalAveragePool is supported for inputs of rank 3");
    node->op = APX_OP_REDUCE_MEAN;
    return apx_infer_reduce(graph, node, error);
}
