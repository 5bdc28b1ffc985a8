/* SPDX-License-Identifier: Apache-2.0 */
/* dense_avx2.c - the fp32 dense row for avx2: dense_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#include "kernels/dense/dense_rows.h"

#include "kernels/dense/dense_body.h"
