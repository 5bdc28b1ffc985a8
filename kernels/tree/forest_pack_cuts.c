/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_cuts.c - the thresholds of the tops, sorted by feature; columns and search tables.
 *
 * A column's search has two stages. With G = 2^levels and V = `first`, the first table holds every
 * G-th cut, the greatest of each group; how many of these are <= x is the group g. What is left
 * are G - 1 cuts of the group, a complete tree: node q of level l compares with cut
 * g G + (2q + 1) (G >> (l + 1)) - 1, and that is a table over g. All tables have V entries, so
 * that a look-up is one permutation of registers. Entries beyond the cuts are NaN: no x reaches
 * them. */
#include "kernels/tree/forest_pack.h"

/* Heap sort: no memory of its own, no bad input. */
static void sift(uint64_t *keys, size_t at, size_t count)
{
    uint64_t key = keys[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && keys[child + 1] > keys[child])
            child++;
        if (keys[child] <= key)
            break;
        keys[at] = keys[child];
        at = child;
    }
    keys[at] = key;
}

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t keep = *a;
    *a = *b;
    *b = keep;
}

static void heap_sort(uint64_t *keys, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(keys, i, count);
    for (size_t i = count; i-- > 1;) {
        swap(&keys[0], &keys[i]);
        sift(keys, 0, i);
    }
}

/* Quick sort, the larger part put off; where it goes badly, heap sort. */
static void sort(uint64_t *keys, size_t count)
{
    struct {
        uint64_t *keys;
        size_t count;
    } later[64];
    size_t waiting = 0, bad = 0;
    for (;;) {
        while (count > 16) {
            uint64_t *last = keys + count - 1, *middle = keys + count / 2;
            if (*middle < *keys)
                swap(middle, keys);
            if (*last < *middle)
                swap(last, middle);
            if (*middle < *keys)
                swap(middle, keys);
            const uint64_t pivot = *middle;
            uint64_t *low = keys, *high = last;
            while (low <= high) {
                while (*low < pivot)
                    low++;
                while (*high > pivot)
                    high--;
                if (low <= high)
                    swap(low++, high--);
            }
            const size_t below = (size_t)(high - keys) + 1, above = (size_t)(last - low) + 1;
            const size_t less = below < above ? below : above;
            bad += less < count / 16;
            if (bad > 64 || waiting == sizeof later / sizeof later[0]) {
                heap_sort(keys, count);
                count = 0;
                break;
            }
            later[waiting].keys = below < above ? low : keys;
            later[waiting++].count = below < above ? above : below;
            keys = below < above ? keys : low;
            count = less;
        }
        for (size_t i = 1; i < count; i++) {
            const uint64_t key = keys[i];
            size_t at = i;
            for (; at > 0 && keys[at - 1] > key; at--)
                keys[at] = keys[at - 1];
            keys[at] = key;
        }
        if (waiting == 0)
            return;
        waiting--;
        keys = later[waiting].keys;
        count = later[waiting].count;
    }
}

size_t apx_sort_unique(uint64_t *keys, size_t count)
{
    if (count == 0)
        return 0;
    sort(keys, count);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (keys[i] != keys[kept - 1])
            keys[kept++] = keys[i];
    return kept;
}

/* Is the node's threshold a cut? */
static bool is_ranked(const struct apx_pack *pack, size_t node)
{
    return pack->nodes[node].sliced || (pack->coded && pack->desc->nodes[node].feature >= 0);
}

/* Takes a node's direction for NaN into its feature's. */
static void take_nan(struct apx_pack *pack, const struct apx_tree_node *node, uint64_t key)
{
    struct apx_nan_range *range = &pack->nans[node->feature];
    pack->wanted[node->feature] |= node->nan_right ? APX_PACK_RIGHT : APX_PACK_LEFT;
    if (node->nan_right && key > range->right)
        range->right = key;
    if (!node->nan_right && key < range->left)
        range->left = key;
}

