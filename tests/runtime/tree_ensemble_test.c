/* SPDX-License-Identifier: Apache-2.0 */
/* The tree operators of ai.onnx.ml: every mode at its threshold, sums, extremes, labels,
 * transforms, chains of equalities, sums of trees; each compared with what the standard says,
 * written down. */
#include <float.h>

#include "tests/runtime/tree_case.h"

static const float probes[] = {-INFINITY, -1,         -0.0f, 0,        FLT_TRUE_MIN,
                               1,         1.0000001f, 2,     INFINITY, NAN};
#define PROBES ((int)(sizeof probes / sizeof probes[0]))

static bool holds(const char *mode, float x, float value, bool missing)
{
    if (isnan(x))
        return missing || strcmp(mode, "BRANCH_NEQ") == 0;
    return strcmp(mode, "BRANCH_LEQ") == 0   ? x <= value
           : strcmp(mode, "BRANCH_LT") == 0  ? x < value
           : strcmp(mode, "BRANCH_GTE") == 0 ? x >= value
           : strcmp(mode, "BRANCH_GT") == 0  ? x > value
           : strcmp(mode, "BRANCH_EQ") == 0  ? x == value
                                             : x != value;
}

static const char *const modes[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                    "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};

static void decides_as_the_mode_says(void)
{
    for (size_t m = 0; m < 6; m++)
        for (int v = 0; v < PROBES; v++)
            for (int missing = 0; missing < 2; missing++) {
                struct tree_lists t = tree_stump(modes[m], probes[v], missing);
                REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(probes, PROBES)));
                for (int i = 0; i < PROBES; i++) {
                    bool want = holds(modes[m], probes[i], probes[v], missing);
                    if (!CHECK(run_at(0, (size_t)i) == (double)want))
                        fprintf(stderr, "    %g %s %g\n", (double)probes[i], modes[m],
                                (double)probes[v]);
                }
            }
}

/* x: doubles between two floats meet float thresholds as doubles; narrowed, they do not exist. */
static void compares_doubles_as_doubles(void)
{
    const double x[] = {1, 1 + 0x1p-40, 1 - 0x1p-40};
    const int64_t dims[2] = {3, 1};
    struct tree_lists t = tree_stump("BRANCH_LEQ", 1, false);
    struct apx_onnx *m = case_begin(17, "x:d[n,1]", "y");
    tree_node(m, &t, "x", "y");
    struct apx_tensor in = run_tensor(APX_F64, 2, dims);
    memcpy(in.data, x, sizeof x);
    REQUIRE(run_case(m, 1, in));
    CHECK_EQ(run_at(0, 0), 1);
    CHECK_EQ(run_at(0, 1), 0);
    CHECK_EQ(run_at(0, 2), 1);
    CHECK_EQ(run_out[0].dtype, APX_F32);
}

/* Ids in any order, with holes; two trees, one of them a leaf. */
static void finds_nodes_by_their_ids(void)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
    const float x[] = {0, 5};
    tree_leaf(&t, 7, 40, 0, 1);
    tree_split(&t, 7, 3, 0, "BRANCH_LT", 1, 40, -9, false);
    tree_leaf(&t, -2, 5, 0, 10);
    tree_leaf(&t, 7, -9, 0, 2);
    REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
    CHECK_EQ(run_at(0, 0), 11);
    CHECK_EQ(run_at(0, 1), 12);
}

/* Three trees whose leaves are -1 and 4, 2 and 3, 7: targets 0, 0, 1, and one vote more. */
static struct tree_lists three_trees(const char *aggregate)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 2);
    t.aggregate = aggregate;
    for (int tree = 0; tree < 2; tree++) {
        tree_split(&t, tree, 0, 0, "BRANCH_LEQ", 0, 1, 2, false);
        tree_leaf(&t, tree, 1, 0, tree == 0 ? -1 : 2);
        tree_leaf(&t, tree, 2, 0, tree == 0 ? 4 : 3);
    }
    tree_leaf(&t, 2, 0, 1, 7);
    tree_vote(&t, 2, 0, 0, 1);
    return t;
}

