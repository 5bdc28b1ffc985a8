/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8.cu - the int8 LSTM row: rnn_s8_mma.cuh with LSTM's cell. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_s8_mma.cuh"

namespace
{
struct lstm_s8_cell {
    enum { GATES = 4, AFTER = 0, RESET_BEFORE = 0, HAS_C = 1 };
    static SIMT_MEMBER float cell(const float gates[4], float, float *c)
    {
        float out, h;
        *c = cell_lstm_c(gates, *c, &out);
        cell_lstm_h(1, c, &out, &h);
        return h;
    }
};

template <bool QX, int TILES>
__global__ void __launch_bounds__(TILES > 1 ? 512 : 1024, 1)
    lstm_s8_kernel(const struct rnn_s8_job job)
{
    rnn_s8_run<lstm_s8_cell, QX, TILES>(job);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return apx_rnn_s8_cuda_supports(device, desc, lstm_s8_cell::GATES);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

template <bool QX> int launch_form(const struct rnn_s8_job &job, void *stream)
{
    const struct simt_shape shape = rnn_s8_shape(job);
    switch (job.cut.tiles) {
    case 1:
        return simt_launch(lstm_s8_kernel<QX, 1>, shape, stream, job);
    case 2:
        return simt_launch(lstm_s8_kernel<QX, 2>, shape, stream, job);
    default:
        return simt_launch(lstm_s8_kernel<QX, 4>, shape, stream, job);
    }
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_s8_cut cut = {};
    apx_rnn_s8_cut(device, args->desc, lstm_s8_cell::GATES, args->rows, args->steps, &cut);
    return apx_lstm_s8_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_s8_cut cut = {};
    apx_rnn_s8_cut(device, desc, lstm_s8_cell::GATES, rows, steps, &cut);
    return cut.seconds;
}
} // namespace

int apx_lstm_s8_cuda_launch(const struct rnn_s8_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream)
{
    const struct rnn_s8_job job = rnn_s8_make_job(args, lstm_s8_cell::GATES, fault, *cut);
    return job.factor > 0.0f ? launch_form<true>(job, stream) : launch_form<false>(job, stream);
}

const struct apx_cuda_rnn_row apx_lstm_s8_cuda = {"lstm_s8_cuda",
                                                  "int8",
                                                  supports,
                                                  apx_lstm_s8_cuda_packed_bytes,
                                                  apx_lstm_s8_cuda_pack,
                                                  scratch_bytes,
                                                  launch,
                                                  seconds,
                                                  nullptr,
                                                  nullptr};
