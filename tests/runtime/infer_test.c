/* SPDX-License-Identifier: Apache-2.0 */
/* infer_test.c - extents, integer shape arithmetic, fills and the merging of symbols. */
#include "tests/runtime/model_case.h"

/* One node with one attribute-free operator on x (and constants given by the caller). */
static const char *one(const char *inputs, const char *op, const char *names)
{
    struct apx_onnx *m = case_begin(18, inputs, "y");
    case_node(m, op, names, "y");
    return case_infer(m, "y");
}

static void broadcasts(void)
{
    CHECK_STR(one("x:f[b,1,4] w:f[3,1]", "Add", "x w"), "float32[b,3,4]");
    CHECK_STR(one("x:f[4] w:f[b,t,4]", "Mul", "x w"), "float32[b,t,4]");
    CHECK_STR(one("x:f[b,4] w:f[b,3]", "Add", "x w"),
              "APX_EFORMAT Add: broadcast: 4 and 3 must be equal");
    CHECK_STR(one("x:f[b,4] w:d[b,4]", "Add", "x w"),
              "APX_EFORMAT Add: inputs of types float32 and float64");
    CHECK_STR(one("x:f[b,4] w:f[b,4] v:f[1]", "Max", "x w v"), "float32[b,4]");
    CHECK_STR(one("x:f[b,4] w:f[1]", "Less", "x w"), "bool[b,4]");
    CHECK_STR(one("c:b[b,1] x:f[4] w:f[]", "Where", "c x w"), "float32[b,4]");
    CHECK_STR(one("c:f[b,1] x:f[4] w:f[]", "Where", "c x w"),
              "APX_EFORMAT Where: Where of float32, float32 and float32");
    CHECK_HAS(one("c:b[b]", "Relu", "c"), "APX_EFORMAT Relu: Relu of bool");
    CHECK_STR(one("c:b[b]", "Not", "c"), "bool[b]");
}

static void merges_symbols_that_must_be_equal(void)
{
    CHECK_STR(one("x:f[batch,4] w:f[batch_1,4]", "Add", "x w"), "float32[batch,4]");
    CHECK_EQ(case_graph->symbol_count, 1);
    int symbol = -1;
    CHECK(apx_dim_is_symbol(&case_value("w")->dims[0], &symbol) && symbol == 0);
    /* the second is renamed, and what comes after it moves up */
    struct apx_onnx *m = case_begin(18, "x:f[a,4] w:f[b,4] v:f[c,5]", "y z");
    case_node(m, "Add", "x w", "y");
    case_node(m, "Neg", "v", "z");
    CHECK_STR(case_infer(m, "z"), "float32[c,5]");
    CHECK_EQ(case_graph->symbol_count, 2);
    CHECK_STR(case_graph->symbols[1], "c");
    /* a symbol that must be a number becomes it, in the input too */
    CHECK_STR(one("x:f[b,t,4] w:f[10,4]", "Add", "x w"), "float32[b,10,4]");
    CHECK_STR(case_show("x"), "float32[b,10,4]");
    CHECK_EQ(case_graph->symbol_count, 1);
    /* unnamed dimensions get names of their own, which give way to the file's */
    CHECK_STR(one("x:f[?,4] w:f[?,4]", "Sub", "x w"), "float32[x_dim0,4]");
    CHECK_STR(one("x:f[?,4] w:f[rows,4]", "Sub", "x w"), "float32[rows,4]");
    /* within one node, what was computed before the merge is computed again */
    CHECK_STR(one("x:f[a,b] w:f[b,a]", "Add", "x w"), "float32[a,a]");
}

static const char *reshaped(const char *input, int64_t allowzero, int count, int64_t a, int64_t b,
                            int64_t c)
{
    struct apx_onnx *m = case_begin(18, input, "y");
    case_ints(m, "shape", count, (long long)a, (long long)b, (long long)c);
    case_node(m, "Reshape", "x shape", "y");
    apx_onnx_int(m, "allowzero", allowzero);
    return case_infer(m, "y");
}

