/* SPDX-License-Identifier: Apache-2.0 */
/* infer_matrix.c - recurrent layers, matrix products, normalisations and reductions. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

#include <stdio.h>
#include <string.h>

enum apx_status apx_infer_need_rank(const struct apx_node *node, const struct apx_value *value,
                                    const char *what, int rank, struct apx_error *error)
{
    if (value != NULL && value->rank != rank)
        return apx_fail(error, APX_EFORMAT, node->name, "%s has rank %d instead of %d", what,
                        value->rank, rank);
    return APX_OK;
}

static enum apx_status need_float(const struct apx_node *node, const struct apx_value *value,
                                  struct apx_error *error)
{
    if (value != NULL && value->dtype != APX_F32 && value->dtype != APX_F64)
        return apx_fail(error, APX_EFORMAT, node->name, "%s of %s", apx_op_info(node->op)->name,
                        apx_dtype_name(value->dtype));
    return APX_OK;
}

enum apx_status apx_infer_need_dims(struct apx_graph *graph, const struct apx_node *node, int i,
                                    const char *what, int rank, const struct apx_dim *dims,
                                    struct apx_error *error)
{
    const struct apx_value *value = apx_node_in(graph, node, i);
    enum apx_status status = apx_infer_need_rank(node, value, what, rank, error);
    for (int d = 0; value != NULL && d < rank && status == APX_OK; d++) {
        char which[96];
        snprintf(which, sizeof which, "extent %d of %s, wanted and given", d, what);
        status = apx_infer_meet(graph, node, &dims[d], &value->dims[d], which, error);
    }
    return status;
}

static enum apx_status recurrent(struct apx_graph *graph, struct apx_node *node, int gates,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *w = apx_node_in(graph, node, 1);
    const struct apx_value *r = apx_node_in(graph, node, 2), *lens = apx_node_in(graph, node, 4);
    const char *direction = apx_node_string(node, "direction", "forward");
    bool is_both = strcmp(direction, "bidirectional") == 0;
    enum apx_status status;
    int64_t layout = apx_node_int(node, "layout", 0);
    if (layout != 0 && layout != 1)
        return apx_fail(error, APX_EFORMAT, node->name, "layout %lld: must be 0 or 1",
                        (long long)layout);
    bool is_batch_first = layout == 1;
    if (!is_both && strcmp(direction, "forward") != 0 && strcmp(direction, "reverse") != 0)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "direction \"%s\": must be forward, reverse or bidirectional", direction);
    int64_t reset = apx_node_int(node, "linear_before_reset", 0);
    if (gates == 3 && reset != 0 && reset != 1)
        return apx_fail(error, APX_EFORMAT, node->name, "linear_before_reset %lld: must be 0 or 1",
                        (long long)reset);
    if ((status = need_float(node, x, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, x, "X", 3, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, w, "W", 3, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, r, "R", 3, error)) != APX_OK)
        return status;
    int64_t hidden;
    if (!apx_dim_is_constant(&r->dims[2], &hidden) || hidden < 1 ||
        apx_node_int(node, "hidden_size", hidden) != hidden)
        return apx_fail(error, APX_EFORMAT, node->name, "hidden_size does not fit R");
    const struct apx_dim directions = apx_dim_constant(is_both ? 2 : 1);
    const struct apx_dim H = apx_dim_constant(hidden), GH = apx_dim_constant(gates * hidden);
    const struct apx_dim GH2 = apx_dim_constant(2 * gates * hidden);
    const struct apx_dim P = apx_dim_constant(3 * hidden);
    const struct apx_dim T = x->dims[is_batch_first ? 1 : 0], I = x->dims[2];
    const struct apx_dim B = x->dims[is_batch_first ? 0 : 1];
    const struct apx_dim state[3] = {is_batch_first ? B : directions,
                                     is_batch_first ? directions : B, H};
    if ((status = apx_infer_need_dims(graph, node, 1, "W", 3, (struct apx_dim[]){directions, GH, I},
                                      error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 2, "R", 3, (struct apx_dim[]){directions, GH, H},
                                      error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 3, "B", 2, (struct apx_dim[]){directions, GH2},
                                      error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 4, "sequence_lens", 1, &B, error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 5, "initial_h", 3, state, error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 6, "initial_c", 3, state, error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, 7, "P", 2, (struct apx_dim[]){directions, P},
                                      error)) != APX_OK)
        return status;
    if (lens != NULL && lens->dtype != APX_I32)
        return apx_fail(error, APX_EFORMAT, node->name, "sequence_lens of %s instead of int32",
                        apx_dtype_name(lens->dtype));
    for (int i = 1; i < node->in_count; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in != NULL && i != 4 && in->dtype != x->dtype)
            return apx_fail(error, APX_EFORMAT, node->name, "inputs of types %s and %s",
                            apx_dtype_name(x->dtype), apx_dtype_name(in->dtype));
    }
    const struct apx_dim all[4] = {is_batch_first ? B : T, is_batch_first ? T : directions,
                                   is_batch_first ? directions : B, H};
    status = apx_infer_set(graph, node, 0, x->dtype, 4, all, error);
    for (int i = 1; i < node->out_count && status == APX_OK; i++)
        status = apx_infer_set(graph, node, i, x->dtype, 3, state, error);
    return status;
}

enum apx_status apx_infer_lstm(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    return recurrent(graph, node, 4, error);
}

enum apx_status apx_infer_gru(struct apx_graph *graph, struct apx_node *node,
                              struct apx_error *error)
{
    return recurrent(graph, node, 3, error);
}

enum apx_status apx_infer_gemm(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, 1);
    const struct apx_value *c = apx_node_in(graph, node, 2);
    int a_rows = apx_node_int(node, "transA", 0) != 0,
        b_rows = apx_node_int(node, "transB", 0) != 0;
    enum apx_status status;
    if ((status = apx_infer_same_dtype(graph, node, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, a, "A", 2, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, b, "B", 2, error)) != APX_OK ||
        (status = apx_infer_meet(graph, node, &a->dims[!a_rows], &b->dims[b_rows], "inner extents",
                                 error)) != APX_OK)
        return status;
    struct apx_dim dims[APX_MAX_RANK] = {a->dims[a_rows], b->dims[!b_rows]};
    int rank = 2;
    if (c != NULL)
        status = apx_infer_broadcast_dims(graph, node, dims, &rank, c->dims, c->rank, error);
    if (status == APX_OK && rank != 2)
        return apx_fail(error, APX_EFORMAT, node->name, "C has rank %d", rank);
    return status != APX_OK ? status : apx_infer_set(graph, node, 0, a->dtype, 2, dims, error);
}

enum apx_status apx_infer_matrix_product(struct apx_graph *graph, struct apx_node *node, int second,
                                         enum apx_dtype dtype, struct apx_error *error)
{
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, second);
    if (a->rank < 1 || b->rank < 1)
        return apx_fail(error, APX_EFORMAT, node->name, "%s of rank %d and rank %d, %s",
                        apx_op_info(node->op)->name, a->rank, b->rank, apx_dtype_name(a->dtype));
    /* A vector is a matrix of one row (left) or one column (right), and that 1 goes again. */
    int a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
    enum apx_status status =
        apx_infer_meet(graph, node, &a->dims[a->rank - 1], &b->dims[b->rank > 1 ? b->rank - 2 : 0],
                       "inner extents", error);
    if (status != APX_OK)
        return status;
    struct apx_dim dims[APX_MAX_RANK + 2];
    int rank = a_batch;
    for (int d = 0; d < a_batch; d++)
        dims[d] = a->dims[d];
    status = apx_infer_broadcast_dims(graph, node, dims, &rank, b->dims, b_batch, error);
    if (a->rank > 1)
        dims[rank++] = a->dims[a->rank - 2];
    if (b->rank > 1)
        dims[rank++] = b->dims[b->rank - 1];
    return status != APX_OK ? status : apx_infer_set(graph, node, 0, dtype, rank, dims, error);
}

