/* SPDX-License-Identifier: Apache-2.0 */
/* rows_given.c - "[NAME=]FILE": which tensor a file is for.
 *
 * Paths have '=' in them too: date=2026-11-21/rows.csv. What stands before the first one is a name
 * if a tensor has it; else the whole is the path, where something is there. */
#include "runtime/base/file.h"
#include "runtime/cli/rows_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of a file that is still to be written its folder must be there and hold the '=', or every name
 * that is misspelt would be the beginning of a file's. */
static bool is_path(const char *given, bool is_written)
{
    struct stat about;
    if (stat(given, &about) == 0)
        return true;
    char *folder = is_written ? apx_file_directory(given) : NULL;
    bool is_there = folder != NULL && strchr(folder, '=') != NULL && stat(folder, &about) == 0 &&
                    S_ISDIR(about.st_mode);
    free(folder);
    return is_there;
}

struct apx_rows_given apx_rows_given_read(const char *given, const struct apx_model *model,
                                          apx_rows_info *info, size_t count, bool is_written)
{
    const char *equals = strchr(given, '=');
    size_t length = equals != NULL ? (size_t)(equals - given) : 0, at = 0;
    if (equals == NULL)
        return (struct apx_rows_given){.file = given, .tensor = SIZE_MAX};
    while (at < count && (strlen(info(model, at)->name) != length ||
                          strncmp(info(model, at)->name, given, length) != 0))
        at++;
    if (at == count && is_path(given, is_written))
        return (struct apx_rows_given){.file = given, .tensor = SIZE_MAX};
    return (struct apx_rows_given){
        .file = equals + 1, .is_named = true, .tensor = at < count ? at : SIZE_MAX};
}
