/* SPDX-License-Identifier: Apache-2.0 */
/* forest_rows.h - prototypes of every row in forest.def. */
#ifndef APX_TREE_FOREST_ROWS_H
#define APX_TREE_FOREST_ROWS_H

#include "kernels/kernels.h"

#define APX_FOREST_ROW(types, isa_word, cpu, shuns, class, tile)                                   \
    size_t apx_forest_##types##_##isa_word##_pack_bound(const struct apx_forest_desc *desc);       \
    size_t apx_forest_##types##_##isa_word##_pack(const struct apx_forest_desc *desc,              \
                                                  void *memory);                                   \
    size_t apx_forest_##types##_##isa_word##_scratch_bytes(const void *packed);                    \
    void apx_forest_##types##_##isa_word##_run(const struct apx_forest_args *args);                \
    void apx_forest_##types##_##isa_word##_describe(const void *packed,                            \
                                                    struct apx_forest_choice *choice);
#include "kernels/tree/forest.def"
#undef APX_FOREST_ROW

#endif
