/* SPDX-License-Identifier: Apache-2.0 */
/* row_order_test.c - places by counting who is longer, and steps by going through the tiles. */
#include "runtime/device/row_order.h"

#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { TILE = 16, MOST_ROWS = 200, MOST_STEPS = 40, MOST = MOST_ROWS + MOST_STEPS + 1 };

static struct rng rng = {19};

static int64_t inside(int64_t length, int64_t steps)
{
    return length < 0 ? 0 : length > steps ? steps : length;
}

/* Steps of all tiles for rows that lie like this. */
static int64_t steps_of(const int64_t *lengths, int64_t rows)
{
    int64_t sum = 0;
    for (int64_t n = 0; n < rows; n += TILE) {
        int64_t longest = 0;
        for (int64_t k = n; k < n + TILE && k < rows; k++)
            longest = lengths[k] > longest ? lengths[k] : longest;
        sum += longest;
    }
    return sum;
}

static double check(const int64_t *lengths, int64_t rows, int64_t steps)
{
    int32_t room[MOST + 1], narrow[MOST_ROWS], again[MOST];
    int64_t given[MOST_ROWS], ordered[MOST_ROWS];
    room[rows + steps + 1] = 77;
    const double saved = apx_row_order(lengths, APX_I64, rows, steps, room);
    CHECK_EQ(room[rows + steps + 1], 77);
    for (int64_t n = 0; n < rows; n++) {
        int64_t before = 0;
        given[n] = inside(lengths[n], steps);
        narrow[n] = (int32_t)lengths[n];
        for (int64_t m = 0; m < rows; m++) {
            const int64_t other = inside(lengths[m], steps);
            before += other > given[n] || (other == given[n] && m < n);
        }
        CHECK_EQ(room[n], before);
        ordered[before] = given[n];
    }
    const int64_t all = (rows + TILE - 1) / TILE * steps;
    const int64_t less = steps_of(given, rows) - steps_of(ordered, rows);
    CHECK(less >= 0);
    CHECK(saved == (all > 0 ? (double)less / (double)all : 0));
    CHECK(apx_row_order(narrow, APX_I32, rows, steps, again) == saved);
    CHECK(memcmp(room, again, (size_t)rows * sizeof *room) == 0);
    return saved;
}

static void random_lengths(void)
{
    for (int i = 0; i < 2000; i++) {
        int64_t lengths[MOST_ROWS], steps = (int64_t)rng_below(&rng, MOST_STEPS + 1);
        const int64_t rows = (int64_t)rng_below(&rng, MOST_ROWS + 1);
        const size_t kinds = 1 + rng_below(&rng, (size_t)steps + 3); /* few: many of one length */
        for (int64_t n = 0; n < rows; n++)
            lengths[n] = (int64_t)rng_below(&rng, kinds) - (int64_t)rng_below(&rng, 2);
        check(lengths, rows, steps);
    }
}

/* What is not worth it is told as 0, exactly. */
static void nothing_to_save(void)
{
    int64_t lengths[MOST_ROWS];
    for (int64_t n = 0; n < MOST_ROWS; n++)
        lengths[n] = 7;
    CHECK(check(lengths, MOST_ROWS, 9) == 0);
    for (int64_t n = 0; n < MOST_ROWS; n++)
        lengths[n] = (MOST_ROWS - n) / 6;
    CHECK(check(lengths, MOST_ROWS, MOST_STEPS) == 0);
    for (int64_t n = 0; n < MOST_ROWS; n++)
        lengths[n] = n % 5;
    CHECK(check(lengths, TILE, 5) == 0);
    CHECK(check(lengths, 1, 5) == 0);
    CHECK(check(lengths, 0, 5) == 0);
    CHECK(check(lengths, MOST_ROWS, 0) == 0);
    CHECK(check(lengths, 2 * TILE, 5) > 0);
}

static void lengths_out_of_range(void)
{
    int64_t lengths[MOST_ROWS];
    for (int64_t n = 0; n < MOST_ROWS; n++)
        lengths[n] = n % 3 == 0 ? INT32_MIN : n % 3 == 1 ? INT32_MAX : 2;
    CHECK(check(lengths, MOST_ROWS, 4) > 0);
    int32_t room[3 + 4 + 1];
    const int64_t far[3] = {INT64_MIN, 3, INT64_MAX};
    apx_row_order(far, APX_I64, 3, 4, room);
    CHECK(room[0] == 2 && room[1] == 1 && room[2] == 0);
}

/* One long row in each tile: all but nothing is left of the others' waiting. */
static void few_long_rows(void)
{
    int64_t lengths[MOST_ROWS] = {0};
    for (int64_t n = 5; n < 10 * TILE; n += TILE)
        lengths[n] = 40;
    CHECK(check(lengths, 10 * TILE, 40) == 0.9);
}

int main(void)
{
    RUN(random_lengths);
    RUN(nothing_to_save);
    RUN(lengths_out_of_range);
    RUN(few_long_rows);
    return check_report();
}
