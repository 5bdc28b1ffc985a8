/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged and unreasonable tree operators: refused with the node's name and a reason, or quick. */
#include <time.h>

#include "tests/runtime/tree_case.h"

static struct tree_lists good(void)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 2);
    tree_split(&t, 0, 0, 0, "BRANCH_LEQ", 0, 1, 2, false);
    tree_leaf(&t, 0, 1, 0, 1);
    tree_leaf(&t, 0, 2, 1, 2);
    return t;
}

static void check_refused(const struct tree_lists *t, const char *text)
{
    const float x[] = {0};
    CHECK(!run_case(tree_model(t, 1), 1, tree_column(x, 1)));
    CHECK(run_status == APX_EFORMAT || run_status == APX_ELIMIT || run_status == APX_EUNSUPPORTED);
    CHECK_STR(run_error.field, t->op);
    CHECK_HAS(run_error.message, text);
}

static void refuses_what_does_not_fit(void)
{
    struct tree_lists t = good();
    t.features[0] = 1;
    check_refused(&t, "read 2 features; the input has 1");
    t = good();
    t.features[0] = -1;
    check_refused(&t, "feature -1");
    t = good();
    t.features[0] = (int64_t)1 << 40;
    check_refused(&t, "feature 1099511627776");
    t = good();
    t.modes[0] = "BRANCH_MEMBER";
    check_refused(&t, "\"BRANCH_MEMBER\" is no mode");
    t = good();
    t.modes[1] = "LEAVES";
    check_refused(&t, "\"LEAVES\" is no mode");
    t = good();
    t.transform = "TANH";
    check_refused(&t, "post_transform");
    t = good();
    t.aggregate = "MEDIAN";
    check_refused(&t, "aggregate_function");
    t = good();
    t.base_count = 3;
    check_refused(&t, "3 numbers for 2 targets");
    t = good();
    t.targets = 0;
    check_refused(&t, "n_targets");
    t = good();
    t.targets = (int64_t)1 << 40;
    check_refused(&t, "APX_LIMIT_TREE_OUTPUTS");
    t = good();
    t.count = t.votes = 0;
    check_refused(&t, "without nodes");
}

static void refuses_ids_that_are_not_there(void)
{
    struct tree_lists t = good();
    t.when_true[0] = 3;
    check_refused(&t, "has the child 3, which is not there");
    t = good();
    t.when_false[0] = INT64_MIN;
    check_refused(&t, "which is not there");
    t = good();
    t.nodes[2] = 1;
    check_refused(&t, "two nodes with the id 1");
    t = good();
    t.vote_nodes[1] = 7;
    check_refused(&t, "a vote of node 7 of tree 0");
    t = good();
    t.vote_trees[1] = 1;
    check_refused(&t, "a vote of tree 1");
    t = good();
    t.vote_targets[0] = 2;
    check_refused(&t, "target 2 of a model with 2");
    t = good();
    t.vote_targets[0] = -1;
    check_refused(&t, "target -1");
    t = good();
    t.nodes[0] = INT64_MIN; /* ids as far apart as they can be */
    t.nodes[2] = INT64_MAX;
    t.when_false[0] = INT64_MAX;
    t.vote_nodes[1] = INT64_MAX;
    const float x[] = {0};
    CHECK(run_case(tree_model(&t, 1), 1, tree_column(x, 1)));
}

static void refuses_what_is_no_tree(void)
{
    struct tree_lists t = good();
    t.when_true[0] = 0;
    check_refused(&t, "its own child");
    t = good();
    t.when_true[0] = t.when_false[0] = 1;
    check_refused(&t, "two parents");
    t = good();
    t.modes[1] = "BRANCH_LEQ";
    t.when_true[1] = t.when_false[1] = 0;
    check_refused(&t, "no root");
    t = tree_new("TreeEnsembleRegressor", 1); /* a ring of equalities that nobody begins */
    tree_split(&t, 0, 0, 0, "BRANCH_LEQ", 0, 1, 3, false);
    tree_split(&t, 0, 1, 0, "BRANCH_EQ", 1, 3, 2, false);
    tree_split(&t, 0, 2, 0, "BRANCH_EQ", 2, 3, 1, false);
    tree_leaf(&t, 0, 3, 0, 1);
    check_refused(&t, "parents");
    t = tree_new("TreeEnsembleRegressor", 1); /* the middle of a chain is wanted elsewhere */
    tree_split(&t, 0, 0, 0, "BRANCH_LEQ", 0, 1, 2, false);
    tree_split(&t, 0, 1, 0, "BRANCH_EQ", 1, 3, 2, false);
    tree_split(&t, 0, 2, 0, "BRANCH_EQ", 2, 3, 4, false);
    tree_leaf(&t, 0, 3, 0, 1);
    tree_leaf(&t, 0, 4, 0, 2);
    check_refused(&t, "two parents");
}

