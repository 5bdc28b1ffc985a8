/* SPDX-License-Identifier: Apache-2.0 */
/* step_copy.c - steps that move bytes: strided copies, fills, integers known from the extents. */
#include <string.h>

#include "runtime/plan/step_cuda.h"
#include "runtime/plan/steps.h"

struct apx_ref apx_ref_to(const struct apx_view *view, const struct apx_bound *bound)
{
    if (view == NULL)
        return (struct apx_ref){.slot = -1};
    return (struct apx_ref){.slot = view->slot,
                            .bytes =
                                (ptrdiff_t)(bound->offset * (int64_t)apx_dtype_size(view->dtype))};
}

void apx_nd_make(struct apx_nd *nd, const struct apx_bound *out, const struct apx_bound *operands,
                 int count)
{
    int axes[APX_MAX_RANK], rank = 0;
    for (int i = 0; i < out->rank; i++) {
        if (out->extent[i] == 1)
            continue;
        int place = rank++;
        for (; place > 0 && out->stride[axes[place - 1]] < out->stride[i]; place--)
            axes[place] = axes[place - 1];
        axes[place] = i;
    }
    nd->rank = 0;
    for (int i = 0; i < rank; i++) {
        size_t extent = (size_t)out->extent[axes[i]];
        int above = nd->rank - 1;
        bool is_chain = above >= 0;
        for (int j = 0; j < count && is_chain; j++)
            is_chain = nd->stride[j][above] == (ptrdiff_t)extent * operands[j].stride[axes[i]];
        if (is_chain) {
            nd->extent[above] *= extent;
        } else {
            above = nd->rank++;
            nd->extent[above] = extent;
        }
        for (int j = 0; j < count; j++)
            nd->stride[j][above] = (ptrdiff_t)operands[j].stride[axes[i]];
    }
}

/* ---- copy ------------------------------------------------------------------------------------ */

/* The innermost axes that the output holds densely are one call of the kernel; the axes around
 * them are walked here. */
struct copy_args {
    struct apx_ref in, out;
    struct apx_nd nd;
    int outer;
    size_t extent[APX_MAX_RANK], width;
    ptrdiff_t in_stride[APX_MAX_RANK], out_stride[APX_MAX_RANK]; /* bytes */
    bool is_flat;                                                /* one memcpy */
    size_t flat_bytes;
};

static void copy_bind(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out, void *memory)
{
    struct copy_args *args = memory;
    memset(args, 0, sizeof *args);
    args->in = apx_ref_to(step->in[0], &in[0]);
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->width = apx_dtype_size(step->out[0]->dtype);
    /* Take axes into the inner walk while the output's strides stay dense. */
    struct apx_bound inner_in = {0}, inner_out = {0};
    bool is_inner[APX_MAX_RANK] = {false};
    int64_t dense = 1;
    for (bool found = true; found;) {
        found = false;
        for (int i = out->rank - 1; i >= 0 && !found; i--) {
            if (is_inner[i] || (out->extent[i] != 1 && out->stride[i] != dense))
                continue;
            is_inner[i] = found = true;
            inner_in.extent[inner_in.rank] = in->extent[i];
            inner_in.stride[inner_in.rank++] = in->stride[i];
            inner_out.extent[inner_out.rank] = out->extent[i];
            inner_out.stride[inner_out.rank++] = dense;
            dense *= out->extent[i];
        }
    }
    apx_nd_make(&args->nd, &inner_out, &inner_in, 1);
    for (int i = 0; i < out->rank; i++) {
        if (is_inner[i])
            continue;
        args->extent[args->outer] = (size_t)out->extent[i];
        args->in_stride[args->outer] = (ptrdiff_t)(in->stride[i] * (int64_t)args->width);
        args->out_stride[args->outer++] = (ptrdiff_t)(out->stride[i] * (int64_t)args->width);
    }
    args->is_flat = args->nd.rank == 0 || (args->nd.rank == 1 && args->nd.stride[0][0] == 1);
    args->flat_bytes = (size_t)dense * args->width;
}