static void solves_for_symbols(void)
{
    /* elements before and after a Reshape to the other input's shape */
    struct apx_onnx *m = case_begin(18, "x:f[a,40] w:f[b,10,4]", "y");
    case_node(m, "Shape", "w", "s");
    case_node(m, "Reshape", "x s", "y");
    CHECK_STR(case_infer(m, "y"), "float32[a,10,4]");
    CHECK_STR(case_show("w"), "float32[a,10,4]");
    m = case_begin(18, "x:f[b,t] w:f[b,s]", "y");
    case_node(m, "Shape", "w", "s2");
    case_node(m, "Reshape", "x s2", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,t]");
    CHECK_STR(reshaped("x:f[b,4]", 0, 2, 6, 2, 0), "float32[6,2]"); /* 4*b = 12 */
    CHECK_STR(case_show("x"), "float32[3,4]");
    CHECK_HAS(reshaped("x:f[b,4]", 0, 2, 7, 2, 0), "APX_EUNSUPPORTED"); /* 4*b = 14 */
    CHECK_STR(one("x:f[b] w:f[0]", "Add", "x w"), "float32[0]");
    m = case_begin(18, "x:f[a] w:f[b] v:f[8]", "y z");
    case_ints(m, "axis", 0, 0LL);
    case_node(m, "Concat", "x w", "both");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "Concat", "x w x", "y");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "Add", "y v", "z");
    CHECK_HAS(case_infer(m, "z"), "2*a+b and 8 must be equal, which cannot be told");
}

static void refuses_extents_that_cannot_be_told(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[a,b] w:f[c]", "y");
    case_node(m, "Flatten", "x", "f");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "Add", "f w", "y");
    CHECK_HAS(case_infer(m, "y"), "APX_EUNSUPPORTED Add: broadcast: a*b and c must be equal");
}

static void multiplies_matrices(void)
{
    CHECK_STR(one("x:f[b,t,4] w:f[4,3]", "MatMul", "x w"), "float32[b,t,3]");
    CHECK_STR(one("x:f[b,1,2,4] w:f[5,4,3]", "MatMul", "x w"), "float32[b,5,2,3]");
    CHECK_STR(one("x:f[4] w:f[4,3]", "MatMul", "x w"), "float32[3]");
    CHECK_STR(one("x:f[b,4] w:f[4]", "MatMul", "x w"), "float32[b]");
    CHECK_STR(one("x:f[4] w:f[4]", "MatMul", "x w"), "float32[]");
    CHECK_HAS(one("x:f[b,4] w:f[5,3]", "MatMul", "x w"), "inner extents: 4 and 5 must be equal");
    CHECK_HAS(one("x:f[] w:f[5,3]", "MatMul", "x w"), "MatMul of rank 0");
    struct apx_onnx *m = case_begin(18, "x:f[4,b] w:f[3,4] c:f[3]", "y");
    case_node(m, "Gemm", "x w c", "y");
    apx_onnx_int(m, "transA", 1);
    apx_onnx_int(m, "transB", 1);
    CHECK_STR(case_infer(m, "y"), "float32[b,3]");
    CHECK_HAS(one("x:f[2,b,4] w:f[3,4]", "Gemm", "x w"), "A has rank 3 instead of 2");
}

static const char *recurrent(const char *op, const char *inputs, const char *names, int64_t layout,
                             const char *direction, const char *output)
{
    struct apx_onnx *m = case_begin(18, inputs, "y yh");
    int gates = op[0] == 'L' ? 4 : 3, both = direction[0] == 'b' ? 2 : 1;
    case_floats(m, "w", 1, 3, both, gates * 5, 3);
    case_floats(m, "r", 1, 3, both, gates * 5, 5);
    case_floats(m, "bias", 1, 2, both, gates * 10);
    case_node(m, op, names, "y yh");
    apx_onnx_int(m, "hidden_size", 5);
    apx_onnx_int(m, "layout", layout);
    apx_onnx_text(m, "direction", direction);
    return case_infer(m, output);
}

