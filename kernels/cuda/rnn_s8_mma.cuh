/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_mma.cuh - one direction of an int8 recurrent layer over all steps, with the bits of the
 * processor's rows.
 *
 * As rnn_f16_body.cuh: a cluster of blocks owns a tile of rows for all steps, weights stay in
 * shared memory, the new h is published to all blocks in one of two buffers, one barrier a step
 * (two for GRU with reset before). Here products are of bytes on the tensor cores and sums are
 * integers, so they are exact in any order; what becomes of them is written in the processor's
 * order (kernels.h, struct apx_rnn_int8), and cells are its own source (kernels/rnn/rnn_cell.h).
 *
 * h is published rounded, four units in a word. x is copied two steps ahead; where it is to be
 * rounded, each thread rounds what it copied itself, before the barrier that ends the step, and
 * marks a row that has a NaN: from that step on its state is NaN. Marks have a place for each of
 * three steps, as the rounded x has, and are never taken back: NaN stays.
 *
 * A cell policy says
 *   GATES, AFTER, RESET_BEFORE, HAS_C (which initial state a thread keeps), and
 *   cell(gates, candidate_h, &state): the new h; candidate_h is GRU's with reset after. */
#ifndef APX_CUDA_RNN_S8_MMA_CUH
#define APX_CUDA_RNN_S8_MMA_CUH

#include "kernels/cuda/rnn_s8_mma.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/rnn/rnn_cell.h"

/* By value to the kernel. */
struct rnn_s8_job {
    unsigned input, hidden, steps, units; /* units: with filled up octets */
    unsigned x_tiles, h_tiles, x_words, octet_words;
    unsigned x_pitch, qx_pitch, qh_pitch; /* from row to row: floats of x, bytes of q */
    float levels, factor;                 /* of h; of x, 0: it is not rounded */
    bool reverse, wide;                   /* wide: rows of x may be copied 16 bytes at a time */
    struct rnn_s8_cut cut;
    size_t rows;
    const float *constants;  /* [3][4][units] */
    const uint32_t *weights; /* behind them */
    const float *x, *h0, *c0;
    ptrdiff_t x_row, x_step, h0_row, c0_row;
    const int32_t *lengths;
    float *y, *h_last, *c_last;
    ptrdiff_t y_row, y_step, h_last_row, c_last_row;
    int32_t *fault;
};

/* Where a thread's unit and rows are: unit `unit`, rows 8 t + pair and 8 t + pair + 1. */
struct rnn_s8_place {
    unsigned lane, unit, pair, rows;
    bool exists;      /* the unit */
    float *x;         /* shared: three tiles [rows][x_pitch], or one of which threads make: */
    uint8_t *qx;      /* three tiles [rows][qx_pitch] */
    uint8_t *qh, *qr; /* two tiles [rows][qh_pitch], and one of r h */
    int32_t *lengths; /* [rows] */
    int32_t *marks;   /* [3][rows]: a NaN in x of this step, or one before, or in h0 */
    const uint32_t *weights; /* of this warp's octet: x, then h */
    size_t first_row;
};

