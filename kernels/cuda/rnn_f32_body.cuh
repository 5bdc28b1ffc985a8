/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_body.cuh - one direction of a recurrent layer over all steps, with the bits of the
 * processor's rows.
 *
 * A cluster of blocks (often one) owns a tile of rows for all steps. Each block holds the weights
 * of its units in shared memory; each thread owns one unit for TILE rows: all gates of it grow in
 * registers, bias, x ascending, h ascending, each with one fused multiply-add, and so does c. The
 * arithmetic of the cell is the processor's own source (kernels/rnn/rnn_cell.h). Only
 * the new h is published, to every block of the cluster, in one of two buffers; one barrier a step.
 *
 * The rows of x are copied two steps ahead. The x half of a step's sums needs no other block, so
 * it is computed between arriving at the cluster's barrier and waiting for it.
 *
 * A cell policy says how many sums a unit has and what becomes of them (lstm_f32.cu, gru_f32.cu):
 *
 *   GATES  weights of one unit and k     SUMS  accumulators of one unit and row
 *   copy   a block's weights             load  one unit's of one k
 *   add    which sums they feed          gates what follows from the sums: the new c, z and r
 *   cell   the new h
 *
 * Weights that do not fit shared memory are the first ones in the order of k; they are read from
 * global memory, in practice from L2, at every step.
 *
 * In a stack (rnn_f32_stack.cuh) the layer has some of the cluster's blocks only: what differs is
 * behind STACK, so that a layer alone pays nothing for it. */
#ifndef APX_CUDA_RNN_F32_BODY_CUH
#define APX_CUDA_RNN_F32_BODY_CUH

#include "kernels/cuda/rnn_f32_layout.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/rnn/rnn_cell.h"

/* Which weights and values a sum runs over; reset before: first z and r, then the candidate. */
enum rnn_f32_part { PART_X, PART_H, PART_RH };

/* By value to the kernel. */
struct rnn_f32_job {
    unsigned input, hidden, steps;
    bool reverse, wide; /* wide: rows of x may be copied 16 bytes at a time */
    struct rnn_f32_cut cut;
    size_t rows;
    const float *packed;
    const float *x, *h0, *c0;
    ptrdiff_t x_row, x_step, h0_row, c0_row;
    const int32_t *lengths;
    float *y, *h_last, *c_last;
    ptrdiff_t y_row, y_step, h_last_row, c_last_row;
    int32_t *fault;
};

/* A block's part in its cluster. A layer that is alone has all blocks and nobody to wait for. */
struct rnn_f32_role {
    unsigned cluster; /* blocks of all layers */
    unsigned first;   /* rank of the layer's first one; it has job.cut.cluster of them */
    unsigned above;   /* blocks of the layer above, which come next; 0: none */
    unsigned
        late; /* turns that the layer begins after the lowest; above 0 its x comes from below */
    unsigned extra; /* turns beyond a layer's steps until the highest is done */
};

/* What a thread knows about its place. */
struct rnn_f32_place {
    unsigned unit, local;      /* its unit in the layer, in the block */
    unsigned row;              /* the first of its rows in the tile */
    bool exists;               /* the unit, and the row */
    unsigned x_pitch, h_pitch; /* floats from row to row */
    float *weights;            /* shared: of the block's units, from first_k on */
    float *x, *h, *rh;         /* shared: three tiles of x, two of h, one of r h */
    int32_t *lengths;          /* of the tile's rows */
    size_t first_row;          /* of the tile in the batch */
};

SIMT_INLINE unsigned rnn_f32_pitch(unsigned width)
{
    return (width + 3) / 4 * 4 + 4;
}

template <bool STACK>
SIMT_INLINE struct rnn_f32_place rnn_f32_enter(const struct rnn_f32_job &job,
                                               const struct rnn_f32_role &role, bool reset_before)
{
    struct rnn_f32_place at;
    const unsigned rows = job.cut.rows, units = job.cut.units;
    const unsigned rank = role.cluster > 1 ? simt_cluster_rank() : 0;
    at.local = threadIdx.x % units;
    at.unit = (rank - role.first) * units + at.local;
    at.exists = at.unit < job.hidden;
    at.row = threadIdx.x / units * job.cut.tile;
    if (STACK && at.row >= rows) { /* another layer needs more threads */
        at.exists = false;
        at.row = 0;
    }
    at.x_pitch = rnn_f32_pitch(job.input);
    at.h_pitch = rnn_f32_pitch(job.hidden);
    at.first_row = (size_t)(blockIdx.x / role.cluster) * rows;
    float *next = (float *)(simt_shared() + VF_TABLE_BYTES);
    at.x = next; /* at the same place in every layer: the one below writes there */
    next += 3 * rows * at.x_pitch;
    at.h = next;
    next += 2 * rows * at.h_pitch;
    at.rh = next;
    next += reset_before ? rows * at.h_pitch : 0;
    at.lengths = (int32_t *)next;
    const size_t state = (size_t)((unsigned char *)(at.lengths + rows) - simt_shared());
    at.weights = (float *)(simt_shared() + (state + 15) / 16 * 16);
    return at;
}

