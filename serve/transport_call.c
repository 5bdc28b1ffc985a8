/* SPDX-License-Identifier: Apache-2.0 */
/* transport_call.c - the life of one call.
 *
 *   post -> request arrives -> the next slot is posted -> method->start -> RECV_CLOSE starts
 *        -> ... -> finish -> its tag -> (with the close tag) released
 *
 * RECV_CLOSE is a batch of its own: it is the only way to hear that the client gave up before the
 * reply is sent. It starts once method->start is through, so that `cancelled` finds the user
 * pointer set; the call may be answered by then, which the core does not mind. The context dies
 * with its last reference: one for the answer, one for each tag under way. */
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/clock.h"
#include "serve/log.h"
#include "serve/transport_internal.h"

static void count(struct apx_transport *transport, int contexts)
{
    pthread_mutex_lock(&transport->mutex);
    transport->contexts += contexts;
    if (transport->contexts == 0)
        pthread_cond_broadcast(&transport->changed);
    pthread_mutex_unlock(&transport->mutex);
}

static void init_tag(struct apx_tag *tag, enum tag_kind kind, struct apx_call *call)
{
    tag->kind = kind;
    tag->call = call;
    atomic_init(&tag->fence, 0);
}

static void destroy(struct apx_call *call)
{
    struct apx_transport *transport = call->transport;
    if (call->user != NULL && call->bound->method.released != NULL)
        call->bound->method.released(call->bound->method.context, call->user);
    if (call->call != NULL)
        grpc_call_unref(call->call);
    if (call->payload != NULL)
        grpc_byte_buffer_destroy(call->payload);
    if (call->outgoing != NULL)
        grpc_byte_buffer_destroy(call->outgoing);
    if (call->has_reply)
        grpc_slice_unref(call->reply);
    grpc_slice_unref(call->message);
    grpc_slice_unref(call->retry);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    if (call->spans != call->inline_spans)
        free(call->spans);
    free(call);
    count(transport, -1);
}

static void unref(struct apx_call *call)
{
    if (atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) == 1)
        destroy(call);
}

/* A batch fails to start only if it breaks the core's contract. That would be our mistake, and
 * serious; the tag will not come, so its reference is dropped here. */
static void start_batch(struct apx_call *call, const grpc_op *ops, size_t op_count,
                        struct apx_tag *tag)
{
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
    apx_tag_arm(tag);
    grpc_call_error failed = grpc_call_start_batch(call->call, ops, op_count, tag, NULL);
    if (failed != GRPC_CALL_OK) {
        APX_LOG(APX_LOG_ERROR, "batch_failed",
                APX_LOG_TEXT("error", grpc_call_error_to_string(failed)),
                APX_LOG_INT("tag", tag->kind));
        if (tag->kind == TAG_FINISH) {
            grpc_call_cancel(call->call, NULL);
            apx_call_on_finish(call);
        } else {
            unref(call);
        }
    }
}

void apx_call_post(struct apx_transport *transport, const struct apx_bound_method *bound)
{
    struct apx_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        APX_LOG(APX_LOG_ERROR, "slot_lost", APX_LOG_TEXT("reason", "out of memory"));
        return;
    }
    call->transport = transport;
    call->bound = bound;
    call->spans = call->inline_spans;
    call->message = grpc_empty_slice();
    call->retry = grpc_empty_slice();
    atomic_init(&call->references, 1);
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    init_tag(&call->request_tag, TAG_REQUEST, call);
    init_tag(&call->close_tag, TAG_CLOSE, call);
    init_tag(&call->sent_tag, TAG_SENT, call);
    init_tag(&call->finish_tag, TAG_FINISH, call);
    count(transport, 1);
    apx_tag_arm(&call->request_tag);
    grpc_call_error failed;
    if (bound->handle != NULL)
        failed = grpc_server_request_registered_call(
            transport->server, bound->handle, &call->call, &call->deadline, &call->metadata,
            &call->payload, transport->queue, transport->queue, &call->request_tag);
    else
        failed = grpc_server_request_call(transport->server, &call->call, &call->details,
                                          &call->metadata, transport->queue, transport->queue,
                                          &call->request_tag);
    if (failed != GRPC_CALL_OK) {
        APX_LOG(APX_LOG_ERROR, "slot_lost",
                APX_LOG_TEXT("reason", grpc_call_error_to_string(failed)));
        unref(call);
    }
}

static bool take_spans(struct apx_call *call)
{
    const grpc_slice_buffer *slices = &call->payload->data.raw.slice_buffer;
    if (slices->count > sizeof call->inline_spans / sizeof call->inline_spans[0]) {
        struct apx_span *spans = malloc(slices->count * sizeof *spans);
        if (spans == NULL)
            return false;
        call->spans = spans;
    }
    call->span_count = slices->count;
    for (size_t i = 0; i < slices->count; i++) {
        call->spans[i].data = GRPC_SLICE_START_PTR(slices->slices[i]);
        call->spans[i].size = GRPC_SLICE_LENGTH(slices->slices[i]);
    }
    return true;
}

static void answer_unknown(struct apx_call *call)
{
    char *path = grpc_slice_to_c_string(call->details.method);
    char message[256];
    snprintf(message, sizeof message, "unknown method %s", path);
    gpr_free(path);
    apx_call_finish(call, APX_CODE_UNIMPLEMENTED, message, -1);
}

