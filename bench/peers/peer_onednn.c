/* SPDX-License-Identifier: Apache-2.0 */
/* peer_onednn - oneDNN 3 through its C API: a primitive for each layer, made for one batch size.
 *
 * Weights are of format "any" and reordered beforehand to what the primitive asks for. Rows are
 * kept with the steps outermost, as oneDNN wants them, beforehand too. In 8 bits a call begins with
 * the rows' quantisation; hidden states stay in 8 bits up to the last recurrent layer's output.
 *
 * Functions are found by name and the few constants are written here, so that no header of one
 * version is needed for the library of another: they have been the same since 3.0. */
#include "bench/peers/peers.h"

#include <stdlib.h>
#include <string.h>

#include "bench/peers/rnn_net.h"

enum { DNN_F32 = 3, DNN_S8 = 5, DNN_U8 = 6 };
enum { DNN_CPU = 1, DNN_IN_ORDER = 1, DNN_INFERENCE = 96, DNN_LEFT_TO_RIGHT = 1 };
enum { DNN_ANY = 1, DNN_RELU = 0x20, DNN_QUERY_ARGUMENT = 255, DNN_MAJOR = 3 };
enum { DNN_GATE_AND_UNIT = 0x18 }; /* the dimensions of [1, 1, inputs, gates, units] with a scale */
enum {
    DNN_SOURCE = 1,
    DNN_TARGET = 17,
    DNN_WEIGHTS = 33,
    DNN_RECURRENT_WEIGHTS = 34,
    DNN_BIAS = 41
};
/* A memory's handle that has the library allocate it. */
#define DNN_ALLOCATE ((void *)(intptr_t)-1)
/* h and x in [-1, 1] become integers around 128, as oneDNN's documents advise. */
#define DATA_SCALE 127.0f
#define DATA_SHIFT 128.0f

#define MAX_DIMENSIONS 12
#define MAX_LAYERS     8
#define MAX_STEPS      (MAX_LAYERS + 1)
#define MAX_ARGUMENTS  5
#define MAX_MEMORIES   64

struct argument {
    int name;
    void *memory;
};

struct dnn_version {
    int major, minor, patch;
};

struct api {
    const struct dnn_version *(*version)(void);
    int (*engine_create)(void **engine, int kind, size_t index);
    int (*engine_destroy)(void *engine);
    int (*stream_create)(void **stream, void *engine, unsigned flags);
    int (*stream_wait)(void *stream);
    int (*stream_destroy)(void *stream);
    int (*shape_strided)(void **shape, int rank, const int64_t *dims, int type,
                         const int64_t *strides);
    int (*shape_tagged)(void **shape, int rank, const int64_t *dims, int type, int tag);
    int (*shape_destroy)(void *shape);
    int (*memory_create)(void **memory, const void *shape, void *engine, void *handle);
    int (*memory_get)(const void *memory, void **handle);
    int (*memory_set)(void *memory, void *handle);
    int (*memory_destroy)(void *memory);
    int (*attributes_create)(void **attributes);
    int (*attributes_data)(void *attributes, float scale, float shift);
    int (*attributes_weights)(void *attributes, int64_t count, int mask, const float *scales);
    int (*attributes_after)(void *attributes, const void *after);
    int (*attributes_destroy)(void *attributes);
    int (*after_create)(void **after);
    int (*after_eltwise)(void *after, int algorithm, float alpha, float beta);
    int (*after_destroy)(void *after);
    int (*lstm)(void **plan, void *engine, int propagation, int direction, const void *source,
                const void *h, const void *c, const void *w, const void *r, const void *peepholes,
                const void *projection, const void *bias, const void *target, const void *last_h,
                const void *last_c, unsigned flags, const void *attributes);
    int (*gru)(void **plan, void *engine, int propagation, int direction, const void *source,
               const void *h, const void *w, const void *r, const void *bias, const void *target,
               const void *last_h, unsigned flags, const void *attributes);
    int (*dense)(void **plan, void *engine, int propagation, const void *source, const void *w,
                 const void *bias, const void *target, const void *attributes);
    int (*reorder)(void **plan, const void *source, void *source_engine, const void *target,
                   void *target_engine, const void *attributes);
    const void *(*plan_shape)(const void *plan, int what, int argument);
    int (*plan_destroy)(void *plan);
    int (*primitive_create)(void **primitive, const void *plan);
    int (*primitive_destroy)(void *primitive);
    int (*execute)(const void *primitive, void *stream, int count,
                   const struct argument *arguments);
};

