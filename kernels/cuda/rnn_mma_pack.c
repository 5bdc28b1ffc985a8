/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma_pack.c - the layout of rnn_mma.h, and weights into it. */
#include "kernels/cuda/rnn_mma.h"

#include <math.h>
#include <string.h>

#include "kernels/rnn/rnn_s8.h"

enum {
    ALL = 2 * 32 * 4,        /* words of a tile: of all four sums */
    THREE = 32 * 4 + 32 * 2, /* of three */
    TABLE = 32,              /* bytes: simd_f32_cuda.cuh */
};

static unsigned pieces(size_t width, unsigned piece)
{
    return (unsigned)((width + piece - 1) / piece);
}

struct rnn_mma_layer apx_rnn_mma_layer(const struct apx_rnn_desc *desc, unsigned gates)
{
    struct rnn_mma_layer layer = {.is_int8 = desc->int8.levels > 0,
                                  .reset_before = gates == 3 && !desc->reset_after,
                                  .gates = gates,
                                  .octets = pieces(desc->hidden, RNN_MMA_UNITS)};
    const unsigned k = layer.is_int8 ? RNN_MMA_S8_K : RNN_MMA_F16_K;
    layer.units = layer.octets * RNN_MMA_UNITS;
    layer.x_tiles = pieces(desc->input, k);
    layer.h_tiles = pieces(desc->hidden, k);
    if (layer.is_int8) {
        layer.constants = 12;
        layer.levels = (float)desc->int8.levels;
        layer.factor = rnn_s8_x_factor(desc);
        if (!rnn_s8_quantises_x(desc)) {
            layer.x_tiles = 0;
            layer.floats = (unsigned)desc->input;
        }
        layer.tile_words = gates == 4 ? ALL : THREE;
        /* Rows 8 words apart, modulo 16 of them, so that loads of 8 bytes by four rows of lanes
         * meet no bank twice; of x, four rows' loads of 16 bytes likewise. */
        layer.x_pitch = 4 * (pieces(desc->input, 4) | 1);
        layer.qx_pitch = k * (pieces(desc->input, k) | 1);
        layer.h_pitch = k * (layer.h_tiles | 1);
    } else {
        layer.constants = 4;
        layer.tile_words = ALL;
        layer.x_pitch = layer.x_tiles * k + 8;
        layer.h_pitch = (layer.h_tiles * k + 8) * (unsigned)sizeof(uint16_t);
    }
    layer.x_words = layer.x_tiles * layer.tile_words + layer.floats * RNN_MMA_UNITS * 4;
    layer.octet_words = layer.x_words + layer.h_tiles * layer.tile_words;
    return layer;
}

struct rnn_mma_room apx_rnn_mma_room(const struct rnn_mma_layer *layer, unsigned rows)
{
    const bool rounds_x = layer->factor > 0.0f;
    const unsigned word = sizeof(float);
    struct rnn_mma_room room = {.x = layer->is_int8 ? TABLE : 0};
    room.qx = room.x + (rounds_x ? 1 : 3) * rows * layer->x_pitch * word;
    room.h = room.qx + (rounds_x ? 3 : 0) * rows * layer->qx_pitch;
    room.rh = room.h + 2 * rows * layer->h_pitch;
    room.lengths = room.rh + (layer->reset_before ? rows * layer->h_pitch : 0);
    room.marks = room.lengths + rows * word;
    room.weights = room.marks + (layer->is_int8 ? 3 * rows * word : 0);
    room.weights = pieces(room.weights, 16) * 16;
    return room;
}

size_t apx_rnn_mma_packed_bytes(const struct apx_rnn_desc *desc, unsigned gates)
{
    const struct rnn_mma_layer layer = apx_rnn_mma_layer(desc, gates);
    return ((size_t)layer.constants * layer.units + (size_t)layer.octets * layer.octet_words) * 4;
}

/* W or R. */
struct matrix {
    const float *floats;
    const int8_t *bytes; /* int8: these */
    size_t width;
    int gate[4]; /* that feeds a sum; -1: none */
};

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

/* One lane's word: the values of k, k + 1 ... of a matrix row. */
static uint32_t word_of(const struct matrix *matrix, bool is_int8, size_t row, size_t k)
{
    uint32_t word = 0;
    for (size_t i = 0; i < (is_int8 ? 4 : 2) && k + i < matrix->width; i++) {
        const size_t at = row * matrix->width + k + i;
        word |= is_int8 ? (uint32_t)(uint8_t)matrix->bytes[at] << 8 * i
                        : to_half(matrix->floats[at]) << 16 * i;
    }
    return word;
}

