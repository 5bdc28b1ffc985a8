/* SPDX-License-Identifier: Apache-2.0 */
/* ranked_codes.h - a tile of rows to columns of codes, and to keys for walks.
 *
 * Included by forest_<isa>.c by way of forest_ranked_body.h, after rank_<isa>.h. */
#ifndef APX_TREE_RANKED_CODES_H
#define APX_TREE_RANKED_CODES_H

#include "kernels/tree/forest_walk.h"

/* How a row's sums lie. */
enum ranked_sums {
    SUMS_FLOAT, /* float [K][TILE] */
    SUMS_DOUBLE,
    SUMS_VECTOR,        /* float [TILE][K]: leaves of many values */
    SUMS_VECTOR_DOUBLE, /* double [TILE][K]: likewise */
    SUMS_ROWS           /* double [TILE][K]: linear leaves, MIN and MAX */
};

struct ranked_run {
    const struct apx_packed *packed;
    const struct apx_forest_args *args;
    const struct apx_packed_tree *trees;
    struct walk_forest walk;
    enum ranked_sums sums_kind;
    char *scratch;
};

static enum ranked_sums ranked_sums_of(const struct apx_packed *packed)
{
    if (packed->has_linear || packed->sum != APX_FOREST_SUM)
        return SUMS_ROWS;
    if (packed->vector)
        return packed->sums_double ? SUMS_VECTOR_DOUBLE : SUMS_VECTOR;
    return packed->sums_double ? SUMS_DOUBLE : SUMS_FLOAT;
}

/* x is no float: its rank among the cuts as doubles. */
static uint8_t ranked_code64(const double *cuts, uint32_t count, double x)
{
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        low += x >= cuts[low + half - 1] ? half : 0;
        count -= half;
    }
    return (uint8_t)low;
}

/* Codes of a column with values between floats. `below` and `above`, the floats next to them, have
 * the same code almost always, and it is the value's; the few others are looked up. */
static void ranked_column64(const struct ranked_run *run, const struct apx_column *column,
                            size_t row0, size_t rows, const float *below, const float *above,
                            const float *table, uint8_t *codes)
{
    _Alignas(64) uint8_t other[2 * TILE];
    rank_column(column, below, table, codes);
    rank_column(column, above, table, other);
    const size_t bytes = column->twin ? 2 * TILE : TILE;
    if (memcmp(codes, other, bytes) == 0)
        return;
    const double *cuts =
        (const double *)apx_packed_array(run->packed, run->packed->cuts64_at) + column->cuts64;
    const double *x = (const double *)run->args->x + column->feature;
    for (size_t r = 0; r < rows; r++) {
        if (codes[r] == other[r])
            continue;
        codes[r] = ranked_code64(cuts, column->cuts, x[(ptrdiff_t)(row0 + r) * run->args->x_row]);
        if (column->twin)
            codes[r + TILE] = codes[r];
    }
}

/* Keys of doubles; true if one is NaN. Walks take rows by WALKS: those that are not there have
 * key 0, which never steps on from a leaf, whatever the scratch held. */
static bool ranked_keys64(const struct ranked_run *run, size_t row0, size_t rows, char *keys)
{
    const struct apx_packed *packed = run->packed;
    const uint32_t *feature = apx_packed_array(packed, packed->walk_feature_at);
    uint64_t least = UINT64_MAX;
    for (size_t c = 0; c < packed->walk_columns; c++, keys += 2 * APX_KEYS_STRIDE(TILE)) {
        const double *x = (const double *)run->args->x + feature[c];
        for (size_t r = 0; r < rows; r++) {
            uint64_t key = apx_double_key(x[(ptrdiff_t)(row0 + r) * run->args->x_row]);
            memcpy(keys + r * sizeof key, &key, sizeof key);
            least = key < least ? key : least;
        }
        memset(keys + rows * sizeof least, 0, (WALKS - rows % WALKS) % WALKS * sizeof least);
    }
    return least == 0;
}

/* Codes and keys of a tile, as far as wanted. */
static struct walk_tile ranked_codes(const struct ranked_run *run, size_t row0, size_t rows,
                                     uint8_t *codes, char *keys)
{
    const struct apx_packed *packed = run->packed;
    const struct apx_column *columns = apx_packed_array(packed, packed->column_at);
    const uint32_t *of_feature = apx_packed_array(packed, packed->feature_at);
    const uint32_t *walk_feature = apx_packed_array(packed, packed->walk_feature_at);
    const float *tables = apx_packed_array(packed, packed->table_at);
    float *turned = (float *)(run->scratch + packed->gather_at);
    struct walk_tile tile = {.keys = keys};
    uint32_t walk = keys != NULL ? 0 : packed->walk_columns;
    for (size_t f = 0; f < packed->features; f += RANK_LANES) {
        const size_t end = f + RANK_LANES < packed->features ? f + RANK_LANES : packed->features;
        const bool walked = walk < packed->walk_columns && walk_feature[walk] < end;
        const bool ranked = codes != NULL && of_feature[f] != of_feature[end];
        if (!ranked && !walked)
            continue;
        uint32_t inexact = 0;
        if (packed->compares_double && run->args->x_is_double)
            inexact = rank_gather_double(run->args, row0, rows, f, packed->features, turned,
                                         turned + RANK_LANES * TILE);
        else
            rank_gather(run->args, row0, rows, f, packed->features, turned);
        tile.is64 |= inexact != 0;
        for (; walk < packed->walk_columns && walk_feature[walk] < end; walk++)
            tile.nans |= rank_keys(turned + (walk_feature[walk] - f) * TILE, rows,
                                   (uint32_t *)(keys + (size_t)walk * APX_KEYS_STRIDE(TILE)));
        for (uint32_t c = of_feature[f]; ranked && c < of_feature[end]; c += 1u + columns[c].twin) {
            const struct apx_column *column = &columns[c];
            uint8_t *to = codes + (size_t)c * TILE;
            const float *x = turned + (column->feature - f) * TILE;
            if (inexact >> (column->feature - f) & 1)
                ranked_column64(run, column, row0, rows, x, x + RANK_LANES * TILE,
                                tables + column->table, to);
            else
                rank_column(column, x, tables + column->table, to);
        }
    }
    if (tile.is64 && keys != NULL)
        tile.nans = ranked_keys64(run, row0, rows, keys);
    tile.nans &= packed->has_nan_right;
    if (codes == NULL)
        return tile;
    const struct apx_set_column *sets = apx_packed_array(packed, packed->set_column_at);
    const uint8_t *set_tables = apx_packed_array(packed, packed->set_table_at);
    for (uint32_t s = 0; s < packed->set_columns; s++) {
        uint8_t *to = codes + (size_t)sets[s].column * TILE;
        memset(to, 0, TILE);
        for (uint32_t part = 0; part < sets[s].parts; part++)
            rank_set_part(codes + (size_t)(sets[s].first + part * sets[s].step) * TILE,
                          set_tables + sets[s].table + (size_t)part * 32, to);
    }
    return tile;
}

#endif
