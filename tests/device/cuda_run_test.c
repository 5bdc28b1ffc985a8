/* SPDX-License-Identifier: Apache-2.0 */
/* Slices on the fake device: bits, buckets, graphs, memory that moves, engines that are shared. */
#include "tests/device/device_case.h"

#include <pthread.h>

static void rounds_to_buckets(void)
{
    static const int64_t expected[][2] = {{1, 1},   {7, 7},     {8, 8},     {9, 10},     {10, 10},
                                          {11, 12}, {15, 16},   {16, 16},   {17, 20},    {33, 40},
                                          {40, 40}, {100, 112}, {513, 640}, {1000, 1024}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        CHECK_EQ(apx_cuda_bucket(expected[i][0]), expected[i][1]);
    for (int64_t rows = 1; rows < 100000; rows++) {
        int64_t bucket = apx_cuda_bucket(rows);
        if (bucket < rows || (bucket - rows) * 4 > rows || apx_cuda_bucket(bucket) != bucket)
            CHECK_EQ(bucket, rows);
    }
    CHECK_EQ(apx_cuda_bucket((int64_t)1 << 40), (int64_t)1 << 40);
}

/* Rows in the middle of a tensor's axes, lengths, the last states: each slice by itself. */
static void gives_the_same_bits(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(5, true), NULL);
    REQUIRE(c.status == APX_OK);
    for (int i = 0; i < 200; i++) {
        int64_t batch = 1 + (int64_t)rng_below(&device_rng, 40);
        int64_t first = (int64_t)rng_below(&device_rng, (size_t)batch);
        int64_t rows = 1 + (int64_t)rng_below(&device_rng, (size_t)(batch - first));
        device_run(&c, batch, first, rows, (int64_t)rng_below(&device_rng, 4));
    }
    device_close(&c);
}

/* New: step by step. Again: captured. From then on one launch. */
static void captures_what_comes_again(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(4, false), NULL);
    for (int64_t n = 0; n < 5; n++)
        device_run(&c, 9 + n % 2, 0, 9 + n % 2, 3); /* one bucket */
    struct apx_cuda_counts counts = device_counts(&c);
    CHECK_EQ(counts.direct, 1);
    CHECK_EQ(counts.captured, 1);
    CHECK_EQ(counts.launched, 4);
    CHECK_EQ(fake_cuda.graphs, 1);
    unsigned long kernels = fake_cuda.calls[FAKE_LAUNCH], copies = fake_cuda.calls[FAKE_COPY_IN];
    unsigned long memory = fake_cuda.calls[FAKE_ALLOC] + fake_cuda.calls[FAKE_HOST_ALLOC];
    device_run(&c, 10, 0, 10, 3);
    CHECK_EQ(fake_cuda.calls[FAKE_LAUNCH], kernels);
    CHECK_EQ(fake_cuda.calls[FAKE_COPY_IN], copies);
    CHECK_EQ(fake_cuda.calls[FAKE_ALLOC] + fake_cuda.calls[FAKE_HOST_ALLOC], memory);
    device_run(&c, 9, 0, 9, 4); /* other steps: another shape */
    CHECK_EQ(device_counts(&c).direct, 2);
    device_close(&c);
}

/* A graph holds addresses: it goes when its memory moves. */
static void forgets_graphs_when_memory_moves(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(4, false), NULL);
    for (int n = 0; n < 3; n++)
        device_run(&c, 4, 0, 4, 3);
    CHECK_EQ(fake_cuda.graphs, 1);
    device_run(&c, 400, 0, 400, 3);
    CHECK_EQ(fake_cuda.graphs, 0);
    device_run(&c, 4, 0, 4, 3);
    CHECK_EQ(fake_cuda.graphs, 1);
    CHECK_EQ(device_counts(&c).captured, 2);
    device_close(&c);
}

static void reserves(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(4, false), NULL);
    int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_error error = {0};
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 3;
    symbols[apx_backend_cuda.row_symbol(c.cuda)] = 64;
    CHECK_EQ(apx_backend_cuda.lane_reserve(c.cuda_lane, symbols, 64, &error), APX_OK);
    unsigned long memory = fake_cuda.calls[FAKE_ALLOC] + fake_cuda.calls[FAKE_HOST_ALLOC];
    device_run(&c, 64, 0, 64, 3);
    device_run(&c, 7, 0, 7, 2);
    CHECK_EQ(fake_cuda.calls[FAKE_ALLOC] + fake_cuda.calls[FAKE_HOST_ALLOC], memory);
    device_close(&c);
}

/* The least recently used shape gives way. */
static void bounds_its_graphs(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(2, false), NULL);
    device_run(&c, 3, 0, 3, 60);
    for (int64_t t = 1; t <= 50; t++)
        for (int n = 0; n < 2; n++)
            device_run(&c, 3, 0, 3, t);
    CHECK_EQ(fake_cuda.graphs, APX_CUDA_SHAPES);
    unsigned long captured = device_counts(&c).captured;
    device_run(&c, 3, 0, 3, 50);
    device_run(&c, 3, 0, 3, 30);
    CHECK_EQ(device_counts(&c).captured, captured);
    unsigned long direct = device_counts(&c).direct;
    device_run(&c, 3, 0, 3, 1);
    CHECK_EQ(device_counts(&c).direct, direct + 1);
    device_close(&c);
}

