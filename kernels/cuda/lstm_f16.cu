/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f16.cu - the LSTM row with products of halves: rnn_f16_body.cuh with LSTM's cell. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f16_body.cuh"

namespace
{
struct lstm_f16_cell {
    enum { RESET_BEFORE = 0, HAS_C = 1 };
    static SIMT_MEMBER float cell(const float sums[4], float *c)
    {
        const float i = rnn_f16_sigmoid(sums[0]), o = rnn_f16_sigmoid(sums[1]);
        const float f = rnn_f16_sigmoid(sums[2]), g = rnn_f16_tanh(sums[3]);
        *c = simt_fma(f, *c, simt_mul(i, g));
        return simt_mul(o, rnn_f16_tanh(*c));
    }
};

template <int TILES>
__global__ void __launch_bounds__(TILES > 1 ? 512 : 1024, 1)
    lstm_f16_kernel(const struct rnn_f16_job job)
{
    rnn_f16_run<lstm_f16_cell, TILES>(job);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    struct rnn_f16_cut cut;
    return desc->int8.levels == 0 && !desc->has_peephole && !desc->input_forget &&
           !(desc->clip > 0.0f) && desc->act[0].kind == APX_ACT_SIGMOID &&
           desc->act[1].kind == APX_ACT_TANH && desc->act[2].kind == APX_ACT_TANH &&
           desc->hidden <= RNN_F16_MOST_UNITS && desc->input <= RNN_F16_MOST_INPUT &&
           apx_rnn_f16_cut(device, desc, false, 1, 1, &cut);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_f16_cut cut = {};
    apx_rnn_f16_cut(device, args->desc, false, args->rows, args->steps, &cut);
    return apx_lstm_f16_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_f16_cut cut = {};
    apx_rnn_f16_cut(device, desc, false, rows, steps, &cut);
    return cut.seconds;
}
} // namespace

int apx_lstm_f16_cuda_launch(const struct rnn_f16_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream)
{
    const struct rnn_f16_job job = rnn_f16_make_job(args, fault, *cut);
    const struct simt_shape shape = rnn_f16_shape(job);
    switch (cut->tiles) {
    case 1:
        return simt_launch(lstm_f16_kernel<1>, shape, stream, job);
    case 2:
        return simt_launch(lstm_f16_kernel<2>, shape, stream, job);
    default:
        return simt_launch(lstm_f16_kernel<4>, shape, stream, job);
    }
}

const struct apx_cuda_rnn_row apx_lstm_f16_cuda = {"lstm_f16_cuda",
                                                   "fp16",
                                                   supports,
                                                   apx_rnn_f16_packed_bytes,
                                                   apx_lstm_f16_cuda_pack,
                                                   scratch_bytes,
                                                   launch,
                                                   seconds,
                                                   nullptr,
                                                   nullptr};
