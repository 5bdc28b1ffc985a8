/* SPDX-License-Identifier: Apache-2.0 */
/* softmax.c - softmax and its logarithm over the middle extent of x[outer, K, inner].
 *
 * Shifted by the largest element, so nothing overflows; the sum is kept in double, k ascending, so
 * the result does not depend on how columns are cut. The exponentials are the unary row's: same
 * bits on every ISA. */
#include <math.h>

#include "kernels/cpu/native.h"
#include "kernels/elementwise/unary_rows.h"

#define CHUNK 64

static void exponentials(size_t count, float *x)
{
    if (apx_native_avx2())
        apx_unary_avx2_exp(count, x, x, 0.0f, 0.0f);
    else
        apx_unary_scalar_exp(count, x, x, 0.0f, 0.0f);
}

/* `count` neighbouring columns of K elements, `inner` apart; at most CHUNK. */
static void softmax_columns(bool logarithm, size_t k, size_t inner, size_t count, const float *x,
                            float *y)
{
    float top[CHUNK], shifted[CHUNK];
    double sum[CHUNK];
    for (size_t c = 0; c < count; c++) {
        top[c] = -INFINITY;
        sum[c] = 0.0;
    }
    for (size_t i = 0; i < k; i++)
        for (size_t c = 0; c < count; c++)
            top[c] = x[i * inner + c] > top[c] ? x[i * inner + c] : top[c];
    for (size_t i = 0; i < k; i++) {
        for (size_t c = 0; c < count; c++)
            shifted[c] = x[i * inner + c] - top[c];
        exponentials(count, shifted);
        for (size_t c = 0; c < count; c++) {
            sum[c] += (double)shifted[c];
            if (!logarithm)
                y[i * inner + c] = shifted[c];
        }
    }
    for (size_t c = 0; c < count; c++)
        sum[c] = logarithm ? log(sum[c]) : 1.0 / sum[c];
    for (size_t i = 0; i < k; i++)
        for (size_t c = 0; c < count; c++) {
            const size_t at = i * inner + c;
            y[at] = logarithm ? (float)((double)x[at] - (double)top[c] - sum[c])
                              : (float)((double)y[at] * sum[c]);
        }
}

/* The same for a dense row, whose exponentials go side by side. */
static void softmax_row(bool logarithm, size_t k, const float *x, float *y)
{
    float top = -INFINITY, shifted[CHUNK];
    double sum = 0.0;
    for (size_t i = 0; i < k; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t first = 0; first < k; first += CHUNK) {
        const size_t count = k - first < CHUNK ? k - first : CHUNK;
        for (size_t c = 0; c < count; c++)
            shifted[c] = x[first + c] - top;
        exponentials(count, shifted);
        for (size_t c = 0; c < count; c++) {
            sum += (double)shifted[c];
            if (!logarithm)
                y[first + c] = shifted[c];
        }
    }
    sum = logarithm ? log(sum) : 1.0 / sum;
    for (size_t i = 0; i < k; i++)
        y[i] = logarithm ? (float)((double)x[i] - (double)top - sum) : (float)((double)y[i] * sum);
}

void apx_softmax_f32(bool logarithm, size_t outer, size_t k, size_t inner, const float *x, float *y)
{
    for (size_t o = 0; o < outer; o++) {
        const size_t row = o * k * inner;
        if (inner == 1) {
            softmax_row(logarithm, k, x + row, y + row);
            continue;
        }
        for (size_t first = 0; first < inner; first += CHUNK) {
            const size_t count = inner - first < CHUNK ? inner - first : CHUNK;
            softmax_columns(logarithm, k, inner, count, x + row + first, y + row + first);
        }
    }
}
