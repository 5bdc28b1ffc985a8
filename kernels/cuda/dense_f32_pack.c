/* SPDX-License-Identifier: Apache-2.0 */
/* dense_f32_pack.c - dense weights as dense_f32.cu reads them: [1 + K][outputs, padded to four],
 * the bias first. */
#include "kernels/cuda/cuda_tables.h"

static size_t padded(const struct apx_dense_desc *desc)
{
    return (desc->output + 3) / 4 * 4;
}

size_t apx_dense_f32_cuda_packed_bytes(const struct apx_dense_desc *desc)
{
    return (desc->input + 1) * padded(desc) * sizeof(float);
}

void apx_dense_f32_cuda_pack(const struct apx_dense_desc *desc,
                             const struct apx_dense_weights *weights, void *packed)
{
    float *out = packed;
    for (size_t o = 0; o < padded(desc); o++)
        *out++ = o < desc->output && weights->bias != NULL ? weights->bias[o] : 0.0f;
    for (size_t k = 0; k < desc->input; k++)
        for (size_t o = 0; o < padded(desc); o++)
            *out++ = o < desc->output
                         ? weights->w[(ptrdiff_t)o * weights->w_out + (ptrdiff_t)k * weights->w_in]
                         : 0.0f;
}
