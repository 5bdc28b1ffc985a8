/* SPDX-License-Identifier: Apache-2.0 */
/* rank_avx2.h - a tile of rows to columns of codes: 8 x 8 values turned, then searched for 8 rows
 * at a time, every table in one register. */
#ifndef APX_TREE_RANK_AVX2_H
#define APX_TREE_RANK_AVX2_H

#include <immintrin.h>

#include "kernels/tree/forest_layout.h"

enum { RANK_LANES = 8, TILE = 64, RANK_LEVELS = 5 };

APX_INLINE __m256 rank_look_up(const float *table, __m256i index)
{
    return _mm256_permutevar8x32_ps(_mm256_load_ps(table), index);
}

APX_INLINE __m256i rank_above(__m256 x, __m256 cut)
{
    return _mm256_castps_si256(_mm256_cmp_ps(x, cut, _CMP_GE_OQ));
}

/* How many cuts are <= x. */
APX_INLINE __m256i rank_search(__m256 x, const float *table, const int levels)
{
    __m256i above = rank_above(x, _mm256_set1_ps(table[3]));
    __m256i group = _mm256_and_si256(above, _mm256_set1_epi32(4));
    above = rank_above(x, rank_look_up(table, _mm256_add_epi32(group, _mm256_set1_epi32(1))));
    group = _mm256_or_si256(group, _mm256_and_si256(above, _mm256_set1_epi32(2)));
    above = rank_above(x, rank_look_up(table, group));
    group = _mm256_sub_epi32(group, above);
    __m256i path = group;
    __m256 bits[RANK_LEVELS];
    const int near = levels < 3 ? levels : 3;
    table += 8;
#pragma GCC unroll 3
    for (int level = 0; level < near; level++) {
        __m256 cut[4];
        for (int q = 0; q < 1 << level; q++)
            cut[q] = rank_look_up(table + 8 * q, group);
        /* The highest bit of the path is the first comparison's. */
        for (int b = level - 1; b >= 0; b--)
            for (int q = 0; q < 1 << b; q++)
                cut[q] = _mm256_blendv_ps(cut[2 * q], cut[2 * q + 1], bits[b]);
        table += 8 << level;
        above = rank_above(x, cut[0]);
        bits[level] = _mm256_castsi256_ps(above);
        path = _mm256_sub_epi32(_mm256_add_epi32(path, path), above);
    }
    /* Deeper levels have too many tables. Node q's entry for the group is table[q * 8 + group]. */
#pragma GCC unroll 2
    for (int level = 3; level < levels; level++) {
        __m256i node = _mm256_and_si256(path, _mm256_set1_epi32((1 << level) - 1));
        __m256i index = _mm256_or_si256(_mm256_slli_epi32(node, 3), group);
        above = rank_above(x, _mm256_i32gather_ps(table, index, 4));
        table += 8 << level;
        path = _mm256_sub_epi32(_mm256_add_epi32(path, path), above);
    }
    return path;
}

