/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8.cu - the int8 LSTM row: rnn_mma_body.cuh with LSTM's cell. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_mma_s8.cuh"

namespace
{
struct lstm_s8_cell {
    enum { RESET_BEFORE = 0, HAS_C = 1 };
    static SIMT_MEMBER float cell(const float sums[4], float *c)
    {
        float out, h;
        *c = cell_lstm_c(sums, *c, &out);
        cell_lstm_h(1, c, &out, &h);
        return h;
    }
};

using row = rnn_mma_row<4, true, apx_lstm_s8_cuda_launch>;
} // namespace

int apx_lstm_s8_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream)
{
    const struct rnn_mma_job job = rnn_mma_make_job(*cut, args, 4, fault);
    return job.layer.factor > 0.0f
               ? rnn_mma_launch<rnn_s8<4, false, true>, lstm_s8_cell>(job, stream)
               : rnn_mma_launch<rnn_s8<4, false, false>, lstm_s8_cell>(job, stream);
}

const struct apx_cuda_rnn_row apx_lstm_s8_cuda = row::make("lstm_s8_cuda");
