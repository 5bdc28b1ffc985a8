/* SPDX-License-Identifier: Apache-2.0 */
/* unary_avx2.c - the unary row for avx2: unary_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#include "kernels/elementwise/unary_body.h"
