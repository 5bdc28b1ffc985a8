/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_tables.cu - all rows, the ones that are to be preferred first. */
#include "kernels/cuda/cuda_tables.h"

/* Filled when the plug-in is loaded: the rows themselves are constants of other files. */
static const struct apx_cuda_rnn_row lstm_rows[] = {apx_lstm_f32_lt_cuda, apx_lstm_f32_cuda,
                                                    apx_lstm_f16_cuda, apx_lstm_s8_cuda};
static const struct apx_cuda_dense_row dense_rows[] = {apx_dense_f32_lt_cuda, apx_dense_f32_cuda,
                                                       apx_dense_s8_cuda};
static const struct apx_cuda_rnn_row gru_rows[] = {apx_gru_f32_lt_cuda, apx_gru_f32_cuda,
                                                   apx_gru_f16_cuda, apx_gru_s8_cuda};

const struct apx_cuda_rnn_row *apx_cuda_lstm_rows(size_t *count)
{
    *count = sizeof lstm_rows / sizeof lstm_rows[0];
    return lstm_rows;
}

const struct apx_cuda_rnn_row *apx_cuda_gru_rows(size_t *count)
{
    *count = sizeof gru_rows / sizeof gru_rows[0];
    return gru_rows;
}

const struct apx_cuda_forest_row *apx_cuda_forest_rows(size_t *count)
{
    *count = 1;
    return &apx_forest_cuda;
}

const struct apx_cuda_dense_row *apx_cuda_dense_rows(size_t *count)
{
    *count = sizeof dense_rows / sizeof dense_rows[0];
    return dense_rows;
}
