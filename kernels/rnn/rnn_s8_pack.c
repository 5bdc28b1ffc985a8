/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_pack.c - int8 recurrent weights into blocks of V units (layout: rnn_s8_layout.h). */
#include "kernels/rnn/rnn_s8_layout.h"

#include <string.h>

#define CANDIDATE 2 /* GRU's third gate */

size_t apx_rnn_s8_packed_bytes(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                               size_t lanes, bool whole)
{
    const size_t blocks = rnn_padded(desc->hidden, lanes) / lanes;
    const size_t constants = RNN_S8_SLOTS * lanes * sizeof(float);
    size_t w = rnn_line(desc->input * cell->x_slots * lanes * sizeof(float));
    if (rnn_s8_quantises_x(desc))
        w = apx_panel_s8_bound(lanes, whole, desc->input, cell->x_slots);
    size_t bytes = RNN_S8_HEAD;
    bytes += blocks *
             (3 * constants + w + apx_panel_s8_bound(lanes, whole, desc->hidden, cell->h_slots));
    for (size_t first = 0; cell->has_second && first < blocks; first += PANEL_S8_VECTORS) {
        const size_t left = blocks - first;
        bytes += constants + apx_panel_s8_bound(lanes, whole, desc->hidden,
                                                left < PANEL_S8_VECTORS ? left : PANEL_S8_VECTORS);
    }
    return rnn_line(bytes);
}

/* What slot `slot` starts from, for a hidden unit. */
static float slot_bias(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                       const struct apx_rnn_weights *weights, size_t slot, size_t unit)
{
    if (slot >= cell->x_slots) /* reset after: the candidate's h half */
        return cell->h_first + cell->h_slots > slot
                   ? rnn_s8_bias_r(weights, CANDIDATE * desc->hidden + unit)
                   : 0.0f;
    const size_t at = cell->x_gate[slot] * desc->hidden + unit;
    const bool apart = slot == 0 && cell->h_first > 0 && !cell->has_second;
    return apart ? rnn_s8_bias_w(weights, at) : rnn_s8_bias(weights, at);
}

/* Bias, x scale and h scale of the units from `first` on. */
static char *pack_constants(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                            const struct apx_rnn_weights *weights, size_t lanes, size_t first,
                            char *out)
{
    const size_t hidden = desc->hidden, vector = RNN_S8_SLOTS * lanes;
    float *bias = (float *)(void *)out, *x_scale = bias + vector, *h_scale = x_scale + vector;
    memset(out, 0, 3 * vector * sizeof(float));
    for (size_t slot = 0; slot < RNN_S8_SLOTS; slot++)
        for (size_t lane = 0; lane < lanes && first + lane < hidden; lane++) {
            const size_t unit = first + lane, at = slot * lanes + lane;
            bias[at] = slot_bias(cell, desc, weights, slot, unit);
            if (rnn_s8_quantises_x(desc) && slot < cell->x_slots)
                x_scale[at] = rnn_s8_x_scale(desc, weights, cell->x_gate[slot] * hidden + unit);
            if (slot < cell->h_slots)
                h_scale[at] = rnn_s8_h_scale(desc, weights, cell->h_gate[slot] * hidden + unit);
        }
    return out + 3 * vector * sizeof(float);
}

/* [I][slots][V] of W in float. */
static void pack_float(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                       const float *w, size_t lanes, size_t first, void *panel)
{
    const size_t hidden = desc->hidden, input = desc->input;
    float *out = panel;
    for (size_t k = 0; k < input; k++)
        for (size_t slot = 0; slot < cell->x_slots; slot++)
            for (size_t lane = 0; lane < lanes; lane++) {
                const size_t unit = first + lane;
                *out++ = unit < hidden ? w[(cell->x_gate[slot] * hidden + unit) * input + k] : 0.0f;
            }
}

