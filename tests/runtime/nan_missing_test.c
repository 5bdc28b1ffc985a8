/* SPDX-License-Identifier: Apache-2.0 */
/* nan_missing_test.c - where a NaN of the input may end. */
#include "runtime/base/memory.h"
#include "runtime/model/nan_missing.h"
#include "tests/harness/check.h"

struct sketch {
    struct apx_graph *graph;
    int input;
};

static int value(struct apx_graph *graph, enum apx_dtype dtype)
{
    int v = apx_graph_add_value(graph, "");
    REQUIRE(v >= 0);
    graph->values[v].dtype = dtype;
    return v;
}

static struct sketch begin(enum apx_dtype dtype)
{
    struct sketch sketch;
    REQUIRE(apx_graph_create(apx_allocator_default(), &sketch.graph) == APX_OK);
    sketch.input = value(sketch.graph, dtype);
    sketch.graph->inputs = apx_graph_alloc(sketch.graph, sizeof(int));
    sketch.graph->inputs[0] = sketch.input;
    sketch.graph->input_count = 1;
    return sketch;
}

static int node(struct sketch *sketch, enum apx_op op, int a, int b, enum apx_dtype dtype)
{
    int count = b >= 0 ? 2 : 1, n = apx_graph_add_node(sketch->graph, op, "", count, 1);
    int out = value(sketch->graph, dtype);
    REQUIRE(n >= 0);
    sketch->graph->nodes[n].in[0] = a;
    if (b >= 0)
        sketch->graph->nodes[n].in[1] = b;
    sketch->graph->nodes[n].out[0] = out;
    sketch->graph->values[out].producer = n;
    return out;
}

static bool end(struct sketch *sketch, int output)
{
    sketch->graph->outputs = apx_graph_alloc(sketch->graph, sizeof(int));
    sketch->graph->outputs[0] = output;
    sketch->graph->output_count = 1;
    bool is_missing = apx_graph_nan_is_missing(sketch->graph);
    apx_graph_destroy(sketch->graph);
    return is_missing;
}

static void trees_take_it(void)
{
    struct sketch s = begin(APX_F64);
    CHECK(end(&s, node(&s, APX_OP_FOREST, s.input, -1, APX_F64)));

    s = begin(APX_F32); /* a scaler before, a link after */
    int scaled = node(&s, APX_OP_SCALER, s.input, -1, APX_F32);
    int score = node(&s, APX_OP_FOREST, scaled, -1, APX_F32);
    CHECK(end(&s, node(&s, APX_OP_SIGMOID, score, -1, APX_F32)));

    s = begin(APX_F32); /* two forests, each of a part of the columns */
    int shifted = node(&s, APX_OP_SUB, s.input, value(s.graph, APX_F32), APX_F32);
    int a = node(&s, APX_OP_FOREST, shifted, -1, APX_F32);
    int b = node(&s, APX_OP_FOREST, s.input, -1, APX_F32);
    CHECK(end(&s, node(&s, APX_OP_MATMUL, a, b, APX_F32)));
}

static void other_ends_do_not(void)
{
    struct sketch s = begin(APX_F32); /* no trees */
    CHECK(!end(&s, node(&s, APX_OP_RELU, s.input, -1, APX_F32)));

    s = begin(APX_F32); /* the input is an output too */
    node(&s, APX_OP_FOREST, s.input, -1, APX_F32);
    CHECK(!end(&s, node(&s, APX_OP_IDENTITY, s.input, -1, APX_F32)));

    s = begin(APX_F32); /* a dense layer beside the trees */
    int score = node(&s, APX_OP_FOREST, s.input, -1, APX_F32);
    int dense = node(&s, APX_OP_MATMUL, s.input, value(s.graph, APX_F32), APX_F32);
    CHECK(!end(&s, node(&s, APX_OP_ADD, score, dense, APX_F32)));

    s = begin(APX_F32); /* an integer cannot say it */
    int whole = node(&s, APX_OP_CAST, s.input, -1, APX_I64);
    CHECK(!end(&s, node(&s, APX_OP_FOREST, whole, -1, APX_F32)));

    s = begin(APX_I64); /* no NaN comes in: nothing to say about it */
    CHECK(!end(&s, node(&s, APX_OP_FOREST, s.input, -1, APX_F32)));
}

static void dead_nodes_do_not_count(void)
{
    struct sketch s = begin(APX_F32);
    node(&s, APX_OP_RELU, s.input, -1, APX_F32);
    s.graph->nodes[0].is_dead = true;
    CHECK(end(&s, node(&s, APX_OP_FOREST, s.input, -1, APX_F32)));
}

int main(void)
{
    RUN(trees_take_it);
    RUN(other_ends_do_not);
    RUN(dead_nodes_do_not_count);
    return check_report();
}
