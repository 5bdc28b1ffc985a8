/* SPDX-License-Identifier: Apache-2.0 */
/* net_pass.c - a chunk through the whole network and back.
 *
 * Dropout: one mask per window, layer and unit, the same at every step, so that a unit that is
 * dropped is dropped for the whole window and the recurrence below it still sees a steady input. It
 * acts on what a recurrent layer hands to the next one (or to the head) and on hidden dense layers;
 * what remains is scaled up by 1/(1-rate), so evaluation needs no change. A hidden dense layer
 * keeps its undropped output for the derivative of its activation; the dropped copy shares the
 * buffer when there is no dropout. */
#include <assert.h>
#include <string.h>

#include "train/net_passes.h"
#include "train/random.h"

static void fill_mask(const struct apx_net_dropout *dropout, size_t layer, size_t rows,
                      size_t width, float *mask)
{
    float kept = 1.0f / (1.0f - dropout->rate);
    for (size_t row = 0; row < rows; row++) {
        uint64_t window = apx_random_mix(dropout->epoch) ^ dropout->windows[row];
        for (size_t k = 0; k < width; k++) {
            uint64_t bits = apx_random_bits(dropout->seed, APX_RANDOM_DROPOUT, window,
                                            (uint64_t)layer << 32 | k);
            mask[row * width + k] = apx_random_uniform(bits) < (double)dropout->rate ? 0.0f : kept;
        }
    }
}

static void multiply(size_t count, const float *a, const float *b, float *y)
{
    for (size_t k = 0; k < count; k++)
        y[k] = a[k] * b[k];
}

static const float *rnn_input(const struct apx_net_work *work, size_t layer, size_t rows)
{
    if (layer == 0)
        return work->x;
    const struct apx_net_layer_work *below = &work->rnn[layer - 1];
    return work->dropped ? below->y : below->h + rows * work->net->rnn[layer - 1].hidden;
}

/* What hidden dense layer `index` hands on lies behind its own output when dropped: the mask buffer
 * holds the mask, so the product is formed where it is needed, in `buffer` [n, width]. */
static const float *dense_input(const struct apx_net_work *work, size_t index, size_t rows,
                                float *buffer)
{
    if (index == 0)
        return work->state;
    if (!work->dropped)
        return work->dense[index - 1];
    multiply(rows * work->net->dense[index - 1].output, work->dense[index - 1],
             work->dense_mask[index - 1], buffer);
    return buffer;
}

void apx_net_forward(struct apx_net_work *work, const float *params, size_t rows,
                     const struct apx_net_dropout *dropout)
{
    const struct apx_net *net = work->net;
    size_t steps = net->desc.steps;
    assert(rows >= 1 && rows <= APX_NET_CHUNK);
    work->dropped = dropout != NULL && dropout->rate > 0;
    for (size_t i = 0; i < net->rnn_count; i++) {
        const struct apx_net_rnn *shape = &net->rnn[i];
        const struct apx_net_layer_work *layer = &work->rnn[i];
        const float *x = rnn_input(work, i, rows);
        if (net->desc.cell == APX_NET_LSTM)
            apx_pass_lstm_forward(work, shape, layer, params, rows, x);
        else
            apx_pass_gru_forward(work, shape, layer, params, rows, x);
        size_t cells = rows * shape->hidden;
        if (work->dropped) {
            fill_mask(dropout, i, rows, shape->hidden, layer->mask);
            if (i + 1 < net->rnn_count) {
                for (size_t t = 0; t < steps; t++)
                    multiply(cells, layer->h + (t + 1) * cells, layer->mask, layer->y + t * cells);
            }
        }
    }
    const struct apx_net_layer_work *top = &work->rnn[net->rnn_count - 1];
    size_t cells = rows * net->rnn[net->rnn_count - 1].hidden;
    if (work->dropped)
        multiply(cells, top->h + steps * cells, top->mask, work->state);
    else
        memcpy(work->state, top->h + steps * cells, cells * sizeof *work->state);
    for (size_t i = 0; i < net->dense_count; i++) {
        const float *x = dense_input(work, i, rows, work->dh);
        apx_pass_dense_forward(work, &net->dense[i], params, rows, x, work->dense[i]);
        if (work->dropped && i + 1 < net->dense_count)
            fill_mask(dropout, net->rnn_count + i, rows, net->dense[i].output, work->dense_mask[i]);
    }
    size_t outputs = net->desc.outputs;
    memcpy(work->out, work->dense[net->dense_count - 1], rows * outputs * sizeof *work->out);
    if (net->desc.residual != NULL) {
        size_t features = net->desc.features;
        const float *last = work->x + (steps - 1) * rows * features;
        for (size_t row = 0; row < rows; row++) {
            for (size_t k = 0; k < outputs; k++)
                work->out[row * outputs + k] += last[row * features + net->desc.residual[k]];
        }
    }
}

void apx_net_backward(struct apx_net_work *work, const float *params, size_t rows, float *gradient)
{
    const struct apx_net *net = work->net;
    size_t steps = net->desc.steps;
    /* The head: gradients of a layer's output and input alternate between dseq and dx, which are
     * free until the recurrent layers need them. */
    float *dy = work->dseq, *dx = work->dx;
    memcpy(dy, work->dout, rows * net->desc.outputs * sizeof *dy);
    for (size_t i = net->dense_count; i-- > 0;) {
        const struct apx_net_dense *shape = &net->dense[i];
        if (work->dropped && i + 1 < net->dense_count)
            multiply(rows * shape->output, dy, work->dense_mask[i], dy);
        const float *x = dense_input(work, i, rows, work->dh);
        apx_pass_dense_backward(shape, params, rows, x, work->dense[i], dy, dx, gradient);
        float *swap = dy;
        dy = dx;
        dx = swap;
    }
    size_t top = net->rnn_count - 1;
    if (work->dropped)
        multiply(rows * net->rnn[top].hidden, dy, work->rnn[top].mask, dy);
    for (size_t i = net->rnn_count; i-- > 0;) {
        const struct apx_net_rnn *shape = &net->rnn[i];
        const struct apx_net_layer_work *layer = &work->rnn[i];
        const float *x = rnn_input(work, i, rows);
        const float *sequence = i == top ? NULL : dy, *last = i == top ? dy : NULL;
        float *inputs = i > 0 ? dx : NULL;
        if (net->desc.cell == APX_NET_LSTM)
            apx_pass_lstm_backward(work, shape, layer, params, rows, x, sequence, last, inputs,
                                   gradient);
        else
            apx_pass_gru_backward(work, shape, layer, params, rows, x, sequence, last, inputs,
                                  gradient);
        if (i == 0)
            break;
        if (work->dropped) {
            size_t cells = rows * shape->input;
            for (size_t t = 0; t < steps; t++)
                multiply(cells, dx + t * cells, work->rnn[i - 1].mask, dx + t * cells);
        }
        float *swap = dy;
        dy = dx;
        dx = swap;
    }
}