static void infers_recurrent_layers(void)
{
    CHECK_STR(recurrent("LSTM", "x:f[t,b,3]", "x w r bias", 0, "forward", "y"), "float32[t,1,b,5]");
    CHECK_STR(case_show("yh"), "float32[1,b,5]");
    CHECK_STR(recurrent("GRU", "x:f[t,b,3]", "x w r bias", 0, "bidirectional", "y"),
              "float32[t,2,b,5]");
    CHECK_STR(recurrent("LSTM", "x:f[b,t,3]", "x w r bias", 1, "bidirectional", "y"),
              "float32[b,t,2,5]");
    CHECK_STR(case_show("yh"), "float32[b,2,5]");
    /* the state's batch and the lengths' batch are the input's */
    CHECK_STR(recurrent("LSTM", "x:f[t,b,3] h:f[1,n,5] l:i[m]", "x w r - l h", 0, "reverse", "y"),
              "float32[t,1,b,5]");
    CHECK_STR(case_show("h"), "float32[1,b,5]");
    CHECK_STR(case_show("l"), "int32[b]");
    CHECK_HAS(recurrent("LSTM", "x:f[t,b,4]", "x w r bias", 0, "forward", "y"),
              "extent 2 of W, wanted and given: 4 and 3 must be equal");
    CHECK_HAS(recurrent("LSTM", "x:f[b,3]", "x w r bias", 0, "forward", "y"),
              "X has rank 2 instead of 3");
    CHECK_HAS(recurrent("LSTM", "x:f[t,b,3]", "x w r bias", 0, "sideways", "y"),
              "direction \"sideways\": must be forward, reverse or bidirectional");
    CHECK_HAS(recurrent("LSTM", "x:f[t,b,3]", "x w r bias", 7, "forward", "y"),
              "layout 7: must be 0 or 1");
    CHECK_HAS(recurrent("LSTM", "x:f[t,b,3] l:l[b]", "x w r - l", 0, "forward", "y"),
              "sequence_lens of int64 instead of int32");
    CHECK_HAS(recurrent("GRU", "x:f[t,b,3] h:f[2,b,5]", "x w r - - h", 0, "forward", "y"),
              "extent 0 of initial_h, wanted and given: 1 and 2 must be equal");
}

/* Not every number that is not 0 is 1. */
static void knows_two_forms_of_the_gru(void)
{
    for (int after = 0; after < 4; after++) {
        struct apx_onnx *m = case_begin(17, "x:f[t,b,3]", "y");
        case_floats(m, "w", 1, 3, 1, 15, 3);
        case_floats(m, "r", 1, 3, 1, 15, 5);
        case_node(m, "GRU", "x w r", "y");
        apx_onnx_int(m, "linear_before_reset", after);
        if (after < 2)
            CHECK_STR(case_infer(m, "y"), "float32[t,1,b,5]");
        else
            CHECK_HAS(case_infer(m, "y"), "must be 0 or 1");
    }
}

static const char *reduced(const char *op, int64_t keepdims, int axes, int64_t a, int64_t b)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
    if (axes > 0)
        case_ints(m, "axes", axes, (long long)a, (long long)b);
    case_node(m, op, axes > 0 ? "x axes" : "x", "y");
    apx_onnx_int(m, "keepdims", keepdims);
    return case_infer(m, "y");
}

static void reduces(void)
{
    CHECK_STR(reduced("ReduceSum", 1, 1, 1, 0), "float32[b,1,4]");
    CHECK_STR(reduced("ReduceMean", 0, 2, -1, 0), "float32[t]");
    CHECK_STR(reduced("ReduceMax", 0, 0, 0, 0), "float32[]");
    CHECK_HAS(reduced("ReduceMax", 0, 1, 3, 0), "axis 3 of a tensor of rank 3");
    CHECK_HAS(reduced("ReduceMax", 0, 2, 1, -2), "axis 1 is given twice");
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
    case_node(m, "ReduceSum", "x", "y");
    apx_onnx_int(m, "noop_with_empty_axes", 1);
    CHECK_STR(case_infer(m, "y"), "float32[b,t,4]");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_node(m, "ArgMax", "x", "y");
    apx_onnx_int(m, "axis", -1);
    apx_onnx_int(m, "keepdims", 0);
    CHECK_STR(case_infer(m, "y"), "int64[b,t]");
}