/* The time step of the row's step number `step`. */
SIMT_INLINE ptrdiff_t rnn_f32_time(const struct rnn_f32_job &job, int32_t length, unsigned step)
{
    return job.reverse ? (ptrdiff_t)length - 1 - (ptrdiff_t)step : (ptrdiff_t)step;
}

/* Begin to copy the rows' x of step number `step`. */
SIMT_INLINE void rnn_f32_fetch(const struct rnn_f32_job &job, const struct rnn_f32_place &at,
                               unsigned step)
{
    float *to = at.x + step % 3 * job.cut.rows * at.x_pitch;
    const unsigned pieces = job.wide ? job.input / 4 : job.input;
    for (unsigned i = threadIdx.x; i < job.cut.rows * pieces; i += blockDim.x) {
        const unsigned row = i / pieces, piece = i % pieces;
        const int32_t length = at.lengths[row];
        if ((int32_t)step >= length)
            continue;
        const float *from = job.x + (ptrdiff_t)(at.first_row + row) * job.x_row +
                            rnn_f32_time(job, length, step) * job.x_step;
        if (job.wide)
            simt_copy16(to + row * at.x_pitch + 4 * piece, from + 4 * piece);
        else
            simt_copy4(to + row * at.x_pitch + piece, from + piece);
    }
}

/* Lengths, initial h and this block's weights to shared memory; returns how many steps the tile
 * takes. Ends with the block's barrier. */
template <class Cell>
SIMT_INLINE unsigned rnn_f32_begin(const struct rnn_f32_job &job, const struct rnn_f32_place &at)
{
    vf_make_table();
    for (unsigned row = threadIdx.x; row < job.cut.rows; row += blockDim.x) {
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
    for (unsigned i = threadIdx.x; i < job.cut.rows * job.hidden; i += blockDim.x) {
        const unsigned row = i / job.hidden, unit = i % job.hidden;
        const size_t n = at.first_row + row;
        float h = 0.0f;
        if (n < job.rows && job.h0 != nullptr)
            h = job.h0[(ptrdiff_t)n * job.h0_row + unit];
        at.h[row * at.h_pitch + unit] = h;
    }
    const unsigned first_unit = at.unit - at.local;
    const unsigned left = job.hidden - first_unit;
    const unsigned present = left < job.cut.units ? left : job.cut.units;
    const float *weights = job.packed + 4 * (size_t)job.hidden;
    Cell::copy(weights, job.hidden, first_unit, present, job.cut.units, job.cut.first_k,
               job.input + job.hidden, at.weights);
    simt_sync();
    int32_t longest = 0;
    for (unsigned row = 0; row < job.cut.rows; row++)
        longest = at.lengths[row] > longest ? at.lengths[row] : longest;
    return (unsigned)longest;
}

/* sums += weights of k = begin .. end times `values` [row][pitch], whose first is k = begin. */
template <class Cell, int TILE, int PART>
SIMT_INLINE void rnn_f32_multiply(float sums[TILE][Cell::SUMS], const float *weights,
                                  unsigned units, unsigned unit, unsigned count,
                                  const float *values, unsigned pitch)
{
    float w[Cell::GATES];
    unsigned k = 0;
#pragma unroll(TILE > 4 ? 1 : 2)
    for (; k + 4 <= count; k += 4) {
        float4 v[TILE];
#pragma unroll
        for (int j = 0; j < TILE; j++)
            v[j] = *(const float4 *)(values + j * pitch + k);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            Cell::load(weights, units, unit, k + i, w);
#pragma unroll
            for (int j = 0; j < TILE; j++)
                Cell::template add<PART>(sums[j], w,
                                         i == 0   ? v[j].x
                                         : i == 1 ? v[j].y
                                         : i == 2 ? v[j].z
                                                  : v[j].w);
        }
    }
    for (; k < count; k++) {
        Cell::load(weights, units, unit, k, w);
#pragma unroll
        for (int j = 0; j < TILE; j++)
            Cell::template add<PART>(sums[j], w, values[j * pitch + k]);
    }
}

