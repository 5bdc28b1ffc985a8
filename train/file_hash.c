/* SPDX-License-Identifier: Apache-2.0 */
/* file_hash.c - names for data and configurations that do not depend on where they lie. */
#include "train/file_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/sha256.h"

enum apx_status apx_file_sha256(const char *path, char hex[65], struct apx_error *error)
{
    unsigned char block[16384];
    struct apx_sha256 hash;
    size_t got;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return apx_fail(error, errno == ENOENT ? APX_ENOTFOUND : APX_EIO, "data.files", "%s: %s",
                        path, strerror(errno));
    apx_sha256_init(&hash);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        apx_sha256_add(&hash, block, got);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed != 0)
        return apx_fail(error, APX_EIO, "data.files", "%s: %s", path, strerror(failed));
    apx_sha256_hex(&hash, hex);
    return APX_OK;
}

enum apx_status apx_config_sha256(const struct apx_train_config *config, char hex[65],
                                  struct apx_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    if (file == NULL)
        return apx_fail(error, APX_ENOMEM, "config", "out of memory");
    apx_train_config_write(config, false, file);
    if (fclose(file) != 0) {
        free(text);
        return apx_fail(error, APX_ENOMEM, "config", "out of memory");
    }
    apx_sha256_of(text, bytes, hex);
    free(text);
    return APX_OK;
}