/* Without rows that are independent the batch is one piece, and no bucket. */
static void runs_whole_batches(void)
{
    fake_cuda_reset();
    struct apx_onnx *m = case_begin(17, "x:f[n,3]", "y");
    case_node(m, "Tanh", "x", "t");
    case_node(m, "ReduceSum", "t", "y");
    struct device_case c = device_open(m, NULL);
    CHECK_EQ(apx_backend_cuda.row_symbol(c.cuda), -1);
    for (int64_t n = 1; n < 20; n++)
        device_run(&c, 1, 0, 1, n);
    device_close(&c);
}

/* What a device lacks at the end of a model the host does; in its middle it makes the model unfit.
 */
static void shares_with_the_host(void)
{
    fake_cuda_reset();
    struct apx_onnx *m = case_begin(17, "x:f[b,3] i:l[b]", "y z");
    const int64_t dims[2] = {3, 4};
    float w[12];
    for (size_t i = 0; i < 12; i++)
        w[i] = rng_real(&device_rng);
    apx_onnx_tensor(m, "w", APX_F32, 2, dims, w);
    case_node(m, "MatMul", "x w", "p");
    case_node(m, "LayerNormalization", "p s", "y");
    case_floats(m, "s", 1, 1, 4);
    case_ints(m, "two", 1, 2LL);
    case_node(m, "Mul", "i two", "z");
    struct device_case c = device_open(m, NULL);
    REQUIRE(c.status == APX_OK);
    for (int64_t rows = 1; rows < 30; rows++)
        device_run(&c, rows + 5, 3, rows, 7);
    device_close(&c);

    m = case_begin(17, "x:f[b,4]", "y");
    const int64_t square[2] = {4, 4};
    float v[16] = {0};
    apx_onnx_tensor(m, "w", APX_F32, 2, square, v);
    case_floats(m, "s", 1, 1, 4);
    case_node(m, "LayerNormalization", "x s", "n");
    case_node(m, "MatMul", "n w", "y");
    c = device_open(m, NULL);
    CHECK_EQ(c.status, APX_EUNSUPPORTED);
    CHECK_HAS(c.error.message, "has no kernel for this layer_norm");
    device_close(&c);
}

static void refuses_what_it_has_no_row_for(void)
{
    fake_cuda_reset();
    fake_cuda.most_hidden = 4;
    struct device_case c = device_open(device_lstm(5, false), NULL);
    CHECK_EQ(c.status, APX_EUNSUPPORTED);
    CHECK_STR(c.error.field, "LSTM");
    CHECK_HAS(c.error.message, "LSTM: device \"cuda\" has no kernel for this lstm (precision fp32 "
                               "on Fake GPU); use device \"cpu\"");
    fake_cuda.most_hidden = 5;
    CHECK_EQ(device_compile(&c, "fp16"), APX_OK);
    device_run(&c, 3, 0, 3, 3);
    device_close(&c);
}

/* Extents that a kernel would not take, and lengths that lie. */
static void refuses_extents(void)
{
    fake_cuda_reset();
    struct apx_onnx *m = case_begin(17, "x:f[b,t,3]", "y");
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Tanh", "x", "h");
    case_node(m, "ReduceMax", "h", "y");
    apx_onnx_ints(m, "axes", (const int64_t[]){1}, 1);
    struct device_case c = device_open(m, NULL);
    device_run(&c, 3, 0, 3, 2);
    CHECK_EQ(device_try(&c, 3, 0, 3, 0), APX_EUNSUPPORTED);
    CHECK_HAS(c.error.message, "ReduceMax: device \"cuda\" has no kernel for these extents");
    device_run(&c, 3, 0, 3, 2);
    device_close(&c);

    c = device_open(device_lstm(3, true), NULL);
    for (int way = 0; way < 4; way++) { /* the last two by graph */
        int64_t symbols[APX_MAX_SYMBOLS] = {0};
        for (int i = 0; i < c.graph->symbol_count; i++)
            symbols[i] = 2;
        struct apx_tensor in[2], out[2];
        for (int i = 0; i < 2; i++) {
            in[i] = device_tensor(c.graph, c.graph->inputs[i], symbols);
            device_fill(&in[i], 1, 2);
            out[i] = device_tensor(c.graph, c.graph->outputs[i], symbols);
        }
        ((int32_t *)in[1].data)[1] = way % 2 == 0 ? 3 : -1;
        const struct apx_slice slice = {
            .inputs = in, .outputs = out, .rows = 2, .symbols = symbols};
        CHECK_EQ(apx_backend_cuda.run(c.cuda_lane, &slice, &c.error), APX_EINVAL);
        CHECK_HAS(c.error.message, "sequence length is negative or longer");
        for (int i = 0; i < 2; i++) {
            free(in[i].data);
            free(out[i].data);
        }
        device_run(&c, 2, 0, 2, 2);
    }
    device_close(&c);
}

