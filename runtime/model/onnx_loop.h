/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_loop.h - between onnx_loop.c, which reads Loop nodes, and loop_cell.c, which knows cells. */
#ifndef APX_MODEL_ONNX_LOOP_H
#define APX_MODEL_ONNX_LOOP_H

#include "runtime/model/onnx_reader.h"

/* One step of a loop: its body's nodes stand in the graph from `first_node` on, on placeholders. */
struct apx_loop_step {
    struct apx_graph *graph;
    int first_node, node_count; /* body's nodes */
    int index, counter;         /* placeholders: iteration number; a counter from 0, -1: none */
    int state;                  /* placeholder: the state before the step */
    int next;                   /* value: the state after it */
};

#define APX_LOOP_GATES        3
#define APX_LIMIT_LOOP_HIDDEN (1 << 20)

/* A GRU found in a step, weights in ONNX's order z, r, h. */
struct apx_loop_gru {
    int sequence;                 /* value [T,N,I], of which step t reads [t] */
    int inputs, hidden;           /* I, H */
    bool is_reset_after;          /* linear_before_reset */
    const char *gate, *candidate; /* ONNX names of the activations */
    struct apx_loop_gate {
        /* Column `column` of matrices [.,stride] in constants; bias [H] from there on, or NULL. */
        const float *kernel, *recurrent, *kernel_bias, *recurrent_bias;
        int kernel_column, kernel_stride, recurrent_column, recurrent_stride;
    } gates[APX_LOOP_GATES];
};

/* False if the step is no GRU of a form known here. */
bool apx_loop_match_gru(const struct apx_loop_step *step, struct apx_loop_gru *gru);

/* The body's node that makes value `v`, copies skipped; NULL: none. */
const struct apx_node *apx_loop_maker(const struct apx_loop_step *step, int v);
/* `v` with the copies between it and where it is made taken away. */
int apx_loop_origin(const struct apx_loop_step *step, int v);

#endif
