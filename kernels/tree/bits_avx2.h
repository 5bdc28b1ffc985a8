/* SPDX-License-Identifier: Apache-2.0 */
/* bits_avx2.h - one row through a group of trees by bits (forest_pack_bits.c): 32 lanes side by
 * side, their codes by a look-up in each of a block's two windows, or in each sixteen columns. */
#ifndef APX_TREE_BITS_AVX2_H
#define APX_TREE_BITS_AVX2_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

enum { BITS_LANES = 32, BITS_SIXTEENS = 8 };

APX_INLINE __m256i bits_sixteen(const uint8_t *codes, __m256i column)
{
    const __m128i window = _mm_loadu_si128((const __m128i *)codes);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(window), column);
}

/* Codes out of two windows; a look-up gives 0 where the column's highest bit says the other. */
APX_INLINE __m256i bits_windows(const uint8_t *codes, const uint8_t window[2], __m256i column)
{
    const __m256i other = _mm256_xor_si256(column, _mm256_set1_epi8((char)0x80));
    return _mm256_or_si256(bits_sixteen(codes + window[0], column),
                           bits_sixteen(codes + window[1], other));
}

/* Codes out of all columns. */
APX_INLINE __m256i bits_all(const uint8_t *codes, __m256i column)
{
    __m256i found[BITS_SIXTEENS];
#pragma GCC unroll 8
    for (int i = 0; i < BITS_SIXTEENS; i++)
        found[i] = bits_sixteen(codes + APX_WINDOW * i, column);
    /* The column's higher bits choose, as the highest of each byte. */
    const __m256i bit4 = _mm256_slli_epi16(column, 3), bit5 = _mm256_slli_epi16(column, 2);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        found[i] = _mm256_blendv_epi8(found[2 * i], found[2 * i + 1], bit4);
    found[0] = _mm256_blendv_epi8(found[0], found[1], bit5);
    found[1] = _mm256_blendv_epi8(found[2], found[3], bit5);
    found[0] = _mm256_blendv_epi8(found[0], found[1], _mm256_slli_epi16(column, 1));
    return found[0];
}

/* What a register's nodes leave of its lanes. */
APX_INLINE __m256i bits_shape(const uint8_t *block, size_t count, const uint8_t *codes,
                              const bool windows)
{
    const uint8_t *window = block + count * 3 * BITS_LANES;
    __m256i reach = _mm256_set1_epi8(-1);
    for (size_t b = 0; b < count; b++, block += 3 * BITS_LANES) {
        const __m256i *node = (const __m256i *)block;
        const __m256i column = _mm256_load_si256(node);
        const __m256i code =
            windows ? bits_windows(codes, window + 2 * b, column) : bits_all(codes, column);
        const __m256i lower = _mm256_min_epu8(code, _mm256_load_si256(node + 1));
        const __m256i left = _mm256_cmpeq_epi8(lower, code);
        const __m256i drop = _mm256_andnot_si256(left, _mm256_load_si256(node + 2));
        reach = _mm256_andnot_si256(drop, reach);
    }
    return reach;
}

/* Functions of their own, so that what they need stays in registers. */
static __attribute__((noinline)) __m256i bits_by_window(const uint8_t *block, size_t count,
                                                        const uint8_t *codes)
{
    return bits_shape(block, count, codes, true);
}

static __attribute__((noinline)) __m256i bits_by_all(const uint8_t *block, size_t count,
                                                     const uint8_t *codes)
{
    return bits_shape(block, count, codes, false);
}

/* leaf[]: of the group's trees, as indices in the forest; of their tops, the numbers of the exits;
 * garbage up to APX_ONE_LANES. */
static __attribute__((noinline)) void one_bits(const struct apx_packed *packed,
                                               const struct apx_one_group *group,
                                               const uint8_t *codes, uint32_t *leaf)
{
    const uint8_t *block = (const uint8_t *)apx_packed_array(packed, packed->one_block_at) +
                           (size_t)group->block * APX_BITS_UNIT;
    static const uint32_t none[APX_ONE_LANES];
    const uint32_t *leaves =
        group->kind == APX_ONE_TOPS
            ? none
            : (const uint32_t *)apx_packed_array(packed, packed->one_leaves_at) + group->first;
    const uint32_t trees = BITS_LANES / apx_one_parts((enum apx_one_kind)group->kind);
    for (uint32_t r = 0, done = 0; done < group->trees; r++, done += trees) {
        const size_t count = group->blocks[r];
        const bool windows = group->windows[r];
        union {
            __m256i lanes;
            uint64_t of64[4];
            uint32_t of32[8];
        } words = {windows ? bits_by_window(block, count, codes)
                           : bits_by_all(block, count, codes)};
        block += apx_one_bits_bytes((uint32_t)count, BITS_LANES, windows);
        if (group->kind == APX_ONE_BITS64)
#pragma GCC unroll 4
            for (uint32_t i = 0; i < 4; i++)
                leaf[done + i] = leaves[done + i] + (uint32_t)__builtin_clzll(words.of64[i]);
        else
#pragma GCC unroll 8
            for (uint32_t i = 0; i < 8; i++)
                leaf[done + i] = leaves[done + i] + (uint32_t)__builtin_clz(words.of32[i]);
    }
}

#endif