/* A source of `slots` gates of the units from `first` on. */
static struct panel_s8_source gates_of(const int8_t *matrix, size_t inner, size_t hidden,
                                       const unsigned char *gate, size_t slots, size_t first,
                                       size_t lanes)
{
    struct panel_s8_source source = {.matrix = matrix, .inner = inner, .vectors = slots};
    const size_t left = hidden - first;
    for (size_t i = 0; i < slots; i++) {
        source.first[i] = gate[i] * hidden + first;
        source.lanes[i] = left < lanes ? left : lanes;
    }
    return source;
}

static char *pack_block(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                        const struct apx_rnn_weights *weights, const struct panel_s8_form *form,
                        size_t first, char *out)
{
    out = pack_constants(cell, desc, weights, form->lanes, first, out);
    if (rnn_s8_quantises_x(desc)) {
        const struct panel_s8_source w = gates_of(weights->w_s8, desc->input, desc->hidden,
                                                  cell->x_gate, cell->x_slots, first, form->lanes);
        apx_panel_s8_pack(form, &w, out);
    } else {
        pack_float(cell, desc, weights->w, form->lanes, first, out);
    }
    out += rnn_s8_w_bytes(cell, desc, form);
    const struct panel_s8_source r = gates_of(weights->r_s8, desc->hidden, desc->hidden,
                                              cell->h_gate, cell->h_slots, first, form->lanes);
    apx_panel_s8_pack(form, &r, out);
    return out + apx_panel_s8_bytes(form, desc->hidden, cell->h_slots);
}

/* The candidate's R for up to four vectors of units. */
static char *pack_second(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                         const struct apx_rnn_weights *weights, const struct panel_s8_form *form,
                         size_t first, char *out)
{
    const size_t hidden = desc->hidden, lanes = form->lanes;
    const size_t constants = PANEL_S8_VECTORS * lanes;
    struct panel_s8_source source = {.matrix = weights->r_s8, .inner = hidden};
    float *scale = (float *)(void *)out;
    memset(scale, 0, constants * sizeof *scale);
    for (size_t unit = first; unit < hidden && unit < first + constants; unit++)
        scale[unit - first] = rnn_s8_h_scale(desc, weights, cell->second_gate * hidden + unit);
    for (size_t i = 0; i < PANEL_S8_VECTORS && first + i * lanes < hidden; i++) {
        const size_t left = hidden - first - i * lanes;
        source.first[i] = cell->second_gate * hidden + first + i * lanes;
        source.lanes[i] = left < lanes ? left : lanes;
        source.vectors = i + 1;
    }
    out += constants * sizeof *scale;
    apx_panel_s8_pack(form, &source, out);
    return out + apx_panel_s8_bytes(form, hidden, source.vectors);
}

void apx_rnn_s8_pack(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                     const struct apx_rnn_weights *weights, size_t lanes, bool whole, void *packed)
{
    const size_t outputs = cell->gates * desc->hidden;
    struct panel_s8_form form = {
        .lanes = lanes, .levels = desc->int8.levels, .chunk = PANEL_S8_WHOLE};
    if (!whole)
        form.chunk = apx_panel_s8_chunk(weights->r_s8, outputs, desc->hidden, form.levels);
    if (!whole && rnn_s8_quantises_x(desc)) {
        const int chunk = apx_panel_s8_chunk(weights->w_s8, outputs, desc->input, form.levels);
        form.chunk = chunk < form.chunk ? chunk : form.chunk;
    }
    int32_t *head = packed;
    memset(head, 0, RNN_S8_HEAD);
    *head = form.chunk;
    char *out = (char *)packed + RNN_S8_HEAD;
    for (size_t first = 0; first < desc->hidden; first += lanes)
        out = pack_block(cell, desc, weights, &form, first, out);
    for (size_t first = 0; cell->has_second && first < desc->hidden;
         first += PANEL_S8_VECTORS * lanes)
        out = pack_second(cell, desc, weights, &form, first, out);
}
