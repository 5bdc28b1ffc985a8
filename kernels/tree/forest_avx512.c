/* SPDX-License-Identifier: Apache-2.0 */
/* forest_avx512.c - ranks, slices and walks with AVX-512, 128 rows a tile. */
#include <math.h>
#include <string.h>

#include "kernels/tree/forest_rows.h"

#include "kernels/tree/rank_avx512.h"

#include "kernels/tree/reach_avx512.h"

#include "kernels/tree/forest_ranked_body.h"

/* One Zen 4 core at 3.7 GHz; see README.md. */
static const struct apx_forest_isa isa = {
    .name = "avx512",
    .tile = TILE,
    .mask_bytes = TILE / 8,
    .lanes = 16,
    .first = 32,
    .slice = 0.017,
    .visit = 0.6,
    .visit_code = 0.4,
    .tree = 0.2,
    .walk_tree = 0.7,
    .visit_one = 1.1,
    .rank_value = 0.15,
    .rank_step = 0.06,
    .set_part = 0.02,
};

size_t apx_forest_ranked_avx512_pack_bound(const struct apx_forest_desc *desc)
{
    return apx_forest_pack_bound(desc);
}

size_t apx_forest_ranked_avx512_pack(const struct apx_forest_desc *desc, void *memory)
{
    return apx_forest_pack(desc, &isa, memory);
}

size_t apx_forest_ranked_avx512_scratch_bytes(const void *packed)
{
    return ((const struct apx_packed *)packed)->scratch_bytes;
}

void apx_forest_ranked_avx512_describe(const void *packed, struct apx_forest_choice *choice)
{
    apx_forest_describe(packed, choice);
}

void apx_forest_ranked_avx512_run(const struct apx_forest_args *args)
{
    ranked_run(args);
}
