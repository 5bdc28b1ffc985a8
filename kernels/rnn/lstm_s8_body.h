/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8_body.h - one direction of an int8 LSTM layer over all steps; the work is that of
 * rnn_s8_body.h, the formulas those of kernels.h. Included by lstm_s8_<isa>.c. */
#include "kernels/rnn/lstm_rows.h"
#include "kernels/rnn/rnn_s8_body.h"

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(lstm_s8, supports)(const struct apx_rnn_desc *desc)
{
    return rnn_s8_takes(desc, 3) && (VF_LANES <= 8 || desc->hidden > 8);
}

size_t APX_ENTRY(lstm_s8, packed_bytes)(const struct apx_rnn_desc *desc)
{
    return apx_rnn_s8_packed_bytes(&rnn_s8_lstm, desc, VF_LANES, S8_WHOLE);
}

void APX_ENTRY(lstm_s8, pack)(const struct apx_rnn_desc *desc,
                              const struct apx_rnn_weights *weights, void *packed)
{
    apx_rnn_s8_pack(&rnn_s8_lstm, desc, weights, VF_LANES, S8_WHOLE, packed);
}

size_t APX_ENTRY(lstm_s8, scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows)
{
    return s8_scratch_bytes(&rnn_s8_lstm, desc, rows);
}

/* From the gates' sums to c; the output gate, as one over it, is left where its sum was. */
APX_INLINE void lstm_to_c(float *gates, float *c)
{
    vf sums[CELL_LSTM_GATES], out;
    APX_UNROLL_FOR (g, CELL_LSTM_GATES)
        sums[g] = vf_load(gates + g * VF_LANES);
    vf_store(c, cell_lstm_c(sums, vf_load(c), &out));
    vf_store(gates + CELL_O * VF_LANES, out);
}

/* And from there to h. */
APX_INLINE void lstm_to_h(const struct s8_sink *sink, const struct s8_item *item,
                          const float *gates, const float *c)
{
    const vf cell = vf_load(c), out = vf_load(gates + CELL_O * VF_LANES);
    vf h;
    cell_lstm_h(1, &cell, &out, &h);
    s8_store_h(sink, item, h);
}

/* Few rows: the cells of all blocks. */
static void lstm_few_cells(const struct s8_call *call, const struct s8_cells *cells)
{
    for (size_t number = cells->first; number < cells->last; number++) {
        float *state = call->c + number * VF_LANES;
        for (size_t i = 0; i < cells->count; i++) {
            const struct s8_item *item = &call->items[call->list[i]];
            lstm_to_c(s8_gates(call, item, number), state + item->row * call->padded);
        }
    }
    for (size_t number = cells->first; number < cells->last; number++) {
        const float *state = call->c + number * VF_LANES;
        const struct s8_sink sink = s8_sink(call, number);
        for (size_t i = 0; i < cells->count; i++) {
            const struct s8_item *item = &call->items[call->list[i]];
            lstm_to_h(&sink, item, s8_gates(call, item, number), state + item->row * sink.padded);
        }
    }
}

/* The cells of a block of m rows. */
static void lstm_full_cells(const struct s8_call *call, const struct s8_sink *sink,
                            const struct s8_item *const item[], size_t m)
{
    float *state = call->c + sink->unit;
    for (size_t i = 0; i < m; i++)
        lstm_to_c(item[i]->gates, state + item[i]->row * sink->padded);
    for (size_t i = 0; i < m; i++)
        lstm_to_h(sink, item[i], item[i]->gates, state + item[i]->row * sink->padded);
}

void APX_ENTRY(lstm_s8, run)(const struct apx_rnn_args *args)
{
    struct s8_call call;
    s8_begin(&call, &rnn_s8_lstm, args);
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = s8_begin_step(&call, step);
        if (count == 0)
            break;
        if (call.few) {
            const struct s8_cells cells = s8_sums(&call, 0, count);
            lstm_few_cells(&call, &cells);
        } else {
            s8_full_step(&call, count, lstm_full_cells);
        }
        s8_end_step(&call, step);
    }
}
