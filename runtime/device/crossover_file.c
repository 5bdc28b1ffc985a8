/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_file.c - measured figures as JSON in a folder of caches.
 *
 * Anybody may have written what is found there, or half of it: everything is checked here, and a
 * file that is not right is as good as none. The choice itself is made anew from the figures. */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/sha256.h"
#include "runtime/device/crossover.h"

#define FORMAT       "auspex crossover 1"
#define MOST_THREADS 1024
#define MOST_NS      ((json_int_t)1000000000000000) /* eleven days */

/* ---- what must be the same --------------------------------------------------------------------
 */

static const struct {
    const char *name, *words;
    size_t offset;
} parts[] = {
    {"model_sha256", "model", offsetof(struct apx_crossover_key, model)},
    {"precision", "precision", offsetof(struct apx_crossover_key, precision)},
    {"gpu", "GPU", offsetof(struct apx_crossover_key, gpu)},
    {"driver", "driver", offsetof(struct apx_crossover_key, driver)},
    {"cpu", "processor", offsetof(struct apx_crossover_key, cpu)},
    {"isa", "instruction set", offsetof(struct apx_crossover_key, isa)},
};
#define PARTS (sizeof parts / sizeof parts[0])

static const char *part_of(const struct apx_crossover_key *key, size_t i)
{
    return (const char *)key + parts[i].offset;
}

char *apx_crossover_path(const char *directory, const struct apx_crossover_key *key)
{
    struct apx_sha256 hash;
    char hex[65], *path;
    apx_sha256_init(&hash);
    for (size_t i = 0; i < PARTS; i++)
        apx_sha256_add(&hash, part_of(key, i), strlen(part_of(key, i)) + 1);
    apx_sha256_hex(&hash, hex);
    return asprintf(&path, "%s/crossover-%.32s.json", directory, hex) < 0 ? NULL : path;
}

char *apx_crossover_directory(const char *given)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int length = 0;
    if (given != NULL)
        return given[0] != '\0' ? strdup(given) : NULL;
    if (cache != NULL && cache[0] == '/') /* others are to be ignored, says the standard */
        length = asprintf(&path, "%s/auspex", cache);
    else if (home != NULL && home[0] == '/')
        length = asprintf(&path, "%s/.cache/auspex", home);
    return length > 0 ? path : NULL;
}

/* ---- read -------------------------------------------------------------------------------------
 */

/* False unless it is a whole number within bounds. */
static bool take(const json_t *object, const char *name, json_int_t least, json_int_t most,
                 int64_t *out)
{
    const json_t *number = json_object_get(object, name);
    if (!json_is_integer(number))
        return false;
    *out = json_integer_value(number);
    return *out >= least && *out <= most;
}

