/* SPDX-License-Identifier: Apache-2.0 */
/* slice_rows_test.c - the slices that the CPU wants leave no worker much more than its share. */
#include "runtime/plan/plan.h"
#include "tests/device/device_case.h"

static struct apx_graph *graph;
static struct apx_program *program;

static void compile(const char *isa, bool has_lengths)
{
    const struct apx_compile_options options = {
        .allocator = apx_allocator_default(), .isa = isa, .l2_bytes = (size_t)1 << 20};
    struct apx_error error = {0};
    graph = device_graph(device_lstm(24, has_lengths));
    REQUIRE(apx_backend_cpu.compile(graph, &options, &program, &error) == APX_OK);
}

static void finish(void)
{
    apx_backend_cpu.program_destroy(program);
    apx_graph_destroy(graph);
}

/* Rows of the worker with most, when each slice goes to the one that has least. */
static int64_t busiest(int64_t rows, int64_t slice, int workers)
{
    int64_t load[16] = {0}, most = 0;
    for (int64_t row = 0; row < rows; row += slice) {
        int least = 0;
        for (int w = 1; w < workers; w++)
            least = load[w] < load[least] ? w : least;
        load[least] += rows - row < slice ? rows - row : slice;
    }
    for (int w = 0; w < workers; w++)
        most = load[w] > most ? load[w] : most;
    return most;
}

static void shares_are_even(void)
{
    const struct apx_row_cost plenty = {.seconds = 1e-3, .bytes = 64};
    compile(NULL, false);
    for (int workers = 1; workers <= 16; workers++)
        for (int64_t rows = 1; rows <= 2000; rows++) {
            const int64_t slice = apx_backend_cpu.slice_rows(program, &plenty, rows, workers);
            const int64_t share = (rows + workers - 1) / workers;
            REQUIRE(slice >= 1 && slice <= rows);
            const int64_t loaded = (int64_t)(1.03 * (double)rows / workers);
            REQUIRE(busiest(rows, slice, workers) <= (loaded > share ? loaded : share));
        }
    finish();
}

/* Many rows: whole tiles. Little work: one slice. Slices that would not fit the cache are cut. */
static void tiles_cache_and_little_work(void)
{
    compile(NULL, false);
    const int64_t tile = (int64_t)program->tile_rows;
    struct apx_row_cost cost = {.seconds = 1e-3, .bytes = 64};
    CHECK_EQ(apx_backend_cpu.slice_rows(program, &cost, 4000, 2) % tile, 0);
    cost.seconds = 1e-7;
    CHECK_EQ(apx_backend_cpu.slice_rows(program, &cost, 300, 8), 300);
    cost = (struct apx_row_cost){.seconds = 1e-3, .bytes = 4096};
    CHECK(apx_backend_cpu.slice_rows(program, &cost, 4000, 2) <= 128);
    finish();
}

/* Steps of the worker with most, as busiest, if row n takes n + 1. */
static double busiest_steps(int64_t rows, int64_t slice, int workers)
{
    double load[16] = {0}, most = 0;
    for (int64_t row = 0; row < rows; row += slice) {
        const int64_t end = rows - row < slice ? rows : row + slice;
        int least = 0;
        for (int w = 1; w < workers; w++)
            least = load[w] < load[least] ? w : least;
        load[least] += (double)(end * (end + 1) - row * (row + 1)) / 2;
    }
    for (int w = 0; w < workers; w++)
        most = load[w] > most ? load[w] : most;
    return most;
}

/* Rows in the order of rising lengths, which is the worse one: the longest slice comes last. */
static void lengths_are_shared_out(void)
{
    const struct apx_row_cost plenty = {.seconds = 1e-3, .bytes = 64};
    compile(NULL, true);
    const int64_t tile = (int64_t)program->tile_rows;
    for (int workers = 2; workers <= 16; workers++)
        for (int64_t rows = 500 * workers; rows <= 500 * workers + 300; rows++) {
            const int64_t slice = apx_backend_cpu.slice_rows(program, &plenty, rows, workers);
            REQUIRE(slice >= 2 * tile && slice <= 64 + tile);
            const double even = (double)rows * (double)(rows + 1) / 2 / workers;
            REQUIRE(busiest_steps(rows, slice, workers) <= 1.15 * even);
        }
    CHECK(apx_backend_cpu.slice_rows(program, &plenty, 1000, 1) == 1000); /* nobody to share with */
    const struct apx_row_cost little = {.seconds = 1e-7, .bytes = 64};
    CHECK_EQ(apx_backend_cpu.slice_rows(program, &little, 400, 2),
             400); /* not worth waking anybody */
    finish();
}

int main(void)
{
    RUN(shares_are_even);
    RUN(tiles_cache_and_little_work);
    RUN(lengths_are_shared_out);
    return check_report();
}
