/* SPDX-License-Identifier: Apache-2.0 */
/* step_elementwise.c - one output element from one element of each operand.
 *
 * The result lies in the order of its first operand of full extent, so that a chain of such steps
 * behind a transposed value never copies. Integers other than int64 are computed as int64. */
#include <string.h>

#include "runtime/plan/step_cuda.h"
#include "runtime/plan/steps.h"

/* ---- one operand ----------------------------------------------------------------------------- */

struct unary_params {
    enum apx_unary op;
    apx_unary_fn run;
    float alpha, beta;
};

struct flat_args {
    struct apx_ref in, out;
    size_t count;
};

static void flat_bind(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out, void *memory)
{
    struct flat_args *args = memory;
    args->in = apx_ref_to(step->in[0], &in[0]);
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->count = (size_t)apx_bound_count(&out[0]);
}

static void unary_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct flat_args *args = memory;
    const struct unary_params *params = step->params;
    float *y = apx_at(frame, args->out);
    if (y != NULL)
        params->run(args->count, apx_at(frame, args->in), y, params->alpha, params->beta);
}

static bool unary_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                         struct apx_cuda_choice *out)
{
    (void)step;
    *out = (struct apx_cuda_choice){.kernel = "unary"};
    return place->driver->ops->unary != NULL;
}

static int unary_launch(const struct apx_step *step, const void *memory,
                        const struct apx_cuda_frame *frame)
{
    const struct flat_args *args = memory;
    const struct unary_params *params = step->params;
    if (args->count == 0)
        return 0;
    return frame->place->driver->ops->unary(
        params->op, args->count, apx_at(&frame->frame, args->in), apx_at(&frame->frame, args->out),
        params->alpha, params->beta, frame->stream);
}

static const struct apx_step_cuda unary_cuda = {.choose = unary_choose, .launch = unary_launch};

static const struct apx_step_class unary_class = {.name = "elementwise",
                                                  .args_bytes = sizeof(struct flat_args),
                                                  .bind = flat_bind,
                                                  .run = unary_run,
                                                  .cuda = &unary_cuda};

struct apx_view *apx_emit_unary(struct apx_lowering *lo, enum apx_unary op, struct apx_view *x,
                                float alpha, float beta)
{
    if (x == NULL)
        return NULL;
    if (x->dtype == APX_F64)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "float64 arithmetic; export as float32");
    if (x->dtype != APX_F32)
        return apx_emit_cast(lo, apx_emit_unary(lo, op, apx_emit_cast(lo, x, APX_F32), alpha, beta),
                             x->dtype);
    int order[APX_MAX_RANK];
    x = apx_emit_packed(lo, x, order);
    struct apx_view *y = x != NULL ? apx_lower_new(lo, APX_F32, x->rank, x->extent, order) : NULL;
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &unary_class, 1, 1, sizeof(struct unary_params)) : NULL;
    if (step == NULL)
        return NULL;
    struct unary_params *params = step->params;
    params->op = op;
    params->run = apx_unary_select(lo->program->caps, op, &step->isa);
    params->alpha = alpha;
    params->beta = beta;
    step->kernel = "unary";
    step->in[0] = x;
    step->out[0] = y;
    return y;
}

static void cast_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct flat_args *args = memory;
    void *y = apx_at(frame, args->out);
    if (y != NULL)
        apx_cast(args->count, (int)step->in[0]->dtype, apx_at(frame, args->in),
                 (int)step->out[0]->dtype, y);
}

static bool cast_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                        struct apx_cuda_choice *out)
{
    (void)step;
    *out = (struct apx_cuda_choice){0};
    return place->driver->ops->cast != NULL;
}

static int cast_launch(const struct apx_step *step, const void *memory,
                       const struct apx_cuda_frame *frame)
{
    const struct flat_args *args = memory;
    if (args->count == 0)
        return 0;
    return frame->place->driver->ops->cast(
        args->count, (int)step->in[0]->dtype, apx_at(&frame->frame, args->in),
        (int)step->out[0]->dtype, apx_at(&frame->frame, args->out), frame->stream);
}

static const struct apx_step_cuda cast_cuda = {.choose = cast_choose, .launch = cast_launch};

static const struct apx_step_class cast_class = {.name = "cast",
                                                 .args_bytes = sizeof(struct flat_args),
                                                 .bind = flat_bind,
                                                 .run = cast_run,
                                                 .cuda = &cast_cuda};

