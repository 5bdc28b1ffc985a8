/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_body.h - int8 dense layer over the vector vocabulary: some rows of x are quantised, then
 * all panels of weights pass over them (panel_s8.h).
 *
 * Included by dense_s8_<isa>.c after simd_f32_<isa>.h and with S8_TILE(panel, row, m), S8_MOST(v)
 * and S8_WHOLE. */
#include <string.h>

#include "kernels/cpu/activations.h"
#include "kernels/dense/dense_rows.h"
#include "kernels/dense/dense_s8.h"
#include "kernels/dense/quantise_s8.h"

/* 48 rows of 256 values are 12 KB: whole tiles of 2, 3, 4, 6 or 8 rows. */
#define S8_CHUNK_ROWS 48

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(dense_s8, supports)(const struct apx_dense_desc *desc)
{
    return desc->int8.levels > 0 && (VF_LANES <= 8 || desc->output > 8);
}

size_t APX_ENTRY(dense_s8, packed_bytes)(const struct apx_dense_desc *desc)
{
    return apx_dense_s8_packed_bytes(desc, VF_LANES, S8_WHOLE);
}

void APX_ENTRY(dense_s8, pack)(const struct apx_dense_desc *desc,
                               const struct apx_dense_weights *weights, void *packed)
{
    apx_dense_s8_pack(desc, weights, VF_LANES, S8_WHOLE, packed);
}

size_t APX_ENTRY(dense_s8, scratch_bytes)(const struct apx_dense_desc *desc, size_t rows)
{
    return (rows < S8_CHUNK_ROWS ? rows : S8_CHUNK_ROWS) * panel_s8_padded(desc->input);
}

/* A row's sums [count], activated: where they are, or from a buffer to y. */
static void s8_finish(struct apx_activation act, const float *sums, size_t count, float *y)
{
    size_t o = 0;
    for (; o + VF_LANES <= count; o += VF_LANES)
        vf_store(y + o, vf_activate(act, vf_load(sums + o)));
    if (o < count)
        vf_store_first(y + o, vf_activate(act, vf_load(sums + o)), count - o);
}

/* Rows that are quantised together. */
struct s8_rows {
    const struct apx_dense_args *args;
    size_t begin, count;
    float nans[PANEL_S8_VECTORS * VF_LANES]; /* what sums of a row with NaN start from */
    bool has_nan[S8_CHUNK_ROWS];
};

/* A panel of v vectors, whose first output is y's element `first`. */
static void s8_panel(const struct s8_rows *rows, const struct panel_s8 *panel, const float *bias,
                     size_t first)
{
    const struct apx_dense_args *args = rows->args;
    const struct apx_activation act = args->desc->act;
    const size_t v = panel->vectors, most = S8_MOST(v), left = args->desc->output - first;
    const size_t width = left < v * VF_LANES ? left : v * VF_LANES;
    const size_t q_row = panel_s8_padded(args->desc->input);
    const bool is_whole = width == v * VF_LANES;
    size_t tiles = (rows->count + most - 1) / most;
    for (size_t n = 0; n < rows->count; tiles--) {
        float sums[PANEL_S8_ROWS][PANEL_S8_VECTORS * VF_LANES];
        struct panel_s8_row row[PANEL_S8_ROWS];
        const size_t m = (rows->count - n + tiles - 1) / tiles; /* tiles of even size */
        float *y = args->y + (ptrdiff_t)(rows->begin + n) * args->y_row + first;
        for (size_t j = 0; j < m; j++) {
            row[j].q = (const uint8_t *)args->scratch + (n + j) * q_row;
            row[j].seed = rows->has_nan[n + j] ? rows->nans : bias;
            row[j].out = is_whole ? y + (ptrdiff_t)j * args->y_row : sums[j];
        }
        S8_TILE(panel, row, m);
        for (size_t j = 0; j < m && (!is_whole || act.kind != APX_ACT_NONE); j++)
            s8_finish(act, row[j].out, width, y + (ptrdiff_t)j * args->y_row);
        n += m;
    }
}

void APX_ENTRY(dense_s8, run)(const struct apx_dense_args *args)
{
    const struct apx_dense_desc *desc = args->desc;
    const int32_t *head = args->packed;
    const struct panel_s8_form form = {
        .lanes = VF_LANES, .levels = desc->int8.levels, .chunk = *head};
    const size_t q_row = panel_s8_padded(desc->input);
    const size_t written = (desc->input + VF_LANES - 1) / VF_LANES * VF_LANES;
    const struct quantise_s8 how = quantise_s8(&form, dense_s8_factor(desc));
    struct s8_rows rows = {.args = args};
    for (size_t i = 0; i < PANEL_S8_VECTORS; i++)
        vf_store(rows.nans + i * VF_LANES, vf_set1(NAN));
    for (; rows.begin < args->rows; rows.begin += rows.count) {
        const size_t left = args->rows - rows.begin;
        rows.count = left < S8_CHUNK_ROWS ? left : S8_CHUNK_ROWS;
        for (size_t n = 0; n < rows.count; n++) {
            uint8_t *q = (uint8_t *)args->scratch + n * q_row;
            rows.has_nan[n] = quantise_s8_values(
                &how, args->x + (ptrdiff_t)(rows.begin + n) * args->x_row, desc->input, q);
            /* Multiplied by zeros, but it has to be something. */
            memset(q + written, 0, q_row - written);
        }
        const char *at = (const char *)args->packed + DENSE_S8_HEAD;
        for (size_t first = 0; first < desc->output; first += PANEL_S8_VECTORS * VF_LANES) {
            const size_t v = dense_s8_vectors(desc->output - first, VF_LANES);
            const size_t line = dense_s8_line(v, VF_LANES);
            const struct panel_s8 panel = {.weights = at + 2 * line,
                                           .scale = (const float *)(const void *)(at + line),
                                           .inner = desc->input,
                                           .vectors = v,
                                           .chunk = form.chunk};
            s8_panel(&rows, &panel, (const float *)(const void *)at, first);
            at += 2 * line + apx_panel_s8_bytes(&form, desc->input, v);
        }
    }
}
