/* SPDX-License-Identifier: Apache-2.0 */
/* step_dense.c - products: with packed constant weights (bias and activation fused), and of two
 * computed operands. */
#include <string.h>

#include "runtime/plan/step_cuda.h"
#include "runtime/plan/steps.h"

struct dense_params {
    struct apx_dense_desc desc;
    struct apx_dense_weights weights;
    const struct apx_dense_row *row;
    int lead[APX_MAX_RANK]; /* the leading axes that hold elements, outermost first */
    int lead_count;
};

struct dense_args {
    struct apx_ref x, y;
    struct apx_dense_args kernel;
};

static void dense_bind(const struct apx_step *step, const struct apx_bound *in,
                       const struct apx_bound *out, void *memory)
{
    struct dense_args *args = memory;
    const struct dense_params *params = step->params;
    memset(args, 0, sizeof *args);
    args->x = apx_ref_to(step->in[0], &in[0]);
    args->y = apx_ref_to(step->out[0], &out[0]);
    size_t rows = 1;
    for (int i = 0; i + 1 < in[0].rank; i++)
        rows *= (size_t)in[0].extent[i];
    args->kernel.desc = &params->desc;
    args->kernel.rows = rows;
    args->kernel.x_row = params->lead_count > 0
                             ? (ptrdiff_t)in[0].stride[params->lead[params->lead_count - 1]]
                             : (ptrdiff_t)params->desc.input;
    args->kernel.y_row = (ptrdiff_t)params->desc.output;
}

static size_t dense_scratch(const struct apx_step *step, const struct apx_bound *in,
                            const struct apx_bound *out)
{
    (void)out;
    const struct dense_params *params = step->params;
    size_t rows = 1;
    for (int i = 0; i + 1 < in[0].rank; i++)
        rows *= (size_t)in[0].extent[i];
    return params->row->scratch_bytes(&params->desc, rows);
}

static void dense_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct dense_args *bound = memory;
    const struct dense_params *params = step->params;
    struct apx_dense_args args = bound->kernel;
    args.packed = apx_packed(frame, step);
    args.x = apx_at(frame, bound->x);
    args.y = apx_at(frame, bound->y);
    args.scratch = frame->scratch;
    if (args.y != NULL && args.rows > 0)
        params->row->run(&args);
}

static double dense_flops(const struct apx_step *step, const struct apx_bound *in,
                          const struct apx_bound *out)
{
    (void)in;
    const struct dense_params *params = step->params;
    return 2.0 * (double)apx_bound_count(&out[0]) * (double)params->desc.input;
}

static size_t dense_packed_bytes(const struct apx_step *step)
{
    const struct dense_params *params = step->params;
    return params->row->packed_bytes(&params->desc);
}

static void dense_pack(const struct apx_step *step, void *packed)
{
    const struct dense_params *params = step->params;
    params->row->pack(&params->desc, &params->weights, packed);
}

static bool dense_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                         struct apx_cuda_choice *out)
{
    const struct dense_params *params = step->params;
    const struct apx_cuda_driver *driver = place->driver;
    const bool is_int8 = params->desc.int8.levels > 0;
    /* Float layers beside int8 ones are float, and one that has no half stays what the file says.
     */
    const char *wanted = is_int8 ? "int8" : strcmp(place->precision, "fp16") == 0 ? "fp16" : "fp32";
    *out = (struct apx_cuda_choice){.precision = wanted};
    for (int pass = 0; pass < (is_int8 ? 1 : 2); pass++, wanted = "fp32")
        for (size_t i = 0; i < driver->dense_count; i++)
            if (strcmp(driver->dense[i].precision, wanted) == 0 &&
                driver->dense[i].supports(&place->device, &params->desc)) {
                *out = (struct apx_cuda_choice){&driver->dense[i], driver->dense[i].name, wanted};
                return true;
            }
    return false;
}

static size_t dense_cuda_bound(const struct apx_step *step, const struct apx_cuda_choice *choice)
{
    const struct dense_params *params = step->params;
    const struct apx_cuda_dense_row *row = choice->row;
    return row->packed_bytes(&params->desc);
}

