/* SPDX-License-Identifier: Apache-2.0 */
/* onerow_avx512.h - codes of one row with AVX-512: a column's first cuts in one or two registers.
 */
#ifndef APX_TREE_ONEROW_AVX512_H
#define APX_TREE_ONEROW_AVX512_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

/* Of struct apx_column, sorted: tables of 16, then of 32 with 0, 1, ... levels. */
#define ONE_FIRST(shape)  ((shape) == 0 ? 16 : 32)
#define ONE_LEVELS(shape) ((shape) == 0 ? 0 : (shape)-1)
/* Are all cuts compared at once? */
#define ONE_IS_WHOLE(shape) ((shape) == 2)

/* Levels whose cuts are kept in groups too, and those where there is room. */
enum { ONE_WITHIN = 1 << 3, ONE_WITHIN_ROOM = ONE_WITHIN };

APX_INLINE uint32_t one_group(const float *table, float x, const int first)
{
    const __m512 value = _mm512_set1_ps(x);
    __mmask16 low = _mm512_cmp_ps_mask(value, _mm512_load_ps(table), _CMP_GE_OQ);
    if (first == 16)
        return (uint32_t)__builtin_popcount(low);
    __mmask16 high = _mm512_cmp_ps_mask(value, _mm512_load_ps(table + 16), _CMP_GE_OQ);
    return (uint32_t)__builtin_popcount(_mm512_kunpackw(high, low));
}

/* Of all cuts in a table of one level, which are 64. */
APX_INLINE uint32_t one_whole(const float *table, float x, const int levels)
{
    (void)levels;
    return one_group(table, x, 32) + one_group(table + 32, x, 32);
}

/* Of 2^levels ascending cuts, and those behind them, which x does not reach. */
APX_INLINE uint32_t one_within(const float *cuts, float x, const int levels)
{
    (void)levels; /* 8 cuts at most */
    return (uint32_t)__builtin_popcount(
        _mm256_cmp_ps_mask(_mm256_set1_ps(x), _mm256_loadu_ps(cuts), _CMP_GE_OQ));
}

/* Are all values floats, or NaN? */
static bool one_is_float(const double *x, size_t count)
{
    uint32_t others = 0;
    for (size_t i = 0; i < count; i += 8) {
        const __mmask8 mask = (__mmask8)(count - i >= 8 ? 0xffu : (1u << (count - i)) - 1);
        const __m512d v = _mm512_maskz_loadu_pd(mask, x + i);
        const __m512d rounded = _mm512_cvtps_pd(_mm512_cvtpd_ps(v));
        others |= _mm512_cmp_pd_mask(v, rounded, _CMP_NEQ_OQ);
    }
    return others == 0;
}

static bool one_has_nan(const void *x, size_t count, bool is_double)
{
    uint32_t nans = 0;
    if (is_double) {
        for (size_t i = 0; i < count; i += 8) {
            const __mmask8 mask = (__mmask8)(count - i >= 8 ? 0xffu : (1u << (count - i)) - 1);
            const __m512d v = _mm512_maskz_loadu_pd(mask, (const double *)x + i);
            nans |= _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q);
        }
        return nans != 0;
    }
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 mask = (__mmask16)(count - i >= 16 ? 0xffffu : (1u << (count - i)) - 1);
        const __m512 v = _mm512_maskz_loadu_ps(mask, (const float *)x + i);
        nans |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    }
    return nans != 0;
}

#endif