static void aggregates(void)
{
    static const struct {
        const char *name;
        double left, right, other; /* target 0 of x = 0, of x = 1; target 1 */
    } cases[] = {{"SUM", 2, 8, 7},
                 {"AVERAGE", 2.0 / 3, 8.0 / 3, 7.0 / 3},
                 {"MIN", -1, 1, 7},
                 {"MAX", 2, 4, 7},
                 {NULL, 2, 8, 7}};
    const float x[] = {0, 1};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct tree_lists t = three_trees(cases[c].name);
        t.base_count = 2;
        t.base[0] = 0.5f;
        t.base[1] = -0.25f;
        REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
        CHECK_NEAR(run_at(0, 0), cases[c].left + 0.5, 1e-6);
        CHECK_NEAR(run_at(0, 1), cases[c].other - 0.25, 1e-6);
        CHECK_NEAR(run_at(0, 2), cases[c].right + 0.5, 1e-6);
    }
}

static void extremes_need_a_vote_always(void)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 2);
    const float x[] = {0};
    t.aggregate = "MAX";
    tree_leaf(&t, 0, 0, 0, -3);
    CHECK(!run_case(tree_model(&t, 1), 1, tree_column(x, 1)));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    CHECK_HAS(run_error.message, "always votes for target 1");
}

/* Two classes, votes for the first alone: m = low or high. */
static struct tree_lists pair(float low, float high, const char *transform)
{
    struct tree_lists t = tree_new("TreeEnsembleClassifier", 2);
    t.transform = transform;
    tree_split(&t, 0, 0, 0, "BRANCH_LEQ", 0, 1, 2, false);
    tree_leaf(&t, 0, 1, 0, low);
    tree_leaf(&t, 0, 2, 0, high);
    return t;
}

static void two_classes_of_one_sum(void)
{
    const float x[] = {0, 1};
    static const struct {
        float low, high;
        const char *transform;
        double scores[4];
        int64_t labels[2];
    } cases[] = {
        {0.25f, 0.75f, NULL, {0.75, 0.25, 0.25, 0.75}, {100, 101}},
        {0.5f, 0.75f, NULL, {0.5, 0.5, 0.25, 0.75}, {100, 101}},
        {0.25f, 0.75f, "SOFTMAX", {0.75, 0.25, 0.25, 0.75}, {100, 101}},
        {-0.5f, 0.25f, NULL, {0.5, -0.5, -0.25, 0.25}, {100, 101}},
        {-0.5f,
         2,
         "LOGISTIC",
         {0.6224593312, 0.3775406688, 0.1192029220, 0.8807970780},
         {100, 101}},
        {0.25f,
         2,
         "LOGISTIC",
         {0.4378234991, 0.5621765009, 0.1192029220, 0.8807970780},
         {100, 101}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct tree_lists t = pair(cases[c].low, cases[c].high, cases[c].transform);
        REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
        for (size_t i = 0; i < 4; i++)
            CHECK_NEAR(run_at(1, i), cases[c].scores[i], 1e-6);
        for (size_t i = 0; i < 2; i++)
            CHECK_EQ(((int64_t *)run_out[0].data)[i], cases[c].labels[i]);
    }
}

static void labels_of_the_largest_score(void)
{
    const float x[] = {0, 1};
    struct tree_lists t = tree_new("TreeEnsembleClassifier", 3);
    t.transform = "SOFTMAX";
    t.base_count = 3;
    t.base[1] = 0.5f;
    tree_split(&t, 0, 0, 0, "BRANCH_LEQ", 0, 1, 2, false);
    tree_leaf(&t, 0, 1, 0, 0.25f);
    tree_leaf(&t, 0, 2, 2, 1);
    REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
    CHECK_EQ(run_at(0, 0), 101);
    CHECK_EQ(run_at(0, 1), 102);
    double sum = exp(0.25) + exp(0.5) + 1;
    CHECK_NEAR(run_at(1, 0), exp(0.25) / sum, 1e-6);
    CHECK_NEAR(run_at(1, 1), exp(0.5) / sum, 1e-6);
}

/* The place of the word is answered, whatever shape it has on its way out. */
static void numbers_labels_that_are_text(void)
{
    static const char *const words[] = {"no", "\"yes\""};
    const float x[] = {0, 1};
    struct tree_lists t = pair(0.25f, 0.75f, NULL);
    t.text_labels = words;
    REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
    CHECK_EQ(run_out_count, 2);
    CHECK_EQ(run_at(0, 0), 0);
    CHECK_EQ(run_at(0, 1), 1);
    CHECK_NEAR(run_at(1, 3), 0.75, 1e-6);
    CHECK_HAS(run_plan, "\"left_out\": []");
    CHECK_HAS(run_plan, "\"classes\": [\n        \"no\",\n        \"\\\"yes\\\"\"\n      ]");
    CHECK_HAS(run_plan, "\"classes\": \"[\\\"no\\\", \\\"\\\\\\\"yes\\\\\\\"\\\"]\"");
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "column same");
    tree_node(m, &t, "x", "label y");
    apx_onnx_tensor(m, "shape", APX_I64, 1, &(int64_t){2}, (int64_t[]){-1, 1});
    case_node(m, "Reshape", "label shape", "column");
    case_node(m, "Identity", "column", "same");
    REQUIRE(run_case(m, 1, tree_column(x, 2)));
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(run_out[i].rank, 2);
        CHECK_EQ(run_at(i, 0), 0);
        CHECK_EQ(run_at(i, 1), 1);
    }
    CHECK_HAS(strstr(run_plan, "\"same\""), "\"classes\": [\n        \"no\"");
}