enum apx_status apx_infer_matmul(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *a = apx_node_in(graph, node, 0), *b = apx_node_in(graph, node, 1);
    enum apx_status status = apx_infer_same_dtype(graph, node, error);
    if (status != APX_OK)
        return status;
    if (a->dtype == APX_BOOL || a->dtype == APX_STRING)
        return apx_fail(error, APX_EFORMAT, node->name, "MatMul of rank %d and rank %d, %s",
                        a->rank, b->rank, apx_dtype_name(a->dtype));
    return apx_infer_matrix_product(graph, node, 1, a->dtype, error);
}

enum apx_status apx_infer_layer_norm(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim dims[APX_MAX_RANK];
    int axis;
    enum apx_status status = need_float(node, x, error);
    if (status == APX_OK)
        status = apx_node_axis(node, apx_node_int(node, "axis", -1), x->rank, &axis, error);
    for (int i = 1; i < 3 && status == APX_OK; i++) {
        const struct apx_value *scale = apx_node_in(graph, node, i);
        int rank = x->rank - axis;
        if (scale == NULL)
            continue;
        memcpy(dims, x->dims + axis, (size_t)rank * sizeof *dims);
        if (scale->dtype != x->dtype)
            return apx_fail(error, APX_EFORMAT, node->name, "inputs of types %s and %s",
                            apx_dtype_name(x->dtype), apx_dtype_name(scale->dtype));
        status =
            apx_infer_broadcast_dims(graph, node, dims, &rank, scale->dims, scale->rank, error);
        if (status == APX_OK && rank != x->rank - axis)
            return apx_fail(error, APX_EFORMAT, node->name, "input %d has rank %d", i, scale->rank);
    }
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
    if (status != APX_OK)
        return status;
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : apx_dim_constant(1);
    for (int i = 1; i < node->out_count && status == APX_OK; i++)
        status = apx_infer_set(graph, node, i, APX_F32, x->rank, dims, error);
    return status;
}

