/* SPDX-License-Identifier: Apache-2.0 */
/* matmul.h - one product y[n,m] = a[n,k] . b[k,m] per ISA, all dense. Same bits. */
#ifndef APX_KERNELS_MATMUL_H
#define APX_KERNELS_MATMUL_H

#include <stddef.h>

void apx_matmul_f32_scalar_one(size_t n, size_t k, size_t m, const float *a, const float *b,
                               float *y);
void apx_matmul_f32_avx2_one(size_t n, size_t k, size_t m, const float *a, const float *b,
                             float *y);

#endif
