/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_scalar.c - the fp32 LSTM row for scalar: lstm_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/rnn/lstm_rows.h"

#include "kernels/rnn/lstm_body.h"