template <bool QX>
SIMT_INLINE struct rnn_s8_place rnn_s8_enter(const struct rnn_s8_job &job, bool reset_before)
{
    struct rnn_s8_place at;
    const unsigned rank = job.cut.cluster > 1 ? simt_cluster_rank() : 0;
    const unsigned warp = threadIdx.x / 32, octet = rank * job.cut.octets + warp;
    at.lane = threadIdx.x % 32;
    at.unit = octet * RNN_S8_UNITS + at.lane / 4;
    at.pair = at.lane % 4 * 2;
    at.exists = at.unit < job.hidden;
    at.rows = 8 * job.cut.tiles;
    at.first_row = (size_t)(blockIdx.x / job.cut.cluster) * at.rows;
    at.x = (float *)(simt_shared() + VF_TABLE_BYTES);
    at.qx = (uint8_t *)(at.x + (QX ? 1 : 3) * at.rows * job.x_pitch);
    at.qh = at.qx + (QX ? 3 * at.rows * job.qx_pitch : 0);
    at.qr = at.qh + 2 * at.rows * job.qh_pitch;
    at.lengths = (int32_t *)(at.qr + (reset_before ? at.rows * job.qh_pitch : 0));
    at.marks = at.lengths + at.rows;
    if (job.cut.resident) {
        const size_t state = (size_t)((unsigned char *)(at.marks + 3 * at.rows) - simt_shared());
        uint32_t *to = (uint32_t *)(simt_shared() + (state + 15) / 16 * 16);
        const unsigned first = rank * job.cut.octets, all = job.units / RNN_S8_UNITS;
        const unsigned left = all - first;
        const unsigned present = left < job.cut.octets ? left : job.cut.octets;
        const uint32_t *from = job.weights + (size_t)first * job.octet_words;
        const unsigned there = present * job.octet_words, room = job.cut.octets * job.octet_words;
        for (unsigned i = 4 * threadIdx.x; i < there; i += 4 * blockDim.x)
            simt_copy16(to + i, from + i);
        for (unsigned i = there + 4 * threadIdx.x; i < room; i += 4 * blockDim.x)
            to[i] = to[i + 1] = to[i + 2] = to[i + 3] = 0;
        at.weights = to + warp * job.octet_words;
    } else {
        const unsigned real = octet < job.units / RNN_S8_UNITS ? octet : 0;
        at.weights = job.weights + (size_t)real * job.octet_words;
    }
    return at;
}

SIMT_INLINE ptrdiff_t rnn_s8_time(const struct rnn_s8_job &job, int32_t length, unsigned step)
{
    return job.reverse ? (ptrdiff_t)length - 1 - (ptrdiff_t)step : (ptrdiff_t)step;
}

/* q(v, factor) as a byte; NaN gives -levels, as on the processor. */
SIMT_INLINE uint32_t rnn_s8_level(float v, float factor, float levels)
{
    float scaled = simt_mul(v, factor);
    scaled = scaled > -levels ? scaled : -levels;
    scaled = scaled < levels ? scaled : levels;
    return (uint32_t)simt_round(scaled) & 0xff;
}

/* Begin to copy the rows' x of step number `step`: each thread pieces of four. */
template <bool QX>
SIMT_INLINE void rnn_s8_fetch(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                              unsigned step)
{
    float *to = at.x + (QX ? 0 : step % 3 * at.rows * job.x_pitch);
    const unsigned pieces = (job.input + 3) / 4;
    for (unsigned i = threadIdx.x; i < at.rows * pieces; i += blockDim.x) {
        const unsigned row = i / pieces, k = i % pieces * 4;
        const int32_t length = at.lengths[row];
        if ((int32_t)step >= length)
            continue;
        const float *from = job.x + (ptrdiff_t)(at.first_row + row) * job.x_row +
                            rnn_s8_time(job, length, step) * job.x_step + k;
        if (job.wide)
            simt_copy16(to + row * job.x_pitch + k, from);
        else
            for (unsigned j = 0; j < 4 && k + j < job.input; j++)
                simt_copy4(to + row * job.x_pitch + k + j, from + j);
    }
}

/* Round what this thread fetched for `step` and has been waited for. */
SIMT_INLINE void rnn_s8_round_x(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                                unsigned step)
{
    uint8_t *to = at.qx + step % 3 * at.rows * job.qx_pitch;
    const unsigned pieces = (job.input + 3) / 4;
    for (unsigned i = threadIdx.x; i < at.rows * pieces; i += blockDim.x) {
        const unsigned row = i / pieces, k = i % pieces * 4;
        if ((int32_t)step >= at.lengths[row])
            continue;
        const float *x = at.x + row * job.x_pitch + k;
        uint32_t word = 0;
        bool has_nan = false;
#pragma unroll
        for (unsigned j = 0; j < 4; j++)
            if (k + j < job.input) {
                word |= rnn_s8_level(x[j], job.factor, job.levels) << 8 * j;
                has_nan = has_nan || x[j] != x[j];
            }
        *(uint32_t *)(to + row * job.qx_pitch + k) = word;
        if (has_nan)
            simt_or(at.marks + step % 3 * at.rows + row, 1);
    }
}