enum apx_status apx_infer_batch_norm(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_status status = need_float(node, x, error);
    if (status != APX_OK)
        return status;
    if (apx_node_int(node, "training_mode", 0) != 0 || apx_node_int(node, "spatial", 1) == 0)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "training_mode 1 or spatial 0; export the model for inference");
    for (int i = 1; i < node->out_count; i++)
        if (node->out[i] >= 0)
            return apx_fail(error, APX_EUNSUPPORTED, node->name,
                            "running statistics are used; export the model for inference");
    if (x->rank < 1)
        return apx_fail(error, APX_EFORMAT, node->name, "BatchNormalization of a number");
    const struct apx_dim channels = x->rank > 1 ? x->dims[1] : apx_dim_constant(1);
    for (int i = 1; i < 5 && status == APX_OK; i++)
        status = apx_infer_need_dims(graph, node, i, "channels", 1, &channels, error);
    return status != APX_OK ? status
                            : apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
}

/* Extents without, or with 1 for, the marked axes. */
static int reduce_dims(const struct apx_value *x, const bool *is_axis, bool keeps,
                       struct apx_dim *dims)
{
    int rank = 0;
    for (int d = 0; d < x->rank; d++) {
        if (!is_axis[d])
            dims[rank++] = x->dims[d];
        else if (keeps)
            dims[rank++] = apx_dim_constant(1);
    }
    return rank;
}

/* The one number that a followed list reduces to. */
static struct apx_dim reduce_elems(const struct apx_node *node, const struct apx_value *x)
{
    struct apx_dim sum = apx_dim_constant(0);
    if (node->op == APX_OP_REDUCE_PROD)
        return apx_infer_product(x->elems, x->elem_count);
    if (node->op == APX_OP_REDUCE_SUM) {
        for (int e = 0; e < x->elem_count; e++)
            sum = apx_dim_add(&sum, &x->elems[e]);
        return sum;
    }
    /* the least and the greatest of one element are that element */
    bool is_extreme = node->op == APX_OP_REDUCE_MIN || node->op == APX_OP_REDUCE_MAX;
    return is_extreme && x->elem_count == 1 ? x->elems[0] : apx_dim_unknown();
}

enum apx_status apx_infer_reduce(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    bool is_axis[APX_MAX_RANK], given;
    struct apx_dim dims[APX_MAX_RANK];
    bool keeps = apx_node_int(node, "keepdims", 1) != 0;
    if (x->dtype == APX_STRING || x->dtype == APX_BOOL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s of %s",
                        apx_op_info(node->op)->name, apx_dtype_name(x->dtype));
    enum apx_status status = apx_node_axes(graph, node, 1, x->rank, is_axis, &given, error);
    if (status != APX_OK)
        return status;
    if (!given) {
        bool all = apx_node_int(node, "noop_with_empty_axes", 0) == 0;
        for (int d = 0; d < x->rank; d++)
            is_axis[d] = all;
    }
    int rank = reduce_dims(x, is_axis, keeps, dims);
    status = apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
    if (status != APX_OK || x->elems == NULL || (x->rank == 1 && !is_axis[0]))
        return status;
    struct apx_dim number = reduce_elems(node, x);
    return apx_infer_follow(graph, node, 0, &number, 1, error);
}

enum apx_status apx_infer_arg_reduce(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    bool is_axis[APX_MAX_RANK] = {false};
    struct apx_dim dims[APX_MAX_RANK];
    int axis;
    enum apx_status status =
        apx_node_axis(node, apx_node_int(node, "axis", 0), x->rank, &axis, error);
    if (status != APX_OK)
        return status;
    is_axis[axis] = true;
    int rank = reduce_dims(x, is_axis, apx_node_int(node, "keepdims", 1) != 0, dims);
    return apx_infer_set(graph, node, 0, APX_I64, rank, dims, error);
}

enum apx_status apx_infer_top_k(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim dims[APX_MAX_RANK];
    int64_t k;
    int axis, count;
    enum apx_status status =
        apx_node_axis(node, apx_node_int(node, "axis", -1), x->rank, &axis, error);
    if (status != APX_OK)
        return status;
    if (!apx_value_ints(apx_node_in(graph, node, 1), 1, &k, &count) || count != 1 || k < 0)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "how many is not a known number");
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = apx_dim_constant(k);
    status = apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
    return status == APX_OK ? apx_infer_set(graph, node, 1, APX_I64, x->rank, dims, error) : status;
}
