/* SPDX-License-Identifier: Apache-2.0 */
/* dense_rows.h - prototypes of every row of dense.def, and the packing they share. */
#ifndef APX_KERNELS_DENSE_ROWS_H
#define APX_KERNELS_DENSE_ROWS_H

#include "kernels/kernels.h"

/* Packed weights for V lanes, panel by panel: bias [width], weights [K][width], where width is up
 * to four vectors (panel_layout.h); outputs beyond the last are zero. */
size_t apx_dense_packed_bytes(const struct apx_dense_desc *desc, size_t lanes);
void apx_dense_pack(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                    size_t lanes, float *packed);

/* The same of int8 layers (layout: dense_s8.h); whole: weights lie as PANEL_S8_WHOLE. */
size_t apx_dense_s8_packed_bytes(const struct apx_dense_desc *desc, size_t lanes, bool whole);
void apx_dense_s8_pack(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                       size_t lanes, bool whole, void *packed);

#define APX_DENSE_ROW(types, isa, needs, avoids, match, tile)                                      \
    bool apx_dense_##types##_##isa##_supports(const struct apx_dense_desc *desc);                  \
    size_t apx_dense_##types##_##isa##_packed_bytes(const struct apx_dense_desc *desc);            \
    void apx_dense_##types##_##isa##_pack(const struct apx_dense_desc *desc,                       \
                                          const struct apx_dense_weights *weights, void *packed);  \
    size_t apx_dense_##types##_##isa##_scratch_bytes(const struct apx_dense_desc *desc,            \
                                                     size_t rows);                                 \
    void apx_dense_##types##_##isa##_run(const struct apx_dense_args *args);
#include "kernels/dense/dense.def"
#undef APX_DENSE_ROW

#endif
