/* SPDX-License-Identifier: Apache-2.0 */
/* peers - what Python calls through ctypes: open an engine, prepare calls, time them.
 *
 * The timed loop is here and not in Python, so that a call of a microsecond is measured as one. */
#include "bench/peers/peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC visibility push(default)
struct peer *peer_open(const struct peer_request *request);
bool peer_prepare(struct peer *peer, const void *x, size_t rows, size_t calls);
void peer_count_processor_time(void);
double peer_time(struct peer *peer, size_t count);
bool peer_predict(struct peer *peer, double *predictions);
const char *peer_message(const struct peer *peer);
void peer_close(struct peer *peer);
#pragma GCC visibility pop

static const struct peer_engine *const engines[] = {
    &peer_auspex,   &peer_onnxruntime,    &peer_onednn,          &peer_peak,    &peer_xgboost,
    &peer_lightgbm, &peer_treelite_float, &peer_treelite_double, &peer_lleaves,
};

static clockid_t timer = CLOCK_MONOTONIC; /* set before anything is timed */

bool peer_fail(struct peer *peer, const char *what, const char *detail)
{
    snprintf(peer->message, sizeof peer->message, "%s: %s", what, detail ? detail : "failed");
    return false;
}

bool peer_find(struct peer *peer, const char *symbol, void *function)
{
    void *const address = dlsym(peer->library, symbol);
    memcpy(function, &address, sizeof address);
    return address != NULL || peer_fail(peer, symbol, "not in the library");
}

size_t peer_row_size(const struct peer *peer)
{
    return peer->features * (peer->steps > 0 ? peer->steps : 1);
}

static bool open_engine(struct peer *peer, const struct peer_request *request)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcmp(engines[i]->name, request->engine) == 0)
            peer->engine = engines[i];
    if (peer->engine == NULL)
        return peer_fail(peer, request->engine, "no such engine");
    if (request->library != NULL &&
        (peer->library = dlopen(request->library, RTLD_NOW | RTLD_LOCAL)) == NULL)
        return peer_fail(peer, "dlopen", dlerror());
    return peer->engine->open(peer, request);
}

/* NULL only without memory: peer_message tells of other failures, "" is success. */
struct peer *peer_open(const struct peer_request *request)
{
    struct peer *const peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->steps = request->steps;
    peer->features = request->features;
    peer->outputs = request->outputs;
    peer->threads = request->threads;
    peer->lengths = request->lengths;
    if (!open_engine(peer, request) && peer->message[0] == '\0')
        peer_fail(peer, request->engine, NULL);
    return peer;
}

/* x stays the caller's and must outlive the calls. */
bool peer_prepare(struct peer *peer, const void *x, size_t rows, size_t calls)
{
    peer->x = x;
    peer->rows = rows;
    peer->calls = calls;
    return peer->engine->prepare(peer);
}

/* From now on peer_time gives the processor time of the whole process instead of time. */
void peer_count_processor_time(void)
{
    timer = CLOCK_PROCESS_CPUTIME_ID;
}

/* Seconds for `count` calls, over the table from its first rows on and over again; -1: failed. */
double peer_time(struct peer *peer, size_t count)
{
    struct timespec from, to;
    size_t index = 0;
    clock_gettime(timer, &from);
    for (size_t i = 0; i < count; i++) {
        if (!peer->engine->call(peer, index))
            return -1;
        if (++index == peer->calls)
            index = 0;
    }
    clock_gettime(timer, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Into [calls * rows, outputs]. */
bool peer_predict(struct peer *peer, double *predictions)
{
    if (peer->columns < peer->outputs)
        return peer_fail(peer, "output", "has fewer columns than were asked for");
    for (size_t index = 0; index < peer->calls; index++) {
        if (!peer->engine->call(peer, index))
            return false;
        for (size_t row = 0; row < peer->rows; row++)
            for (size_t i = peer->columns - peer->outputs; i < peer->columns; i++) {
                const size_t at = row * peer->columns + i;
                *predictions++ = peer->result_is_double ? ((const double *)peer->result)[at]
                                                        : (double)((const float *)peer->result)[at];
            }
    }
    return true;
}

const char *peer_message(const struct peer *peer)
{
    return peer->message;
}

/* Accepts NULL. Libraries stay loaded: some of them leave threads behind. */
void peer_close(struct peer *peer)
{
    if (peer == NULL)
        return;
    if (peer->engine != NULL)
        peer->engine->close(peer);
    free(peer);
}
