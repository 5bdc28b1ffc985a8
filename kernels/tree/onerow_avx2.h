/* SPDX-License-Identifier: Apache-2.0 */
/* onerow_avx2.h - codes of one row with AVX2: a column's first cuts in one register. */
#ifndef APX_TREE_ONEROW_AVX2_H
#define APX_TREE_ONEROW_AVX2_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

/* Of struct apx_column, sorted: tables of 8 with 0, 1, ... levels. */
#define ONE_FIRST(shape)  8
#define ONE_LEVELS(shape) (shape)
/* Are all cuts compared at once? */
#define ONE_IS_WHOLE(shape) ((shape) <= 4)

/* Levels whose cuts are kept in groups too, and those where there is room. */
enum { ONE_WITHIN = 1 << 5, ONE_WITHIN_ROOM = 1 << 3 | 1 << 4 | 1 << 5 };

APX_INLINE __m256i one_above(const float *cuts, __m256 x)
{
    return _mm256_castps_si256(_mm256_cmp_ps(x, _mm256_loadu_ps(cuts), _CMP_GE_OQ));
}

APX_INLINE uint32_t one_count(__m256i bytes)
{
    return (uint32_t)__builtin_popcount((uint32_t)_mm256_movemask_epi8(bytes));
}

/* How many of 8, 16 or 32 cuts in any order are <= x. */
APX_INLINE uint32_t one_of(const float *cuts, __m256 x, const int count)
{
    const __m256i above = one_above(cuts, x);
    if (count == 8)
        return (uint32_t)__builtin_popcount(
            (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(above)));
    const __m256i words = _mm256_packs_epi32(above, one_above(cuts + 8, x));
    if (count == 16)
        return one_count(words) / 2;
    return one_count(_mm256_packs_epi16(
        words, _mm256_packs_epi32(one_above(cuts + 16, x), one_above(cuts + 24, x))));
}

/* Of a search's first cuts. */
APX_INLINE uint32_t one_group(const float *table, float x, const int first)
{
    return one_of(table, _mm256_set1_ps(x), first);
}

/* Of all cuts in a table of two levels at most. */
APX_INLINE uint32_t one_whole(const float *table, float x, const int levels)
{
    const __m256 value = _mm256_set1_ps(x);
    const int count = 8 << levels;
    uint32_t rank = one_of(table, value, count < 32 ? count : 32);
#pragma GCC unroll 3
    for (int i = 32; i < count; i += 32)
        rank += one_of(table + i, value, 32);
    return rank;
}

/* Of 2^levels ascending cuts, and those behind them, which x does not reach. */
APX_INLINE uint32_t one_within(const float *cuts, float x, const int levels)
{
    return one_of(cuts, _mm256_set1_ps(x), 1 << levels);
}

/* Are all values floats, or NaN? */
static bool one_is_float(const double *x, size_t count)
{
    size_t i = 0;
    bool any = false;
    __m256d others = _mm256_setzero_pd();
    for (; i + 4 <= count; i += 4) {
        const __m256d v = _mm256_loadu_pd(x + i);
        const __m256d rounded = _mm256_cvtps_pd(_mm256_cvtpd_ps(v));
        others = _mm256_or_pd(others, _mm256_cmp_pd(v, rounded, _CMP_NEQ_OQ));
    }
    for (; i < count; i++)
        any |= x[i] < (double)(float)x[i] || x[i] > (double)(float)x[i];
    return !any && _mm256_movemask_pd(others) == 0;
}

static bool one_has_nan(const void *x, size_t count, bool is_double)
{
    size_t i = 0;
    bool any = false;
    if (is_double) {
        const double *value = x;
        __m256d nans = _mm256_setzero_pd();
        for (; i + 4 <= count; i += 4) {
            const __m256d v = _mm256_loadu_pd(value + i);
            nans = _mm256_or_pd(nans, _mm256_cmp_pd(v, v, _CMP_UNORD_Q));
        }
        for (; i < count; i++)
            any |= isnan(value[i]);
        return any || _mm256_movemask_pd(nans) != 0;
    }
    const float *value = x;
    __m256 nans = _mm256_setzero_ps();
    for (; i + 8 <= count; i += 8) {
        const __m256 v = _mm256_loadu_ps(value + i);
        nans = _mm256_or_ps(nans, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    for (; i < count; i++)
        any |= isnan(value[i]);
    return any || _mm256_movemask_ps(nans) != 0;
}

#endif
