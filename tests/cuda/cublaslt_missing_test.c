/* SPDX-License-Identifier: Apache-2.0 */
/* cublaslt_missing_test.c - run where the loader finds something else in cuBLASLt's place: large
 * layers are then those of our own rows. */
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cuda_tables.h"
#include "tests/cuda/device.h"
#include "tests/harness/check.h"

static void dense(void)
{
    const struct apx_dense_desc desc = {.input = 4096, .output = 1024};
    CHECK(apx_lt_library() == NULL);
    CHECK_EQ(apx_lt_version(), 0);
    CHECK(!apx_dense_f32_lt_cuda.supports(device_open(), &desc));
    CHECK(apx_dense_f32_cuda.supports(device_open(), &desc));
}

static void recurrent(void)
{
    const struct apx_rnn_desc desc = {
        .input = 64,
        .hidden = 1024,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    CHECK(!apx_lstm_f32_lt_cuda.supports(device_open(), &desc));
    CHECK(apx_lstm_f32_cuda.supports(device_open(), &desc));
    CHECK(!apx_gru_f32_lt_cuda.supports(device_open(), &desc));
    CHECK(apx_gru_f32_cuda.supports(device_open(), &desc));
}

int main(void)
{
    RUN(dense);
    RUN(recurrent);
    return check_report();
}
