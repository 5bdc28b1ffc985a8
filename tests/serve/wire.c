/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - each call has a completion queue of its own, so that calls of several threads do not
 * meet. */
#include "tests/serve/wire.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"

struct wire {
    grpc_channel *channel;
};

static gpr_timespec after_ms(int ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static gpr_timespec never(void)
{
    return gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

struct wire *wire_open(const char *target)
{
    grpc_init();
    struct wire *wire = calloc(1, sizeof *wire);
    grpc_arg args[3];
    memset(args, 0, sizeof args);
    char receive[] = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH;
    char pool[] = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL;
    char backoff[] = GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS;
    args[0].type = args[1].type = args[2].type = GRPC_ARG_INTEGER;
    args[0].key = receive;
    args[0].value.integer = -1;
    args[1].key = pool; /* no sharing of connections between wires */
    args[1].value.integer = 1;
    args[2].key = backoff;
    args[2].value.integer = 100;
    const grpc_channel_args channel_args = {3, args};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    wire->channel = grpc_channel_create(target, credentials, &channel_args);
    grpc_channel_credentials_release(credentials);
    return wire;
}

void wire_close(struct wire *wire)
{
    grpc_channel_destroy(wire->channel);
    free(wire);
    grpc_shutdown_blocking();
}

static grpc_call *make_call(struct wire *wire, grpc_completion_queue *queue, const char *method,
                            int timeout_ms)
{
    grpc_slice path = grpc_slice_from_copied_string(method);
    grpc_call *call = grpc_channel_create_call(wire->channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
                                               path, NULL, after_ms(timeout_ms), NULL);
    grpc_slice_unref(path);
    return call;
}

static grpc_byte_buffer *make_message(const void *data, size_t size)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void drop_queue(grpc_completion_queue *queue)
{
    grpc_completion_queue_shutdown(queue);
    while (grpc_completion_queue_next(queue, never(), NULL).type != GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(queue);
}

static void take_message(grpc_byte_buffer *received, struct wire_reply *reply)
{
    grpc_byte_buffer_reader reader;
    if (received == NULL || !grpc_byte_buffer_reader_init(&reader, received))
        return;
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    reply->size = GRPC_SLICE_LENGTH(all);
    reply->data = malloc(reply->size + 1);
    memcpy(reply->data, GRPC_SLICE_START_PTR(all), reply->size);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
}

static int take_retry(const grpc_metadata_array *trailing)
{
    for (size_t i = 0; i < trailing->count; i++) {
        if (grpc_slice_str_cmp(trailing->metadata[i].key, "grpc-retry-pushback-ms") == 0) {
            char *text = grpc_slice_to_c_string(trailing->metadata[i].value);
            int value = atoi(text);
            gpr_free(text);
            return value;
        }
    }
    return -1;
}

struct wire_reply wire_call(struct wire *wire, const char *method, const void *data, size_t size,
                            const struct wire_options *options)
{
    static const struct wire_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    struct wire_reply reply = {.retry_ms = -1};
    grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
    grpc_call *call =
        make_call(wire, queue, method, options->timeout_ms > 0 ? options->timeout_ms : 20000);
    grpc_byte_buffer *message = make_message(data, size), *received = NULL;
    grpc_metadata_array initial, trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_slice details = grpc_empty_slice();
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    grpc_metadata compressed;
    memset(&compressed, 0, sizeof compressed);
    compressed.key = grpc_slice_from_static_string(GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY);
    compressed.value = grpc_slice_from_static_string("gzip");
    if (options->gzip) {
        ops[0].data.send_initial_metadata.count = 1;
        ops[0].data.send_initial_metadata.metadata = &compressed;
    }
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = message;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &code;
    ops[5].data.recv_status_on_client.status_details = &details;
    if (grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK) {
        if (options->cancel_after_ms > 0) {
            grpc_event event =
                grpc_completion_queue_next(queue, after_ms(options->cancel_after_ms), NULL);
            if (event.type == GRPC_QUEUE_TIMEOUT) {
                grpc_call_cancel(call, NULL);
                grpc_completion_queue_next(queue, never(), NULL);
            }
        } else {
            grpc_completion_queue_next(queue, never(), NULL);
        }
        reply.code = (int)code;
        char *text = grpc_slice_to_c_string(details);
        strncat(reply.message, text, sizeof reply.message - 1);
        gpr_free(text);
        reply.retry_ms = take_retry(&trailing);
        take_message(received, &reply);
    } else {
        reply.code = -1;
    }
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    if (received != NULL)
        grpc_byte_buffer_destroy(received);
    grpc_byte_buffer_destroy(message);
    grpc_call_unref(call);
    drop_queue(queue);
    return reply;
}

void wire_reply_fini(struct wire_reply *reply)
{
    free(reply->data);
    reply->data = NULL;
}

struct wire_reply wire_predict(struct wire *wire, const Auspex__V1__BatchPredictRequest *request,
                               const struct wire_options *options,
                               Auspex__V1__BatchPredictReply **answer)
{
    size_t size = auspex__v1__batch_predict_request__get_packed_size(request);
    uint8_t *bytes = malloc(size + 1);
    auspex__v1__batch_predict_request__pack(request, bytes);
    struct wire_reply reply = wire_call(wire, WIRE_PREDICT, bytes, size, options);
    free(bytes);
    *answer = NULL;
    if (reply.code == 0)
        *answer = auspex__v1__batch_predict_reply__unpack(NULL, reply.size, reply.data);
    wire_reply_fini(&reply);
    return reply;
}

static size_t pack_health(const char *service, uint8_t bytes[512])
{
    char name[256] = "";
    strncat(name, service, sizeof name - 1);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = name;
    return grpc__health__v1__health_check_request__pack(&request, bytes);
}

int wire_health(struct wire *wire, const char *service)
{
    uint8_t bytes[512];
    size_t size = pack_health(service, bytes);
    struct wire_reply reply = wire_call(wire, "/grpc.health.v1.Health/Check", bytes, size, NULL);
    int status = -reply.code;
    if (reply.code == 0) {
        Grpc__Health__V1__HealthCheckResponse *response =
            grpc__health__v1__health_check_response__unpack(NULL, reply.size, reply.data);
        status = response != NULL ? (int)response->status : -1000;
        grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    }
    wire_reply_fini(&reply);
    return status;
}

struct wire_stream {
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_byte_buffer *message;
    grpc_metadata_array initial, trailing;
    grpc_slice details;
    grpc_status_code code;
    bool over;
};

enum { TAG_SEND = 1, TAG_INITIAL, TAG_MESSAGE, TAG_STATUS };

static void *tag(intptr_t number)
{
    return (void *)number;
}

struct wire_stream *wire_stream_open(struct wire *wire, const char *method, const void *data,
                                     size_t size)
{
    struct wire_stream *stream = calloc(1, sizeof *stream);
    stream->queue = grpc_completion_queue_create_for_next(NULL);
    stream->call = make_call(wire, stream->queue, method, 20000);
    stream->message = make_message(data, size);
    stream->details = grpc_empty_slice();
    grpc_metadata_array_init(&stream->initial);
    grpc_metadata_array_init(&stream->trailing);
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[0].data.recv_status_on_client.trailing_metadata = &stream->trailing;
    ops[0].data.recv_status_on_client.status = &stream->code;
    ops[0].data.recv_status_on_client.status_details = &stream->details;
    grpc_call_start_batch(stream->call, ops, 1, tag(TAG_STATUS), NULL);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = stream->message;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    grpc_call_start_batch(stream->call, ops, 3, tag(TAG_SEND), NULL);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[0].data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
    grpc_call_start_batch(stream->call, ops, 1, tag(TAG_INITIAL), NULL);
    return stream;
}

static void wait_tag(struct wire_stream *stream, intptr_t wanted)
{
    for (;;) {
        grpc_event event = grpc_completion_queue_next(stream->queue, never(), NULL);
        if (event.tag == tag(TAG_STATUS))
            stream->over = true;
        if (event.tag == tag(wanted))
            return;
    }
}

int wire_stream_next(struct wire_stream *stream, uint8_t *to, size_t capacity)
{
    grpc_byte_buffer *received = NULL;
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &received;
    if (grpc_call_start_batch(stream->call, &op, 1, tag(TAG_MESSAGE), NULL) != GRPC_CALL_OK)
        return -1;
    wait_tag(stream, TAG_MESSAGE);
    if (received == NULL)
        return -1;
    struct wire_reply reply = {0};
    take_message(received, &reply);
    grpc_byte_buffer_destroy(received);
    memcpy(to, reply.data, reply.size < capacity ? reply.size : capacity);
    int size = (int)reply.size;
    wire_reply_fini(&reply);
    return size;
}

int wire_stream_close(struct wire_stream *stream)
{
    if (!stream->over) {
        grpc_call_cancel(stream->call, NULL);
        wait_tag(stream, TAG_STATUS);
    }
    int code = (int)stream->code;
    grpc_slice_unref(stream->details);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&stream->trailing);
    grpc_byte_buffer_destroy(stream->message);
    grpc_call_unref(stream->call);
    drop_queue(stream->queue);
    free(stream);
    return code;
}
