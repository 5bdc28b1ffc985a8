/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack.c - from a description to a packed forest (forest_layout.h).
 *
 * The caller's memory has room for the result and, behind the largest it can be, for what packing
 * needs in between (struct apx_pack). */

#include "kernels/tree/forest_pack.h"

/* Bytes of a group of trees that a tile of rows goes through while others wait: what stays in the
 * second cache of any processor with these instructions. */
enum { GROUP_BYTES = 192 << 10, BLOCK_ROWS = 512, LEAF_PAD = 64 };

/* Codes of the rows that go through a group together: more would have to come from memory again for
 * every group, and cost more than the group's trees do. */
enum { BLOCK_CODES_BYTES = 2 << 20 };

struct bounds {
    size_t packed, cuts, sets;
};

static size_t round64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t leaf_width(const struct apx_forest_desc *desc)
{
    return desc->tree_output != NULL ? 1 : desc->outputs;
}

static bool is_wide(const struct apx_forest_desc *desc, uint32_t tile)
{
    uint32_t largest = 0;
    for (size_t t = 0; t < desc->trees; t++)
        if (desc->roots[t + 1] - desc->roots[t] > largest)
            largest = desc->roots[t + 1] - desc->roots[t];
    return largest >= UINT16_MAX || desc->set_count > APX_WALK_INDEX ||
           desc->features * (APX_KEYS_STRIDE(tile) / 8) > UINT16_MAX;
}

/* What one row goes through. Trees of a group may need less than the group's largest one; but
 * sorted by that, no more than the next group's need, and if they are not sorted, not much more. */
static size_t bound_onerow(const struct apx_forest_desc *desc, size_t columns)
{
    size_t bytes = apx_pack_bits_spare();
    for (size_t t = 0; t < desc->trees; t++) {
        const size_t leaves = (desc->roots[t + 1] - desc->roots[t] + 1) / 2;
        bytes += apx_pack_bits_bound(leaves) + (leaves > APX_ONE_EXITS ? 2 * APX_ONE_EXITS : 0);
    }
    bytes += round64(columns * sizeof(struct apx_one_search));
    bytes += round64(columns * sizeof(struct apx_one_nan));
    bytes += round64(desc->trees * sizeof(struct apx_one_group));
    return bytes + 3 * round64((desc->trees + APX_ONE_LANES) * sizeof(uint32_t));
}

/* Upper bounds, from counts alone. */
static struct bounds measure(const struct apx_forest_desc *desc)
{
    struct bounds bounds = {0};
    const size_t nodes = desc->node_count + desc->trees, leaves = desc->leaf_count;
    const size_t inner = desc->node_count - leaves;
    for (size_t i = 0; i < desc->node_count; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (node->feature < 0)
            continue;
        uint32_t size = node->set < 0 ? 1 : apx_set_size(desc, node->set);
        bounds.sets += node->set >= 0;
        bounds.cuts += apx_can_slice(desc, node) ? size : 0;
    }
    const size_t set_columns = bounds.sets < APX_COLUMNS_MAX ? bounds.sets : APX_COLUMNS_MAX;
    size_t exits = 0;
    for (size_t t = 0; t < desc->trees; t++) {
        const size_t tree_leaves = (desc->roots[t + 1] - desc->roots[t] + 1) / 2;
        exits += tree_leaves < APX_EXITS_MAX ? tree_leaves : APX_EXITS_MAX;
    }
    const size_t used = desc->features < inner ? desc->features : inner;
    const size_t parts = used + bounds.cuts / APX_CUTS_MAX;
    size_t bytes = round64(sizeof(struct apx_packed));
    bytes += round64(desc->trees * sizeof(struct apx_packed_tree));
    bytes += round64(inner * sizeof(struct apx_slice));
    /* Nodes over keys, or over codes with a top's twice at most. */
    bytes += round64(nodes * sizeof(struct apx_walk16));
    bytes += round64(nodes * sizeof(double)) + round64(nodes / 8 + 1);
    bytes += round64(2 * (nodes + desc->trees) * sizeof(struct apx_code_node));
    bytes += bound_onerow(desc, 2 * parts);
    bytes += round64((bounds.cuts + 32 * (parts + APX_ONE_SHAPES)) * sizeof(float));
    bytes += round64(exits * sizeof(uint32_t));
    bytes += round64((desc->features + 1) * sizeof(uint32_t));
    bytes += round64(2 * parts * sizeof(struct apx_column));
    /* A table has less than twice as many entries as cuts and one, or `first` (32 at most). */
    bytes += round64((2 * (bounds.cuts + parts) + 32 * parts) * sizeof(float));
    bytes += round64(bounds.cuts * sizeof(double));
    bytes += round64(set_columns * sizeof(struct apx_set_column));
    const size_t tables = set_columns * (1 + bounds.cuts / APX_CUTS_MAX);
    bytes +=
        round64((tables < APX_SET_TABLES_MAX ? tables : APX_SET_TABLES_MAX) * APX_SET_TABLE_BYTES);
    bytes += round64((desc->trees + 1) * sizeof(uint32_t));
    bytes += round64((leaves * leaf_width(desc) + LEAF_PAD) * sizeof(double));
    bytes += round64(leaves * sizeof(uint32_t)) + round64(desc->outputs * sizeof(double));
    bytes += round64((desc->set_count + 1) * sizeof(uint32_t));
    const size_t all_bounds = desc->set_count > 0 ? desc->set_begin[desc->set_count] : 0;
    bytes += round64(all_bounds * sizeof(uint32_t)) + round64(all_bounds * sizeof(uint64_t));
    bytes += round64(used * sizeof(uint32_t));
    if (desc->linear != NULL) {
        size_t terms = desc->linear->begin[leaves];
        bytes += round64(leaves * sizeof(double)) + round64((leaves + 1) * sizeof(uint32_t));
        bytes += round64(terms * sizeof(uint32_t)) + round64(terms * sizeof(double));
    }
    bounds.packed = round64(bytes);
    return bounds;
}

