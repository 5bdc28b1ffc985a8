/* SPDX-License-Identifier: Apache-2.0 */
/* forest_cost.c - how much of each tree is its top, by estimated time.
 *
 * A slice costs the same for every row, a step of a walk only for rows that come by. So a node
 * belongs to the top if the share of the rows that come to it is above (slice / visit); shares
 * fall along each path, so these nodes are a top. A tree whose whole top costs no more than this
 * and its walks is taken whole. Ranks have to be made for every feature the tops compare, once
 * for all trees: if that is more than the tops save, there are none. */
#include "kernels/tree/forest_pack.h"

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
    for (size_t t = 0; t < desc->trees; t++)
        nodes[desc->roots[t]].weight = 1;
    for (size_t i = 0; i < desc->node_count; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (node->feature < 0)
            continue;
        const float left = desc->nodes[node->left].cover, right = desc->nodes[node->right].cover;
        /* Half of what the training rows say, half of a fair coin: covers mean different things
         * in different libraries, and the rows to come are others. */
        float share = left > 0 && right > 0 ? 0.25f + 0.5f * (left / (left + right)) : 0.5f;
        nodes[node->left].weight = nodes[i].weight * share;
        nodes[node->right].weight = nodes[i].weight * (1 - share);
    }
}

static bool can_slice(const struct apx_forest_desc *desc, const struct apx_tree_node *node)
{
    return node->set < 0 || (apx_set_size(desc, node->set) <= APX_SET_BOUNDS_MAX &&
                             node->feature < APX_SET_FEATURES_MAX);
}

/* Marks the top of nodes with at least this weight; how many. */
static uint32_t mark_top(struct apx_pack *pack, size_t tree, float least)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_pack_node *nodes = pack->nodes;
    uint32_t count = 0, root = desc->roots[tree], end = desc->roots[tree + 1];
    for (uint32_t i = root; i < end; i++)
        nodes[i].sliced = false;
    for (uint32_t i = root; i < end;) {
        nodes[i].sliced = desc->nodes[i].feature >= 0 && nodes[i].weight >= least &&
                          can_slice(desc, &desc->nodes[i]);
        count += nodes[i].sliced;
        i += nodes[i].sliced ? 1 : nodes[i].size;
    }
    return count;
}

/* Nanoseconds a row for one tree with the top as marked. */
static double tree_cost(const struct apx_pack *pack, size_t tree, uint32_t slices)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    double visits = 0;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1]; i++)
        if (desc->nodes[i].feature >= 0 && !pack->nodes[i].sliced)
            visits += (double)pack->nodes[i].weight;
    return isa->tree + isa->slice * slices +
           (visits > 0 ? isa->walk_tree + isa->visit * visits : 0);
}

static double rank_cost(const struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    uint32_t *count = pack->cut_count;
    double cost = 0;
    memset(count, 0, desc->features * sizeof *count);
    for (size_t i = 0; i < desc->node_count; i++)
        if (pack->nodes[i].sliced)
            count[desc->nodes[i].feature]++;
    for (size_t f = 0; f < desc->features; f++) {
        uint32_t tables = 1;
        for (uint32_t n = count[f]; n >= isa->first; n -= n / 2)
            tables++;
        cost += count[f] > 0 ? isa->rank_value +
                                   isa->rank_step * (5 + (count[f] > APX_CUTS_MAX
                                                              ? count[f] / 8
                                                              : count[f] / isa->first + tables))
                             : 0;
    }
    return cost;
}

/* Few enough columns for a slice's 16 bits, whatever the cuts turn out to be. */
static bool columns_fit(const struct apx_forest_desc *desc)
{
    size_t inner = desc->node_count - desc->leaf_count, bounds = 0, sets = 0;
    for (size_t i = 0; i < desc->node_count; i++)
        if (desc->nodes[i].feature >= 0 && desc->nodes[i].set >= 0) {
            sets++;
            bounds += apx_set_size(desc, desc->nodes[i].set);
        }
    size_t used = desc->features < inner ? desc->features : inner;
    return 2 * (used + (inner + bounds) / APX_CUTS_MAX) + sets < UINT16_MAX;
}

void apx_pack_choose_tops(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    const struct apx_forest_isa *isa = pack->isa;
    struct apx_packed *packed = pack->packed;
    double with_tops = 0, without = 0, one = 0;
    measure_nodes(pack);
    for (size_t t = 0; t < desc->trees; t++) {
        uint32_t root = desc->roots[t], inner = pack->nodes[root].size / 2;
        double plain = tree_cost(pack, t, 0);
        without += plain;
        one += isa->visit_one / isa->visit * plain;
        bool sets = false;
        for (uint32_t i = root; i < desc->roots[t + 1]; i++)
            sets |= desc->nodes[i].feature >= 0 && desc->nodes[i].set >= 0;
        uint32_t whole = inner < APX_SLICES_MAX ? mark_top(pack, t, 0) : 0;
        double whole_cost = whole == inner ? tree_cost(pack, t, whole) : INFINITY;
        /* Walks are slow where there are sets. */
        if (sets && whole_cost < (double)INFINITY) {
            with_tops += whole_cost;
            continue;
        }
        float least = (float)(isa->slice / isa->visit);
        uint32_t slices = mark_top(pack, t, least);
        while (slices > APX_SLICES_MAX)
            slices = mark_top(pack, t, least *= 1.3f);
        double cost = tree_cost(pack, t, slices);
        if (whole_cost <= cost)
            mark_top(pack, t, 0);
        with_tops += whole_cost <= cost ? whole_cost : cost;
    }
    with_tops += rank_cost(pack);
    bool tops = columns_fit(desc) && with_tops < without;
    for (size_t i = 0; i < desc->node_count && !tops; i++)
        pack->nodes[i].sliced = false;
    packed->tops = tops;
    packed->seconds_per_row = 1e-9 * (tops ? with_tops : without);
    packed->seconds_per_row_one = 1e-9 * one;
    /* A tile costs the same however few rows it has. */
    double rows = (double)isa->tile * with_tops / (one > 0 ? one : 1);
    packed->small_rows = tops ? (uint32_t)(rows < isa->tile ? rows : isa->tile) : 0;
}
