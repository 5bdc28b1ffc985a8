/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_avx2.c - the int8 dense row for avx2: dense_s8_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#define S8_TILE  apx_panel_s8_tile_avx2
#define S8_MOST  panel_s8_most_avx2
#define S8_WHOLE false

#include "kernels/dense/dense_s8_body.h"
