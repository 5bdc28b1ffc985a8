/* SPDX-License-Identifier: Apache-2.0 */
/* ranked_tiles.h - tiles of rows, blocks of tiles, groups of trees. A block's rows are ranked once;
 * then each group of trees, which stays in the second cache, serves all tiles of the block before
 * the next group comes. */
#ifndef APX_TREE_RANKED_TILES_H
#define APX_TREE_RANKED_TILES_H

#include "kernels/tree/ranked_sums.h"

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

#endif
