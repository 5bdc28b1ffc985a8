/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8.h - what the int8 dense rows share: the formula's constants, and how weights are packed
 * for V lanes.
 *
 * A head of one line says which chunk the panels have (panel_s8.h); then, for every four vectors of
 * outputs or what is left,
 *
 *     bias   [v V]    what sums start from; 0 beyond the last output
 *     scale  [v V]    what integer sums are multiplied by
 *     panel
 */
#ifndef APX_KERNELS_DENSE_S8_H
#define APX_KERNELS_DENSE_S8_H

#include <math.h>

#include "kernels/dense/panel_s8.h"
#include "kernels/kernels.h"

#define DENSE_S8_HEAD 64

/* What x is multiplied by before it is rounded. */
static inline float dense_s8_factor(const struct apx_dense_desc *desc)
{
    return 1.0f / desc->int8.input_scale;
}

/* What the sum of output o is multiplied by. */
static inline float dense_s8_scale(const struct apx_dense_desc *desc,
                                   const struct apx_dense_weights *weights, size_t o)
{
    return weights->w_scale[o] * desc->int8.input_scale;
}

static inline float dense_s8_bias(const struct apx_dense_weights *weights, size_t o)
{
    return weights->bias != NULL ? weights->bias[o] : 0.0f;
}

static inline size_t dense_s8_vectors(size_t left, size_t lanes)
{
    const size_t vectors = (left + lanes - 1) / lanes;
    return vectors < PANEL_S8_VECTORS ? vectors : PANEL_S8_VECTORS;
}

/* Bytes of v vectors of floats, in whole lines. */
static inline size_t dense_s8_line(size_t vectors, size_t lanes)
{
    return (vectors * lanes * sizeof(float) + 63) & ~(size_t)63;
}

#endif
