/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_trees.c - the slices, exits and walk nodes of every tree. */
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
static void place_children(struct apx_pack *pack, uint32_t parent)
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

/* Places of a tree's nodes: the root at 1, pairs of siblings behind it at even places. */
static void place_nodes(struct apx_pack *pack, size_t tree)
{
    const uint32_t root = pack->desc->roots[tree];
    pack->nodes[root].place = 1;
    pack->nodes[root].pair = 2;
    for (uint32_t i = root; i < pack->desc->roots[tree + 1]; i++)
        if (pack->desc->nodes[i].feature >= 0)
            place_children(pack, i);
}

/* Columns of keys for the features that some node compares. */
static void place_columns(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    uint32_t *column = pack->walk_column;
    memset(column, 0, desc->features * sizeof *column);
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0)
            column[desc->nodes[i].feature] = 1;
    uint32_t count = 0;
    for (size_t f = 0; f < desc->features; f++)
        count += column[f];
    packed->walk_columns = count;
    packed->walk_feature_at = apx_pack_array(pack, count, sizeof(uint32_t));
    uint32_t *feature = apx_pack_at(pack, packed->walk_feature_at);
    count = 0;
    for (uint32_t f = 0; f < desc->features; f++)
        if (column[f]) {
            feature[count] = f;
            column[f] = count++;
        }
}

static void pack_walk(struct apx_pack *pack, size_t tree, const struct apx_packed_tree *out)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    struct apx_walk8 *walk8 = (struct apx_walk8 *)apx_pack_at(pack, packed->walk_at) + out->nodes;
    struct apx_walk16 *walk16 =
        (struct apx_walk16 *)apx_pack_at(pack, packed->walk_at) + out->nodes;
    uint64_t *walk64 = (uint64_t *)apx_pack_at(pack, packed->walk64_at) + out->nodes;
    uint8_t *nan_right = apx_pack_at(pack, packed->nan_right_at);
    const uint32_t stride = APX_KEYS_STRIDE(packed->tile) / 8;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1]; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        uint32_t at = pack->nodes[i].place, left = at, column = 0, extra, key;
        if (node->feature < 0) {
            extra = node->left - out->leaves;
            key = APX_WALK_LEAF + (packed->wide ? 0 : extra);
        } else {
            left = pack->nodes[node->left].place;
            column = pack->walk_column[node->feature] * stride;
            extra = node->set >= 0 ? (uint32_t)node->set : 0;
            key = node->set < 0  ? apx_float_key(apx_float_above(node->threshold))
                  : packed->wide ? 0
                                 : extra;
        }
        if (packed->wide)
            walk16[at] = (struct apx_walk16){key, column, left, extra};
        else
            walk8[at] = (struct apx_walk8){key, (uint16_t)column, (uint16_t)left};
        if (desc->compares_double)
            walk64[at] = node->feature < 0 ? UINT64_MAX
                         : node->set >= 0  ? 0
                                           : apx_double_key(node->threshold);
        size_t bit = (size_t)out->nodes + at;
        if (node->feature >= 0 && node->nan_right)
            nan_right[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

static void fill_code(const struct apx_pack *pack, const struct apx_packed_tree *out, uint32_t node,
                      uint32_t at, uint32_t left, struct apx_code_node *codes)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    if (n->feature < 0) {
        codes[at] = (struct apx_code_node){
            .cut = 255, .left = (uint16_t)at, .leaf = (uint16_t)(n->left - out->leaves)};
        return;
    }
    const struct apx_cut_place place = apx_pack_find_cut(pack, n);
    codes[at] = (struct apx_code_node){
        .column = (uint16_t)(place.column * (pack->isa->tile / 8)),
        .cut = (uint8_t)(place.cut - 1),
        .left = (uint16_t)left,
    };
}

