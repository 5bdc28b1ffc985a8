/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_onerow.c - how one row goes through a ranked forest, and the groups it goes through.
 *
 * Bits: a tree of 32 (64) leaves is a word of as many bits, the leftmost leaf the highest. Where a
 * row turns right, all leaves on the left are out of its reach; the words of all nodes that the row
 * would turn right at, whether it comes there or not, and-ed together leave the leaf it ends in as
 * the highest bit. So a tree's nodes may come in any order, and those of 16 (8) trees side by side.
 * A block is APX_ONE_BLOCK nodes, some of each tree: the columns of their codes, their cuts, and
 * the words that keep what is not on their left. Trees with fewer nodes than others of their group
 * have nodes that keep everything.
 *
 * Walks: eight trees side by side from their roots.
 *
 * Groups are of trees that need about as many blocks or steps. If that is nearly so anyway, trees
 * stay in the forest's order, and leaves can be added up while the next groups are decided. */
#include "kernels/tree/forest_pack.h"

enum {
    COLUMN_BYTES = APX_ONE_BLOCK,
    CUT_BYTES = APX_ONE_BLOCK,
    /* of a block, in units of 64 bytes */
    BLOCK32 = (COLUMN_BYTES + CUT_BYTES + 4 * APX_ONE_BLOCK) / 64,
    BLOCK64 = (COLUMN_BYTES + CUT_BYTES + 8 * APX_ONE_BLOCK) / 64,
};

static const uint32_t lanes_of[APX_ONE_KINDS] = {16, 8, 8};

static uint32_t leaves_of(const struct apx_pack *pack, size_t tree)
{
    return (pack->nodes[pack->desc->roots[tree]].size + 1) / 2;
}

/* Steps that most rows need: the mean depth of the leaves if rows went left and right alike, and
 * one. */
static uint32_t usual_steps(const struct apx_pack *pack, size_t tree)
{
    const uint32_t height = pack->nodes[pack->desc->roots[tree]].height;
    uint32_t steps = 2;
    for (uint32_t width = leaves_of(pack, tree); width > 1; width /= 2)
        steps++;
    return steps < height ? steps : height;
}

/* Blocks or steps of a tree alone. */
static uint32_t length_of(const struct apx_pack *pack, size_t tree, enum apx_one_kind kind)
{
    const uint32_t nodes = leaves_of(pack, tree) - 1;
    const uint32_t each = APX_ONE_BLOCK / lanes_of[kind];
    if (kind == APX_ONE_WALKS)
        return usual_steps(pack, tree);
    return nodes == 0 ? 1 : (nodes + each - 1) / each;
}

/* Nanoseconds of a group whose longest tree is so long. */
static double group_cost(const struct apx_pack *pack, enum apx_one_kind kind, uint32_t length)
{
    const struct apx_forest_isa *isa = pack->isa;
    const double step[APX_ONE_KINDS] = {isa->one_block32, isa->one_block64,
                                        isa->one_visit * lanes_of[APX_ONE_WALKS]};
    return step[kind] * length;
}

