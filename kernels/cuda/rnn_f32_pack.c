/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_pack.c - weights into the layout of rnn_f32_layout.h. */
#include "kernels/cuda/rnn_f32_layout.h"

static float at(const float *bias, size_t row)
{
    return bias != NULL ? bias[row] : 0.0f;
}

size_t apx_rnn_f32_packed_bytes(const struct apx_rnn_desc *desc, unsigned gates)
{
    return desc->hidden * (4 + gates * (desc->input + desc->hidden)) * sizeof(float);
}

static float weight(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                    size_t row, size_t k)
{
    return k < desc->input ? weights->w[row * desc->input + k]
                           : weights->r[row * desc->hidden + k - desc->input];
}

void apx_lstm_f32_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                            void *packed)
{
    const size_t hidden = desc->hidden;
    float *out = packed;
    for (size_t row = 0; row < 4 * hidden; row++)
        *out++ = at(weights->bias_w, row) + at(weights->bias_r, row);
    for (size_t k = 0; k < desc->input + hidden; k++)
        for (size_t unit = 0; unit < hidden; unit++)
            for (size_t gate = 0; gate < 4; gate++)
                *out++ = weight(desc, weights, gate * hidden + unit, k);
}

void apx_gru_f32_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed)
{
    const size_t hidden = desc->hidden;
    float *out = packed;
    for (size_t row = 0; row < 3 * hidden; row++) {
        const bool apart = row >= 2 * hidden && desc->reset_after;
        *out++ =
            apart ? at(weights->bias_w, row) : at(weights->bias_w, row) + at(weights->bias_r, row);
    }
    for (size_t unit = 0; unit < hidden; unit++)
        *out++ = desc->reset_after ? at(weights->bias_r, 2 * hidden + unit) : 0.0f;
    for (size_t k = 0; k < desc->input + hidden; k++)
        for (size_t row = 0; row < 3 * hidden; row++)
            *out++ = weight(desc, weights, row, k);
}
