/* SPDX-License-Identifier: Apache-2.0 */
/* file_replace.c - replace files so that a kill leaves the old one or the new one.
 *
 * What is being written lies beside the target as ".NAME.tmp-0", or under the next number where
 * somebody else is writing to the same target, and its writer holds a lock on it (flock) until it
 * has the target's name. The kernel lets go of the lock when the writer dies: a file under one of
 * these names that can be locked was left by a writer that was killed, and whoever comes next
 * removes it. That needs no list of the folder, and no process number, which says nothing where
 * folders are shared between containers. Where a file system has no locks nothing is removed.
 *
 * While it is written nobody but its owner can read what will replace another file: it gets that
 * file's mode and owner just before its name. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES_SWEPT 16   /* as many leftovers are removed: those of so many kills at once */
#define NAMES_TRIED 4096 /* so many may write to one target at once */

/* "dir/name" -> "dir/.name.tmp-N" */
static char *name_beside(const char *path, int number)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    char *name;
    int length = asprintf(&name, "%.*s.%s.tmp-%d", (int)(base - path), path, base, number);
    return length < 0 ? NULL : name;
}

/* The open file is what the name leads to. */
static bool is_at(int file, const char *name)
{
    struct stat held, found;
    return fstat(file, &held) == 0 && lstat(name, &found) == 0 && held.st_dev == found.st_dev &&
           held.st_ino == found.st_ino;
}

/* Remove what a dead writer left there; what somebody writes, or wrote as another user, stays. */
static void sweep(const char *name)
{
    struct stat about;
    int file = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == geteuid() &&
        flock(file, LOCK_EX | LOCK_NB) == 0 && is_at(file, name))
        unlink(name);
    close(file);
}

/* A new file under that name, locked; -1 with errno, EEXIST if the name is taken. */
static int create(const char *name, mode_t mode)
{
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0)
        return -1;
    /* Between these two calls a sweeper may take the file for a leftover. */
    bool lost = flock(file, LOCK_EX | LOCK_NB) != 0 ? errno == EWOULDBLOCK : !is_at(file, name);
    if (!lost)
        return file;
    close(file);
    errno = EEXIST;
    return -1;
}

static enum apx_status sweep_leftovers(const char *path, struct apx_error *error)
{
    for (int i = 0; i < NAMES_SWEPT; i++) {
        char *name = name_beside(path, i);
        if (name == NULL)
            return apx_fail(error, APX_ENOMEM, path, "out of memory");
        sweep(name);
        free(name);
    }
    return APX_OK;
}

/* *file is open and has the name *beside, which is for free(). On failure there is neither. */
static enum apx_status create_beside(const char *path, mode_t mode, char **beside, int *file,
                                     struct apx_error *error)
{
    errno = EEXIST;
    for (int i = 0; i < NAMES_TRIED && errno == EEXIST; i++) {
        char *name = name_beside(path, i);
        if (name == NULL)
            return apx_fail(error, APX_ENOMEM, path, "out of memory");
        *file = create(name, mode);
        if (*file >= 0) {
            *beside = name;
            return APX_OK;
        }
        free(name); /* leaves errno as it is */
    }
    return apx_file_failed(error, "write", path);
}

/* As the file that it replaces: its mode, its owner and its group, as far as this user may. A group
 * that could not be kept gets no more rights than everybody: it is another one. */
static int look_alike(int file, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777;
    struct stat about;
    if (fstat(file, &about) != 0)
        return -1;
    if (about.st_gid != old->st_gid && fchown(file, (uid_t)-1, old->st_gid) != 0)
        mode &= ~(mode_t)S_IRWXG | (mode & S_IRWXO) << 3;
    if (about.st_uid != old->st_uid && fchown(file, old->st_uid, (gid_t)-1) != 0)
        errno = 0; /* not allowed, which is no failure: it stays the writer's */
    return fchmod(file, mode);
}

/* A named pipe's file for writing, once somebody reads. -1 once *status is a failure. */
static int open_pipe(const char *path, enum apx_status *status, struct apx_error *error)
{
    const struct timespec pause = {.tv_nsec = APX_FILE_PIPE_PAUSE_MS * 1000000L};
    /* Without O_NONBLOCK, opening it would wait for a reader for ever. */
    int file = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK), flags;
    for (int waited = 0; file < 0 && errno == ENXIO && waited < APX_FILE_PIPE_WAIT_MS;
         waited += APX_FILE_PIPE_PAUSE_MS) {
        nanosleep(&pause, NULL);
        file = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    }
    if (file < 0 && errno == ENXIO)
        *status = apx_fail(error, APX_EIO, path,
                           "%s is a pipe that nobody has opened for reading in %d s", path,
                           APX_FILE_PIPE_WAIT_MS / 1000);
    else if (file < 0 || (flags = fcntl(file, F_GETFL)) < 0 ||
             fcntl(file, F_SETFL, flags & ~O_NONBLOCK) != 0)
        *status = apx_file_failed(error, "write", path);
    if (*status != APX_OK && file >= 0) {
        close(file);
        file = -1;
    }
    return file;
}

/* A pipe, a device, an open file without a name: there is nothing that could be kept. */
static enum apx_status write_through(const char *path, bool is_pipe, const void *data, size_t bytes,
                                     struct apx_error *error)
{
    enum apx_status status = APX_OK;
    int file =
        is_pipe ? open_pipe(path, &status, error) : open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (file < 0)
        return status == APX_OK ? apx_file_failed(error, "write", path) : status;
    status = apx_file_write_all(file, data, bytes, path, error);
    if (close(file) != 0 && status == APX_OK)
        status = apx_file_failed(error, "write", path);
    return status;
}

/* old: the file that is replaced; NULL: there is none. name: for messages */
static enum apx_status write_beside(const char *path, const struct stat *old, const void *data,
                                    size_t bytes, const char *name, struct apx_error *error)
{
    char *beside = NULL;
    int file = -1;
    enum apx_status status = sweep_leftovers(path, error);
    if (status == APX_OK)
        status = create_beside(path, old != NULL ? 0600 : 0666, &beside, &file, error);
    if (status != APX_OK)
        return status;
    status = apx_file_write_all(file, data, bytes, name, error);
    if (status == APX_OK && ((old != NULL && look_alike(file, old) != 0) || fsync(file) != 0 ||
                             rename(beside, path) != 0))
        status = apx_file_failed(error, "write", name);
    if (status != APX_OK)
        unlink(beside);
    close(file); /* what could fail has: fsync has told. Until here the lock is held. */
    free(beside);
    return status == APX_OK ? apx_file_sync_parent(path, error) : status;
}

enum apx_status apx_file_replace(const char *path, const void *data, size_t bytes,
                                 struct apx_error *error)
{
    struct stat about;
    bool is_there = stat(path, &about) == 0;
    if (is_there && !S_ISREG(about.st_mode))
        return write_through(path, S_ISFIFO(about.st_mode), data, bytes, error);
    if (!is_there && errno != ENOENT && errno != ENOTDIR)
        return apx_file_failed(error, "write", path);
    enum apx_status status = apx_file_check_folder(path, error);
    if (status != APX_OK)
        return status;
    char *target = apx_file_target(path);
    if (target == NULL)
        return apx_file_failed(error, "write", path);
    struct stat named;
    /* A link that leads to a file under no name: /dev/fd/N of one that was removed. */
    if (is_there && strcmp(target, path) != 0 && stat(target, &named) != 0 &&
        stat(path, &named) == 0)
        status = write_through(path, false, data, bytes, error);
    else
        status = write_beside(target, is_there ? &about : NULL, data, bytes, path, error);
    free(target);
    return status;
}
