/* SPDX-License-Identifier: Apache-2.0 */
/* Which symbol counts rows, and when rows meet. */
#include "runtime/plan/rows.h"
#include "tests/runtime/model_case.h"

/* "symbol, axis of the first input, axis of the first output", "-" if the rows are not independent.
 * Releases the builder. */
static const char *rows(struct apx_onnx *m)
{
    static char text[128];
    int symbol, inputs[16], outputs[16];
    const char *inferred = case_infer(m, "y");
    if (case_graph == NULL || strncmp(inferred, "APX_", 4) == 0)
        return inferred;
    REQUIRE(apx_rows_analyse(case_graph, &symbol, inputs, outputs) == APX_OK);
    if (symbol < 0)
        return "-";
    snprintf(text, sizeof text, "%s %d %d", case_graph->symbols[symbol], inputs[0], outputs[0]);
    return text;
}

static struct apx_onnx *unary(const char *input, const char *op)
{
    struct apx_onnx *m = case_begin(17, input, "y");
    case_node(m, op, "x", "y");
    return m;
}

static struct apx_onnx *transposed(const char *input, int64_t a, int64_t b, int64_t c)
{
    int64_t perm[3] = {a, b, c};
    struct apx_onnx *m = unary(input, "Transpose");
    apx_onnx_ints(m, "perm", perm, 3);
    return m;
}

static void follows_elements(void)
{
    CHECK_STR(rows(unary("x:f[b,4]", "Relu")), "b 0 0");
    CHECK_STR(rows(unary("x:f[7,4]", "Relu")), "-"); /* nothing is free */
    CHECK_STR(rows(unary("x:f[7,b]", "Relu")), "b 1 1");
    CHECK_STR(rows(transposed("x:f[t,b,4]", 1, 0, 2)), "t 0 1");
    struct apx_onnx *m = case_begin(17, "x:f[b,4] w:f[b,4] v:f[4]", "y");
    case_node(m, "Add", "x w", "s");
    case_node(m, "Mul", "s v", "y");
    CHECK_STR(rows(m), "b 0 0");
    /* The same symbol on two axes: every row meets every other. */
    m = case_begin(17, "x:f[b,1] w:f[1,b]", "y");
    case_node(m, "Add", "x w", "y");
    CHECK_STR(rows(m), "-");
}

static struct apx_onnx *along(const char *op, int axis)
{
    struct apx_onnx *m = unary("x:f[b,4]", op);
    apx_onnx_int(m, "axis", axis);
    return m;
}

static void knows_what_walks_axes(void)
{
    CHECK_STR(rows(along("Softmax", 1)), "b 0 0");
    CHECK_STR(rows(along("Softmax", 0)), "-");
    CHECK_STR(rows(along("ArgMax", -1)), "b 0 0");
    CHECK_STR(rows(along("ArgMax", -2)), "-");
    for (int axis = 0; axis < 2; axis++) {
        struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
        case_ints(m, "axes", 1, (long long)axis);
        case_node(m, "ReduceMean", "x axes", "y");
        apx_onnx_int(m, "keepdims", 0);
        /* Reduced over b, what is left counts t. */
        CHECK_STR(rows(m), axis == 0 ? "t 1 0" : "b 0 0");
    }
}

static void follows_products(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_floats(m, "w", 1, 2, 4, 3);
    case_node(m, "MatMul", "x w", "y");
    CHECK_STR(rows(m), "b 0 0");
    m = case_begin(17, "x:f[b,4] w:f[4,b]", "y"); /* every row with every row */
    case_node(m, "MatMul", "x w", "y");
    CHECK_STR(rows(m), "-");
    m = case_begin(17, "x:f[4,b] w:f[b,3]", "y"); /* contracted */
    case_node(m, "MatMul", "x w", "y");
    CHECK_STR(rows(m), "-");
    m = case_begin(17, "x:f[b,4,t] w:f[b,t,3]", "y");
    case_node(m, "MatMul", "x w", "y");
    CHECK_STR(rows(m), "b 0 0");
    m = case_begin(17, "x:f[4,b]", "y");
    case_floats(m, "w", 1, 2, 4, 3);
    case_node(m, "Gemm", "x w", "y");
    apx_onnx_int(m, "transA", 1);
    CHECK_STR(rows(m), "b 1 0");
}

