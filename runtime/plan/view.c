/* SPDX-License-Identifier: Apache-2.0 */
/* view.c - strides as polynomials.
 *
 * Extents are compared as expressions: two that are equal only by chance of this call's numbers
 * count as different, and the caller copies. That is safe and rare. */
#include "runtime/plan/view.h"

struct apx_dim apx_extent_product(const struct apx_dim *extent, int from, int to)
{
    struct apx_dim product = apx_dim_constant(1);
    for (int i = from; i < to; i++)
        product = apx_dim_multiply(&product, &extent[i]);
    return product;
}

void apx_view_make_dense(struct apx_view *view, const int *order)
{
    struct apx_dim stride = apx_dim_constant(1);
    for (int i = view->rank - 1; i >= 0; i--) {
        int axis = order != NULL ? order[i] : i;
        view->stride[axis] = stride;
        stride = apx_dim_multiply(&stride, &view->extent[axis]);
    }
    view->offset = apx_dim_constant(0);
}

bool apx_view_order(const struct apx_view *view, int *order)
{
    bool taken[APX_MAX_RANK] = {false};
    struct apx_dim stride = apx_dim_constant(1);
    int place = view->rank;
    /* Axes of one element have no place of their own; they follow their right neighbour. */
    for (;;) {
        int found = -1;
        for (int i = view->rank - 1; i >= 0 && found < 0; i--) {
            if (taken[i])
                continue;
            if (apx_dim_is_one(&view->extent[i])) {
                bool is_next = true;
                for (int j = i + 1; j < view->rank; j++)
                    is_next = is_next && taken[j];
                if (is_next)
                    found = i;
            } else if (apx_dim_equal(&view->stride[i], &stride)) {
                found = i;
            }
        }
        if (found < 0)
            for (int i = view->rank - 1; i >= 0 && found < 0; i--)
                if (!taken[i] && apx_dim_is_one(&view->extent[i]))
                    found = i;
        if (found < 0)
            break;
        taken[found] = true;
        order[--place] = found;
        stride = apx_dim_multiply(&stride, &view->extent[found]);
    }
    return place == 0;
}

bool apx_view_is_standard(const struct apx_view *view)
{
    struct apx_dim stride = apx_dim_constant(1);
    for (int i = view->rank - 1; i >= 0; i--) {
        if (!apx_dim_is_one(&view->extent[i]) && !apx_dim_equal(&view->stride[i], &stride))
            return false;
        stride = apx_dim_multiply(&stride, &view->extent[i]);
    }
    return true;
}

bool apx_view_equal(const struct apx_view *a, const struct apx_view *b)
{
    if (a == NULL || b == NULL || a->slot != b->slot || a->dtype != b->dtype ||
        a->rank != b->rank || !apx_dim_equal(&a->offset, &b->offset))
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!apx_dim_equal(&a->extent[i], &b->extent[i]) ||
            !apx_dim_equal(&a->stride[i], &b->stride[i]))
            return false;
    return true;
}

void apx_view_transpose(const struct apx_view *view, const int *perm, struct apx_view *out)
{
    *out = *view;
    for (int i = 0; i < view->rank; i++) {
        out->extent[i] = view->extent[perm[i]];
        out->stride[i] = view->stride[perm[i]];
    }
}

/* Axes [from, to) can be walked with one stride: each lies directly around the next. */
static bool is_chain(const struct apx_view *view, int from, int to, struct apx_dim *last_stride)
{
    bool have = false;
    struct apx_dim expected = apx_dim_constant(1);
    *last_stride = expected;
    for (int i = to - 1; i >= from; i--) {
        if (apx_dim_is_one(&view->extent[i]))
            continue;
        if (!have)
            *last_stride = expected = view->stride[i];
        else if (!apx_dim_equal(&view->stride[i], &expected))
            return false;
        have = true;
        expected = apx_dim_multiply(&expected, &view->extent[i]);
    }
    return true;
}

bool apx_view_reshape(const struct apx_view *view, int rank, const struct apx_dim *extent,
                      struct apx_view *out)
{
    struct apx_view result = *view;
    result.rank = rank;
    for (int i = 0; i < rank; i++)
        result.extent[i] = extent[i];
    if (apx_view_is_standard(view)) {
        struct apx_dim offset = view->offset;
        apx_view_make_dense(&result, NULL);
        result.offset = offset;
        *out = result;
        return true;
    }
    /* Cut both shapes into the smallest groups of equal products; a group of the source must be a
     * chain, and the target's axes are then laid along it. */
    int a = 0, b = 0;
    while (a < view->rank || b < rank) {
        int a_to = -1, b_to = -1;
        for (int total = 1; a_to < 0 && total <= view->rank - a + rank - b; total++) {
            for (int i = 0; i <= total; i++) {
                int j = total - i;
                if (a + i > view->rank || b + j > rank)
                    continue;
                struct apx_dim from = apx_extent_product(view->extent, a, a + i);
                struct apx_dim to = apx_extent_product(extent, b, b + j);
                if (apx_dim_equal(&from, &to)) {
                    a_to = a + i;
                    b_to = b + j;
                    break;
                }
            }
        }
        struct apx_dim stride;
        if (a_to < 0 || !is_chain(view, a, a_to, &stride))
            return false;
        for (int i = b_to - 1; i >= b; i--) {
            result.stride[i] = stride;
            stride = apx_dim_multiply(&stride, &extent[i]);
        }
        a = a_to;
        b = b_to;
    }
    *out = result;
    return true;
}

void apx_view_slice(struct apx_view *view, int axis, const struct apx_dim *start, int64_t step,
                    const struct apx_dim *extent)
{
    struct apx_dim skip = apx_dim_multiply(start, &view->stride[axis]);
    struct apx_dim pace = apx_dim_constant(step);
    view->offset = apx_dim_add(&view->offset, &skip);
    view->stride[axis] = apx_dim_multiply(&view->stride[axis], &pace);
    view->extent[axis] = *extent;
}

void apx_view_drop_axis(struct apx_view *view, int axis)
{
    for (int i = axis; i + 1 < view->rank; i++) {
        view->extent[i] = view->extent[i + 1];
        view->stride[i] = view->stride[i + 1];
    }
    view->rank--;
}

void apx_view_expand(const struct apx_view *view, int rank, const struct apx_dim *extent,
                     struct apx_view *out)
{
    struct apx_view result = *view;
    result.rank = rank;
    for (int i = 0; i < rank; i++) {
        int from = i - (rank - view->rank);
        result.extent[i] = extent[i];
        result.stride[i] = from < 0 || apx_dim_is_one(&view->extent[from]) ? apx_dim_constant(0)
                                                                           : view->stride[from];
    }
    *out = result;
}

bool apx_view_bind(const struct apx_view *view, const int64_t *symbols, struct apx_bound *out)
{
    out->rank = view->rank;
    for (int i = 0; i < view->rank; i++)
        if (!apx_dim_evaluate(&view->extent[i], symbols, &out->extent[i]) || out->extent[i] < 0 ||
            !apx_dim_evaluate(&view->stride[i], symbols, &out->stride[i]))
            return false;
    return apx_dim_evaluate(&view->offset, symbols, &out->offset);
}

int64_t apx_bound_count(const struct apx_bound *bound)
{
    int64_t count = 1;
    bool is_beyond = false;
    for (int i = 0; i < bound->rank; i++) {
        if (bound->extent[i] == 0)
            return 0;
        is_beyond = __builtin_mul_overflow(count, bound->extent[i], &count) || is_beyond;
    }
    return is_beyond ? INT64_MAX : count;
}
