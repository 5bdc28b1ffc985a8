/* SPDX-License-Identifier: Apache-2.0 */
/* counted_heap.h - an allocator that counts what it gives, and whose allocations number fail_from
 * to fail_from + fail_count - 1 fail. Live blocks are counted as well, so that a test sees what is
 * left behind. */
#ifndef APX_TESTS_COUNTED_HEAP_H
#define APX_TESTS_COUNTED_HEAP_H

#include "runtime/auspex.h"

#include <stdlib.h>

static struct {
    long count, fail_from, fail_count, live;
} heap;

static void *counted_alloc(void *context, size_t align, size_t bytes)
{
    (void)context;
    long index = heap.count++;
    if (index >= heap.fail_from && index - heap.fail_from < heap.fail_count)
        return NULL;
    void *memory = aligned_alloc(align, (bytes + align - 1) / align * align);
    heap.live += memory != NULL;
    return memory;
}

static void counted_release(void *context, void *memory)
{
    (void)context;
    heap.live -= memory != NULL;
    free(memory);
}

static const struct apx_allocator counted = {counted_alloc, counted_release, NULL};

#endif
