/* SPDX-License-Identifier: Apache-2.0 */
/* gru_s8.cu - the int8 GRU row, both forms: rnn_mma_body.cuh with GRU's cells. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_mma_s8.cuh"

namespace
{
template <bool AFTER> struct gru_s8_cell {
    enum { RESET_BEFORE = !AFTER, HAS_C = 0 };
    static SIMT_MEMBER float reset(float *z, float *r, float h)
    {
        cell_gru_gates(z, r);
        return simt_mul(*r, h);
    }
    /* Reset before: z and r have been made of their sums already. */
    static SIMT_MEMBER float cell(const float sums[4], float *h)
    {
        float z = sums[0], r = sums[1], candidate = sums[2];
        if (AFTER) {
            cell_gru_gates(&z, &r);
            candidate = simt_fma(r, sums[3], candidate);
        }
        cell_gru_h(1, &candidate, &z, h);
        return *h;
    }
};

using row = rnn_mma_row<3, true, apx_gru_s8_cuda_launch>;

template <bool AFTER> int launch_form(const struct rnn_mma_job &job, void *stream)
{
    return job.layer.factor > 0.0f
               ? rnn_mma_launch<rnn_s8<3, AFTER, true>, gru_s8_cell<AFTER>>(job, stream)
               : rnn_mma_launch<rnn_s8<3, AFTER, false>, gru_s8_cell<AFTER>>(job, stream);
}
} // namespace

int apx_gru_s8_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                           int32_t *fault, void *stream)
{
    const struct rnn_mma_job job = rnn_mma_make_job(*cut, args, 3, fault);
    return args->desc->reset_after ? launch_form<true>(job, stream)
                                   : launch_form<false>(job, stream);
}

const struct apx_cuda_rnn_row apx_gru_s8_cuda = row::make("gru_s8_cuda");
