/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/model/dims.h"
#include "tests/harness/check.h"

#include <stdint.h>

static const char *const names[APX_MAX_SYMBOLS] = {"b", "t", "c", "d", "e", "f", "g", "h"};
static char text[128];

static const char *show(struct apx_dim a)
{
    return apx_dim_format(&a, names, text, sizeof text);
}

static struct apx_dim add(struct apx_dim a, struct apx_dim b)
{
    return apx_dim_add(&a, &b);
}

static struct apx_dim sub(struct apx_dim a, struct apx_dim b)
{
    return apx_dim_subtract(&a, &b);
}

static struct apx_dim mul(struct apx_dim a, struct apx_dim b)
{
    return apx_dim_multiply(&a, &b);
}

static struct apx_dim over(struct apx_dim a, struct apx_dim b)
{
    return apx_dim_divide(&a, &b);
}

static struct apx_dim num(int64_t value)
{
    return apx_dim_constant(value);
}

static struct apx_dim sym(int symbol)
{
    return apx_dim_symbol(symbol);
}

static void equal_extents_compare_equal(void)
{
    struct apx_dim left = mul(add(sym(0), num(1)), sub(sym(1), num(2)));
    struct apx_dim right = sub(add(mul(sym(1), sym(0)), sym(1)), add(num(2), mul(num(2), sym(0))));
    CHECK(apx_dim_equal(&left, &right));
    CHECK_STR(show(left), "b*t-2*b+t-2");
    right = add(right, num(1));
    CHECK(!apx_dim_equal(&left, &right));
    right = sub(left, left);
    CHECK(apx_dim_is_constant(&right, NULL));
    CHECK_STR(show(right), "0");
}

static void knows_numbers_and_symbols(void)
{
    int64_t value = 0;
    int symbol = -1;
    struct apx_dim a = sub(add(sym(3), num(7)), sym(3));
    CHECK(apx_dim_is_constant(&a, &value));
    CHECK_EQ(value, 7);
    CHECK(!apx_dim_is_symbol(&a, &symbol));
    a = over(mul(sym(3), num(4)), num(4));
    CHECK(apx_dim_is_symbol(&a, &symbol));
    CHECK_EQ(symbol, 3);
    a = mul(sym(3), sym(3));
    CHECK(!apx_dim_is_symbol(&a, &symbol));
    CHECK(apx_dim_depends_on(&a, 3));
    CHECK(!apx_dim_depends_on(&a, 2));
    a = mul(num(2), sym(1));
    CHECK(!apx_dim_is_symbol(&a, &symbol));
}

static void what_does_not_fit_is_unknown(void)
{
    struct apx_dim a = num(1), unknown = apx_dim_unknown();
    for (int s = 0; s < 3; s++)
        a = add(a, sym(s));
    CHECK(apx_dim_is_known(&a));
    a = add(a, sym(5)); /* a fifth term */
    CHECK(!apx_dim_is_known(&a));
    CHECK(!apx_dim_equal(&a, &a));
    CHECK_STR(show(a), "?");
    a = add(num(INT64_MAX), num(1));
    CHECK(!apx_dim_is_known(&a));
    a = mul(num(INT64_MAX), num(2));
    CHECK(!apx_dim_is_known(&a));
    a = sub(num(0), num(INT64_MIN));
    CHECK(!apx_dim_is_known(&a));
    a = mul(num(0), unknown);
    CHECK(!apx_dim_is_known(&a));
    a = sym(0);
    for (int i = 0; i < 9; i++)
        a = mul(a, a);
    CHECK(!apx_dim_is_known(&a)); /* b to the 512th */
}

static void divides_without_rest_or_not_at_all(void)
{
    struct apx_dim a = mul(mul(sym(0), sym(1)), num(40));
    CHECK_STR(show(over(a, mul(num(8), sym(1)))), "5*b");
    CHECK_STR(show(over(a, num(7))), "?");
    CHECK_STR(show(over(a, num(0))), "?");
    CHECK_STR(show(over(num(0), sym(0))), "0");
    CHECK_STR(show(over(sym(0), sym(1))), "?");
    CHECK_STR(show(over(mul(add(sym(0), num(3)), sub(sym(1), num(2))), add(sym(0), num(3)))),
              "t-2");
    CHECK_STR(show(over(add(sym(0), num(3)), sub(sym(0), num(3)))), "?");
    CHECK_STR(show(over(num(INT64_MIN), num(-1))), "?");
}

static void symbols_can_be_replaced(void)
{
    struct apx_dim a = add(mul(sym(0), sym(1)), mul(num(3), sym(1)));
    struct apx_dim renamed = apx_dim_rename(&a, 1, 0), fixed = apx_dim_substitute(&a, 1, 5);
    CHECK_STR(show(renamed), "b*b+3*b");
    CHECK_STR(show(fixed), "5*b+15");
    renamed = sub(sym(0), sym(1));
    renamed = apx_dim_rename(&renamed, 1, 0);
    CHECK_STR(show(renamed), "0");
    fixed = mul(sym(0), num(INT64_MAX));
    fixed = apx_dim_substitute(&fixed, 0, 2);
    CHECK(!apx_dim_is_known(&fixed));
    fixed = apx_dim_unknown();
    fixed = apx_dim_substitute(&fixed, 0, 2);
    CHECK(!apx_dim_is_known(&fixed));
}

static void evaluates_what_direct_arithmetic_gives(void)
{
    /* (b-2)*(t+3)+c against the same in int64, over seeded values */
    struct apx_dim a = add(mul(sub(sym(0), num(2)), add(sym(1), num(3))), num(6));
    uint32_t seed = 7;
    for (int i = 0; i < 1000; i++) {
        int64_t s[APX_MAX_SYMBOLS], value = 0;
        for (int k = 0; k < APX_MAX_SYMBOLS; k++) {
            seed = seed * 1664525u + 1013904223u;
            s[k] = seed >> 8;
        }
        CHECK(apx_dim_evaluate(&a, s, &value));
        CHECK_EQ(value, (s[0] - 2) * (s[1] + 3) + 6);
    }
    const int64_t large[APX_MAX_SYMBOLS] = {INT64_MAX / 2, 3};
    int64_t value;
    CHECK(!apx_dim_evaluate(&a, large, &value));
    a = apx_dim_unknown();
    CHECK(!apx_dim_evaluate(&a, large, &value));
}

static void says_what_is_positive(void)
{
    struct apx_dim a = add(mul(sym(0), num(2)), num(1)), b = sub(sym(0), num(1)), zero = num(0);
    CHECK(apx_dim_is_positive(&a));
    CHECK(!apx_dim_is_positive(&b));
    CHECK(!apx_dim_is_positive(&zero));
}

static void cuts_text_that_does_not_fit(void)
{
    struct apx_dim a = mul(mul(num(123456), sym(0)), sym(1));
    char small[6];
    CHECK_STR(apx_dim_format(&a, names, small, sizeof small), "12345");
    a = mul(num(-1), sym(0));
    CHECK_STR(show(a), "-b");
}

int main(void)
{
    RUN(equal_extents_compare_equal);
    RUN(knows_numbers_and_symbols);
    RUN(what_does_not_fit_is_unknown);
    RUN(divides_without_rest_or_not_at_all);
    RUN(symbols_can_be_replaced);
    RUN(evaluates_what_direct_arithmetic_gives);
    RUN(says_what_is_positive);
    RUN(cuts_text_that_does_not_fit);
    return check_report();
}
