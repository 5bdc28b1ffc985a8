/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_pack.c - LSTM weights into blocks of V units (layout: rnn_layout.h). */
#include "kernels/rnn/rnn_layout.h"

size_t apx_lstm_packed_bytes(const struct apx_rnn_desc *desc, size_t lanes)
{
    size_t blocks = rnn_padded(desc->hidden, lanes) / lanes;
    return rnn_line(blocks * lstm_block_floats(desc, lanes) * sizeof(float));
}

void apx_lstm_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                   size_t lanes, float *packed)
{
    const size_t input = desc->input, hidden = desc->hidden;
    for (size_t first = 0; first < hidden; first += lanes) {
        float *out = packed + first / lanes * lstm_block_floats(desc, lanes);
        for (size_t gate = 0; gate < 4; gate++)
            for (size_t lane = 0; lane < lanes; lane++) {
                size_t unit = first + lane, row = gate * hidden + unit;
                float sum = 0.0f;
                if (unit < hidden && weights->bias_w != NULL)
                    sum += weights->bias_w[row];
                if (unit < hidden && weights->bias_r != NULL)
                    sum += weights->bias_r[row];
                *out++ = sum;
            }
        for (size_t gate = 0; desc->has_peephole && gate < 3; gate++)
            for (size_t lane = 0; lane < lanes; lane++) {
                size_t unit = first + lane;
                bool given = unit < hidden && weights->peephole != NULL;
                *out++ = given ? weights->peephole[gate * hidden + unit] : 0.0f;
            }
        void *place = out;
        for (size_t k = 0; k < input + hidden; k++)
            for (size_t gate = 0; gate < 4; gate++)
                for (size_t lane = 0; lane < lanes; lane++) {
                    size_t unit = first + lane, row = gate * hidden + unit;
                    float w = 0.0f;
                    if (unit < hidden)
                        w = k < input ? weights->w[row * input + k]
                                      : weights->r[row * hidden + k - input];
                    place = apx_rnn_put_weight(desc, w, place);
                }
    }
}
