/* SPDX-License-Identifier: Apache-2.0 */
/* document_test.c - decimal text to floats, and the numbers and strings of a document. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/document.h"
#include "tests/harness/check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void same_as_strtof(const char *text)
{
    float got = 99.0f;
    size_t length = strlen(text);
    const char *end = apx_float_scan(text, text + length, &got);
    if (!CHECK(end == text + length && same_bits(got, strtof(text, NULL))))
        fprintf(stderr, "    %s: %.9g, expected %.9g\n", text, (double)got,
                (double)strtof(text, NULL));
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 4;
}

/* Floats as XGBoost and others write them, and texts at, just below and just above the middle of
 * two floats, where rounding twice goes wrong. */
static void rounds_as_the_c_library(void)
{
    uint32_t state = 7;
    char text[128];
    for (int i = 0; i < 60000; i++) {
        uint32_t bits = next_random(&state) ^ next_random(&state) << 16;
        float value, next;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.*g", (int)(next_random(&state) % 20 + 1), (double)value);
        same_as_strtof(text);
        snprintf(text, sizeof text, "%.*E", (int)(next_random(&state) % 9), (double)value);
        same_as_strtof(text);
        next = nextafterf(value, INFINITY);
        if (!isfinite(next))
            continue;
        double middle = ((double)value + (double)next) / 2;
        snprintf(text, sizeof text, "%.*e", (int)(16 + next_random(&state) % 24), middle);
        same_as_strtof(text);
        snprintf(text, sizeof text, "%.17e", nextafter(middle, (i & 1) != 0 ? HUGE_VAL : 0.0));
        same_as_strtof(text);
    }
    for (int power = -80; power <= 60; power++) {
        snprintf(text, sizeof text, "%dE%d", (int)(next_random(&state) % 99999999), power);
        same_as_strtof(text);
    }
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.0",
                                        "1E-45",
                                        "7E-46",
                                        "7.1E-46",
                                        "-1E-45",
                                        "3.4028235E38",
                                        "3.4028236E38",
                                        "3.4028235677973366e38",
                                        "3.4028235677973367e38",
                                        "1E39",
                                        "-1E400",
                                        "1E-400",
                                        "16777217",
                                        "16777217.0000000001",
                                        "16777216.9999999999",
                                        "0.00000000000000000000000000000000000001",
                                        "1.17549435E-38",
                                        "1.1754942E-38",
                                        "9999999999999999999999999999999999999999e-5",
                                        "00000000000000000000000000000000001.5",
                                        "1e00000000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        same_as_strtof(texts[i]);
}

static void knows_words(void)
{
    static const struct {
        const char *text;
        float value;
    } words[] = {
        {"NaN", NAN},      {"nan", NAN},        {"Infinity", INFINITY}, {"-Infinity", -INFINITY},
        {"inf", INFINITY}, {"-inf", -INFINITY}, {"true", 1.0f},         {"false", 0.0f}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        float got = 9.0f;
        size_t length = strlen(words[i].text);
        CHECK(apx_float_scan(words[i].text, words[i].text + length, &got) ==
              words[i].text + length);
        CHECK(isnan(words[i].value) ? isnan(got) : got == words[i].value);
    }
    static const char *const wrong[] = {"",    "-",  ".",  "-.",      "e5", "1e",
                                        "1e+", "+1", "Na", "Infinit", "x",  "tru"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        float got;
        if (!CHECK(apx_float_scan(wrong[i], wrong[i] + strlen(wrong[i]), &got) == NULL))
            fprintf(stderr, "    %s\n", wrong[i]);
    }
    char endless[4096];
    float got;
    memset(endless, '1', sizeof endless);
    CHECK(apx_float_scan(endless, endless + sizeof endless, &got) == NULL);
}

/* Reading stops at the end that is given, digits behind it or not. */
static void stays_inside(void)
{
    const char *text = "12.5e123";
    float value;
    CHECK(apx_float_scan(text, text + 2, &value) == text + 2);
    CHECK_EQ(value, 12.0f);
    CHECK(apx_float_scan(text, text + 6, &value) == text + 6);
    CHECK_EQ(value, 125.0f);
    CHECK(apx_float_scan(text, text + 5, &value) == NULL);
}

/* ---- documents ------------------------------------------------------------------------------- */

