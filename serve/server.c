/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - models, queue, workers, health, transport: each knows only those before it, but for
 * the models, which tell health of changes once it is there. */
#include "serve/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/topo/topo.h"
#include "serve/call_health.h"
#include "serve/call_predict.h"
#include "serve/clock.h"
#include "serve/worker.h"

/* Waiting requests and replies may take this many times the largest message. */
enum { QUEUE_MESSAGES = 8 };
/* From this many cores on a second thread for the network pays. */
enum { TWO_TRANSPORT_THREADS = 4 };
enum { QUIET_MS = 30, LINGER_MS = 1000 };

struct apx_server {
    struct apx_models *models;
    struct apx_queue *queue;
    struct apx_workers *workers;
    _Atomic(struct apx_health *) health; /* the models' thread reads it while it is being set */
    struct apx_transport *transport;
    struct apx_predict predict;
    int64_t drain_ns; /* when the drain began */
};

static void models_changed(void *context)
{
    struct apx_server *server = context;
    struct apx_health *health = atomic_load(&server->health);
    if (health != NULL)
        apx_health_changed(health);
}

/* Whoever waits for the file never reads half a number. */
static enum apx_status write_port(const char *path, int port, struct apx_error *error)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d\n", port);
    return apx_file_replace(path, text, (size_t)length, error);
}

static enum apx_status announce(const struct apx_server *server,
                                const struct apx_serve_options *options, struct apx_error *error)
{
    bool written = options->port_file == NULL;
    enum apx_status status = APX_OK;
    for (int i = 0; i < options->listen_count && status == APX_OK; i++) {
        int port = apx_transport_port(server->transport, i);
        APX_LOG(APX_LOG_INFO, "listening", APX_LOG_TEXT("address", options->listen[i]),
                APX_LOG_INT("port", port));
        if (!written && port > 0) {
            status = write_port(options->port_file, port, error);
            written = true;
        }
    }
    return status;
}

static enum apx_status count_cores(int *threads, struct apx_error *error)
{
    struct apx_topo *topo;
    enum apx_status status = apx_topo_create(NULL, &topo, error);
    if (status == APX_OK)
        *threads = topo->threads;
    apx_topo_destroy(topo);
    return status;
}

static enum apx_status start_transport(struct apx_server *server,
                                       const struct apx_serve_options *options, int cores,
                                       struct apx_error *error)
{
    struct apx_health *health = atomic_load(&server->health);
    const struct apx_method methods[] = {
        apx_predict_method(&server->predict),
        apx_health_check_method(health),
        apx_health_watch_method(health),
    };
    const struct apx_transport_options transport = {
        .listen = options->listen,
        .listen_count = options->listen_count,
        .max_message_bytes = (size_t)options->message_mib << 20,
        .threads = cores >= TWO_TRANSPORT_THREADS ? 2 : 1,
        .methods = methods,
        .method_count = sizeof methods / sizeof methods[0],
    };
    return apx_transport_create(&transport, &server->transport, error);
}

enum apx_status apx_server_create(const struct apx_serve_options *options, struct apx_server **out,
                                  struct apx_error *error)
{
    *out = NULL;
    struct apx_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    int cores = 1;
    /* Before any model is: one that cannot be loaded does not keep the others from being served,
     * and a repository may be empty. */
    enum apx_status status = apx_device_check(options->device, error);
    if (status == APX_OK)
        status = count_cores(&cores, error);
    if (status != APX_OK)
        goto fail;
    int workers = options->workers > 0 ? options->workers : cores;
    APX_LOG(APX_LOG_INFO, "starting", APX_LOG_TEXT("version", apx_version()),
            APX_LOG_TEXT("repository", options->repository), APX_LOG_INT("workers", workers));
    const struct apx_models_options models = {
        .repository = options->repository,
        .names = options->models,
        .name_count = options->model_count,
        .workers = workers,
        .device = options->device,
        .cache = options->cache,
        .changed = models_changed,
        .context = server,
    };
    status = apx_models_create(&models, &server->models, error);
    if (status != APX_OK)
        goto fail;
    const struct apx_queue_options queue = {
        .workers = workers,
        .max_rows = options->queue_rows,
        .max_bytes = ((size_t)options->message_mib << 20) * QUEUE_MESSAGES,
    };
    status = apx_queue_create(&queue, &server->queue, error);
    if (status != APX_OK)
        goto fail;
    server->predict.models = server->models;
    server->predict.queue = server->queue;
    const struct apx_workers_options crew = {.queue = server->queue,
                                             .count = workers,
                                             .answer = apx_predict_answer,
                                             .context = &server->predict};
    status = apx_workers_create(&crew, &server->workers, error);
    if (status != APX_OK)
        goto fail;
    struct apx_health *health;
    status = apx_health_create(server->models, &health, error);
    if (status != APX_OK)
        goto fail;
    atomic_store(&server->health, health);
    status = start_transport(server, options, cores, error);
    if (status == APX_OK)
        status = announce(server, options, error);
    if (status != APX_OK)
        goto fail;
    *out = server;
    return APX_OK;
fail:
    apx_server_begin_drain(server);
    apx_server_destroy(server);
    return status;
}

void apx_server_reload(struct apx_server *server)
{
    apx_models_wake(server->models);
}

void apx_server_begin_drain(struct apx_server *server)
{
    if (server->transport == NULL)
        return;
    server->drain_ns = apx_now_ns();
    atomic_store(&server->predict.draining, true);
    apx_health_drain(atomic_load(&server->health));
}

/* The transport is not shut down before it is quiet: the core ends a call that arrives after that
 * with CANCELLED, which no client takes for "ask another server". But who goes on calling although
 * he is refused does not hold the server up for longer than LINGER_MS. */
bool apx_server_wait_quiet(struct apx_server *server, int timeout_ms)
{
    int64_t end = apx_now_ns() + (int64_t)timeout_ms * 1000000;
    const struct timespec moment = {0, QUIET_MS * 1000000};
    do {
        int64_t calls = server->predict.calls;
        nanosleep(&moment, NULL);
        bool lingered = apx_now_ns() - server->drain_ns > LINGER_MS * INT64_C(1000000);
        if (server->predict.under_way == 0 && (server->predict.calls == calls || lingered))
            return true;
    } while (apx_now_ns() < end);
    return false;
}

void apx_server_destroy(struct apx_server *server)
{
    if (server == NULL)
        return;
    if (server->transport != NULL) {
        apx_transport_begin_shutdown(server->transport);
        apx_transport_cancel_all(server->transport);
    }
    /* The transport waits for its calls, and those for the workers: so it goes first. */
    apx_transport_destroy(server->transport);
    if (server->queue != NULL)
        apx_queue_close(server->queue);
    apx_workers_destroy(server->workers);
    apx_queue_destroy(server->queue);
    apx_models_destroy(server->models);
    apx_health_destroy(atomic_load(&server->health));
    APX_LOG(APX_LOG_INFO, "stopped", APX_LOG_INT("calls", server->predict.calls),
            APX_LOG_INT("answered", server->predict.answered_ok),
            APX_LOG_INT("refused", server->predict.refused));
    free(server);
}
