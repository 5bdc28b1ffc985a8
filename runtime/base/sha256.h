/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.h - the checksum of model files and data sets (FIPS 180-4). */
#ifndef APX_BASE_SHA256_H
#define APX_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct apx_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64]; /* the part of a block not yet digested */
};

void apx_sha256_init(struct apx_sha256 *hash);
void apx_sha256_add(struct apx_sha256 *hash, const void *data, size_t bytes);
/* 64 hexadecimal digits and a NUL. The hash must be initialised again before its next use. */
void apx_sha256_hex(struct apx_sha256 *hash, char hex[65]);
/* All three at once. */
void apx_sha256_of(const void *data, size_t bytes, char hex[65]);

#endif