static void reshapes(void)
{
    CHECK_STR(reshaped("x:f[b,10,4]", 0, 2, -1, 40, 0), "float32[b,40]");
    CHECK_STR(reshaped("x:f[b,t,4]", 0, 2, -1, 4, 0), "float32[b*t,4]");
    CHECK_STR(reshaped("x:f[b,t,4]", 0, 3, 0, -1, 2), "float32[b,2*t,2]");
    CHECK_STR(reshaped("x:f[3,4]", 0, 1, 12, 0, 0), "float32[12]");
    CHECK_STR(reshaped("x:f[b,0]", 1, 2, 0, 7, 0), "float32[0,7]");
    CHECK_STR(reshaped("x:f[b]", 0, 1, 5, 0, 0), "float32[5]"); /* so b is 5 */
    CHECK_HAS(reshaped("x:f[b,3]", 0, 2, -1, 2, 0), "3*b elements do not divide into rows of 2");
    CHECK_HAS(reshaped("x:f[3,4]", 0, 2, -1, 5, 0), "APX_EFORMAT");
    CHECK_HAS(reshaped("x:f[3,4]", 0, 2, 3, 5, 0), "12 and 15 must be equal");
    CHECK_HAS(reshaped("x:f[3]", 0, 2, 3, 0, 0), "copies extent 1 of a tensor of rank 1");
    CHECK_HAS(reshaped("x:f[3]", 0, 2, -2, 3, 0), "extent -2");
    CHECK_HAS(one("x:f[b,4] s:l[2]", "Reshape", "x s"),
              "APX_EUNSUPPORTED Reshape: the shape depends");
}

static const char *sliced(const char *input, int64_t start, int64_t end, int64_t axis, int64_t step)
{
    struct apx_onnx *m = case_begin(18, input, "y");
    case_ints(m, "starts", 1, (long long)start);
    case_ints(m, "ends", 1, (long long)end);
    case_ints(m, "axes", 1, (long long)axis);
    case_ints(m, "steps", 1, (long long)step);
    case_node(m, "Slice", "x starts ends axes steps", "y");
    return case_infer(m, "y");
}

static void slices(void)
{
    CHECK_STR(sliced("x:f[b,t,4]", -1, INT64_MAX, 1, 1), "float32[b,1,4]");
    CHECK_STR(sliced("x:f[b,t,4]", 0, -1, 1, 1), "float32[b,t-1,4]");
    CHECK_STR(sliced("x:f[b,t,4]", -5, INT32_MAX, 1, 1), "float32[b,5,4]");
    CHECK_STR(sliced("x:f[b,t,4]", 2, 7, 1, 1), "float32[b,5,4]");
    CHECK_STR(sliced("x:f[b,t,4]", 1, 100, -1, 1), "float32[b,t,3]"); /* clipped */
    CHECK_STR(sliced("x:f[b,t,4]", -100, 100, -1, 3), "float32[b,t,2]");
    CHECK_STR(sliced("x:f[b,t,4]", 3, 1, -1, 1), "float32[b,t,0]");
    CHECK_STR(sliced("x:f[b,t,4]", -1, INT64_MIN, 1, -1), "float32[b,t,4]"); /* reversed */
    CHECK_STR(sliced("x:f[b,t,4]", INT64_MAX, INT64_MIN, 2, -2), "float32[b,t,2]");
    CHECK_STR(sliced("x:f[b,t,4]", 0, INT64_MAX, 1, 2),
              "APX_EUNSUPPORTED Slice: a slice of t elements with step 2: its length is no "
              "expression");
    CHECK_HAS(sliced("x:f[b,t,4]", 0, 1, 1, 0), "APX_EFORMAT Slice: step 0");
    CHECK_HAS(sliced("x:f[b,t,4]", 0, 1, 3, 1), "axis 3 of a tensor of rank 3");
    /* ONNX's own words, over all small cases: forward, starts and ends are clipped to [0, n];
     * backward, starts to [0, n-1] (numpy: [-1, n-1]) and ends to [-1, n-1] */
    for (int n = 1; n < 5; n++)
        for (int start = -6; start <= 6; start++)
            for (int end = -6; end <= 6; end++)
                for (int step = -3; step <= 3; step += step == -1 ? 2 : 1) {
                    char input[16], wanted[32];
                    int s = start < 0 ? start + n : start, e = end < 0 ? end + n : end, length = 0;
                    int high = step < 0 ? n - 1 : n, low = step < 0 ? -1 : 0;
                    s = s < 0 ? 0 : s > high ? high : s;
                    e = e < low ? low : e > high ? high : e;
                    for (int i = s; step > 0 ? i < e : i > e; i += step)
                        length++;
                    snprintf(input, sizeof input, "x:f[%d]", n);
                    snprintf(wanted, sizeof wanted, "float32[%d]", length);
                    CHECK_STR(sliced(input, start, end, 0, step), wanted);
                }
}