/* Work space from `memory` + bounds->packed on; the end of it. memory NULL: only the size. */
static size_t lay_work(const struct apx_forest_desc *desc, const struct bounds *bounds,
                       struct apx_pack *pack)
{
    size_t at = bounds->packed, nodes = at, cut_begin, cuts, cut_count, wanted, nans, keys, column,
           begun, kind, order, root, one_trees;
    at += round64(desc->node_count * sizeof(struct apx_pack_node));
    cut_begin = at;
    at += round64((desc->features + 1) * sizeof(uint32_t));
    cuts = at;
    at += round64(bounds->cuts * sizeof(uint64_t));
    cut_count = at;
    at += round64(desc->features * sizeof(uint32_t));
    wanted = at;
    at += round64(desc->features);
    nans = at;
    at += round64(desc->features * sizeof(struct apx_nan_range));
    keys = at;
    at += round64(bounds->sets * sizeof(uint64_t));
    column = at;
    at += round64(desc->features * sizeof(uint32_t));
    begun = at;
    at += round64(desc->outputs * sizeof(bool));
    kind = at;
    at += round64(desc->trees);
    one_trees = at;
    at += round64(desc->trees * sizeof(struct apx_one_tree));
    order = at;
    at += round64(desc->trees * sizeof(uint64_t));
    root = at;
    at += round64(desc->trees * sizeof(uint32_t));
    if (pack != NULL) {
        pack->nodes = apx_pack_at(pack, nodes);
        pack->cut_begin = apx_pack_at(pack, cut_begin);
        pack->cuts = apx_pack_at(pack, cuts);
        pack->cut_count = apx_pack_at(pack, cut_count);
        pack->wanted = apx_pack_at(pack, wanted);
        pack->nans = apx_pack_at(pack, nans);
        pack->set_keys = apx_pack_at(pack, keys);
        pack->walk_column = apx_pack_at(pack, column);
        pack->has_begun = apx_pack_at(pack, begun);
        pack->one_kind = apx_pack_at(pack, kind);
        pack->one_trees = apx_pack_at(pack, one_trees);
        pack->one_order = apx_pack_at(pack, order);
        pack->one_root = apx_pack_at(pack, root);
    }
    return at;
}

size_t apx_forest_pack_bound(const struct apx_forest_desc *desc)
{
    struct bounds bounds = measure(desc);
    return lay_work(desc, &bounds, NULL);
}

static size_t copy_array(struct apx_pack *pack, const void *from, size_t count, size_t size)
{
    size_t at = apx_pack_array(pack, count, size);
    if (count > 0)
        memcpy(apx_pack_at(pack, at), from, count * size);
    return at;
}

