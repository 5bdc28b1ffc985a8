/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_order_test.c - rows of several lengths that are put in order on their way to the device:
 * everything that the caller gets is where it would be without, to the last bit. The fake device's
 * layers say that a row takes them long, so that order pays. */
#include "runtime/base/file.h"
#include "tests/device/device_case.h"

static void slow_rows(void)
{
    fake_cuda_reset();
    fake_cuda.row_seconds = 1e-3;
}

/* Slices of batches; lengths are 0 to `most` steps. How many of the slices were put in order. */
static unsigned long run_slices(struct device_case *c, int count, size_t most)
{
    const unsigned long before = device_counts(c).ordered;
    for (int i = 0; i < count; i++) {
        int64_t batch = 1 + (int64_t)rng_below(&device_rng, 300);
        int64_t first = (int64_t)rng_below(&device_rng, (size_t)batch);
        int64_t rows = 1 + (int64_t)rng_below(&device_rng, (size_t)(batch - first));
        device_run(c, batch, first, rows, (int64_t)rng_below(&device_rng, most + 1));
    }
    return device_counts(c).ordered - before;
}

/* Rows in the middle of the axes of x and y, and first in the dense layer's output. */
static void steps_first(void)
{
    slow_rows();
    struct device_case c = device_open(device_lstm(5, true), NULL);
    REQUIRE(c.status == APX_OK);
    CHECK(run_slices(&c, 200, 9) > 80);
    device_close(&c);
}

static void weights(struct apx_onnx *m, const char *name, int64_t gates, int64_t input)
{
    float values[128];
    const int64_t dims[3] = {1, gates, input};
    REQUIRE((size_t)(gates * input) <= sizeof values / sizeof *values);
    for (int64_t i = 0; i < gates * input; i++)
        values[i] = rng_real(&device_rng);
    apx_onnx_tensor(m, name, APX_F32, 3, dims, values);
}

/* Rows first, lengths of 64 bits, states that come and go, a copy of an input beside the layer, and
 * a step of the host behind it. */
static struct apx_onnx *rows_first(const char *inputs, const char *x)
{
    struct apx_onnx *m = case_begin(17, inputs, "all last z beside");
    weights(m, "w", 12, 3);
    weights(m, "r", 12, 4);
    if (strcmp(x, "x") != 0) {
        case_node(m, "Cast", "x", x);
        apx_onnx_int(m, "to", 1);
    }
    case_node(m, "Transpose", x, "xt");
    apx_onnx_ints(m, "perm", (const int64_t[]){1, 0, 2}, 3);
    case_node(m, "Cast", "n", "n32");
    apx_onnx_int(m, "to", 6);
    case_node(m, "GRU", "xt w r - n32 h0", "all h");
    apx_onnx_int(m, "hidden_size", 4);
    case_ints(m, "zero", 1, 0LL);
    case_node(m, "Squeeze", "h zero", "last");
    case_floats(m, "s", 1, 1, 4);
    case_node(m, "LayerNormalization", "last s", "z");
    case_ints(m, "three", 1, 3LL);
    case_node(m, "Mul", "n three", "beside");
    return m;
}

static void rows_first_and_states(void)
{
    slow_rows();
    struct device_case c = device_open(rows_first("x:f[b,t,3] n:l[b] h0:f[1,b,4]", "x"), NULL);
    REQUIRE(c.status == APX_OK);
    CHECK(run_slices(&c, 200, 9) > 80);
    device_close(&c);
}

