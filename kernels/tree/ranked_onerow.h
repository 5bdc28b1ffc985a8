/* SPDX-License-Identifier: Apache-2.0 */
/* ranked_onerow.h - few rows through a ranked forest, each by itself: codes of all its columns,
 * then the groups of trees (forest_pack_onerow.c), then the leaves in the order of the trees.
 *
 * Included after onerow_<isa>.h, which has one_group (how many of a search's first cuts are <= x),
 * one_within (how many of a group's others), one_whole (how many of all cuts), ONE_FIRST(shape),
 * ONE_LEVELS(shape), ONE_IS_WHOLE(shape), one_has_nan, one_is_float and one_bits. */
#ifndef APX_TREE_RANKED_ONEROW_H
#define APX_TREE_RANKED_ONEROW_H

#include "kernels/tree/ranked_sums.h"

/* ---- codes ----------------------------------------------------------------------------------- */

/* How a row's values are compared. */
enum one_values {
    ONE_FLOATS,
    ONE_DOUBLES_AS_FLOATS, /* rounded first */
    ONE_DOUBLES
};

/* A rank among cuts that are not floats, near that of the value as a float. */
APX_INLINE uint32_t one_rank64(const double *cuts, uint32_t count, uint32_t rank, double x)
{
    while (rank < count && cuts[rank] <= x)
        rank++;
    while (rank > 0 && cuts[rank - 1] > x)
        rank--;
    return rank;
}

APX_INLINE void one_search_shape(const struct apx_packed *packed, const void *x, uint8_t *codes,
                                 const int shape, const enum one_values kind, const bool within)
{
    const struct apx_one_search *searches = apx_packed_array(packed, packed->one_search_at);
    const float *tables = apx_packed_array(packed, packed->table_at);
    const float *cuts = apx_packed_array(packed, packed->one_cuts_at);
    const double *cuts64 = apx_packed_array(packed, packed->cuts64_at);
    const uint32_t levels = ONE_LEVELS(shape), first = ONE_FIRST(shape);
    for (uint32_t i = shape > 0 ? packed->one_shape_end[shape - 1] : 0;
         i < packed->one_shape_end[shape]; i++) {
        const struct apx_one_search *search = &searches[i];
        const float *table = tables + search->table;
        const double wide = kind != ONE_FLOATS ? ((const double *)x)[search->feature] : 0.0;
        const float value = kind != ONE_FLOATS ? (float)wide : ((const float *)x)[search->feature];
        uint32_t rank;
        if (within) {
            rank = one_group(table, value, (int)first) << levels;
            rank += one_within(cuts + search->within + rank, value, (int)levels);
        } else if (ONE_IS_WHOLE(shape)) {
            rank = one_whole(table, value, (int)levels);
        } else {
            const uint32_t group = one_group(table, value, (int)first);
            uint32_t node = 1;
            rank = group << levels;
#pragma GCC unroll 4
            for (uint32_t level = 0; level < levels; level++)
                node = 2 * node + (value >= table[node * first + group]);
            rank += node - (1u << levels);
        }
        if (kind == ONE_DOUBLES)
            rank = one_rank64(cuts64 + search->cuts64, search->cuts, rank, wide);
        codes[search->column] = (uint8_t)rank;
    }
}

APX_INLINE void one_search_all(const struct apx_packed *packed, const void *x, uint8_t *codes,
                               const enum one_values kind)
{
#define SEARCH(shape)                                                                              \
    if ((ONE_WITHIN_ROOM >> ONE_LEVELS(shape) & 1) != 0 &&                                         \
        (packed->one_within >> ONE_LEVELS(shape) & 1) != 0)                                        \
        one_search_shape(packed, x, codes, shape, kind, true);                                     \
    else                                                                                           \
        one_search_shape(packed, x, codes, shape, kind, false);
    SEARCH(0)
    SEARCH(1)
    SEARCH(2)
    SEARCH(3)
    SEARCH(4)
    SEARCH(5)
#undef SEARCH
}

static __attribute__((noinline)) void one_search_floats(const struct apx_packed *packed,
                                                        const void *x, uint8_t *codes)
{
    one_search_all(packed, x, codes, ONE_FLOATS);
}

static __attribute__((noinline)) void one_search_rounded(const struct apx_packed *packed,
                                                         const void *x, uint8_t *codes)
{
    one_search_all(packed, x, codes, ONE_DOUBLES_AS_FLOATS);
}

