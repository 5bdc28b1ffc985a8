/* SPDX-License-Identifier: Apache-2.0 */
/* gru_s8_body.h - one direction of an int8 GRU layer over all steps, both forms; the work is that
 * of rnn_s8_body.h, the formulas those of kernels.h.
 *
 * Reset before: R needs r h of all units, so the first pass leaves z, q of r h and the candidate's
 * x half, and a second one goes on from there. Included by gru_s8_<isa>.c. */
#include "kernels/rnn/gru_rows.h"
#include "kernels/rnn/rnn_s8_body.h"

enum { SLOT_CANDIDATE, SLOT_Z, SLOT_R, SLOT_CANDIDATE_H };

static const struct rnn_s8_cell *cell_of(const struct apx_rnn_desc *desc)
{
    return desc->reset_after ? &rnn_s8_gru_after : &rnn_s8_gru_before;
}

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(gru_s8, supports)(const struct apx_rnn_desc *desc)
{
    return rnn_s8_takes(desc, 2) && (VF_LANES <= 8 || desc->hidden > 8);
}

size_t APX_ENTRY(gru_s8, packed_bytes)(const struct apx_rnn_desc *desc)
{
    return apx_rnn_s8_packed_bytes(cell_of(desc), desc, VF_LANES, S8_WHOLE);
}

void APX_ENTRY(gru_s8, pack)(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                             void *packed)
{
    apx_rnn_s8_pack(cell_of(desc), desc, weights, VF_LANES, S8_WHOLE, packed);
}

size_t APX_ENTRY(gru_s8, scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows)
{
    return s8_scratch_bytes(cell_of(desc), desc, rows);
}

/* z and r, where their sums were. */
APX_INLINE void gru_to_gates(float *gates)
{
    vf z = vf_load(gates + SLOT_Z * VF_LANES), r = vf_load(gates + SLOT_R * VF_LANES);
    cell_gru_gates(&z, &r);
    vf_store(gates + SLOT_Z * VF_LANES, z);
    vf_store(gates + SLOT_R * VF_LANES, r);
}

/* Reset after: from z, r and both halves of the candidate to h. */
APX_INLINE void gru_to_h(const struct s8_sink *sink, const struct s8_item *item, const float *gates)
{
    const vf from_h = vf_load(gates + SLOT_CANDIDATE_H * VF_LANES);
    const vf candidate = vf_fma(vf_load(gates + SLOT_R * VF_LANES), from_h,
                                vf_load(gates + SLOT_CANDIDATE * VF_LANES));
    const vf z = vf_load(gates + SLOT_Z * VF_LANES);
    vf h = vf_load(sink->h + item->row * sink->padded);
    cell_gru_h(1, &candidate, &z, &h);
    s8_store_h(sink, item, h);
}

/* Reset before, or few rows: z and r of the cells' blocks. */
static void gru_gates_of(const struct s8_call *call, const struct s8_cells *cells)
{
    for (size_t number = cells->first; number < cells->last; number++)
        for (size_t i = 0; i < cells->count; i++)
            gru_to_gates(s8_gates(call, &call->items[call->list[i]], number));
}

/* Reset after, few rows: from there to h. */
static void gru_few_h(const struct s8_call *call, const struct s8_cells *cells)
{
    for (size_t number = cells->first; number < cells->last; number++) {
        const struct s8_sink sink = s8_sink(call, number);
        for (size_t i = 0; i < cells->count; i++) {
            const struct s8_item *item = &call->items[call->list[i]];
            gru_to_h(&sink, item, s8_gates(call, item, number));
        }
    }
}

/* Reset after: the cells of a block of m rows. */
static void gru_full_cells(const struct s8_call *call, const struct s8_sink *sink,
                           const struct s8_item *const item[], size_t m)
{
    (void)call;
    for (size_t i = 0; i < m; i++)
        gru_to_gates(item[i]->gates);
    for (size_t i = 0; i < m; i++)
        gru_to_h(sink, item[i], item[i]->gates);
}

