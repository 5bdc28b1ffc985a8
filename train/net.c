/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - where each parameter lies and what it starts from.
 *
 * Orthogonal recurrent matrices keep the length of a state through many steps, Glorot's bound keeps
 * the variance of what the inputs add, and a forget gate that starts open lets early gradients
 * reach far back. All draws are keyed by the parameter's place, so a layer's start does not depend
 * on what was drawn before it. */
#include "train/net.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "train/random.h"

static size_t take(size_t *offset, size_t count)
{
    size_t here = *offset;
    *offset += count;
    return here;
}

enum apx_status apx_net_init(struct apx_net *net, const struct apx_net_desc *desc,
                             struct apx_error *error)
{
    assert(desc->steps > 0 && desc->features > 0 && desc->outputs > 0);
    assert(desc->layer_count >= 1 && desc->layer_count <= APX_NET_LAYERS);
    assert(desc->dense_count <= APX_NET_LAYERS);
    *net = (struct apx_net){.desc = *desc};
    if (desc->residual != NULL) {
        net->residual = malloc(desc->outputs * sizeof *net->residual);
        if (net->residual == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        memcpy(net->residual, desc->residual, desc->outputs * sizeof *net->residual);
    }
    net->desc.residual = net->residual;
    net->rnn_count = desc->layer_count;
    net->dense_count = desc->dense_count + 1;
    net->widest = desc->features;

    size_t input = desc->features, offset = 0;
    for (size_t i = 0; i < net->rnn_count; i++) {
        struct apx_net_rnn *layer = &net->rnn[i];
        layer->input = input;
        layer->hidden = desc->layers[i];
        layer->gates = desc->cell == APX_NET_LSTM ? 4 : 3;
        layer->w = take(&offset, layer->gates * layer->hidden * input);
        layer->r = take(&offset, layer->gates * layer->hidden * layer->hidden);
        input = layer->hidden;
        net->widest = input > net->widest ? input : net->widest;
    }
    for (size_t i = 0; i < net->dense_count; i++) {
        struct apx_net_dense *layer = &net->dense[i];
        bool last = i + 1 == net->dense_count;
        layer->input = input;
        layer->output = last ? desc->outputs : desc->dense[i];
        layer->act = last ? APX_ACT_NONE : desc->dense_act;
        layer->w = take(&offset, layer->output * input);
        input = layer->output;
        net->widest = input > net->widest ? input : net->widest;
    }
    net->weights = offset;
    for (size_t i = 0; i < net->rnn_count; i++) {
        struct apx_net_rnn *layer = &net->rnn[i];
        layer->bias = take(&offset, layer->gates * layer->hidden);
        if (desc->cell == APX_NET_GRU)
            layer->bias_r = take(&offset, layer->hidden);
    }
    for (size_t i = 0; i < net->dense_count; i++)
        net->dense[i].bias = take(&offset, net->dense[i].output);
    net->parameters = offset;
    return APX_OK;
}

void apx_net_fini(struct apx_net *net)
{
    free(net->residual);
    net->residual = NULL;
}

static void glorot(uint64_t seed, size_t offset, size_t outputs, size_t inputs, float *params)
{
    double bound = sqrt(6.0 / (double)(inputs + outputs));
    for (size_t k = 0; k < outputs * inputs; k++) {
        uint64_t bits = apx_random_bits(seed, APX_RANDOM_WEIGHTS, offset + k, 0);
        params[offset + k] = (float)(bound * (2.0 * apx_random_uniform(bits) - 1.0));
    }
}

/* Rows of a square normal matrix made orthonormal one after another; each is projected twice, since
 * one projection loses orthogonality when little of a row is left. rows: [size, size] scratch. */
static void orthogonal(uint64_t seed, size_t offset, size_t size, double *rows, float *params)
{
    for (size_t i = 0; i < size; i++) {
        double *row = rows + i * size;
        for (size_t k = 0; k < size; k++) {
            size_t place = offset + i * size + k;
            row[k] = apx_random_normal(apx_random_bits(seed, APX_RANDOM_WEIGHTS, place, 0),
                                       apx_random_bits(seed, APX_RANDOM_WEIGHTS, place, 1));
        }
        for (int pass = 0; pass < 2; pass++) {
            for (size_t j = 0; j < i; j++) {
                const double *other = rows + j * size;
                double dot = 0;
                for (size_t k = 0; k < size; k++)
                    dot += row[k] * other[k];
                for (size_t k = 0; k < size; k++)
                    row[k] -= dot * other[k];
            }
        }
        double norm = 0;
        for (size_t k = 0; k < size; k++)
            norm += row[k] * row[k];
        norm = norm > 0 ? 1.0 / sqrt(norm) : 0;
        for (size_t k = 0; k < size; k++)
            params[offset + i * size + k] = (float)(row[k] *= norm);
    }
}

enum apx_status apx_net_start(const struct apx_net *net, uint64_t seed, float *params,
                              struct apx_error *error)
{
    size_t widest = 0;
    for (size_t i = 0; i < net->rnn_count; i++)
        widest = net->rnn[i].hidden > widest ? net->rnn[i].hidden : widest;
    double *rows = malloc(widest * widest * sizeof *rows);
    if (rows == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    memset(params, 0, net->parameters * sizeof *params);
    for (size_t i = 0; i < net->rnn_count; i++) {
        const struct apx_net_rnn *layer = &net->rnn[i];
        size_t hidden = layer->hidden;
        for (size_t gate = 0; gate < layer->gates; gate++) {
            glorot(seed, layer->w + gate * hidden * layer->input, hidden, layer->input, params);
            orthogonal(seed, layer->r + gate * hidden * hidden, hidden, rows, params);
        }
        if (net->desc.cell == APX_NET_LSTM) {
            for (size_t k = 0; k < hidden; k++)
                params[layer->bias + 2 * hidden + k] = 1.0f;
        }
    }
    for (size_t i = 0; i < net->dense_count; i++) {
        const struct apx_net_dense *layer = &net->dense[i];
        glorot(seed, layer->w, layer->output, layer->input, params);
    }
    free(rows);
    return APX_OK;
}

/* One allocation, cut twice over: the first walk (base NULL) only counts. */
static float *carve(float *base, size_t *offset, size_t count)
{
    size_t here = *offset;
    *offset += (count + 15) / 16 * 16; /* whole cache lines */
    return base != NULL ? base + here : NULL;
}

static size_t lay_out(struct apx_net_work *work, const struct apx_net *net, float *base)
{
    size_t n = APX_NET_CHUNK, steps = net->desc.steps, offset = 0;
    bool lstm = net->desc.cell == APX_NET_LSTM;
    work->x = carve(base, &offset, steps * n * net->desc.features);
    work->out = carve(base, &offset, n * net->desc.outputs);
    work->dout = carve(base, &offset, n * net->desc.outputs);
    for (size_t i = 0; i < net->rnn_count; i++) {
        struct apx_net_layer_work *layer = &work->rnn[i];
        size_t hidden = net->rnn[i].hidden;
        layer->gates = carve(base, &offset, steps * n * net->rnn[i].gates * hidden);
        layer->inner = carve(base, &offset, steps * n * hidden * (lstm ? 1 : 3));
        layer->h = carve(base, &offset, (steps + 1) * n * hidden);
        layer->c = lstm ? carve(base, &offset, (steps + 1) * n * hidden) : NULL;
        layer->mask = carve(base, &offset, n * hidden);
        layer->y = carve(base, &offset, steps * n * hidden);
    }
    work->state = carve(base, &offset, n * net->rnn[net->rnn_count - 1].hidden);
    for (size_t i = 0; i < net->dense_count; i++) {
        work->dense[i] = carve(base, &offset, n * net->dense[i].output);
        work->dense_mask[i] = carve(base, &offset, n * net->dense[i].output);
    }
    work->dseq = carve(base, &offset, steps * n * net->widest);
    work->dx = carve(base, &offset, steps * n * net->widest);
    work->dh = carve(base, &offset, n * net->widest);
    work->dc = carve(base, &offset, n * net->widest);
    return offset;
}

enum apx_status apx_net_work_init(struct apx_net_work *work, const struct apx_net *net,
                                  struct apx_error *error)
{
    *work = (struct apx_net_work){.net = net};
    size_t count = lay_out(work, net, NULL);
    work->memory = apx_alloc(apx_allocator_default(), count, sizeof(float));
    if (work->memory == NULL)
        return apx_fail(error, APX_ENOMEM, "",
                        "out of memory: one thread needs %zu MiB for %d windows of %zu steps",
                        count * sizeof(float) >> 20, APX_NET_CHUNK, net->desc.steps);
    lay_out(work, net, work->memory);
    work->sigmoid = apx_unary_select(net->desc.caps, APX_UNARY_SIGMOID, NULL);
    work->tanh = apx_unary_select(net->desc.caps, APX_UNARY_TANH, NULL);
    return APX_OK;
}

void apx_net_work_fini(struct apx_net_work *work)
{
    apx_release(apx_allocator_default(), work->memory);
    work->memory = NULL;
}
