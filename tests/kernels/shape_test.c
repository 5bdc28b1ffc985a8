/* SPDX-License-Identifier: Apache-2.0 */
/* shape_test.c - broadcasting, strided copies, where and casts, against index arithmetic. */
#include <stdint.h>

#include "kernels/kernels.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

#define MOST 4096

/* Offset of operand j at the output's dense index `at`, computed the long way. */
static ptrdiff_t offset_of(const struct apx_nd *nd, int j, size_t at)
{
    ptrdiff_t offset = 0;
    for (int d = nd->rank - 1; d >= 0; d--) {
        offset += nd->stride[j][d] * (ptrdiff_t)(at % nd->extent[d]);
        at /= nd->extent[d];
    }
    return offset;
}

static size_t count_of(const struct apx_nd *nd)
{
    size_t count = 1;
    for (int d = 0; d < nd->rank; d++)
        count *= nd->extent[d];
    return count;
}

/* Random extents; operands dense with random axes broadcast, or permuted and stepped. */
static struct apx_nd random_walk(struct rng *rng, bool permute)
{
    struct apx_nd nd = {.rank = (int)rng_below(rng, 5)};
    for (int d = 0; d < nd.rank; d++)
        nd.extent[d] = rng_once(rng, 12) ? 0 : 1 + rng_below(rng, 5);
    for (int j = 0; j < 3; j++) {
        int order[APX_ND_RANK];
        for (int d = 0; d < nd.rank; d++)
            order[d] = d;
        for (int d = nd.rank - 1; permute && d > 0; d--) {
            int other = (int)rng_below(rng, (size_t)d + 1), swap = order[d];
            order[d] = order[other];
            order[other] = swap;
        }
        ptrdiff_t step = permute && rng_once(rng, 3) ? 2 : 1;
        for (int d = nd.rank - 1; d >= 0; d--) {
            const int axis = order[d];
            const bool broadcast = rng_once(rng, 4);
            nd.stride[j][axis] = broadcast ? 0 : step;
            step *= broadcast ? 1 : (ptrdiff_t)(nd.extent[axis] > 0 ? nd.extent[axis] : 1);
        }
    }
    return nd;
}

static float a[MOST], b[MOST], y[MOST];
static int64_t ai[MOST], bi[MOST], yi[MOST];
static uint8_t ab[MOST], bb[MOST], yb[MOST];

static void fill(struct rng *rng)
{
    for (size_t i = 0; i < MOST; i++) {
        a[i] = rng_once(rng, 9) ? NAN : 3.0f * rng_real(rng);
        b[i] = rng_once(rng, 9) ? a[i] : 3.0f * rng_real(rng);
        ai[i] = (int64_t)rng_below(rng, 19) - 9;
        bi[i] = (int64_t)rng_below(rng, 19) - 9;
        ab[i] = (uint8_t)rng_below(rng, 2);
        bb[i] = (uint8_t)rng_below(rng, 2);
    }
    ai[0] = INT64_MIN;
    bi[0] = -1;
    ai[1] = INT64_MAX;
    bi[1] = INT64_MAX;
}

static float expected_f32(enum apx_binary op, float p, float q)
{
    switch (op) {
    case APX_BINARY_ADD:
        return p + q;
    case APX_BINARY_SUB:
        return p - q;
    case APX_BINARY_MUL:
        return p * q;
    case APX_BINARY_DIV:
        return p / q;
    case APX_BINARY_POW:
        return powf(p, q);
    case APX_BINARY_MIN:
        return isnan(p) || isnan(q) ? NAN : fminf(p, q);
    case APX_BINARY_MAX:
        return isnan(p) || isnan(q) ? NAN : fmaxf(p, q);
    case APX_BINARY_MOD:
        return fmodf(p, q);
    case APX_BINARY_PRELU:
        return p < 0.0f ? p * q : p;
    case APX_BINARY_COUNT:
        break;
    }
    return 0.0f;
}

static void binary_f32_broadcasts(void)
{
    struct rng rng = {11};
    for (int trial = 0; trial < 400; trial++) {
        fill(&rng);
        const struct apx_nd nd = random_walk(&rng, rng_once(&rng, 2));
        const enum apx_binary op = (enum apx_binary)(trial % APX_BINARY_COUNT);
        const size_t count = count_of(&nd);
        y[count] = 77.0f;
        apx_binary_f32(op, &nd, a, b, y);
        for (size_t i = 0; i < count; i++) {
            const float want = expected_f32(op, a[offset_of(&nd, 0, i)], b[offset_of(&nd, 1, i)]);
            CHECK(y[i] == want || (isnan(y[i]) && isnan(want)));
        }
        CHECK(y[count] == 77.0f);
    }
}

/* Floor of the quotient decides ONNX's Mod for integers. */
static int64_t floor_mod(int64_t p, int64_t q)
{
    const int64_t r = (int64_t)((__int128)p % q);
    return r != 0 && ((r < 0) != (q < 0)) ? r + q : r;
}