struct step {
    void *primitive;
    struct argument arguments[MAX_ARGUMENTS];
    int count;
};

struct onednn {
    struct api api;
    const struct net *net;
    void *engine, *stream;
    /* Of the newest prepare. */
    struct step steps[MAX_STEPS];
    size_t step_count;
    void *memories[MAX_MEMORIES];
    size_t memory_count;
    void *source; /* the memory that takes the rows; one of memories */
    float *x;     /* [calls, steps, rows, features] */
};

static bool check(struct peer *peer, int status)
{
    static const char *const names[] = {"", "out of memory", "invalid arguments", "unimplemented"};
    const size_t known = sizeof names / sizeof *names;
    if (status == 0)
        return true;
    return peer_fail(peer, "oneDNN",
                     (size_t)status < known ? names[status] : "the primitive failed");
}

static bool find_functions(struct peer *peer, struct api *api)
{
    return peer_find(peer, "dnnl_version", &api->version) &&
           peer_find(peer, "dnnl_engine_create", &api->engine_create) &&
           peer_find(peer, "dnnl_engine_destroy", &api->engine_destroy) &&
           peer_find(peer, "dnnl_stream_create", &api->stream_create) &&
           peer_find(peer, "dnnl_stream_wait", &api->stream_wait) &&
           peer_find(peer, "dnnl_stream_destroy", &api->stream_destroy) &&
           peer_find(peer, "dnnl_memory_desc_create_with_strides", &api->shape_strided) &&
           peer_find(peer, "dnnl_memory_desc_create_with_tag", &api->shape_tagged) &&
           peer_find(peer, "dnnl_memory_desc_destroy", &api->shape_destroy) &&
           peer_find(peer, "dnnl_memory_create", &api->memory_create) &&
           peer_find(peer, "dnnl_memory_get_data_handle", &api->memory_get) &&
           peer_find(peer, "dnnl_memory_set_data_handle", &api->memory_set) &&
           peer_find(peer, "dnnl_memory_destroy", &api->memory_destroy) &&
           peer_find(peer, "dnnl_primitive_attr_create", &api->attributes_create) &&
           peer_find(peer, "dnnl_primitive_attr_set_rnn_data_qparams", &api->attributes_data) &&
           peer_find(peer, "dnnl_primitive_attr_set_rnn_weights_qparams",
                     &api->attributes_weights) &&
           peer_find(peer, "dnnl_primitive_attr_set_post_ops", &api->attributes_after) &&
           peer_find(peer, "dnnl_primitive_attr_destroy", &api->attributes_destroy) &&
           peer_find(peer, "dnnl_post_ops_create", &api->after_create) &&
           peer_find(peer, "dnnl_post_ops_append_eltwise", &api->after_eltwise) &&
           peer_find(peer, "dnnl_post_ops_destroy", &api->after_destroy) &&
           peer_find(peer, "dnnl_lstm_forward_primitive_desc_create", &api->lstm) &&
           peer_find(peer, "dnnl_lbr_gru_forward_primitive_desc_create", &api->gru) &&
           peer_find(peer, "dnnl_inner_product_forward_primitive_desc_create", &api->dense) &&
           peer_find(peer, "dnnl_reorder_primitive_desc_create", &api->reorder) &&
           peer_find(peer, "dnnl_primitive_desc_query_md", &api->plan_shape) &&
           peer_find(peer, "dnnl_primitive_desc_destroy", &api->plan_destroy) &&
           peer_find(peer, "dnnl_primitive_create", &api->primitive_create) &&
           peer_find(peer, "dnnl_primitive_destroy", &api->primitive_destroy) &&
           peer_find(peer, "dnnl_primitive_execute", &api->execute);
}

