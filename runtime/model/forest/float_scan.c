/* SPDX-License-Identifier: Apache-2.0 */
/* float_scan.c - decimal text to the nearest float, quickly and whatever the process's locale.
 *
 * Rounding to a double and then to a float can round twice: a text just beyond the middle of two
 * floats becomes that middle, which then goes to the even one. So the digits are scaled in a wider
 * type, and only where the result lies within its error of such a middle does the C library decide.
 * That happens once in millions of numbers. */
#include "runtime/model/forest/document.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/number.h"

#define MOST_POWER 60

/* digits * 10^power to *out, unless it lies too near to the middle of two floats to tell. */
static bool scale(uint64_t digits, int power, float *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (digits <= (uint64_t)1 << 53 && power >= -22 && power <= 22) {
        /* Both are exact in a double; the product or quotient is rounded once. No denormals. */
        double value = (double)digits;
        uint64_t bits;
        value = power < 0 ? value / ten[-power] : value * ten[power];
        memcpy(&bits, &value, sizeof bits);
        *out = (float)value;
        return (bits & 0x1fffffff) != 0x10000000;
    }
#if LDBL_MANT_DIG >= 64
    if (power >= -MOST_POWER && power <= MOST_POWER) {
        long double value = (long double)digits, factor = 1.0L;
        for (int rest = abs(power); rest > 0; rest -= 20)
            factor *= (long double)ten[rest < 20 ? rest : 20];
        value = power < 0 ? value / factor : value * factor;
        *out = (float)value;
        return (float)(value * (1.0L - 0x1p-60L)) == (float)(value * (1.0L + 0x1p-60L));
    }
#endif
    return false;
}

static const char *word(const char *at, const char *end, bool minus, float *out)
{
    static const struct {
        const char *text;
        size_t length;
        bool is_nan;
    } words[] = {{"NaN", 3, true},  {"nan", 3, true},   {"Infinity", 8, false},
                 {"inf", 3, false}, {"true", 4, false}, {"false", 5, false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(end - at) >= words[i].length &&
            memcmp(at, words[i].text, words[i].length) == 0) {
            float value = words[i].is_nan ? NAN : INFINITY;
            if (*at == 't' || *at == 'f')
                value = *at == 't' ? 1.0f : 0.0f;
            *out = minus ? -value : value;
            return at + words[i].length;
        }
    return NULL;
}

const char *apx_float_scan(const char *at, const char *end, float *out)
{
    const char *begin = at;
    bool minus = at < end && *at == '-';
    struct apx_decimal decimal;
    float value = 0.0f;
    at += minus;
    if (!apx_is_digit(at, end) && !(at < end && *at == '.'))
        return word(at, end, minus, out);
    if (end - begin > APX_LIMIT_NUMBER_TEXT) /* so much more than that is seen to be too long */
        end = begin + APX_LIMIT_NUMBER_TEXT + 1;
    at = apx_decimal_scan(at, end, &decimal);
    if (at == NULL || at - begin > APX_LIMIT_NUMBER_TEXT)
        return NULL;
    if (decimal.count > APX_DECIMAL_DIGITS ||
        (decimal.digits != 0 && !scale(decimal.digits, decimal.exponent, &value))) {
        apx_number_by_library(begin, (size_t)(at - begin), NULL, out); /* with its sign */
        return at;
    }
    *out = minus ? -value : value;
    return at;
}
