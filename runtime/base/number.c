/* SPDX-License-Identifier: Apache-2.0 */
/* number.c - decimal text to double, whatever the process's locale.
 *
 * Nearly all numbers in data files have at most 19 digits and a small exponent: an integer below
 * 2^53 times or over a power of ten up to 10^22, both exact in a double, is rounded once and hence
 * right. Doubles written with 17 digits, as model files have them, are larger integers: where a
 * long double has 64 bits of mantissa, they are rounded to those first, and to 53 from there unless
 * the 11 bits between lie so close to one half that the first rounding could have decided the
 * second. The rest goes to the C library. */
#include "runtime/base/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void apx_number_by_library(const char *text, size_t length, double *wide, float *narrow)
{
    char copy[APX_LIMIT_NUMBER_TEXT + 1];
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc keeps this one: costs nothing */
    if (wide != NULL)
        *wide = c != (locale_t)0 ? strtod_l(copy, NULL, c) : strtod(copy, NULL);
    if (narrow != NULL)
        *narrow = c != (locale_t)0 ? strtof_l(copy, NULL, c) : strtof(copy, NULL);
    if (c != (locale_t)0)
        freelocale(c);
}

#if LDBL_MANT_DIG == 64
/* digits * 10^exponent if |exponent| <= 27 (5^27 < 2^64: the power is exact) and the result is
 * sure. */
static bool by_long_double(uint64_t digits, int exponent, double *value)
{
    static const long double ten[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                      1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                      1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                      1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    if (exponent < -27 || exponent > 27)
        return false;
    long double wide = (long double)digits;
    wide = exponent < 0 ? wide / ten[-exponent] : wide * ten[exponent];
    uint64_t mantissa; /* the first eight bytes of the x87 format */
    memcpy(&mantissa, &wide, sizeof mantissa);
    unsigned between = mantissa & 0x7ff;
    *value = (double)wide;
    return between < 0x3ff || between > 0x401;
}
#else
static bool by_long_double(uint64_t digits, int exponent, double *value)
{
    (void)digits;
    (void)exponent;
    (void)value;
    return false;
}
#endif

bool apx_number_parse(const char *text, size_t length, double *value)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *at = text, *end = text + length;
    if (length == 0 || length > APX_LIMIT_NUMBER_TEXT)
        return false;
    bool minus = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if (at < end && (*at == 'i' || *at == 'I')) {
        size_t rest = (size_t)(end - at);
        if (!(rest == 3 && strncasecmp(at, "inf", 3) == 0) &&
            !(rest == 8 && strncasecmp(at, "infinity", 8) == 0))
            return false;
        if (value != NULL)
            *value = minus ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    struct apx_decimal decimal;
    if (apx_decimal_scan(at, end, &decimal) != end)
        return false;
    if (value == NULL)
        return true;
    const uint64_t digits = decimal.digits;
    const int exponent = decimal.exponent;
    const bool is_whole = decimal.count <= APX_DECIMAL_DIGITS;
    if (is_whole && digits <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
        double magnitude = (double)digits;
        magnitude = exponent < 0 ? magnitude / ten[-exponent] : magnitude * ten[exponent];
        *value = minus ? -magnitude : magnitude;
    } else if (is_whole && by_long_double(digits, exponent, value)) {
        *value = minus ? -*value : *value;
    } else {
        apx_number_by_library(text, length, value, NULL);
    }
    return true;
}
