/* SPDX-License-Identifier: Apache-2.0 */
/* forest_cost.c - how much of each tree is its top, by estimated time.
 *
 * Below a top eight walks go in step, as many steps as the highest exit needs: counting them is
 * free, looking whether all have ended costs more than it saves. So a top is made of all nodes
 * higher than some h: a slice for each, h steps of a walk below, and the h with the least sum is
 * found from how many nodes there are of each height. A tree with few leaves is taken whole (h =
 * 0).
 *
 * Walks read codes if the forest's distinct thresholds make few enough columns; otherwise keys,
 * and then only the tops' thresholds are ranked. Ranks have to be made of every feature that is
 * compared, once for all trees: if that is more than the tops save, there are none. A set costs its
 * tables for every tile, whether a row comes to it or not; so where sets are many, tops may do
 * without them. */
#include "kernels/tree/forest_pack.h"

/* Codes of a tile that still leave room in the second cache for trees. */
enum { CODES_BYTES = 128 << 10 };

static void measure_nodes(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_pack_node *nodes = pack->nodes;
    for (size_t i = desc->node_count; i-- > 0;) {
        const struct apx_tree_node *node = &desc->nodes[i];
        nodes[i] = (struct apx_pack_node){.size = 1};
        if (node->feature < 0)
            continue;
        const struct apx_pack_node *left = &nodes[node->left], *right = &nodes[node->right];
        nodes[i].size = 1 + left->size + right->size;
        nodes[i].height = 1 + (left->height > right->height ? left->height : right->height);
    }
}

static bool can_slice(const struct apx_pack *pack, size_t node)
{
    const struct apx_tree_node *n = &pack->desc->nodes[node];
    return apx_can_slice(pack->desc, n) && (n->set < 0 || pack->slice_sets);
}

/* Marks the top of nodes above `height`; how many. */
static uint32_t mark_top(struct apx_pack *pack, size_t tree, uint32_t height)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_pack_node *nodes = pack->nodes;
    uint32_t count = 0, root = desc->roots[tree], end = desc->roots[tree + 1];
    for (uint32_t i = root; i < end; i++)
        nodes[i].sliced = false;
    for (uint32_t i = root; i < end;) {
        nodes[i].sliced = nodes[i].height > height && can_slice(pack, i);
        count += nodes[i].sliced;
        i += nodes[i].sliced ? 1 : nodes[i].size;
    }
    return count;
}

/* Trees higher than this are walked from the root. */
enum { HEIGHT_MAX = 1024 };

/* Marks a tree's best top, if a step of a walk costs `visit`; nanoseconds a row. */
static double mark_best(struct apx_pack *pack, size_t tree, double visit)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    const uint32_t root = desc->roots[tree], height = pack->nodes[root].height;
    double best = isa->tree + (height > 0 ? isa->walk_tree + visit * height : 0);
    /* A node that cannot be sliced is an exit: walks are as long as it is high. */
    uint32_t of_height[HEIGHT_MAX], best_height = height, count = 0, least = 0;
    if (height < HEIGHT_MAX) {
        memset(of_height, 0, (height + 1) * sizeof of_height[0]);
        for (uint32_t i = root; i < desc->roots[tree + 1]; i++) {
            of_height[pack->nodes[i].height]++;
            if (desc->nodes[i].feature >= 0 && pack->nodes[i].height > least && !can_slice(pack, i))
                least = pack->nodes[i].height;
        }
        for (uint32_t h = height; h-- > least;) {
            count += of_height[h + 1];
            if (count > APX_SLICES_MAX)
                break;
            double cost = isa->tree + isa->slice * count + (h > 0 ? isa->walk_tree + visit * h : 0);
            if (cost < best) {
                best = cost;
                best_height = h;
            }
        }
    }
    mark_top(pack, tree, best_height);
    return best;
}

/* Tables of sets that a tile finds in its cache; more cost so many times as much each. */
enum { SET_TABLES_NEAR = 4 << 20 };
static const double set_far = 4;

/* Making the codes of a row, with the tops as marked; *columns: how many. INFINITY: too many. */
static double rank_cost(struct apx_pack *pack, size_t *columns)
{
    const struct apx_forest_isa *isa = pack->isa;
    size_t tables_of_sets;
    double cost = 0;
    apx_pack_collect_cuts(pack);
    *columns = apx_pack_collect_sets(pack, &tables_of_sets);
    if (tables_of_sets > APX_SET_TABLES_MAX)
        return INFINITY;
    cost += isa->set_part * (double)(*columns + tables_of_sets) *
            (tables_of_sets * APX_SET_TABLE_BYTES > SET_TABLES_NEAR ? set_far : 1);
    for (size_t f = 0; f < pack->desc->features; f++) {
        if (pack->wanted[f] == 0)
            continue;
        const uint32_t cuts = pack->cut_count[f], parts = apx_parts_of(cuts);
        uint32_t tables = 0;
        for (uint32_t n = isa->first; n > 1; n /= 2)
            tables++;
        for (uint32_t n = cuts / parts + 1; n > isa->first; n -= n / 2)
            tables += 1 + n / isa->first / 2;
        cost += isa->rank_value + isa->rank_step * tables * parts;
        *columns += pack->wanted[f] == APX_PACK_BOTH ? 2 * parts : parts;
    }
    return *columns < APX_COLUMNS_MAX ? cost : INFINITY;
}

