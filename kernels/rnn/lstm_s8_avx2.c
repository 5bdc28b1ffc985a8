/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8_avx2.c - the int8 LSTM row for avx2: lstm_s8_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#define S8_TILE  apx_panel_s8_tile_avx2
#define S8_MOST  panel_s8_most_avx2
#define S8_WHOLE false

#include "kernels/rnn/lstm_s8_body.h"
