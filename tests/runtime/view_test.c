/* SPDX-License-Identifier: Apache-2.0 */
/* Views with symbolic extents against index arithmetic on the numbers. Symbols: b = 5, t = 3. */
#include "runtime/plan/view.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

static const int64_t symbols[APX_MAX_SYMBOLS] = {5, 3};

/* b, t, or a number */
static struct apx_dim dim(char c)
{
    return c == 'b' ? apx_dim_symbol(0) : c == 't' ? apx_dim_symbol(1) : apx_dim_constant(c - '0');
}

static struct apx_view dense(const char *extents)
{
    struct apx_view view = {.dtype = APX_F32, .rank = (int)strlen(extents)};
    for (int i = 0; i < view.rank; i++)
        view.extent[i] = dim(extents[i]);
    apx_view_make_dense(&view, NULL);
    return view;
}

/* The view's elements in row-major order, as places in storage. */
static size_t list(const struct apx_view *view, int64_t *places)
{
    struct apx_bound bound;
    REQUIRE(apx_view_bind(view, symbols, &bound));
    size_t count = (size_t)apx_bound_count(&bound);
    for (size_t i = 0; i < count; i++) {
        int64_t place = bound.offset, rest = (int64_t)i;
        for (int d = bound.rank - 1; d >= 0; d--) {
            place += rest % bound.extent[d] * bound.stride[d];
            rest /= bound.extent[d];
        }
        places[i] = place;
    }
    return count;
}

static void counts_without_overflow(void)
{
    struct apx_bound bound = {.rank = 3, .extent = {1LL << 40, 1LL << 40, 5}};
    CHECK_EQ(apx_bound_count(&bound), INT64_MAX);
    bound.extent[2] = 0;
    CHECK_EQ(apx_bound_count(&bound), 0);
    bound.rank = 1;
    CHECK_EQ(apx_bound_count(&bound), 1LL << 40);
    bound.rank = 0;
    CHECK_EQ(apx_bound_count(&bound), 1);
}

static void knows_storage_order(void)
{
    struct apx_view view = dense("bt41"), turned;
    int order[APX_MAX_RANK], perm[4] = {2, 0, 3, 1};
    CHECK(apx_view_order(&view, order));
    CHECK(apx_view_is_standard(&view));
    CHECK(order[0] == 0 && order[1] == 1 && order[2] == 2 && order[3] == 3);
    apx_view_transpose(&view, perm, &turned); /* 4,b,1,t */
    CHECK(!apx_view_is_standard(&turned));
    CHECK(apx_view_order(&turned, order));
    struct apx_view again = turned;
    apx_view_make_dense(&again, order);
    for (int i = 0; i < 4; i++)
        CHECK(apx_dim_is_one(&turned.extent[i]) ||
              apx_dim_equal(&again.stride[i], &turned.stride[i]));
    struct apx_dim start = apx_dim_constant(1), two = apx_dim_constant(2);
    apx_view_slice(&turned, 0, &start, 1, &two);
    CHECK(!apx_view_order(&turned, order)); /* holes */
}

/* Reshapes of every transposition: if a view is given, it holds the same elements in the same
 * order; and those that need no copy are found. */
static void reshapes(void)
{
    static const struct {
        const char *from, *to;
        int perm[4];
        bool is_view;
    } cases[] = {
        {"bt4", "bt22", {0, 1, 2}, true},    {"bt4", "tb22", {1, 0, 2}, true},
        {"bt42", "bt8", {0, 1, 2, 3}, true}, {"bt42", "tb8", {1, 0, 2, 3}, true},
        {"b6", "3b2", {1, 0}, false},        {"tb4", "bt41", {1, 0, 2}, true},
        {"1bt4", "bt4", {0, 1, 2, 3}, true}, {"bt12", "bt2", {0, 1, 2, 3}, true},
        {"b42", "b8", {0, 2, 1}, false},     {"b62", "b223", {0, 2, 1}, true},
        {"b62", "b34", {0, 2, 1}, false},    {"b62", "b223", {0, 1, 2}, true},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct apx_view view = dense(cases[k].from), turned, out, target = dense(cases[k].to);
        int64_t a[512], c[512];
        apx_view_transpose(&view, cases[k].perm, &turned);
        bool is_view = apx_view_reshape(&turned, target.rank, target.extent, &out);
        if (!CHECK(is_view == cases[k].is_view))
            fprintf(stderr, "    %s to %s\n", cases[k].from, cases[k].to);
        if (!is_view)
            continue;
        size_t count = list(&turned, a);
        CHECK_EQ(list(&out, c), count);
        CHECK(memcmp(a, c, count * sizeof a[0]) == 0);
    }
}

