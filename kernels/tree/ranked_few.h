/* SPDX-License-Identifier: Apache-2.0 */
/* ranked_few.h - few rows through a forest that walks over keys: eight rows side by side through
 * one tree after the other, or one row through sixteen trees. */
#ifndef APX_TREE_RANKED_FEW_H
#define APX_TREE_RANKED_FEW_H

#include "kernels/tree/ranked_sums.h"

/* Keys of one row, without turning a whole tile; true if one is NaN. x_is_double: of what has been
 * found to be floats. */
static bool ranked_keys_one(const struct ranked_run *run, size_t row, char *keys)
{
    const struct apx_packed *packed = run->packed;
    const uint32_t *feature = apx_packed_array(packed, packed->walk_feature_at);
    const ptrdiff_t at = (ptrdiff_t)row * run->args->x_row;
    uint32_t least = UINT32_MAX;
    for (size_t c = 0; c < packed->walk_columns; c++, keys += APX_KEYS_STRIDE(TILE)) {
        float x = run->args->x_is_double ? (float)((const double *)run->args->x + at)[feature[c]]
                                         : ((const float *)run->args->x + at)[feature[c]];
        uint32_t key = apx_float_key(x);
        memcpy(keys, &key, sizeof key);
        least = key < least ? key : least;
    }
    return least == 0;
}

/* Is one of the row's values that walks read no float? */
static bool ranked_is_double(const struct ranked_run *run, size_t row)
{
    const struct apx_packed *packed = run->packed;
    if (!packed->compares_double || !run->args->x_is_double)
        return false;
    const double *x = (const double *)run->args->x + (ptrdiff_t)row * run->args->x_row;
    const uint32_t *feature = apx_packed_array(packed, packed->walk_feature_at);
    bool any = false;
    for (size_t c = 0; c < packed->walk_columns; c++) {
        const double value = x[feature[c]];
        any |= value == value && (double)(float)value != value;
    }
    return any;
}

/* One row, eight trees side by side. */
static void ranked_one(const struct ranked_run *run, size_t row)
{
    const struct apx_packed *packed = run->packed;
    uint32_t *leaf = (uint32_t *)(run->scratch + packed->index_at);
    char *keys = run->scratch + packed->keys_at;
    struct walk_tile tile = {.keys = keys, .is64 = ranked_is_double(run, row)};
    tile.nans = tile.is64 ? ranked_keys64(run, row, 1, keys) : ranked_keys_one(run, row, keys);
    tile.nans &= packed->has_nan_right;
    walk_trees(&run->walk, run->trees, packed->trees, &tile, 0, leaf);
    ranked_take_row(run, leaf, row);
}

/* Less than a tile of rows: eight rows side by side through one tree after the other, the rest one
 * by one. */
static void ranked_few_keys(const struct ranked_run *run, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    uint32_t *leaf = (uint32_t *)(run->scratch + packed->index_at);
    void *sums = run->scratch + packed->sums_at;
    const size_t together = rows % WALKS >= WALKS / 2 ? rows : rows - rows % WALKS;
    if (together > 0) {
        struct walk_tile tile =
            ranked_codes(run, row0, together, NULL, run->scratch + packed->keys_at);
        ranked_begin(run, sums, together);
        for (size_t t = 0; t < packed->trees; t++) {
            walk_rows(&run->walk, &run->trees[t], &tile, together, NULL, leaf);
            ranked_take_leaves(run, t, leaf, sums, row0, together);
        }
        ranked_finish(run, sums, row0, together);
    }
    for (size_t r = together; r < rows; r++)
        ranked_one(run, row0 + r);
}

#endif
