/* SPDX-License-Identifier: Apache-2.0 */
/* repo_lock.c - one writer at a time, and the broom for what a killed one left.
 *
 * The lock is flock on a file that is never removed: the kernel lets go of it when its holder dies,
 * and a file that stays cannot be replaced under a waiter. Whoever holds it knows that no other
 * writer is at work, so every temporary name in the model's directory is a leftover. */
#include "runtime/base/fail.h"
#include "runtime/repo/repo_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void apx_repo_sweep(const char *path)
{
    DIR *list = opendir(path);
    if (list == NULL) {
        unlink(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(list), entry->d_name, 0); /* a version directory holds files only */
    closedir(list);
    rmdir(path);
}

static void sweep_leftovers(const char *directory)
{
    DIR *list = opendir(directory);
    if (list == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char path[APX_REPO_PATH + 256];
        if (entry->d_name[0] != '.' || strstr(entry->d_name, ".tmp-") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        apx_repo_sweep(path);
    }
    closedir(list);
}

enum apx_status apx_repo_lock(const struct apx_repo *repo, const char *model, int *lock,
                              struct apx_error *error)
{
    char path[APX_REPO_PATH];
    *lock = -1;
    apx_repo_path(repo, model, 0, ".lock", path);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
        return apx_fail(error, APX_ENOTFOUND, "model", "there is no model \"%s\" in %s", model,
                        repo->directory);
    if (file < 0)
        return apx_fail(error, APX_EIO, path, "cannot lock %s: %s", path, strerror(errno));
    while (flock(file, LOCK_EX) != 0)
        if (errno != EINTR) {
            int number = errno;
            close(file);
            return apx_fail(error, APX_EIO, path, "cannot lock %s: %s", path, strerror(number));
        }
    apx_repo_path(repo, model, 0, NULL, path);
    sweep_leftovers(path);
    apx_repo_path(repo, model, 0, "promotions", path);
    sweep_leftovers(path);
    *lock = file;
    return APX_OK;
}

void apx_repo_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
