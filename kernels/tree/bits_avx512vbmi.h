/* SPDX-License-Identifier: Apache-2.0 */
/* bits_avx512vbmi.h - one row through a group of trees by bits (forest_pack_bits.c): the codes of
 * 64 lanes are one look-up in the row's codes, which fill one, two or four registers. */
#ifndef APX_TREE_BITS_AVX512VBMI_H
#define APX_TREE_BITS_AVX512VBMI_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

enum { BITS_LANES = 64 };

/* Codes of 64 nodes, of so many registers of columns. */
APX_INLINE __m512i bits_look_up(const __m512i codes[4], __m512i column, const int registers)
{
    if (registers == 1)
        return _mm512_permutexvar_epi8(column, codes[0]);
    const __m512i low = _mm512_permutex2var_epi8(codes[0], column, codes[1]);
    if (registers == 2)
        return low;
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(column), low,
                                  _mm512_permutex2var_epi8(codes[2], column, codes[3]));
}

APX_INLINE __m512i bits_register(const uint8_t *block, size_t count, const uint8_t *row,
                                 const int registers)
{
    __m512i codes[4], reach = _mm512_set1_epi32(-1);
#pragma GCC unroll 4
    for (int i = 0; i < registers; i++)
        codes[i] = _mm512_load_si512(row + 64 * i);
    for (size_t b = 0; b < count; b++, block += 3 * BITS_LANES) {
        const __m512i code = bits_look_up(codes, _mm512_load_si512(block), registers);
        const __mmask64 right = _mm512_cmpgt_epu8_mask(code, _mm512_load_si512(block + BITS_LANES));
        reach = _mm512_andnot_si512(_mm512_maskz_loadu_epi8(right, block + 2 * BITS_LANES), reach);
    }
    return reach;
}

/* leaf[]: of the group's trees, as indices in the forest; of their tops, the numbers of the exits;
 * garbage up to APX_ONE_LANES. */
static void one_bits(const struct apx_packed *packed, const struct apx_one_group *group,
                     const uint8_t *codes, uint32_t *leaf)
{
    const uint8_t *block = (const uint8_t *)apx_packed_array(packed, packed->one_block_at) +
                           (size_t)group->block * APX_BITS_UNIT;
    const uint32_t *leaves =
        (const uint32_t *)apx_packed_array(packed, packed->one_leaves_at) + group->first;
    const size_t count = group->blocks[0];
    static const uint32_t none[APX_ONE_LANES];
    if (group->kind == APX_ONE_TOPS)
        leaves = none;
    const __m512i reach = packed->one_stride == 64    ? bits_register(block, count, codes, 1)
                          : packed->one_stride == 128 ? bits_register(block, count, codes, 2)
                                                      : bits_register(block, count, codes, 4);
    if (group->kind == APX_ONE_BITS64) {
        const __m256i first = _mm256_loadu_si256((const __m256i *)leaves);
        _mm256_store_si256(
            (__m256i *)leaf,
            _mm256_add_epi32(first, _mm512_cvtepi64_epi32(_mm512_lzcnt_epi64(reach))));
    } else {
        _mm512_store_si512(leaf,
                           _mm512_add_epi32(_mm512_loadu_si512(leaves), _mm512_lzcnt_epi32(reach)));
    }
}

#endif
