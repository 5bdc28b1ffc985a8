/* SPDX-License-Identifier: Apache-2.0 */
/* rank_avx512.h - a tile of rows to columns of codes: 16 x 16 values turned, then searched for 16
 * rows at a time, every table in one or two registers. */
#ifndef APX_TREE_RANK_AVX512_H
#define APX_TREE_RANK_AVX512_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

enum { RANK_LANES = 16, TILE = 128 };

APX_INLINE __m512 rank_look_up(const float *table, __m512i index, const int first)
{
    return first == 16
               ? _mm512_permutexvar_ps(index, _mm512_load_ps(table))
               : _mm512_permutex2var_ps(_mm512_load_ps(table), index, _mm512_load_ps(table + 16));
}

/* How many cuts are <= x. */
APX_INLINE __m512i rank_search(__m512 x, const float *table, const int first, const int levels)
{
    __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(table[first / 2 - 1]), _CMP_GE_OQ);
    __m512i group = _mm512_maskz_set1_epi32(above, first / 2);
#pragma GCC unroll 4
    for (int step = first / 4; step > 0; step /= 2) {
        __m512i next = _mm512_add_epi32(group, _mm512_set1_epi32(step - 1));
        above = _mm512_cmp_ps_mask(x, rank_look_up(table, next, first), _CMP_GE_OQ);
        group = _mm512_mask_add_epi32(group, above, group, _mm512_set1_epi32(step));
    }
    if (levels == 0)
        return group;
    table += first;
    __m512i code = _mm512_slli_epi32(group, levels);
    __mmask16 b0 = _mm512_cmp_ps_mask(x, rank_look_up(table, group, first), _CMP_GE_OQ);
    code = _mm512_mask_add_epi32(code, b0, code, _mm512_set1_epi32(1 << (levels - 1)));
    if (levels == 1)
        return code;
    table += first;
    __m512 cut = _mm512_mask_blend_ps(b0, rank_look_up(table, group, first),
                                      rank_look_up(table + first, group, first));
    __mmask16 b1 = _mm512_cmp_ps_mask(x, cut, _CMP_GE_OQ);
    code = _mm512_mask_add_epi32(code, b1, code, _mm512_set1_epi32(1 << (levels - 2)));
    if (levels == 2)
        return code;
    table += 2 * first;
    cut =
        _mm512_mask_blend_ps(b0,
                             _mm512_mask_blend_ps(b1, rank_look_up(table, group, first),
                                                  rank_look_up(table + first, group, first)),
                             _mm512_mask_blend_ps(b1, rank_look_up(table + 2 * first, group, first),
                                                  rank_look_up(table + 3 * first, group, first)));
    above = _mm512_cmp_ps_mask(x, cut, _CMP_GE_OQ);
    return _mm512_mask_add_epi32(code, above, code, _mm512_set1_epi32(1));
}

APX_INLINE void rank_column_shape(const struct apx_column *column, const float *x,
                                  const float *table, uint8_t *codes, const int first,
                                  const int levels)
{
    if (column->nan_code == 0 && !column->twin) {
        for (int r = 0; r < TILE; r += RANK_LANES) {
            __m512i code = rank_search(_mm512_load_ps(x + r), table, first, levels);
            _mm_store_si128((__m128i *)(codes + r), _mm512_cvtepi32_epi8(code));
        }
        return;
    }
    const ptrdiff_t twin = column->twin ? TILE : 0;
    const int nan_code = column->twin ? APX_NAN_CODE : column->nan_code;
    for (int r = 0; r < TILE; r += RANK_LANES) {
        __m512 v = _mm512_load_ps(x + r);
        __m512i code = rank_search(v, table, first, levels);
        _mm_store_si128((__m128i *)(codes + r), _mm512_cvtepi32_epi8(code));
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        code = _mm512_mask_mov_epi32(code, nan, _mm512_set1_epi32(nan_code));
        _mm_store_si128((__m128i *)(codes + r + twin), _mm512_cvtepi32_epi8(code));
    }
}

static void rank_column(const struct apx_column *column, const float *x, const float *table,
                        uint8_t *codes)
{
    if (column->first == 16)
        rank_column_shape(column, x, table, codes, 16, 0);
    else if (column->levels == 0)
        rank_column_shape(column, x, table, codes, 32, 0);
    else if (column->levels == 1)
        rank_column_shape(column, x, table, codes, 32, 1);
    else if (column->levels == 2)
        rank_column_shape(column, x, table, codes, 32, 2);
    else
        rank_column_shape(column, x, table, codes, 32, 3);
}

