/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_stack.c - which steps follow on one another, and how many of them a launch takes. */
#include "runtime/device/cuda_stack.h"

#include <math.h>

#include "runtime/device/bind_steps.h"

/* ---- in the plan ----------------------------------------------------------------------------- */

static const struct apx_view *operand(const struct apx_step *step, int i)
{
    return i < step->in_count ? step->in[i] : step->out[i - step->in_count];
}

/* Any of the steps from first to last writes to the slot. */
static bool is_written(const struct apx_program *plan, int first, int last, int slot)
{
    for (int s = first; s <= last; s++)
        for (int i = 0; i < plan->steps[s]->out_count; i++)
            if (plan->steps[s]->out[i] != NULL && plan->steps[s]->out[i]->slot == slot)
                return true;
    return false;
}

/* Step s takes what step s - 1 makes as its first input, and nothing else that the steps from
 * `first` on make. */
static bool follows(const struct apx_cuda_program *program, int first, int s)
{
    const struct apx_program *plan = program->plan;
    const struct apx_step *below = plan->steps[s - 1], *above = plan->steps[s];
    const struct apx_cuda_step *here = &program->steps[s];
    if (here->is_on_host || program->steps[s - 1].is_on_host || below->type != above->type ||
        above->type->cuda->follows == NULL || program->steps[s - 1].choice.row != here->choice.row)
        return false;
    for (int i = 1; i < above->in_count; i++)
        if (above->in[i] != NULL && is_written(plan, first, s - 1, above->in[i]->slot))
            return false;
    return apx_view_equal(below->out[0], above->in[0]) && above->type->cuda->follows(below, above);
}

/* What step s hands to the next is read by nobody else. */
static bool is_between(const struct apx_program *plan, int s)
{
    const int slot = plan->steps[s]->out[0]->slot;
    int readers = 0;
    for (int i = 0; i < plan->step_count; i++)
        for (int k = 0; k < plan->steps[i]->in_count; k++)
            readers += plan->steps[i]->in[k] != NULL && plan->steps[i]->in[k]->slot == slot;
    return readers == 1 && plan->slots[slot].kind == APX_SLOT_ARENA;
}

void apx_cuda_stack_find(struct apx_cuda_program *program)
{
    const struct apx_program *plan = program->plan;
    for (int s = 0; s < plan->step_count; s++) {
        int count = 1;
        while (count < APX_CUDA_MOST_STACKED && s + count < plan->step_count &&
               follows(program, s, s + count))
            count++;
        program->steps[s].stack = count;
        program->steps[s].is_between = count > 1 && is_between(plan, s);
        for (int k = s; k < s + count; k++)
            for (int i = 0; i < plan->steps[k]->in_count + plan->steps[k]->out_count; i++) {
                if (operand(plan->steps[k], i) == NULL)
                    continue;
                struct apx_slot *slot = &plan->slots[operand(plan->steps[k], i)->slot];
                slot->last = s + count - 1 > slot->last ? s + count - 1 : slot->last;
            }
    }
}

/* ---- in a call ------------------------------------------------------------------------------- */

/* Of `count` steps from s on in one launch. */
static double stack_seconds(const struct apx_cuda_program *program, int s, int count,
                            const int64_t *symbols)
{
    const struct apx_step *const *steps = (const struct apx_step *const *)program->plan->steps + s;
    struct apx_bound bounds[APX_BIND_OPERANDS];
    if (!apx_bind_operands(steps[0], symbols, bounds))
        return INFINITY;
    return APX_CUDA_STEP_SECONDS +
           steps[0]->type->cuda->stack_seconds(steps, count, &program->place,
                                               &program->steps[s].choice, bounds);
}

int apx_cuda_stack_take(const struct apx_cuda_program *program, int s, const int64_t *symbols,
                        double *seconds)
{
    const int most = program->steps[s].stack;
    int best = 1;
    if (most == 1 && seconds == NULL)
        return 1;
    double time = apx_cuda_step_seconds(program, s, symbols), apart = time, gain = 0;
    for (int count = 2; count <= most; count++) {
        const double together = stack_seconds(program, s, count, symbols);
        apart += apx_cuda_step_seconds(program, s + count - 1, symbols);
        if (!(apart - together > gain))
            continue;
        best = count;
        gain = apart - together;
        time = together;
    }
    if (seconds != NULL)
        *seconds = time;
    return best;
}

int apx_cuda_stack_launch(const struct apx_cuda_program *program, int s, int count,
                          const char *args, const char *weights, const struct apx_cuda_frame *frame)
{
    struct apx_cuda_stacked steps[APX_CUDA_MOST_STACKED];
    for (int i = 0; i < count; i++) {
        const struct apx_cuda_step *here = &program->steps[s + i];
        steps[i].step = program->plan->steps[s + i];
        steps[i].args = args + steps[i].step->args_offset;
        steps[i].packed = weights + here->offset;
        steps[i].is_between = here->is_between && i + 1 < count;
    }
    return steps[0].step->type->cuda->launch_stack(steps, count, frame);
}
