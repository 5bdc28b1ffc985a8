/* SPDX-License-Identifier: Apache-2.0 */
/* dense.c - the table of dense rows and the choice among them. */
#include "kernels/dense/dense_rows.h"

#define APX_DENSE_ROW(type, isa_word, cpu, shuns, class, tile)                                     \
    {.isa = #isa_word,                                                                             \
     .types = #type,                                                                               \
     .name = "apx_dense_" #type "_" #isa_word,                                                     \
     .needs = (cpu),                                                                               \
     .avoids = (shuns),                                                                            \
     .match = (class),                                                                             \
     .supports = apx_dense_##type##_##isa_word##_supports,                                         \
     .packed_bytes = apx_dense_##type##_##isa_word##_packed_bytes,                                 \
     .pack = apx_dense_##type##_##isa_word##_pack,                                                 \
     .scratch_bytes = apx_dense_##type##_##isa_word##_scratch_bytes,                               \
     .run = apx_dense_##type##_##isa_word##_run,                                                   \
     .tile_rows = (tile)},
static const struct apx_dense_row rows[] = {
#include "kernels/dense/dense.def"
};
#undef APX_DENSE_ROW

const struct apx_dense_row *apx_dense_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

const struct apx_dense_row *apx_dense_select(uint32_t caps, const struct apx_dense_desc *desc)
{
    const struct apx_dense_row *row = rows;
    while ((row->needs & ~caps) != 0 || (row->avoids & caps) != 0 || !row->supports(desc))
        row++; /* ends at a scalar row, which needs and avoids nothing */
    return row;
}