/* float32 for a float64 input: each row widened at its place. */
static void narrow_rows(void)
{
    enum { ROWS = 100, STEPS = 5 };
    slow_rows();
    struct device_case c = device_open(rows_first("x:d[b,t,3] n:l[b] h0:f[1,b,4]", "xf"), NULL);
    REQUIRE(c.status == APX_OK);
    struct apx_tensor in[2][3], out[2][4];
    struct apx_error error = {0};
    int64_t symbols[APX_MAX_SYMBOLS] = {0};
    for (int i = 0; i < c.graph->symbol_count; i++)
        symbols[i] = i == apx_backend_cuda.row_symbol(c.cuda) ? ROWS : STEPS;
    float x[ROWS * STEPS * 3];
    for (int i = 0; i < 3; i++) {
        in[0][i] = device_tensor(c.graph, c.graph->inputs[i], symbols);
        device_fill(&in[0][i], 0, STEPS);
        in[1][i] = in[0][i];
    }
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        x[i] = rng_real(&device_rng);
        ((double *)in[0][0].data)[i] = (double)x[i];
    }
    in[1][0].dtype = APX_F32;
    in[1][0].data = x;
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < 4; i++)
            out[way][i] = device_tensor(c.graph, c.graph->outputs[i], symbols);
        const struct apx_slice slice = {
            .inputs = in[way], .outputs = out[way], .rows = ROWS, .symbols = symbols};
        CHECK_EQ(way == 0 ? apx_backend_cpu.run(c.cpu_lane, &slice, &error)
                          : apx_backend_cuda.run(c.cuda_lane, &slice, &error),
                 APX_OK);
    }
    CHECK_EQ(device_counts(&c).ordered, 1);
    for (int i = 0; i < 4; i++)
        CHECK(memcmp(out[0][i].data, out[1][i].data, out[0][i].bytes) == 0);
    for (int i = 0; i < 3; i++)
        free(in[0][i].data);
    for (int i = 0; i < 8; i++)
        free(out[i / 4][i % 4].data);
    device_close(&c);
}

/* Lengths that exporters write, with what they put around them. */
static void models_of_exporters(void)
{
    static const char *const names[] = {"torch_legacy_lstm_packed", "torch_legacy_gru_packed",
                                        "int8_torch_legacy_gru_packed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct apx_error error = {0};
        struct device_case c = {0};
        const struct apx_compile_options options = {.allocator = apx_allocator_default(),
                                                    .isa = "scalar"};
        char path[128], *data;
        size_t bytes;
        slow_rows();
        snprintf(path, sizeof path, "tests/golden/%s.onnx", names[i]);
        REQUIRE(apx_file_read(path, (size_t)1 << 24, &data, &bytes, &error) == APX_OK);
        REQUIRE(apx_onnx_read(data, bytes, NULL, apx_allocator_default(), &c.graph, &error) ==
                APX_OK);
        free(data);
        REQUIRE(apx_graph_infer(c.graph, &error) == APX_OK);
        REQUIRE(apx_backend_cpu.compile(c.graph, &options, &c.cpu, &error) == APX_OK);
        REQUIRE(apx_backend_cpu.lane_create(c.cpu, &c.cpu_lane, &error) == APX_OK);
        if (!CHECK(device_compile(&c, NULL) == APX_OK))
            fprintf(stderr, "    %s: %s\n", path, c.error.message);
        if (c.status == APX_OK && !CHECK(run_slices(&c, 60, 5) > 10))
            fprintf(stderr, "    %s\n", path);
        device_close(&c);
    }
}

/* What is said to a batch of these lengths, of which rows from `first` on are run. */
static enum apx_status run_lengths(struct device_case *c, const int32_t *lengths, int64_t batch,
                                   int64_t first, int64_t steps)
{
    struct apx_tensor in[2], out[2];
    int64_t symbols[APX_MAX_SYMBOLS] = {0};
    for (int i = 0; i < c->graph->symbol_count; i++)
        symbols[i] = i == apx_backend_cuda.row_symbol(c->cuda) ? batch : steps;
    for (int i = 0; i < 2; i++) {
        in[i] = device_tensor(c->graph, c->graph->inputs[i], symbols);
        out[i] = device_tensor(c->graph, c->graph->outputs[i], symbols);
    }
    device_fill(&in[0], 0, 0);
    memcpy(in[1].data, lengths, in[1].bytes);
    const struct apx_slice slice = {
        .inputs = in, .outputs = out, .row = first, .rows = batch - first, .symbols = symbols};
    memset(&c->error, 0, sizeof c->error);
    const enum apx_status status = apx_backend_cuda.run(c->cuda_lane, &slice, &c->error);
    for (int i = 0; i < 2; i++) {
        free(in[i].data);
        free(out[i].data);
    }
    return status;
}

static void lengths_that_lie(void)
{
    enum { ROWS = 70 };
    slow_rows();
    struct device_case c = device_open(device_lstm(3, true), NULL);
    int32_t lengths[ROWS];
    for (int way = 0; way < 4; way++) {
        for (int n = 0; n < ROWS; n++)
            lengths[n] = n % 6;
        lengths[41] = way == 0 ? 6 : way == 1 ? -1 : way == 2 ? INT32_MAX : INT32_MIN;
        CHECK_EQ(run_lengths(&c, lengths, ROWS, 0, 5), APX_EINVAL);
        CHECK_HAS(c.error.message, "sequence length is negative or longer");
    }
    CHECK_EQ(device_counts(&c).ordered, 4);
    device_close(&c);
}

