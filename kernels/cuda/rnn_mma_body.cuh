/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma_body.cuh - one direction of a recurrent layer over all steps, products on the tensor
 * cores.
 *
 * As rnn_f32_body.cuh: a cluster of blocks owns a tile of rows for all steps, weights stay in
 * shared memory, the new h is published to all blocks in one of two buffers, one barrier a step
 * (two for GRU with reset before), x comes two steps ahead. Here the sums of 8 units and 8 rows are
 * one warp's products (rnn_mma.h): weights are the left operand, x and h the right one. c, or the
 * unrounded h of a GRU, stays in registers.
 *
 * A row's sums do not depend on where it stands among the rows, so neither do its bits.
 *
 * What is multiplied is a policy, Numbers (rnn_mma_f16.cuh, rnn_mma_s8.cuh):
 *   begin       what the block needs before its first barrier
 *   begin_h     the initial h to shared memory, between the first barrier and the second
 *   fetch       begin to copy x of a step
 *   complete    wait for it, and make of it what is multiplied; each thread of what it copied
 *   publish     this unit's h to where all blocks of the cluster see it; all lanes come here
 *   is_spoiled  whether a row's state is NaN from this step on
 *   Sums        of a thread's unit and its rows: start (before the first step), add_x, add_h, for
 *               row j of tile t finish, and then at(t, j, sum), sum 0 to 3
 * A cell (lstm_*.cu, gru_*.cu) is a policy too:
 *   HAS_C       which initial state a thread keeps
 *   RESET_BEFORE, and then reset: r h from sums 0 and 1, which it may change
 *   cell        the new h from the sums, and the new state */
#ifndef APX_CUDA_RNN_MMA_BODY_CUH
#define APX_CUDA_RNN_MMA_BODY_CUH

#include "kernels/cuda/rnn_batch.cuh"
#include "kernels/cuda/rnn_mma.h"

/* By value to the kernel. */
struct rnn_mma_job {
    struct rnn_batch batch;
    struct rnn_mma_layer layer;
    struct rnn_mma_room room;
    struct rnn_mma_cut cut;
    const float *constants;
    const uint32_t *weights; /* behind them */
};

/* Where a thread's unit and rows are: unit `unit`, rows 8 t + pair and 8 t + pair + 1. */
struct rnn_mma_place {
    unsigned lane, unit, pair;
    bool exists; /* the unit */
    struct rnn_tile tile;
    float *x; /* shared, as all that follows: struct rnn_mma_room */
    uint8_t *qx, *h, *rh;
    int32_t *marks;
    const uint32_t *weights; /* of this warp's octet; of L2 where they are not resident */
};

SIMT_INLINE struct rnn_mma_place rnn_mma_enter(const struct rnn_mma_job &job)
{
    struct rnn_mma_place at;
    const unsigned rank = job.cut.cluster > 1 ? simt_cluster_rank() : 0;
    const unsigned warp = threadIdx.x / 32, octet = rank * job.cut.octets + warp;
    at.lane = threadIdx.x % 32;
    at.unit = octet * RNN_MMA_UNITS + at.lane / 4;
    at.pair = at.lane % 4 * 2;
    at.exists = at.unit < job.batch.hidden;
    at.tile.rows = 8 * job.cut.tiles;
    at.tile.first = (size_t)(blockIdx.x / job.cut.cluster) * at.tile.rows;
    at.tile.lengths = (int32_t *)(simt_shared() + job.room.lengths);
    at.x = (float *)(simt_shared() + job.room.x);
    at.qx = simt_shared() + job.room.qx;
    at.h = simt_shared() + job.room.h;
    at.rh = simt_shared() + job.room.rh;
    at.marks = (int32_t *)(simt_shared() + job.room.marks);
    const unsigned words = job.layer.octet_words;
    if (job.cut.resident) {
        uint32_t *to = (uint32_t *)(simt_shared() + job.room.weights);
        const unsigned first = rank * job.cut.octets, left = job.layer.octets - first;
        const unsigned there = (left < job.cut.octets ? left : job.cut.octets) * words;
        const uint32_t *from = job.weights + (size_t)first * words;
        for (unsigned i = 4 * threadIdx.x; i < there; i += 4 * blockDim.x)
            simt_copy16(to + i, from + i);
        for (unsigned i = there + 4 * threadIdx.x; i < job.cut.octets * words; i += 4 * blockDim.x)
            to[i] = to[i + 1] = to[i + 2] = to[i + 3] = 0;
        at.weights = to + warp * words;
    } else {
        at.weights = job.weights + (size_t)(octet < job.layer.octets ? octet : 0) * words;
    }
    return at;
}

