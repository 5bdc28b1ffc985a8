/* SPDX-License-Identifier: Apache-2.0 */
/* peers.h - one engine with one model, called through its C entry point again and again.
 *
 * A peer's calls are prepared once: call k predicts the rows [k * rows, (k + 1) * rows) of the
 * table, so what an interface wants spelled out for each pointer (a JSON text, a tensor object) is
 * no part of the time. Rows are float32 but for the engines whose entry point takes doubles only.
 * What a model predicts for a row are the last columns of the output that was asked for: of trees
 * one, of networks all. */
#ifndef APX_BENCH_PEERS_H
#define APX_BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net; /* bench/peers/rnn_net.h */

struct peer_request {
    const char *engine;
    const char *library; /* what to dlopen; NULL for engines that need none */
    const char *model;   /* path of the model file; NULL for compiled models */
    const char *output;  /* of models with named outputs: the one to compute */
    const char *isa;     /* of Auspex: a limit to the instruction set, or NULL */
    void (*entry)(void); /* of compiled models: the function */
    const struct net
        *net;     /* of engines without a model file: the weights, the caller's, else NULL */
    size_t steps; /* a row is [steps, features]; 0: [features] */
    size_t features;
    size_t outputs; /* predictions for a row */
    int threads;
    /* Of models whose second input says how many steps of a row count: of as many rows as are
     * prepared, the caller's; else NULL. */
    const int32_t *lengths;
};

struct peer {
    const struct peer_engine *engine;
    void *library;
    void *state; /* the engine's own */
    size_t steps, features, outputs, rows, calls;
    const void *x;          /* [calls * rows, features], or [calls * rows, steps, features] */
    const int32_t *lengths; /* [calls * rows], or NULL */
    int threads;
    /* The newest call's output, [rows, columns]. */
    const void *result;
    size_t columns;
    bool result_is_double;
    char message[512]; /* why the newest function failed */
};

struct peer_engine {
    const char *name;
    bool (*open)(struct peer *peer, const struct peer_request *request);
    bool (*prepare)(struct peer *peer); /* x, rows and calls are set; may be called again */
    bool (*call)(struct peer *peer, size_t index);
    void (*close)(struct peer *peer); /* also after a failed open */
};

extern const struct peer_engine peer_auspex, peer_onnxruntime, peer_onednn, peer_peak, peer_xgboost,
    peer_lightgbm, peer_treelite_float, peer_treelite_double, peer_lleaves;

/* Address of a symbol of peer->library into *function; false with a message without it. */
bool peer_find(struct peer *peer, const char *symbol, void *function);
/* Sets the message; always false. */
bool peer_fail(struct peer *peer, const char *what, const char *detail);
/* Numbers of a row of x. */
size_t peer_row_size(const struct peer *peer);

#endif
