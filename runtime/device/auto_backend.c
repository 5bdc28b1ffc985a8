/* SPDX-License-Identifier: Apache-2.0 */
/* auto_backend.c - device "auto" on a machine with a GPU: each batch goes where it is done sooner.
 *
 * The model is compiled for both. Where calls with these extents and so many threads were measured
 * (crossover.h), that decides. Otherwise a call's time on the GPU is taken to be a constant and a
 * share of each row, on the CPU a share of each row divided by the workers that such a batch wakes;
 * for batches beyond those that were measured this estimate is set right by the nearest of them.
 * The extents, the number of rows and the session's threads decide, nothing else, so that a batch
 * always goes the same way. A model that the GPU cannot take is the CPU's alone, and a GPU that
 * fails loses its part to the CPU. */
#include "runtime/device/auto_backend.h"

#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/device/crossover.h"
#include "runtime/device/cuda_backend.h"
#include "runtime/plan/plan.h"
#include "runtime/topo/topo.h"

/* What is behind the opaque program of this backend. */
struct auto_model {
    const struct apx_allocator *allocator;
    struct apx_program *cpu, *cuda;                         /* cuda NULL: not for this model */
    char reason[sizeof((struct apx_error *)NULL)->message]; /* why not */
    struct apx_crossovers measured;                         /* none: estimates decide */
    char notice[sizeof((struct apx_error *)NULL)->message]; /* why not; "": nothing is amiss */
    bool is_steps[APX_MAX_SYMBOLS];                         /* a free extent that is not the rows */
    int workers;                /* that a session has if it is not told otherwise */
    _Atomic uint32_t is_broken; /* the GPU failed: only a hint, so relaxed */
};

struct apx_lane {
    struct auto_model *model;
    struct apx_lane *cpu, *cuda;
    int workers;                      /* of the session */
    int64_t symbols[APX_MAX_SYMBOLS]; /* for which `cost` is */
    struct apx_row_cost cost;
    bool has_cost;
};

static struct auto_model *model_of(const struct apx_program *program)
{
    return (struct auto_model *)(void *)(uintptr_t)program;
}

static void program_destroy(struct apx_program *opaque)
{
    struct auto_model *model = model_of(opaque);
    if (model == NULL)
        return;
    apx_backend_cpu.program_destroy(model->cpu);
    if (model->cuda != NULL)
        apx_backend_cuda.program_destroy(model->cuda);
    apx_crossovers_release(&model->measured);
    apx_release(model->allocator, model);
}

/* What was measured of this model here, if anything was. */
static void find_measured(struct auto_model *model, const struct apx_compile_options *options)
{
    char *directory = apx_crossover_directory(options->cache);
    if (directory != NULL && options->file != NULL && access(directory, F_OK) == 0) {
        const struct apx_cuda_machine *machine = &apx_cuda_backend_program(model->cuda)->machine;
        struct apx_crossover_key key;
        struct apx_error error;
        apx_crossover_key_make(options->file, options->file_bytes, options->precision,
                               machine->device[0].name, machine->count, machine->device[0].driver,
                               apx_caps_name(model->cpu->caps), &key);
        enum apx_status status =
            apx_crossovers_load(directory, &key, model->allocator, &model->measured, &error);
        if (status != APX_OK && status != APX_ENOTFOUND)
            memcpy(model->notice, error.message, sizeof model->notice);
    }
    free(directory);
}

static void find_steps(struct auto_model *model, const struct apx_graph *graph)
{
    const int row = apx_backend_cpu.row_symbol(model->cpu);
    for (int i = 0; i < graph->input_count; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        int symbol;
        for (int axis = 0; axis < value->rank; axis++)
            if (apx_dim_is_symbol(&value->dims[axis], &symbol) && symbol != row)
                model->is_steps[symbol] = true;
    }
}