static void moves_axes(void)
{
    CHECK_STR(one("x:f[b,t,4]", "Transpose", "x"), "float32[4,t,b]");
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
    case_node(m, "Transpose", "x", "y");
    apx_onnx_ints(m, "perm", (const int64_t[]){1, 0, 2}, 3);
    CHECK_STR(case_infer(m, "y"), "float32[t,b,4]");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_node(m, "Transpose", "x", "y");
    apx_onnx_ints(m, "perm", (const int64_t[]){1, 1, 2}, 3);
    CHECK_HAS(case_infer(m, "y"), "perm has axis 1 twice");
    m = case_begin(18, "x:f[b,1,4,1]", "y");
    case_ints(m, "axes", 2, 1LL, -1LL);
    case_node(m, "Squeeze", "x axes", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,4]");
    CHECK_STR(one("x:f[b,1,4,1]", "Squeeze", "x"), "float32[b,4]");
    m = case_begin(18, "x:f[b,4]", "y");
    case_ints(m, "axes", 2, 0LL, -1LL);
    case_node(m, "Unsqueeze", "x axes", "y");
    CHECK_STR(case_infer(m, "y"), "float32[1,b,4,1]");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_node(m, "Flatten", "x", "y");
    apx_onnx_int(m, "axis", 2);
    CHECK_STR(case_infer(m, "y"), "float32[b*t,4]");
}

static void joins_and_splits(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4] w:f[n,t,2]", "y");
    case_node(m, "Concat", "x w", "y");
    apx_onnx_int(m, "axis", -1);
    CHECK_STR(case_infer(m, "y"), "float32[b,t,6]");
    m = case_begin(18, "x:f[b,t] w:f[b,s]", "y");
    case_node(m, "Concat", "x w", "y");
    apx_onnx_int(m, "axis", 1);
    CHECK_STR(case_infer(m, "y"), "float32[b,t+s]");
    m = case_begin(18, "x:f[b,7]", "p q r");
    case_node(m, "Split", "x", "p q r");
    apx_onnx_int(m, "axis", 1);
    apx_onnx_int(m, "num_outputs", 3);
    CHECK_STR(case_infer(m, "r"), "float32[b,1]");
    CHECK_STR(case_show("p"), "float32[b,3]");
    m = case_begin(18, "x:f[b,6]", "p");
    case_node(m, "Split", "x", "p - -"); /* three parts, though one is wanted */
    apx_onnx_int(m, "axis", 1);
    CHECK_STR(case_infer(m, "p"), "float32[b,2]");
    m = case_begin(18, "x:f[b,6]", "p q");
    case_ints(m, "split", 2, 4LL, 3LL);
    case_node(m, "Split", "x split", "p q");
    apx_onnx_int(m, "axis", 1);
    CHECK_HAS(case_infer(m, "p"), "the sum of split: 6 and 7 must be equal");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_ints(m, "index", 0, -1LL);
    case_node(m, "Gather", "x index", "y");
    apx_onnx_int(m, "axis", 1);
    CHECK_STR(case_infer(m, "y"), "float32[b,4]");
    m = case_begin(18, "x:f[b,3]", "y");
    case_ints(m, "index", 2, 1LL, 3LL);
    case_node(m, "Gather", "x index", "y");
    apx_onnx_int(m, "axis", 1);
    CHECK_HAS(case_infer(m, "y"), "index 3 of an extent of 3");
    m = case_begin(18, "x:f[b,3]", "y");
    case_ints(m, "pads", 4, 0LL, 1LL, 0LL, 2LL);
    case_node(m, "Pad", "x pads", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,6]");
    m = case_begin(18, "x:f[b,3]", "y");
    case_ints(m, "pads", 4, 0LL, (long long)INT64_MIN, 0LL, (long long)INT64_MAX);
    case_node(m, "Pad", "x pads", "y");
    CHECK_HAS(case_infer(m, "y"), "APX_ELIMIT Pad: a pad of -9223372036854775808 elements");
    m = case_begin(18, "x:f[b,3]", "y");
    case_ints(m, "repeats", 2, 2LL, 3LL);
    case_node(m, "Tile", "x repeats", "y");
    CHECK_STR(case_infer(m, "y"), "float32[2*b,9]");
}