/* ---- shapes and memories -------------------------------------------------------------------- */

/* Row-major, or of format "any". NULL on failure. */
static void *shape_of(const struct onednn *dnn, int type, bool any, int rank, const size_t *sizes)
{
    int64_t dims[MAX_DIMENSIONS], strides[MAX_DIMENSIONS], stride = 1;
    void *shape = NULL;
    for (int i = rank - 1; i >= 0; i--) {
        dims[i] = (int64_t)sizes[i];
        strides[i] = stride;
        stride *= dims[i];
    }
    const int status = any ? dnn->api.shape_tagged(&shape, rank, dims, type, DNN_ANY)
                           : dnn->api.shape_strided(&shape, rank, dims, type, strides);
    return status == 0 ? shape : NULL;
}

/* A memory of this shape; data: what it is around, or NULL for memory of its own. */
static void *memory_of(struct peer *peer, const void *shape, void *data)
{
    struct onednn *const dnn = peer->state;
    void *memory = NULL;
    if (dnn->memory_count == MAX_MEMORIES) {
        peer_fail(peer, "oneDNN", "too many memories");
        return NULL;
    }
    if (!check(peer, dnn->api.memory_create(&memory, shape, dnn->engine,
                                            data != NULL ? data : DNN_ALLOCATE)))
        return NULL;
    dnn->memories[dnn->memory_count++] = memory;
    return memory;
}

static void release_prepared(struct onednn *dnn)
{
    for (size_t i = 0; i < dnn->step_count; i++)
        dnn->api.primitive_destroy(dnn->steps[i].primitive);
    for (size_t i = 0; i < dnn->memory_count; i++)
        dnn->api.memory_destroy(dnn->memories[i]);
    dnn->step_count = dnn->memory_count = 0;
    free(dnn->x);
    dnn->x = NULL;
}

/* The primitive of `plan` as the next step, without arguments yet. NULL on failure. */
static struct step *add_step(struct peer *peer, const void *plan)
{
    struct onednn *const dnn = peer->state;
    struct step *const step = &dnn->steps[dnn->step_count];
    memset(step, 0, sizeof *step);
    if (!check(peer, dnn->api.primitive_create(&step->primitive, plan)))
        return NULL;
    dnn->step_count++;
    return step;
}

static bool add_argument(struct step *step, int name, void *memory)
{
    step->arguments[step->count++] = (struct argument){name, memory};
    return memory != NULL;
}

/* `values`, row-major, in the layout that `plan` wants for this argument of `step`. */
static bool add_weights(struct peer *peer, const void *plan, struct step *step, int name, int rank,
                        const size_t *sizes, const float *values, const void *attributes)
{
    struct onednn *const dnn = peer->state;
    const void *const wanted = dnn->api.plan_shape(plan, DNN_QUERY_ARGUMENT, name);
    void *const given = shape_of(dnn, DNN_F32, false, rank, sizes);
    const uintptr_t data = (uintptr_t)values; /* a memory's data is not const; it is only read */
    void *const source = given != NULL ? memory_of(peer, given, (void *)data) : NULL;
    void *const target = memory_of(peer, wanted, NULL);
    void *change = NULL, *primitive = NULL;
    bool good = source != NULL && target != NULL &&
                check(peer, dnn->api.reorder(&change, given, dnn->engine, wanted, dnn->engine,
                                             attributes)) &&
                check(peer, dnn->api.primitive_create(&primitive, change));
    if (good) {
        const struct argument arguments[] = {{DNN_SOURCE, source}, {DNN_TARGET, target}};
        good = check(peer, dnn->api.execute(primitive, dnn->stream, 2, arguments)) &&
               check(peer, dnn->api.stream_wait(dnn->stream));
        dnn->api.primitive_destroy(primitive);
    }
    if (change != NULL)
        dnn->api.plan_destroy(change);
    if (given != NULL)
        dnn->api.shape_destroy(given);
    return add_argument(step, name, target) && good;
}

/* ---- layers --------------------------------------------------------------------------------- */

