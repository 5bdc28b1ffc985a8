/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_test.c - reductions, softmax, layer normalisation and unpacked products against float64.
 */
#include <stdint.h>

#include "kernels/kernels.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

#define MOST 20000
static float x[MOST], w[MOST], y[MOST], z[MOST];
static int64_t where[MOST];

static void fill(struct rng *rng, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = 3.0f * rng_real(rng);
}

static double reduced(enum apx_reduce op, size_t k, size_t inner, const float *from)
{
    double sum = 0.0, product = 1.0, l1 = 0.0, squares = 0.0, exps = 0.0;
    double most = -INFINITY, least = INFINITY;
    for (size_t i = 0; i < k; i++) {
        const double v = (double)from[i * inner];
        sum += v;
        product *= v;
        l1 += fabs(v);
        squares += v * v;
        exps += exp(v);
        most = fmax(most, v);
        least = fmin(least, v);
    }
    switch (op) {
    case APX_REDUCE_SUM:
        return sum;
    case APX_REDUCE_MEAN:
        return sum / (double)k;
    case APX_REDUCE_MAX:
        return most;
    case APX_REDUCE_MIN:
        return least;
    case APX_REDUCE_PROD:
        return product;
    case APX_REDUCE_L1:
        return l1;
    case APX_REDUCE_L2:
        return sqrt(squares);
    case APX_REDUCE_SUM_SQUARE:
        return squares;
    case APX_REDUCE_LOG_SUM_EXP:
        return log(exps);
    case APX_REDUCE_LOG_SUM:
        return log(sum);
    case APX_REDUCE_ARGMAX:
    case APX_REDUCE_ARGMIN:
        break;
    }
    return NAN;
}

static void reductions_agree_with_float64(void)
{
    struct rng rng = {21};
    for (int trial = 0; trial < 330; trial++) {
        const size_t outer = rng_below(&rng, 4), k = rng_size(&rng, 0, 8, 40);
        const size_t inner = rng_once(&rng, 2) ? 1 : rng_size(&rng, 1, 64, 100);
        const enum apx_reduce op = (enum apx_reduce)(trial % APX_REDUCE_ARGMAX);
        fill(&rng, x, outer * k * inner);
        apx_reduce_f32(op, false, outer, k, inner, x, y);
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++) {
                const double want = reduced(op, k, inner, x + o * k * inner + i);
                CHECK_NEAR(y[o * inner + i], want, 1e-6 * fmax(1.0, fabs(want)));
            }
    }
}

static void empty_reductions_are_as_documented(void)
{
    const float want[] = {0.0f, NAN,  -INFINITY, INFINITY,  1.0f,
                          0.0f, 0.0f, 0.0f,      -INFINITY, -INFINITY};
    for (int op = 0; op < APX_REDUCE_ARGMAX; op++) {
        apx_reduce_f32((enum apx_reduce)op, false, 1, 0, 1, x, y);
        CHECK_NEAR(y[0], want[op], 0.0);
    }
}

static void extremes_keep_nan_and_infinity(void)
{
    const float nan_inside[] = {1.0f, NAN, 3.0f}, infinite[] = {1.0f, INFINITY, -INFINITY};
    const float all_low[] = {-INFINITY, -INFINITY};
    apx_reduce_f32(APX_REDUCE_MAX, false, 1, 3, 1, nan_inside, y);
    CHECK(isnan(y[0]));
    apx_reduce_f32(APX_REDUCE_MIN, false, 1, 3, 1, nan_inside, y);
    CHECK(isnan(y[0]));
    apx_reduce_f32(APX_REDUCE_LOG_SUM_EXP, false, 1, 3, 1, infinite, y);
    CHECK(y[0] == INFINITY);
    apx_reduce_f32(APX_REDUCE_LOG_SUM_EXP, false, 1, 2, 1, all_low, y);
    CHECK(y[0] == -INFINITY);
    const float large[] = {1000.0f, 1000.0f};
    apx_reduce_f32(APX_REDUCE_LOG_SUM_EXP, false, 1, 2, 1, large, y);
    CHECK_NEAR(y[0], 1000.0 + log(2.0), 1e-4);
}

static void arguments_are_found(void)
{
    struct rng rng = {22};
    for (int trial = 0; trial < 200; trial++) {
        const size_t outer = rng_below(&rng, 4), k = 1 + rng_below(&rng, 9);
        const size_t inner = rng_size(&rng, 1, 64, 70);
        const bool last = rng_once(&rng, 2), most = rng_once(&rng, 2);
        for (size_t i = 0; i < outer * k * inner; i++)
            x[i] = (float)rng_below(&rng, 4); /* many equals */
        apx_reduce_f32(most ? APX_REDUCE_ARGMAX : APX_REDUCE_ARGMIN, last, outer, k, inner, x,
                       where);
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++) {
                const float *column = x + o * k * inner + i;
                const size_t at = (size_t)where[o * inner + i];
                REQUIRE(at < k);
                for (size_t j = 0; j < k; j++) {
                    const float v = most ? column[j * inner] : -column[j * inner];
                    const float best = most ? column[at * inner] : -column[at * inner];
                    CHECK(v < best || (v == best && (last ? j <= at : j >= at)));
                }
            }
    }
}

