/* SPDX-License-Identifier: Apache-2.0 */
/* replicas_test.c - weights on each NUMA node, on a machine that poses as one with two. */
#include <sched.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/device/backend.h"
#include "runtime/model/onnx_read.h"
#include "runtime/plan/replicas.h"
#include "tests/harness/check.h"

static struct apx_graph *read_graph(void)
{
    char *data;
    size_t bytes;
    struct apx_graph *graph;
    struct apx_error error;
    REQUIRE(apx_file_read("tests/golden/sklearn_mlp_regressor_tanh.onnx", 1 << 24, &data, &bytes,
                          &error) == APX_OK);
    REQUIRE(apx_onnx_read(data, bytes, NULL, apx_allocator_default(), &graph, &error) == APX_OK);
    REQUIRE(apx_graph_infer(graph, &error) == APX_OK);
    free(data);
    return graph;
}

static bool pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

#define ROWS 5

static void run(const struct apx_graph *graph, struct apx_program *program, float *y)
{
    struct apx_lane *lane;
    int64_t symbols[APX_MAX_SYMBOLS] = {ROWS};
    float x[ROWS * 64];
    for (int i = 0; i < ROWS * 64; i++)
        x[i] = (float)(i % 17) / 8 - 1;
    struct apx_tensor in = {.dtype = APX_F32, .rank = 2, .data = x};
    struct apx_tensor out = {.dtype = APX_F32, .rank = 2, .data = y};
    const struct apx_value *value = &graph->values[graph->inputs[0]];
    in.dims[0] = ROWS;
    REQUIRE(apx_dim_is_constant(&value->dims[1], &in.dims[1]) && in.dims[1] <= 64);
    REQUIRE(apx_backend_cpu.lane_create(program, &lane, NULL) == APX_OK);
    REQUIRE(apx_backend_cpu.lane_reserve(lane, symbols, ROWS, NULL) == APX_OK);
    const struct apx_slice slice = {
        .inputs = &in, .outputs = &out, .rows = ROWS, .symbols = symbols};
    CHECK(apx_backend_cpu.run(lane, &slice, NULL) == APX_OK);
    apx_backend_cpu.lane_destroy(lane);
}

/* On any machine: the second node has the first's weights, elsewhere. */
static void check_copies(const struct apx_program *program)
{
    const void *const *first = apx_replica_of(program, 0), *const *second =
                                                               apx_replica_of(program, 1);
    int weights = 0;
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        CHECK((first[s] == NULL) == (second[s] == NULL));
        if (first[s] == NULL)
            continue;
        weights++;
        CHECK(first[s] == step->packed && first[s] != second[s]);
        CHECK(memcmp(first[s], second[s], step->type->packed_bytes(step)) == 0);
    }
    CHECK(weights > 0);
    CHECK(apx_replica_of(program, -1) == first); /* a processor nobody knows */
    CHECK(apx_replica_of(program, 1 << 20) == first);
}

static void each_node_has_its_copy(void)
{
    struct apx_graph *graph = read_graph();
    struct apx_topo *topo;
    struct apx_program *program;
    cpu_set_t allowed;
    REQUIRE(apx_topo_create(&(struct apx_topo_options){.synthetic = "numa:2 core:1 pu:1"}, &topo,
                            NULL) == APX_OK);
    REQUIRE(topo->nodes == 2 && topo->pus == 2);
    const struct apx_compile_options options = {.allocator = apx_allocator_default(), .topo = topo};
    REQUIRE(apx_backend_cpu.compile(graph, &options, &program, NULL) == APX_OK);
    CHECK(program->replica_count == 2);
    check_copies(program);
    REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    float y[2][ROWS * 64] = {{0}};
    const void *const *tables[2] = {NULL, NULL};
    for (int cpu = 0; cpu < 2; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || !pin(cpu))
            continue; /* a machine of one processor sees one copy */
        tables[cpu] = apx_replica_here(program);
        run(graph, program, y[cpu]);
    }
    sched_setaffinity(0, sizeof allowed, &allowed);
    if (tables[0] != NULL && tables[1] != NULL) {
        CHECK(tables[0] != tables[1]);
        CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0);
    }
    apx_backend_cpu.program_destroy(program);
    apx_topo_destroy(topo);
    apx_graph_destroy(graph);
}

static void one_node_has_no_copy(void)
{
    struct apx_graph *graph = read_graph();
    struct apx_topo *topo;
    struct apx_program *program;
    REQUIRE(apx_topo_create(&(struct apx_topo_options){.synthetic = "core:2 pu:1"}, &topo, NULL) ==
            APX_OK);
    const struct apx_compile_options options = {.allocator = apx_allocator_default(), .topo = topo};
    REQUIRE(apx_backend_cpu.compile(graph, &options, &program, NULL) == APX_OK);
    CHECK(program->replica_count == 1);
    apx_backend_cpu.program_destroy(program);
    apx_topo_destroy(topo);
    apx_graph_destroy(graph);
}

int main(void)
{
    RUN(each_node_has_its_copy);
    RUN(one_node_has_no_copy);
    return check_report();
}