struct apx_view *apx_emit_cast(struct apx_lowering *lo, struct apx_view *x, enum apx_dtype to)
{
    if (x == NULL || x->dtype == to)
        return x;
    int order[APX_MAX_RANK];
    x = apx_emit_packed(lo, x, order);
    struct apx_view *y = x != NULL ? apx_lower_new(lo, to, x->rank, x->extent, order) : NULL;
    struct apx_step *step = y != NULL ? apx_lower_step(lo, &cast_class, 1, 1, 0) : NULL;
    if (step == NULL)
        return NULL;
    step->in[0] = x;
    step->out[0] = y;
    return y;
}

/* ---- several operands, broadcast ------------------------------------------------------------- */

enum nd_kind { ND_BINARY_F32, ND_BINARY_I64, ND_COMPARE_F32, ND_COMPARE_I64, ND_LOGIC, ND_WHERE };

struct nd_params {
    enum nd_kind kind;
    int op;
};

struct nd_args {
    struct apx_ref in[3], out;
    struct apx_nd nd;
    bool is_empty;
};

static void nd_bind(const struct apx_step *step, const struct apx_bound *in,
                    const struct apx_bound *out, void *memory)
{
    struct nd_args *args = memory;
    memset(args, 0, sizeof *args);
    for (int i = 0; i < step->in_count; i++)
        args->in[i] = apx_ref_to(step->in[i], &in[i]);
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->is_empty = apx_bound_count(&out[0]) == 0;
    apx_nd_make(&args->nd, &out[0], in, step->in_count);
}

static void nd_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct nd_args *args = memory;
    const struct nd_params *params = step->params;
    const void *a = apx_at(frame, args->in[0]), *b = apx_at(frame, args->in[1]);
    void *y = apx_at(frame, args->out);
    if (y == NULL || args->is_empty)
        return;
    switch (params->kind) {
    case ND_BINARY_F32:
        apx_binary_f32((enum apx_binary)params->op, &args->nd, a, b, y);
        break;
    case ND_BINARY_I64:
        apx_binary_i64((enum apx_binary)params->op, &args->nd, a, b, y);
        break;
    case ND_COMPARE_F32:
        apx_compare_f32((enum apx_compare)params->op, &args->nd, a, b, y);
        break;
    case ND_COMPARE_I64:
        apx_compare_i64((enum apx_compare)params->op, &args->nd, a, b, y);
        break;
    case ND_LOGIC:
        apx_logic_bool((enum apx_logic)params->op, &args->nd, a, b, y);
        break;
    case ND_WHERE:
        apx_where(&args->nd, apx_dtype_size(step->out[0]->dtype), a, b, apx_at(frame, args->in[2]),
                  y);
        break;
    }
}

static bool nd_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                      struct apx_cuda_choice *out)
{
    const struct nd_params *params = step->params;
    const struct apx_cuda_ops *ops = place->driver->ops;
    *out = (struct apx_cuda_choice){0};
    switch (params->kind) {
    case ND_BINARY_F32:
        return ops->binary != NULL;
    case ND_COMPARE_F32:
        return ops->compare != NULL;
    case ND_LOGIC:
        return ops->logic != NULL;
    case ND_WHERE:
        return ops->where != NULL;
    case ND_BINARY_I64:
    case ND_COMPARE_I64:
        break;
    }
    return false;
}

static int nd_launch(const struct apx_step *step, const void *memory,
                     const struct apx_cuda_frame *frame)
{
    const struct nd_args *args = memory;
    const struct nd_params *params = step->params;
    const struct apx_cuda_ops *ops = frame->place->driver->ops;
    const void *a = apx_at(&frame->frame, args->in[0]), *b = apx_at(&frame->frame, args->in[1]);
    void *y = apx_at(&frame->frame, args->out);
    if (args->is_empty)
        return 0;
    if (params->kind == ND_BINARY_F32)
        return ops->binary((enum apx_binary)params->op, &args->nd, a, b, y, frame->stream);
    if (params->kind == ND_COMPARE_F32)
        return ops->compare((enum apx_compare)params->op, &args->nd, a, b, y, frame->stream);
    if (params->kind == ND_LOGIC)
        return ops->logic((enum apx_logic)params->op, &args->nd, a, b, y, frame->stream);
    return ops->where(&args->nd, apx_dtype_size(step->out[0]->dtype), a, b,
                      apx_at(&frame->frame, args->in[2]), y, frame->stream);
}

static const struct apx_step_cuda nd_cuda = {.choose = nd_choose, .launch = nd_launch};

static const struct apx_step_class nd_class = {.name = "elementwise",
                                               .args_bytes = sizeof(struct nd_args),
                                               .bind = nd_bind,
                                               .run = nd_run,
                                               .cuda = &nd_cuda};

