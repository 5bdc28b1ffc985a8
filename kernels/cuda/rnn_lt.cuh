/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_lt.cuh - large recurrent layers: their products by cuBLASLt (lt_product.h), the cells by the
 * processor's own source (kernels/rnn/rnn_cell.h), the weights packed as for rnn_f32_body.cuh.
 *
 * x W is one product for many steps: x of as many as `chunk` bytes hold is gathered first, rows
 * beside each other whatever their strides were. Then, for each time, h R and one pass over all
 * units: bias + x W + h R in this order, the cell, the new h. A row takes part while the time is
 * within its length, so rows of any lengths go through time together, in reverse too: such a row
 * begins later. GRU with reset before has a pass and a product more.
 *
 * A cell policy says what is special (lstm_f32_lt.cu, gru_f32_lt.cu):
 *
 *   GATES   sums of a unit in a row of W and R
 *   BEFORE  the first GATES - 1 sums first, then the last one from r h
 *   HAS_C   a second state
 *   place   of a unit's sum among the products
 *   gates   BEFORE: z and r from their sums
 *   cell    the new h (and c) */
#ifndef APX_CUDA_RNN_LT_CUH
#define APX_CUDA_RNN_LT_CUH

#include "kernels/cuda/lt_product.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/rnn/rnn_cell.h"

enum {
    RNN_LT_BLOCK = 256,
    RNN_LT_CHUNK = 32 << 20, /* bytes of x and x W at a time, if that is a step or more */
    RNN_LT_MOST_UNITS = 1 << 14,
    RNN_LT_MOST_INPUT = 1 << 20,
    RNN_LT_LEAST_UNITS = 513, /* or more inputs than our own rows take: see README.md */
};

/* Scratch. Pitches are whole quadruples, so that all rows are aligned to 16 bytes. */
struct rnn_lt_room {
    size_t h_pitch, x_pitch, sums_pitch;
    size_t chunk;     /* steps */
    int32_t *lengths; /* [N] */
    float *h, *state; /* [N][h_pitch]; state: c, or r h */
    float *candidate; /* [N][h_pitch]: (r h) R of the candidate */
    float *recurrent; /* [N][sums_pitch]: h R */
    float *x, *sums;  /* [chunk][N][x_pitch], [chunk][N][sums_pitch]: x W */
    size_t bytes;
};

/* By value to the kernels. */
struct rnn_lt_job {
    unsigned input, hidden, steps;
    unsigned across; /* blocks for a row of units */
    bool reverse;
    size_t rows;
    const float *packed;
    struct rnn_lt_room room;
    const float *x, *h0, *c0;
    ptrdiff_t x_row, x_step, h0_row, c0_row;
    const int32_t *lengths;
    float *y, *h_last, *c_last;
    ptrdiff_t y_row, y_step, h_last_row, c_last_row;
    int32_t *fault;
};

static inline size_t rnn_lt_quad(size_t width)
{
    return (width + 3) / 4 * 4;
}

static inline struct rnn_lt_room rnn_lt_make_room(const struct apx_rnn_desc *desc, size_t gates,
                                                  bool before, size_t rows, size_t steps,
                                                  void *scratch)
{
    struct rnn_lt_room room = {};
    size_t end = 0;
    const auto take = [&](size_t bytes) {
        const uintptr_t at = (uintptr_t)scratch + end; /* there may be no scratch yet */
        end += (bytes + 255) / 256 * 256;
        return (void *)at;
    };
    room.h_pitch = rnn_lt_quad(desc->hidden);
    room.x_pitch = rnn_lt_quad(desc->input);
    room.sums_pitch = rnn_lt_quad(gates * desc->hidden);
    const size_t step = rows * (room.x_pitch + room.sums_pitch) * sizeof(float);
    const size_t most = step > RNN_LT_CHUNK ? step : (size_t)RNN_LT_CHUNK;
    room.chunk = steps * step < most ? steps : most / step;
    room.lengths = (int32_t *)take(rows * sizeof(int32_t));
    room.h = (float *)take(rows * room.h_pitch * sizeof(float));
    room.state = (float *)take(rows * room.h_pitch * sizeof(float));
    room.candidate = (float *)take(before ? rows * room.h_pitch * sizeof(float) : 0);
    room.recurrent = (float *)take(rows * room.sums_pitch * sizeof(float));
    /* Not what this chunk takes but what none exceeds: more rows never take less. */
    room.bytes = end + ((steps * step < most ? steps * step : most) + 511) / 256 * 256;
    room.x = (float *)take(room.chunk * rows * room.x_pitch * sizeof(float));
    room.sums = (float *)take(room.chunk * rows * room.sums_pitch * sizeof(float));
    return room;
}