/* Cuts of every feature, one behind the other as counted, and which codes for NaN it needs. */
void apx_pack_collect_cuts(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    uint32_t *count = pack->cut_count;
    memset(count, 0, desc->features * sizeof *count);
    for (size_t f = 0; f < desc->features; f++) {
        pack->wanted[f] = APX_PACK_UNUSED;
        pack->nans[f] = (struct apx_nan_range){.right = 0, .left = UINT64_MAX};
    }
    for (size_t i = 0; i < desc->node_count; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (is_ranked(pack, i))
            count[node->feature] += node->set < 0 ? 1 : apx_set_size(desc, node->set);
    }
    pack->cut_begin[0] = 0;
    for (size_t f = 0; f < desc->features; f++)
        pack->cut_begin[f + 1] = pack->cut_begin[f] + count[f];
    memset(count, 0, desc->features * sizeof *count);
    for (size_t i = 0; i < desc->node_count; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (!is_ranked(pack, i))
            continue;
        uint64_t *cuts = pack->cuts + pack->cut_begin[node->feature];
        if (node->set < 0) {
            const uint64_t key = apx_double_key(node->threshold);
            cuts[count[node->feature]++] = key;
            take_nan(pack, node, key);
            continue;
        }
        for (uint32_t b = desc->set_begin[node->set]; b < desc->set_begin[node->set + 1]; b++)
            cuts[count[node->feature]++] = apx_double_key(desc->bounds[b]);
        pack->wanted[node->feature] |= APX_PACK_RIGHT;
        pack->nans[node->feature].right = UINT64_MAX;
    }
    for (size_t f = 0; f < desc->features; f++) {
        count[f] = (uint32_t)apx_sort_unique(pack->cuts + pack->cut_begin[f], count[f]);
        if (pack->wanted[f] == APX_PACK_BOTH && pack->nans[f].right < pack->nans[f].left)
            pack->wanted[f] = APX_PACK_BETWEEN;
    }
}

/* The code that NaN has among so many cuts. */
static uint8_t nan_code(const struct apx_pack *pack, uint32_t feature, const uint64_t *cuts,
                        uint32_t count)
{
    uint8_t code = 0;
    if (pack->wanted[feature] == APX_PACK_RIGHT)
        return APX_NAN_CODE;
    if (pack->wanted[feature] != APX_PACK_BETWEEN)
        return 0;
    while (code < count && cuts[code] <= pack->nans[feature].right)
        code++;
    return code;
}

static uint32_t cuts_of_part(uint32_t cuts, uint32_t part)
{
    uint32_t left = cuts - part * APX_CUTS_MAX;
    return left < APX_CUTS_MAX ? left : APX_CUTS_MAX;
}

static void shape_table(const struct apx_forest_isa *isa, struct apx_column *column)
{
    uint32_t first = isa->lanes, levels = 0;
    while (first < isa->first && first - 1 < column->cuts)
        first *= 2;
    while ((first << levels) - 1 < column->cuts)
        levels++;
    column->first = (uint8_t)first;
    column->levels = (uint8_t)levels;
}

static void fill_table(const struct apx_column *column, const uint64_t *cuts, float *table)
{
    const uint32_t first = column->first, group = 1u << column->levels;
    for (uint32_t j = 0; j < first; j++) {
        uint32_t cut = (j + 1) * group - 1;
        table[j] =
            j + 1 < first && cut < column->cuts ? apx_float_above(apx_key_double(cuts[cut])) : NAN;
    }
    table += first;
    for (uint32_t level = 0; level < column->levels; level++)
        for (uint32_t q = 0; q < 1u << level; q++, table += first)
            for (uint32_t g = 0; g < first; g++) {
                uint32_t cut = g * group + (2 * q + 1) * (group >> (level + 1)) - 1;
                table[g] = cut < column->cuts ? apx_float_above(apx_key_double(cuts[cut])) : NAN;
            }
}

