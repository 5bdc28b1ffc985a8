/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - a line is put together on the stack and written with one write(), so that lines of
 * several threads never mix and a full disk or a closed stderr costs no more than a failed call. */
#include "serve/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic int log_level = APX_LOG_INFO; /* read by every thread, set by main */

struct line {
    char text[LINE_BYTES];
    size_t size;
    bool full; /* something did not fit */
};

static void put(struct line *line, const char *text, size_t size)
{
    if (line->full || size > sizeof line->text - 4 - line->size) { /* "}\n" must still fit */
        line->full = true;
        return;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void put_string(struct line *line, const char *text)
{
    put(line, "\"", 1);
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        char escaped[8];
        if (c == '"' || c == '\\') {
            escaped[0] = '\\';
            escaped[1] = *at;
            put(line, escaped, 2);
        } else if (c < 0x20 || c >= 0x7f) { /* whatever is not ASCII could be no UTF-8 at all */
            int size = snprintf(escaped, sizeof escaped, "\\u%04x", c);
            put(line, escaped, (size_t)size);
        } else {
            put(line, at, 1);
        }
    }
    put(line, "\"", 1);
}

void apx_log_set_level(enum apx_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool apx_log_enabled(enum apx_log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool apx_log_level_parse(const char *name, enum apx_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum apx_log_level)i;
            return true;
        }
    }
    return false;
}

void apx_log(enum apx_log_level level, const char *event, const struct apx_log_field *fields,
             size_t count)
{
    if (!apx_log_enabled(level))
        return;
    struct line line;
    line.size = 0;
    line.full = false;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char stamp[64];
    size_t size = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    size += (size_t)snprintf(stamp + size, sizeof stamp - size, ".%06ldZ", now.tv_nsec / 1000);
    put(&line, "{\"ts\":\"", 7);
    put(&line, stamp, size);
    put(&line, "\",\"level\":", 10);
    put_string(&line, level_names[level]);
    put(&line, ",\"event\":", 9);
    put_string(&line, event);
    for (size_t i = 0; i < count; i++) {
        size_t before = line.size;
        put(&line, ",", 1);
        put_string(&line, fields[i].name);
        put(&line, ":", 1);
        if (fields[i].text != NULL) {
            put_string(&line, fields[i].text);
        } else {
            char number[32];
            int digits = snprintf(number, sizeof number, "%lld", (long long)fields[i].number);
            put(&line, number, (size_t)digits);
        }
        if (line.full) { /* a field that does not fit goes as a whole: the line stays JSON */
            line.size = before;
            break;
        }
    }
    line.full = false;
    memcpy(line.text + line.size, "}\n", 2);
    line.size += 2;
    ssize_t written = write(STDERR_FILENO, line.text, line.size);
    (void)written; /* there is nowhere to report that to */
}

bool apx_log_allow(struct apx_log_limit *limit, int64_t *omitted)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t second = atomic_load(&limit->second);
    /* Whoever moves the second on resets its count; a line counted in between is no loss. */
    if (second != now.tv_sec &&
        atomic_compare_exchange_strong(&limit->second, &second, (int64_t)now.tv_sec))
        atomic_store(&limit->written, 0);
    if (atomic_fetch_add(&limit->written, 1) >= APX_LOG_BURST) {
        atomic_fetch_add(&limit->omitted, 1);
        return false;
    }
    *omitted = atomic_exchange(&limit->omitted, 0);
    return true;
}
