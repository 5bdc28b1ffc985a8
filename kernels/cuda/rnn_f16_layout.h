/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f16_layout.h - weights of the recurrent kernels whose products are of halves, and how a
 * launch is cut.
 *
 * A warp owns an octet: eight units with four sums each, as two tiles of 16 weight rows (the A
 * operand of simt_mma_f16): gates 0 and 1 of the eight units, gates 2 and 3 of them. So one thread
 * holds all four sums of a unit.
 *
 *   LSTM                i, o     f, c
 *   GRU, reset after    z, r     candidate's x half, candidate's h half
 *   GRU, reset before   z, r     candidate, nothing
 *
 * Packed: bias, float [4][units]; then for each octet, each 16 values of k (x first, filled up with
 * zeros to a multiple of 16, then h likewise), each of the two tiles: [lane][4 words], one load of
 * 16 bytes a lane. What a block of a cluster needs is in one piece. Weights beyond the range of
 * halves are bounded by it. */
#ifndef APX_CUDA_RNN_F16_LAYOUT_H
#define APX_CUDA_RNN_F16_LAYOUT_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

enum {
    RNN_F16_UNITS = 8, /* of an octet */
    RNN_F16_K = 16,    /* of a tile */
    RNN_F16_TILE_WORDS = 2 * 32 * 4,
    RNN_F16_MOST_UNITS = 2048,
    RNN_F16_MOST_INPUT = 4096,
};

/* A cluster of `cluster` blocks takes 8 * tiles rows; each of its blocks has `octets` octets, one
 * warp each. */
struct rnn_f16_cut {
    unsigned cluster, octets, tiles;
    bool resident; /* weights in shared memory; else read from L2 at every step */
    size_t shared;
    double seconds; /* estimate for the whole batch */
};

static inline size_t rnn_f16_round(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}
static inline size_t rnn_f16_octets(const struct apx_rnn_desc *desc)
{
    return rnn_f16_round(desc->hidden, RNN_F16_UNITS) / RNN_F16_UNITS;
}
/* Tiles of k: of x, and of both. */
static inline size_t rnn_f16_x_tiles(const struct apx_rnn_desc *desc)
{
    return rnn_f16_round(desc->input, RNN_F16_K) / RNN_F16_K;
}
static inline size_t rnn_f16_k_tiles(const struct apx_rnn_desc *desc)
{
    return rnn_f16_x_tiles(desc) + rnn_f16_round(desc->hidden, RNN_F16_K) / RNN_F16_K;
}

/* The rest of a cut whose cluster and tiles (powers of two, tiles up to 4) are set. */
bool apx_rnn_f16_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              bool reset_before, struct rnn_f16_cut *cut);
/* The fastest by estimate. All cuts give the same bits. */
bool apx_rnn_f16_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     bool reset_before, size_t rows, size_t steps, struct rnn_f16_cut *out);

int apx_lstm_f16_cuda_launch(const struct rnn_f16_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream);
int apx_gru_f16_cuda_launch(const struct rnn_f16_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream);

size_t apx_rnn_f16_packed_bytes(const struct apx_rnn_desc *desc);
void apx_lstm_f16_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                            void *packed);
void apx_gru_f16_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed);

#ifdef __cplusplus
}
#endif
#endif
