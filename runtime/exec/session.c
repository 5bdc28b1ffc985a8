/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - a batch from the caller's tensors to slices on lanes.
 *
 * Everything that depends on extents (cost of a row, size of slices, room in the lanes) is kept
 * from call to call, and done again only when the extents change. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/exec/model_impl.h"
#include "runtime/exec/worker_pool.h"

#define APX_LIMIT_THREADS 1024

/* What one worker keeps. */
struct worker_state {
    struct apx_lane *lane;
    enum apx_status status; /* of this call */
    struct apx_error error;
    int64_t symbols[APX_MAX_SYMBOLS]; /* last reserved for these, the row symbol's aside, */
    int64_t rows;                     /* and slices of so many rows; 0: not yet */
};

struct apx_session {
    const struct apx_model *model;
    int threads;
    int64_t slice_rows; /* as asked for; 0: by cost */
    struct apx_pool *pool;
    struct worker_state *workers; /* [threads] */
    struct apx_tensor *outputs;   /* [output_count] of the call; shapes are worked out here */
    struct apx_row_cost cost;
    int64_t cost_symbols[APX_MAX_SYMBOLS];
    bool has_cost;
    /* All lanes have room for calls up to this. */
    int64_t known_symbols[APX_MAX_SYMBOLS];
    int64_t known_room;
    int known_workers;
    /* The call that is running. */
    struct apx_slice batch;
    int64_t symbols[APX_MAX_SYMBOLS];
    int64_t slice;               /* rows of a slice */
    int64_t room;                /* rows of the largest slice that a smaller call may ask for */
    _Atomic uint32_t has_failed; /* a slice failed: the others are not begun */
};

/* ---- create ---------------------------------------------------------------------------------- */

static enum apx_status start_pool(struct apx_session *session, struct apx_error *error)
{
    const struct apx_topo *topo = session->model->topo;
    const struct apx_allocator *allocator = session->model->allocator;
    int *cpus = NULL;
    /* Threads that take all of the machine keep to a core each; fewer are the scheduler's. */
    if (session->threads > 1 && session->threads == topo->threads &&
        session->threads <= topo->pus) {
        cpus = apx_alloc(allocator, (size_t)session->threads, sizeof *cpus);
        if (cpus == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        for (int i = 0; i < session->threads; i++)
            cpus[i] = topo->pu[i].os_index;
    }
    enum apx_status status =
        apx_pool_create(allocator, session->threads, cpus, &session->pool, error);
    apx_release(allocator, cpus);
    return status;
}

enum apx_status apx_session_create(const struct apx_model *model,
                                   const struct apx_session_options *given,
                                   struct apx_session **out, struct apx_error *error)
{
    struct apx_session_options options = {0};
    *out = NULL;
    if (given != NULL) {
        if (given->size > sizeof options)
            return apx_fail(error, APX_EINVAL, "size",
                            "the options are of a newer version of this library");
        memcpy(&options, given, given->size > 0 ? given->size : sizeof options);
    }
    if (options.threads < 0 || options.threads > APX_LIMIT_THREADS)
        return apx_fail(error, APX_EINVAL, "threads", "threads is %d; it may be 0 (all) to %d",
                        options.threads, APX_LIMIT_THREADS);
    if (options.slice_rows > INT32_MAX)
        return apx_fail(error, APX_EINVAL, "slice_rows", "slice_rows is %zu; at most %d",
                        options.slice_rows, INT32_MAX);
    struct apx_session *session = apx_alloc(model->allocator, 1, sizeof *session);
    if (session == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    session->model = model;
    session->slice_rows = (int64_t)options.slice_rows;
    session->threads = options.threads > 0 ? options.threads : model->topo->threads;
    if (model->row_symbol < 0)
        session->threads = 1; /* one slice */
    session->workers =
        apx_alloc(model->allocator, (size_t)session->threads, sizeof *session->workers);
    session->outputs =
        apx_alloc(model->allocator, apx_model_output_count(model), sizeof *session->outputs);
    enum apx_status status = APX_OK;
    if (session->workers == NULL || session->outputs == NULL)
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int i = 0; i < session->threads && status == APX_OK; i++)
        status = model->backend->lane_create(model->program, &session->workers[i].lane, error);
    if (status == APX_OK)
        status = start_pool(session, error);
    if (status != APX_OK) {
        apx_session_destroy(session);
        return status;
    }
    *out = session;
    return APX_OK;
}

void apx_session_destroy(struct apx_session *session)
{
    if (session == NULL)
        return;
    const struct apx_model *model = session->model;
    apx_pool_destroy(session->pool);
    for (int i = 0; i < session->threads && session->workers != NULL; i++)
        model->backend->lane_destroy(session->workers[i].lane);
    apx_release(model->allocator, session->workers);
    apx_release(model->allocator, session->outputs);
    apx_release(model->allocator, session);
}

int apx_session_threads(const struct apx_session *session)
{
    return session->threads;
}

/* ---- the caller's tensors -------------------------------------------------------------------- */

/* Bytes of a tensor; false if they overflow. */
static bool tensor_bytes(const struct apx_tensor *tensor, size_t *bytes)
{
    *bytes = apx_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)tensor->dims[i], bytes))
            return false;
    return *bytes <= PTRDIFF_MAX;
}