/* As few bytes as the numbers need. */
static void pack_leaf_ids(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    const struct apx_packed_tree *trees = apx_pack_at(pack, packed->trees_at);
    bool of_tree = true, of_forest = true;
    uint32_t greatest = 0;
    for (size_t t = 0, leaf = 0; t < desc->trees; t++)
        for (; leaf < (t + 1 < desc->trees ? trees[t + 1].leaves : desc->leaf_count); leaf++) {
            of_tree &= desc->leaf_ids[leaf] == leaf - trees[t].leaves;
            of_forest &= desc->leaf_ids[leaf] == leaf;
            greatest = desc->leaf_ids[leaf] > greatest ? desc->leaf_ids[leaf] : greatest;
        }
    packed->leaf_ids = of_tree                  ? APX_LEAF_IDS_TREE
                       : of_forest              ? APX_LEAF_IDS_FOREST
                       : greatest <= UINT16_MAX ? APX_LEAF_IDS_16
                                                : APX_LEAF_IDS_32;
    if (packed->leaf_ids == APX_LEAF_IDS_32)
        packed->leaf_ids_at = copy_array(pack, desc->leaf_ids, desc->leaf_count, sizeof(uint32_t));
    if (packed->leaf_ids != APX_LEAF_IDS_16)
        return;
    packed->leaf_ids_at = apx_pack_array(pack, desc->leaf_count, sizeof(uint16_t));
    uint16_t *ids = apx_pack_at(pack, packed->leaf_ids_at);
    for (size_t i = 0; i < desc->leaf_count; i++)
        ids[i] = (uint16_t)desc->leaf_ids[i];
}

static void pack_leaves(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    const size_t values = desc->leaf_count * leaf_width(desc);
    if (desc->sums_double) {
        packed->leaf_values_at = apx_pack_array(pack, values + LEAF_PAD, sizeof(double));
        if (values > 0)
            memcpy(apx_pack_at(pack, packed->leaf_values_at), desc->leaf_values,
                   values * sizeof(double));
    } else {
        packed->leaf_values_at = apx_pack_array(pack, values + LEAF_PAD, sizeof(float));
        float *to = apx_pack_at(pack, packed->leaf_values_at);
        for (size_t i = 0; i < values; i++)
            to[i] = (float)desc->leaf_values[i];
    }
    pack_leaf_ids(pack);
    packed->base_at = copy_array(pack, desc->base, desc->outputs, sizeof(double));
    /* The least and the greatest begin with the first tree of an output; without one they are 0. */
    if (desc->sum != APX_FOREST_SUM)
        memset(apx_pack_at(pack, packed->base_at), 0, desc->outputs * sizeof(double));
    if (desc->linear != NULL) {
        const struct apx_forest_linear *linear = desc->linear;
        const size_t leaves = desc->leaf_count, terms = linear->begin[leaves];
        packed->constant_at = copy_array(pack, linear->constant, leaves, sizeof(double));
        packed->begin_at = copy_array(pack, linear->begin, leaves + 1, sizeof(uint32_t));
        packed->linear_feature_at = copy_array(pack, linear->feature, terms, sizeof(uint32_t));
        packed->coefficient_at = copy_array(pack, linear->coefficient, terms, sizeof(double));
    }
    if (desc->set_count > 0) {
        packed->set_begin_at =
            copy_array(pack, desc->set_begin, desc->set_count + 1, sizeof(uint32_t));
        const size_t count = desc->set_begin[desc->set_count];
        packed->bounds32_at = apx_pack_array(pack, count, sizeof(uint32_t));
        uint32_t *bounds32 = apx_pack_at(pack, packed->bounds32_at);
        for (size_t i = 0; i < count; i++)
            bounds32[i] = apx_float_key(apx_float_above(desc->bounds[i]));
        if (desc->compares_double) {
            packed->bounds64_at = apx_pack_array(pack, count, sizeof(uint64_t));
            uint64_t *bounds64 = apx_pack_at(pack, packed->bounds64_at);
            for (size_t i = 0; i < count; i++)
                bounds64[i] = apx_double_key(desc->bounds[i]);
        }
    }
}

/* Trees in groups that stay in the second cache. */
static void pack_groups(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    packed->group_at = apx_pack_array(pack, desc->trees + 1, sizeof(uint32_t));
    const struct apx_packed_tree *trees = apx_pack_at(pack, packed->trees_at);
    uint32_t *group = apx_pack_at(pack, packed->group_at);
    const size_t leaf_bytes =
        leaf_width(desc) * (desc->sums_double ? sizeof(double) : sizeof(float));
    const size_t key_bytes = (packed->wide ? sizeof(struct apx_walk16) : sizeof(struct apx_walk8)) +
                             (desc->compares_double ? sizeof(uint64_t) : 0);
    const size_t node_bytes = pack->coded ? sizeof(struct apx_code_node) : key_bytes;
    size_t bytes = 0;
    for (uint32_t t = 0; t < desc->trees; t++) {
        size_t nodes = desc->roots[t + 1] - desc->roots[t];
        size_t more = trees[t].slice_count * sizeof(struct apx_slice) +
                      (nodes + 1) / 2 * leaf_bytes + (trees[t].whole ? 0 : nodes * node_bytes);
        if (bytes > 0 && bytes + more > GROUP_BYTES) {
            group[++packed->groups] = t;
            bytes = 0;
        }
        bytes += more;
    }
    if (desc->trees > 0)
        group[++packed->groups] = (uint32_t)desc->trees;
    packed->block_tiles = packed->groups > 1 ? BLOCK_ROWS / packed->tile : 1;
    while (packed->block_tiles > 1 &&
           (size_t)packed->block_tiles * packed->tile * packed->columns > BLOCK_CODES_BYTES)
        packed->block_tiles /= 2;
}

