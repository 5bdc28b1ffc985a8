/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_avx512.c - the fp32 LSTM row for avx512: lstm_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx512.h"

#include "kernels/rnn/lstm_rows.h"

#include "kernels/rnn/lstm_body.h"
