/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_onerow.c - how one row goes through a ranked forest, and the groups it goes through.
 *
 * Bits (forest_pack_bits.c): trees of up to 32 (64) leaves, all nodes of 16 (8) trees side by side.
 *
 * Walks: sixteen trees side by side. Of a larger tree the bits decide a top, of all nodes higher
 * than some height, and walks go on from its exits; where there are no bits, from the root.
 *
 * Groups are of trees that need about as many blocks or steps. If that is nearly so anyway, trees
 * stay in the forest's order, and leaves can be added up while the next groups are decided. */
#include "kernels/tree/forest_pack.h"

/* Trees of a group: with AVX2 a half in each register. */
static uint32_t trees_of(enum apx_one_kind kind)
{
    return kind == APX_ONE_BITS64 ? 8 : APX_ONE_LANES;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t greatest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t leaves_of(const struct apx_pack *pack, size_t tree)
{
    return (pack->nodes[pack->desc->roots[tree]].size + 1) / 2;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

/* Marks the top of nodes higher than `height`. */
static struct apx_one_tree mark(struct apx_pack *pack, size_t tree, uint32_t height)
{
    const uint32_t root = pack->desc->roots[tree], end = pack->desc->roots[tree + 1];
    struct apx_pack_node *nodes = pack->nodes;
    struct apx_one_tree one = {.highest = 0};
    uint32_t leaves = 0, exits = 0, doubled = 0;
    for (uint32_t i = root; i < end; i++)
        nodes[i].topped = nodes[i].begins = false;
    nodes[root].begins = true;
    for (uint32_t i = root; i < end;) {
        nodes[i].topped = pack->desc->nodes[i].feature >= 0 && nodes[i].height > height;
        if (nodes[i].topped) {
            nodes[i].begins = false;
            nodes[pack->desc->nodes[i].left].begins = true;
            nodes[pack->desc->nodes[i].right].begins = true;
            i++;
        } else {
            one.highest = greatest(nodes[i].height, one.highest);
            leaves += (nodes[i].size + 1) / 2;
            exits++;
            i += nodes[i].size;
        }
    }
    /* The mean depth of the leaves if rows went left and right alike, and half as much. */
    for (uint32_t width = (leaves + exits - 1) / exits; width > 1; width = (width + 1) / 2)
        doubled += 2;
    one.usual = least((doubled * 3 + 3) / 4, one.highest);
    return one;
}

/* The least height above which there are no more than so many nodes. */
static uint32_t height_for(const struct apx_pack *pack, size_t tree, uint32_t most)
{
    enum { HEIGHTS = 64 };
    const uint32_t root = pack->desc->roots[tree];
    uint32_t of_height[HEIGHTS] = {0}, count = 0, height = pack->nodes[root].height;
    for (uint32_t i = root; i < pack->desc->roots[tree + 1]; i++)
        if (height - pack->nodes[i].height < HEIGHTS)
            of_height[height - pack->nodes[i].height]++;
    for (uint32_t down = 0; down < HEIGHTS && height > 0; down++, height--) {
        count += of_height[down];
        if (count > most)
            break;
    }
    return height;
}

static struct apx_one_tree mark_kind(struct apx_pack *pack, size_t tree, enum apx_one_kind kind)
{
    if (kind == APX_ONE_WALKS)
        return mark(pack, tree, pack->nodes[pack->desc->roots[tree]].height);
    if (kind == APX_ONE_TOPS)
        return mark(pack, tree, height_for(pack, tree, APX_ONE_EXITS - 1));
    return mark(pack, tree, 0);
}

/* Steps after which walks can be expected to end. */
static uint32_t steps_of(const struct apx_one_tree *one)
{
    return one->usual + APX_ONE_UNASKED < one->highest ? one->usual + 1 : one->highest;
}

/* Nanoseconds of a group whose lanes have so many nodes, and of so many steps. */
static double group_cost(const struct apx_pack *pack, enum apx_one_kind kind, uint32_t nodes,
                         uint32_t steps)
{
    const struct apx_forest_isa *isa = pack->isa;
    const double walks = isa->one_visit * trees_of(kind) * steps;
    if (kind == APX_ONE_WALKS)
        return walks;
    return isa->one_block * (trees_of(kind) * apx_one_parts(kind) / isa->block) * nodes + walks;
}

/* has_kind: there is another one for this tree. */
static bool can_be(const struct apx_pack *pack, size_t tree, enum apx_one_kind kind, bool has_kind)
{
    const uint32_t leaves = leaves_of(pack, tree);
    if (kind == APX_ONE_WALKS)
        return true;
    if (pack->isa->block == 0 || pack->packed->columns > pack->isa->bit_columns)
        return false;
    /* Tops and nodes below take more memory than bits alone. */
    return kind == APX_ONE_BITS32   ? leaves <= 32
           : kind == APX_ONE_BITS64 ? leaves <= 64
                                    : leaves > (has_kind ? 64 : 32);
}

void apx_pack_one_kinds(struct apx_pack *pack)
{
    for (size_t t = 0; t < pack->desc->trees && pack->coded; t++) {
        double best = INFINITY;
        for (int k = 0; k < APX_ONE_KINDS; k++) {
            const enum apx_one_kind kind = (enum apx_one_kind)k;
            if (!can_be(pack, t, kind, best < INFINITY))
                continue;
            struct apx_one_tree one = mark_kind(pack, t, kind);
            one.nodes = kind == APX_ONE_WALKS ? 0 : apx_pack_bits_nodes(pack, t, kind);
            if (one.nodes > APX_BITS_NODES)
                continue;
            /* Walks of no steps begin and end too. */
            const uint32_t steps = steps_of(&one) + (kind >= APX_ONE_TOPS);
            const double cost = group_cost(pack, kind, one.nodes, steps) / trees_of(kind);
            if (cost < best) {
                best = cost;
                pack->one_kind[t] = (uint8_t)kind;
                pack->one_trees[t] = one;
            }
        }
        mark_kind(pack, t, (enum apx_one_kind)pack->one_kind[t]);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

struct group_size {
    uint32_t trees, nodes, usual, highest;
};

/* Trees of one_order from `first` on that are a group. */
static struct group_size group_from(const struct apx_pack *pack, size_t first)
{
    const uint64_t *order = pack->one_order;
    const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[(uint32_t)order[first]];
    struct group_size size = {.trees = 0};
    for (; size.trees < trees_of(kind) && first + size.trees < pack->desc->trees; size.trees++) {
        const uint32_t tree = (uint32_t)order[first + size.trees];
        if (pack->one_kind[tree] != kind)
            break;
        const struct apx_one_tree *one = &pack->one_trees[tree];
        size.nodes = greatest(size.nodes, one->nodes);
        size.usual = greatest(size.usual, one->usual);
        size.highest = greatest(size.highest, one->highest);
    }
    return size;
}

/* bytes: of the blocks, at most. */
static double order_cost(const struct apx_pack *pack, uint32_t *groups, size_t *bytes)
{
    double cost = 0;
    *groups = 0;
    *bytes = 0;
    for (size_t t = 0; t < pack->desc->trees; ++*groups) {
        const struct group_size size = group_from(pack, t);
        const struct apx_one_tree most = {.usual = size.usual, .highest = size.highest};
        const enum apx_one_kind kind =
            (enum apx_one_kind)pack->one_kind[(uint32_t)pack->one_order[t]];
        cost += group_cost(pack, kind, size.nodes, steps_of(&most));
        for (uint32_t i = 0; i < size.trees && kind != APX_ONE_WALKS;
             i += pack->isa->block / apx_one_parts(kind))
            *bytes += apx_one_bits_bytes(size.nodes * 3 / 2, pack->isa->block, true);
        t += size.trees;
    }
    return cost;
}

/* Trees by kind, then by what the cost of their group depends on most. */
static void sort_trees(struct apx_pack *pack)
{
    for (size_t t = 0; t < pack->desc->trees; t++) {
        const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[t];
        const struct apx_one_tree *one = &pack->one_trees[t];
        const uint32_t length =
            kind <= APX_ONE_BITS64 ? one->nodes : least(steps_of(one), UINT16_MAX);
        pack->one_order[t] = (uint64_t)kind << 60 | (uint64_t)length << 32 | (uint32_t)t;
    }
    apx_sort_unique(pack->one_order, pack->desc->trees);
}

/* Sorted, groups may be this much cheaper, and the forest's order is still kept. */
static const double in_order_worth = 1.2;

/* one_order: the forest's (true), or sorted. */
static bool choose_order(struct apx_pack *pack, uint32_t *groups)
{
    size_t bytes, room = apx_pack_bits_spare();
    sort_trees(pack);
    const double sorted = order_cost(pack, groups, &bytes);
    for (size_t t = 0; t < pack->desc->trees; t++) {
        pack->one_order[t] = t;
        room += apx_pack_bits_bound(leaves_of(pack, t));
    }
    const double kept = order_cost(pack, groups, &bytes);
    if (kept <= sorted * in_order_worth && bytes <= room)
        return true;
    sort_trees(pack);
    order_cost(pack, groups, &bytes);
    return false;
}

double apx_pack_one_cost(const struct apx_pack *pack)
{
    const struct apx_packed *packed = pack->packed;
    const struct apx_forest_isa *isa = pack->isa;
    const struct apx_column *columns = apx_pack_at(pack, packed->column_at);
    const struct apx_set_column *sets = apx_pack_at(pack, packed->set_column_at);
    uint32_t groups;
    size_t bytes;
    double cost = isa->one_tree * (double)pack->desc->trees + order_cost(pack, &groups, &bytes);
    for (uint32_t c = 0; c < packed->search_columns; c++)
        cost += isa->one_column + isa->one_level * columns[c].levels;
    for (uint32_t s = 0; s < packed->set_columns; s++)
        cost += isa->one_set * (1 + sets[s].parts);
    return cost;
}

/* Where the exits of a tree's top are. */
static void fill_exits(const struct apx_pack *pack, size_t tree, uint16_t *places)
{
    for (uint32_t i = pack->desc->roots[tree]; i < pack->desc->roots[tree + 1]; i++)
        if (pack->nodes[i].begins)
            *places++ = (uint16_t)(pack->nodes[i].place - pack->one_root[tree]);
}

static void pack_group(struct apx_pack *pack, size_t first, const struct group_size *size,
                       size_t exits_before, struct apx_one_group *group)
{
    struct apx_packed *packed = pack->packed;
    const uint64_t *order = pack->one_order;
    const enum apx_one_kind kind = (enum apx_one_kind)pack->one_kind[(uint32_t)order[first]];
    *group = (struct apx_one_group){
        .first = (uint32_t)first,
        .exit = (uint32_t)exits_before,
        .usual = (uint16_t)least(size->usual, UINT16_MAX),
        .highest = size->highest,
        .kind = (uint8_t)kind,
        .trees = (uint8_t)size->trees,
    };
    if (kind == APX_ONE_WALKS)
        return;
    apx_pack_bits(pack, first, group);
    uint16_t *exits = (uint16_t *)apx_pack_at(pack, packed->one_exit_at) + exits_before;
    for (uint32_t i = 0; i < size->trees && kind == APX_ONE_TOPS; i++)
        fill_exits(pack, (uint32_t)order[first + i], exits + (size_t)i * APX_ONE_EXITS);
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

/* Floats of a column's cuts in whole groups, which a look at one reads. */
static uint32_t whole_groups(const struct apx_column *column)
{
    return ((uint32_t)(column->cuts >> column->levels) + 1) << column->levels;
}

/* Are cuts of few levels worth keeping in groups? Bits have left the room for it; walks have not,
 * unless it is little beside them. */
static bool has_room_within(const struct apx_pack *pack)
{
    enum { LITTLE = 16 };
    const struct apx_packed *packed = pack->packed;
    const struct apx_column *columns = apx_pack_at(pack, packed->column_at);
    size_t bytes = 0;
    for (uint32_t c = 0; c < packed->search_columns; c++)
        if ((pack->isa->within_room >> columns[c].levels & 1) != 0)
            bytes += whole_groups(&columns[c]) * sizeof(float);
    return !packed->one_walks || bytes * LITTLE <= pack->end;
}

/* Cuts of the columns with many levels, each ascending, and NaN behind them. */
static void pack_cuts_within(struct apx_pack *pack, uint32_t searches)
{
    struct apx_packed *packed = pack->packed;
    struct apx_one_search *search = apx_pack_at(pack, packed->one_search_at);
    const struct apx_column *columns = apx_pack_at(pack, packed->column_at);
    size_t count = 0;
    packed->one_within = has_room_within(pack) ? pack->isa->within_room : pack->isa->within;
    for (uint32_t i = 0; i < searches; i++)
        if ((packed->one_within >> columns[search[i].column].levels & 1) != 0) {
            const struct apx_column *column = &columns[search[i].column];
            const size_t group = (size_t)1 << column->levels; /* in as few lines as can be */
            search[i].within = (uint32_t)((count + group - 1) / group * group);
            count = search[i].within + whole_groups(column);
        }
    packed->one_cuts_at = apx_pack_array(pack, count, sizeof(float));
    float *cuts = apx_pack_at(pack, packed->one_cuts_at);
    const uint32_t *begin = apx_pack_at(pack, packed->feature_at);
    for (uint32_t i = 0; i < searches; i++) {
        const struct apx_column *column = &columns[search[i].column];
        if ((packed->one_within >> column->levels & 1) == 0)
            continue;
        const uint32_t part =
            (search[i].column - begin[column->feature]) / (column->twin ? 2u : 1u);
        const uint64_t *keys =
            pack->cuts + pack->cut_begin[column->feature] + (size_t)part * APX_CUTS_MAX;
        for (uint32_t k = 0; k < whole_groups(column); k++)
            cuts[search[i].within + k] =
                k < column->cuts ? apx_float_above(apx_key_double(keys[k])) : NAN;
    }
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
                search[used++] = (struct apx_one_search){.feature = columns[c].feature,
                                                         .table = columns[c].table,
                                                         .cuts64 = columns[c].cuts64,
                                                         .column = (uint16_t)c,
                                                         .cuts = columns[c].cuts};
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
    pack_cuts_within(pack, used);
}

/* Bytes from one row's codes to the next's: whole registers, as many as look-ups read. */
static uint32_t row_stride(uint32_t columns)
{
    return columns <= 64 ? 64 : columns <= 128 ? 128 : (columns + 255) / 256 * 256;
}

/* What there is for each tree, in the order of the groups; how many have tops. */
static size_t pack_one_trees(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    const struct apx_packed_tree *tree = apx_pack_at(pack, packed->trees_at);
    const size_t trees = pack->desc->trees;
    size_t tops = 0;
    for (size_t t = 0; t < trees; t++)
        tops += pack->one_kind[t] == APX_ONE_TOPS;
    packed->one_tree_at = apx_pack_array(pack, packed->one_in_order ? 0 : trees, sizeof(uint32_t));
    packed->one_leaves_at = apx_pack_array(pack, trees + APX_ONE_LANES, sizeof(uint32_t));
    packed->one_root_at = apx_pack_array(pack, packed->one_walks ? trees : 0, sizeof(uint32_t));
    uint32_t *index = apx_pack_at(pack, packed->one_tree_at);
    uint32_t *leaves = apx_pack_at(pack, packed->one_leaves_at);
    uint32_t *root = apx_pack_at(pack, packed->one_root_at);
    for (size_t i = 0; i < trees; i++) {
        const uint32_t t = (uint32_t)pack->one_order[i];
        if (!packed->one_in_order)
            index[i] = t;
        leaves[i] = tree[t].leaves;
        if (packed->one_walks)
            root[i] = pack->one_root[t];
    }
    return tops;
}

void apx_pack_one_groups(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    packed->one_in_order = choose_order(pack, &packed->one_groups);
    packed->one_stride = row_stride(packed->columns);
    for (size_t t = 0; t < pack->desc->trees; t++)
        packed->one_walks |= pack->one_kind[t] >= APX_ONE_TOPS;
    pack_searches(pack);
    packed->one_group_at = apx_pack_array(pack, packed->one_groups, sizeof(struct apx_one_group));
    const size_t tops = pack_one_trees(pack);
    packed->one_exit_at = apx_pack_array(pack, tops * APX_ONE_EXITS, sizeof(uint16_t));
    packed->one_block_at = apx_pack_array(pack, 0, 1);
    struct apx_one_group *group = apx_pack_at(pack, packed->one_group_at);
    size_t exits = 0;
    for (size_t t = 0; t < pack->desc->trees; group++) {
        const struct group_size size = group_from(pack, t);
        pack_group(pack, t, &size, exits, group);
        exits += group->kind == APX_ONE_TOPS ? (size_t)size.trees * APX_ONE_EXITS : 0;
        t += size.trees;
    }
}
