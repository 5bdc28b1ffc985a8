/* SPDX-License-Identifier: Apache-2.0 */
/* lower_shape.c - operators that rearrange elements. Most only make a view. */
#include <string.h>

#include "runtime/model/infer.h"
#include "runtime/plan/steps.h"

/* Identity, Dropout, Reshape, Flatten, Squeeze, Unsqueeze, ZipMap: the same elements in a row. */
void apx_lower_alias(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x != NULL && node->out[0] >= 0) {
        const struct apx_value *out = &lo->graph->values[node->out[0]];
        apx_lower_set(lo, node, 0, apx_emit_reshape(lo, x, out->rank, out->dims));
    }
    if (node->out_count > 1 && node->out[1] >= 0) { /* Dropout's mask: nothing is dropped */
        const struct apx_value *mask = &lo->graph->values[node->out[1]];
        struct apx_view *kept = apx_lower_scalar(lo, APX_BOOL, 1);
        if (kept != NULL)
            apx_view_expand(kept, mask->rank, mask->dims, kept);
        apx_lower_set(lo, node, 1, kept);
    }
}

void apx_lower_transpose(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0), *y = apx_lower_clone(lo, x);
    if (y == NULL)
        return;
    int perm[APX_MAX_RANK];
    const struct apx_attr *attr = apx_node_attr(node, "perm");
    unsigned seen = 0;
    for (int i = 0; i < x->rank; i++) {
        perm[i] = x->rank - 1 - i;
        if (attr != NULL && attr->count == (size_t)x->rank)
            perm[i] = apx_lower_axis(lo, attr->ints[i], x->rank);
        seen |= 1u << perm[i];
    }
    if (seen != (1u << x->rank) - 1) {
        apx_lower_fail(lo, APX_EFORMAT, "perm is not a permutation");
        return;
    }
    apx_view_transpose(x, perm, y);
    apx_lower_set(lo, node, 0, y);
}

/* ---- parts ----------------------------------------------------------------------------------- */

void apx_lower_slice(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0), *y = apx_lower_clone(lo, x);
    struct apx_slice_axis axes[APX_MAX_RANK];
    if (y == NULL || !apx_lower_check(lo, apx_node_slice(lo->graph, node, axes, lo->error)))
        return;
    for (int i = 0; i < x->rank; i++)
        apx_view_slice(y, i, &axes[i].start, axes[i].step, &axes[i].extent);
    apx_lower_set(lo, node, 0, y);
}

void apx_lower_split(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", 0), x->rank);
    struct apx_dim start = apx_dim_constant(0);
    for (int i = 0; i < node->out_count; i++) {
        if (node->out[i] < 0) {
            apx_lower_fail(lo, APX_EUNSUPPORTED, "output %d of Split is left out", i);
            return;
        }
        const struct apx_dim *extents = apx_lower_extents(lo, node, i);
        struct apx_view *part = apx_lower_clone(lo, x);
        if (part == NULL)
            return;
        apx_view_slice(part, axis, &start, 1, &extents[axis]);
        start = apx_dim_add(&start, &extents[axis]);
        apx_lower_set(lo, node, i, part);
    }
}

/* The parts already lie one behind the other along the axis. */
static bool are_neighbours(struct apx_view *const *parts, int count, int axis)
{
    for (int i = 1; i < count; i++) {
        struct apx_dim size =
            apx_dim_multiply(&parts[i - 1]->extent[axis], &parts[i - 1]->stride[axis]);
        struct apx_dim next = apx_dim_add(&parts[i - 1]->offset, &size);
        if (parts[i]->slot != parts[0]->slot || !apx_dim_equal(&next, &parts[i]->offset))
            return false;
        for (int k = 0; k < parts[0]->rank; k++)
            if (!apx_dim_equal(&parts[i]->stride[k], &parts[0]->stride[k]))
                return false;
    }
    return true;
}

struct apx_view *apx_emit_concat(struct apx_lowering *lo, struct apx_view **parts, int count,
                                 int axis)
{
    for (int i = 0; i < count; i++)
        if (parts[i] == NULL)
            return NULL;
    struct apx_view whole = *parts[0];
    for (int i = 1; i < count; i++)
        whole.extent[axis] = apx_dim_add(&whole.extent[axis], &parts[i]->extent[axis]);
    if (are_neighbours(parts, count, axis))
        return apx_lower_clone(lo, &whole);
    struct apx_view *y = apx_lower_new(lo, whole.dtype, whole.rank, whole.extent, NULL);
    struct apx_dim start = apx_dim_constant(0);
    for (int i = 0; i < count && y != NULL; i++) {
        struct apx_view *part = apx_lower_clone(lo, y);
        if (part == NULL)
            return NULL;
        apx_view_slice(part, axis, &start, 1, &parts[i]->extent[axis]);
        start = apx_dim_add(&start, &parts[i]->extent[axis]);
        apx_emit_copy_into(lo, parts[i], part);
    }
    return y;
}

