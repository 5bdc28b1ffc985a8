/* SPDX-License-Identifier: Apache-2.0 */
/* forest_onnx_five.c - TreeEnsemble: lists of splits and lists of leaves, in double.
 *
 * Leaves have no ids there; a tree's leaves lie side by side, in the order of the numbers that the
 * training library gives them. A tree that is one leaf is a split both of whose sides are it. */
#include "runtime/model/forest/forest_onnx.h"

#include <stdlib.h>

#include "runtime/base/memory.h"

struct lists {
    const struct apx_allocator *allocator;
    int64_t *memory; /* what the pointers below are into */
    int64_t *featureids, *trueids, *trueleafs, *falseids, *falseleafs, *missing;
    int64_t *roots, *targets;
    double *splits, *weights;
    uint8_t *modes;
    uint32_t *place;  /* [node_count] of a split among the splits, of a leaf among the leaves */
    uint32_t *leaves; /* work space: nodes that are leaves of one tree */
    size_t split_count;
};

#define MODE_LT 1

static void release(struct lists *lists)
{
    apx_release(lists->allocator, lists->memory);
    apx_release(lists->allocator, lists->splits);
    apx_release(lists->allocator, lists->modes);
    apx_release(lists->allocator, lists->place);
}

/* Every tree has a split, if need be one that is made for it. */
static bool reserve(struct lists *lists, const struct apx_forest_desc *desc)
{
    size_t splits = desc->node_count - desc->leaf_count + desc->trees;
    lists->memory = apx_alloc(lists->allocator, 6 * splits + desc->trees + desc->leaf_count + 1,
                              sizeof(int64_t));
    lists->splits = apx_alloc(lists->allocator, splits + desc->leaf_count + 1, sizeof(double));
    lists->modes = apx_alloc(lists->allocator, splits + 1, 1);
    lists->place =
        apx_alloc(lists->allocator, desc->node_count + desc->leaf_count + 1, sizeof *lists->place);
    if (lists->memory == NULL || lists->splits == NULL || lists->modes == NULL ||
        lists->place == NULL)
        return false;
    int64_t **of_splits[] = {&lists->featureids, &lists->trueids,    &lists->trueleafs,
                             &lists->falseids,   &lists->falseleafs, &lists->missing};
    int64_t *at = lists->memory;
    for (size_t i = 0; i < 6; i++, at += splits)
        *of_splits[i] = at;
    lists->roots = at;
    lists->targets = at + desc->trees;
    lists->weights = lists->splits + splits;
    lists->leaves = lists->place + desc->node_count;
    return true;
}

struct leaf_order {
    const struct apx_forest_desc *desc;
    const struct apx_tree_node *nodes;
};

static int by_id(const void *a, const void *b, void *context)
{
    const struct leaf_order *order = context;
    uint32_t x = order->desc->leaf_ids[order->nodes[*(const uint32_t *)a].left];
    uint32_t y = order->desc->leaf_ids[order->nodes[*(const uint32_t *)b].left];
    return (x > y) - (x < y);
}

/* Places of tree t's nodes, and what its leaves weigh. */
static void place_nodes(struct lists *lists, const struct apx_forest_desc *desc,
                        const struct apx_tree_node *nodes, uint32_t t, uint32_t *leaf_count)
{
    struct leaf_order order = {desc, nodes};
    uint32_t splits = (uint32_t)lists->split_count, leaves = 0;
    for (uint32_t n = desc->roots[t]; n < desc->roots[t + 1]; n++)
        if (nodes[n].feature < 0)
            lists->leaves[leaves++] = n;
        else
            lists->place[n] = splits++;
    qsort_r(lists->leaves, leaves, sizeof *lists->leaves, by_id, &order);
    for (uint32_t i = 0; i < leaves; i++) {
        uint32_t at = (*leaf_count)++;
        lists->place[lists->leaves[i]] = at;
        lists->weights[at] = desc->leaf_values[nodes[lists->leaves[i]].left];
        lists->targets[at] = desc->tree_output != NULL ? desc->tree_output[t] : 0;
    }
}

static void add_split(struct lists *lists, const struct apx_tree_node *nodes,
                      const struct apx_tree_node *node)
{
    size_t at = lists->split_count++;
    lists->featureids[at] = node->feature;
    lists->splits[at] = node->threshold;
    lists->modes[at] = MODE_LT;
    lists->missing[at] = !node->nan_right;
    lists->trueids[at] = lists->place[node->left];
    lists->trueleafs[at] = nodes[node->left].feature < 0;
    lists->falseids[at] = lists->place[node->right];
    lists->falseleafs[at] = nodes[node->right].feature < 0;
}

static void fill(struct lists *lists, const struct apx_forest_desc *desc,
                 const struct apx_tree_node *nodes)
{
    uint32_t leaf_count = 0;
    for (uint32_t t = 0; t < desc->trees; t++) {
        uint32_t root = desc->roots[t];
        place_nodes(lists, desc, nodes, t, &leaf_count);
        lists->roots[t] = (int64_t)lists->split_count;
        if (nodes[root].feature < 0)
            add_split(lists, nodes, &(struct apx_tree_node){.left = root, .right = root});
        for (uint32_t n = root; n < desc->roots[t + 1]; n++)
            if (nodes[n].feature >= 0)
                add_split(lists, nodes, &nodes[n]);
    }
}

bool apx_forest_write_five(struct apx_onnx *onnx, const struct apx_allocator *allocator,
                           const struct apx_forest_desc *desc, const struct apx_tree_node *nodes,
                           const char *name, const char *in, const char *out)
{
    static const int aggregates[] = {1, 2, 3}; /* SUM, MIN, MAX; 0 is AVERAGE */
    struct lists lists = {.allocator = allocator};
    bool ok = reserve(&lists, desc);
    if (ok) {
        fill(&lists, desc, nodes);
        int count = (int)lists.split_count;
        int64_t splits = count, leaves = (int64_t)desc->leaf_count;
        apx_onnx_node(onnx, "ai.onnx.ml", "TreeEnsemble", name, &in, 1, &out, 1);
        apx_onnx_int(onnx, "n_targets", (int64_t)desc->outputs);
        apx_onnx_int(onnx, "aggregate_function", aggregates[desc->sum]);
        apx_onnx_int(onnx, "post_transform", 0);
        apx_onnx_ints(onnx, "tree_roots", lists.roots, (int)desc->trees);
        apx_onnx_ints(onnx, "nodes_featureids", lists.featureids, count);
        apx_onnx_tensor_attribute(onnx, "nodes_modes", APX_U8, 1, &splits, lists.modes);
        apx_onnx_tensor_attribute(onnx, "nodes_splits", APX_F64, 1, &splits, lists.splits);
        apx_onnx_ints(onnx, "nodes_truenodeids", lists.trueids, count);
        apx_onnx_ints(onnx, "nodes_trueleafs", lists.trueleafs, count);
        apx_onnx_ints(onnx, "nodes_falsenodeids", lists.falseids, count);
        apx_onnx_ints(onnx, "nodes_falseleafs", lists.falseleafs, count);
        apx_onnx_ints(onnx, "nodes_missing_value_tracks_true", lists.missing, count);
        apx_onnx_ints(onnx, "leaf_targetids", lists.targets, (int)leaves);
        apx_onnx_tensor_attribute(onnx, "leaf_weights", APX_F64, 1, &leaves, lists.weights);
    }
    release(&lists);
    return ok;
}
