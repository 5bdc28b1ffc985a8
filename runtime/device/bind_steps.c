/* SPDX-License-Identifier: Apache-2.0 */
/* bind_steps.c - views into numbers, numbers into argument blocks. */
#include "runtime/device/bind_steps.h"

#include <string.h>

#include "runtime/base/fail.h"

static const struct apx_view *operand(const struct apx_step *step, int i)
{
    return i < step->in_count ? step->in[i] : step->out[i - step->in_count];
}

bool apx_bind_operands(const struct apx_step *step, const int64_t *symbols,
                       struct apx_bound *bounds)
{
    for (int i = 0; i < step->in_count + step->out_count; i++) {
        bounds[i].rank = -1;
        if (operand(step, i) != NULL && !apx_view_bind(operand(step, i), symbols, &bounds[i]))
            return false;
    }
    return true;
}

const char *apx_bind_name(const struct apx_program *program, const struct apx_step *step)
{
    return step->node >= 0 ? program->graph->nodes[step->node].name : "";
}

enum apx_status apx_bind_refuse(const struct apx_program *program, const struct apx_step *step,
                                struct apx_error *error)
{
    return apx_fail(error, APX_EINVAL, apx_bind_name(program, step),
                    "the model cannot be run with these extents: at node \"%s\" an axis would end "
                    "before it begins",
                    apx_bind_name(program, step));
}

enum apx_status apx_bind_too_large(struct apx_error *error)
{
    return apx_fail(error, APX_EINVAL, "",
                    "the model cannot be run with these extents: a tensor "
                    "inside would have a negative or too large size");
}

void apx_bind_symbols(const struct apx_program *program, const int64_t *symbols, int64_t rows,
                      int64_t *out)
{
    memcpy(out, symbols, APX_MAX_SYMBOLS * sizeof *out);
    if (program->row_symbol < 0)
        return;
    out[program->row_symbol] = rows;
    out[program->batch_symbol] = program->uses_batch_symbol ? symbols[program->row_symbol] : 0;
}

/* Every element that the view reaches lies in its slot. */
static bool is_inside(const struct apx_program *program, const struct apx_view *view,
                      const struct apx_bound *bound, const int64_t *symbols, int64_t batch)
{
    int64_t low = bound->offset, high = bound->offset, elements;
    for (int i = 0; i < bound->rank; i++) {
        int64_t span;
        if (bound->extent[i] == 0)
            return true;
        if (__builtin_mul_overflow(bound->extent[i] - 1, bound->stride[i], &span) ||
            __builtin_add_overflow(span < 0 ? low : high, span, span < 0 ? &low : &high))
            return false;
    }
    const struct apx_slot *slot = &program->slots[view->slot];
    int64_t whole[APX_MAX_SYMBOLS];
    memcpy(whole, symbols, sizeof whole);
    if (program->row_symbol >= 0 && (slot->kind == APX_SLOT_INPUT || slot->kind == APX_SLOT_OUTPUT))
        whole[program->row_symbol] = batch;
    return apx_dim_evaluate(&slot->elements, whole, &elements) && low >= 0 && high < elements;
}

int64_t apx_bind_row_stride(const struct apx_value *value, int axis, const int64_t *symbols)
{
    int64_t stride = 1;
    for (int i = axis + 1; i < value->rank && axis >= 0; i++) {
        int64_t extent = 0;
        apx_dim_evaluate(&value->dims[i], symbols, &extent);
        stride *= extent;
    }
    return axis < 0 ? 0 : stride;
}

enum apx_status apx_bind_steps(const struct apx_program *program, const int64_t *symbols,
                               int64_t batch, char *args, struct apx_error *error)
{
    struct apx_bound bounds[APX_BIND_OPERANDS];
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        if (!apx_bind_operands(step, symbols, bounds))
            return apx_bind_refuse(program, step, error);
        /* The operands of "extents" are numbers, not places. */
        for (int i = 0; i < step->in_count + step->out_count; i++)
            if (operand(step, i) != NULL && !step->type->reads_extents &&
                !is_inside(program, operand(step, i), &bounds[i], symbols, batch))
                return apx_bind_refuse(program, step, error);
        step->type->bind(step, bounds, bounds + step->in_count, args + step->args_offset);
    }
    return APX_OK;
}
