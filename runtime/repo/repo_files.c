/* SPDX-License-Identifier: Apache-2.0 */
/* repo_files.c - names, paths, version directories and the JSON files between them. */
#include "runtime/repo/repo_files.h"

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/model/model_format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

void apx_repo_path(const struct apx_repo *repo, const char *model, int64_t version,
                   const char *name, char path[APX_REPO_PATH])
{
    size_t used = (size_t)snprintf(path, APX_REPO_PATH, "%s/%s", repo->directory, model);
    if (version > 0)
        used += (size_t)snprintf(path + used, APX_REPO_PATH - used, "/%lld", (long long)version);
    if (name != NULL)
        snprintf(path + used, APX_REPO_PATH - used, "/%s", name);
}

enum apx_status apx_repo_check_name(const char *what, const char *name, struct apx_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    size_t length = strlen(name);
    if (length == 0 || length > APX_LIMIT_MODEL_NAME || name[0] == '.' ||
        strspn(name, allowed) != length)
        return apx_fail(error, APX_EINVAL, what,
                        "\"%s\" cannot name %s: use 1 to %d of A-Z a-z 0-9 . _ - and no dot in "
                        "front",
                        name, strcmp(what, "model") == 0 ? "a model" : "an alias",
                        APX_LIMIT_MODEL_NAME);
    return APX_OK;
}

int64_t apx_repo_number(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 18 || text[0] == '0' || strspn(text, "0123456789") != length)
        return 0;
    return strtoll(text, NULL, 10);
}

enum { FILE_ONNX, FILE_JSON, FILE_UBJSON, FILE_TEXT, FILE_NAMES };
static const char *const file_names[FILE_NAMES] = {"model.onnx", "model.json", "model.ubj",
                                                   "model.txt"};

const char *apx_repo_file_name(const void *data, size_t bytes)
{
    static const char space[] = " \t\r\n";
    const char *text = data;
    size_t at = 0;
    switch (apx_model_format_guess(data, bytes)) {
    case APX_MODEL_LIGHTGBM:
        return file_names[FILE_TEXT];
    case APX_MODEL_XGBOOST:
        /* Both forms are an object; in UBJSON a length comes before the first member's name. */
        while (at < bytes && text[at] != '\0' && strchr(space, text[at]) != NULL)
            at++;
        for (at++; at < bytes && text[at] != '\0' && strchr(space, text[at]) != NULL;)
            at++;
        return file_names[at < bytes && text[at] == '"' ? FILE_JSON : FILE_UBJSON];
    case APX_MODEL_ONNX:
        break;
    }
    return file_names[FILE_ONNX];
}

/* The model files of a version: how many, and which are the first and the last. */
static int find_files(const struct apx_repo *repo, const char *model, int64_t version,
                      const char *found[2])
{
    int count = 0;
    for (int i = 0; i < FILE_NAMES && version > 0; i++) {
        char path[APX_REPO_PATH];
        struct stat about;
        apx_repo_path(repo, model, version, file_names[i], path);
        if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
            continue;
        found[count++ > 0] = file_names[i];
    }
    return count;
}

bool apx_repo_has_version(const struct apx_repo *repo, const char *model, int64_t version)
{
    const char *found[2];
    return find_files(repo, model, version, found) > 0;
}