/* The columns of all features in order; of a part, first the one where NaN is 0. */
static size_t lay_columns(struct apx_pack *pack, struct apx_column *columns, size_t *floats)
{
    const struct apx_forest_desc *desc = pack->desc;
    size_t count = 0, cuts64 = 0;
    *floats = 0;
    for (uint32_t f = 0; f < desc->features; f++) {
        const uint32_t twin = pack->wanted[f] == APX_PACK_BOTH;
        const uint64_t *cuts = pack->cuts + pack->cut_begin[f];
        if (columns != NULL)
            ((uint32_t *)apx_pack_at(pack, pack->packed->feature_at))[f] = (uint32_t)count;
        if (pack->wanted[f] == 0)
            continue;
        for (uint32_t part = 0; part < apx_parts_of(pack->cut_count[f]); part++) {
            struct apx_column column = {
                .feature = f,
                .table = (uint32_t)*floats,
                .cuts64 = (uint32_t)cuts64,
                .cuts = (uint16_t)cuts_of_part(pack->cut_count[f], part),
                .twin = twin,
            };
            column.nan_code = nan_code(pack, f, cuts + (size_t)part * APX_CUTS_MAX, column.cuts);
            shape_table(pack->isa, &column);
            if (columns != NULL) {
                columns[count] = column;
                if (twin) {
                    columns[count + 1] = column;
                    columns[count + 1].nan_code = APX_NAN_CODE;
                    columns[count + 1].twin = false;
                }
            }
            count += 1 + twin;
            *floats += (size_t)column.first << column.levels;
            cuts64 += column.cuts;
        }
    }
    if (columns != NULL)
        ((uint32_t *)apx_pack_at(pack, pack->packed->feature_at))[desc->features] = (uint32_t)count;
    return count;
}

void apx_pack_cuts(struct apx_pack *pack)
{
    const struct apx_forest_desc *desc = pack->desc;
    struct apx_packed *packed = pack->packed;
    apx_pack_collect_cuts(pack);
    size_t floats = 0, columns = lay_columns(pack, NULL, &floats), cuts64 = 0;
    packed->feature_at = apx_pack_array(pack, desc->features + 1, sizeof(uint32_t));
    packed->column_at = apx_pack_array(pack, columns, sizeof(struct apx_column));
    struct apx_column *column = apx_pack_at(pack, packed->column_at);
    packed->search_columns = (uint32_t)lay_columns(pack, column, &floats);
    packed->columns = packed->search_columns;
    packed->table_at = apx_pack_array(pack, floats, sizeof(float));
    for (size_t f = 0; f < desc->features; f++)
        cuts64 += pack->wanted[f] != 0 ? pack->cut_count[f] : 0;
    if (desc->compares_double)
        packed->cuts64_at = apx_pack_array(pack, cuts64, sizeof(double));
    float *table = apx_pack_at(pack, packed->table_at);
    double *all64 = apx_pack_at(pack, packed->cuts64_at);
    const uint32_t *begin = apx_pack_at(pack, packed->feature_at);
    for (uint32_t f = 0; f < desc->features; f++)
        for (uint32_t c = begin[f], part = 0; c < begin[f + 1]; part++) {
            const uint64_t *cuts = pack->cuts + pack->cut_begin[f] + (size_t)part * APX_CUTS_MAX;
            fill_table(&column[c], cuts, table + column[c].table);
            for (uint32_t i = 0; i < column[c].cuts && desc->compares_double; i++)
                all64[column[c].cuts64 + i] = apx_key_double(cuts[i]);
            c += 1u + column[c].twin;
        }
}

struct apx_cut_place apx_pack_find_cut(const struct apx_pack *pack,
                                       const struct apx_tree_node *node)
{
    if (node->set >= 0)
        return (struct apx_cut_place){apx_pack_find_set(pack, node), 1};
    const uint32_t feature = (uint32_t)node->feature;
    const uint64_t *cuts = pack->cuts + pack->cut_begin[feature];
    const uint64_t key = apx_double_key(node->threshold);
    uint32_t low = 0, high = pack->cut_count[feature];
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (cuts[middle] <= key)
            low = middle;
        else
            high = middle;
    }
    const uint32_t *begin = apx_pack_at(pack, pack->packed->feature_at);
    const uint32_t twin = pack->wanted[feature] == APX_PACK_BOTH, part = low / APX_CUTS_MAX;
    return (struct apx_cut_place){
        .column = begin[feature] + part * (1 + twin) + (twin && node->nan_right),
        .cut = (uint8_t)(low % APX_CUTS_MAX + 1),
    };
}
