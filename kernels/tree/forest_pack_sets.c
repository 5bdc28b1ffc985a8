/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_sets.c - columns of sets.
 *
 * Whether x is in a set depends on its rank among the feature's cuts alone, which the set's bounds
 * are part of: a table of bits over the codes. Where the cuts fill several columns, a code that
 * stands at its column's end says nothing; so a column's table holds only whether membership
 * changes from the column's first code on, and membership is the parity over all columns and what
 * it is below all cuts, which is `no`. NaN is APX_NAN_CODE in all of them; only the first one's
 * table says its direction. */
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

static void fill_parts(const struct apx_pack *pack, uint32_t set, uint32_t feature, bool nan_right,
                       uint8_t *table)
{
    const struct apx_forest_desc *desc = pack->desc;
    const uint64_t *cuts = pack->cuts + pack->cut_begin[feature];
    uint32_t bound = desc->set_begin[set];
    const uint32_t end = desc->set_begin[set + 1], count = pack->cut_count[feature];
    bool flips = false;
    for (uint32_t c = 0; c < count; c++) {
        uint32_t code = c % APX_CUTS_MAX + 1;
        if (code == 1)
            flips = false;
        for (; bound < end && apx_double_key(desc->bounds[bound]) == cuts[c]; bound++)
            flips = !flips;
        if (flips)
            table[c / APX_CUTS_MAX * 32 + code / 8] |= (uint8_t)(1u << code % 8);
    }
    if (nan_right)
        table[APX_NAN_CODE / 8] |= 1u << APX_NAN_CODE % 8;
}

void apx_pack_sets(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < desc->node_count; i++)
        if ((pack->nodes[i].sliced || pack->coded) && desc->nodes[i].feature >= 0 &&
            desc->nodes[i].set >= 0)
            pack->set_keys[count++] = apx_set_key(&desc->nodes[i]);
    count = apx_sort_unique(pack->set_keys, count);
    packed->set_columns = (uint32_t)count;
    packed->columns = packed->search_columns + packed->set_columns;
    packed->set_column_at = apx_pack_array(pack, count, sizeof(struct apx_set_column));
    struct apx_set_column *columns = apx_pack_at(pack, packed->set_column_at);
    const uint32_t *begin = apx_pack_at(pack, packed->feature_at);
    for (size_t i = 0; i < count; i++) {
        uint32_t feature = pack->set_keys[i] >> 1 & ((1u << 21) - 1);
        uint32_t twin = pack->wanted[feature] == 3;
        columns[i] = (struct apx_set_column){
            .first = begin[feature] + twin,
            .step = 1 + twin,
            .parts = (begin[feature + 1] - begin[feature]) / (1 + twin),
            .column = packed->search_columns + (uint32_t)i,
            .table = (uint32_t)bytes,
        };
        bytes += columns[i].parts * 32;
    }
    packed->set_table_at = apx_pack_array(pack, bytes, 1);
    uint8_t *tables = apx_pack_at(pack, packed->set_table_at);
    for (size_t i = 0; i < count; i++)
        fill_parts(pack, (uint32_t)(pack->set_keys[i] >> 22),
                   pack->set_keys[i] >> 1 & ((1u << 21) - 1), pack->set_keys[i] & 1,
                   tables + columns[i].table);
}
