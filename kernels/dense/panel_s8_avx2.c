/* SPDX-License-Identifier: Apache-2.0 */
/* panel_s8_avx2.c - int8 panels by vpmaddubsw: two products in 16 bits, joined in 32 bits once a
 * chunk (panel_s8.h says why nothing overflows).
 *
 * Eight or nine sums in 16 bits live in registers; those in 32 bits are touched once a chunk only
 * and may lie in memory. */
#include <assert.h>

#include "kernels/cpu/simd_f32_avx2.h"

#include "kernels/dense/panel_s8.h"

typedef __m256i vi;

APX_INLINE vi load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* Four values of k in every lane. */
APX_INLINE vi four(const uint8_t *q)
{
    int values;
    memcpy(&values, q, sizeof values);
    return _mm256_set1_epi32(values);
}

/* Keeps sums in the order in which they are written: regrouped into trees, as a compiler may
 * regroup integers, they take more registers than there are. */
APX_INLINE vi in_order(vi a)
{
    __asm__("" : "+x"(a));
    return a;
}

/* One chunk of `chunk` fours for u vectors of a panel of v; returns where the next one begins. */
APX_INLINE const char *add_chunk(const char *w, size_t k, const struct panel_s8_row *row,
                                 const int m, const int v, const int u, const int chunk,
                                 vi sum[PANEL_S8_ROWS][PANEL_S8_VECTORS])
{
    vi half[PANEL_S8_ROWS][PANEL_S8_VECTORS];
    APX_UNROLL_FOR (i, u) {
        const vi start = load(w + 32 * i);
        APX_UNROLL_FOR (j, m)
            half[j][i] = start;
    }
    w += 32 * v;
    APX_UNROLL_FOR (c, chunk) {
        vi weights[PANEL_S8_VECTORS];
        APX_UNROLL_FOR (i, u) {
            weights[i] = load(w + 32 * (v * c + i));
            if (m > 1) /* load once, not once a row: loads are what there are too many of */
                weights[i] = in_order(weights[i]);
        }
        APX_UNROLL_FOR (j, m) {
            const vi q = four(row[j].q + k + 4 * c);
            APX_UNROLL_FOR (i, u)
                half[j][i] =
                    in_order(_mm256_add_epi16(half[j][i], _mm256_maddubs_epi16(q, weights[i])));
        }
    }
    const vi ones = _mm256_set1_epi16(1);
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, u)
            sum[j][i] = _mm256_add_epi32(sum[j][i], _mm256_madd_epi16(half[j][i], ones));
    }
    return w + 32 * v * chunk;
}

/* One four, by signs. */
APX_INLINE const char *add_signed(const char *w, size_t k, const struct panel_s8_row *row,
                                  const int m, const int v, const int u,
                                  vi sum[PANEL_S8_ROWS][PANEL_S8_VECTORS])
{
    const vi ones = _mm256_set1_epi16(1);
    APX_UNROLL_FOR (j, m) {
        const vi q = four(row[j].q + k), size = _mm256_abs_epi8(q);
        APX_UNROLL_FOR (i, u) {
            const vi pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(load(w + 32 * i), q));
            sum[j][i] = in_order(_mm256_add_epi32(sum[j][i], _mm256_madd_epi16(pairs, ones)));
        }
    }
    return w + 32 * v;
}

/* m rows of u vectors, from vector `first` of a panel of v. */
APX_TILE void part(const struct panel_s8 *panel, const struct panel_s8_row *row, const int m,
                   const int v, const int first, const int u, const int chunk)
{
    vi sum[PANEL_S8_ROWS][PANEL_S8_VECTORS];
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, u)
            sum[j][i] = _mm256_setzero_si256();
    }
    const char *w = (const char *)panel->weights + 32 * first;
    const size_t stride = chunk == PANEL_S8_SIGNED ? 4 : 4 * (size_t)chunk;
    for (size_t k = 0; k < panel->inner; k += stride)
        w = chunk == PANEL_S8_SIGNED ? add_signed(w, k, row, m, v, u, sum)
                                     : add_chunk(w, k, row, m, v, u, chunk, sum);
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, u) {
            const size_t at = (size_t)(first + i) * VF_LANES;
            vf_store(row[j].out + at,
                     vf_fma(_mm256_cvtepi32_ps(sum[j][i]), vf_load(panel->scale + at),
                            vf_load(row[j].seed + at)));
        }
    }
}

/* Four rows of four vectors are two parts: a part of two vectors has its sums in registers. */
APX_INLINE void tile(const struct panel_s8 *panel, const struct panel_s8_row *row, const int m,
                     const int v, const int chunk)
{
    if (v < 4 || m < 3) {
        part(panel, row, m, v, 0, v, chunk);
    } else {
        part(panel, row, m, v, 0, 2, chunk);
        part(panel, row, m, v, 2, 2, chunk);
    }
}

#define TILE_CASE(v, m)                                                                            \
    case (v)*16 + (m):                                                                             \
        tile(panel, row, (m), (v), CHUNK);                                                         \
        break;
#define TILE_CASES                                                                                 \
    switch (panel->vectors * 16 + m) {                                                             \
        TILE_CASE(1, 1)                                                                            \
        TILE_CASE(1, 2)                                                                            \
        TILE_CASE(1, 3)                                                                            \
        TILE_CASE(1, 4)                                                                            \
        TILE_CASE(2, 1)                                                                            \
        TILE_CASE(2, 2)                                                                            \
        TILE_CASE(2, 3)                                                                            \
        TILE_CASE(2, 4)                                                                            \
        TILE_CASE(3, 1)                                                                            \
        TILE_CASE(3, 2)                                                                            \
        TILE_CASE(3, 3)                                                                            \
        TILE_CASE(4, 1)                                                                            \
        TILE_CASE(4, 2)                                                                            \
        TILE_CASE(4, 3)                                                                            \
        TILE_CASE(4, 4)                                                                            \
    default:                                                                                       \
        assert(false);                                                                             \
    }
#define TILES(name, chunk_of_it)                                                                   \
    static void name(const struct panel_s8 *panel, const struct panel_s8_row *row, size_t m)       \
    {                                                                                              \
        enum { CHUNK = (chunk_of_it) };                                                            \
        TILE_CASES                                                                                 \
    }
TILES(tiles_signed, PANEL_S8_SIGNED)
TILES(tiles_2, 2)
TILES(tiles_4, 4)
TILES(tiles_8, 8)

void apx_panel_s8_tile_avx2(const struct panel_s8 *panel, const struct panel_s8_row *row, size_t m)
{
    switch (panel->chunk) {
    case 8:
        tiles_8(panel, row, m);
        break;
    case 4:
        tiles_4(panel, row, m);
        break;
    case 2:
        tiles_2(panel, row, m);
        break;
    default:
        tiles_signed(panel, row, m);
    }
}
