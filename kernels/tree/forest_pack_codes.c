/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_codes.c - nodes for walks over codes, of forests that are ranked as a whole.
 *
 * A tile walks from the exits of a tree's top, one row from where its bits end
 * (forest_pack_onerow.c), or from the root. Both tops are of any height, the whole tree too; only
 * what is below one of them has nodes. A tile finds exits by their numbers, so these come one
 * behind the other; a parent in the top whose children are both exits needs no other place for
 * them. */
#include "kernels/tree/forest_pack.h"

static bool is_whole(const struct apx_pack *pack, size_t tree)
{
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        if (pack->desc->nodes[i].feature >= 0 && !pack->nodes[i].sliced)
            return false;
    return true;
}

/* Does one row walk? */
static bool walks(const struct apx_pack *pack, size_t tree)
{
    return pack->one_kind[tree] == APX_ONE_WALKS || pack->one_kind[tree] == APX_ONE_TOPS;
}

/* Are a parent's children places of their own in the top? */
static bool has_pair(const struct apx_pack *pack, uint32_t node)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    return pack->nodes[n->left].sliced || pack->nodes[n->right].sliced;
}

/* Nodes of a tree whose top is the whole tree: where walks of one row begin, and what is below. */
static size_t count_whole(const struct apx_pack *pack, size_t tree)
{
    size_t count = 0;
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        count += walks(pack, tree) && !pack->nodes[i].topped;
    return count;
}

/* Nodes in front of the exits. */
static size_t count_above(const struct apx_pack *pack, size_t tree)
{
    size_t count = 0;
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        if (walks(pack, tree) && pack->nodes[i].sliced && !pack->nodes[i].topped)
            count += (pack->nodes[i].begins ? 1u : 0u) + (has_pair(pack, i) ? 2u : 0u);
    return count;
}

size_t apx_pack_code_count(const struct apx_pack *pack, size_t tree)
{
    if (is_whole(pack, tree))
        return count_whole(pack, tree);
    size_t below = 0;
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        below += !pack->nodes[i].sliced;
    return count_above(pack, tree) + below;
}

static void fill(const struct apx_pack *pack, const struct apx_packed_tree *out, uint32_t node,
                 uint32_t at)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    struct apx_code_node *code =
        (struct apx_code_node *)apx_pack_at(pack, pack->packed->code_at) + at;
    if (n->feature < 0) {
        *code = (struct apx_code_node){.cut = 255, .leaf = (uint16_t)(n->left - out->leaves)};
        return;
    }
    const struct apx_cut_place place = apx_pack_find_cut(pack, n);
    *code = (struct apx_code_node){
        .column = (uint16_t)(place.column * (pack->isa->tile / 8)),
        .cut = (uint8_t)(place.cut - 1),
        .down = (uint16_t)(pack->nodes[node].pair - at),
    };
}

/* A node whose place and pair are known, and what is below. */
static void fill_subtree(struct apx_pack *pack, uint32_t node, const struct apx_packed_tree *out)
{
    for (uint32_t i = node; i < node + pack->nodes[node].size; i++) {
        fill(pack, out, i, pack->nodes[i].place);
        if (pack->desc->nodes[i].feature >= 0)
            apx_pack_place_children(pack, i);
    }
}

/* A tree without exits: every beginning in front of what is below it. */
static void fill_whole(struct apx_pack *pack, size_t tree, uint32_t at,
                       const struct apx_packed_tree *out)
{
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1];) {
        if (pack->nodes[i].topped) {
            i++;
            continue;
        }
        pack->nodes[i].place = at;
        pack->nodes[i].pair = at + 1;
        fill_subtree(pack, i, out);
        at += pack->nodes[i].size;
        i += pack->nodes[i].size;
    }
}

/* The exits and what is below them, from place `at` on. */
static void fill_below(struct apx_pack *pack, const uint32_t *exits, uint32_t at,
                       struct apx_packed_tree *out)
{
    uint32_t next = at + out->exit_count;
    out->codes = at;
    for (uint32_t e = 0; e < out->exit_count; e++) {
        pack->nodes[exits[e]].place = at + e;
        pack->nodes[exits[e]].pair = next;
        next += pack->nodes[exits[e]].size - 1;
        fill_subtree(pack, exits[e], out);
    }
}

/* What is between the beginnings and the exits, which are filled. */
static void fill_above(struct apx_pack *pack, size_t tree, uint32_t at,
                       const struct apx_packed_tree *out)
{
    const struct apx_forest_desc *desc = pack->desc;
    uint32_t next = at, exit = out->codes;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1];) {
        const struct apx_tree_node *node = &desc->nodes[i];
        struct apx_pack_node *n = &pack->nodes[i];
        exit += n->sliced ? 0 : 1;
        if (n->topped || !n->sliced) {
            i += n->sliced ? 1 : n->size;
            continue;
        }
        if (n->begins)
            n->place = next++;
        n->pair = has_pair(pack, i) ? next : exit;
        fill(pack, out, i, n->place);
        if (has_pair(pack, i)) {
            const uint32_t child[2] = {node->left, node->right};
            for (uint32_t side = 0; side < 2; side++, next++)
                if (pack->nodes[child[side]].sliced)
                    pack->nodes[child[side]].place = next;
                else
                    fill(pack, out, child[side], next);
        }
        i++;
    }
}

void apx_pack_code_nodes(struct apx_pack *pack, size_t tree, const uint32_t *exits, size_t at,
                         struct apx_packed_tree *out)
{
    if (!out->whole) {
        fill_below(pack, exits, (uint32_t)(at + count_above(pack, tree)), out);
        if (walks(pack, tree))
            fill_above(pack, tree, (uint32_t)at, out);
    } else if (walks(pack, tree)) {
        fill_whole(pack, tree, (uint32_t)at, out);
    }
}
