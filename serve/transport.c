/* SPDX-License-Identifier: Apache-2.0 */
/* transport.c - the gRPC server: addresses, limits, threads and the way down.
 *
 * All transport threads wait on one completion queue: a thread that is held up by a large message
 * holds up nobody else, while a queue for each thread would tie each connection to one of them.
 *
 * The way down has an order that the core enforces by aborting the process: no operation may start
 * on a queue that is shutting down. So every struct apx_call is counted, posted slots included,
 * and the queue is shut down only when the last one has been released. */
#include <errno.h>
#include <fcntl.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "serve/log.h"
#include "serve/transport_internal.h"

enum {
    MAX_LISTEN = 8,
    /* Calls of one connection that may be under way. High: a call beyond it waits in the client,
     * where admission can neither see nor refuse it. */
    MAX_STREAMS = 1024,
    SLOTS = 16, /* request slots posted for each method; the core queues what finds none */
};

void apx_tag_arm(struct apx_tag *tag)
{
    atomic_fetch_add_explicit(&tag->fence, 1, memory_order_release);
}

void apx_tag_arrived(struct apx_tag *tag)
{
    (void)atomic_load_explicit(&tag->fence, memory_order_acquire);
}

const char *apx_code_name(enum apx_code code)
{
    switch (code) {
    case APX_CODE_OK:
        return "OK";
    case APX_CODE_CANCELLED:
        return "CANCELLED";
    case APX_CODE_INVALID_ARGUMENT:
        return "INVALID_ARGUMENT";
    case APX_CODE_DEADLINE_EXCEEDED:
        return "DEADLINE_EXCEEDED";
    case APX_CODE_NOT_FOUND:
        return "NOT_FOUND";
    case APX_CODE_RESOURCE_EXHAUSTED:
        return "RESOURCE_EXHAUSTED";
    case APX_CODE_FAILED_PRECONDITION:
        return "FAILED_PRECONDITION";
    case APX_CODE_UNIMPLEMENTED:
        return "UNIMPLEMENTED";
    case APX_CODE_INTERNAL:
        return "INTERNAL";
    case APX_CODE_UNAVAILABLE:
        return "UNAVAILABLE";
    }
    return "UNKNOWN";
}

/* The core's own messages become lines of our log. It reports as errors what a peer did wrong (a
 * port scanner, a lost connection), so its errors are our warnings. */
static void core_log(gpr_log_func_args *arguments)
{
    static struct apx_log_limit limit;
    int64_t omitted;
    enum apx_log_level level =
        arguments->severity == GPR_LOG_SEVERITY_ERROR ? APX_LOG_WARN : APX_LOG_DEBUG;
    if (!apx_log_enabled(level) || !apx_log_allow(&limit, &omitted))
        return;
    APX_LOG(level, "grpc", APX_LOG_TEXT("message", arguments->message),
            APX_LOG_TEXT("file", arguments->file), APX_LOG_INT("line", arguments->line),
            APX_LOG_INT("omitted", omitted));
}

static grpc_arg integer_arg(const char *key, int value)
{
    grpc_arg arg;
    arg.type = GRPC_ARG_INTEGER;
    arg.key = (char *)(uintptr_t)key; /* not written to */
    arg.value.integer = value;
    return arg;
}

/* A second server on a Unix socket's path would take it over without a word, and unlink it when it
 * ends. The lock file beside it decides who may. The path is looked at again once the lock is held,
 * since its last owner may have removed the file in between. */
