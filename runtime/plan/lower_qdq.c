/* SPDX-License-Identifier: Apache-2.0 */
/* lower_qdq.c - operators of 8-bit integers by their definitions, in float32. Weights behind a
 * DequantizeLinear are constants by now: products with them are the ordinary ones, and what is
 * computed is what the file says, whatever it was written for.
 *
 * Products of integers are products of floats, which are exact as long as no sum exceeds 2^24: so
 * the inner extent is cut, and the pieces' sums are added as integers. */
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

/* 255 * 255 * 256 < 2^24 */
#define EXACT_INNER 256
#define MOST_PIECES 1024

void apx_lower_dynamic_quantize_linear(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    const unsigned all = (1u << x->rank) - 1;
    struct apx_view *zero = apx_lower_scalar(lo, APX_F32, 0), *low = x, *high = x;
    if (x->rank > 0) {
        high = apx_emit_reduce(lo, APX_REDUCE_MAX, false, x, all, false);
        low = apx_emit_reduce(lo, APX_REDUCE_MIN, false, x, all, false);
    }
    high = apx_emit_binary(lo, APX_BINARY_MAX, high, zero);
    low = apx_emit_binary(lo, APX_BINARY_MIN, low, zero);
    struct apx_view *span = apx_emit_binary(lo, APX_BINARY_SUB, high, low);
    struct apx_view *scale =
        apx_emit_binary(lo, APX_BINARY_DIV, span, apx_lower_scalar(lo, APX_F32, 255));
    scale = apx_emit_where(lo, apx_emit_compare(lo, APX_COMPARE_EQ, span, zero),
                           apx_lower_scalar(lo, APX_F32, 1), scale);
    struct apx_view *point =
        apx_emit_binary(lo, APX_BINARY_SUB, zero, apx_emit_binary(lo, APX_BINARY_DIV, low, scale));
    point = apx_emit_unary(lo, APX_UNARY_CLIP, point, 0, 255);
    point = apx_emit_unary(lo, APX_UNARY_ROUND, point, 0, 0);
    struct apx_view *y = apx_emit_binary(lo, APX_BINARY_DIV, x, scale);
    y = apx_emit_unary(lo, APX_UNARY_ROUND, y, 0, 0);
    y = apx_emit_binary(lo, APX_BINARY_ADD, y, point);
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, y, APX_U8));
    if (node->out_count > 1 && node->out[1] >= 0)
        apx_lower_set(lo, node, 1, scale);
    if (node->out_count > 2 && node->out[2] >= 0)
        apx_lower_set(lo, node, 2, apx_emit_cast(lo, point, APX_U8));
}

/* Input i as floats: one number without an axis, or one for each column; NULL: left out. */
static struct apx_view *places(struct apx_lowering *lo, const struct apx_node *node, int i)
{
    struct apx_view *view = apx_emit_cast(lo, apx_lower_in(lo, node, i), APX_F32);
    struct apx_dim none[1];
    if (view == NULL || view->rank == 0 || !apx_dim_is_one(&view->extent[0]))
        return view;
    return apx_emit_reshape(lo, view, 0, none);
}

/* Matrix i less its zero point, as floats. */
static struct apx_view *centred(struct apx_lowering *lo, const struct apx_node *node, int i,
                                int zero)
{
    struct apx_view *view = apx_emit_cast(lo, apx_lower_in(lo, node, i), APX_F32);
    struct apx_view *point = places(lo, node, zero);
    return point != NULL ? apx_emit_binary(lo, APX_BINARY_SUB, view, point) : view;
}

static double byte_of(const struct apx_value *value, size_t i)
{
    return value->dtype == APX_I8 ? (double)((const int8_t *)value->data)[i]
                                  : (double)((const uint8_t *)value->data)[i];
}

