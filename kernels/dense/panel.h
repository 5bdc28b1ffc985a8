/* SPDX-License-Identifier: Apache-2.0 */
/* panel.h - the inner product of the matrix kernels: some rows times one panel of weights.
 *
 * A tile is m rows by v vectors of outputs; its sums live in registers. Narrow panels take more
 * rows, so that there are always enough independent sums to hide the latency of a multiply-add
 * (4 cycles x 2 a cycle). Over the vector vocabulary: include simd_f32_<isa>.h first. */
#ifndef APX_KERNELS_PANEL_H
#define APX_KERNELS_PANEL_H

#include <assert.h>

#include "kernels/cpu/activations.h"
#include "kernels/dense/panel_layout.h"

#define PANEL_MAX_ROWS 8

struct panel_row {
    const float *a;    /* [K] */
    const float *seed; /* [v V] what the sums start from */
    float *out;        /* [width] */
};

struct panel {
    const float *weights; /* [K][v V] */
    size_t inner;         /* K */
    size_t width;         /* outputs that exist, at most v V */
    struct apx_activation act;
};

/* Most rows of a tile that is v vectors wide. */
static inline size_t panel_most_rows(size_t v)
{
#if VF_TILE_ROWS > 3
    static const unsigned char rows[PANEL_VECTORS + 1] = {8, 8, 8, 8, 6};
#else
    static const unsigned char rows[PANEL_VECTORS + 1] = {8, 8, 6, 4, 3};
#endif
    return rows[v];
}

/* Activate and store sums [v V]. */
static __attribute__((noinline)) void panel_finish(const struct panel *panel, const float *sums,
                                                   float *out)
{
    size_t o = 0;
    for (; o + VF_LANES <= panel->width; o += VF_LANES)
        vf_store(out + o, vf_activate(panel->act, vf_load(sums + o)));
    if (o < panel->width)
        vf_store_first(out + o, vf_activate(panel->act, vf_load(sums + o)), panel->width - o);
}

APX_TILE void panel_tile(const struct panel *panel, const struct panel_row *row, const int m,
                         const int v)
{
    vf acc[PANEL_MAX_ROWS][PANEL_VECTORS];
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, v)
            acc[j][i] = vf_load(row[j].seed + i * VF_LANES);
    }
    const float *w = panel->weights;
    for (size_t k = 0; k < panel->inner; k++, w += v * VF_LANES) {
        APX_UNROLL_FOR (j, m) {
            vf a = vf_set1(row[j].a[k]);
            APX_UNROLL_FOR (i, v)
                acc[j][i] = vf_fma(a, vf_load(w + i * VF_LANES), acc[j][i]);
        }
    }
    const bool relu = panel->act.kind == APX_ACT_RELU;
    const bool direct =
        (relu || panel->act.kind == APX_ACT_NONE) && panel->width == (size_t)v * VF_LANES;
    APX_UNROLL_FOR (j, m) {
        if (direct) {
            APX_UNROLL_FOR (i, v)
                vf_store(row[j].out + i * VF_LANES,
                         relu ? vf_max(vf_set1(0.0f), acc[j][i]) : acc[j][i]);
        } else {
            float sums[PANEL_VECTORS * VF_LANES];
            APX_UNROLL_FOR (i, v)
                vf_store(sums + i * VF_LANES, acc[j][i]);
            panel_finish(panel, sums, row[j].out);
        }
    }
}

#define PANEL_CASE(v, m)                                                                           \
case (v)*16 + (m):                                                                                 \
    panel_tile(panel, row, (m), (v));                                                              \
    break;

static void panel_tiles(const struct panel *panel, const struct panel_row *row, size_t m, size_t v)
{
    switch (v * 16 + m) {
        PANEL_CASE(1, 1)
        PANEL_CASE(1, 2)
        PANEL_CASE(1, 3)
        PANEL_CASE(1, 4)
        PANEL_CASE(1, 5)
        PANEL_CASE(1, 6)
        PANEL_CASE(1, 7)
        PANEL_CASE(1, 8)
        PANEL_CASE(2, 1)
        PANEL_CASE(2, 2)
        PANEL_CASE(2, 3)
        PANEL_CASE(2, 4)
        PANEL_CASE(2, 5)
        PANEL_CASE(2, 6)
        PANEL_CASE(3, 1)
        PANEL_CASE(3, 2)
        PANEL_CASE(3, 3)
        PANEL_CASE(3, 4)
        PANEL_CASE(4, 1)
        PANEL_CASE(4, 2)
        PANEL_CASE(4, 3)
#if VF_TILE_ROWS > 3
        PANEL_CASE(2, 7)
        PANEL_CASE(2, 8)
        PANEL_CASE(3, 5)
        PANEL_CASE(3, 6)
        PANEL_CASE(3, 7)
        PANEL_CASE(3, 8)
        PANEL_CASE(4, 4)
        PANEL_CASE(4, 5)
        PANEL_CASE(4, 6)
#endif
    default:
        assert(false);
    }
}

#endif
