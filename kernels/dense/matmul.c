/* SPDX-License-Identifier: Apache-2.0 */
/* matmul.c - batches of products of two computed matrices. */
#include "kernels/dense/matmul.h"

#include "kernels/cpu/native.h"
#include "kernels/kernels.h"

void apx_matmul_f32(size_t batch, size_t n, size_t k, size_t m, const float *a, size_t a_batch,
                    const float *b, size_t b_batch, float *y)
{
    const bool avx2 = apx_native_avx2();
    for (size_t i = 0; i < batch; i++) {
        const float *left = a + i * a_batch, *right = b + i * b_batch;
        if (avx2)
            apx_matmul_f32_avx2_one(n, k, m, left, right, y + i * n * m);
        else
            apx_matmul_f32_scalar_one(n, k, m, left, right, y + i * n * m);
    }
}
