/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_net.h - a network's weights for engines without a model file of their own.
 *
 * Recurrent layers come first, one direction each, then dense layers on the last hidden state. The
 * order of the numbers is oneDNN's: gates of an LSTM are input, forget, cell, output; of a GRU
 * update, reset, candidate. */
#ifndef APX_BENCH_RNN_NET_H
#define APX_BENCH_RNN_NET_H

#include <stddef.h>

enum net_layer_kind { NET_LSTM, NET_GRU /* reset after */, NET_DENSE };

struct net_layer {
    enum net_layer_kind kind;
    int relu; /* of a dense layer: whether one follows */
    size_t inputs, units;
    const float *w; /* [inputs, gates, units]; dense: [units, inputs] */
    const float *r; /* [units, gates, units] */
    const float
        *bias; /* [gates, units]; of a GRU [4, units]: the candidate's recurrent bias last */
    /* [gates, units]: largest magnitude of the weights w and r that end in a unit. */
    const float *largest;
};

struct net {
    size_t count;
    const struct net_layer *layers;
    int int8; /* recurrent layers in 8-bit integers; inputs are taken to be in [-1, 1] */
};

#endif
