/* SPDX-License-Identifier: Apache-2.0 */
/* forest_ranked_body.h - rows through a packed forest, over one ISA's rank_ and reach_ words.
 *
 * Rows come in tiles, tiles in blocks, trees in groups. A block's rows are ranked once; then each
 * group of trees, which stays in the second cache, serves all tiles of the block before the next
 * group comes. A row's sums grow in the order of the trees, whatever the cut.
 *
 * Few rows do not fill a tile: they go one by one, eight trees side by side from their roots.
 *
 * Included by forest_<isa>.c after rank_<isa>.h and reach_<isa>.h. */
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

/* ---- ranks ----------------------------------------------------------------------------------- */

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

/* Keys of doubles; true if one is NaN. */
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
    }
    return least == 0;
}

/* Is one of the row's values no float? */
static bool ranked_is_double(const struct ranked_run *run, size_t row)
{
    const struct apx_packed *packed = run->packed;
    if (!packed->compares_double || !run->args->x_is_double)
        return false;
    const double *x = (const double *)run->args->x + (ptrdiff_t)row * run->args->x_row;
    bool any = false;
    for (size_t f = 0; f < packed->features; f++)
        any |= x[f] == x[f] && (double)(float)x[f] != x[f];
    return any;
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
            tile.nans |= rank_keys(turned + (walk_feature[walk] - f) * TILE,
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

/* ---- leaves to sums -------------------------------------------------------------------------- */

static double ranked_value(const struct ranked_run *run, size_t row, size_t feature)
{
    const ptrdiff_t at = (ptrdiff_t)row * run->args->x_row + (ptrdiff_t)feature;
    if (!run->args->x_is_double)
        return (double)((const float *)run->args->x)[at];
    const double x = ((const double *)run->args->x)[at];
    return run->packed->compares_double ? x : (double)(float)x;
}

static double ranked_leaf_value(const struct ranked_run *run, size_t row, size_t leaf)
{
    const struct apx_packed *p = run->packed;
    const double plain =
        p->sums_double ? ((const double *)apx_packed_array(p, p->leaf_values_at))[leaf]
                       : (double)((const float *)apx_packed_array(p, p->leaf_values_at))[leaf];
    if (!p->has_linear)
        return plain;
    const uint32_t *begin = apx_packed_array(p, p->begin_at);
    const uint32_t *feature = apx_packed_array(p, p->linear_feature_at);
    const double *coefficient = apx_packed_array(p, p->coefficient_at);
    double sum = ((const double *)apx_packed_array(p, p->constant_at))[leaf];
    for (uint32_t i = begin[leaf]; i < begin[leaf + 1]; i++) {
        double x = ranked_value(run, row, feature[i]);
        if (x != x)
            return plain;
        sum += coefficient[i] * x;
    }
    return sum;
}

static void ranked_add(const struct apx_packed *packed, double *sum, double value, bool begins)
{
    if (packed->sum == APX_FOREST_MIN)
        *sum = begins || value < *sum ? value : *sum;
    else if (packed->sum == APX_FOREST_MAX)
        *sum = begins || value > *sum ? value : *sum;
    else
        *sum = packed->sums_double ? *sum + value : (double)((float)*sum + (float)value);
}

/* One row's leaf to its sums [K]. leaf: index in the forest. */
static void ranked_add_row(const struct ranked_run *run, const struct apx_packed_tree *tree,
                           size_t row, size_t leaf, double *sums)
{
    const struct apx_packed *packed = run->packed;
    if (!packed->vector) {
        ranked_add(packed, &sums[tree->output], ranked_leaf_value(run, row, leaf), tree->begins);
        return;
    }
    const size_t outputs = packed->outputs;
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    for (size_t k = 0; k < outputs; k++)
        ranked_add(packed, &sums[k],
                   packed->sums_double ? ((const double *)values)[leaf * outputs + k]
                                       : (double)((const float *)values)[leaf * outputs + k],
                   tree->begins);
}

/* Leaves of many values: leaf[r] from the first value of the tree's on, to the sums of row r. */
#define VECTOR_ADD(name, type)                                                                     \
    APX_INLINE void name##_of(const size_t outputs, const type *values, const uint32_t *leaf,      \
                              size_t rows, type *sums)                                             \
    {                                                                                              \
        for (size_t r = 0; r < rows; r++, sums += outputs)                                         \
            for (size_t k = 0; k < outputs; k++)                                                   \
                sums[k] += values[leaf[r] * outputs + k];                                          \
    }                                                                                              \
    static void name(size_t outputs, const type *values, const uint32_t *leaf, size_t rows,        \
                     type *sums)                                                                   \
    {                                                                                              \
        switch (outputs) {                                                                         \
        case 2:                                                                                    \
            name##_of(2, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        case 3:                                                                                    \
            name##_of(3, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        case 4:                                                                                    \
            name##_of(4, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        default:                                                                                   \
            name##_of(outputs, values, leaf, rows, sums);                                          \
        }                                                                                          \
    }
VECTOR_ADD(ranked_add_vectors, float)
VECTOR_ADD(ranked_add_vectors_double, double)
#undef VECTOR_ADD

static void ranked_begin(const struct ranked_run *run, void *sums, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const double *base = apx_packed_array(packed, packed->base_at);
    const size_t outputs = packed->outputs;
    for (size_t k = 0; k < outputs; k++) {
        const double first = base[k];
        for (size_t r = 0; r < rows; r++)
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)sums)[k * TILE + r] = (float)first;
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)sums)[k * TILE + r] = first;
            else if (run->sums_kind == SUMS_VECTOR)
                ((float *)sums)[r * outputs + k] = (float)first;
            else
                ((double *)sums)[r * outputs + k] = first;
    }
}

