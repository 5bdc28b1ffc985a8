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
 * compared, once for all trees: if that is more than the tops save, there are none. */
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

static bool can_slice(const struct apx_forest_desc *desc, const struct apx_tree_node *node)
{
    return node->set < 0 || (apx_set_size(desc, node->set) <= APX_SET_BOUNDS_MAX &&
                             node->feature < APX_SET_FEATURES_MAX);
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
        nodes[i].sliced = nodes[i].height > height && can_slice(desc, &desc->nodes[i]);
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
    uint32_t of_height[HEIGHT_MAX], best_height = height, count = 0;
    if (height < HEIGHT_MAX) {
        memset(of_height, 0, (height + 1) * sizeof of_height[0]);
        for (uint32_t i = root; i < desc->roots[tree + 1]; i++)
            of_height[pack->nodes[i].height]++;
        for (uint32_t h = height; h-- > 0;) {
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

/* Making the codes of a row, with the cuts as collected; *columns: how many. */
static double rank_cost(const struct apx_pack *pack, size_t *columns)
{
    const struct apx_forest_isa *isa = pack->isa;
    double cost = 0;
    *columns = 0;
    for (size_t f = 0; f < pack->desc->features; f++) {
        if (pack->wanted[f] == 0)
            continue;
        const uint32_t cuts = pack->cut_count[f], parts = cuts / APX_CUTS_MAX + 1;
        uint32_t tables = 0;
        for (uint32_t n = isa->first; n > 1; n /= 2)
            tables++;
        for (uint32_t n = cuts / parts + 1; n > isa->first; n -= n / 2)
            tables += 1 + n / isa->first / 2;
        cost += isa->rank_value + isa->rank_step * tables * parts;
        *columns += pack->wanted[f] == 3 ? 2 * parts : parts;
    }
    return cost;
}

/* Few enough columns for a slice's 16 bits, whatever the cuts turn out to be. */
static bool columns_fit(const struct apx_forest_desc *desc, size_t *sets)
{
    size_t inner = desc->node_count - desc->leaf_count, bounds = 0;
    *sets = 0;
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0 && desc->nodes[i].set >= 0) {
            ++*sets;
            bounds += apx_set_size(desc, desc->nodes[i].set);
        }
    size_t used = desc->features < inner ? desc->features : inner;
    return 2 * (used + (inner + bounds) / APX_CUTS_MAX) + *sets < UINT16_MAX;
}

/* Could all walks be over codes? */
static bool can_code(const struct apx_forest_desc *desc)
{
    for (size_t t = 0; t < desc->trees; t++)
        if (desc->roots[t + 1] - desc->roots[t] >= APX_CODE_PLACES - 1)
            return false;
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0 && !can_slice(desc, &desc->nodes[i]))
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

void apx_pack_choose_tops(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    struct apx_packed *packed = pack->packed;
    size_t sets, columns = 0;
    measure_nodes(pack);
    const bool fit = columns_fit(desc, &sets);
    /* Walks over keys take sets one by one. */
    const double visit = sets > 0 ? 8 * isa->visit : isa->visit;
    double plain = 0, coded = INFINITY, keyed = INFINITY;
    for (size_t t = 0; t < desc->trees; t++)
        plain += isa->tree + isa->walk_tree + visit * pack->nodes[desc->roots[t]].height;
    plain += isa->rank_value * (double)desc->features;
    const double one = plain * isa->visit_one / isa->visit;
    if (fit && can_code(desc)) {
        pack->coded = true;
        apx_pack_collect_cuts(pack);
        coded = rank_cost(pack, &columns);
        columns += sets;
        coded = columns * (isa->tile / 8) <= UINT16_MAX && columns * isa->tile <= CODES_BYTES
                    ? coded + mark_tops(pack, isa->visit_code)
                    : INFINITY;
        pack->coded = false;
    }
    if (fit) {
        keyed = mark_tops(pack, visit);
        apx_pack_collect_cuts(pack);
        keyed += rank_cost(pack, &columns);
    }
    packed->tops = coded < plain || keyed < plain;
    if (coded < plain && coded <= keyed) {
        pack->coded = true;
        mark_tops(pack, isa->visit_code);
    }
    for (size_t i = 0; i < desc->node_count && !packed->tops; i++)
        pack->nodes[i].sliced = false;
    const double best = fmin(plain, fmin(coded, keyed));
    packed->seconds_per_row = 1e-9 * best;
    packed->seconds_per_row_one = 1e-9 * one;
    /* A tile costs the same however few rows it has. */
    const double rows = one > 0 ? (double)isa->tile * best / one : 0;
    packed->small_rows = (uint32_t)(rows < isa->tile ? rows : isa->tile);
}
