/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f32.cu - the fp32 GRU row, both forms: rnn_f32_body.cuh with GRU's cells.
 *
 *   reset after:  four sums, the candidate's halves apart; one pass.
 *   reset before: three sums; z and r first, r h is published, then the candidate goes on. */
#include <math.h>

#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_stack.cuh"
#include "kernels/rnn/rnn_layout.h"

namespace
{
enum { Z, R, CANDIDATE, CANDIDATE_H };

template <bool AFTER> struct gru_f32_cell {
    enum { GATES = 3, SUMS = AFTER ? 4 : 3, RESET_BEFORE = !AFTER, HAS_C = 0 };

    static SIMT_MEMBER void copy(const float *from, unsigned hidden, unsigned first,
                                 unsigned present, unsigned units, unsigned first_k, unsigned count,
                                 float *to)
    {
        for (unsigned i = threadIdx.x; i < (count - first_k) * GATES * units; i += blockDim.x) {
            const unsigned row = first_k * GATES + i / units, unit = i % units;
            if (unit < present)
                simt_copy4(to + i, from + (size_t)row * hidden + first + unit);
            else
                to[i] = 0.0f;
        }
        simt_copy_wait();
    }
    static SIMT_MEMBER void load(const float *weights, unsigned units, unsigned unit, unsigned k,
                                 float w[GATES])
    {
#pragma unroll
        for (unsigned g = 0; g < GATES; g++)
            w[g] = weights[((size_t)k * GATES + g) * units + unit];
    }
    template <int PART>
    static SIMT_MEMBER void add(float sums[SUMS], const float w[GATES], float value)
    {
        if (PART != PART_RH) {
            sums[Z] = simt_fma(value, w[Z], sums[Z]);
            sums[R] = simt_fma(value, w[R], sums[R]);
        }
        if (PART != PART_H)
            sums[CANDIDATE] = simt_fma(value, w[CANDIDATE], sums[CANDIDATE]);
        else if (AFTER)
            sums[SUMS - 1] = simt_fma(value, w[CANDIDATE], sums[SUMS - 1]);
    }
    static SIMT_MEMBER float gates(float sums[SUMS], float *)
    {
        cell_gru_gates(&sums[Z], &sums[R]);
        return 0.0f;
    }
    static SIMT_MEMBER float cell(const float sums[SUMS], float h, float, float)
    {
        float candidate = sums[CANDIDATE];
        if (AFTER)
            candidate = simt_fma(sums[R], sums[SUMS - 1], candidate);
        cell_gru_h(1, &candidate, &sums[Z], &h);
        return h;
    }
};

template <bool AFTER, int TILE>
__global__ void __launch_bounds__(TILE > 1 ? 512 : 1024, 1) gru_f32_kernel(const rnn_f32_job job)
{
    rnn_f32_run_alone<gru_f32_cell<AFTER>, TILE>(job);
}

template <bool AFTER, int TILE>
__global__ void __launch_bounds__(512, 1) gru_f32_stack_kernel(const rnn_f32_stack stack)
{
    rnn_f32_run_stack<gru_f32_cell<AFTER>, TILE>(stack);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    struct rnn_f32_cut cut;
    return desc->int8.levels == 0 && !desc->half_weights && rnn_has_defaults(desc, 2) &&
           desc->hidden <= RNN_F32_MOST_UNITS && desc->input <= RNN_F32_MOST_INPUT &&
           apx_rnn_f32_cut(device, desc, 3, !desc->reset_after, 1, 1, &cut);
}

size_t packed_bytes(const struct apx_rnn_desc *desc)
{
    return apx_rnn_f32_packed_bytes(desc, 3);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

template <bool AFTER> int launch_form(const struct rnn_f32_job &job, void *stream)
{
    const struct simt_shape shape = rnn_f32_shape(job);
    switch (job.cut.tile) {
    case 1:
        return simt_launch(gru_f32_kernel<AFTER, 1>, shape, stream, job);
    case 2:
        return simt_launch(gru_f32_kernel<AFTER, 2>, shape, stream, job);
    case 4:
        return simt_launch(gru_f32_kernel<AFTER, 4>, shape, stream, job);
    default:
        return simt_launch(gru_f32_kernel<AFTER, 8>, shape, stream, job);
    }
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_f32_cut cut = {};
    if (!apx_rnn_f32_cut(device, args->desc, 3, !args->desc->reset_after, args->rows, args->steps,
                         &cut))
        return APX_CUDA_CANNOT;
    return apx_gru_f32_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_f32_cut cut = {};
    apx_rnn_f32_cut(device, desc, 3, !desc->reset_after, rows, steps, &cut);
    return cut.seconds;
}

template <bool AFTER>
int launch_stack_form(const struct rnn_f32_stack &stack, const struct simt_shape &shape,
                      void *stream)
{
    switch (stack.layer[0].cut.tile) {
    case 1:
        return simt_launch(gru_f32_stack_kernel<AFTER, 1>, shape, stream, stack);
    case 2:
        return simt_launch(gru_f32_stack_kernel<AFTER, 2>, shape, stream, stack);
    default:
        return simt_launch(gru_f32_stack_kernel<AFTER, 4>, shape, stream, stack);
    }
}

int launch_stack(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                 size_t layers, int32_t *fault, void *stream)
{
    struct rnn_f32_stack_cut cut = {};
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    rnn_f32_descs(args, layers, descs);
    if (!apx_rnn_f32_stack_cut(device, descs, layers, 3, !descs[0]->reset_after, args->rows,
                               args->steps, &cut))
        return APX_CUDA_CANNOT;
    return apx_gru_f32_cuda_launch_stack(&cut, args, fault, stream);
}

double stack_seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *const *descs,
                     size_t layers, size_t rows, size_t steps)
{
    struct rnn_f32_stack_cut cut = {};
    return apx_rnn_f32_stack_cut(device, descs, layers, 3, !descs[0]->reset_after, rows, steps,
                                 &cut)
               ? cut.seconds
               : INFINITY;
}
} // namespace

int apx_gru_f32_cuda_launch(const struct rnn_f32_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream)
{
    const struct rnn_f32_job job = rnn_f32_make_job(args, fault, *cut);
    return args->desc->reset_after ? launch_form<true>(job, stream)
                                   : launch_form<false>(job, stream);
}

int apx_gru_f32_cuda_launch_stack(const struct rnn_f32_stack_cut *cut,
                                  const struct apx_rnn_args *args, int32_t *fault, void *stream)
{
    const struct rnn_f32_stack stack = rnn_f32_make_stack(*cut, args, fault);
    const struct simt_shape shape = rnn_f32_stack_shape(*cut, args->rows);
    return args->desc->reset_after ? launch_stack_form<true>(stack, shape, stream)
                                   : launch_stack_form<false>(stack, shape, stream);
}

const struct apx_cuda_rnn_row apx_gru_f32_cuda = {
    "gru_f32_cuda", "fp32", supports, packed_bytes, apx_gru_f32_cuda_pack,
    scratch_bytes,  launch, seconds,  launch_stack, stack_seconds};
