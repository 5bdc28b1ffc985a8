/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that rearrange elements, through the whole engine. Inputs hold 0, 1, 2, ..., so that
 * every output element tells where it came from. */
#include "tests/runtime/run_case.h"

static struct rng rng = {3};

static struct apx_tensor counting(int rank, int d0, int d1, int d2)
{
    int64_t dims[3] = {d0, d1, d2};
    struct apx_tensor tensor = run_tensor(APX_F32, rank, dims);
    for (size_t i = 0; i < run_count(&tensor); i++)
        ((float *)tensor.data)[i] = (float)i;
    return tensor;
}

/* All six orders, and twice in a row; nothing is computed but the output's copy. */
static void transposes(void)
{
    static const int64_t perms[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int p = 0; p < 6; p++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,3,4]", "y z");
        case_node(m, "Transpose", "x", "y");
        apx_onnx_ints(m, "perm", perms[p], 3);
        case_node(m, "Transpose", "y", "z");
        struct apx_tensor x = counting(3, 5, 3, 4);
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        const int64_t *dims = run_out[0].dims;
        size_t strides[3] = {12, 4, 1}, at[3];
        for (size_t i = 0; i < 60; i++) {
            at[0] = i / (size_t)(dims[1] * dims[2]);
            at[1] = i / (size_t)dims[2] % (size_t)dims[1];
            at[2] = i % (size_t)dims[2];
            size_t from = 0;
            for (int d = 0; d < 3; d++)
                from += at[d] * strides[perms[p][d]];
            CHECK_EQ(run_at(0, i), from);
            CHECK_EQ(run_at(1, (at[2] * (size_t)dims[1] + at[1]) * (size_t)dims[0] + at[0]), from);
        }
        free(x.data);
    }
}

/* Reshapes of a transposed value: with and without a copy. */
static void reshapes_what_is_transposed(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,6,4]", "y z u");
    int64_t perm[3] = {0, 2, 1};
    case_node(m, "Transpose", "x", "t"); /* [b,4,6] */
    apx_onnx_ints(m, "perm", perm, 3);
    case_ints(m, "split", 4, 0LL, 2LL, 2LL, 6LL);
    case_ints(m, "flat", 2, -1LL, 12LL);
    case_ints(m, "ones", 1, 1LL);
    case_node(m, "Reshape", "t split", "y"); /* a view */
    case_node(m, "Reshape", "t flat", "z");  /* [2b,12]: rows inside of an axis */
    case_node(m, "Unsqueeze", "t ones", "v");
    case_node(m, "Flatten", "v", "u");
    struct apx_tensor x = counting(3, 5, 6, 4);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK_EQ(run_out[0].rank, 4);
    CHECK_EQ(run_out[1].dims[0], 10);
    CHECK_EQ(run_out[2].dims[1], 24);
    for (size_t i = 0; i < 120; i++) {
        size_t from = i / 24 * 24 + i % 6 * 4 + i / 6 % 4;
        CHECK_EQ(run_at(0, i), from);
        CHECK_EQ(run_at(1, i), from);
        CHECK_EQ(run_at(2, i), from);
    }
    free(x.data);
}

/* Rows folded into an axis and unfolded again, as Keras' TimeDistributed does. */
static void folds_rows_and_back(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
    case_ints(m, "fold", 2, -1LL, 4LL);
    case_node(m, "Reshape", "x fold", "f");
    case_node(m, "Abs", "f", "g");
    case_node(m, "Shape", "x", "s");
    case_node(m, "Reshape", "g s", "y");
    struct apx_tensor x = counting(3, 5, 3, 4);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t i = 0; i < 60; i++)
        CHECK_EQ(run_at(0, i), i);
    free(x.data);
}

