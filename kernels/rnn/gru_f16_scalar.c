/* SPDX-License-Identifier: Apache-2.0 */
/* gru_f16_scalar.c - the GRU row with weights of half precision for scalar. */
#include "kernels/cpu/simd_f32_scalar.h"

#define RNN_HALF
#include "kernels/rnn/gru_rows.h"

#include "kernels/rnn/gru_body.h"
