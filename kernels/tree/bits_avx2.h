/* SPDX-License-Identifier: Apache-2.0 */
/* bits_avx2.h - one row through a group of trees by bits (forest_pack_onerow.c): eight trees side
 * by side, 32 nodes' codes by a look-up in each sixteen of the row's codes.
 *
 * A lane's four nodes of a block are the bytes of one 32-bit word, so that a shift makes a mask of
 * each of them; cuts are one less, and the masks are of what turns left. Trees of 64 leaves have
 * two words a node. */
#ifndef APX_TREE_BITS_AVX2_H
#define APX_TREE_BITS_AVX2_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

enum { BITS_LANES = 8, BITS_SLOTS = 4 };

/* Codes of 32 nodes out of 16 times `sixteens` columns. */
APX_INLINE __m256i bits_look_up(const uint8_t *codes, __m256i column, const int sixteens)
{
    __m256i found[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        if (i < sixteens)
            found[i] = _mm256_shuffle_epi8(
                _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(codes + 16 * i))),
                column);
    /* The column's higher bits choose, as the highest of each byte. */
    const __m256i bit4 = _mm256_slli_epi16(column, 3);
    const __m256i bit5 = _mm256_slli_epi16(column, 2);
    const __m256i bit6 = _mm256_slli_epi16(column, 1);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        if (2 * i + 1 < sixteens)
            found[i] = _mm256_blendv_epi8(found[2 * i], found[2 * i + 1], bit4);
    if (sixteens >= 4)
        found[0] = _mm256_blendv_epi8(found[0], found[1], bit5);
    if (sixteens == 8)
        found[0] = _mm256_blendv_epi8(found[0], _mm256_blendv_epi8(found[2], found[3], bit5), bit6);
    return found[0];
}

APX_INLINE __m256i bits_and(__m256i reach, __m256i left, const char *keep)
{
    return _mm256_and_si256(reach, _mm256_or_si256(left, _mm256_load_si256((const __m256i *)keep)));
}

/* Eight trees; words[1][]: the higher halves. */
APX_INLINE void bits_shape(const char *block, size_t count, const uint8_t *row,
                           uint32_t words[2][BITS_LANES], const int sixteens, const bool wide)
{
    __m256i low = _mm256_set1_epi32(-1), high = low;
    for (size_t b = 0; b < count; b++) {
        const __m256i *node = (const __m256i *)block;
        const __m256i code = bits_look_up(row, _mm256_load_si256(node), sixteens);
        const __m256i cut = _mm256_load_si256(node + 1);
        const __m256i left = _mm256_cmpeq_epi8(_mm256_min_epu8(code, cut), code);
        block += 64;
#pragma GCC unroll 4
        for (int slot = 0; slot < BITS_SLOTS; slot++) {
            const __m256i top = _mm256_slli_epi32(left, 8 * (BITS_SLOTS - 1 - slot));
            const __m256i mask = _mm256_srai_epi32(top, 31);
            low = bits_and(low, mask, block);
            block += 32;
            if (wide) {
                high = bits_and(high, mask, block);
                block += 32;
            }
        }
    }
    _mm256_store_si256((__m256i *)words[0], low);
    _mm256_store_si256((__m256i *)words[1], high);
}

APX_INLINE void bits_words(const struct apx_packed *packed, const char *block, size_t count,
                           const uint8_t *row, uint32_t words[2][BITS_LANES], const bool wide)
{
    if (packed->columns <= 16)
        bits_shape(block, count, row, words, 1, wide);
    else if (packed->columns <= 32)
        bits_shape(block, count, row, words, 2, wide);
    else if (packed->columns <= 64)
        bits_shape(block, count, row, words, 4, wide);
    else
        bits_shape(block, count, row, words, 8, wide);
}

/* leaf[]: of the group's trees, as indices in the forest; of their tops, the numbers of the exits;
 * garbage up to APX_ONE_LANES. */
static __attribute__((noinline)) void one_bits(const struct apx_packed *packed,
                                               const struct apx_one_group *group,
                                               const uint8_t *codes, uint32_t *leaf)
{
    const char *block =
        (const char *)apx_packed_array(packed, packed->one_block_at) + (size_t)group->block * 64;
    static const uint32_t none[APX_ONE_LANES];
    const uint32_t *leaves =
        group->kind == APX_ONE_TOPS
            ? none
            : (const uint32_t *)apx_packed_array(packed, packed->one_leaves_at) + group->first;
    _Alignas(32) uint32_t words[2][BITS_LANES];
    if (group->kind == APX_ONE_BITS64) {
        bits_words(packed, block, group->blocks, codes, words, true);
        for (uint32_t i = 0; i < BITS_LANES; i++)
            leaf[i] =
                leaves[i] + (uint32_t)__builtin_clzll((uint64_t)words[1][i] << 32 | words[0][i]);
        return;
    }
    for (uint32_t half = 0; half < group->trees; half += BITS_LANES) {
        bits_words(packed, block, group->blocks, codes, words, false);
        block += (size_t)group->blocks * 192;
        for (uint32_t i = 0; i < BITS_LANES; i++)
            leaf[half + i] = leaves[half + i] + (uint32_t)__builtin_clz(words[0][i]);
    }
}

#endif
