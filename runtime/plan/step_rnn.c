/* SPDX-License-Identifier: Apache-2.0 */
/* step_rnn.c - one direction of one LSTM or GRU layer over a whole slice: all its steps in one call
 * of the kernel, x and y through strides. */
#include "runtime/plan/step_rnn.h"

#include <math.h>
#include <string.h>

#include "runtime/plan/step_cuda.h"

struct rnn_args {
    struct apx_ref x, lengths, h0, c0, y, h_last, c_last;
    struct apx_rnn_args kernel;
};

static void rnn_bind(const struct apx_step *step, const struct apx_bound *in,
                     const struct apx_bound *out, void *memory)
{
    struct rnn_args *args = memory;
    const struct apx_rnn_params *params = step->params;
    memset(args, 0, sizeof *args);
    args->x = apx_ref_to(step->in[APX_RNN_X], &in[APX_RNN_X]);
    args->lengths = apx_ref_to(step->in[APX_RNN_LENGTHS], &in[APX_RNN_LENGTHS]);
    args->h0 = apx_ref_to(step->in[APX_RNN_H0], &in[APX_RNN_H0]);
    args->c0 = apx_ref_to(step->in[APX_RNN_C0], &in[APX_RNN_C0]);
    args->y = apx_ref_to(step->out[APX_RNN_Y], &out[APX_RNN_Y]);
    args->h_last = apx_ref_to(step->out[APX_RNN_H_LAST], &out[APX_RNN_H_LAST]);
    args->c_last = apx_ref_to(step->out[APX_RNN_C_LAST], &out[APX_RNN_C_LAST]);
    struct apx_rnn_args *kernel = &args->kernel;
    kernel->desc = &params->desc;
    kernel->steps = (size_t)in[APX_RNN_X].extent[0];
    kernel->rows = (size_t)in[APX_RNN_X].extent[1];
    kernel->x_step = (ptrdiff_t)in[APX_RNN_X].stride[0];
    kernel->x_row = (ptrdiff_t)in[APX_RNN_X].stride[1];
    if (step->in[APX_RNN_H0] != NULL)
        kernel->h0_row = (ptrdiff_t)in[APX_RNN_H0].stride[0];
    if (step->in[APX_RNN_C0] != NULL)
        kernel->c0_row = (ptrdiff_t)in[APX_RNN_C0].stride[0];
    if (step->out[APX_RNN_Y] != NULL) {
        kernel->y_step = (ptrdiff_t)out[APX_RNN_Y].stride[0];
        kernel->y_row = (ptrdiff_t)out[APX_RNN_Y].stride[1];
    }
    if (step->out[APX_RNN_H_LAST] != NULL)
        kernel->h_last_row = (ptrdiff_t)out[APX_RNN_H_LAST].stride[0];
    if (step->out[APX_RNN_C_LAST] != NULL)
        kernel->c_last_row = (ptrdiff_t)out[APX_RNN_C_LAST].stride[0];
}

static size_t rnn_scratch(const struct apx_step *step, const struct apx_bound *in,
                          const struct apx_bound *out)
{
    (void)out;
    const struct apx_rnn_params *params = step->params;
    return params->row->scratch_bytes(&params->desc, (size_t)in[APX_RNN_X].extent[1]);
}

/* The block of bind with addresses, but for the weights. */
static struct apx_rnn_args place_args(const struct rnn_args *bound, const struct apx_frame *frame)
{
    struct apx_rnn_args args = bound->kernel;
    args.x = apx_at(frame, bound->x);
    args.lengths = apx_at(frame, bound->lengths);
    args.h0 = apx_at(frame, bound->h0);
    args.c0 = apx_at(frame, bound->c0);
    args.y = apx_at(frame, bound->y);
    args.h_last = apx_at(frame, bound->h_last);
    args.c_last = apx_at(frame, bound->c_last);
    args.scratch = frame->scratch;
    return args;
}

static void rnn_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct apx_rnn_params *params = step->params;
    struct apx_rnn_args args = place_args(memory, frame);
    args.packed = apx_packed(frame, step);
    /* The one input here whose values steer the walk: they come from the caller. */
    for (size_t n = 0; args.lengths != NULL && n < args.rows; n++) {
        if (args.lengths[n] < 0 || (size_t)args.lengths[n] > args.steps) {
            frame->fault = "a sequence length is negative or longer than the sequence";
            return;
        }
    }
    if (args.rows > 0)
        params->row->run(&args);
}

static double rnn_flops(const struct apx_step *step, const struct apx_bound *in,
                        const struct apx_bound *out)
{
    (void)out;
    const struct apx_rnn_params *params = step->params;
    double row_steps = (double)in[APX_RNN_X].extent[0] * (double)in[APX_RNN_X].extent[1];
    double gates = params->is_lstm ? 4.0 : 3.0;
    return row_steps * 2.0 * gates * (double)params->desc.hidden *
           (double)(params->desc.input + params->desc.hidden);
}

static size_t rnn_packed_bytes(const struct apx_step *step)
{
    const struct apx_rnn_params *params = step->params;
    return params->row->packed_bytes(&params->desc);
}

static void rnn_pack(const struct apx_step *step, void *packed)
{
    const struct apx_rnn_params *params = step->params;
    params->row->pack(&params->desc, &params->weights, packed);
}

/* ---- on a GPU -------------------------------------------------------------------------------- */

