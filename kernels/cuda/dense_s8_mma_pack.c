/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_mma_pack.c - int8 dense weights into the layout of dense_s8_mma.h. */
#include "kernels/cuda/dense_s8_mma.h"

#include "kernels/dense/dense_s8.h"

float apx_dense_s8_cuda_factor(const struct apx_dense_desc *desc)
{
    return dense_s8_factor(desc);
}

size_t apx_dense_s8_cuda_packed_bytes(const struct apx_dense_desc *desc)
{
    return dense_s8_groups(desc) * 4 *
           (2 * DENSE_S8_OUTPUTS + dense_s8_tiles(desc) * DENSE_S8_TILE_WORDS);
}

static uint32_t four(const struct apx_dense_desc *desc, const int8_t *w, size_t output, size_t k)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4 && k + i < desc->input && output < desc->output; i++)
        word |= (uint32_t)(uint8_t)w[output * desc->input + k + i] << 8 * i;
    return word;
}

void apx_dense_s8_cuda_pack(const struct apx_dense_desc *desc,
                            const struct apx_dense_weights *weights, void *packed)
{
    const size_t groups = dense_s8_groups(desc), padded = groups * DENSE_S8_OUTPUTS;
    float *bias = packed, *scale = bias + padded;
    for (size_t o = 0; o < padded; o++) {
        bias[o] = o < desc->output ? dense_s8_bias(weights, o) : 0.0f;
        scale[o] = o < desc->output ? dense_s8_scale(desc, weights, o) : 0.0f;
    }
    uint32_t *out = (uint32_t *)(void *)(scale + padded);
    for (size_t group = 0; group < groups; group++)
        for (size_t tile = 0; tile < dense_s8_tiles(desc); tile++)
            for (size_t lane = 0; lane < 32; lane++)
                for (size_t word = 0; word < 4; word++)
                    *out++ = four(desc, weights->w_s8,
                                  group * DENSE_S8_OUTPUTS + lane / 4 + word % 2 * 8,
                                  tile * DENSE_S8_K + lane % 4 * 8 + word / 2 * 4);
}
