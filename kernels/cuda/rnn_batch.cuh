/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_batch.cuh - the rows of a recurrent launch, and the tile of them that a cluster takes through
 * all steps: lengths, initial states, x on its way to shared memory, y and the last states.
 *
 * A row's step number `step` is one of its own: with reverse it begins at the end of its length. */
#ifndef APX_CUDA_RNN_BATCH_CUH
#define APX_CUDA_RNN_BATCH_CUH

#include "kernels/cuda/cuda_rows.h"
#include "kernels/cuda/simt.cuh"

/* By value to the kernel: what struct apx_rnn_args says of the rows. */
struct rnn_batch {
    unsigned input, hidden, steps;
    bool reverse, wide; /* wide: rows of x may be copied 16 bytes at a time */
    size_t rows;
    const float *x, *h0, *c0;
    ptrdiff_t x_row, x_step, h0_row, c0_row;
    const int32_t *lengths;
    float *y, *h_last, *c_last;
    ptrdiff_t y_row, y_step, h_last_row, c_last_row;
    int32_t *fault;
};

static inline struct rnn_batch rnn_batch_make(const struct apx_rnn_args *args, int32_t *fault)
{
    struct rnn_batch batch = {};
    batch.input = (unsigned)args->desc->input;
    batch.hidden = (unsigned)args->desc->hidden;
    batch.steps = (unsigned)args->steps;
    batch.reverse = args->desc->reverse;
    batch.wide = args->desc->input % 4 == 0 && (uintptr_t)args->x % 16 == 0 &&
                 args->x_row % 4 == 0 && args->x_step % 4 == 0;
    batch.rows = args->rows;
    batch.x = args->x;
    batch.x_row = args->x_row;
    batch.x_step = args->x_step;
    batch.h0 = args->h0;
    batch.c0 = args->c0;
    batch.h0_row = args->h0_row;
    batch.c0_row = args->c0_row;
    batch.lengths = args->lengths;
    batch.y = args->y;
    batch.y_row = args->y_row;
    batch.y_step = args->y_step;
    batch.h_last = args->h_last;
    batch.c_last = args->c_last;
    batch.h_last_row = args->h_last_row;
    batch.c_last_row = args->c_last_row;
    batch.fault = fault;
    return batch;
}

/* Rows `first` to `first` + rows - 1 of the batch, the last of which may not exist. */
struct rnn_tile {
    size_t first;
    unsigned rows;
    int32_t *lengths; /* shared: [rows]; 0 of rows that do not exist */
};

/* Lengths to shared memory; readable after the block's barrier. */
SIMT_INLINE void rnn_tile_begin(const struct rnn_batch &batch, const struct rnn_tile &tile)
{
    for (unsigned row = threadIdx.x; row < tile.rows; row += blockDim.x) {
        const size_t n = tile.first + row;
        int32_t length = n < batch.rows ? (int32_t)batch.steps : 0;
        if (n < batch.rows && batch.lengths != nullptr) {
            length = batch.lengths[n];
            if (length < 0 || length > (int32_t)batch.steps) {
                *batch.fault = 1;
                length = length < 0 ? 0 : (int32_t)batch.steps;
            }
        }
        tile.lengths[row] = length;
    }
}

/* How many steps the tile takes. */
SIMT_INLINE unsigned rnn_tile_steps(const struct rnn_tile &tile)
{
    int32_t longest = 0;
    for (unsigned row = 0; row < tile.rows; row++)
        longest = tile.lengths[row] > longest ? tile.lengths[row] : longest;
    return (unsigned)longest;
}

/* A unit's initial state in a row: of `states` (h0 or c0), 0 where there is none. */
SIMT_INLINE float rnn_tile_initial(const struct rnn_batch &batch, const struct rnn_tile &tile,
                                   unsigned row, unsigned unit, const float *states,
                                   ptrdiff_t pitch)
{
    const size_t n = tile.first + row;
    return n < batch.rows && unit < batch.hidden && states != nullptr
               ? states[(ptrdiff_t)n * pitch + unit]
               : 0.0f;
}