static enum apx_status compile(const struct apx_graph *graph,
                               const struct apx_compile_options *options, struct apx_program **out,
                               struct apx_error *error)
{
    struct apx_error reason = {0};
    *out = NULL;
    struct auto_model *model = apx_alloc(options->allocator, 1, sizeof *model);
    if (model == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    model->allocator = options->allocator;
    model->workers = options->topo != NULL ? options->topo->threads : 1;
    enum apx_status status = apx_backend_cpu.compile(graph, options, &model->cpu, error);
    if (status != APX_OK) {
        apx_release(options->allocator, model);
        return status;
    }
    if (apx_backend_cuda.compile(graph, options, &model->cuda, &reason) != APX_OK)
        memcpy(model->reason, reason.message, sizeof model->reason);
    else
        find_measured(model, options);
    find_steps(model, graph);
    if (apx_backend_cpu.row_symbol(model->cpu) < 0)
        model->workers = 1; /* as a session has it */
    *out = (struct apx_program *)(void *)model;
    return APX_OK;
}

static int row_symbol(const struct apx_program *program)
{
    return apx_backend_cpu.row_symbol(model_of(program)->cpu);
}

static bool widens(const struct apx_program *program, int input)
{
    const struct auto_model *model = model_of(program);
    return apx_backend_cpu.widens(model->cpu, input) &&
           (model->cuda == NULL || apx_backend_cuda.widens(model->cuda, input));
}

/* ---- who is sooner --------------------------------------------------------------------------- */

#define MANY_ROWS 4096

/* As struct apx_row_cost has it. */
static int64_t steps_of(const struct auto_model *model, const int64_t *symbols)
{
    int64_t steps = 0;
    for (int i = 0; i < APX_MAX_SYMBOLS; i++) {
        if (model->is_steps[i] && steps != 0 && symbols[i] != steps)
            return -1;
        steps = model->is_steps[i] ? symbols[i] : steps;
    }
    return steps;
}

static void row_cost(const struct apx_program *opaque, const int64_t *symbols,
                     struct apx_row_cost *out)
{
    const struct auto_model *model = model_of(opaque);
    apx_backend_cpu.row_cost(model->cpu, symbols, out);
    out->threads = model->workers;
    out->gpu_steps = steps_of(model, symbols);
    out->gpu_call_seconds = INFINITY;
    if (model->cuda == NULL)
        return;
    const struct apx_cuda_program *program = apx_cuda_backend_program(model->cuda);
    struct apx_row_cost gpu;
    struct apx_cuda_cost one, many;
    apx_backend_cuda.row_cost(model->cuda, symbols, &gpu);
    apx_cuda_measure(program, symbols, 1, &one);
    apx_cuda_measure(program, symbols, row_symbol(opaque) >= 0 ? MANY_ROWS : 1, &many);
    out->gpu_seconds = (many.seconds - one.seconds) / (MANY_ROWS - 1);
    out->gpu_call_seconds = one.seconds - out->gpu_seconds;
    out->gpu_most_rows = gpu.gpu_most_rows;
}

#define LEAST_SECONDS 25e-6 /* of work that is worth waking another thread for */

/* Seconds on the CPU of a batch, all workers together. */
static double cpu_seconds(const struct apx_row_cost *cost, int64_t rows, int workers)
{
    double total = cost->seconds * (double)rows;
    double useful = fmin(floor(total / LEAST_SECONDS), (double)workers);
    return total / fmax(useful, 1);
}

static double gpu_seconds(const struct apx_row_cost *cost, int64_t rows)
{
    return cost->gpu_call_seconds + cost->gpu_seconds * (double)rows;
}

/* What the CPU takes longer than the estimate it takes with each row. The GPU takes it with each
 * call (its memory is far, its driver slow), and what it takes less in proportion. */
static bool is_sooner_beyond(const struct apx_row_cost *cost,
                             const struct apx_crossover_point *edge, int64_t rows)
{
    const double cpu = 1e-9 * (double)edge->cpu_ns, gpu = 1e-9 * (double)edge->gpu_ns;
    const double estimate = gpu_seconds(cost, edge->rows), there = gpu_seconds(cost, rows);
    return (gpu > estimate ? there + (gpu - estimate) : there * (gpu / estimate)) <
           cpu_seconds(cost, rows, cost->threads) * cpu /
               cpu_seconds(cost, edge->rows, cost->threads);
}

static bool is_for_gpu(const struct auto_model *model, const struct apx_row_cost *cost,
                       int64_t rows)
{
    if (model->cuda == NULL || cost->gpu_most_rows == 0 ||
        atomic_load_explicit(&model->is_broken, memory_order_relaxed) != 0)
        return false;
    const struct apx_crossover *known =
        apx_crossovers_find(&model->measured, cost->threads, cost->gpu_steps);
    const struct apx_crossover_point *edge = known != NULL ? apx_crossover_edge(known, rows) : NULL;
    if (edge != NULL)
        return is_sooner_beyond(cost, edge, rows);
    if (known != NULL)
        return known->from_rows > 0 && rows >= known->from_rows;
    return gpu_seconds(cost, rows) < cpu_seconds(cost, rows, cost->threads);
}

static int64_t find_from_rows(const struct auto_model *model, struct apx_row_cost cost)
{
    const int64_t most = (int64_t)1 << 30;
    /* Not monotonous, since more workers wake at certain sizes: the size from which on it stays. */
    int64_t from = most;
    if (row_symbol((const struct apx_program *)(const void *)model) < 0)
        return is_for_gpu(model, &cost, 1) ? 1 : -1; /* a call is one */
    while (from > 1 && is_for_gpu(model, &cost, from / 2))
        from /= 2;
    if (!is_for_gpu(model, &cost, from))
        return -1;
    int64_t low = from / 2, high = from; /* not for the GPU (or 0), for it */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        *(is_for_gpu(model, &cost, middle) ? &high : &low) = middle;
    }
    return high;
}

