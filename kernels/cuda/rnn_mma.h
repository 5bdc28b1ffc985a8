/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma.h - recurrent layers on the tensor cores, products of halves or (desc->int8) of bytes:
 * how weights lie, and how a launch is cut.
 *
 * A warp owns an octet: eight units with four sums each, as two tiles of 16 weight rows (the left
 * operand of simt_mma_f16 and simt_mma_s8): sums 0 and 1 of the eight units, then sums 2 and 3 of
 * them. So one thread holds all sums of a unit.
 *
 *   LSTM                        i, o     f, c
 *   GRU of halves, reset after  z, r     candidate's x half, candidate's h half
 *   GRU else                    z, r     candidate, nothing
 *
 * Packed, words of 4 bytes:
 *
 *   constants  float [4][units]: what sums start from; sum 3 of a GRU from Rb of the candidate
 *              (reset after) or 0. Bytes: two more such tables, what sums over x and those over h
 *              are multiplied by
 *   then for each octet, so that what a block needs is in one piece
 *     x        for each tile of k (16 halves or 32 bytes, filled up with zeros): [lane][4 words] of
 *              the first 16 weight rows, [lane][4 words] of the others ([lane][2 words] of a GRU of
 *              bytes: nothing is not stored). Bytes with an x that is not rounded: the float
 *              weights, [input][8 units][4 gates]
 *     h        tiles of k likewise
 *
 * Sums of integers are exact, so the order of k is free: of bytes, lane q of four has values 8 q to
 * 8 q + 7 of the 32, which are then one load of 8 bytes on the other side. Weights beyond the range
 * of halves are bounded by it. */
#ifndef APX_CUDA_RNN_MMA_H
#define APX_CUDA_RNN_MMA_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

enum {
    RNN_MMA_UNITS = 8, /* of an octet */
    RNN_MMA_F16_K = 16,
    RNN_MMA_S8_K = 32, /* of a tile */
    RNN_MMA_MOST_UNITS = 2048,
    RNN_MMA_MOST_INPUT = 4096,
};

/* What follows from the descriptor alone. */
struct rnn_mma_layer {
    bool is_int8, reset_before;
    unsigned gates;                /* 4: LSTM, 3: GRU */
    unsigned units, octets;        /* units: with filled up octets */
    unsigned constants;            /* floats a unit */
    unsigned x_tiles, h_tiles;     /* of k */
    unsigned floats;               /* inputs that are multiplied in float: all or none */
    unsigned tile_words;           /* of one octet and tile of k */
    unsigned x_words, octet_words; /* of one octet: of x, of x and h */
    unsigned x_pitch, qx_pitch,
        h_pitch;          /* from row to row: floats of x; bytes of rounded x, of h */
    float levels, factor; /* int8: of h; what x is multiplied by before rounding, or 0 */
};

/* Where things lie in a block's shared memory, in bytes. */
struct rnn_mma_room {
    unsigned x;       /* float [3][rows][x_pitch]; only [1] where it is rounded: */
    unsigned qx;      /* [3][rows][qx_pitch] */
    unsigned h, rh;   /* [2][rows][h_pitch]; reset before: r h, [rows][h_pitch] */
    unsigned lengths; /* int32_t [rows] */
    unsigned marks;   /* bytes: int32_t [3][rows] */
    unsigned weights; /* of the block's octets, where they are resident */
};

/* A cluster of `cluster` blocks takes 8 * tiles rows; each of its blocks has `octets` octets, one
 * warp each. */
struct rnn_mma_cut {
    unsigned cluster, octets, tiles;
    bool resident; /* weights in shared memory; else read from L2 at every step */
    size_t shared;
    double seconds; /* estimate for the whole batch */
};

/* gates: 4 for LSTM, 3 for GRU, here and below. */
struct rnn_mma_layer apx_rnn_mma_layer(const struct apx_rnn_desc *desc, unsigned gates);
struct rnn_mma_room apx_rnn_mma_room(const struct rnn_mma_layer *layer, unsigned rows);

/* Whether the rows take this layer. */
bool apx_rnn_mma_supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                          unsigned gates);
/* The rest of a cut whose cluster and tiles (powers of two, tiles up to 4) are set; false if the
 * device or the layer does not permit it. */
bool apx_rnn_mma_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates, struct rnn_mma_cut *cut);
/* The fastest by estimate. All cuts give the same bits. */
bool apx_rnn_mma_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     unsigned gates, size_t rows, size_t steps, struct rnn_mma_cut *out);

size_t apx_rnn_mma_packed_bytes(const struct apx_rnn_desc *desc, unsigned gates);
void apx_rnn_mma_pack(const struct apx_rnn_desc *desc, unsigned gates,
                      const struct apx_rnn_weights *weights, void *packed);

/* Enqueue with a cut: 0 or CUDA's error number. For checks and for measuring cuts; rows choose by
 * apx_rnn_mma_cut. */
int apx_lstm_f16_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream);
int apx_gru_f16_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream);
int apx_lstm_s8_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream);
int apx_gru_s8_cuda_launch(const struct rnn_mma_cut *cut, const struct apx_rnn_args *args,
                           int32_t *fault, void *stream);

#ifdef __cplusplus
}
#endif
#endif