static void slices(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t,5]", "last back mid part");
    case_ints(m, "m1", 1, -1LL);
    case_ints(m, "end", 1, 9223372036854775807LL);
    case_ints(m, "start", 1, -9223372036854775807LL - 1);
    case_ints(m, "zero", 1, 0LL);
    case_ints(m, "one", 1, 1LL);
    case_ints(m, "two", 1, 2LL);
    case_ints(m, "four", 1, 4LL);
    case_node(m, "Slice", "x m1 end one", "last");
    case_node(m, "Slice", "x m1 start one m1", "back"); /* time reversed */
    case_node(m, "Slice", "x one end one", "mid");
    case_node(m, "Slice", "x zero four two two", "part"); /* columns 0, 2 */
    struct apx_tensor x = counting(3, 4, 6, 5);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    CHECK_EQ(run_out[0].dims[1], 1);
    CHECK_EQ(run_out[1].dims[1], 6);
    CHECK_EQ(run_out[2].dims[1], 5);
    CHECK_EQ(run_out[3].dims[2], 2);
    for (size_t b = 0; b < 4; b++)
        for (size_t t = 0; t < 6; t++)
            for (size_t c = 0; c < 5; c++) {
                size_t from = (b * 6 + t) * 5 + c;
                CHECK_EQ(run_at(1, (b * 6 + 5 - t) * 5 + c), from);
                if (t == 5)
                    CHECK_EQ(run_at(0, b * 5 + c), from);
                if (t > 0)
                    CHECK_EQ(run_at(2, (b * 5 + t - 1) * 5 + c), from);
                if (c == 0 || c == 2)
                    CHECK_EQ(run_at(3, (b * 6 + t) * 2 + c / 2), from);
            }
    free(x.data);
}

/* With free extents a slice may not fit: refused when it is run, by name. */
static void refuses_slices_outside(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t]", "y");
    case_ints(m, "three", 1, 3LL);
    case_ints(m, "end", 1, 9223372036854775807LL);
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Slice", "x three end one", "y");
    struct apx_tensor x = counting(2, 4, 2, 0);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_EQ(run_status, APX_EINVAL);
    free(x.data);

    m = case_begin(17, "x:f[b,t]", "y");
    case_ints(m, "m3", 1, -3LL);
    case_ints(m, "m1", 1, -1LL);
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Slice", "x m3 m1 one", "y");
    x = counting(2, 4, 2, 0);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_EQ(run_status, APX_EINVAL);
    CHECK_HAS(run_error.message, "extents");
    free(x.data);
}

static void splits_and_joins(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,6]", "y z c d");
    case_ints(m, "sizes", 2, 2LL, 4LL);
    case_node(m, "Split", "x sizes", "y z");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Concat", "z y x", "c");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Concat", "y z", "d"); /* already side by side */
    apx_onnx_int(m, "axis", -1);
    struct apx_tensor x = counting(2, 7, 6, 0);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t b = 0; b < 7; b++)
        for (size_t c = 0; c < 6; c++) {
            if (c < 2)
                CHECK_EQ(run_at(0, b * 2 + c), b * 6 + c);
            else
                CHECK_EQ(run_at(1, b * 4 + c - 2), b * 6 + c);
            CHECK_EQ(run_at(2, b * 12 + (c < 2 ? c + 4 : c - 2)), b * 6 + c);
            CHECK_EQ(run_at(2, b * 12 + 6 + c), b * 6 + c);
            CHECK_EQ(run_at(3, b * 6 + c), b * 6 + c);
        }
    free(x.data);
}

/* Parts written around the rows of other slices: the row axis is not the first. */
static void joins_before_the_rows(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", "y");
    case_ints(m, "zero", 1, 0LL);
    case_node(m, "Unsqueeze", "x zero", "u");
    case_node(m, "Neg", "u", "n");
    case_node(m, "Concat", "u n", "y");
    apx_onnx_int(m, "axis", 0);
    struct apx_tensor x = counting(2, 7, 3, 0);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t i = 0; i < 21; i++) {
        CHECK_EQ(run_at(0, i), i);
        CHECK_EQ(run_at(0, 21 + i), -(double)i);
    }
    free(x.data);
}

