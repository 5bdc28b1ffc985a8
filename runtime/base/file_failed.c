/* SPDX-License-Identifier: Apache-2.0 */
/* file_failed.c - what the system had against a file, in words. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum apx_status apx_file_failed(struct apx_error *error, const char *doing, const char *path)
{
    char reason[128];
    int number = errno;
    const char *text = strerror_r(number, reason, sizeof reason);
    return apx_fail(error, number == ENOENT || number == ENOTDIR ? APX_ENOTFOUND : APX_EIO, path,
                    "cannot %s %s: %s", doing, path[0] != '\0' ? path : "\"\"", text);
}

enum apx_status apx_file_check_folder(const char *path, struct apx_error *error)
{
    struct stat about;
    enum apx_status status = APX_OK;
    char *target = apx_file_target(path);
    if (target == NULL)
        return apx_file_failed(error, "write", path);
    char *folder = apx_file_directory(target);
    free(target);
    if (folder == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory");
    if (stat(folder, &about) != 0 && errno == ENOENT)
        status = apx_fail(error, APX_ENOTFOUND, path,
                          "cannot write %s: there is no folder %s; make it first", path, folder);
    else if (stat(folder, &about) != 0)
        status = apx_file_failed(error, "write", path);
    else if (!S_ISDIR(about.st_mode))
        status =
            apx_fail(error, APX_ENOTFOUND, path, "cannot write %s: %s is no folder", path, folder);
    free(folder);
    return status;
}
