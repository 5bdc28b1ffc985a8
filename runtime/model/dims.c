/* SPDX-License-Identifier: Apache-2.0 */
/* dims.c - polynomials of at most APX_DIM_TERMS terms, kept in one canonical form.
 *
 * Terms are ordered by their exponents, highest first (lexicographic by symbol). That order is
 * compatible with multiplication, so exact division is plain long division by the leading term,
 * and equality is equality of the terms. Unused terms stay zero. */
#include "runtime/model/dims.h"

#include <stdio.h>
#include <string.h>

struct apx_dim apx_dim_unknown(void)
{
    return (struct apx_dim){.terms = -1};
}

struct apx_dim apx_dim_constant(int64_t value)
{
    struct apx_dim a = {0};
    if (value != 0) {
        a.terms = 1;
        a.term[0].coefficient = value;
    }
    return a;
}

struct apx_dim apx_dim_symbol(int symbol)
{
    struct apx_dim a = apx_dim_constant(1);
    a.term[0].exponents[symbol] = 1;
    return a;
}

bool apx_dim_is_known(const struct apx_dim *a)
{
    return a->terms >= 0;
}

/* Most extents are numbers: all exponents are looked at together. */
static bool is_constant_term(const struct apx_dim_term *term)
{
    static const uint8_t none[APX_MAX_SYMBOLS];
    return memcmp(term->exponents, none, sizeof none) == 0;
}

bool apx_dim_is_constant(const struct apx_dim *a, int64_t *value)
{
    if (a->terms < 0 || a->terms > 1 || (a->terms == 1 && !is_constant_term(&a->term[0])))
        return false;
    if (value != NULL)
        *value = a->terms == 0 ? 0 : a->term[0].coefficient;
    return true;
}

bool apx_dim_is_symbol(const struct apx_dim *a, int *symbol)
{
    if (a->terms != 1 || a->term[0].coefficient != 1)
        return false;
    int found = -1;
    for (int s = 0; s < APX_MAX_SYMBOLS; s++) {
        if (a->term[0].exponents[s] == 0)
            continue;
        if (found >= 0 || a->term[0].exponents[s] != 1)
            return false;
        found = s;
    }
    if (found >= 0 && symbol != NULL)
        *symbol = found;
    return found >= 0;
}

static int compare_terms(const struct apx_dim_term *a, const struct apx_dim_term *b)
{
    return memcmp(a->exponents, b->exponents, sizeof a->exponents);
}

bool apx_dim_equal(const struct apx_dim *a, const struct apx_dim *b)
{
    if (a->terms < 0 || a->terms != b->terms)
        return false;
    for (int t = 0; t < a->terms; t++)
        if (a->term[t].coefficient != b->term[t].coefficient ||
            compare_terms(&a->term[t], &b->term[t]) != 0)
            return false;
    return true;
}

bool apx_dim_depends_on(const struct apx_dim *a, int symbol)
{
    for (int t = 0; t < a->terms; t++)
        if (a->term[t].exponents[symbol] != 0)
            return true;
    return false;
}

/* Add one term to a sum; false if it overflows or does not fit. */
static bool accumulate(struct apx_dim *sum, const struct apx_dim_term *term)
{
    if (term->coefficient == 0)
        return true;
    int t = 0;
    while (t < sum->terms && compare_terms(&sum->term[t], term) > 0)
        t++;
    if (t < sum->terms && compare_terms(&sum->term[t], term) == 0) {
        int64_t *c = &sum->term[t].coefficient;
        if (__builtin_add_overflow(*c, term->coefficient, c))
            return false;
        if (*c == 0) {
            sum->terms--;
            memmove(&sum->term[t], &sum->term[t + 1],
                    (size_t)(sum->terms - t) * sizeof sum->term[0]);
            memset(&sum->term[sum->terms], 0, sizeof sum->term[0]);
        }
        return true;
    }
    if (sum->terms == APX_DIM_TERMS)
        return false;
    memmove(&sum->term[t + 1], &sum->term[t], (size_t)(sum->terms - t) * sizeof sum->term[0]);
    sum->term[t] = *term;
    sum->terms++;
    return true;
}

static bool multiply_terms(const struct apx_dim_term *a, const struct apx_dim_term *b,
                           struct apx_dim_term *product)
{
    for (int s = 0; s < APX_MAX_SYMBOLS; s++) {
        int exponent = a->exponents[s] + b->exponents[s];
        if (exponent > UINT8_MAX)
            return false;
        product->exponents[s] = (uint8_t)exponent;
    }
    return !__builtin_mul_overflow(a->coefficient, b->coefficient, &product->coefficient);
}

/* sum += scale * a */
static bool accumulate_scaled(struct apx_dim *sum, const struct apx_dim_term *scale,
                              const struct apx_dim *a)
{
    for (int t = 0; t < a->terms; t++) {
        struct apx_dim_term product;
        if (!multiply_terms(scale, &a->term[t], &product) || !accumulate(sum, &product))
            return false;
    }
    return true;
}

struct apx_dim apx_dim_add(const struct apx_dim *a, const struct apx_dim *b)
{
    const struct apx_dim_term one = {.coefficient = 1};
    struct apx_dim sum = *a;
    if (a->terms < 0 || b->terms < 0 || !accumulate_scaled(&sum, &one, b))
        return apx_dim_unknown();
    return sum;
}

