/* SPDX-License-Identifier: Apache-2.0 */
/* forest_avx2.c - ranks, slices and walks with AVX2, 64 rows a tile. */
#include <math.h>
#include <string.h>

#include "kernels/tree/forest_rows.h"

#include "kernels/tree/rank_avx2.h"

#include "kernels/tree/reach_avx2.h"

#include "kernels/tree/onerow_avx2.h"

#include "kernels/tree/bits_avx2.h"

#include "kernels/tree/forest_ranked_body.h"

/* One Zen 4 core at 3.7 GHz; see README.md. */
static const struct apx_forest_isa isa = {
    .name = "avx2",
    .tile = TILE,
    .mask_bytes = TILE,
    .lanes = 8,
    .first = 8,
    .slice = 0.022,
    .visit = 0.8,
    .visit_code = 0.4,
    .tree = 0.3,
    .walk_tree = 0.7,
    .visit_one = 1.1,
    .rank_value = 0.3,
    .rank_step = 0.06,
    .set_part = 0.03,
    .block = 32,
    .windows = true,
    .within = ONE_WITHIN,
    .within_room = ONE_WITHIN_ROOM,
    .bit_columns = 128,
    .one_block = 1.2,
    .one_column = 0.8,
    .one_level = 0.5,
    .one_set = 1.2,
    .one_visit = 0.8,
    .one_tree = 0.8,
};

RANKED_FUNCTIONS(avx2)
