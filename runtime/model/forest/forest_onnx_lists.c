/* SPDX-License-Identifier: Apache-2.0 */
/* forest_onnx_lists.c - TreeEnsembleRegressor: one entry of every list for each node, leaves
 * included, and one vote for each value of a leaf.
 *
 * A leaf's id is what the training library calls it. ONNX Runtime wants ids below the number of all
 * nodes; where a tree's leaves have others (nodes that were pruned keep their numbers), or two have
 * the same, the tree's nodes are counted from 0. */
#include "runtime/model/forest/forest_onnx.h"

#include "runtime/base/memory.h"

struct lists {
    const struct apx_allocator *allocator;
    int64_t *memory; /* what the pointers below are into */
    int64_t *treeids, *nodeids, *featureids, *trueids, *falseids, *missing;
    int64_t *vote_treeids, *vote_nodeids, *vote_ids;
    float *values, *weights;
    const char **modes;
    uint32_t *taken; /* [node_count] the tree (plus 1) in which an id is taken */
    size_t nodes, votes;
};

static void release(struct lists *lists)
{
    apx_release(lists->allocator, lists->memory);
    apx_release(lists->allocator, lists->values);
    apx_release(lists->allocator, lists->weights);
    apx_release(lists->allocator, lists->modes);
    apx_release(lists->allocator, lists->taken);
}

static bool reserve(struct lists *lists, size_t nodes, size_t votes)
{
    lists->memory = apx_alloc(lists->allocator, 6 * nodes + 3 * votes + 1, sizeof *lists->memory);
    lists->values = apx_alloc(lists->allocator, nodes + 1, sizeof *lists->values);
    lists->weights = apx_alloc(lists->allocator, votes + 1, sizeof *lists->weights);
    lists->modes = apx_alloc(lists->allocator, nodes + 1, sizeof *lists->modes);
    lists->taken = apx_alloc(lists->allocator, nodes + 1, sizeof *lists->taken);
    if (lists->memory == NULL || lists->values == NULL || lists->weights == NULL ||
        lists->modes == NULL || lists->taken == NULL)
        return false;
    int64_t **of_nodes[] = {&lists->treeids, &lists->nodeids,  &lists->featureids,
                            &lists->trueids, &lists->falseids, &lists->missing};
    int64_t **of_votes[] = {&lists->vote_treeids, &lists->vote_nodeids, &lists->vote_ids};
    int64_t *at = lists->memory;
    for (size_t i = 0; i < 6; i++, at += nodes)
        *of_nodes[i] = at;
    for (size_t i = 0; i < 3; i++, at += votes)
        *of_votes[i] = at;
    lists->nodes = nodes;
    lists->votes = votes;
    return true;
}

/* Ids of tree t's nodes: those of leaves are given, the others the least that are free. */
static void number(struct lists *lists, const struct apx_forest_desc *desc,
                   const struct apx_tree_node *nodes, uint32_t t)
{
    uint32_t first = desc->roots[t], end = desc->roots[t + 1], next = 0;
    bool keeps = true;
    for (uint32_t n = first; n < end; n++) {
        uint32_t id = nodes[n].feature < 0 ? desc->leaf_ids[nodes[n].left] : 0;
        if (nodes[n].feature >= 0)
            continue;
        keeps = keeps && id < lists->nodes && lists->taken[id] != t + 1;
        if (id < lists->nodes)
            lists->taken[id] = t + 1;
    }
    for (uint32_t n = first; n < end; n++) {
        if (!keeps) {
            lists->nodeids[n] = n - first;
        } else if (nodes[n].feature < 0) {
            lists->nodeids[n] = desc->leaf_ids[nodes[n].left];
        } else {
            while (lists->taken[next] == t + 1)
                next++;
            lists->nodeids[n] = next++;
        }
    }
}