/* A class has a number and no word: the label goes, the scores stay; alone it is refused. */
static void leaves_out_labels_without_words(void)
{
    static const char *const words[] = {"yes"};
    const float x[] = {0, 1};
    struct tree_lists t = pair(0.25f, 0.75f, NULL);
    t.targets = 1;
    t.text_labels = words;
    REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 2)));
    CHECK_EQ(run_out_count, 1);
    CHECK_HAS(run_plan, "\"left_out\": [\n    \"label\"");
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "label"); /* nothing else would be left */
    tree_node(m, &t, "x", "label y");
    CHECK(!run_case(m, 1, tree_column(x, 2)));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
}

/* x == 1, 3, 5, ...: a chain of equalities with one true branch. */
static void chains_of_equalities_become_sets(void)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
    float x[400];
    const int links = 150;
    for (int i = 0; i < links; i++)
        tree_split(&t, 0, i, 0, "BRANCH_EQ", (float)(2 * i + 1), links,
                   i + 1 < links ? i + 1 : links + 1, true);
    tree_leaf(&t, 0, links, 0, 1);
    tree_leaf(&t, 0, links + 1, 0, 2);
    for (int i = 0; i < 400; i++)
        x[i] = (float)i - 20;
    x[0] = NAN;
    REQUIRE(run_case(tree_model(&t, 1), 1, tree_column(x, 400)));
    for (int i = 0; i < 400; i++) {
        bool member = isnan(x[i]) || (x[i] > 0 && x[i] < 300 && fmodf(x[i], 2) == 1);
        CHECK_EQ(run_at(0, (size_t)i), member ? 1 : 2);
    }
}

/* ---- TreeEnsemble ---------------------------------------------------------------------------- */

