/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_scalar.c - the int8 dense layer by its formula: the reference of the other int8 rows, so
 * it shares neither their layout nor their loops. Packed: bias [O], scale [O], weights [O,K], and
 * what is missing to whole floats, so that a buffer that ends at a page's end is still aligned. */
#include <string.h>

#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/cpu/activations.h"
#include "kernels/dense/dense_rows.h"
#include "kernels/dense/dense_s8.h"

bool apx_dense_s8_scalar_supports(const struct apx_dense_desc *desc)
{
    return desc->int8.levels > 0;
}

size_t apx_dense_s8_scalar_packed_bytes(const struct apx_dense_desc *desc)
{
    const size_t weights = (desc->output * desc->input + sizeof(float) - 1) / sizeof(float);
    return (2 * desc->output + weights) * sizeof(float);
}

void apx_dense_s8_scalar_pack(const struct apx_dense_desc *desc,
                              const struct apx_dense_weights *weights, void *packed)
{
    float *bias = packed, *scale = bias + desc->output;
    for (size_t o = 0; o < desc->output; o++) {
        bias[o] = dense_s8_bias(weights, o);
        scale[o] = dense_s8_scale(desc, weights, o);
    }
    if (desc->output * desc->input > 0)
        memcpy(scale + desc->output, weights->w_s8, desc->output * desc->input);
}

size_t apx_dense_s8_scalar_scratch_bytes(const struct apx_dense_desc *desc, size_t rows)
{
    return rows > 0 ? desc->input : 0;
}

/* NaN gives -levels: whoever calls looks for it. */
static int8_t quantised(float v, float factor, float levels)
{
    float scaled = v * factor;
    scaled = scaled > -levels ? scaled : -levels;
    scaled = scaled < levels ? scaled : levels;
    return (int8_t)rintf(scaled);
}

void apx_dense_s8_scalar_run(const struct apx_dense_args *args)
{
    const struct apx_dense_desc *desc = args->desc;
    const float *bias = args->packed, *scale = bias + desc->output;
    const int8_t *weights = (const int8_t *)(scale + desc->output);
    int8_t *q = args->scratch;
    for (size_t n = 0; n < args->rows; n++) {
        const float *x = args->x + (ptrdiff_t)n * args->x_row;
        float *y = args->y + (ptrdiff_t)n * args->y_row;
        bool has_nan = false;
        for (size_t k = 0; k < desc->input; k++) {
            q[k] = quantised(x[k], dense_s8_factor(desc), (float)desc->int8.levels);
            has_nan = has_nan || isnan(x[k]);
        }
        for (size_t o = 0; o < desc->output; o++) {
            int32_t sum = 0;
            for (size_t k = 0; k < desc->input; k++)
                sum += weights[o * desc->input + k] * q[k];
            y[o] = vf_activate(desc->act, fmaf((float)sum, scale[o], has_nan ? NAN : bias[o]));
        }
    }
}
