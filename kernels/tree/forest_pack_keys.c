/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_keys.c - nodes for walks over keys, of forests that are not ranked as a whole: every
 * tree from its root on. */
#include "kernels/tree/forest_pack.h"

/* Places of a tree's nodes: the root at 1, pairs of siblings behind it at even places. */
static void place_nodes(struct apx_pack *pack, size_t tree)
{
    const uint32_t root = pack->desc->roots[tree];
    pack->nodes[root].place = 1;
    pack->nodes[root].pair = 2;
    for (uint32_t i = root; i < pack->desc->roots[tree + 1]; i++)
        if (pack->desc->nodes[i].feature >= 0)
            apx_pack_place_children(pack, i);
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

void apx_pack_key_nodes(struct apx_pack *pack, size_t tree, const struct apx_packed_tree *out)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    struct apx_walk8 *walk8 = (struct apx_walk8 *)apx_pack_at(pack, packed->walk_at) + out->nodes;
    struct apx_walk16 *walk16 =
        (struct apx_walk16 *)apx_pack_at(pack, packed->walk_at) + out->nodes;
    uint64_t *walk64 = (uint64_t *)apx_pack_at(pack, packed->walk64_at) + out->nodes;
    uint8_t *nan_right = apx_pack_at(pack, packed->nan_right_at);
    const uint32_t stride = APX_KEYS_STRIDE(packed->tile) / 8;
    place_nodes(pack, tree);
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

void apx_pack_key_arrays(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    const size_t nodes = pack->desc->node_count + pack->desc->trees;
    place_columns(pack);
    packed->walk_at = apx_pack_array(
        pack, nodes, packed->wide ? sizeof(struct apx_walk16) : sizeof(struct apx_walk8));
    packed->walk64_at = apx_pack_array(pack, packed->compares_double ? nodes : 0, sizeof(double));
    packed->nan_right_at = apx_pack_array(pack, (nodes + 7) / 8, 1);
}