static size_t dense_cuda_pack(const struct apx_step *step, const struct apx_cuda_choice *choice,
                              void *packed)
{
    const struct dense_params *params = step->params;
    const struct apx_cuda_dense_row *row = choice->row;
    row->pack(&params->desc, &params->weights, packed);
    return row->packed_bytes(&params->desc);
}

static int dense_launch(const struct apx_step *step, const void *memory,
                        const struct apx_cuda_frame *frame)
{
    (void)step;
    const struct dense_args *bound = memory;
    const struct apx_cuda_dense_row *row = frame->choice.row;
    struct apx_dense_args args = bound->kernel;
    args.packed = frame->packed;
    args.x = apx_at(&frame->frame, bound->x);
    args.y = apx_at(&frame->frame, bound->y);
    return args.rows > 0 ? row->launch(&frame->place->device, &args, frame->stream) : 0;
}

static double dense_cuda_seconds(const struct apx_step *step, const struct apx_cuda_place *place,
                                 const struct apx_cuda_choice *choice, const void *header,
                                 const struct apx_bound *in, const struct apx_bound *out)
{
    (void)header, (void)in;
    const struct dense_params *params = step->params;
    const struct apx_cuda_dense_row *row = choice->row;
    return row->seconds(&place->device, &params->desc,
                        (size_t)apx_bound_count(&out[0]) / params->desc.output);
}

static const struct apx_step_cuda dense_cuda = {.choose = dense_choose,
                                                .packed_bound = dense_cuda_bound,
                                                .pack = dense_cuda_pack,
                                                .launch = dense_launch,
                                                .seconds = dense_cuda_seconds};

static const struct apx_step_class dense_class = {.name = "dense",
                                                  .args_bytes = sizeof(struct dense_args),
                                                  .bind = dense_bind,
                                                  .scratch = dense_scratch,
                                                  .run = dense_run,
                                                  .flops = dense_flops,
                                                  .packed_bytes = dense_packed_bytes,
                                                  .pack = dense_pack,
                                                  .cuda = &dense_cuda};

/* The last axis is contiguous and the others form one run of equally spaced rows: lead[] gets the
 * axes of more than one element, outermost first. */
static bool find_rows(const struct apx_view *x, int *lead, int *lead_count)
{
    int last = x->rank - 1;
    struct apx_dim one = apx_dim_constant(1);
    if (!apx_dim_is_one(&x->extent[last]) && !apx_dim_equal(&x->stride[last], &one))
        return false;
    int total = 0;
    for (int i = 0; i < last; i++)
        total += !apx_dim_is_one(&x->extent[i]);
    *lead_count = total;
    if (total == 0)
        return true;
    for (int inner = 0; inner < last; inner++) {
        if (apx_dim_is_one(&x->extent[inner]))
            continue;
        bool taken[APX_MAX_RANK] = {false};
        int place = total, axis = inner;
        while (axis >= 0) {
            taken[axis] = true;
            lead[--place] = axis;
            struct apx_dim next = apx_dim_multiply(&x->stride[axis], &x->extent[axis]);
            axis = -1;
            for (int i = 0; i < last; i++)
                if (!taken[i] && !apx_dim_is_one(&x->extent[i]) &&
                    apx_dim_equal(&x->stride[i], &next))
                    axis = i;
        }
        if (place == 0)
            return true;
    }
    return false;
}