/* Which of the two tiles of weight rows a product is for. */
enum rnn_mma_half { HALF_LOW = 1, HALF_HIGH = 2, HALF_BOTH = 3 };

/* A lane's weights of one of them and one tile of k. */
SIMT_INLINE void rnn_mma_load(const uint32_t *weights, uint32_t a[4])
{
    const uint4 four = *(const uint4 *)weights;
    a[0] = four.x;
    a[1] = four.y;
    a[2] = four.z;
    a[3] = four.w;
}

/* Table `which` of the constants for this thread's unit. */
SIMT_INLINE void rnn_mma_constants(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                   unsigned which, float out[4])
{
    const unsigned unit = at.exists ? at.unit : 0;
#pragma unroll
    for (unsigned g = 0; g < 4; g++)
        out[g] = job.constants[(4 * which + g) * job.layer.units + unit];
}

template <class Numbers, class Cell, int TILES>
SIMT_INLINE void rnn_mma_run(const struct rnn_mma_job &job)
{
    const struct rnn_mma_place at = rnn_mma_enter(job);
    Numbers::begin(job, at);
    rnn_tile_begin(job.batch, at.tile);
    simt_sync();
    Numbers::begin_h(job, at);
    simt_sync();
    const unsigned steps = rnn_tile_steps(at.tile), cluster = job.cut.cluster;
    float state[TILES][2];
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++)
        state[i / 2][i % 2] = rnn_tile_initial(job.batch, at.tile, i / 2 * 8 + at.pair + i % 2,
                                               at.unit, Cell::HAS_C ? job.batch.c0 : job.batch.h0,
                                               Cell::HAS_C ? job.batch.c0_row : job.batch.h0_row);
    typename Numbers::template Sums<TILES> sums;
    sums.start(job, at);
    for (unsigned step = 0; step < 2; step++) {
        Numbers::fetch(job, at, step);
        Numbers::complete(job, at, step);
    }
    simt_sync();
    rnn_arrive(cluster);
    const unsigned pitch = job.layer.h_pitch, h_tile = at.tile.rows * pitch;
    for (unsigned step = 0; step < steps; step++) {
        simt_sync_warp(); /* before products all lanes meet */
        sums.add_x(job, at, step);
        rnn_wait(cluster);
        Numbers::fetch(job, at, step + 2);
        const uint8_t *h = at.h + step % 2 * h_tile;
        uint8_t *h_new = at.h + (step + 1) % 2 * h_tile;
        simt_sync_warp();
        if constexpr (Cell::RESET_BEFORE) {
            sums.template add_h<HALF_LOW>(job, at, h);
#pragma unroll
            for (int i = 0; i < 2 * TILES; i++) {
                const int t = i / 2, j = i % 2;
                sums.template finish<HALF_LOW>(t, j);
                Numbers::publish(job, at, at.rh + (8 * t + at.pair + j) * pitch,
                                 Cell::reset(&sums.at(t, j, 0), &sums.at(t, j, 1), state[t][j]));
            }
            rnn_arrive(cluster);
            rnn_wait(cluster);
            sums.template add_h<HALF_HIGH>(job, at, at.rh);
        } else {
            sums.template add_h<HALF_BOTH>(job, at, h);
        }
#pragma unroll
        for (int i = 0; i < 2 * TILES; i++) {
            const int t = i / 2, j = i % 2;
            const unsigned row = 8 * t + at.pair + j;
            sums.template finish<Cell::RESET_BEFORE ? HALF_HIGH : HALF_BOTH>(t, j);
            const float four[4] = {sums.at(t, j, 0), sums.at(t, j, 1), sums.at(t, j, 2),
                                   sums.at(t, j, 3)};
            if (Numbers::is_spoiled(at, step, row))
                state[t][j] = simt_float(0x7fc00000u);
            const float next = Cell::cell(four, &state[t][j]);
            Numbers::publish(job, at, h_new + row * pitch, next);
            rnn_tile_store(job.batch, at.tile, row, at.unit, step, next, state[t][j]);
        }
        Numbers::complete(job, at, step + 2);
        rnn_arrive(cluster);
    }
    rnn_wait(cluster); /* no block leaves while others may still write to it */
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++)
        rnn_tile_fill(job.batch, at.tile, i / 2 * 8 + at.pair + i % 2, at.unit);
}