static void reads_trees_by_position(void)
{
    const int64_t feature[] = {0, 0, 0}, when_true[] = {1, 0, 3}, true_leaf[] = {0, 1, 1},
                  when_false[] = {2, 1, 3}, false_leaf[] = {1, 1, 1}, target[] = {0, 0, 1, 1},
                  roots[] = {0, 2};
    const float splits[] = {4, 0, 0}, members[] = {7, 0, -2, NAN}, weights[] = {1, 2, 5, 0.5f};
    const uint8_t kinds[] = {0, 6, 0};
    const float x[] = {0, -2, 3, 7, NAN};
    struct apx_onnx *m = apx_onnx_create("five");
    const char *const dims[] = {"n", "1"};
    REQUIRE(m != NULL);
    apx_onnx_opset(m, "ai.onnx.ml", 5);
    apx_onnx_input(m, "x", APX_F32, 2, dims);
    apx_onnx_output(m, "y", APX_F32, 0, NULL);
    case_node_of(m, "ai.onnx.ml", "TreeEnsemble", "x", "y");
    apx_onnx_ints(m, "nodes_featureids", feature, 3);
    apx_onnx_ints(m, "nodes_truenodeids", when_true, 3);
    apx_onnx_ints(m, "nodes_trueleafs", true_leaf, 3);
    apx_onnx_ints(m, "nodes_falsenodeids", when_false, 3);
    apx_onnx_ints(m, "nodes_falseleafs", false_leaf, 3);
    apx_onnx_ints(m, "leaf_targetids", target, 4);
    apx_onnx_ints(m, "tree_roots", roots, 2);
    apx_onnx_int(m, "n_targets", 2);
    apx_onnx_tensor_attribute(m, "nodes_splits", APX_F32, 1, &(int64_t){3}, splits);
    apx_onnx_tensor_attribute(m, "nodes_modes", APX_U8, 1, &(int64_t){3}, kinds);
    apx_onnx_tensor_attribute(m, "leaf_weights", APX_F32, 1, &(int64_t){4}, weights);
    apx_onnx_tensor_attribute(m, "membership_values", APX_F32, 1, &(int64_t){4}, members);
    REQUIRE(run_case(m, 1, tree_column(x, 5)));
    const double want[] = {1, 0.5, 1, 0.5, 2, 0.5, 0, 5.5, 0, 5.5};
    for (size_t i = 0; i < 10; i++)
        CHECK_NEAR(run_at(0, i), want[i], 1e-6);
}

/* ---- what graphs make of trees --------------------------------------------------------------- */

/* Depths and sizes of leaves looked up by the leaf's number, added over two trees of chosen
 * columns, as scikit-learn's isolation forest is written. */
static struct apx_onnx *isolation(bool is_foldable)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,2]", "scores");
    const int64_t keys[] = {1, 2}, flat[] = {-1, 1}, columns[] = {1, 0};
    const float depths[] = {2, 3.5f}, two = 2, divisor = 8, offset = 0.5f;
    apx_onnx_tensor(m, "columns", APX_I64, 1, &(int64_t){2}, columns);
    apx_onnx_tensor(m, "flat", APX_I64, 1, &(int64_t){2}, flat);
    apx_onnx_tensor(m, "two", APX_F32, 1, &(int64_t){1}, &two);
    apx_onnx_tensor(m, "divisor", APX_F32, 2, (int64_t[]){1, 1}, &divisor);
    apx_onnx_tensor(m, "offset", APX_F32, 1, &(int64_t){1}, &offset);
    for (int tree = 0; tree < 2; tree++) {
        struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
        char text[8][32];
        const char *const names[] = {"part",  "leaf", "int",    "table",
                                     "depth", "log",  "scaled", "sum"};
        for (int i = 0; i < 8; i++)
            snprintf(text[i], sizeof text[i], "%s%d", names[i], tree);
        char both[64];
        tree_split(&t, 0, 0, 0, "BRANCH_LEQ", (float)tree, 1, 2, false);
        tree_leaf(&t, 0, 1, 0, 1);
        tree_leaf(&t, 0, 2, 0, 2);
        case_node(m, "Gather", "x columns", text[0]);
        apx_onnx_int(m, "axis", 1);
        tree_node(m, &t, text[0], text[1]);
        case_node(m, "Cast", text[1], text[2]);
        apx_onnx_int(m, "to", 7);
        case_node_of(m, "ai.onnx.ml", "LabelEncoder", text[2], text[3]);
        apx_onnx_ints(m, "keys_int64s", keys, 2);
        apx_onnx_floats(m, "values_floats", depths, 2);
        snprintf(both, sizeof both, "%s flat", text[3]);
        case_node(m, "Reshape", both, text[4]);
        case_node(m, "Log", text[4], text[5]);
        snprintf(both, sizeof both, "%s two", text[5]);
        case_node(m, "Mul", both, text[6]);
        snprintf(both, sizeof both, "%s %s", text[4], text[6]);
        case_node(m, "Add", both, text[7]);
    }
    case_node(m, "Sum", is_foldable ? "sum0 sum1" : "sum0 sum1 x0", "all");
    if (!is_foldable) { /* something that no tree answers */
        apx_onnx_node(m, "", "ReduceSum", "none", (const char *const[]){"x", "axis"}, 2,
                      (const char *const[]){"total"}, 1);
        apx_onnx_tensor(m, "axis", APX_I64, 1, &(int64_t){1}, &(int64_t){1});
        apx_onnx_tensor(m, "zero", APX_F32, 1, &(int64_t){1}, &(float){0});
        case_node(m, "Mul", "total zero", "x0");
    }
    case_node(m, "Div", "all divisor", "mean");
    case_node(m, "Neg", "mean", "less");
    case_node(m, "Pow", "two less", "power");
    case_node(m, "Neg", "power", "samples");
    case_node(m, "Add", "samples offset", "scores");
    return m;
}

