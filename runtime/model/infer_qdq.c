/* SPDX-License-Identifier: Apache-2.0 */
/* infer_qdq.c - QuantizeLinear and DequantizeLinear: one scale, or one for each place of an axis.
 */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

static bool has_one(const struct apx_value *value)
{
    int64_t places;
    return value->rank == 0 ||
           (value->rank == 1 && apx_dim_is_constant(&value->dims[0], &places) && places == 1);
}

/* What both have: scale and zero point fit x, and nothing of what later opsets added is asked for.
 */
static enum apx_status check(struct apx_graph *graph, struct apx_node *node,
                             struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *scale = apx_node_in(graph, node, 1);
    const struct apx_value *zero = apx_node_in(graph, node, 2);
    const char *op = apx_op_info(node->op)->name;
    enum apx_status status = APX_OK;
    int axis;
    if (scale->dtype != APX_F32)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s with a scale of %s", op,
                        apx_dtype_name(scale->dtype));
    if (apx_node_int(node, "block_size", 0) != 0 || scale->rank > 1)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "%s in blocks; one scale, or one for each place of an axis, is supported",
                        op);
    /* One number is one number as [1] too: quantisers mix the two forms. */
    const bool is_one = has_one(scale) && (zero == NULL || has_one(zero));
    if (is_one)
        return APX_OK;
    if (scale->rank != 1 || (zero != NULL && zero->rank != 1))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "%s: the zero point is not of the scale's shape", op);
    if (zero != NULL)
        status = apx_infer_meet(graph, node, &scale->dims[0], &zero->dims[0], "zero point", error);
    if (status != APX_OK)
        return status;
    status = apx_node_axis(node, apx_node_int(node, "axis", 1), x->rank, &axis, error);
    if (status == APX_OK)
        status = apx_infer_meet(graph, node, &x->dims[axis], &scale->dims[0], "scale", error);
    return status;
}

enum apx_status apx_infer_quantize_linear(struct apx_graph *graph, struct apx_node *node,
                                          struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *zero = apx_node_in(graph, node, 2);
    int64_t wanted = apx_node_int(node, "output_dtype", 0); /* of TensorProto */
    enum apx_dtype dtype = zero != NULL                 ? zero->dtype
                           : wanted == 3                ? APX_I8
                           : wanted == 2 || wanted == 0 ? APX_U8
                                                        : APX_DTYPE_NONE;
    if (x->dtype != APX_F32 || (dtype != APX_U8 && dtype != APX_I8))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "QuantizeLinear of %s to another type than uint8 or int8",
                        apx_dtype_name(x->dtype));
    enum apx_status status = check(graph, node, error);
    return status != APX_OK ? status
                            : apx_infer_set(graph, node, 0, dtype, x->rank, x->dims, error);
}

enum apx_status apx_infer_dequantize_linear(struct apx_graph *graph, struct apx_node *node,
                                            struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *zero = apx_node_in(graph, node, 2);
    if (x->dtype != APX_U8 && x->dtype != APX_I8 && x->dtype != APX_I32)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "DequantizeLinear of %s",
                        apx_dtype_name(x->dtype));
    if (zero != NULL && zero->dtype != x->dtype)
        return apx_fail(error, APX_EFORMAT, node->name, "inputs of types %s and %s",
                        apx_dtype_name(x->dtype), apx_dtype_name(zero->dtype));
    enum apx_status status = check(graph, node, error);
    return status != APX_OK ? status
                            : apx_infer_set(graph, node, 0, APX_F32, x->rank, x->dims, error);
}
