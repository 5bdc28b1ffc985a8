/* SPDX-License-Identifier: Apache-2.0 */
/* step_reduce.c - steps that walk whole axes: reductions, softmax, layer normalisation.
 *
 * Kernels see x[outer, K, inner]. Axes are taken as they lie in storage; if those to be walked do
 * not lie side by side there, the operand is copied with them innermost. */
#include <string.h>

#include "runtime/plan/step_cuda.h"
#include "runtime/plan/steps.h"

enum axes_kind { AXES_REDUCE, AXES_REDUCE_I64, AXES_SOFTMAX, AXES_LAYER_NORM };

struct axes_params {
    enum axes_kind kind;
    enum apx_reduce op;
    bool last, logarithm;
    int order[APX_MAX_RANK]; /* of the operand's axes in storage */
    int from, to;            /* places in order that are walked */
    float epsilon;
    const float *scale, *bias;
};

struct axes_args {
    struct apx_ref x, y;
    size_t outer, k, inner;
};

static void axes_bind(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out, void *memory)
{
    struct axes_args *args = memory;
    const struct axes_params *params = step->params;
    args->x = apx_ref_to(step->in[0], &in[0]);
    args->y = apx_ref_to(step->out[0], &out[0]);
    args->outer = args->k = args->inner = 1;
    for (int i = 0; i < in[0].rank; i++) {
        size_t extent = (size_t)in[0].extent[params->order[i]];
        if (i < params->from)
            args->outer *= extent;
        else if (i < params->to)
            args->k *= extent;
        else
            args->inner *= extent;
    }
}

static void axes_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct axes_args *args = memory;
    const struct axes_params *params = step->params;
    const void *x = apx_at(frame, args->x);
    void *y = apx_at(frame, args->y);
    if (y == NULL || args->outer == 0 || args->inner == 0)
        return;
    switch (params->kind) {
    case AXES_REDUCE:
    case AXES_REDUCE_I64:
        if (args->k == 0 && (params->op == APX_REDUCE_ARGMAX || params->op == APX_REDUCE_ARGMIN)) {
            frame->fault = "the largest or smallest of no elements";
            return;
        }
        if (params->kind == AXES_REDUCE)
            apx_reduce_f32(params->op, params->last, args->outer, args->k, args->inner, x, y);
        else
            apx_reduce_i64(params->op, params->last, args->outer, args->k, args->inner, x, y);
        break;
    case AXES_SOFTMAX:
        if (args->k > 0)
            apx_softmax_f32(params->logarithm, args->outer, args->k, args->inner, x, y);
        break;
    case AXES_LAYER_NORM:
        if (args->k > 0)
            apx_layer_norm_f32(args->outer, args->k, params->epsilon, x, params->scale,
                               params->bias, y);
        break;
    }
}

static double axes_flops(const struct apx_step *step, const struct apx_bound *in,
                         const struct apx_bound *out)
{
    (void)out;
    const struct axes_params *params = step->params;
    return (params->kind == AXES_REDUCE || params->kind == AXES_REDUCE_I64 ? 1.0 : 8.0) *
           (double)apx_bound_count(&in[0]);
}

static bool axes_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                        struct apx_cuda_choice *out)
{
    const struct axes_params *params = step->params;
    const struct apx_cuda_ops *ops = place->driver->ops;
    *out = (struct apx_cuda_choice){0};
    return (params->kind == AXES_REDUCE && ops->reduce != NULL) ||
           (params->kind == AXES_SOFTMAX && ops->softmax != NULL);
}

static int axes_launch(const struct apx_step *step, const void *memory,
                       const struct apx_cuda_frame *frame)
{
    const struct axes_args *args = memory;
    const struct axes_params *params = step->params;
    const struct apx_cuda_ops *ops = frame->place->driver->ops;
    const void *x = apx_at(&frame->frame, args->x);
    void *y = apx_at(&frame->frame, args->y);
    if (args->outer == 0 || args->inner == 0)
        return 0;
    if (args->k == 0)
        return params->kind == AXES_REDUCE ? APX_CUDA_CANNOT : 0;
    if (params->kind == AXES_REDUCE)
        return ops->reduce(params->op, params->last, args->outer, args->k, args->inner, x, y,
                           frame->stream);
    return ops->softmax(params->logarithm, args->outer, args->k, args->inner, x, y, frame->stream);
}

static const struct apx_step_cuda axes_cuda = {.choose = axes_choose, .launch = axes_launch};

static const struct apx_step_class reduce_class = {.name = "reduce",
                                                   .args_bytes = sizeof(struct axes_args),
                                                   .bind = axes_bind,
                                                   .run = axes_run,
                                                   .flops = axes_flops,
                                                   .cuda = &axes_cuda};
static const struct apx_step_class softmax_class = {.name = "softmax",
                                                    .args_bytes = sizeof(struct axes_args),
                                                    .bind = axes_bind,
                                                    .run = axes_run,
                                                    .flops = axes_flops,
                                                    .cuda = &axes_cuda};
static const struct apx_step_class layer_norm_class = {.name = "layer_norm",
                                                       .args_bytes = sizeof(struct axes_args),
                                                       .bind = axes_bind,
                                                       .run = axes_run,
                                                       .flops = axes_flops};