/* A constant that no double holds stands beside the trees: it is looked up as it is. */
static void huge_integers_are_looked_up(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,2]", "y");
    const int64_t keys[] = {1, INT64_MAX}, huge = INT64_MAX, one = 1;
    apx_onnx_tensor(m, "huge", APX_I64, 1, &one, &huge);
    case_node_of(m, "ai.onnx.ml", "LabelEncoder", "huge", "found");
    apx_onnx_ints(m, "keys_int64s", keys, 2);
    apx_onnx_floats(m, "values_floats", (const float[]){7, 5}, 2);
    for (int tree = 0; tree < 2; tree++) {
        struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
        tree_split(&t, 0, 0, 0, "BRANCH_LEQ", (float)tree, 1, 2, false);
        tree_leaf(&t, 0, 1, 0, 1);
        tree_leaf(&t, 0, 2, 0, 2);
        tree_node(m, &t, "x", tree == 0 ? "leaf0" : "leaf1");
        case_node(m, "Add", tree == 0 ? "leaf0 found" : "leaf1 found", tree == 0 ? "s0" : "s1");
    }
    case_node(m, "Sum", "s0 s1", "y");
    struct apx_tensor in = run_tensor(APX_F32, 2, (const int64_t[]){3, 2});
    memcpy(in.data, (const float[]){0, 0, 0.5f, 0, 2, 0}, in.bytes);
    REQUIRE(run_case(m, 1, in));
    for (int n = 0; n < 3; n++)
        CHECK_EQ(((const float *)run_out[0].data)[n], 12 + n);
}

static void sums_of_trees_are_one_forest(void)
{
    const int64_t dims[2] = {4, 2};
    const float x[] = {0, -1, 1, 0, 2, 0.5f, 2, 7};
    double depth[] = {2 + 2 * log(2), 3.5 + 2 * log(3.5)};
    for (int is_foldable = 0; is_foldable < 2; is_foldable++) {
        struct apx_tensor in = run_tensor(APX_F32, 2, dims);
        memcpy(in.data, x, sizeof x);
        REQUIRE(run_case(isolation(is_foldable), 1, in));
        if (is_foldable)
            CHECK(strstr(run_plan, "labels") == NULL && strstr(run_plan, "elementwise") == NULL);
        else
            CHECK_HAS(run_plan, "labels");
        for (size_t n = 0; n < 4; n++) {
            double sum = depth[x[2 * n + 1] > 0] + depth[x[2 * n + 1] > 1];
            CHECK_NEAR(run_at(0, n), 0.5 - exp2(-sum / 8), 1e-6);
        }
    }
}