/* All tiles of k of one octet; returns the place behind them. */
static uint32_t *put_tiles(const struct rnn_mma_layer *layer, size_t hidden,
                           const struct matrix *matrix, size_t tiles, size_t octet, uint32_t *out)
{
    const bool is_int8 = layer->is_int8;
    for (size_t tile = 0; tile < tiles; tile++)
        for (size_t half = 0; half < 2; half++)
            for (size_t lane = 0; lane < 32; lane++)
                for (size_t word = 0; word < 4; word++) {
                    const size_t sum = 2 * half + word % 2;
                    const size_t unit = octet * RNN_MMA_UNITS + lane / 4;
                    const size_t k = is_int8 ? tile * RNN_MMA_S8_K + lane % 4 * 8 + word / 2 * 4
                                             : tile * RNN_MMA_F16_K + lane % 4 * 2 + word / 2 * 8;
                    if (sum == 3 && layer->tile_words == THREE)
                        continue;
                    *out++ =
                        unit < hidden && matrix->gate[sum] >= 0
                            ? word_of(matrix, is_int8, (size_t)matrix->gate[sum] * hidden + unit, k)
                            : 0;
                }
    return out;
}

/* Float weights of x of one octet. */
static uint32_t *put_floats(const struct rnn_mma_layer *layer, size_t hidden,
                            const struct matrix *w, size_t octet, uint32_t *out)
{
    float *to = (float *)(void *)out;
    for (size_t k = 0; k < layer->floats; k++)
        for (size_t i = 0; i < RNN_MMA_UNITS; i++)
            for (size_t gate = 0; gate < 4; gate++) {
                const size_t unit = octet * RNN_MMA_UNITS + i;
                *to++ = unit < hidden && gate < layer->gates
                            ? w->floats[(gate * hidden + unit) * w->width + k]
                            : 0.0f;
            }
    return (uint32_t *)(void *)to;
}

/* [constants / 4][4][units]. */
static void put_constants(const struct rnn_mma_layer *layer, const struct apx_rnn_desc *desc,
                          const struct apx_rnn_weights *weights, float *out)
{
    const size_t units = layer->units, hidden = desc->hidden;
    memset(out, 0, layer->constants * units * sizeof *out);
    for (size_t gate = 0; gate < layer->gates; gate++)
        for (size_t unit = 0; unit < hidden; unit++) {
            const size_t at = gate * hidden + unit;
            float *to = out + gate * units + unit;
            to[0] = rnn_s8_bias(weights, at);
            if (!layer->is_int8)
                continue;
            if (rnn_s8_quantises_x(desc))
                to[4 * units] = rnn_s8_x_scale(desc, weights, at);
            to[8 * units] = rnn_s8_h_scale(desc, weights, at);
        }
    for (size_t unit = 0; unit < hidden && layer->gates == 3 && desc->reset_after; unit++) {
        out[2 * units + unit] = rnn_s8_bias_w(weights, 2 * hidden + unit);
        out[3 * units + unit] = rnn_s8_bias_r(weights, 2 * hidden + unit);
    }
}

void apx_rnn_mma_pack(const struct apx_rnn_desc *desc, unsigned gates,
                      const struct apx_rnn_weights *weights, void *packed)
{
    const struct rnn_mma_layer layer = apx_rnn_mma_layer(desc, gates);
    const int last = gates == 4 ? 3 : -1;
    const struct matrix w = {weights->w, weights->w_s8, desc->input, {0, 1, 2, last}};
    struct matrix r = {weights->r, weights->r_s8, desc->hidden, {0, 1, 2, last}};
    if (gates == 3 && desc->reset_after && !layer.is_int8) {
        r.gate[2] = -1; /* candidate: r multiplies this half before it joins the other */
        r.gate[3] = 2;
    }
    put_constants(&layer, desc, weights, packed);
    uint32_t *out = (uint32_t *)packed + layer.constants * layer.units;
    for (size_t octet = 0; octet < layer.octets; octet++) {
        out = layer.floats > 0 ? put_floats(&layer, desc->hidden, &w, octet, out)
                               : put_tiles(&layer, desc->hidden, &w, layer.x_tiles, octet, out);
        out = put_tiles(&layer, desc->hidden, &r, layer.h_tiles, octet, out);
    }
}