/* The input that first gave a symbol its value, for messages. */
static const char *first_owner(const struct apx_graph *graph, int symbol)
{
    for (int i = 0; i < graph->input_count; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        for (int axis = 0; axis < value->rank; axis++)
            if (apx_dim_depends_on(&value->dims[axis], symbol))
                return value->name;
    }
    return "";
}

static bool may_widen(const struct apx_model *model, int index, enum apx_dtype given)
{
    return given == APX_F32 && model->backend->widens != NULL &&
           model->backend->widens(model->program, index);
}

static enum apx_status check_input(const struct apx_model *model, int index,
                                   const struct apx_tensor *input, int64_t *symbols,
                                   struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    const struct apx_value *value = &graph->values[graph->inputs[index]];
    if (input->dtype != value->dtype && !may_widen(model, index, input->dtype))
        return apx_fail(error, APX_EINVAL, value->name, "input \"%s\" is %s; the model takes %s",
                        value->name, apx_dtype_name(input->dtype), apx_dtype_name(value->dtype));
    if (input->rank != value->rank)
        return apx_fail(error, APX_EINVAL, value->name,
                        "input \"%s\" has %d dimensions; the model takes %d", value->name,
                        input->rank, value->rank);
    for (int axis = 0; axis < value->rank; axis++) {
        int64_t fixed, given = input->dims[axis];
        int symbol;
        if (given < 0)
            return apx_fail(error, APX_EINVAL, value->name,
                            "input \"%s\": dimension %d is negative", value->name, axis);
        if (apx_dim_is_constant(&value->dims[axis], &fixed)) {
            if (given != fixed)
                return apx_fail(error, APX_EINVAL, value->name,
                                "input \"%s\": dimension %d is %" PRId64
                                "; the model takes %" PRId64,
                                value->name, axis, given, fixed);
        } else if (apx_dim_is_symbol(&value->dims[axis], &symbol)) {
            if (symbols[symbol] >= 0 && symbols[symbol] != given)
                return apx_fail(error, APX_EINVAL, value->name,
                                "input \"%s\": dimension %d (%s) is %" PRId64 ", but %" PRId64
                                " in input \"%s\"",
                                value->name, axis, graph->symbols[symbol], given, symbols[symbol],
                                first_owner(graph, symbol));
            symbols[symbol] = given;
        }
    }
    return APX_OK;
}