static __attribute__((noinline)) void one_search_doubles(const struct apx_packed *packed,
                                                         const void *x, uint8_t *codes)
{
    one_search_all(packed, x, codes, ONE_DOUBLES);
}

/* Features that are looked at for NaN in less time than a column where NaN has a code. */
enum { ONE_NAN_FEATURES = 32 };

/* Features that are looked at for doubles in less time than a column's code is made certain. */
enum { ONE_FLOAT_FEATURES = 4 };

/* Codes where NaN has one above 0. */
static void one_nan_codes(const struct apx_packed *packed, const void *x, bool is_double,
                          uint8_t *codes)
{
    const struct apx_one_nan *nans = apx_packed_array(packed, packed->one_nan_at);
    const struct apx_column *columns = apx_packed_array(packed, packed->column_at);
    for (uint32_t i = 0; i < packed->one_twins; i++)
        codes[nans[i].column] = codes[nans[i].from];
    if (packed->one_nans == 0 || (packed->features / ONE_NAN_FEATURES < packed->one_nans &&
                                  !one_has_nan(x, packed->features, is_double)))
        return;
    for (uint32_t i = 0; i < packed->one_nans; i++) {
        const bool is_nan = is_double ? isnan(((const double *)x)[nans[i].feature])
                                      : isnan(((const float *)x)[nans[i].feature]);
        codes[nans[i].column] = is_nan ? columns[nans[i].column].nan_code : codes[nans[i].column];
    }
}

static void one_set_codes(const struct apx_packed *packed, uint8_t *codes)
{
    const struct apx_set_column *sets = apx_packed_array(packed, packed->set_column_at);
    const uint8_t *tables = apx_packed_array(packed, packed->set_table_at);
    for (uint32_t s = 0; s < packed->set_columns; s++) {
        uint32_t inside = 0;
        for (uint32_t part = 0; part < sets[s].parts; part++) {
            const uint32_t code = codes[sets[s].first + part * sets[s].step];
            inside ^= (uint32_t)tables[sets[s].table + part * 32 + code / 8] >> code % 8;
        }
        codes[sets[s].column] = (uint8_t)(0 - (inside & 1));
    }
}