/* The way exporters make zero states: from the shape of the input, whatever the batch. */
static void follows_zero_states(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "state");
    case_ints(m, "zero", 0, 0LL);
    case_ints(m, "first", 1, 0LL);
    case_ints(m, "layers", 1, 4LL);
    case_ints(m, "two", 1, 2LL);
    case_ints(m, "hidden", 1, 8LL);
    case_node(m, "Shape", "x", "shape");
    case_node(m, "Gather", "shape zero", "batch");
    case_node(m, "Unsqueeze", "batch first", "batches");
    case_node(m, "Concat", "layers batches hidden", "wanted");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "ConstantOfShape", "wanted", "zeros");
    case_node(m, "Slice", "zeros two layers first", "state");
    CHECK_STR(case_infer(m, "state"), "float32[2,b,8]=all 0");
    CHECK_STR(case_show("wanted"), "int64[3]=4 b 8");
    CHECK_STR(case_show("batch"), "int64[]=b");
    m = case_begin(18, "x:f[b,t,4]", "state");
    case_floats(m, "nothing", 0.5f, 0);
    case_ints(m, "hidden", 1, 8LL);
    case_ints(m, "first", 1, 0LL);
    case_node(m, "Shape", "x", "batch");
    apx_onnx_int(m, "start", 0);
    apx_onnx_int(m, "end", -2);
    case_node(m, "Cast", "batch", "small");
    apx_onnx_int(m, "to", 6);
    case_node(m, "Cast", "small", "large");
    apx_onnx_int(m, "to", 7);
    case_node(m, "Concat", "large hidden", "wanted");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "Expand", "nothing wanted", "row");
    case_node(m, "Unsqueeze", "row first", "one");
    case_node(m, "Concat", "one one", "both");
    apx_onnx_int(m, "axis", 0);
    case_node(m, "Transpose", "both", "turned");
    case_node(m, "Identity", "turned", "state");
    CHECK_STR(case_infer(m, "state"), "float32[8,b,2]=all 0.5");
}

static void computes_with_shapes(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
    case_ints(m, "two", 1, 2LL);
    case_ints(m, "none", 1, -1LL);
    case_ints(m, "index", 2, 1LL, -1LL);
    case_node(m, "Shape", "x", "s");
    case_node(m, "Gather", "s index", "g");
    case_node(m, "Mul", "g two", "doubled");
    case_node(m, "Sub", "doubled g", "again");
    case_node(m, "Div", "doubled two", "halved");
    case_node(m, "Mod", "doubled two", "rest");
    case_node(m, "Max", "g two", "most");
    case_node(m, "Equal", "s none", "is_open");
    case_node(m, "Where", "is_open none s", "chosen");
    case_node(m, "ReduceProd", "s", "all");
    apx_onnx_int(m, "keepdims", 0);
    case_node(m, "Size", "x", "size");
    case_node(m, "Equal", "all size", "same");
    case_node(m, "Neg", "g", "negative");
    case_node(m, "Concat", "again halved rest chosen negative", "y");
    apx_onnx_int(m, "axis", 0);
    CHECK_STR(case_infer(m, "y"), "int64[11]=t 4 t 4 0 0 b t 4 -t -4");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_ints(m, "two", 1, 2LL);
    case_node(m, "Shape", "x", "s");
    case_node(m, "Max", "s two", "y"); /* max(b, 2) is no polynomial */
    CHECK_STR(case_infer(m, "y"), "int64[3]");
    m = case_begin(18, "x:f[b,t,4]", "y same");
    case_node(m, "Shape", "x", "s");
    case_node(m, "ReduceProd", "s", "y");
    apx_onnx_int(m, "keepdims", 0);
    case_node(m, "Size", "x", "size");
    case_node(m, "Equal", "y size", "same");
    CHECK_STR(case_infer(m, "same"), "bool[]=1");
    m = case_begin(18, "x:f[b,4]", "y");
    case_ints(m, "start", 0, 1LL);
    case_ints(m, "step", 0, 3LL);
    case_ints(m, "end", 0, 9LL);
    case_node(m, "Range", "start end step", "y");
    CHECK_STR(case_infer(m, "y"), "int64[3]=1 4 7");
    m = case_begin(18, "x:f[b,4]", "y");
    case_ints(m, "start", 0, (long long)INT64_MIN);
    case_ints(m, "step", 0, 1LL << 62);
    case_ints(m, "end", 0, 1LL << 62);
    case_node(m, "Range", "start end step", "y");
    CHECK_HAS(case_infer(m, "y"), "APX_EUNSUPPORTED Range: extent 0 of the result");
    /* a constant that no double holds is not taken for its neighbour */
    m = case_begin(18, "x:f[b,4]", "y");
    case_ints(m, "large", 0, (1LL << 53) + 1);
    case_ints(m, "to", 2, 2LL, 2LL);
    case_node(m, "Expand", "large to", "y");
    CHECK_STR(case_infer(m, "y"), "int64[2,2]");
    const int64_t most = INT64_MAX;
    m = case_begin(18, "x:f[b,4]", "y");
    case_ints(m, "to", 1, 3LL);
    case_node(m, "ConstantOfShape", "to", "y");
    CHECK_STR(case_infer(m, "y"), "float32[3]=all 0");
    struct apx_error error = {0};
    struct apx_attr *value =
        apx_graph_add_attr(case_graph, &case_graph->nodes[0], "value", APX_ATTR_TENSOR);
    REQUIRE(value != NULL);
    value->tensor = apx_graph_add_constant(case_graph, "most", APX_I64, 0, NULL, &most);
    CHECK_EQ(apx_graph_infer(case_graph, &error), APX_EUNSUPPORTED);
    CHECK_HAS(error.message, "fills with integers of 2^53 and more are not supported");
}

