/* SPDX-License-Identifier: Apache-2.0 */
/* lower_qdq.c - QuantizeLinear and DequantizeLinear by their definitions, in float32. Weights
 * behind a DequantizeLinear are constants by now: products with them are the ordinary ones, and
 * what is computed is what the file says, whatever it was written for. */
#include "runtime/model/infer.h"
#include "runtime/plan/steps.h"

/* Input i, float32: one number, or its axis where the node's attribute says. */
static struct apx_view *along_axis(struct apx_lowering *lo, const struct apx_node *node, int i,
                                   int rank)
{
    struct apx_view *view = apx_emit_cast(lo, apx_lower_in(lo, node, i), APX_F32);
    struct apx_dim extent[APX_MAX_RANK];
    if (view == NULL || view->rank == 0)
        return view;
    if (apx_dim_is_one(&view->extent[0]))
        return apx_emit_reshape(lo, view, 0, extent);
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", 1), rank);
    for (int d = axis; d < rank; d++)
        extent[d - axis] = d == axis ? view->extent[0] : apx_dim_constant(1);
    return apx_emit_reshape(lo, view, rank - axis, extent);
}

void apx_lower_quantize_linear(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    const int rank = x->rank;
    x = apx_emit_binary(lo, APX_BINARY_DIV, x, along_axis(lo, node, 1, rank));
    x = apx_emit_unary(lo, APX_UNARY_ROUND, x, 0, 0);
    if (apx_node_in(lo->graph, node, 2) != NULL)
        x = apx_emit_binary(lo, APX_BINARY_ADD, x, along_axis(lo, node, 2, rank));
    /* a cast of a float saturates */
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, x, apx_node_out(lo->graph, node, 0)->dtype));
}

void apx_lower_dequantize_linear(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    const int rank = x->rank;
    x = apx_emit_cast(lo, x, APX_F32);
    if (apx_node_in(lo->graph, node, 2) != NULL)
        x = apx_emit_binary(lo, APX_BINARY_SUB, x, along_axis(lo, node, 2, rank));
    apx_lower_set(lo, node, 0,
                  apx_emit_binary(lo, APX_BINARY_MUL, x, along_axis(lo, node, 1, rank)));
}