static void ranked_finish(const struct ranked_run *run, const void *sums, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const size_t outputs = packed->outputs;
    if (run->args->margins == NULL)
        return;
    for (size_t k = 0; k < outputs; k++)
        for (size_t r = 0; r < rows; r++) {
            const size_t at = (row0 + r) * outputs + k;
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)run->args->margins)[at] = ((const float *)sums)[k * TILE + r];
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)run->args->margins)[at] = ((const double *)sums)[k * TILE + r];
            else if (run->sums_kind == SUMS_VECTOR)
                ((float *)run->args->margins)[at] = ((const float *)sums)[r * outputs + k];
            else if (packed->sums_double)
                ((double *)run->args->margins)[at] = ((const double *)sums)[r * outputs + k];
            else
                ((float *)run->args->margins)[at] = (float)((const double *)sums)[r * outputs + k];
        }
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* A tile's leaves of one tree to the sums, and to args->leaves. */
static void ranked_take_leaves(const struct ranked_run *run, size_t t, const uint32_t *leaf,
                               void *sums, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const struct apx_packed_tree *tree = &run->trees[t];
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    if (run->sums_kind == SUMS_FLOAT) {
        const float *value = (const float *)values + tree->leaves;
        float *sum = (float *)sums + (size_t)tree->output * TILE;
        for (size_t r = 0; r < rows; r++)
            sum[r] += value[leaf[r]];
    } else if (run->sums_kind == SUMS_DOUBLE) {
        const double *value = (const double *)values + tree->leaves;
        double *sum = (double *)sums + (size_t)tree->output * TILE;
        for (size_t r = 0; r < rows; r++)
            sum[r] += value[leaf[r]];
    } else if (run->sums_kind == SUMS_VECTOR) {
        ranked_add_vectors(packed->outputs,
                           (const float *)values + (size_t)tree->leaves * packed->outputs, leaf,
                           rows, sums);
    } else if (run->sums_kind == SUMS_VECTOR_DOUBLE) {
        ranked_add_vectors_double(packed->outputs,
                                  (const double *)values + (size_t)tree->leaves * packed->outputs,
                                  leaf, rows, sums);
    } else {
        for (size_t r = 0; r < rows; r++)
            ranked_add_row(run, tree, row0 + r, tree->leaves + leaf[r],
                           (double *)sums + r * packed->outputs);
    }
    if (run->args->leaves == NULL)
        return;
    const uint32_t *ids =
        (const uint32_t *)apx_packed_array(packed, packed->leaf_ids_at) + tree->leaves;
    for (size_t r = 0; r < rows; r++)
        run->args->leaves[(row0 + r) * packed->trees + t] = ids[leaf[r]];
}