static void binary_i64_broadcasts(void)
{
    static const enum apx_binary ops[] = {APX_BINARY_ADD, APX_BINARY_SUB, APX_BINARY_MUL,
                                          APX_BINARY_DIV, APX_BINARY_MIN, APX_BINARY_MAX,
                                          APX_BINARY_MOD};
    struct rng rng = {12};
    for (int trial = 0; trial < 400; trial++) {
        fill(&rng);
        const struct apx_nd nd = random_walk(&rng, rng_once(&rng, 2));
        const enum apx_binary op = ops[trial % 7];
        apx_binary_i64(op, &nd, ai, bi, yi);
        for (size_t i = 0; i < count_of(&nd); i++) {
            const int64_t p = ai[offset_of(&nd, 0, i)], q = bi[offset_of(&nd, 1, i)];
            __int128 want = 0;
            if (op == APX_BINARY_ADD)
                want = (__int128)p + q;
            else if (op == APX_BINARY_SUB)
                want = (__int128)p - q;
            else if (op == APX_BINARY_MUL)
                want = (__int128)p * q;
            else if (op == APX_BINARY_MIN)
                want = p < q ? p : q;
            else if (op == APX_BINARY_MAX)
                want = p > q ? p : q;
            else if (q != 0)
                want = op == APX_BINARY_DIV ? (__int128)p / q : (__int128)floor_mod(p, q);
            CHECK(yi[i] == (int64_t)(uint64_t)want);
        }
    }
}

/* A product of q factors, one after the other; fractions are cut toward zero. */
static int64_t slow_power(int64_t p, int64_t q)
{
    uint64_t product = 1;
    if (q < 0)
        return p == 0 ? 0 : (int64_t)pow((double)p, (double)q);
    for (int64_t i = 0; i < q; i++)
        product *= (uint64_t)p;
    return (int64_t)product;
}

static void integer_powers_are_exact_and_wrap(void)
{
    struct rng rng = {21};
    for (int trial = 0; trial < 100; trial++) {
        fill(&rng);
        bi[1] = 63;
        const struct apx_nd nd = random_walk(&rng, rng_once(&rng, 2));
        apx_binary_i64(APX_BINARY_POW, &nd, ai, bi, yi);
        for (size_t i = 0; i < count_of(&nd); i++)
            CHECK(yi[i] == slow_power(ai[offset_of(&nd, 0, i)], bi[offset_of(&nd, 1, i)]));
    }
}

static void comparisons_and_logic_broadcast(void)
{
    struct rng rng = {13};
    for (int trial = 0; trial < 300; trial++) {
        fill(&rng);
        const struct apx_nd nd = random_walk(&rng, rng_once(&rng, 2));
        const enum apx_compare op = (enum apx_compare)(trial % 5);
        apx_compare_f32(op, &nd, a, b, yb);
        for (size_t i = 0; i < count_of(&nd); i++) {
            const float p = a[offset_of(&nd, 0, i)], q = b[offset_of(&nd, 1, i)];
            const int want[] = {p == q, p<q, p <= q, p> q, p >= q};
            CHECK_EQ(yb[i], want[op]);
        }
        apx_compare_i64(op, &nd, ai, bi, yb);
        for (size_t i = 0; i < count_of(&nd); i++) {
            const int64_t p = ai[offset_of(&nd, 0, i)], q = bi[offset_of(&nd, 1, i)];
            const int want[] = {p == q, p<q, p <= q, p> q, p >= q};
            CHECK_EQ(yb[i], want[op]);
        }
        const enum apx_logic logic = (enum apx_logic)(trial % 3);
        apx_logic_bool(logic, &nd, ab, bb, yb);
        for (size_t i = 0; i < count_of(&nd); i++) {
            const int p = ab[offset_of(&nd, 0, i)], q = bb[offset_of(&nd, 1, i)];
            const int want[] = {p && q, p || q, p != q};
            CHECK_EQ(yb[i], want[logic]);
        }
    }
}

static void where_chooses(void)
{
    struct rng rng = {14};
    for (int trial = 0; trial < 300; trial++) {
        fill(&rng);
        const struct apx_nd nd = random_walk(&rng, rng_once(&rng, 2));
        apx_where(&nd, 8, ab, ai, bi, yi);
        for (size_t i = 0; i < count_of(&nd); i++)
            CHECK(yi[i] ==
                  (ab[offset_of(&nd, 0, i)] ? ai[offset_of(&nd, 1, i)] : bi[offset_of(&nd, 2, i)]));
        apx_where(&nd, 4, ab, a, b, y);
        for (size_t i = 0; i < count_of(&nd); i++)
            CHECK(memcmp(&y[i],
                         ab[offset_of(&nd, 0, i)] ? &a[offset_of(&nd, 1, i)]
                                                  : &b[offset_of(&nd, 2, i)],
                         sizeof y[i]) == 0);
        apx_where(&nd, 1, ab, bb, ab, yb);
        for (size_t i = 0; i < count_of(&nd); i++)
            CHECK(yb[i] ==
                  (ab[offset_of(&nd, 0, i)] ? bb[offset_of(&nd, 1, i)] : ab[offset_of(&nd, 2, i)]));
    }
}

