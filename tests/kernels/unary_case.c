/* SPDX-License-Identifier: Apache-2.0 */
/* unary_case.c - the unary table under the checker: every operation that a row has. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/kcheck.h"

/* f(x) in float64; NaN in, NaN out. */
static double oracle(enum apx_unary op, double x, double alpha, double beta)
{
    const struct apx_activation act = {.alpha = (float)alpha, .beta = (float)beta};
#define ACT(name) kcheck_activation((struct apx_activation){APX_ACT_##name, act.alpha, act.beta}, x)
    switch (op) {
    case APX_UNARY_ABS:
        return fabs(x);
    case APX_UNARY_NEG:
        return -x;
    case APX_UNARY_SQRT:
        return sqrt(x);
    case APX_UNARY_EXP:
        return exp(x);
    case APX_UNARY_LOG:
        return log(x);
    case APX_UNARY_RECIPROCAL:
        return 1.0 / x;
    case APX_UNARY_FLOOR:
        return floor(x);
    case APX_UNARY_CEIL:
        return ceil(x);
    case APX_UNARY_ROUND:
        return nearbyint(x);
    case APX_UNARY_SIGN:
        return isnan(x) ? x : (double)((x > 0.0) - (x < 0.0));
    case APX_UNARY_ERF:
        return erf(x);
    case APX_UNARY_SIN:
        return sin(x);
    case APX_UNARY_COS:
        return cos(x);
    case APX_UNARY_RELU:
        return ACT(RELU);
    case APX_UNARY_TANH:
        return tanh(x);
    case APX_UNARY_SIGMOID:
        return ACT(SIGMOID);
    case APX_UNARY_HARD_SIGMOID:
        return ACT(HARD_SIGMOID);
    case APX_UNARY_LEAKY_RELU:
        return ACT(LEAKY_RELU);
    case APX_UNARY_THRESHOLDED_RELU:
        return ACT(THRESHOLDED_RELU);
    case APX_UNARY_ELU:
        return ACT(ELU);
    case APX_UNARY_SELU:
        return beta * ACT(ELU);
    case APX_UNARY_CELU:
        return x < 0.0 ? alpha * expm1(x / alpha) : x;
    case APX_UNARY_SOFTPLUS:
        return ACT(SOFTPLUS);
    case APX_UNARY_SOFTSIGN:
        return ACT(SOFTSIGN);
    case APX_UNARY_HARD_SWISH:
        return isnan(x) ? x : x * fmax(0.0, fmin(1.0, x / 6.0 + 0.5));
    case APX_UNARY_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case APX_UNARY_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case APX_UNARY_MISH:
        return x * tanh(ACT(SOFTPLUS));
    case APX_UNARY_CLIP:
        return isnan(x) ? x : fmin(beta, fmax(alpha, x));
    case APX_UNARY_SILU:
        return x * ACT(SIGMOID);
    case APX_UNARY_COUNT:
        break;
    }
    return NAN;
#undef ACT
}

static const char *const names[APX_UNARY_COUNT] = {
#define APX_UNARY_OP(op, name, how) [APX_UNARY_##op] = #name,
#include "kernels/elementwise/unary_ops.def"
#undef APX_UNARY_OP
};

/* Values of every magnitude, and those at which functions turn. */
static float random_value(struct rng *rng)
{
    static const float corners[] = {0.0f,   -0.0f,   1.0f,    -1.0f,    0.5f,      -0.5f,
                                    1.5f,   2.5f,    3.0f,    -3.0f,    6.0f,      -6.0f,
                                    1e-30f, -1e-30f, FLT_MAX, -FLT_MAX, 88.0f,     89.0f,
                                    -88.0f, -90.0f,  -104.0f, INFINITY, -INFINITY, NAN};
    switch (rng_below(rng, 4)) {
    case 0:
        return corners[rng_below(rng, sizeof corners / sizeof corners[0])];
    case 1:
        return rng_real(rng);
    case 2:
        return 20.0f * rng_real(rng);
    default:
        return ldexpf(rng_real(rng), (int)rng_below(rng, 40) - 20);
    }
}

/* Formulas that multiply an infinity by 0 have no limit to agree on. */
static bool judged(enum apx_unary op, float x)
{
    const bool product = op == APX_UNARY_HARD_SWISH || op == APX_UNARY_GELU ||
                         op == APX_UNARY_GELU_TANH || op == APX_UNARY_MISH || op == APX_UNARY_SILU;
    return !product || (double)fabsf(x) < 1e12;
}

