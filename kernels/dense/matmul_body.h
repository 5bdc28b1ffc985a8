/* SPDX-License-Identifier: Apache-2.0 */
/* matmul_body.h - product of two computed matrices, over the vector vocabulary; nothing is packed.
 *
 * Order of every sum: from 0, k ascending, fused. Included by matmul_<isa>.c. */
#include "kernels/cpu/activations.h"
#include "kernels/dense/matmul.h"

/* rows x vectors of y at `y`; `count` outputs of the last vector exist. */
APX_INLINE void matmul_tile(size_t k, size_t m, const float *a, const float *b, float *y,
                            size_t count, const int rows, const int vectors)
{
    vf acc[VF_TILE_ROWS][4];
    APX_UNROLL_FOR (j, rows) {
        APX_UNROLL_FOR (v, vectors)
            acc[j][v] = vf_set1(0.0f);
    }
    for (size_t i = 0; i < k; i++, b += m) {
        vf w[4];
        APX_UNROLL_FOR (v, vectors)
            w[v] = count < VF_LANES && v == vectors - 1 ? vf_load_first(b + v * VF_LANES, count)
                                                        : vf_load(b + v * VF_LANES);
        APX_UNROLL_FOR (j, rows) {
            vf x = vf_set1(a[(size_t)j * k + i]);
            APX_UNROLL_FOR (v, vectors)
                acc[j][v] = vf_fma(x, w[v], acc[j][v]);
        }
    }
    APX_UNROLL_FOR (j, rows) {
        APX_UNROLL_FOR (v, vectors) {
            float *to = y + (size_t)j * m + v * VF_LANES;
            if (count < VF_LANES && v == vectors - 1)
                vf_store_first(to, acc[j][v], count);
            else
                vf_store(to, acc[j][v]);
        }
    }
}

APX_INLINE void matmul_rows(size_t k, size_t m, const float *a, const float *b, float *y,
                            const int rows)
{
    size_t o = 0;
    for (; o + 4 * VF_LANES <= m; o += 4 * VF_LANES)
        matmul_tile(k, m, a, b + o, y + o, VF_LANES, rows, 4);
    for (; o + VF_LANES <= m; o += VF_LANES)
        matmul_tile(k, m, a, b + o, y + o, VF_LANES, rows, 1);
    if (o < m)
        matmul_tile(k, m, a, b + o, y + o, m - o, rows, 1);
}

void APX_ENTRY(matmul_f32, one)(size_t n, size_t k, size_t m, const float *a, const float *b,
                                float *y)
{
    size_t row = 0;
    for (; row + VF_TILE_ROWS <= n; row += VF_TILE_ROWS)
        matmul_rows(k, m, a + row * k, b, y + row * m, VF_TILE_ROWS);
    for (; row < n; row++)
        matmul_rows(k, m, a + row * k, b, y + row * m, 1);
}
