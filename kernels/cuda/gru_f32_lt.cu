/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f32_lt.cu - large GRU layers, both forms: rnn_lt.cuh with GRU's cells. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_layout.h"
#include "kernels/cuda/rnn_lt.cuh"
#include "kernels/rnn/rnn_layout.h"

namespace
{
enum { Z, R, CANDIDATE, CANDIDATE_H }; /* the last one: a bias of its own, reset after */

template <bool AFTER> struct gru_lt_cell {
    enum { GATES = 3, BEFORE = !AFTER, HAS_C = 0 };

    static SIMT_MEMBER size_t place(unsigned gate, unsigned unit, unsigned hidden)
    {
        return (size_t)gate * hidden + unit;
    }
    static SIMT_MEMBER void gates(float *z, float *r)
    {
        cell_gru_gates(z, r);
    }
    static SIMT_MEMBER float cell(const struct rnn_lt_job &job, float sums[GATES], size_t row,
                                  unsigned unit, size_t place)
    {
        const float *of_h = job.room.recurrent + row * job.room.sums_pitch + unit;
        float candidate = sums[CANDIDATE], z, h = job.room.h[place];
        if (AFTER) {
            float r = simt_add(sums[R], of_h[(size_t)R * job.hidden]);
            z = simt_add(sums[Z], of_h[0]);
            cell_gru_gates(&z, &r);
            candidate = simt_fma(r,
                                 simt_add(job.packed[(size_t)CANDIDATE_H * job.hidden + unit],
                                          of_h[(size_t)CANDIDATE * job.hidden]),
                                 candidate);
        } else {
            z = of_h[0]; /* rnn_lt_gates_kernel's */
            candidate = simt_add(candidate, job.room.candidate[place]);
        }
        cell_gru_h(1, &candidate, &z, &h);
        return h;
    }
};

bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return (desc->hidden >= RNN_LT_LEAST_UNITS || desc->input > RNN_F32_MOST_INPUT) &&
           apx_gru_f32_lt_can(device, desc);
}

size_t packed_bytes(const struct apx_rnn_desc *desc)
{
    return apx_rnn_f32_packed_bytes(desc, 3);
}

size_t scratch_bytes(const struct apx_rnn_desc *desc, size_t rows, size_t steps)
{
    return desc->reset_after ? rnn_lt_bytes<gru_lt_cell<true>>(desc, rows, steps)
                             : rnn_lt_bytes<gru_lt_cell<false>>(desc, rows, steps);
}

int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args, int32_t *fault,
           void *stream)
{
    return args->desc->reset_after ? rnn_lt_launch<gru_lt_cell<true>>(device, args, fault, stream)
                                   : rnn_lt_launch<gru_lt_cell<false>>(device, args, fault, stream);
}

double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc, size_t rows,
               size_t steps)
{
    return desc->reset_after ? rnn_lt_seconds<gru_lt_cell<true>>(device, desc, rows, steps)
                             : rnn_lt_seconds<gru_lt_cell<false>>(device, desc, rows, steps);
}
} // namespace

bool apx_gru_f32_lt_can(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    return desc->int8.levels == 0 && !desc->half_weights && rnn_has_defaults(desc, 2) &&
           (desc->reset_after ? rnn_lt_can<gru_lt_cell<true>>(device, desc)
                              : rnn_lt_can<gru_lt_cell<false>>(device, desc));
}

const struct apx_cuda_rnn_row apx_gru_f32_lt_cuda = {
    "gru_f32_lt_cuda", "fp32", supports, packed_bytes, apx_gru_f32_cuda_pack,
    scratch_bytes,     launch, seconds,  nullptr,      nullptr};
