/* SPDX-License-Identifier: Apache-2.0 */
/* repo.c - open a repository and read it: no lock, since whatever a reader finds is complete. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/sha256.h"
#include "runtime/repo/repo_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* mkdir -p */
static bool make_directories(char *path)
{
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            *slash = '/';
            return false;
        }
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

enum apx_status apx_repo_open(const char *directory, bool create, struct apx_repo **out,
                              struct apx_error *error)
{
    struct stat about;
    *out = NULL;
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    if (length == 0 || length >= APX_LIMIT_REPO_PATH)
        return apx_fail(error, APX_ELIMIT, directory,
                        "a repository's directory has 1 to %d characters", APX_LIMIT_REPO_PATH - 1);
    struct apx_repo *repo = calloc(1, sizeof *repo);
    if (repo == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    memcpy(repo->directory, directory, length);
    enum apx_status status = APX_OK;
    if (create && !make_directories(repo->directory))
        status = apx_fail(error, APX_EIO, directory, "cannot make the repository %s: %s", directory,
                          strerror(errno));
    else if (stat(repo->directory, &about) != 0)
        status = apx_fail(error, errno == ENOENT ? APX_ENOTFOUND : APX_EIO, directory,
                          "cannot open the repository %s: %s", directory, strerror(errno));
    else if (!S_ISDIR(about.st_mode))
        status = apx_fail(error, APX_ENOTFOUND, directory, "%s is no directory", directory);
    if (status != APX_OK) {
        free(repo);
        return status;
    }
    *out = repo;
    return APX_OK;
}

void apx_repo_close(struct apx_repo *repo)
{
    free(repo);
}

static enum apx_status find_current(const struct apx_repo *repo, const char *model,
                                    int64_t *version, struct apx_error *error)
{
    struct apx_repo_current current;
    enum apx_status status = apx_repo_read_current(repo, model, &current, error);
    if (status != APX_OK)
        return status;
    *version = current.version;
    if (current.version > 0)
        return APX_OK;
    int64_t *versions;
    size_t count;
    status = apx_repo_versions(repo, model, &versions, &count, error);
    if (status == APX_OK && count == 0)
        status = apx_fail(error, APX_ENOTFOUND, "version", "model \"%s\" has no version", model);
    if (status == APX_OK)
        *version = versions[count - 1];
    free(versions);
    return status;
}

static enum apx_status find_alias(const struct apx_repo *repo, const char *model, const char *alias,
                                  int64_t *version, struct apx_error *error)
{
    json_t *aliases;
    enum apx_status status = apx_repo_check_name("version", alias, error);
    if (status == APX_OK)
        status = apx_repo_read_aliases(repo, model, &aliases, error);
    if (status != APX_OK)
        return status;
    json_t *value = json_object_get(aliases, alias);
    if (value == NULL)
        status = apx_fail(error, APX_ENOTFOUND, "version",
                          "model \"%s\" has no version or alias \"%s\"", model, alias);
    else
        *version = json_integer_value(value);
    json_decref(aliases);
    return status;
}

enum apx_status apx_repo_resolve(struct apx_repo *repo, const char *model, const char *reference,
                                 int64_t *version, char *path, size_t path_size,
                                 struct apx_error *error)
{
    char file[APX_REPO_PATH];
    struct stat about;
    *version = 0;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status != APX_OK)
        return status;
    apx_repo_path(repo, model, 0, NULL, file);
    if (stat(file, &about) != 0 || !S_ISDIR(about.st_mode))
        return apx_fail(error, APX_ENOTFOUND, "model", "there is no model \"%s\" in %s", model,
                        repo->directory);
    if (reference[0] == '\0')
        status = find_current(repo, model, version, error);
    else if ((*version = apx_repo_number(reference)) == 0)
        status = find_alias(repo, model, reference, version, error);
    if (status != APX_OK)
        return status;
    if (!apx_repo_has_version(repo, model, *version))
        return apx_fail(error, APX_ENOTFOUND, "version", "model \"%s\" has no version %lld%s%s%s",
                        model, (long long)*version, reference[0] == '\0' ? ", its current one" : "",
                        apx_repo_number(reference) == 0 && reference[0] != '\0' ? ", alias " : "",
                        apx_repo_number(reference) == 0 ? reference : "");
    if (path == NULL)
        return APX_OK;
    status = apx_repo_model_path(repo, model, *version, file, error);
    if (status != APX_OK)
        return status;
    if (strlen(file) >= path_size)
        return apx_fail(error, APX_ELIMIT, "model",
                        "the path of \"%s\" has %zu bytes; room for %zu", model, strlen(file) + 1,
                        path_size);
    strcpy(path, file);
    return APX_OK;
}

