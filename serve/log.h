/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - the server's log: one JSON object a line, on stderr.
 *
 *     {"ts":"2026-01-31T12:00:00.123456Z","level":"info","event":"listening","port":8500}
 *
 *     APX_LOG(APX_LOG_INFO, "listening", APX_LOG_TEXT("address", text), APX_LOG_INT("port", port));
 *
 * Events are words of a fixed vocabulary, listed in serve/README.md; what varies is in the fields.
 * The log is the process's own, since the transport's log hook has no context to carry one. All
 * functions may be called from any thread. */
#ifndef APX_SERVE_LOG_H
#define APX_SERVE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum apx_log_level { APX_LOG_DEBUG, APX_LOG_INFO, APX_LOG_WARN, APX_LOG_ERROR };

struct apx_log_field {
    const char *name;
    const char *text; /* NULL: the number counts */
    int64_t number;
};
#define APX_LOG_TEXT(field, value) ((struct apx_log_field){(field), (value), 0})
#define APX_LOG_INT(field, value)  ((struct apx_log_field){(field), NULL, (int64_t)(value)})

/* Lines below this level are not written. APX_LOG_INFO at start. */
void apx_log_set_level(enum apx_log_level level);
bool apx_log_enabled(enum apx_log_level level);
/* "debug" "info" "warn" "error"; false if `name` is none of these. */
bool apx_log_level_parse(const char *name, enum apx_log_level *level);

/* Writes one line in one piece. Lines longer than 8 KiB are cut at a field. */
void apx_log(enum apx_log_level level, const char *event, const struct apx_log_field *fields,
             size_t count);

#define APX_LOG(level, event, ...)                                                                 \
    do {                                                                                           \
        if (apx_log_enabled(level)) {                                                              \
            const struct apx_log_field apx_log_fields[] = {__VA_ARGS__};                           \
            apx_log((level), (event), apx_log_fields,                                              \
                    sizeof apx_log_fields / sizeof apx_log_fields[0]);                             \
        }                                                                                          \
    } while (0)

/* Some events can come a hundred thousand times a second. Of those, the first APX_LOG_BURST of each
 * second are written; the first line of a later second says how many were left out ("omitted").
 * Zero-initialised; shared by any number of threads. */
#define APX_LOG_BURST 10
struct apx_log_limit {
    _Atomic int64_t second;  /* the second that is being counted */
    _Atomic int64_t written; /* lines asked for in it */
    _Atomic int64_t omitted; /* lines left out since the last line that was written */
};
/* True if the line should be written; *omitted gets the number of lines left out before it. */
bool apx_log_allow(struct apx_log_limit *limit, int64_t *omitted);

#endif
