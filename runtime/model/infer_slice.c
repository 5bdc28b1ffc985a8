/* SPDX-License-Identifier: Apache-2.0 */
/* infer_slice.c - the arguments of Slice in normal form.
 *
 * ONNX clips starts and ends to the input. For a fixed extent N that is done here; for a free one
 * min(5, N) is no polynomial, so x[-5:] of N steps is taken to mean N-5 .. N and a call with fewer
 * steps is refused. Numbers of at least 2^31-1 mean "to the end" in every exporter. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

struct apx_dim apx_infer_range_extent(const struct apx_dim *start, const struct apx_dim *end,
                                      int64_t step)
{
    const struct apx_dim by = apx_dim_constant(step);
    struct apx_dim length = apx_dim_subtract(end, start);
    int64_t number;
    if (apx_dim_is_constant(&length, &number)) {
        if (number == 0 || (number < 0) != (step < 0))
            return apx_dim_constant(0);
        int64_t whole = number / step; /* both have the same sign */
        return step == -1 && number == INT64_MIN ? apx_dim_unknown()
                                                 : apx_dim_constant(whole + (number % step != 0));
    }
    return apx_dim_divide(&length, &by);
}

/* One end of the range, clipped to [low, extent + high_offset] where that is a number. */
static struct apx_dim bound(const struct apx_dim *argument, const struct apx_dim *extent,
                            int64_t low, int64_t high_offset)
{
    const struct apx_dim offset = apx_dim_constant(high_offset);
    const struct apx_dim high = apx_dim_add(extent, &offset);
    int64_t number, fixed;
    if (!apx_dim_is_constant(argument, &number))
        return *argument; /* an expression such as N-1 */
    if (number >= INT32_MAX)
        return high;
    if (number <= -INT32_MAX)
        return apx_dim_constant(low);
    struct apx_dim position = *argument;
    if (number < 0)
        position = apx_dim_add(extent, argument);
    if (!apx_dim_is_constant(extent, &fixed) || !apx_dim_is_constant(&position, &number))
        return position;
    if (number < low)
        number = low;
    if (number > fixed + high_offset)
        number = fixed + high_offset;
    return apx_dim_constant(number);
}

static enum apx_status slice_axis(const struct apx_graph *graph, const struct apx_node *node,
                                  const struct apx_dim *extent, const struct apx_dim *start,
                                  const struct apx_dim *end, int64_t step,
                                  struct apx_slice_axis *out, struct apx_error *error)
{
    if (step == 0 || step < -APX_LIMIT_ELEMENTS)
        return apx_fail(error, APX_EFORMAT, node->name, "step %lld", (long long)step);
    if (step > APX_LIMIT_ELEMENTS)
        step = APX_LIMIT_ELEMENTS;
    /* Forward, positions run over [0, N]; backward over [-1, N-1]. */
    out->step = step;
    out->start = bound(start, extent, 0, step > 0 ? 0 : -1);
    struct apx_dim stop = step > 0 ? bound(end, extent, 0, 0) : bound(end, extent, -1, -1);
    out->extent = apx_infer_range_extent(&out->start, &stop, step);
    if (apx_dim_is_known(&out->extent))
        return APX_OK;
    char text[128];
    return apx_fail(error, APX_EUNSUPPORTED, node->name,
                    "a slice of %s elements with step %lld: its length is no expression",
                    apx_dim_format(extent, graph->symbols, text, sizeof text), (long long)step);
}

enum apx_status apx_node_slice(const struct apx_graph *graph, const struct apx_node *node,
                               struct apx_slice_axis *axes, struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_value *starts = apx_node_in(graph, node, 1);
    const struct apx_value *ends = apx_node_in(graph, node, 2);
    const struct apx_value *which = apx_node_in(graph, node, 3);
    const struct apx_value *steps = apx_node_in(graph, node, 4);
    int64_t axis_list[APX_MAX_RANK], step_list[APX_MAX_RANK];
    bool is_axis[APX_MAX_RANK] = {false};
    int count = 0;
    for (int d = 0; d < x->rank; d++)
        axes[d] =
            (struct apx_slice_axis){.start = apx_dim_constant(0), .extent = x->dims[d], .step = 1};
    if (starts == NULL || ends == NULL || starts->elems == NULL || ends->elems == NULL ||
        (which != NULL && !apx_value_ints(which, APX_MAX_RANK, axis_list, &count)) ||
        (steps != NULL && !apx_value_ints(steps, APX_MAX_RANK, step_list, &count)))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the slice depends on the data; it must follow from the inputs' shapes");
    count = starts->elem_count;
    if (count > x->rank || ends->elem_count != count ||
        (which != NULL && which->elem_count != count) ||
        (steps != NULL && steps->elem_count != count))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "starts, ends, axes and steps differ in length");
    for (int i = 0; i < count; i++) {
        int axis;
        enum apx_status status =
            apx_node_axis(node, which != NULL ? axis_list[i] : i, x->rank, &axis, error);
        if (status != APX_OK)
            return status;
        if (is_axis[axis])
            return apx_fail(error, APX_EFORMAT, node->name, "axis %d is given twice", axis);
        is_axis[axis] = true;
        status = slice_axis(graph, node, &x->dims[axis], &starts->elems[i], &ends->elems[i],
                            steps != NULL ? step_list[i] : 1, &axes[axis], error);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}
