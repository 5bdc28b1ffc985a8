/* SPDX-License-Identifier: Apache-2.0 */
/* gru_avx512.c - the fp32 GRU row for avx512: gru_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_avx512.h"

#include "kernels/rnn/gru_rows.h"

#include "kernels/rnn/gru_body.h"