static bool have_equal_extents(const struct apx_view *a, int rank, const struct apx_dim *extent)
{
    bool equal = a->rank == rank;
    for (int i = 0; i < rank && equal; i++)
        equal = apx_dim_equal(&a->extent[i], &extent[i]);
    return equal;
}

static struct apx_view *emit_nd(struct apx_lowering *lo, enum nd_kind kind, int op,
                                enum apx_dtype dtype, struct apx_view *const *operands, int count)
{
    int rank = 0;
    for (int i = 0; i < count; i++) {
        if (operands[i] == NULL)
            return NULL;
        rank = operands[i]->rank > rank ? operands[i]->rank : rank;
    }
    struct apx_dim extent[APX_MAX_RANK];
    for (int axis = 0; axis < rank; axis++) {
        extent[axis] = apx_dim_constant(1);
        for (int i = 0; i < count; i++) {
            int from = axis - (rank - operands[i]->rank);
            if (from >= 0 && apx_dim_is_one(&extent[axis]))
                extent[axis] = operands[i]->extent[from];
        }
    }
    int order[APX_MAX_RANK];
    const int *found = NULL;
    for (int i = 0; i < count && found == NULL; i++)
        if (have_equal_extents(operands[i], rank, extent) && apx_view_order(operands[i], order))
            found = order;
    struct apx_view *expanded[3];
    for (int i = 0; i < count; i++) {
        expanded[i] = apx_lower_clone(lo, operands[i]);
        if (expanded[i] == NULL)
            return NULL;
        apx_view_expand(operands[i], rank, extent, expanded[i]);
    }
    struct apx_view *y = apx_lower_new(lo, dtype, rank, extent, found);
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &nd_class, count, 1, sizeof(struct nd_params)) : NULL;
    if (step == NULL)
        return NULL;
    struct nd_params *params = step->params;
    params->kind = kind;
    params->op = op;
    for (int i = 0; i < count; i++)
        step->in[i] = expanded[i];
    step->out[0] = y;
    return y;
}

struct apx_view *apx_emit_binary(struct apx_lowering *lo, enum apx_binary op, struct apx_view *a,
                                 struct apx_view *b)
{
    if (a == NULL || b == NULL)
        return NULL;
    if (a->dtype == APX_F64 || b->dtype == APX_F64)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "float64 arithmetic; export as float32");
    enum apx_dtype dtype = a->dtype;
    struct apx_view *operands[2] = {a, b};
    if (dtype == APX_F32)
        return emit_nd(lo, ND_BINARY_F32, (int)op, dtype, operands, 2);
    if (op == APX_BINARY_PRELU || (op == APX_BINARY_POW && b->dtype == APX_F32)) {
        operands[0] = apx_emit_cast(lo, a, APX_F32);
        operands[1] = apx_emit_cast(lo, b, APX_F32);
        return apx_emit_cast(lo, emit_nd(lo, ND_BINARY_F32, (int)op, APX_F32, operands, 2), dtype);
    }
    operands[0] = apx_emit_cast(lo, a, APX_I64);
    operands[1] = apx_emit_cast(lo, b, APX_I64);
    return apx_emit_cast(lo, emit_nd(lo, ND_BINARY_I64, (int)op, APX_I64, operands, 2), dtype);
}

struct apx_view *apx_emit_compare(struct apx_lowering *lo, enum apx_compare op, struct apx_view *a,
                                  struct apx_view *b)
{
    if (a == NULL || b == NULL)
        return NULL;
    if (a->dtype == APX_F64 || b->dtype == APX_F64)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "float64 arithmetic; export as float32");
    bool is_float = a->dtype == APX_F32;
    struct apx_view *operands[2] = {apx_emit_cast(lo, a, is_float ? APX_F32 : APX_I64),
                                    apx_emit_cast(lo, b, is_float ? APX_F32 : APX_I64)};
    return emit_nd(lo, is_float ? ND_COMPARE_F32 : ND_COMPARE_I64, (int)op, APX_BOOL, operands, 2);
}

struct apx_view *apx_emit_logic(struct apx_lowering *lo, enum apx_logic op, struct apx_view *a,
                                struct apx_view *b)
{
    struct apx_view *operands[2] = {a, b};
    return emit_nd(lo, ND_LOGIC, (int)op, APX_BOOL, operands, 2);
}

struct apx_view *apx_emit_where(struct apx_lowering *lo, struct apx_view *condition,
                                struct apx_view *a, struct apx_view *b)
{
    struct apx_view *operands[3] = {condition, a, b};
    return a != NULL ? emit_nd(lo, ND_WHERE, 0, a->dtype, operands, 3) : NULL;
}