/* Trees [begin, end) for one tile. */
static void ranked_tile(const struct ranked_run *run, size_t begin, size_t end,
                        const uint8_t *codes, const struct walk_tile *tile, void *sums, size_t row0,
                        size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const struct apx_slice *slices = apx_packed_array(packed, packed->slices_at);
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    uint32_t *leaf = (uint32_t *)(run->scratch + packed->index_at);
    void *masks = run->scratch + packed->reach_at;
    _Alignas(64) uint8_t exits[TILE];
    const bool direct = run->sums_kind <= SUMS_DOUBLE && run->args->leaves == NULL;
    const size_t sum_bytes = run->sums_kind == SUMS_FLOAT ? sizeof(float) : sizeof(double);
    for (size_t t = begin; t < end; t++) {
        const struct apx_packed_tree *tree = &run->trees[t];
        if (tree->slice_count > 0)
            reach_exits(slices + tree->slices, tree->stored_count, tree->slice_count, codes, masks,
                        exits);
        else
            memset(exits, 0, sizeof exits);
        void *sum = (char *)sums + (size_t)tree->output * TILE * sum_bytes;
        if (!tree->whole && packed->coded && direct) {
            walk_codes(packed, tree, codes, rows, exits, sum,
                       run->sums_kind == SUMS_FLOAT ? WALK_TO_FLOAT : WALK_TO_DOUBLE);
        } else if (!tree->whole) {
            if (packed->coded)
                walk_codes(packed, tree, codes, rows, exits, leaf, WALK_TO_LEAF);
            else
                walk_rows(&run->walk, tree, tile, rows, tree->slice_count > 0 ? exits : NULL, leaf);
            ranked_take_leaves(run, t, leaf, sums, row0, rows);
        } else if (direct && run->sums_kind == SUMS_FLOAT) {
            reach_add_float(exits, (const float *)values + tree->leaves, tree->exit_count, sum);
        } else if (direct) {
            reach_add_double(exits, (const double *)values + tree->leaves, tree->exit_count, sum);
        } else {
            for (size_t r = 0; r < rows; r++)
                leaf[r] = exits[r];
            ranked_take_leaves(run, t, leaf, sums, row0, rows);
        }
    }
}

enum { RANKED_TILES_MAX = 16 };

static void ranked_block(const struct ranked_run *run, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const uint32_t *group = apx_packed_array(packed, packed->group_at);
    uint8_t *codes = (uint8_t *)(run->scratch + packed->codes_at);
    char *keys = run->scratch + packed->keys_at;
    char *sums = run->scratch + packed->sums_at;
    struct walk_tile tiles[RANKED_TILES_MAX];
    const size_t codes_step = (size_t)packed->columns * TILE;
    const size_t sums_step = (size_t)packed->outputs * TILE * sizeof(double);
    for (size_t r = 0, tile = 0; r < rows; r += TILE, tile++) {
        tiles[tile] =
            ranked_codes(run, row0 + r, rows - r < TILE ? rows - r : TILE,
                         packed->tops ? codes + tile * codes_step : NULL,
                         packed->walks && !packed->coded ? keys + tile * packed->keys_step : NULL);
        ranked_begin(run, sums + tile * sums_step, TILE);
    }
    for (size_t g = 0; g < packed->groups; g++)
        for (size_t r = 0, tile = 0; r < rows; r += TILE, tile++)
            ranked_tile(run, group[g], group[g + 1], codes + tile * codes_step, &tiles[tile],
                        sums + tile * sums_step, row0 + r, rows - r < TILE ? rows - r : TILE);
    for (size_t r = 0, tile = 0; r < rows; r += TILE, tile++)
        ranked_finish(run, sums + tile * sums_step, row0 + r, rows - r < TILE ? rows - r : TILE);
}