enum apx_status apx_repo_verify(struct apx_repo *repo, const char *model, int64_t version,
                                bool *is_checked, struct apx_error *error)
{
    char path[APX_REPO_PATH], hex[65], *data = NULL;
    char reference[24];
    size_t bytes;
    json_t *metadata = NULL;
    if (is_checked != NULL)
        *is_checked = false;
    snprintf(reference, sizeof reference, "%lld", (long long)version);
    enum apx_status status = apx_repo_resolve(repo, model, reference, &version, NULL, 0, error);
    if (status != APX_OK)
        return status;
    apx_repo_path(repo, model, version, "metadata.json", path);
    status = apx_repo_read_object(path, &metadata, error);
    const char *expected = json_string_value(json_object_get(metadata, "model_sha256"));
    if (status == APX_OK)
        status = apx_repo_model_path(repo, model, version, path, error);
    if (status != APX_OK || expected == NULL)
        goto done;
    status = apx_file_read(path, APX_LIMIT_FILE_BYTES, &data, &bytes, error);
    if (status != APX_OK)
        goto done;
    if (is_checked != NULL)
        *is_checked = true;
    apx_sha256_of(data, bytes, hex);
    if (strcmp(hex, expected) != 0)
        status = apx_fail(error, APX_EFORMAT, path,
                          "%s is damaged: its SHA-256 is %.16s... and the metadata says %.16s...",
                          path, hex, expected);
done:
    free(data);
    json_decref(metadata);
    return status;
}

/* ---- list ---------------------------------------------------------------------------------- */

static json_t *describe_version(const struct apx_repo *repo, const char *model, int64_t version)
{
    char path[APX_REPO_PATH], created[32] = "";
    struct stat about = {0};
    struct apx_error error;
    json_t *metadata = NULL, *entry = json_object();
    enum apx_status status = apx_repo_model_path(repo, model, version, path, &error);
    if (status == APX_OK)
        json_object_set_new(entry, "file", json_string(strrchr(path, '/') + 1));
    else if (status == APX_EFORMAT)
        json_object_set_new(entry, "error", json_string(error.message));
    if (status != APX_OK || stat(path, &about) != 0)
        about = (struct stat){0}; /* or pruned a moment ago */
    apx_repo_path(repo, model, version, "metadata.json", path);
    (void)apx_repo_read_object(path, &metadata, NULL); /* damaged: listed without it */
    struct tm utc;
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&about.st_mtime, &utc));
    json_t *told = json_object_get(metadata, "created");
    json_object_set_new(entry, "version", json_integer(version));
    json_object_set_new(entry, "created",
                        json_is_string(told) ? json_incref(told) : json_string(created));
    json_object_set_new(entry, "bytes", json_integer(about.st_size));
    if (json_is_string(told = json_object_get(metadata, "model_sha256")))
        json_object_set(entry, "sha256", told);
    if ((told = json_object_get(metadata, "metrics")) != NULL)
        json_object_set(entry, "metrics", told);
    json_decref(metadata);
    return entry;
}

/* NULL: this is no model. */
static json_t *describe_model(const struct apx_repo *repo, const char *model)
{
    int64_t *versions, now = 0;
    size_t count;
    struct apx_error error;
    if (apx_repo_check_name("model", model, NULL) != APX_OK ||
        apx_repo_versions(repo, model, &versions, &count, NULL) != APX_OK)
        return NULL;
    if (count == 0) {
        free(versions);
        return NULL;
    }
    json_t *entry = json_object(), *list = json_array(), *aliases = NULL;
    struct apx_repo_current current = {0, 0};
    json_object_set_new(entry, "model", json_string(model));
    if (find_current(repo, model, &now, &error) == APX_OK &&
        apx_repo_read_current(repo, model, &current, &error) == APX_OK &&
        apx_repo_read_aliases(repo, model, &aliases, &error) == APX_OK) {
        json_object_set_new(entry, "current", json_integer(now));
        if (current.previous > 0)
            json_object_set_new(entry, "previous", json_integer(current.previous));
        json_object_set_new(entry, "aliases", aliases);
    } else {
        json_object_set_new(entry, "error", json_string(error.message));
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, describe_version(repo, model, versions[i]));
    json_object_set_new(entry, "versions", list);
    free(versions);
    return entry;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

enum apx_status apx_repo_list(struct apx_repo *repo, char **json, struct apx_error *error)
{
    struct dirent **names;
    *json = NULL;
    int count = scandir(repo->directory, &names, NULL, by_name);
    if (count < 0)
        return apx_fail(error, APX_EIO, repo->directory, "cannot read %s: %s", repo->directory,
                        strerror(errno));
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *entry = describe_model(repo, names[i]->d_name);
        if (entry != NULL)
            json_array_append_new(list, entry);
        free(names[i]);
    }
    free(names);
    *json = apx_repo_text(list);
    json_decref(list);
    return *json != NULL ? APX_OK : apx_fail(error, APX_ENOMEM, NULL, "out of memory");
}
