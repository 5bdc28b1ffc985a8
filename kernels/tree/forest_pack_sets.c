/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_sets.c - columns of sets.
 *
 * Whether x is in a set depends on its rank among the feature's cuts alone, which the set's bounds
 * are part of: a table of bits over the codes. Where the cuts fill several columns, a code that
 * stands at its column's end says nothing; so a column's table holds only whether membership
 * changes from the column's first code on, and membership is the parity over all columns and what
 * it is below all cuts, which is `no`. Columns before the first bound and behind the last one are
 * left out. NaN is APX_NAN_CODE in all of them; only the first one's table says its direction. */
#include "kernels/tree/forest_pack.h"

uint32_t apx_pack_find_set(const struct apx_pack *pack, const struct apx_tree_node *node)
{
    const uint64_t key = apx_set_key(node);
    uint32_t low = 0, high = pack->packed->set_columns;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (pack->set_keys[middle] <= key)
            low = middle;
        else
            high = middle;
    }
    return pack->packed->search_columns + low;
}

static uint32_t feature_of(uint64_t key)
{
    return key >> 1 & ((1u << 21) - 1);
}

/* Which of the feature's cuts a bound is. */
static uint32_t rank_of(const struct apx_pack *pack, uint32_t feature, double bound)
{
    const uint64_t *cuts = pack->cuts + pack->cut_begin[feature];
    const uint64_t key = apx_double_key(bound);
    uint32_t low = 0, high = pack->cut_count[feature];
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (cuts[middle] <= key)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The feature's columns that hold bounds of the set: the first, and how many; 1 of an empty set. */
static uint32_t find_parts(const struct apx_pack *pack, uint64_t key, uint32_t *first)
{
    const struct apx_forest_desc *desc = pack->desc;
    const uint32_t begin = desc->set_begin[key >> 22], end = desc->set_begin[(key >> 22) + 1];
    *first = 0;
    if (begin == end)
        return 1;
    *first = rank_of(pack, feature_of(key), desc->bounds[begin]) / APX_CUTS_MAX;
    return rank_of(pack, feature_of(key), desc->bounds[end - 1]) / APX_CUTS_MAX - *first + 1;
}

/* Every bound turns membership from its code to its column's last one. */
static void fill_parts(const struct apx_pack *pack, uint64_t key, uint32_t first, uint8_t *table)
{
    const struct apx_forest_desc *desc = pack->desc;
    const uint32_t begin = desc->set_begin[key >> 22], end = desc->set_begin[(key >> 22) + 1];
    for (uint32_t b = begin; b < end; b++) {
        const uint32_t rank = rank_of(pack, feature_of(key), desc->bounds[b]);
        const uint32_t code = rank % APX_CUTS_MAX + 1;
        uint8_t *part = table + (size_t)(rank / APX_CUTS_MAX - first) * APX_SET_TABLE_BYTES;
        part[code / 8] ^= (uint8_t)(0xffu << code % 8);
        for (uint32_t i = code / 8 + 1; i < APX_SET_TABLE_BYTES; i++)
            part[i] ^= 0xff;
        part[APX_NAN_CODE / 8] &= (uint8_t)((1u << APX_NAN_CODE % 8) - 1);
    }
    if (key & 1)
        table[APX_NAN_CODE / 8] |= 1u << APX_NAN_CODE % 8;
}

size_t apx_pack_collect_sets(struct apx_pack *pack, size_t *tables)
{
    const struct apx_forest_desc *desc = pack->desc;
    size_t count = 0;
    for (size_t i = 0; i < desc->node_count; i++)
        if ((pack->nodes[i].sliced || pack->coded) && desc->nodes[i].feature >= 0 &&
            desc->nodes[i].set >= 0)
            pack->set_keys[count++] = apx_set_key(&desc->nodes[i]);
    count = apx_sort_unique(pack->set_keys, count);
    *tables = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t first;
        *tables += find_parts(pack, pack->set_keys[i], &first);
    }
    return count;
}

void apx_pack_sets(struct apx_pack *pack)
{
    struct apx_packed *packed = pack->packed;
    size_t tables, used = 0;
    const size_t count = apx_pack_collect_sets(pack, &tables);
    packed->set_columns = (uint32_t)count;
    packed->columns = packed->search_columns + packed->set_columns;
    packed->set_column_at = apx_pack_array(pack, count, sizeof(struct apx_set_column));
    packed->set_table_at = apx_pack_array(pack, tables * APX_SET_TABLE_BYTES, 1);
    struct apx_set_column *columns = apx_pack_at(pack, packed->set_column_at);
    uint8_t *bytes = apx_pack_at(pack, packed->set_table_at);
    const uint32_t *begin = apx_pack_at(pack, packed->feature_at);
    for (size_t i = 0; i < count; i++) {
        const uint64_t key = pack->set_keys[i];
        const uint32_t feature = feature_of(key), twin = pack->wanted[feature] == APX_PACK_BOTH;
        uint32_t first;
        const uint32_t parts = find_parts(pack, key, &first);
        columns[i] = (struct apx_set_column){
            .first = begin[feature] + twin + first * (1 + twin),
            .step = 1 + twin,
            .parts = parts,
            .column = packed->search_columns + (uint32_t)i,
            .table = (uint32_t)(used * APX_SET_TABLE_BYTES), /* APX_SET_TABLES_MAX at most */
        };
        fill_parts(pack, key, first, bytes + columns[i].table);
        used += parts;
    }
}
