/* SPDX-License-Identifier: Apache-2.0 */
/* forest.c - the table of forest rows and the choice among them. */
#include "kernels/tree/forest_rows.h"

#define APX_FOREST_ROW(types, isa_word, cpu, shuns, class, tile)                                   \
    {.isa = #isa_word,                                                                             \
     .name = "apx_forest_" #types "_" #isa_word,                                                   \
     .needs = (cpu),                                                                               \
     .avoids = (shuns),                                                                            \
     .match = (class),                                                                             \
     .pack_bound = apx_forest_##types##_##isa_word##_pack_bound,                                   \
     .pack = apx_forest_##types##_##isa_word##_pack,                                               \
     .scratch_bytes = apx_forest_##types##_##isa_word##_scratch_bytes,                             \
     .run = apx_forest_##types##_##isa_word##_run,                                                 \
     .describe = apx_forest_##types##_##isa_word##_describe,                                       \
     .tile_rows = (tile)},
static const struct apx_forest_row rows[] = {
#include "kernels/tree/forest.def"
};
#undef APX_FOREST_ROW

const struct apx_forest_row *apx_forest_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

enum { COUNTED_FEATURES = 1 << 16 };

/* Features that some node compares; features this far apart count as one. */
static uint32_t count_features(const struct apx_forest_desc *desc)
{
    uint64_t seen[COUNTED_FEATURES / 64] = {0};
    uint32_t count = 0;
    for (size_t i = 0; i < desc->node_count; i++) {
        if (desc->nodes[i].feature < 0)
            continue;
        const uint32_t feature = (uint32_t)desc->nodes[i].feature % COUNTED_FEATURES;
        const uint64_t bit = (uint64_t)1 << feature % 64;
        count += (seen[feature / 64] & bit) == 0;
        seen[feature / 64] |= bit;
    }
    return count;
}

/* Deeper trees than this are chains, which walks node by node are slow in. */
enum { DEPTH_MAX = 64 };

/* Mean depth of the leaves of nodes [root, end); above DEPTH_MAX if one of them is. */
static double mean_depth(const struct apx_tree_node *nodes, uint32_t root, uint32_t end)
{
    struct {
        uint32_t node, end; /* of its subtree */
    } above[DEPTH_MAX];
    uint32_t depth = 0;
    uint64_t sum = 0, leaves = 0;
    for (uint32_t i = root; i < end; i++) {
        while (depth > 0 && above[depth - 1].end <= i)
            depth--;
        if (nodes[i].feature < 0) {
            sum += depth;
            leaves++;
            continue;
        }
        if (depth == DEPTH_MAX)
            return DEPTH_MAX + 1;
        uint32_t behind = end;
        if (depth > 0) {
            const struct apx_tree_node *parent = &nodes[above[depth - 1].node];
            behind = i == parent->left ? parent->right : above[depth - 1].end;
        }
        above[depth].node = i;
        above[depth++].end = behind;
    }
    return (double)sum / (double)leaves;
}

/* Rows of more features than the second cache holds a few of. */
enum { FEATURES_FAR = 1 << 15 };

/* Nanoseconds, measured: a value of a row turned to a code or a key at best, where rows are near
 * and where they are far; a step down a tree by the reference row. */
static const double value_near = 0.5, value_far = 2, step_plain = 5;

/* The other rows look at all features that any node compares, the reference row at those that come
 * up on its way down. So few trees over many features are its business; not those with sets, which
 * it goes through bound by bound. */
static bool is_sparse(const struct apx_forest_desc *desc)
{
    if (desc->set_count > 0)
        return false;
    const double value = desc->features < FEATURES_FAR ? value_near : value_far;
    const double ranked = value * count_features(desc);
    double plain = 0;
    for (size_t t = 0; t < desc->trees && plain < ranked; t++) {
        const double steps = mean_depth(desc->nodes, desc->roots[t], desc->roots[t + 1]);
        if (steps > DEPTH_MAX)
            return false;
        plain += step_plain * (1 + steps);
    }
    return plain < ranked;
}

const struct apx_forest_row *apx_forest_select(uint32_t caps, const struct apx_forest_desc *desc)
{
    if (is_sparse(desc))
        caps = 0;
    const struct apx_forest_row *row = rows;
    while ((row->needs & ~caps) != 0 || (row->avoids & caps) != 0)
        row++; /* ends at the scalar row, which needs and avoids nothing */
    return row;
}
