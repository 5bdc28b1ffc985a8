/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_mma.h - weights of the int8 recurrent kernels, and how a launch is cut.
 *
 * A warp owns an octet: eight units, whose gates are two tiles of 16 weight rows (the A operand of
 * simt_mma_s8): gates 0 and 1 of the eight units, then gates 2 and 3 of them. So one thread holds
 * all sums of a unit.
 *
 *   LSTM  i, o     f, c
 *   GRU   z, r     candidate, nothing (which is not stored either)
 *
 * Packed, words of 4 bytes:
 *
 *   constants  float [3][4][units]: what sums start from, what those over x and those over h are
 *              multiplied by. GRU's fourth bias is Rb of the candidate (reset after) or 0
 *   then for each octet
 *     x        quantised: as h, filled up with zeros to a multiple of 32. Else the float weights,
 *              [input][8 units][4 gates]
 *     h        for each 32 values of k: [lane][4 words] of the first tile, [lane][4 words] of the
 *              second one ([lane][2 words] of a GRU)
 *
 * Sums of integers are exact, so the order of k is free: lane q of four has values 8 q to 8 q + 7
 * of the 32, which are then one load of 8 bytes on the other side. */
#ifndef APX_CUDA_RNN_S8_MMA_H
#define APX_CUDA_RNN_S8_MMA_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

enum {
    RNN_S8_UNITS = 8, /* of an octet */
    RNN_S8_K = 32,    /* of a tile */
    RNN_S8_CONSTANTS = 12,
    RNN_S8_MOST_UNITS = 2048,
    RNN_S8_MOST_INPUT = 4096,
};

/* A cluster of `cluster` blocks takes 8 * tiles rows; each of its blocks has `octets` octets, one
 * warp each. */
struct rnn_s8_cut {
    unsigned cluster, octets, tiles;
    bool resident; /* weights in shared memory; else read from L2 at every step */
    size_t shared;
    double seconds; /* estimate for the whole batch */
};

static inline size_t rnn_s8_round(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}
static inline size_t rnn_s8_octets(const struct apx_rnn_desc *desc)
{
    return rnn_s8_round(desc->hidden, RNN_S8_UNITS) / RNN_S8_UNITS;
}
/* Tiles of `width` values of k. */
static inline unsigned rnn_s8_tiles(size_t width)
{
    return (unsigned)(rnn_s8_round(width, RNN_S8_K) / RNN_S8_K);
}
/* Words of one octet and tile of k. */
static inline unsigned rnn_s8_tile_words(unsigned gates)
{
    return 32 * 4 + 32 * (gates == 4 ? 4 : 2);
}
/* Words of one octet: of x, and of both. */
static inline size_t rnn_s8_x_words(const struct apx_rnn_desc *desc, unsigned gates)
{
    if (desc->int8.input_scale > 0.0f)
        return (size_t)rnn_s8_tiles(desc->input) * rnn_s8_tile_words(gates);
    return desc->input * RNN_S8_UNITS * 4;
}
static inline size_t rnn_s8_octet_words(const struct apx_rnn_desc *desc, unsigned gates)
{
    return rnn_s8_x_words(desc, gates) +
           (size_t)rnn_s8_tiles(desc->hidden) * rnn_s8_tile_words(gates);
}
/* Bytes from row to row of quantised values: rows 8 words apart, modulo 16 of them, so that loads
 * of 8 bytes by four rows of lanes meet no bank twice. */
static inline unsigned rnn_s8_pitch(size_t width)
{
    return RNN_S8_K * (rnn_s8_tiles(width) | 1);
}
/* Floats from row to row of x: four rows' loads of 16 bytes likewise. */
static inline unsigned rnn_s8_x_pitch(size_t width)
{
    return 4 * ((unsigned)((width + 3) / 4) | 1);
}

/* Bytes of shared memory of a block beside its weights, a multiple of 16. */
size_t apx_rnn_s8_state_bytes(const struct apx_rnn_desc *desc, bool reset_before, unsigned rows);
/* The rest of a cut whose cluster and tiles (powers of two, tiles up to 4) are set; false if the
 * device or the layer does not permit it. gates: 4 for LSTM, 3 for GRU. */
bool apx_rnn_s8_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                             unsigned gates, struct rnn_s8_cut *cut);
/* The fastest by estimate. All cuts give the same bits. */
bool apx_rnn_s8_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                    unsigned gates, size_t rows, size_t steps, struct rnn_s8_cut *out);
/* Whether the rows take this layer. */
bool apx_rnn_s8_cuda_supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates);
/* What x is multiplied by before it is rounded; 0: it is not. */
float apx_rnn_s8_cuda_factor(const struct apx_rnn_desc *desc);

int apx_lstm_s8_cuda_launch(const struct rnn_s8_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream);
int apx_gru_s8_cuda_launch(const struct rnn_s8_cut *cut, const struct apx_rnn_args *args,
                           int32_t *fault, void *stream);

size_t apx_lstm_s8_cuda_packed_bytes(const struct apx_rnn_desc *desc);
size_t apx_gru_s8_cuda_packed_bytes(const struct apx_rnn_desc *desc);
void apx_lstm_s8_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed);
void apx_gru_s8_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                          void *packed);

#ifdef __cplusplus
}
#endif
#endif
