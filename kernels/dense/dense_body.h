/* SPDX-License-Identifier: Apache-2.0 */
/* dense_body.h - matrix product, bias and activation in one pass, over the vector vocabulary.
 *
 * Order of every sum: bias, then k ascending, fused. Rows are taken in chunks that stay in the near
 * cache while every panel of weights passes over them.
 *
 * Included by dense_<isa>.c after simd_f32_<isa>.h. */
#include "kernels/dense/panel.h"

/* 64 rows of 128 floats are 32 KB. */
#define CHUNK_ROWS 64

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(dense_f32, supports)(const struct apx_dense_desc *desc)
{
    return desc->int8.levels == 0 && (VF_LANES <= 8 || desc->output > 8);
}

size_t APX_ENTRY(dense_f32, packed_bytes)(const struct apx_dense_desc *desc)
{
    return apx_dense_packed_bytes(desc, VF_LANES);
}

void APX_ENTRY(dense_f32, pack)(const struct apx_dense_desc *desc,
                                const struct apx_dense_weights *weights, void *packed)
{
    apx_dense_pack(desc, weights, VF_LANES, packed);
}

size_t APX_ENTRY(dense_f32, scratch_bytes)(const struct apx_dense_desc *desc, size_t rows)
{
    (void)desc;
    (void)rows;
    return 0;
}

static void dense_chunk(const struct apx_dense_args *args, size_t begin, size_t end)
{
    const size_t inner = args->desc->input, outputs = args->desc->output;
    const float *packed = args->packed;
    for (size_t first = 0; first < outputs; first += PANEL_VECTORS * VF_LANES) {
        const size_t left = outputs - first;
        const size_t width = panel_width(left, VF_LANES), v = width / VF_LANES;
        const struct panel panel = {.weights = packed + width,
                                    .inner = inner,
                                    .width = left < width ? left : width,
                                    .act = args->desc->act};
        size_t tiles = (end - begin + panel_most_rows(v) - 1) / panel_most_rows(v);
        for (size_t n = begin; n < end; tiles--) {
            struct panel_row row[PANEL_MAX_ROWS];
            const size_t m = (end - n + tiles - 1) / tiles; /* tiles of even size */
            for (size_t j = 0; j < m; j++, n++) {
                row[j].a = args->x + (ptrdiff_t)n * args->x_row;
                row[j].seed = packed;
                row[j].out = args->y + (ptrdiff_t)n * args->y_row + first;
            }
            panel_tiles(&panel, row, m, v);
        }
        packed += width * (inner + 1);
    }
}

void APX_ENTRY(dense_f32, run)(const struct apx_dense_args *args)
{
    for (size_t begin = 0; begin < args->rows; begin += CHUNK_ROWS) {
        const size_t left = args->rows - begin;
        dense_chunk(args, begin, begin + (left < CHUNK_ROWS ? left : CHUNK_ROWS));
    }
}
