/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f16_pack.c - weights into the layout of rnn_f16_layout.h. */
#include "kernels/cuda/rnn_f16_layout.h"

#include <math.h>
#include <string.h>

/* To half, to even; beyond its range the largest one. */
static uint32_t to_half(float value)
{
    const float magnitude = fminf(fabsf(value), 65504.0f);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000;
    int exponent;
    if (isnan(value))
        return 0x7fff;
    frexpf(magnitude, &exponent);
    if (magnitude < 0x1p-14f)
        exponent = -13; /* subnormal: steps of 2^-24 */
    const long steps = lrintf(ldexpf(magnitude, 11 - exponent));
    return sign | (uint32_t)((exponent + 13) * 1024 + steps);
}

/* Which row of w and of r feeds a sum of a unit; -1: none. */
struct source {
    ptrdiff_t w[4], r[4];
};

static struct source lstm_source(void)
{
    return (struct source){{0, 1, 2, 3}, {0, 1, 2, 3}};
}

static struct source gru_source(bool reset_after)
{
    return reset_after ? (struct source){{0, 1, 2, -1}, {0, 1, -1, 2}}
                       : (struct source){{0, 1, 2, -1}, {0, 1, 2, -1}};
}

static float weight(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                    const struct source *source, size_t sum, size_t unit, size_t k)
{
    const size_t x_width = rnn_f16_x_tiles(desc) * RNN_F16_K;
    const bool is_x = k < x_width;
    const ptrdiff_t gate = is_x ? source->w[sum] : source->r[sum];
    const size_t width = is_x ? desc->input : desc->hidden, at = is_x ? k : k - x_width;
    if (gate < 0 || unit >= desc->hidden || at >= width)
        return 0.0f;
    const size_t row = (size_t)gate * desc->hidden + unit;
    return (is_x ? weights->w : weights->r)[row * width + at];
}

size_t apx_rnn_f16_packed_bytes(const struct apx_rnn_desc *desc)
{
    const size_t octets = rnn_f16_octets(desc);
    return octets * (4 * RNN_F16_UNITS * sizeof(float) +
                     rnn_f16_k_tiles(desc) * RNN_F16_TILE_WORDS * sizeof(uint32_t));
}

static void pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                 const struct source *source, uint32_t *out)
{
    for (size_t octet = 0; octet < rnn_f16_octets(desc); octet++)
        for (size_t tile = 0; tile < rnn_f16_k_tiles(desc); tile++)
            for (size_t half = 0; half < 2; half++)
                for (size_t lane = 0; lane < 32; lane++)
                    for (size_t word = 0; word < 4; word++) {
                        const size_t sum = 2 * half + word % 2;
                        const size_t unit = octet * RNN_F16_UNITS + lane / 4;
                        const size_t k = tile * RNN_F16_K + lane % 4 * 2 + word / 2 * 8;
                        *out++ = to_half(weight(desc, weights, source, sum, unit, k)) |
                                 to_half(weight(desc, weights, source, sum, unit, k + 1)) << 16;
                    }
}

static float at(const float *bias, size_t row)
{
    return bias != NULL ? bias[row] : 0.0f;
}

void apx_lstm_f16_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                            void *packed)
{
    const size_t units = rnn_f16_octets(desc) * RNN_F16_UNITS, hidden = desc->hidden;
    float *bias = packed;
    for (size_t sum = 0; sum < 4; sum++)
        for (size_t unit = 0; unit < units; unit++)
            *bias++ = unit < hidden ? at(weights->bias_w, sum * hidden + unit) +
                                          at(weights->bias_r, sum * hidden + unit)
                                    : 0.0f;
    const struct source source = lstm_source();
    pack(desc, weights, &source, (uint32_t *)(void *)bias);
}

void apx_gru_f16_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed)
{
    const size_t units = rnn_f16_octets(desc) * RNN_F16_UNITS, hidden = desc->hidden;
    float *bias = packed;
    for (size_t sum = 0; sum < 4; sum++)
        for (size_t unit = 0; unit < units; unit++) {
            const size_t row = (sum < 3 ? sum : 2) * hidden + unit;
            const bool apart = sum >= 2 && desc->reset_after;
            float value = 0.0f;
            if (unit < hidden && sum < 3)
                value += at(weights->bias_w, row);
            if (unit < hidden && (sum < 2 || (sum == 3) == apart))
                value += at(weights->bias_r, row);
            *bias++ = value;
        }
    const struct source source = gru_source(desc->reset_after);
    pack(desc, weights, &source, (uint32_t *)(void *)bias);
}
