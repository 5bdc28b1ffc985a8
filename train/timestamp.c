/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp.c - a strict reader of dates in the order year, month, day.
 *
 * Days are counted by the proleptic Gregorian calendar, with the year starting in March so that the
 * leap day comes last: 365 y + y/4 - y/100 + y/400 days before year y, (153 m + 2) / 5 before month
 * m of it. */
#include "train/timestamp.h"

#include <stddef.h>

/* Exactly `digits` digits; moves *text behind them. */
static bool number(const char **text, int digits, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        char c = **text;
        if (c < '0' || c > '9')
            return false;
        *value = *value * 10 + (c - '0');
        (*text)++;
    }
    return true;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static long long days_since_1970(int year, int month, int day)
{
    long long y = month > 2 ? year : year - 1, m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool parse_clock(const char **text, double *seconds)
{
    int hour, minute, second = 0;
    double fraction = 0, place = 0.1;
    if (!number(text, 2, &hour) || *(*text)++ != ':' || !number(text, 2, &minute))
        return false;
    if (**text == ':') {
        (*text)++;
        if (!number(text, 2, &second))
            return false;
        if (**text == '.' || **text == ',') {
            (*text)++;
            const char *first = *text;
            for (; **text >= '0' && **text <= '9'; (*text)++, place /= 10)
                fraction += place * (**text - '0');
            if (*text == first)
                return false;
        }
    }
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second */
        return false;
    *seconds = hour * 3600.0 + minute * 60.0 + second + fraction;
    return true;
}

static bool parse_offset(const char **text, double *seconds)
{
    int hours, minutes = 0, sign = **text == '-' ? -1 : 1;
    *seconds = 0;
    if (**text == 'Z' || **text == 'z') {
        (*text)++;
        return true;
    }
    if (**text != '+' && **text != '-')
        return true;
    (*text)++;
    if (!number(text, 2, &hours))
        return false;
    if (**text == ':')
        (*text)++;
    if (**text != '\0' && !number(text, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *seconds = sign * (hours * 3600.0 + minutes * 60.0);
    return true;
}

bool apx_timestamp_parse(const char *text, double *seconds)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    double clock = 0, offset = 0;
    while (*text == ' ')
        text++;
    if (!number(&text, 4, &year))
        return false;
    char between = *text;
    if ((between != '-' && between != '/') || !number((text++, &text), 2, &month) ||
        *text != between || !number((text++, &text), 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    if (*text == 'T' || (*text == ' ' && text[1] >= '0' && text[1] <= '9')) {
        text++;
        if (!parse_clock(&text, &clock))
            return false;
        if (*text == ' ' && (text[1] == '+' || text[1] == '-'))
            text++;
        if (!parse_offset(&text, &offset))
            return false;
    }
    while (*text == ' ')
        text++;
    if (*text != '\0')
        return false;
    *seconds = (double)days_since_1970(year, month, day) * 86400.0 + clock - offset;
    return true;
}

double apx_timestamp_number(double value)
{
    return value >= 1e11 || value <= -1e11 ? value / 1000.0 : value;
}