static void copy_walk(const struct copy_args *args, int axis, const char *x, char *y)
{
    if (axis < args->outer) {
        for (size_t i = 0; i < args->extent[axis]; i++)
            copy_walk(args, axis + 1, x + (ptrdiff_t)i * args->in_stride[axis],
                      y + (ptrdiff_t)i * args->out_stride[axis]);
    } else if (args->is_flat) {
        memcpy(y, x, args->flat_bytes);
    } else {
        apx_copy_nd(&args->nd, args->width, x, y);
    }
}

static void copy_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    (void)step;
    const struct copy_args *args = memory;
    const char *x = apx_at(frame, args->in);
    char *y = apx_at(frame, args->out);
    if (y != NULL && args->flat_bytes > 0)
        copy_walk(args, 0, x, y);
}

static double no_flops(const struct apx_step *step, const struct apx_bound *in,
                       const struct apx_bound *out)
{
    (void)step, (void)in, (void)out;
    return 0;
}

static bool copy_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                        struct apx_cuda_choice *out)
{
    (void)step;
    *out = (struct apx_cuda_choice){0};
    return place->driver->ops->copy != NULL;
}

/* The walk around and the walk inside as one. The axes of the two together are no more than the
 * value has. */
static int copy_launch(const struct apx_step *step, const void *memory,
                       const struct apx_cuda_frame *frame)
{
    (void)step;
    const struct copy_args *args = memory;
    struct apx_nd nd = {0};
    ptrdiff_t dense = 1;
    nd.rank = args->outer + args->nd.rank;
    for (int i = args->nd.rank - 1; i >= 0; i--) {
        nd.extent[args->outer + i] = args->nd.extent[i];
        nd.stride[0][args->outer + i] = args->nd.stride[0][i];
        nd.stride[1][args->outer + i] = dense;
        dense *= (ptrdiff_t)args->nd.extent[i];
    }
    for (int i = 0; i < args->outer; i++) {
        if (args->extent[i] == 0)
            return 0;
        nd.extent[i] = args->extent[i];
        nd.stride[0][i] = args->in_stride[i] / (ptrdiff_t)args->width;
        nd.stride[1][i] = args->out_stride[i] / (ptrdiff_t)args->width;
    }
    if (args->flat_bytes == 0)
        return 0;
    return frame->place->driver->ops->copy(&nd, args->width, apx_at(&frame->frame, args->in),
                                           apx_at(&frame->frame, args->out), frame->stream);
}

static const struct apx_step_cuda copy_cuda = {.choose = copy_choose, .launch = copy_launch};

static const struct apx_step_class copy_class = {.name = "copy",
                                                 .args_bytes = sizeof(struct copy_args),
                                                 .writes_strided = true,
                                                 .bind = copy_bind,
                                                 .run = copy_run,
                                                 .flops = no_flops,
                                                 .cuda = &copy_cuda};

void apx_emit_copy_into(struct apx_lowering *lo, struct apx_view *view, struct apx_view *out)
{
    if (view == NULL || out == NULL)
        return;
    struct apx_step *step = apx_lower_step(lo, &copy_class, 1, 1, 0);
    if (step == NULL)
        return;
    step->in[0] = view;
    step->out[0] = out;
}

struct apx_view *apx_emit_copy(struct apx_lowering *lo, struct apx_view *view, const int *order)
{
    if (view == NULL)
        return NULL;
    struct apx_view *out = apx_lower_new(lo, view->dtype, view->rank, view->extent, order);
    apx_emit_copy_into(lo, view, out);
    return out;
}

struct apx_view *apx_emit_standard(struct apx_lowering *lo, struct apx_view *view)
{
    if (view == NULL || apx_view_is_standard(view))
        return view;
    return apx_emit_copy(lo, view, NULL);
}

struct apx_view *apx_emit_packed(struct apx_lowering *lo, struct apx_view *view, int *order)
{
    if (view == NULL || apx_view_order(view, order))
        return view;
    view = apx_emit_copy(lo, view, NULL);
    for (int i = 0; view != NULL && i < view->rank; i++)
        order[i] = i;
    return view;
}

