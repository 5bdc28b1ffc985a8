/* SPDX-License-Identifier: Apache-2.0 */
/* predict_encode.h - lay a BatchPredictReply out, so that workers write their rows in its place.
 *
 *     [model version rows outputs type] [values: rows * width] [status: rows] [keys] [times]
 *
 * All sizes but that of the times are known before the first row is computed. */
#ifndef APX_SERVE_PREDICT_ENCODE_H
#define APX_SERVE_PREDICT_ENCODE_H

#include "runtime/auspex.h"

enum apx_row_status { APX_ROW_OK = 0, APX_ROW_INPUT_NOT_FINITE = 1, APX_ROW_OUTPUT_NOT_FINITE = 2 };

#define APX_LIMIT_REPLY_BYTES ((size_t)2147483647) /* protobuf's own limit */

struct apx_reply_plan {
    const char *model, *version;
    uint32_t rows, width;
    enum apx_dtype value_type; /* APX_F32 or APX_F64 */
    size_t keys_bytes;
    size_t values_at; /* of value_type, [rows, width], not aligned */
    size_t status_at; /* [rows] */
    size_t tail_at;   /* where the keys go, then the times */
    size_t capacity;  /* bytes to provide */
};

/* Fills the offsets from the first six members. APX_ELIMIT (field "rows"): the reply would be
 * larger than APX_LIMIT_REPLY_BYTES. */
enum apx_status apx_reply_plan(struct apx_reply_plan *plan, struct apx_error *error);
/* Write everything but the values, the status bytes and the times. keys: [keys_bytes] field 7 with
 * its tags. */
void apx_reply_begin(const struct apx_reply_plan *plan, const uint8_t *keys, uint8_t *reply);
/* Write the times; returns the size of the whole reply, at most plan->capacity. */
size_t apx_reply_end(const struct apx_reply_plan *plan, uint64_t queue_us, uint64_t compute_us,
                     uint64_t total_us, uint8_t *reply);

#endif
