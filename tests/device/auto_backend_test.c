/* SPDX-License-Identifier: Apache-2.0 */
/* Device "auto": who takes which batch, that it is the same one every time, and that the CPU is
 * there when the GPU is not. */
#include "runtime/device/auto_backend.h"

#include <jansson.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "runtime/base/file.h"
#include "runtime/device/crossover.h"
#include "tests/device/device_case.h"

static struct apx_program *automatic;
static struct apx_lane *lane;
static const char *cache; /* a folder of measured times; NULL: none is looked for */

/* The case's cuda program is not used: its lane's place is taken. */
static struct device_case open_auto(struct apx_onnx *onnx)
{
    struct device_case c = {.graph = device_graph(onnx)};
    const struct apx_compile_options options = {.allocator = apx_allocator_default(),
                                                .isa = "scalar",
                                                .cuda = &fake_cuda_driver,
                                                .file = cache != NULL ? "the model" : NULL,
                                                .file_bytes = 9,
                                                .cache = cache};
    struct apx_error error = {0};
    REQUIRE(apx_backend_cpu.compile(c.graph, &options, &c.cpu, &error) == APX_OK);
    REQUIRE(apx_backend_cpu.lane_create(c.cpu, &c.cpu_lane, &error) == APX_OK);
    REQUIRE(apx_backend_auto.compile(c.graph, &options, &automatic, &error) == APX_OK);
    REQUIRE(apx_backend_auto.lane_create(automatic, &lane, &error) == APX_OK);
    return c;
}

static void close_auto(struct device_case *c)
{
    apx_backend_auto.lane_destroy(lane);
    apx_backend_auto.program_destroy(automatic);
    device_close(c);
}

static void fill_symbols(const struct device_case *c, int64_t rows, int64_t other, int64_t *symbols)
{
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = i < c->graph->symbol_count ? other : 0;
    symbols[apx_backend_auto.row_symbol(automatic)] = rows;
}

/* Runs a batch, compares its bits with the CPU's, and tells whether the device did something. */
static bool goes_to_gpu(struct device_case *c, int64_t rows, int64_t other)
{
    int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_tensor in, out[2][2];
    struct apx_error error = {0};
    fill_symbols(c, rows, other, symbols);
    in = device_tensor(c->graph, c->graph->inputs[0], symbols);
    device_fill(&in, 0, 1);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < c->graph->output_count; k++)
            out[i][k] = device_tensor(c->graph, c->graph->outputs[k], symbols);
    struct apx_slice slice = {.inputs = &in, .outputs = out[0], .rows = rows, .symbols = symbols};
    CHECK_EQ(apx_backend_cpu.run(c->cpu_lane, &slice, &error), APX_OK);
    slice.outputs = out[1];
    unsigned long before = fake_cuda.all_calls;
    CHECK_EQ(apx_backend_auto.lane_reserve(lane, symbols, rows, &error), APX_OK);
    CHECK_EQ(apx_backend_auto.run(lane, &slice, &error), APX_OK);
    CHECK_STR(error.message, "");
    for (int k = 0; k < c->graph->output_count; k++) {
        CHECK(memcmp(out[0][k].data, out[1][k].data, out[0][k].bytes) == 0);
        free(out[0][k].data);
        free(out[1][k].data);
    }
    free(in.data);
    return fake_cuda.all_calls != before;
}

static void chooses_by_size(void)
{
    fake_cuda_reset();
    struct device_case c = open_auto(device_lstm(8, false));
    int64_t symbols[APX_MAX_SYMBOLS];
    fill_symbols(&c, 0, 6, symbols);
    int64_t from = apx_auto_from_rows(automatic, symbols);
    CHECK(from > 2 && from < 1000);
    CHECK(!goes_to_gpu(&c, 1, 6));
    CHECK(!goes_to_gpu(&c, from - 1, 6));
    CHECK(goes_to_gpu(&c, from, 6));
    CHECK(goes_to_gpu(&c, 2 * from, 6));
    CHECK(!goes_to_gpu(&c, 1, 6));
    struct apx_row_cost cost;
    apx_backend_auto.row_cost(automatic, symbols, &cost);
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 9000, 1), 9000); /* the GPU's way */
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, from - 1, 1), from - 1);
    /* A row of one step is hardly worth a trip. */
    fill_symbols(&c, 0, 1, symbols);
    CHECK(apx_auto_from_rows(automatic, symbols) > from);
    close_auto(&c);
}