/* x of step `step`, waited for. */
template <bool QX>
SIMT_INLINE void rnn_s8_complete(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                                 unsigned step)
{
    simt_copy_wait();
    if (QX)
        rnn_s8_round_x(job, at, step);
}

/* Lengths, marks, q of the initial h; returns the tile's steps. Ends with the block's barrier. */
SIMT_INLINE unsigned rnn_s8_begin(const struct rnn_s8_job &job, const struct rnn_s8_place &at)
{
    vf_make_table();
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
        for (unsigned i = 0; i < 3; i++)
            at.marks[i * at.rows + row] = 0;
    }
    simt_sync();
    const unsigned words = (job.hidden + 3) / 4;
    for (unsigned i = threadIdx.x; i < at.rows * words; i += blockDim.x) {
        const unsigned row = i / words, unit = i % words * 4;
        const size_t n = at.first_row + row;
        uint32_t word = 0;
        for (unsigned j = 0; j < 4 && unit + j < job.hidden; j++) {
            float h = 0.0f;
            if (n < job.rows && job.h0 != nullptr)
                h = job.h0[(ptrdiff_t)n * job.h0_row + unit + j];
            word |= rnn_s8_level(h, job.levels, job.levels) << 8 * j;
            for (unsigned mark = 0; mark < 3 && h != h; mark++)
                simt_or(at.marks + mark * at.rows + row, 1);
        }
        *(uint32_t *)(at.qh + row * job.qh_pitch + unit) = word;
    }
    simt_sync();
    int32_t longest = 0;
    for (unsigned row = 0; row < at.rows; row++)
        longest = at.lengths[row] > longest ? at.lengths[row] : longest;
    return (unsigned)longest;
}

/* Which of the two tiles of weight rows a product is for. */
enum rnn_s8_half { S8_LOW = 1, S8_HIGH = 2, S8_BOTH = 3 };

/* sums += weights times `tiles` tiles of values [rows][pitch]. */
template <int GATES, int TILES, int HALF>
SIMT_INLINE void rnn_s8_multiply(const struct rnn_s8_place &at, const uint32_t *weights,
                                 unsigned tiles, const uint8_t *values, unsigned pitch,
                                 int32_t sums[TILES][2][4])
{
    const uint32_t *low = weights + 4 * at.lane,
                   *high = weights + 128 + (GATES == 4 ? 4 : 2) * at.lane;
    const uint8_t *from = values + at.lane / 4 * pitch + at.lane % 4 * 8;
#pragma unroll 2
    for (unsigned tile = 0; tile < tiles; tile++) {
        const unsigned word = tile * (128 + 32 * (GATES == 4 ? 4 : 2));
        uint32_t a[2][4] = {};
        if (HALF & S8_LOW) {
            const uint4 four = *(const uint4 *)(low + word);
            a[0][0] = four.x;
            a[0][1] = four.y;
            a[0][2] = four.z;
            a[0][3] = four.w;
        }
        if ((HALF & S8_HIGH) && GATES == 4) {
            const uint4 four = *(const uint4 *)(high + word);
            a[1][0] = four.x;
            a[1][1] = four.y;
            a[1][2] = four.z;
            a[1][3] = four.w;
        } else if (HALF & S8_HIGH) {
            const uint2 two = *(const uint2 *)(high + word);
            a[1][0] = two.x;
            a[1][2] = two.y;
        }
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            const uint2 two = *(const uint2 *)(from + 8 * t * pitch + tile * RNN_S8_K);
            const uint32_t b[2] = {two.x, two.y};
            if (HALF & S8_LOW)
                simt_mma_s8(sums[t][0], a[0], b);
            if (HALF & S8_HIGH)
                simt_mma_s8(sums[t][1], a[1], b);
        }
    }
}