/* The unit of this thread; false: none. */
SIMT_INLINE bool rnn_lt_enter(const struct rnn_lt_job &job, size_t *row, unsigned *unit)
{
    *row = blockIdx.x / job.across;
    *unit = blockIdx.x % job.across * RNN_LT_BLOCK + threadIdx.x;
    return *unit < job.hidden;
}

/* Lengths and initial states. */
template <class Cell>
__global__ void __launch_bounds__(RNN_LT_BLOCK) rnn_lt_begin_kernel(const struct rnn_lt_job job)
{
    size_t row;
    unsigned unit;
    if (!rnn_lt_enter(job, &row, &unit))
        return;
    if (unit == 0) {
        int32_t length = job.lengths != nullptr ? job.lengths[row] : (int32_t)job.steps;
        if (length < 0 || length > (int32_t)job.steps) {
            *job.fault = 1;
            length = length < 0 ? 0 : (int32_t)job.steps;
        }
        job.room.lengths[row] = length;
    }
    const size_t place = row * job.room.h_pitch + unit;
    job.room.h[place] = job.h0 != nullptr ? job.h0[(ptrdiff_t)row * job.h0_row + unit] : 0.0f;
    if (Cell::HAS_C)
        job.room.state[place] =
            job.c0 != nullptr ? job.c0[(ptrdiff_t)row * job.c0_row + unit] : 0.0f;
}

/* x of the times first, first + 1 ...: a block for each of a row's. What lies behind a row's end is
 * not looked at. */
template <class Cell>
__global__ void __launch_bounds__(RNN_LT_BLOCK)
    rnn_lt_gather_kernel(const struct rnn_lt_job job, const unsigned first)
{
    const size_t row = blockIdx.x % job.rows;
    const unsigned time = first + (unsigned)(blockIdx.x / job.rows);
    const float *from = job.x + (ptrdiff_t)row * job.x_row + (ptrdiff_t)time * job.x_step;
    float *to = job.room.x + (size_t)blockIdx.x * job.room.x_pitch;
    const bool is_there = (int32_t)time < job.room.lengths[row];
    for (unsigned k = threadIdx.x; k < job.input; k += RNN_LT_BLOCK)
        to[k] = is_there ? from[k] : 0.0f;
}

/* A unit's sums of x W, with the bias. */
template <class Cell>
SIMT_INLINE void rnn_lt_sums(const struct rnn_lt_job &job, const float *sums, unsigned unit,
                             float out[Cell::GATES])
{
#pragma unroll
    for (unsigned g = 0; g < Cell::GATES; g++)
        out[g] = simt_add(job.packed[(size_t)g * job.hidden + unit],
                          sums[Cell::place(g, unit, job.hidden)]);
}

/* BEFORE: z (into its place among the products) and r h. */
template <class Cell>
__global__ void __launch_bounds__(RNN_LT_BLOCK)
    rnn_lt_gates_kernel(const struct rnn_lt_job job, const float *x_sums)
{
    size_t row;
    unsigned unit;
    vf_make_table();
    simt_sync();
    if (!rnn_lt_enter(job, &row, &unit))
        return;
    float sums[Cell::GATES];
    float *h_sums = job.room.recurrent + row * job.room.sums_pitch;
    rnn_lt_sums<Cell>(job, x_sums + row * job.room.sums_pitch, unit, sums);
    float z = simt_add(sums[0], h_sums[unit]);
    float r = simt_add(sums[1], h_sums[job.hidden + unit]);
    Cell::gates(&z, &r);
    h_sums[unit] = z;
    job.room.state[row * job.room.h_pitch + unit] =
        simt_mul(r, job.room.h[row * job.room.h_pitch + unit]);
}