void apx_call_on_request(struct apx_call *call, bool ok)
{
    struct apx_transport *transport = call->transport;
    if (!ok) { /* the server is going down */
        unref(call);
        return;
    }
    if (!atomic_load(&transport->stopping))
        apx_call_post(transport, call->bound);
    call->arrival_ns = apx_now_ns();
    gpr_timespec deadline = call->bound->handle != NULL ? call->deadline : call->details.deadline;
    call->deadline_ns = INT64_MAX;
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) != 0) {
        gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
        if (left.tv_sec < 1000000000)
            call->deadline_ns = call->arrival_ns + left.tv_sec * 1000000000 + left.tv_nsec;
    }
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed); /* ours, until the end */
    if (call->bound->handle == NULL)
        answer_unknown(call);
    else if (call->payload == NULL)
        apx_call_finish(call, APX_CODE_INVALID_ARGUMENT, "the call carries no message", -1);
    else if (call->payload->type != GRPC_BB_RAW ||
             call->payload->data.raw.compression != GRPC_COMPRESS_NONE)
        apx_call_finish(call, APX_CODE_UNIMPLEMENTED, "compressed messages are not accepted", -1);
    else if (!take_spans(call))
        apx_call_finish(call, APX_CODE_RESOURCE_EXHAUSTED, "out of memory", -1);
    else
        call->bound->method.start(call->bound->method.context, call);
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &call->was_cancelled;
    start_batch(call, &close, 1, &call->close_tag);
    unref(call);
}

void apx_call_on_close(struct apx_call *call)
{
    if (call->was_cancelled != 0 && call->user != NULL && call->bound->method.cancelled != NULL)
        call->bound->method.cancelled(call->bound->method.context, call->user);
    unref(call);
}

void apx_call_on_sent(struct apx_call *call, bool ok)
{
    grpc_byte_buffer_destroy(call->outgoing);
    call->outgoing = NULL;
    call->bound->method.sent(call->bound->method.context, call->user, ok);
    unref(call);
}

void apx_call_on_finish(struct apx_call *call)
{
    unref(call); /* the tag's */
    unref(call); /* the answer's */
}

const struct apx_span *apx_call_request(const struct apx_call *call, size_t *span_count)
{
    *span_count = call->span_count;
    return call->spans;
}

int64_t apx_call_deadline(const struct apx_call *call)
{
    return call->deadline_ns;
}

int64_t apx_call_arrival(const struct apx_call *call)
{
    return call->arrival_ns;
}

void apx_call_set_user(struct apx_call *call, void *user)
{
    call->user = user;
}

uint8_t *apx_call_reply(struct apx_call *call, size_t bytes)
{
    /* The core's allocator aborts when memory runs out, so try with one that does not. */
    void *probe = malloc(bytes);
    if (probe == NULL)
        return NULL;
    call->reply = grpc_slice_new(probe, bytes, free);
    call->has_reply = true;
    return probe;
}

static void send(struct apx_call *call, enum apx_code code)
{
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    size_t used = 0;
    if (!call->metadata_sent)
        ops[used++].op = GRPC_OP_SEND_INITIAL_METADATA;
    call->metadata_sent = true;
    if (call->outgoing != NULL) {
        ops[used].op = GRPC_OP_SEND_MESSAGE;
        ops[used++].data.send_message.send_message = call->outgoing;
    }
    ops[used].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[used].data.send_status_from_server.status = (grpc_status_code)code;
    ops[used].data.send_status_from_server.status_details = &call->message;
    if (!GRPC_SLICE_IS_EMPTY(call->retry)) {
        call->trailing.key = grpc_slice_from_static_string("grpc-retry-pushback-ms");
        call->trailing.value = call->retry;
        ops[used].data.send_status_from_server.trailing_metadata_count = 1;
        ops[used].data.send_status_from_server.trailing_metadata = &call->trailing;
    }
    used++;
    start_batch(call, ops, used, &call->finish_tag);
}

void apx_call_finish_ok(struct apx_call *call, size_t bytes)
{
    if (bytes > 0) {
        grpc_slice part = grpc_slice_sub(call->reply, 0, bytes);
        call->outgoing = grpc_raw_byte_buffer_create(&part, 1);
        grpc_slice_unref(part);
    }
    send(call, APX_CODE_OK);
}

void apx_call_finish(struct apx_call *call, enum apx_code code, const char *message,
                     int64_t retry_ms)
{
    call->message = grpc_slice_from_copied_string(message);
    if (retry_ms >= 0) {
        char digits[24];
        snprintf(digits, sizeof digits, "%lld",
                 (long long)(retry_ms < 3600000 ? retry_ms : 3600000));
        call->retry = grpc_slice_from_copied_string(digits);
    }
    send(call, code);
}

void apx_call_send(struct apx_call *call, const void *data, size_t bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data, bytes);
    call->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    grpc_op ops[2];
    memset(ops, 0, sizeof ops);
    size_t used = 0;
    if (!call->metadata_sent)
        ops[used++].op = GRPC_OP_SEND_INITIAL_METADATA;
    call->metadata_sent = true;
    ops[used].op = GRPC_OP_SEND_MESSAGE;
    ops[used++].data.send_message.send_message = call->outgoing;
    start_batch(call, ops, used, &call->sent_tag);
}
