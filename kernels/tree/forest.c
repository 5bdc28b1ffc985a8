/* SPDX-License-Identifier: Apache-2.0 */
/* forest.c - the table of forest rows and the choice among them. */
#include "kernels/tree/forest_rows.h"

#define APX_FOREST_ROW(types, isa_word, cpu, shuns, class, tile)                                   \
    {.isa = #isa_word,                                                                             \
     .name = "apx_forest_" #types "_" #isa_word,                                                   \
     .needs = (cpu),                                                                               \
     .avoids = (shuns),                                                                            \
     .match = (class),                                                                             \
     .pack_bound = apx_forest_##types##_##isa_word##_pack_bound,                                   \
     .pack = apx_forest_##types##_##isa_word##_pack,                                               \
     .scratch_bytes = apx_forest_##types##_##isa_word##_scratch_bytes,                             \
     .run = apx_forest_##types##_##isa_word##_run,                                                 \
     .describe = apx_forest_##types##_##isa_word##_describe,                                       \
     .tile_rows = (tile)},
static const struct apx_forest_row rows[] = {
#include "kernels/tree/forest.def"
};
#undef APX_FOREST_ROW

const struct apx_forest_row *apx_forest_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

const struct apx_forest_row *apx_forest_select(uint32_t caps, const struct apx_forest_desc *desc)
{
    (void)desc;
    const struct apx_forest_row *row = rows;
    while ((row->needs & ~caps) != 0 || (row->avoids & caps) != 0)
        row++; /* ends at the scalar row, which needs and avoids nothing */
    return row;
}
