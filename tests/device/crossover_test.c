/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_test.c - from times to a number of rows, with a clock that the test holds. */
#include "runtime/device/crossover.h"

#include "tests/harness/check.h"
#include "tests/harness/rng.h"

static struct rng rng = {3};

/* A machine: a call takes so long on either side, and now and then longer. */
struct machine {
    double call_ns[2], row_ns[2]; /* CPU, GPU */
    double noise;                 /* share of all calls that takes ten times as long */
    int64_t odd_rows;             /* a size for which the GPU is slow, 0: none */
    int64_t most_rows;            /* the GPU has memory for, 0: any */
    enum apx_status failure;      /* of every call of more than fails_from rows on the CPU */
    int64_t fails_from;
    unsigned calls[2];
    int64_t rows, in_turn; /* the last call's; calls of one side in a row */
    bool last;
    unsigned told;
};

static enum apx_status call(void *context, bool on_gpu, int64_t rows, int64_t *ns,
                            struct apx_error *error)
{
    struct machine *m = context;
    m->in_turn = rows == m->rows && on_gpu == m->last ? m->in_turn + 1 : 1;
    CHECK(m->in_turn <= 2); /* the other side meets the same weather */
    m->rows = rows;
    m->last = on_gpu;
    m->calls[on_gpu]++;
    if (on_gpu && m->most_rows > 0 && rows > m->most_rows) {
        *error = (struct apx_error){.status = APX_ENOMEM, .message = "no memory"};
        return APX_ENOMEM;
    }
    if (!on_gpu && m->failure != APX_OK && rows >= m->fails_from) {
        *error = (struct apx_error){.status = m->failure, .message = "broken"};
        return m->failure;
    }
    double time = m->call_ns[on_gpu] + m->row_ns[on_gpu] * (double)rows;
    if (on_gpu && rows == m->odd_rows)
        time *= 8;
    if (rng_below(&rng, 1000) < (size_t)(1000 * m->noise))
        time *= 10;
    *ns = (int64_t)time;
    return APX_OK;
}

static void tell(void *context, const struct apx_crossover_point *point)
{
    struct machine *m = context;
    CHECK(point->rows == m->rows && point->cpu_ns > 0 && point->gpu_ns > 0);
    m->told++;
}

static const int64_t powers[] = {1,   2,    4,    8,    16,   32,    64,    128,  256,
                                 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
#define POWERS ((int)(sizeof powers / sizeof powers[0]))

static struct apx_crossover measure(struct machine *m)
{
    const struct apx_crossover_probe probe = {m, call, tell};
    const struct apx_crossover_ladder ladder = {
        .rows = powers, .count = POWERS, .budget_ns = 50000000, .refinements = 3};
    struct apx_crossover found = {0};
    struct apx_error error = {0};
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, &error), APX_OK);
    CHECK_STR(error.message, "");
    CHECK_EQ(m->told, found.point_count);
    for (int i = 1; i < found.point_count; i++)
        CHECK(found.points[i].rows > found.points[i - 1].rows);
    return found;
}

static void finds_where_lines_cross(void)
{
    /* 12000 + 5 n = 1000 + 100 n at 115.8 */
    struct machine m = {.call_ns = {1000, 12000}, .row_ns = {100, 5}};
    struct apx_crossover found = measure(&m);
    CHECK(found.from_rows >= 114 && found.from_rows <= 118);
    CHECK_EQ(found.point_count, POWERS + 3);
    /* Anywhere on the ladder, to a few per cent. */
    for (double cross = 3; cross < 60000; cross *= 1.7) {
        m = (struct machine){.call_ns = {0, 95 * cross}, .row_ns = {100, 5}};
        found = measure(&m);
        if (!CHECK(fabs((double)found.from_rows / cross - 1) < (cross < 30 ? 0.35 : 0.05)))
            fprintf(stderr, "    %lld for %f\n", (long long)found.from_rows, cross);
    }
}