/* desc: all but the input's width. */
static struct apx_view *emit(struct apx_lowering *lo, struct apx_view *x,
                             const struct apx_dense_desc *desc,
                             const struct apx_dense_weights *weights)
{
    int64_t input;
    if (x == NULL)
        return NULL;
    if (x->dtype != APX_F32)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "a product of %s; only float32 is computed",
                              apx_dtype_name(x->dtype));
    if (!apx_dim_is_constant(&x->extent[x->rank - 1], &input))
        return apx_lower_fail(lo, APX_EFORMAT, "the inner width is not the weights'");
    int lead[APX_MAX_RANK], lead_count;
    if (!find_rows(x, lead, &lead_count)) {
        x = apx_emit_copy(lo, x, NULL);
        if (x == NULL)
            return NULL;
        find_rows(x, lead, &lead_count);
    }
    /* The result's axes lie as the operand's, the new width innermost. */
    struct apx_dim extent[APX_MAX_RANK];
    int order[APX_MAX_RANK], placed = 0;
    for (int i = 0; i + 1 < x->rank; i++) {
        extent[i] = x->extent[i];
        if (apx_dim_is_one(&extent[i]))
            order[placed++] = i;
    }
    for (int i = 0; i < lead_count; i++)
        order[placed++] = lead[i];
    extent[x->rank - 1] = apx_dim_constant((int64_t)desc->output);
    order[placed] = x->rank - 1;

    struct apx_view *y = apx_lower_new(lo, APX_F32, x->rank, extent, order);
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &dense_class, 1, 1, sizeof(struct dense_params)) : NULL;
    if (step == NULL)
        return NULL;
    struct dense_params *params = step->params;
    params->desc = *desc;
    params->desc.input = (size_t)input;
    params->weights = *weights;
    params->lead_count = lead_count;
    memcpy(params->lead, lead, sizeof lead);
    params->row = apx_dense_select(lo->program->caps, &params->desc);
    step->kernel = params->row->name;
    step->isa = params->row->isa;
    step->tile_rows = params->row->tile_rows;
    step->in[0] = x;
    step->out[0] = y;
    return y;
}

struct apx_view *apx_emit_dense(struct apx_lowering *lo, struct apx_view *x, size_t output,
                                const float *w, ptrdiff_t w_out, ptrdiff_t w_in, const float *bias,
                                struct apx_activation act)
{
    const struct apx_dense_desc desc = {.output = output, .act = act};
    const struct apx_dense_weights weights = {.w = w, .w_out = w_out, .w_in = w_in, .bias = bias};
    return emit(lo, x, &desc, &weights);
}

struct apx_view *apx_emit_dense_int8(struct apx_lowering *lo, struct apx_view *x, size_t output,
                                     struct apx_dense_int8 int8, const int8_t *w,
                                     const float *scale, const float *bias,
                                     struct apx_activation act)
{
    const struct apx_dense_desc desc = {.output = output, .act = act, .int8 = int8};
    const struct apx_dense_weights weights = {.w_s8 = w, .w_scale = scale, .bias = bias};
    return emit(lo, x, &desc, &weights);
}

/* ---- both operands computed ------------------------------------------------------------------ */

/* Operands in standard order inside their last two axes and dense there; the axes before are
 * walked, with stride 0 where an operand is broadcast. */
struct product_args {
    struct apx_ref a, b, y;
    int outer;
    size_t extent[APX_MAX_RANK];
    ptrdiff_t a_stride[APX_MAX_RANK], b_stride[APX_MAX_RANK], y_stride[APX_MAX_RANK];
    size_t batch, a_batch, b_batch, n, k, m;
};

static void product_bind(const struct apx_step *step, const struct apx_bound *in,
                         const struct apx_bound *out, void *memory)
{
    struct product_args *args = memory;
    memset(args, 0, sizeof *args);
    args->a = apx_ref_to(step->in[0], &in[0]);
    args->b = apx_ref_to(step->in[1], &in[1]);
    args->y = apx_ref_to(step->out[0], &out[0]);
    int rank = out[0].rank;
    args->n = (size_t)out[0].extent[rank - 2];
    args->m = (size_t)out[0].extent[rank - 1];
    args->k = (size_t)in[0].extent[rank - 1];
    args->batch = 1;
    int walked = rank - 2;
    /* The innermost batch axis is the kernel's own. */
    if (walked > 0 && in[0].stride[walked - 1] >= 0 && in[1].stride[walked - 1] >= 0) {
        walked--;
        args->batch = (size_t)out[0].extent[walked];
        args->a_batch = (size_t)in[0].stride[walked];
        args->b_batch = (size_t)in[1].stride[walked];
    }
    for (int i = 0; i < walked; i++) {
        args->extent[i] = (size_t)out[0].extent[i];
        args->a_stride[i] = (ptrdiff_t)in[0].stride[i];
        args->b_stride[i] = (ptrdiff_t)in[1].stride[i];
        args->y_stride[i] = (ptrdiff_t)out[0].stride[i];
    }
    args->outer = walked;
}

