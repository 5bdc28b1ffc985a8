/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_memory_test.c - what a slice takes of a device's memory: slots and scratch, before it is
 * asked for. */
#include <jansson.h>

#include "runtime/device/auto_backend.h"
#include "tests/device/device_case.h"
#include "tests/runtime/tree_case.h"

#define MIB ((size_t)1 << 20)

static struct device_case open_trees(void)
{
    struct tree_lists t = tree_stump("BRANCH_LEQ", 0.5f, false);
    struct device_case c = device_open(tree_model(&t, 3), NULL);
    REQUIRE(c.status == APX_OK);
    return c;
}

static struct apx_row_cost cost_of(const struct device_case *c)
{
    static const int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_row_cost cost;
    apx_backend_cuda.row_cost(c->cuda, symbols, &cost);
    return cost;
}

/* The scratch of trees is of a few rows, however many there are. */
static void counts_scratch(void)
{
    static const int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_cuda_cost before, after;
    fake_cuda_reset();
    struct device_case c = open_trees();
    const struct apx_cuda_program *program = apx_cuda_backend_program(c.cuda);
    CHECK_EQ(cost_of(&c).gpu_most_rows, 65536);
    for (int64_t rows = 1; rows <= 4096; rows *= 64) {
        fake_cuda.forest_scratch = 0;
        apx_cuda_measure(program, symbols, rows, &before);
        fake_cuda.forest_scratch = MIB;
        apx_cuda_measure(program, symbols, rows, &after);
        CHECK_EQ(after.device_bytes - before.device_bytes, (rows < 64 ? rows : 64) * (int64_t)MIB);
    }
    CHECK_EQ(cost_of(&c).gpu_most_rows, 65536); /* 64 MiB of 1 GiB: a sixth is an engine's */
    device_close(&c);
}

/* Slices become as small as the scratch wants them, and what they take stays within the half. */
static void cuts_for_scratch(void)
{
    fake_cuda_reset();
    fake_cuda.memory_bytes = 60 * MIB;
    fake_cuda.forest_scratch = MIB;
    struct device_case c = open_trees();
    struct apx_row_cost cost = cost_of(&c);
    CHECK_EQ(cost.gpu_most_rows, 8); /* of 10 MiB: a size of batches, and the slots beside it */
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000, 4), 8);
    device_run(&c, 1000, 0, 8, 0);
    CHECK(fake_cuda.used[0] > 8 * MIB && fake_cuda.used[0] <= 10 * MIB);
    device_close(&c);
}

/* Not even one row: the device says so before it is asked for memory, and "auto" leaves it alone.
 */
static void refuses_scratch(void)
{
    fake_cuda_reset();
    fake_cuda.memory_bytes = 60 * MIB;
    fake_cuda.forest_scratch = 61 * MIB;
    struct device_case c = open_trees();
    struct apx_row_cost cost = cost_of(&c);
    CHECK_EQ(cost.gpu_most_rows, 0);
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000, 4), 1);
    unsigned long asked = fake_cuda.calls[FAKE_ALLOC];
    CHECK_EQ(device_try(&c, 1, 0, 1, 0), APX_ENOMEM);
    CHECK_EQ(fake_cuda.calls[FAKE_ALLOC], asked);
    CHECK_STR(c.error.field, "device");
    CHECK_HAS(c.error.message, "device \"cuda\": a batch of 1 rows needs 639");
    CHECK_HAS(c.error.message, "of 62914560 in all: use smaller batches or device \"cpu\"");

    const struct apx_compile_options options = {
        .allocator = apx_allocator_default(), .isa = "scalar", .cuda = &fake_cuda_driver};
    struct apx_program *program;
    struct apx_lane *lane;
    struct apx_error error = {0};
    static const int64_t ones[APX_MAX_SYMBOLS] = {1};
    REQUIRE(apx_backend_auto.compile(c.graph, &options, &program, &error) == APX_OK);
    REQUIRE(apx_backend_auto.lane_create(program, &lane, &error) == APX_OK);
    CHECK_EQ(apx_auto_from_rows(program, ones), -1);
    unsigned long before = fake_cuda.all_calls;
    float x[3] = {0}, y = -1;
    struct apx_tensor in = {.dtype = APX_F32, .rank = 2, .dims = {1, 3}, .data = x};
    struct apx_tensor out = {.dtype = APX_F32, .rank = 2, .dims = {1, 1}, .data = &y};
    const struct apx_slice slice = {.inputs = &in, .outputs = &out, .rows = 1, .symbols = ones};
    CHECK_EQ(apx_backend_auto.lane_reserve(lane, ones, 1, &error), APX_OK);
    CHECK_EQ(apx_backend_auto.run(lane, &slice, &error), APX_OK);
    CHECK_EQ(y, 1);
    CHECK_EQ(fake_cuda.all_calls, before);
    json_t *json = json_object();
    CHECK_EQ(apx_backend_auto.describe(program, json), APX_OK);
    CHECK_HAS(json_string_value(json_object_get(json_object_get(json, "cuda"), "no_room")),
              "one row needs more of the GPU's memory than it may have");
    json_decref(json);
    apx_backend_auto.lane_destroy(lane);
    apx_backend_auto.program_destroy(program);
    device_close(&c);
}

int main(void)
{
    RUN(counts_scratch);
    RUN(cuts_for_scratch);
    RUN(refuses_scratch);
    case_end();
    return check_report();
}
