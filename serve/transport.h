/* SPDX-License-Identifier: Apache-2.0 */
/* transport.h - calls arrive and are answered; that this is gRPC stays behind this header.
 *
 * A method's `start` runs on a transport thread, which does the network's work too: it must not
 * block or compute. It, or any other thread later, ends the call with exactly one
 * apx_call_finish. A call and its user pointer stay valid until `released`.
 *
 * Order of use: create, any number of calls, begin_shutdown, cancel_all, destroy. */
#ifndef APX_SERVE_TRANSPORT_H
#define APX_SERVE_TRANSPORT_H

#include <stdbool.h>

#include "runtime/auspex.h"
#include "serve/span.h"

/* gRPC's status codes, by their numbers on the wire. */
enum apx_code {
    APX_CODE_OK = 0,
    APX_CODE_CANCELLED = 1,
    APX_CODE_INVALID_ARGUMENT = 3,
    APX_CODE_DEADLINE_EXCEEDED = 4,
    APX_CODE_NOT_FOUND = 5,
    APX_CODE_RESOURCE_EXHAUSTED = 8,
    APX_CODE_FAILED_PRECONDITION = 9,
    APX_CODE_UNIMPLEMENTED = 12,
    APX_CODE_INTERNAL = 13,
    APX_CODE_UNAVAILABLE = 14,
};
/* "INVALID_ARGUMENT" and so on. Static storage. */
const char *apx_code_name(enum apx_code code);

struct apx_call;
struct apx_transport;

struct apx_method {
    const char *path; /* "/package.Service/Method" */
    void *context;    /* first argument of the functions below */
    void (*start)(void *context, struct apx_call *call);
    /* The client gave up, the deadline passed, or the connection broke; at most once a call, on a
     * transport thread, perhaps after or during apx_call_finish. May be NULL. */
    void (*cancelled)(void *context, void *user);
    /* A message of apx_call_send has left, or (ok false) never will. NULL for unary methods. */
    void (*sent)(void *context, void *user, bool ok);
    /* The call is over and `user` is the method's again. Not called if user is NULL. */
    void (*released)(void *context, void *user);
};

struct apx_transport_options {
    const char *const *listen; /* HOST:PORT or unix:PATH */
    int listen_count;
    size_t max_message_bytes;         /* larger requests get RESOURCE_EXHAUSTED before `start` */
    int threads;                      /* that do the network's work */
    const struct apx_method *methods; /* copied */
    int method_count;
};

/* Listens and serves from here on. APX_EINVAL: an address that cannot be bound (field: "listen"),
 * APX_ECONFLICT: a Unix socket that another server owns, APX_EIO, APX_ENOMEM. */
enum apx_status apx_transport_create(const struct apx_transport_options *options,
                                     struct apx_transport **out, struct apx_error *error);
/* The port of listen address `index`; 0 for a Unix socket. */
int apx_transport_port(const struct apx_transport *transport, int index);
/* Accept no more calls. Those that have reached a method go on. */
void apx_transport_begin_shutdown(struct apx_transport *transport);
/* After begin_shutdown: cancel the calls under way and close all connections. */
void apx_transport_cancel_all(struct apx_transport *transport);
/* After cancel_all; waits until every call is finished and released. Accepts NULL. */
void apx_transport_destroy(struct apx_transport *transport);

/* ---- one call ------------------------------------------------------------------------------ */

/* The request message; valid until the call is released. */
const struct apx_span *apx_call_request(const struct apx_call *call, size_t *count);
/* Of CLOCK_MONOTONIC, in nanoseconds; INT64_MAX: no deadline. */
int64_t apx_call_deadline(const struct apx_call *call);
/* When the call reached us, of the same clock. */
int64_t apx_call_arrival(const struct apx_call *call);
/* Before start returns, and before any other thread knows of the call. */
void apx_call_set_user(struct apx_call *call, void *user);

/* Room for a reply of up to `bytes` bytes (more than 0), which the transport owns; NULL if out of
 * memory. Once a call. Not aligned beyond a byte. */
uint8_t *apx_call_reply(struct apx_call *call, size_t bytes);
/* End the call. OK sends the first `bytes` bytes of apx_call_reply; other codes send `message`,
 * and, if retry_ms >= 0, tell the client to come again after that time. */
void apx_call_finish_ok(struct apx_call *call, size_t bytes);
void apx_call_finish(struct apx_call *call, enum apx_code code, const char *message,
                     int64_t retry_ms);
/* Streaming methods: send a message and go on. The next one, or the end, only after `sent`. */
void apx_call_send(struct apx_call *call, const void *data, size_t bytes);

#endif