/* gates += W x in float: k ascending, COUNT of them. */
template <int GATES, int TILES, int COUNT>
SIMT_INLINE void rnn_s8_multiply_floats(const struct rnn_s8_job &job, const float *w,
                                        const float *x, float gates[TILES][2][4])
{
    float weight[COUNT][4];
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const float4 four = *(const float4 *)(w + i * (4 * RNN_S8_UNITS));
        weight[i][0] = four.x;
        weight[i][1] = four.y;
        weight[i][2] = four.z;
        weight[i][3] = four.w;
    }
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const float *from = x + (8 * t + j) * job.x_pitch;
            float value[2];
            if (COUNT == 2) {
                const float2 two = *(const float2 *)from;
                value[0] = two.x;
                value[1] = two.y;
            } else {
                value[0] = *from;
            }
#pragma unroll
            for (int i = 0; i < COUNT; i++)
#pragma unroll
                for (int g = 0; g < GATES; g++)
                    gates[t][j][g] = simt_fma(value[i], weight[i][g], gates[t][j][g]);
        }
}

template <int GATES, int TILES>
SIMT_INLINE void rnn_s8_multiply_float(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                                       const float *x, float gates[TILES][2][4])
{
    const float *w = (const float *)at.weights + at.lane / 4 * 4;
    x += at.pair * job.x_pitch;
    unsigned k = 0;
#pragma unroll 1
    for (; k + 2 <= job.input; k += 2)
        rnn_s8_multiply_floats<GATES, TILES, 2>(job, w + k * (4 * RNN_S8_UNITS), x + k, gates);
    if (k < job.input)
        rnn_s8_multiply_floats<GATES, TILES, 1>(job, w + k * (4 * RNN_S8_UNITS), x + k, gates);
}

/* q of this unit's value of a row to where all blocks of the cluster see it: four units' lanes make
 * a word, and each of them writes it to some of the blocks. All lanes of the warp come here. */
SIMT_INLINE void rnn_s8_publish(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                                uint8_t *row, float value)
{
    const unsigned place = at.lane / 4 % 4, first = at.unit - place;
    uint32_t word = at.exists ? rnn_s8_level(value, job.levels, job.levels) << 8 * place : 0;
    word |= simt_shuffle_xor(word, 4);
    word |= simt_shuffle_xor(word, 8);
    if (first >= job.hidden)
        return;
    uint32_t *to = (uint32_t *)(row + first);
    if (job.cut.cluster == 1) {
        if (place == 0)
            *to = word;
        return;
    }
#pragma unroll 1
    for (unsigned rank = place; rank < job.cut.cluster; rank += 4)
        *simt_peer(to, rank) = word;
}

SIMT_INLINE void rnn_s8_arrive(const struct rnn_s8_job &job)
{
    if (job.cut.cluster > 1)
        simt_cluster_arrive();
}
SIMT_INLINE void rnn_s8_wait(const struct rnn_s8_job &job)
{
    if (job.cut.cluster > 1)
        simt_cluster_wait();
    else
        simt_sync();
}

/* A row's new h, and c after its last step. */
SIMT_INLINE void rnn_s8_store(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                              unsigned row, unsigned step, float h, float c)
{
    const int32_t length = at.lengths[row];
    if ((int32_t)step >= length || !at.exists)
        return;
    const ptrdiff_t n = (ptrdiff_t)(at.first_row + row);
    if (job.y != nullptr)
        job.y[n * job.y_row + rnn_s8_time(job, length, step) * job.y_step + at.unit] = h;
    if ((int32_t)step + 1 < length)
        return;
    if (job.h_last != nullptr)
        job.h_last[n * job.h_last_row + at.unit] = h;
    if (job.c_last != nullptr)
        job.c_last[n * job.c_last_row + at.unit] = c;
}

