/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_lock.c - one writer at a time in a folder of measured figures.
 *
 * A file there is read, added to and replaced: of two programs that do so at once, one would lose
 * what it measured. The lock is the kernel's, so that a program that dies leaves none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/device/crossover.h"

#define NAME     ".lock"
#define PAUSE_NS 10000000L
#define PAUSES   6000 /* a minute; a writer takes some milliseconds */

/* With its parents, for its owner alone: the standard wants that of caches. */
static enum apx_status make_directory(const char *directory, struct apx_error *error)
{
    struct stat about;
    char *path = strdup(directory);
    if (path == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    enum apx_status status = APX_OK;
    for (char *at = path + 1; status == APX_OK; at++) {
        const char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            status = apx_fail(error, APX_EIO, directory, "cannot make the folder %s: %s", path,
                              strerror(errno));
        if (end == '\0')
            break;
        *at = end;
    }
    if (status == APX_OK && (stat(directory, &about) != 0 || !S_ISDIR(about.st_mode)))
        status = apx_fail(error, APX_EIO, directory, "%s is no folder", directory);
    free(path);
    return status;
}

static enum apx_status take(int file, const char *path, struct apx_error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (int i = 0; flock(file, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return apx_fail(error, APX_EIO, path, "cannot lock %s: %s", path, strerror(errno));
        if (i == PAUSES)
            return apx_fail(error, APX_EIO, path, "another program has held %s for a minute", path);
        nanosleep(&pause, NULL);
    }
    return APX_OK;
}

enum apx_status apx_crossover_lock(const char *directory, int *lock, struct apx_error *error)
{
    struct stat about;
    char *path;
    *lock = -1;
    enum apx_status status = make_directory(directory, error);
    if (status != APX_OK)
        return status;
    if (asprintf(&path, "%s/" NAME, directory) < 0)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    /* For reading too, so that a pipe at its place is opened at once, to be refused. */
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (file < 0 && errno != EISDIR)
        status = apx_fail(error, APX_EIO, directory, "cannot write in the folder %s: %s", directory,
                          strerror(errno));
    else if (file < 0 || fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        status = apx_fail(error, APX_EIO, path, "%s is no regular file; remove it", path);
    else
        status = take(file, path, error);
    free(path);
    if (status == APX_OK)
        *lock = file;
    else if (file >= 0)
        close(file);
    return status;
}
