/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_cell_test.c - the cell's own arithmetic (kernels/rnn/rnn_cell.h) against float64. One lane
 * stands for all, as kcheck holds every ISA to the same bits.
 *
 *   rnn_cell_test [STRIDE]   every STRIDE-th bit pattern; default 257 (prime), 1 for all */
#include <float.h>
#include <math.h>

#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/rnn/rnn_cell.h"
#include "tests/harness/check.h"

static uint32_t stride = 257;

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* sigmoid(x) or tanh(x) as one division. */
static float curve_of(enum cell_curve kind, float x)
{
    float above[1] = {1.0f}, below[1];
    if (kind == CELL_GATE) {
        static const enum cell_curve curve[1] = {CELL_GATE};
        cell_fractions(1, curve, &x, above, below);
    } else {
        static const enum cell_curve curve[1] = {CELL_TANH};
        cell_fractions(1, curve, &x, above, below);
    }
    return above[0] / below[0];
}

/* Largest errors over all floats, absolute and of the value. */
static void measure(enum cell_curve kind, double *absolute, double *relative)
{
    *absolute = *relative = 0.0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += stride) {
        const uint32_t pattern = (uint32_t)bits;
        float x;
        memcpy(&x, &pattern, sizeof x);
        const float got = curve_of(kind, x);
        if (isnan(x)) {
            if (!CHECK(isnan(got)))
                return;
            continue;
        }
        const double want = kind == CELL_GATE ? sigmoid((double)x) : tanh((double)x);
        const double error = fabs((double)got - want);
        *absolute = fmax(*absolute, error);
        if (fabsf(x) > 1e-30f)
            *relative = fmax(*relative, error / fabs(want));
    }
    printf("     %.3g absolute, %.3g of the value\n", *absolute, *relative);
}

static void gates_are_near(void)
{
    double absolute, relative;
    measure(CELL_GATE, &absolute, &relative);
    CHECK(absolute <= 9.0e-8);
    CHECK(curve_of(CELL_GATE, 0.0f) == 0.5f);
    CHECK(curve_of(CELL_GATE, INFINITY) == 1.0f);
    CHECK(curve_of(CELL_GATE, -INFINITY) < 1e-29f);
}

static void tanh_is_near(void)
{
    double absolute, relative;
    measure(CELL_TANH, &absolute, &relative);
    CHECK(absolute <= 1.5e-7);
    CHECK(relative <= 1.3e-6);
    CHECK(curve_of(CELL_TANH, 0.0f) == 0.0f);
    CHECK(curve_of(CELL_TANH, INFINITY) == 1.0f);
    CHECK(curve_of(CELL_TANH, -INFINITY) == -1.0f);
}

/* A float in [-range, range]. */
static float draw(uint64_t *state, float range)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((float)(*state >> 40) * 0x1p-23f - 1.0f) * range;
}

static void lstm_is_near(void)
{
    uint64_t state = 1;
    double worst_c = 0.0, worst_h = 0.0;
    for (int turn = 0; turn < 2000000; turn++) {
        static const float ranges[] = {0.1f, 1.0f, 4.0f, 12.0f};
        const float range = ranges[turn % 4];
        const float sums[CELL_LSTM_GATES] = {draw(&state, range), draw(&state, range),
                                             draw(&state, range), draw(&state, range)};
        const float c = draw(&state, 2.0f);
        float out, h, next = cell_lstm_c(sums, c, &out);
        cell_lstm_h(1, &next, &out, &h);
        const double f = sigmoid((double)sums[CELL_F]);
        const double ig = sigmoid((double)sums[CELL_I]) * tanh((double)sums[CELL_C]);
        const double want = f * (double)c + ig;
        worst_c = fmax(worst_c, fabs((double)next - want) / (1.0 + fabs(want)));
        const double want_h = sigmoid((double)sums[CELL_O]) * tanh((double)next);
        worst_h = fmax(worst_h, fabs((double)h - want_h));
    }
    printf("     c %.3g, h %.3g\n", worst_c, worst_h);
    CHECK(worst_c <= 2.6e-7);
    CHECK(worst_h <= 2.4e-7);
}

static void gru_is_near(void)
{
    uint64_t state = 2;
    double worst = 0.0;
    for (int turn = 0; turn < 2000000; turn++) {
        static const float ranges[] = {0.1f, 1.0f, 4.0f, 12.0f};
        const float range = ranges[turn % 4];
        const float sum_z = draw(&state, range), sum_r = draw(&state, range);
        const float candidate = draw(&state, range), old = draw(&state, 1.0f);
        float z = sum_z, r = sum_r, h = old;
        cell_gru_gates(&z, &r);
        cell_gru_h(1, &candidate, &z, &h);
        const double gate = sigmoid((double)sum_z);
        const double want = (1.0 - gate) * tanh((double)candidate) + gate * (double)old;
        worst = fmax(worst, fabs((double)h - want));
        worst = fmax(worst, fabs((double)r - sigmoid((double)sum_r)));
    }
    printf("     h, r %.3g\n", worst);
    CHECK(worst <= 2.6e-7);
}

/* Whatever the sums are, finite states stay finite, and NaN goes through. */
static void extremes_are_sane(void)
{
    static const float values[] = {-INFINITY, -FLT_MAX, -1e3f, -70.0f, -10.0f,  -0.0f,
                                   FLT_MIN,   1.0f,     70.0f, 1e3f,   FLT_MAX, INFINITY};
    enum { VALUES = sizeof values / sizeof values[0] };
    for (size_t at = 0; at < (size_t)VALUES * VALUES * VALUES * VALUES; at++) {
        const float sums[CELL_LSTM_GATES] = {values[at % VALUES], values[at / VALUES % VALUES],
                                             values[at / VALUES / VALUES % VALUES],
                                             values[at / VALUES / VALUES / VALUES]};
        static const float states[] = {0.0f, 1.0f, -FLT_MAX, FLT_MAX / 2};
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
            float out, h, c = cell_lstm_c(sums, states[i], &out);
            cell_lstm_h(1, &c, &out, &h);
            if (!CHECK(isfinite(c) && fabsf(h) <= 1.0f))
                return;
            float z = sums[0], r = sums[1], g = states[i];
            cell_gru_gates(&z, &r);
            cell_gru_h(1, &sums[2], &z, &g);
            if (!CHECK(isfinite(g) && r >= 0.0f && r <= 1.0f && z >= 0.0f && z <= 1.0f))
                return;
        }
    }
    for (size_t i = 0; i <= CELL_LSTM_GATES; i++) {
        float sums[CELL_LSTM_GATES] = {0.0f}, c = 0.0f, out, h;
        *(i < CELL_LSTM_GATES ? &sums[i] : &c) = NAN;
        c = cell_lstm_c(sums, c, &out);
        cell_lstm_h(1, &c, &out, &h);
        CHECK(isnan(h));
        CHECK(i == CELL_O || isnan(c));
        float candidate = i == 2 ? NAN : 0.0f, z = i == 0 ? NAN : 0.0f, r = i == 1 ? NAN : 0.0f;
        float g = i == 3 ? NAN : 0.0f;
        cell_gru_gates(&z, &r);
        cell_gru_h(1, &candidate, &z, &g);
        CHECK(i == 1 ? isnan(r) : i < 4 ? isnan(g) : g == 0.0f);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        stride = (uint32_t)strtoul(argv[1], NULL, 10);
    REQUIRE(stride > 0);
    RUN(gates_are_near);
    RUN(tanh_is_near);
    RUN(lstm_is_near);
    RUN(gru_is_near);
    RUN(extremes_are_sane);
    return check_report();
}
