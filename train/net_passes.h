/* SPDX-License-Identifier: Apache-2.0 */
/* net_passes.h - forward and backward passes of single layers, for net_pass.c.
 *
 * T steps, n rows, I inputs, H units. Sequences are time-major [T, n, width], so that all steps of
 * a chunk are one matrix for the products that need no recurrence. */
#ifndef APX_TRAIN_NET_PASSES_H
#define APX_TRAIN_NET_PASSES_H

#include "train/net.h"

/* x: [T, n, I]. Fills gates, inner, h and (LSTM) c of `layer`. */
void apx_pass_lstm_forward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                           const struct apx_net_layer_work *layer, const float *params, size_t n,
                           const float *x);
void apx_pass_gru_forward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                          const struct apx_net_layer_work *layer, const float *params, size_t n,
                          const float *x);

/* dy: [T, n, H] gradient of the outputs, or NULL where only the last state has one: dlast [n, H].
 * Writes the layer's share of `gradient`; dx [T, n, I] unless NULL. Consumes the layer's gates and
 * inner, and work->dh, work->dc. */
void apx_pass_lstm_backward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                            const struct apx_net_layer_work *layer, const float *params, size_t n,
                            const float *x, const float *dy, const float *dlast, float *dx,
                            float *gradient);
void apx_pass_gru_backward(const struct apx_net_work *work, const struct apx_net_rnn *shape,
                           const struct apx_net_layer_work *layer, const float *params, size_t n,
                           const float *x, const float *dy, const float *dlast, float *dx,
                           float *gradient);

/* x: [n, I], y: [n, O] = act(x W^T + b). */
void apx_pass_dense_forward(const struct apx_net_work *work, const struct apx_net_dense *shape,
                            const float *params, size_t n, const float *x, float *y);
/* y: the layer's output. dy: [n, O], becomes the gradient before the activation. dx [n, I] or NULL.
 */
void apx_pass_dense_backward(const struct apx_net_dense *shape, const float *params, size_t n,
                             const float *x, const float *y, float *dy, float *dx, float *gradient);

/* rows [count, width] all become `bias` [width]. */
void apx_pass_bias(size_t count, size_t width, const float *bias, float *rows);
/* sums[width] = columns of rows [count, width], the first `width` of each `stride`, top to bottom.
 */
void apx_pass_column_sums(size_t count, size_t width, size_t stride, const float *rows,
                          float *sums);

#endif