/* Nodes over codes below a tree's exits; how many. */
static size_t pack_code(struct apx_pack *pack, const struct apx_packed_tree *out,
                        const uint32_t *exits)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_code_node *codes =
        (struct apx_code_node *)apx_pack_at(pack, pack->packed->code_at) + out->codes;
    uint32_t next = (out->exit_count + 1u) / 2 * 2;
    for (uint32_t e = 0; e < out->exit_count; e++) {
        pack->nodes[exits[e]].place = e;
        pack->nodes[exits[e]].pair = next;
        next += pack->nodes[exits[e]].size - 1;
        for (uint32_t i = exits[e]; i < exits[e] + pack->nodes[exits[e]].size; i++) {
            fill_code(pack, out, i, pack->nodes[i].place, pack->nodes[i].pair, codes);
            if (desc->nodes[i].feature >= 0)
                place_children(pack, i);
        }
    }
    return next;
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

void apx_pack_trees(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    size_t slices = 0, exits = 0, code_nodes = 0;
    for (size_t t = 0; t < desc->trees; t++) {
        bool whole = true;
        size_t below = 1;
        for (uint32_t i = desc->roots[t]; i < desc->roots[t + 1];) {
            bool sliced = pack->nodes[i].sliced;
            slices += sliced;
            whole &= sliced || pack->nodes[i].height == 0;
            below += sliced ? 0 : pack->nodes[i].size;
            i += sliced ? 1 : pack->nodes[i].size;
        }
        exits += whole || pack->coded ? 0 : most_exits(desc->roots[t + 1] - desc->roots[t]);
        code_nodes += whole ? 0 : below;
    }
    const size_t nodes = desc->node_count + desc->trees;
    memset(pack->has_begun, 0, desc->outputs * sizeof *pack->has_begun);
    place_columns(pack);
    packed->trees_at = apx_pack_array(pack, desc->trees, sizeof(struct apx_packed_tree));
    packed->slices_at = apx_pack_array(pack, slices, sizeof(struct apx_slice));
    packed->walk_at = apx_pack_array(
        pack, nodes, packed->wide ? sizeof(struct apx_walk16) : sizeof(struct apx_walk8));
    packed->walk64_at = apx_pack_array(pack, desc->compares_double ? nodes : 0, sizeof(double));
    packed->coded = pack->coded;
    packed->code_at =
        apx_pack_array(pack, pack->coded ? code_nodes : 0, sizeof(struct apx_code_node));
    packed->nan_right_at = apx_pack_array(pack, (nodes + 7) / 8, 1);
    packed->exits_at = apx_pack_array(pack, exits, sizeof(uint32_t));
    struct apx_packed_tree *trees = apx_pack_at(pack, packed->trees_at);
    struct apx_slice *slice = apx_pack_at(pack, packed->slices_at);
    uint32_t *exit = apx_pack_at(pack, packed->exits_at);
    size_t next_slice = 0, next_exit = 0, next_leaf = 0, next_code = 0;
    for (size_t t = 0; t < desc->trees; t++) {
        struct apx_packed_tree *out = &trees[t];
        uint32_t list[APX_EXITS_MAX], root = desc->roots[t];
        out->slices = (uint32_t)next_slice;
        out->exits = (uint32_t)next_exit;
        out->leaves = (uint32_t)next_leaf;
        out->nodes = (uint32_t)(root + t);
        out->output = desc->tree_output != NULL ? desc->tree_output[t] : 0;
        out->begins = begins_output(pack, t);
        out->depth = pack->nodes[root].height;
        pack_top(pack, t, out, slice + next_slice, list);
        place_nodes(pack, t);
        pack_walk(pack, t, out);
        out->codes = (uint32_t)next_code;
        for (uint32_t e = 0; e < out->exit_count && !out->whole && !pack->coded; e++)
            exit[next_exit + e] = pack->nodes[list[e]].place;
        if (pack->coded && !out->whole)
            next_code += pack_code(pack, out, list);
        next_slice += out->slice_count;
        next_exit += out->whole || pack->coded ? 0 : out->exit_count;
        next_leaf += (pack->nodes[root].size + 1) / 2;
        packed->walks |= !out->whole;
    }
    pack->end = packed->exits_at + next_exit * sizeof(uint32_t);
}
