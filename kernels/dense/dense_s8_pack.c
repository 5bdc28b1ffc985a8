/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_pack.c - int8 dense weights into panels (layout: dense_s8.h). */
#include "kernels/dense/dense_rows.h"
#include "kernels/dense/dense_s8.h"

#include <string.h>

size_t apx_dense_s8_packed_bytes(const struct apx_dense_desc *desc, size_t lanes, bool whole)
{
    size_t bytes = DENSE_S8_HEAD;
    for (size_t first = 0; first < desc->output; first += PANEL_S8_VECTORS * lanes) {
        const size_t v = dense_s8_vectors(desc->output - first, lanes);
        bytes += 2 * dense_s8_line(v, lanes) + apx_panel_s8_bound(lanes, whole, desc->input, v);
    }
    return bytes;
}

/* The v vectors of outputs from `first` on; returns where the next ones begin. */
static char *pack_panel(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                        const struct panel_s8_form *form, size_t first, char *out)
{
    const size_t left = desc->output - first, v = dense_s8_vectors(left, form->lanes);
    const size_t line = dense_s8_line(v, form->lanes);
    struct panel_s8_source source = {.matrix = weights->w_s8, .inner = desc->input, .vectors = v};
    float *bias = (float *)(void *)out, *scale = (float *)(void *)(out + line);
    memset(out, 0, 2 * line);
    for (size_t o = 0; o < left && o < v * form->lanes; o++) {
        bias[o] = dense_s8_bias(weights, first + o);
        scale[o] = dense_s8_scale(desc, weights, first + o);
    }
    for (size_t i = 0; i < v; i++) {
        const size_t there = left - i * form->lanes;
        source.first[i] = first + i * form->lanes;
        source.lanes[i] = there < form->lanes ? there : form->lanes;
    }
    apx_panel_s8_pack(form, &source, out + 2 * line);
    return out + 2 * line + apx_panel_s8_bytes(form, desc->input, v);
}

void apx_dense_s8_pack(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                       size_t lanes, bool whole, void *packed)
{
    struct panel_s8_form form = {
        .lanes = lanes, .levels = desc->int8.levels, .chunk = PANEL_S8_WHOLE};
    if (!whole)
        form.chunk =
            apx_panel_s8_chunk(weights->w_s8, desc->output, desc->input, desc->int8.levels);
    int32_t *head = packed;
    memset(head, 0, DENSE_S8_HEAD);
    *head = form.chunk;
    char *out = (char *)packed + DENSE_S8_HEAD;
    for (size_t first = 0; first < desc->output; first += PANEL_S8_VECTORS * lanes)
        out = pack_panel(desc, weights, &form, first, out);
}
