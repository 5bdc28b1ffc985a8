/* SPDX-License-Identifier: Apache-2.0 */
/* elementwise_cuda_test.c - elementwise operations and reductions of the CUDA kernels, emulated,
 * against the processor's, bit for bit: the emulator's C library is the processor's. */
#include "kernels/cuda/cuda_rows.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { MOST = 6000 };
static float a[MOST], b[MOST], y[MOST], z[MOST];
static uint8_t ab[8 * MOST], bb[8 * MOST], yb[8 * MOST], zb[8 * MOST];

/* Ordinary values, and some that are not. */
static float draw(struct rng *rng)
{
    static const float odd[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -2.5f, 1e30f, -1e30f, 1e-40f};
    if (rng_once(rng, 20))
        return rng_once(rng, 2) ? NAN : rng_once(rng, 2) ? INFINITY : -INFINITY;
    if (rng_once(rng, 8))
        return odd[rng_below(rng, sizeof odd / sizeof odd[0])];
    return 6.0f * rng_real(rng);
}

static void fill(struct rng *rng)
{
    for (size_t i = 0; i < MOST; i++) {
        a[i] = draw(rng);
        b[i] = draw(rng);
    }
    for (size_t i = 0; i < sizeof ab; i++) {
        ab[i] = rng_once(rng, 2) ? 0 : (uint8_t)rng_below(rng, 256);
        bb[i] = rng_once(rng, 2) ? 0 : (uint8_t)rng_below(rng, 256);
    }
    memset(y, 0xff, sizeof y);
    memset(z, 0xff, sizeof z);
    memset(yb, 0xff, sizeof yb);
    memset(zb, 0xff, sizeof zb);
}

static bool same(size_t count, const float *actual, const float *expected)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&actual[i], &expected[i], sizeof(float)) != 0 &&
            !(isnan(actual[i]) && isnan(expected[i]))) {
            fprintf(stderr, "    [%zu] %a, expected %a\n", i, (double)actual[i],
                    (double)expected[i]);
            return false;
        }
    return true;
}

/* An output of up to four extents; operands permuted, broadcast, stepped. */
static struct apx_nd random_walk(struct rng *rng, size_t *count)
{
    struct apx_nd nd = {.rank = (int)rng_below(rng, 5)};
    *count = 1;
    for (int d = 0; d < nd.rank; d++) {
        nd.extent[d] = 1 + rng_below(rng, 7);
        *count *= nd.extent[d];
    }
    for (int j = 0; j < 3; j++) {
        const bool permuted = rng_once(rng, 2);
        ptrdiff_t step = rng_once(rng, 3) ? 2 : 1;
        for (int i = 0; i < nd.rank; i++) {
            const int d = permuted ? i : nd.rank - 1 - i;
            const bool broadcast = rng_once(rng, 4);
            nd.stride[j][d] = broadcast ? 0 : step;
            step *= broadcast ? 1 : (ptrdiff_t)nd.extent[d];
        }
    }
    return nd;
}

static void unary(void)
{
    struct rng rng = {1};
    for (int op = 0; op < APX_UNARY_COUNT; op++) {
        const size_t count = 1 + rng_below(&rng, 600);
        fill(&rng);
        const apx_unary_fn expected = apx_unary_select(0, (enum apx_unary)op, NULL);
        expected(count, a, z, 0.75f, 1.25f);
        CHECK_EQ(apx_cuda_ops()->unary((enum apx_unary)op, count, a, y, 0.75f, 1.25f, NULL), 0);
        if (!CHECK(same(MOST, y, z)))
            fprintf(stderr, "    operation %d\n", op);
    }
}