/* Chains of random views against the same chain on a table of places. */
static void follows_random_chains(void)
{
    struct rng rng = {7};
    for (int round = 0; round < 2000; round++) {
        struct apx_view view = dense("bt46");
        for (int k = 0; k < 4; k++) {
            int64_t before[512], after[512];
            struct apx_bound bound;
            struct apx_view next = view;
            size_t count = list(&view, before);
            REQUIRE(apx_view_bind(&view, symbols, &bound));
            int axis = (int)rng_below(&rng, (size_t)view.rank), other = 0;
            int64_t start = 0, step = 1;
            bool is_slice = rng_once(&rng, 2);
            if (is_slice) {
                int64_t extent;
                if (!apx_dim_is_constant(&view.extent[axis], &extent) || extent < 2)
                    continue;
                bool is_reverse = rng_once(&rng, 2);
                start = is_reverse ? extent - 1 : 1;
                step = is_reverse ? -1 : 1;
                struct apx_dim from = apx_dim_constant(start),
                               size = apx_dim_constant(is_reverse ? extent : extent - 1);
                apx_view_slice(&next, axis, &from, step, &size);
            } else {
                int perm[APX_MAX_RANK];
                other = (int)rng_below(&rng, (size_t)view.rank);
                for (int d = 0; d < view.rank; d++)
                    perm[d] = d == axis ? other : d == other ? axis : d;
                apx_view_transpose(&view, perm, &next);
            }
            size_t after_count = list(&next, after);
            for (size_t i = 0; i < after_count; i++) {
                /* index of element i, undone to an index of the view before */
                int64_t at[APX_MAX_RANK], rest = (int64_t)i, from = 0;
                for (int d = next.rank - 1; d >= 0; d--) {
                    int64_t extent;
                    REQUIRE(apx_dim_evaluate(&next.extent[d], symbols, &extent));
                    at[d] = rest % extent;
                    rest /= extent;
                }
                if (is_slice) {
                    at[axis] = start + step * at[axis];
                } else {
                    int64_t swap = at[axis];
                    at[axis] = at[other];
                    at[other] = swap;
                }
                for (int d = 0; d < view.rank; d++)
                    from = from * bound.extent[d] + at[d];
                CHECK((size_t)from < count && before[from] == after[i]);
            }
            view = next;
        }
    }
}

static void expands(void)
{
    struct apx_view view = dense("b14"), target = dense("2bt4"), out;
    int64_t places[512];
    apx_view_expand(&view, target.rank, target.extent, &out);
    size_t count = list(&out, places);
    CHECK_EQ(count, 2 * 5 * 3 * 4);
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(places[i], (i / 12 % 5) * 4 + i % 4);
}

static void refuses_impossible_extents(void)
{
    struct apx_view view = dense("bt");
    struct apx_bound bound;
    struct apx_dim start = apx_dim_constant(4), size = apx_dim_subtract(&view.extent[1], &start);
    apx_view_slice(&view, 1, &start, 1, &size); /* t - 4 */
    CHECK(!apx_view_bind(&view, symbols, &bound));
    view.extent[1] = apx_dim_unknown();
    CHECK(!apx_view_bind(&view, symbols, &bound));
}

int main(void)
{
    RUN(counts_without_overflow);
    RUN(knows_storage_order);
    RUN(reshapes);
    RUN(follows_random_chains);
    RUN(expands);
    RUN(refuses_impossible_extents);
    return check_report();
}
