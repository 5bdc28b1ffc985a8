/* SPDX-License-Identifier: Apache-2.0 */
/* unary_scalar.c - the unary row for scalar: unary_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/elementwise/unary_body.h"
