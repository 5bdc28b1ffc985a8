/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_trees.c - every tree: the slices of its top, and what its nodes have in common. */
#include "kernels/tree/forest_pack.h"

/* Slices in their order, by index in the description. */
struct slice_order {
    uint32_t node[APX_SLICES_MAX];
    uint32_t count, stored;
};

static bool leaves_masks(const struct apx_pack *pack, uint32_t node)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    return pack->nodes[n->left].sliced || pack->nodes[n->right].sliced;
}

/* Breadth first; those with another slice below before those without. */
static void order_slices(const struct apx_pack *pack, uint32_t root, struct slice_order *order)
{
    uint32_t queue[APX_SLICES_MAX], tail = 0;
    order->count = order->stored = 0;
    if (pack->nodes[root].sliced)
        queue[tail++] = root;
    for (uint32_t head = 0; head < tail; head++) {
        const struct apx_tree_node *node = &pack->desc->nodes[queue[head]];
        if (pack->nodes[node->left].sliced)
            queue[tail++] = node->left;
        if (pack->nodes[node->right].sliced)
            queue[tail++] = node->right;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < tail; i++)
            if (leaves_masks(pack, queue[i]) == (pass == 0))
                order->node[order->count++] = queue[i];
        if (pass == 0)
            order->stored = order->count;
    }
}

/* Slices of one tree; slots of children are noted in `place` until the walk nodes need it. */
static void pack_slices(struct apx_pack *pack, const struct slice_order *order,
                        struct apx_slice *slices, const uint16_t *exit_of_right)
{
    const struct apx_forest_desc *desc = pack->desc;
    if (order->count > 0)
        pack->nodes[order->node[0]].place = 0;
    for (uint32_t i = 0; i < order->count; i++) {
        const struct apx_tree_node *node = &desc->nodes[order->node[i]];
        struct apx_slice *slice = &slices[i];
        pack->nodes[node->left].place = 2 * i + 1;
        pack->nodes[node->right].place = 2 * i + 2;
        slice->slot = (uint16_t)pack->nodes[order->node[i]].place;
        slice->exit = (uint8_t)exit_of_right[i];
        struct apx_cut_place at = apx_pack_find_cut(pack, node);
        slice->column = (uint16_t)at.column;
        slice->cut = at.cut;
    }
}

/* The exits of a tree from left to right, as indices in the description. */
static uint32_t list_exits(const struct apx_pack *pack, size_t tree, uint32_t *exits)
{
    uint32_t count = 0;
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1];) {
        if (pack->nodes[i].sliced) {
            i++;
        } else {
            exits[count++] = i;
            i += pack->nodes[i].size;
        }
    }
    return count;
}