static void older_forms_become_the_newest(void)
{
    struct apx_onnx *m = case_begin(9, "x:f[b,t,4]", "y");
    case_node(m, "Slice", "x", "s");
    apx_onnx_ints(m, "starts", (const int64_t[]){-1}, 1);
    apx_onnx_ints(m, "ends", (const int64_t[]){INT64_MAX}, 1);
    apx_onnx_ints(m, "axes", (const int64_t[]){1}, 1);
    case_node(m, "Squeeze", "s", "q");
    apx_onnx_ints(m, "axes", (const int64_t[]){1}, 1);
    case_node(m, "Clip", "q", "c");
    apx_onnx_float(m, "max", 6);
    case_node(m, "ReduceSum", "c", "r");
    apx_onnx_ints(m, "axes", (const int64_t[]){1}, 1);
    case_node(m, "Pad", "r", "y");
    apx_onnx_ints(m, "pads", (const int64_t[]){0, 1, 0, 1}, 4);
    CHECK_STR(case_infer(m, "y"), "float32[b,3]");
    REQUIRE(case_graph->node_count == 5);
    const struct apx_node *clip = &case_graph->nodes[2];
    double bound = 0;
    CHECK_EQ(clip->in_count, 3);
    CHECK_EQ(clip->in[1], -1);
    CHECK(apx_value_number(apx_node_in(case_graph, clip, 2), &bound));
    CHECK_NEAR(bound, 6, 0);
    CHECK_STR(case_show("Squeeze.axes"), "int64[1]=1");
    /* Softmax of a matrix of rows that begin at axis 1 */
    m = case_begin(11, "x:f[b,t,4]", "y");
    case_node(m, "Softmax", "x", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,t,4]");
    REQUIRE(case_graph->node_count == 4);
    CHECK_EQ(case_graph->nodes[0].op, APX_OP_FLATTEN);
    CHECK_EQ(apx_node_int(&case_graph->nodes[0], "axis", 9), 1);
    CHECK_EQ(apx_node_int(&case_graph->nodes[1], "axis", 9), 1);
    CHECK_EQ(case_graph->nodes[3].op, APX_OP_RESHAPE);
    m = case_begin(13, "x:f[b,t,4]", "y");
    case_node(m, "Softmax", "x", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,t,4]");
    CHECK_EQ(case_graph->node_count, 1);
    CHECK_EQ(apx_node_int(&case_graph->nodes[0], "axis", 9), -1);
}

