/* SPDX-License-Identifier: Apache-2.0 */
/* forest_avx2.c - ranks, slices and walks with AVX2, 64 rows a tile. */
#include <math.h>
#include <string.h>

#include "kernels/tree/forest_rows.h"

#include "kernels/tree/rank_avx2.h"

#include "kernels/tree/reach_avx2.h"

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
};

size_t apx_forest_ranked_avx2_pack_bound(const struct apx_forest_desc *desc)
{
    return apx_forest_pack_bound(desc);
}

size_t apx_forest_ranked_avx2_pack(const struct apx_forest_desc *desc, void *memory)
{
    return apx_forest_pack(desc, &isa, memory);
}

size_t apx_forest_ranked_avx2_scratch_bytes(const void *packed)
{
    return ((const struct apx_packed *)packed)->scratch_bytes;
}

void apx_forest_ranked_avx2_describe(const void *packed, struct apx_forest_choice *choice)
{
    apx_forest_describe(packed, choice);
}

void apx_forest_ranked_avx2_run(const struct apx_forest_args *args)
{
    ranked_run(args);
}