int64_t apx_auto_from_rows(const struct apx_program *opaque, const int64_t *symbols)
{
    struct apx_row_cost cost;
    row_cost(opaque, symbols, &cost);
    return find_from_rows(model_of(opaque), cost);
}

/* From how many rows on it takes batches of all sizes with these threads and steps; json_t. */
static json_t *from_rows_json(const struct apx_program *program, int threads, int64_t steps)
{
    struct apx_row_cost cost;
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = steps > 0 ? steps : 1;
    row_cost(program, symbols, &cost);
    cost.threads = threads;
    const int64_t from = find_from_rows(model_of(program), cost);
    return from > 0 ? json_integer((json_int_t)from) : json_null();
}

static int64_t slice_rows(const struct apx_program *opaque, const struct apx_row_cost *cost,
                          int64_t rows, int workers)
{
    const struct auto_model *model = model_of(opaque);
    if (!is_for_gpu(model, cost, rows))
        return apx_backend_cpu.slice_rows(model->cpu, cost, rows, workers);
    const struct apx_row_cost gpu = {.gpu_most_rows = cost->gpu_most_rows};
    return apx_backend_cuda.slice_rows(model->cuda, &gpu, rows, workers);
}

static const char *notice(const struct apx_program *program)
{
    const struct auto_model *model = model_of(program);
    return model->notice[0] != '\0' ? model->notice : NULL;
}

/* ---- description ----------------------------------------------------------------------------- */

/* The CPU's, and with it what the GPU would do and from how many rows on, the other free extents
 * counted as 1; for a session's own number of threads, and for one, as the server's have. */
