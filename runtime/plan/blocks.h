/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h - memory that is taken piece by piece and given back all at once. */
#ifndef APX_PLAN_BLOCKS_H
#define APX_PLAN_BLOCKS_H

#include "runtime/auspex.h"

struct apx_blocks {
    const struct apx_allocator *allocator;
    struct apx_block *newest;
};

void apx_blocks_init(struct apx_blocks *blocks, const struct apx_allocator *allocator);
void apx_blocks_fini(struct apx_blocks *blocks);
/* count * size zeroed bytes aligned to a cache line, valid until fini; NULL when out of memory. */
void *apx_blocks_take(struct apx_blocks *blocks, size_t count, size_t size);

#endif
