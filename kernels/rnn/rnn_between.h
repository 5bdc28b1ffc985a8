/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_between.h - a single row: sums of later steps' x between those of h.
 *
 * Sums of h wait for R, which comes from the far cache with every step, and half of the
 * multiply-adds stand idle; sums of x, made for many steps at once, only multiply. So all but the
 * first steps' x is multiplied while R comes: between some columns of R stands one of W, for a
 * batch of six steps.
 *
 *     step (of 16)   0 .. 3             4 .. 9     10 .. 15
 *     its x          first of all       in 0 .. 3  in 6 .. 9, a quarter of W's columns in each
 *
 * Four steps of h are about what hides six steps of x. A block's columns of W are cut into four
 * pieces, one for each block of R: sums lie in memory from piece to piece. They are the same sums
 * in the same order, bias, x ascending, h ascending; when they are made does not show.
 *
 * Only where there are registers for it (24 sums of x beside four of h) and where h waits: not with
 * weights of half the size, not where R fits the near cache, not if W is small beside R.
 *
 * Included after simd_f32_<isa>.h. */
#ifndef APX_KERNELS_RNN_BETWEEN_H
#define APX_KERNELS_RNN_BETWEEN_H

#include "kernels/rnn/rnn_layout.h"
#include "kernels/rnn/rnn_weight.h"

enum {
    BETWEEN_BATCH = 6,  /* steps whose x is multiplied together */
    BETWEEN_PASSES = 4, /* steps of h that they are spread over: the last ones before them */
    BETWEEN_GATES = 4,  /* at most */
    BETWEEN_LEAST = 96  /* inputs, and hidden units */
};

/* Prefetching runs this many columns of W ahead, as the hardware's loses its way between two
 * streams. */
enum { BETWEEN_FETCH = 4 };

/* Columns of W of one block for the steps of a batch. */
struct rnn_between {
    const float *x;             /* [I] of the first step */
    ptrdiff_t x_step;           /* from there to the next one's */
    float *sums[BETWEEN_BATCH]; /* [gates][V] of this block */
    const float *bias;          /* likewise, where sums begin */
    const rnn_weight *weights;  /* of column 0 */
    size_t first, columns;
};

/* Whether this call takes x between h. */
static inline bool rnn_between_pays(const struct apx_rnn_args *args)
{
    return VF_LANES == 16 && !RNN_IS_HALF && args->rows == 1 &&
           args->desc->input >= BETWEEN_LEAST && args->desc->hidden >= BETWEEN_LEAST &&
           rnn_length(args, 0) >= BETWEEN_PASSES + BETWEEN_BATCH;
}

/* Steps whose x is multiplied first of all: enough to hide a batch behind, and such that nothing
 * but whole batches is left. */
static inline size_t rnn_between_lead(size_t length)
{
    return BETWEEN_PASSES + (length - BETWEEN_PASSES) % BETWEEN_BATCH;
}

/* The first step of the batch after that of `step`. */
static inline size_t rnn_between_next(size_t length, size_t step)
{
    const size_t lead = rnn_between_lead(length);
    return step < lead ? lead : step + BETWEEN_BATCH - (step - lead) % BETWEEN_BATCH;
}

/* The `turn`-th piece that pass number `pass` makes, of as many as there are blocks: block *number
 * and, in *piece, its columns; weights and rows are left to the caller. */
static inline void rnn_between_cut(size_t input, size_t blocks, size_t pass, size_t turn,
                                   size_t *number, struct rnn_between *piece)
{
    const size_t at = pass * blocks + turn, part = at % BETWEEN_PASSES;
    *number = at / BETWEEN_PASSES;
    piece->first = part * input / BETWEEN_PASSES;
    piece->columns = (part + 1) * input / BETWEEN_PASSES - piece->first;
}

/* The sums as the pieces before have left them. */
APX_INLINE void rnn_between_load(const struct rnn_between *piece, const int gates,
                                 vf sums[BETWEEN_BATCH][BETWEEN_GATES])
{
    APX_UNROLL_FOR (j, BETWEEN_BATCH) {
        const float *from = piece->first == 0 ? piece->bias : piece->sums[j];
        APX_UNROLL_FOR (g, gates)
            sums[j][g] = vf_load(from + g * VF_LANES);
    }
}

/* One column of W, at w, times x of each step. */
APX_INLINE void rnn_between_column(const rnn_weight *w, const float *x, ptrdiff_t x_step,
                                   const int gates, vf sums[BETWEEN_BATCH][BETWEEN_GATES])
{
    vf weights[BETWEEN_GATES];
    APX_UNROLL_FOR (g, gates) {
        __builtin_prefetch(w + (BETWEEN_FETCH * gates + g) * VF_LANES);
        weights[g] = rnn_weights_kept(w + g * VF_LANES);
    }
    const float *half = x + BETWEEN_BATCH / 2 * x_step; /* spares the address of each */
    APX_UNROLL_FOR (j, BETWEEN_BATCH) {
        const int at = j % (BETWEEN_BATCH / 2);
        const vf a = vf_set1((j == at ? x : half)[at * x_step]);
        APX_UNROLL_FOR (g, gates)
            sums[j][g] = vf_fma(a, weights[g], sums[j][g]);
    }
}

APX_INLINE void rnn_between_store(const struct rnn_between *piece, const int gates,
                                  vf sums[BETWEEN_BATCH][BETWEEN_GATES])
{
    APX_UNROLL_FOR (j, BETWEEN_BATCH) {
        APX_UNROLL_FOR (g, gates)
            vf_store(piece->sums[j] + g * VF_LANES, sums[j][g]);
    }
}

#endif