/* y beyond a row's length, and the last states of a row without steps. */
SIMT_INLINE void rnn_s8_fill(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
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

/* The unit's four biases (0), scales of x (1) or of h (2): read at every step, from the L1 cache,
 * since registers are scarcer. */
SIMT_INLINE void rnn_s8_constants(const struct rnn_s8_job &job, const struct rnn_s8_place &at,
                                  unsigned which, float out[4])
{
    const unsigned unit = at.exists ? at.unit : 0;
#pragma unroll
    for (unsigned g = 0; g < 4; g++)
        out[g] = job.constants[(4 * which + g) * job.units + unit];
}

template <int TILES> SIMT_INLINE void rnn_s8_zero(int32_t sums[TILES][2][4])
{
#pragma unroll
    for (int i = 0; i < 8 * TILES; i++)
        sums[i / 8][i / 4 % 2][i % 4] = 0;
}

/* Gate `gate` of row j of tile t, from this place in the products. */
template <int TILES>
SIMT_INLINE float rnn_s8_sum(const int32_t sums[TILES][2][4], int t, int j, int gate)
{
    return simt_to_float(sums[t][gate / 2][gate % 2 * 2 + j]);
}

template <class Cell, bool QX, int TILES> SIMT_INLINE void rnn_s8_run(const struct rnn_s8_job &job)
{
    const struct rnn_s8_place at = rnn_s8_enter<QX>(job, Cell::RESET_BEFORE);
    const unsigned steps = rnn_s8_begin(job, at);
    const float *first = Cell::HAS_C ? job.c0 : job.h0;
    const ptrdiff_t first_pitch = Cell::HAS_C ? job.c0_row : job.h0_row;
    float state[TILES][2];
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const size_t n = at.first_row + 8 * t + at.pair + j;
            state[t][j] = n < job.rows && at.exists && first != nullptr
                              ? first[(ptrdiff_t)n * first_pitch + at.unit]
                              : 0.0f;
        }
    rnn_s8_fetch<QX>(job, at, 0);
    rnn_s8_complete<QX>(job, at, 0);
    rnn_s8_fetch<QX>(job, at, 1);
    rnn_s8_complete<QX>(job, at, 1);
    simt_sync();
    rnn_s8_arrive(job);
    const unsigned h_tile = at.rows * job.qh_pitch;
    const uint32_t *h_weights = at.weights + job.x_words;
    for (unsigned step = 0; step < steps; step++) {
        float gates[TILES][2][4];
        int32_t sums[TILES][2][4];
        float bias[4], x_scale[4], h_scale[4];
        rnn_s8_constants(job, at, 0, bias);
#pragma unroll
        for (int i = 0; i < 8 * TILES; i++)
            gates[i / 8][i / 4 % 2][i % 4] = bias[i % 4];
        if (QX) {
            rnn_s8_zero<TILES>(sums);
            rnn_s8_constants(job, at, 1, x_scale);
            simt_sync_warp(); /* before products all lanes meet */
            rnn_s8_multiply<Cell::GATES, TILES, S8_BOTH>(at, at.weights, job.x_tiles,
                                                         at.qx + step % 3 * at.rows * job.qx_pitch,
                                                         job.qx_pitch, sums);
#pragma unroll
            for (int i = 0; i < Cell::GATES * 2 * TILES; i++) {
                const int t = i / (2 * Cell::GATES), j = i / Cell::GATES % 2, g = i % Cell::GATES;
                gates[t][j][g] =
                    simt_fma(rnn_s8_sum<TILES>(sums, t, j, g), x_scale[g], gates[t][j][g]);
            }
        } else {
            rnn_s8_multiply_float<Cell::GATES, TILES>(
                job, at, at.x + step % 3 * at.rows * job.x_pitch, gates);
        }
        rnn_s8_zero<TILES>(sums);
        rnn_s8_wait(job);
        rnn_s8_fetch<QX>(job, at, step + 2);
        rnn_s8_constants(job, at, 2, h_scale);
        const uint8_t *h = at.qh + step % 2 * h_tile;
        uint8_t *h_new = at.qh + (step + 1) % 2 * h_tile;
        simt_sync_warp();
        if (Cell::RESET_BEFORE) {
            rnn_s8_multiply<Cell::GATES, TILES, S8_LOW>(at, h_weights, job.h_tiles, h, job.qh_pitch,
                                                        sums);
#pragma unroll
            for (int i = 0; i < 2 * TILES; i++) {
                const int t = i / 2, j = i % 2;
                float *four = gates[t][j];
                for (int g = 0; g < 2; g++)
                    four[g] = simt_fma(rnn_s8_sum<TILES>(sums, t, j, g), h_scale[g], four[g]);
                cell_gru_gates(&four[0], &four[1]);
                rnn_s8_publish(job, at, at.qr + (8 * t + at.pair + j) * job.qh_pitch,
                               simt_mul(four[1], state[t][j]));
            }
            rnn_s8_arrive(job);
            rnn_s8_wait(job);
            rnn_s8_multiply<Cell::GATES, TILES, S8_HIGH>(at, h_weights, job.h_tiles, at.qr,
                                                         job.qh_pitch, sums);
        } else {
            rnn_s8_multiply<Cell::GATES, TILES, S8_BOTH>(at, h_weights, job.h_tiles, h,
                                                         job.qh_pitch, sums);
        }
        const int32_t *marks = at.marks + step % 3 * at.rows;
#pragma unroll
        for (int i = 0; i < 2 * TILES; i++) {
            const int t = i / 2, j = i % 2;
            const unsigned row = t * 8 + at.pair + j;
            float *four = gates[t][j], candidate_h = four[3];
            for (int g = Cell::RESET_BEFORE ? 2 : 0; g < Cell::GATES; g++) {
                float *to = Cell::AFTER && g == 2 ? &candidate_h : &four[g];
                *to = simt_fma(rnn_s8_sum<TILES>(sums, t, j, g), h_scale[g], *to);
            }
            if (marks[row] != 0)
                state[t][j] = simt_float(0x7fc00000u);
            const float next = Cell::cell(four, candidate_h, &state[t][j]);
            rnn_s8_publish(job, at, h_new + row * job.qh_pitch, next);
            rnn_s8_store(job, at, row, step, next, state[t][j]);
        }
        rnn_s8_complete<QX>(job, at, step + 2);
        rnn_s8_arrive(job);
    }
    rnn_s8_wait(job); /* no block leaves while others may still write to it */
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++)
        rnn_s8_fill(job, at, i / 2 * 8 + at.pair + i % 2);
}