void apx_lower_concat(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *parts[APX_LIMIT_NODE_INPUTS];
    for (int i = 0; i < node->in_count; i++)
        parts[i] = apx_lower_in(lo, node, i);
    if (lo->status != APX_OK)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", 0), parts[0]->rank);
    apx_lower_set(lo, node, 0, apx_emit_concat(lo, parts, node->in_count, axis));
}

/* ---- gather ---------------------------------------------------------------------------------- */

/* Constant indices that form start, start + step, ...: the result is a view. */
static bool is_progression(const struct apx_value *indices, const struct apx_dim *extent,
                           int64_t *start, int64_t *step)
{
    size_t size = apx_dtype_size(indices->dtype);
    size_t count = indices->data != NULL && size > 0 ? indices->bytes / size : 0;
    int64_t width;
    bool is_fixed = apx_dim_is_constant(extent, &width);
    if (count == 0 || count > APX_LIMIT_SHAPE_ELEMS)
        return false;
    int64_t values[APX_LIMIT_SHAPE_ELEMS];
    apx_cast(count, (int)indices->dtype, indices->data, APX_I64, values);
    for (size_t i = 0; i < count; i++) {
        if (is_fixed && values[i] < 0)
            values[i] += width;
        if ((values[i] < 0) != (values[0] < 0))
            return false;
    }
    *start = values[0];
    *step = count > 1 ? values[1] - values[0] : 1;
    for (size_t i = 1; i < count; i++)
        if (values[i] - values[i - 1] != *step)
            return false;
    return true;
}

/* data at these indices along an axis, as a view; NULL if the indices do not allow it. */
static struct apx_view *gather_view(struct apx_lowering *lo, struct apx_view *data,
                                    const struct apx_value *indices, int axis)
{
    int64_t first, step = 1;
    struct apx_dim start, extent = apx_dim_constant(1);
    if (indices->rank > 1)
        return NULL;
    if (is_progression(indices, &data->extent[axis], &first, &step)) {
        start = apx_dim_constant(first);
        if (first < 0)
            start = apx_dim_add(&data->extent[axis], &start);
    } else if (indices->data == NULL && indices->elems != NULL && indices->elem_count == 1) {
        start = indices->elems[0];
        if (apx_dim_is_constant(&start, &first) && first < 0)
            start = apx_dim_add(&data->extent[axis], &start);
    } else {
        return NULL;
    }
    struct apx_view *y = apx_lower_clone(lo, data);
    if (y == NULL)
        return NULL;
    if (indices->rank == 1)
        extent = indices->dims[0];
    apx_view_slice(y, axis, &start, step, &extent);
    if (indices->rank == 0)
        apx_view_drop_axis(y, axis);
    return y;
}

void apx_lower_gather(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *data = apx_lower_in(lo, node, 0);
    if (data == NULL)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", 0), data->rank);
    struct apx_view *y = gather_view(lo, data, &lo->graph->values[node->in[1]], axis);
    if (y == NULL)
        y = apx_emit_gather(lo, data, apx_lower_in(lo, node, 1), axis);
    apx_lower_set(lo, node, 0, y);
}

void apx_lower_gather_last(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *data = apx_lower_in(lo, node, 0), *indices = apx_lower_in(lo, node, 1);
    if (data == NULL || indices == NULL)
        return;
    struct apx_dim count = apx_extent_product(indices->extent, 0, indices->rank);
    indices = apx_emit_reshape(lo, indices, 1, &count);
    struct apx_view *y = apx_emit_gather(lo, data, indices, data->rank - 1);
    const struct apx_value *out = &lo->graph->values[node->out[0]];
    apx_lower_set(lo, node, 0, apx_emit_reshape(lo, y, out->rank, out->dims));
}

/* ---- more elements --------------------------------------------------------------------------- */

void apx_lower_expand(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0), *y = apx_lower_clone(lo, x);
    if (y == NULL)
        return;
    apx_view_expand(x, lo->graph->values[node->out[0]].rank, apx_lower_extents(lo, node, 0), y);
    apx_lower_set(lo, node, 0, y);
}

