/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_tables.h - the rows that cuda_tables.c puts in order. */
#ifndef APX_CUDA_TABLES_H
#define APX_CUDA_TABLES_H

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct apx_cuda_rnn_row apx_lstm_f32_lt_cuda, apx_gru_f32_lt_cuda, apx_lstm_f32_cuda,
    apx_gru_f32_cuda, apx_lstm_f16_cuda, apx_gru_f16_cuda, apx_lstm_s8_cuda, apx_gru_s8_cuda;
extern const struct apx_cuda_forest_row apx_forest_cuda;
extern const struct apx_cuda_dense_row apx_dense_f32_lt_cuda, apx_dense_f32_cuda, apx_dense_s8_cuda;

size_t apx_dense_f32_cuda_packed_bytes(const struct apx_dense_desc *desc);
void apx_dense_f32_cuda_pack(const struct apx_dense_desc *desc,
                             const struct apx_dense_weights *weights, void *packed);
/* cuBLASLt's rows could, were the layer large enough. */
bool apx_dense_f32_lt_can(const struct apx_cuda_device *device, const struct apx_dense_desc *desc);
bool apx_lstm_f32_lt_can(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc);
bool apx_gru_f32_lt_can(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc);

#ifdef __cplusplus
}
#endif
#endif
