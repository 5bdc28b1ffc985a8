/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f16_body.cuh - one direction of a recurrent layer over all steps, products of halves on the
 * tensor cores, sums and c in float.
 *
 * As rnn_f32_body.cuh: a cluster of blocks owns a tile of rows for all steps, weights stay in
 * shared memory, the new h is published to all blocks in one of two buffers, one barrier a step,
 * x comes two steps ahead. Here the gates of 8 units and 8 rows are one warp's products
 * (rnn_f16_layout.h): weights are the left operand, x and h the right one. h is kept as halves; x
 * as floats, which every warp rounds as it reads them.
 *
 * A row's sums do not depend on where it stands among the rows, so neither do its bits. */
#ifndef APX_CUDA_RNN_F16_BODY_CUH
#define APX_CUDA_RNN_F16_BODY_CUH

#include "kernels/cuda/rnn_f16_layout.h"
#include "kernels/cuda/simt.cuh"

/* By value to the kernel. */
struct rnn_f16_job {
    unsigned input, hidden, steps, x_tiles, k_tiles, units; /* units: with filled up octets */
    bool reverse, wide; /* wide: rows of x may be copied 16 bytes at a time */
    struct rnn_f16_cut cut;
    size_t rows;
    const float *bias;       /* [4][units] */
    const uint32_t *weights; /* behind it */
    const float *x, *h0, *c0;
    ptrdiff_t x_row, x_step, h0_row, c0_row;
    const int32_t *lengths;
    float *y, *h_last, *c_last;
    ptrdiff_t y_row, y_step, h_last_row, c_last_row;
    int32_t *fault;
};

/* Where a thread's unit and rows are: unit `unit`, rows 8 t + pair and 8 t + pair + 1. */
struct rnn_f16_place {
    unsigned lane, unit, pair, rows;
    bool exists; /* the unit */
    unsigned x_pitch, h_pitch;
    float *x;         /* shared: three tiles [rows][x_pitch] */
    uint16_t *h, *rh; /* two tiles [rows][h_pitch], and one of r h */
    int32_t *lengths;
    const uint32_t *weights; /* of this warp's octet, at this lane */
    size_t first_row;
};

SIMT_INLINE struct rnn_f16_place rnn_f16_enter(const struct rnn_f16_job &job, bool reset_before)
{
    struct rnn_f16_place at;
    const unsigned rank = job.cut.cluster > 1 ? simt_cluster_rank() : 0;
    const unsigned warp = threadIdx.x / 32, octet = rank * job.cut.octets + warp;
    at.lane = threadIdx.x % 32;
    at.unit = octet * RNN_F16_UNITS + at.lane / 4;
    at.pair = at.lane % 4 * 2;
    at.exists = at.unit < job.hidden;
    at.rows = 8 * job.cut.tiles;
    at.x_pitch = job.x_tiles * RNN_F16_K + 8;
    at.h_pitch = (job.k_tiles - job.x_tiles) * RNN_F16_K + 8;
    at.first_row = (size_t)(blockIdx.x / job.cut.cluster) * at.rows;
    at.x = (float *)simt_shared();
    at.h = (uint16_t *)(at.x + 3 * at.rows * at.x_pitch);
    at.rh = at.h + 2 * at.rows * at.h_pitch;
    at.lengths = (int32_t *)(at.rh + (reset_before ? at.rows * at.h_pitch : 0));
    const size_t octet_words = (size_t)job.k_tiles * RNN_F16_TILE_WORDS;
    if (job.cut.resident) {
        const size_t state = (size_t)((unsigned char *)(at.lengths + at.rows) - simt_shared());
        uint32_t *to = (uint32_t *)(simt_shared() + (state + 15) / 16 * 16);
        const unsigned first = rank * job.cut.octets, all = job.units / RNN_F16_UNITS;
        const unsigned present = all - first < job.cut.octets ? all - first : job.cut.octets;
        const uint32_t *from = job.weights + first * octet_words;
        for (size_t i = 4 * threadIdx.x; i < present * octet_words; i += 4 * blockDim.x)
            simt_copy16(to + i, from + i);
        for (size_t i = present * octet_words + 4 * threadIdx.x; i < job.cut.octets * octet_words;
             i += 4 * blockDim.x)
            to[i] = to[i + 1] = to[i + 2] = to[i + 3] = 0;
        at.weights = to + warp * octet_words + 4 * at.lane;
    } else {
        const unsigned real = octet < job.units / RNN_F16_UNITS ? octet : 0;
        at.weights = job.weights + real * octet_words + 4 * at.lane;
    }
    return at;
}

