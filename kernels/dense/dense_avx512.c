/* SPDX-License-Identifier: Apache-2.0 */
/* dense_avx512.c - the fp32 dense row for avx512: dense_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx512.h"

#include "kernels/dense/dense_rows.h"

#include "kernels/dense/dense_body.h"
