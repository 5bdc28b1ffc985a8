/* SPDX-License-Identifier: Apache-2.0 */
/* gru_rows.h - prototypes of every row of gru.def. */
#ifndef APX_KERNELS_GRU_ROWS_H
#define APX_KERNELS_GRU_ROWS_H

#include "kernels/kernels.h"

#define APX_RNN_ROW(types, isa, needs, avoids, match, tile)                                        \
    bool apx_gru_##types##_##isa##_supports(const struct apx_rnn_desc *desc);                      \
    size_t apx_gru_##types##_##isa##_packed_bytes(const struct apx_rnn_desc *desc);                \
    void apx_gru_##types##_##isa##_pack(const struct apx_rnn_desc *desc,                           \
                                        const struct apx_rnn_weights *weights, void *packed);      \
    size_t apx_gru_##types##_##isa##_scratch_bytes(const struct apx_rnn_desc *desc, size_t rows);  \
    void apx_gru_##types##_##isa##_run(const struct apx_rnn_args *args);
#include "kernels/rnn/gru.def"
#undef APX_RNN_ROW

#endif
