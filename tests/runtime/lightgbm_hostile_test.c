/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_hostile_test.c - files of LightGBM that are cut off, damaged or made to harm: a clear
 * error with the line, and the same for each allocation that fails. */
#include "tests/harness/counted_heap.h"
#include "tests/runtime/lightgbm_case.h"

/* From 1; where `part` begins in the text. */
static size_t line_of(const char *text, const char *part)
{
    size_t line = 1;
    for (const char *at = text, *end = strstr(text, part); at < end; at++)
        line += *at == '\n';
    return line;
}

static void says_what_is_wrong(void)
{
    static const struct {
        const char *from, *to;
        enum apx_status status;
        const char *message;
    } changes[] = {
        {"tree\n", "tee\n", APX_EFORMAT, "line 1: not a model of LightGBM"},
        {"version=v4\n", "", APX_EUNSUPPORTED, "no version"},
        {"v4", "v5", APX_EUNSUPPORTED, "version v5"},
        {"version=v4\n", "version=v4\nversion=v4\n", APX_EFORMAT, "line 3: version is already"},
        {"num_class=1\n", "", APX_EFORMAT, "has no line num_class="},
        {"num_class=1", "num_class=0", APX_EFORMAT, "line 3: num_class"},
        {"num_class=1", "num_class=2", APX_EUNSUPPORTED, "num_class 2"},
        {"num_class=1", "num_class=1x", APX_EFORMAT, "line 3: num_class"},
        {"max_feature_idx=2\n", "", APX_EFORMAT, "has no line max_feature_idx="},
        {"max_feature_idx=2", "max_feature_idx=-1", APX_EFORMAT, "line 6: max_feature_idx"},
        {"max_feature_idx=2", "max_feature_idx=1", APX_EFORMAT, "3 feature names for 2"},
        {"max_feature_idx=2", "max_feature_idx=2147483647", APX_EFORMAT, "max_feature_idx"},
        {"max_feature_idx=2\nobjective=binary sigmoid:0.5\nfeature_names=a b=2 \"c\n",
         "max_feature_idx=2147483646\n", APX_ELIMIT, "2147483647 features"},
        {"binary sigmoid:0.5", "binary", APX_EFORMAT, "line 7: objective binary has no sigmoid"},
        {"sigmoid:0.5", "sigmoid:0", APX_EFORMAT, "line 7: objective binary: sigmoid:"},
        {"sigmoid:0.5", "sigmoid:-1", APX_EFORMAT, "sigmoid:"},
        {"sigmoid:0.5", "sigmoid:nan", APX_EFORMAT, "sigmoid:"},
        {"sigmoid:0.5", "sigmoid:1e999", APX_EFORMAT, "sigmoid:"},
        {"sigmoid:0.5", "sigmoid:1e", APX_EFORMAT, "sigmoid:"},
        {"sigmoid:0.5", "sigmoid:", APX_EFORMAT, "sigmoid:"},
        {"binary sigmoid:0.5", "survival", APX_EUNSUPPORTED, "line 7: objective survival"},
        {"binary sigmoid:0.5", "", APX_EUNSUPPORTED, "line 7: objective "},
        {"binary sigmoid:0.5", "multiclass", APX_EFORMAT, "num_class: is not the header's 1"},
        {"binary sigmoid:0.5", "multiclass num_class:2", APX_EFORMAT, "num_class:"},
        {"num_class=1\nnum_tree_per_iteration=1", "num_class=2\nnum_tree_per_iteration=2",
         APX_EFORMAT, "objective binary has one tree an iteration; the header says 2"},
        {"num_class=1\nnum_tree_per_iteration=1", "num_class=4\nnum_tree_per_iteration=4",
         APX_EFORMAT, "2 trees are no whole number of iterations of 4"},
        {"num_class=1\nnum_tree_per_iteration=1", "num_class=99999\nnum_tree_per_iteration=99999",
         APX_ELIMIT, "99999 outputs"},
        {"importance_type=0", "tree_sizes=380 381", APX_EFORMAT,
         "line 10: tree_sizes gives tree 1 381 bytes, it has"},
        {"importance_type=0", "tree_sizes=381 380", APX_EFORMAT,
         "line 10: tree_sizes gives tree 0 381 bytes, it has 380"},
        {"importance_type=0", "tree_sizes=380", APX_EFORMAT, "line 10: tree_sizes speaks of 1"},
        {"\nTree=1", "\ntree=1", APX_EFORMAT, "line 33: after 1 trees"},
        {"num_leaves=4\n", "", APX_EFORMAT, "line 12, tree 0: the tree has no line num_leaves="},
        {"num_leaves=4", "num_leaves=-4", APX_EFORMAT, "line 13, tree 0: num_leaves"},
        {"num_leaves=4", "num_leaves=0", APX_EFORMAT, "num_leaves"},
        {"num_leaves=4", "num_leaves=2147483647", APX_ELIMIT, "APX_LIMIT_TREE_NODES"},
        {"num_leaves=4", "num_leaves=60000000", APX_EFORMAT, "leaf_value has 4 numbers"},
        {"num_leaves=4", "num_leaves=4 4", APX_EFORMAT, "num_leaves"},
        {"num_leaves=4", "num_leaves=5", APX_EFORMAT, "leaf_value has 4 numbers instead of 5"},
        {"num_leaves=1\n", "num_leaves=2\n", APX_EFORMAT, "tree 1: leaf_value has 1"},
        {"num_cat=1\n", "", APX_EFORMAT, "line 12, tree 0: the tree has no line num_cat="},
        {"num_cat=1", "num_cat=-1", APX_EFORMAT, "num_cat"},
        {"num_cat=1", "num_cat=2147483647", APX_EFORMAT, "cat_boundaries has 2 numbers"},
        {"num_cat=1", "num_cat=0", APX_EFORMAT, "line 17, tree 0: a split asks for set 0 of 0"},
        {"split_feature=0 2 1\n", "", APX_EFORMAT, "has no line split_feature="},
        {"split_feature=0 2 1", "split_feature=0 2", APX_EFORMAT,
         "split_feature has 2 numbers instead of 3"},
        {"split_feature=0 2 1", "split_feature=0 3 1", APX_EFORMAT,
         "line 15, tree 0: split_feature: number 1, \"3\", is not a feature"},
        {"split_feature=0 2 1", "split_feature=0 -1 1", APX_EFORMAT, "split_feature: number 1"},
        {"split_feature=0 2 1", "split_feature=0 0x2 1", APX_EFORMAT, "split_feature: number 1"},
        {"split_feature=0 2 1", "split_feature=0 99999999999 1", APX_EFORMAT, "split_feature"},
        {"threshold=0.5 0 1e-300\n", "", APX_EFORMAT, "has no line threshold="},
        {"threshold=0.5 0 1e-300", "threshold=0.5 1 1e-300", APX_EFORMAT, "set 1 of 1"},
        {"threshold=0.5 0 1e-300", "threshold=0.5 -1 1e-300", APX_EFORMAT, "set -1 of 1"},
        {"threshold=0.5 0 1e-300", "threshold=0.5 1e99 1e-300", APX_EFORMAT, "set 1e+99 of 1"},
        {"threshold=0.5 0 1e-300", "threshold=0.5 0.5 1e-300", APX_EFORMAT, "set 0.5 of 1"},
        {"threshold=0.5 0 1e-300", "threshold=0.5 nan 1e-300", APX_EFORMAT, "threshold: number 1"},
        {"threshold=0.5 0 1e-300", "threshold=0,5 0 1e-300", APX_EFORMAT, "threshold: number 0"},
        {"decision_type=10 1 4", "decision_type=12 1 4", APX_EFORMAT, "decision_type: number 0"},
        {"decision_type=10 1 4", "decision_type=-1 1 4", APX_EFORMAT, "decision_type: number 0"},
        {"decision_type=10 1 4", "decision_type=10 1", APX_EFORMAT, "decision_type has 2"},
        {"left_child=1 -1 -2\n", "", APX_EFORMAT, "has no line left_child="},
        {"left_child=1 -1 -2", "left_child=0 -1 -2", APX_EFORMAT,
         "tree 0, node 0: a node with two"},
        {"left_child=1 -1 -2", "left_child=1 1 -2", APX_EFORMAT, "tree 0, node 1: a node with two"},
        {"left_child=1 -1 -2", "left_child=1 -2 -2", APX_EFORMAT, "a node with two parents"},
        {"left_child=1 -1 -2", "left_child=3 -1 -2", APX_EFORMAT, "left_child: number 0"},
        {"left_child=1 -1 -2", "left_child=1 -5 -2", APX_EFORMAT, "left_child: number 1"},
        {"left_child=1 -1 -2", "left_child=-2147483648 -1 -2", APX_EFORMAT, "left_child: number 0"},
        {"right_child=2 -3 -4\n", "", APX_EFORMAT, "has no line right_child="},
        {"right_child=2 -3 -4", "right_child=2 -3 9", APX_EFORMAT, "right_child: number 2"},
        {"leaf_value=0.125", "leaf_valu=0.125", APX_EFORMAT,
         "line 12, tree 0: the tree has no line leaf_value="},
        {"leaf_value=0.125", "leaf_value=0.125e", APX_EFORMAT, "leaf_value: number 0"},
        {"leaf_value=0.125 ", "leaf_value=0.125 1 ", APX_EFORMAT, "leaf_value has 5"},
        {"cat_boundaries=0 2\n", "", APX_EFORMAT, "has no line cat_boundaries="},
        {"cat_boundaries=0 2", "cat_boundaries=0 1", APX_EFORMAT, "do not reach"},
        {"cat_boundaries=0 2", "cat_boundaries=1 2", APX_EFORMAT, "do not reach"},
        {"cat_boundaries=0 2", "cat_boundaries=0 3", APX_EFORMAT, "cat_boundaries: number 1"},
        {"cat_boundaries=0 2", "cat_boundaries=2 0", APX_EFORMAT, "cat_boundaries: number 1"},
        {"cat_boundaries=0 2", "cat_boundaries=0 -1", APX_EFORMAT, "cat_boundaries: number 1"},
        {"cat_threshold=2147483657 1\n", "", APX_EFORMAT, "has no line cat_threshold="},
        {"cat_threshold=2147483657", "cat_threshold=4294967296", APX_EFORMAT, "cat_threshold"},
        {"is_linear=0", "is_linear=2", APX_EFORMAT, "is_linear"},
        {"is_linear=0", "is_linear=1", APX_EFORMAT, "leaf_const: number 0 is missing"},
        {"is_linear=0", "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 0 0", APX_EFORMAT,
         "num_features: number 3"},
        {"is_linear=0", "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 -1 0 0", APX_EFORMAT,
         "num_features: number 1"},
        {"is_linear=0", "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 1 0 0", APX_EFORMAT,
         "num_features asks for 1 terms"},
        {"is_linear=0",
         "is_linear=1\nleaf_const=1 2 3 4\n"
         "num_features=2147483647 2147483647 2147483647 2147483647",
         APX_EFORMAT, "num_features: number 2"},
        {"is_linear=0",
         "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 1 0 0\nleaf_features=3\nleaf_coeff=1",
         APX_EFORMAT, "leaf_features: number 0"},
        {"is_linear=0",
         "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 2 0 0\nleaf_features=0 1\nleaf_coeff=1",
         APX_EFORMAT, "leaf_coeff: number 1"},
        {"shrinkage=1\n", "shrinkage\n", APX_EFORMAT, "neither key=value nor empty"},
        {"num_cat=1\n", "num_cat=1\nnum_cat=1\n", APX_EFORMAT, "line 15, tree 0: num_cat is alrea"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *text = text_with(lightgbm_sample, changes[i].from, changes[i].to);
        struct apx_graph *graph;
        struct apx_error error;
        enum apx_status status = lightgbm_read(text, strlen(text), &graph, &error);
        CHECK_HAS(error.message, changes[i].message);
        if (!CHECK(status == changes[i].status))
            fprintf(stderr, "    %s: %s\n", changes[i].to, error.message);
        if (strncmp(error.message, "tree ", 5) == 0 || strstr(error.message, ", tree ") != NULL)
            CHECK_HAS(error.field, "tree ");
        apx_graph_destroy(graph);
        free(text);
    }
}

/* What only training needs may be wrong, and a leaf may be anything that is a double. */
static void overlooks_what_does_not_matter(void)
{
    static const char *const changes[][2] = {{"split_gain=3 2 1", "split_gain=none"},
                                             {"internal_count=100 40 60", "internal_count=x -1"},
                                             {"leaf_count=10 20 30 40", "leaf_count=1 2 3 4 5 6"},
                                             {"leaf_value=0.125", "leaf_value=nan"},
                                             {"leaf_value=0.125", "leaf_value=-inf"},
                                             {"leaf_value=0.125", "leaf_value=4e-324"},
                                             {"cat_threshold=2147483657 1", "cat_threshold=0 0"},
                                             {"label_index=0", "label_index"},
                                             {"end of parameters\n", ""}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *text = text_with(lightgbm_sample, changes[i][0], changes[i][1]);
        struct apx_graph *graph;
        lightgbm_forest(text, &graph);
        apx_graph_destroy(graph);
        free(text);
    }
}

/* Every beginning of a file that stops before "end of trees" is refused. */
static void refuses_what_is_cut_off(void)
{
    const char *end = strstr(lightgbm_sample, "end of trees");
    const size_t whole = (size_t)(end - lightgbm_sample) + strlen("end of trees");
    for (size_t length = 0; length <= strlen(lightgbm_sample); length++) {
        struct apx_graph *graph;
        struct apx_error error;
        enum apx_status status = lightgbm_read(lightgbm_sample, length, &graph, &error);
        if (!CHECK(length < whole ? status == APX_EFORMAT || status == APX_EUNSUPPORTED
                                  : status == APX_OK))
            fprintf(stderr, "    after %zu bytes: %s\n", length, error.message);
        apx_graph_destroy(graph);
    }
}

static void names_the_last_line(void)
{
    struct apx_graph *graph;
    struct apx_error error;
    const char *end = strstr(lightgbm_sample, "end of trees");
    lightgbm_read(lightgbm_sample, (size_t)(end - lightgbm_sample), &graph, &error);
    char expected[64];
    snprintf(expected, sizeof expected, "line %zu: the file ends after 2 trees",
             line_of(lightgbm_sample, "end of trees"));
    CHECK_HAS(error.message, expected);
}

/* ---- allocations that fail ------------------------------------------------------------------- */

static void survives_failing_allocations(void)
{
    char *text = text_with(lightgbm_sample, "is_linear=0",
                           "is_linear=1\nleaf_const=1 2 3 4\nnum_features=0 1 0 0\n"
                           "leaf_features=0\nleaf_coeff=1");
    struct apx_graph *graph;
    struct apx_error error;
    heap.fail_count = 0;
    CHECK_EQ(apx_lightgbm_read(text, strlen(text), &counted, &graph, &error), APX_OK);
    apx_graph_destroy(graph);
    CHECK_EQ(heap.live, 0);
    const long total = heap.count;
    CHECK(total > 20);
    for (long i = 0; i < total; i++) {
        heap.count = 0;
        heap.fail_from = i;
        heap.fail_count = 1;
        CHECK_EQ(apx_lightgbm_read(text, strlen(text), &counted, &graph, &error), APX_ENOMEM);
        CHECK(graph == NULL);
        CHECK_EQ(heap.live, 0);
    }
    free(text);
}

int main(void)
{
    RUN(says_what_is_wrong);
    RUN(overlooks_what_does_not_matter);
    RUN(refuses_what_is_cut_off);
    RUN(names_the_last_line);
    RUN(survives_failing_allocations);
    return check_report();
}
