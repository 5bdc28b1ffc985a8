/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c - mmap, mprotect and canaries. */
#include "tests/harness/guard.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY 0xa5

static void refuse(const char *what)
{
    perror(what);
    exit(2);
}

struct guard guard_create(size_t bytes, enum guard_side side)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inside = (bytes + page - 1) / page * page;
    struct guard guard = {.bytes = bytes, .map_bytes = inside + 2 * page};
    guard.map = mmap(NULL, guard.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard.map == MAP_FAILED)
        refuse("mmap");
    uint8_t *first = (uint8_t *)guard.map + page;
    if (inside > 0 && mprotect(first, inside, PROT_READ | PROT_WRITE) != 0)
        refuse("mprotect");
    memset(first, CANARY, inside);
    guard.data = side == GUARD_END ? first + inside - bytes : first;
    memset(guard.data, 0xff, bytes);
    return guard;
}

void guard_destroy(struct guard *guard)
{
    if (guard->map != NULL && munmap(guard->map, guard->map_bytes) != 0)
        refuse("munmap");
    memset(guard, 0, sizeof *guard);
}

static uint8_t *inside_of(const struct guard *guard, size_t *bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *bytes = guard->map_bytes - 2 * page;
    return (uint8_t *)guard->map + page;
}

void guard_freeze(const struct guard *guard)
{
    size_t bytes;
    uint8_t *first = inside_of(guard, &bytes);
    if (bytes > 0 && mprotect(first, bytes, PROT_READ) != 0)
        refuse("mprotect");
}

bool guard_intact(const struct guard *guard)
{
    size_t bytes;
    const uint8_t *first = inside_of(guard, &bytes);
    const size_t before = (size_t)((const uint8_t *)guard->data - first);
    for (size_t i = 0; i < bytes; i++) {
        if (i == before)
            i += guard->bytes;
        if (i < bytes && first[i] != CANARY)
            return false;
    }
    return true;
}
