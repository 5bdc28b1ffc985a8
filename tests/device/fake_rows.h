/* SPDX-License-Identifier: Apache-2.0 */
/* fake_rows.h - the kernels of the driver that is none: the scalar rows, enqueued. */
#ifndef APX_TESTS_FAKE_ROWS_H
#define APX_TESTS_FAKE_ROWS_H

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Something that a stream does; what follows it in memory is its own. */
struct fake_op {
    void (*run)(const struct fake_op *op);
    size_t bytes; /* with what follows */
};

/* Held while a stream works. */
void fake_lock(void);
void fake_unlock(void);
/* Copies the operation to the end of the stream. 0, or the code that the test wants. */
int fake_enqueue(bool is_kernel, const struct fake_op *op, void *stream);

/* fp32, fp16 (which computes as fp32 does) and int8; fp32 alone; any forest without linear leaves.
 */
extern const struct apx_cuda_rnn_row fake_lstm_rows[3], fake_gru_rows[3];
extern const struct apx_cuda_dense_row fake_dense_rows[2];
extern const struct apx_cuda_forest_row fake_forest_rows[1];
extern const struct apx_cuda_ops fake_ops;

#ifdef __cplusplus
}
#endif

#endif
