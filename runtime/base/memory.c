/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - allocation through the allocator given by the caller. */
#include "runtime/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *context, size_t align, size_t bytes)
{
    (void)context;
    if (bytes > SIZE_MAX - align)
        return NULL;
    return aligned_alloc(align, (bytes + align - 1) / align * align); /* C17 wants a multiple */
}

static void default_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

const struct apx_allocator *apx_allocator_default(void)
{
    static const struct apx_allocator allocator = {default_alloc, default_release, NULL};
    return &allocator;
}

void *apx_alloc(const struct apx_allocator *allocator, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = allocator->alloc(allocator->context, APX_CACHE_LINE, bytes > 0 ? bytes : 1);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void apx_release(const struct apx_allocator *allocator, void *memory)
{
    if (memory != NULL)
        allocator->release(allocator->context, memory);
}

bool apx_grow(const struct apx_allocator *allocator, void *array, size_t count, size_t *capacity,
              size_t more, size_t size)
{
    void *old, *moved;
    size_t wanted = *capacity > 0 ? *capacity : 256;
    memcpy(&old, array, sizeof old);
    if (old != NULL && more <= *capacity - count)
        return true;
    while (wanted - count < more)
        if (__builtin_mul_overflow(wanted, (size_t)2, &wanted))
            return false;
    if ((moved = apx_alloc(allocator, wanted, size)) == NULL)
        return false;
    if (count > 0)
        memcpy(moved, old, count * size);
    apx_release(allocator, old);
    memcpy(array, &moved, sizeof moved);
    *capacity = wanted;
    return true;
}

char *apx_alloc_string(const struct apx_allocator *allocator, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = apx_alloc(allocator, bytes, 1);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}