SIMT_INLINE ptrdiff_t rnn_f16_time(const struct rnn_f16_job &job, int32_t length, unsigned step)
{
    return job.reverse ? (ptrdiff_t)length - 1 - (ptrdiff_t)step : (ptrdiff_t)step;
}

/* Begin to copy the rows' x of step number `step`. */
SIMT_INLINE void rnn_f16_fetch(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                               unsigned step)
{
    float *to = at.x + step % 3 * at.rows * at.x_pitch;
    const unsigned pieces = job.wide ? job.input / 4 : job.input;
    for (unsigned i = threadIdx.x; i < at.rows * pieces; i += blockDim.x) {
        const unsigned row = i / pieces, piece = i % pieces;
        const int32_t length = at.lengths[row];
        if ((int32_t)step >= length)
            continue;
        const float *from = job.x + (ptrdiff_t)(at.first_row + row) * job.x_row +
                            rnn_f16_time(job, length, step) * job.x_step;
        if (job.wide)
            simt_copy16(to + row * at.x_pitch + 4 * piece, from + 4 * piece);
        else
            simt_copy4(to + row * at.x_pitch + piece, from + piece);
    }
}

/* Lengths, initial h, zeros where the tiles of k are filled up; returns the tile's steps. Ends with
 * the block's barrier. */
SIMT_INLINE unsigned rnn_f16_begin(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                                   bool reset_before)
{
    for (unsigned row = threadIdx.x; row < at.rows; row += blockDim.x) {
        const size_t n = at.first_row + row;
        int32_t length = n < job.rows ? (int32_t)job.steps : 0;
        if (n < job.rows && job.lengths != nullptr) {
            length = job.lengths[n];
            if (length < 0 || length > (int32_t)job.steps) {
                *job.fault = 1;
                length = length < 0 ? 0 : (int32_t)job.steps;
            }
        }
        at.lengths[row] = length;
    }
    for (unsigned i = threadIdx.x; i < 3 * at.rows * at.x_pitch; i += blockDim.x)
        if (i % at.x_pitch >= job.input)
            at.x[i] = 0.0f;
    const unsigned tile = at.rows * at.h_pitch;
    for (unsigned i = threadIdx.x; i < (reset_before ? 3 : 2) * tile; i += blockDim.x) {
        const unsigned row = i % tile / at.h_pitch, unit = i % at.h_pitch;
        const size_t n = at.first_row + row;
        float h = 0.0f;
        if (i < tile && unit < job.hidden && n < job.rows && job.h0 != nullptr)
            h = job.h0[(ptrdiff_t)n * job.h0_row + unit];
        if (i < tile || unit >= job.hidden) /* the rest is written before it is read */
            at.h[i] = (uint16_t)simt_halves(h, 0.0f);
    }
    simt_sync();
    int32_t longest = 0;
    for (unsigned row = 0; row < at.rows; row++)
        longest = at.lengths[row] > longest ? at.lengths[row] : longest;
    return (unsigned)longest;
}

/* Which of the two tiles of weight rows a product is for. */
enum rnn_f16_half { HALF_LOW = 1, HALF_HIGH = 2, HALF_BOTH = 3 };

/* The weights of one tile of k. */
SIMT_INLINE void rnn_f16_load(const struct rnn_f16_place &at, unsigned tile, int half,
                              uint32_t a[4])
{
    const uint4 four =
        *(const uint4 *)(at.weights + (size_t)tile * RNN_F16_TILE_WORDS + half * 128);
    a[0] = four.x;
    a[1] = four.y;
    a[2] = four.z;
    a[3] = four.w;
}

/* sums += W x: x [rows][x_pitch] as floats. */
template <int TILES>
SIMT_INLINE void rnn_f16_multiply_x(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                                    const float *x, float sums[TILES][2][4])
{
#pragma unroll(TILES > 2 ? 1 : 2)
    for (unsigned tile = 0; tile < job.x_tiles; tile++) {
        uint32_t low[4], high[4];
        rnn_f16_load(at, tile, 0, low);
        rnn_f16_load(at, tile, 1, high);
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            const float *from = x + (8 * t + at.lane / 4) * at.x_pitch + tile * RNN_F16_K + at.pair;
            const float2 first = *(const float2 *)from, second = *(const float2 *)(from + 8);
            const uint32_t b[2] = {simt_halves(first.x, first.y), simt_halves(second.x, second.y)};
            simt_mma_f16(sums[t][0], low, b);
            simt_mma_f16(sums[t][1], high, b);
        }
    }
}