/* The operand in storage where the masked axes lie side by side, at the end if `innermost`. */
static struct apx_view *gather_axes(struct apx_lowering *lo, struct apx_view *x, unsigned mask,
                                    bool innermost, struct axes_params *params)
{
    int rank = x->rank, count = __builtin_popcount(mask);
    bool fits = apx_view_order(x, params->order);
    if (fits) {
        int from = 0;
        while (from < rank && (mask >> params->order[from] & 1) == 0)
            from++;
        fits = from + count <= rank && (!innermost || from + count == rank);
        for (int i = from; fits && i < from + count; i++)
            fits = (mask >> params->order[i] & 1) != 0;
        params->from = count > 0 ? from : rank;
    }
    if (!fits) {
        int place = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < rank; i++)
                if ((int)(mask >> i & 1) == pass)
                    params->order[place++] = i;
        params->from = rank - count;
        x = apx_emit_copy(lo, x, params->order);
    }
    params->to = params->from + count;
    return x;
}

struct apx_view *apx_emit_reduce(struct apx_lowering *lo, enum apx_reduce op, bool last,
                                 struct apx_view *x, unsigned mask, bool keep)
{
    if (x == NULL)
        return NULL;
    bool is_arg = op == APX_REDUCE_ARGMAX || op == APX_REDUCE_ARGMIN;
    if (x->dtype == APX_F64)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "float64 arithmetic; export as float32");
    /* Integers beyond 2^24 do not fit a float; only what ends in a root or logarithm goes there. */
    bool is_real = op == APX_REDUCE_L2 || op == APX_REDUCE_LOG_SUM || op == APX_REDUCE_LOG_SUM_EXP;
    enum apx_dtype inside = is_real ? APX_F32 : APX_I64;
    if (x->dtype != APX_F32 && x->dtype != inside) {
        struct apx_view *y =
            apx_emit_reduce(lo, op, last, apx_emit_cast(lo, x, inside), mask, keep);
        return is_arg ? y : apx_emit_cast(lo, y, x->dtype);
    }
    struct axes_params params = {
        .kind = x->dtype == APX_F32 ? AXES_REDUCE : AXES_REDUCE_I64, .op = op, .last = last};
    x = gather_axes(lo, x, mask, false, &params);
    if (x == NULL)
        return NULL;
    /* First with the reduced axes kept as 1, so that axis numbers stay. */
    struct apx_dim extent[APX_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        extent[i] = (mask >> i & 1) != 0 ? apx_dim_constant(1) : x->extent[i];
    struct apx_view *y =
        apx_lower_new(lo, is_arg ? APX_I64 : x->dtype, x->rank, extent, params.order);
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &reduce_class, 1, 1, sizeof params) : NULL;
    if (step == NULL)
        return NULL;
    memcpy(step->params, &params, sizeof params);
    step->in[0] = x;
    step->out[0] = y;
    if (keep)
        return y;
    struct apx_view *dropped = apx_lower_clone(lo, y);
    for (int i = x->rank - 1; i >= 0 && dropped != NULL; i--)
        if ((mask >> i & 1) != 0)
            apx_view_drop_axis(dropped, i);
    return dropped;
}

struct apx_view *apx_emit_softmax(struct apx_lowering *lo, bool logarithm, struct apx_view *x,
                                  unsigned mask)
{
    if (x == NULL)
        return NULL;
    if (x->dtype != APX_F32)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "softmax of %s", apx_dtype_name(x->dtype));
    struct axes_params params = {.kind = AXES_SOFTMAX, .logarithm = logarithm};
    x = gather_axes(lo, x, mask, false, &params);
    struct apx_view *y =
        x != NULL ? apx_lower_new(lo, APX_F32, x->rank, x->extent, params.order) : NULL;
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &softmax_class, 1, 1, sizeof params) : NULL;
    if (step == NULL)
        return NULL;
    memcpy(step->params, &params, sizeof params);
    step->in[0] = x;
    step->out[0] = y;
    return y;
}

struct apx_view *apx_emit_layer_norm(struct apx_lowering *lo, struct apx_view *x, unsigned mask,
                                     float epsilon, const float *scale, const float *bias)
{
    if (x == NULL)
        return NULL;
    if (x->dtype != APX_F32)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "normalisation of %s",
                              apx_dtype_name(x->dtype));
    struct axes_params params = {
        .kind = AXES_LAYER_NORM, .epsilon = epsilon, .scale = scale, .bias = bias};
    x = gather_axes(lo, x, mask, true, &params);
    /* Scale and bias follow the axes in their own order. */
    if (x != NULL && !apx_view_is_standard(x) && __builtin_popcount(mask) > 1) {
        x = apx_emit_copy(lo, x, NULL);
        for (int i = 0; x != NULL && i < x->rank; i++)
            params.order[i] = i;
    }
    struct apx_view *y =
        x != NULL ? apx_lower_new(lo, APX_F32, x->rank, x->extent, params.order) : NULL;
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &layer_norm_class, 1, 1, sizeof params) : NULL;
    if (step == NULL)
        return NULL;
    memcpy(step->params, &params, sizeof params);
    step->in[0] = x;
    step->out[0] = y;
    return y;
}
