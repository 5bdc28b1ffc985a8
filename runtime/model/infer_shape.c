/* SPDX-License-Identifier: Apache-2.0 */
/* infer_shape.c - operators that make or change shapes, and what they do to followed integers. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

#include <string.h>

enum apx_status apx_infer_transpose(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_attr *perm = apx_node_attr(node, "perm");
    struct apx_dim dims[APX_MAX_RANK];
    bool is_taken[APX_MAX_RANK] = {false};
    if (perm != NULL && (perm->type != APX_ATTR_INTS || perm->count != (size_t)x->rank))
        return apx_fail(error, APX_EFORMAT, node->name, "perm does not fit rank %d", x->rank);
    for (int d = 0; d < x->rank; d++) {
        int axis = x->rank - 1 - d;
        if (perm != NULL) {
            enum apx_status status = apx_node_axis(node, perm->ints[d], x->rank, &axis, error);
            if (status != APX_OK)
                return status;
        }
        if (is_taken[axis])
            return apx_fail(error, APX_EFORMAT, node->name, "perm has axis %d twice", axis);
        is_taken[axis] = true;
        dims[d] = x->dims[axis];
    }
    enum apx_status status = apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
    if (status == APX_OK)
        apx_infer_fill(graph, node, 0, x);
    return status;
}

/* The same elements in the same order under other extents. */
static enum apx_status set_alias(struct apx_graph *graph, const struct apx_node *node, int rank,
                                 const struct apx_dim *dims, struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_status status = apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
    if (status != APX_OK)
        return status;
    apx_infer_fill(graph, node, 0, x);
    return x->elems == NULL ? APX_OK
                            : apx_infer_follow(graph, node, 0, x->elems, x->elem_count, error);
}

/* The shape that input `i` asks for: its elements if they are followed. */
static enum apx_status wanted_shape(const struct apx_graph *graph, const struct apx_node *node,
                                    int i, const struct apx_value **shape, struct apx_error *error)
{
    *shape = apx_node_in(graph, node, i);
    if (*shape == NULL || (*shape)->elems == NULL || (*shape)->rank != 1)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the shape depends on the data; it must follow from the inputs' shapes");
    if ((*shape)->elem_count > APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, node->name, "rank %d is above APX_MAX_RANK (%d)",
                        (*shape)->elem_count, APX_MAX_RANK);
    return APX_OK;
}

enum apx_status apx_infer_reshape(struct apx_graph *graph, struct apx_node *node,
                                  struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *shape;
    struct apx_dim dims[APX_MAX_RANK], all, rest;
    enum apx_status status = wanted_shape(graph, node, 1, &shape, error);
    if (status != APX_OK)
        return status;
    int open = -1, rank = shape->elem_count;
    bool copies = apx_node_int(node, "allowzero", 0) == 0;
    for (int d = 0; d < rank; d++) {
        int64_t number = 1;
        dims[d] = shape->elems[d];
        if (!apx_dim_is_constant(&dims[d], &number))
            continue;
        if (number == 0 && copies) {
            if (d >= x->rank)
                return apx_fail(error, APX_EFORMAT, node->name,
                                "the shape copies extent %d of a tensor of rank %d", d, x->rank);
            dims[d] = x->dims[d];
        } else if (number == -1 && open < 0) {
            open = d;
            dims[d] = apx_dim_constant(1);
        } else if (number < 0) {
            return apx_fail(error, APX_EFORMAT, node->name, "the shape has extent %lld",
                            (long long)number);
        }
    }
    all = apx_infer_product(x->dims, x->rank);
    rest = apx_infer_product(dims, rank);
    if (open >= 0) {
        dims[open] = apx_dim_divide(&all, &rest);
        if (!apx_dim_is_known(&dims[open])) {
            char from[128], by[128];
            bool fixed = apx_dim_is_constant(&all, NULL) && apx_dim_is_constant(&rest, NULL);
            return apx_fail(error, fixed ? APX_EFORMAT : APX_EUNSUPPORTED, node->name,
                            "%s elements do not divide into rows of %s",
                            apx_dim_format(&all, graph->symbols, from, sizeof from),
                            apx_dim_format(&rest, graph->symbols, by, sizeof by));
        }
    } else {
        status = apx_infer_meet(graph, node, &all, &rest, "elements before and after", error);
        if (status != APX_OK)
            return status;
    }
    return set_alias(graph, node, rank, dims, error);
}

