/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f32.cu - the fp32 LSTM row: rnn_f32_body.cuh with LSTM's cell. */
#include <math.h>

#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_stack.cuh"
#include "kernels/rnn/rnn_layout.h"

namespace
{
struct lstm_f32_cell {
    enum { GATES = 4, SUMS = 4, RESET_BEFORE = 0, HAS_C = 1 };

    static SIMT_MEMBER void copy(const float *from, unsigned hidden, unsigned first,
                                 unsigned present, unsigned units, unsigned first_k, unsigned count,
                                 float *to)
    {
        /* One unit and k is 16 bytes at either end. */
        for (unsigned i = threadIdx.x; i < (count - first_k) * units; i += blockDim.x) {
            const unsigned k = first_k + i / units, unit = i % units;
            if (unit < present)
                simt_copy16(to + 4 * i, from + 4 * ((size_t)k * hidden + first + unit));
            else
                *(float4 *)(to + 4 * i) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        simt_copy_wait();
    }
    static SIMT_MEMBER void load(const float *weights, unsigned units, unsigned unit, unsigned k,
                                 float w[GATES])
    {
        const float4 four = *(const float4 *)(weights + 4 * ((size_t)k * units + unit));
        w[0] = four.x;
        w[1] = four.y;
        w[2] = four.z;
        w[3] = four.w;
    }
    template <int PART>
    static SIMT_MEMBER void add(float sums[SUMS], const float w[GATES], float value)
    {
#pragma unroll
        for (int g = 0; g < GATES; g++)
            sums[g] = simt_fma(value, w[g], sums[g]);
    }
    static SIMT_MEMBER float gates(float sums[SUMS], float *c)
    {
        float out;
        *c = cell_lstm_c(sums, *c, &out);
        return out;
    }
    static SIMT_MEMBER float cell(const float *, float, float c, float out)
    {
        float h;
        cell_lstm_h(1, &c, &out, &h);
        return h;
    }
};

template <int TILE>
__global__ void __launch_bounds__(TILE > 1 ? 512 : 1024, 1) lstm_f32_kernel(const rnn_f32_job job)
{
    rnn_f32_run_alone<lstm_f32_cell, TILE>(job);
}

template <int TILE>
__global__ void __launch_bounds__(512, 1) lstm_f32_stack_kernel(const rnn_f32_stack stack)
{
    rnn_f32_run_stack<lstm_f32_cell, TILE>(stack);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    struct rnn_f32_cut cut;
    return desc->int8.levels == 0 && !desc->half_weights && rnn_has_defaults(desc, 3) &&
           desc->hidden <= RNN_F32_MOST_UNITS && desc->input <= RNN_F32_MOST_INPUT &&
           apx_rnn_f32_cut(device, desc, lstm_f32_cell::GATES, false, 1, 1, &cut);
}

size_t packed_bytes(const struct apx_rnn_desc *desc)
{
    return apx_rnn_f32_packed_bytes(desc, lstm_f32_cell::GATES);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_f32_cut cut = {};
    if (!apx_rnn_f32_cut(device, args->desc, lstm_f32_cell::GATES, false, args->rows, args->steps,
                         &cut))
        return APX_CUDA_CANNOT;
    return apx_lstm_f32_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_f32_cut cut = {};
    apx_rnn_f32_cut(device, desc, lstm_f32_cell::GATES, false, rows, steps, &cut);
    return cut.seconds;
}

int launch_stack(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                 size_t layers, int32_t *fault, void *stream)
{
    struct rnn_f32_stack_cut cut = {};
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    rnn_f32_descs(args, layers, descs);
    if (!apx_rnn_f32_stack_cut(device, descs, layers, lstm_f32_cell::GATES, false, args->rows,
                               args->steps, &cut))
        return APX_CUDA_CANNOT;
    return apx_lstm_f32_cuda_launch_stack(&cut, args, fault, stream);
}

double stack_seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *const *descs,
                     size_t layers, size_t rows, size_t steps)
{
    struct rnn_f32_stack_cut cut = {};
    return apx_rnn_f32_stack_cut(device, descs, layers, lstm_f32_cell::GATES, false, rows, steps,
                                 &cut)
               ? cut.seconds
               : INFINITY;
}
} // namespace

int apx_lstm_f32_cuda_launch(const struct rnn_f32_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream)
{
    const struct rnn_f32_job job = rnn_f32_make_job(args, fault, *cut);
    const struct simt_shape shape = rnn_f32_shape(job);
    switch (cut->tile) {
    case 1:
        return simt_launch(lstm_f32_kernel<1>, shape, stream, job);
    case 2:
        return simt_launch(lstm_f32_kernel<2>, shape, stream, job);
    case 4:
        return simt_launch(lstm_f32_kernel<4>, shape, stream, job);
    default:
        return simt_launch(lstm_f32_kernel<8>, shape, stream, job);
    }
}

int apx_lstm_f32_cuda_launch_stack(const struct rnn_f32_stack_cut *cut,
                                   const struct apx_rnn_args *args, int32_t *fault, void *stream)
{
    const struct rnn_f32_stack stack = rnn_f32_make_stack(*cut, args, fault);
    const struct simt_shape shape = rnn_f32_stack_shape(*cut, args->rows);
    switch (cut->layer[0].tile) {
    case 1:
        return simt_launch(lstm_f32_stack_kernel<1>, shape, stream, stack);
    case 2:
        return simt_launch(lstm_f32_stack_kernel<2>, shape, stream, stack);
    default:
        return simt_launch(lstm_f32_stack_kernel<4>, shape, stream, stack);
    }
}

const struct apx_cuda_rnn_row apx_lstm_f32_cuda = {
    "lstm_f32_cuda", "fp32", supports, packed_bytes, apx_lstm_f32_cuda_pack,
    scratch_bytes,   launch, seconds,  launch_stack, stack_seconds};