static void softmax_agrees_with_float64(void)
{
    struct rng rng = {23};
    for (int trial = 0; trial < 200; trial++) {
        const size_t outer = rng_below(&rng, 4), k = rng_size(&rng, 1, 64, 140);
        const size_t inner = rng_once(&rng, 2) ? 1 : rng_below(&rng, 35) + 1;
        const bool logarithm = rng_once(&rng, 2), in_place = rng_once(&rng, 2);
        fill(&rng, x, outer * k * inner);
        memcpy(y, x, outer * k * inner * sizeof y[0]);
        apx_softmax_f32(logarithm, outer, k, inner, in_place ? y : x, y);
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++) {
                const float *from = x + o * k * inner + i, *to = y + o * k * inner + i;
                double sum = 0.0;
                for (size_t j = 0; j < k; j++)
                    sum += exp((double)from[j * inner]);
                for (size_t j = 0; j < k; j++) {
                    const double want = logarithm ? (double)from[j * inner] - log(sum)
                                                  : exp((double)from[j * inner]) / sum;
                    CHECK_NEAR(to[j * inner], want, 1e-6 * fmax(0.1, fabs(want)));
                }
            }
    }
    const float large[] = {1e4f, 1e4f, -1e4f}, broken[] = {1.0f, NAN};
    apx_softmax_f32(false, 1, 3, 1, large, y);
    CHECK(y[0] == 0.5f && y[1] == 0.5f && y[2] == 0.0f);
    apx_softmax_f32(false, 1, 2, 1, broken, y);
    CHECK(isnan(y[0]) && isnan(y[1]));
}

static void layer_norm_agrees_with_float64(void)
{
    struct rng rng = {24};
    for (int trial = 0; trial < 100; trial++) {
        const size_t outer = rng_below(&rng, 5), k = rng_size(&rng, 1, 16, 100);
        const bool scaled = rng_once(&rng, 2), biased = rng_once(&rng, 2);
        fill(&rng, x, outer * k);
        fill(&rng, w, k);
        fill(&rng, z, k);
        apx_layer_norm_f32(outer, k, 1e-5f, x, scaled ? w : NULL, biased ? z : NULL, y);
        for (size_t o = 0; o < outer; o++) {
            double mean = 0.0, variance = 0.0;
            for (size_t i = 0; i < k; i++)
                mean += (double)x[o * k + i] / (double)k;
            for (size_t i = 0; i < k; i++)
                variance += pow((double)x[o * k + i] - mean, 2.0) / (double)k;
            for (size_t i = 0; i < k; i++) {
                double want = ((double)x[o * k + i] - mean) / sqrt(variance + (double)1e-5f);
                want = want * (scaled ? (double)w[i] : 1.0) + (biased ? (double)z[i] : 0.0);
                CHECK_NEAR(y[o * k + i], want, 2e-6 * fmax(1.0, fabs(want)));
            }
        }
    }
}

static void products_agree_with_the_fused_order(void)
{
    struct rng rng = {25};
    for (int trial = 0; trial < 200; trial++) {
        const size_t batch = 1 + rng_below(&rng, 3), n = rng_size(&rng, 0, 3, 20);
        const size_t k = rng_size(&rng, 0, 8, 30), m = rng_size(&rng, 0, 8, 70);
        const bool one_a = rng_once(&rng, 3), one_b = rng_once(&rng, 3);
        fill(&rng, x, batch * n * k);
        fill(&rng, w, batch * k * m);
        y[batch * n * m] = 77.0f;
        apx_matmul_f32(batch, n, k, m, x, one_a ? 0 : n * k, w, one_b ? 0 : k * m, y);
        for (size_t i = 0; i < batch; i++)
            for (size_t r = 0; r < n; r++)
                for (size_t c = 0; c < m; c++) {
                    float sum = 0.0f; /* the documented order, so the bits are known */
                    for (size_t j = 0; j < k; j++)
                        sum = fmaf(x[(one_a ? 0 : i * n * k) + r * k + j],
                                   w[(one_b ? 0 : i * k * m) + j * m + c], sum);
                    CHECK(y[(i * n + r) * m + c] == sum);
                }
        CHECK(y[batch * n * m] == 77.0f);
    }
}

int main(void)
{
    RUN(reductions_agree_with_float64);
    RUN(empty_reductions_are_as_documented);
    RUN(extremes_keep_nan_and_infinity);
    RUN(arguments_are_found);
    RUN(softmax_agrees_with_float64);
    RUN(layer_norm_agrees_with_float64);
    RUN(products_agree_with_the_fused_order);
    return check_report();
}