/* The new states of one time, and y. */
template <class Cell>
__global__ void __launch_bounds__(RNN_LT_BLOCK)
    rnn_lt_cell_kernel(const struct rnn_lt_job job, const float *x_sums, const unsigned time)
{
    size_t row;
    unsigned unit;
    vf_make_table();
    simt_sync();
    if (!rnn_lt_enter(job, &row, &unit))
        return;
    const size_t place = row * job.room.h_pitch + unit;
    float y = 0.0f;
    if ((int32_t)time < job.room.lengths[row]) {
        float sums[Cell::GATES];
        rnn_lt_sums<Cell>(job, x_sums + row * job.room.sums_pitch, unit, sums);
        y = Cell::cell(job, sums, row, unit, place);
        job.room.h[place] = y;
    }
    if (job.y != nullptr)
        job.y[(ptrdiff_t)row * job.y_row + (ptrdiff_t)time * job.y_step + unit] = y;
}

/* The states after each row's last step. */
template <class Cell>
__global__ void __launch_bounds__(RNN_LT_BLOCK) rnn_lt_end_kernel(const struct rnn_lt_job job)
{
    size_t row;
    unsigned unit;
    if (!rnn_lt_enter(job, &row, &unit))
        return;
    const size_t place = row * job.room.h_pitch + unit;
    const bool has_run = job.room.lengths[row] > 0;
    if (job.h_last != nullptr)
        job.h_last[(ptrdiff_t)row * job.h_last_row + unit] = has_run ? job.room.h[place] : 0.0f;
    if (Cell::HAS_C && job.c_last != nullptr)
        job.c_last[(ptrdiff_t)row * job.c_last_row + unit] = has_run ? job.room.state[place] : 0.0f;
}

/* ---- the host's side ------------------------------------------------------------------------- */

enum rnn_lt_part { RNN_LT_X, RNN_LT_H, RNN_LT_CANDIDATE };

/* usual_rows: of x many steps' at once, of h a batch that is worth a GPU. */
template <class Cell>
static struct apx_lt_product rnn_lt_product(const struct apx_rnn_desc *desc, enum rnn_lt_part part)
{
    struct apx_lt_product product = {};
    const size_t hidden = desc->hidden, sums = Cell::GATES * hidden;
    product.inner = part == RNN_LT_X ? desc->input : hidden;
    product.outputs = part == RNN_LT_CANDIDATE           ? hidden
                      : Cell::BEFORE && part == RNN_LT_H ? sums - hidden
                                                         : sums;
    product.w_row = sums;
    product.usual_rows = part == RNN_LT_X ? 2048 : 256;
    product.w_alignment = Cell::GATES % 4 == 0 || hidden % 4 == 0 ? 16 : 4;
    product.alignment = 16;
    return product;
}