/* Within a few units in the last place, or for formulas that cancel, of the largest term. */
static bool near(enum apx_unary op, double x, double actual, double exact)
{
    if ((isnan(actual) && isnan(exact)) || actual == exact)
        return true;
    if ((double)(float)exact == actual)
        return true;
    double size = fabs(exact);
    if (op == APX_UNARY_HARD_SWISH || op == APX_UNARY_GELU || op == APX_UNARY_GELU_TANH ||
        op == APX_UNARY_SILU || op == APX_UNARY_MISH)
        size = fmax(size, fabs(x)); /* x times something near 0 */
    if (op == APX_UNARY_HARD_SIGMOID)
        size = fmax(size, 1.0);
    return fabs(actual - exact) <= 8.0 * 0x1p-24 * size + 1e-37;
}

static void check_op(const struct kcheck_row *row, const struct apx_unary_row *scalar,
                     enum apx_unary op, enum guard_side side, bool in_place, struct rng *rng)
{
    const apx_unary_fn run = ((const struct apx_unary_row *)row->row)->run[op];
    const size_t count = rng_size(rng, 0, rng_once(rng, 2) ? 8 : 16, 100);
    const float alpha = op == APX_UNARY_CLIP ? -0.75f : 0.25f + 0.5f * fabsf(rng_real(rng));
    const float beta = op == APX_UNARY_SELU ? 1.0507f : 0.5f;
    kcheck_describe("%s of %zu elements%s, guard %s", names[op], count, in_place ? " in place" : "",
                    side == GUARD_END ? "behind" : "before");
    struct guard x = guard_create(count * sizeof(float), side);
    struct guard y = guard_create(count * sizeof(float), side);
    float *from = in_place ? y.data : x.data, *to = y.data;
    float *given = kcheck_alloc(count * sizeof(float));
    float *expected = kcheck_alloc(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        given[i] = from[i] = random_value(rng);
    if (!in_place)
        guard_freeze(&x);
    scalar->run[op](count, given, expected, alpha, beta);
    run(count, from, to, alpha, beta);
    kcheck_compare("y", row->match, 1, count, to, expected);
    if (!guard_intact(&y))
        kcheck_fail("writes outside y");
    for (size_t i = 0; i < count && row->row == scalar; i++) {
        const double exact = oracle(op, (double)given[i], (double)alpha, (double)beta);
        if (judged(op, given[i]) && !near(op, (double)given[i], (double)to[i], exact))
            kcheck_fail("f(%.9g) is %.9g, in float64 %.9g", (double)given[i], (double)to[i], exact);
    }
    free(given);
    free(expected);
    guard_destroy(&x);
    guard_destroy(&y);
}

static bool unary_row(size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_unary_row *rows = apx_unary_rows(&count);
    if (index >= count)
        return false;
    *out = (struct kcheck_row){rows[index].isa, rows[index].name, rows[index].needs,
                               rows[index].match, &rows[index]};
    return true;
}

static void unary_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    size_t count;
    const struct apx_unary_row *rows = apx_unary_rows(&count), *unary = row->row;
    struct rng rng = {seed * 1000037 + trial};
    for (int op = 0; op < APX_UNARY_COUNT; op++)
        if (unary->run[op] != NULL)
            check_op(row, &rows[count - 1], (enum apx_unary)op,
                     rng_once(&rng, 2) ? GUARD_END : GUARD_START, rng_once(&rng, 3), &rng);
}

struct bench_context {
    apx_unary_fn run;
    float x[1024], y[1024];
};

static void bench_once(void *context)
{
    struct bench_context *bench = context;
    bench->run(1024, bench->x, bench->y, 0.5f, 0.5f);
}

static bool unary_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    const struct apx_unary_row *unary = row->row;
    if (index >= APX_UNARY_COUNT)
        return false;
    if (unary->run[index] == NULL)
        return false;
    static struct bench_context context;
    struct rng rng = {1};
    context.run = unary->run[index];
    for (size_t i = 0; i < 1024; i++)
        context.x[i] = 4.0f * rng_real(&rng);
    snprintf(out->shape, sizeof out->shape, "%s", names[index]);
    out->seconds = kcheck_time(bench_once, &context);
    out->flop = 0.0;
    out->elements = 1024.0;
    return true;
}

const struct kcheck_case kcheck_unary = {
    .op = "unary", .row = unary_row, .check = unary_check, .trials = 150, .bench = unary_bench};
