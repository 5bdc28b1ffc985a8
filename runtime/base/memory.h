/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - allocation through the allocator given by the caller. */
#ifndef APX_BASE_MEMORY_H
#define APX_BASE_MEMORY_H

#include "runtime/auspex.h"

#define APX_CACHE_LINE 64

/* malloc-backed; never NULL. */
const struct apx_allocator *apx_allocator_default(void);

/* count * size zeroed bytes, aligned to a cache line; NULL on overflow or exhaustion. count or size
 * 0 gives a valid pointer. */
void *apx_alloc(const struct apx_allocator *allocator, size_t count, size_t size);
void apx_release(const struct apx_allocator *allocator, void *memory); /* accepts NULL */
/* Room for `more` elements of `size` bytes behind the first `count` of the array whose address is
 * at `array` (NULL at first), which are kept; it may move. False if out of memory: nothing changes.
 */
bool apx_grow(const struct apx_allocator *allocator, void *array, size_t count, size_t *capacity,
              size_t more, size_t size);
/* A copy of text; NULL if out of memory. */
char *apx_alloc_string(const struct apx_allocator *allocator, const char *text);

#endif
