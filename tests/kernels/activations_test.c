/* SPDX-License-Identifier: Apache-2.0 */
/* activations_test.c - exp, sigmoid and tanh against float64, over all floats or an even sample.
 *
 *   activations_test [STRIDE]   every STRIDE-th bit pattern; default 257 (prime), 1 for all */
#include <float.h>
#include <math.h>

#include "kernels/kernels.h"
#include "tests/harness/check.h"

#define CHUNK 4096

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Distance in units in the last place of the exact value rounded to float. */
static double ulps(double actual, double exact)
{
    int exponent;
    frexp(exact, &exponent);
    return fabs(actual - exact) / ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
}

struct worst {
    double ulp, absolute;
    float at;
};

/* Largest errors for x > least; below it results may be 0 or nothing is asked of the ulp. */
static struct worst measure(apx_unary_fn run, double (*exact)(double), float least, uint32_t stride)
{
    static float x[CHUNK], y[CHUNK];
    struct worst worst = {0};
    size_t count = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += stride) {
        const uint32_t pattern = (uint32_t)bits;
        memcpy(&x[count++], &pattern, sizeof pattern);
        if (count < CHUNK && bits + stride < (uint64_t)1 << 32)
            continue;
        run(count, x, y, 0.0f, 0.0f);
        for (size_t i = 0; i < count; i++) {
            const double want = exact((double)x[i]), got = (double)y[i];
            if (isnan(x[i]) || isnan(got) || isinf(got)) {
                if (isnan(x[i]) ? !isnan(got) : got != (double)(float)want)
                    worst = (struct worst){INFINITY, INFINITY, x[i]};
                continue;
            }
            worst.absolute = fmax(worst.absolute, fabs(got - want));
            if (x[i] > least && ulps(got, want) > worst.ulp) {
                worst.ulp = ulps(got, want);
                worst.at = x[i];
            }
        }
        count = 0;
    }
    printf("     %.3f ulp at %.9g, %.3g absolute\n", worst.ulp, (double)worst.at, worst.absolute);
    return worst;
}

static uint32_t stride = 257;

static apx_unary_fn best(enum apx_unary op)
{
    return apx_unary_select(apx_cpu_caps(), op, NULL);
}

static void exp_is_near(void)
{
    CHECK(measure(best(APX_UNARY_EXP), exp, -INFINITY, stride).ulp <= 1.05);
}

static void sigmoid_is_near(void)
{
    CHECK(measure(best(APX_UNARY_SIGMOID), sigmoid, -20.0f, stride).ulp <= 2.64);
    CHECK(measure(best(APX_UNARY_SIGMOID), sigmoid, -20.0f, stride).absolute <= 9e-8);
    /* the far tail loses a little and then vanishes */
    CHECK(measure(best(APX_UNARY_SIGMOID), sigmoid, -87.0f, stride).ulp <= 4.5);
}

static void tanh_is_near(void)
{
    const struct worst worst = measure(best(APX_UNARY_TANH), tanh, -INFINITY, stride);
    CHECK(worst.ulp <= 2.57);
    CHECK(worst.absolute <= 9e-8);
}

static void limits_are_right(void)
{
    static const struct {
        enum apx_unary op;
        float x, y;
    } expected[] = {
        {APX_UNARY_EXP, -INFINITY, 0.0f},
        {APX_UNARY_EXP, INFINITY, INFINITY},
        {APX_UNARY_EXP, 0.0f, 1.0f},
        {APX_UNARY_EXP, 88.72284f, INFINITY}, /* the least float whose exponential overflows */
        {APX_UNARY_EXP, -103.972084f, 0.0f},  /* the greatest that vanishes */
        {APX_UNARY_SIGMOID, -INFINITY, 0.0f},
        {APX_UNARY_SIGMOID, INFINITY, 1.0f},
        {APX_UNARY_SIGMOID, 0.0f, 0.5f},
        {APX_UNARY_TANH, -INFINITY, -1.0f},
        {APX_UNARY_TANH, INFINITY, 1.0f},
        {APX_UNARY_TANH, 1e-30f, 1e-30f},
        {APX_UNARY_SOFTSIGN, -INFINITY, -1.0f},
        {APX_UNARY_SOFTSIGN, INFINITY, 1.0f},
        {APX_UNARY_RELU, -INFINITY, 0.0f},
        {APX_UNARY_SOFTPLUS, INFINITY, INFINITY},
        {APX_UNARY_SOFTPLUS, -INFINITY, 0.0f},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        float y;
        best(expected[i].op)(1, &expected[i].x, &y, 1.0f, 1.0f);
        if (!CHECK(y == expected[i].y))
            fprintf(stderr, "    case %zu: f(%g) is %g\n", i, (double)expected[i].x, (double)y);
    }
    float x = -0.0f, y;
    best(APX_UNARY_TANH)(1, &x, &y, 0.0f, 0.0f);
    CHECK(y == 0.0f && signbit(y));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        stride = (uint32_t)strtoul(argv[1], NULL, 10);
    REQUIRE(stride > 0);
    RUN(exp_is_near);
    RUN(sigmoid_is_near);
    RUN(tanh_is_near);
    RUN(limits_are_right);
    return check_report();
}
