/* SPDX-License-Identifier: Apache-2.0 */
/* tree_case.h - the tree operators of ai.onnx.ml as lists that a test can damage.
 *
 *     struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
 *     tree_split(&t, 0, 0, 2, "BRANCH_LEQ", 0.5f, 1, 2, false);     tree, node, feature, ...
 *     tree_leaf(&t, 0, 1, 0, 10);  tree_leaf(&t, 0, 2, 0, 20);      tree, node, target, weight
 *     struct apx_onnx *m = tree_model(&t, 3);                       rows of 3 columns
 */
#ifndef APX_TESTS_TREE_CASE_H
#define APX_TESTS_TREE_CASE_H

#include "tests/runtime/run_case.h"

#define TREE_MOST 512

struct tree_lists {
    const char *op;
    int64_t targets; /* or classes */
    int count, votes;
    int64_t trees[TREE_MOST], nodes[TREE_MOST], features[TREE_MOST], when_true[TREE_MOST],
        when_false[TREE_MOST], missing[TREE_MOST];
    const char *modes[TREE_MOST];
    float values[TREE_MOST];
    int64_t vote_trees[TREE_MOST], vote_nodes[TREE_MOST], vote_targets[TREE_MOST];
    float weights[TREE_MOST];
    const char *aggregate, *transform; /* NULL: left out */
    float base[8];
    int base_count;
    const char *const *text_labels; /* NULL: 100, 101, ... */
};

static inline struct tree_lists tree_new(const char *op, int64_t targets)
{
    return (struct tree_lists){.op = op, .targets = targets};
}

static inline void tree_split(struct tree_lists *t, int64_t tree, int64_t node, int64_t feature,
                              const char *mode, float value, int64_t when_true, int64_t when_false,
                              bool missing)
{
    int i = t->count++;
    REQUIRE(i < TREE_MOST);
    t->trees[i] = tree;
    t->nodes[i] = node;
    t->features[i] = feature;
    t->modes[i] = mode;
    t->values[i] = value;
    t->when_true[i] = when_true;
    t->when_false[i] = when_false;
    t->missing[i] = missing;
}

static inline void tree_vote(struct tree_lists *t, int64_t tree, int64_t node, int64_t target,
                             float weight)
{
    int i = t->votes++;
    REQUIRE(i < TREE_MOST);
    t->vote_trees[i] = tree;
    t->vote_nodes[i] = node;
    t->vote_targets[i] = target;
    t->weights[i] = weight;
}

static inline void tree_leaf(struct tree_lists *t, int64_t tree, int64_t node, int64_t target,
                             float weight)
{
    tree_split(t, tree, node, 0, "LEAF", 0, 0, 0, false);
    tree_vote(t, tree, node, target, weight);
}

/* A stump: x[0] `mode` value ? 1 : 0, for target 0. */
static inline struct tree_lists tree_stump(const char *mode, float value, bool missing)
{
    struct tree_lists t = tree_new("TreeEnsembleRegressor", 1);
    tree_split(&t, 0, 0, 0, mode, value, 1, 2, missing);
    tree_leaf(&t, 0, 1, 0, 1);
    tree_leaf(&t, 0, 2, 0, 0);
    return t;
}

/* The node; its attributes follow the last node of the builder. */
static inline void tree_node(struct apx_onnx *m, const struct tree_lists *t, const char *inputs,
                             const char *outputs)
{
    bool is_classifier = strcmp(t->op, "TreeEnsembleClassifier") == 0;
    const char *prefix = is_classifier ? "class" : "target";
    char name[64];
    int64_t labels[8];
    case_node_of(m, "ai.onnx.ml", t->op, inputs, outputs);
    apx_onnx_ints(m, "nodes_treeids", t->trees, t->count);
    apx_onnx_ints(m, "nodes_nodeids", t->nodes, t->count);
    apx_onnx_ints(m, "nodes_featureids", t->features, t->count);
    apx_onnx_texts(m, "nodes_modes", t->modes, t->count);
    apx_onnx_floats(m, "nodes_values", t->values, t->count);
    apx_onnx_ints(m, "nodes_truenodeids", t->when_true, t->count);
    apx_onnx_ints(m, "nodes_falsenodeids", t->when_false, t->count);
    apx_onnx_ints(m, "nodes_missing_value_tracks_true", t->missing, t->count);
    snprintf(name, sizeof name, "%s_treeids", prefix);
    apx_onnx_ints(m, name, t->vote_trees, t->votes);
    snprintf(name, sizeof name, "%s_nodeids", prefix);
    apx_onnx_ints(m, name, t->vote_nodes, t->votes);
    snprintf(name, sizeof name, "%s_ids", prefix);
    apx_onnx_ints(m, name, t->vote_targets, t->votes);
    snprintf(name, sizeof name, "%s_weights", prefix);
    apx_onnx_floats(m, name, t->weights, t->votes);
    if (t->base_count > 0)
        apx_onnx_floats(m, "base_values", t->base, t->base_count);
    if (t->transform != NULL)
        apx_onnx_text(m, "post_transform", t->transform);
    if (t->aggregate != NULL)
        apx_onnx_text(m, "aggregate_function", t->aggregate);
    for (int64_t i = 0; i < 8; i++)
        labels[i] = 100 + i;
    if (is_classifier && t->text_labels != NULL)
        apx_onnx_texts(m, "classlabels_strings", t->text_labels, (int)t->targets);
    else if (is_classifier)
        apx_onnx_ints(m, "classlabels_int64s", labels, (int)t->targets);
    else
        apx_onnx_int(m, "n_targets", t->targets);
}

static inline struct apx_onnx *tree_model(const struct tree_lists *t, int columns)
{
    char input[32];
    bool is_classifier = strcmp(t->op, "TreeEnsembleClassifier") == 0;
    snprintf(input, sizeof input, "x:f[n,%d]", columns);
    struct apx_onnx *m = case_begin(17, input, is_classifier ? "label y" : "y");
    tree_node(m, t, "x", is_classifier ? "label y" : "y");
    return m;
}

/* Rows of one column. */
static inline struct apx_tensor tree_column(const float *values, int count)
{
    const int64_t dims[2] = {count, 1};
    struct apx_tensor x = run_tensor(APX_F32, 2, dims);
    memcpy(x.data, values, (size_t)count * sizeof *values);
    return x;
}

#endif
