/* SPDX-License-Identifier: Apache-2.0 */
/* call_health.c - health for probes (Check) and for clients that balance their load (Watch).
 *
 * A watcher has at most one message on its way; what changes meanwhile is looked up again when that
 * message has left, so that a slow watcher skips states instead of queueing them. Calls into the
 * transport are made with the mutex held: they start work and never come back into this file on the
 * same thread. */
#include "serve/call_health.h"

#include <stdlib.h>
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "runtime/base/fail.h"

enum { MAX_WATCHERS = 1024, MAX_REQUEST_BYTES = 1024 };
enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct watcher {
    struct apx_health *health;
    struct apx_call *call;
    char name[APX_LIMIT_MODEL_NAME + 1];
    int told;     /* the status sent last; 0: none */
    bool sending; /* a message is on its way */
    bool over;    /* the call has ended, or must when the message has left */
    bool finished;
    struct watcher *previous, *next;
};

struct apx_health {
    struct apx_models *models;
    pthread_mutex_t mutex;
    bool draining;
    int watcher_count;
    struct watcher *watchers;
};

enum apx_status apx_health_create(struct apx_models *models, struct apx_health **out,
                                  struct apx_error *error)
{
    struct apx_health *health = calloc(1, sizeof *health);
    *out = health;
    if (health == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    health->models = models;
    pthread_mutex_init(&health->mutex, NULL);
    return APX_OK;
}

void apx_health_destroy(struct apx_health *health)
{
    if (health == NULL)
        return;
    pthread_mutex_destroy(&health->mutex);
    free(health);
}

/* The mutex is held. */
static int status_of(const struct apx_health *health, const char *name)
{
    bool known;
    const char *asked = strcmp(name, "auspex.v1.Inference") == 0 ? "" : name;
    bool serving = apx_models_serving(health->models, asked, &known);
    if (!known)
        return SERVICE_UNKNOWN;
    return serving && !health->draining ? SERVING : NOT_SERVING;
}

/* False: the message is no HealthCheckRequest. A name longer than any model's is cut, which keeps
 * it unknown. */
static bool read_name(const struct apx_call *call, char name[APX_LIMIT_MODEL_NAME + 1])
{
    uint8_t bytes[MAX_REQUEST_BYTES];
    size_t size = 0, count;
    const struct apx_span *spans = apx_call_request(call, &count);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].size > sizeof bytes - size)
            return false;
        memcpy(bytes + size, spans[i].data, spans[i].size);
        size += spans[i].size;
    }
    Grpc__Health__V1__HealthCheckRequest *request =
        grpc__health__v1__health_check_request__unpack(NULL, size, bytes);
    if (request == NULL)
        return false;
    memset(name, 0, APX_LIMIT_MODEL_NAME + 1);
    size_t length = strlen(request->service);
    memcpy(name, request->service, length < APX_LIMIT_MODEL_NAME ? length : APX_LIMIT_MODEL_NAME);
    grpc__health__v1__health_check_request__free_unpacked(request, NULL);
    return true;
}

static size_t pack(int status, uint8_t bytes[16])
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return grpc__health__v1__health_check_response__pack(&response, bytes);
}

/* ---- Check ---------------------------------------------------------------------------------- */

static void check(void *context, struct apx_call *call)
{
    struct apx_health *health = context;
    char name[APX_LIMIT_MODEL_NAME + 1];
    if (!read_name(call, name)) {
        apx_call_finish(call, APX_CODE_INVALID_ARGUMENT, "not a HealthCheckRequest", -1);
        return;
    }
    pthread_mutex_lock(&health->mutex);
    int status = status_of(health, name);
    pthread_mutex_unlock(&health->mutex);
    if (status == SERVICE_UNKNOWN) {
        apx_call_finish(call, APX_CODE_NOT_FOUND, "service: unknown", -1);
        return;
    }
    uint8_t *reply = apx_call_reply(call, 16);
    if (reply == NULL)
        apx_call_finish(call, APX_CODE_RESOURCE_EXHAUSTED, "out of memory", -1);
    else
        apx_call_finish_ok(call, pack(status, reply));
}

