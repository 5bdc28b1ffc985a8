/* SPDX-License-Identifier: Apache-2.0 */
/* infer_qdq.c - operators of 8-bit integers with a scale: one, or one for each place of an axis
 * (QuantizeLinear, DequantizeLinear), or for each column of the second matrix (products). */
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
                        "%s in blocks; quantise with one scale, or one for each place of an axis "
                        "(per_channel), or give the float model to auspex quantize",
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
        return apx_fail(
            error, APX_EUNSUPPORTED, node->name,
            "QuantizeLinear of %s to another type than uint8 or int8: quantise the float "
            "model to 8 bits, or give it to auspex quantize",
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

enum apx_status apx_infer_dynamic_quantize_linear(struct apx_graph *graph, struct apx_node *node,
                                                  struct apx_error *error)
{
    static const enum apx_dtype types[3] = {APX_U8, APX_F32, APX_U8};
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_status status = APX_OK;
    if (x->dtype != APX_F32)
        return apx_fail(error, APX_EFORMAT, node->name, "DynamicQuantizeLinear of %s",
                        apx_dtype_name(x->dtype));
    for (int i = 0; status == APX_OK && i < node->out_count; i++)
        status = apx_infer_set(graph, node, i, types[i], i == 0 ? x->rank : 0, x->dims, error);
    return status;
}

static bool is_byte(const struct apx_value *value)
{
    return value->dtype == APX_U8 || value->dtype == APX_I8;
}

/* Input i, if given: a zero point of matrix `of`, or a scale (of < 0). One number, or as many as
 * the second matrix has columns. */
static enum apx_status check_places(struct apx_graph *graph, struct apx_node *node, int i, int of,
                                    bool by_columns, struct apx_error *error)
{
    const char *op = apx_op_info(node->op)->name;
    const struct apx_value *value = apx_node_in(graph, node, i);
    if (value == NULL)
        return APX_OK;
    const enum apx_dtype dtype = of < 0 ? APX_F32 : apx_node_in(graph, node, of)->dtype;
    if (value->dtype != dtype)
        return apx_fail(error, of < 0 ? APX_EUNSUPPORTED : APX_EFORMAT, node->name,
                        "%s: input %d is of %s instead of %s", op, i, apx_dtype_name(value->dtype),
                        apx_dtype_name(dtype));
    if (has_one(value))
        return APX_OK;
    if (!by_columns || value->rank != 1)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "%s: input %d has rank %d; one number%s is supported", op, i, value->rank,
                        by_columns ? ", or one for each column," : "");
    const struct apx_value *b = apx_node_in(graph, node, node->op == APX_OP_MATMUL_INTEGER ? 1 : 3);
    return apx_infer_meet(graph, node, &b->dims[b->rank - 1], &value->dims[0], "columns", error);
}

enum apx_status apx_infer_matmul_integer(struct apx_graph *graph, struct apx_node *node,
                                         struct apx_error *error)
{
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, 1);
    if (!is_byte(a) || !is_byte(b))
        return apx_fail(error, APX_EFORMAT, node->name, "MatMulInteger of %s and %s",
                        apx_dtype_name(a->dtype), apx_dtype_name(b->dtype));
    enum apx_status status = apx_infer_matrix_product(graph, node, 1, APX_I32, error);
    if (status == APX_OK)
        status = check_places(graph, node, 2, 0, false, error);
    return status == APX_OK ? check_places(graph, node, 3, 1, true, error) : status;
}

/* a, its scale and zero point; b, its; y's */
enum apx_status apx_infer_qlinear_matmul(struct apx_graph *graph, struct apx_node *node,
                                         struct apx_error *error)
{
    for (int i = 0; i < 8; i++)
        if (apx_node_in(graph, node, i) == NULL)
            return apx_fail(error, APX_EFORMAT, node->name, "QLinearMatMul: input %d is left out",
                            i);
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, 3);
    const struct apx_value *zero = apx_node_in(graph, node, 7);
    if (!is_byte(a) || !is_byte(b) || !is_byte(zero))
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "QLinearMatMul of %s and %s to %s",
                        apx_dtype_name(a->dtype), apx_dtype_name(b->dtype),
                        apx_dtype_name(zero->dtype));
    static const struct {
        int input, of;
        bool by_columns;
    } places[6] = {{1, -1, false}, {2, 0, false},  {4, -1, true},
                   {5, 3, true},   {6, -1, false}, {7, 7, false}};
    enum apx_status status = apx_infer_matrix_product(graph, node, 3, zero->dtype, error);
    for (int i = 0; i < 6 && status == APX_OK; i++)
        status =
            check_places(graph, node, places[i].input, places[i].of, places[i].by_columns, error);
    return status;
}

/* a, its scale and zero point; b, its; y's. Element by element. */
enum apx_status apx_infer_qlinear_pair(struct apx_graph *graph, struct apx_node *node,
                                       struct apx_error *error)
{
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, 3);
    struct apx_dim dims[APX_MAX_RANK];
    int rank = 0;
    if (b == NULL || !is_byte(a) || b->dtype != a->dtype)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s of %s and %s",
                        apx_op_info(node->op)->name, apx_dtype_name(a->dtype),
                        b != NULL ? apx_dtype_name(b->dtype) : "nothing");
    enum apx_status status = APX_OK;
    static const int scales[] = {1, 4, 6}; /* and a zero point behind each */
    for (int i = 0; i < 3 && status == APX_OK; i++) {
        status = check_places(graph, node, scales[i], -1, false, error);
        if (status == APX_OK)
            status = check_places(graph, node, scales[i] + 1, 0, false, error);
    }
    if (status == APX_OK)
        status = apx_infer_broadcast_dims(graph, node, dims, &rank, a->dims, a->rank, error);
    if (status == APX_OK)
        status = apx_infer_broadcast_dims(graph, node, dims, &rank, b->dims, b->rank, error);
    return status == APX_OK ? apx_infer_set(graph, node, 0, a->dtype, rank, dims, error) : status;
}