/* *flow: what comes in, [steps, rows, features]; then the same in 8 bits. */
static bool add_quantisation(struct peer *peer, void **flow)
{
    struct onednn *const dnn = peer->state;
    const size_t sizes[] = {peer->steps, peer->rows, peer->features};
    void *const from = shape_of(dnn, DNN_F32, false, 3, sizes);
    void *const to = shape_of(dnn, DNN_U8, false, 3, sizes);
    void *attributes = NULL, *plan = NULL, *target = NULL;
    struct step *step;
    bool good =
        from != NULL && to != NULL && check(peer, dnn->api.attributes_create(&attributes)) &&
        check(peer, dnn->api.attributes_data(attributes, DATA_SCALE, DATA_SHIFT)) &&
        check(peer, dnn->api.reorder(&plan, from, dnn->engine, to, dnn->engine, attributes)) &&
        (target = memory_of(peer, to, NULL)) != NULL && (step = add_step(peer, plan)) != NULL &&
        add_argument(step, DNN_SOURCE, *flow) && add_argument(step, DNN_TARGET, target);
    *flow = target;
    if (plan != NULL)
        dnn->api.plan_destroy(plan);
    if (attributes != NULL)
        dnn->api.attributes_destroy(attributes);
    if (to != NULL)
        dnn->api.shape_destroy(to);
    if (from != NULL)
        dnn->api.shape_destroy(from);
    return good;
}

/* 127 levels up to the largest weight of each gate and unit. */
static bool set_scales(struct peer *peer, const struct net_layer *layer, size_t gates,
                       void *attributes)
{
    struct onednn *const dnn = peer->state;
    const size_t count = gates * layer->units;
    float *const scales = malloc(count * sizeof *scales);
    if (scales == NULL)
        return peer_fail(peer, "oneDNN", "out of memory");
    for (size_t i = 0; i < count; i++)
        scales[i] = 127.0f / layer->largest[i];
    const bool good = check(peer, dnn->api.attributes_data(attributes, DATA_SCALE, DATA_SHIFT)) &&
                      check(peer, dnn->api.attributes_weights(attributes, (int64_t)count,
                                                              DNN_GATE_AND_UNIT, scales));
    free(scales);
    return good;
}

/* *flow: the layer's input, [steps, rows, inputs]; then its output, [steps, rows, units]. */
static bool add_recurrent(struct peer *peer, const struct net_layer *layer, bool last, void **flow)
{
    struct onednn *const dnn = peer->state;
    const struct api *const api = &dnn->api;
    const bool int8 = dnn->net->int8 != 0, lstm = layer->kind == NET_LSTM;
    const size_t gates = lstm ? 4 : 3;
    const size_t x_sizes[] = {peer->steps, peer->rows, layer->inputs};
    const size_t y_sizes[] = {peer->steps, peer->rows, layer->units};
    const size_t w_sizes[] = {1, 1, layer->inputs, gates, layer->units};
    const size_t r_sizes[] = {1, 1, layer->units, gates, layer->units};
    const size_t bias_sizes[] = {1, 1, 4, layer->units};
    const int flow_type = int8 ? DNN_U8 : DNN_F32, weight_type = int8 ? DNN_S8 : DNN_F32;
    void *const x = shape_of(dnn, flow_type, false, 3, x_sizes);
    void *const y = shape_of(dnn, last ? DNN_F32 : flow_type, false, 3, y_sizes);
    void *const w = shape_of(dnn, weight_type, true, 5, w_sizes);
    void *const r = shape_of(dnn, weight_type, true, 5, r_sizes);
    void *const bias = shape_of(dnn, DNN_F32, false, 4, bias_sizes);
    void *const shapes[] = {x, y, w, r, bias};
    void *attributes = NULL, *plan = NULL, *target = NULL;
    struct step *step;
    bool good = check(peer, api->attributes_create(&attributes)) &&
                (!int8 || set_scales(peer, layer, gates, attributes));
    if (good && lstm)
        good = check(peer, api->lstm(&plan, dnn->engine, DNN_INFERENCE, DNN_LEFT_TO_RIGHT, x, NULL,
                                     NULL, w, r, NULL, NULL, bias, y, NULL, NULL, 0, attributes));
    else if (good)
        good = check(peer, api->gru(&plan, dnn->engine, DNN_INFERENCE, DNN_LEFT_TO_RIGHT, x, NULL,
                                    w, r, bias, y, NULL, 0, attributes));
    good = good && (target = memory_of(peer, y, NULL)) != NULL &&
           (step = add_step(peer, plan)) != NULL && add_argument(step, DNN_SOURCE, *flow) &&
           add_argument(step, DNN_TARGET, target) &&
           add_weights(peer, plan, step, DNN_WEIGHTS, 5, w_sizes, layer->w, attributes) &&
           add_weights(peer, plan, step, DNN_RECURRENT_WEIGHTS, 5, r_sizes, layer->r, attributes) &&
           add_weights(peer, plan, step, DNN_BIAS, 4, bias_sizes, layer->bias, NULL);
    *flow = target;
    if (plan != NULL)
        api->plan_destroy(plan);
    if (attributes != NULL)
        api->attributes_destroy(attributes);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i] != NULL)
            api->shape_destroy(shapes[i]);
    return good;
}

