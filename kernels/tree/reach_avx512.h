/* SPDX-License-Identifier: Apache-2.0 */
/* reach_avx512.h - a tree's top for a tile of 128 rows: masks of the rows that reach each node in
 * mask registers, the number of each row's exit as a byte. */
#ifndef APX_TREE_REACH_AVX512_H
#define APX_TREE_REACH_AVX512_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

/* Compilers join neighbouring stores of masks by way of vector registers, which costs more. */
APX_INLINE void reach_store(uint64_t *to, __mmask64 mask)
{
    __asm__("kmovq %1, %0" : "=m"(*to) : "k"(mask));
}

APX_INLINE __m512i reach_spread(const uint8_t *value)
{
    __m512i v;
    __asm__("vpbroadcastb %1, %0" : "=v"(v) : "m"(*value));
    return v;
}

/* exits[TILE]: of every row. */
static void reach_exits(const struct apx_slice *slices, size_t stored, size_t count,
                        const uint8_t *codes, void *masks, uint8_t *exits)
{
    uint64_t *reach = masks;
    __m512i exit0 = _mm512_setzero_si512(), exit1 = exit0;
    reach[0] = reach[1] = ~(uint64_t)0;
    uint64_t *out = reach + 2;
    const struct apx_slice *slice = slices;
    for (const struct apx_slice *end = slices + stored; slice < end; slice++, out += 4) {
        const uint8_t *column = codes + (size_t)slice->column * TILE;
        const uint64_t *in = reach + (size_t)slice->slot * 2;
        const __m512i cut = reach_spread(&slice->cut), exit = reach_spread(&slice->exit);
        const __mmask64 in0 = _cvtu64_mask64(in[0]), in1 = _cvtu64_mask64(in[1]);
        const __mmask64 right0 = _mm512_mask_cmpge_epu8_mask(in0, _mm512_load_si512(column), cut);
        const __mmask64 right1 =
            _mm512_mask_cmpge_epu8_mask(in1, _mm512_load_si512(column + 64), cut);
        reach_store(out, _kandn_mask64(right0, in0));
        reach_store(out + 1, _kandn_mask64(right1, in1));
        reach_store(out + 2, right0);
        reach_store(out + 3, right1);
        exit0 = _mm512_mask_mov_epi8(exit0, right0, exit);
        exit1 = _mm512_mask_mov_epi8(exit1, right1, exit);
    }
    for (const struct apx_slice *end = slices + count; slice < end; slice++) {
        const uint8_t *column = codes + (size_t)slice->column * TILE;
        const uint64_t *in = reach + (size_t)slice->slot * 2;
        const __m512i cut = reach_spread(&slice->cut), exit = reach_spread(&slice->exit);
        const __mmask64 right0 =
            _mm512_mask_cmpge_epu8_mask(_cvtu64_mask64(in[0]), _mm512_load_si512(column), cut);
        const __mmask64 right1 =
            _mm512_mask_cmpge_epu8_mask(_cvtu64_mask64(in[1]), _mm512_load_si512(column + 64), cut);
        exit0 = _mm512_mask_mov_epi8(exit0, right0, exit);
        exit1 = _mm512_mask_mov_epi8(exit1, right1, exit);
    }
    _mm512_store_si512(exits, exit0);
    _mm512_store_si512(exits + 64, exit1);
}

/* sums[i] += values[exits[i]]; values has 64 entries or more, whatever `count`. */
static void reach_add_float(const uint8_t *exits, const float *values, size_t count, float *sums)
{
    const __m512 v0 = _mm512_loadu_ps(values), v1 = _mm512_loadu_ps(values + 16);
    if (count <= 32) {
#pragma GCC unroll 8
        for (int r = 0; r < TILE; r += 16) {
            __m512i index = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(exits + r)));
            __m512 value = _mm512_permutex2var_ps(v0, index, v1);
            _mm512_store_ps(sums + r, _mm512_add_ps(_mm512_load_ps(sums + r), value));
        }
        return;
    }
    if (count <= 64) {
        const __m512 v2 = _mm512_loadu_ps(values + 32), v3 = _mm512_loadu_ps(values + 48);
#pragma GCC unroll 8
        for (int r = 0; r < TILE; r += 16) {
            __m512i index = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(exits + r)));
            __mmask16 upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
            __m512 value = _mm512_mask_blend_ps(upper, _mm512_permutex2var_ps(v0, index, v1),
                                                _mm512_permutex2var_ps(v2, index, v3));
            _mm512_store_ps(sums + r, _mm512_add_ps(_mm512_load_ps(sums + r), value));
        }
        return;
    }
    for (int r = 0; r < TILE; r++)
        sums[r] += values[exits[r]];
}

static void reach_add_double(const uint8_t *exits, const double *values, size_t count, double *sums)
{
    if (count > 32) {
        for (int r = 0; r < TILE; r++)
            sums[r] += values[exits[r]];
        return;
    }
    const __m512d v0 = _mm512_loadu_pd(values), v1 = _mm512_loadu_pd(values + 8);
    const __m512d v2 = _mm512_loadu_pd(values + 16), v3 = _mm512_loadu_pd(values + 24);
#pragma GCC unroll 16
    for (int r = 0; r < TILE; r += 8) {
        __m512i index = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(exits + r)));
        __mmask8 upper = _mm512_test_epi64_mask(index, _mm512_set1_epi64(16));
        __m512d value = _mm512_mask_blend_pd(upper, _mm512_permutex2var_pd(v0, index, v1),
                                             _mm512_permutex2var_pd(v2, index, v3));
        _mm512_store_pd(sums + r, _mm512_add_pd(_mm512_load_pd(sums + r), value));
    }
}

#endif
