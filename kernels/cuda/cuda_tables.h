/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_tables.h - the rows that cuda_tables.c puts in order. */
#ifndef APX_CUDA_TABLES_H
#define APX_CUDA_TABLES_H

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct apx_cuda_rnn_row apx_lstm_f32_cuda, apx_gru_f32_cuda;
extern const struct apx_cuda_forest_row apx_forest_cuda;

#ifdef __cplusplus
}
#endif
#endif
