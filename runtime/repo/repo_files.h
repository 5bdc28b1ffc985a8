/* SPDX-License-Identifier: Apache-2.0 */
/* repo_files.h - how a repository lies on disk. Internal to runtime/repo. */
#ifndef APX_REPO_FILES_H
#define APX_REPO_FILES_H

#include "runtime/repo.h"

#include <jansson.h>

#define APX_LIMIT_REPO_PATH 3072               /* bytes of DIR */
#define APX_LIMIT_POINTER   ((size_t)16 << 20) /* bytes of a pointer or metadata file */
#define APX_REPO_PATH       4096 /* DIR, the longest model name and the longest name within */

struct apx_repo {
    char directory[APX_LIMIT_REPO_PATH];
};

/* current.json; version 0: there is no such file. */
struct apx_repo_current {
    int64_t version, previous; /* previous 0: none */
};

/* DIR/model, DIR/model/name, DIR/model/version/name. name and version may be NULL and 0. */
void apx_repo_path(const struct apx_repo *repo, const char *model, int64_t version,
                   const char *name, char path[APX_REPO_PATH]);
enum apx_status apx_repo_check_name(const char *what, const char *name, struct apx_error *error);
/* Digits without a leading zero, as a version; 0 if it is something else. */
int64_t apx_repo_number(const char *text);

/* Versions of a model, ascending; release with free(). count may be 0.
 *   APX_ENOTFOUND (field "model"), APX_ENOMEM, APX_EIO */
enum apx_status apx_repo_versions(const struct apx_repo *repo, const char *model,
                                  int64_t **versions, size_t *count, struct apx_error *error);
bool apx_repo_has_version(const struct apx_repo *repo, const char *model, int64_t version);

/* The version's model file.
 *   APX_ENOTFOUND   there is none (field: "version")
 *   APX_EFORMAT     there are two: which one was meant? (field: "version") */
enum apx_status apx_repo_model_path(const struct apx_repo *repo, const char *model, int64_t version,
                                    char path[APX_REPO_PATH], struct apx_error *error);
/* What a file of this content is stored as: "model.onnx", ... Static storage. */
const char *apx_repo_file_name(const void *data, size_t bytes);

/* Both read what is there: APX_EFORMAT names a damaged file. *aliases is an object, perhaps empty,
 * and the caller's to json_decref. */
enum apx_status apx_repo_read_current(const struct apx_repo *repo, const char *model,
                                      struct apx_repo_current *current, struct apx_error *error);
enum apx_status apx_repo_read_aliases(const struct apx_repo *repo, const char *model,
                                      json_t **aliases, struct apx_error *error);
/* A JSON object from a file; *object NULL and APX_OK if there is no file. */
enum apx_status apx_repo_read_object(const char *path, json_t **object, struct apx_error *error);
/* The value's text, for free(); NULL if out of memory. */
char *apx_repo_text(const json_t *value);
/* Replace `path` by the object's text. Takes the reference, even on failure. */
enum apx_status apx_repo_write_object(const char *path, json_t *object, struct apx_error *error);

/* "2026-11-21T10:05:00.123456Z" */
void apx_repo_time(char text[32]);

/* Exclusive among writers of one model, in this process and others; waits. Sweeps what a killed
 * writer left. *lock goes to apx_repo_unlock.
 *   APX_ENOTFOUND (field "model"), APX_EIO */
enum apx_status apx_repo_lock(const struct apx_repo *repo, const char *model, int *lock,
                              struct apx_error *error);
void apx_repo_unlock(int lock);

/* Move current from `from` (0: none) to `version` and record it; the caller holds the lock and
 * knows that the version exists. */
enum apx_status apx_repo_move_current(const struct apx_repo *repo, const char *model,
                                      const char *action, int64_t from, int64_t version,
                                      const struct apx_repo_move *move, struct apx_error *error);
/* Delete a directory of files that is hidden already. */
void apx_repo_sweep(const char *path);

#endif
