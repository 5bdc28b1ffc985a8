/* SPDX-License-Identifier: Apache-2.0 */
/* dense_pack.c - dense weights into panels (layout: dense_rows.h). */
#include "kernels/dense/dense_rows.h"
#include "kernels/dense/panel_layout.h"

size_t apx_dense_packed_bytes(const struct apx_dense_desc *desc, size_t lanes)
{
    size_t outputs = (desc->output + lanes - 1) / lanes * lanes;
    size_t bytes = outputs * (desc->input + 1) * sizeof(float);
    return (bytes + 63) & ~(size_t)63;
}

void apx_dense_pack(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                    size_t lanes, float *packed)
{
    float *out = packed;
    for (size_t first = 0; first < desc->output; first += PANEL_VECTORS * lanes) {
        const size_t width = panel_width(desc->output - first, lanes);
        for (size_t o = first; o < first + width; o++) {
            bool given = o < desc->output && weights->bias != NULL;
            *out++ = given ? weights->bias[o] : 0.0f;
        }
        for (size_t k = 0; k < desc->input; k++)
            for (size_t o = first; o < first + width; o++)
                *out++ =
                    o < desc->output
                        ? weights->w[(ptrdiff_t)o * weights->w_out + (ptrdiff_t)k * weights->w_in]
                        : 0.0f;
    }
}
