/* SPDX-License-Identifier: Apache-2.0 */
/* What each pass removes and what it must leave. */
#include "runtime/model/passes/passes.h"
#include "tests/runtime/model_case.h"

/* The names of the nodes that are left, in order. */
static const char *nodes(void)
{
    static char text[512];
    text[0] = '\0';
    for (int n = 0; n < case_graph->node_count; n++) {
        size_t used = strlen(text);
        if (!case_graph->nodes[n].is_dead)
            snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "",
                     apx_op_info(case_graph->nodes[n].op)->name);
    }
    return text;
}

static void infer(struct apx_onnx *m)
{
    const char *text = case_infer(m, "y");
    if (!CHECK(case_graph != NULL && strncmp(text, "APX_", 4) != 0))
        fprintf(stderr, "    %s\n", text);
    REQUIRE(case_graph != NULL);
}

static void drops_copies(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
    int64_t same[3] = {0, 1, 2}, swap[3] = {1, 0, 2};
    case_ints(m, "shape", 3, 0LL, 0LL, 4LL);
    case_ints(m, "zero", 1, 0LL);
    case_ints(m, "end", 1, 9223372036854775807LL);
    case_node(m, "Identity", "x", "a");
    case_node(m, "Dropout", "a", "c");
    case_node(m, "Cast", "c", "d");
    apx_onnx_int(m, "to", 1);
    case_node(m, "Reshape", "d shape", "e");
    case_node(m, "Transpose", "e", "f");
    apx_onnx_ints(m, "perm", same, 3);
    case_node(m, "Slice", "f zero end zero", "g");
    case_node(m, "Concat", "g", "h");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Transpose", "h", "i"); /* moves something */
    apx_onnx_ints(m, "perm", swap, 3);
    case_node(m, "Identity", "i", "y"); /* gives the output its name */
    infer(m);
    apx_pass_drop_copies(case_graph);
    CHECK_STR(nodes(), "Transpose Identity");
    CHECK_EQ(case_graph->nodes[case_graph->node_count - 2].in[0], case_graph->inputs[0]);
}

/* A reversal, another type, other extents. */
static void keeps_what_changes(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y c");
    case_ints(m, "m1", 1, -1LL);
    case_ints(m, "start", 1, -9223372036854775807LL - 1);
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Slice", "x m1 start one m1", "r");
    case_node(m, "Cast", "r", "c");
    apx_onnx_int(m, "to", 7);
    case_node(m, "Unsqueeze", "r one", "y");
    infer(m);
    apx_pass_drop_copies(case_graph);
    CHECK_STR(nodes(), "Slice Cast Unsqueeze");
}

static void drops_what_is_known(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
    int64_t dims[1] = {1};
    float zero = 0;
    case_ints(m, "first", 0, 0LL);
    case_ints(m, "axes", 1, 0LL);
    case_ints(m, "six", 1, 6LL);
    case_node(m, "Shape", "x", "s");
    case_node(m, "Gather", "s first", "g");
    case_node(m, "Unsqueeze", "g axes", "u");
    case_node(m, "Concat", "u six", "c");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "ConstantOfShape", "c", "h0");
    case_node(m, "Add", "h0 h0", "h1");
    case_node(m, "Identity", "h1", "y");
    apx_onnx_tensor(m, "unused", APX_F32, 1, dims, &zero);
    infer(m);
    REQUIRE(apx_pass_drop_known(case_graph) == APX_OK);
    CHECK(strstr(nodes(), "Shape") == NULL);
    CHECK(strstr(nodes(), "Concat") == NULL);
    const struct apx_value *h0 = case_value("h0"), *c = case_value("c");
    REQUIRE(h0 != NULL && c != NULL);
    CHECK(h0->is_filled && h0->producer == -1);
    CHECK(c->elems != NULL && c->data == NULL); /* it holds b */
}

/* Integers without a symbol, and fills of known size, become constants: exactly. */
static void makes_constants(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,7]", "y");
    case_ints(m, "one", 0, 1LL);
    case_ints(m, "big", 0, 9007199254740993LL);
    case_node(m, "Shape", "x", "s");
    case_node(m, "Gather", "s one", "width");
    case_node(m, "Add", "width big", "sum");
    case_node(m, "Cast", "x", "xi");
    apx_onnx_int(m, "to", 7);
    case_node(m, "Add", "xi sum", "y");
    infer(m);
    REQUIRE(apx_pass_drop_known(case_graph) == APX_OK);
    CHECK_STR(nodes(), "Cast Add");
    const struct apx_value *sum = case_value("sum");
    REQUIRE(sum != NULL && sum->data != NULL);
    CHECK_EQ(*(const int64_t *)sum->data, 9007199254741000LL);
}

static void folds_constants(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", "y");
    float w[6] = {1, 2, 3, 4, 5, 6};
    int64_t dims[2] = {2, 3}, perm[2] = {1, 0};
    apx_onnx_tensor(m, "w", APX_F32, 2, dims, w);
    case_node(m, "Transpose", "w", "wt");
    apx_onnx_ints(m, "perm", perm, 2);
    case_node(m, "Mul", "wt wt", "ww");
    case_node(m, "MatMul", "x ww", "y");
    infer(m);
    REQUIRE(apx_pass_fold_constants(case_graph, &apx_backend_cpu) == APX_OK);
    CHECK_STR(nodes(), "MatMul");
    const struct apx_value *ww = case_value("ww");
    REQUIRE(ww != NULL && ww->data != NULL);
    CHECK_EQ(ww->bytes, 24);
    static const float expected[6] = {1, 16, 4, 25, 9, 36};
    CHECK(memcmp(ww->data, expected, sizeof expected) == 0);
}

/* Constants that are outputs stay nodes' results or become data; either way the graph still runs.
 */
static void folds_to_outputs(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b]", "y z");
    case_floats(m, "w", 2, 1, 3);
    float v[3] = {1, 2, 3};
    int64_t dims[1] = {3};
    apx_onnx_tensor(m, "v", APX_F32, 1, dims, v);
    case_node(m, "Add", "w v", "z");
    case_node(m, "Relu", "x", "y");
    infer(m);
    struct apx_error error = {0};
    REQUIRE(apx_passes_run(case_graph, &apx_backend_cpu, &error) == APX_OK);
    CHECK_STR(nodes(), "Relu");
    const struct apx_value *z = case_value("z");
    REQUIRE(z != NULL && z->data != NULL);
    CHECK_NEAR(((const float *)z->data)[2], 5, 0);
}

/* A node that the evaluator refuses keeps its place for the backend to judge. */
static void leaves_what_it_cannot_fold(void)
{
    struct apx_onnx *m = case_begin(17, "x:d[2]", "y");
    double v[2] = {1, 2};
    int64_t dims[1] = {2};
    apx_onnx_tensor(m, "v", APX_F64, 1, dims, v);
    case_node(m, "Mul", "v v", "w");
    case_node(m, "Mul", "x w", "y");
    infer(m);
    REQUIRE(apx_pass_fold_constants(case_graph, &apx_backend_cpu) == APX_OK);
    CHECK_STR(nodes(), "Mul Mul");
}

int main(void)
{
    RUN(drops_copies);
    RUN(keeps_what_changes);
    RUN(drops_what_is_known);
    RUN(makes_constants);
    RUN(folds_constants);
    RUN(folds_to_outputs);
    RUN(leaves_what_it_cannot_fold);
    case_end();
    return check_report();
}