/* ---- engines --------------------------------------------------------------------------------- */

static struct device_case shared;

static void *work(void *memory)
{
    struct rng rng = {*(uint64_t *)memory};
    struct apx_lane *lane = NULL;
    struct apx_error error = {0};
    size_t wrong = 0;
    if (apx_backend_cuda.lane_create(shared.cuda, &lane, &error) != APX_OK)
        return memory;
    for (int i = 0; i < 60; i++) {
        int64_t rows = 1 + (int64_t)rng_below(&rng, 20), symbols[APX_MAX_SYMBOLS] = {rows};
        float x[20], y[20];
        for (int64_t k = 0; k < rows; k++)
            x[k] = rng_real(&rng);
        struct apx_tensor in = {.dtype = APX_F32, .rank = 1, .dims = {rows}, .data = x};
        struct apx_tensor out = {.dtype = APX_F32, .rank = 1, .dims = {rows}, .data = y};
        const struct apx_slice slice = {
            .inputs = &in, .outputs = &out, .rows = rows, .symbols = symbols};
        wrong += apx_backend_cuda.run(lane, &slice, &error) != APX_OK;
        for (int64_t k = 0; k < rows; k++)
            wrong += y[k] != (x[k] > 0 ? x[k] : 0);
    }
    apx_backend_cuda.lane_destroy(lane);
    return wrong > 0 ? memory : NULL;
}

/* More workers than engines, on two devices. */
static void lends_engines(void)
{
    enum { WORKERS = 8 };
    pthread_t threads[WORKERS];
    uint64_t seeds[WORKERS];
    fake_cuda_reset();
    fake_cuda.devices = 2;
    struct apx_onnx *m = case_begin(17, "x:f[b]", "y");
    case_node(m, "Relu", "x", "y");
    shared = device_open(m, NULL);
    REQUIRE(shared.status == APX_OK);
    for (int i = 0; i < WORKERS; i++) {
        seeds[i] = (uint64_t)i + 1;
        REQUIRE(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        CHECK(result == NULL);
    }
    CHECK(fake_cuda.streams <= 2 * APX_CUDA_ENGINES);
    device_close(&shared);
}

/* One at a time: the first engine every time. Two at once: the second device has less to do. */
static void spreads_over_devices(void)
{
    fake_cuda_reset();
    fake_cuda.devices = 2;
    struct device_case c = device_open(device_lstm(3, false), NULL);
    struct apx_cuda_pool *pool = apx_cuda_backend_pool(c.cuda);
    struct apx_cuda_engine *engines[2 * APX_CUDA_ENGINES];
    int of_device[2] = {0};
    for (int n = 0; n < 3; n++) {
        REQUIRE(apx_cuda_pool_take(pool, &engines[n % 2], NULL) == APX_OK);
        CHECK(n == 0 || engines[0] == engines[n % 2]);
        engines[0] = engines[n % 2];
        apx_cuda_pool_give(pool, engines[0]);
    }
    for (int n = 0; n < 2 * APX_CUDA_ENGINES; n++) {
        REQUIRE(apx_cuda_pool_take(pool, &engines[n], NULL) == APX_OK);
        of_device[apx_cuda_engine_device(engines[n])]++;
        CHECK(abs(of_device[0] - of_device[1]) <= 1);
    }
    for (int n = 0; n < 2 * APX_CUDA_ENGINES; n++)
        apx_cuda_pool_give(pool, engines[n]);
    device_run(&c, 5, 0, 5, 3);
    device_close(&c);
}

static void cuts_batches(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(4, false), NULL);
    struct apx_row_cost cost;
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 10;
    apx_backend_cuda.row_cost(c.cuda, symbols, &cost);
    CHECK(cost.seconds > 0 && cost.bytes > 0 && cost.flops > 0);
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000, 8), 1000);
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 30000, 8), 10240); /* three engines */
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 30000, 1), 30000);
    CHECK(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000000, 1) <= 65536);
    cost.gpu_most_rows = 100;
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000, 1), 100);
    cost.gpu_most_rows = 0; /* it is for the device to refuse one */
    CHECK_EQ(apx_backend_cuda.slice_rows(c.cuda, &cost, 1000, 1), 1);
    device_close(&c);
}

int main(void)
{
    RUN(rounds_to_buckets);
    RUN(gives_the_same_bits);
    RUN(captures_what_comes_again);
    RUN(forgets_graphs_when_memory_moves);
    RUN(reserves);
    RUN(bounds_its_graphs);
    RUN(runs_whole_batches);
    RUN(shares_with_the_host);
    RUN(refuses_what_it_has_no_row_for);
    RUN(refuses_extents);
    RUN(lends_engines);
    RUN(spreads_over_devices);
    RUN(cuts_batches);
    case_end();
    return check_report();
}
