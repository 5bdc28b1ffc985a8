/* SPDX-License-Identifier: Apache-2.0 */
/* gru_pass.c - one GRU layer through a chunk, and back through time.
 *
 * The reset gate acts after the recurrent product (ONNX linear_before_reset = 1), so that product
 * is one matrix product per step (gates in ONNX order z, r, n): q = h R^T,   n = tanh(a_n + r (q_n
 * + b_r)),   h' = (1 - z) n + z h where a = x W^T + b. Two sequences are kept: `gates` (z, r, n,
 * then the gradients of a) and `inner` (q with q_n + b_r, then the gradients of q), since for n the
 * two gradients differ. */
#include <cblas.h>
#include <string.h>

#include "train/net_passes.h"

void apx_pass_gru_forward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                          const struct apx_net_layer_work *layer, const float *params, size_t n,
                          const float *x)
{
    size_t steps = work->net->desc.steps, hidden = shape->hidden, width = 3 * hidden;
    int in = (int)shape->input, h = (int)hidden, w = (int)width;
    const float *bias_r = params + shape->bias_r;
    apx_pass_bias(steps * n, width, params + shape->bias, layer->gates);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(steps * n), w, in, 1.0f, x, in,
                params + shape->w, in, 1.0f, layer->gates, w);
    memset(layer->h, 0, n * hidden * sizeof *layer->h);
    memset(layer->inner, 0, n * width * sizeof *layer->inner); /* q of the first step */
    for (size_t t = 0; t < steps; t++) {
        float *gates = layer->gates + t * n * width, *inner = layer->inner + t * n * width;
        const float *h_old = layer->h + t * n * hidden;
        float *h_new = layer->h + (t + 1) * n * hidden;
        if (t > 0)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, w, h, 1.0f, h_old, h,
                        params + shape->r, h, 0.0f, inner, w);
        for (size_t row = 0; row < n; row++) {
            float *g = gates + row * width, *q = inner + row * width;
            for (size_t k = 0; k < 2 * hidden; k++)
                g[k] += q[k];
            work->sigmoid(2 * hidden, g, g, 0, 0);
            float *z = g, *r = g + hidden, *a = g + 2 * hidden, *qn = q + 2 * hidden;
            for (size_t k = 0; k < hidden; k++) {
                qn[k] += bias_r[k];
                a[k] += r[k] * qn[k];
            }
            work->tanh(hidden, a, a, 0, 0);
            const float *h0 = h_old + row * hidden;
            float *h1 = h_new + row * hidden;
            for (size_t k = 0; k < hidden; k++)
                h1[k] = (1.0f - z[k]) * a[k] + z[k] * h0[k];
        }
    }
}

/* One row of one step. dh becomes the share of the step before that does not pass through q. */
static void step_back(size_t hidden, float *restrict gates, float *restrict inner,
                      const float *restrict h_old, float *restrict dh)
{
    float *gz = gates, *gr = gates + hidden, *gn = gates + 2 * hidden;
    float *qz = inner, *qr = inner + hidden, *qn = inner + 2 * hidden;
    for (size_t k = 0; k < hidden; k++) {
        float z = gz[k], r = gr[k], a = gn[k], d = dh[k];
        float dn = d * (1.0f - z) * (1.0f - a * a);
        float dz = d * (h_old[k] - a) * z * (1.0f - z);
        float dr = dn * qn[k] * r * (1.0f - r);
        gz[k] = dz;
        gr[k] = dr;
        gn[k] = dn;
        qz[k] = dz;
        qr[k] = dr;
        qn[k] = dn * r;
        dh[k] = d * z;
    }
}

void apx_pass_gru_backward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                           const struct apx_net_layer_work *layer, const float *params, size_t n,
                           const float *x, const float *dy, const float *dlast, float *dx,
                           float *gradient)
{
    size_t steps = work->net->desc.steps, hidden = shape->hidden, width = 3 * hidden;
    int in = (int)shape->input, h = (int)hidden, w = (int)width, rows = (int)n;
    size_t cells = n * hidden;
    float *dh = work->dh;
    if (dy != NULL)
        memcpy(dh, dy + (steps - 1) * cells, cells * sizeof *dh);
    else
        memcpy(dh, dlast, cells * sizeof *dh);
    for (size_t t = steps; t-- > 0;) {
        float *gates = layer->gates + t * n * width, *inner = layer->inner + t * n * width;
        for (size_t row = 0; row < n; row++)
            step_back(hidden, gates + row * width, inner + row * width,
                      layer->h + t * cells + row * hidden, dh + row * hidden);
        if (t == 0)
            break;
        if (dy != NULL) {
            const float *d = dy + (t - 1) * cells;
            for (size_t k = 0; k < cells; k++)
                dh[k] += d[k];
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, h, w, 1.0f, inner, w,
                    params + shape->r, h, 1.0f, dh, h);
    }
    int all = (int)(steps * n);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w, in, all, 1.0f, layer->gates, w, x, in,
                0.0f, gradient + shape->w, in);
    if (steps > 1)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w, h, all - rows, 1.0f,
                    layer->inner + n * width, w, layer->h + cells, h, 0.0f, gradient + shape->r, h);
    else
        memset(gradient + shape->r, 0, width * hidden * sizeof *gradient);
    apx_pass_column_sums(steps * n, width, width, layer->gates, gradient + shape->bias);
    apx_pass_column_sums(steps * n, hidden, width, layer->inner + 2 * hidden,
                         gradient + shape->bias_r);
    if (dx != NULL)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, all, in, w, 1.0f, layer->gates, w,
                    params + shape->w, in, 0.0f, dx, in);
}
