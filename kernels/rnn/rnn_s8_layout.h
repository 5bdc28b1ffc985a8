/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_layout.h - packed weights of the int8 recurrent rows, for V lanes.
 *
 * A head of one line says which chunk the panels have (kernels/dense/panel_s8.h); then, as in float
 * layers, a block for every V hidden units. What a block's units need of one row of the batch is up
 * to four vectors, its slots:
 *
 *     LSTM                i, o, f, c
 *     GRU, reset after    candidate's x half, z, r, candidate's h half
 *     GRU, reset before   candidate, z, r
 *
 *     bias      [4][V]    what each slot starts from
 *     x scale   [4][V]    of the slots from the first on (4, 3, 3)
 *     h scale   [4][V]    of those that h goes into: all; from z on (3); z and r (2)
 *     W panel             of the former: int8, or fp32 as [I][slots][V]
 *     R panel             of the latter
 *
 * Reset before: then R for the candidate, in panels of up to four vectors of units.
 *
 *     h scale   [4][V], panel */
#ifndef APX_KERNELS_RNN_S8_LAYOUT_H
#define APX_KERNELS_RNN_S8_LAYOUT_H

#include "kernels/dense/panel_s8.h"
#include "kernels/rnn/rnn_s8.h"

#define RNN_S8_SLOTS 4
#define RNN_S8_HEAD  64

/* Where things are in a block. */
struct rnn_s8_cell {
    size_t gates;            /* of the matrices: 4 or 3 */
    size_t x_slots, h_slots; /* how many */
    size_t h_first;          /* the first slot that h goes into */
    unsigned char x_gate[4]; /* the gate of each x slot */
    unsigned char h_gate[4]; /* of each h slot, from h_first on */
    bool has_second;         /* reset before */
    size_t second_gate;
};

static const struct rnn_s8_cell rnn_s8_lstm = {
    .gates = 4, .x_slots = 4, .h_slots = 4, .x_gate = {0, 1, 2, 3}, .h_gate = {0, 1, 2, 3}};
static const struct rnn_s8_cell rnn_s8_gru_after = {
    .gates = 3, .x_slots = 3, .h_slots = 3, .h_first = 1, .x_gate = {2, 0, 1}, .h_gate = {0, 1, 2}};
static const struct rnn_s8_cell rnn_s8_gru_before = {.gates = 3,
                                                     .x_slots = 3,
                                                     .h_slots = 2,
                                                     .h_first = 1,
                                                     .x_gate = {2, 0, 1},
                                                     .h_gate = {0, 1},
                                                     .has_second = true,
                                                     .second_gate = 2};

static inline size_t rnn_s8_w_bytes(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                                    const struct panel_s8_form *form)
{
    if (rnn_s8_quantises_x(desc))
        return apx_panel_s8_bytes(form, desc->input, cell->x_slots);
    return rnn_line(desc->input * cell->x_slots * form->lanes * sizeof(float));
}

static inline size_t rnn_s8_block_bytes(const struct rnn_s8_cell *cell,
                                        const struct apx_rnn_desc *desc,
                                        const struct panel_s8_form *form)
{
    return 3 * RNN_S8_SLOTS * form->lanes * sizeof(float) + rnn_s8_w_bytes(cell, desc, form) +
           apx_panel_s8_bytes(form, desc->hidden, cell->h_slots);
}

/* Bytes that pack may touch. */
size_t apx_rnn_s8_packed_bytes(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                               size_t lanes, bool whole);
void apx_rnn_s8_pack(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                     const struct apx_rnn_weights *weights, size_t lanes, bool whole, void *packed);

/* The form that `packed` was packed in. */
static inline struct panel_s8_form rnn_s8_form(const struct apx_rnn_desc *desc, size_t lanes,
                                               const void *packed)
{
    const int32_t *head = packed;
    return (struct panel_s8_form){.lanes = lanes, .levels = desc->int8.levels, .chunk = *head};
}

#endif
