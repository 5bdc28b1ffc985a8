/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/number.h"
#include "tests/harness/check.h"

#include <locale.h>
#include <stdint.h>

static void reads_numbers(void)
{
    static const struct {
        const char *text;
        double value;
    } known[] = {
        {"0", 0},
        {"-0", -0.0},
        {"12", 12},
        {"+3.5", 3.5},
        {".5", .5},
        {"5.", 5},
        {"-1e3", -1000},
        {"1E-2", 0.01},
        {"0.1", 0.1},
        {"1e22", 1e22},
        {"1e23", 1e23},
        {"9007199254740993", 9007199254740993.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"4.9406564584124654e-324", 4.9406564584124654e-324},
        {"1e999", INFINITY},
        {"-1e999999999999", -INFINITY},
        {"1e-999999999999", 0},
        {"0e999", 0},
        {"inf", INFINITY},
        {"-Infinity", -INFINITY},
        {"0.000000000000000000000000000000000000000000000012345678901234567890",
         1.2345678901234567e-47},
        {"123456789012345678901234567890", 1.2345678901234568e29},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double value = -1;
        if (!CHECK(apx_number_parse(known[i].text, strlen(known[i].text), &value)))
            fprintf(stderr, "    %s\n", known[i].text);
        CHECK(memcmp(&value, &known[i].value, sizeof value) == 0);
    }
}

static void refuses_other_words(void)
{
    static const char *const words[] = {"",      "-",    ".",     "e5",      "1e",  "1e+",  "0x10",
                                        "1 ",    " 1",   "1,5",   "1_0",     "nan", "infi", "in",
                                        "1.2.3", "--1",  "1e5.0", "1f",      "1d0", "-.",   "+inf ",
                                        "i",     "1e5x", "0b1",   "\xd9\xa3"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!CHECK(!apx_number_parse(words[i], strlen(words[i]), NULL)))
            fprintf(stderr, "    %s\n", words[i]);
    char digits[APX_LIMIT_NUMBER_TEXT + 1];
    memset(digits, '0', sizeof digits);
    CHECK(apx_number_parse(digits, sizeof digits - 1, NULL));
    CHECK(!apx_number_parse(digits, sizeof digits, NULL));
}

/* Against the C library, on random texts of every length of digits and many exponents. */
static void agrees_with_the_library(void)
{
    uint64_t state = 42;
    int different = 0;
    for (int i = 0; i < 200000; i++) {
        char text[64];
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t digits = state >> (state >> 58);
        state = state * 6364136223846793005u + 1442695040888963407u;
        int point = (int)(state >> 60), exponent = (int)((state >> 40) % 80) - 40;
        char all[32];
        int length = snprintf(all, sizeof all, "%llu", (unsigned long long)digits);
        if (point > length)
            point = length;
        snprintf(text, sizeof text, "%.*s.%se%d", point, all, all + point, exponent);
        double value;
        if (!apx_number_parse(text, strlen(text), &value) || value != strtod(text, NULL))
            if (different++ == 0)
                fprintf(stderr, "    %s\n", text);
    }
    CHECK_EQ(different, 0);
}

/* Doubles as model files write them, and 18 and 19 digits next to the middle of two doubles. */
static void rounds_once(void)
{
    uint64_t state = 7;
    int different = 0;
    for (int i = 0; i < 100000; i++) {
        static const int precision[] = {16, 17, 18};
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = (state >> 12) | (uint64_t)(0x3ff - 80 + (int)(state % 160)) << 52;
        double from;
        memcpy(&from, &bits, sizeof from);
        for (int k = 0; k < 3; k++) {
            char text[64];
            double value;
            long double middle = (long double)from + (nextafter(from, 1e300) - from) / 2;
            snprintf(text, sizeof text, "%.*Le", precision[k], k > 0 ? middle : (long double)from);
            bool same = apx_number_parse(text, strlen(text), &value) &&
                        value == strtod(text, NULL) && (k > 0 || value == from);
            if (!same && different++ == 0)
                fprintf(stderr, "    %s\n", text);
        }
    }
    CHECK_EQ(different, 0);
}

static void any_locale(void)
{
    double value = 0;
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "de_DE") == NULL)
        printf("     no German locale here: its decimal comma was not tried\n");
    CHECK(apx_number_parse("1.50000000000000000000000001", 28, &value));
    CHECK_NEAR(value, 1.5, 0);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    RUN(reads_numbers);
    RUN(refuses_other_words);
    RUN(agrees_with_the_library);
    RUN(rounds_once);
    RUN(any_locale);
    return check_report();
}
