/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8.cu - y = act(bias + scale sum(w q(x))) with the bits of the processor's int8 rows: sums
 * of integers are exact in any order.
 *
 * A block of four warps has 64 outputs of 16 or 64 rows, a warp 16 outputs of all of them as
 * products of bytes on the tensor cores. The block rounds slabs of 128 k of x into one of two
 * buffers while the warps multiply the other one; weights come straight from L2, each word to one
 * lane of the block. A row that has a NaN is marked. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/dense_s8_mma.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/cpu/activations.h"

namespace
{
enum {
    WARPS = 4,
    THREADS = 32 * WARPS,
    OUTPUTS = WARPS * DENSE_S8_OUTPUTS,
    SLAB_TILES = 4,
    SLAB = SLAB_TILES * DENSE_S8_K,
    PITCH = SLAB + DENSE_S8_K /* bytes: rows of lanes meet no bank twice */
};

struct dense_s8_job {
    unsigned input, output, groups, tiles;
    bool wide; /* rows of x may be read 16 bytes at a time */
    float levels, factor;
    struct apx_activation act;
    size_t rows;
    const float *constants;
    const uint32_t *weights;
    const float *x;
    float *y;
    ptrdiff_t x_row, y_row;
};

template <int TILES> struct dense_s8_stage {
    uint8_t q[2][TILES * 8 * PITCH];
    int32_t marks[TILES * 8];
};

SIMT_INLINE uint32_t dense_s8_level(float v, const struct dense_s8_job &job)
{
    float scaled = simt_mul(v, job.factor);
    scaled = scaled > -job.levels ? scaled : -job.levels;
    scaled = scaled < job.levels ? scaled : job.levels;
    return (uint32_t)simt_round(scaled) & 0xff;
}

/* Round the slab from k on; what lies beyond x meets weights that are zero. */
template <int TILES>
SIMT_INLINE void dense_s8_round(const struct dense_s8_job &job, unsigned k, size_t first_row,
                                struct dense_s8_stage<TILES> *stage)
{
    uint8_t *to = stage->q[k / SLAB % 2];
#pragma unroll 4
    for (unsigned i = threadIdx.x; i < TILES * 8 * (SLAB / 4); i += THREADS) {
        const unsigned row = i / (SLAB / 4), at = i % (SLAB / 4) * 4;
        if (first_row + row >= job.rows || k + at >= job.input)
            continue;
        const float *x = job.x + (ptrdiff_t)(first_row + row) * job.x_row + k + at;
        float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (job.wide) {
            const float4 four = *(const float4 *)x;
            v[0] = four.x;
            v[1] = four.y;
            v[2] = four.z;
            v[3] = four.w;
        } else {
#pragma unroll
            for (unsigned j = 0; j < 4; j++)
                if (k + at + j < job.input)
                    v[j] = x[j];
        }
        uint32_t word = 0;
        bool has_nan = false;
#pragma unroll
        for (unsigned j = 0; j < 4; j++) {
            word |= dense_s8_level(v[j], job) << 8 * j;
            has_nan = has_nan || v[j] != v[j];
        }
        *(uint32_t *)(to + row * PITCH + at) = word;
        if (has_nan)
            simt_or(stage->marks + row, 1);
    }
}

template <int TILES>
__global__ void __launch_bounds__(THREADS, 4) dense_s8_kernel(const struct dense_s8_job job)
{
    struct dense_s8_stage<TILES> *stage = (struct dense_s8_stage<TILES> *)simt_shared();
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned across = (job.output + OUTPUTS - 1) / OUTPUTS;
    const unsigned group = blockIdx.x % across * WARPS + warp;
    const size_t first_row = (size_t)(blockIdx.x / across) * (TILES * 8);
    const uint32_t *weights =
        job.weights + (size_t)(group < job.groups ? group : 0) * job.tiles * DENSE_S8_TILE_WORDS +
        4 * lane;
    int32_t sums[TILES][4];
#pragma unroll
    for (int i = 0; i < TILES * 4; i++)
        sums[i / 4][i % 4] = 0;
    for (unsigned row = threadIdx.x; row < TILES * 8; row += THREADS)
        stage->marks[row] = 0;
    simt_sync();
    dense_s8_round<TILES>(job, 0, first_row, stage);
    simt_sync();
    for (unsigned k = 0; k < job.input; k += SLAB) {
        const unsigned first = k / DENSE_S8_K, left = job.tiles - first;
        dense_s8_round<TILES>(job, k + SLAB, first_row, stage);
        simt_sync_warp(); /* before products all lanes meet */
        const uint8_t *from = stage->q[k / SLAB % 2] + lane / 4 * PITCH + lane % 4 * 8;
        for (unsigned tile = 0; tile < left && tile < SLAB_TILES; tile++) {
            const uint4 four =
                *(const uint4 *)(weights + (size_t)(first + tile) * DENSE_S8_TILE_WORDS);
            const uint32_t a[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const uint2 two = *(const uint2 *)(from + 8 * t * PITCH + tile * DENSE_S8_K);
                const uint32_t b[2] = {two.x, two.y};
                simt_mma_s8(sums[t], a, b);
            }
        }
        simt_sync();
    }
#pragma unroll
    for (int i = 0; i < TILES * 4; i++) {
        const unsigned line = i / 4 * 8 + lane % 4 * 2 + i % 2;
        const unsigned output = group * DENSE_S8_OUTPUTS + lane / 4 + i % 4 / 2 * 8;
        const size_t row = first_row + line;
        if (row >= job.rows || output >= job.output)
            continue;
        const float bias =
            stage->marks[line] != 0 ? simt_float(0x7fc00000u) : job.constants[output];
        const float scale = job.constants[job.groups * DENSE_S8_OUTPUTS + output];
        job.y[(ptrdiff_t)row * job.y_row + output] =
            vf_activate(job.act, simt_fma(simt_to_float(sums[i / 4][i % 4]), scale, bias));
    }
}

bool supports(const struct apx_cuda_device *, const struct apx_dense_desc *desc)
{
    return desc->int8.levels > 0 && desc->input < (1u << 30) && desc->output < (1u << 30);
}

bool is_small(const struct apx_cuda_device *device, size_t rows, size_t output)
{
    const size_t blocks = (rows + 63) / 64 * ((output + OUTPUTS - 1) / OUTPUTS);
    return blocks < (size_t)device->multiprocessors;
}

int launch(const struct apx_cuda_device *device, const struct apx_dense_args *args, void *stream)
{
    const struct apx_dense_desc *desc = args->desc;
    struct dense_s8_job job = {};
    job.input = (unsigned)desc->input;
    job.output = (unsigned)desc->output;
    job.groups = (unsigned)dense_s8_groups(desc);
    job.tiles = (unsigned)dense_s8_tiles(desc);
    job.wide = desc->input % 4 == 0 && (uintptr_t)args->x % 16 == 0 && args->x_row % 4 == 0;
    job.levels = (float)desc->int8.levels;
    job.factor = apx_dense_s8_cuda_factor(desc);
    job.act = desc->act;
    job.rows = args->rows;
    job.constants = (const float *)args->packed;
    job.weights = (const uint32_t *)(job.constants + 2 * DENSE_S8_OUTPUTS * job.groups);
    job.x = args->x;
    job.x_row = args->x_row;
    job.y = args->y;
    job.y_row = args->y_row;
    const unsigned across = (job.output + OUTPUTS - 1) / OUTPUTS;
    if (is_small(device, job.rows, job.output))
        return simt_launch(dense_s8_kernel<2>,
                           {(unsigned)((job.rows + 15) / 16) * across, THREADS, 1,
                            sizeof(struct dense_s8_stage<2>)},
                           stream, job);
    return simt_launch(
        dense_s8_kernel<8>,
        {(unsigned)((job.rows + 63) / 64) * across, THREADS, 1, sizeof(struct dense_s8_stage<8>)},
        stream, job);
}

double seconds(const struct apx_cuda_device *device, const struct apx_dense_desc *desc, size_t rows)
{
    const double tile = is_small(device, rows, desc->output) ? 16.0 : 64.0;
    const double tall = (double)(size_t)(((double)rows + tile - 1.0) / tile);
    const double blocks = tall * (double)((desc->output + OUTPUTS - 1) / OUTPUTS);
    const double rounds = (double)(size_t)((blocks - 1.0) / device->multiprocessors + 1.0);
    /* Rounding costs eight instructions a number, four warps a cycle; and a load's latency. */
    const double slab = SLAB * tile * 8.0 / 128.0 + 900.0;
    const double slabs = (double)((desc->input + SLAB - 1) / SLAB);
    const double bytes = 4.0 * (double)rows * (double)(desc->input + desc->output) +
                         (double)desc->input * (double)desc->output;
    return rounds * (slabs * slab + 2000.0) / device->clock + bytes / device->memory_rate;
}
} // namespace

const struct apx_cuda_dense_row apx_dense_s8_cuda = {
    "dense_s8_cuda",        "int8", supports, apx_dense_s8_cuda_packed_bytes,
    apx_dense_s8_cuda_pack, launch, seconds};