static void follows_layers(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[t,b,3]", "y");
    case_floats(m, "w", 1, 3, 1, 16, 3);
    case_floats(m, "r", 1, 3, 1, 16, 4);
    case_node(m, "LSTM", "x w r", "y");
    apx_onnx_int(m, "hidden_size", 4);
    CHECK_STR(rows(m), "b 1 2"); /* not t, though it is the first */
}

static void follows_reshapes(void)
{
    static const struct {
        int64_t shape[3];
        const char *expected;
    } cases[] = {
        {{0, -1, 0}, "b 0 0"},
        {{-1, 4, 1}, "-"}, /* b*t rows: neither is a whole axis of the output */
        {{-1, 2, 2}, "-"},
    };
    for (size_t k = 0; k < 3; k++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
        case_ints(m, "s", 3, cases[k].shape[0], cases[k].shape[1], cases[k].shape[2]);
        case_node(m, "Reshape", "x s", "y");
        CHECK_STR(rows(m), cases[k].expected);
    }
    /* Folded and unfolded: the rows were apart all the time. */
    struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
    case_ints(m, "fold", 2, -1LL, 4LL);
    case_node(m, "Reshape", "x fold", "f");
    case_node(m, "Relu", "f", "g");
    case_node(m, "Shape", "x", "s");
    case_node(m, "Reshape", "g s", "y");
    CHECK_STR(rows(m), "b 0 0");
    /* Folded with t outside: still apart, in t blocks. */
    m = case_begin(17, "x:f[t,b,4]", "y");
    case_ints(m, "fold", 2, -1LL, 4LL);
    case_node(m, "Reshape", "x fold", "f");
    case_node(m, "Softmax", "f", "g");
    case_node(m, "Shape", "x", "s");
    case_node(m, "Reshape", "g s", "y");
    CHECK_STR(rows(m), "t 0 0");
    /* Read in the wrong order: rows land in each other. */
    m = case_begin(17, "x:f[b,4]", "y");
    case_ints(m, "s", 2, 4LL, -1LL);
    case_node(m, "Reshape", "x s", "y");
    CHECK_STR(rows(m), "-");
}

static void knows_parts_of_rows(void)
{
    for (int axis = 0; axis < 2; axis++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
        case_ints(m, "zero", 1, 0LL);
        case_ints(m, "one", 1, 1LL);
        case_ints(m, "axes", 1, (long long)axis);
        case_node(m, "Slice", "x zero one axes", "y");
        CHECK_STR(rows(m), axis == 0 ? "-" : "b 0 0");
        m = case_begin(17, "x:f[b,4]", "y");
        case_ints(m, "zero", 0, 0LL);
        case_node(m, "Gather", "x zero", "y");
        apx_onnx_int(m, "axis", axis);
        CHECK_STR(rows(m), axis == 0 ? "-" : "b 0 0");
        m = case_begin(17, "x:f[b,4]", "y");
        case_node(m, "Concat", "x x", "y");
        apx_onnx_int(m, "axis", axis);
        CHECK_STR(rows(m), axis == 0 ? "-" : "b 0 0");
    }
}

/* The number of rows as data, and outputs without rows. */
static void knows_what_depends_on_the_batch(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Shape", "x", "s");
    case_node(m, "Cast", "s", "c");
    apx_onnx_int(m, "to", 1);
    case_ints(m, "zero", 0, 0LL);
    case_node(m, "Gather", "c zero", "n");
    case_node(m, "Div", "x n", "y");
    CHECK_STR(rows(m), "-");
    m = case_begin(17, "x:f[b,4] w:f[4]", "y z");
    case_node(m, "Relu", "x", "y");
    case_node(m, "Relu", "w", "z");
    CHECK_STR(rows(m), "-");
    /* Zeros of the batch's size are nobody's data. */
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Shape", "x", "s");
    case_node(m, "ConstantOfShape", "s", "zeros");
    case_node(m, "Concat", "x zeros", "y");
    apx_onnx_int(m, "axis", 1);
    CHECK_STR(rows(m), "b 0 0");
}

int main(void)
{
    RUN(follows_elements);
    RUN(knows_what_walks_axes);
    RUN(follows_products);
    RUN(follows_layers);
    RUN(follows_reshapes);
    RUN(knows_parts_of_rows);
    RUN(knows_what_depends_on_the_batch);
    case_end();
    return check_report();
}