/* sums += R h for one or both tiles of weight rows: h [rows][h_pitch] as halves. */
template <int TILES, int HALF>
SIMT_INLINE void rnn_f16_multiply_h(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                                    const uint16_t *h, float sums[TILES][2][4])
{
#pragma unroll(TILES > 2 ? 1 : 2)
    for (unsigned tile = job.x_tiles; tile < job.k_tiles; tile++) {
        uint32_t low[4], high[4];
        if (HALF & HALF_LOW)
            rnn_f16_load(at, tile, 0, low);
        if (HALF & HALF_HIGH)
            rnn_f16_load(at, tile, 1, high);
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            const uint16_t *from =
                h + (8 * t + at.lane / 4) * at.h_pitch + (tile - job.x_tiles) * RNN_F16_K + at.pair;
            const uint32_t b[2] = {*(const uint32_t *)from, *(const uint32_t *)(from + 8)};
            if (HALF & HALF_LOW)
                simt_mma_f16(sums[t][0], low, b);
            if (HALF & HALF_HIGH)
                simt_mma_f16(sums[t][1], high, b);
        }
    }
}

SIMT_INLINE float rnn_f16_sigmoid(float x)
{
    return simt_fast_reciprocal(1.0f + simt_fast_exp(-x));
}
SIMT_INLINE float rnn_f16_tanh(float x)
{
    return 1.0f - 2.0f * simt_fast_reciprocal(1.0f + simt_fast_exp(2.0f * x));
}

/* Put this unit's value of a row where all blocks of the cluster see it. */
SIMT_INLINE void rnn_f16_publish(const struct rnn_f16_job &job, uint16_t *to, float value)
{
    const uint16_t half = (uint16_t)simt_halves(value, 0.0f);
    if (job.cut.cluster == 1) {
        *to = half;
        return;
    }
#pragma unroll 1
    for (unsigned rank = 0; rank < job.cut.cluster; rank++)
        *simt_peer(to, rank) = half;
}

SIMT_INLINE void rnn_f16_arrive(const struct rnn_f16_job &job)
{
    simt_copy_wait();
    if (job.cut.cluster > 1)
        simt_cluster_arrive();
}
SIMT_INLINE void rnn_f16_wait(const struct rnn_f16_job &job)
{
    if (job.cut.cluster > 1)
        simt_cluster_wait();
    else
        simt_sync();
}

/* A row's new h, and c after its last step. */
SIMT_INLINE void rnn_f16_store(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                               unsigned row, unsigned step, float h, float c)
{
    const int32_t length = at.lengths[row];
    if ((int32_t)step >= length)
        return;
    const ptrdiff_t n = (ptrdiff_t)(at.first_row + row);
    if (job.y != nullptr)
        job.y[n * job.y_row + rnn_f16_time(job, length, step) * job.y_step + at.unit] = h;
    if ((int32_t)step + 1 < length)
        return;
    if (job.h_last != nullptr)
        job.h_last[n * job.h_last_row + at.unit] = h;
    if (job.c_last != nullptr)
        job.c_last[n * job.c_last_row + at.unit] = c;
}

/* y beyond a row's length, and the last states of a row without steps. */
SIMT_INLINE void rnn_f16_fill(const struct rnn_f16_job &job, const struct rnn_f16_place &at,
                              unsigned row)
{
    const size_t n = at.first_row + row;
    if (n >= job.rows || !at.exists)
        return;
    const int32_t length = at.lengths[row];
    for (unsigned t = (unsigned)length; t < job.steps && job.y != nullptr; t++)
        job.y[(ptrdiff_t)n * job.y_row + (ptrdiff_t)t * job.y_step + at.unit] = 0.0f;
    if (length > 0)
        return;
    if (job.h_last != nullptr)
        job.h_last[(ptrdiff_t)n * job.h_last_row + at.unit] = 0.0f;
    if (job.c_last != nullptr)
        job.c_last[(ptrdiff_t)n * job.c_last_row + at.unit] = 0.0f;
}

/* The state that a thread keeps for its unit and a row: LSTM c, GRU the unrounded h. A cell policy
 * has
 *   RESET_BEFORE, state0 (which initial state it is), and
 *   cell(sums, &state): the new h from the four sums. */