enum apx_status apx_infer_flatten(struct apx_graph *graph, struct apx_node *node,
                                  struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    int64_t axis = apx_node_int(node, "axis", 1);
    if (axis < -x->rank || axis > x->rank)
        return apx_fail(error, APX_EFORMAT, node->name, "axis %lld of a tensor of rank %d",
                        (long long)axis, x->rank);
    int split = (int)(axis < 0 ? axis + x->rank : axis);
    struct apx_dim dims[2] = {apx_infer_product(x->dims, split),
                              apx_infer_product(x->dims + split, x->rank - split)};
    return set_alias(graph, node, 2, dims, error);
}

enum apx_status apx_infer_squeeze(struct apx_graph *graph, struct apx_node *node,
                                  struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    bool is_axis[APX_MAX_RANK], given;
    struct apx_dim dims[APX_MAX_RANK];
    const struct apx_dim one = apx_dim_constant(1);
    int rank = 0;
    enum apx_status status = apx_node_axes(graph, node, 1, x->rank, is_axis, &given, error);
    for (int d = 0; d < x->rank && status == APX_OK; d++) {
        if (given && is_axis[d])
            status = apx_infer_meet(graph, node, &x->dims[d], &one, "squeezed extent", error);
        else if (given || !apx_dim_equal(&x->dims[d], &one))
            dims[rank++] = x->dims[d];
    }
    return status != APX_OK ? status : set_alias(graph, node, rank, dims, error);
}

enum apx_status apx_infer_unsqueeze(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_value *axes = apx_node_in(graph, node, 1);
    bool is_axis[APX_MAX_RANK], given;
    struct apx_dim dims[APX_MAX_RANK];
    if (axes == NULL)
        return apx_fail(error, APX_EFORMAT, node->name, "Unsqueeze without axes");
    int rank = x->rank + axes->elem_count, from = 0;
    if (rank > APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, node->name, "rank %d is above APX_MAX_RANK (%d)", rank,
                        APX_MAX_RANK);
    enum apx_status status = apx_node_axes(graph, node, 1, rank, is_axis, &given, error);
    if (status != APX_OK)
        return status;
    for (int d = 0; d < rank; d++)
        dims[d] = is_axis[d] ? apx_dim_constant(1) : x->dims[from++];
    return set_alias(graph, node, rank, dims, error);
}

/* All inputs are followed: their elements one after the other. */
static enum apx_status follow_concat(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    int count = 0;
    for (int i = 0; i < node->in_count; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in->elems == NULL || in->rank != 1 || in->elem_count > APX_LIMIT_SHAPE_ELEMS - count)
            return APX_OK;
        memcpy(elems + count, in->elems, (size_t)in->elem_count * sizeof *elems);
        count += in->elem_count;
    }
    return apx_infer_follow(graph, node, 0, elems, count, error);
}

enum apx_status apx_infer_concat(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim dims[APX_MAX_RANK];
    const struct apx_attr *attr = apx_node_attr(node, "axis");
    bool is_filled = x->is_filled;
    int axis;
    if (attr == NULL || attr->type != APX_ATTR_INT)
        return apx_fail(error, APX_EFORMAT, node->name, "Concat without axis");
    enum apx_status status = apx_node_axis(node, attr->i, x->rank, &axis, error);
    if (status != APX_OK)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 1; i < node->in_count; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in == NULL || in->rank != x->rank || in->dtype != x->dtype)
            return apx_fail(error, APX_EFORMAT, node->name,
                            "input %d differs from input 0 in rank or type", i);
        for (int d = 0; d < x->rank && status == APX_OK; d++)
            if (d != axis)
                status =
                    apx_infer_meet(graph, node, &x->dims[d], &in->dims[d], "concatenated", error);
        if (status != APX_OK)
            return status;
        dims[axis] = apx_dim_add(&dims[axis], &in->dims[axis]);
        is_filled = is_filled && in->is_filled && in->fill == x->fill;
    }
    status = apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
    if (status == APX_OK && is_filled)
        apx_infer_fill(graph, node, 0, x);
    return status != APX_OK ? status : follow_concat(graph, node, error);
}

