/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f16_avx512.c - the LSTM row with weights of half precision for avx512. */
#include "kernels/cpu/simd_f32_avx512.h"

#define RNN_HALF
#include "kernels/rnn/lstm_rows.h"

#include "kernels/rnn/lstm_body.h"
