/* SPDX-License-Identifier: Apache-2.0 */
/* dense_pass.c - a dense layer through a chunk and back, and the sums that biases need.
 *
 * The derivative of each activation is written in terms of its output, the only thing kept. */
#include <cblas.h>
#include <string.h>

#include "train/net_passes.h"

void apx_pass_bias(size_t count, size_t width, const float *bias, float *rows)
{
    for (size_t i = 0; i < count; i++)
        memcpy(rows + i * width, bias, width * sizeof *rows);
}

void apx_pass_column_sums(size_t count, size_t width, size_t stride, const float *rows, float *sums)
{
    memset(sums, 0, width * sizeof *sums);
    for (size_t i = 0; i < count; i++) {
        const float *row = rows + i * stride;
        for (size_t k = 0; k < width; k++)
            sums[k] += row[k];
    }
}

void apx_pass_dense_forward(const struct apx_net_work *work, const struct apx_net_dense *shape,
                            const float *params, size_t n, const float *x, float *y)
{
    int in = (int)shape->input, out = (int)shape->output;
    apx_pass_bias(n, shape->output, params + shape->bias, y);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, out, in, 1.0f, x, in,
                params + shape->w, in, 1.0f, y, out);
    size_t count = n * shape->output;
    if (shape->act == APX_ACT_RELU) {
        for (size_t k = 0; k < count; k++)
            y[k] = y[k] > 0 ? y[k] : 0;
    } else if (shape->act == APX_ACT_TANH) {
        work->tanh(count, y, y, 0, 0);
    } else if (shape->act == APX_ACT_SIGMOID) {
        work->sigmoid(count, y, y, 0, 0);
    }
}

void apx_pass_dense_backward(const struct apx_net_dense *shape, const float *params, size_t n,
                             const float *x, const float *y, float *dy, float *dx, float *gradient)
{
    int in = (int)shape->input, out = (int)shape->output;
    size_t count = n * shape->output;
    if (shape->act == APX_ACT_RELU) {
        for (size_t k = 0; k < count; k++)
            dy[k] = y[k] > 0 ? dy[k] : 0;
    } else if (shape->act == APX_ACT_TANH) {
        for (size_t k = 0; k < count; k++)
            dy[k] *= 1.0f - y[k] * y[k];
    } else if (shape->act == APX_ACT_SIGMOID) {
        for (size_t k = 0; k < count; k++)
            dy[k] *= y[k] * (1.0f - y[k]);
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, (int)n, 1.0f, dy, out, x, in,
                0.0f, gradient + shape->w, in);
    apx_pass_column_sums(n, shape->output, shape->output, dy, gradient + shape->bias);
    if (dx != NULL)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, in, out, 1.0f, dy, out,
                    params + shape->w, in, 0.0f, dx, in);
}
