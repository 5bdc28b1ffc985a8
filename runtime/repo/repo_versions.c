/* SPDX-License-Identifier: Apache-2.0 */
/* repo_versions.c - versions come and go whole: built hidden and renamed in, renamed out and then
 * deleted. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/sha256.h"
#include "runtime/model/model_format.h"
#include "runtime/model/onnx_take_in.h"
#include "runtime/repo/repo_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum apx_status failed(const char *doing, const char *path, struct apx_error *error)
{
    return apx_fail(error, APX_EIO, path, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* The caller's metadata with what is known here. *object is the caller's to json_decref. */
static enum apx_status complete_metadata(const char *text, const void *data, size_t bytes,
                                         json_t **object, struct apx_error *error)
{
    char hex[65], time[32];
    json_error_t where;
    *object = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : json_object();
    if (*object == NULL && (text == NULL || json_error_code(&where) == json_error_out_of_memory))
        return apx_fail(error, APX_ENOMEM, "metadata", "out of memory for the metadata");
    if (*object == NULL)
        return apx_fail(error, APX_EINVAL, "metadata", "the metadata is no JSON: line %d: %s",
                        where.line, where.text);
    if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return apx_fail(error, APX_EINVAL, "metadata", "the metadata is no JSON object");
    }
    apx_sha256_of(data, bytes, hex);
    apx_repo_time(time);
    if (json_object_set_new(*object, "created", json_string(time)) != 0 ||
        json_object_set_new(*object, "model_sha256", json_string(hex)) != 0 ||
        json_object_set_new(*object, "model_bytes", json_integer((json_int_t)bytes)) != 0)
        return apx_fail(error, APX_ENOMEM, "metadata", "out of memory for the metadata");
    return APX_OK;
}

/* Fills the hidden directory `hidden`, which exists. Takes the reference to metadata. */
static enum apx_status fill(const char *hidden, const void *data, size_t bytes, json_t *metadata,
                            struct apx_error *error)
{
    char path[APX_REPO_PATH + 32];
    snprintf(path, sizeof path, "%s/metadata.json", hidden);
    enum apx_status status = apx_repo_write_object(path, metadata, error);
    snprintf(path, sizeof path, "%s/%s", hidden, apx_repo_file_name(data, bytes));
    return status == APX_OK ? apx_file_replace(path, data, bytes, error) : status;
}

/* The caller holds the lock. Takes the reference to metadata. */
static enum apx_status add_version(struct apx_repo *repo, const char *model, const void *data,
                                   size_t bytes, json_t *metadata, int64_t *version,
                                   struct apx_error *error)
{
    char hidden[APX_REPO_PATH], path[APX_REPO_PATH], name[64];
    struct apx_repo_current current;
    int64_t *versions = NULL;
    size_t count = 0;
    enum apx_status status = apx_repo_versions(repo, model, &versions, &count, error);
    if (status == APX_OK)
        status = apx_repo_read_current(repo, model, &current, error);
    int64_t newest = count > 0 ? versions[count - 1] : 0;
    free(versions);
    /* current must not follow the new version just because its file was never written: a kill may
     * have come between the first version and its pointer. */
    if (status == APX_OK && current.version == 0 && newest > 0)
        status = apx_repo_move_current(repo, model, "add", 0, newest, NULL, error);
    if (status != APX_OK) {
        json_decref(metadata);
        return status;
    }
    int64_t next = newest;
    struct stat about;
    do /* a directory without a model file keeps its number */
        apx_repo_path(repo, model, ++next, NULL, path);
    while (lstat(path, &about) == 0);
    snprintf(name, sizeof name, ".tmp-%ld-%lld", (long)getpid(), (long long)next);
    apx_repo_path(repo, model, 0, name, hidden);
    if (mkdir(hidden, 0777) != 0) {
        json_decref(metadata);
        return failed("make", hidden, error);
    }
    status = fill(hidden, data, bytes, metadata, error);
    if (status == APX_OK && rename(hidden, path) != 0)
        status = failed("make", path, error);
    if (status != APX_OK) {
        apx_repo_sweep(hidden);
        return status;
    }
    *version = next;
    status = apx_file_sync_parent(path, error);
    if (status == APX_OK && newest == 0)
        status = apx_repo_move_current(repo, model, "add", 0, *version, NULL, error);
    return status;
}

