/* SPDX-License-Identifier: Apache-2.0 */
/* tree_peer_compiled - models that a compiler made into a function: TL2cgen's C, lleaves' LLVM.
 *
 * TL2cgen's function takes one row as an array of unions in which a missing value is the integer
 * -1, and adds to its result; the loop over the rows is what its own runtime does, without that
 * runtime's matrix objects. lleaves' function takes rows [from, to) of a table of doubles. Both are
 * given threads as their packages do: a share of the rows each. */
#include "bench/peers/peers.h"

#include <stdlib.h>

/* Below this many rows a second thread costs more than it brings. */
#define ROWS_FOR_THREADS 64

union float_entry {
    int missing;
    float value;
};
union double_entry {
    int missing;
    double value;
};

struct compiled {
    union {
        void (*any)(void);
        void (*of_floats)(union float_entry *row, int margin, float *result);
        void (*of_doubles)(union double_entry *row, int margin, double *result);
        void (*of_rows)(const double *x, double *results, int32_t from, int32_t to);
    } entry;
    void *rows; /* [threads, features] of entries */
    void *results;
};

static bool compiled_open(struct peer *peer, const struct peer_request *request)
{
    struct compiled *const state = peer->state = calloc(1, sizeof *state);
    if (state == NULL)
        return peer_fail(peer, "compiled model", "out of memory");
    state->entry.any = request->entry;
    state->rows = calloc((size_t)peer->threads * peer->features, sizeof(union double_entry));
    return state->rows != NULL || peer_fail(peer, "compiled model", "out of memory");
}

static bool compiled_prepare(struct peer *peer)
{
    struct compiled *const state = peer->state;
    free(state->results);
    state->results = calloc(peer->rows, sizeof(double));
    peer->result = state->results;
    peer->result_is_double = peer->engine != &peer_treelite_float;
    peer->columns = 1;
    return state->results != NULL || peer_fail(peer, "compiled model", "out of memory");
}

static void compiled_close(struct peer *peer)
{
    struct compiled *const state = peer->state;
    if (state == NULL)
        return;
    free(state->rows);
    free(state->results);
    free(state);
}

static void float_rows(const struct peer *peer, int thread, const float *x, size_t from, size_t to)
{
    const struct compiled *const state = peer->state;
    union float_entry *const row = (union float_entry *)state->rows + thread * peer->features;
    float *const results = state->results;
    for (size_t n = from; n < to; n++) {
        for (size_t k = 0; k < peer->features; k++) {
            const float value = x[n * peer->features + k];
            row[k].value = value;
            if (value != value)
                row[k].missing = -1;
        }
        results[n] = 0;
        state->entry.of_floats(row, 0, &results[n]);
    }
}

static void double_rows(const struct peer *peer, int thread, const float *x, size_t from, size_t to)
{
    const struct compiled *const state = peer->state;
    union double_entry *const row = (union double_entry *)state->rows + thread * peer->features;
    double *const results = state->results;
    for (size_t n = from; n < to; n++) {
        for (size_t k = 0; k < peer->features; k++) {
            const double value = (double)x[n * peer->features + k];
            row[k].value = value;
            if (value != value)
                row[k].missing = -1;
        }
        results[n] = 0;
        state->entry.of_doubles(row, 0, &results[n]);
    }
}

static void share(const struct peer *peer, size_t index, int thread, size_t from, size_t to)
{
    const struct compiled *const state = peer->state;
    const size_t first = index * peer->rows * peer->features;
    if (peer->engine == &peer_lleaves)
        state->entry.of_rows((const double *)peer->x + first, state->results, (int32_t)from,
                             (int32_t)to);
    else if (peer->engine == &peer_treelite_float)
        float_rows(peer, thread, (const float *)peer->x + first, from, to);
    else
        double_rows(peer, thread, (const float *)peer->x + first, from, to);
}

static bool compiled_call(struct peer *peer, size_t index)
{
    const int threads = peer->rows < ROWS_FOR_THREADS ? 1 : peer->threads;
    if (threads == 1) {
        share(peer, index, 0, 0, peer->rows);
        return true;
    }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int thread = 0; thread < threads; thread++)
        share(peer, index, thread, peer->rows * (size_t)thread / (size_t)threads,
              peer->rows * (size_t)(thread + 1) / (size_t)threads);
    return true;
}

const struct peer_engine peer_treelite_float = {"treelite-float", compiled_open, compiled_prepare,
                                                compiled_call, compiled_close};
const struct peer_engine peer_treelite_double = {"treelite-double", compiled_open, compiled_prepare,
                                                 compiled_call, compiled_close};
const struct peer_engine peer_lleaves = {"lleaves", compiled_open, compiled_prepare, compiled_call,
                                         compiled_close};
