/* SPDX-License-Identifier: Apache-2.0 */
/* matmul_avx2.c - unpacked matrix product for avx2: matmul_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#include "kernels/dense/matmul_body.h"
