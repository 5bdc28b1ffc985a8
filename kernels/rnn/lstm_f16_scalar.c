/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_f16_scalar.c - the LSTM row with weights of half precision for scalar. */
#include "kernels/cpu/simd_f32_scalar.h"

#define RNN_HALF
#include "kernels/rnn/lstm_rows.h"

#include "kernels/rnn/lstm_body.h"