static void tells_what_it_would_do(void)
{
    fake_cuda_reset();
    struct device_case c = open_auto(device_lstm(8, false));
    json_t *json = json_object(), *cuda;
    CHECK_EQ(apx_backend_auto.describe(automatic, json), APX_OK);
    cuda = json_object_get(json, "cuda");
    CHECK_STR(json_string_value(json_object_get(json, "isa")), "scalar");
    CHECK_STR(json_string_value(json_object_get(cuda, "isa")), "sm_90");
    CHECK_STR(json_string_value(json_object_get(cuda, "gpu")), "Fake GPU");
    /* As a session has it by itself, and for one thread: more threads make the CPU sooner. */
    const int64_t from = json_integer_value(json_object_get(cuda, "from_rows"));
    const int64_t alone = json_integer_value(json_object_get(cuda, "from_rows_one_thread"));
    CHECK(alone > 1 && alone <= from);
    apx_backend_auto.lane_share(lane, 64);
    json_t *shared = json_object();
    CHECK_EQ(apx_backend_auto.describe(automatic, shared), APX_OK);
    CHECK_EQ(json_integer_value(
                 json_object_get(json_object_get(shared, "cuda"), "from_rows_one_thread")),
             alone);
    json_decref(shared);
    CHECK(json_is_integer(json_object_get(cuda, "from_rows")));
    CHECK(json_is_false(json_object_get(cuda, "is_broken")));
    json_decref(json);
    close_auto(&c);

    fake_cuda.most_hidden = 4; /* nothing of this model for the device */
    c = open_auto(device_lstm(8, false));
    json = json_object();
    CHECK_EQ(apx_backend_auto.describe(automatic, json), APX_OK);
    cuda = json_object_get(json, "cuda");
    CHECK_HAS(json_string_value(json_object_get(cuda, "reason")), "has no kernel for this lstm");
    CHECK_STR(json_string_value(json_object_get(json, "device")), "cpu");
    CHECK(!goes_to_gpu(&c, 5000, 3));
    json_decref(json);
    close_auto(&c);
}

/* Without memory for a batch the CPU takes that one; a GPU that fails is not asked again. */
static void falls_back(void)
{
    static const enum fake_call calls[] = {FAKE_ALLOC, FAKE_WAIT, FAKE_STREAM_CREATE};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fake_cuda_reset();
        struct device_case c = open_auto(device_lstm(8, false));
        const bool is_full = calls[i] == FAKE_ALLOC;
        fake_cuda.fail_call = calls[i];
        fake_cuda.fail_at = 1;
        fake_cuda.fail_count = 2; /* when room is made, and when it is run */
        fake_cuda.fail_code = is_full ? FAKE_NO_MEMORY : FAKE_LAUNCH_FAILED;
        CHECK(goes_to_gpu(&c, 3000, 6));
        CHECK_EQ(goes_to_gpu(&c, 3000, 6), is_full);
        json_t *json = json_object();
        CHECK_EQ(apx_backend_auto.describe(automatic, json), APX_OK);
        CHECK_EQ(json_is_true(json_object_get(json_object_get(json, "cuda"), "is_broken")),
                 !is_full);
        json_decref(json);
        close_auto(&c);
    }
}

/* A model that has no rows is one batch. */
static void takes_whole_batches(void)
{
    fake_cuda_reset();
    struct apx_onnx *m = case_begin(17, "x:f[3000,30]", "y");
    case_node(m, "Tanh", "x", "t");
    case_node(m, "Tanh", "t", "u");
    case_node(m, "Tanh", "u", "y");
    struct device_case c = open_auto(m);
    CHECK_EQ(apx_backend_auto.row_symbol(automatic), -1);
    struct apx_row_cost cost;
    static const int64_t symbols[APX_MAX_SYMBOLS];
    apx_backend_auto.row_cost(automatic, symbols, &cost);
    CHECK(cost.gpu_call_seconds > 0 && cost.gpu_call_seconds < 1);
    CHECK_EQ(cost.gpu_seconds, 0);
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 1, 4), 1);
    close_auto(&c);
}

static struct apx_crossover_key measured_key(void)
{
    struct apx_crossover_key key;
    apx_crossover_key_make("the model", 9, NULL, "Fake GPU", 1, 13000, "scalar", &key);
    return key;
}

static void clear(const char *folder)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s/.lock", folder);
    CHECK(unlink(lock) == 0 && rmdir(folder) == 0);
}

