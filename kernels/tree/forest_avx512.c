/* SPDX-License-Identifier: Apache-2.0 */
/* forest_avx512.c - ranks, slices and walks with AVX-512, 128 rows a tile. */
#include <math.h>
#include <string.h>

#include "kernels/tree/forest_rows.h"

#include "kernels/tree/rank_avx512.h"

#include "kernels/tree/reach_avx512.h"

#include "kernels/tree/onerow_avx512.h"

#include "kernels/tree/bits_avx2.h"

#include "kernels/tree/forest_costs_avx512.h"

#include "kernels/tree/forest_ranked_body.h"

static const struct apx_forest_isa isa = {
    .name = "avx512",
    FOREST_COSTS_AVX512,
    .block = 32,
    .windows = true,
    .within = ONE_WITHIN,
    .within_room = ONE_WITHIN_ROOM,
    .bit_columns = 128,
    .one_block = 1.2,
};

RANKED_FUNCTIONS(avx512)