struct apx_dim apx_dim_subtract(const struct apx_dim *a, const struct apx_dim *b)
{
    const struct apx_dim_term minus = {.coefficient = -1};
    struct apx_dim sum = *a;
    if (a->terms < 0 || b->terms < 0 || !accumulate_scaled(&sum, &minus, b))
        return apx_dim_unknown();
    return sum;
}

struct apx_dim apx_dim_multiply(const struct apx_dim *a, const struct apx_dim *b)
{
    struct apx_dim product = {0};
    if (a->terms < 0 || b->terms < 0)
        return apx_dim_unknown();
    for (int t = 0; t < a->terms; t++)
        if (!accumulate_scaled(&product, &a->term[t], b))
            return apx_dim_unknown();
    return product;
}

/* a / b without rest; false if there is one. */
static bool divide_terms(const struct apx_dim_term *a, const struct apx_dim_term *b,
                         struct apx_dim_term *quotient)
{
    for (int s = 0; s < APX_MAX_SYMBOLS; s++) {
        if (a->exponents[s] < b->exponents[s])
            return false;
        quotient->exponents[s] = (uint8_t)(a->exponents[s] - b->exponents[s]);
    }
    if (b->coefficient == -1) /* INT64_MIN / -1 overflows */
        return !__builtin_sub_overflow(0, a->coefficient, &quotient->coefficient);
    quotient->coefficient = a->coefficient / b->coefficient;
    return a->coefficient % b->coefficient == 0;
}

struct apx_dim apx_dim_divide(const struct apx_dim *a, const struct apx_dim *b)
{
    if (a->terms < 0 || b->terms <= 0)
        return apx_dim_unknown();
    struct apx_dim rest = *a, quotient = {0};
    /* Each step removes the leading term of the rest; a quotient that does not fit ends it. */
    while (rest.terms > 0) {
        struct apx_dim_term term, negated;
        if (!divide_terms(&rest.term[0], &b->term[0], &term) || !accumulate(&quotient, &term))
            return apx_dim_unknown();
        negated = term;
        if (__builtin_sub_overflow(0, term.coefficient, &negated.coefficient) ||
            !accumulate_scaled(&rest, &negated, b))
            return apx_dim_unknown();
    }
    return quotient;
}

struct apx_dim apx_dim_rename(const struct apx_dim *a, int from, int to)
{
    struct apx_dim renamed = {0};
    if (a->terms < 0)
        return *a;
    for (int t = 0; t < a->terms; t++) {
        struct apx_dim_term term = a->term[t];
        int exponent = term.exponents[from];
        term.exponents[from] = 0;
        if (exponent + term.exponents[to] > UINT8_MAX)
            return apx_dim_unknown();
        term.exponents[to] = (uint8_t)(term.exponents[to] + exponent);
        if (!accumulate(&renamed, &term))
            return apx_dim_unknown();
    }
    return renamed;
}

struct apx_dim apx_dim_substitute(const struct apx_dim *a, int symbol, int64_t value)
{
    struct apx_dim result = {0};
    if (a->terms < 0)
        return *a;
    for (int t = 0; t < a->terms; t++) {
        struct apx_dim_term term = a->term[t];
        for (; term.exponents[symbol] > 0; term.exponents[symbol]--)
            if (__builtin_mul_overflow(term.coefficient, value, &term.coefficient))
                return apx_dim_unknown();
        if (!accumulate(&result, &term))
            return apx_dim_unknown();
    }
    return result;
}

bool apx_dim_evaluate(const struct apx_dim *a, const int64_t *symbols, int64_t *value)
{
    if (a->terms < 0)
        return false;
    int64_t sum = 0;
    for (int t = 0; t < a->terms; t++) {
        int64_t product = a->term[t].coefficient;
        for (int s = 0; s < APX_MAX_SYMBOLS && !is_constant_term(&a->term[t]); s++)
            for (int e = 0; e < a->term[t].exponents[s]; e++)
                if (__builtin_mul_overflow(product, symbols[s], &product))
                    return false;
        if (__builtin_add_overflow(sum, product, &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool apx_dim_is_positive(const struct apx_dim *a)
{
    for (int t = 0; t < a->terms; t++)
        if (a->term[t].coefficient < 0)
            return false;
    return a->terms > 0;
}

char *apx_dim_format(const struct apx_dim *a, const char *const *names, char *text, size_t size)
{
    size_t used = 0;
    if (a->terms <= 0)
        snprintf(text, size, "%s", a->terms < 0 ? "?" : "0");
    for (int t = 0; t < a->terms; t++) {
        const struct apx_dim_term *term = &a->term[t];
        bool first = true;
        const char *sign = t > 0 && term->coefficient > 0 ? "+" : "";
        char number[32] = "";
        if (term->coefficient == -1 && !is_constant_term(term)) {
            sign = "-";
        } else if (term->coefficient != 1 || is_constant_term(term)) {
            snprintf(number, sizeof number, "%lld", (long long)term->coefficient);
            first = false;
        }
        int length = snprintf(text + used, size - used, "%s%s", sign, number);
        used = (size_t)length < size - used ? used + (size_t)length : size - 1;
        for (int s = 0; s < APX_MAX_SYMBOLS; s++) {
            for (int e = 0; e < term->exponents[s]; e++) {
                length = snprintf(text + used, size - used, "%s%s", first ? "" : "*", names[s]);
                used = (size_t)length < size - used ? used + (size_t)length : size - 1;
                first = false;
            }
        }
    }
    return text;
}
