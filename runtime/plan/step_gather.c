/* SPDX-License-Identifier: Apache-2.0 */
/* step_gather.c - elements of one axis at computed indices. */
#include <string.h>

#include "runtime/plan/steps.h"

struct gather_params {
    int axis;
};

struct gather_args {
    struct apx_ref data, indices, y;
    size_t outer, count, extent, inner_bytes;
};

static void gather_bind(const struct apx_step *step, const struct apx_bound *in,
                        const struct apx_bound *out, void *memory)
{
    struct gather_args *args = memory;
    const struct gather_params *params = step->params;
    args->data = apx_ref_to(step->in[0], &in[0]);
    args->indices = apx_ref_to(step->in[1], &in[1]);
    args->y = apx_ref_to(step->out[0], &out[0]);
    args->outer = 1;
    args->inner_bytes = apx_dtype_size(step->in[0]->dtype);
    for (int i = 0; i < in[0].rank; i++) {
        if (i < params->axis)
            args->outer *= (size_t)in[0].extent[i];
        else if (i > params->axis)
            args->inner_bytes *= (size_t)in[0].extent[i];
    }
    args->extent = (size_t)in[0].extent[params->axis];
    args->count = (size_t)apx_bound_count(&in[1]);
}

static void gather_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    (void)step;
    const struct gather_args *args = memory;
    const char *data = apx_at(frame, args->data);
    const int64_t *indices = apx_at(frame, args->indices);
    char *y = apx_at(frame, args->y);
    if (y == NULL)
        return;
    int64_t extent = (int64_t)args->extent;
    for (size_t i = 0; i < args->count; i++) {
        int64_t index = indices[i] < 0 ? indices[i] + extent : indices[i];
        if (index < 0 || index >= extent) {
            frame->fault = "an index is outside of the axis";
            return;
        }
        for (size_t o = 0; o < args->outer; o++)
            memcpy(y + (o * args->count + i) * args->inner_bytes,
                   data + (o * args->extent + (size_t)index) * args->inner_bytes,
                   args->inner_bytes);
    }
}

static double no_flops(const struct apx_step *step, const struct apx_bound *in,
                       const struct apx_bound *out)
{
    (void)step, (void)in, (void)out;
    return 0;
}

static const struct apx_step_class gather_class = {.name = "gather",
                                                   .args_bytes = sizeof(struct gather_args),
                                                   .bind = gather_bind,
                                                   .run = gather_run,
                                                   .flops = no_flops};

struct apx_view *apx_emit_gather(struct apx_lowering *lo, struct apx_view *data,
                                 struct apx_view *indices, int axis)
{
    data = apx_emit_standard(lo, data);
    indices = apx_emit_standard(lo, apx_emit_cast(lo, indices, APX_I64));
    if (data == NULL || indices == NULL)
        return NULL;
    int rank = data->rank - 1 + indices->rank;
    if (rank > APX_MAX_RANK)
        return apx_lower_fail(lo, APX_ELIMIT, "a result of rank %d", rank);
    struct apx_dim extent[APX_MAX_RANK];
    for (int i = 0; i < rank; i++)
        extent[i] = i < axis                   ? data->extent[i]
                    : i < axis + indices->rank ? indices->extent[i - axis]
                                               : data->extent[i - indices->rank + 1];
    struct apx_view *y = apx_lower_new(lo, data->dtype, rank, extent, NULL);
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &gather_class, 2, 1, sizeof(struct gather_params)) : NULL;
    if (step == NULL)
        return NULL;
    struct gather_params *params = step->params;
    params->axis = axis;
    step->in[0] = data;
    step->in[1] = indices;
    step->out[0] = y;
    return y;
}
