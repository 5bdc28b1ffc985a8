/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp_test.c - against the C library's calendar and against what must not parse. */
#include <time.h>

#include "tests/harness/check.h"
#include "train/timestamp.h"

static void calendar(void)
{
    /* every 37 days and some seconds over more than two Gregorian cycles */
    int checked = 0;
    for (long long at = -8000000000; at < 20000000000; at += 37LL * 86400 + 12345) {
        time_t seconds = (time_t)at;
        struct tm utc;
        char text[40];
        double parsed = 0;
        gmtime_r(&seconds, &utc);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
        if (!CHECK(apx_timestamp_parse(text, &parsed)) || !CHECK(parsed == (double)at))
            fprintf(stderr, "    %s\n", text);
        checked++;
    }
    CHECK(checked > 8000);
}

static void spellings(void)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {
        {"1970-01-01", 0},
        {"1970/01/02", 86400},
        {"2014-02-14 14:30:00", 1392388200},
        {"2014-02-14T14:30:00Z", 1392388200},
        {"2014-02-14T14:30", 1392388200},
        {" 2014-02-14 14:30:00 ", 1392388200},
        {"2014-02-14 16:30:00+02:00", 1392388200},
        {"2014-02-14 16:30:00 +0200", 1392388200},
        {"2014-02-14T13:30:00-01", 1392388200},
        {"2014-02-14 14:30:00.250", 1392388200.25},
        {"2016-02-29", 1456704000},
    };
    static const char *const bad[] = {"",
                                      "today",
                                      "2014-02-30",
                                      "2015-02-29",
                                      "2014-13-01",
                                      "2014-00-01",
                                      "2014-2-14",
                                      "14/02/2014",
                                      "2014-02/14",
                                      "2014-02-14 24:00:00",
                                      "2014-02-14 14",
                                      "2014-02-14 14:30:00x",
                                      "2014-02-14T14:30:00.",
                                      "1392388200",
                                      "2014-02-14 14:30:00+2"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double seconds = -1;
        CHECK(apx_timestamp_parse(good[i].text, &seconds));
        CHECK_NEAR(seconds, good[i].seconds, 1e-9);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double seconds;
        if (!CHECK(!apx_timestamp_parse(bad[i], &seconds)))
            fprintf(stderr, "    \"%s\"\n", bad[i]);
    }
    CHECK_NEAR(apx_timestamp_number(1392388200), 1392388200, 0);
    CHECK_NEAR(apx_timestamp_number(1392388200250), 1392388200.25, 1e-6);
}

int main(void)
{
    RUN(calendar);
    RUN(spellings);
    return check_report();
}