static void infers_classic_operators(void)
{
    const float three[3] = {1, 2, 3};
    struct apx_onnx *m = case_begin(18, "x:f[n,3]", "label score");
    case_node_of(m, "ai.onnx.ml", "Scaler", "x", "s");
    apx_onnx_floats(m, "offset", three, 3);
    apx_onnx_floats(m, "scale", three, 1);
    case_node_of(m, "ai.onnx.ml", "LinearClassifier", "s", "label score");
    apx_onnx_floats(m, "coefficients", three, 3);
    apx_onnx_floats(m, "intercepts", three, 1);
    apx_onnx_ints(m, "classlabels_ints", (const int64_t[]){0, 1}, 2);
    CHECK_STR(case_infer(m, "score"), "float32[n,2]");
    CHECK_STR(case_show("label"), "int64[n]");
    m = case_begin(18, "x:l[3]", "y");
    case_node_of(m, "ai.onnx.ml", "LinearRegressor", "x", "y");
    apx_onnx_floats(m, "coefficients", three, 3);
    CHECK_STR(case_infer(m, "y"), "float32[1,1]");
    m = case_begin(18, "x:f[n,4]", "y");
    case_node_of(m, "ai.onnx.ml", "LinearRegressor", "x", "y");
    apx_onnx_floats(m, "coefficients", three, 3);
    CHECK_HAS(case_infer(m, "y"), "coefficients and features: 4 and 3");
    m = case_begin(18, "x:f[n,4] w:f[m,2]", "y");
    case_ints(m, "columns", 2, 0LL, 2LL);
    case_node_of(m, "ai.onnx.ml", "ArrayFeatureExtractor", "x columns", "p");
    case_node_of(m, "ai.onnx.ml", "FeatureVectorizer", "p w", "y");
    CHECK_STR(case_infer(m, "y"), "float32[n,4]");
}

static void refuses_what_has_no_meaning(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,3]", "y");
    case_floats(m, "low", 1, 1, 3);
    case_node(m, "Clip", "x low", "y");
    CHECK_HAS(case_infer(m, "y"), "APX_EFORMAT Clip: bound 1 is not one number of float32");
    m = case_begin(18, "x:f[b,3]", "y");
    case_floats(m, "low", 1, 1, 1);
    case_node(m, "Clip", "x low", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,3]");
    m = case_begin(18, "x:f[b,3]", "y");
    case_node(m, "Mod", "x x", "y");
    CHECK_HAS(case_infer(m, "y"), "APX_EFORMAT Mod: Mod of float32 needs fmod = 1");
    m = case_begin(18, "x:f[b,3]", "y");
    case_node(m, "Mod", "x x", "y");
    apx_onnx_int(m, "fmod", 1);
    CHECK_STR(case_infer(m, "y"), "float32[b,3]");
}

static void normalises(void)
{
    struct apx_onnx *m = case_begin(18, "x:f[b,t,4]", "y");
    case_floats(m, "scale", 1, 1, 4);
    case_node(m, "LayerNormalization", "x scale", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,t,4]");
    m = case_begin(18, "x:f[b,t,4]", "y");
    case_floats(m, "scale", 1, 1, 5);
    case_node(m, "LayerNormalization", "x scale", "y");
    CHECK_HAS(case_infer(m, "y"), "4 and 5 must be equal");
    m = case_begin(18, "x:f[b,3]", "y");
    case_floats(m, "s", 1, 1, 3);
    case_node(m, "BatchNormalization", "x s s s s", "y");
    CHECK_STR(case_infer(m, "y"), "float32[b,3]");
    m = case_begin(18, "x:f[b,3]", "y mean");
    case_floats(m, "s", 1, 1, 3);
    case_node(m, "BatchNormalization", "x s s s s", "y mean");
    CHECK_HAS(case_infer(m, "y"), "APX_EUNSUPPORTED BatchNormalization: running statistics");
}

static void checks_extents_after_a_merge(void)
{
    /* t-5 is inferred first; then t turns out to be 3 */
    struct apx_onnx *m = case_begin(18, "x:f[t] w:f[3]", "y z");
    case_ints(m, "start", 1, 5LL);
    case_ints(m, "end", 1, (long long)INT64_MAX);
    case_node(m, "Slice", "x start end", "y");
    case_node(m, "Add", "x w", "z");
    CHECK_HAS(case_infer(m, "y"), "APX_EFORMAT y: extent 0 is negative");
}

int main(void)
{
    RUN(broadcasts);
    RUN(merges_symbols_that_must_be_equal);
    RUN(solves_for_symbols);
    RUN(refuses_extents_that_cannot_be_told);
    RUN(multiplies_matrices);
    RUN(infers_recurrent_layers);
    RUN(knows_two_forms_of_the_gru);
    RUN(reduces);
    RUN(reshapes);
    RUN(slices);
    RUN(moves_axes);
    RUN(joins_and_splits);
    RUN(follows_zero_states);
    RUN(computes_with_shapes);
    RUN(older_forms_become_the_newest);
    RUN(infers_classic_operators);
    RUN(normalises);
    RUN(refuses_what_has_no_meaning);
    RUN(checks_extents_after_a_merge);
    case_end();
    return check_report();
}