/* Reset before: z, q of r h, and the candidate's x half to where the second pass finds them. */
static void gru_to_reset(const struct s8_call *call, const struct s8_cells *cells)
{
    const struct quantise_s8 how = s8_of_h(call);
    for (size_t number = cells->first; number < cells->last; number++)
        for (size_t i = 0; i < cells->count; i++) {
            const struct s8_item *item = &call->items[call->list[i]];
            const float *gates = s8_gates(call, item, number);
            const size_t unit = number * VF_LANES, here = item->row * call->padded + unit;
            const vf rh = vf_mul(vf_load(gates + SLOT_R * VF_LANES), vf_load(call->h + here));
            vf_store(call->z + here, vf_load(gates + SLOT_Z * VF_LANES));
            vf_store(call->g + here, vf_load(gates + SLOT_CANDIDATE * VF_LANES));
            quantise_s8_store(&how, rh, call->q_rh + item->row * call->q_row + unit);
        }
}

/* g += R (r h), then the new h. */
static void gru_second_pass(const struct s8_call *call, size_t count)
{
    const size_t hidden = call->args->desc->hidden, blocks = call->padded / VF_LANES;
    const char *packed = call->args->packed;
    packed += RNN_S8_HEAD + blocks * call->block_bytes;
    for (size_t first = 0; first < blocks; first += PANEL_S8_VECTORS) {
        const size_t left = blocks - first;
        struct panel_s8 panel = {.scale = (const float *)(const void *)packed,
                                 .inner = hidden,
                                 .vectors = left < PANEL_S8_VECTORS ? left : PANEL_S8_VECTORS,
                                 .chunk = call->form.chunk};
        packed += PANEL_S8_VECTORS * VF_LANES * sizeof(float);
        panel.weights = packed;
        packed += apx_panel_s8_bytes(&call->form, hidden, panel.vectors);
        const size_t most = S8_MOST(panel.vectors);
        size_t tiles = (count + most - 1) / most;
        for (size_t next = 0; next < count; tiles--) {
            struct panel_s8_row row[PANEL_S8_ROWS];
            const size_t m = (count - next + tiles - 1) / tiles;
            for (size_t j = 0; j < m; j++, next++) {
                const size_t n = call->items[call->list[next]].row;
                row[j].q = call->q_rh + n * call->q_row;
                row[j].out = call->g + n * call->padded + first * VF_LANES;
                row[j].seed = row[j].out;
            }
            S8_TILE(&panel, row, m);
        }
    }
    for (size_t number = 0; number < blocks; number++) {
        const struct s8_sink sink = s8_sink(call, number);
        for (size_t i = 0; i < count; i++) {
            const struct s8_item *item = &call->items[call->list[i]];
            const size_t here = item->row * call->padded + number * VF_LANES;
            const vf candidate = vf_load(call->g + here), z = vf_load(call->z + here);
            vf h = vf_load(call->h + here);
            cell_gru_h(1, &candidate, &z, &h);
            s8_store_h(&sink, item, h);
        }
    }
}

void APX_ENTRY(gru_s8, run)(const struct apx_rnn_args *args)
{
    struct s8_call call;
    s8_begin(&call, cell_of(args->desc), args);
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = s8_begin_step(&call, step);
        if (count == 0)
            break;
        const bool full = !call.few && args->desc->reset_after;
        if (full)
            s8_full_step(&call, count, gru_full_cells);
        for (size_t number = 0; !full && number * VF_LANES < call.padded;) {
            const struct s8_cells cells = s8_sums(&call, number, count);
            gru_gates_of(&call, &cells);
            if (args->desc->reset_after)
                gru_few_h(&call, &cells);
            else
                gru_to_reset(&call, &cells);
            number = cells.last;
        }
        if (!args->desc->reset_after)
            gru_second_pass(&call, count);
        s8_end_step(&call, step);
    }
}
