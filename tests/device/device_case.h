/* SPDX-License-Identifier: Apache-2.0 */
/* device_case.h - one model on the CPU's scalar kernels and on the fake CUDA device.
 *
 *     struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
 *     struct device_case c = device_open(m, NULL);          compiles both; c.status is cuda's
 *     device_run(&c, 5, 1, 3, 7);                           rows 1 to 3 of 5, other symbols 7:
 *     device_close(&c);                                     both must give the same bits
 */
#ifndef APX_TESTS_DEVICE_CASE_H
#define APX_TESTS_DEVICE_CASE_H

#include "runtime/device/cuda_backend.h"
#include "tests/device/fake_cuda.h"
#include "tests/harness/rng.h"
#include "tests/runtime/model_case.h"

#define DEVICE_TENSORS 8

struct device_case {
    struct apx_graph *graph;
    struct apx_program *cpu, *cuda;
    struct apx_lane *cpu_lane, *cuda_lane;
    enum apx_status status; /* of compiling for cuda */
    struct apx_error error; /* of the last call of it */
};

static struct rng device_rng = {11};

static inline struct apx_graph *device_graph(struct apx_onnx *onnx)
{
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    void *data;
    size_t bytes;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(onnx);
    REQUIRE(apx_onnx_read(data, bytes, NULL, apx_allocator_default(), &graph, &error) == APX_OK);
    free(data);
    REQUIRE(apx_graph_infer(graph, &error) == APX_OK);
    return graph;
}

static inline enum apx_status device_compile(struct device_case *c, const char *precision)
{
    const struct apx_compile_options options = {
        .allocator = apx_allocator_default(), .precision = precision, .cuda = &fake_cuda_driver};
    memset(&c->error, 0, sizeof c->error);
    c->status = apx_backend_cuda.compile(c->graph, &options, &c->cuda, &c->error);
    if (c->status == APX_OK)
        c->status = apx_backend_cuda.lane_create(c->cuda, &c->cuda_lane, &c->error);
    return c->status;
}

static inline struct device_case device_open(struct apx_onnx *onnx, const char *precision)
{
    struct device_case c = {.graph = device_graph(onnx)};
    const struct apx_compile_options options = {.allocator = apx_allocator_default(),
                                                .isa = "scalar"};
    struct apx_error error = {0};
    REQUIRE(apx_backend_cpu.compile(c.graph, &options, &c.cpu, &error) == APX_OK);
    REQUIRE(apx_backend_cpu.lane_create(c.cpu, &c.cpu_lane, &error) == APX_OK);
    device_compile(&c, precision);
    return c;
}

static inline void device_close(struct device_case *c)
{
    apx_backend_cpu.lane_destroy(c->cpu_lane);
    apx_backend_cuda.lane_destroy(c->cuda_lane);
    apx_backend_cpu.program_destroy(c->cpu);
    apx_backend_cuda.program_destroy(c->cuda);
    apx_graph_destroy(c->graph);
    CHECK_EQ(fake_cuda.memory, 0);
    CHECK_EQ(fake_cuda.pinned, 0);
    CHECK_EQ(fake_cuda.streams, 0);
    CHECK_EQ(fake_cuda.graphs, 0);
    if (!CHECK(fake_cuda.broken == 0))
        fprintf(stderr, "    %s\n", fake_cuda.rule);
}

static inline struct apx_tensor device_tensor(const struct apx_graph *graph, int value,
                                              const int64_t *symbols)
{
    const struct apx_value *info = &graph->values[value];
    struct apx_tensor tensor = {.dtype = info->dtype, .rank = info->rank};
    tensor.bytes = apx_dtype_size(info->dtype);
    for (int i = 0; i < info->rank; i++) {
        REQUIRE(apx_dim_evaluate(&info->dims[i], symbols, &tensor.dims[i]));
        tensor.bytes *= (size_t)tensor.dims[i];
    }
    tensor.data = malloc(tensor.bytes + 1);
    REQUIRE(tensor.data != NULL);
    memset(tensor.data, 0x5a, tensor.bytes);
    return tensor;
}

/* float32 in [-2, 2); integers in [least, most]. */
static inline void device_fill(struct apx_tensor *tensor, int least, int most)
{
    for (size_t i = 0; i < tensor->bytes / apx_dtype_size(tensor->dtype); i++) {
        int whole = least + (int)rng_below(&device_rng, (size_t)(most - least + 1));
        if (tensor->dtype == APX_F32)
            ((float *)tensor->data)[i] = 2 * rng_real(&device_rng);
        else if (tensor->dtype == APX_F64)
            ((double *)tensor->data)[i] = 2 * (double)rng_real(&device_rng);
        else if (tensor->dtype == APX_I64)
            ((int64_t *)tensor->data)[i] = whole;
        else
            ((int32_t *)tensor->data)[i] = whole;
    }
}