/* "2026-11-21T22:40:00Z" */
static bool take_time(const json_t *object, char out[24])
{
    static const char form[] = "0000-00-00T00:00:00Z";
    const char *text = json_string_value(json_object_get(object, "measured"));
    if (text == NULL || strlen(text) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
            return false;
    memcpy(out, text, sizeof form);
    return true;
}

static bool take_crossover(const json_t *json, struct apx_crossover *out)
{
    const json_t *points = json_object_get(json, "points"), *steps = json_object_get(json, "steps");
    const size_t count = json_array_size(points);
    int64_t threads;
    if (!take(json, "threads", 1, MOST_THREADS, &threads) || !take_time(json, out->measured) ||
        count == 0 || count > APX_LIMIT_CROSSOVER_POINTS)
        return false;
    if (!json_is_null(steps) && !take(json, "steps", 1, APX_LIMIT_CROSSOVER_ROWS, &out->steps))
        return false;
    out->threads = (int)threads;
    for (size_t i = 0; i < count; i++) {
        struct apx_crossover_point *point = &out->points[i];
        const json_t *entry = json_array_get(points, i);
        const json_int_t least = i > 0 ? out->points[i - 1].rows + 1 : 1;
        if (!take(entry, "rows", least, APX_LIMIT_CROSSOVER_ROWS, &point->rows) ||
            !take(entry, "cpu_ns", 1, MOST_NS, &point->cpu_ns) ||
            !take(entry, "gpu_ns", 1, MOST_NS, &point->gpu_ns))
            return false;
    }
    out->point_count = (int)count;
    out->from_rows = apx_crossover_settle(out->points, out->point_count);
    return true;
}

static enum apx_status take_all(const json_t *json, const struct apx_crossover_key *key,
                                const struct apx_allocator *allocator, struct apx_crossovers *out,
                                struct apx_error *error)
{
    const char *format = json_string_value(json_object_get(json, "format"));
    const json_t *found = json_object_get(json, "key"), *list = json_object_get(json, "crossovers");
    const size_t count = json_array_size(list);
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return apx_fail(error, APX_EFORMAT, "format", "it is no \"" FORMAT "\"");
    for (size_t i = 0; i < PARTS; i++) {
        const char *text = json_string_value(json_object_get(found, parts[i].name));
        if (text == NULL || strcmp(text, part_of(key, i)) != 0)
            return apx_fail(error, APX_EFORMAT, parts[i].name, "it is for another %s (%.80s)",
                            parts[i].words, text != NULL ? text : "none");
    }
    if (count == 0 || count > APX_LIMIT_CROSSOVERS)
        return apx_fail(error, APX_EFORMAT, "crossovers", "it has %zu crossovers, not 1 to %d",
                        count, APX_LIMIT_CROSSOVERS);
    out->allocator = allocator;
    out->list = apx_alloc(allocator, count, sizeof *out->list);
    if (out->list == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct apx_crossover *crossover = &out->list[i];
        if (!take_crossover(json_array_get(list, i), crossover) ||
            apx_crossovers_find(out, crossover->threads, crossover->steps) != NULL)
            return apx_fail(error, APX_EFORMAT, "crossovers", "crossover %zu is damaged", i);
        out->count++;
    }
    return APX_OK;
}

enum apx_status apx_crossovers_read(const char *text, size_t bytes,
                                    const struct apx_crossover_key *key,
                                    const struct apx_allocator *allocator,
                                    struct apx_crossovers *out, struct apx_error *error)
{
    json_error_t where;
    *out = (struct apx_crossovers){.allocator = allocator};
    json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
    enum apx_status status =
        json != NULL
            ? take_all(json, key, allocator, out, error)
            : apx_fail(error, APX_EFORMAT, "", "line %d is no JSON, or it is cut off", where.line);
    json_decref(json);
    if (status != APX_OK)
        apx_crossovers_release(out);
    return status;
}

enum apx_status apx_crossovers_load(const char *directory, const struct apx_crossover_key *key,
                                    const struct apx_allocator *allocator,
                                    struct apx_crossovers *out, struct apx_error *error)
{
    struct apx_error reason = {0};
    struct stat about;
    char *text = NULL, *path = apx_crossover_path(directory, key);
    size_t bytes;
    enum apx_status status;
    *out = (struct apx_crossovers){.allocator = allocator};
    if (path == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) /* a pipe would be waited for */
        status = apx_fail(&reason, APX_EFORMAT, "", "it is no regular file; remove it");
    else
        status = apx_file_read(path, APX_LIMIT_CROSSOVER_BYTES, &text, &bytes, &reason);
    if (status == APX_OK)
        status = apx_crossovers_read(text, bytes, key, allocator, out, &reason);
    if (status != APX_OK)
        apx_fail(error, status, path, "%s is not used: %s%s measure again with auspex calibrate",
                 path, reason.message, strchr(reason.message, ';') != NULL ? " and" : ";");
    free(text);
    free(path);
    return status;
}

/* ---- write ------------------------------------------------------------------------------------
 */

void *apx_crossover_json(const struct apx_crossover *crossover)
{
    json_t *points = json_array();
    for (int i = 0; i < crossover->point_count; i++)
        json_array_append_new(points, json_pack("{s:I, s:I, s:I}", "rows",
                                                (json_int_t)crossover->points[i].rows, "cpu_ns",
                                                (json_int_t)crossover->points[i].cpu_ns, "gpu_ns",
                                                (json_int_t)crossover->points[i].gpu_ns));
    json_t *steps = crossover->steps > 0 ? json_integer((json_int_t)crossover->steps) : json_null();
    json_t *from =
        crossover->from_rows > 0 ? json_integer((json_int_t)crossover->from_rows) : json_null();
    return json_pack("{s:i, s:o, s:s, s:o, s:o}", "threads", crossover->threads, "steps", steps,
                     "measured", crossover->measured, "from_rows", from, "points", points);
}

/* NULL: out of memory. For free(). */
static char *write_text(const struct apx_crossover_key *key, const struct apx_crossovers *old,
                        const struct apx_crossover *fresh)
{
    json_t *json = json_object(), *about = json_object(), *list = json_array();
    /* The newest first: of a full file the oldest goes. */
    json_array_append_new(list, apx_crossover_json(fresh));
    for (int i = 0; i < old->count && json_array_size(list) < APX_LIMIT_CROSSOVERS; i++)
        if (old->list[i].threads != fresh->threads || old->list[i].steps != fresh->steps)
            json_array_append_new(list, apx_crossover_json(&old->list[i]));
    for (size_t i = 0; i < PARTS; i++)
        json_object_set_new(about, parts[i].name, json_string(part_of(key, i)));
    json_object_set_new(json, "format", json_string(FORMAT));
    json_object_set_new(json, "key", about);
    json_object_set_new(json, "crossovers", list);
    char *text = json_dumps(json, JSON_INDENT(1));
    json_decref(json);
    return text;
}

/* A pipe would be waited for, and a folder cannot be replaced. *path (for free()): the file's, on
 * failure too. */
static enum apx_status check_place(const char *directory, const struct apx_crossover_key *key,
                                   char **path, struct apx_error *error)
{
    struct stat about;
    *path = apx_crossover_path(directory, key);
    if (*path == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    if (stat(*path, &about) == 0 && !S_ISREG(about.st_mode))
        return apx_fail(error, APX_EIO, *path, "%s is no regular file; remove it", *path);
    return APX_OK;
}

enum apx_status apx_crossovers_prepare(const char *directory, const struct apx_crossover_key *key,
                                       struct apx_error *error)
{
    char *path = NULL;
    int lock;
    enum apx_status status = apx_crossover_lock(directory, &lock, error);
    if (status == APX_OK)
        status = check_place(directory, key, &path, error);
    if (lock >= 0)
        close(lock);
    free(path);
    return status;
}

enum apx_status apx_crossovers_store(const char *directory, const struct apx_crossover_key *key,
                                     struct apx_crossover *fresh, char **path,
                                     struct apx_error *error)
{
    struct apx_crossovers old = {0};
    char *text = NULL;
    int lock;
    *path = NULL;
    enum apx_status status = apx_crossover_lock(directory, &lock, error);
    if (status == APX_OK)
        status = check_place(directory, key, path, error);
    if (status == APX_OK) {
        /* What cannot be read of the old one is lost: it was of no use. */
        (void)apx_crossovers_load(directory, key, apx_allocator_default(), &old, NULL);
        const struct apx_crossover *same = apx_crossovers_find(&old, fresh->threads, fresh->steps);
        if (same != NULL)
            apx_crossover_merge(fresh, same);
        text = write_text(key, &old, fresh);
        status = text == NULL ? apx_fail(error, APX_ENOMEM, "", "out of memory")
                              : apx_file_replace(*path, text, strlen(text), error);
    }
    apx_crossovers_release(&old);
    free(text);
    if (lock >= 0)
        close(lock);
    if (status != APX_OK) {
        free(*path);
        *path = NULL;
    }
    return status;
}
