/* SPDX-License-Identifier: Apache-2.0 */
/* gru_pack.c - GRU weights into blocks of V units, for both forms (layout: rnn_layout.h). */
#include "kernels/cpu/half.h"
#include "kernels/dense/panel_layout.h"
#include "kernels/rnn/rnn_layout.h"

enum { GATE_Z, GATE_R, GATE_CANDIDATE };

static float at(const float *bias, size_t row)
{
    return bias != NULL ? bias[row] : 0.0f;
}

size_t apx_gru_packed_bytes(const struct apx_rnn_desc *desc, size_t lanes)
{
    size_t padded = rnn_padded(desc->hidden, lanes);
    size_t floats = padded / lanes * gru_block_floats(desc, lanes);
    if (!desc->reset_after)
        floats += padded * desc->hidden;
    return rnn_line(floats * sizeof(float));
}

/* [width][gates][lanes] of `matrix` [3H, width], units from `first`. */
static void *pack_columns(const struct apx_rnn_desc *desc, const float *matrix, size_t width,
                          size_t gates, size_t first, size_t lanes, void *out)
{
    const size_t hidden = desc->hidden;
    for (size_t k = 0; k < width; k++)
        for (size_t gate = 0; gate < gates; gate++)
            for (size_t lane = 0; lane < lanes; lane++) {
                size_t unit = first + lane;
                float w = unit < hidden ? matrix[(gate * hidden + unit) * width + k] : 0.0f;
                out = apx_rnn_put_weight(desc, w, out);
            }
    return out;
}

void apx_gru_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                  size_t lanes, float *packed)
{
    const size_t hidden = desc->hidden;
    float *out = packed;
    for (size_t first = 0; first < hidden; first += lanes) {
        for (size_t gate = 0; gate < (desc->reset_after ? 4u : 3u); gate++)
            for (size_t lane = 0; lane < lanes; lane++) {
                size_t unit = first + lane;
                float sum = 0.0f;
                if (unit < hidden && gate == 3)
                    sum = at(weights->bias_r, GATE_CANDIDATE * hidden + unit);
                else if (unit < hidden && gate == GATE_CANDIDATE && desc->reset_after)
                    sum = at(weights->bias_w, gate * hidden + unit);
                else if (unit < hidden)
                    sum = at(weights->bias_w, gate * hidden + unit) +
                          at(weights->bias_r, gate * hidden + unit);
                *out++ = sum;
            }
        void *place = pack_columns(desc, weights->w, desc->input, 3, first, lanes, out);
        pack_columns(desc, weights->r, hidden, desc->reset_after ? 3 : 2, first, lanes, place);
        out = packed + (first / lanes + 1) * gru_block_floats(desc, lanes);
    }
    if (desc->reset_after)
        return;
    const float *candidate = weights->r + GATE_CANDIDATE * hidden * hidden;
    for (size_t first = 0; first < hidden; first += PANEL_VECTORS * lanes) {
        size_t width = panel_width(hidden - first, lanes);
        for (size_t k = 0; k < hidden; k++)
            for (size_t lane = 0; lane < width; lane++) {
                size_t unit = first + lane;
                float w = unit < hidden ? candidate[unit * hidden + k] : 0.0f;
                *out++ = desc->half_weights ? apx_half_value(apx_half_of(w)) : w;
            }
    }
}
