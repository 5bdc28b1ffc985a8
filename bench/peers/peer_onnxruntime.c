/* SPDX-License-Identifier: Apache-2.0 */
/* peer_onnxruntime - ONNX Runtime through the C API of the library in its Python package.
 *
 * The package has no header. Its functions are members of one table, OrtApi, whose order is part of
 * its binary interface, so they are named by their place in it. Inputs are tensor objects around
 * the caller's rows, made beforehand; the output is the tensor the first call made, used again. */
#include "bench/peers/peers.h"

#include <stdlib.h>

typedef void *ort_status; /* NULL: success */

enum ort_slot {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_INTRA_OP_THREADS = 24,
    ORT_SET_INTER_OP_THREADS = 25,
    ORT_SESSION_INPUT_NAME = 36,
    ORT_CREATE_TENSOR_WITH_DATA = 49,
    ORT_TENSOR_DATA = 51,
    ORT_TENSOR_ELEMENTS = 64,
    ORT_TENSOR_TYPE_AND_SHAPE = 65,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_DEFAULT_ALLOCATOR = 78,
    ORT_RELEASE_SESSION = 95,
    ORT_RELEASE_VALUE = 96,
    ORT_RELEASE_TENSOR_INFO = 99,
    ORT_RELEASE_SESSION_OPTIONS = 100,
};
enum { ORT_API = 14, ORT_LOG_ERROR = 3, ORT_FLOAT = 1, ORT_INT32 = 6 };

#define MAX_INPUTS 2

typedef void (*ort_function)(void);
struct ort_base {
    const ort_function *(*api)(uint32_t version);
    const char *(*version)(void);
};

struct ort {
    const ort_function *api;
    ort_status (*run)(void *session, const void *options, const char *const *input_names,
                      const void *const *inputs, size_t input_count,
                      const char *const *output_names, size_t output_count, void **outputs);
    void *environment, *options, *session, *memory;
    char *input_names[MAX_INPUTS];
    const char *output_name;
    void **inputs;      /* [input_count], those of a call beside each other */
    size_t input_count; /* made so far */
    size_t a_call;      /* inputs of one: the rows, and their lengths if the model asks for them */
    void *output;
};

static bool check(struct peer *peer, ort_status status)
{
    const struct ort *const ort = peer->state;
    if (status == NULL)
        return true;
    const char *(*const text)(ort_status) =
        (const char *(*)(ort_status))ort->api[ORT_GET_ERROR_MESSAGE];
    return peer_fail(peer, "onnxruntime", text(status));
}

static bool name_inputs(struct peer *peer)
{
    struct ort *const ort = peer->state;
    ort_status (*const default_allocator)(void **) =
        (ort_status(*)(void **))ort->api[ORT_DEFAULT_ALLOCATOR];
    ort_status (*const input_name)(void *, size_t, void *, char **) =
        (ort_status(*)(void *, size_t, void *, char **))ort->api[ORT_SESSION_INPUT_NAME];
    void *allocator;
    bool good = check(peer, default_allocator(&allocator));
    for (size_t i = 0; good && i < ort->a_call; i++)
        good = check(peer, input_name(ort->session, i, allocator, &ort->input_names[i]));
    return good;
}

static bool make_session(struct peer *peer, const char *path)
{
    struct ort *const ort = peer->state;
    const ort_function *const api = ort->api;
    ort_status (*const create_environment)(int, const char *, void **) =
        (ort_status(*)(int, const char *, void **))api[ORT_CREATE_ENV];
    ort_status (*const create_options)(void **) =
        (ort_status(*)(void **))api[ORT_CREATE_SESSION_OPTIONS];
    ort_status (*const set_intra)(void *, int) =
        (ort_status(*)(void *, int))api[ORT_SET_INTRA_OP_THREADS];
    ort_status (*const set_inter)(void *, int) =
        (ort_status(*)(void *, int))api[ORT_SET_INTER_OP_THREADS];
    ort_status (*const create_session)(void *, const char *, void *, void **) =
        (ort_status(*)(void *, const char *, void *, void **))api[ORT_CREATE_SESSION];
    ort_status (*const create_memory)(int, int, void **) =
        (ort_status(*)(int, int, void **))api[ORT_CREATE_CPU_MEMORY_INFO];
    return check(peer, create_environment(ORT_LOG_ERROR, "peers", &ort->environment)) &&
           check(peer, create_options(&ort->options)) &&
           check(peer, set_intra(ort->options, peer->threads)) &&
           check(peer, set_inter(ort->options, 1)) &&
           check(peer, create_session(ort->environment, path, ort->options, &ort->session)) &&
           name_inputs(peer) && check(peer, create_memory(0, 0, &ort->memory));
}