static void gathers(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,5] i:l[b,2] table:f[4,3]", "a c d e");
    case_ints(m, "last", 0, -1LL);
    case_ints(m, "mixed", 3, 4LL, 0LL, -2LL);
    case_ints(m, "run", 3, 3LL, 2LL, 1LL);
    case_node(m, "Gather", "x last", "a");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Gather", "x mixed", "c");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Gather", "x run", "d");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Gather", "table i", "e"); /* an embedding */
    struct apx_tensor in[3] = {counting(2, 6, 5, 0), run_integers(&rng, -4, 3, 2, 6, 2),
                               counting(2, 4, 3, 0)};
    REQUIRE(run_case_list(m, 3, in));
    CHECK(run_independent);
    for (size_t b = 0; b < 6; b++) {
        CHECK_EQ(run_at(0, b), b * 5 + 4);
        CHECK_EQ(run_at(1, b * 3), b * 5 + 4);
        CHECK_EQ(run_at(1, b * 3 + 1), b * 5);
        CHECK_EQ(run_at(1, b * 3 + 2), b * 5 + 3);
        for (size_t k = 0; k < 3; k++)
            CHECK_EQ(run_at(2, b * 3 + k), b * 5 + 3 - k);
        for (size_t k = 0; k < 6; k++) {
            int64_t index = ((int64_t *)in[1].data)[b * 2 + k / 3];
            CHECK_EQ(run_at(3, b * 6 + k), (index < 0 ? index + 4 : index) * 3 + (int64_t)k % 3);
        }
    }
    ((int64_t *)in[1].data)[3] = 4;
    m = case_begin(17, "i:l[b,2] table:f[4,3]", "e");
    case_node(m, "Gather", "table i", "e");
    CHECK(!run_case_list(m, 2, &in[1]));
    CHECK_EQ(run_status, APX_EINVAL);
    CHECK_HAS(run_error.message, "index");
    run_release(in, 3);
}

static void repeats(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", "t e p q");
    case_ints(m, "reps", 2, 1LL, 2LL);
    case_ints(m, "shape", 3, 4LL, 1LL, 3LL);
    case_ints(m, "pads", 4, 0LL, 1LL, 0LL, 2LL);
    case_ints(m, "cut", 4, 0LL, -1LL, 0LL, 1LL);
    case_floats(m, "fill", 9.5f, 0);
    case_node(m, "Tile", "x reps", "t");
    case_node(m, "Expand", "x shape", "e"); /* [4,b,3] */
    case_node(m, "Pad", "x pads fill", "p");
    case_node(m, "Pad", "x cut", "q");
    struct apx_tensor x = counting(2, 5, 3, 0);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    CHECK_EQ(run_out[1].rank, 3);
    for (size_t b = 0; b < 5; b++)
        for (size_t c = 0; c < 3; c++) {
            CHECK_EQ(run_at(0, b * 6 + c), b * 3 + c);
            CHECK_EQ(run_at(0, b * 6 + 3 + c), b * 3 + c);
            for (size_t k = 0; k < 4; k++)
                CHECK_EQ(run_at(1, (k * 5 + b) * 3 + c), b * 3 + c);
            CHECK_EQ(run_at(2, b * 6 + 1 + c), b * 3 + c);
            if (c > 0)
                CHECK_EQ(run_at(3, b * 3 + c - 1), b * 3 + c);
        }
    for (size_t b = 0; b < 5; b++) {
        CHECK_NEAR(run_at(2, b * 6), 9.5, 0);
        CHECK_NEAR(run_at(2, b * 6 + 5), 9.5, 0);
        CHECK_NEAR(run_at(3, b * 3 + 2), 0, 0);
    }
    free(x.data);
}

/* Outputs that are an input, a constant, and one value twice. */
static void copies_to_outputs(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,2]", "x2 k r r2");
    case_floats(m, "k0", 3, 1, 2);
    case_node(m, "Identity", "x", "x2");
    case_node(m, "Relu", "x", "r");
    case_node(m, "Identity", "r", "r2");
    case_node(m, "Identity", "k0", "k");
    struct apx_tensor x = counting(2, 5, 2, 0);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(!run_independent); /* k has no rows */
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQ(run_at(0, i), i);
        CHECK_EQ(run_at(2, i), i);
        CHECK_EQ(run_at(3, i), i);
    }
    CHECK_EQ(run_at(1, 1), 3);
    free(x.data);
}

int main(void)
{
    RUN(transposes);
    RUN(reshapes_what_is_transposed);
    RUN(folds_rows_and_back);
    RUN(slices);
    RUN(refuses_slices_outside);
    RUN(splits_and_joins);
    RUN(joins_before_the_rows);
    RUN(gathers);
    RUN(repeats);
    RUN(copies_to_outputs);
    run_end();
    return check_report();
}