static void one_side_always_wins(void)
{
    struct machine m = {.call_ns = {1000, 12000}, .row_ns = {1, 1}};
    CHECK_EQ(measure(&m).from_rows, -1);
    m = (struct machine){.call_ns = {1000, 1000}, .row_ns = {1, 1}}; /* as good: the CPU's */
    CHECK_EQ(measure(&m).from_rows, -1);
    m = (struct machine){.call_ns = {20000, 12000}, .row_ns = {100, 5}};
    CHECK_EQ(measure(&m).from_rows, 1);
}

/* Calls that take ten times as long do not move a median, nor does a size that is out of line move
 * what all the others say. */
static void bears_noise(void)
{
    for (int64_t odd = 0; odd <= 4096; odd = odd > 0 ? 4 * odd : 1024) {
        struct machine m = {
            .call_ns = {1000, 12000}, .row_ns = {100, 5}, .noise = 0.2, .odd_rows = odd};
        struct apx_crossover found = measure(&m);
        CHECK(found.from_rows >= 110 && found.from_rows <= 122);
    }
    static const struct apx_crossover_point points[] = {
        {1, 10, 100},   {2, 120, 100}, {4, 40, 100},  {8, 80, 110},
        {16, 160, 100}, {32, 90, 100}, {64, 640, 100}};
    CHECK(apx_crossover_settle(points, 7) > 8 && apx_crossover_settle(points, 7) <= 16);
    CHECK_EQ(apx_crossover_settle(points, 1), -1);
    CHECK_EQ(apx_crossover_settle(points + 1, 1), 2); /* smaller batches: nothing is known */
    CHECK_EQ(apx_crossover_settle(points, 2), 2);
}

static void ends_where_the_gpu_does(void)
{
    struct machine m = {.call_ns = {1000, 12000}, .row_ns = {100, 5}, .most_rows = 1000};
    struct apx_crossover found = measure(&m);
    CHECK(found.from_rows >= 114 && found.from_rows <= 118);
    CHECK_EQ(found.points[found.point_count - 1].rows, 512);

    const struct apx_crossover_probe probe = {&m, call, NULL};
    struct apx_crossover_ladder ladder = {.rows = powers + 12, .count = 1, .budget_ns = 1};
    struct apx_error error = {0};
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, &error), APX_ENOMEM);
    CHECK_STR(error.message, "no memory");
    /* Other failures are failures. */
    m = (struct machine){.call_ns = {1000, 12000}, .failure = APX_EDEVICE, .fails_from = 3};
    ladder = (struct apx_crossover_ladder){.rows = powers, .count = 5, .budget_ns = 1};
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, &error), APX_EDEVICE);
    CHECK_STR(error.message, "broken");
}

static void spends_what_it_may(void)
{
    struct machine m = {.call_ns = {1000, 1000}, .row_ns = {1000, 10}};
    const struct apx_crossover_probe probe = {&m, call, NULL};
    struct apx_crossover_ladder ladder = {
        .rows = powers, .count = POWERS, .budget_ns = 1000000, .most_ns = 1000000};
    struct apx_crossover found;
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, NULL), APX_OK);
    CHECK_EQ(found.points[found.point_count - 1].rows, 1024); /* the first of over 1 ms */
    CHECK(m.calls[0] == m.calls[1] && m.calls[0] < 1600);
    /* Little time for a size is no reason to leave sizes out. */
    m = (struct machine){.call_ns = {1000, 1000}, .row_ns = {1000, 10}};
    ladder.budget_ns = 1;
    ladder.most_ns = 200000000;
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, NULL), APX_OK);
    CHECK_EQ(found.point_count, POWERS);
    CHECK_EQ(m.calls[0], 8u * POWERS);
    m = (struct machine){.call_ns = {1e9, 1e9}};
    ladder = (struct apx_crossover_ladder){.rows = powers, .count = 1, .budget_ns = 1000000};
    CHECK_EQ(apx_crossover_measure(&probe, &ladder, &found, NULL), APX_OK);
    CHECK_EQ(m.calls[0], 8); /* three to warm up, five that count */
}