static enum apx_status describe(const struct apx_program *opaque, void *json_object_pointer)
{
    const struct auto_model *model = model_of(opaque);
    json_t *json = json_object_pointer, *cuda = json_object();
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 1;
    enum apx_status status = cuda != NULL ? apx_backend_cpu.describe(model->cpu, json) : APX_ENOMEM;
    if (status == APX_OK && model->cuda != NULL)
        status = apx_backend_cuda.describe(model->cuda, cuda);
    if (status != APX_OK) {
        json_decref(cuda);
        return status;
    }
    if (model->cuda != NULL) {
        struct apx_row_cost cost;
        row_cost(opaque, symbols, &cost);
        if (cost.gpu_most_rows == 0)
            json_object_set_new(
                cuda, "no_room",
                json_string("one row needs more of the GPU's memory than it may have"));
        int64_t from = apx_auto_from_rows(opaque, symbols);
        json_object_set_new(cuda, "from_rows",
                            from > 0 ? json_integer((json_int_t)from) : json_null());
        const bool is_known =
            apx_crossovers_find(&model->measured, model->workers, cost.gpu_steps) != NULL;
        json_object_set_new(cuda, "from_rows_by",
                            json_string(is_known ? "measurement" : "estimate"));
        json_object_set_new(cuda, "threads", json_integer(model->workers));
        json_object_set_new(cuda, "from_rows_one_thread", from_rows_json(opaque, 1, 1));
        json_t *measured = json_array();
        for (int i = 0; i < model->measured.count; i++) {
            json_t *entry = apx_crossover_json(&model->measured.list[i]);
            json_object_set_new(entry, "auto_from_rows",
                                from_rows_json(opaque, model->measured.list[i].threads,
                                               model->measured.list[i].steps));
            json_array_append_new(measured, entry);
        }
        json_object_set_new(cuda, "measured", measured);
        json_object_set_new(cuda, "notice",
                            model->notice[0] != '\0' ? json_string(model->notice) : json_null());
        json_object_set_new(
            cuda, "is_broken",
            json_boolean(atomic_load_explicit(&model->is_broken, memory_order_relaxed) != 0));
    } else {
        json_object_set_new(cuda, "reason", json_string(model->reason));
        json_object_set_new(json, "device", json_string("cpu"));
    }
    json_object_set_new(json, "cuda", cuda);
    return APX_OK;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void lane_destroy(struct apx_lane *lane)
{
    if (lane == NULL)
        return;
    apx_backend_cpu.lane_destroy(lane->cpu);
    apx_backend_cuda.lane_destroy(lane->cuda);
    apx_release(lane->model->allocator, lane);
}

static enum apx_status lane_create(const struct apx_program *program, struct apx_lane **out,
                                   struct apx_error *error)
{
    struct auto_model *model = model_of(program);
    *out = NULL;
    struct apx_lane *lane = apx_alloc(model->allocator, 1, sizeof *lane);
    if (lane == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    lane->model = model;
    lane->workers = model->workers;
    enum apx_status status = apx_backend_cpu.lane_create(model->cpu, &lane->cpu, error);
    if (status == APX_OK && model->cuda != NULL)
        status = apx_backend_cuda.lane_create(model->cuda, &lane->cuda, error);
    if (status != APX_OK) {
        lane_destroy(lane);
        return status;
    }
    *out = lane;
    return APX_OK;
}

static void lane_share(struct apx_lane *lane, int workers)
{
    lane->workers = workers;
    lane->has_cost = false;
}

/* Where a batch with these extents goes. */
static bool goes_to_gpu(struct apx_lane *lane, const int64_t *symbols)
{
    const struct apx_program *program = (const struct apx_program *)(const void *)lane->model;
    const int row = row_symbol(program);
    if (lane->cuda == NULL)
        return false;
    bool is_known = lane->has_cost;
    for (int i = 0; i < APX_MAX_SYMBOLS && is_known; i++)
        is_known = i == row || symbols[i] == lane->symbols[i];
    if (!is_known) {
        row_cost(program, symbols, &lane->cost);
        lane->cost.threads = lane->workers;
        memcpy(lane->symbols, symbols, sizeof lane->symbols);
        lane->has_cost = true;
    }
    return is_for_gpu(lane->model, &lane->cost, row >= 0 ? symbols[row] : 1);
}

/* A GPU that has no room for this, or no kernel for these extents, may have for others; after
 * other failures it is left alone. */
static void note_failure(struct auto_model *model, enum apx_status status)
{
    if (status == APX_EDEVICE)
        atomic_store_explicit(&model->is_broken, 1, memory_order_relaxed);
}

static bool is_cpus_turn(enum apx_status status)
{
    return status == APX_EDEVICE || status == APX_ENOMEM || status == APX_EUNSUPPORTED;
}

static enum apx_status lane_reserve(struct apx_lane *lane, const int64_t *symbols, int64_t rows,
                                    struct apx_error *error)
{
    if (goes_to_gpu(lane, symbols)) {
        struct apx_error reason = {0};
        enum apx_status status = apx_backend_cuda.lane_reserve(lane->cuda, symbols, rows, &reason);
        note_failure(lane->model, status);
        if (!is_cpus_turn(status)) {
            if (status != APX_OK && error != NULL)
                *error = reason;
            return status;
        }
    }
    return apx_backend_cpu.lane_reserve(lane->cpu, symbols, rows, error);
}

static enum apx_status run(struct apx_lane *lane, const struct apx_slice *slice,
                           struct apx_error *error)
{
    if (goes_to_gpu(lane, slice->symbols)) {
        struct apx_error reason = {0};
        enum apx_status status = apx_backend_cuda.run(lane->cuda, slice, &reason);
        note_failure(lane->model, status);
        if (!is_cpus_turn(status)) {
            if (status != APX_OK && error != NULL)
                *error = reason;
            return status;
        }
    }
    return apx_backend_cpu.run(lane->cpu, slice, error);
}

const struct apx_backend apx_backend_auto = {
    .name = "auto",
    .compile = compile,
    .program_destroy = program_destroy,
    .row_symbol = row_symbol,
    .row_cost = row_cost,
    .slice_rows = slice_rows,
    .widens = widens,
    .notice = notice,
    .describe = describe,
    .lane_create = lane_create,
    .lane_destroy = lane_destroy,
    .lane_share = lane_share,
    .lane_reserve = lane_reserve,
    .run = run,
};