/* 32 codes of 4 x 8 lanes. */
APX_INLINE __m256i rank_join(const __m256i code[4])
{
    __m256i words0 = _mm256_packus_epi32(code[0], code[1]);
    __m256i words1 = _mm256_packus_epi32(code[2], code[3]);
    __m256i bytes = _mm256_packus_epi16(words0, words1);
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

APX_INLINE void rank_column_shape(const struct apx_column *column, const float *x,
                                  const float *table, uint8_t *codes, const int levels)
{
    const ptrdiff_t twin = column->twin ? TILE : 0;
    const int nan_code = column->twin ? APX_NAN_CODE : column->nan_code;
    for (int r = 0; r < TILE; r += 32) {
        __m256i code[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            code[i] = rank_search(_mm256_load_ps(x + r + 8 * i), table, levels);
        _mm256_store_si256((__m256i *)(codes + r), rank_join(code));
        if (nan_code == 0)
            continue;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m256 v = _mm256_load_ps(x + r + 8 * i);
            __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
            code[i] = _mm256_or_si256(code[i], _mm256_and_si256(nan, _mm256_set1_epi32(nan_code)));
        }
        _mm256_store_si256((__m256i *)(codes + r + twin), rank_join(code));
    }
}

static void rank_column(const struct apx_column *column, const float *x, const float *table,
                        uint8_t *codes)
{
    switch (column->levels) {
    case 0:
        rank_column_shape(column, x, table, codes, 0);
        break;
    case 1:
        rank_column_shape(column, x, table, codes, 1);
        break;
    case 2:
        rank_column_shape(column, x, table, codes, 2);
        break;
    case 3:
        rank_column_shape(column, x, table, codes, 3);
        break;
    case 4:
        rank_column_shape(column, x, table, codes, 4);
        break;
    default:
        rank_column_shape(column, x, table, codes, 5);
    }
}

/* turned[i][0..7] = row[0..7][i] */
APX_INLINE void rank_turn(const __m256 row[8], float *turned)
{
    __m256 t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        _mm256_store_ps(turned + j * TILE, _mm256_permute2f128_ps(u[j], u[4 + j], 0x20));
        _mm256_store_ps(turned + (4 + j) * TILE, _mm256_permute2f128_ps(u[j], u[4 + j], 0x31));
    }
}

/* The tile's values of 8 features from `feature` on, each feature's rows side by side; rows beyond
 * `rows` are garbage. */
static void rank_gather(const struct apx_forest_args *args, size_t row0, size_t rows,
                        size_t feature, size_t features, float *turned)
{
    const int width = features - feature >= 8 ? 8 : (int)(features - feature);
    const __m256i mask =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(width), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i low64 = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask));
    const __m256i high64 = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(mask, 1));
    for (size_t r = 0; r < rows; r += 8, turned += 8) {
        __m256 row[8];
        const ptrdiff_t at = (ptrdiff_t)(row0 + r) * args->x_row + (ptrdiff_t)feature;
        if (args->x_is_double) {
            const double *x = (const double *)args->x + at;
            for (size_t i = 0; i < 8; i++) {
                const double *xi = x + (ptrdiff_t)i * args->x_row;
                row[i] = i < rows - r
                             ? _mm256_set_m128(_mm256_cvtpd_ps(_mm256_maskload_pd(xi + 4, high64)),
                                               _mm256_cvtpd_ps(_mm256_maskload_pd(xi, low64)))
                             : _mm256_setzero_ps();
            }
        } else {
            const float *x = (const float *)args->x + at;
            if (rows - r >= 8) {
#pragma GCC unroll 8
                for (int i = 0; i < 8; i++)
                    row[i] = _mm256_maskload_ps(x + i * args->x_row, mask);
            } else {
                for (size_t i = 0; i < 8; i++)
                    row[i] = i < rows - r ? _mm256_maskload_ps(x + (ptrdiff_t)i * args->x_row, mask)
                                          : _mm256_setzero_ps();
            }
        }
        rank_turn(row, turned);
    }
}

/* Which of four comparisons of doubles hold, as a mask of floats. */
APX_INLINE __m128 rank_narrow(__m256d wide)
{
    __m256 mask = _mm256_castpd_ps(wide);
    return _mm_shuffle_ps(_mm256_castps256_ps128(mask), _mm256_extractf128_ps(mask, 1), 0x88);
}

/* The same of doubles between floats: the greatest float that is not above, the least that is not
 * below. Bit i of the result: feature i of these has a value that is no float. */
