/* SPDX-License-Identifier: Apache-2.0 */
/* arena_layout.c - where each slot lies in a lane's arena.
 *
 * Largest first, each into the tightest gap that the slots alive at the same time leave. Slots of a
 * small plan number in the tens; the square of that is nothing beside loading a model, and runs do
 * not come here. */
#include "runtime/plan/plan.h"

#include "runtime/base/memory.h"

/* A heap with the smallest slot on top. */
static void sift(int *heap, int size, int root, const size_t *bytes)
{
    for (int child; (child = 2 * root + 1) < size; root = child) {
        if (child + 1 < size && bytes[heap[child + 1]] < bytes[heap[child]])
            child++;
        if (bytes[heap[root]] <= bytes[heap[child]])
            return;
        int swap = heap[root];
        heap[root] = heap[child];
        heap[child] = swap;
    }
}

/* Largest first, in place (qsort may allocate). */
static void sort_slots(int *slots, int count, const size_t *bytes)
{
    for (int i = count / 2 - 1; i >= 0; i--)
        sift(slots, count, i, bytes);
    for (int i = count - 1; i > 0; i--) {
        int swap = slots[0];
        slots[0] = slots[i];
        slots[i] = swap;
        sift(slots, i, 0, bytes);
    }
}

static size_t round_up(size_t bytes)
{
    return (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
}

/* placed[count] is sorted by offset. */
static size_t find_gap(const struct apx_program *program, const int *placed, int count,
                       const size_t *bytes, const size_t *offset, int slot)
{
    const struct apx_slot *self = &program->slots[slot];
    size_t need = round_up(bytes[slot]), end = 0, best = SIZE_MAX, best_size = SIZE_MAX;
    for (int i = 0; i < count; i++) {
        const struct apx_slot *other = &program->slots[placed[i]];
        if (other->last < self->first || other->first > self->last)
            continue;
        size_t start = offset[placed[i]];
        if (start > end && start - end >= need && start - end < best_size) {
            best = end;
            best_size = start - end;
        }
        size_t stop = start + round_up(bytes[placed[i]]);
        end = stop > end ? stop : end;
    }
    return best != SIZE_MAX ? best : end;
}

size_t apx_arena_layout(const struct apx_program *program, const size_t *bytes, size_t *offset,
                        int *order)
{
    int count = 0, placed = 0;
    size_t total = 0;
    for (int i = 0; i < program->slot_count; i++)
        if (bytes[i] > 0)
            order[count++] = i;
    sort_slots(order, count, bytes);
    /* order[0, placed) holds what is placed, by offset; the rest waits, largest first. */
    for (; placed < count; placed++) {
        int slot = order[placed];
        offset[slot] = find_gap(program, order, placed, bytes, offset, slot);
        size_t stop = offset[slot] + round_up(bytes[slot]);
        total = stop > total ? stop : total;
        int place = placed;
        for (; place > 0 && offset[order[place - 1]] > offset[slot]; place--)
            order[place] = order[place - 1];
        order[place] = slot;
    }
    return total;
}
