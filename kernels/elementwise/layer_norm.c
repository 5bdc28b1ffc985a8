/* SPDX-License-Identifier: Apache-2.0 */
/* layer_norm.c - normalise each row by its own mean and variance, both kept in double. */
#include <math.h>

#include "kernels/kernels.h"

void apx_layer_norm_f32(size_t outer, size_t k, float epsilon, const float *x, const float *scale,
                        const float *bias, float *y)
{
    for (size_t o = 0; o < outer; o++, x += k, y += k) {
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < k; i++)
            sum += (double)x[i];
        const double mean = sum / (double)k;
        for (size_t i = 0; i < k; i++)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        const double inverse = 1.0 / sqrt(squares / (double)k + (double)epsilon);
        for (size_t i = 0; i < k; i++) {
            double v = ((double)x[i] - mean) * inverse;
            v = scale != NULL ? v * (double)scale[i] : v;
            y[i] = (float)(bias != NULL ? v + (double)bias[i] : v);
        }
    }
}
