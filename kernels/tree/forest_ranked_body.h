/* SPDX-License-Identifier: Apache-2.0 */
/* forest_ranked_body.h - rows through a packed forest, over one ISA's rank_ and reach_ words: by
 * tiles, and the few rows that are not worth a tile otherwise. A row's sums grow in the order of
 * the trees, whatever the cut.
 *
 * Included by forest_<isa>.c after rank_<isa>.h, reach_<isa>.h and onerow_<isa>.h. */
#include "kernels/tree/ranked_few.h"
#include "kernels/tree/ranked_onerow.h"
#include "kernels/tree/ranked_tiles.h"

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
        if (rest > 0 && packed->coded)
            ranked_one_rows(&run, row + rows - rest, rest);
        else if (rest > 0)
            ranked_few_keys(&run, row + rows - rest, rest);
    }
}

/* The functions of a row of forest.def; isa: its static description. */
#define RANKED_FUNCTIONS(isa_word)                                                                 \
    size_t apx_forest_ranked_##isa_word##_pack_bound(const struct apx_forest_desc *desc)           \
    {                                                                                              \
        return apx_forest_pack_bound(desc);                                                        \
    }                                                                                              \
    size_t apx_forest_ranked_##isa_word##_pack(const struct apx_forest_desc *desc, void *memory)   \
    {                                                                                              \
        return apx_forest_pack(desc, &isa, memory);                                                \
    }                                                                                              \
    size_t apx_forest_ranked_##isa_word##_scratch_bytes(const void *packed)                        \
    {                                                                                              \
        return ((const struct apx_packed *)packed)->scratch_bytes;                                 \
    }                                                                                              \
    void apx_forest_ranked_##isa_word##_describe(const void *packed,                               \
                                                 struct apx_forest_choice *choice)                 \
    {                                                                                              \
        apx_forest_describe(packed, choice);                                                       \
    }                                                                                              \
    void apx_forest_ranked_##isa_word##_run(const struct apx_forest_args *args)                    \
    {                                                                                              \
        ranked_run(args);                                                                          \
    }
