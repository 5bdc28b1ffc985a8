/* SPDX-License-Identifier: Apache-2.0 */
/* panel_s8_avx512vnni.c - int8 panels by vpdpbusd, four products a lane straight into 32 bits. */
#include <assert.h>

#include "kernels/cpu/simd_f32_avx512.h"

#include "kernels/dense/panel_s8.h"

/* Keeps a value in the register in which it is: left to itself, the compiler moves sums about until
 * they no longer fit. */
APX_INLINE __m512i stay(__m512i a)
{
    __asm__("" : "+v"(a));
    return a;
}

APX_TILE void tile(const struct panel_s8 *panel, const struct panel_s8_row *row, const int m,
                   const int v)
{
    __m512i sum[PANEL_S8_ROWS][PANEL_S8_VECTORS];
    const char *w = panel->weights;
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, v)
            sum[j][i] = _mm512_loadu_si512(w + 64 * i);
    }
    w += 64 * v;
    for (size_t k = 0; k < panel->inner; k += 4, w += 64 * v) {
        __m512i weights[PANEL_S8_VECTORS];
        APX_UNROLL_FOR (i, v) {
            weights[i] = _mm512_loadu_si512(w + 64 * i);
            if (m > 1) /* load once, not once a row */
                weights[i] = stay(weights[i]);
        }
        APX_UNROLL_FOR (j, m) {
            int four;
            memcpy(&four, row[j].q + k, sizeof four);
            const __m512i q = _mm512_set1_epi32(four);
            APX_UNROLL_FOR (i, v)
                sum[j][i] = stay(_mm512_dpbusd_epi32(sum[j][i], q, weights[i]));
        }
    }
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, v)
            vf_store(row[j].out + i * VF_LANES,
                     vf_fma(_mm512_cvtepi32_ps(sum[j][i]), vf_load(panel->scale + i * VF_LANES),
                            vf_load(row[j].seed + i * VF_LANES)));
    }
}

#define TILE_CASE(v, m)                                                                            \
    case (v)*16 + (m):                                                                             \
        tile(panel, row, (m), (v));                                                                \
        break;
#define TILE_CASES(v)                                                                              \
    TILE_CASE(v, 1)                                                                                \
    TILE_CASE(v, 2)                                                                                \
    TILE_CASE(v, 3)                                                                                \
    TILE_CASE(v, 4)                                                                                \
    TILE_CASE(v, 5)                                                                                \
    TILE_CASE(v, 6)

void apx_panel_s8_tile_avx512vnni(const struct panel_s8 *panel, const struct panel_s8_row *row,
                                  size_t m)
{
    switch (panel->vectors * 16 + m) {
        TILE_CASES(1)
        TILE_CASE(1, 7)
        TILE_CASE(1, 8)
        TILE_CASES(2)
        TILE_CASE(2, 7)
        TILE_CASE(2, 8)
        TILE_CASES(3)
        TILE_CASES(4)
    default:
        assert(false);
    }
}