/* The file's bytes, and what an ONNX file keeps beside it inside of them. *data is for free() */
static enum apx_status read_whole(const char *file, char **data, size_t *bytes,
                                  struct apx_error *error)
{
    void *whole;
    size_t whole_bytes;
    enum apx_status status = apx_file_read(file, APX_LIMIT_FILE_BYTES, data, bytes, error);
    if (status != APX_OK || apx_model_format_guess(*data, *bytes) != APX_MODEL_ONNX)
        return status;
    char *directory = apx_file_directory(file);
    if (directory == NULL)
        return apx_fail(error, APX_ENOMEM, file, "out of memory");
    status = apx_onnx_take_in(*data, *bytes, directory, &whole, &whole_bytes, error);
    free(directory);
    if (whole != NULL) {
        free(*data);
        *data = whole;
        *bytes = whole_bytes;
    }
    return status;
}

enum apx_status apx_repo_add(struct apx_repo *repo, const char *model, const char *file,
                             const char *metadata_json, int64_t *version, struct apx_error *error)
{
    char path[APX_REPO_PATH], *data = NULL;
    size_t bytes;
    int lock = -1;
    json_t *metadata = NULL;
    struct apx_model *loaded = NULL;
    *version = 0;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status == APX_OK)
        status = read_whole(file, &data, &bytes, error);
    /* From memory: what is checked is what is stored, and nothing beside it. */
    if (status == APX_OK)
        status = apx_model_load_memory(data, bytes, NULL, &loaded, error);
    if (status == APX_OK)
        status = complete_metadata(metadata_json, data, bytes, &metadata, error);
    if (status != APX_OK)
        goto done;
    apx_repo_path(repo, model, 0, NULL, path);
    if (mkdir(path, 0777) == 0)
        status = apx_file_sync_parent(path, error);
    else if (errno != EEXIST)
        status = failed("make", path, error);
    if (status == APX_OK)
        status = apx_repo_lock(repo, model, &lock, error);
    if (status == APX_OK)
        status = add_version(repo, model, data, bytes, json_incref(metadata), version, error);
done:
    apx_repo_unlock(lock);
    json_decref(metadata);
    apx_model_destroy(loaded);
    free(data);
    return status;
}

/* True if current, what a rollback goes back to, or an alias points at the version. */
static bool is_pointed_at(const struct apx_repo_current *current, json_t *aliases, int64_t version)
{
    const char *name;
    json_t *value;
    if (version == current->version || version == current->previous)
        return true;
    json_object_foreach (aliases, name, value)
        if (json_integer_value(value) == version)
            return true;
    return false;
}

enum apx_status apx_repo_prune(struct apx_repo *repo, const char *model, int64_t keep,
                               int64_t *removed, struct apx_error *error)
{
    int lock = -1;
    int64_t *versions = NULL;
    size_t count;
    json_t *aliases = NULL;
    struct apx_repo_current current;
    *removed = 0;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status == APX_OK && keep < 1)
        status = apx_fail(error, APX_EINVAL, "keep", "keep at least 1 version");
    if (status == APX_OK)
        status = apx_repo_lock(repo, model, &lock, error);
    if (status == APX_OK)
        status = apx_repo_versions(repo, model, &versions, &count, error);
    if (status == APX_OK)
        status = apx_repo_read_current(repo, model, &current, error);
    if (status == APX_OK)
        status = apx_repo_read_aliases(repo, model, &aliases, error);
    /* Somebody's mistake: what it was meant to name may be among those that would go. */
    if (status == APX_OK && current.version > 0 &&
        !apx_repo_has_version(repo, model, current.version))
        status = apx_fail(error, APX_ECONFLICT, "version",
                          "current.json of model \"%s\" names version %lld, which is not there: "
                          "promote one that is before pruning",
                          model, (long long)current.version);
    for (size_t i = 0; status == APX_OK && (uint64_t)keep < count && i < count - (size_t)keep;
         i++) {
        char path[APX_REPO_PATH], hidden[APX_REPO_PATH], name[64];
        if (is_pointed_at(&current, aliases, versions[i]))
            continue;
        snprintf(name, sizeof name, ".tmp-%ld-%lld", (long)getpid(), (long long)versions[i]);
        apx_repo_path(repo, model, versions[i], NULL, path);
        apx_repo_path(repo, model, 0, name, hidden);
        if (rename(path, hidden) != 0) {
            status = failed("remove", path, error);
            break;
        }
        apx_repo_sweep(hidden);
        ++*removed;
    }
    json_decref(aliases);
    free(versions);
    apx_repo_unlock(lock);
    return status;
}