/* sums += the part of x (PART_X) or of h: what lies in global memory, then the rest. */
template <class Cell, int TILE, int PART>
SIMT_INLINE void rnn_f32_half(const struct rnn_f32_job &job, const struct rnn_f32_place &at,
                              float sums[TILE][Cell::SUMS], const float *values, unsigned pitch)
{
    const unsigned begin = PART == PART_X ? 0 : job.input;
    const unsigned count = PART == PART_X ? job.input : job.hidden;
    const unsigned split = job.cut.first_k;
    const unsigned far = split <= begin ? 0 : split - begin < count ? split - begin : count;
    const unsigned unit = at.exists ? at.unit : 0;
    values += at.row * pitch;
    if (far > 0)
        rnn_f32_multiply<Cell, TILE, PART>(
            sums, job.packed + (4 + (size_t)begin * Cell::GATES) * job.hidden, job.hidden, unit,
            far, values, pitch);
    if (far < count)
        rnn_f32_multiply<Cell, TILE, PART>(
            sums, at.weights + (size_t)(begin + far - split) * Cell::GATES * job.cut.units,
            job.cut.units, at.local, count - far, values + far, pitch);
}

/* Put a value of this unit where `count` blocks from `first` on see it. */
SIMT_INLINE void rnn_f32_publish(const struct rnn_f32_role &role, unsigned first, unsigned count,
                                 float *to, float value)
{
    if (role.cluster == 1) {
        *to = value;
        return;
    }
    for (unsigned rank = first; rank < first + count; rank++)
        *simt_peer(to, rank) = value;
}

/* The two halves of the barrier that ends a step. */
SIMT_INLINE void rnn_f32_arrive(const struct rnn_f32_role &role)
{
    simt_copy_wait();
    if (role.cluster > 1)
        simt_cluster_arrive();
}
SIMT_INLINE void rnn_f32_wait(const struct rnn_f32_role &role)
{
    if (role.cluster > 1)
        simt_cluster_wait();
    else
        simt_sync();
}

/* y of the row's steps beyond its length, and the last states of a row without steps. */
template <int TILE>
SIMT_INLINE void rnn_f32_fill(const struct rnn_f32_job &job, const struct rnn_f32_place &at)
{
    for (int j = 0; j < TILE && at.exists; j++) {
        const size_t n = at.first_row + at.row + j;
        if (n >= job.rows)
            break;
        const int32_t length = at.lengths[at.row + j];
        for (unsigned t = (unsigned)length; t < job.steps && job.y != nullptr; t++)
            job.y[(ptrdiff_t)n * job.y_row + (ptrdiff_t)t * job.y_step + at.unit] = 0.0f;
        if (length > 0)
            continue;
        if (job.h_last != nullptr)
            job.h_last[(ptrdiff_t)n * job.h_last_row + at.unit] = 0.0f;
        if (job.c_last != nullptr)
            job.c_last[(ptrdiff_t)n * job.c_last_row + at.unit] = 0.0f;
    }
}

/* A row's new h, and c after its last step. */
SIMT_INLINE void rnn_f32_store(const struct rnn_f32_job &job, const struct rnn_f32_place &at, int j,
                               unsigned step, float h, float c)
{
    const int32_t length = at.lengths[at.row + j];
    if ((int32_t)step >= length)
        return;
    const ptrdiff_t n = (ptrdiff_t)(at.first_row + at.row + j);
    if (job.y != nullptr)
        job.y[n * job.y_row + rnn_f32_time(job, length, step) * job.y_step + at.unit] = h;
    if ((int32_t)step + 1 < length)
        return;
    if (job.h_last != nullptr)
        job.h_last[n * job.h_last_row + at.unit] = h;
    if (job.c_last != nullptr)
        job.c_last[n * job.c_last_row + at.unit] = c;
}