static void product_walk(const struct product_args *args, int axis, const float *a, const float *b,
                         float *y)
{
    if (axis == args->outer) {
        apx_matmul_f32(args->batch, args->n, args->k, args->m, a, args->a_batch, b, args->b_batch,
                       y);
        return;
    }
    for (size_t i = 0; i < args->extent[axis]; i++)
        product_walk(args, axis + 1, a + (ptrdiff_t)i * args->a_stride[axis],
                     b + (ptrdiff_t)i * args->b_stride[axis],
                     y + (ptrdiff_t)i * args->y_stride[axis]);
}

static void product_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    (void)step;
    const struct product_args *args = memory;
    float *y = apx_at(frame, args->y);
    if (y != NULL)
        product_walk(args, 0, apx_at(frame, args->a), apx_at(frame, args->b), y);
}

static double product_flops(const struct apx_step *step, const struct apx_bound *in,
                            const struct apx_bound *out)
{
    (void)step;
    return 2.0 * (double)apx_bound_count(&out[0]) * (double)in[0].extent[in[0].rank - 1];
}

static const struct apx_step_class product_class = {.name = "product",
                                                    .args_bytes = sizeof(struct product_args),
                                                    .bind = product_bind,
                                                    .run = product_run,
                                                    .flops = product_flops};

/* The last two axes lie densely in their order. */
static bool has_dense_matrix(const struct apx_view *view)
{
    struct apx_view matrix = *view;
    matrix.rank = 2;
    for (int i = 0; i < 2; i++) {
        matrix.extent[i] = view->extent[view->rank - 2 + i];
        matrix.stride[i] = view->stride[view->rank - 2 + i];
    }
    return apx_view_is_standard(&matrix);
}

struct apx_view *apx_emit_product(struct apx_lowering *lo, struct apx_view *a, struct apx_view *b)
{
    if (a == NULL || b == NULL)
        return NULL;
    if (a->dtype != APX_F32 || b->dtype != APX_F32)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "a product of %s; only float32 is computed",
                              apx_dtype_name(a->dtype));
    a = has_dense_matrix(a) ? a : apx_emit_copy(lo, a, NULL);
    b = has_dense_matrix(b) ? b : apx_emit_copy(lo, b, NULL);
    struct apx_view *wide_a = apx_lower_clone(lo, a), *wide_b = apx_lower_clone(lo, b);
    if (wide_a == NULL || wide_b == NULL)
        return NULL;
    int rank = a->rank > b->rank ? a->rank : b->rank;
    struct apx_dim extent[APX_MAX_RANK], a_extent[APX_MAX_RANK], b_extent[APX_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int from_a = i - (rank - a->rank), from_b = i - (rank - b->rank);
        struct apx_dim one = apx_dim_constant(1);
        a_extent[i] = from_a >= 0 ? a->extent[from_a] : one;
        b_extent[i] = from_b >= 0 ? b->extent[from_b] : one;
        extent[i] = apx_dim_is_one(&a_extent[i]) ? b_extent[i] : a_extent[i];
        if (i < rank - 2)
            a_extent[i] = b_extent[i] = extent[i];
    }
    extent[rank - 2] = a_extent[rank - 2];
    extent[rank - 1] = b_extent[rank - 1];
    apx_view_expand(a, rank, a_extent, wide_a);
    apx_view_expand(b, rank, b_extent, wide_b);
    struct apx_view *y = apx_lower_new(lo, APX_F32, rank, extent, NULL);
    struct apx_step *step = y != NULL ? apx_lower_step(lo, &product_class, 2, 1, 0) : NULL;
    if (step == NULL)
        return NULL;
    step->in[0] = wide_a;
    step->in[1] = wide_b;
    step->out[0] = y;
    return y;
}