/* What the launches of LSTM and GRU have in common. */
static inline struct rnn_s8_job rnn_s8_make_job(const struct apx_rnn_args *args, unsigned gates,
                                                int32_t *fault, const struct rnn_s8_cut &cut)
{
    struct rnn_s8_job job = {};
    const struct apx_rnn_desc *desc = args->desc;
    job.input = (unsigned)desc->input;
    job.hidden = (unsigned)desc->hidden;
    job.steps = (unsigned)args->steps;
    job.units = (unsigned)(rnn_s8_octets(desc) * RNN_S8_UNITS);
    job.factor = apx_rnn_s8_cuda_factor(desc);
    job.x_tiles = job.factor > 0.0f ? rnn_s8_tiles(desc->input) : 0;
    job.h_tiles = rnn_s8_tiles(desc->hidden);
    job.x_words = (unsigned)rnn_s8_x_words(desc, gates);
    job.octet_words = (unsigned)rnn_s8_octet_words(desc, gates);
    job.x_pitch = rnn_s8_x_pitch(desc->input);
    job.qx_pitch = rnn_s8_pitch(desc->input);
    job.qh_pitch = rnn_s8_pitch(desc->hidden);
    job.levels = (float)desc->int8.levels;
    job.reverse = desc->reverse;
    job.wide = desc->input % 4 == 0 && (uintptr_t)args->x % 16 == 0 && args->x_row % 4 == 0 &&
               args->x_step % 4 == 0;
    job.cut = cut;
    job.rows = args->rows;
    job.constants = (const float *)args->packed;
    job.weights = (const uint32_t *)(job.constants + RNN_S8_CONSTANTS * job.units);
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

static inline struct simt_shape rnn_s8_shape(const struct rnn_s8_job &job)
{
    const size_t rows = 8 * job.cut.tiles;
    return {(unsigned)((job.rows + rows - 1) / rows * job.cut.cluster), 32 * job.cut.octets,
            job.cut.cluster, job.cut.shared};
}

#endif
