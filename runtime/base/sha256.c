/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.c - FIPS 180-4, plainly.
 *
 * The constants are the first 32 bits of the fractional parts of the square roots of the first 8
 * primes (initial state) and of the cube roots of the first 64 (rounds). */
#include "runtime/base/sha256.h"

#include <string.h>

static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int bits)
{
    return x >> bits | x << (32 - bits);
}

static void digest(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t low = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t high = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    uint32_t s[8];
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t one =
            s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + choice + rounds[i] + w[i];
        uint32_t two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + majority;
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void apx_sha256_init(struct apx_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->bytes = 0;
}

void apx_sha256_add(struct apx_sha256 *hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    size_t held = hash->bytes % 64;
    hash->bytes += bytes;
    if (held > 0) {
        size_t part = bytes < 64 - held ? bytes : 64 - held;
        if (part > 0)
            memcpy(hash->block + held, at, part);
        at += part;
        bytes -= part;
        if (held + part < 64)
            return;
        digest(hash->state, hash->block);
    }
    for (; bytes >= 64; at += 64, bytes -= 64)
        digest(hash->state, at);
    if (bytes > 0)
        memcpy(hash->block, at, bytes);
}

void apx_sha256_hex(struct apx_sha256 *hash, char hex[65])
{
    uint8_t end[72] = {0x80};
    uint64_t bits = hash->bytes * 8;
    size_t zeros = (119 - hash->bytes % 64) % 64; /* up to the last 8 bytes of a block */
    for (int i = 0; i < 8; i++)
        end[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    apx_sha256_add(hash, end, 1 + zeros + 8);
    for (int i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}

void apx_sha256_of(const void *data, size_t bytes, char hex[65])
{
    struct apx_sha256 hash;
    apx_sha256_init(&hash);
    apx_sha256_add(&hash, data, bytes);
    apx_sha256_hex(&hash, hex);
}