enum apx_status apx_repo_model_path(const struct apx_repo *repo, const char *model, int64_t version,
                                    char path[APX_REPO_PATH], struct apx_error *error)
{
    const char *found[2] = {NULL, NULL};
    int count = find_files(repo, model, version, found);
    if (count == 0)
        return apx_fail(error, APX_ENOTFOUND, "version", "model \"%s\" has no version %lld", model,
                        (long long)version);
    if (count > 1)
        return apx_fail(error, APX_EFORMAT, "version",
                        "version %lld of model \"%s\" holds %s and %s: a version has one model "
                        "file",
                        (long long)version, model, found[0], found[1]);
    apx_repo_path(repo, model, version, found[0], path);
    return APX_OK;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

enum apx_status apx_repo_versions(const struct apx_repo *repo, const char *model,
                                  int64_t **versions, size_t *count, struct apx_error *error)
{
    char path[APX_REPO_PATH];
    size_t room = 0;
    *versions = NULL;
    *count = 0;
    apx_repo_path(repo, model, 0, NULL, path);
    DIR *list = opendir(path);
    if (list == NULL) {
        if (errno == ENOENT || errno == ENOTDIR)
            return apx_fail(error, APX_ENOTFOUND, "model", "there is no model \"%s\" in %s", model,
                            repo->directory);
        return apx_fail(error, APX_EIO, path, "cannot read %s: %s", path, strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        int64_t version = apx_repo_number(entry->d_name);
        if (version == 0 || !apx_repo_has_version(repo, model, version))
            continue;
        if (*count == room) {
            room = room > 0 ? 2 * room : 16;
            int64_t *more = realloc(*versions, room * sizeof *more);
            if (more == NULL) {
                closedir(list);
                free(*versions);
                *versions = NULL;
                return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the versions");
            }
            *versions = more;
        }
        (*versions)[(*count)++] = version;
    }
    closedir(list);
    if (*count > 0)
        qsort(*versions, *count, sizeof **versions, ascending);
    return APX_OK;
}

enum apx_status apx_repo_read_object(const char *path, json_t **object, struct apx_error *error)
{
    char *text;
    size_t bytes;
    json_error_t where;
    struct stat about;
    *object = NULL;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) /* a pipe would hold the reader up */
        return apx_fail(error, APX_EFORMAT, path, "%s is damaged: it is no regular file", path);
    enum apx_status status = apx_file_read(path, APX_LIMIT_POINTER, &text, &bytes, error);
    if (status == APX_ENOTFOUND)
        return APX_OK;
    if (status != APX_OK)
        return status;
    *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (*object == NULL && json_error_code(&where) == json_error_out_of_memory)
        return apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    if (*object == NULL)
        return apx_fail(error, APX_EFORMAT, path, "%s is damaged: line %d: %s", path, where.line,
                        where.text);
    if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return apx_fail(error, APX_EFORMAT, path, "%s is damaged: it holds no JSON object", path);
    }
    return APX_OK;
}

/* jansson may drop a part of the text and say nothing when its buffer cannot grow, so it is read
 * back. */
char *apx_repo_text(const json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
    json_t *back = text != NULL ? json_loads(text, 0, NULL) : NULL;
    if (back == NULL || json_equal(back, value) == 0) {
        free(text);
        text = NULL;
    }
    json_decref(back);
    return text;
}

enum apx_status apx_repo_write_object(const char *path, json_t *object, struct apx_error *error)
{
    char *text = apx_repo_text(object);
    json_decref(object);
    if (text == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the NUL's place: the length is given */
    enum apx_status status =
        length < APX_LIMIT_POINTER
            ? apx_file_replace(path, text, length + 1, error)
            : apx_fail(error, APX_ELIMIT, path, "%s would have %zu bytes; at most %zu are read",
                       path, length + 1, APX_LIMIT_POINTER);
    free(text);
    return status;
}

enum apx_status apx_repo_read_current(const struct apx_repo *repo, const char *model,
                                      struct apx_repo_current *current, struct apx_error *error)
{
    char path[APX_REPO_PATH];
    json_t *object;
    *current = (struct apx_repo_current){0, 0};
    apx_repo_path(repo, model, 0, "current.json", path);
    enum apx_status status = apx_repo_read_object(path, &object, error);
    if (status != APX_OK || object == NULL)
        return status;
    json_t *version = json_object_get(object, "version");
    json_t *previous = json_object_get(object, "previous");
    bool ok = json_is_integer(version) && json_integer_value(version) > 0 &&
              (previous == NULL || json_is_integer(previous));
    if (ok)
        *current =
            (struct apx_repo_current){json_integer_value(version), json_integer_value(previous)};
    json_decref(object);
    return ok ? APX_OK
              : apx_fail(error, APX_EFORMAT, path, "%s is damaged: it names no version", path);
}

enum apx_status apx_repo_read_aliases(const struct apx_repo *repo, const char *model,
                                      json_t **aliases, struct apx_error *error)
{
    char path[APX_REPO_PATH];
    const char *name;
    json_t *value;
    apx_repo_path(repo, model, 0, "aliases.json", path);
    enum apx_status status = apx_repo_read_object(path, aliases, error);
    if (status != APX_OK)
        return status;
    if (*aliases == NULL && (*aliases = json_object()) == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    json_object_foreach (*aliases, name, value) {
        if (!json_is_integer(value) || json_integer_value(value) <= 0) {
            status = apx_fail(error, APX_EFORMAT, path,
                              "%s is damaged: alias \"%s\" names no version", path, name);
            json_decref(*aliases);
            *aliases = NULL;
            return status;
        }
    }
    return APX_OK;
}

void apx_repo_time(char text[32])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + used, 32 - used, ".%06ldZ", now.tv_nsec / 1000);
}