/* What was measured and what lies beyond it. */
static void knows_its_ends(void)
{
    struct apx_crossover c = {.point_count = 4,
                              .points = {{8, 10, 20}, {16, 20, 20}, {32, 60, 20}, {64, 90, 20}}};
    c.from_rows = apx_crossover_settle(c.points, 4);
    CHECK(apx_crossover_edge(&c, 8) == NULL);
    CHECK(apx_crossover_edge(&c, 40) == NULL);
    CHECK(apx_crossover_edge(&c, 64) == NULL);
    CHECK(apx_crossover_edge(&c, 7) == &c.points[0]);
    CHECK(apx_crossover_edge(&c, 65) == &c.points[3]);
    c.points[3].cpu_ns = 19; /* out of line: the one before it agrees with the choice */
    c.from_rows = apx_crossover_settle(c.points, 4);
    CHECK(c.from_rows > 8 && c.from_rows <= 32);
    CHECK(apx_crossover_edge(&c, 65) == &c.points[2]);
}

/* A short run adds to a long one, and newer figures stand. */
static void merges(void)
{
    struct apx_crossover old = {.point_count = 5}, fresh = {.point_count = 2};
    for (int i = 0; i < 5; i++)
        old.points[i] = (struct apx_crossover_point){1 << i, 10 << i, 45};
    fresh.points[0] = (struct apx_crossover_point){3, 31, 46};
    fresh.points[1] = (struct apx_crossover_point){4, 500, 50};
    apx_crossover_merge(&fresh, &old);
    REQUIRE(fresh.point_count == 6);
    static const int64_t rows[] = {1, 2, 3, 4, 8, 16}, cpu[] = {10, 20, 31, 500, 80, 160};
    for (int i = 0; i < 6; i++)
        CHECK(fresh.points[i].rows == rows[i] && fresh.points[i].cpu_ns == cpu[i]);
    CHECK_EQ(fresh.from_rows, apx_crossover_settle(fresh.points, 6));
    CHECK_EQ(fresh.from_rows, 4);
    /* More than there is room for: new ones stay, and the ends. */
    old.point_count = fresh.point_count = APX_LIMIT_CROSSOVER_POINTS;
    for (int i = 0; i < APX_LIMIT_CROSSOVER_POINTS; i++) {
        old.points[i] = (struct apx_crossover_point){1 + 100 * i, 7, 7};
        fresh.points[i] = (struct apx_crossover_point){51 + 100 * i, 8, 9};
    }
    struct apx_crossover all = fresh;
    apx_crossover_merge(&all, &old);
    CHECK(memcmp(&all.points, &fresh.points, sizeof all.points) == 0 &&
          all.point_count == APX_LIMIT_CROSSOVER_POINTS);
    fresh.point_count = 20;
    apx_crossover_merge(&fresh, &old);
    CHECK_EQ(fresh.point_count, APX_LIMIT_CROSSOVER_POINTS);
    CHECK_EQ(fresh.points[0].rows, 1);
    CHECK_EQ(fresh.points[APX_LIMIT_CROSSOVER_POINTS - 1].rows, 6301);
    int fresh_ones = 0;
    for (int i = 0; i < fresh.point_count; i++) {
        CHECK(i == 0 || fresh.points[i].rows > fresh.points[i - 1].rows);
        fresh_ones += fresh.points[i].gpu_ns == 9;
    }
    CHECK_EQ(fresh_ones, 20);
}

int main(void)
{
    RUN(finds_where_lines_cross);
    RUN(one_side_always_wins);
    RUN(bears_noise);
    RUN(ends_where_the_gpu_does);
    RUN(spends_what_it_may);
    RUN(knows_its_ends);
    RUN(merges);
    return check_report();
}