template <class Cell, int TILE, bool STACK>
SIMT_INLINE void rnn_f32_run(const struct rnn_f32_job &job, const struct rnn_f32_role &role)
{
    const struct rnn_f32_place at = rnn_f32_enter<STACK>(job, role, Cell::RESET_BEFORE);
    const unsigned steps = rnn_f32_begin<Cell>(job, at);
    float c[TILE], bias[Cell::SUMS];
    for (int s = 0; s < Cell::SUMS; s++)
        bias[s] = at.exists ? job.packed[(size_t)s * job.hidden + at.unit] : 0.0f;
#pragma unroll
    for (int j = 0; j < TILE; j++) {
        const size_t n = at.first_row + at.row + j;
        c[j] = 0.0f;
        if (Cell::HAS_C && n < job.rows && at.exists && job.c0 != nullptr)
            c[j] = job.c0[(ptrdiff_t)n * job.c0_row + at.unit];
    }
    const bool fetches = !STACK || role.late == 0;
    if (fetches) {
        rnn_f32_fetch(job, at, 0);
        rnn_f32_fetch(job, at, 1);
    }
    simt_copy_wait();
    simt_sync();
    rnn_f32_arrive(role);
    for (unsigned turn = 0; turn < steps + role.extra; turn++) {
        const unsigned step = turn - role.late; /* wraps before the first */
        const bool works = !STACK || (at.exists && step < steps);
        float sums[TILE][Cell::SUMS];
#pragma unroll
        for (int j = 0; j < TILE; j++)
#pragma unroll
            for (int s = 0; s < Cell::SUMS; s++)
                sums[j][s] = bias[s];
        if (works)
            rnn_f32_half<Cell, TILE, PART_X>(
                job, at, sums, at.x + step % 3 * job.cut.rows * at.x_pitch, at.x_pitch);
        rnn_f32_wait(role);
        if (fetches)
            rnn_f32_fetch(job, at, step + 2);
        const unsigned h_tile = job.cut.rows * at.h_pitch;
        const float *h = at.h + step % 2 * h_tile;
        float *h_new = at.h + (step + 1) % 2 * h_tile + at.row * at.h_pitch + at.unit;
        float out[TILE] = {}; /* what the second half of a cell wants of the first */
        if (works) {
            rnn_f32_half<Cell, TILE, PART_H>(job, at, sums, h, at.h_pitch);
#pragma unroll
            for (int j = 0; j < TILE; j++)
                out[j] = Cell::gates(sums[j], &c[j]);
        }
        if (Cell::RESET_BEFORE) {
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                const unsigned place = (at.row + j) * at.h_pitch + at.unit;
                if (works && at.exists)
                    rnn_f32_publish(role, role.first, job.cut.cluster, at.rh + place,
                                    simt_mul(sums[j][1], h[place]));
            }
            if (role.cluster > 1)
                simt_cluster_arrive();
            rnn_f32_wait(role);
            if (works)
                rnn_f32_half<Cell, TILE, PART_RH>(job, at, sums, at.rh, at.h_pitch);
        }
        if (works && at.exists) {
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                const unsigned place = (at.row + j) * at.h_pitch + at.unit;
                const float next = Cell::cell(sums[j], h[place], c[j], out[j]);
                rnn_f32_publish(role, role.first, job.cut.cluster, h_new + j * at.h_pitch, next);
                if (STACK) /* x there is as wide as h is here */
                    rnn_f32_publish(role, role.first + job.cut.cluster, role.above,
                                    at.x + step % 3 * h_tile + place, next);
                rnn_f32_store(job, at, j, step, next, c[j]);
            }
        }
        rnn_f32_arrive(role);
    }
    rnn_f32_wait(role); /* no block leaves while others may still write to it */
    rnn_f32_fill<TILE>(job, at);
}

template <class Cell, int TILE> SIMT_INLINE void rnn_f32_run_alone(const struct rnn_f32_job &job)
{
    rnn_f32_run<Cell, TILE, false>(job, {job.cut.cluster, 0, 0, 0, 0});
}

/* What the launches of LSTM and GRU have in common. */
static inline struct rnn_f32_job rnn_f32_make_job(const struct apx_rnn_args *args, int32_t *fault,
                                                  const struct rnn_f32_cut &cut)
{
    struct rnn_f32_job job = {};
    job.input = (unsigned)args->desc->input;
    job.hidden = (unsigned)args->desc->hidden;
    job.steps = (unsigned)args->steps;
    job.reverse = args->desc->reverse;
    job.wide = args->desc->input % 4 == 0 && (uintptr_t)args->x % 16 == 0 && args->x_row % 4 == 0 &&
               args->x_step % 4 == 0;
    job.cut = cut;
    job.rows = args->rows;
    job.packed = (const float *)args->packed;
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

static inline struct simt_shape rnn_f32_shape(const struct rnn_f32_job &job)
{
    const size_t tiles = (job.rows + job.cut.rows - 1) / job.cut.rows;
    return {(unsigned)(tiles * job.cut.cluster), job.cut.units * job.cut.groups, job.cut.cluster,
            job.cut.shared};
}

#endif