/* The first exit at or behind a node. */
static uint32_t exit_from(const uint32_t *exits, uint32_t count, uint32_t node)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (exits[middle] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void pack_top(struct apx_pack *pack, size_t tree, struct apx_packed_tree *out,
                     struct apx_slice *slices, uint32_t *exits)
{
    struct slice_order order;
    uint16_t exit_of_right[APX_SLICES_MAX];
    const struct apx_forest_desc *desc = pack->desc;
    uint32_t root = desc->roots[tree];
    order_slices(pack, root, &order);
    out->exit_count = (uint16_t)list_exits(pack, tree, exits);
    for (uint32_t i = 0; i < order.count; i++)
        exit_of_right[i] =
            (uint16_t)exit_from(exits, out->exit_count, desc->nodes[order.node[i]].right);
    pack_slices(pack, &order, slices, exit_of_right);
    out->slice_count = (uint16_t)order.count;
    out->stored_count = (uint16_t)order.stored;
    out->whole = true;
    for (uint32_t e = 0; e < out->exit_count; e++) {
        uint32_t height = pack->nodes[exits[e]].height;
        out->whole &= height == 0;
        if (height > out->exit_depth)
            out->exit_depth = height;
    }
    /* The depth of its leaves in the mean, if rows went left and right alike. */
    uint32_t width = pack->nodes[root].size / 2 + 1;
    while (out->root_usual < out->depth && width > 1) {
        width /= 2;
        out->root_usual++;
    }
}

/* Places below a node whose pair is known: the pair, then what is below the child that more rows go
 * to, then what is below the other; so most steps go on in the same cache line. */
void apx_pack_place_children(struct apx_pack *pack, uint32_t parent)
{
    const struct apx_tree_node *node = &pack->desc->nodes[parent];
    struct apx_pack_node *left = &pack->nodes[node->left], *right = &pack->nodes[node->right];
    const uint32_t pair = pack->nodes[parent].pair;
    const bool right_first =
        pack->desc->nodes[node->right].cover > pack->desc->nodes[node->left].cover;
    struct apx_pack_node *hot = right_first ? right : left, *cold = right_first ? left : right;
    left->place = pair;
    right->place = pair + 1;
    hot->pair = pair + 2;
    cold->pair = pair + 2 + hot->size - 1;
}

/* Is a tree, the next one, the first of its output? Only asked of MIN and MAX. */
static bool begins_output(struct apx_pack *pack, size_t tree)
{
    const struct apx_forest_desc *desc = pack->desc;
    if (desc->sum == APX_FOREST_SUM || desc->tree_output == NULL)
        return tree == 0;
    bool *has_begun = &pack->has_begun[desc->tree_output[tree]];
    const bool begins = !*has_begun;
    *has_begun = true;
    return begins;
}

static size_t most_exits(size_t nodes)
{
    return (nodes + 1) / 2 < APX_EXITS_MAX ? (nodes + 1) / 2 : APX_EXITS_MAX;
}

/* How many slices, entries of `exits` and nodes over codes all trees have. */
struct tree_counts {
    size_t slices, exits, codes;
};

static struct tree_counts count_all(const struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct tree_counts counts = {0};
    for (size_t t = 0; t < desc->trees; t++) {
        bool whole = true;
        for (uint32_t i = desc->roots[t]; i < desc->roots[t + 1];) {
            const bool sliced = pack->nodes[i].sliced;
            counts.slices += sliced;
            whole &= sliced || pack->nodes[i].height == 0;
            i += sliced ? 1 : pack->nodes[i].size;
        }
        if (pack->coded)
            counts.codes += apx_pack_code_count(pack, t);
        else if (!whole)
            counts.exits += most_exits(desc->roots[t + 1] - desc->roots[t]);
    }
    return counts;
}

/* One tree behind the slices, exits and nodes over codes so far. */
static void pack_tree(struct apx_pack *pack, size_t t, struct apx_packed_tree *out,
                      struct tree_counts *so_far)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    uint32_t list[APX_EXITS_MAX];
    out->slices = (uint32_t)so_far->slices;
    out->exits = (uint32_t)so_far->exits;
    out->nodes = (uint32_t)(desc->roots[t] + t);
    out->output = desc->tree_output != NULL ? desc->tree_output[t] : 0;
    out->begins = begins_output(pack, t);
    out->depth = pack->nodes[desc->roots[t]].height;
    struct apx_slice *slices = apx_pack_at(pack, packed->slices_at);
    pack_top(pack, t, out, slices + so_far->slices, list);
    so_far->slices += out->slice_count;
    packed->walks |= !out->whole;
    if (pack->coded) {
        pack->one_root[t] = (uint32_t)so_far->codes;
        apx_pack_code_nodes(pack, t, list, so_far->codes, out);
        so_far->codes += apx_pack_code_count(pack, t);
        return;
    }
    apx_pack_key_nodes(pack, t, out);
    uint32_t *exits = (uint32_t *)apx_pack_at(pack, packed->exits_at) + so_far->exits;
    for (uint32_t e = 0; e < out->exit_count && !out->whole; e++)
        exits[e] = pack->nodes[list[e]].place;
    so_far->exits += out->whole ? 0 : out->exit_count;
}

void apx_pack_trees(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    const struct tree_counts most = count_all(pack);
    memset(pack->has_begun, 0, desc->outputs * sizeof *pack->has_begun);
    packed->coded = pack->coded;
    packed->trees_at = apx_pack_array(pack, desc->trees, sizeof(struct apx_packed_tree));
    packed->slices_at = apx_pack_array(pack, most.slices, sizeof(struct apx_slice));
    packed->code_at = apx_pack_array(pack, most.codes, sizeof(struct apx_code_node));
    if (!pack->coded)
        apx_pack_key_arrays(pack);
    packed->exits_at = apx_pack_array(pack, most.exits, sizeof(uint32_t));
    struct apx_packed_tree *trees = apx_pack_at(pack, packed->trees_at);
    struct tree_counts so_far = {0};
    uint32_t leaves = 0;
    for (size_t t = 0; t < desc->trees; t++) {
        trees[t].leaves = leaves;
        pack_tree(pack, t, &trees[t], &so_far);
        leaves += (pack->nodes[desc->roots[t]].size + 1) / 2;
    }
    pack->end = packed->exits_at + so_far.exits * sizeof(uint32_t);
}
