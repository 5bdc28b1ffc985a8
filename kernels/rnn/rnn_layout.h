/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_layout.h - packed weights and scratch of the recurrent rows, for V lanes.
 *
 * LSTM: hidden units are cut into blocks of V, the last one padded with zeros. A block holds all
 * that its units need, in the order in which the kernel reads it:
 *
 *     bias      [4][V]         gates i,o,f,c; Wb + Rb
 *     peephole  [3][V]         i,o,f; only if the descriptor has them
 *     weights   [I+H][4][V]    first the columns of W, then those of R
 *
 * GRU, reset after: the candidate's two halves stay apart.
 *
 *     bias      [4][V]         z, r (Wb + Rb), candidate Wb, candidate Rb
 *     weights   [I][3][V]      z, r, candidate
 *     weights   [H][3][V]      z, r, candidate
 *
 * GRU, reset before: the candidate's recurrent half needs r of all units, hence a second pass over
 * panels of up to four vectors (kernels/dense/panel.h) that follow all blocks.
 *
 *     bias      [3][V]         z, r, candidate; Wb + Rb
 *     weights   [I][3][V]      z, r, candidate
 *     weights   [H][2][V]      z, r
 *     ... after the last block, per panel: [H][up to 4 V]
 *
 * With half_weights, `weights` are of half precision; panels hold the same numbers as floats. */
#ifndef APX_KERNELS_RNN_LAYOUT_H
#define APX_KERNELS_RNN_LAYOUT_H

#include "kernels/kernels.h"

/* Nothing beyond the operators' defaults (LSTM: 3 activations, GRU: 2). */
static inline bool rnn_has_defaults(const struct apx_rnn_desc *desc, int activations)
{
    if (desc->has_peephole || desc->input_forget || desc->clip > 0.0f)
        return false;
    for (int i = 0; i < activations; i++)
        if (desc->act[i].kind != (i == 0 ? APX_ACT_SIGMOID : APX_ACT_TANH))
            return false;
    return true;
}

/* Hidden width rounded up to whole vectors. */
static inline size_t rnn_padded(size_t hidden, size_t lanes)
{
    return (hidden + lanes - 1) / lanes * lanes;
}

/* Bytes rounded up to a cache line. */
static inline size_t rnn_line(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Floats that `count` of a block's weights take the room of. */
static inline size_t rnn_weight_floats(const struct apx_rnn_desc *desc, size_t count)
{
    return desc->half_weights ? (count + 1) / 2 : count;
}

/* Floats in one block. */
static inline size_t lstm_block_floats(const struct apx_rnn_desc *desc, size_t lanes)
{
    return lanes * (4 + (desc->has_peephole ? 3 : 0)) +
           rnn_weight_floats(desc, lanes * 4 * (desc->input + desc->hidden));
}

static inline size_t gru_block_floats(const struct apx_rnn_desc *desc, size_t lanes)
{
    const size_t input = 3 * desc->input, hidden = (desc->reset_after ? 3 : 2) * desc->hidden;
    return lanes * (desc->reset_after ? 4 : 3) + rnn_weight_floats(desc, lanes * (input + hidden));
}

/* Few rows: how many steps of x go ahead of the recurrence. Twelve fill two tiles of AVX-512 or
 * four of AVX2; their sums at H = 128 are 24 KB a row, written and read once in order. Narrower
 * inputs are not worth the detour. */
#define RNN_AHEAD_STEPS       12
#define RNN_AHEAD_LEAST_INPUT 16

/* Bytes for the sums of x; `width` floats a row and step. They are used by calls with fewer rows
 * than a tile; since a caller may run fewer rows than it has scratch for, they count always. */
static inline size_t rnn_ahead_bytes(const struct apx_rnn_desc *desc, size_t rows, size_t tile,
                                     size_t width)
{
    const size_t few = rows < tile ? rows : tile - 1;
    if (desc->input < RNN_AHEAD_LEAST_INPUT)
        return 0;
    return rnn_line(few * RNN_AHEAD_STEPS * width * sizeof(float));
}

/* Put a weight where the blocks' packing has got to; returns the place behind it. */
void *apx_rnn_put_weight(const struct apx_rnn_desc *desc, float weight, void *place);
size_t apx_lstm_packed_bytes(const struct apx_rnn_desc *desc, size_t lanes);
void apx_lstm_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                   size_t lanes, float *packed);
size_t apx_gru_packed_bytes(const struct apx_rnn_desc *desc, size_t lanes);
void apx_gru_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                  size_t lanes, float *packed);

/* ---- what every body does around its tiles ---- */

/* Valid steps of row n. */
static inline size_t rnn_length(const struct apx_rnn_args *args, size_t n)
{
    return args->lengths == NULL ? args->steps : (size_t)args->lengths[n];
}

/* The time at which row n takes its step number `step`. */
static inline size_t rnn_time(const struct apx_rnn_args *args, size_t n, size_t step)
{
    return args->desc->reverse ? rnn_length(args, n) - 1 - step : step;
}

/* The order in which a single row's step takes the `count` pieces of the weights; `turn` counts
 * from 0. Each step goes the way of the one before backwards, since that has left its last pieces
 * in the near caches. Either way ends at the highest units, whose h the next step's sums need last:
 *
 *     even steps  4 2 0 1 3 5      odd steps  5 3 1 0 2 4 */
static inline size_t rnn_turn(size_t step, size_t turn, size_t count)
{
    const size_t place = step % 2 == 0 ? turn : count - 1 - turn, down = (count + 1) / 2;
    const size_t last_even = (count - 1) / 2 * 2;
    return place < down ? last_even - 2 * place : 2 * (place - down) + 1;
}

/* Rows that still have a valid step, into active[N]; returns how many. */
size_t apx_rnn_active(const struct apx_rnn_args *args, size_t step, uint32_t *active);
/* state[N][padded] from `first` (rows first_row apart) or zeros; the padding is zero. */
void apx_rnn_load_state(const struct apx_rnn_args *args, const float *first, ptrdiff_t first_row,
                        size_t padded, float *state);
/* Zeros where nothing is computed: y beyond each row's length, last states of rows of length 0. */
void apx_rnn_fill_idle(const struct apx_rnn_args *args);
/* Rows whose last valid step was `step`: state[N][padded] to `last`, which may be NULL. */
void apx_rnn_store_last(const struct apx_rnn_args *args, size_t step, const float *state,
                        size_t padded, float *last, ptrdiff_t last_row);

#endif
