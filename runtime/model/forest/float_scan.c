/* SPDX-License-Identifier: Apache-2.0 */
/* float_scan.c - decimal text to the nearest float, quickly and whatever the process's locale.
 *
 * Rounding to a double and then to a float can round twice: a text just beyond the middle of two
 * floats becomes that middle, which then goes to the even one. So the digits are scaled in a wider
 * type, and only where the result lies within its error of such a middle does the C library decide.
 * That happens once in millions of numbers. */
#include "runtime/model/forest/document.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/number.h"

#define MOST_DIGITS 19 /* that always fit 64 bits */
#define MOST_POWER  60

static float by_the_library(const char *text, size_t length)
{
    char copy[APX_LIMIT_NUMBER_TEXT + 1];
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc keeps this one: costs nothing */
    float value = c != (locale_t)0 ? strtof_l(copy, NULL, c) : strtof(copy, NULL);
    if (c != (locale_t)0)
        freelocale(c);
    return value;
}

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

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* e, a sign, digits: the end, or NULL. */
static const char *exponent(const char *at, const char *end, int *power)
{
    at++;
    bool down = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (!is_digit(at, end))
        return NULL;
    int value = 0;
    for (; is_digit(at, end); at++)
        if (value < 100000)
            value = value * 10 + (*at - '0');
    *power += down ? -value : value;
    return at;
}

const char *apx_float_scan(const char *at, const char *end, float *out)
{
    const char *begin = at;
    bool minus = at < end && *at == '-';
    at += minus;
    uint64_t digits = 0;
    int count = 0, power; /* count: digits from the first that is not 0 */
    const char *first = at;
    for (; is_digit(at, end); at++) {
        digits = digits * 10 + (uint64_t)(*at - '0');
        count += count <= MOST_DIGITS && (count > 0 || *at != '0');
    }
    size_t length = (size_t)(at - first), behind = 0; /* the point */
    if (at < end && *at == '.') {
        const char *point = ++at;
        for (; is_digit(at, end); at++) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            count += count <= MOST_DIGITS && (count > 0 || *at != '0');
        }
        behind = (size_t)(at - point);
        length += behind;
    }
    if (length == 0)
        return word(first, end, minus, out);
    if (length > APX_LIMIT_NUMBER_TEXT / 2)
        return NULL;
    power = -(int)behind;
    if (at < end && (*at == 'e' || *at == 'E'))
        at = exponent(at, end, &power);
    if (at == NULL || at - begin > APX_LIMIT_NUMBER_TEXT)
        return NULL;
    float value = 0.0f;
    if (count > MOST_DIGITS || (digits != 0 && !scale(digits, power, &value))) {
        *out = by_the_library(begin, (size_t)(at - begin)); /* with its sign */
        return at;
    }
    *out = minus ? -value : value;
    return at;
}