/* Extents of the parts along the axis. */
static enum apx_status split_parts(struct apx_graph *graph, struct apx_node *node,
                                   const struct apx_dim *whole, struct apx_dim *parts,
                                   struct apx_error *error)
{
    const struct apx_value *split = apx_node_in(graph, node, 1);
    const struct apx_dim count = apx_dim_constant(node->out_count);
    int64_t number;
    if (split != NULL) {
        if (split->elems == NULL || split->elem_count != node->out_count)
            return apx_fail(error, APX_EFORMAT, node->name,
                            "split does not say one extent for each of %d outputs",
                            node->out_count);
        struct apx_dim sum = apx_dim_constant(0);
        for (int i = 0; i < node->out_count; i++) {
            parts[i] = split->elems[i];
            sum = apx_dim_add(&sum, &parts[i]);
        }
        return apx_infer_meet(graph, node, whole, &sum, "the sum of split", error);
    }
    int64_t pieces = apx_node_int(node, "num_outputs", node->out_count);
    if (pieces < node->out_count)
        return apx_fail(error, APX_EFORMAT, node->name, "num_outputs %lld and %d outputs",
                        (long long)pieces, node->out_count);
    if (apx_dim_is_constant(whole, &number)) { /* the last part may be smaller */
        int64_t part = number / pieces + (number % pieces != 0);
        for (int i = 0; i < node->out_count; i++) {
            int64_t left = number - part * i;
            parts[i] = apx_dim_constant(left < 0 ? 0 : left < part ? left : part);
        }
        return APX_OK;
    }
    for (int i = 0; i < node->out_count; i++)
        parts[i] = apx_dim_divide(whole, &count);
    return APX_OK;
}

enum apx_status apx_infer_split(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim dims[APX_MAX_RANK], parts[APX_LIMIT_NODE_INPUTS];
    int axis;
    enum apx_status status =
        apx_node_axis(node, apx_node_int(node, "axis", 0), x->rank, &axis, error);
    if (status == APX_OK)
        status = split_parts(graph, node, &x->dims[axis], parts, error);
    memcpy(dims, x->dims, sizeof dims);
    int64_t at = 0, length;
    bool follows = x->elems != NULL;
    for (int i = 0; i < node->out_count && status == APX_OK; i++) {
        dims[axis] = parts[i];
        status = apx_infer_set(graph, node, i, x->dtype, x->rank, dims, error);
        apx_infer_fill(graph, node, i, x);
        follows = follows && apx_dim_is_constant(&parts[i], &length);
        if (status != APX_OK || !follows)
            continue;
        status = apx_infer_follow(graph, node, i, x->elems + at, (int)length, error);
        at += length;
    }
    return status;
}

enum apx_status apx_infer_slice(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_slice_axis axes[APX_MAX_RANK];
    struct apx_dim dims[APX_MAX_RANK], elems[APX_LIMIT_SHAPE_ELEMS];
    enum apx_status status = apx_node_slice(graph, node, axes, error);
    if (status != APX_OK)
        return status;
    for (int d = 0; d < x->rank; d++)
        dims[d] = axes[d].extent;
    status = apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
    if (status != APX_OK)
        return status;
    apx_infer_fill(graph, node, 0, x);
    int64_t start, extent;
    if (x->elems == NULL || x->rank != 1 || !apx_dim_is_constant(&axes[0].start, &start) ||
        !apx_dim_is_constant(&axes[0].extent, &extent))
        return APX_OK;
    for (int64_t e = 0; e < extent; e++)
        elems[e] = x->elems[start + e * axes[0].step];
    return apx_infer_follow(graph, node, 0, elems, (int)extent, error);
}

enum apx_status apx_infer_gather(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_value *indices = apx_node_in(graph, node, 1);
    struct apx_dim dims[2 * APX_MAX_RANK], elems[APX_LIMIT_SHAPE_ELEMS];
    int axis, rank = 0;
    if (indices->dtype != APX_I64 && indices->dtype != APX_I32)
        return apx_fail(error, APX_EFORMAT, node->name, "indices of %s",
                        apx_dtype_name(indices->dtype));
    enum apx_status status =
        apx_node_axis(node, apx_node_int(node, "axis", 0), x->rank, &axis, error);
    if (status != APX_OK)
        return status;
    for (int d = 0; d < axis; d++)
        dims[rank++] = x->dims[d];
    for (int d = 0; d < indices->rank; d++)
        dims[rank++] = indices->dims[d];
    for (int d = axis + 1; d < x->rank; d++)
        dims[rank++] = x->dims[d];
    status = apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
    if (status != APX_OK)
        return status;
    apx_infer_fill(graph, node, 0, x);
    if (indices->elems == NULL)
        return APX_OK;
    int64_t extent, index[APX_LIMIT_SHAPE_ELEMS];
    int count;
    bool is_known = apx_value_ints(indices, APX_LIMIT_SHAPE_ELEMS, index, &count);
    if (!is_known || !apx_dim_is_constant(&x->dims[axis], &extent))
        return APX_OK;
    for (int e = 0; e < count; e++) {
        if (index[e] < -extent || index[e] >= extent)
            return apx_fail(error, APX_EFORMAT, node->name, "index %lld of an extent of %lld",
                            (long long)index[e], (long long)extent);
        if (x->elems != NULL && x->rank == 1)
            elems[e] = x->elems[index[e] < 0 ? index[e] + extent : index[e]];
    }
    return x->elems == NULL || x->rank != 1 ? APX_OK
                                            : apx_infer_follow(graph, node, 0, elems, count, error);
}

