/* SPDX-License-Identifier: Apache-2.0 */
/* Operators of ai.onnx.ml through the whole engine: what their attributes may be, and what type
 * their result has. Their numbers are compared in tests/interop. */
#include "tests/runtime/run_case.h"

static struct rng rng = {9};

/* A list of integers where floats are expected was read through a pointer that is not there. */
static void refuses_lists_of_another_type(void)
{
    static const struct {
        const char *op, *list, *outputs;
    } cases[] = {
        {"Scaler", "offset", "y"},
        {"LinearRegressor", "coefficients", "y"},
        {"LinearClassifier", "coefficients", "y s"},
        {"Imputer", "imputed_value_floats", "y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,3]", cases[i].outputs);
        case_node_of(m, "ai.onnx.ml", cases[i].op, "x", cases[i].outputs);
        apx_onnx_ints(m, cases[i].list, (const int64_t[]){1, 2, 3}, 3);
        if (i == 0)
            apx_onnx_ints(m, "scale", (const int64_t[]){1, 2, 3}, 3);
        if (i == 2)
            apx_onnx_ints(m, "classlabels_ints", (const int64_t[]){0}, 1);
        CHECK(!run_case(m, 1, run_random(&rng, 2, 2, 3)));
        CHECK_EQ(run_status, APX_EFORMAT);
    }
}

static void binarizer_keeps_the_type(void)
{
    struct apx_onnx *m = case_begin(17, "x:l[b,3]", "y");
    case_node_of(m, "ai.onnx.ml", "Binarizer", "x", "y");
    struct apx_tensor x = run_integers(&rng, -2, 2, 2, 4, 3);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK_EQ(run_out[0].dtype, APX_I64);
    for (size_t i = 0; i < 12; i++)
        CHECK_EQ(((const int64_t *)run_out[0].data)[i], ((const int64_t *)x.data)[i] > 0);
    run_release(&x, 1);
}

/* Rows [b, 2] of integers or floats; unknown categories and NaN are none of them. */
static void one_hot_encodes(void)
{
    static const int64_t categories[] = {4, -1, 7}, numbers[] = {4, 7, -1, 0, 8, 4};
    static const float reals[] = {4.9f, 7, -1, NAN, 3.99f, INFINITY};
    static const int expected[2][6] = {{0, 2, 1, -1, -1, 0}, {0, 2, 1, -1, -1, -1}};
    for (int is_real = 0; is_real < 2; is_real++) {
        struct apx_onnx *m = case_begin(17, is_real ? "x:f[b,2]" : "x:l[b,2]", "y");
        case_node_of(m, "ai.onnx.ml", "OneHotEncoder", "x", "y");
        apx_onnx_ints(m, "cats_int64s", categories, 3);
        apx_onnx_int(m, "zeros", 1);
        struct apx_tensor x = run_tensor(is_real ? APX_F32 : APX_I64, 2, (const int64_t[2]){3, 2});
        memcpy(x.data, is_real ? (const void *)reals : numbers, x.bytes);
        REQUIRE(run_case_list(m, 1, &x));
        CHECK_EQ(run_out[0].rank, 3);
        CHECK_EQ(run_out[0].dims[0], 3);
        CHECK_EQ(run_out[0].dims[2], 3);
        for (int i = 0; i < 18; i++)
            CHECK_EQ(((const float *)run_out[0].data)[i], expected[is_real][i / 3] == i % 3);
        run_release(&x, 1);
    }
}

static void refuses_one_hot_of_text(void)
{
    struct apx_onnx *m = case_begin(17, "x:l[b,2]", "y");
    case_node_of(m, "ai.onnx.ml", "OneHotEncoder", "x", "y");
    apx_onnx_texts(m, "cats_strings", (const char *const[]){"a", "b"}, 2);
    CHECK(!run_case(m, 1, run_integers(&rng, 0, 3, 2, 2, 2)));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    m = case_begin(17, "x:l[b,2]", "y");
    case_node_of(m, "ai.onnx.ml", "OneHotEncoder", "x", "y");
    CHECK(!run_case(m, 1, run_integers(&rng, 0, 3, 2, 2, 2)));
    CHECK_EQ(run_status, APX_EFORMAT);
    m = case_begin(17, "x:l[b,1,1,1,1,1,1,1]", "y");
    case_node_of(m, "ai.onnx.ml", "OneHotEncoder", "x", "y");
    apx_onnx_ints(m, "cats_int64s", (const int64_t[]){1}, 1);
    CHECK(!run_case(m, 1, run_integers(&rng, 0, 3, 8, 2, 1, 1, 1, 1, 1, 1, 1)));
    CHECK_EQ(run_status, APX_ELIMIT);
}