template <class Cell>
static bool rnn_lt_can(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
{
    if (desc->input == 0 || desc->input > RNN_LT_MOST_INPUT || desc->hidden > RNN_LT_MOST_UNITS)
        return false;
    for (int part = RNN_LT_X; part <= (Cell::BEFORE ? RNN_LT_CANDIDATE : RNN_LT_H); part++) {
        const struct apx_lt_product product = rnn_lt_product<Cell>(desc, (enum rnn_lt_part)part);
        if (!apx_lt_can(device, &product))
            return false;
    }
    return true;
}

template <class Cell>
static int rnn_lt_multiply(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                           enum rnn_lt_part part, const struct rnn_lt_job &job, size_t steps,
                           void *stream)
{
    const struct rnn_lt_room &room = job.room;
    const struct apx_lt_product product = rnn_lt_product<Cell>(desc, part);
    const size_t sums = Cell::GATES * desc->hidden;
    struct apx_lt_arrays arrays = {};
    arrays.w = job.packed + 4 * desc->hidden;
    arrays.rows = steps * job.rows;
    if (part == RNN_LT_X) {
        arrays.x = room.x;
        arrays.x_row = (ptrdiff_t)room.x_pitch;
        arrays.y = room.sums;
        arrays.y_row = (ptrdiff_t)room.sums_pitch;
    } else {
        arrays.w += desc->input * sums + (part == RNN_LT_CANDIDATE ? sums - desc->hidden : 0);
        arrays.x = part == RNN_LT_CANDIDATE ? room.state : room.h;
        arrays.x_row = (ptrdiff_t)room.h_pitch;
        arrays.y = part == RNN_LT_CANDIDATE ? room.candidate : room.recurrent;
        arrays.y_row = (ptrdiff_t)(part == RNN_LT_CANDIDATE ? room.h_pitch : room.sums_pitch);
    }
    return apx_lt_launch(device, &product, &arrays, stream);
}

/* One time, whose x W lies at x_sums. */
template <class Cell>
static int rnn_lt_step(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                       const struct rnn_lt_job &job, const float *x_sums, unsigned time,
                       void *stream)
{
    const struct simt_shape units = {(unsigned)job.rows * job.across, RNN_LT_BLOCK, 1,
                                     VF_TABLE_BYTES};
    int code = rnn_lt_multiply<Cell>(device, desc, RNN_LT_H, job, 1, stream);
    if constexpr (Cell::BEFORE) {
        if (code == 0)
            code = simt_launch(rnn_lt_gates_kernel<Cell>, units, stream, job, x_sums);
        if (code == 0)
            code = rnn_lt_multiply<Cell>(device, desc, RNN_LT_CANDIDATE, job, 1, stream);
    }
    if (code == 0)
        code = simt_launch(rnn_lt_cell_kernel<Cell>, units, stream, job, x_sums, time);
    return code;
}

template <class Cell>
static struct rnn_lt_job rnn_lt_make_job(const struct apx_rnn_args *args, int32_t *fault)
{
    struct rnn_lt_job job = {};
    job.input = (unsigned)args->desc->input;
    job.hidden = (unsigned)args->desc->hidden;
    job.steps = (unsigned)args->steps;
    job.across = (job.hidden + RNN_LT_BLOCK - 1) / RNN_LT_BLOCK;
    job.reverse = args->desc->reverse;
    job.rows = args->rows;
    job.packed = (const float *)args->packed;
    job.room = rnn_lt_make_room(args->desc, Cell::GATES, Cell::BEFORE, args->rows, args->steps,
                                args->scratch);
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

template <class Cell>
static int rnn_lt_launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                         int32_t *fault, void *stream)
{
    const struct rnn_lt_job job = rnn_lt_make_job<Cell>(args, fault);
    const struct simt_shape units = {(unsigned)job.rows * job.across, RNN_LT_BLOCK, 1, 0};
    int code = simt_launch(rnn_lt_begin_kernel<Cell>, units, stream, job);
    for (unsigned done = 0; done < job.steps && code == 0;) {
        const unsigned left = job.steps - done;
        const unsigned count = left < job.room.chunk ? left : (unsigned)job.room.chunk;
        const unsigned first = job.reverse ? left - count : done;
        code = simt_launch(rnn_lt_gather_kernel<Cell>,
                           {(unsigned)(count * job.rows), RNN_LT_BLOCK, 1, 0}, stream, job, first);
        if (code == 0)
            code = rnn_lt_multiply<Cell>(device, args->desc, RNN_LT_X, job, count, stream);
        for (unsigned i = 0; i < count && code == 0; i++) {
            const unsigned step = job.reverse ? count - 1 - i : i;
            code = rnn_lt_step<Cell>(device, args->desc, job,
                                     job.room.sums + step * job.rows * job.room.sums_pitch,
                                     first + step, stream);
        }
        done += count;
    }
    return code == 0 ? simt_launch(rnn_lt_end_kernel<Cell>, units, stream, job) : code;
}

template <class Cell>
static size_t rnn_lt_bytes(const struct apx_rnn_desc *desc, size_t rows, size_t steps)
{
    return rnn_lt_make_room(desc, Cell::GATES, Cell::BEFORE, rows, steps, nullptr).bytes;
}

/* 1 us for each pass beside the bytes that it moves. Not measured. */
template <class Cell>
static double rnn_lt_seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                             size_t rows, size_t steps)
{
    const struct apx_lt_product x = rnn_lt_product<Cell>(desc, RNN_LT_X);
    const struct apx_lt_product h = rnn_lt_product<Cell>(desc, RNN_LT_H);
    const struct apx_lt_product candidate = rnn_lt_product<Cell>(desc, RNN_LT_CANDIDATE);
    const double floats = (2.0 * (double)Cell::GATES + 5.0) * (double)rows * (double)desc->hidden;
    double step = apx_lt_seconds(device, &h, rows) + 1e-6 + 4.0 * floats / device->memory_rate;
    if (Cell::BEFORE)
        step += apx_lt_seconds(device, &candidate, rows) + 1e-6;
    return (double)steps * step + apx_lt_seconds(device, &x, rows * steps) +
           8.0 * (double)rows * (double)steps * (double)desc->input / device->memory_rate + 3e-6;
}

#endif