/* ---- few rows -------------------------------------------------------------------------------- */

/* One row, eight trees side by side. */
static void ranked_one(const struct ranked_run *run, size_t row)
{
    const struct apx_packed *packed = run->packed;
    uint32_t *leaf = (uint32_t *)(run->scratch + packed->index_at);
    char *keys = run->scratch + packed->keys_at;
    void *sums = run->scratch + packed->sums_at;
    const uint32_t *ids = apx_packed_array(packed, packed->leaf_ids_at);
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    struct walk_tile tile = {.keys = keys, .is64 = ranked_is_double(run, row)};
    tile.nans = tile.is64 ? ranked_keys64(run, row, 1, keys) : ranked_keys_one(run, row, keys);
    tile.nans &= packed->has_nan_right;
    walk_trees(&run->walk, run->trees, packed->trees, &tile, 0, leaf);
    ranked_begin(run, sums, 1);
    if (packed->outputs == 1 && run->sums_kind == SUMS_FLOAT) {
        float sum = *(const float *)sums;
        for (size_t t = 0; t < packed->trees; t++)
            sum += ((const float *)values)[run->trees[t].leaves + leaf[t]];
        *(float *)sums = sum;
    } else {
        for (size_t t = 0; t < packed->trees; t++) {
            const struct apx_packed_tree *tree = &run->trees[t];
            const size_t at = tree->leaves + leaf[t];
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)sums)[(size_t)tree->output * TILE] += ((const float *)values)[at];
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)sums)[(size_t)tree->output * TILE] += ((const double *)values)[at];
            else if (run->sums_kind == SUMS_VECTOR)
                ranked_add_vectors(packed->outputs,
                                   (const float *)values + (size_t)tree->leaves * packed->outputs,
                                   &leaf[t], 1, sums);
            else if (run->sums_kind == SUMS_VECTOR_DOUBLE)
                ranked_add_vectors_double(packed->outputs,
                                          (const double *)values +
                                              (size_t)tree->leaves * packed->outputs,
                                          &leaf[t], 1, sums);
            else
                ranked_add_row(run, tree, row, at, sums);
        }
    }
    for (size_t t = 0; t < packed->trees && run->args->leaves != NULL; t++)
        run->args->leaves[row * packed->trees + t] = ids[run->trees[t].leaves + leaf[t]];
    ranked_finish(run, sums, row, 1);
}

/* Less than a tile of rows: eight rows side by side through one tree after the other, the rest one
 * by one. */
static void ranked_few(const struct ranked_run *run, size_t row0, size_t rows)
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

static void ranked_run(const struct apx_forest_args *args)
{
    const struct apx_packed *packed = args->packed;
    const struct ranked_run run = {
        .packed = packed,
        .args = args,
        .trees = apx_packed_array(packed, packed->trees_at),
        .walk = walk_open(packed),
        .sums_kind = ranked_sums_of(packed),
        .scratch = args->scratch,
    };
    const size_t block = (size_t)packed->tile * packed->block_tiles;
    for (size_t row = 0; row < args->rows; row += block) {
        size_t rows = args->rows - row < block ? args->rows - row : block;
        size_t rest = rows % TILE;
        if (rest > packed->small_rows)
            rest = 0;
        if (rows > rest)
            ranked_block(&run, row, rows - rest);
        if (rest > 0)
            ranked_few(&run, row + rows - rest, rest);
    }
}