/* Fills session->symbols and session->outputs (dtype, rank, dims, bytes). */
static enum apx_status resolve(struct apx_session *session, const struct apx_tensor *inputs,
                               size_t input_count, size_t output_count, struct apx_error *error)
{
    const struct apx_graph *graph = session->model->graph;
    if (input_count != (size_t)graph->input_count || output_count != (size_t)graph->output_count)
        return apx_fail(error, APX_EINVAL,
                        input_count != (size_t)graph->input_count ? "inputs" : "outputs",
                        "%zu inputs and %zu outputs given; the model has %d and %d", input_count,
                        output_count, graph->input_count, graph->output_count);
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        session->symbols[i] = -1;
    for (int i = 0; i < graph->input_count; i++) {
        enum apx_status status =
            check_input(session->model, i, &inputs[i], session->symbols, error);
        if (status != APX_OK)
            return status;
    }
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        if (session->symbols[i] < 0)
            session->symbols[i] = 0; /* no such symbol */
    for (int i = 0; i < graph->output_count; i++) {
        const struct apx_value *value = &graph->values[graph->outputs[i]];
        struct apx_tensor *output = &session->outputs[i];
        output->dtype = value->dtype;
        output->rank = value->rank;
        bool ok = true;
        for (int axis = 0; axis < value->rank && ok; axis++)
            ok = apx_dim_evaluate(&value->dims[axis], session->symbols, &output->dims[axis]);
        if (!ok || !tensor_bytes(output, &output->bytes))
            return apx_fail(error, APX_EINVAL, value->name,
                            "output \"%s\" cannot have the size that these inputs give it",
                            value->name);
    }
    return APX_OK;
}

enum apx_status apx_session_shape(struct apx_session *session, const struct apx_tensor *inputs,
                                  size_t input_count, struct apx_tensor *outputs,
                                  size_t output_count, struct apx_error *error)
{
    enum apx_status status = resolve(session, inputs, input_count, output_count, error);
    for (size_t i = 0; i < output_count && status == APX_OK; i++) {
        void *data = outputs[i].data;
        outputs[i] = session->outputs[i];
        outputs[i].data = data;
    }
    return status;
}