/* turned[i][0..15] = row[0..15][i] */
APX_INLINE void rank_turn(__m512 row[16], float *turned)
{
    __m512 t[16], u[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(row[2 * i], row[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(row[2 * i], row[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        u[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        u[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        u[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        u[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512 even0 = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88);
        __m512 odd0 = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xdd);
        __m512 even1 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88);
        __m512 odd1 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xdd);
        _mm512_store_ps(turned + (0 + j) * TILE, _mm512_shuffle_f32x4(even0, even1, 0x88));
        _mm512_store_ps(turned + (4 + j) * TILE, _mm512_shuffle_f32x4(odd0, odd1, 0x88));
        _mm512_store_ps(turned + (8 + j) * TILE, _mm512_shuffle_f32x4(even0, even1, 0xdd));
        _mm512_store_ps(turned + (12 + j) * TILE, _mm512_shuffle_f32x4(odd0, odd1, 0xdd));
    }
}

/* The tile's values of 16 features from `feature` on, each feature's rows side by side; rows beyond
 * `rows` are garbage. */
static void rank_gather(const struct apx_forest_args *args, size_t row0, size_t rows,
                        size_t feature, size_t features, float *turned)
{
    const uint32_t wanted = features - feature >= 16 ? 0xffffu : (1u << (features - feature)) - 1;
    const __mmask16 mask = (__mmask16)wanted;
    for (size_t r = 0; r < rows; r += 16, turned += 16) {
        __m512 row[16];
        const ptrdiff_t at = (ptrdiff_t)(row0 + r) * args->x_row + (ptrdiff_t)feature;
        if (args->x_is_double) {
            const double *x = (const double *)args->x + at;
            for (size_t i = 0; i < 16; i++) {
                const double *xi = x + (ptrdiff_t)i * args->x_row;
                row[i] = _mm512_setzero_ps();
                if (i >= rows - r)
                    continue;
                __m512d low = _mm512_maskz_loadu_pd((__mmask8)mask, xi);
                __m512d high = _mm512_maskz_loadu_pd((__mmask8)(mask >> 8), xi + 8);
                row[i] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)),
                                            _mm512_cvtpd_ps(high), 1);
            }
        } else {
            const float *x = (const float *)args->x + at;
            if (rows - r >= 16) {
#pragma GCC unroll 16
                for (int i = 0; i < 16; i++)
                    row[i] = _mm512_maskz_loadu_ps(mask, x + i * args->x_row);
            } else {
                for (size_t i = 0; i < 16; i++)
                    row[i] = i < rows - r
                                 ? _mm512_maskz_loadu_ps(mask, x + (ptrdiff_t)i * args->x_row)
                                 : _mm512_setzero_ps();
            }
        }
        rank_turn(row, turned);
    }
}

/* The same of doubles between floats: the greatest float that is not above, the least that is not
 * below. Bit i of the result: feature i of these has a value that is no float. */
static uint32_t rank_gather_double(const struct apx_forest_args *args, size_t row0, size_t rows,
                                   size_t feature, size_t features, float *below, float *above)
{
    const uint32_t wanted = features - feature >= 16 ? 0xffffu : (1u << (features - feature)) - 1;
    const __mmask16 mask = (__mmask16)wanted;
    uint32_t inexact = 0;
    for (size_t r = 0; r < rows; r += 16, below += 16, above += 16) {
        __m512 down[16], up[16];
        const double *x =
            (const double *)args->x + (ptrdiff_t)(row0 + r) * args->x_row + (ptrdiff_t)feature;
        for (size_t i = 0; i < 16; i++) {
            const double *xi = x + (ptrdiff_t)i * args->x_row;
            down[i] = up[i] = _mm512_setzero_ps();
            if (i >= rows - r)
                continue;
            enum {
                DOWN = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC,
                UP = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC
            };
            __m512d low = _mm512_maskz_loadu_pd((__mmask8)mask, xi);
            __m512d high = _mm512_maskz_loadu_pd((__mmask8)(mask >> 8), xi + 8);
            down[i] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvt_roundpd_ps(low, DOWN)),
                                         _mm512_cvt_roundpd_ps(high, DOWN), 1);
            up[i] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvt_roundpd_ps(low, UP)),
                                       _mm512_cvt_roundpd_ps(high, UP), 1);
            inexact |= _mm512_cmp_ps_mask(down[i], up[i], _CMP_NEQ_OQ);
        }
        rank_turn(down, below);
        rank_turn(up, above);
    }
    return inexact;
}

/* 255 where the bit of the code in table[32] is set, xored to `codes`' results so far. */
APX_INLINE void rank_set_part(const uint8_t *codes, const uint8_t *table, uint8_t *result)
{
    const __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16)));
    const __m512i bits = _mm512_set1_epi64((long long)0x8040201008040201u);
    for (int r = 0; r < TILE; r += 64) {
        __m512i code = _mm512_load_si512(codes + r);
        __m512i byte = _mm512_and_si512(_mm512_srli_epi16(code, 3), _mm512_set1_epi8(15));
        __m512i bit = _mm512_shuffle_epi8(bits, _mm512_and_si512(code, _mm512_set1_epi8(7)));
        __m512i found =
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), _mm512_shuffle_epi8(low, byte),
                                   _mm512_shuffle_epi8(high, byte));
        __m512i inside = _mm512_movm_epi8(_mm512_test_epi8_mask(found, bit));
        _mm512_store_si512(result + r, _mm512_xor_si512(inside, _mm512_load_si512(result + r)));
    }
}

/* The keys of one feature's rows, and of what lies behind them up to RANK_LANES, for walks; true if
 * one is NaN. */
static bool rank_keys(const float *x, size_t rows, uint32_t *keys)
{
    __mmask16 nans = 0;
    for (size_t r = 0; r < rows; r += RANK_LANES) {
        __m512 v = _mm512_add_ps(_mm512_load_ps(x + r), _mm512_setzero_ps());
        __m512i bits = _mm512_castps_si512(v);
        __m512i flips =
            _mm512_or_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32((int)0x80000000u));
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        bits = _mm512_mask_mov_epi32(_mm512_xor_si512(bits, flips), nan, _mm512_setzero_si512());
        _mm512_store_si512(keys + r, bits);
        nans |= nan;
    }
    return nans != 0;
}

#endif
