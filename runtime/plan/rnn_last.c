/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_last.c - recurrent layers of which only the last step is read.
 *
 * Exporters write "the last step of y" where Y_h would do. The plan is lowered once as written; the
 * views that read y then tell by their offsets and strides whether they stay inside of the last
 * step. If so it is lowered again with y lying upon h_last, and y as a whole is never written. */
#include "runtime/plan/step_rnn.h"

/* The view stays inside of the `width` elements of the last step of each row of y. */
static bool stays_in_last(const struct apx_view *view, const struct apx_view *y, int64_t width,
                          bool reverse)
{
    struct apx_dim one = apx_dim_constant(1), last = apx_dim_constant(0);
    if (!reverse) {
        last = apx_dim_subtract(&y->extent[0], &one);
        last = apx_dim_multiply(&last, &y->stride[0]);
    }
    struct apx_dim rest = apx_dim_subtract(&view->offset, &last);
    int64_t reach;
    if (!apx_dim_is_constant(&rest, &reach) || reach < 0)
        return false;
    for (int i = 0; i < view->rank; i++) {
        int64_t extent, stride;
        if (apx_dim_is_one(&view->extent[i]) || apx_dim_equal(&view->stride[i], &y->stride[1]))
            continue;
        if (!apx_dim_is_constant(&view->stride[i], &stride) || stride < 0)
            return false;
        if (stride == 0)
            continue;
        if (!apx_dim_is_constant(&view->extent[i], &extent))
            return false;
        reach += (extent - 1) * stride;
    }
    return reach < width;
}

bool apx_rnn_reads_last_only(const struct apx_program *program, int s)
{
    const struct apx_step *step = program->steps[s];
    if (step->type != &apx_lstm_class && step->type != &apx_gru_class)
        return false;
    const struct apx_rnn_params *params = step->params;
    const struct apx_view *y = step->out[APX_RNN_Y];
    if (y == NULL || step->in[APX_RNN_LENGTHS] != NULL ||
        program->slots[y->slot].kind != APX_SLOT_ARENA)
        return false;
    for (int i = 0; i < program->step_count; i++) {
        const struct apx_step *other = program->steps[i];
        for (int k = 0; k < other->out_count && other != step; k++)
            if (other->out[k] != NULL && other->out[k]->slot == y->slot)
                return false; /* the other direction */
        for (int k = 0; k < other->in_count; k++)
            if (other->in[k] != NULL && other->in[k]->slot == y->slot &&
                !stays_in_last(other->in[k], y, (int64_t)params->desc.hidden, params->desc.reverse))
                return false;
    }
    return true;
}

bool apx_rnn_is_replaceable(const struct apx_program *program, int slot)
{
    for (int i = 0; i < program->step_count; i++) {
        const struct apx_step *step = program->steps[i];
        for (int k = 0; k < step->in_count; k++) {
            const struct apx_view *view = step->in[k];
            int64_t stride;
            if (view == NULL || view->slot != slot)
                continue;
            for (int axis = 0; axis < view->rank; axis++)
                if (!apx_dim_is_one(&view->extent[axis]) &&
                    apx_dim_is_constant(&view->stride[axis], &stride) && stride == 0)
                    return false;
        }
    }
    return true;
}