/* Codes of a row, side by side. */
static void one_codes(const struct ranked_run *run, size_t row, uint8_t *codes)
{
    const struct apx_packed *packed = run->packed;
    const bool is_double = run->args->x_is_double;
    const size_t bytes = is_double ? sizeof(double) : sizeof(float);
    const void *x =
        (const char *)run->args->x + (ptrdiff_t)row * run->args->x_row * (ptrdiff_t)bytes;
    if (!is_double)
        one_search_floats(packed, x, codes);
    else if (packed->compares_double &&
             (packed->features / ONE_FLOAT_FEATURES > packed->search_columns ||
              !one_is_float(x, packed->features)))
        one_search_doubles(packed, x, codes);
    else
        one_search_rounded(packed, x, codes);
    if (packed->one_nans > 0)
        one_nan_codes(packed, x, is_double, codes);
    if (packed->set_columns > 0)
        one_set_codes(packed, codes);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Walks through a group's trees; leaf: from their first places to indices in the forest. */
static void one_walks(const struct apx_packed *packed, const struct apx_one_group *group,
                      const uint8_t *spread, uint32_t *leaf)
{
    const struct apx_code_node *nodes = apx_packed_array(packed, packed->code_at);
    const uint32_t *leaves =
        (const uint32_t *)apx_packed_array(packed, packed->one_leaves_at) + group->first;
    const uint32_t usual = group->usual, highest = group->highest;
    const uint32_t unasked = usual + APX_ONE_UNASKED < highest ? usual : highest;
    uint64_t at[2][WALKS], before = 0;
#pragma GCC unroll 16
    for (uint32_t i = 0; i < 2 * WALKS; i++)
        at[i / WALKS][i % WALKS] = leaf[i];
    for (uint32_t step = 0; step < unasked; step++) {
        walk_one_step(nodes, spread, at[0]);
        walk_one_step(nodes, spread, at[1]);
    }
    for (uint32_t step = unasked; step < highest; step++) {
        uint64_t after = 0;
        walk_one_step(nodes, spread, at[0]);
        walk_one_step(nodes, spread, at[1]);
#pragma GCC unroll 8
        for (uint32_t i = 0; i < WALKS; i++)
            after += at[0][i] + at[1][i];
        if (before == after)
            break;
        before = after;
    }
#pragma GCC unroll 16
    for (uint32_t i = 0; i < 2 * WALKS; i++)
        leaf[i] = leaves[i] + nodes[at[i / WALKS][i % WALKS]].leaf;
}

/* Leaves of a group as far as bits decide, or places where walks begin, which are fetched. */
APX_INLINE void one_begin(const struct apx_packed *packed, const struct apx_one_group *group,
                          const uint8_t *codes, uint32_t *leaf)
{
    const uint32_t kind = group->kind, trees = group->trees;
    if (kind != APX_ONE_WALKS)
        one_bits(packed, group, codes, leaf);
    if (kind <= APX_ONE_BITS64)
        return;
    const struct apx_code_node *nodes = apx_packed_array(packed, packed->code_at);
    const uint32_t *roots =
        (const uint32_t *)apx_packed_array(packed, packed->one_root_at) + group->first;
    const uint16_t *exits =
        (const uint16_t *)apx_packed_array(packed, packed->one_exit_at) + group->exit;
    if (kind == APX_ONE_TOPS)
        for (uint32_t i = 0; i < trees; i++) {
            leaf[i] = roots[i] + exits[i * APX_ONE_EXITS + leaf[i]];
            __builtin_prefetch(&nodes[leaf[i]]);
        }
    else
        for (uint32_t i = 0; i < trees; i++)
            leaf[i] = roots[i];
    for (uint32_t i = trees; i < APX_ONE_LANES; i++)
        leaf[i] = leaf[0];
}

/* Of some groups' trees the leaves, as indices in the forest. */
APX_INLINE void one_leaves(const struct apx_packed *packed, const struct apx_one_group *groups,
                           uint32_t count, const uint8_t *codes, const uint8_t *spread,
                           uint32_t leaf[][APX_ONE_LANES])
{
    for (uint32_t g = 0; g < count; g++)
        one_begin(packed, &groups[g], codes, leaf[g]);
    for (uint32_t g = 0; g < count; g++)
        if (groups[g].kind > APX_ONE_BITS64)
            one_walks(packed, &groups[g], spread, leaf[g]);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void one_spread(const struct apx_packed *packed, const uint8_t *codes, uint8_t *spread)
{
    for (size_t c = 0; c < packed->columns; c++)
        spread[c * (TILE / 8)] = codes[c];
}

/* Leaves of any kind to any kind of sums. */
static void one_row(const struct ranked_run *run, size_t row)
{
    const struct apx_packed *packed = run->packed;
    const struct apx_one_group *groups = apx_packed_array(packed, packed->one_group_at);
    const uint32_t *trees = apx_packed_array(packed, packed->one_tree_at);
    const uint8_t *codes = (const uint8_t *)run->scratch + packed->one_codes_at;
    const uint8_t *spread = (const uint8_t *)run->scratch + packed->one_spread_at;
    uint32_t *leaf = (uint32_t *)(run->scratch + packed->index_at);
    for (uint32_t g = 0; g < packed->one_groups; g += APX_ONE_GROUPS) {
        _Alignas(64) uint32_t found[APX_ONE_GROUPS][APX_ONE_LANES];
        const uint32_t left = packed->one_groups - g;
        const uint32_t count = left < APX_ONE_GROUPS ? left : APX_ONE_GROUPS;
        one_leaves(packed, groups + g, count, codes, spread, found);
        for (uint32_t k = 0; k < count; k++)
            for (uint32_t i = 0; i < groups[g + k].trees; i++) {
                const size_t at = groups[g + k].first + i;
                const size_t t = packed->one_in_order ? at : trees[at];
                leaf[t] = found[k][i] - run->trees[t].leaves;
            }
    }
    ranked_take_row(run, leaf, row);
}

/* What is usual: one sum a row. With trees in order, a group's leaves are added up while the next
 * one's walks are under way; else when all are known. */
#define ONE_SUMS(name, type)                                                                       \
    APX_INLINE void name##_of(const struct ranked_run *run, size_t row0, size_t rows,              \
                              const bool in_order)                                                 \
    {                                                                                              \
        const struct apx_packed *packed = run->packed;                                             \
        const struct apx_one_group *groups = apx_packed_array(packed, packed->one_group_at);       \
        const type *values = apx_packed_array(packed, packed->leaf_values_at);                     \
        const uint8_t *codes = (const uint8_t *)run->scratch + packed->one_codes_at;               \
        const uint8_t *spread = (const uint8_t *)run->scratch + packed->one_spread_at;             \
        const size_t spread_step = (size_t)packed->columns * (TILE / 8);                           \
        const double *base = apx_packed_array(packed, packed->base_at);                            \
        const uint32_t *trees = apx_packed_array(packed, packed->one_tree_at);                     \
        uint32_t *index = (uint32_t *)(run->scratch + packed->index_at);                           \
        type sums[APX_ONE_ROWS];                                                                   \
        for (size_t r = 0; r < rows; r++)                                                          \
            sums[r] = (type)base[0];                                                               \
        for (uint32_t g = 0; g < packed->one_groups; g += APX_ONE_GROUPS)                          \
            for (size_t r = 0; r < rows; r++) {                                                    \
                _Alignas(64) uint32_t leaf[APX_ONE_GROUPS][APX_ONE_LANES];                         \
                const uint32_t left = packed->one_groups - g;                                      \
                const uint32_t count = left < APX_ONE_GROUPS ? left : APX_ONE_GROUPS;              \
                for (uint32_t k = 0; k < count; k++)                                               \
                    one_begin(packed, &groups[g + k], codes + r * packed->one_stride, leaf[k]);    \
                for (uint32_t k = 0; k < count; k++) {                                             \
                    const uint32_t group_trees = groups[g + k].trees;                              \
                    if (groups[g + k].kind > APX_ONE_BITS64)                                       \
                        one_walks(packed, &groups[g + k], spread + r * spread_step, leaf[k]);      \
                    if (in_order && group_trees == APX_ONE_LANES) {                                \
                        type sum = sums[r];                                                        \
                        _Pragma("GCC unroll 16") for (uint32_t i = 0; i < APX_ONE_LANES; i++)      \
                            sum += values[leaf[k][i]];                                             \
                        sums[r] = sum;                                                             \
                    } else if (in_order) {                                                         \
                        for (uint32_t i = 0; i < group_trees; i++)                                 \
                            sums[r] += values[leaf[k][i]];                                         \
                    } else                                                                         \
                        for (uint32_t i = 0; i < group_trees; i++)                                 \
                            index[r * packed->trees + trees[groups[g + k].first + i]] =            \
                                leaf[k][i];                                                        \
                }                                                                                  \
            }                                                                                      \
        for (size_t r = 0; !in_order && r < rows; r++, index += packed->trees)                     \
            for (uint32_t t = 0; t < packed->trees; t++)                                           \
                sums[r] += values[index[t]];                                                       \
        for (size_t r = 0; r < rows; r++)                                                          \
            ((type *)run->args->margins)[row0 + r] = sums[r];                                      \
    }                                                                                              \
    static __attribute__((noinline)) void name(const struct ranked_run *run, size_t row0,          \
                                               size_t rows)                                        \
    {                                                                                              \
        if (run->packed->one_in_order)                                                             \
            name##_of(run, row0, rows, true);                                                      \
        else                                                                                       \
            name##_of(run, row0, rows, false);                                                     \
    }
ONE_SUMS(one_sums_float, float)
ONE_SUMS(one_sums_double, double)
#undef ONE_SUMS

static void ranked_one_rows(const struct ranked_run *run, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    uint8_t *codes = (uint8_t *)run->scratch + packed->one_codes_at;
    uint8_t *spread = (uint8_t *)run->scratch + packed->one_spread_at;
    const bool usual = packed->outputs == 1 && run->sums_kind <= SUMS_DOUBLE &&
                       run->args->leaves == NULL && run->args->margins != NULL;
    const size_t together = usual ? APX_ONE_ROWS : 1;
    for (size_t done = 0; done < rows; done += together) {
        const size_t count = rows - done < together ? rows - done : together;
        for (size_t r = 0; r < count; r++) {
            one_codes(run, row0 + done + r, codes + r * packed->one_stride);
            if (packed->one_walks)
                one_spread(packed, codes + r * packed->one_stride,
                           spread + r * packed->columns * (TILE / 8));
        }
        if (!usual)
            one_row(run, row0 + done);
        else if (run->sums_kind == SUMS_FLOAT)
            one_sums_float(run, row0 + done, count);
        else
            one_sums_double(run, row0 + done, count);
    }
}

#endif
