/* SPDX-License-Identifier: Apache-2.0 */
/* leaf_algebra.h - what a graph computes of one tree's answer is another tree.
 *
 *   leaf_algebra.c     elementwise nodes behind a tree, evaluated once for each of its leaves
 *   tree_sums.c        sums of such trees as one forest
 *   isolation_forest.c what scikit-learn's IsolationForest does with the sum
 *
 * Exporters that lack an operator for what a leaf knows (its depth, its size) let each tree answer
 * the leaf's number and look the rest up. All of that is known when the model is loaded. */
#ifndef APX_MODEL_LEAF_ALGEBRA_H
#define APX_MODEL_LEAF_ALGEBRA_H

#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"

#define APX_LIMIT_LEAF_NODES 128 /* between a tree and the sum of trees */

/* The nodes between value `v` and the one tree operator that it depends on. */
struct apx_leaf_chain {
    int source;                      /* node with a forest */
    int nodes[APX_LIMIT_LEAF_NODES]; /* in the graph's order */
    int count;
};

/* False: it depends on something else, or the nodes are not elementwise. */
bool apx_leaf_chain_find(const struct apx_graph *graph, int v, struct apx_leaf_chain *chain);

/* The value v behind each leaf of a source of one tree: values[leaves]. *dtype: its type. False: a
 * type or an operator that is not evaluated here, or out of memory. */
bool apx_leaf_chain_evaluate(const struct apx_graph *graph, const struct apx_leaf_chain *chain,
                             int v, double *values, enum apx_dtype *dtype);
/* Of a source of several trees nothing but casts may follow. */
bool apx_leaf_chain_is_plain(const struct apx_graph *graph, const struct apx_leaf_chain *chain,
                             enum apx_dtype *dtype);

/* A constant of one element. */
bool apx_leaf_constant(const struct apx_graph *graph, int v, double *number);

/* Sums of trees become forests, in an ordered graph that is not inferred yet. *changed: nodes are
 * dead now. APX_ENOMEM, or what the builder refuses */
enum apx_status apx_tree_sums_fold(struct apx_graph *graph, bool *changed, struct apx_error *error);

/* Node `sum`, a forest in place of a Sum, reading x: if scikit-learn's score follows it, the forest
 * moves to the node that has it, with its link. */
void apx_isolation_forest_find(struct apx_graph *graph, int sum);

/* The forest node `from` becomes node `to`. */
void apx_tree_sum_move(struct apx_graph *graph, int from, int to);
/* The only live node that reads v, if v is no output of the graph; -1: none or several. */
int apx_tree_sum_reader(const struct apx_graph *graph, int v);

#endif