/* Could all walks be over codes? */
static bool can_code(const struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    for (size_t t = 0; t < desc->trees; t++)
        if (desc->roots[t + 1] - desc->roots[t] >= APX_CODE_PLACES - 2 * APX_SLOTS_MAX)
            return false;
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0 && !can_slice(pack, i))
            return false;
    return true;
}

static double mark_tops(struct apx_pack *pack, double visit)
{
    double total = 0;
    for (size_t t = 0; t < pack->desc->trees; t++)
        total += mark_best(pack, t, visit);
    return total;
}

/* Time of a row if walks below the tops read codes. */
static double coded_cost(struct apx_pack *pack)
{
    const struct apx_forest_isa *isa = pack->isa;
    if (!can_code(pack))
        return INFINITY;
    size_t columns;
    pack->coded = true;
    const double ranks = rank_cost(pack, &columns);
    pack->coded = false;
    if (columns * (isa->tile / 8) > UINT16_MAX || columns * isa->tile > CODES_BYTES)
        return INFINITY;
    return ranks + mark_tops(pack, isa->visit_code);
}

/* Likewise keys, which are made of the features too that tops do not look at. */
static double keyed_cost(struct apx_pack *pack, double visit, size_t used)
{
    size_t columns;
    double cost = mark_tops(pack, visit);
    cost += rank_cost(pack, &columns);
    for (size_t f = 0; f < pack->desc->features; f++)
        used -= pack->wanted[f] != APX_PACK_UNUSED;
    return cost + pack->isa->rank_value * (double)used;
}

/* Steps of walks over keys that one set takes, rows side by side and trees side by side. */
static const double set_visits = 16, set_visits_one = 6;

/* Features that some node compares; `wanted` is free for it. */
static size_t count_used(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    size_t used = 0;
    memset(pack->wanted, APX_PACK_UNUSED, desc->features);
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0) {
            used += pack->wanted[desc->nodes[i].feature] == APX_PACK_UNUSED;
            pack->wanted[desc->nodes[i].feature] = APX_PACK_LEFT;
        }
    return used;
}

/* Walks from the root of every tree over keys of the used features. */
static double walk_cost(const struct apx_pack *pack, double visit, size_t used)
{
    const struct apx_forest_isa *isa = pack->isa;
    double cost = isa->rank_value * (double)used;
    for (size_t t = 0; t < pack->desc->trees; t++)
        cost += isa->tree + isa->walk_tree + visit * pack->nodes[pack->desc->roots[t]].height;
    return cost;
}

void apx_pack_choose_tops(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    struct apx_packed *packed = pack->packed;
    measure_nodes(pack);
    const size_t used = count_used(pack);
    memset(pack->wanted, APX_PACK_UNUSED, desc->features);
    const double visit = isa->visit * (packed->has_sets ? set_visits : 1);
    const double visit_one = isa->visit * (packed->has_sets ? set_visits_one : 1);
    const double plain = walk_cost(pack, visit, used);
    const double one = walk_cost(pack, visit_one, used) * isa->visit_one / isa->visit;
    pack->slice_sets = true;
    const double coded = coded_cost(pack), keyed = keyed_cost(pack, visit, used);
    pack->slice_sets = false;
    const double walked = packed->has_sets ? keyed_cost(pack, visit, used) : INFINITY;
    const double best = fmin(fmin(plain, walked), fmin(coded, keyed));
    packed->tops = best < plain;
    pack->coded = packed->tops && coded == best;
    pack->slice_sets = coded == best || keyed == best;
    mark_tops(pack, pack->coded ? isa->visit_code : visit);
    bool any = false;
    for (size_t i = 0; i < desc->node_count; i++) {
        pack->nodes[i].sliced &= packed->tops;
        any |= pack->nodes[i].sliced;
    }
    packed->tops &= any || pack->coded; /* the best tops of walks over keys may be none */
    packed->seconds_per_row = 1e-9 * best;
    packed->seconds_per_row_one = 1e-9 * one;
}

/* Of the time of a row in a tile, the walks', which rows that are not there do not need. */
static double rows_cost(const struct apx_pack *pack)
{
    const struct apx_forest_isa *isa = pack->isa;
    const struct apx_packed_tree *trees = apx_pack_at(pack, pack->packed->trees_at);
    double cost = 0;
    for (size_t t = 0; t < pack->desc->trees; t++)
        if (!trees[t].whole)
            cost += isa->walk_tree + isa->visit_code * trees[t].exit_depth;
    return cost;
}

void apx_pack_choose_few(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    const double tile = pack->isa->tile;
    double walks = 0;
    if (pack->coded) {
        packed->seconds_per_row_one = 1e-9 * apx_pack_one_cost(pack);
        walks = 1e-9 * rows_cost(pack);
    }
    /* A tile costs the same however few rows it has, but for its walks. */
    const double one = packed->seconds_per_row_one, all = packed->seconds_per_row;
    packed->small_rows = (uint32_t)tile;
    if (one > walks && (all - walks) * tile < (one - walks) * tile)
        packed->small_rows = all > walks ? (uint32_t)((all - walks) * tile / (one - walks)) : 0;
}