void apx_pack_one_kinds(struct apx_pack *pack)
{
    const bool bits = pack->isa->bits && pack->packed->columns <= APX_ONE_COLUMNS_MAX;
    for (size_t t = 0; t < pack->desc->trees && pack->coded; t++) {
        const uint32_t leaves = leaves_of(pack, t);
        double best = INFINITY;
        for (int k = 0; k < APX_ONE_KINDS; k++) {
            const enum apx_one_kind kind = (enum apx_one_kind)k;
            if (kind != APX_ONE_WALKS && (!bits || leaves > (kind == APX_ONE_BITS32 ? 32 : 64)))
                continue;
            const double cost = group_cost(pack, kind, length_of(pack, t, kind)) / lanes_of[kind];
            if (cost < best) {
                best = cost;
                pack->one_kind[t] = (uint8_t)kind;
            }
        }
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Trees of one_order from `first` on that are a group; *cost grows. */
static uint32_t group_from(const struct apx_pack *pack, size_t first, double *cost)
{
    const uint64_t *order = pack->one_order;
    const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[(uint32_t)order[first]];
    uint32_t count = 0, longest = 0;
    while (count < lanes_of[kind] && first + count < pack->desc->trees &&
           pack->one_kind[(uint32_t)order[first + count]] == kind) {
        const uint32_t length = length_of(pack, (uint32_t)order[first + count], kind);
        longest = length > longest ? length : longest;
        count++;
    }
    *cost += group_cost(pack, kind, longest);
    return count;
}

static double order_cost(const struct apx_pack *pack, uint32_t *groups)
{
    double cost = 0;
    *groups = 0;
    for (size_t t = 0; t < pack->desc->trees; ++*groups)
        t += group_from(pack, t, &cost);
    return cost;
}

/* Sorted, groups may be this much cheaper, and the forest's order is still kept. */
static const double in_order_worth = 1.2;

/* Trees in the forest's order, or by kind and length: one_order; the cost of the groups. */
static double choose_order(struct apx_pack *pack, uint32_t *groups, bool *in_order)
{
    const size_t trees = pack->desc->trees;
    for (size_t t = 0; t < trees; t++) {
        const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[t];
        pack->one_order[t] =
            (uint64_t)kind << 60 | (uint64_t)length_of(pack, t, kind) << 32 | (uint32_t)t;
    }
    apx_sort_unique(pack->one_order, trees);
    uint32_t sorted_groups;
    const double sorted = order_cost(pack, &sorted_groups);
    for (size_t t = 0; t < trees; t++)
        pack->one_order[t] = t;
    const double kept = order_cost(pack, groups);
    *in_order = kept <= sorted * in_order_worth;
    if (*in_order)
        return kept;
    for (size_t t = 0; t < trees; t++) {
        const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[t];
        pack->one_order[t] =
            (uint64_t)kind << 60 | (uint64_t)length_of(pack, t, kind) << 32 | (uint32_t)t;
    }
    apx_sort_unique(pack->one_order, trees);
    *groups = sorted_groups;
    return sorted;
}

double apx_pack_one_cost(const struct apx_pack *pack)
{
    const struct apx_packed *packed = pack->packed;
    const struct apx_forest_isa *isa = pack->isa;
    const struct apx_column *columns = apx_pack_at(pack, packed->column_at);
    const struct apx_set_column *sets = apx_pack_at(pack, packed->set_column_at);
    double cost = isa->one_tree * (double)pack->desc->trees, groups = 0;
    for (uint32_t c = 0; c < packed->search_columns; c++)
        cost += isa->one_column + isa->one_level * columns[c].levels;
    for (uint32_t s = 0; s < packed->set_columns; s++)
        cost += isa->one_set * (1 + sets[s].parts);
    for (size_t t = 0; t < pack->desc->trees; t++) {
        const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[t];
        groups += group_cost(pack, kind, length_of(pack, t, kind)) / lanes_of[kind];
    }
    return cost + groups;
}

static uint64_t bits_below(uint32_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

/* The nodes of one tree to lane `lane` of a group's blocks. */
static void fill_lane(const struct apx_pack *pack, size_t tree, uint32_t lane,
                      enum apx_one_kind kind, uint8_t *blocks)
{
    const struct apx_forest_desc *desc = pack->desc;
    const uint32_t lanes = lanes_of[kind], each = APX_ONE_BLOCK / lanes;
    const size_t word = kind == APX_ONE_BITS32 ? 4 : 8;
    const size_t block_bytes = 64 * (kind == APX_ONE_BITS32 ? BLOCK32 : BLOCK64);
    uint32_t leaf = 0, slot = 0;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1]; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (node->feature < 0) {
            leaf++;
            continue;
        }
        uint8_t *block = blocks + slot / each * block_bytes;
        const uint32_t at = slot % each * lanes + lane;
        const struct apx_cut_place place = apx_pack_find_cut(pack, node);
        block[at] = (uint8_t)place.column;
        block[COLUMN_BYTES + at] = place.cut;
        const uint32_t left = (pack->nodes[node->left].size + 1) / 2;
        const uint64_t out = bits_below(left) << (8 * word - leaf - left);
        const uint64_t keep64 = ~out;
        const uint32_t keep32 = (uint32_t)keep64;
        memcpy(block + COLUMN_BYTES + CUT_BYTES + at * word,
               word == 4 ? (const void *)&keep32 : (const void *)&keep64, word);
        slot++;
    }
}

/* Blocks of nodes that keep everything, to be filled. */
static void clear_blocks(uint8_t *blocks, size_t count, enum apx_one_kind kind)
{
    const size_t block_bytes = 64 * (kind == APX_ONE_BITS32 ? BLOCK32 : BLOCK64);
    for (size_t b = 0; b < count; b++) {
        memset(blocks + b * block_bytes, 0, COLUMN_BYTES);
        memset(blocks + b * block_bytes + COLUMN_BYTES, 0xff, block_bytes - COLUMN_BYTES);
    }
}

static void pack_group(struct apx_pack *pack, size_t first, uint32_t trees,
                       struct apx_one_group *group)
{
    const uint64_t *order = pack->one_order;
    const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[(uint32_t)order[first]];
    *group = (struct apx_one_group){
        .first = (uint32_t)first, .kind = (uint8_t)kind, .trees = (uint8_t)trees};
    uint32_t longest = 0, highest = 0;
    for (uint32_t i = 0; i < trees; i++) {
        const uint32_t tree = (uint32_t)order[first + i];
        const uint32_t length = length_of(pack, tree, kind);
        const uint32_t height = pack->nodes[pack->desc->roots[tree]].height;
        longest = length > longest ? length : longest;
        highest = height > highest ? height : highest;
    }
    if (kind == APX_ONE_WALKS) {
        group->blocks = longest;
        group->count = (uint16_t)(highest < UINT16_MAX ? highest : UINT16_MAX);
        pack->packed->one_walks = true;
        return;
    }
    /* Blocks of all groups follow each other. */
    const size_t begin = pack->packed->one_block_at, at = pack->end;
    pack->end += (size_t)longest * 64 * (kind == APX_ONE_BITS32 ? BLOCK32 : BLOCK64);
    group->blocks = (uint32_t)((at - begin) / 64);
    group->count = (uint16_t)longest;
    clear_blocks(apx_pack_at(pack, at), longest, kind);
    for (uint32_t i = 0; i < trees; i++)
        fill_lane(pack, (uint32_t)order[first + i], i, kind, apx_pack_at(pack, at));
}

/* ---- columns --------------------------------------------------------------------------------- */

static uint32_t shape_of(const struct apx_forest_isa *isa, const struct apx_column *column)
{
    return (column->first > isa->lanes ? 1u : 0u) + column->levels;
}

static bool is_second_twin(const struct apx_column *columns, uint32_t c)
{
    return c > 0 && columns[c - 1].twin;
}

/* Searches of the columns that are no second twins, and where NaN has a code of its own. */
static void pack_searches(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    const uint32_t count = packed->search_columns;
    const struct apx_column *columns = apx_pack_at(pack, packed->column_at);
    packed->one_search_at = apx_pack_array(pack, count, sizeof(struct apx_one_search));
    struct apx_one_search *search = apx_pack_at(pack, packed->one_search_at);
    uint32_t used = 0, nans = 0;
    for (uint32_t shape = 0; shape < APX_ONE_SHAPES; shape++) {
        for (uint32_t c = 0; c < count; c++)
            if (!is_second_twin(columns, c) && shape_of(pack->isa, &columns[c]) == shape)
                search[used++] =
                    (struct apx_one_search){columns[c].feature, columns[c].table, columns[c].cuts64,
                                            (uint16_t)c, columns[c].cuts};
        packed->one_shape_end[shape] = used;
    }
    pack->end = packed->one_search_at + used * sizeof *search;
    packed->one_nan_at = apx_pack_array(pack, count, sizeof(struct apx_one_nan));
    struct apx_one_nan *nan = apx_pack_at(pack, packed->one_nan_at);
    for (int twins = 1; twins >= 0; twins--) {
        for (uint32_t c = 0; c < count; c++)
            if (is_second_twin(columns, c) == (twins == 1) && columns[c].nan_code != 0)
                nan[nans++] = (struct apx_one_nan){columns[c].feature, (uint16_t)c,
                                                   (uint16_t)(twins == 1 ? c - 1 : c)};
        if (twins == 1)
            packed->one_twins = nans;
    }
    packed->one_nans = nans;
    pack->end = packed->one_nan_at + nans * sizeof *nan;
}

/* Bytes from one row's codes to the next's: whole registers, as many as look-ups read. */
static uint32_t row_stride(uint32_t columns)
{
    return columns <= 64 ? 64 : columns <= 128 ? 128 : (columns + 255) / 256 * 256;
}

void apx_pack_one_groups(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    const size_t trees = pack->desc->trees;
    uint32_t groups = 0;
    bool in_order = true;
    const struct apx_packed_tree *tree = apx_pack_at(pack, packed->trees_at);
    choose_order(pack, &groups, &in_order);
    packed->one_in_order = in_order;
    packed->one_groups = groups;
    packed->one_stride = row_stride(packed->columns);
    pack_searches(pack);
    packed->one_group_at = apx_pack_array(pack, groups, sizeof(struct apx_one_group));
    packed->one_tree_at = apx_pack_array(pack, in_order ? 0 : trees, sizeof(uint32_t));
    packed->one_leaves_at = apx_pack_array(pack, trees + APX_ONE_LANES, sizeof(uint32_t));
    bool walks = false;
    for (size_t t = 0; t < trees; t++)
        walks |= pack->one_kind[t] == APX_ONE_WALKS;
    packed->one_root_at = apx_pack_array(pack, walks ? trees : 0, sizeof(uint32_t));
    uint32_t *index = apx_pack_at(pack, packed->one_tree_at);
    uint32_t *leaves = apx_pack_at(pack, packed->one_leaves_at);
    uint32_t *root = apx_pack_at(pack, packed->one_root_at);
    for (size_t i = 0; i < trees; i++) {
        const uint32_t t = (uint32_t)pack->one_order[i];
        if (!in_order)
            index[i] = t;
        leaves[i] = tree[t].leaves;
        if (walks)
            root[i] = pack->one_root[t];
    }
    packed->one_block_at = apx_pack_array(pack, 0, 1);
    struct apx_one_group *group = apx_pack_at(pack, packed->one_group_at);
    double cost = 0;
    for (size_t t = 0; t < trees; group++) {
        const uint32_t count = group_from(pack, t, &cost);
        pack_group(pack, t, count, group);
        t += count;
    }
}