/* The same of a constant matrix [K,N] with a constant zero point; NULL if it is none. */
static const float *centred_constant(struct apx_lowering *lo, const struct apx_node *node, int i,
                                     int zero, int64_t *columns)
{
    const struct apx_value *matrix = apx_node_in(lo->graph, node, i);
    const struct apx_value *point = apx_node_in(lo->graph, node, zero);
    if (matrix->data == NULL || matrix->rank != 2 || (point != NULL && point->data == NULL) ||
        !apx_dim_is_constant(&matrix->dims[1], columns))
        return NULL;
    float *floats = apx_lower_take(lo, matrix->bytes, sizeof *floats);
    for (size_t k = 0; floats != NULL && k < matrix->bytes; k++) {
        const size_t at = point == NULL || point->bytes == 1 ? 0 : k % (size_t)*columns;
        floats[k] = (float)(byte_of(matrix, k) - (point != NULL ? byte_of(point, at) : 0));
    }
    return floats;
}

/* Elements from `start` on of one axis. */
static struct apx_view *piece_of(struct apx_lowering *lo, struct apx_view *view, int axis,
                                 int64_t start, int64_t count)
{
    struct apx_view *piece = apx_lower_clone(lo, view);
    const struct apx_dim from = apx_dim_constant(start), extent = apx_dim_constant(count);
    if (piece != NULL)
        apx_view_slice(piece, axis, &from, 1, &extent);
    return piece;
}

/* The exact product of input 0 and input `second` less their zero points, as int64 or as floats
 * that hold integers. */
static struct apx_view *integer_product(struct apx_lowering *lo, const struct apx_node *node,
                                        int zero_a, int second, int zero_b)
{
    const struct apx_activation none = {APX_ACT_NONE, 0, 0};
    struct apx_view *a = centred(lo, node, 0, zero_a), *b = NULL, *sum = NULL;
    int64_t inner, columns;
    if (a == NULL)
        return NULL;
    if (!apx_dim_is_constant(&a->extent[a->rank - 1], &inner) ||
        inner > (int64_t)EXACT_INNER * MOST_PIECES)
        return apx_lower_fail(lo, APX_EUNSUPPORTED,
                              "a product of integers whose inner extent is free, or beyond %d",
                              EXACT_INNER * MOST_PIECES);
    const float *w = a->rank >= 2 ? centred_constant(lo, node, second, zero_b, &columns) : NULL;
    if (w == NULL && (b = centred(lo, node, second, zero_b)) == NULL)
        return NULL;
    for (int64_t start = 0; start == 0 || start < inner; start += EXACT_INNER) {
        const int64_t count = inner - start < EXACT_INNER ? inner - start : EXACT_INNER;
        struct apx_view *part = piece_of(lo, a, a->rank - 1, start, count);
        if (w != NULL)
            part = apx_emit_dense(lo, part, (size_t)columns, w + start * columns, 1,
                                  (ptrdiff_t)columns, NULL, none);
        else
            part = apx_lower_product(lo, part,
                                     piece_of(lo, b, b->rank > 1 ? b->rank - 2 : 0, start, count),
                                     &lo->graph->values[node->out[0]]);
        if (inner > EXACT_INNER)
            part = apx_emit_cast(lo, part, APX_I64);
        sum = sum == NULL ? part : apx_emit_binary(lo, APX_BINARY_ADD, sum, part);
        if (sum == NULL)
            return NULL;
    }
    return sum;
}

void apx_lower_matmul_integer(struct apx_lowering *lo, const struct apx_node *node)
{
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, integer_product(lo, node, 2, 1, 3), APX_I32));
}

void apx_lower_qlinear_matmul(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *y = apx_emit_cast(lo, integer_product(lo, node, 2, 3, 5), APX_F32);
    struct apx_view *scale =
        apx_emit_binary(lo, APX_BINARY_MUL, places(lo, node, 1), places(lo, node, 4));
    scale = apx_emit_binary(lo, APX_BINARY_DIV, scale, places(lo, node, 6));
    y = apx_emit_binary(lo, APX_BINARY_MUL, y, scale);
    y = apx_emit_unary(lo, APX_UNARY_ROUND, y, 0, 0);
    y = apx_emit_binary(lo, APX_BINARY_ADD, y, places(lo, node, 7));
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, y, apx_node_out(lo->graph, node, 0)->dtype));
}
