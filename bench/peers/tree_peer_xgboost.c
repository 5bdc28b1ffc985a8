/* SPDX-License-Identifier: Apache-2.0 */
/* tree_peer_xgboost - XGBoost's in-place prediction: the array of a call is described by a JSON
 * text (prepared), the proxy matrix is kept, as its Python package does. */
#include "bench/peers/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct xgboost {
    int (*create)(void *const *matrices, uint64_t count, void **booster);
    int (*load)(void *booster, const char *path);
    int (*set)(void *booster, const char *name, const char *value);
    int (*proxy)(void **matrix);
    int (*predict)(void *booster, const char *array, const char *config, void *proxy,
                   const uint64_t **shape, uint64_t *dimensions, const float **result);
    int (*release)(void *booster);
    int (*release_matrix)(void *matrix);
    const char *(*error)(void);
    void *booster, *matrix;
    char (*arrays)[192];
};

static bool xgboost_open(struct peer *peer, const struct peer_request *request)
{
    char threads[16];
    struct xgboost *const state = peer->state = calloc(1, sizeof *state);
    if (state == NULL)
        return peer_fail(peer, "xgboost", "out of memory");
    if (!peer_find(peer, "XGBoosterCreate", &state->create) ||
        !peer_find(peer, "XGBoosterLoadModel", &state->load) ||
        !peer_find(peer, "XGBoosterSetParam", &state->set) ||
        !peer_find(peer, "XGProxyDMatrixCreate", &state->proxy) ||
        !peer_find(peer, "XGBoosterPredictFromDense", &state->predict) ||
        !peer_find(peer, "XGBoosterFree", &state->release) ||
        !peer_find(peer, "XGDMatrixFree", &state->release_matrix) ||
        !peer_find(peer, "XGBGetLastError", &state->error))
        return false;
    snprintf(threads, sizeof threads, "%d", request->threads);
    if (state->create(NULL, 0, &state->booster) != 0 || state->proxy(&state->matrix) != 0 ||
        state->load(state->booster, request->model) != 0 ||
        state->set(state->booster, "nthread", threads) != 0)
        return peer_fail(peer, "xgboost", state->error());
    return true;
}

static bool xgboost_prepare(struct peer *peer)
{
    struct xgboost *const state = peer->state;
    free(state->arrays);
    state->arrays = malloc(peer->calls * sizeof *state->arrays);
    if (state->arrays == NULL)
        return peer_fail(peer, "xgboost", "out of memory");
    for (size_t i = 0; i < peer->calls; i++)
        snprintf(state->arrays[i], sizeof *state->arrays,
                 "{\"data\": [%" PRIuPTR ", true], \"shape\": [%zu, %zu], \"strides\": null, "
                 "\"typestr\": \"<f4\", \"version\": 3}",
                 (uintptr_t)((const float *)peer->x + i * peer->rows * peer->features), peer->rows,
                 peer->features);
    peer->columns = 1;
    peer->result_is_double = false;
    return true;
}

static bool xgboost_call(struct peer *peer, size_t index)
{
    static const char config[] =
        "{\"type\": 0, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
        "\"missing\": NaN, \"strict_shape\": false, \"cache_id\": 0}";
    struct xgboost *const state = peer->state;
    const uint64_t *shape;
    uint64_t dimensions;
    const float *result;
    if (state->predict(state->booster, state->arrays[index], config, state->matrix, &shape,
                       &dimensions, &result) != 0)
        return peer_fail(peer, "xgboost", state->error());
    peer->result = result;
    return true;
}

static void xgboost_close(struct peer *peer)
{
    struct xgboost *const state = peer->state;
    if (state == NULL)
        return;
    if (state->matrix != NULL)
        state->release_matrix(state->matrix);
    if (state->booster != NULL)
        state->release(state->booster);
    free(state->arrays);
    free(state);
}

const struct peer_engine peer_xgboost = {"xgboost", xgboost_open, xgboost_prepare, xgboost_call,
                                         xgboost_close};
