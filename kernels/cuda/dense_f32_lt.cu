/* SPDX-License-Identifier: Apache-2.0 */
/* dense_f32_lt.cu - large dense layers: the product and the bias by cuBLASLt, the activation behind
 * it in place with the formulas of dense_f32.cu, whose packed weights these are as well.
 *
 * The library has relu in its epilogues; that a NaN survives it is nowhere said, and this engine
 * promises that it does. The pass over y takes a layer of 1024 inputs 4 % longer, wider ones less.
 */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/lt_product.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/cpu/activations.h"

namespace
{
enum {
    LEAST_WEIGHTS = 1 << 20,
    LEAST_WIDTH = 128, /* a tile of the library's kernels */
    USUAL_ROWS = 1024, /* batches for which such layers go to a GPU at all */
    BLOCK = 256,
    SPAN = 4 * BLOCK, /* outputs of a block */
};

struct lt_activation_job {
    unsigned output, across; /* blocks for a row */
    struct apx_activation act;
    float *y;
    ptrdiff_t y_row;
};

__global__ void __launch_bounds__(BLOCK) lt_activation_kernel(const struct lt_activation_job job)
{
    float *y = job.y + (ptrdiff_t)(blockIdx.x / job.across) * job.y_row;
    const unsigned first = blockIdx.x % job.across * SPAN + threadIdx.x;
#pragma unroll
    for (unsigned i = 0; i < SPAN; i += BLOCK)
        if (first + i < job.output)
            y[first + i] = vf_activate(job.act, y[first + i]);
}

struct apx_lt_product product_of(const struct apx_dense_desc *desc)
{
    struct apx_lt_product product = {};
    product.inner = desc->input;
    product.outputs = desc->output;
    product.w_row = (desc->output + 3) / 4 * 4;
    product.usual_rows = USUAL_ROWS;
    product.w_alignment = 16;
    product.alignment = 4; /* a row's bits must not depend on where x and y lie */
    product.has_bias = true;
    return product;
}

bool supports(const struct apx_cuda_device *device, const struct apx_dense_desc *desc)
{
    return desc->input >= LEAST_WIDTH && desc->output >= LEAST_WIDTH &&
           desc->input > (LEAST_WEIGHTS - 1) / desc->output && /* input * output may overflow */
           apx_dense_f32_lt_can(device, desc);
}

int launch(const struct apx_cuda_device *device, const struct apx_dense_args *args, void *stream)
{
    const struct apx_dense_desc *desc = args->desc;
    const struct apx_lt_product product = product_of(desc);
    const float *packed = (const float *)args->packed;
    struct apx_lt_arrays arrays = {};
    /* Rows that overlap (one row, broadcast) are none that the library takes; a step has them at
     * every batch or at none. */
    if (args->x_row < (ptrdiff_t)desc->input)
        return apx_dense_f32_cuda.launch(device, args, stream);
    arrays.bias = packed;
    arrays.w = packed + product.w_row;
    arrays.x = args->x;
    arrays.y = args->y;
    arrays.rows = args->rows;
    arrays.x_row = args->x_row;
    arrays.y_row = args->y_row;
    const int code = apx_lt_launch(device, &product, &arrays, stream);
    if (code != 0 || desc->act.kind == APX_ACT_NONE)
        return code;
    struct lt_activation_job job = {};
    job.output = (unsigned)desc->output;
    job.across = (job.output + SPAN - 1) / SPAN;
    job.act = desc->act;
    job.y = args->y;
    job.y_row = args->y_row;
    return simt_launch(lt_activation_kernel, {(unsigned)args->rows * job.across, BLOCK, 1, 0},
                       stream, job);
}

double seconds(const struct apx_cuda_device *device, const struct apx_dense_desc *desc, size_t rows)
{
    const struct apx_lt_product product = product_of(desc);
    const double pass = 8.0 * (double)rows * (double)desc->output / device->memory_rate;
    return apx_lt_seconds(device, &product, rows) + (desc->act.kind != APX_ACT_NONE ? pass : 0.0);
}
} // namespace

bool apx_dense_f32_lt_can(const struct apx_cuda_device *device, const struct apx_dense_desc *desc)
{
    const struct apx_lt_product product = product_of(desc);
    return desc->int8.levels == 0 && desc->input > 0 && desc->input < (1u << 24) &&
           desc->output < (1u << 24) && apx_lt_can(device, &product);
}

const struct apx_cuda_dense_row apx_dense_f32_lt_cuda = {
    "dense_f32_lt_cuda",     "fp32", supports, apx_dense_f32_cuda_packed_bytes,
    apx_dense_f32_cuda_pack, launch, seconds};
