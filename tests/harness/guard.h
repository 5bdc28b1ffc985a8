/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h - buffers between pages that fault when touched.
 *
 * A guarded buffer lies flush against an inaccessible page: the one after it (GUARD_END) or the one
 * before it (GUARD_START). What is left of its own pages holds a canary. */
#ifndef APX_TESTS_GUARD_H
#define APX_TESTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum guard_side { GUARD_END, GUARD_START };

struct guard {
    void *data; /* the buffer; align-aligned if `bytes` is a multiple of align or for GUARD_START */
    size_t bytes;
    void *map; /* the whole mapping */
    size_t map_bytes;
};

/* `bytes` bytes of NaN (0xff) flush against a fault. Exits with a message if the system refuses. */
struct guard guard_create(size_t bytes, enum guard_side side);
void guard_destroy(struct guard *guard);
/* Writing faults from now on. */
void guard_freeze(const struct guard *guard);
/* Nothing beside the buffer has been written. */
bool guard_intact(const struct guard *guard);

#endif
