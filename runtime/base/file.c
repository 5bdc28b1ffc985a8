/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - read whole files, and what paths lead to. */
#include "runtime/base/file.h"

#include "runtime/base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A pipe had nothing: *again unless it is at its end. One that somebody writes into is read to its
 * end however slow that is; for one that nobody has opened yet a while is waited, not for ever. */
static enum apx_status look_for_writer(int file, const char *path, int *waited, bool *again,
                                       struct apx_error *error)
{
    const struct timespec pause = {.tv_nsec = APX_FILE_PIPE_PAUSE_MS * 1000000L};
    struct pollfd look = {.fd = file, .events = POLLIN};
    *again = true;
    if (poll(&look, 1, 0) > 0) {
        *again =
            (look.revents & POLLIN) != 0; /* else POLLHUP alone: the writer has been and gone */
        return APX_OK;
    }
    if (*waited >= APX_FILE_PIPE_WAIT_MS)
        return apx_fail(error, APX_EIO, path,
                        "%s is a pipe that nobody has opened for writing in %d s", path,
                        APX_FILE_PIPE_WAIT_MS / 1000);
    nanosleep(&pause, NULL);
    *waited += APX_FILE_PIPE_PAUSE_MS;
    return APX_OK;
}

static bool make_blocking(int file)
{
    int flags = fcntl(file, F_GETFL);
    return flags >= 0 && fcntl(file, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

enum apx_status apx_file_read(const char *path, size_t limit, char **data, size_t *bytes,
                              struct apx_error *error)
{
    enum apx_status status = APX_OK;
    struct stat about;
    char *text = NULL;
    *data = NULL;
    *bytes = 0;
    /* Without O_NONBLOCK, opening a named pipe would wait for a writer. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), waited = 0;
    if (file < 0)
        return apx_file_failed(error, "open", path);
    if (fstat(file, &about) != 0 || (!S_ISFIFO(about.st_mode) && !make_blocking(file))) {
        status = apx_file_failed(error, "read", path);
        goto fail;
    }
    if (S_ISREG(about.st_mode) && (uint64_t)about.st_size > limit) {
        status = apx_fail(error, APX_ELIMIT, path, "%s has %lld bytes; at most %zu are read", path,
                          (long long)about.st_size, limit);
        goto fail;
    }
    /* One byte more than the file says, to meet its end without growing; one for the zero. */
    size_t room = S_ISREG(about.st_mode) ? (size_t)about.st_size + 1 : 65536, used = 0;
    text = malloc(room + 1);
    while (text != NULL) {
        ssize_t got = read(file, text + used, room - used);
        if (got < 0 && (errno == EINTR || (errno == EAGAIN && make_blocking(file))))
            continue;
        if (got < 0) {
            status = apx_file_failed(error, "read", path);
            goto fail;
        }
        if (got == 0 && used == 0 && S_ISFIFO(about.st_mode)) {
            bool again;
            status = look_for_writer(file, path, &waited, &again, error);
            if (status != APX_OK)
                goto fail;
            if (again)
                continue;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > limit) {
            status = apx_fail(error, APX_ELIMIT, path, "%s has more than %zu bytes", path, limit);
            goto fail;
        }
        if (used == room) {
            char *more = room < SIZE_MAX / 2 ? realloc(text, 2 * room + 1) : NULL;
            if (more == NULL)
                free(text);
            text = more;
            room *= 2;
        }
    }
    if (text == NULL) {
        status = apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
        goto fail;
    }
    text[used] = '\0';
    *data = text;
    *bytes = used;
    text = NULL;
fail:
    free(text);
    close(file);
    return status;
}

enum apx_status apx_file_write_all(int file, const void *data, size_t bytes, const char *name,
                                   struct apx_error *error)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t done = write(file, at, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return apx_file_failed(error, "write", name);
        at += done;
        bytes -= (size_t)done;
    }
    return APX_OK;
}

char *apx_file_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    return strndup(slash == NULL ? "." : path, length);
}

enum apx_status apx_file_sync_parent(const char *path, struct apx_error *error)
{
    char *directory = apx_file_directory(path);
    if (directory == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory");
    enum apx_status status = APX_OK;
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems cannot sync a directory, and say EINVAL; they order renames themselves. */
    if (file < 0 || (fsync(file) != 0 && errno != EINVAL))
        status = apx_file_failed(error, "sync", directory);
    if (file >= 0)
        close(file);
    free(directory);
    return status;
}

bool apx_file_has_id(const char *path, const struct apx_file_id *id)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_dev == id->device && about.st_ino == id->inode;
}

bool apx_file_is_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && S_ISREG(one.st_mode) && stat(b, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}
