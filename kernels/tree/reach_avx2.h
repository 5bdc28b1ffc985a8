/* SPDX-License-Identifier: Apache-2.0 */
/* reach_avx2.h - a tree's top for a tile of 64 rows: bytes that say which rows reach each node, and
 * the number of each row's exit as a byte. */
#ifndef APX_TREE_REACH_AVX2_H
#define APX_TREE_REACH_AVX2_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

APX_INLINE __m256i reach_at_least(__m256i code, __m256i cut)
{
    return _mm256_cmpeq_epi8(_mm256_max_epu8(code, cut), code);
}

/* exits[TILE]: of every row. Exits further right have greater numbers, and each turn to the right
 * on a row's way names a greater one than the last: the greatest is the row's. */
static void reach_exits(const struct apx_slice *slices, size_t stored, size_t count,
                        const uint8_t *codes, void *masks, uint8_t *exits)
{
    __m256i *reach = masks;
    __m256i exit0 = _mm256_setzero_si256(), exit1 = exit0;
    reach[0] = reach[1] = _mm256_set1_epi8(-1);
    __m256i *out = reach + 2;
    const struct apx_slice *slice = slices;
    for (const struct apx_slice *end = slices + stored; slice < end; slice++, out += 4) {
        const __m256i *column = (const __m256i *)(codes + (size_t)slice->column * TILE);
        const __m256i *in = reach + (size_t)slice->slot * 2;
        const __m256i cut = _mm256_set1_epi8((char)slice->cut);
        const __m256i exit = _mm256_set1_epi8((char)slice->exit);
        const __m256i in0 = in[0], in1 = in[1];
        const __m256i right0 = _mm256_and_si256(reach_at_least(column[0], cut), in0);
        const __m256i right1 = _mm256_and_si256(reach_at_least(column[1], cut), in1);
        out[0] = _mm256_xor_si256(in0, right0);
        out[1] = _mm256_xor_si256(in1, right1);
        out[2] = right0;
        out[3] = right1;
        exit0 = _mm256_max_epu8(exit0, _mm256_and_si256(right0, exit));
        exit1 = _mm256_max_epu8(exit1, _mm256_and_si256(right1, exit));
    }
    for (const struct apx_slice *end = slices + count; slice < end; slice++) {
        const __m256i *column = (const __m256i *)(codes + (size_t)slice->column * TILE);
        const __m256i *in = reach + (size_t)slice->slot * 2;
        const __m256i cut = _mm256_set1_epi8((char)slice->cut);
        const __m256i exit = _mm256_set1_epi8((char)slice->exit);
        const __m256i right0 = _mm256_and_si256(reach_at_least(column[0], cut), in[0]);
        const __m256i right1 = _mm256_and_si256(reach_at_least(column[1], cut), in[1]);
        exit0 = _mm256_max_epu8(exit0, _mm256_and_si256(right0, exit));
        exit1 = _mm256_max_epu8(exit1, _mm256_and_si256(right1, exit));
    }
    _mm256_store_si256((__m256i *)exits, exit0);
    _mm256_store_si256((__m256i *)exits + 1, exit1);
}

/* sums[i] += values[exits[i]]; values has 64 entries or more, whatever `count`. */
static void reach_add_float(const uint8_t *exits, const float *values, size_t count, float *sums)
{
    if (count > 32) {
        for (int r = 0; r < TILE; r++)
            sums[r] += values[exits[r]];
        return;
    }
    const __m256 v0 = _mm256_loadu_ps(values), v1 = _mm256_loadu_ps(values + 8);
    const __m256 v2 = _mm256_loadu_ps(values + 16), v3 = _mm256_loadu_ps(values + 24);
#pragma GCC unroll 8
    for (int r = 0; r < TILE; r += 8) {
        __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(exits + r)));
        __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
        __m256 bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 27));
        __m256 low = _mm256_blendv_ps(_mm256_permutevar8x32_ps(v0, index),
                                      _mm256_permutevar8x32_ps(v1, index), bit3);
        __m256 high = _mm256_blendv_ps(_mm256_permutevar8x32_ps(v2, index),
                                       _mm256_permutevar8x32_ps(v3, index), bit3);
        __m256 value = _mm256_blendv_ps(low, high, bit4);
        _mm256_store_ps(sums + r, _mm256_add_ps(_mm256_load_ps(sums + r), value));
    }
}

static void reach_add_double(const uint8_t *exits, const double *values, size_t count, double *sums)
{
    (void)count;
    for (int r = 0; r < TILE; r++)
        sums[r] += values[exits[r]];
}

#endif
