/* SPDX-License-Identifier: Apache-2.0 */
/* tree_peer_lightgbm - LightGBM's prediction of a dense matrix; for calls of one row its fast path,
 * whose configuration is made beforehand. */
#include "bench/peers/peers.h"

#include <stdio.h>
#include <stdlib.h>

enum { TYPE_FLOAT32 = 0, PREDICT_NORMAL = 0 };

struct lightgbm {
    int (*create)(const char *path, int *iterations, void **booster);
    int (*predict)(void *booster, const void *data, int type, int32_t rows, int32_t columns,
                   int is_row_major, int kind, int from, int iterations, const char *parameters,
                   int64_t *length, double *result);
    int (*fast_init)(void *booster, int kind, int from, int iterations, int type, int32_t columns,
                     const char *parameters, void **fast);
    int (*fast)(void *fast, const void *data, int64_t *length, double *result);
    int (*fast_release)(void *fast);
    int (*release)(void *booster);
    const char *(*error)(void);
    void *booster, *one_row;
    double *buffer;
    char parameters[32];
};

static bool lightgbm_open(struct peer *peer, const struct peer_request *request)
{
    int iterations;
    struct lightgbm *const state = peer->state = calloc(1, sizeof *state);
    if (state == NULL)
        return peer_fail(peer, "lightgbm", "out of memory");
    if (!peer_find(peer, "LGBM_BoosterCreateFromModelfile", &state->create) ||
        !peer_find(peer, "LGBM_BoosterPredictForMat", &state->predict) ||
        !peer_find(peer, "LGBM_BoosterPredictForMatSingleRowFastInit", &state->fast_init) ||
        !peer_find(peer, "LGBM_BoosterPredictForMatSingleRowFast", &state->fast) ||
        !peer_find(peer, "LGBM_FastConfigFree", &state->fast_release) ||
        !peer_find(peer, "LGBM_BoosterFree", &state->release) ||
        !peer_find(peer, "LGBM_GetLastError", &state->error))
        return false;
    snprintf(state->parameters, sizeof state->parameters, "num_threads=%d", request->threads);
    if (state->create(request->model, &iterations, &state->booster) != 0 ||
        state->fast_init(state->booster, PREDICT_NORMAL, 0, -1, TYPE_FLOAT32,
                         (int32_t)peer->features, state->parameters, &state->one_row) != 0)
        return peer_fail(peer, "lightgbm", state->error());
    return true;
}

static bool lightgbm_prepare(struct peer *peer)
{
    struct lightgbm *const state = peer->state;
    free(state->buffer);
    state->buffer = malloc(peer->rows * sizeof *state->buffer);
    peer->result = state->buffer;
    peer->result_is_double = true;
    peer->columns = 1;
    return state->buffer != NULL || peer_fail(peer, "lightgbm", "out of memory");
}

static bool lightgbm_call(struct peer *peer, size_t index)
{
    struct lightgbm *const state = peer->state;
    const float *const x = (const float *)peer->x + index * peer->rows * peer->features;
    int64_t length;
    const int status = peer->rows == 1
                           ? state->fast(state->one_row, x, &length, state->buffer)
                           : state->predict(state->booster, x, TYPE_FLOAT32, (int32_t)peer->rows,
                                            (int32_t)peer->features, 1, PREDICT_NORMAL, 0, -1,
                                            state->parameters, &length, state->buffer);
    return status == 0 || peer_fail(peer, "lightgbm", state->error());
}

static void lightgbm_close(struct peer *peer)
{
    struct lightgbm *const state = peer->state;
    if (state == NULL)
        return;
    if (state->one_row != NULL)
        state->fast_release(state->one_row);
    if (state->booster != NULL)
        state->release(state->booster);
    free(state->buffer);
    free(state);
}

const struct peer_engine peer_lightgbm = {"lightgbm", lightgbm_open, lightgbm_prepare,
                                          lightgbm_call, lightgbm_close};