/* A following ReLU, as the attributes of a primitive. */
static bool set_relu(struct peer *peer, void *attributes)
{
    struct onednn *const dnn = peer->state;
    void *after = NULL;
    const bool good = check(peer, dnn->api.after_create(&after)) &&
                      check(peer, dnn->api.after_eltwise(after, DNN_RELU, 0, 0)) &&
                      check(peer, dnn->api.attributes_after(attributes, after));
    if (after != NULL)
        dnn->api.after_destroy(after);
    return good;
}

/* data: the layer's input, [rows, inputs]; *flow: then its output, [rows, units]. */
static bool add_dense(struct peer *peer, const struct net_layer *layer, void *data, void **flow)
{
    struct onednn *const dnn = peer->state;
    const struct api *const api = &dnn->api;
    const size_t x_sizes[] = {peer->rows, layer->inputs}, y_sizes[] = {peer->rows, layer->units};
    const size_t w_sizes[] = {layer->units, layer->inputs}, bias_sizes[] = {layer->units};
    void *const x = shape_of(dnn, DNN_F32, false, 2, x_sizes);
    void *const y = shape_of(dnn, DNN_F32, false, 2, y_sizes);
    void *const w = shape_of(dnn, DNN_F32, true, 2, w_sizes);
    void *const bias = shape_of(dnn, DNN_F32, false, 1, bias_sizes);
    void *const shapes[] = {x, y, w, bias};
    void *attributes = NULL, *plan = NULL, *source = NULL, *target = NULL;
    struct step *step;
    const bool good =
        check(peer, api->attributes_create(&attributes)) &&
        (!layer->relu || set_relu(peer, attributes)) &&
        check(peer, api->dense(&plan, dnn->engine, DNN_INFERENCE, x, w, bias, y, attributes)) &&
        (source = memory_of(peer, x, data)) != NULL &&
        (target = memory_of(peer, y, NULL)) != NULL && (step = add_step(peer, plan)) != NULL &&
        add_argument(step, DNN_SOURCE, source) && add_argument(step, DNN_TARGET, target) &&
        add_weights(peer, plan, step, DNN_WEIGHTS, 2, w_sizes, layer->w, NULL) &&
        add_weights(peer, plan, step, DNN_BIAS, 1, bias_sizes, layer->bias, NULL);
    *flow = target;
    if (plan != NULL)
        api->plan_destroy(plan);
    if (attributes != NULL)
        api->attributes_destroy(attributes);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i] != NULL)
            api->shape_destroy(shapes[i]);
    return good;
}

/* ---- the engine ----------------------------------------------------------------------------- */