struct apx_view *apx_emit_reshape(struct apx_lowering *lo, struct apx_view *view, int rank,
                                  const struct apx_dim *extent)
{
    struct apx_view *out = apx_lower_clone(lo, view);
    if (out == NULL || apx_view_reshape(view, rank, extent, out))
        return out;
    view = apx_emit_copy(lo, view, NULL);
    if (view != NULL)
        apx_view_reshape(view, rank, extent, out);
    return view != NULL ? out : NULL;
}

/* ---- fill ------------------------------------------------------------------------------------ */

struct fill_params {
    double value;
};

struct fill_args {
    struct apx_ref out;
    size_t count;
};

static void fill_bind(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out, void *memory)
{
    (void)in;
    struct fill_args *args = memory;
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->count = (size_t)apx_bound_count(&out[0]);
}

static void fill_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct fill_args *args = memory;
    const struct fill_params *params = step->params;
    char *y = apx_at(frame, args->out);
    size_t width = apx_dtype_size(step->out[0]->dtype), done = 1;
    if (y == NULL || args->count == 0)
        return;
    apx_cast(1, APX_F64, &params->value, (int)step->out[0]->dtype, y);
    for (; done < args->count; done *= 2) {
        size_t rest = args->count - done;
        memcpy(y + done * width, y, (rest < done ? rest : done) * width);
    }
}

static const struct apx_step_class fill_class = {.name = "fill",
                                                 .args_bytes = sizeof(struct fill_args),
                                                 .bind = fill_bind,
                                                 .run = fill_run,
                                                 .flops = no_flops};

void apx_emit_fill_into(struct apx_lowering *lo, struct apx_view *out, double value)
{
    if (lo->program->is_for_device) { /* which copies: one element, seen through strides of 0 */
        struct apx_view *scalar = apx_lower_scalar(lo, out->dtype, value);
        if (scalar != NULL)
            apx_view_expand(scalar, out->rank, out->extent, scalar);
        apx_emit_copy_into(lo, scalar, out);
        return;
    }
    struct apx_step *step = apx_lower_step(lo, &fill_class, 0, 1, sizeof(struct fill_params));
    if (step == NULL)
        return;
    step->out[0] = out;
    ((struct fill_params *)step->params)->value = value;
}

/* ---- integers known from the extents --------------------------------------------------------- */

/* Bind sees operands only, so each element comes as the offset of an operand of its own. */
struct elements_args {
    struct apx_ref out;
    int count;
    int64_t values[APX_LIMIT_SHAPE_ELEMS];
};

static void elements_bind(const struct apx_step *step, const struct apx_bound *in,
                          const struct apx_bound *out, void *memory)
{
    struct elements_args *args = memory;
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->count = step->in_count;
    for (int i = 0; i < step->in_count; i++)
        args->values[i] = in[i].offset;
}

static void elements_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    (void)step;
    const struct elements_args *args = memory;
    void *y = apx_at(frame, args->out);
    if (y != NULL)
        memcpy(y, args->values, (size_t)args->count * sizeof args->values[0]);
}

static const struct apx_step_class elements_class = {.name = "extents",
                                                     .args_bytes = sizeof(struct elements_args),
                                                     .reads_extents = true,
                                                     .bind = elements_bind,
                                                     .run = elements_run,
                                                     .flops = no_flops};

struct apx_view *apx_emit_elements(struct apx_lowering *lo, const struct apx_dim *elements,
                                   int count, int rank)
{
    struct apx_dim extent = apx_dim_constant(count);
    struct apx_view *out = apx_lower_new(lo, APX_I64, rank, &extent, NULL);
    if (out == NULL || count > APX_LIMIT_SHAPE_ELEMS)
        return NULL;
    struct apx_step *step = apx_lower_step(lo, &elements_class, count, 1, 0);
    struct apx_view *views = apx_lower_take(lo, (size_t)count, sizeof *views);
    if (step == NULL || views == NULL)
        return NULL;
    for (int i = 0; i < count; i++) {
        views[i] = (struct apx_view){.slot = out->slot, .dtype = APX_I64, .offset = elements[i]};
        step->in[i] = &views[i];
    }
    step->out[0] = out;
    return out;
}
