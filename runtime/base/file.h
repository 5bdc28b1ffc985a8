/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - read whole files, and replace files so that a kill leaves the old one or the new one. */
#ifndef APX_BASE_FILE_H
#define APX_BASE_FILE_H

#include "runtime/auspex.h"

/* The whole file, pipes and devices too, followed by one zero byte that `bytes` does not count.
 * Release *data with free(). *data is NULL on failure.
 *   APX_ENOTFOUND, APX_EIO, APX_ENOMEM, APX_ELIMIT (more than `limit` bytes) */
enum apx_status apx_file_read(const char *path, size_t limit, char **data, size_t *bytes,
                              struct apx_error *error);

/* Write beside `path`, sync, rename over it, sync its directory. A file that was there leaves its
 * mode to the new one, and its owner and group where that is allowed; a symbolic link stays and
 * what it leads to is written. A path that exists and is no regular file (a pipe, /dev/stdout) is
 * written to as it is; for a named pipe's reader a while is waited. On failure what was at `path`
 * is untouched and nothing is left beside it; what a writer that was killed left is removed. Its
 * directory must be there.
 *   APX_EIO, APX_ENOTFOUND (its directory), APX_ENOMEM */
enum apx_status apx_file_replace(const char *path, const void *data, size_t bytes,
                                 struct apx_error *error);

/* Where `path` leads once its symbolic links are followed, the last one to a file that may not be
 * there; for free(). NULL with errno: ENOMEM, ELOOP, or what the system has against a link. */
char *apx_file_target(const char *path);

/* The same refusal for a missing directory, before the work whose result is to be written.
 *   APX_ENOTFOUND, APX_EIO, APX_ENOMEM */
enum apx_status apx_file_check_folder(const char *path, struct apx_error *error);

/* So long an open named pipe waits for its other end: two programs of a script start so. */
#define APX_FILE_PIPE_WAIT_MS  3000
#define APX_FILE_PIPE_PAUSE_MS 5

/* A file whatever its names are: struct stat's st_dev and st_ino. */
struct apx_file_id {
    uint64_t device, inode;
    uint64_t bytes; /* its size */
};
bool apx_file_has_id(const char *path, const struct apx_file_id *id);
/* True if both paths lead to one regular file, by whatever names: links, "./", "..". */
bool apx_file_is_same(const char *a, const char *b);

/* A file handle's part of the above: all bytes or an error. name: for the message. */
enum apx_status apx_file_write_all(int file, const void *data, size_t bytes, const char *name,
                                   struct apx_error *error);

/* The directory that holds `path`, "." for a bare name; for free(). NULL: out of memory. */
char *apx_file_directory(const char *path);

/* Sync the directory that holds `path`, so that a rename in it survives a power cut. */
enum apx_status apx_file_sync_parent(const char *path, struct apx_error *error);

/* "cannot write PATH: " and errno in words. doing: "write". Returns APX_ENOTFOUND or APX_EIO. */
enum apx_status apx_file_failed(struct apx_error *error, const char *doing, const char *path);

#endif
