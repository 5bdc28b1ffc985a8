/* SPDX-License-Identifier: Apache-2.0 */
/* unary_rows.h - prototypes of every function of the unary table: apx_unary_<isa>_<name>. */
#ifndef APX_KERNELS_UNARY_ROWS_H
#define APX_KERNELS_UNARY_ROWS_H

#include "kernels/kernels.h"

#define APX_UNARY_PROTOTYPE(isa, name)                                                             \
    void apx_unary_##isa##_##name(size_t count, const float *x, float *y, float alpha, float beta);

#define APX_UNARY_OP(op, name, how)                                                                \
    APX_UNARY_PROTOTYPE(scalar, name)                                                              \
    APX_UNARY_PROTOTYPE(avx2, name) APX_UNARY_PROTOTYPE(avx512, name)
#include "kernels/elementwise/unary_ops.def"
#undef APX_UNARY_OP

#endif
