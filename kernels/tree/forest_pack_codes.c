/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_codes.c - nodes for walks over codes, of forests that are ranked as a whole.
 *
 * A tile walks from the exits of a tree's top, one row from the root: unless bits decide the tree
 * (forest_pack_onerow.c), or its top is the whole tree. So there are nodes of what is below the
 * exits, of what is above, of both or of neither. Exits come one behind the other, so that a tile
 * finds them by their numbers; a parent in the top whose children are both exits needs no other
 * place for them. */
#include "kernels/tree/forest_pack.h"

static bool is_whole(const struct apx_pack *pack, size_t tree)
{
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        if (pack->desc->nodes[i].feature >= 0 && !pack->nodes[i].sliced)
            return false;
    return true;
}

static bool from_root(const struct apx_pack *pack, size_t tree)
{
    return pack->one_kind[tree] == APX_ONE_WALKS;
}

/* Are a parent's children places of their own in the top? */
static bool has_pair(const struct apx_pack *pack, uint32_t node)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    return pack->nodes[n->left].sliced || pack->nodes[n->right].sliced;
}

/* Places in front of the exits: of pairs and the root, an even number. */
static size_t count_above(const struct apx_pack *pack, size_t tree)
{
    const uint32_t root = pack->desc->roots[tree];
    if (!from_root(pack, tree) || !pack->nodes[root].sliced || is_whole(pack, tree))
        return 0;
    size_t count = 2;
    for (uint32_t i = root; i < pack->desc->roots[tree + 1]; i++)
        count += pack->nodes[i].sliced && has_pair(pack, i) ? 2 : 0;
    return count;
}

size_t apx_pack_code_count(const struct apx_pack *pack, size_t tree)
{
    const uint32_t root = pack->desc->roots[tree], end = pack->desc->roots[tree + 1];
    if (is_whole(pack, tree))
        return from_root(pack, tree) ? end - root + 1 : 0;
    size_t exits = 0, below = 0;
    for (uint32_t i = root; i < end;) {
        exits += !pack->nodes[i].sliced;
        below += pack->nodes[i].sliced ? 0 : pack->nodes[i].size - 1;
        i += pack->nodes[i].sliced ? 1 : pack->nodes[i].size;
    }
    return count_above(pack, tree) + (exits + 1) / 2 * 2 + below;
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

/* What is below `count` exits, and these: from place `at` on. */
static void fill_below(struct apx_pack *pack, const uint32_t *exits, uint32_t count, uint32_t at,
                       struct apx_packed_tree *out)
{
    uint32_t next = at + (count + 1) / 2 * 2;
    out->codes = at;
    for (uint32_t e = 0; e < count; e++) {
        pack->nodes[exits[e]].place = at + e;
        pack->nodes[exits[e]].pair = next;
        next += pack->nodes[exits[e]].size - 1;
        for (uint32_t i = exits[e]; i < exits[e] + pack->nodes[exits[e]].size; i++) {
            fill(pack, out, i, pack->nodes[i].place);
            if (pack->desc->nodes[i].feature >= 0)
                apx_pack_place_children(pack, i);
        }
    }
}

/* The top, from place `at` on; its exits are filled. */
static void fill_above(struct apx_pack *pack, size_t tree, uint32_t at,
                       const struct apx_packed_tree *out)
{
    const struct apx_forest_desc *desc = pack->desc;
    uint32_t next = at + 2, exit = out->codes;
    pack->nodes[desc->roots[tree]].place = at;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1];) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (!pack->nodes[i].sliced) {
            exit++;
            i += pack->nodes[i].size;
            continue;
        }
        pack->nodes[i].pair = has_pair(pack, i) ? next : exit;
        fill(pack, out, i, pack->nodes[i].place);
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
                         struct apx_packed_tree *out, uint32_t *root)
{
    const size_t above = count_above(pack, tree);
    *root = (uint32_t)at;
    if (!out->whole) {
        fill_below(pack, exits, out->exit_count, (uint32_t)(at + above), out);
        if (above > 0)
            fill_above(pack, tree, (uint32_t)at, out);
    } else if (from_root(pack, tree)) {
        fill_below(pack, &pack->desc->roots[tree], 1, (uint32_t)at, out);
    }
}
