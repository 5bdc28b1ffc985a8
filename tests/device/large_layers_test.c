/* SPDX-License-Identifier: Apache-2.0 */
/* large_layers_test.c - a model whose layers are cuBLASLt's, on device "cuda": the real kernels,
 * emulated, and a stand-in for the library, with streams, graphs and buckets. */
#include "tests/device/device_case.h"

enum { STEPS = 3, INPUT = 6, HIDDEN = 520, OUTPUT = 2048, BATCH = 11 };

static void add_weights(struct apx_onnx *m, const char *name, int rank, int64_t rows, int64_t width)
{
    const int64_t dims[3] = {1, rows, width};
    float *data = malloc((size_t)(rows * width) * sizeof *data);
    REQUIRE(data != NULL);
    for (int64_t i = 0; i < rows * width; i++)
        data[i] = rng_real(&device_rng) / 16;
    apx_onnx_tensor(m, name, APX_F32, rank, rank == 3 ? dims : dims + 1, data);
    free(data);
}

/* A recurrent layer and a dense one. */
static struct apx_graph *build(const char *op, int gates)
{
    struct apx_onnx *m = case_begin(17, "x:f[3,b,6] n:i[b]", "z");
    add_weights(m, "w", 3, gates * HIDDEN, INPUT);
    add_weights(m, "r", 3, gates * HIDDEN, HIDDEN);
    add_weights(m, "dense", 2, HIDDEN, OUTPUT);
    case_ints(m, "zero", 1, 0LL);
    case_node(m, op, "x w r - n", "y h");
    apx_onnx_int(m, "hidden_size", HIDDEN);
    case_node(m, "Squeeze", "h zero", "state");
    case_node(m, "MatMul", "state dense", "product");
    case_node(m, "Relu", "product", "z");
    return device_graph(m);
}

/* Rows first .. first + rows of `in` into `out`. */
static void run(const struct apx_backend *backend, struct apx_lane *lane,
                const struct apx_tensor in[2], struct apx_tensor *out, int64_t first, int64_t rows)
{
    int64_t symbols[APX_MAX_SYMBOLS] = {BATCH};
    struct apx_error error = {0};
    const struct apx_slice slice = {
        .inputs = in, .outputs = out, .row = first, .rows = rows, .symbols = symbols};
    if (!CHECK(backend->run(lane, &slice, &error) == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
}

static void one(const char *op, int gates)
{
    struct apx_graph *graph = build(op, gates);
    struct apx_compile_options options = {.allocator = apx_allocator_default(), .isa = "scalar"};
    struct apx_program *cpu = NULL, *cuda = NULL;
    struct apx_lane *cpu_lane = NULL, *cuda_lane = NULL;
    struct apx_error error = {0};
    REQUIRE(apx_backend_cpu.compile(graph, &options, &cpu, &error) == APX_OK);
    REQUIRE(apx_backend_cpu.lane_create(cpu, &cpu_lane, &error) == APX_OK);
    options.isa = NULL;
    REQUIRE(apx_backend_cuda.compile(graph, &options, &cuda, &error) == APX_OK);
    REQUIRE(apx_backend_cuda.lane_create(cuda, &cuda_lane, &error) == APX_OK);
    const struct apx_cuda_program *program = apx_cuda_backend_program(cuda);
    int large = 0;
    for (int s = 0; s < program->plan->step_count; s++)
        large += program->steps[s].choice.kernel != NULL &&
                 strstr(program->steps[s].choice.kernel, "_lt") != NULL;
    CHECK_EQ(large, 2);

    const int64_t symbols[APX_MAX_SYMBOLS] = {BATCH};
    struct apx_tensor in[2], out[3];
    for (int i = 0; i < 2; i++) {
        in[i] = device_tensor(graph, graph->inputs[i], symbols);
        device_fill(&in[i], 0, STEPS);
    }
    for (int i = 0; i < 3; i++)
        out[i] = device_tensor(graph, graph->outputs[0], symbols);
    const float *expected = out[0].data, *whole = out[1].data, *part = out[2].data;
    run(&apx_backend_cpu, cpu_lane, in, &out[0], 0, BATCH);
    run(&apx_backend_cuda, cuda_lane, in, &out[1], 0, BATCH);
    for (size_t i = 0; i < (size_t)BATCH * OUTPUT; i++)
        CHECK_NEAR(whole[i], expected[i], 1e-5);
    for (int n = 0; n < 3; n++) { /* at once, captured, as a graph */
        run(&apx_backend_cuda, cuda_lane, in, &out[2], 4, 5);
        CHECK(memcmp(part + 4 * OUTPUT, whole + 4 * OUTPUT, 5 * OUTPUT * sizeof *part) == 0);
        memset(out[2].data, 0x5a, out[2].bytes);
    }
    for (int i = 0; i < 2; i++)
        free(in[i].data);
    for (int i = 0; i < 3; i++)
        free(out[i].data);
    apx_backend_cpu.lane_destroy(cpu_lane);
    apx_backend_cuda.lane_destroy(cuda_lane);
    apx_backend_cpu.program_destroy(cpu);
    apx_backend_cuda.program_destroy(cuda);
    apx_graph_destroy(graph);
}

static void lstm(void)
{
    one("LSTM", 4);
}

static void gru(void)
{
    one("GRU", 3);
}

int main(void)
{
    RUN(lstm);
    RUN(gru);
    case_end();
    return check_report();
}
