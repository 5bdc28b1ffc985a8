/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_reference.h - the int8 formulas of kernels.h, one row and one gate at a time, in plain C.
 *
 * This is the definition that the other rows are held to, so it shares neither their layout nor
 * their loops. Packed: the constants of all G*H matrix rows, then both matrices as they came. */
#ifndef APX_KERNELS_RNN_S8_REFERENCE_H
#define APX_KERNELS_RNN_S8_REFERENCE_H

#include <string.h>

#include "kernels/rnn/rnn_s8.h"

struct rnn_s8_reference {
    const struct apx_rnn_desc *desc;
    const float *bias, *bias_w, *bias_r; /* [G*H] Wb + Rb, and each */
    const float *x_scale, *h_scale;      /* [G*H] */
    const float *w;                      /* [G*H, I], or */
    const int8_t *w_s8;                  /* likewise */
    const int8_t *r_s8;                  /* [G*H, H] */
};

#define REFERENCE_CONSTANTS 5

static size_t reference_packed_bytes(const struct apx_rnn_desc *desc, size_t gates)
{
    const size_t outputs = gates * desc->hidden;
    const size_t width = rnn_s8_quantises_x(desc) ? 1 : sizeof(float);
    return rnn_line(REFERENCE_CONSTANTS * outputs * sizeof(float)) +
           rnn_line(outputs * desc->input * width) + rnn_line(outputs * desc->hidden);
}

static struct rnn_s8_reference reference_open(const struct apx_rnn_desc *desc, size_t gates,
                                              const void *packed)
{
    const size_t outputs = gates * desc->hidden;
    const size_t width = rnn_s8_quantises_x(desc) ? 1 : sizeof(float);
    const float *constants = packed;
    const char *w = (const char *)packed + rnn_line(REFERENCE_CONSTANTS * outputs * sizeof(float));
    const char *r = w + rnn_line(outputs * desc->input * width);
    return (struct rnn_s8_reference){.desc = desc,
                                     .bias = constants,
                                     .bias_w = constants + outputs,
                                     .bias_r = constants + 2 * outputs,
                                     .x_scale = constants + 3 * outputs,
                                     .h_scale = constants + 4 * outputs,
                                     .w = (const float *)(const void *)w,
                                     .w_s8 = (const int8_t *)w,
                                     .r_s8 = (const int8_t *)r};
}

static void reference_pack(const struct apx_rnn_desc *desc, size_t gates,
                           const struct apx_rnn_weights *weights, void *packed)
{
    const size_t outputs = gates * desc->hidden;
    const bool quantises_x = rnn_s8_quantises_x(desc);
    float *constants = packed;
    char *w = (char *)packed + rnn_line(REFERENCE_CONSTANTS * outputs * sizeof(float));
    for (size_t at = 0; at < outputs; at++) {
        constants[at] = rnn_s8_bias(weights, at);
        constants[outputs + at] = rnn_s8_bias_w(weights, at);
        constants[2 * outputs + at] = rnn_s8_bias_r(weights, at);
        constants[3 * outputs + at] = quantises_x ? rnn_s8_x_scale(desc, weights, at) : 0.0f;
        constants[4 * outputs + at] = rnn_s8_h_scale(desc, weights, at);
    }
    const size_t bytes = outputs * desc->input * (quantises_x ? 1 : sizeof(float));
    if (bytes > 0)
        memcpy(w, quantises_x ? (const void *)weights->w_s8 : weights->w, bytes);
    memcpy(w + rnn_line(bytes), weights->r_s8, outputs * desc->hidden);
}

static float reference_sum(const int8_t *weights, const int8_t *values, size_t count, float scale,
                           float from)
{
    int32_t sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += weights[k] * values[k];
    return fmaf((float)sum, scale, from);
}

/* `bias` + W x for matrix row `at`. */
static float reference_input(const struct rnn_s8_reference *ref, size_t at, const float *x,
                             const int8_t *qx, float bias)
{
    const size_t input = ref->desc->input;
    if (rnn_s8_quantises_x(ref->desc))
        return reference_sum(ref->w_s8 + at * input, qx, input, ref->x_scale[at], bias);
    for (size_t k = 0; k < input; k++)
        bias = fmaf(x[k], ref->w[at * input + k], bias);
    return bias;
}

/* `from` + R h for matrix row `at`. */
static float reference_recurrent(const struct rnn_s8_reference *ref, size_t at, const int8_t *qh,
                                 float from)
{
    const size_t hidden = ref->desc->hidden;
    return reference_sum(ref->r_s8 + at * hidden, qh, hidden, ref->h_scale[at], from);
}

/* q of `values`; returns whether there is a NaN. */
static bool reference_quantise(const float *values, size_t count, float factor, int levels,
                               int8_t *out)
{
    bool has_nan = false;
    for (size_t k = 0; k < count; k++) {
        out[k] = rnn_s8_quantise(values[k], factor, (float)levels);
        has_nan = has_nan || isnan(values[k]);
    }
    return has_nan;
}

/* One row's state from `first` or zeros; all NaN if h0 has one. */
static void reference_start(const struct apx_rnn_args *args, size_t n, const float *first,
                            ptrdiff_t first_row, float *state)
{
    const size_t hidden = args->desc->hidden;
    for (size_t k = 0; k < hidden; k++)
        state[k] = first != NULL ? first[(ptrdiff_t)n * first_row + (ptrdiff_t)k] : 0.0f;
    for (size_t k = 0; k < hidden && args->h0 != NULL; k++)
        if (isnan(args->h0[(ptrdiff_t)n * args->h0_row + (ptrdiff_t)k]))
            for (size_t j = 0; j < hidden; j++)
                state[j] = NAN;
}

static void reference_poison(float *state, size_t hidden)
{
    for (size_t j = 0; j < hidden; j++)
        state[j] = NAN;
}

#endif
