/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_backend.c - CUDA devices as a backend: a program with its engines, lanes that borrow them.
 */
#include "runtime/device/cuda_backend.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/device/cuda_pool.h"

/* What is behind the opaque program of this backend. */
struct cuda_model {
    struct apx_cuda_program *program;
    struct apx_cuda_pool *pool;
};

struct apx_lane {
    const struct cuda_model *model;
};

static const struct cuda_model *model_of(const struct apx_program *program)
{
    return (const struct cuda_model *)(const void *)program;
}

const struct apx_cuda_program *apx_cuda_backend_program(const struct apx_program *program)
{
    return model_of(program)->program;
}

struct apx_cuda_pool *apx_cuda_backend_pool(const struct apx_program *program)
{
    return model_of(program)->pool;
}

static void program_destroy(struct apx_program *opaque)
{
    struct cuda_model *model = (struct cuda_model *)(void *)opaque;
    if (model == NULL)
        return;
    struct apx_cuda_program *program = model->program;
    const struct apx_allocator *allocator = program->allocator;
    apx_cuda_pool_destroy(model->pool);
    apx_cuda_program_destroy(program);
    apx_release(allocator, model);
}

static enum apx_status compile(const struct apx_graph *graph,
                               const struct apx_compile_options *options, struct apx_program **out,
                               struct apx_error *error)
{
    struct apx_cuda_program *program;
    *out = NULL;
    enum apx_status status = apx_cuda_program_create(graph, options, &program, error);
    if (status != APX_OK)
        return status;
    struct cuda_model *model = apx_alloc(options->allocator, 1, sizeof *model);
    if (model == NULL) {
        apx_cuda_program_destroy(program);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    model->program = program;
    status = apx_cuda_pool_create(program, &model->pool, error);
    if (status != APX_OK) {
        program_destroy((struct apx_program *)(void *)model);
        return status;
    }
    *out = (struct apx_program *)(void *)model;
    return APX_OK;
}

static int row_symbol(const struct apx_program *program)
{
    return model_of(program)->program->plan->row_symbol;
}

static bool widens(const struct apx_program *program, int input)
{
    return model_of(program)->program->plan->input_widens[input];
}

/* ---- slices ---------------------------------------------------------------------------------- */

#define COST_ROWS       4096  /* a batch whose share for a row is called the row's cost */
#define MOST_SLICE_ROWS 65536 /* more rows at once make nothing faster */
/* Rows from which on copies of one slice hide behind another's work. */
#define LEAST_TO_SHARE 16384

/* Bytes that one engine may have: together those of a device take half of its memory, or what the
 * weights leave if that is less. */
static double engine_room(const struct apx_cuda_program *program)
{
    double memory = (double)program->machine.device[0].memory_bytes;
    for (int d = 1; d < program->machine.count; d++) /* of one kind, not all of one size */
        memory = fmin(memory, (double)program->machine.device[d].memory_bytes);
    const double left = fmax(memory - (double)program->weights_bytes, 0);
    return fmin(memory / 2, left) / APX_CUDA_ENGINES;
}

static bool has_room(const struct apx_cuda_program *program, const int64_t *symbols, int64_t rows)
{
    struct apx_cuda_cost cost;
    apx_cuda_measure(program, symbols, rows, &cost);
    return !isinf(cost.seconds) && cost.device_bytes <= engine_room(program);
}

/* Scratch does not grow in step with the rows, so the size is looked for. */
static int64_t most_rows(const struct apx_cuda_program *program, const int64_t *symbols)
{
    int64_t low = 0, high = program->plan->row_symbol >= 0 ? MOST_SLICE_ROWS : 1;
    if (has_room(program, symbols, high))
        return high;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        *(has_room(program, symbols, middle) ? &low : &high) = middle;
    }
    return low;
}

static void row_cost(const struct apx_program *opaque, const int64_t *symbols,
                     struct apx_row_cost *out)
{
    const struct apx_cuda_program *program = model_of(opaque)->program;
    const int64_t rows = program->plan->row_symbol >= 0 ? COST_ROWS : 1;
    struct apx_cuda_cost cost;
    apx_cuda_measure(program, symbols, rows, &cost);
    *out = (struct apx_row_cost){.flops = cost.flops / (double)rows,
                                 .seconds = cost.seconds / (double)rows,
                                 .bytes = cost.device_bytes / (double)rows,
                                 .gpu_most_rows = most_rows(program, symbols)};
}

static int64_t slice_rows(const struct apx_program *opaque, const struct apx_row_cost *cost,
                          int64_t rows, int workers)
{
    const struct apx_cuda_program *program = model_of(opaque)->program;
    if (program->plan->row_symbol < 0)
        return rows;
    const int64_t most = cost->gpu_most_rows > 0 ? cost->gpu_most_rows : 1;
    int64_t parts = (rows + most - 1) / most;
    int64_t engines = (int64_t)APX_CUDA_ENGINES * program->machine.count;
    engines = engines < workers ? engines : workers;
    if (rows >= LEAST_TO_SHARE && parts < engines)
        parts = engines;
    int64_t slice = apx_cuda_bucket((rows + parts - 1) / parts);
    slice = slice < most ? slice : most; /* the bucket may be one too large */
    return slice < rows ? slice : rows;
}