static void store(int threads, int64_t steps, int64_t from)
{
    const struct apx_crossover_key key = measured_key();
    struct apx_crossover c = {.threads = threads,
                              .steps = steps,
                              .measured = "2026-11-21T22:40:00Z",
                              .point_count = 2,
                              .points = {{from - 1, 1000, 2000}, {from, 2000, 1000}}};
    struct apx_error error = {0};
    char *path;
    if (from == 0) { /* never */
        c.points[0] = (struct apx_crossover_point){1, 1000, 2000};
        c.points[1] = (struct apx_crossover_point){9000, 1000, 2000};
    } else if (from == 1) { /* always */
        c.point_count = 1;
        c.points[0] = (struct apx_crossover_point){1, 2000, 1000};
    }
    REQUIRE(apx_crossovers_store(cache, &key, &c, &path, &error) == APX_OK);
    free(path);
}

/* For the threads and steps that were measured the file decides, for others the estimate. */
static void goes_by_what_was_measured(void)
{
    static char folder[] = "/tmp/auto_backend_test_XXXXXX";
    REQUIRE(mkdtemp(folder) != NULL);
    fake_cuda_reset();
    cache = folder;
    struct device_case c = open_auto(device_lstm(8, false)); /* nothing there yet */
    int64_t symbols[APX_MAX_SYMBOLS];
    fill_symbols(&c, 0, 6, symbols);
    const int64_t estimate = apx_auto_from_rows(automatic, symbols);
    CHECK(apx_backend_auto.notice(automatic) == NULL);
    CHECK(estimate > 5 && estimate < 700);
    close_auto(&c);

    store(1, 6, 700);
    store(4, 6, 5);
    store(1, 3, 0);
    c = open_auto(device_lstm(8, false));
    CHECK(apx_backend_auto.notice(automatic) == NULL);
    CHECK_EQ(apx_auto_from_rows(automatic, symbols), 700);
    CHECK(!goes_to_gpu(&c, 699, 6));
    CHECK(goes_to_gpu(&c, 700, 6));
    struct apx_row_cost cost;
    apx_backend_auto.row_cost(automatic, symbols, &cost);
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 9000, 1), 9000); /* the GPU's way */
    /* The session's threads decide, however many lanes are asked for. */
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 690, 4),
             apx_backend_cpu.slice_rows(c.cpu, &cost, 690, 4));
    CHECK(apx_backend_auto.slice_rows(automatic, &cost, 690, 4) < 690);
    cost.threads = 4;
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 690, 4), 690);
    CHECK_EQ(apx_backend_auto.slice_rows(automatic, &cost, 690, 1), 690);
    CHECK(!goes_to_gpu(&c, 9000, 3));    /* as far as it was measured with three steps */
    CHECK(goes_to_gpu(&c, estimate, 7)); /* not measured */
    fill_symbols(&c, 0, 3, symbols);
    CHECK_EQ(apx_auto_from_rows(automatic, symbols), -1); /* nor beyond, as it stands there */
    apx_backend_auto.lane_share(lane, 4);
    CHECK(!goes_to_gpu(&c, 4, 6));
    CHECK(goes_to_gpu(&c, 5, 6));
    json_t *json = json_object();
    CHECK_EQ(apx_backend_auto.describe(automatic, json), APX_OK);
    json_t *cuda = json_object_get(json, "cuda");
    CHECK_EQ(json_array_size(json_object_get(cuda, "measured")), 3);
    CHECK_STR(json_string_value(json_object_get(cuda, "from_rows_by")), "estimate"); /* 1 step */
    CHECK(json_is_null(json_object_get(cuda, "notice")));
    json_decref(json);
    close_auto(&c);

    /* A damaged file: the estimate, and a line that says so. */
    const struct apx_crossover_key key = measured_key();
    char *path = apx_crossover_path(folder, &key);
    REQUIRE(path != NULL && apx_file_replace(path, "{\"format\": 1}", 13, NULL) == APX_OK);
    c = open_auto(device_lstm(8, false));
    fill_symbols(&c, 0, 6, symbols);
    CHECK_EQ(apx_auto_from_rows(automatic, symbols), estimate);
    CHECK_HAS(apx_backend_auto.notice(automatic), path);
    CHECK_HAS(apx_backend_auto.notice(automatic),
              "is not used: it is no \"auspex crossover 1\"; measure again");
    close_auto(&c);
    unlink(path);
    clear(folder);
    free(path);
    cache = NULL;
}