/* Each repeated axis gets an axis of stride 0 around it; merging the two is the tiled axis. */
void apx_lower_tile(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    struct apx_dim repeats[APX_MAX_RANK];
    int count;
    if (x == NULL || !apx_lower_dims(lo, node, 1, repeats, APX_MAX_RANK, &count))
        return;
    struct apx_view *wide = apx_lower_clone(lo, x);
    if (wide == NULL || count != x->rank)
        return;
    int rank = 0;
    for (int i = 0; i < x->rank; i++) {
        int places = apx_dim_is_one(&repeats[i]) || apx_dim_is_one(&x->extent[i]) ? 1 : 2;
        if (rank + places > APX_MAX_RANK) {
            apx_lower_fail(lo, APX_EUNSUPPORTED, "Tile repeats too many axes");
            return;
        }
        if (places == 2 || !apx_dim_is_one(&repeats[i])) {
            wide->extent[rank] = repeats[i];
            wide->stride[rank++] = apx_dim_constant(0);
        }
        if (places == 2 || apx_dim_is_one(&repeats[i])) {
            wide->extent[rank] = x->extent[i];
            wide->stride[rank++] = x->stride[i];
        }
    }
    wide->rank = rank;
    const struct apx_value *out = &lo->graph->values[node->out[0]];
    apx_lower_set(lo, node, 0, apx_emit_reshape(lo, wide, out->rank, out->dims));
}

static bool read_pads(struct apx_lowering *lo, const struct apx_node *node, int rank,
                      int64_t *before, int64_t *after)
{
    int64_t pads[2 * APX_MAX_RANK], axes[APX_MAX_RANK];
    int count = 0, axis_count = -1;
    if (!apx_lower_integers(lo, node, 1, pads, 2 * APX_MAX_RANK, &count) ||
        !apx_lower_integers(lo, node, 3, axes, APX_MAX_RANK, &axis_count))
        return false;
    if (axis_count < 0)
        for (axis_count = 0; axis_count < rank; axis_count++)
            axes[axis_count] = axis_count;
    if (count != 2 * axis_count) {
        apx_lower_fail(lo, APX_EFORMAT, "%d pads for %d axes", count, axis_count);
        return false;
    }
    memset(before, 0, (size_t)rank * sizeof *before);
    memset(after, 0, (size_t)rank * sizeof *after);
    for (int i = 0; i < axis_count; i++) {
        int axis = apx_lower_axis(lo, axes[i], rank);
        before[axis] = pads[i];
        after[axis] = pads[axis_count + i];
    }
    return lo->status == APX_OK;
}

/* Filled, then the elements are laid inside. A negative pad cuts. */
void apx_lower_pad(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    int64_t before[APX_MAX_RANK], after[APX_MAX_RANK];
    if (x == NULL || !read_pads(lo, node, x->rank, before, after))
        return;
    const char *mode = apx_node_string(node, "mode", "constant");
    if (strcmp(mode, "constant") != 0) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "mode %s", mode);
        return;
    }
    double fill = 0;
    const struct apx_value *value = apx_node_in(lo->graph, node, 2);
    if (value != NULL && !apx_value_number(value, &fill)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "the padding's value must be a constant");
        return;
    }
    if (!apx_fill_is_exact(x->dtype, fill)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED,
                       "padding with integers of 2^53 and more is not supported");
        return;
    }
    struct apx_view *y = apx_lower_new(lo, x->dtype, x->rank, apx_lower_extents(lo, node, 0), NULL);
    struct apx_view *from = apx_lower_clone(lo, x), *inside = apx_lower_clone(lo, y);
    if (from == NULL || inside == NULL)
        return;
    for (int i = 0; i < x->rank; i++) {
        struct apx_dim cut = apx_dim_constant(before[i] < 0 ? -before[i] : 0);
        struct apx_dim cut_after = apx_dim_constant(after[i] < 0 ? -after[i] : 0);
        struct apx_dim room = apx_dim_constant(before[i] > 0 ? before[i] : 0);
        struct apx_dim extent = apx_dim_subtract(&x->extent[i], &cut);
        extent = apx_dim_subtract(&extent, &cut_after);
        apx_view_slice(from, i, &cut, 1, &extent);
        apx_view_slice(inside, i, &room, 1, &extent);
    }
    apx_emit_fill_into(lo, y, fill);
    apx_emit_copy_into(lo, from, inside);
    apx_lower_set(lo, node, 0, y);
}

void apx_lower_fill(struct apx_lowering *lo, const struct apx_node *node)
{
    const struct apx_value *out = &lo->graph->values[node->out[0]];
    const struct apx_attr *attr = apx_node_attr(node, "value");
    double value = 0;
    if (attr != NULL && attr->type == APX_ATTR_TENSOR) {
        const struct apx_value *tensor = &lo->graph->values[attr->tensor];
        apx_cast(1, (int)tensor->dtype, tensor->data, APX_F64, &value);
    }
    struct apx_view *y = apx_lower_scalar(lo, out->dtype, value);
    if (y != NULL)
        apx_view_expand(y, out->rank, out->dims, y);
    apx_lower_set(lo, node, 0, y);
}