static enum apx_status lock_socket(struct apx_transport *transport, int index, const char *path,
                                   struct apx_error *error)
{
    size_t bytes = strlen(path) + sizeof ".lock";
    char *lock_path = malloc(bytes);
    if (lock_path == NULL)
        return apx_fail(error, APX_ENOMEM, "listen", "out of memory");
    memcpy(lock_path, path, strlen(path));
    memcpy(lock_path + strlen(path), ".lock", sizeof ".lock");
    transport->lock_paths[index] = lock_path;
    for (;;) {
        int file = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0)
            return apx_fail(error, APX_EIO, "listen", "cannot open %s: %s", lock_path,
                            strerror(errno));
        if (flock(file, LOCK_EX | LOCK_NB) != 0) {
            close(file);
            return apx_fail(error, APX_ECONFLICT, "listen",
                            "another server owns %s: its lock file is held", path);
        }
        struct stat held, there;
        if (fstat(file, &held) == 0 && stat(lock_path, &there) == 0 &&
            held.st_ino == there.st_ino && held.st_dev == there.st_dev) {
            transport->lock_files[index] = file;
            return APX_OK;
        }
        close(file);
    }
}

static void *serve_thread(void *argument)
{
    struct apx_transport *transport = argument;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(transport->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct apx_tag *tag = event.tag;
        apx_tag_arrived(tag);
        switch (tag->kind) {
        case TAG_REQUEST:
            apx_call_on_request(tag->call, event.success != 0);
            break;
        case TAG_CLOSE:
            apx_call_on_close(tag->call);
            break;
        case TAG_SENT:
            apx_call_on_sent(tag->call, event.success != 0);
            break;
        case TAG_FINISH:
            apx_call_on_finish(tag->call);
            break;
        case TAG_DRAINED:
            pthread_mutex_lock(&transport->mutex);
            transport->drained_arrived = true;
            pthread_cond_broadcast(&transport->changed);
            pthread_mutex_unlock(&transport->mutex);
            break;
        }
    }
}

static enum apx_status listen_all(struct apx_transport *transport,
                                  const struct apx_transport_options *options,
                                  struct apx_error *error)
{
    if (options->listen_count > MAX_LISTEN)
        return apx_fail(error, APX_ELIMIT, "listen", "more than %d addresses", MAX_LISTEN);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    enum apx_status status = APX_OK;
    for (int i = 0; i < options->listen_count && status == APX_OK; i++) {
        const char *address = options->listen[i];
        bool is_unix = strncmp(address, "unix:", 5) == 0;
        transport->listen_count = i + 1;
        if (is_unix)
            status = lock_socket(transport, i, address + 5, error);
        if (status != APX_OK)
            break;
        int port = grpc_server_add_http2_port(transport->server, address, credentials);
        if (port == 0)
            status =
                apx_fail(error, APX_EINVAL, "listen",
                         "cannot listen on %s: in use, or no address of this machine", address);
        transport->ports[i] = is_unix ? 0 : port;
    }
    grpc_server_credentials_release(credentials);
    return status;
}

static enum apx_status start_threads(struct apx_transport *transport, int count,
                                     struct apx_error *error)
{
    transport->threads = calloc((size_t)count, sizeof *transport->threads);
    if (transport->threads == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int i = 0; i < count; i++) {
        int failed = pthread_create(&transport->threads[i], NULL, serve_thread, transport);
        if (failed != 0)
            return apx_fail(error, APX_ENOMEM, "", "cannot start a thread: %s", strerror(failed));
        transport->thread_count++;
    }
    return APX_OK;
}

static struct apx_transport *allocate(const struct apx_transport_options *options)
{
    struct apx_transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL)
        return NULL;
    transport->methods = calloc((size_t)options->method_count + 1, sizeof *transport->methods);
    if (transport->methods == NULL) {
        free(transport);
        return NULL;
    }
    for (int i = 0; i < options->method_count; i++)
        transport->methods[i].method = options->methods[i];
    transport->method_count = options->method_count;
    for (int i = 0; i < MAX_LISTEN; i++)
        transport->lock_files[i] = -1;
    transport->drained.kind = TAG_DRAINED;
    pthread_mutex_init(&transport->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&transport->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return transport;
}