/* Integers among the inputs are 0 to `other`. The device's status; on APX_OK the bits were compared
 * with the CPU's. */
static inline enum apx_status device_try(struct device_case *c, int64_t batch, int64_t first,
                                         int64_t rows, int64_t other)
{
    struct apx_tensor in[DEVICE_TENSORS], out[2][DEVICE_TENSORS];
    int64_t symbols[APX_MAX_SYMBOLS];
    struct apx_error error = {0};
    const int in_count = c->graph->input_count, out_count = c->graph->output_count;
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = i < c->graph->symbol_count ? other : 0;
    const int row = apx_backend_cuda.row_symbol(c->cuda);
    CHECK_EQ(row, apx_backend_cpu.row_symbol(c->cpu));
    if (row >= 0)
        symbols[row] = batch;
    for (int i = 0; i < in_count; i++) {
        in[i] = device_tensor(c->graph, c->graph->inputs[i], symbols);
        device_fill(&in[i], 0, (int)other);
    }
    for (int i = 0; i < out_count; i++) {
        out[0][i] = device_tensor(c->graph, c->graph->outputs[i], symbols);
        out[1][i] = device_tensor(c->graph, c->graph->outputs[i], symbols);
    }
    struct apx_slice slice = {
        .inputs = in, .outputs = out[0], .row = first, .rows = rows, .symbols = symbols};
    CHECK_EQ(apx_backend_cpu.run(c->cpu_lane, &slice, &error), APX_OK);
    slice.outputs = out[1];
    memset(&c->error, 0, sizeof c->error);
    enum apx_status status = apx_backend_cuda.run(c->cuda_lane, &slice, &c->error);
    CHECK((status == APX_OK) == (c->error.message[0] == '\0'));
    for (int i = 0; i < out_count && status == APX_OK; i++)
        CHECK(memcmp(out[0][i].data, out[1][i].data, out[0][i].bytes) == 0);
    for (int i = 0; i < in_count; i++)
        free(in[i].data);
    for (int i = 0; i < out_count; i++) {
        free(out[0][i].data);
        free(out[1][i].data);
    }
    return status;
}

static inline void device_run(struct device_case *c, int64_t batch, int64_t first, int64_t rows,
                              int64_t other)
{
    if (!CHECK(device_try(c, batch, first, rows, other) == APX_OK))
        fprintf(stderr, "    %s\n", c->error.message);
}

static inline struct apx_cuda_counts device_counts(const struct device_case *c)
{
    return apx_cuda_pool_counts(apx_cuda_backend_pool(c->cuda));
}

/* y = LSTM of width `hidden` over x[b,t,3], then a dense layer: lengths as a second input. */
static inline struct apx_onnx *device_lstm(int hidden, bool has_lengths)
{
    struct apx_onnx *m = case_begin(17, has_lengths ? "x:f[t,b,3] n:i[b]" : "x:f[t,b,3]", "y z");
    const int64_t w[3] = {1, 4 * hidden, 3}, r[3] = {1, 4 * hidden, hidden}, d[2] = {hidden, 2};
    const struct {
        const char *name;
        int rank;
        const int64_t *dims;
    } weights[] = {{"w", 3, w}, {"r", 3, r}, {"d", 2, d}};
    for (size_t k = 0; k < 3; k++) {
        size_t count = 1;
        for (int i = 0; i < weights[k].rank; i++)
            count *= (size_t)weights[k].dims[i];
        float *data = malloc(count * sizeof *data);
        REQUIRE(data != NULL);
        for (size_t i = 0; i < count; i++)
            data[i] = rng_real(&device_rng) / 2;
        apx_onnx_tensor(m, weights[k].name, APX_F32, weights[k].rank, weights[k].dims, data);
        free(data);
    }
    case_node(m, "LSTM", has_lengths ? "x w r - n" : "x w r", "all h");
    apx_onnx_int(m, "hidden_size", hidden);
    case_ints(m, "zero", 1, 0LL);
    case_node(m, "Squeeze", "h zero", "last");
    case_node(m, "MatMul", "last d", "y");
    case_node(m, "Tanh", "all", "z");
    return m;
}

#endif