static struct apx_onnx *bare(const char *op)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,1]", "y");
    case_node_of(m, "ai.onnx.ml", op, "x", "y");
    return m;
}

static void check_model(struct apx_onnx *m, const char *text)
{
    const float x[] = {0};
    CHECK(!run_case(m, 1, tree_column(x, 1)));
    CHECK_EQ(run_status, APX_EFORMAT);
    CHECK_HAS(run_error.message, text);
}

static void refuses_attributes_of_another_kind(void)
{
    struct apx_onnx *m = bare("TreeEnsembleRegressor");
    apx_onnx_float(m, "n_targets", 1);
    check_model(m, "attribute n_targets has the wrong type");
    m = bare("TreeEnsembleRegressor");
    apx_onnx_text(m, "nodes_modes", "LEAF");
    check_model(m, "attribute nodes_modes has the wrong type");
    m = bare("TreeEnsembleRegressor");
    apx_onnx_int(m, "tree_roots", 0);
    check_model(m, "no such attribute: tree_roots");
    m = bare("TreeEnsembleRegressor");
    apx_onnx_floats(m, "nodes_values", (const float[]){1}, 1);
    apx_onnx_tensor_attribute(m, "nodes_values_as_tensor", APX_F64, 1, &(int64_t){1}, &(double){1});
    check_model(m, "nodes_values_as_tensor is given twice");
    m = bare("TreeEnsemble");
    apx_onnx_tensor_attribute(m, "nodes_splits", APX_I64, 1, &(int64_t){1}, &(int64_t){1});
    check_model(m, "attribute nodes_splits has the wrong type");
    m = bare("TreeEnsemble");
    apx_onnx_int(m, "post_transform", 5);
    check_model(m, "post_transform");
    check_model(bare("TreeEnsemble"), "n_targets");
    check_model(bare("TreeEnsembleClassifier"), "without labels");
}

/* One node in which value `at` of list `which` is not what it should be. */
static struct apx_onnx *five(const char *which, int64_t value)
{
    int64_t feature = 0, when_true = 0, true_leaf = 1, when_false = 1, false_leaf = 1, root = 0;
    int64_t targets[2] = {0, 0};
    uint8_t mode = 6;
    float members[] = {1, NAN};
    int64_t *const lists[] = {&feature,    &when_true, &true_leaf, &when_false,
                              &false_leaf, &root,      &targets[1]};
    static const char *const names[] = {"feature",    "when_true", "true_leaf", "when_false",
                                        "false_leaf", "root",      "target"};
    for (int i = 0; i < 7; i++)
        if (strcmp(names[i], which) == 0)
            *lists[i] = value;
    if (strcmp(which, "mode") == 0)
        mode = (uint8_t)value;
    if (strcmp(which, "members") == 0)
        members[1] = 2;
    struct apx_onnx *m = bare("TreeEnsemble");
    apx_onnx_ints(m, "nodes_featureids", &feature, 1);
    apx_onnx_ints(m, "nodes_truenodeids", &when_true, 1);
    apx_onnx_ints(m, "nodes_trueleafs", &true_leaf, 1);
    apx_onnx_ints(m, "nodes_falsenodeids", &when_false, 1);
    apx_onnx_ints(m, "nodes_falseleafs", &false_leaf, 1);
    apx_onnx_ints(m, "leaf_targetids", targets, 2);
    apx_onnx_ints(m, "tree_roots", &root, 1);
    apx_onnx_int(m, "n_targets", 1);
    apx_onnx_tensor_attribute(m, "nodes_splits", APX_F32, 1, &(int64_t){1}, &(float){0});
    apx_onnx_tensor_attribute(m, "nodes_modes", APX_U8, 1, &(int64_t){1}, &mode);
    apx_onnx_tensor_attribute(m, "leaf_weights", APX_F32, 1, &(int64_t){2}, (const float[]){3, 4});
    apx_onnx_tensor_attribute(m, "membership_values", APX_F32, 1, &(int64_t){2}, members);
    return m;
}

