/* SPDX-License-Identifier: Apache-2.0 */
/* run_folder.c - staging beside the target, exchange by rename.
 *
 * Where the target exists, both directories are exchanged in one step (renameat2) and the old
 * files, now under the hidden name, are removed. Its writer holds a lock on the hidden directory
 * (flock), which dies with it: what can be locked was left by a run that was killed. A process
 * number would not tell, since every run in a container of its own may have the same. A file system
 * without that call gets two renames: a kill between them leaves the old run under its hidden name.
 * Only a directory that holds nothing but the files of a run is ever replaced. */
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"

static const char *const files[] = {"model.onnx", "metrics.json", "config.yaml", "history.csv"};
enum { FILES = sizeof files / sizeof *files, MOST_RUNS = 1000 };

static bool is_ours(const char *name)
{
    for (int i = 0; i < FILES; i++) {
        if (strcmp(name, files[i]) == 0)
            return true;
    }
    return false;
}

static enum apx_status system_failed(struct apx_error *error, const char *path)
{
    return apx_fail(error, APX_EIO, "output.directory", "%s: %s", path, strerror(errno));
}

/* The first entry of a directory that no run writes; "" if there is none or no directory. */
static void foreign_entry(const char *path, char name[256])
{
    name[0] = '\0';
    DIR *directory = opendir(path);
    if (directory == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !is_ours(entry->d_name)) {
            snprintf(name, 256, "%s", entry->d_name);
            break;
        }
    }
    closedir(directory);
}

static void remove_run(const char *path)
{
    char file[4096];
    for (int i = 0; i < FILES; i++) {
        if (snprintf(file, sizeof file, "%s/%s", path, files[i]) < (int)sizeof file)
            unlink(file);
    }
    /* what the ONNX writer may have left of its own temporary file */
    DIR *directory = opendir(path);
    if (directory != NULL) {
        for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            if (strncmp(entry->d_name, "model.onnx", 10) == 0 ||
                strncmp(entry->d_name, ".model.onnx", 11) == 0)
                unlinkat(dirfd(directory), entry->d_name, 0);
        }
        closedir(directory);
    }
    rmdir(path);
}

/* mkdir -p of everything before the last '/'. */
static enum apx_status make_parents(const char *path, struct apx_error *error)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
    enum apx_status status = APX_OK;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && status == APX_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = system_failed(error, copy);
        *slash = '/';
    }
    free(copy);
    return status;
}

/* The directory, open and locked; or -1 with errno. EWOULDBLOCK: somebody has it; ENOENT: it is
 * gone, or another one by now. */
static int lock_directory(const char *path)
{
    struct stat held, found;
    int reason = 0, file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return -1;
    if (flock(file, LOCK_EX | LOCK_NB) != 0 || fstat(file, &held) != 0 || lstat(path, &found) != 0)
        reason = errno;
    else if (held.st_ino != found.st_ino || held.st_dev != found.st_dev)
        reason = ENOENT;
    if (reason == 0)
        return file;
    close(file);
    errno = reason;
    return -1;
}

/* Hidden directories of runs of this target that have died. */
static void remove_leftovers(const char *parent, const char *prefix)
{
    DIR *directory = opendir(parent);
    size_t length = strlen(prefix);
    if (directory == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, prefix, length) != 0)
            continue;
        char path[4096];
        size_t digits = strspn(entry->d_name + length, "0123456789");
        if (digits == 0 || entry->d_name[length + digits] != '\0' ||
            snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) >= (int)sizeof path)
            continue;
        int lock = lock_directory(path);
        if (lock < 0)
            continue;
        remove_run(path);
        close(lock);
    }
    closedir(directory);
}

/* parent: of the target, with its '/' unless it is empty. */
static enum apx_status make_staging(struct apx_run_folder *folder, int parent, const char *prefix,
                                    struct apx_error *error)
{
    for (int i = 0; i < MOST_RUNS; i++) {
        free(folder->staging);
        if (asprintf(&folder->staging, "%.*s%s%d", parent, folder->target, prefix, i) < 0) {
            folder->staging = NULL;
            return apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
        }
        if (mkdir(folder->staging, 0777) != 0) {
            if (errno == EEXIST) /* a run that goes on */
                continue;
            return system_failed(error, folder->staging);
        }
        folder->lock = lock_directory(folder->staging);
        if (folder->lock < 0 && (errno == EWOULDBLOCK || errno == ENOENT))
            continue;          /* somebody took it for a leftover before it was locked */
        folder->staged = true; /* without a lock where the file system has none */
        return APX_OK;
    }
    return apx_fail(error, APX_ECONFLICT, "output.directory",
                    "%s: %d runs are writing to it; remove %s* if there are none", folder->target,
                    MOST_RUNS, prefix);
}