static void fill(struct lists *lists, const struct apx_forest_desc *desc,
                 const struct apx_tree_node *nodes)
{
    const size_t width = desc->tree_output != NULL ? 1 : desc->outputs;
    for (uint32_t t = 0; t < desc->trees; t++) {
        number(lists, desc, nodes, t);
        for (uint32_t n = desc->roots[t]; n < desc->roots[t + 1]; n++) {
            const struct apx_tree_node *node = &nodes[n];
            bool is_leaf = node->feature < 0;
            lists->treeids[n] = t;
            lists->featureids[n] = is_leaf ? 0 : node->feature;
            lists->values[n] = is_leaf ? 0.0f : (float)node->threshold;
            lists->modes[n] = is_leaf ? "LEAF" : "BRANCH_LT";
            lists->trueids[n] = is_leaf ? 0 : lists->nodeids[node->left];
            lists->falseids[n] = is_leaf ? 0 : lists->nodeids[node->right];
            lists->missing[n] = !is_leaf && !node->nan_right;
            for (size_t i = 0; is_leaf && i < width; i++) {
                size_t vote = node->left * width + i;
                lists->vote_treeids[vote] = t;
                lists->vote_nodeids[vote] = lists->nodeids[n];
                lists->vote_ids[vote] =
                    desc->tree_output != NULL ? (int64_t)desc->tree_output[t] : (int64_t)i;
                lists->weights[vote] = (float)desc->leaf_values[vote];
            }
        }
    }
}

static bool add_base(struct apx_onnx *onnx, const struct apx_allocator *allocator,
                     const struct apx_forest_desc *desc)
{
    bool is_zero = true;
    for (size_t k = 0; k < desc->outputs; k++)
        is_zero = is_zero && desc->base[k] == 0;
    if (is_zero || desc->sum != APX_FOREST_SUM)
        return true;
    float *base = apx_alloc(allocator, desc->outputs, sizeof *base);
    for (size_t k = 0; base != NULL && k < desc->outputs; k++)
        base[k] = (float)desc->base[k];
    if (base != NULL)
        apx_onnx_floats(onnx, "base_values", base, (int)desc->outputs);
    apx_release(allocator, base);
    return base != NULL;
}

bool apx_forest_write_lists(struct apx_onnx *onnx, const struct apx_allocator *allocator,
                            const struct apx_forest_desc *desc, const struct apx_tree_node *nodes,
                            const char *name, const char *in, const char *out)
{
    static const char *const aggregates[] = {"SUM", "MIN", "MAX"};
    struct lists lists = {.allocator = allocator};
    const size_t width = desc->tree_output != NULL ? 1 : desc->outputs;
    bool ok = reserve(&lists, desc->node_count, desc->leaf_count * width);
    if (ok) {
        int count = (int)lists.nodes, votes = (int)lists.votes;
        fill(&lists, desc, nodes);
        apx_onnx_node(onnx, "ai.onnx.ml", "TreeEnsembleRegressor", name, &in, 1, &out, 1);
        apx_onnx_int(onnx, "n_targets", (int64_t)desc->outputs);
        apx_onnx_text(onnx, "aggregate_function", aggregates[desc->sum]);
        apx_onnx_text(onnx, "post_transform", "NONE");
        apx_onnx_ints(onnx, "nodes_treeids", lists.treeids, count);
        apx_onnx_ints(onnx, "nodes_nodeids", lists.nodeids, count);
        apx_onnx_ints(onnx, "nodes_featureids", lists.featureids, count);
        apx_onnx_texts(onnx, "nodes_modes", lists.modes, count);
        apx_onnx_floats(onnx, "nodes_values", lists.values, count);
        apx_onnx_ints(onnx, "nodes_truenodeids", lists.trueids, count);
        apx_onnx_ints(onnx, "nodes_falsenodeids", lists.falseids, count);
        apx_onnx_ints(onnx, "nodes_missing_value_tracks_true", lists.missing, count);
        apx_onnx_ints(onnx, "target_treeids", lists.vote_treeids, votes);
        apx_onnx_ints(onnx, "target_nodeids", lists.vote_nodeids, votes);
        apx_onnx_ints(onnx, "target_ids", lists.vote_ids, votes);
        apx_onnx_floats(onnx, "target_weights", lists.weights, votes);
        ok = add_base(onnx, allocator, desc);
    }
    release(&lists);
    return ok;
}