template <class Numbers, class Cell, int TILES>
__global__ void __launch_bounds__(TILES > 1 ? 512 : 1024, 1)
    rnn_mma_kernel(const struct rnn_mma_job job)
{
    rnn_mma_run<Numbers, Cell, TILES>(job);
}

static inline struct rnn_mma_job rnn_mma_make_job(const struct rnn_mma_cut &cut,
                                                  const struct apx_rnn_args *args, unsigned gates,
                                                  int32_t *fault)
{
    struct rnn_mma_job job = {};
    job.batch = rnn_batch_make(args, fault);
    job.layer = apx_rnn_mma_layer(args->desc, gates);
    job.room = apx_rnn_mma_room(&job.layer, 8 * cut.tiles);
    job.cut = cut;
    job.constants = (const float *)args->packed;
    job.weights = (const uint32_t *)(job.constants + job.layer.constants * job.layer.units);
    return job;
}

template <class Numbers, class Cell>
static int rnn_mma_launch(const struct rnn_mma_job &job, void *stream)
{
    const unsigned rows = 8 * job.cut.tiles;
    const struct simt_shape shape = {
        (unsigned)((job.batch.rows + rows - 1) / rows * job.cut.cluster), 32 * job.cut.octets,
        job.cut.cluster, job.cut.shared};
    switch (job.cut.tiles) {
    case 1:
        return simt_launch(rnn_mma_kernel<Numbers, Cell, 1>, shape, stream, job);
    case 2:
        return simt_launch(rnn_mma_kernel<Numbers, Cell, 2>, shape, stream, job);
    default:
        return simt_launch(rnn_mma_kernel<Numbers, Cell, 4>, shape, stream, job);
    }
}

/* A row of the table; LAUNCH enqueues with a cut. */
template <unsigned GATES, bool IS_INT8,
          int (*LAUNCH)(const struct rnn_mma_cut *, const struct apx_rnn_args *, int32_t *, void *)>
struct rnn_mma_row {
    static bool supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc)
    {
        return (desc->int8.levels > 0) == IS_INT8 && apx_rnn_mma_supports(device, desc, GATES);
    }
    static size_t packed_bytes(const struct apx_rnn_desc *desc)
    {
        return apx_rnn_mma_packed_bytes(desc, GATES);
    }
    static void pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                     void *packed)
    {
        apx_rnn_mma_pack(desc, GATES, weights, packed);
    }
    static size_t scratch_bytes(const struct apx_rnn_desc *, size_t, size_t)
    {
        return 0;
    }
    static int launch(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                      int32_t *fault, void *stream)
    {
        struct rnn_mma_cut cut = {};
        apx_rnn_mma_cut(device, args->desc, GATES, args->rows, args->steps, &cut);
        return LAUNCH(&cut, args, fault, stream);
    }
    static double seconds(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                          size_t rows, size_t steps)
    {
        struct rnn_mma_cut cut = {};
        apx_rnn_mma_cut(device, desc, GATES, rows, steps, &cut);
        return cut.seconds;
    }
    /* A constant: tables are filled from it when the plug-in is loaded. */
    static constexpr struct apx_cuda_rnn_row make(const char *name)
    {
        return {name,     IS_INT8 ? "int8" : "fp16",
                supports, packed_bytes,
                pack,     scratch_bytes,
                launch,   seconds,
                nullptr,  nullptr};
    }
};

#endif
