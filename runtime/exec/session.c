/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - a batch from the caller's tensors to slices on lanes.
 *
 * Everything that depends on extents (shapes, size of slices, room in the lanes) is kept from call
 * to call, and done again only when the extents change. A call that is one slice goes straight to
 * the lane: no worker hears of it. */
#include <stdatomic.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/base/option_struct.h"
#include "runtime/exec/call.h"
#include "runtime/exec/worker_pool.h"

#define APX_LIMIT_THREADS 1024

/* What one worker keeps. */
struct worker_state {
    struct apx_lane *lane;
    enum apx_status status; /* of this call */
    struct apx_error error;
};

struct apx_session {
    const struct apx_model *model;
    struct worker_state *workers; /* [threads] */
    struct apx_calls calls;
    int threads;
    int64_t slice_rows; /* as asked for; 0: by cost */
    struct apx_pool *pool;
    struct apx_row_cost cost;
    int64_t cost_symbols[APX_MAX_SYMBOLS];
    bool has_cost;
    /* All lanes have room for calls up to this. */
    int64_t known_symbols[APX_MAX_SYMBOLS];
    int64_t known_room;
    int known_workers;
    /* The call that is running, of several slices. */
    struct apx_slice batch;
    int64_t slice;               /* rows of a slice */
    _Atomic uint32_t has_failed; /* a slice failed: the others are not begun */
};

/* ---- create ---------------------------------------------------------------------------------- */

static void warm_up(struct apx_session *session);

/* The hardware threads of the core that a worker keeps to; false: beyond what a set can name. */
static bool core_of(const struct apx_topo *topo, int worker, cpu_set_t *core)
{
    CPU_ZERO(core);
    for (int i = 0; i < topo->pus; i++) {
        if (topo->pu[i].core != topo->pu[worker].core)
            continue;
        if (topo->pu[i].os_index >= CPU_SETSIZE)
            return false;
        CPU_SET(topo->pu[i].os_index, core);
    }
    return true;
}

static enum apx_status start_pool(struct apx_session *session, struct apx_error *error)
{
    const struct apx_topo *topo = session->model->topo;
    const struct apx_allocator *allocator = session->model->allocator;
    cpu_set_t *cores = NULL;
    bool is_pinned = false;
    /* Threads that take all of the machine keep to a core each; fewer are the scheduler's. */
    if (session->threads > 1 && session->threads == topo->threads &&
        session->threads <= topo->pus) {
        cores = apx_alloc(allocator, (size_t)session->threads, sizeof *cores);
        if (cores == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        is_pinned = true;
        for (int i = 0; i < session->threads && is_pinned; i++)
            is_pinned = core_of(topo, i, &cores[i]);
    }
    enum apx_status status = apx_pool_create(allocator, session->threads, is_pinned ? cores : NULL,
                                             &session->pool, error);
    apx_release(allocator, cores);
    return status;
}

enum apx_status apx_session_create(const struct apx_model *model,
                                   const struct apx_session_options *given,
                                   struct apx_session **out, struct apx_error *error)
{
    struct apx_session_options options;
    *out = NULL;
    enum apx_status status =
        apx_options_take(given, "apx_session_options", &options, sizeof options, error);
    if (status != APX_OK)
        return status;
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
    status = apx_calls_init(&session->calls, model, error);
    if (status == APX_OK && session->workers == NULL)
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int i = 0; i < session->threads && status == APX_OK; i++)
        status = model->backend->lane_create(model->program, &session->workers[i].lane, error);
    for (int i = 0; status == APX_OK && model->backend->lane_share != NULL && i < session->threads;
         i++)
        model->backend->lane_share(session->workers[i].lane, session->threads);
    if (status == APX_OK)
        status = start_pool(session, error);
    if (status != APX_OK) {
        apx_session_destroy(session);
        return status;
    }
    warm_up(session);
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
    apx_calls_fini(&session->calls);
    apx_release(model->allocator, session);
}

int apx_session_threads(const struct apx_session *session)
{
    return session->threads;
}

/* ---- slices ---------------------------------------------------------------------------------- */

/* The extents but for the rows are those that the cost was reckoned for. */
static bool has_cost_of(const struct apx_session *session, const struct apx_call *call)
{
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        if (i != session->model->row_symbol && call->symbols[i] != session->cost_symbols[i])
            return false;
    return session->has_cost;
}

