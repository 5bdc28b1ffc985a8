/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_read_test.c - XGBoost's files, by hand: where each version puts things, which way rows
 * go, what base_score and the objective make of margins. Each model is read as JSON and as UBJSON.
 * Files that those versions wrote themselves: xgboost_versions_test.c. */
#include "runtime/model/model_format.h"
#include "tests/runtime/xgboost_case.h"

#include <float.h>
#include <math.h>

/* One row of three features through the sample's first tree, in both forms. */
static uint32_t leaf_of(const char *text, float a, float b, float c)
{
    uint32_t found[2] = {99, 98};
    for (int binary = 0; binary < 2; binary++) {
        struct apx_graph *graph;
        const struct apx_forest *forest = xgboost_forest(text, binary, &graph);
        uint32_t leaves[8];
        REQUIRE(forest->desc.trees <= 8);
        xgboost_run(forest, 1, (float[]){a, b, c}, NULL, leaves);
        found[binary] = leaves[0];
        apx_graph_destroy(graph);
    }
    CHECK_EQ(found[0], found[1]);
    return found[0];
}

static float margin_of(const char *text, float a, float b, float c)
{
    float found[2];
    for (int binary = 0; binary < 2; binary++) {
        struct apx_graph *graph;
        const struct apx_forest *forest = xgboost_forest(text, binary, &graph);
        REQUIRE(forest->desc.outputs == 1);
        xgboost_run(forest, 1, (float[]){a, b, c}, &found[binary], NULL);
        apx_graph_destroy(graph);
    }
    CHECK_EQ(memcmp(&found[0], &found[1], sizeof found[0]), 0);
    return found[0];
}

static void describes_the_model(void)
{
    struct apx_graph *graph;
    const struct apx_forest *forest = xgboost_forest(xgboost_sample, false, &graph);
    CHECK_EQ(forest->desc.features, 3);
    CHECK_EQ(forest->desc.outputs, 1);
    CHECK_EQ(forest->desc.trees, 2);
    CHECK_EQ(forest->desc.leaf_count, 5); /* pruned nodes are no leaves */
    CHECK(!forest->desc.compares_double && !forest->desc.sums_double && !forest->output_double);
    CHECK_EQ(forest->link.kind, APX_LINK_NONE);
    CHECK_STR(forest->source, "xgboost 3.0.5, reg:squarederror");
    CHECK_STR(graph->producer, "xgboost 3.0.5");
    REQUIRE(graph->metadata_count == 3);
    CHECK_STR(graph->metadata[0].key, "feature_names");
    CHECK_STR(graph->metadata[0].value, "[\"a\", \"b \\\"2\\\"\", \"\xc3\xa9/\"]");
    CHECK_STR(graph->metadata[1].key, "iterations");
    CHECK_STR(graph->metadata[1].value, "2");
    CHECK_STR(graph->metadata[2].key, "best_iteration");
    CHECK_STR(graph->metadata[2].value, "0");
    CHECK_EQ(forest->desc.nodes[0].cover, 100.0f);
    CHECK_EQ(graph->values[graph->inputs[0]].dtype, APX_F32);
    apx_graph_destroy(graph);
}

static void goes_the_librarys_ways(void)
{
    const float below = nextafterf(0.5f, 0.0f), above = nextafterf(0.5f, 1.0f);
    CHECK_EQ(leaf_of(xgboost_sample, below, -2.0f, 0.0f), 3);
    CHECK_EQ(leaf_of(xgboost_sample, 0.5f, -2.0f, 0.0f), 6);
    CHECK_EQ(leaf_of(xgboost_sample, above, -2.0f, 1.0f), 5);
    CHECK_EQ(leaf_of(xgboost_sample, NAN, -1.5f, 0.0f), 4);     /* NaN left, equal right */
    CHECK_EQ(leaf_of(xgboost_sample, -INFINITY, NAN, 0.0f), 4); /* NaN right */
    CHECK_EQ(leaf_of(xgboost_sample, -INFINITY, -INFINITY, 0), 3);
    CHECK_EQ(leaf_of(xgboost_sample, INFINITY, 0, NAN), 6);
    CHECK_EQ(leaf_of(xgboost_sample, -0.0f, -FLT_MIN / 2, 0), 4);
}