static bool onednn_open(struct peer *peer, const struct peer_request *request)
{
    struct onednn *const dnn = peer->state = calloc(1, sizeof *dnn);
    if (dnn == NULL)
        return peer_fail(peer, "oneDNN", "out of memory");
    if (!find_functions(peer, &dnn->api))
        return false;
    if (dnn->api.version()->major != DNN_MAJOR)
        return peer_fail(peer, "oneDNN", "another version of its C API");
    dnn->net = request->net;
    if (dnn->net->count > MAX_LAYERS || peer->steps == 0)
        return peer_fail(peer, "oneDNN", "no such network here");
    return check(peer, dnn->api.engine_create(&dnn->engine, DNN_CPU, 0)) &&
           check(peer, dnn->api.stream_create(&dnn->stream, dnn->engine, DNN_IN_ORDER));
}

/* The rows of every call with the steps outermost. */
static bool turn_rows(struct peer *peer)
{
    struct onednn *const dnn = peer->state;
    const size_t steps = peer->steps, rows = peer->rows, features = peer->features;
    const float *from = peer->x;
    float *to = dnn->x = malloc(peer->calls * rows * peer_row_size(peer) * sizeof *to);
    if (to == NULL)
        return peer_fail(peer, "oneDNN", "out of memory");
    for (size_t call = 0; call < peer->calls; call++) {
        for (size_t row = 0; row < rows; row++)
            for (size_t step = 0; step < steps; step++)
                memcpy(to + (step * rows + row) * features, from + (row * steps + step) * features,
                       features * sizeof *to);
        from += rows * steps * features;
        to += rows * steps * features;
    }
    return true;
}

static bool add_layers(struct peer *peer)
{
    struct onednn *const dnn = peer->state;
    void *flow = dnn->source, *data = NULL;
    if (dnn->net->int8 && !add_quantisation(peer, &flow))
        return false;
    for (size_t i = 0; i < dnn->net->count; i++) {
        const struct net_layer *const layer = &dnn->net->layers[i];
        const bool recurrent = layer->kind != NET_DENSE;
        const bool last = i + 1 == dnn->net->count || layer[1].kind == NET_DENSE;
        if (recurrent ? !add_recurrent(peer, layer, last, &flow)
                      : !add_dense(peer, layer, data, &flow))
            return false;
        if (!check(peer, dnn->api.memory_get(flow, &data)))
            return false;
        peer->columns = layer->units;
        if (recurrent)
            data = (float *)data + (peer->steps - 1) * peer->rows * layer->units;
    }
    peer->result = data;
    peer->result_is_double = false;
    return true;
}

static bool onednn_prepare(struct peer *peer)
{
    struct onednn *const dnn = peer->state;
    const size_t sizes[] = {peer->steps, peer->rows, peer->features};
    release_prepared(dnn);
    if (!turn_rows(peer))
        return false;
    void *const shape = shape_of(dnn, DNN_F32, false, 3, sizes);
    if (shape == NULL)
        return peer_fail(peer, "oneDNN", "no description of the input");
    dnn->source = memory_of(peer, shape, dnn->x);
    dnn->api.shape_destroy(shape);
    return dnn->source != NULL && add_layers(peer);
}

static bool onednn_call(struct peer *peer, size_t index)
{
    struct onednn *const dnn = peer->state;
    float *const x = dnn->x + index * peer->rows * peer_row_size(peer);
    if (!check(peer, dnn->api.memory_set(dnn->source, x)))
        return false;
    for (size_t i = 0; i < dnn->step_count; i++)
        if (!check(peer, dnn->api.execute(dnn->steps[i].primitive, dnn->stream, dnn->steps[i].count,
                                          dnn->steps[i].arguments)))
            return false;
    return check(peer, dnn->api.stream_wait(dnn->stream));
}

static void onednn_close(struct peer *peer)
{
    struct onednn *const dnn = peer->state;
    if (dnn == NULL)
        return;
    if (dnn->stream != NULL) {
        release_prepared(dnn);
        dnn->api.stream_destroy(dnn->stream);
    }
    if (dnn->engine != NULL)
        dnn->api.engine_destroy(dnn->engine);
    free(dnn);
}

const struct peer_engine peer_onednn = {"onednn", onednn_open, onednn_prepare, onednn_call,
                                        onednn_close};
