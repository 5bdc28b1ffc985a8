/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - assertions for test programs: report all failures, then exit non-zero.
 *
 *     static void adds(void) { CHECK_EQ(apx_add(1, 2), 3); }
 *     int main(void) { RUN(adds); return check_report(); }
 */
#ifndef APX_TESTS_CHECK_H
#define APX_TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures, check_count;

static inline int check_that(int ok, const char *file, int line, const char *text)
{
    check_count++;
    if (!ok) {
        check_failures++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
    return ok;
}

#define CHECK(condition) check_that(!!(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (!check_that(check_a == check_b, __FILE__, __LINE__, #a " == " #b))                     \
            fprintf(stderr, "    %lld, expected %lld\n", check_a, check_b);                        \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *check_a = (a), *check_b = (b);                                                 \
        if (!check_that(check_a != NULL && strcmp(check_a, check_b) == 0, __FILE__, __LINE__,      \
                        #a " is " #b))                                                             \
            fprintf(stderr, "    \"%s\"\n", check_a != NULL ? check_a : "(null)");                 \
    } while (0)
/* The text contains the part. */
#define CHECK_HAS(text, part)                                                                      \
    do {                                                                                           \
        const char *check_a = (text);                                                              \
        if (!check_that(check_a != NULL && strstr(check_a, (part)) != NULL, __FILE__, __LINE__,    \
                        #text " has " #part))                                                      \
            fprintf(stderr, "    \"%s\"\n", check_a != NULL ? check_a : "(null)");                 \
    } while (0)
/* |a - b| <= tolerance, or both NaN, or equal infinities. */
#define CHECK_NEAR(a, b, tolerance)                                                                \
    do {                                                                                           \
        double check_a = (double)(a), check_b = (double)(b);                                       \
        int check_ok = (isnan(check_a) && isnan(check_b)) || check_a == check_b ||                 \
                       fabs(check_a - check_b) <= (double)(tolerance);                             \
        if (!check_that(check_ok, __FILE__, __LINE__, #a " near " #b))                             \
            fprintf(stderr, "    %.9g, expected %.9g\n", check_a, check_b);                        \
    } while (0)
/* Stop this test program: nothing after makes sense. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!CHECK(condition))                                                                     \
            exit(1);                                                                               \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        int check_before = check_failures;                                                         \
        test();                                                                                    \
        printf("%s %s\n", check_failures == check_before ? "ok  " : "FAIL", #test);                \
    } while (0)

static inline int check_report(void)
{
    printf("%d checks, %d failed\n", check_count, check_failures);
    return check_failures > 0 || check_count == 0;
}

#endif