/* The time of the row's step number `step`. */
SIMT_INLINE ptrdiff_t rnn_batch_time(const struct rnn_batch &batch, int32_t length, unsigned step)
{
    return batch.reverse ? (ptrdiff_t)length - 1 - (ptrdiff_t)step : (ptrdiff_t)step;
}

/* Calls piece(row, k) for what this thread copies of the rows' x of step number `step`: up to four
 * values from k on. */
template <class Piece>
SIMT_INLINE void rnn_tile_pieces(const struct rnn_batch &batch, const struct rnn_tile &tile,
                                 unsigned step, const Piece &piece)
{
    const unsigned pieces = (batch.input + 3) / 4;
    for (unsigned i = threadIdx.x; i < tile.rows * pieces; i += blockDim.x) {
        const unsigned row = i / pieces;
        if ((int32_t)step < tile.lengths[row])
            piece(row, i % pieces * 4);
    }
}

/* Begin to copy the rows' x of step number `step` to [rows][pitch]. */
SIMT_INLINE void rnn_tile_fetch(const struct rnn_batch &batch, const struct rnn_tile &tile,
                                unsigned step, float *to, unsigned pitch)
{
    rnn_tile_pieces(batch, tile, step, [&](unsigned row, unsigned k) {
        const float *from = batch.x + (ptrdiff_t)(tile.first + row) * batch.x_row +
                            rnn_batch_time(batch, tile.lengths[row], step) * batch.x_step + k;
        if (batch.wide)
            simt_copy16(to + row * pitch + k, from);
        else
            for (unsigned j = 0; j < 4 && k + j < batch.input; j++)
                simt_copy4(to + row * pitch + k + j, from + j);
    });
}

/* A row's new h, and c after its last step. */
SIMT_INLINE void rnn_tile_store(const struct rnn_batch &batch, const struct rnn_tile &tile,
                                unsigned row, unsigned unit, unsigned step, float h, float c)
{
    const int32_t length = tile.lengths[row];
    if ((int32_t)step >= length || unit >= batch.hidden)
        return;
    const ptrdiff_t n = (ptrdiff_t)(tile.first + row);
    if (batch.y != nullptr)
        batch.y[n * batch.y_row + rnn_batch_time(batch, length, step) * batch.y_step + unit] = h;
    if ((int32_t)step + 1 < length)
        return;
    if (batch.h_last != nullptr)
        batch.h_last[n * batch.h_last_row + unit] = h;
    if (batch.c_last != nullptr)
        batch.c_last[n * batch.c_last_row + unit] = c;
}

/* y beyond a row's length, and the last states of a row without steps: zeros. */
SIMT_INLINE void rnn_tile_fill(const struct rnn_batch &batch, const struct rnn_tile &tile,
                               unsigned row, unsigned unit)
{
    const size_t n = tile.first + row;
    if (n >= batch.rows || unit >= batch.hidden)
        return;
    const int32_t length = tile.lengths[row];
    for (unsigned t = (unsigned)length; t < batch.steps && batch.y != nullptr; t++)
        batch.y[(ptrdiff_t)n * batch.y_row + (ptrdiff_t)t * batch.y_step + unit] = 0.0f;
    if (length > 0)
        return;
    if (batch.h_last != nullptr)
        batch.h_last[(ptrdiff_t)n * batch.h_last_row + unit] = 0.0f;
    if (batch.c_last != nullptr)
        batch.c_last[(ptrdiff_t)n * batch.c_last_row + unit] = 0.0f;
}

/* The two halves of the barrier that ends a step: of the cluster, or of its only block. */
SIMT_INLINE void rnn_arrive(unsigned cluster)
{
    if (cluster > 1)
        simt_cluster_arrive();
}
SIMT_INLINE void rnn_wait(unsigned cluster)
{
    if (cluster > 1)
        simt_cluster_wait();
    else
        simt_sync();
}

#endif