/* Room is for the slices of one worker: with cheaper rows later, fewer workers may take larger
 * slices. */
static void choose_slice(struct apx_session *session, struct apx_call *call)
{
    const struct apx_model *model = session->model;
    const int64_t rows = call->rows;
    call->slice = call->room = rows;
    call->count = 1;
    if (model->row_symbol < 0)
        return;
    int64_t slice = session->slice_rows, room = slice;
    if (slice == 0) {
        if (!has_cost_of(session, call)) {
            model->backend->row_cost(model->program, call->symbols, &session->cost);
            session->cost.threads = session->threads;
            memcpy(session->cost_symbols, call->symbols, sizeof session->cost_symbols);
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
    call->slice = slice < rows ? slice : rows;
    call->room = room < rows ? room : rows;
    call->count = (rows + call->slice - 1) / call->slice;
}

/* Room in the lanes of all workers that may take a slice, once for a call and all smaller ones. */
static enum apx_status reserve(struct apx_session *session, const struct apx_call *call,
                               struct apx_error *error)
{
    const struct apx_model *model = session->model;
    const int workers = call->count > 1 ? session->threads : 1;
    bool is_known = workers <= session->known_workers && call->room <= session->known_room;
    for (int i = 0; i < APX_MAX_SYMBOLS && is_known; i++)
        is_known = call->symbols[i] <= session->known_symbols[i];
    if (is_known)
        return APX_OK;
    session->known_workers = 0;
    for (int i = 0; i < workers; i++) {
        enum apx_status status = model->backend->lane_reserve(session->workers[i].lane,
                                                              call->symbols, call->room, error);
        if (status != APX_OK)
            return status;
    }
    memcpy(session->known_symbols, call->symbols, sizeof session->known_symbols);
    session->known_room = call->room;
    session->known_workers = workers;
    return APX_OK;
}

/* What a call needs before it is run the first time. */
static enum apx_status make_ready(struct apx_session *session, struct apx_call *call,
                                  struct apx_error *error)
{
    choose_slice(session, call);
    enum apx_status status = reserve(session, call, error);
    call->is_ready = status == APX_OK;
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
    state->status = session->model->backend->run(state->lane, &slice, &state->error);
    if (state->status != APX_OK)
        atomic_store_explicit(&session->has_failed, 1, memory_order_relaxed);
}

static enum apx_status run_slices(struct apx_session *session, const struct apx_call *call,
                                  const struct apx_slice *batch, struct apx_error *error)
{
    session->batch = *batch;
    session->slice = call->slice;
    atomic_store_explicit(&session->has_failed, 0, memory_order_relaxed);
    for (int i = 0; i < session->threads; i++)
        session->workers[i].status = APX_OK;
    apx_pool_run(session->pool, run_slice, session, (uint32_t)call->count);
    for (int i = 0; i < session->threads; i++) {
        const struct worker_state *state = &session->workers[i];
        if (state->status == APX_OK)
            continue;
        if (error != NULL)
            *error = state->error;
        return state->status;
    }
    return APX_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void tell_shape(struct apx_tensor *output, const struct apx_tensor *known)
{
    output->dtype = known->dtype;
    output->rank = known->rank;
    memcpy(output->dims, known->dims, sizeof output->dims);
}

enum apx_status apx_session_shape(struct apx_session *session, const struct apx_tensor *inputs,
                                  size_t input_count, struct apx_tensor *outputs,
                                  size_t output_count, struct apx_error *error)
{
    struct apx_call *call;
    enum apx_status status =
        apx_calls_find(&session->calls, inputs, input_count, output_count, &call, error);
    for (size_t i = 0; i < output_count && status == APX_OK; i++) {
        tell_shape(&outputs[i], &call->outputs[i]);
        outputs[i].bytes = call->outputs[i].bytes;
    }
    return status;
}

enum apx_status apx_session_run(struct apx_session *session, const struct apx_tensor *inputs,
                                size_t input_count, struct apx_tensor *outputs, size_t output_count,
                                struct apx_error *error)
{
    const struct apx_model *model = session->model;
    struct apx_call *call;
    enum apx_status status =
        apx_calls_find(&session->calls, inputs, input_count, output_count, &call, error);
    if (status == APX_OK)
        status = apx_call_check_buffers(call, model, inputs, outputs, error);
    if (status != APX_OK)
        return status;
    for (size_t i = 0; i < output_count; i++)
        tell_shape(&outputs[i], &call->outputs[i]);
    if (call->is_empty)
        return APX_OK;
    if (!call->is_ready && (status = make_ready(session, call, error)) != APX_OK)
        return status;
    const struct apx_slice batch = {
        .inputs = inputs, .outputs = outputs, .rows = call->rows, .symbols = call->symbols};
    if (call->count == 1)
        return model->backend->run(session->workers[0].lane, &batch, error);
    return run_slices(session, call, &batch, error);
}

/* ---- the call that nobody asked for ---------------------------------------------------------- */

#define WARM_SECONDS 1e-3 /* estimated: what takes longer hides a first call's faults */
#define WARM_BYTES   ((size_t)1 << 20) /* of inputs and outputs together */

/* Free extents are 1; whole numbers are 1 as well, so that a row has a length and an index exists.
 */
static size_t shape_warm(const struct apx_model *model, struct apx_tensor *inputs)
{
    size_t total = 0;
    for (size_t i = 0; i < apx_model_input_count(model); i++) {
        const struct apx_tensor_info *info = apx_model_input(model, i);
        inputs[i].dtype = info->dtype;
        inputs[i].rank = info->rank;
        inputs[i].bytes = apx_dtype_size(info->dtype);
        for (int d = 0; d < info->rank; d++) {
            inputs[i].dims[d] = info->dims[d] >= 0 ? info->dims[d] : 1;
            if (__builtin_mul_overflow(inputs[i].bytes, (size_t)inputs[i].dims[d],
                                       &inputs[i].bytes) ||
                inputs[i].bytes > WARM_BYTES)
                return SIZE_MAX;
        }
        total += inputs[i].bytes;
    }
    return total;
}

static void place_warm(struct apx_tensor *tensors, size_t count, char **memory)
{
    for (size_t i = 0; i < count; i++) {
        tensors[i].data = *memory;
        *memory += (tensors[i].bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
        const bool is_whole = tensors[i].dtype != APX_F32 && tensors[i].dtype != APX_F64;
        const size_t size = apx_dtype_size(tensors[i].dtype);
        for (size_t at = 0; is_whole && at < tensors[i].bytes; at += size)
            ((char *)tensors[i].data)[at] = 1;
    }
}

/* A first call faults its code and its memory in and works out its shapes, which takes as long as
 * a small model's whole run; so one of one row is made here, and its answer dropped. If it fails
 * (extents of 1 may be refused, memory may be short) a call that somebody wants will tell. */
static void warm_up(struct apx_session *session)
{
    const struct apx_model *model = session->model;
    const size_t in = apx_model_input_count(model), out = apx_model_output_count(model);
    struct apx_row_cost cost;
    struct apx_call *call;
    struct apx_tensor *tensors = apx_alloc(model->allocator, in + out, sizeof *tensors);
    char *memory = NULL;
    if (tensors == NULL)
        return;
    size_t bytes = shape_warm(model, tensors);
    if (bytes > WARM_BYTES ||
        apx_calls_find(&session->calls, tensors, in, out, &call, NULL) != APX_OK)
        goto done;
    for (size_t i = 0; i < out && bytes <= WARM_BYTES; i++) {
        tensors[in + i].dtype = call->outputs[i].dtype;
        tensors[in + i].bytes = call->outputs[i].bytes;
        bytes = call->outputs[i].bytes <= WARM_BYTES ? bytes + call->outputs[i].bytes : SIZE_MAX;
    }
    model->backend->row_cost(model->program, call->symbols, &cost);
    if (bytes > WARM_BYTES || cost.seconds > WARM_SECONDS)
        goto done;
    memory = apx_alloc(model->allocator, bytes + (in + out) * APX_CACHE_LINE, 1);
    if (memory == NULL)
        goto done;
    char *at = memory;
    place_warm(tensors, in + out, &at);
    (void)apx_session_run(session, tensors, in, tensors + in, out, NULL);
done:
    apx_release(model->allocator, memory);
    apx_release(model->allocator, tensors);
}
