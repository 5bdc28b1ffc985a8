/* SPDX-License-Identifier: Apache-2.0 */
/* gru_scalar.c - the fp32 GRU row for scalar: gru_body.h over its vocabulary. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/rnn/gru_rows.h"

#include "kernels/rnn/gru_body.h"
