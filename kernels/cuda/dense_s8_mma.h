/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_mma.h - int8 dense weights as dense_s8.cu reads them.
 *
 *   constants  float [2][outputs, padded to 16]: bias, what sums are multiplied by
 *   then for each 16 outputs, each 32 inputs (filled up with zeros): [lane][4 words], the A operand
 *   of simt_mma_s8 with the order of k of rnn_mma.h */
#ifndef APX_CUDA_DENSE_S8_MMA_H
#define APX_CUDA_DENSE_S8_MMA_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

enum { DENSE_S8_OUTPUTS = 16, DENSE_S8_K = 32, DENSE_S8_TILE_WORDS = 128 };

static inline size_t dense_s8_groups(const struct apx_dense_desc *desc)
{
    return (desc->output + DENSE_S8_OUTPUTS - 1) / DENSE_S8_OUTPUTS;
}
static inline size_t dense_s8_tiles(const struct apx_dense_desc *desc)
{
    return (desc->input + DENSE_S8_K - 1) / DENSE_S8_K;
}

/* What x is multiplied by before it is rounded. */
float apx_dense_s8_cuda_factor(const struct apx_dense_desc *desc);
size_t apx_dense_s8_cuda_packed_bytes(const struct apx_dense_desc *desc);
void apx_dense_s8_cuda_pack(const struct apx_dense_desc *desc,
                            const struct apx_dense_weights *weights, void *packed);

#ifdef __cplusplus
}
#endif
#endif
