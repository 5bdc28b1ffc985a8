/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/memory.h"
#include "runtime/model/graph.h"
#include "tests/harness/check.h"

static struct apx_graph *new_graph(void)
{
    struct apx_graph *graph = NULL;
    REQUIRE(apx_graph_create(apx_allocator_default(), &graph) == APX_OK);
    return graph;
}

static int unary(struct apx_graph *graph, enum apx_op op, int in)
{
    int out = apx_graph_add_value(graph, ""), node = apx_graph_add_node(graph, op, "", 1, 1);
    REQUIRE(out >= 0 && node >= 0);
    graph->nodes[node].in[0] = in;
    graph->nodes[node].out[0] = out;
    graph->values[out].producer = node;
    return out;
}

static void finds_operators_by_name(void)
{
    enum apx_op op;
    CHECK(apx_op_find("", "LSTM", &op));
    CHECK_EQ(op, APX_OP_LSTM);
    CHECK_STR(apx_op_info(op)->name, "LSTM");
    CHECK(apx_op_find("ai.onnx.ml", "Scaler", &op));
    CHECK(!apx_op_find("", "Scaler", &op));
    CHECK(!apx_op_find("", "Nonsense", &op));
}

static void memory_is_zeroed_and_aligned(void)
{
    struct apx_graph *graph = new_graph();
    for (size_t bytes = 0; bytes < 300000; bytes = bytes * 3 + 1) {
        unsigned char *memory = apx_graph_alloc(graph, bytes);
        REQUIRE(memory != NULL);
        CHECK_EQ((uintptr_t)memory % APX_CACHE_LINE, 0);
        size_t sum = 0;
        for (size_t i = 0; i < bytes; i++)
            sum += memory[i];
        CHECK_EQ(sum, 0);
        memset(memory, 0xff, bytes);
        CHECK_STR(apx_graph_string(graph, "between", 7), "between");
    }
    CHECK(apx_graph_alloc(graph, SIZE_MAX) == NULL);
    CHECK(apx_graph_alloc(graph, SIZE_MAX - 64) == NULL);
    apx_graph_destroy(graph);
    apx_graph_destroy(NULL);
}

static void constants_are_copied(void)
{
    struct apx_graph *graph = new_graph();
    float data[6] = {1, 2, 3, 4, 5, 6};
    const int64_t dims[2] = {2, 3};
    int v = apx_graph_add_constant(graph, "w", APX_F32, 2, dims, data);
    REQUIRE(v >= 0);
    data[0] = 99;
    CHECK_NEAR(((const float *)graph->values[v].data)[0], 1, 0);
    CHECK_EQ(graph->values[v].bytes, sizeof data);
    CHECK_EQ(graph->values[v].producer, -1);
    const int64_t negative[1] = {-1}, huge[2] = {1 << 20, 1 << 20};
    CHECK_EQ(apx_graph_add_constant(graph, "w", APX_F32, 1, negative, data), -1);
    CHECK_EQ(apx_graph_add_constant(graph, "w", APX_F32, 2, huge, data), -1);
    CHECK_EQ(apx_graph_add_constant(graph, "w", APX_DTYPE_NONE, 2, dims, data), -1);
    CHECK_EQ(apx_graph_add_constant(graph, "w", APX_F32, APX_MAX_RANK + 1, dims, data), -1);
    apx_graph_destroy(graph);
}

