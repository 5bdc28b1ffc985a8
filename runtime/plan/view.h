/* SPDX-License-Identifier: Apache-2.0 */
/* view.h - a value of the plan as a window onto storage: extents, strides and an offset, all of
 * them polynomials over the graph's symbols.
 *
 * Transpose, Reshape, Slice, Split, Squeeze and Expand mostly cost nothing: they make another view
 * of the same slot. What a kernel cannot read through strides is copied, once, by a step.
 * Everything here is pure; nothing allocates. */
#ifndef APX_PLAN_VIEW_H
#define APX_PLAN_VIEW_H

#include "runtime/auspex.h"
#include "runtime/model/dims.h"

struct apx_view {
    int slot;
    enum apx_dtype dtype;
    int rank;
    struct apx_dim extent[APX_MAX_RANK];
    struct apx_dim stride[APX_MAX_RANK]; /* in elements */
    struct apx_dim offset;               /* in elements */
};

/* The same with numbers. */
struct apx_bound {
    int rank;
    int64_t extent[APX_MAX_RANK], stride[APX_MAX_RANK], offset;
};

static inline bool apx_dim_is_one(const struct apx_dim *dim)
{
    int64_t value;
    return apx_dim_is_constant(dim, &value) && value == 1;
}
/* Product of extents [from, to). */
struct apx_dim apx_extent_product(const struct apx_dim *extent, int from, int to);

/* Strides of dense storage whose axes lie in the given order, outermost first; order NULL: as they
 * come. Offset 0. */
void apx_view_make_dense(struct apx_view *view, const int *order);
/* True if the view covers one dense stretch of storage; order[rank] then lists its axes as they lie
 * there, outermost first. Extents of one element may stand anywhere. */
bool apx_view_order(const struct apx_view *view, int *order);
/* Dense with the axes in their own order. */
bool apx_view_is_standard(const struct apx_view *view);
/* The same elements in the same order, for all symbols; false, too, if either is NULL. */
bool apx_view_equal(const struct apx_view *a, const struct apx_view *b);

/* out axis i is axis perm[i]. */
void apx_view_transpose(const struct apx_view *view, const int *perm, struct apx_view *out);
/* The same elements in row-major order under other extents. False if that needs a copy. */
bool apx_view_reshape(const struct apx_view *view, int rank, const struct apx_dim *extent,
                      struct apx_view *out);
/* Elements start, start + step, ... of one axis, `extent` of them. */
void apx_view_slice(struct apx_view *view, int axis, const struct apx_dim *start, int64_t step,
                    const struct apx_dim *extent);
/* Axis `axis` disappears; its index is 0. */
void apx_view_drop_axis(struct apx_view *view, int axis);
/* Broadcast to other extents, ONNX rules (right-aligned; 1 stretches). */
void apx_view_expand(const struct apx_view *view, int rank, const struct apx_dim *extent,
                     struct apx_view *out);

/* False: an extent is unknown, negative or overflows. */
bool apx_view_bind(const struct apx_view *view, const int64_t *symbols, struct apx_bound *out);
/* The product of the extents, none negative; INT64_MAX if it is beyond that. */
int64_t apx_bound_count(const struct apx_bound *bound);

#endif