static void two_operands(void)
{
    struct rng rng = {2};
    for (int trial = 0; trial < 200; trial++) {
        size_t count;
        const struct apx_nd nd = random_walk(&rng, &count);
        fill(&rng);
        const enum apx_binary op = (enum apx_binary)(trial % APX_BINARY_COUNT);
        apx_binary_f32(op, &nd, a, b, z);
        CHECK_EQ(apx_cuda_ops()->binary(op, &nd, a, b, y, NULL), 0);
        CHECK(same(MOST, y, z));
        const enum apx_compare relation = (enum apx_compare)(trial % (APX_COMPARE_GE + 1));
        apx_compare_f32(relation, &nd, a, trial % 2 == 0 ? a : b, zb);
        CHECK_EQ(apx_cuda_ops()->compare(relation, &nd, a, trial % 2 == 0 ? a : b, yb, NULL), 0);
        CHECK(memcmp(yb, zb, sizeof yb) == 0);
        const enum apx_logic word = (enum apx_logic)(trial % (APX_LOGIC_XOR + 1));
        apx_logic_bool(word, &nd, ab, bb, zb);
        CHECK_EQ(apx_cuda_ops()->logic(word, &nd, ab, bb, yb, NULL), 0);
        CHECK(memcmp(yb, zb, sizeof yb) == 0);
    }
}

static void moves(void)
{
    static const size_t widths[] = {1, 4, 8};
    struct rng rng = {3};
    for (int trial = 0; trial < 200; trial++) {
        size_t count;
        struct apx_nd nd = random_walk(&rng, &count);
        const size_t width = widths[trial % 3];
        fill(&rng);
        apx_where(&nd, width, ab, a, b, zb);
        CHECK_EQ(apx_cuda_ops()->where(&nd, width, ab, a, b, yb, NULL), 0);
        CHECK(memcmp(yb, zb, sizeof yb) == 0);
        /* A dense output written in another order of its axes, and read back. */
        ptrdiff_t step = 1;
        for (int d = 0; d < nd.rank; d++) {
            nd.stride[1][d] = step;
            step *= (ptrdiff_t)nd.extent[d];
        }
        CHECK_EQ(apx_cuda_ops()->copy(&nd, width, ab, yb, NULL), 0);
        struct apx_nd back = nd;
        memcpy(back.stride[0], nd.stride[1], sizeof back.stride[0]);
        apx_copy_nd(&nd, width, ab, zb);
        static uint8_t again[8 * MOST];
        memset(again, 0xff, sizeof again);
        apx_copy_nd(&back, width, yb, again);
        CHECK(memcmp(again, zb, count * width) == 0);
        for (size_t i = count * width; i < sizeof yb; i++)
            if (yb[i] != 0xff) {
                CHECK(!"writes beyond the output");
                break;
            }
    }
}

static void casts(void)
{
    struct rng rng = {4};
    for (int from = 1; from <= 7; from++)
        for (int to = 1; to <= 7; to++) {
            fill(&rng);
            const void *x = from == 1 ? (const void *)a : ab;
            apx_cast(300, from, x, to, zb);
            CHECK_EQ(apx_cuda_ops()->cast(300, from, x, to, yb, NULL), 0);
            if (!CHECK(memcmp(yb, zb, sizeof yb) == 0))
                fprintf(stderr, "    from %d to %d\n", from, to);
        }
}

static void over_an_extent(void)
{
    struct rng rng = {5};
    for (int trial = 0; trial < 120; trial++) {
        const size_t outer = 1 + rng_below(&rng, 5), inner = 1 + rng_below(&rng, 70);
        const size_t k = 1 + rng_below(&rng, 12);
        const bool flag = rng_once(&rng, 2);
        fill(&rng);
        apx_softmax_f32(flag, outer, k, inner, a, z);
        CHECK_EQ(apx_cuda_ops()->softmax(flag, outer, k, inner, a, y, NULL), 0);
        CHECK(same(MOST, y, z));
        const enum apx_reduce op = (enum apx_reduce)(trial % (APX_REDUCE_ARGMIN + 1));
        apx_reduce_f32(op, flag, outer, k, inner, a, zb);
        CHECK_EQ(apx_cuda_ops()->reduce(op, flag, outer, k, inner, a, yb, NULL), 0);
        const bool places = op == APX_REDUCE_ARGMAX || op == APX_REDUCE_ARGMIN;
        memcpy(y, yb, outer * inner * sizeof(float));
        memcpy(z, zb, outer * inner * sizeof(float));
        if (!CHECK(places ? memcmp(yb, zb, sizeof yb) == 0 : same(outer * inner, y, z)))
            fprintf(stderr, "    reduction %d\n", op);
    }
}

int main(void)
{
    RUN(unary);
    RUN(two_operands);
    RUN(moves);
    RUN(casts);
    RUN(over_an_extent);
    return check_report();
}