struct apx_method apx_health_check_method(struct apx_health *health)
{
    return (struct apx_method){
        .path = "/grpc.health.v1.Health/Check", .context = health, .start = check};
}

/* ---- Watch ---------------------------------------------------------------------------------- */

/* Send the watcher what it does not know yet, or end its call. The mutex is held. */
static void tell(struct watcher *watcher)
{
    struct apx_health *health = watcher->health;
    if (watcher->sending || watcher->finished)
        return;
    int status = status_of(health, watcher->name);
    if (!watcher->over && status != watcher->told) {
        uint8_t bytes[16];
        watcher->told = status;
        watcher->sending = true;
        apx_call_send(watcher->call, bytes, pack(status, bytes));
    } else if (watcher->over || health->draining) {
        watcher->finished = true;
        if (health->draining)
            apx_call_finish(watcher->call, APX_CODE_UNAVAILABLE, "the server is going down", -1);
        else
            apx_call_finish(watcher->call, APX_CODE_CANCELLED, "the client gave up", -1);
    }
}

static void watch(void *context, struct apx_call *call)
{
    struct apx_health *health = context;
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL || !read_name(call, watcher->name)) {
        apx_call_finish(call,
                        watcher == NULL ? APX_CODE_RESOURCE_EXHAUSTED : APX_CODE_INVALID_ARGUMENT,
                        watcher == NULL ? "out of memory" : "not a HealthCheckRequest", -1);
        free(watcher);
        return;
    }
    watcher->health = health;
    watcher->call = call;
    pthread_mutex_lock(&health->mutex);
    if (health->watcher_count == MAX_WATCHERS) {
        pthread_mutex_unlock(&health->mutex);
        free(watcher);
        apx_call_finish(call, APX_CODE_RESOURCE_EXHAUSTED, "too many watchers", -1);
        return;
    }
    apx_call_set_user(call, watcher);
    health->watcher_count++;
    watcher->next = health->watchers;
    if (health->watchers != NULL)
        health->watchers->previous = watcher;
    health->watchers = watcher;
    tell(watcher);
    pthread_mutex_unlock(&health->mutex);
}

static void watch_sent(void *context, void *user, bool ok)
{
    struct apx_health *health = context;
    struct watcher *watcher = user;
    pthread_mutex_lock(&health->mutex);
    watcher->sending = false;
    watcher->over = watcher->over || !ok;
    tell(watcher);
    pthread_mutex_unlock(&health->mutex);
}

static void watch_cancelled(void *context, void *user)
{
    struct apx_health *health = context;
    struct watcher *watcher = user;
    pthread_mutex_lock(&health->mutex);
    watcher->over = true;
    tell(watcher);
    pthread_mutex_unlock(&health->mutex);
}

static void watch_released(void *context, void *user)
{
    struct apx_health *health = context;
    struct watcher *watcher = user;
    pthread_mutex_lock(&health->mutex);
    health->watcher_count--;
    if (watcher->previous != NULL)
        watcher->previous->next = watcher->next;
    else
        health->watchers = watcher->next;
    if (watcher->next != NULL)
        watcher->next->previous = watcher->previous;
    pthread_mutex_unlock(&health->mutex);
    free(watcher);
}

struct apx_method apx_health_watch_method(struct apx_health *health)
{
    return (struct apx_method){.path = "/grpc.health.v1.Health/Watch",
                               .context = health,
                               .start = watch,
                               .cancelled = watch_cancelled,
                               .sent = watch_sent,
                               .released = watch_released};
}

static void tell_all(struct apx_health *health)
{
    for (struct watcher *watcher = health->watchers; watcher != NULL; watcher = watcher->next)
        tell(watcher);
}

void apx_health_changed(void *context)
{
    struct apx_health *health = context;
    pthread_mutex_lock(&health->mutex);
    tell_all(health);
    pthread_mutex_unlock(&health->mutex);
}

void apx_health_drain(struct apx_health *health)
{
    pthread_mutex_lock(&health->mutex);
    health->draining = true;
    tell_all(health);
    pthread_mutex_unlock(&health->mutex);
}
