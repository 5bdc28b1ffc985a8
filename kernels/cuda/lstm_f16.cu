/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f16.cu - the LSTM row with products of halves: rnn_mma_body.cuh with LSTM's cell. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_mma_f16.cuh"

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

using row = rnn_mma_row<4, false, apx_lstm_f16_cuda_launch>;
} // namespace

int apx_lstm_f16_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream)
{
    return rnn_mma_launch<rnn_f16, lstm_f16_cell>(rnn_mma_make_job(*cut, args, 4, fault), stream);
}

const struct apx_cuda_rnn_row apx_lstm_f16_cuda = row::make("lstm_f16_cuda");
