/* SPDX-License-Identifier: Apache-2.0 */
/* matmul_scalar.c - unpacked matrix product for scalar: matmul_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/dense/matmul_body.h"
