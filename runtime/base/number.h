/* SPDX-License-Identifier: Apache-2.0 */
/* number.h - decimal text to double, whatever the process's locale. */
#ifndef APX_BASE_NUMBER_H
#define APX_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APX_LIMIT_NUMBER_TEXT 1023 /* characters of one number */

/* True if all of text[0, length) is one decimal number: [+-] digits [. digits] [e [+-] digits], a
 * digit before or after the point, or [+-] inf or infinity in any case. No blanks, no hexadecimal,
 * no NaN. *value (may be NULL) gets the nearest double, an infinity beyond its range. */
bool apx_number_parse(const char *text, size_t length, double *value);

/* ---- for readers of other types -------------------------------------------------------------- */

#define APX_DECIMAL_DIGITS 19 /* that always fit 64 bits */

struct apx_decimal {
    uint64_t digits; /* the first APX_DECIMAL_DIGITS, as a whole number */
    int count;    /* digits from the first that is not 0; above APX_DECIMAL_DIGITS some are lost */
    int exponent; /* of ten */
};

static inline bool apx_is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* digits [. digits] [e [+-] digits] at [at, end), a digit before or after the point: its end, or
 * NULL if there is none or e has no digits. Inlined: files of models are nearly all numbers. */
static inline const char *apx_decimal_scan(const char *at, const char *end, struct apx_decimal *out)
{
    uint64_t digits = 0;
    int count = 0, exponent = 0;
    bool any = false;
    for (; apx_is_digit(at, end); at++, any = true) {
        count += count > 0 || *at != '0';
        if (count <= APX_DECIMAL_DIGITS)
            digits = digits * 10 + (uint64_t)(*at - '0');
    }
    if (at < end && *at == '.')
        for (at++; apx_is_digit(at, end); at++, any = true, exponent--) {
            count += count > 0 || *at != '0';
            if (count <= APX_DECIMAL_DIGITS)
                digits = digits * 10 + (uint64_t)(*at - '0');
        }
    if (!any)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        int power = 0;
        bool down = ++at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (!apx_is_digit(at, end))
            return NULL;
        for (; apx_is_digit(at, end); at++)
            if (power < 100000)
                power = power * 10 + (*at - '0');
        exponent += down ? -power : power;
    }
    *out = (struct apx_decimal){digits, count, exponent};
    return at;
}

/* As the C library rounds text[0, length), at most APX_LIMIT_NUMBER_TEXT characters of a number, in
 * the locale "C": to a double or straight to a float, whichever is not NULL. */
void apx_number_by_library(const char *text, size_t length, double *wide, float *narrow);

#endif
