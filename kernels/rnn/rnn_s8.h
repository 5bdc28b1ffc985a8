/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8.h - what all int8 recurrent rows share: which layers they take, and their constants.
 *
 * The formulas are those of kernels.h (struct apx_rnn_int8). Every constant of them is computed
 * here and nowhere else, so that no two rows can round one differently. */
#ifndef APX_KERNELS_RNN_S8_H
#define APX_KERNELS_RNN_S8_H

#include <math.h>

#include "kernels/rnn/rnn_layout.h"

/* Int8, and nothing beyond the operators' defaults (LSTM: 3 activations, GRU: 2). */
static inline bool rnn_s8_takes(const struct apx_rnn_desc *desc, int activations)
{
    return desc->int8.levels != 0 && rnn_has_defaults(desc, activations);
}

static inline bool rnn_s8_quantises_x(const struct apx_rnn_desc *desc)
{
    return desc->int8.input_scale > 0.0f;
}

/* What x is multiplied by before it is rounded. */
static inline float rnn_s8_x_factor(const struct apx_rnn_desc *desc)
{
    return rnn_s8_quantises_x(desc) ? 1.0f / desc->int8.input_scale : 0.0f;
}

/* What the sum over x of matrix row `at` is multiplied by. */
static inline float rnn_s8_x_scale(const struct apx_rnn_desc *desc,
                                   const struct apx_rnn_weights *weights, size_t at)
{
    return weights->w_scale[at] * desc->int8.input_scale;
}

/* What the sum over h of matrix row `at` is multiplied by. */
static inline float rnn_s8_h_scale(const struct apx_rnn_desc *desc,
                                   const struct apx_rnn_weights *weights, size_t at)
{
    return weights->r_scale[at] / (float)desc->int8.levels;
}

/* The biases of matrix row `at`; the sum of both for all gates but the candidate of a GRU that
 * resets after. */
static inline float rnn_s8_bias_w(const struct apx_rnn_weights *weights, size_t at)
{
    return weights->bias_w != NULL ? weights->bias_w[at] : 0.0f;
}

static inline float rnn_s8_bias_r(const struct apx_rnn_weights *weights, size_t at)
{
    return weights->bias_r != NULL ? weights->bias_r[at] : 0.0f;
}

static inline float rnn_s8_bias(const struct apx_rnn_weights *weights, size_t at)
{
    return rnn_s8_bias_w(weights, at) + rnn_s8_bias_r(weights, at);
}

/* q(v, factor). NaN gives -levels: whoever calls looks for it. */
static inline int8_t rnn_s8_quantise(float v, float factor, float levels)
{
    float scaled = v * factor;
    scaled = scaled > -levels ? scaled : -levels;
    scaled = scaled < levels ? scaled : levels;
    return (int8_t)rintf(scaled);
}

#endif
