/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - a gRPC client for tests, on the C core: blocking calls that say exactly what came back.
 */
#ifndef APX_TESTS_WIRE_H
#define APX_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auspex/v1/inference.pb-c.h"

struct wire;

/* target: HOST:PORT or unix:PATH. Each wire has a connection of its own; calls on it may be made
 * from several threads. */
struct wire *wire_open(const char *target);
void wire_close(struct wire *wire);

struct wire_options {
    int timeout_ms;      /* 0: 20 s */
    int cancel_after_ms; /* 0: never */
    bool gzip;
};
struct wire_reply {
    int code; /* gRPC's status; 0: OK */
    char message[512];
    int retry_ms; /* grpc-retry-pushback-ms; -1: not sent */
    uint8_t *data;
    size_t size;
};
/* options may be NULL. Release with wire_reply_fini. */
struct wire_reply wire_call(struct wire *wire, const char *method, const void *data, size_t size,
                            const struct wire_options *options);
void wire_reply_fini(struct wire_reply *reply);

#define WIRE_PREDICT "/auspex.v1.Inference/BatchPredict"

/* BatchPredict with protobuf-c at this end. *answer is NULL unless the code is 0, and is released
 * with auspex__v1__batch_predict_reply__free_unpacked. */
struct wire_reply wire_predict(struct wire *wire, const Auspex__V1__BatchPredictRequest *request,
                               const struct wire_options *options,
                               Auspex__V1__BatchPredictReply **answer);

/* grpc.health.v1.Health/Check: the serving status, or minus the gRPC status. */
int wire_health(struct wire *wire, const char *service);

/* A server-streaming call, message by message. */
struct wire_stream;
struct wire_stream *wire_stream_open(struct wire *wire, const char *method, const void *data,
                                     size_t size);
/* The next message's bytes (up to `capacity`), or -1 when the stream is over. */
int wire_stream_next(struct wire_stream *stream, uint8_t *to, size_t capacity);
/* Cancels the call if it is not over; returns its status. */
int wire_stream_close(struct wire_stream *stream);

#endif
