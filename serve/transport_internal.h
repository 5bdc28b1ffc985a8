/* SPDX-License-Identifier: Apache-2.0 */
/* transport_internal.h - what transport.c (server, threads) and transport_call.c (one call) share.
 */
#ifndef APX_SERVE_TRANSPORT_INTERNAL_H
#define APX_SERVE_TRANSPORT_INTERNAL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "serve/transport.h"

enum tag_kind { TAG_REQUEST, TAG_CLOSE, TAG_SENT, TAG_FINISH, TAG_DRAINED };

/* What comes back from the completion queue. The fence is there for ThreadSanitizer and for the
 * letter of C: the core orders what was written before an operation with what follows its event,
 * but in code that neither can see. apx_tag_arm and apx_tag_arrived make that order explicit. */
struct apx_tag {
    enum tag_kind kind;
    struct apx_call *call; /* NULL for TAG_DRAINED */
    atomic_int fence;
};

struct apx_bound_method {
    struct apx_method method;
    void *handle; /* of grpc_server_register_method; NULL: the catch-all for unknown methods */
};

struct apx_transport {
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t *threads;
    int thread_count;
    struct apx_bound_method *methods; /* [method_count + 1], the last one is the catch-all */
    int method_count;
    int ports[8];
    int lock_files[8]; /* of Unix sockets; -1: none */
    char *lock_paths[8];
    int listen_count;
    bool started;
    atomic_bool stopping; /* read by each transport thread before it posts another request */
    struct apx_tag drained;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    int64_t contexts; /* struct apx_call in existence, the posted ones included */
    bool drained_arrived;
};

struct apx_call {
    struct apx_transport *transport;
    const struct apx_bound_method *bound;
    grpc_call *call;
    grpc_call_details details; /* catch-all only */
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *payload;
    struct apx_span inline_spans[4];
    struct apx_span *spans; /* inline_spans, or owned */
    size_t span_count;
    int64_t arrival_ns, deadline_ns;
    void *user;
    atomic_int references; /* one for each tag under way, one for apx_call_finish to come */
    int was_cancelled;     /* written by the core */
    bool has_reply, metadata_sent;
    grpc_slice reply, message, retry;
    grpc_metadata trailing;
    grpc_byte_buffer *outgoing;
    struct apx_tag request_tag, close_tag, sent_tag, finish_tag;
};

void apx_tag_arm(struct apx_tag *tag);
void apx_tag_arrived(struct apx_tag *tag);

/* Post a request slot for `bound`. Failure to is logged: the slot is lost, the server lives on. */
void apx_call_post(struct apx_transport *transport, const struct apx_bound_method *bound);
/* The events of a call's tags. */
void apx_call_on_request(struct apx_call *call, bool ok);
void apx_call_on_close(struct apx_call *call);
void apx_call_on_sent(struct apx_call *call, bool ok);
void apx_call_on_finish(struct apx_call *call);

#endif
