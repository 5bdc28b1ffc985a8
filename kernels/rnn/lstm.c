/* SPDX-License-Identifier: Apache-2.0 */
/* lstm.c - the table of LSTM rows and the choice among them. */
#include "kernels/rnn/lstm_rows.h"

#define APX_RNN_ROW(words, isa_word, cpu, shuns, class, tile)                                      \
    {.isa = #isa_word,                                                                             \
     .types = #words,                                                                              \
     .name = "apx_lstm_" #words "_" #isa_word,                                                     \
     .needs = (cpu),                                                                               \
     .avoids = (shuns),                                                                            \
     .match = (class),                                                                             \
     .supports = apx_lstm_##words##_##isa_word##_supports,                                         \
     .packed_bytes = apx_lstm_##words##_##isa_word##_packed_bytes,                                 \
     .pack = apx_lstm_##words##_##isa_word##_pack,                                                 \
     .scratch_bytes = apx_lstm_##words##_##isa_word##_scratch_bytes,                               \
     .run = apx_lstm_##words##_##isa_word##_run,                                                   \
     .tile_rows = (tile)},
static const struct apx_rnn_row rows[] = {
#include "kernels/rnn/lstm.def"
};
#undef APX_RNN_ROW

const struct apx_rnn_row *apx_lstm_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

const struct apx_rnn_row *apx_lstm_select(uint32_t caps, const struct apx_rnn_desc *desc)
{
    const struct apx_rnn_row *row = rows;
    while ((row->needs & ~caps) != 0 || (row->avoids & caps) != 0 || !row->supports(desc))
        row++; /* ends at a scalar row, which needs and avoids nothing */
    return row;
}
