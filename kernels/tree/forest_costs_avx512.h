/* SPDX-License-Identifier: Apache-2.0 */
/* forest_costs_avx512.h - what the rows with 512-bit registers have in common. Measured on one Zen
 * 4 core at 3.7 GHz (README.md). */
#ifndef APX_TREE_FOREST_COSTS_AVX512_H
#define APX_TREE_FOREST_COSTS_AVX512_H

#define FOREST_COSTS_AVX512                                                                        \
    .tile = TILE, .mask_bytes = TILE / 8, .lanes = 16, .first = 32, .slice = 0.017, .visit = 0.6,  \
    .visit_code = 0.4, .tree = 0.2, .walk_tree = 0.7, .visit_one = 1.1, .rank_value = 0.15,        \
    .rank_step = 0.06, .set_part = 0.02, .one_column = 0.8, .one_level = 0.5, .one_set = 1.2,      \
    .one_visit = 0.8, .one_tree = 0.8

#endif
