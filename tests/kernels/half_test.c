/* SPDX-License-Identifier: Apache-2.0 */
/* Half precision by the definition of the format: every one of its numbers, and every place where
 * rounding changes its mind. */
#include "kernels/cpu/half.h"

#include <math.h>
#include <stdbool.h>

#include "tests/harness/check.h"

/* The value of a half that is not NaN. */
static double defined(unsigned half)
{
    const unsigned exponent = half >> 10 & 31, fraction = half & 1023;
    const double sign = half >> 15 != 0 ? -1.0 : 1.0;
    if (exponent == 31)
        return sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(1024 + fraction, (int)exponent - 25);
}

static bool is_nan(unsigned half)
{
    return (half & 0x7fffu) > 0x7c00u;
}

static void every_half_is_a_float(void)
{
    for (unsigned half = 0; half < 0x10000u; half++) {
        const float value = apx_half_value((uint16_t)half);
        if (is_nan(half)) {
            CHECK(isnan(value));
            CHECK(is_nan(apx_half_of(value)));
            continue;
        }
        CHECK((double)value == defined(half) && !signbit(value) == (half < 0x8000u));
        CHECK_EQ(apx_half_of(value), half);
    }
}

/* Between a half and the next one away from zero lies a float halfway: it goes to the even one of
 * the two, and its neighbours to either side. */
static void rounding_is_to_nearest_even(void)
{
    for (unsigned sign = 0; sign <= 0x8000u; sign += 0x8000u)
        for (unsigned half = sign; half < sign + 0x7c00u; half++) {
            const unsigned next = half + 1;
            const double above = half == sign + 0x7bffu ? defined(sign) + 65536.0 : 0.0;
            const double upper = above > 0.0 ? (sign != 0 ? -above : above) : defined(next);
            const float middle = (float)((defined(half) + upper) / 2);
            const float toward = sign != 0 ? 0.0f : -0.0f;
            CHECK_EQ(apx_half_of(middle), half % 2 == 0 ? half : next);
            CHECK_EQ(apx_half_of(nextafterf(middle, toward)), half);
            CHECK_EQ(apx_half_of(nextafterf(middle, middle * 2)), next);
        }
    CHECK_EQ(apx_half_of(INFINITY), 0x7c00u);
    CHECK_EQ(apx_half_of(-3e38f), 0xfc00u);
    CHECK_EQ(apx_half_of(0x1p-149f), 0u);
}

int main(void)
{
    RUN(every_half_is_a_float);
    RUN(rounding_is_to_nearest_even);
    return check_report();
}
