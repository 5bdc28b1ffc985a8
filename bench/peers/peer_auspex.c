/* SPDX-License-Identifier: Apache-2.0 */
/* peer_auspex - Auspex through auspex.h, as any other program would use it. */
#include "bench/peers/peers.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/auspex.h"

#define MAX_OUTPUTS 8
#define MAX_INPUTS  2

struct auspex {
    struct apx_model *model;
    struct apx_session *session;
    size_t outputs, wanted;
    struct apx_tensor output[MAX_OUTPUTS];
    void *buffer;
};

static bool auspex_open(struct peer *peer, const struct peer_request *request)
{
    struct apx_error error;
    const struct apx_load_options load = {.isa = request->isa};
    const struct apx_session_options options = {.threads = request->threads};
    struct auspex *const state = peer->state = calloc(1, sizeof *state);
    if (state == NULL)
        return peer_fail(peer, "auspex", "out of memory");
    if (apx_model_load(request->model, &load, &state->model, &error) != APX_OK ||
        apx_session_create(state->model, &options, &state->session, &error) != APX_OK)
        return peer_fail(peer, "auspex", error.message);
    state->outputs = apx_model_output_count(state->model);
    if (state->outputs > MAX_OUTPUTS)
        return peer_fail(peer, "auspex", "too many outputs");
    if (request->output != NULL)
        while (strcmp(apx_model_output(state->model, state->wanted)->name, request->output) != 0)
            if (++state->wanted == state->outputs)
                return peer_fail(peer, "auspex", "no such output");
    return true;
}

/* The rows of a call, and their lengths if the model asks for them: how many inputs these are. */
static size_t inputs_of(const struct peer *peer, size_t index, struct apx_tensor *inputs)
{
    /* A tensor's data is not const; inputs are only read. */
    const uintptr_t x =
        (uintptr_t)((const float *)peer->x + index * peer->rows * peer_row_size(peer));
    struct apx_tensor *const rows = &inputs[0];
    *rows =
        (struct apx_tensor){.dtype = APX_F32, .rank = peer->steps > 0 ? 3 : 2, .data = (void *)x};
    rows->dims[0] = (int64_t)peer->rows;
    rows->dims[1] = (int64_t)peer->steps;
    rows->dims[rows->rank - 1] = (int64_t)peer->features;
    if (peer->lengths == NULL)
        return 1;
    const uintptr_t lengths = (uintptr_t)(peer->lengths + index * peer->rows);
    inputs[1] = (struct apx_tensor){.dtype = APX_I32, .rank = 1, .data = (void *)lengths};
    inputs[1].dims[0] = rows->dims[0];
    return 2;
}

static bool auspex_prepare(struct peer *peer)
{
    struct auspex *const state = peer->state;
    struct apx_tensor inputs[MAX_INPUTS];
    const size_t count = inputs_of(peer, 0, inputs);
    struct apx_error error;
    memset(state->output, 0, sizeof state->output);
    if (apx_session_shape(state->session, inputs, count, state->output, state->outputs, &error) !=
        APX_OK)
        return peer_fail(peer, "auspex", error.message);
    struct apx_tensor *const wanted = &state->output[state->wanted];
    free(state->buffer);
    wanted->data = state->buffer = malloc(wanted->bytes);
    if (state->buffer == NULL)
        return peer_fail(peer, "auspex", "out of memory");
    peer->result = state->buffer;
    peer->result_is_double = wanted->dtype == APX_F64;
    peer->columns = wanted->rank > 1 ? (size_t)wanted->dims[1] : 1;
    return wanted->dtype == APX_F32 || wanted->dtype == APX_F64 ||
           peer_fail(peer, "auspex", "the output is not of floats");
}

static bool auspex_call(struct peer *peer, size_t index)
{
    struct auspex *const state = peer->state;
    struct apx_tensor inputs[MAX_INPUTS];
    const size_t count = inputs_of(peer, index, inputs);
    struct apx_error error;
    if (apx_session_run(state->session, inputs, count, state->output, state->outputs, &error) !=
        APX_OK)
        return peer_fail(peer, "auspex", error.message);
    return true;
}

static void auspex_close(struct peer *peer)
{
    struct auspex *const state = peer->state;
    if (state == NULL)
        return;
    apx_session_destroy(state->session);
    apx_model_destroy(state->model);
    free(state->buffer);
    free(state);
}

const struct peer_engine peer_auspex = {"auspex", auspex_open, auspex_prepare, auspex_call,
                                        auspex_close};