static bool ort_open(struct peer *peer, const struct peer_request *request)
{
    const struct ort_base *(*base)(void);
    struct ort *const ort = peer->state = calloc(1, sizeof *ort);
    if (ort == NULL)
        return peer_fail(peer, "onnxruntime", "out of memory");
    if (!peer_find(peer, "OrtGetApiBase", &base))
        return false;
    ort->api = base()->api(ORT_API);
    if (ort->api == NULL)
        return peer_fail(peer, "onnxruntime", "another version of its C API");
    ort->run = (ort_status(*)(void *, const void *, const char *const *, const void *const *,
                              size_t, const char *const *, size_t, void **))ort->api[ORT_RUN];
    ort->output_name = request->output;
    ort->a_call = request->lengths != NULL ? 2 : 1;
    return make_session(peer, request->model);
}

static void release_tensors(struct ort *ort)
{
    void (*const release)(void *) = (void (*)(void *))ort->api[ORT_RELEASE_VALUE];
    for (size_t i = 0; i < ort->input_count; i++)
        release(ort->inputs[i]);
    release(ort->output);
    free(ort->inputs);
    ort->inputs = NULL;
    ort->input_count = 0;
    ort->output = NULL;
}

static bool ort_call(struct peer *peer, size_t index)
{
    struct ort *const ort = peer->state;
    return check(peer, ort->run(ort->session, NULL, (const char *const *)ort->input_names,
                                (const void *const *)&ort->inputs[index * ort->a_call], ort->a_call,
                                &ort->output_name, 1, &ort->output));
}

/* One tensor object more, around the caller's numbers. */
static bool add_input(struct peer *peer, const void *numbers, size_t bytes, const int64_t *shape,
                      size_t rank, int type)
{
    struct ort *const ort = peer->state;
    ort_status (*const create)(void *, void *, size_t, const int64_t *, size_t, int, void **) =
        (ort_status(*)(void *, void *, size_t, const int64_t *, size_t, int,
                       void **))ort->api[ORT_CREATE_TENSOR_WITH_DATA];
    const uintptr_t data = (uintptr_t)numbers; /* inputs are only read */
    if (!check(peer, create(ort->memory, (void *)data, bytes, shape, rank, type,
                            &ort->inputs[ort->input_count])))
        return false;
    ort->input_count++;
    return true;
}

static bool ort_prepare(struct peer *peer)
{
    struct ort *const ort = peer->state;
    ort_status (*const tensor_data)(void *, void **) =
        (ort_status(*)(void *, void **))ort->api[ORT_TENSOR_DATA];
    ort_status (*const tensor_info)(void *, void **) =
        (ort_status(*)(void *, void **))ort->api[ORT_TENSOR_TYPE_AND_SHAPE];
    ort_status (*const elements)(void *, size_t *) =
        (ort_status(*)(void *, size_t *))ort->api[ORT_TENSOR_ELEMENTS];
    void (*const release_info)(void *) = (void (*)(void *))ort->api[ORT_RELEASE_TENSOR_INFO];
    const int64_t table[] = {(int64_t)peer->rows, (int64_t)peer->features};
    const int64_t windows[] = {table[0], (int64_t)peer->steps, table[1]};
    const int64_t *const shape = peer->steps > 0 ? windows : table;
    const size_t size = peer->rows * peer_row_size(peer);
    void *info, *data;
    size_t count;

    release_tensors(ort);
    ort->inputs = calloc(peer->calls * ort->a_call, sizeof *ort->inputs);
    if (ort->inputs == NULL)
        return peer_fail(peer, "onnxruntime", "out of memory");
    for (size_t call = 0; call < peer->calls; call++) {
        const float *const x = (const float *)peer->x + call * size;
        if (!add_input(peer, x, size * sizeof *x, shape, peer->steps > 0 ? 3 : 2, ORT_FLOAT))
            return false;
        if (peer->lengths != NULL && !add_input(peer, peer->lengths + call * peer->rows,
                                                peer->rows * sizeof(int32_t), shape, 1, ORT_INT32))
            return false;
    }
    if (!ort_call(peer, 0) || !check(peer, tensor_data(ort->output, &data)) ||
        !check(peer, tensor_info(ort->output, &info)))
        return false;
    const bool counted = check(peer, elements(info, &count));
    release_info(info);
    peer->result = data;
    peer->result_is_double = false;
    peer->columns = counted ? count / peer->rows : 0;
    return counted;
}

/* The environment is one for the process; options and memory info are small. */
static void ort_close(struct peer *peer)
{
    struct ort *const ort = peer->state;
    if (ort == NULL)
        return;
    if (ort->api != NULL) {
        release_tensors(ort);
        ((void (*)(void *))ort->api[ORT_RELEASE_SESSION])(ort->session);
        ((void (*)(void *))ort->api[ORT_RELEASE_SESSION_OPTIONS])(ort->options);
    }
    free(ort);
}

const struct peer_engine peer_onnxruntime = {"onnxruntime", ort_open, ort_prepare, ort_call,
                                             ort_close};