/* There is data where there must be, and room where there should be. */
static enum apx_status check_buffers(struct apx_session *session, const struct apx_tensor *inputs,
                                     const struct apx_tensor *outputs, struct apx_error *error)
{
    const struct apx_graph *graph = session->model->graph;
    for (int i = 0; i < graph->input_count; i++) {
        const char *name = graph->values[graph->inputs[i]].name;
        size_t bytes;
        if (!tensor_bytes(&inputs[i], &bytes))
            return apx_fail(error, APX_EINVAL, name, "input \"%s\" is too large", name);
        if (bytes > 0 && inputs[i].data == NULL)
            return apx_fail(error, APX_EINVAL, name, "input \"%s\" has no data", name);
        if (inputs[i].bytes != 0 && inputs[i].bytes < bytes)
            return apx_fail(error, APX_EINVAL, name,
                            "input \"%s\" holds %zu bytes; its dimensions need %zu", name,
                            inputs[i].bytes, bytes);
    }
    for (int i = 0; i < graph->output_count; i++) {
        const char *name = graph->values[graph->outputs[i]].name;
        if (outputs[i].data != NULL && outputs[i].bytes < session->outputs[i].bytes)
            return apx_fail(error, APX_EINVAL, name,
                            "output \"%s\" needs %zu bytes; its buffer has %zu", name,
                            session->outputs[i].bytes, outputs[i].bytes);
    }
    return APX_OK;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* The extents but for the rows are those of `known`. */
static bool are_same_extents(const struct apx_session *session, const int64_t *known)
{
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        if (i != session->model->row_symbol && session->symbols[i] != known[i])
            return false;
    return true;
}

/* Sets slice and room. Room is for the slices of one worker: with cheaper rows later, fewer workers
 * may take larger slices. */
static void choose_slice(struct apx_session *session, int64_t rows)
{
    const struct apx_model *model = session->model;
    session->slice = session->room = rows;
    if (model->row_symbol < 0)
        return;
    int64_t slice = session->slice_rows, room = slice;
    if (slice == 0) {
        if (!session->has_cost || !are_same_extents(session, session->cost_symbols)) {
            model->backend->row_cost(model->program, session->symbols, &session->cost);
            memcpy(session->cost_symbols, session->symbols, sizeof session->cost_symbols);
            session->has_cost = true;
        }
        slice = model->backend->slice_rows(model->program, &session->cost, rows, session->threads);
        room = session->threads > 1
                   ? model->backend->slice_rows(model->program, &session->cost, rows, 1)
                   : slice;
    }
    /* Items of a job are counted in 32 bits. */
    int64_t least = rows / INT32_MAX + 1;
    slice = slice < least ? least : slice;
    room = room < slice ? slice : room;
    session->slice = slice < rows ? slice : rows;
    session->room = room < rows ? room : rows;
}

/* Room in the lanes of all workers that may take a slice, once for a call and all smaller ones. */
static enum apx_status reserve(struct apx_session *session, int workers, struct apx_error *error)
{
    const struct apx_model *model = session->model;
    bool is_known = workers <= session->known_workers && session->room <= session->known_room;
    for (int i = 0; i < APX_MAX_SYMBOLS && is_known; i++)
        is_known = session->symbols[i] <= session->known_symbols[i];
    if (is_known)
        return APX_OK;
    session->known_workers = 0;
    for (int i = 0; i < workers; i++) {
        enum apx_status status = model->backend->lane_reserve(
            session->workers[i].lane, session->symbols, session->room, error);
        if (status != APX_OK)
            return status;
    }
    memcpy(session->known_symbols, session->symbols, sizeof session->known_symbols);
    session->known_room = session->room;
    session->known_workers = workers;
    return APX_OK;
}

/* The worker's own lane for exactly these slices: no memory is needed but for models in which a
 * smaller call has a larger tensor inside. */
static enum apx_status prepare(struct apx_session *session, struct worker_state *state,
                               int64_t rows)
{
    if (state->rows == rows && are_same_extents(session, state->symbols))
        return APX_OK;
    state->rows = 0;
    enum apx_status status =
        session->model->backend->lane_reserve(state->lane, session->symbols, rows, &state->error);
    memcpy(state->symbols, session->symbols, sizeof state->symbols);
    state->rows = status == APX_OK ? rows : 0;
    return status;
}

static void run_slice(void *context, int worker, uint32_t item)
{
    struct apx_session *session = context;
    struct worker_state *state = &session->workers[worker];
    if (atomic_load_explicit(&session->has_failed, memory_order_relaxed) != 0)
        return;
    struct apx_slice slice = session->batch;
    slice.row = (int64_t)item * session->slice;
    slice.rows = session->batch.rows - slice.row;
    slice.rows = slice.rows < session->slice ? slice.rows : session->slice;
    state->status = prepare(session, state, slice.rows);
    if (state->status == APX_OK)
        state->status = session->model->backend->run(state->lane, &slice, &state->error);
    if (state->status != APX_OK)
        atomic_store_explicit(&session->has_failed, 1, memory_order_relaxed);
}

enum apx_status apx_session_run(struct apx_session *session, const struct apx_tensor *inputs,
                                size_t input_count, struct apx_tensor *outputs, size_t output_count,
                                struct apx_error *error)
{
    const struct apx_model *model = session->model;
    enum apx_status status = resolve(session, inputs, input_count, output_count, error);
    if (status == APX_OK)
        status = check_buffers(session, inputs, outputs, error);
    if (status != APX_OK)
        return status;
    for (size_t i = 0; i < output_count; i++) {
        outputs[i].dtype = session->outputs[i].dtype;
        outputs[i].rank = session->outputs[i].rank;
        memcpy(outputs[i].dims, session->outputs[i].dims, sizeof outputs[i].dims);
    }
    int64_t rows = model->row_symbol >= 0 ? session->symbols[model->row_symbol] : 1;
    bool is_empty = true; /* tensors without elements may have 2^40 rows: walk none of them */
    for (size_t i = 0; i < output_count; i++)
        is_empty = is_empty && session->outputs[i].bytes == 0;
    if (rows == 0 || is_empty)
        return APX_OK;
    choose_slice(session, rows);
    int64_t count = (rows + session->slice - 1) / session->slice;
    int workers = count > 1 ? session->threads : 1;
    status = reserve(session, workers, error);
    if (status != APX_OK)
        return status;
    session->batch = (struct apx_slice){
        .inputs = inputs, .outputs = outputs, .rows = rows, .symbols = session->symbols};
    atomic_store_explicit(&session->has_failed, 0, memory_order_relaxed);
    for (int i = 0; i < workers; i++)
        session->workers[i].status = APX_OK;
    apx_pool_run(session->pool, run_slice, session, (uint32_t)count);
    for (int i = 0; i < workers; i++) {
        const struct worker_state *state = &session->workers[i];
        if (state->status == APX_OK)
            continue;
        if (error != NULL)
            *error = state->error;
        return state->status;
    }
    return APX_OK;
}
