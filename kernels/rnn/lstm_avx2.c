/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_avx2.c - the fp32 LSTM row for avx2: lstm_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx2.h"

#include "kernels/rnn/lstm_rows.h"

#include "kernels/rnn/lstm_body.h"