/* What was measured of few sizes says nothing of others, but how far the estimate is off there. */
static void estimates_beyond_the_measured(void)
{
    static char folder[] = "/tmp/auto_backend_test_XXXXXX";
    REQUIRE(mkdtemp(folder) != NULL);
    cache = folder;
    const struct apx_crossover_key key = measured_key();
    struct apx_crossover c = {.threads = 1, .steps = 6, .measured = "2026-11-21T22:40:00Z"};
    char *path = apx_crossover_path(folder, &key), *stored;
    int64_t from[3], symbols[APX_MAX_SYMBOLS];
    /* The CPU takes 1 us a row, the GPU a constant, more and more of it. */
    for (int i = 0; i < 3; i++) {
        static const int64_t gpu_ns[] = {50000, 500000, 5000000};
        c.point_count = 2;
        c.points[0] = (struct apx_crossover_point){4, 4000, gpu_ns[i]};
        c.points[1] = (struct apx_crossover_point){16, 16000, gpu_ns[i]};
        unlink(path);
        REQUIRE(apx_crossovers_store(folder, &key, &c, &stored, NULL) == APX_OK);
        free(stored);
        fake_cuda_reset();
        struct device_case d = open_auto(device_lstm(8, false));
        fill_symbols(&d, 0, 6, symbols);
        from[i] = apx_auto_from_rows(automatic, symbols);
        CHECK(!goes_to_gpu(&d, 1, 6));
        CHECK(!goes_to_gpu(&d, 16, 6));
        CHECK(i == 2 || goes_to_gpu(&d, from[i], 6));
        /* A little more than the constant, for the rows that the GPU has to compute as well. */
        if (!CHECK(from[i] >= gpu_ns[i] / 1000 && from[i] < gpu_ns[i] / 1000 * 2))
            fprintf(stderr, "    %lld\n", (long long)from[i]);
        close_auto(&d);
    }
    /* And below: 64 rows are the GPU's by far, the estimate still gives one row to the CPU. */
    c.point_count = 1;
    c.points[0] = (struct apx_crossover_point){4096, 4096000, 60000};
    unlink(path);
    REQUIRE(apx_crossovers_store(folder, &key, &c, &stored, NULL) == APX_OK);
    free(stored);
    struct device_case d = open_auto(device_lstm(8, false));
    from[0] = apx_auto_from_rows(automatic, symbols);
    if (!CHECK(from[0] > 1 && from[0] < 200))
        fprintf(stderr, "    %lld\n", (long long)from[0]);
    json_t *json = json_object();
    CHECK_EQ(apx_backend_auto.describe(automatic, json), APX_OK);
    const json_t *entry =
        json_array_get(json_object_get(json_object_get(json, "cuda"), "measured"), 0);
    CHECK_EQ(json_integer_value(json_object_get(entry, "auto_from_rows")), from[0]);
    CHECK_EQ(json_integer_value(json_object_get(entry, "from_rows")), 4096);
    json_decref(json);
    close_auto(&d);
    unlink(path);
    clear(folder);
    free(path);
    cache = NULL;
}

/* A model of fixed size: one call, on one thread. */
static void measures_whole_batches(void)
{
    static char folder[] = "/tmp/auto_backend_test_XXXXXX";
    REQUIRE(mkdtemp(folder) != NULL);
    cache = folder;
    const struct apx_crossover_key key = measured_key();
    char *path = apx_crossover_path(folder, &key);
    for (int on_gpu = 0; on_gpu < 2; on_gpu++) {
        fake_cuda_reset();
        unlink(path);
        store(1, 0, on_gpu); /* from 1: one row, or never */
        struct apx_onnx *m = case_begin(17, "x:f[300,30]", "y");
        case_node(m, "Tanh", "x", "y");
        struct device_case c = open_auto(m);
        static const int64_t none[APX_MAX_SYMBOLS];
        CHECK_EQ(apx_auto_from_rows(automatic, none), on_gpu ? 1 : -1);
        close_auto(&c);
    }
    unlink(path);
    clear(folder);
    free(path);
    cache = NULL;
}

int main(void)
{
    RUN(chooses_by_size);
    RUN(tells_what_it_would_do);
    RUN(falls_back);
    RUN(takes_whole_batches);
    RUN(goes_by_what_was_measured);
    RUN(measures_whole_batches);
    RUN(estimates_beyond_the_measured);
    case_end();
    return check_report();
}