enum apx_status apx_transport_create(const struct apx_transport_options *options,
                                     struct apx_transport **out, struct apx_error *error)
{
    *out = NULL;
    struct apx_transport *transport = allocate(options);
    if (transport == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    gpr_set_log_function(core_log);
    grpc_init();
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)options->max_message_bytes),
        /* Two servers on one port is a mistake, not a wish. */
        integer_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        /* Identity alone: the size limit is checked after inflating, so that a small compressed
         * message could fill the memory. */
        integer_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        integer_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, MAX_STREAMS),
        /* Calls carry hundreds of kilobytes: large frames cost less than the default 16 KiB. */
        integer_arg(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20),
        integer_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20),
        integer_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        /* A client that pings through a firewall is no attacker. */
        integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000),
    };
    const grpc_channel_args channel_args = {sizeof args / sizeof args[0], args};
    transport->server = grpc_server_create(&channel_args, NULL);
    transport->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(transport->server, transport->queue, NULL);
    enum apx_status status = APX_OK;
    for (int i = 0; i < transport->method_count && status == APX_OK; i++) {
        struct apx_bound_method *bound = &transport->methods[i];
        bound->handle = grpc_server_register_method(transport->server, bound->method.path, NULL,
                                                    GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        if (bound->handle == NULL)
            status = apx_fail(error, APX_EINVAL, bound->method.path, "method registered twice");
    }
    if (status == APX_OK)
        status = listen_all(transport, options, error);
    /* A server that was bound but never started cannot be destroyed: start it even to fail. */
    grpc_server_start(transport->server);
    transport->started = true;
    enum apx_status threads = start_threads(transport, status == APX_OK ? options->threads : 1,
                                            status == APX_OK ? error : NULL);
    if (status == APX_OK)
        status = threads;
    if (status != APX_OK)
        goto fail;
    for (int i = 0; i < transport->method_count; i++) {
        for (int slot = 0; slot < SLOTS; slot++)
            apx_call_post(transport, &transport->methods[i]);
    }
    apx_call_post(transport, &transport->methods[transport->method_count]);
    *out = transport;
    return APX_OK;
fail:
    apx_transport_begin_shutdown(transport);
    apx_transport_cancel_all(transport);
    apx_transport_destroy(transport);
    return status;
}

int apx_transport_port(const struct apx_transport *transport, int index)
{
    return transport->ports[index];
}

void apx_transport_begin_shutdown(struct apx_transport *transport)
{
    atomic_store(&transport->stopping, true);
    apx_tag_arm(&transport->drained);
    grpc_server_shutdown_and_notify(transport->server, transport->queue, &transport->drained);
}

void apx_transport_cancel_all(struct apx_transport *transport)
{
    grpc_server_cancel_all_calls(transport->server);
}

void apx_transport_destroy(struct apx_transport *transport)
{
    if (transport == NULL)
        return;
    if (transport->thread_count == 0) { /* nobody waits on the queue: fetch the tag here */
        grpc_event event;
        do
            event = grpc_completion_queue_next(transport->queue, gpr_inf_future(GPR_CLOCK_REALTIME),
                                               NULL);
        while (event.tag != &transport->drained);
        transport->drained_arrived = true;
    }
    pthread_mutex_lock(&transport->mutex);
    while (!transport->drained_arrived || transport->contexts > 0)
        pthread_cond_wait(&transport->changed, &transport->mutex);
    pthread_mutex_unlock(&transport->mutex);
    grpc_completion_queue_shutdown(transport->queue);
    for (int i = 0; i < transport->thread_count; i++)
        pthread_join(transport->threads[i], NULL);
    while (transport->thread_count == 0 &&
           grpc_completion_queue_next(transport->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
                   .type != GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_server_destroy(transport->server);
    grpc_completion_queue_destroy(transport->queue);
    grpc_shutdown_blocking();
    for (int i = 0; i < transport->listen_count; i++) {
        if (transport->lock_files[i] >= 0) {
            unlink(transport->lock_paths[i]);
            close(transport->lock_files[i]);
        }
        free(transport->lock_paths[i]);
    }
    pthread_cond_destroy(&transport->changed);
    pthread_mutex_destroy(&transport->mutex);
    free(transport->threads);
    free(transport->methods);
    free(transport);
}
