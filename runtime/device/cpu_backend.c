/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_backend.c - the built-in backend: plans for this processor, slices that fit its caches. */
#include <jansson.h>

#include "kernels/kernels.h"
#include "runtime/base/memory.h"
#include "runtime/device/cpu_lane.h"

static int row_symbol(const struct apx_program *program)
{
    return program->row_symbol;
}

/* Sustained fp32 operations a second of one core on small matrices: a floor, so that work is called
 * large a little too early rather than too late. */
static double nominal_rate(uint32_t caps)
{
    return (caps & APX_CAP_AVX512) != 0 ? 40e9 : (caps & APX_CAP_AVX2) != 0 ? 20e9 : 1.5e9;
}

/* What no step can undercut: its call, its loop's start. */
#define STEP_SECONDS 5e-8

static void row_cost(const struct apx_program *program, const int64_t *symbols,
                     struct apx_row_cost *out)
{
    apx_cpu_measure(program, symbols, NULL, out);
    out->seconds += out->flops / nominal_rate(program->caps) + STEP_SECONDS;
}

#define LEAST_SECONDS   25e-6 /* of work that is worth waking another thread for */
#define L2_IF_UNKNOWN   ((size_t)512 << 10)
#define MOST_SLICE_ROWS 4096
#define LEAST_TILES                                                                                \
    2 /* of a slice: weights beyond the cache, read anew at every step, serve both */

/* Rows whose lengths differ are handed out in smaller pieces: shares of as many rows are not shares
 * of as much work, by half of it if the longest come first. */
#define MOST_UNEVEN_ROWS 64

#define MOST_IMBALANCE 1.03 /* of the rows of the busiest worker, for the sake of whole tiles */

/* Rows of the worker that gets most, when slices are handed out in turn. */
static int64_t busiest_rows(int64_t rows, int64_t slice, int64_t workers)
{
    const int64_t slices = (rows + slice - 1) / slice, rounds = (slices + workers - 1) / workers;
    return rounds * slice;
}

/* `slice` rounded up to whole tiles of the kernels, or to halves, quarters ... of them where whole
 * ones would leave workers idle: 64 rows in tiles of 12 for two workers would be 36 and 28. */
static int64_t round_slice(int64_t slice, int64_t tile, int64_t rows, int64_t workers)
{
    const double share = (double)rows / (double)workers;
    for (int64_t unit = tile; unit > 1; unit /= 2) {
        const int64_t rounded = (slice + unit - 1) / unit * unit;
        if ((double)busiest_rows(rows, rounded, workers) <= MOST_IMBALANCE * share)
            return rounded;
    }
    return slice;
}

static int64_t slice_rows(const struct apx_program *program, const struct apx_row_cost *cost,
                          int64_t rows, int workers)
{
    if (program->row_symbol < 0)
        return rows;
    /* As many workers as have enough to do, and equal shares for them. */
    double total = cost->seconds * (double)rows;
    double useful = total / LEAST_SECONDS;
    int64_t shares = useful < (double)workers ? (int64_t)useful : workers;
    shares = shares < 1 ? 1 : shares;
    /* Half of L2 for what a slice touches; the packed weights share the rest with the caller's
     * tensors. */
    int64_t tile = (int64_t)program->tile_rows;
    double room = (double)(program->l2_bytes > 0 ? program->l2_bytes : L2_IF_UNKNOWN) / 2;
    double fitting = room / (cost->bytes > 1 ? cost->bytes : 1);
    int64_t most = fitting < MOST_SLICE_ROWS ? (int64_t)fitting : MOST_SLICE_ROWS;
    if (program->has_lengths && shares > 1 && most > MOST_UNEVEN_ROWS)
        most = MOST_UNEVEN_ROWS;
    most = most / tile * tile;
    most = most < LEAST_TILES * tile ? LEAST_TILES * tile : most;
    int64_t share = (rows + shares - 1) / shares;
    int64_t parts = (share + most - 1) / most;
    int64_t slice = (share + parts - 1) / parts;
    slice = round_slice(slice, tile, rows, shares);
    return slice < rows ? slice : rows;
}

static bool widens(const struct apx_program *program, int input)
{
    return program->input_widens[input];
}

static json_t *describe_step(const struct apx_program *program, const struct apx_step *step,
                             double flops)
{
    json_t *json = json_object();
    json_object_set_new(json, "step", json_string(step->type->name));
    if (step->node >= 0) {
        json_object_set_new(json, "node", json_string(program->graph->nodes[step->node].name));
        json_object_set_new(json, "op",
                            json_string(apx_op_info(program->graph->nodes[step->node].op)->name));
    }
    if (step->kernel != NULL)
        json_object_set_new(json, "kernel", json_string(step->kernel));
    if (step->isa != NULL)
        json_object_set_new(json, "isa", json_string(step->isa));
    if (step->precision != NULL)
        json_object_set_new(json, "precision", json_string(step->precision));
    if (step->schedule != NULL)
        json_object_set_new(json, "schedule", json_string(step->schedule));
    if (step->type->build != NULL)
        json_object_set_new(json, "packed_bytes", json_integer((json_int_t)step->built_bytes));
    if (step->type->packed_bytes != NULL)
        json_object_set_new(json, "packed_bytes",
                            json_integer((json_int_t)step->type->packed_bytes(step)));
    json_object_set_new(json, "flops_per_row", json_real(flops));
    return json;
}

/* Costs are for one row with every other free extent 1. */
static enum apx_status describe(const struct apx_program *program, void *json_object_pointer)
{
    json_t *json = json_object_pointer, *steps = json_array();
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 1;
    double *flops = apx_alloc(program->allocator, (size_t)program->step_count, sizeof *flops);
    if (flops == NULL || steps == NULL) {
        apx_release(program->allocator, flops);
        json_decref(steps);
        return APX_ENOMEM;
    }
    struct apx_row_cost cost;
    apx_cpu_measure(program, symbols, flops, &cost);
    row_cost(program, symbols, &cost);
    const char *precision = "fp32"; /* of what its layers multiply */
    for (int s = 0; s < program->step_count; s++) {
        json_array_append_new(steps, describe_step(program, program->steps[s], flops[s]));
        if (program->steps[s]->precision != NULL)
            precision = program->steps[s]->precision;
    }
    apx_release(program->allocator, flops);
    json_object_set_new(json, "isa", json_string(apx_caps_name(program->caps)));
    json_object_set_new(json, "precision", json_string(precision));
    json_object_set_new(json, "steps", steps);
    json_object_set_new(json, "flops_per_row", json_real(cost.flops));
    json_object_set_new(json, "bytes_per_row", json_real(cost.bytes));
    json_object_set_new(json, "seconds_per_row", json_real(cost.seconds));
    json_object_set_new(json, "packed_bytes", json_integer((json_int_t)program->packed_bytes));
    json_object_set_new(json, "replicas", json_integer(program->replica_count));
    json_object_set_new(json, "slice_rows",
                        json_integer((json_int_t)slice_rows(program, &cost, (int64_t)1 << 20, 1)));
    return APX_OK;
}

const struct apx_backend apx_backend_cpu = {
    .name = "cpu",
    .compile = apx_plan_create,
    .program_destroy = apx_plan_destroy,
    .row_symbol = row_symbol,
    .row_cost = row_cost,
    .slice_rows = slice_rows,
    .widens = widens,
    .describe = describe,
    .lane_create = apx_cpu_lane_create,
    .lane_destroy = apx_cpu_lane_destroy,
    .lane_reserve = apx_cpu_lane_reserve,
    .run = apx_cpu_lane_run,
};