enum apx_status apx_infer_expand(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *shape;
    struct apx_dim dims[APX_MAX_RANK];
    int rank = x->rank;
    enum apx_status status = wanted_shape(graph, node, 1, &shape, error);
    if (status != APX_OK)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    status =
        apx_infer_broadcast_dims(graph, node, dims, &rank, shape->elems, shape->elem_count, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
    if (status != APX_OK)
        return status;
    apx_infer_fill(graph, node, 0, x);
    int64_t count = 1;
    if (x->elems == NULL || rank > 1 || (rank == 1 && !apx_dim_is_constant(&dims[0], &count)) ||
        count > APX_LIMIT_SHAPE_ELEMS)
        return APX_OK;
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    for (int e = 0; e < (int)count; e++)
        elems[e] = x->elems[x->elem_count == 1 ? 0 : e];
    return apx_infer_follow(graph, node, 0, elems, (int)count, error);
}

enum apx_status apx_infer_tile(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *repeats;
    struct apx_dim dims[APX_MAX_RANK];
    enum apx_status status = wanted_shape(graph, node, 1, &repeats, error);
    if (status != APX_OK)
        return status;
    if (repeats->elem_count != x->rank)
        return apx_fail(error, APX_EFORMAT, node->name, "%d repeats for rank %d",
                        repeats->elem_count, x->rank);
    for (int d = 0; d < x->rank; d++)
        dims[d] = apx_dim_multiply(&x->dims[d], &repeats->elems[d]);
    status = apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
    if (status == APX_OK)
        apx_infer_fill(graph, node, 0, x);
    return status;
}

enum apx_status apx_infer_pad(struct apx_graph *graph, struct apx_node *node,
                              struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *pads = apx_node_in(graph, node, 1);
    struct apx_dim dims[APX_MAX_RANK];
    bool is_axis[APX_MAX_RANK], given = false;
    int from[APX_MAX_RANK], count = 0;
    if (pads == NULL || pads->elems == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the pads are not known when the model is loaded");
    enum apx_status status = apx_node_axes(graph, node, 3, x->rank, is_axis, &given, error);
    if (status != APX_OK)
        return status;
    if (given) { /* pads are in the order of the axes */
        int64_t axes[APX_MAX_RANK];
        apx_value_ints(apx_node_in(graph, node, 3), APX_MAX_RANK, axes, &count);
        for (int i = 0; i < count; i++)
            from[i] = (int)(axes[i] < 0 ? axes[i] + x->rank : axes[i]);
    } else {
        for (count = 0; count < x->rank; count++)
            from[count] = count;
    }
    if (pads->elem_count != 2 * count)
        return apx_fail(error, APX_EFORMAT, node->name, "%d pads for %d axes", pads->elem_count,
                        count);
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < 2 * count; i++) { /* apx_lower_pad negates them */
        int64_t pad;
        if (apx_dim_is_constant(&pads->elems[i], &pad) &&
            (pad > APX_LIMIT_ELEMENTS || pad < -APX_LIMIT_ELEMENTS))
            return apx_fail(error, APX_ELIMIT, node->name,
                            "a pad of %lld elements; a tensor may have %lld", (long long)pad,
                            (long long)APX_LIMIT_ELEMENTS);
    }
    for (int i = 0; i < count; i++) {
        dims[from[i]] = apx_dim_add(&dims[from[i]], &pads->elems[i]);
        dims[from[i]] = apx_dim_add(&dims[from[i]], &pads->elems[count + i]);
    }
    return apx_infer_set(graph, node, 0, x->dtype, x->rank, dims, error);
}

static int clamp(int64_t value, int low, int high)
{
    return (int)(value < low ? low : value > high ? high : value);
}

enum apx_status apx_infer_shape(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    int64_t first = apx_node_int(node, "start", 0), last = apx_node_int(node, "end", INT64_MAX);
    int start = clamp(first < 0 && first > INT64_MIN + 8 ? first + x->rank : first, 0, x->rank);
    int end = clamp(last < 0 && last > INT64_MIN + 8 ? last + x->rank : last, 0, x->rank);
    int count = end > start ? end - start : 0;
    struct apx_dim dims[1] = {apx_dim_constant(count)};
    enum apx_status status = apx_infer_set(graph, node, 0, APX_I64, 1, dims, error);
    return status != APX_OK ? status
                            : apx_infer_follow(graph, node, 0, x->dims + start, count, error);
}

enum apx_status apx_infer_size(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim size = apx_infer_product(x->dims, x->rank);
    enum apx_status status = apx_infer_set(graph, node, 0, APX_I64, 0, NULL, error);
    return status != APX_OK ? status : apx_infer_follow(graph, node, 0, &size, 1, error);
}

/* The reader leaves none behind; a pass may make one. */
enum apx_status apx_infer_constant(struct apx_graph *graph, struct apx_node *node,
                                   struct apx_error *error)
{
    const struct apx_attr *attr = apx_node_attr(node, "value");
    struct apx_value *out = apx_node_out(graph, node, 0);
    if (attr == NULL || attr->type != APX_ATTR_TENSOR || out == NULL)
        return apx_fail(error, APX_EFORMAT, node->name, "Constant without a tensor");
    const char *name = out->name;
    int producer = out->producer;
    *out = graph->values[attr->tensor];
    out->name = name;
    out->producer = producer;
    return APX_OK;
}

enum apx_status apx_infer_constant_of_shape(struct apx_graph *graph, struct apx_node *node,
                                            struct apx_error *error)
{
    const struct apx_attr *attr = apx_node_attr(node, "value");
    const struct apx_value *shape;
    enum apx_dtype dtype = APX_F32;
    double number = 0;
    if (attr != NULL) {
        const struct apx_value *value =
            attr->type == APX_ATTR_TENSOR ? &graph->values[attr->tensor] : NULL;
        if (value == NULL || value->dtype == APX_STRING ||
            value->bytes != apx_dtype_size(value->dtype) || !apx_value_number(value, &number))
            return apx_fail(error, APX_EFORMAT, node->name, "value is no tensor of one number");
        dtype = value->dtype;
        if (!apx_fill_is_exact(dtype, number))
            return apx_fail(error, APX_EUNSUPPORTED, node->name,
                            "fills with integers of 2^53 and more are not supported");
    }
    enum apx_status status = wanted_shape(graph, node, 0, &shape, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, dtype, shape->elem_count, shape->elems, error);
    struct apx_value *out = apx_node_out(graph, node, 0);
    if (status != APX_OK || out == NULL)
        return status;
    out->is_filled = true;
    out->fill = number;
    int64_t count = 1;
    bool is_integer = dtype == APX_I64 || dtype == APX_I32 || dtype == APX_BOOL;
    if (!is_integer || out->rank > 1 || count > APX_LIMIT_SHAPE_ELEMS ||
        (out->rank == 1 && !apx_dim_is_constant(&out->dims[0], &count)) ||
        count > APX_LIMIT_SHAPE_ELEMS)
        return APX_OK;
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    for (int e = 0; e < (int)count; e++)
        elems[e] = apx_dim_constant((int64_t)number);
    return apx_infer_follow(graph, node, 0, elems, (int)count, error);
}

enum apx_status apx_infer_range(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *in[3];
    int64_t start, step;
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS], extent;
    enum apx_status status = apx_infer_same_dtype(graph, node, error);
    if (status != APX_OK)
        return status;
    for (int i = 0; i < 3; i++) {
        in[i] = apx_node_in(graph, node, i);
        if (in[i]->elems == NULL || in[i]->elem_count != 1)
            return apx_fail(error, APX_EUNSUPPORTED, node->name,
                            "the range depends on the data; it must follow from the inputs' "
                            "shapes");
    }
    if (!apx_dim_is_constant(in[2]->elems, &step) || step == 0)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "the step is zero or not fixed");
    extent = apx_infer_range_extent(in[0]->elems, in[1]->elems, step);
    status = apx_infer_set(graph, node, 0, in[0]->dtype, 1, &extent, error);
    int64_t count;
    if (status != APX_OK || !apx_dim_is_constant(&extent, &count) ||
        !apx_dim_is_constant(in[0]->elems, &start) || count > APX_LIMIT_SHAPE_ELEMS)
        return status;
    for (int e = 0; e < (int)count; e++)
        elems[e] = apx_dim_constant(start + e * step);
    return apx_infer_follow(graph, node, 0, elems, (int)count, error);
}
