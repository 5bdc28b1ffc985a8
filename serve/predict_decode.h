/* SPDX-License-Identifier: Apache-2.0 */
/* predict_decode.h - read a BatchPredictRequest where it lies, in the network's own buffers.
 *
 * Everything about the request's form is checked here, once; what depends on the model is checked
 * in admission.c. The values are not copied or looked at: the request remembers where they are, and
 * a worker fetches the rows it computes (apx_values_fetch). */
#ifndef APX_SERVE_PREDICT_DECODE_H
#define APX_SERVE_PREDICT_DECODE_H

#include "runtime/auspex.h"
#include "runtime/repo.h"
#include "serve/span.h"

#define APX_LIMIT_KEY_BYTES    1024
#define APX_LIMIT_OUTPUT_NAME  255
#define APX_LIMIT_REQUEST_ROWS 16777216
/* Nothing interrupts a row once it is begun: a window of millions of steps would hold a worker for
 * minutes, and some models' memory for it by the gigabyte. */
#define APX_LIMIT_REQUEST_STEPS 65536

enum apx_nan_policy {
    APX_NAN_UNSPECIFIED = 0, /* which it is depends on the model: apx_served.nan_is_missing */
    APX_NAN_REJECT = 1,
    APX_NAN_MARK = 2,
    APX_NAN_PROPAGATE = 3,
    APX_NAN_ORDINARY = 4, /* not on the wire: a value like any other */
};

/* A place in a list of spans. */
struct apx_place {
    size_t span;
    size_t offset; /* inside of that span */
};

struct apx_predict_request {
    char model[APX_LIMIT_MODEL_NAME + 1];
    char version[APX_LIMIT_MODEL_NAME + 1];
    char output[APX_LIMIT_OUTPUT_NAME + 1];
    uint32_t rows, steps, features; /* as sent; steps 0 stays 0 */
    enum apx_dtype value_type;      /* APX_F32 or APX_F64 */
    enum apx_dtype output_type;     /* likewise: wanted in the reply */
    size_t values_bytes;            /* rows * max(steps, 1) * features of value_type */
    const struct apx_span *spans;   /* the message, not owned */
    size_t span_count;
    struct apx_place values;
    uint8_t *keys; /* [keys_bytes] field 7 as it came, tags included; NULL: none; owned */
    size_t keys_bytes;
    uint32_t *lengths; /* [rows]; NULL: none; owned */
    enum apx_nan_policy nan_policy;
};

/* The spans must outlive the request. On success the request is released with
 * apx_predict_request_fini; on failure there is nothing to release.
 *   APX_EFORMAT   no protobuf message of this type
 *   APX_EINVAL    values, keys or lengths that do not fit rows, steps and features, text that is
 *                 no UTF-8, an unknown NaN policy or value type (field: its name)
 *   APX_ELIMIT    a named limit (field: its name); APX_ENOMEM */
enum apx_status apx_predict_decode(const struct apx_span *spans, size_t span_count,
                                   struct apx_predict_request *request, struct apx_error *error);
void apx_predict_request_fini(struct apx_predict_request *request);

/* Copy `bytes` bytes from byte `offset` of the request's values to `to`. offset + bytes must be at
 * most values_bytes. */
void apx_values_fetch(const struct apx_predict_request *request, size_t offset, size_t bytes,
                      void *to);

#endif