static bool rnn_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                       struct apx_cuda_choice *out)
{
    const struct apx_rnn_params *params = step->params;
    const struct apx_cuda_driver *driver = place->driver;
    const struct apx_cuda_rnn_row *rows = params->is_lstm ? driver->lstm : driver->gru;
    const size_t count = params->is_lstm ? driver->lstm_count : driver->gru_count;
    const char *precision = params->desc.int8.levels > 0            ? "int8"
                            : strcmp(place->precision, "fp16") == 0 ? "fp16"
                                                                    : "fp32";
    *out = (struct apx_cuda_choice){.precision = precision};
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].precision, precision) == 0 &&
            rows[i].supports(&place->device, &params->desc)) {
            *out = (struct apx_cuda_choice){&rows[i], rows[i].name, rows[i].precision};
            return true;
        }
    return false;
}

static size_t rnn_cuda_bound(const struct apx_step *step, const struct apx_cuda_choice *choice)
{
    const struct apx_rnn_params *params = step->params;
    const struct apx_cuda_rnn_row *row = choice->row;
    return row->packed_bytes(&params->desc);
}

static size_t rnn_cuda_pack(const struct apx_step *step, const struct apx_cuda_choice *choice,
                            void *packed)
{
    const struct apx_rnn_params *params = step->params;
    const struct apx_cuda_rnn_row *row = choice->row;
    row->pack(&params->desc, &params->weights, packed);
    return row->packed_bytes(&params->desc);
}

static size_t rnn_cuda_scratch(const struct apx_step *step, const struct apx_cuda_choice *choice,
                               const void *header, const struct apx_bound *in,
                               const struct apx_bound *out)
{
    (void)header, (void)out;
    const struct apx_rnn_params *params = step->params;
    const struct apx_cuda_rnn_row *row = choice->row;
    return row->scratch_bytes(&params->desc, (size_t)in[APX_RNN_X].extent[1],
                              (size_t)in[APX_RNN_X].extent[0]);
}

static int rnn_launch(const struct apx_step *step, const void *memory,
                      const struct apx_cuda_frame *frame)
{
    (void)step;
    const struct apx_cuda_rnn_row *row = frame->choice.row;
    struct apx_rnn_args args = place_args(memory, &frame->frame);
    args.packed = frame->packed;
    return args.rows > 0 ? row->launch(&frame->place->device, &args, frame->fault, frame->stream)
                         : 0;
}

static double rnn_cuda_seconds(const struct apx_step *step, const struct apx_cuda_place *place,
                               const struct apx_cuda_choice *choice, const void *header,
                               const struct apx_bound *in, const struct apx_bound *out)
{
    (void)header, (void)out;
    const struct apx_rnn_params *params = step->params;
    const struct apx_cuda_rnn_row *row = choice->row;
    return row->seconds(&place->device, &params->desc, (size_t)in[APX_RNN_X].extent[1],
                        (size_t)in[APX_RNN_X].extent[0]);
}

/* Step number n of either is the same time of the same row. */
static bool rnn_follows(const struct apx_step *below, const struct apx_step *above)
{
    const struct apx_rnn_params *first = below->params, *second = above->params;
    const struct apx_view *lengths = below->in[APX_RNN_LENGTHS];
    return first->desc.reverse == second->desc.reverse &&
           (lengths == NULL ? above->in[APX_RNN_LENGTHS] == NULL
                            : apx_view_equal(lengths, above->in[APX_RNN_LENGTHS]));
}

static int rnn_launch_stack(const struct apx_cuda_stacked *steps, int count,
                            const struct apx_cuda_frame *frame)
{
    const struct apx_cuda_rnn_row *row = frame->choice.row;
    struct apx_rnn_args args[APX_CUDA_MOST_STACKED];
    for (int i = 0; i < count; i++) {
        args[i] = place_args(steps[i].args, &frame->frame);
        args[i].packed = steps[i].packed;
        if (steps[i].is_between)
            args[i].y = NULL;
    }
    return args[0].rows > 0 ? row->launch_stack(&frame->place->device, args, (size_t)count,
                                                frame->fault, frame->stream)
                            : 0;
}

static double rnn_stack_seconds(const struct apx_step *const *steps, int count,
                                const struct apx_cuda_place *place,
                                const struct apx_cuda_choice *choice, const struct apx_bound *in)
{
    const struct apx_cuda_rnn_row *row = choice->row;
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    for (int i = 0; i < count; i++)
        descs[i] = &((const struct apx_rnn_params *)steps[i]->params)->desc;
    return row->stack_seconds != NULL ? row->stack_seconds(&place->device, descs, (size_t)count,
                                                           (size_t)in[APX_RNN_X].extent[1],
                                                           (size_t)in[APX_RNN_X].extent[0])
                                      : INFINITY;
}

static const struct apx_step_cuda rnn_cuda = {.choose = rnn_choose,
                                              .packed_bound = rnn_cuda_bound,
                                              .pack = rnn_cuda_pack,
                                              .scratch = rnn_cuda_scratch,
                                              .launch = rnn_launch,
                                              .seconds = rnn_cuda_seconds,
                                              .follows = rnn_follows,
                                              .launch_stack = rnn_launch_stack,
                                              .stack_seconds = rnn_stack_seconds};

const struct apx_step_class apx_lstm_class = {.name = "lstm",
                                              .args_bytes = sizeof(struct rnn_args),
                                              .writes_strided = true,
                                              .bind = rnn_bind,
                                              .scratch = rnn_scratch,
                                              .run = rnn_run,
                                              .flops = rnn_flops,
                                              .packed_bytes = rnn_packed_bytes,
                                              .pack = rnn_pack,
                                              .cuda = &rnn_cuda};

const struct apx_step_class apx_gru_class = {.name = "gru",
                                             .args_bytes = sizeof(struct rnn_args),
                                             .writes_strided = true,
                                             .bind = rnn_bind,
                                             .scratch = rnn_scratch,
                                             .run = rnn_run,
                                             .flops = rnn_flops,
                                             .packed_bytes = rnn_packed_bytes,
                                             .pack = rnn_pack,
                                             .cuda = &rnn_cuda};
