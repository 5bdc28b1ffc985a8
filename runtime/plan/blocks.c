/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.c - a plan is made of many small arrays that live and die together: they are cut from
 * blocks of a few kilobytes, and what is larger than a block gets one of its own. */
#include "runtime/plan/blocks.h"

#include "runtime/base/memory.h"

#define BLOCK_BYTES ((size_t)32768)

struct apx_block {
    struct apx_block *next;
    size_t used, size;
};

#define HEADER_BYTES                                                                               \
    ((sizeof(struct apx_block) + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE)

void apx_blocks_init(struct apx_blocks *blocks, const struct apx_allocator *allocator)
{
    blocks->allocator = allocator;
    blocks->newest = NULL;
}

void apx_blocks_fini(struct apx_blocks *blocks)
{
    while (blocks->newest != NULL) {
        struct apx_block *next = blocks->newest->next;
        apx_release(blocks->allocator, blocks->newest);
        blocks->newest = next;
    }
}

void *apx_blocks_take(struct apx_blocks *blocks, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
    struct apx_block *block = blocks->newest;
    if (block == NULL || block->size - block->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block = apx_alloc(blocks->allocator, 1, HEADER_BYTES + capacity);
        if (block == NULL)
            return NULL;
        block->size = capacity;
        block->next = blocks->newest;
        blocks->newest = block;
    }
    void *memory = (char *)block + HEADER_BYTES + block->used;
    block->used += bytes;
    return memory;
}