static void refuses_positions_that_are_not_there(void)
{
    const float x[] = {1, 2};
    REQUIRE(run_case(five("", 0), 1, tree_column(x, 2)));
    CHECK_EQ(run_at(0, 0), 3);
    CHECK_EQ(run_at(0, 1), 4);
    check_model(five("feature", -1), "feature -1");
    check_model(five("when_true", 2), "leaf 2 is not there");
    check_model(five("when_false", -1), "leaf -1 is not there");
    check_model(five("true_leaf", 0), "two parents");
    check_model(five("root", 1), "node 1 is not there");
    check_model(five("target", 1), "leaf 1 is for target 1 of 1");
    check_model(five("mode", 7), "has the mode 7");
    check_model(five("members", 0), "membership_values ends");
}

/* ---- size ------------------------------------------------------------------------------------ */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* `links` equalities one below the other; each has a true leaf of its own, or all share one. */
static struct apx_onnx *long_chain(int links, bool is_shared)
{
    int count = is_shared ? links + 2 : 2 * links + 1, leaves = count - links;
    int64_t *zeros = calloc((size_t)count, sizeof *zeros), *ids = malloc((size_t)count * 8);
    int64_t *when_true = malloc((size_t)count * 8), *when_false = malloc((size_t)count * 8);
    float *values = malloc((size_t)count * 4);
    const char **modes = malloc((size_t)count * sizeof *modes);
    REQUIRE(zeros && ids && when_true && when_false && values && modes);
    for (int i = 0; i < count; i++) {
        ids[i] = i;
        when_true[i] = is_shared ? links : links + i;
        when_false[i] = i + 1 < links ? i + 1 : count - 1;
        values[i] = (float)i;
        modes[i] = i < links ? "BRANCH_EQ" : "LEAF";
    }
    struct apx_onnx *m = bare("TreeEnsembleRegressor");
    apx_onnx_ints(m, "nodes_treeids", zeros, count);
    apx_onnx_ints(m, "nodes_nodeids", ids, count);
    apx_onnx_ints(m, "nodes_featureids", zeros, count);
    apx_onnx_texts(m, "nodes_modes", modes, count);
    apx_onnx_floats(m, "nodes_values", values, count);
    apx_onnx_ints(m, "nodes_truenodeids", when_true, count);
    apx_onnx_ints(m, "nodes_falsenodeids", when_false, count);
    apx_onnx_ints(m, "target_treeids", zeros, leaves);
    apx_onnx_ints(m, "target_nodeids", ids + links, leaves);
    apx_onnx_ints(m, "target_ids", zeros, leaves);
    apx_onnx_floats(m, "target_weights", values, leaves);
    apx_onnx_int(m, "n_targets", 1);
    free(zeros);
    free(ids);
    free(when_true);
    free(when_false);
    free(values);
    free(modes);
    return m;
}

/* A hundred thousand of them took another runtime minutes. */
static void long_chains_are_quick(void)
{
    const int links = 100000;
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        struct apx_error error = {0};
        struct apx_graph *graph = NULL;
        void *data;
        size_t bytes;
        struct apx_onnx *m = long_chain(links, is_shared);
        REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &error) == APX_OK);
        apx_onnx_destroy(m);
        double start = seconds();
        CHECK_EQ(apx_onnx_read(data, bytes, NULL, NULL, &graph, &error), APX_OK);
        CHECK(seconds() - start < 20); /* a tenth of a second where nothing else runs */
        apx_graph_destroy(graph);
        free(data);
    }
    const float x[] = {0, 77777, 99999, 100000, 0.5f};
    REQUIRE(run_case(long_chain(links, true), 1, tree_column(x, 5)));
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ(run_at(0, i), i < 3 ? 0 : 1);
}

/* Two votes of one leaf cannot ask for gigabytes of the targets that nobody votes for. */
static void leaves_of_many_targets_are_limited(void)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 60000);
    const int splits = 100;
    for (int i = 0; i < splits; i++) {
        tree_split(&t, 0, 2 * i, 0, "BRANCH_LEQ", (float)i, 2 * i + 1, 2 * i + 2, false);
        tree_leaf(&t, 0, 2 * i + 1, i, 1);
    }
    tree_leaf(&t, 0, 2 * splits, 0, 1);
    check_refused(&t, "60000 targets");
}

int main(void)
{
    RUN(refuses_what_does_not_fit);
    RUN(refuses_ids_that_are_not_there);
    RUN(refuses_what_is_no_tree);
    RUN(refuses_attributes_of_another_kind);
    RUN(refuses_positions_that_are_not_there);
    RUN(long_chains_are_quick);
    RUN(leaves_of_many_targets_are_limited);
    run_end();
    return check_report();
}
