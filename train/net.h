/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - the network that is trained: LSTM or GRU layers, dense layers on the last state.
 *
 * All parameters lie in one float vector: first every weight matrix, then every bias, so that one
 * index separates what L2 acts on from what it does not. Matrices are [outputs, inputs] row-major;
 * gate blocks are in ONNX's order (LSTM i,o,f,c; GRU z,r,h with the reset gate applied after the
 * product: linear_before_reset = 1).
 *
 * A pass works on a chunk of at most APX_NET_CHUNK windows, all steps, with buffers of a workspace
 * that one thread owns. The result for a chunk does not depend on the thread or on other chunks. */
#ifndef APX_TRAIN_NET_H
#define APX_TRAIN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "runtime/auspex.h"

#define APX_NET_LAYERS 8  /* recurrent layers at most; hidden dense layers at most */
#define APX_NET_CHUNK  32 /* windows; part of what defines the bits of a result */

enum apx_net_cell { APX_NET_LSTM, APX_NET_GRU };

struct apx_net_desc {
    enum apx_net_cell cell;
    size_t steps, features, outputs;
    size_t layer_count, layers[APX_NET_LAYERS]; /* widths of the recurrent layers, at least one */
    size_t dense_count, dense[APX_NET_LAYERS];  /* widths of the hidden dense layers */
    enum apx_act dense_act;                     /* NONE, RELU, TANH or SIGMOID */
    uint32_t caps; /* instruction sets to use (kernels.h); all give the same bits; 0: scalar */
    const size_t *residual; /* [outputs] feature whose last value is added to the output; or NULL.
                               Copied. */
};

/* Offsets into the parameter vector. */
struct apx_net_rnn {
    size_t input, hidden, gates; /* gates: 4 or 3 */
    size_t w, r;                 /* [gates*hidden, input], [gates*hidden, hidden] */
    size_t bias;                 /* [gates*hidden] */
    size_t bias_r;               /* GRU: [hidden], inside the reset gate; LSTM: not there */
};
struct apx_net_dense {
    size_t input, output, w, bias;
    enum apx_act act;
};

struct apx_net {
    struct apx_net_desc desc;
    size_t *residual; /* owned */
    size_t rnn_count, dense_count;
    struct apx_net_rnn rnn[APX_NET_LAYERS];
    struct apx_net_dense dense[APX_NET_LAYERS + 1];
    size_t parameters, weights; /* parameters[0 .. weights) are weights, the rest biases */
    size_t widest;              /* of all inputs and layers */
};

/* APX_ENOMEM. The description must be valid (asserted). */
enum apx_status apx_net_init(struct apx_net *net, const struct apx_net_desc *desc,
                             struct apx_error *error);
void apx_net_fini(struct apx_net *net);
/* Glorot-uniform input weights, orthogonal recurrent weights per gate, zero biases but 1 for the
 * LSTM's forget gate. params: [net->parameters]. APX_ENOMEM */
enum apx_status apx_net_start(const struct apx_net *net, uint64_t seed, float *params,
                              struct apx_error *error);

/* Which outputs of a layer are dropped: a function of seed, epoch, window, layer and unit alone. */
struct apx_net_dropout {
    float rate; /* 0 <= rate < 1 */
    uint64_t seed, epoch;
    const size_t *windows; /* [rows] their numbers */
};

struct apx_net_layer_work {
    float *gates; /* [T, n, G*H]: activated gates, then their gradients */
    float *inner; /* LSTM: tanh(c) [T, n, H]; GRU: the recurrent product [T, n, 3H] */
    float *h;     /* [T+1, n, H], h[0] = 0 */
    float *c;     /* LSTM: [T+1, n, H] */
    float *mask;  /* [n, H], 0 or 1/(1-rate) */
    float *y;     /* h[1..T] times mask, what the next layer reads [T, n, H] */
};

struct apx_net_work {
    const struct apx_net *net;
    apx_unary_fn sigmoid, tanh;
    float *x;    /* [T, n, features], filled in by the caller */
    float *out;  /* [n, outputs], by apx_net_forward */
    float *dout; /* [n, outputs], filled in by the caller before apx_net_backward */
    struct apx_net_layer_work rnn[APX_NET_LAYERS];
    float *state;                          /* [n, H of the last layer], what the head reads */
    float *dense[APX_NET_LAYERS + 1];      /* [n, output] activated */
    float *dense_mask[APX_NET_LAYERS + 1]; /* hidden dense layers: [n, output] */
    float *dseq;                           /* [T, n, widest] gradient of a layer's outputs */
    float *dx;                             /* [T, n, widest] gradient of a layer's inputs */
    float *dh, *dc;                        /* [n, widest] */
    bool dropped;                          /* masks are in force */
    void *memory;
};

/* APX_ENOMEM */
enum apx_status apx_net_work_init(struct apx_net_work *work, const struct apx_net *net,
                                  struct apx_error *error);
void apx_net_work_fini(struct apx_net_work *work);

/* rows in 1..APX_NET_CHUNK. dropout NULL: none (evaluation). */
void apx_net_forward(struct apx_net_work *work, const float *params, size_t rows,
                     const struct apx_net_dropout *dropout);
/* After apx_net_forward with the same params and rows: gradient[net->parameters] is overwritten
 * with the derivative of sum(dout * out). */
void apx_net_backward(struct apx_net_work *work, const float *params, size_t rows, float *gradient);

#endif