static uint32_t rank_gather_double(const struct apx_forest_args *args, size_t row0, size_t rows,
                                   size_t feature, size_t features, float *below, float *above)
{
    const int width = features - feature >= 8 ? 8 : (int)(features - feature);
    const __m256i mask =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(width), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i low64 = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask));
    const __m256i high64 = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(mask, 1));
    uint32_t inexact = 0;
    for (size_t r = 0; r < rows; r += 8, below += 8, above += 8) {
        __m256 down[8], up[8];
        const double *x =
            (const double *)args->x + (ptrdiff_t)(row0 + r) * args->x_row + (ptrdiff_t)feature;
        for (size_t i = 0; i < 8; i++) {
            const double *xi = x + (ptrdiff_t)i * args->x_row;
            down[i] = up[i] = _mm256_setzero_ps();
            if (i >= rows - r)
                continue;
            __m256d x0 = _mm256_maskload_pd(xi, low64), x1 = _mm256_maskload_pd(xi + 4, high64);
            __m128 f0 = _mm256_cvtpd_ps(x0), f1 = _mm256_cvtpd_ps(x1);
            __m256d back0 = _mm256_cvtps_pd(f0), back1 = _mm256_cvtps_pd(f1);
            __m256 less = _mm256_set_m128(rank_narrow(_mm256_cmp_pd(back1, x1, _CMP_LT_OQ)),
                                          rank_narrow(_mm256_cmp_pd(back0, x0, _CMP_LT_OQ)));
            __m256 more = _mm256_set_m128(rank_narrow(_mm256_cmp_pd(back1, x1, _CMP_GT_OQ)),
                                          rank_narrow(_mm256_cmp_pd(back0, x0, _CMP_GT_OQ)));
            /* The neighbour of a float is one integer further; which way, says its sign. */
            __m256 nearest = _mm256_set_m128(f1, f0);
            __m256i bits = _mm256_castps_si256(nearest);
            __m256i away = _mm256_or_si256(_mm256_srai_epi32(bits, 31), _mm256_set1_epi32(1));
            __m256 lower = _mm256_castsi256_ps(_mm256_sub_epi32(bits, away));
            __m256 upper = _mm256_castsi256_ps(_mm256_add_epi32(bits, away));
            down[i] = _mm256_blendv_ps(nearest, lower, more);
            up[i] = _mm256_blendv_ps(nearest, upper, less);
            inexact |= (uint32_t)_mm256_movemask_ps(_mm256_or_ps(less, more));
        }
        rank_turn(down, below);
        rank_turn(up, above);
    }
    return inexact;
}

/* 255 where the bit of the code in table[32] is set, xored to `codes`' results so far. */
APX_INLINE void rank_set_part(const uint8_t *codes, const uint8_t *table, uint8_t *result)
{
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    const __m256i high =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16)));
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201u);
    for (int r = 0; r < TILE; r += 32) {
        __m256i code = _mm256_load_si256((const __m256i *)(codes + r));
        __m256i byte = _mm256_and_si256(_mm256_srli_epi16(code, 3), _mm256_set1_epi8(15));
        __m256i bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(code, _mm256_set1_epi8(7)));
        __m256i found = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, byte),
                                           _mm256_shuffle_epi8(high, byte), code);
        __m256i inside = _mm256_cmpeq_epi8(_mm256_and_si256(found, bit), bit);
        __m256i *to = (__m256i *)(result + r);
        _mm256_store_si256(to, _mm256_xor_si256(inside, _mm256_load_si256(to)));
    }
}

/* The keys of one feature's rows, and of what lies behind them up to RANK_LANES, for walks; true if
 * one is NaN. */
static bool rank_keys(const float *x, size_t rows, uint32_t *keys)
{
    __m256 nans = _mm256_setzero_ps();
    for (size_t r = 0; r < rows; r += RANK_LANES) {
        __m256 v = _mm256_add_ps(_mm256_load_ps(x + r), _mm256_setzero_ps());
        __m256i bits = _mm256_castps_si256(v);
        __m256i flips =
            _mm256_or_si256(_mm256_srai_epi32(bits, 31), _mm256_set1_epi32((int)0x80000000u));
        __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
        bits = _mm256_andnot_si256(_mm256_castps_si256(nan), _mm256_xor_si256(bits, flips));
        _mm256_store_si256((__m256i *)(keys + r), bits);
        nans = _mm256_or_ps(nans, nan);
    }
    return _mm256_movemask_ps(nans) != 0;
}

#endif