static void copies_walk(void)
{
    struct rng rng = {15};
    for (int trial = 0; trial < 400; trial++) {
        fill(&rng);
        const struct apx_nd nd = random_walk(&rng, true);
        apx_copy_nd(&nd, 8, ai, yi);
        apx_copy_nd(&nd, 4, a, y);
        apx_copy_nd(&nd, 1, ab, yb);
        for (size_t i = 0; i < count_of(&nd); i++) {
            const ptrdiff_t at = offset_of(&nd, 0, i);
            CHECK(yi[i] == ai[at] && yb[i] == ab[at] && memcmp(&y[i], &a[at], sizeof y[i]) == 0);
        }
    }
    /* backwards: slices may step down */
    const struct apx_nd down = {.rank = 2, .extent = {3, 4}, .stride = {{-4, -1}}};
    apx_copy_nd(&down, 8, ai + 11, yi);
    for (int i = 0; i < 12; i++)
        CHECK(yi[i] == ai[11 - i]);
}

static void casts_saturate(void)
{
    enum { F32 = 1, F64, I32, I64, BOOL, U8, I8 };
    const float f[] = {0.0f, -0.9f, 1.9f,  -1.9f,  300.0f, -300.0f,
                       3e9f, -3e9f, 1e30f, -1e30f, NAN,    INFINITY};
    enum { COUNT = sizeof f / sizeof f[0] };
    int32_t i32[COUNT];
    apx_cast(COUNT, F32, f, I32, i32);
    const int32_t want32[COUNT] = {0,         0,         1,         -1,        300, -300,
                                   INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0,   INT32_MAX};
    CHECK(memcmp(i32, want32, sizeof i32) == 0);
    int64_t i64[COUNT];
    apx_cast(COUNT, F32, f, I64, i64);
    const int64_t want64[COUNT] = {
        0, 0, 1, -1, 300, -300, 3000000000LL, -3000000000LL, INT64_MAX, INT64_MIN, 0, INT64_MAX};
    CHECK(memcmp(i64, want64, sizeof i64) == 0);
    uint8_t u8[COUNT];
    apx_cast(COUNT, F32, f, U8, u8);
    const uint8_t want8[COUNT] = {0, 0, 1, 0, 255, 0, 255, 0, 255, 0, 0, 255};
    CHECK(memcmp(u8, want8, sizeof u8) == 0);
    int8_t i8[COUNT];
    apx_cast(COUNT, F32, f, I8, i8);
    const int8_t want_i8[COUNT] = {0, 0, 1, -1, 127, -128, 127, -128, 127, -128, 0, 127};
    CHECK(memcmp(i8, want_i8, sizeof i8) == 0);
    uint8_t truth[COUNT];
    apx_cast(COUNT, F32, f, BOOL, truth);
    const uint8_t want_bool[COUNT] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    CHECK(memcmp(truth, want_bool, sizeof truth) == 0);

    const int64_t big[] = {INT64_MAX, INT64_MIN, (1LL << 53) + 1, 257, -1};
    int64_t same[5];
    apx_cast(5, I64, big, I64, same);
    CHECK(memcmp(same, big, sizeof same) == 0); /* never through a float */
    int32_t narrow[5];
    apx_cast(5, I64, big, I32, narrow);
    CHECK(narrow[0] == -1 && narrow[1] == 0 && narrow[2] == 1 && narrow[3] == 257 &&
          narrow[4] == -1);
    apx_cast(5, I64, big, U8, u8);
    CHECK(u8[3] == 1 && u8[4] == 255);
    double f64[5];
    apx_cast(5, I64, big, F64, f64);
    CHECK(f64[0] == 0x1p63 && f64[3] == 257.0);
    float f32[5];
    apx_cast(5, F64, f64, F32, f32);
    CHECK(f32[0] == 0x1p63f && f32[4] == -1.0f);
    const uint8_t flags[] = {0, 1, 2};
    apx_cast(3, BOOL, flags, F32, f32);
    CHECK(f32[0] == 0.0f && f32[1] == 1.0f && f32[2] == 1.0f);
    apx_cast(3, U8, flags, I8, i8);
    CHECK(i8[2] == 2);
    const int8_t minus[] = {-128};
    apx_cast(1, I8, minus, F32, f32);
    CHECK(f32[0] == -128.0f);
}

int main(void)
{
    RUN(binary_f32_broadcasts);
    RUN(binary_i64_broadcasts);
    RUN(integer_powers_are_exact_and_wrap);
    RUN(comparisons_and_logic_broadcast);
    RUN(where_chooses);
    RUN(copies_walk);
    RUN(casts_saturate);
    return check_report();
}
