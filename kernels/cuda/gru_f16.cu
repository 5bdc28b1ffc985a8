/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f16.cu - the GRU row with products of halves, both forms: rnn_mma_body.cuh with GRU's cells.
 */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_mma_f16.cuh"

namespace
{
template <bool AFTER> struct gru_f16_cell {
    enum { RESET_BEFORE = !AFTER, HAS_C = 0 };
    static SIMT_MEMBER float reset(const float *, const float *r, float h)
    {
        return simt_mul(rnn_f16_sigmoid(*r), h);
    }
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

using row = rnn_mma_row<3, false, apx_gru_f16_cuda_launch>;
} // namespace

int apx_gru_f16_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream)
{
    const struct rnn_mma_job job = rnn_mma_make_job(*cut, args, 3, fault);
    return args->desc->reset_after ? rnn_mma_launch<rnn_f16, gru_f16_cell<true>>(job, stream)
                                   : rnn_mma_launch<rnn_f16, gru_f16_cell<false>>(job, stream);
}

const struct apx_cuda_rnn_row apx_gru_f16_cuda = row::make("gru_f16_cuda");