/* A tree that two sums want is a forest in the first; the second runs as it is written. */
static void a_tree_is_used_once(void)
{
    struct tree_lists t = tree_stump("BRANCH_LEQ", 0, false);
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "a b");
    const float x[] = {0, 1};
    tree_node(m, &t, "x", "y");
    case_node(m, "Sum", "y y", "a");
    case_node(m, "Sum", "y", "b");
    REQUIRE(run_case(m, 1, tree_column(x, 2)));
    CHECK_EQ(run_at(0, 0), 2);
    CHECK_EQ(run_at(1, 0), 1);
    CHECK_EQ(run_at(1, 1), 0);
}

/* LightGBM's trees in several operators, added in double. */
static void sums_in_double_are_rounded_once(void)
{
    const float x[] = {0, 1}, parts[] = {1, 0x1p-24f, 0x1p-24f};
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "y");
    const char *const names[] = {"t0", "t1", "t2"}, *const casts[] = {"d0", "d1", "d2"};
    for (int i = 0; i < 3; i++) {
        struct tree_lists t = tree_stump("BRANCH_LEQ", 0, false);
        t.weights[0] = parts[i];
        tree_node(m, &t, "x", names[i]);
        case_node(m, "Cast", names[i], casts[i]);
        apx_onnx_int(m, "to", 11);
    }
    case_node(m, "Sum", "d0 d1 d2", "sum");
    case_node(m, "Cast", "sum", "y");
    apx_onnx_int(m, "to", 1);
    REQUIRE(run_case(m, 1, tree_column(x, 2)));
    CHECK_EQ(run_at(0, 0), 1 + 0x1p-23);
    CHECK_EQ(run_at(0, 1), 0);
}

/* ---- LabelEncoder ---------------------------------------------------------------------------- */

static void looks_labels_up(void)
{
    const float keys[] = {2.5f, NAN, -1, 2.5f}, x[] = {2.5f, 0, NAN, -1};
    const int64_t labels[] = {(int64_t)1 << 60, 7, -3, 9};
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "y");
    case_node_of(m, "ai.onnx.ml", "LabelEncoder", "x", "y");
    apx_onnx_floats(m, "keys_floats", keys, 4);
    apx_onnx_ints(m, "values_int64s", labels, 4);
    apx_onnx_int(m, "default_int64", 42);
    REQUIRE(run_case(m, 1, tree_column(x, 4)));
    const int64_t *y = run_out[0].data;
    CHECK_EQ(y[0], (int64_t)1 << 60);
    CHECK_EQ(y[1], 42);
    CHECK_EQ(y[2], 7);
    CHECK_EQ(y[3], -3);
}

static void refuses_labels_of_text(void)
{
    static const char *const words[] = {"a"};
    const float x[] = {0}, key = 0;
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "y");
    case_node_of(m, "ai.onnx.ml", "LabelEncoder", "x", "y");
    apx_onnx_floats(m, "keys_floats", &key, 1);
    apx_onnx_texts(m, "values_strings", words, 1);
    CHECK(!run_case(m, 1, tree_column(x, 1)));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    CHECK_HAS(run_error.message, "text");
}

int main(void)
{
    RUN(decides_as_the_mode_says);
    RUN(compares_doubles_as_doubles);
    RUN(finds_nodes_by_their_ids);
    RUN(aggregates);
    RUN(extremes_need_a_vote_always);
    RUN(two_classes_of_one_sum);
    RUN(labels_of_the_largest_score);
    RUN(numbers_labels_that_are_text);
    RUN(leaves_out_labels_without_words);
    RUN(chains_of_equalities_become_sets);
    RUN(reads_trees_by_position);
    RUN(huge_integers_are_looked_up);
    RUN(sums_of_trees_are_one_forest);
    RUN(a_tree_is_used_once);
    RUN(sums_in_double_are_rounded_once);
    RUN(looks_labels_up);
    RUN(refuses_labels_of_text);
    run_end();
    return check_report();
}
