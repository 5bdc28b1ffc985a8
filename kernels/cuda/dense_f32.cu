/* SPDX-License-Identifier: Apache-2.0 */
/* dense_f32.cu - y = act(x W + b) with the bits of the processor's rows: bias, k ascending, fused.
 *
 * A block of 16 x 16 threads has 64 outputs of 16 or 64 rows, a thread four neighbouring outputs of
 * 1 or 4 rows. Slabs of 16 k pass through two stages of shared memory, one being used while the
 * next one is copied. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/cpu/activations.h"

namespace
{
enum { SIDE = 16, SLAB = 16, OUTPUTS = 64, EACH = OUTPUTS / SIDE, X_PITCH = SLAB + 4 };

struct dense_job {
    unsigned input, output, padded;
    struct apx_activation act;
    size_t rows;
    const float *packed, *x;
    float *y;
    ptrdiff_t x_row, y_row;
};

template <int TILE> struct dense_stage {
    float w[SLAB * OUTPUTS];
    float x[TILE * SIDE * X_PITCH];
};

/* Begin to copy the slab from k on; what lies beyond x or W is not read later. */
template <int TILE>
SIMT_INLINE void dense_fetch(const struct dense_job &job, unsigned k, size_t first_row,
                             unsigned first_output, struct dense_stage<TILE> *stage)
{
    for (unsigned i = threadIdx.x; i < SLAB * SIDE; i += SIDE * SIDE) {
        const unsigned row = k + i / SIDE, output = first_output + i % SIDE * EACH;
        if (row < job.input && output < job.padded)
            simt_copy16(stage->w + i * EACH, job.packed + (size_t)(row + 1) * job.padded + output);
    }
    for (unsigned i = threadIdx.x; i < TILE * SIDE * SLAB; i += SIDE * SIDE) {
        const unsigned row = i / SLAB, at = i % SLAB;
        if (first_row + row < job.rows && k + at < job.input)
            simt_copy4(stage->x + row * X_PITCH + at,
                       job.x + (ptrdiff_t)(first_row + row) * job.x_row + k + at);
    }
}

template <int TILE>
__global__ void __launch_bounds__(SIDE *SIDE, 2) dense_f32_kernel(const struct dense_job job)
{
    struct dense_stage<TILE> *stages = (struct dense_stage<TILE> *)simt_shared();
    const unsigned column = threadIdx.x % SIDE, line = threadIdx.x / SIDE;
    const unsigned across = (job.output + OUTPUTS - 1) / OUTPUTS;
    const unsigned first_output = blockIdx.x % across * OUTPUTS;
    const size_t first_row = (size_t)(blockIdx.x / across) * (TILE * SIDE);
    const unsigned output = first_output + column * EACH;
    float sums[TILE][EACH];
#pragma unroll
    for (int j = 0; j < TILE; j++)
#pragma unroll
        for (int i = 0; i < EACH; i++)
            sums[j][i] = output < job.padded ? job.packed[output + i] : 0.0f;
    dense_fetch<TILE>(job, 0, first_row, first_output, stages);
    for (unsigned k = 0; k < job.input; k += SLAB) {
        const struct dense_stage<TILE> *stage = stages + k / SLAB % 2;
        simt_copy_wait();
        simt_sync();
        dense_fetch<TILE>(job, k + SLAB, first_row, first_output, stages + (k / SLAB + 1) % 2);
        const unsigned count = job.input - k < SLAB ? job.input - k : (unsigned)SLAB;
#pragma unroll 4
        for (unsigned i = 0; i < count; i++) {
            const float4 w = *(const float4 *)(stage->w + i * OUTPUTS + column * EACH);
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                const float x = stage->x[(j * SIDE + line) * X_PITCH + i];
                sums[j][0] = simt_fma(x, w.x, sums[j][0]);
                sums[j][1] = simt_fma(x, w.y, sums[j][1]);
                sums[j][2] = simt_fma(x, w.z, sums[j][2]);
                sums[j][3] = simt_fma(x, w.w, sums[j][3]);
            }
        }
    }
    simt_copy_wait(); /* nothing is under way: the last slab's successor is beyond the input */
#pragma unroll
    for (int j = 0; j < TILE; j++) {
        const size_t row = first_row + j * SIDE + line;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (row < job.rows && output + i < job.output)
                job.y[(ptrdiff_t)row * job.y_row + output + i] = vf_activate(job.act, sums[j][i]);
    }
}

bool supports(const struct apx_cuda_device *, const struct apx_dense_desc *desc)
{
    return desc->int8.levels == 0 && desc->input < (1u << 30) && desc->output < (1u << 30);
}

bool is_small(const struct apx_cuda_device *device, size_t rows, size_t output)
{
    const size_t blocks = (rows + 63) / 64 * ((output + OUTPUTS - 1) / OUTPUTS);
    return blocks < (size_t)device->multiprocessors;
}

int launch(const struct apx_cuda_device *device, const struct apx_dense_args *args, void *stream)
{
    struct dense_job job = {};
    job.input = (unsigned)args->desc->input;
    job.output = (unsigned)args->desc->output;
    job.padded = (job.output + 3) / 4 * 4;
    job.act = args->desc->act;
    job.rows = args->rows;
    job.packed = (const float *)args->packed;
    job.x = args->x;
    job.x_row = args->x_row;
    job.y = args->y;
    job.y_row = args->y_row;
    const unsigned across = (job.output + OUTPUTS - 1) / OUTPUTS;
    if (is_small(device, job.rows, job.output))
        return simt_launch(dense_f32_kernel<1>,
                           {(unsigned)((job.rows + 15) / 16) * across, SIDE * SIDE, 1,
                            2 * sizeof(struct dense_stage<1>)},
                           stream, job);
    return simt_launch(dense_f32_kernel<4>,
                       {(unsigned)((job.rows + 63) / 64) * across, SIDE * SIDE, 1,
                        2 * sizeof(struct dense_stage<4>)},
                       stream, job);
}

double seconds(const struct apx_cuda_device *device, const struct apx_dense_desc *desc, size_t rows)
{
    const bool small = is_small(device, rows, desc->output);
    const double tile = small ? 16.0 : 64.0, tall = ((double)rows + tile - 1.0) / tile;
    const double blocks = (double)(size_t)tall * (((double)desc->output + 63.0) / 64.0);
    const double rounds = (double)(size_t)((blocks - 1.0) / device->multiprocessors + 1.0);
    /* 128 multiply-adds a cycle, half of them in vain; and a copy's latency for each slab. */
    const double slab = SLAB * tile * OUTPUTS / 64.0 + 600.0;
    const double bytes = 4.0 * (double)rows * (double)(desc->input + desc->output) +
                         4.0 * (double)desc->input * (double)desc->output;
    return rounds * (((double)desc->input + SLAB - 1.0) / SLAB * slab + 2000.0) / device->clock +
           bytes / device->memory_rate;
}
} // namespace

const struct apx_cuda_dense_row apx_dense_f32_cuda = {
    "dense_f32_cuda",        "fp32", supports, apx_dense_f32_cuda_packed_bytes,
    apx_dense_f32_cuda_pack, launch, seconds};
