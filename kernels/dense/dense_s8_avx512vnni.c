/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_avx512vnni.c - the int8 dense row for avx512vnni: dense_s8_body.h over the vocabulary of
 * avx512. */
#include "kernels/cpu/simd_f32_avx512.h"

#undef VF_ISA
#define VF_ISA avx512vnni

#define S8_TILE  apx_panel_s8_tile_avx512vnni
#define S8_MOST  panel_s8_most_avx512vnni
#define S8_WHOLE true

#include "kernels/dense/dense_s8_body.h"