enum apx_status apx_run_folder_open(const char *target, struct apx_run_folder *folder,
                                    struct apx_error *error)
{
    char foreign[256];
    struct stat info;
    *folder = (struct apx_run_folder){.target = strdup(target), .lock = -1};
    enum apx_status status = APX_OK;
    char *prefix = NULL;
    if (folder->target == NULL)
        goto memory;
    for (size_t end = strlen(folder->target); end > 1 && folder->target[end - 1] == '/'; end--)
        folder->target[end - 1] = '\0';
    if (stat(folder->target, &info) == 0) {
        foreign_entry(folder->target, foreign);
        if (!S_ISDIR(info.st_mode))
            status = apx_fail(error, APX_ECONFLICT, "output.directory", "%s: is no directory",
                              folder->target);
        else if (foreign[0] != '\0')
            status = apx_fail(error, APX_ECONFLICT, "output.directory",
                              "%s: holds \"%.60s\", which no training run writes; choose another "
                              "--output",
                              folder->target, foreign);
    }
    if (status == APX_OK)
        status = make_parents(folder->target, error);
    if (status != APX_OK)
        goto fail;
    char *slash = strrchr(folder->target, '/');
    const char *base = slash != NULL ? slash + 1 : folder->target;
    int parent = slash != NULL ? (int)(slash - folder->target) + 1 : 0;
    if (asprintf(&prefix, ".%s.partial-", base) < 0) {
        prefix = NULL;
        goto memory;
    }
    char *parent_path = parent > 0 ? strndup(folder->target, (size_t)parent) : strdup(".");
    if (parent_path == NULL)
        goto memory;
    remove_leftovers(parent_path, prefix);
    free(parent_path);
    status = make_staging(folder, parent, prefix, error);
    if (status != APX_OK)
        goto fail;
    free(prefix);
    return APX_OK;
memory:
    status = apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
fail:
    free(prefix);
    apx_run_folder_close(folder);
    return status;
}

char *apx_run_folder_path(const struct apx_run_folder *folder, const char *file)
{
    char *path;
    return asprintf(&path, "%s/%s", folder->staging, file) < 0 ? NULL : path;
}

static enum apx_status sync_path(const char *path, struct apx_error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return system_failed(error, path);
    int failed = fsync(file) != 0 ? errno : 0;
    close(file);
    errno = failed;
    return failed != 0 ? system_failed(error, path) : APX_OK;
}

enum apx_status apx_run_folder_commit(struct apx_run_folder *folder, struct apx_error *error)
{
    for (int i = 0; i < FILES; i++) {
        char *path = apx_run_folder_path(folder, files[i]);
        if (path == NULL)
            return apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
        enum apx_status status = sync_path(path, error);
        free(path);
        if (status != APX_OK)
            return status;
    }
    enum apx_status status = sync_path(folder->staging, error);
    if (status != APX_OK)
        return status;
    if (rename(folder->staging, folder->target) == 0) { /* nothing there, or an empty directory */
        folder->staged = false;
    } else if (errno != ENOTEMPTY && errno != EEXIST) {
        return system_failed(error, folder->target);
    } else if (renameat2(AT_FDCWD, folder->staging, AT_FDCWD, folder->target, RENAME_EXCHANGE) !=
               0) {
        char *old;
        if (asprintf(&old, "%s.old", folder->staging) < 0)
            return apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
        bool moved = rename(folder->target, old) == 0;
        if (!moved || rename(folder->staging, folder->target) != 0) {
            status = system_failed(error, folder->target);
            if (moved)
                rename(old, folder->target);
            free(old);
            return status;
        }
        folder->staged = false;
        remove_run(old);
        free(old);
    }
    char *slash = strrchr(folder->target, '/');
    if (slash == NULL)
        return sync_path(".", error);
    char *parent = strndup(folder->target, (size_t)(slash - folder->target) + 1);
    if (parent == NULL)
        return apx_fail(error, APX_ENOMEM, "output.directory", "out of memory");
    status = sync_path(parent, error);
    free(parent);
    return status;
}

void apx_run_folder_close(struct apx_run_folder *folder)
{
    if (folder->staged)
        remove_run(folder->staging);
    if (folder->lock >= 0)
        close(folder->lock);
    free(folder->target);
    free(folder->staging);
    *folder = (struct apx_run_folder){.lock = -1};
}
