/* SPDX-License-Identifier: Apache-2.0 */
/* The memory plan: slots alive together never overlap, and little is wasted. */
#include "runtime/plan/plan.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

#define MOST 200

static struct apx_slot slots[MOST];
static size_t bytes[MOST], offset[MOST];
static int order[MOST];

static size_t lay_out(int count)
{
    struct apx_program program = {.slots = slots, .slot_count = count};
    return apx_arena_layout(&program, bytes, offset, order);
}

static bool meet(const struct apx_slot *a, const struct apx_slot *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static void never_overlaps(void)
{
    struct rng rng = {8};
    double worst = 0;
    for (int round = 0; round < 300; round++) {
        int count = 1 + (int)rng_below(&rng, MOST), steps = 1 + (int)rng_below(&rng, 60);
        for (int i = 0; i < count; i++) {
            slots[i].first = (int)rng_below(&rng, (size_t)steps);
            slots[i].last = slots[i].first + (int)rng_below(&rng, 6);
            bytes[i] = rng_once(&rng, 8) ? 0 : rng_below(&rng, 5000);
        }
        size_t total = lay_out(count), peak = 1;
        bool ok = true;
        for (int i = 0; i < count; i++) {
            ok = ok && (bytes[i] == 0 || (offset[i] % 64 == 0 && offset[i] + bytes[i] <= total));
            for (int j = 0; j < i; j++)
                ok = ok && (bytes[i] == 0 || bytes[j] == 0 || !meet(&slots[i], &slots[j]) ||
                            offset[i] + bytes[i] <= offset[j] || offset[j] + bytes[j] <= offset[i]);
        }
        CHECK(ok);
        for (int s = 0; s < steps + 6; s++) {
            size_t alive = 0;
            for (int i = 0; i < count; i++)
                if (slots[i].first <= s && s <= slots[i].last)
                    alive += (bytes[i] + 63) / 64 * 64;
            peak = alive > peak ? alive : peak;
        }
        worst = fmax(worst, (double)total / (double)peak);
    }
    CHECK(worst < 1.5);
}

/* A chain of layers needs two buffers, however long it is. */
static void reuses_what_is_dead(void)
{
    for (int i = 0; i < 50; i++) {
        slots[i] = (struct apx_slot){.first = i, .last = i + 1};
        bytes[i] = 6400;
    }
    CHECK_EQ(lay_out(50), 12800);
    CHECK_EQ(lay_out(0), 0);
}

int main(void)
{
    RUN(never_overlaps);
    RUN(reuses_what_is_dead);
    return check_report();
}
