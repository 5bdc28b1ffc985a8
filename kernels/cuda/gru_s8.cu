/* SPDX-License-Identifier: Apache-2.0 */
/* gru_s8.cu - the int8 GRU row, both forms: rnn_s8_mma.cuh with GRU's cells. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_s8_mma.cuh"

namespace
{
template <bool IS_AFTER> struct gru_s8_cell {
    enum { GATES = 3, AFTER = IS_AFTER, RESET_BEFORE = !IS_AFTER, HAS_C = 0 };
    /* Reset before: z and r have been made of their sums already. */
    static SIMT_MEMBER float cell(float gates[4], float candidate_h, float *h)
    {
        float candidate = gates[2];
        if (IS_AFTER) {
            cell_gru_gates(&gates[0], &gates[1]);
            candidate = simt_fma(gates[1], candidate_h, candidate);
        }
        cell_gru_h(1, &candidate, &gates[0], h);
        return *h;
    }
};

template <bool AFTER, bool QX, int TILES>
__global__ void __launch_bounds__(TILES > 1 ? 512 : 1024, 1)
    gru_s8_kernel(const struct rnn_s8_job job)
{
    rnn_s8_run<gru_s8_cell<AFTER>, QX, TILES>(job);
}

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return apx_rnn_s8_cuda_supports(device, desc, 3);
}

size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
{
    return 0;
}

template <bool AFTER, bool QX> int launch_form(const struct rnn_s8_job &job, void *stream)
{
    const struct simt_shape shape = rnn_s8_shape(job);
    switch (job.cut.tiles) {
    case 1:
        return simt_launch(gru_s8_kernel<AFTER, QX, 1>, shape, stream, job);
    case 2:
        return simt_launch(gru_s8_kernel<AFTER, QX, 2>, shape, stream, job);
    default:
        return simt_launch(gru_s8_kernel<AFTER, QX, 4>, shape, stream, job);
    }
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    struct rnn_s8_cut cut = {};
    apx_rnn_s8_cut(device, args->desc, 3, args->rows, args->steps, &cut);
    return apx_gru_s8_cuda_launch(&cut, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    struct rnn_s8_cut cut = {};
    apx_rnn_s8_cut(device, desc, 3, rows, steps, &cut);
    return cut.seconds;
}
} // namespace

int apx_gru_s8_cuda_launch(const struct rnn_s8_cut *cut, const struct apx_rnn_args *args,
                           int32_t *fault, void *stream)
{
    const struct rnn_s8_job job = rnn_s8_make_job(args, 3, fault, *cut);
    const bool quantises_x = job.factor > 0.0f;
    if (args->desc->reset_after)
        return quantises_x ? launch_form<true, true>(job, stream)
                           : launch_form<true, false>(job, stream);
    return quantises_x ? launch_form<false, true>(job, stream)
                       : launch_form<false, false>(job, stream);
}

const struct apx_cuda_rnn_row apx_gru_s8_cuda = {"gru_s8_cuda",
                                                 "int8",
                                                 supports,
                                                 apx_gru_s8_cuda_packed_bytes,
                                                 apx_gru_s8_cuda_pack,
                                                 scratch_bytes,
                                                 launch,
                                                 seconds,
                                                 nullptr,
                                                 nullptr};
