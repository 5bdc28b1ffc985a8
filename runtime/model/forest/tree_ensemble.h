/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble.h - the tree operators of ai.onnx.ml, between the reader's attributes and a forest.
 *
 *   tree_ensemble_read.c    the attributes of a node as lists, and the forest they make
 *   tree_ensemble_lists.c   TreeEnsembleRegressor, TreeEnsembleClassifier: nodes named by ids
 *   tree_ensemble_five.c    TreeEnsemble: nodes and leaves named by position
 *   tree_ensemble_split.c   comparisons to thresholds and sets
 *   tree_ensemble_score.c   what becomes of the sums: aggregates, base values, transforms, labels
 *   tree_ensemble_infer.c   a Forest node in place of the operator
 *
 * A forest is made with thresholds in double whatever the file holds, since the type of the rows is
 * known only later: for rows in float it is narrowed then, which changes no comparison. */
#ifndef APX_MODEL_TREE_ENSEMBLE_H
#define APX_MODEL_TREE_ENSEMBLE_H

#include <onnx/onnx.pb-c.h>

#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"

enum apx_tree_mode {
    APX_TREE_LEQ,
    APX_TREE_LT,
    APX_TREE_GTE,
    APX_TREE_GT,
    APX_TREE_EQ,
    APX_TREE_NEQ,
    APX_TREE_MEMBER,
    APX_TREE_LEAF
};

struct apx_tree_ints {
    const int64_t *data;
    size_t count;
};

/* Floats or doubles; both NULL: none. */
struct apx_tree_reals {
    const float *floats;
    const double *doubles;
    size_t count;
};

static inline double apx_tree_real(const struct apx_tree_reals *reals, size_t i)
{
    return reals->doubles != NULL ? reals->doubles[i] : (double)reals->floats[i];
}

/* Leaf values that so many votes may make: a leaf that votes for one target of many holds them all.
 */
#define APX_LIMIT_TREE_VALUE_FACTOR ((size_t)64)
#define APX_LIMIT_TREE_VALUE_FLOOR  ((size_t)1 << 22)
static inline size_t apx_tree_most_values(size_t votes)
{
    return APX_LIMIT_TREE_VALUE_FLOOR + APX_LIMIT_TREE_VALUE_FACTOR * votes;
}

/* A node's attributes. Lists that are left out have count 0; all point into the file's message or
 * to constants of the graph. */
struct apx_tree_attrs {
    struct apx_tree_ints featureids, truenodeids, falsenodeids, missing;
    struct apx_tree_reals values; /* nodes_values, nodes_splits */
    const uint8_t *modes;         /* enum apx_tree_mode */
    size_t mode_count;
    struct apx_tree_ints treeids, nodeids, vote_treeids, vote_nodeids, vote_ids;
    struct apx_tree_reals weights, base; /* weights: of votes, of leaves */
    struct apx_tree_ints trueleafs, falseleafs, targetids, roots;
    struct apx_tree_reals membership;
    struct apx_tree_ints labels;
    const char *const *words; /* [word_count] labels that are text, of the graph's memory */
    size_t word_count;
    bool has_targets;
    int64_t targets;
    enum apx_tree_aggregate {
        APX_TREE_AVERAGE,
        APX_TREE_SUM,
        APX_TREE_MIN,
        APX_TREE_MAX
    } aggregate;
    enum apx_tree_transform {
        APX_TREE_NONE,
        APX_TREE_SOFTMAX,
        APX_TREE_LOGISTIC,
        APX_TREE_SOFTMAX_ZERO,
        APX_TREE_PROBIT
    } transform;
};

/* What the sums of a classifier are. */
enum apx_tree_classes {
    APX_TREE_SCORES, /* a regressor, or one score a class */
    APX_TREE_PAIR    /* two classes of which only the first is voted for: one sum */
};

/* How votes become leaf values, and sums become scores. */
struct apx_tree_score {
    bool is_classifier;
    enum apx_tree_classes classes;
    size_t targets;  /* of the votes: ids are below */
    size_t outputs;  /* margins of the forest */
    bool mirrored;   /* margins are (1 - sum, sum): votes are for output 1, negated for output 0 */
    bool is_extreme; /* MIN, MAX: what is not voted for does not count */
    double nothing;  /* a leaf value without a vote: 0, or what never is the extreme */
};

/* ---- tree_ensemble_split.c */

/* The split `mode` at `value` as *node, its children `when_true` and `when_false`; is_missing_true:
 * NaN goes to the first. APX_TREE_MEMBER: members[count], which are changed and have room for
 * 2 * count. APX_ENOMEM */
enum apx_status apx_tree_split(struct apx_forest_builder *builder, enum apx_tree_mode mode,
                               int32_t feature, double value, double *members, size_t count,
                               uint32_t when_true, uint32_t when_false, bool is_missing_true,
                               struct apx_tree_node *node, struct apx_error *error);
/* The forest compares floats from now on: right where rows are floats. */
void apx_tree_narrow(struct apx_forest *forest);

/* ---- tree_ensemble_score.c. The texts of failures lack the field; the caller knows the node. */
enum apx_status apx_tree_plan_score(const struct apx_tree_attrs *attrs, bool is_classifier,
                                    struct apx_tree_score *score, struct apx_error *error);
/* base, sum, link and labels of a finished forest. */
enum apx_status apx_tree_finish(const struct apx_tree_attrs *attrs,
                                const struct apx_tree_score *score, struct apx_forest *forest,
                                struct apx_error *error);

/* ---- tree_ensemble_lists.c, tree_ensemble_five.c: *builder has all trees on success; the caller
 * destroys it in any case.
 *   APX_EFORMAT  lists of different lengths, ids that are not there; and what the builder refuses
 */
enum apx_status apx_tree_build_lists(const struct apx_tree_attrs *attrs,
                                     const struct apx_tree_score *score,
                                     const struct apx_allocator *allocator,
                                     struct apx_forest_builder **builder, struct apx_error *error);
enum apx_status apx_tree_build_five(const struct apx_tree_attrs *attrs,
                                    const struct apx_tree_score *score,
                                    const struct apx_allocator *allocator,
                                    struct apx_forest_builder **builder, struct apx_error *error);

#endif
