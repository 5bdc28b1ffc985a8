/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8_body.h - one direction of an int8 LSTM layer over all steps; the work is that of
 * rnn_s8_body.h, the formulas those of kernels.h. Included by lstm_s8_<isa>.c. */
#include "kernels/rnn/lstm_rows.h"
#include "kernels/rnn/rnn_s8_body.h"

enum { GATE_I, GATE_O, GATE_F, GATE_C };

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

static void lstm_cells(const struct s8_call *call, const struct s8_block *block, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct s8_item *item = &call->items[call->list[i]];
        const float *gates = s8_gates(call, item, block->number);
        float *c_at = call->c + item->row * call->padded + block->number * VF_LANES;
        const vf in = vf_sigmoid(vf_load(gates + GATE_I * VF_LANES));
        const vf forget = vf_sigmoid(vf_load(gates + GATE_F * VF_LANES));
        const vf candidate = vf_tanh(vf_load(gates + GATE_C * VF_LANES));
        const vf c = vf_fma(forget, vf_load(c_at), vf_mul(in, candidate));
        vf_store(c_at, c);
        const vf out = vf_sigmoid(vf_load(gates + GATE_O * VF_LANES));
        s8_store_h(call, block, item, vf_mul(out, vf_tanh(c)));
    }
}

void APX_ENTRY(lstm_s8, run)(const struct apx_rnn_args *args)
{
    struct s8_call call;
    s8_begin(&call, &rnn_s8_lstm, args);
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = s8_begin_step(&call, step);
        if (count == 0)
            break;
        for (size_t number = 0; number * VF_LANES < call.padded; number++) {
            const struct s8_block block = s8_enter_block(&call, number);
            s8_sums(&call, &block, count);
            lstm_cells(&call, &block, count);
        }
        s8_end_step(&call, step);
    }
}
