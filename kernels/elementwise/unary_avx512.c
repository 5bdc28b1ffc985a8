/* SPDX-License-Identifier: Apache-2.0 */
/* unary_avx512.c - the unary row for avx512: unary_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx512.h"

#include "kernels/elementwise/unary_body.h"