/* Members 0, 2 and 3 go right; codes are cut to integers. */
static void knows_categories(void)
{
    static const struct {
        float code;
        uint32_t leaf;
    } codes[] = {{0.0f, 6},       {-0.0f, 6},    {0.99999994f, 6}, {1.0f, 5},
                 {1.9999999f, 5}, {2.0f, 6},     {3.5f, 6},        {4.0f, 5},
                 {-0.5f, 5},      {-1.0f, 5},    {-1e-30f, 5},     {16777216.0f, 5},
                 {1e30f, 5},      {INFINITY, 5}, {-INFINITY, 5},   {NAN, 6}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (!CHECK(leaf_of(xgboost_sample, 1.0f, 0, codes[i].code) == codes[i].leaf))
            fprintf(stderr, "    code %g\n", (double)codes[i].code);
    /* in any order, twice, and beyond what a float holds exactly */
    char *text = text_with(xgboost_sample, "\"categories\":[0,2,3]",
                           "\"categories\":[16777216,3,3,16777215,2,0]");
    text = xgboost_change(text, "\"categories_sizes\":[3]", "\"categories_sizes\":[6]");
    CHECK_EQ(leaf_of(text, 1.0f, 0, 16777215.0f), 6);
    CHECK_EQ(leaf_of(text, 1.0f, 0, 16777216.0f), 5);
    CHECK_EQ(leaf_of(text, 1.0f, 0, 3.0f), 6);
    CHECK_EQ(leaf_of(text, 1.0f, 0, 1.0f), 5);
    free(text);
    /* A node of categories without any: everything goes left. */
    text = text_with(xgboost_sample, "\"categories_nodes\":[2]", "\"categories_nodes\":[]");
    text = xgboost_change(text, "\"categories_sizes\":[3]", "\"categories_sizes\":[]");
    CHECK_EQ(leaf_of(text, 1.0f, 0, 2.0f), 5);
    CHECK_EQ(leaf_of(text, 1.0f, 0, NAN), 6);
    free(text);
}

/* x < NaN is never true. */
static void sends_rows_right_of_nan(void)
{
    char *text = text_with(xgboost_sample, "[5E-1,-1.5E0,", "[NaN,-1.5E0,");
    CHECK_EQ(leaf_of(text, -INFINITY, 0, 1.0f), 5);
    CHECK_EQ(leaf_of(text, NAN, -2.0f, 1.0f), 3);
    free(text);
}

static void adds_from_the_base_on(void)
{
    CHECK_EQ(margin_of(xgboost_sample, 0.0f, -2.0f, 0.0f), 0.5f + 0.125f + -0.3f);
    CHECK_EQ(margin_of(xgboost_sample, 1.0f, -2.0f, 0.0f), 0.5f + 0.1f + -0.3f);
}

/* base_score as the file has it, and the margin that it is. */
static void takes_base_score_through_the_link(void)
{
    static const struct {
        const char *objective, *text;
        float margin;
    } cases[] = {
        {"reg:squarederror", "\"5E-1\"", 0.5f},
        {"reg:squarederror", "\"[5E-1]\"", 0.5f},
        {"reg:squarederror", "\"( 5E-1 )\"", 0.5f},
        {"reg:squarederror", "\"-1.2345678E-3\"", -1.2345678e-3f},
        {"reg:squarederror", "\"1\"", 1.0f},
        {"binary:logistic", "\"5E-1\"", 0.0f},
        {"binary:logistic", "\"4.6E-1\"", -0.1603426f},
        {"reg:logistic", "\"0\"", -13.8155098f},
        {"reg:logistic", "\"1E0\"", 13.745161f}, /* 1 - 1e-6 as a float */
        {"binary:logitraw", "\"2.5E-1\"", 0.25f},
        {"binary:hinge", "\"2.5E-1\"", 0.25f},
        {"count:poisson", "\"5E-1\"", -0.693147182f},
        {"reg:gamma", "\"1E0\"", 0.0f},
        {"reg:tweedie", "\"2E0\"", 0.693147182f},
        {"survival:cox", "\"5E-1\"", -0.693147182f},
        {"survival:aft", "\"5E-1\"", -0.693147182f},
        {"rank:ndcg", "\"5E-1\"", 0.5f},
        {"reg:expectileerror", "\"[7.5E-1]\"", 0.75f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = text_with(xgboost_sample, "\"5E-1\",\"num_class\"", "@,\"num_class\"");
        text = xgboost_change(text, "@", cases[i].text);
        text = xgboost_change(text, "reg:squarederror", cases[i].objective);
        for (int binary = 0; binary < 2; binary++) {
            struct apx_graph *graph;
            const struct apx_forest *forest = xgboost_forest(text, binary, &graph);
            double off = fabs(forest->desc.base[0] - (double)cases[i].margin);
            if (!CHECK(off <= 2e-7 * fabs((double)cases[i].margin)))
                fprintf(stderr, "    %s of %s\n", cases[i].text, cases[i].objective);
            CHECK_EQ((double)(float)forest->desc.base[0], forest->desc.base[0]);
            apx_graph_destroy(graph);
        }
        free(text);
    }
}

static void knows_the_objectives(void)
{
    static const struct {
        const char *name;
        enum apx_link_kind link;
    } cases[] = {
        {"reg:squarederror", APX_LINK_NONE},
        {"reg:linear", APX_LINK_NONE},
        {"reg:squaredlogerror", APX_LINK_NONE},
        {"reg:pseudohubererror", APX_LINK_NONE},
        {"reg:absoluteerror", APX_LINK_NONE},
        {"reg:quantileerror", APX_LINK_SORT},
        {"reg:logistic", APX_LINK_SIGMOID_XGB},
        {"binary:logistic", APX_LINK_SIGMOID_XGB},
        {"binary:logitraw", APX_LINK_NONE},
        {"binary:hinge", APX_LINK_HINGE},
        {"count:poisson", APX_LINK_EXP},
        {"survival:cox", APX_LINK_EXP},
        {"survival:aft", APX_LINK_EXP},
        {"reg:gamma", APX_LINK_EXP},
        {"reg:tweedie", APX_LINK_EXP},
        {"rank:pairwise", APX_LINK_NONE},
        {"rank:ndcg", APX_LINK_NONE},
        {"rank:map", APX_LINK_NONE},
        {"reg:expectileerror", APX_LINK_EXPECTILE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = text_with(xgboost_sample, "reg:squarederror", cases[i].name);
        text = xgboost_change(text, "\"num_target\":\"1\"", "\"num_target\":\"2\"");
        struct apx_graph *graph;
        CHECK_EQ(xgboost_forest(text, false, &graph)->link.kind, cases[i].link);
        apx_graph_destroy(graph);
        free(text);
    }
}

/* Trees of several classes, a base for each; softmax says its class or all probabilities. */
static void reads_several_outputs(void)
{
    char *text = text_with(xgboost_sample, "\"tree_info\":[0,0]", "\"tree_info\":[2,0]");
    text = xgboost_change(text, "\"num_class\":\"0\"", "\"num_class\":\"3\"");
    text = xgboost_change(text, "reg:squarederror", "multi:softmax");
    char *listed = text_with(text, "\"5E-1\"", "\"[5E-1,-2.5E-1,1E0]\"");
    for (int binary = 0; binary < 2; binary++) {
        struct apx_graph *graph;
        float margins[3];
        const struct apx_forest *forest = xgboost_forest(text, binary, &graph);
        CHECK_EQ(forest->link.kind, APX_LINK_ARGMAX);
        xgboost_run(forest, 1, (float[]){1, 0, 1}, margins, NULL);
        CHECK_EQ(margins[0], 0.5f + -0.3f);
        CHECK_EQ(margins[1], 0.5f);
        CHECK_EQ(margins[2], 0.5f + 2.25f);
        apx_graph_destroy(graph);
        forest = xgboost_forest(listed, binary, &graph);
        xgboost_run(forest, 1, (float[]){1, 0, 1}, margins, NULL);
        CHECK_EQ(margins[1], -0.25f);
        CHECK_EQ(margins[2], 1.0f + 2.25f);
        apx_graph_destroy(graph);
    }
    free(listed);
    listed = xgboost_change(text, "multi:softmax", "multi:softprob");
    struct apx_graph *graph;
    CHECK_EQ(xgboost_forest(listed, false, &graph)->link.kind, APX_LINK_SOFTMAX);
    apx_graph_destroy(graph);
    free(listed);
}

/* Since 3.2 the leaves' values are rows of an array of their own; before, rows of base_weights. */
static void reads_vector_leaves(void)
{
    char *text = text_with(xgboost_sample, "\"num_target\":\"1\"", "\"num_target\":\"2\"");
    text = xgboost_change(text, "\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"");
    text = xgboost_change(text, "\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"");
    char *old = text_with(text, "\"base_weights\":[0,0,0,0,0,0,0]",
                          "\"base_weights\":[0,0,0,0,0,0,1.5E0,2,3,4,5,6,7,8]");
    old = xgboost_change(old, "\"base_weights\":[0,0,0]", "\"base_weights\":[1E1,2E1,0,0,0,0]");
    text = xgboost_change(text, "\"id\":0", "\"id\":0,\"leaf_weights\":[7,8,5,6,3,4,1.5E0,2]");
    text = xgboost_change(text, "\"right_children\":[2,4,6,-1,-1,-1,-1]",
                          "\"right_children\":[2,4,6,3,2,1,0]");
    text = xgboost_change(text, "\"id\":1", "\"id\":1,\"leaf_weights\":[1E1,2E1]");
    text = xgboost_change(text, "\"right_children\":[-1,-1,-1]", "\"right_children\":[0,-1,-1]");
    const char *both[] = {text, old};
    for (int i = 0; i < 4; i++) {
        struct apx_graph *graph;
        float margins[4];
        uint32_t leaves[4];
        const struct apx_forest *forest = xgboost_forest(both[i % 2], i / 2, &graph);
        CHECK(forest->desc.tree_output == NULL);
        xgboost_run(forest, 2, (float[]){0, -2, 0, 1, 0, 2}, margins, leaves);
        CHECK_EQ(margins[0], 0.5f + 1.5f + 10.0f);
        CHECK_EQ(margins[1], 0.5f + 2.0f + 20.0f);
        CHECK_EQ(margins[2], 0.5f + 7.0f + 10.0f);
        CHECK_EQ(margins[3], 0.5f + 8.0f + 20.0f);
        CHECK_EQ(leaves[0], 3);
        CHECK_EQ(leaves[2], 6);
        apx_graph_destroy(graph);
    }
    free(text);
    free(old);
}

/* Weights of dropout in their three places: leaves times weights, rounded to float, then added. */
static void weighs_trees(void)
{
    const char *weights = "\"weight_drop\":[3.3333334E-1,7E-1]";
    char inside[256], beside[256];
    snprintf(inside, sizeof inside, "]%s,%s},\"name\":\"gbtree\"", "", weights);
    snprintf(beside, sizeof beside, "]},\"name\":\"gbtree\",%s", weights);
    char *texts[3] = {text_with(xgboost_sample, "]},\"name\":\"gbtree\"", inside),
                      text_with(xgboost_sample, "]},\"name\":\"gbtree\"", beside),
                      text_with(xgboost_sample, "\"gradient_booster\":{\"model\"",
                                "\"gradient_booster\":{\"gbtree\":{\"model\"")};
    char outside[256];
    snprintf(outside, sizeof outside, "]},\"name\":\"gbtree\"},\"name\":\"dart\",%s", weights);
    texts[2] = xgboost_change(texts[2], "]},\"name\":\"gbtree\"", outside);
    volatile float first = 2.25f * 0.33333334f, second = -0.3f * 0.7f;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(margin_of(texts[i], 1.0f, 0, 1.0f), 0.5f + first + second);
        free(texts[i]);
    }
}

static void overlooks_what_does_not_matter(void)
{
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"\"attributes\":{\"best_iteration\":\"0\"}", "\"attributes\":{}"},
        {",\"num_target\":\"1\"", ""},
        {"\"feature_names\":[\"a\",", "\"feature_names\":["},
        {"\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},", ""},
        {"\"id\":0,", ""},
        {"\"sum_hessian\":[1E2,4E1,6E1,1E1,3E1,2E1,4E1],", ""},
        {"\"num_trees\":\"2\"}", "\"num_trees\":\"2\"},\"iteration_indptr\":[0,1,2],"
                                 "\"cats\":{\"enc\":[],\"feature_segments\":[],\"sorted_idx\":[]}"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *text = text_with(xgboost_sample, changes[i].from, changes[i].to);
        CHECK_EQ(margin_of(text, 0.0f, -2.0f, 0.0f), 0.5f + 0.125f + -0.3f);
        free(text);
    }
}

/* JSON only: blanks, booleans for 0 and 1, a pickled Booster's wrapping, no trees. */
static void reads_other_spellings(void)
{
    char *texts[] = {
        text_with(xgboost_sample, "\"default_left\":[1,0,0,0,0,0,0]",
                  "\"default_left\" : [ true , false,false,false,\tfalse,false,\n0 ] "),
        text_with(xgboost_sample, "{\"learner\"", "{\"Config\":{},\"Model\":{\"learner\""),
        text_with(xgboost_sample, "{\"learner\"", "\r\n\t {\n \"learner\""),
        text_with(xgboost_sample, "\"num_nodes\":\"7\"", "\"num_nodes\":7"),
        text_with(xgboost_sample, "\"5E-1\",", "0.5,"),
        text_with(xgboost_sample, "\"5E-1\",", "[0.05e+1],"),
    };
    texts[1] = xgboost_change(texts[1], "\"version\":[3,0,5]}", "\"version\":[3,0,5]}}");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct apx_graph *graph;
        float margin;
        const struct apx_forest *forest = xgboost_forest(texts[i], false, &graph);
        xgboost_run(forest, 1, (float[]){NAN, -2, 0}, &margin, NULL);
        CHECK_EQ(margin, 0.5f + 0.125f + -0.3f);
        apx_graph_destroy(graph);
        free(texts[i]);
    }
    const char *empty = "{\"learner\":{\"gradient_booster\":{\"model\":{\"tree_info\":[],"
                        "\"trees\":[]},\"name\":\"gbtree\"},\"learner_model_param\":{"
                        "\"base_score\":\"5E-1\",\"num_feature\":\"1\"},\"objective\":{"
                        "\"name\":\"count:poisson\"}},\"version\":[1,0,0]}";
    struct apx_graph *graph;
    float margin;
    const struct apx_forest *forest = xgboost_forest(empty, false, &graph);
    CHECK_EQ(forest->desc.trees, 0);
    xgboost_run(forest, 1, (float[]){1}, &margin, NULL);
    CHECK_EQ(margin, logf(0.5f));
    apx_graph_destroy(graph);
}

static void tells_formats_apart(void)
{
    static const struct {
        const char *bytes;
        enum apx_model_format format;
    } cases[] = {
        {"{\"learner\"", APX_MODEL_XGBOOST}, {" \n{", APX_MODEL_XGBOOST},
        {"{L", APX_MODEL_XGBOOST},           {"binf", APX_MODEL_XGBOOST},
        {"[{", APX_MODEL_XGBOOST},           {"tree\nversion", APX_MODEL_LIGHTGBM},
        {"tree\r\n", APX_MODEL_LIGHTGBM},    {"trees\n", APX_MODEL_ONNX},
        {"\x08\x07\x12", APX_MODEL_ONNX},    {"", APX_MODEL_ONNX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_EQ(apx_model_format_guess(cases[i].bytes, strlen(cases[i].bytes)), cases[i].format);
}

/* What people try first gets its name instead of "damaged". */
static void names_what_is_no_model(void)
{
    static const struct {
        const char *bytes;
        size_t count;
        enum apx_status status;
        const char *message;
    } cases[] = {
        {"\x80\x04\x95\x10", 4, APX_EUNSUPPORTED, "a pickle of Python"},
        {"PK\x03\x04rest", 8, APX_EUNSUPPORTED, "a ZIP archive"},
        {"\x1f\x8b\x08", 3, APX_EUNSUPPORTED, "unpack it first"},
        {"\x89HDF\r\n", 6, APX_EUNSUPPORTED, "an HDF5 file"},
        {"CBM1 ", 5, APX_EUNSUPPORTED, "a model of CatBoost"},
        {"\x93NUMPY", 6, APX_EUNSUPPORTED, "an array of NumPy"},
        {"<?xml", 5, APX_EUNSUPPORTED, "XML"},
        {"\x1f", 1, APX_EFORMAT, "ONNX"},
        {"", 0, APX_EFORMAT, "the file is empty"},
        {"binf", 4, APX_EUNSUPPORTED, "old binary format"},
        {"tree\n", 5, APX_EUNSUPPORTED, "the header has no version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct apx_graph *graph;
        struct apx_error error;
        CHECK_EQ(apx_model_read(cases[i].bytes, cases[i].count, NULL, apx_allocator_default(),
                                &graph, &error),
                 cases[i].status);
        CHECK_HAS(error.message, cases[i].message);
        CHECK(graph == NULL);
    }
}

int main(void)
{
    RUN(describes_the_model);
    RUN(goes_the_librarys_ways);
    RUN(knows_categories);
    RUN(sends_rows_right_of_nan);
    RUN(adds_from_the_base_on);
    RUN(takes_base_score_through_the_link);
    RUN(knows_the_objectives);
    RUN(reads_several_outputs);
    RUN(reads_vector_leaves);
    RUN(weighs_trees);
    RUN(overlooks_what_does_not_matter);
    RUN(reads_other_spellings);
    RUN(tells_formats_apart);
    RUN(names_what_is_no_model);
    return check_report();
}
