/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_mma_pack.c - int8 weights into the layout of rnn_s8_mma.h. */
#include "kernels/cuda/rnn_s8_mma.h"

#include "kernels/rnn/rnn_s8.h"

float apx_rnn_s8_cuda_factor(const struct apx_rnn_desc *desc)
{
    return rnn_s8_x_factor(desc);
}

static size_t packed_bytes(const struct apx_rnn_desc *desc, unsigned gates)
{
    const size_t octets = rnn_s8_octets(desc);
    return octets * (RNN_S8_CONSTANTS * RNN_S8_UNITS + rnn_s8_octet_words(desc, gates)) * 4;
}

size_t apx_lstm_s8_cuda_packed_bytes(const struct apx_rnn_desc *desc)
{
    return packed_bytes(desc, 4);
}

size_t apx_gru_s8_cuda_packed_bytes(const struct apx_rnn_desc *desc)
{
    return packed_bytes(desc, 3);
}

/* The four values of k of one lane's word for matrix row `at` of [gates * hidden, width]. */
static uint32_t four(const int8_t *matrix, size_t at, size_t width, size_t k)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4 && k + i < width; i++)
        word |= (uint32_t)(uint8_t)matrix[at * width + k + i] << 8 * i;
    return word;
}

/* All tiles of k of one octet; returns the place behind them. */
static uint32_t *put_tiles(const struct apx_rnn_desc *desc, unsigned gates, const int8_t *matrix,
                           size_t width, size_t octet, uint32_t *out)
{
    for (size_t tile = 0; tile < rnn_s8_tiles(width); tile++)
        for (size_t half = 0; half < 2; half++)
            for (size_t lane = 0; lane < 32; lane++)
                for (size_t word = 0; word < 4; word++) {
                    const size_t gate = 2 * half + word % 2;
                    const size_t unit = octet * RNN_S8_UNITS + lane / 4;
                    const size_t k = tile * RNN_S8_K + lane % 4 * 8 + word / 2 * 4;
                    if (half == 1 && gates < 4 && word % 2 == 1)
                        continue; /* the gate that a GRU does not have */
                    *out++ = unit < desc->hidden
                                 ? four(matrix, gate * desc->hidden + unit, width, k)
                                 : 0;
                }
    return out;
}

/* Float weights of x of one octet. */
static uint32_t *put_floats(const struct apx_rnn_desc *desc, unsigned gates, const float *w,
                            size_t octet, uint32_t *out)
{
    float *to = (float *)(void *)out;
    for (size_t k = 0; k < desc->input; k++)
        for (size_t i = 0; i < RNN_S8_UNITS; i++)
            for (size_t gate = 0; gate < 4; gate++) {
                const size_t unit = octet * RNN_S8_UNITS + i;
                *to++ = unit < desc->hidden && gate < gates
                            ? w[(gate * desc->hidden + unit) * desc->input + k]
                            : 0.0f;
            }
    return out + desc->input * RNN_S8_UNITS * 4;
}

static void pack(const struct apx_rnn_desc *desc, unsigned gates,
                 const struct apx_rnn_weights *weights, void *packed)
{
    const size_t octets = rnn_s8_octets(desc), units = octets * RNN_S8_UNITS;
    const bool quantises_x = rnn_s8_quantises_x(desc);
    float *bias = packed, *x_scale = bias + 4 * units, *h_scale = x_scale + 4 * units;
    for (size_t gate = 0; gate < 4; gate++)
        for (size_t unit = 0; unit < units; unit++) {
            const size_t place = gate * units + unit, at = gate * desc->hidden + unit;
            const bool exists = unit < desc->hidden && gate < gates;
            bias[place] = exists ? rnn_s8_bias(weights, at) : 0.0f;
            x_scale[place] = exists && quantises_x ? rnn_s8_x_scale(desc, weights, at) : 0.0f;
            h_scale[place] = exists ? rnn_s8_h_scale(desc, weights, at) : 0.0f;
        }
    for (size_t unit = 0; unit < desc->hidden && gates == 3 && desc->reset_after; unit++) {
        bias[2 * units + unit] = rnn_s8_bias_w(weights, 2 * desc->hidden + unit);
        bias[3 * units + unit] = rnn_s8_bias_r(weights, 2 * desc->hidden + unit);
    }
    uint32_t *out = (uint32_t *)(void *)(h_scale + 4 * units);
    for (size_t octet = 0; octet < octets; octet++) {
        out = quantises_x ? put_tiles(desc, gates, weights->w_s8, desc->input, octet, out)
                          : put_floats(desc, gates, weights->w, octet, out);
        out = put_tiles(desc, gates, weights->r_s8, desc->hidden, octet, out);
    }
}

void apx_lstm_s8_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed)
{
    pack(desc, 4, weights, packed);
}

void apx_gru_s8_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                          void *packed)
{
    pack(desc, 3, weights, packed);
}