static void reads_numbers_and_strings(void)
{
    static const char text[] =
        "{\"empty\":[], \"ints\" :[ 1,-2 ,2147483647,99999999999,-99999999999],"
        "\"mixed\":[1,2.5,-1e2,NaN,true,false],\"list\":[\"a\",1],"
        "\"text\":\"a\\n\\\"\\\\\\u20ac\\ud83d\\ude00\\q\",\"null\":null,"
        "\"one\":7}";
    struct apx_doc doc;
    struct apx_error error;
    const struct apx_doc_value *root;
    REQUIRE(apx_doc_open(&doc, text, strlen(text), apx_allocator_default(), &root, &error) ==
            APX_OK);
    int32_t ints[8];
    float floats[8];
    char copy[32];
    CHECK_EQ(apx_doc_count(&doc, apx_doc_member(&doc, root, "empty")), 0);
    CHECK_EQ(apx_doc_count(&doc, apx_doc_member(&doc, root, "list")), SIZE_MAX);
    CHECK_EQ(apx_doc_count(&doc, apx_doc_member(&doc, root, "nothing")), SIZE_MAX);
    CHECK_EQ(apx_doc_count(&doc, apx_doc_member(&doc, root, "null")), SIZE_MAX);
    const struct apx_doc_value *member = apx_doc_member(&doc, root, "ints");
    REQUIRE(apx_doc_count(&doc, member) == 5);
    CHECK_EQ(apx_doc_ints(&doc, member, "ints", ints), APX_OK);
    CHECK_EQ(ints[0], 1);
    CHECK_EQ(ints[1], -2);
    CHECK_EQ(ints[2], INT32_MAX);
    CHECK_EQ(ints[3], INT32_MAX);
    CHECK_EQ(ints[4], INT32_MIN);
    member = apx_doc_member(&doc, root, "mixed");
    REQUIRE(apx_doc_count(&doc, member) == 6);
    CHECK_EQ(apx_doc_floats(&doc, member, "mixed", floats), APX_OK);
    CHECK(floats[0] == 1.0f && floats[1] == 2.5f && floats[2] == -100.0f && isnan(floats[3]));
    CHECK(floats[4] == 1.0f && floats[5] == 0.0f);
    CHECK_EQ(apx_doc_ints(&doc, member, "mixed", ints), APX_EFORMAT);
    CHECK_HAS(error.message, "mixed: no integer at byte");
    CHECK_EQ(apx_doc_ints(&doc, apx_doc_member(&doc, root, "list"), "list", ints), APX_EFORMAT);
    member = apx_doc_member(&doc, root, "text");
    CHECK_EQ(apx_doc_text(&doc, member, copy, sizeof copy), 13);
    CHECK_STR(copy, "a\n\"\\\xe2\x82\xac\xf0\x9f\x98\x80q");
    CHECK_EQ(apx_doc_text(&doc, member, copy, 3), 13);
    CHECK_STR(copy, "a\n");
    CHECK_EQ(apx_doc_ints(&doc, apx_doc_member(&doc, root, "one"), "one", ints), APX_OK);
    CHECK_EQ(ints[0], 7);
    apx_doc_close(&doc);
}

/* Every type of number that UBJSON has. */
static void reads_ubjson_numbers(void)
{
    static const char bytes[] =
        "{U\1a[$i#U\2\xff\x7f"
        "U\1b[$U#i\2\xff\x7f"
        "U\1c[$I#I\0\1\x80\0"
        "U\1d[$l#l\0\0\0\1\x80\0\0\0"
        "U\1e[$L#L\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xfe"
        "U\1f[$d#U\1\x3f\x80\0\0"
        "U\1g[$D#U\1\x3f\xf8\0\0\0\0\0\0"
        "U\1h[#U\4i\5TFI\x01\0"
        "U\1i[d\x40\0\0\0i\1]"
        "U\1j[Si\2ab]}";
    static const struct {
        const char *name;
        size_t count;
        float values[4];
        bool are_ints;
    } cases[] = {{"a", 2, {-1, 127}, true},
                 {"b", 2, {255, 127}, true},
                 {"c", 1, {-32768}, true},
                 {"d", 1, {-2147483648.0f}, true},
                 {"e", 2, {4294967296.0f, -2}, true},
                 {"f", 1, {1}, false},
                 {"g", 1, {1.5f}, false},
                 {"h", 4, {5, 1, 0, 256}, true},
                 {"i", 2, {2, 1}, false}};
    struct apx_doc doc;
    struct apx_error error = {0};
    const struct apx_doc_value *root;
    if (apx_doc_open(&doc, bytes, sizeof bytes - 1, apx_allocator_default(), &root, &error) !=
        APX_OK)
        fprintf(stderr, "    %s\n", error.message);
    REQUIRE(error.message[0] == '\0');
    CHECK(doc.is_binary);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct apx_doc_value *member = apx_doc_member(&doc, root, cases[i].name);
        float floats[4];
        int32_t ints[4];
        if (!CHECK(apx_doc_count(&doc, member) == cases[i].count))
            continue;
        CHECK_EQ(apx_doc_floats(&doc, member, "x", floats), APX_OK);
        for (size_t k = 0; k < cases[i].count; k++)
            if (!CHECK(floats[k] == cases[i].values[k]))
                fprintf(stderr, "    %s %zu\n", cases[i].name, k);
        CHECK_EQ(apx_doc_ints(&doc, member, "x", ints) == APX_OK, cases[i].are_ints);
    }
    CHECK_EQ(apx_doc_count(&doc, apx_doc_member(&doc, root, "j")), SIZE_MAX);
    apx_doc_close(&doc);
}

int main(void)
{
    RUN(rounds_as_the_c_library);
    RUN(knows_words);
    RUN(stays_inside);
    RUN(reads_numbers_and_strings);
    RUN(reads_ubjson_numbers);
    return check_report();
}