/* ---- description ----------------------------------------------------------------------------- */

static json_t *describe_step(const struct apx_cuda_program *program, int s, double flops)
{
    const struct apx_step *step = program->plan->steps[s];
    const struct apx_cuda_step *here = &program->steps[s];
    const struct apx_graph *graph = program->plan->graph;
    char isa[16];
    snprintf(isa, sizeof isa, "sm_%d%d", program->place.device.major, program->place.device.minor);
    json_t *json = json_object();
    json_object_set_new(json, "step", json_string(step->type->name));
    if (step->node >= 0) {
        json_object_set_new(json, "node", json_string(graph->nodes[step->node].name));
        json_object_set_new(json, "op",
                            json_string(apx_op_info(graph->nodes[step->node].op)->name));
    }
    json_object_set_new(json, "isa", json_string(here->is_on_host ? "host" : isa));
    if (here->choice.kernel != NULL)
        json_object_set_new(json, "kernel", json_string(here->choice.kernel));
    if (here->choice.precision != NULL)
        json_object_set_new(json, "precision", json_string(here->choice.precision));
    if (here->bytes > 0)
        json_object_set_new(json, "packed_bytes", json_integer((json_int_t)here->bytes));
    json_object_set_new(json, "flops_per_row", json_real(flops));
    return json;
}

/* Costs are for free extents of 1 other than the rows. */
static enum apx_status describe(const struct apx_program *opaque, void *json_object_pointer)
{
    const struct apx_cuda_program *program = model_of(opaque)->program;
    json_t *json = json_object_pointer, *steps = json_array(), *calls = json_array();
    const char *precision = "fp32";
    int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_row_cost cost;
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 1;
    row_cost(opaque, symbols, &cost);
    for (int s = 0; s < program->plan->step_count; s++) {
        json_array_append_new(steps,
                              describe_step(program, s, apx_cuda_step_flops(program, s, symbols)));
        const char *own = program->steps[s].choice.precision;
        if (own != NULL && strcmp(own, "fp32") != 0)
            precision = own;
    }
    for (int64_t rows = 1; rows <= MOST_SLICE_ROWS && program->plan->row_symbol >= 0; rows *= 16) {
        struct apx_cuda_cost call;
        apx_cuda_measure(program, symbols, rows, &call);
        json_array_append_new(
            calls, json_pack("{s:I, s:f}", "rows", (json_int_t)rows, "seconds", call.seconds));
    }
    char isa[16];
    snprintf(isa, sizeof isa, "sm_%d%d", program->place.device.major, program->place.device.minor);
    json_object_set_new(json, "gpu", json_string(program->place.device.name));
    json_object_set_new(json, "gpus", json_integer(program->machine.count));
    json_object_set_new(json, "isa", json_string(isa));
    json_object_set_new(json, "precision", json_string(precision));
    json_object_set_new(json, "steps", steps);
    json_object_set_new(json, "calls", calls);
    json_object_set_new(json, "flops_per_row", json_real(cost.flops));
    json_object_set_new(json, "bytes_per_row", json_real(cost.bytes));
    json_object_set_new(json, "seconds_per_row", json_real(cost.seconds));
    json_object_set_new(json, "packed_bytes", json_integer((json_int_t)program->weights_bytes));
    json_object_set_new(json, "slice_rows",
                        json_integer((json_int_t)slice_rows(opaque, &cost, (int64_t)1 << 20, 1)));
    return steps != NULL && calls != NULL ? APX_OK : APX_ENOMEM;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static enum apx_status lane_create(const struct apx_program *program, struct apx_lane **out,
                                   struct apx_error *error)
{
    *out = apx_alloc(model_of(program)->program->allocator, 1, sizeof **out);
    if (*out == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    (*out)->model = model_of(program);
    return APX_OK;
}

static void lane_destroy(struct apx_lane *lane)
{
    if (lane != NULL)
        apx_release(lane->model->program->allocator, lane);
}

/* Whichever engine is free: the others make room when they run. */
static enum apx_status lane_reserve(struct apx_lane *lane, const int64_t *symbols, int64_t rows,
                                    struct apx_error *error)
{
    struct apx_cuda_engine *engine;
    enum apx_status status = apx_cuda_pool_take(lane->model->pool, &engine, error);
    if (status != APX_OK)
        return status;
    status = apx_cuda_engine_reserve(engine, symbols, rows, error);
    apx_cuda_pool_give(lane->model->pool, engine);
    return status;
}

static enum apx_status run(struct apx_lane *lane, const struct apx_slice *slice,
                           struct apx_error *error)
{
    struct apx_cuda_engine *engine;
    enum apx_status status = apx_cuda_pool_take(lane->model->pool, &engine, error);
    if (status != APX_OK)
        return status;
    status = apx_cuda_engine_run(engine, slice, error);
    apx_cuda_pool_give(lane->model->pool, engine);
    return status;
}

const struct apx_backend apx_backend_cuda = {
    .name = "cuda",
    .compile = compile,
    .program_destroy = program_destroy,
    .row_symbol = row_symbol,
    .row_cost = row_cost,
    .slice_rows = slice_rows,
    .widens = widens,
    .describe = describe,
    .lane_create = lane_create,
    .lane_destroy = lane_destroy,
    .lane_reserve = lane_reserve,
    .run = run,
};
