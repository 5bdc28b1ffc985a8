/* SPDX-License-Identifier: Apache-2.0 */
/* file_hash.h - the checksum of a file, and of what a function writes. */
#ifndef APX_TRAIN_FILE_HASH_H
#define APX_TRAIN_FILE_HASH_H

#include "train/config.h"

/* SHA-256 of the file's bytes as 64 hexadecimal digits and a NUL. APX_ENOTFOUND, APX_EIO */
enum apx_status apx_file_sha256(const char *path, char hex[65], struct apx_error *error);
/* SHA-256 of the configuration without what does not change the result. APX_ENOMEM */
enum apx_status apx_config_sha256(const struct apx_train_config *config, char hex[65],
                                  struct apx_error *error);

#endif
