/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f16_avx2.c - the GRU row with weights of half precision for avx2. */
#include "kernels/cpu/simd_f32_avx2.h"

#define RNN_HALF
#include "kernels/rnn/gru_rows.h"

#include "kernels/rnn/gru_body.h"