template <class Cell, int TILES> SIMT_INLINE void rnn_f16_run(const struct rnn_f16_job &job)
{
    const struct rnn_f16_place at = rnn_f16_enter(job, Cell::RESET_BEFORE);
    const unsigned steps = rnn_f16_begin(job, at, Cell::RESET_BEFORE);
    const float *first = Cell::HAS_C ? job.c0 : job.h0;
    const ptrdiff_t first_pitch = Cell::HAS_C ? job.c0_row : job.h0_row;
    float state[TILES][2], bias[4];
    for (int s = 0; s < 4; s++)
        bias[s] = at.exists ? job.bias[s * job.units + at.unit] : 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const size_t n = at.first_row + 8 * t + at.pair + j;
            state[t][j] = n < job.rows && at.exists && first != nullptr
                              ? first[(ptrdiff_t)n * first_pitch + at.unit]
                              : 0.0f;
        }
    rnn_f16_fetch(job, at, 0);
    rnn_f16_fetch(job, at, 1);
    simt_copy_wait();
    simt_sync();
    rnn_f16_arrive(job);
    const unsigned h_tile = at.rows * at.h_pitch;
    for (unsigned step = 0; step < steps; step++) {
        float sums[TILES][2][4];
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int i = 0; i < 8; i++)
                sums[t][i / 4][i % 4] = bias[i / 2];
        simt_sync_warp(); /* lanes without a unit skipped what ended the last step */
        rnn_f16_multiply_x<TILES>(job, at, at.x + step % 3 * at.rows * at.x_pitch, sums);
        rnn_f16_wait(job);
        rnn_f16_fetch(job, at, step + 2);
        const uint16_t *h = at.h + step % 2 * h_tile;
        uint16_t *h_new = at.h + (step + 1) % 2 * h_tile;
        if (Cell::RESET_BEFORE) {
            rnn_f16_multiply_h<TILES, HALF_LOW>(job, at, h, sums);
#pragma unroll
            for (int i = 0; i < 2 * TILES; i++)
                if (at.exists)
                    rnn_f16_publish(
                        job, at.rh + (i / 2 * 8 + at.pair + i % 2) * at.h_pitch + at.unit,
                        rnn_f16_sigmoid(sums[i / 2][0][2 + i % 2]) * state[i / 2][i % 2]);
            if (job.cut.cluster > 1)
                simt_cluster_arrive();
            rnn_f16_wait(job);
            rnn_f16_multiply_h<TILES, HALF_HIGH>(job, at, at.rh, sums);
        } else {
            rnn_f16_multiply_h<TILES, HALF_BOTH>(job, at, h, sums);
        }
#pragma unroll
        for (int i = 0; i < 2 * TILES; i++) {
            const int t = i / 2, j = i % 2;
            const unsigned row = t * 8 + at.pair + j;
            const float four[4] = {sums[t][0][j], sums[t][0][2 + j], sums[t][1][j],
                                   sums[t][1][2 + j]};
            const float next = Cell::cell(four, &state[t][j]);
            if (at.exists) {
                rnn_f16_publish(job, h_new + row * at.h_pitch + at.unit, next);
                rnn_f16_store(job, at, row, step, next, state[t][j]);
            }
        }
        rnn_f16_arrive(job);
    }
    rnn_f16_wait(job); /* no block leaves while others may still write to it */
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++)
        rnn_f16_fill(job, at, i / 2 * 8 + at.pair + i % 2);
}

/* What the launches of LSTM and GRU have in common. */
static inline struct rnn_f16_job rnn_f16_make_job(const struct apx_rnn_args *args, int32_t *fault,
                                                  const struct rnn_f16_cut &cut)
{
    struct rnn_f16_job job = {};
    const struct apx_rnn_desc *desc = args->desc;
    job.input = (unsigned)desc->input;
    job.hidden = (unsigned)desc->hidden;
    job.steps = (unsigned)args->steps;
    job.x_tiles = (unsigned)rnn_f16_x_tiles(desc);
    job.k_tiles = (unsigned)rnn_f16_k_tiles(desc);
    job.units = (unsigned)(rnn_f16_octets(desc) * RNN_F16_UNITS);
    job.reverse = desc->reverse;
    job.wide = desc->input % 4 == 0 && (uintptr_t)args->x % 16 == 0 && args->x_row % 4 == 0 &&
               args->x_step % 4 == 0;
    job.cut = cut;
    job.rows = args->rows;
    job.bias = (const float *)args->packed;
    job.weights = (const uint32_t *)(job.bias + 4 * job.units);
    job.x = args->x;
    job.x_row = args->x_row;
    job.x_step = args->x_step;
    job.h0 = args->h0;
    job.c0 = args->c0;
    job.h0_row = args->h0_row;
    job.c0_row = args->c0_row;
    job.lengths = args->lengths;
    job.y = args->y;
    job.y_row = args->y_row;
    job.y_step = args->y_step;
    job.h_last = args->h_last;
    job.c_last = args->c_last;
    job.h_last_row = args->h_last_row;
    job.c_last_row = args->c_last_row;
    job.fault = fault;
    return job;
}

static inline struct simt_shape rnn_f16_shape(const struct rnn_f16_job &job)
{
    const size_t rows = 8 * job.cut.tiles;
    return {(unsigned)((job.rows + rows - 1) / rows * job.cut.cluster), 32 * job.cut.octets,
            job.cut.cluster, job.cut.shared};
}

#endif
