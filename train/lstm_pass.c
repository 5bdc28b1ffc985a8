/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_pass.c - one LSTM layer through a chunk, and back through time.
 *
 * Forward, per step (gates in ONNX order i, o, f, g):
 *     c' = f c + i g,   h' = o tanh(c')
 * The products with the inputs are one matrix product for all steps; only h R^T is done step by
 * step. Backward walks the steps from the last to the first, turns the stored gates into gradients
 * of their arguments in place, and then gets dW, dR and dx each from one product over all steps. */
#include <cblas.h>
#include <string.h>

#include "train/net_passes.h"

void apx_pass_lstm_forward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                           const struct apx_net_layer_work *layer, const float *params, size_t n,
                           const float *x)
{
    size_t steps = work->net->desc.steps, hidden = shape->hidden, width = 4 * hidden;
    int in = (int)shape->input, h = (int)hidden, w = (int)width, rows = (int)n;
    apx_pass_bias(steps * n, width, params + shape->bias, layer->gates);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(steps * n), w, in, 1.0f, x, in,
                params + shape->w, in, 1.0f, layer->gates, w);
    memset(layer->h, 0, n * hidden * sizeof *layer->h);
    memset(layer->c, 0, n * hidden * sizeof *layer->c);
    for (size_t t = 0; t < steps; t++) {
        float *gates = layer->gates + t * n * width;
        const float *h_old = layer->h + t * n * hidden, *c_old = layer->c + t * n * hidden;
        float *h_new = layer->h + (t + 1) * n * hidden, *c_new = layer->c + (t + 1) * n * hidden;
        float *tanh_c = layer->inner + t * n * hidden;
        if (t > 0)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, w, h, 1.0f, h_old, h,
                        params + shape->r, h, 1.0f, gates, w);
        for (size_t row = 0; row < n; row++) {
            float *g = gates + row * width;
            work->sigmoid(3 * hidden, g, g, 0, 0);
            work->tanh(hidden, g + 3 * hidden, g + 3 * hidden, 0, 0);
            const float *c0 = c_old + row * hidden;
            float *c1 = c_new + row * hidden;
            for (size_t k = 0; k < hidden; k++)
                c1[k] = g[2 * hidden + k] * c0[k] + g[k] * g[3 * hidden + k];
        }
        work->tanh(n * hidden, c_new, tanh_c, 0, 0);
        for (size_t row = 0; row < n; row++) {
            const float *o = gates + row * width + hidden, *tc = tanh_c + row * hidden;
            float *h1 = h_new + row * hidden;
            for (size_t k = 0; k < hidden; k++)
                h1[k] = o[k] * tc[k];
        }
    }
}

/* One row of one step: gates become gradients of their arguments, dc that of the step before. */
static void step_back(size_t hidden, float *restrict gates, const float *restrict tanh_c,
                      const float *restrict c_old, const float *restrict dh, float *restrict dc)
{
    float *gi = gates, *go = gates + hidden, *gf = gates + 2 * hidden, *gg = gates + 3 * hidden;
    for (size_t k = 0; k < hidden; k++) {
        float i = gi[k], o = go[k], f = gf[k], g = gg[k], tc = tanh_c[k];
        float d = dc[k] + dh[k] * o * (1.0f - tc * tc);
        gi[k] = d * g * i * (1.0f - i);
        go[k] = dh[k] * tc * o * (1.0f - o);
        gf[k] = d * c_old[k] * f * (1.0f - f);
        gg[k] = d * i * (1.0f - g * g);
        dc[k] = d * f;
    }
}

void apx_pass_lstm_backward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                            const struct apx_net_layer_work *layer, const float *params, size_t n,
                            const float *x, const float *dy, const float *dlast, float *dx,
                            float *gradient)
{
    size_t steps = work->net->desc.steps, hidden = shape->hidden, width = 4 * hidden;
    int in = (int)shape->input, h = (int)hidden, w = (int)width, rows = (int)n;
    size_t cells = n * hidden;
    float *dh = work->dh, *dc = work->dc;
    memset(dc, 0, cells * sizeof *dc);
    if (dy != NULL)
        memcpy(dh, dy + (steps - 1) * cells, cells * sizeof *dh);
    else
        memcpy(dh, dlast, cells * sizeof *dh);
    for (size_t t = steps; t-- > 0;) {
        float *gates = layer->gates + t * n * width;
        for (size_t row = 0; row < n; row++)
            step_back(hidden, gates + row * width, layer->inner + t * cells + row * hidden,
                      layer->c + t * cells + row * hidden, dh + row * hidden, dc + row * hidden);
        if (t == 0)
            break;
        float keep = 0.0f;
        if (dy != NULL) {
            memcpy(dh, dy + (t - 1) * cells, cells * sizeof *dh);
            keep = 1.0f;
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, h, w, 1.0f, gates, w,
                    params + shape->r, h, keep, dh, h);
    }
    int all = (int)(steps * n);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w, in, all, 1.0f, layer->gates, w, x, in,
                0.0f, gradient + shape->w, in);
    if (steps > 1)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w, h, all - rows, 1.0f,
                    layer->gates + n * width, w, layer->h + cells, h, 0.0f, gradient + shape->r, h);
    else
        memset(gradient + shape->r, 0, width * hidden * sizeof *gradient);
    apx_pass_column_sums(steps * n, width, width, layer->gates, gradient + shape->bias);
    if (dx != NULL)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, all, in, w, 1.0f, layer->gates, w,
                    params + shape->w, in, 0.0f, dx, in);
}