/* Rows stay where nothing is won: lengths that are alike or in order, one tile, copies that take
 * longer than what is saved. */
static void stays_where_it_does_not_pay(void)
{
    enum { ROWS = 70 };
    slow_rows();
    struct device_case c = device_open(device_lstm(3, true), NULL);
    int32_t same[ROWS], falling[ROWS], mixed[ROWS];
    for (int n = 0; n < ROWS; n++) {
        same[n] = 4;
        falling[n] = 5 - n * 6 / ROWS;
        mixed[n] = n % 6;
    }
    CHECK_EQ(run_lengths(&c, same, ROWS, 0, 5), APX_OK);
    CHECK_EQ(run_lengths(&c, falling, ROWS, 0, 5), APX_OK);
    CHECK_EQ(run_lengths(&c, mixed, 16, 0, 5), APX_OK);
    CHECK_EQ(run_lengths(&c, mixed, 1, 0, 5), APX_OK);
    CHECK_EQ(device_counts(&c).ordered, 0);
    CHECK_EQ(run_lengths(&c, mixed, ROWS, 0, 5), APX_OK);
    CHECK_EQ(device_counts(&c).ordered, 1);
    memcpy(mixed + ROWS / 2, same, sizeof mixed / 2); /* those of the slice count */
    CHECK_EQ(run_lengths(&c, mixed, ROWS, ROWS / 2, 5), APX_OK);
    CHECK_EQ(device_counts(&c).ordered, 1);
    CHECK_EQ(run_lengths(&c, mixed, ROWS, 0, 5), APX_OK);
    CHECK_EQ(device_counts(&c).ordered, 2);
    device_close(&c);
    fake_cuda_reset(); /* a nanosecond a row */
    c = device_open(device_lstm(3, true), NULL);
    CHECK_EQ(run_lengths(&c, mixed, ROWS, 0, 5), APX_OK);
    CHECK_EQ(device_counts(&c).ordered, 0);
    device_close(&c);
}

/* Rows that meet each other are never moved. */
static void rows_that_meet(void)
{
    slow_rows();
    struct apx_onnx *m = device_lstm(3, true);
    case_node(m, "ReduceSum", "last zero", "sums");
    apx_onnx_output(m, "sums", APX_F32, 0, NULL);
    struct device_case c = device_open(m, NULL);
    REQUIRE(c.status == APX_OK);
    CHECK_EQ(apx_backend_cuda.row_symbol(c.cuda), -1);
    for (int64_t n = 1; n < 70; n += 4)
        device_run(&c, 1, 0, 1, n);
    CHECK_EQ(device_counts(&c).ordered, 0);
    device_close(&c);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static long allocations;

static void *count_alloc(void *context, size_t align, size_t bytes)
{
    (void)context;
    allocations++;
    return aligned_alloc(align, (bytes + align - 1) / align * align + align);
}

static void count_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static void no_allocation_in_a_run(void)
{
    static const struct apx_allocator counted = {count_alloc, count_release, NULL};
    slow_rows();
    struct device_case c = device_open(device_lstm(4, true), NULL);
    const struct apx_compile_options options = {.allocator = &counted, .cuda = &fake_cuda_driver};
    apx_backend_cuda.lane_destroy(c.cuda_lane);
    apx_backend_cuda.program_destroy(c.cuda);
    REQUIRE(apx_backend_cuda.compile(c.graph, &options, &c.cuda, &c.error) == APX_OK);
    REQUIRE(apx_backend_cuda.lane_create(c.cuda, &c.cuda_lane, &c.error) == APX_OK);
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 9;
    symbols[apx_backend_cuda.row_symbol(c.cuda)] = 128;
    CHECK_EQ(apx_backend_cuda.lane_reserve(c.cuda_lane, symbols, 128, &c.error), APX_OK);
    const long before = allocations;
    for (int64_t rows = 128; rows > 40; rows -= 8)
        device_run(&c, rows, 0, rows, rows % 9 + 1);
    CHECK_EQ(allocations, before);
    CHECK(device_counts(&c).ordered > 5);
    device_close(&c);
}

int main(void)
{
    RUN(steps_first);
    RUN(rows_first_and_states);
    RUN(narrow_rows);
    RUN(models_of_exporters);
    RUN(lengths_that_lie);
    RUN(stays_where_it_does_not_pay);
    RUN(rows_that_meet);
    RUN(no_allocation_in_a_run);
    return check_report();
}