static void refuses_imputer_of_integers(void)
{
    struct apx_onnx *m = case_begin(17, "x:l[b,3]", "y");
    case_node_of(m, "ai.onnx.ml", "Imputer", "x", "y");
    CHECK(!run_case(m, 1, run_integers(&rng, 0, 3, 2, 2, 3)));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
}

static void refuses_unknown_norms(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", "y");
    case_node_of(m, "ai.onnx.ml", "Normalizer", "x", "y");
    apx_onnx_text(m, "norm", "L3");
    CHECK(!run_case(m, 1, run_random(&rng, 2, 2, 3)));
    CHECK_EQ(run_status, APX_EFORMAT);
}

/* A tensor without elements may have any number of rows; none of them is walked. */
static void answers_empty_tensors_at_once(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[a,b,c]", "y");
    case_node(m, "Relu", "x", "y");
    const struct apx_tensor x = {
        .dtype = APX_F32, .rank = 3, .dims = {(int64_t)1 << 40, 0, (int64_t)1 << 20}};
    REQUIRE(run_case_list(m, 1, &x));
    CHECK_EQ(run_out[0].dims[0], (int64_t)1 << 40);
    CHECK_EQ(run_out[0].bytes, 0);
}

/* The place of the largest score chooses a word of a constant row, as skl2onnx writes it. */
static struct apx_onnx *words_of_scores(const char *outputs)
{
    static const char *const words[] = {"low", "", "high"};
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", outputs);
    apx_onnx_tensor(m, "words", APX_STRING, 2, (const int64_t[2]){1, 3}, words);
    apx_onnx_tensor(m, "flat", APX_I64, 1, (const int64_t[1]){1}, (const int64_t[1]){-1});
    case_node(m, "ArgMax", "x", "place");
    apx_onnx_int(m, "axis", 1);
    case_node_of(m, "ai.onnx.ml", "ArrayFeatureExtractor", "words place", "word");
    case_node(m, "Reshape", "word flat", "label");
    return m;
}

static void numbers_chosen_words(void)
{
    static const float x[] = {0, 1, 2, 2, 1, 0, 0, 1, 0};
    struct apx_tensor rows = run_tensor(APX_F32, 2, (const int64_t[2]){3, 3});
    memcpy(rows.data, x, sizeof x);
    REQUIRE(run_case(words_of_scores("label"), 1, rows));
    CHECK_EQ(run_out[0].dtype, APX_I64);
    CHECK_EQ(run_out[0].rank, 1);
    CHECK_EQ(run_at(0, 0), 2);
    CHECK_EQ(run_at(0, 1), 0);
    CHECK_EQ(run_at(0, 2), 1);
    CHECK_HAS(run_plan,
              "\"classes\": [\n        \"low\",\n        \"\",\n        \"high\"\n      ]");
}

/* More is done to a word than to hand it on: none has a number, and the texts are left out. */
static void leaves_out_other_text(void)
{
    struct apx_onnx *m = words_of_scores("label place both");
    case_node(m, "Concat", "label label", "both");
    apx_onnx_int(m, "axis", 0);
    REQUIRE(run_case(m, 1, run_random(&rng, 2, 4, 3)));
    CHECK_EQ(run_out_count, 1);
    CHECK_HAS(run_plan, "\"left_out\": [\n    \"label\",\n    \"both\"\n  ]");
}

int main(void)
{
    RUN(refuses_lists_of_another_type);
    RUN(binarizer_keeps_the_type);
    RUN(one_hot_encodes);
    RUN(numbers_chosen_words);
    RUN(leaves_out_other_text);
    RUN(refuses_one_hot_of_text);
    RUN(refuses_imputer_of_integers);
    RUN(refuses_unknown_norms);
    RUN(answers_empty_tensors_at_once);
    run_end();
    return check_report();
}