static size_t place(size_t *end, size_t bytes)
{
    size_t at = *end;
    *end = round64(at + bytes);
    return at;
}

static void lay_scratch(struct apx_packed *p, const struct apx_forest_isa *isa)
{
    const size_t rows = (size_t)p->tile * p->block_tiles;
    size_t end = 0;
    p->codes_at = place(&end, rows * p->columns);
    p->keys_step =
        (size_t)p->walk_columns * APX_KEYS_STRIDE(p->tile) * (p->compares_double ? 2 : 1);
    p->keys_at = place(&end, p->keys_step * (p->walks && !p->coded ? p->block_tiles : 1));
    p->sums_at = place(&end, rows * p->outputs * sizeof(double));
    p->reach_at = place(&end, APX_SLOTS_MAX * isa->mask_bytes);
    p->gather_at = place(&end, 2 * (size_t)isa->lanes * p->tile * sizeof(float));
    p->one_codes_at = place(&end, p->coded ? APX_ONE_ROWS * p->one_stride : 0);
    p->one_spread_at =
        place(&end, p->one_walks ? (size_t)APX_ONE_ROWS * p->columns * (p->tile / 8) : 0);
    const size_t indices = (size_t)p->trees * (p->coded ? APX_ONE_ROWS : 1);
    p->index_at = place(&end, (indices > p->tile ? indices : p->tile) * sizeof(uint32_t));
    p->scratch_bytes = end;
}

size_t apx_forest_pack(const struct apx_forest_desc *desc, const struct apx_forest_isa *isa,
                       void *memory)
{
    const struct bounds bounds = measure(desc);
    struct apx_packed *packed = memory;
    struct apx_pack pack = {.desc = desc, .isa = isa, .packed = packed, .base = memory};
    lay_work(desc, &bounds, &pack);
    memset(packed, 0, sizeof *packed);
    pack.end = sizeof *packed;
    packed->features = (uint32_t)desc->features;
    packed->outputs = (uint32_t)desc->outputs;
    packed->trees = (uint32_t)desc->trees;
    packed->leaf_count = (uint32_t)desc->leaf_count;
    packed->set_count = (uint32_t)desc->set_count;
    packed->tile = isa->tile;
    packed->compares_double = desc->compares_double;
    packed->sums_double = desc->sums_double;
    packed->vector = desc->tree_output == NULL && desc->outputs > 1;
    packed->has_linear = desc->linear != NULL;
    packed->sum = (uint8_t)desc->sum;
    packed->wide = is_wide(desc, isa->tile);
    for (size_t i = 0; i < desc->node_count; i++) {
        packed->has_sets |= desc->nodes[i].feature >= 0 && desc->nodes[i].set >= 0;
        packed->has_nan_right |= desc->nodes[i].feature >= 0 && desc->nodes[i].nan_right;
    }
    apx_pack_choose_tops(&pack);
    apx_pack_cuts(&pack);
    apx_pack_sets(&pack);
    apx_pack_one_kinds(&pack);
    apx_pack_trees(&pack);
    if (pack.coded)
        apx_pack_one_groups(&pack);
    apx_pack_choose_few(&pack);
    pack_groups(&pack);
    pack_leaves(&pack);
    lay_scratch(packed, isa);
    packed->bytes = round64(pack.end);
    memset(pack.base + pack.end, 0, packed->bytes - pack.end);
    return packed->bytes;
}

void apx_forest_describe(const void *memory, struct apx_forest_choice *choice)
{
    const struct apx_packed *packed = memory;
    choice->schedule = !packed->tops   ? "walks, rows side by side"
                       : packed->walks ? "ranks, tops in slices, walks below"
                                       : "ranks, whole trees in slices";
    choice->bytes = packed->bytes;
    choice->seconds_per_row = packed->seconds_per_row;
    choice->seconds_per_row_one = packed->seconds_per_row_one;
}
