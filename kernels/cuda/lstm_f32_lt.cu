/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f32_lt.cu - large LSTM layers: rnn_lt.cuh with LSTM's cell. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_layout.h"
#include "kernels/cuda/rnn_lt.cuh"
#include "kernels/rnn/rnn_layout.h"

namespace
{
struct lstm_lt_cell {
    enum { GATES = 4, BEFORE = 0, HAS_C = 1 };

    /* The gates of a unit lie beside each other. */
    static SIMT_MEMBER size_t place(unsigned gate, unsigned unit, unsigned)
    {
        return 4 * (size_t)unit + gate;
    }
    static SIMT_MEMBER float cell(const struct rnn_lt_job &job, float sums[GATES], size_t row,
                                  unsigned unit, size_t place)
    {
        const float4 of_h =
            *(const float4 *)(job.room.recurrent + row * job.room.sums_pitch + 4 * (size_t)unit);
        sums[0] = simt_add(sums[0], of_h.x);
        sums[1] = simt_add(sums[1], of_h.y);
        sums[2] = simt_add(sums[2], of_h.z);
        sums[3] = simt_add(sums[3], of_h.w);
        float out, h;
        const float c = cell_lstm_c(sums, job.room.state[place], &out);
        job.room.state[place] = c;
        cell_lstm_h(1, &c, &out, &h);
        return h;
    }
};

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return (desc->hidden >= RNN_LT_LEAST_UNITS || desc->input > RNN_F32_MOST_INPUT) &&
           apx_lstm_f32_lt_can(device, desc);
}

size_t packed_bytes(const struct apx_rnn_desc *desc)
{
    return apx_rnn_f32_packed_bytes(desc, lstm_lt_cell::GATES);
}
} // namespace

bool apx_lstm_f32_lt_can(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return desc->int8.levels == 0 && !desc->half_weights && rnn_has_defaults(desc, 3) &&
           rnn_lt_can<lstm_lt_cell>(device, desc);
}

const struct apx_cuda_rnn_row apx_lstm_f32_lt_cuda = {"lstm_f32_lt_cuda",
                                                      "fp32",
                                                      supports,
                                                      packed_bytes,
                                                      apx_lstm_f32_cuda_pack,
                                                      rnn_lt_bytes<lstm_lt_cell>,
                                                      rnn_lt_launch<lstm_lt_cell>,
                                                      rnn_lt_seconds<lstm_lt_cell>,
                                                      nullptr,
                                                      nullptr};
