/* SPDX-License-Identifier: Apache-2.0 */
/* dense_scalar.c - the fp32 dense row for scalar: dense_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/dense/dense_rows.h"

#include "kernels/dense/dense_body.h"