static void nodes_get_names_and_attributes(void)
{
    struct apx_graph *graph = new_graph();
    int n = apx_graph_add_node(graph, APX_OP_CONCAT, "", 3, 1);
    REQUIRE(n == 0);
    CHECK_STR(graph->nodes[n].name, "Concat_0");
    CHECK_EQ(graph->nodes[n].in[2], -1);
    CHECK_EQ(graph->nodes[n].out[0], -1);
    CHECK_EQ(apx_graph_add_node(graph, APX_OP_CONCAT, "", APX_LIMIT_NODE_INPUTS + 1, 1), -1);
    struct apx_attr *axis = apx_graph_add_attr(graph, &graph->nodes[n], "axis", APX_ATTR_INT);
    REQUIRE(axis != NULL);
    axis->i = -2;
    struct apx_attr *mode = apx_graph_add_attr(graph, &graph->nodes[n], "mode", APX_ATTR_STRING);
    REQUIRE(mode != NULL);
    mode->s = "edge";
    const struct apx_node *node = &graph->nodes[n];
    CHECK_EQ(apx_node_int(node, "axis", 7), -2);
    CHECK_EQ(apx_node_int(node, "other", 7), 7);
    CHECK_EQ(apx_node_int(node, "mode", 7), 7); /* there, but of another type */
    CHECK_STR(apx_node_string(node, "mode", ""), "edge");
    CHECK_NEAR(apx_node_float(node, "axis", 0.5f), 0.5, 0);
    CHECK(apx_node_attr(node, "none") == NULL);
    apx_graph_destroy(graph);
}

static void symbols_are_few(void)
{
    struct apx_graph *graph = new_graph();
    char name[2] = "a";
    for (int s = 0; s < APX_MAX_SYMBOLS; s++, name[0]++)
        CHECK_EQ(apx_graph_symbol(graph, name), s);
    CHECK_EQ(apx_graph_symbol(graph, "one more"), -1);
    CHECK_EQ(apx_graph_symbol(graph, "b"), 1);
    apx_graph_destroy(graph);
}

static void counts_replaces_and_sweeps(void)
{
    struct apx_graph *graph = new_graph();
    int x = apx_graph_add_value(graph, "x");
    int a = unary(graph, APX_OP_RELU, x), b = unary(graph, APX_OP_TANH, a);
    int c = unary(graph, APX_OP_NEG, b), lost = unary(graph, APX_OP_NEG, a);
    graph->outputs = &c;
    graph->output_count = 1;
    CHECK_EQ(apx_graph_use_count(graph, a), 2);
    CHECK_EQ(apx_graph_use_count(graph, c), 1);
    CHECK_EQ(apx_graph_use_count(graph, lost), 0);
    apx_graph_sweep(graph);
    CHECK(graph->nodes[3].is_dead);
    CHECK(!graph->nodes[0].is_dead && !graph->nodes[1].is_dead && !graph->nodes[2].is_dead);
    CHECK_EQ(apx_graph_use_count(graph, a), 1); /* dead nodes do not read */
    apx_graph_replace_value(graph, b, a);
    CHECK_EQ(graph->nodes[2].in[0], a);
    apx_graph_sweep(graph);
    CHECK(graph->nodes[1].is_dead);
    apx_graph_replace_value(graph, c, x);
    CHECK_EQ(c, x); /* the outputs were replaced in place */
    apx_graph_sweep(graph);
    CHECK(graph->nodes[0].is_dead && graph->nodes[2].is_dead);
    apx_graph_destroy(graph);
}

static void refuses_more_values_than_the_limit(void)
{
    struct apx_graph *graph = new_graph();
    for (int i = 0; i < APX_LIMIT_VALUES; i++)
        REQUIRE(apx_graph_add_value(graph, "") == i);
    CHECK_EQ(apx_graph_add_value(graph, ""), -1);
    for (int i = 0; i < APX_LIMIT_NODES; i++)
        REQUIRE(apx_graph_add_node(graph, APX_OP_RELU, "", 1, 1) == i);
    CHECK_EQ(apx_graph_add_node(graph, APX_OP_RELU, "", 1, 1), -1);
    apx_graph_destroy(graph);
}

int main(void)
{
    RUN(finds_operators_by_name);
    RUN(memory_is_zeroed_and_aligned);
    RUN(constants_are_copied);
    RUN(nodes_get_names_and_attributes);
    RUN(symbols_are_few);
    RUN(counts_replaces_and_sweeps);
    RUN(refuses_more_values_than_the_limit);
    return check_report();
}
