/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f16.cu - the GRU row with products of halves, both forms: rnn_f16_body.cuh with GRU's cells.
 */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f16_body.cuh"

namespace
{
template <bool AFTER> struct gru_f16_cell {
    enum { RESET_BEFORE = !AFTER, HAS_C = 0 };
    static SIMT_MEMBER float cell(const float sums[4], float *h)
    {
        const float z = rnn_f16_sigmoid(sums[0]);
        float candidate = sums[2];
        if (AFTER)
            candidate = simt_fma(rnn_f16_sigmoid(sums[1]), sums[3], candidate);
        const float g = rnn_f16_tanh(candidate);
        *h = simt_fma(z, simt_add(*h, -g), g);
        return *h;
    }
};

template <bool AFTER, int TILES>
__global__ void __launch_bounds__(TILES > 1 ? 512 : 1024, 1)
    gru_f16_kernel(const struct rnn_f16_job job)
{
    rnn_f16_run<gru_f16_cell<AFTER>, TILES>(job);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    struct rnn_f16_cut cut;
    return desc->int8.levels == 0 && !(desc->clip > 0.0f) && desc->act[0].kind == APX_ACT_SIGMOID &&
           desc->act[1].kind == APX_ACT_TANH && desc->hidden <= RNN_F16_MOST_UNITS &&
           desc->input <= RNN_F16_MOST_INPUT &&
           apx_rnn_f16_cut(device, desc, !desc->reset_after, 1, 1, &cut);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

template <bool AFTER> int launch_form(const struct rnn_f16_job &job, void *stream)
{
    const struct simt_shape shape = rnn_f16_shape(job);
    switch (job.cut.tiles) {
    case 1:
        return simt_launch(gru_f16_kernel<AFTER, 1>, shape, stream, job);
    case 2:
        return simt_launch(gru_f16_kernel<AFTER, 2>, shape, stream, job);
    default:
        return simt_launch(gru_f16_kernel<AFTER, 4>, shape, stream, job);
    }
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_f16_cut cut = {};
    apx_rnn_f16_cut(device, args->desc, !args->desc->reset_after, args->rows, args->steps, &cut);
    return apx_gru_f16_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_f16_cut cut = {};
    apx_rnn_f16_cut(device, desc, !desc->reset_after, rows, steps, &cut);
    return cut.seconds;
}
} // namespace

int apx_gru_f16_cuda_launch(const struct rnn_f16_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream)
{
    const struct rnn_f16_job job = rnn_f16_make_job(args, fault, *cut);
    return args->desc->reset_after ? launch_form<true>(job, stream)
                                   : launch_form<false>(job, stream);
}

const struct apx_cuda_rnn_row apx_gru_f16_cuda = {"gru_f16_cuda",
                                                  "fp16",
                                                  supports,
                                                  apx_rnn_f16_packed_bytes,
                                                  apx_gru_f16_cuda_pack,
                                                  scratch_bytes,
                                                  launch,
                                                  seconds,
                                                  nullptr,
                                                  nullptr};
