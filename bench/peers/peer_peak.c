/* SPDX-License-Identifier: Apache-2.0 */
/* peer_peak - the processor's multiply-add rate as one more engine, so that it is measured in the
 * same rounds as the others: request.model is a name of bench/peak.h, a call is a fixed number of
 * turns on each thread, and its only prediction is how many operations that is. */
#include "bench/peers/peers.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peak.h"

/* Tens of microseconds: far more than OpenMP takes to start its threads. */
#define TURNS 30000

struct peak {
    enum peak_kind kind;
    double operations;
};

static bool peak_open(struct peer *peer, const struct peer_request *request)
{
    struct peak *const state = peer->state = calloc(1, sizeof *state);
    if (state == NULL)
        return peer_fail(peer, "peak", "out of memory");
    for (enum peak_kind kind = 0; kind < PEAK_KINDS; kind++)
        if (strcmp(peak_name(kind), request->model) == 0) {
            state->kind = kind;
            return peak_runs(kind) || peer_fail(peer, request->model, "not on this processor");
        }
    return peer_fail(peer, request->model, "no such peak");
}

static bool peak_prepare(struct peer *peer)
{
    struct peak *const state = peer->state;
    peer->result = &state->operations;
    peer->result_is_double = true;
    peer->columns = 1;
    return true;
}

static bool peak_call(struct peer *peer, size_t index)
{
    struct peak *const state = peer->state;
    uint64_t operations = 0;
    (void)index;
#pragma omp parallel num_threads(peer->threads) reduction(+ : operations)
    operations += peak_turn(state->kind, TURNS);
    state->operations = (double)operations;
    return true;
}

static void peak_close(struct peer *peer)
{
    free(peer->state);
}

const struct peer_engine peer_peak = {"peak", peak_open, peak_prepare, peak_call, peak_close};
