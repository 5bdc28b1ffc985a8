/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_loop.h - what the files that read Loop nodes share.
 *
 *   onnx_loop.c     the node's interface; its body as nodes of the graph; which way it goes
 *   loop_length.c   numbers known when the file is read, and whether a loop runs to its end
 *   loop_terms.c    what a gate sums up, and activations
 *   loop_cell.c     whether one step is an LSTM, a GRU or a plain recurrent cell
 *   loop_replace.c  the operator in the loop's place
 *   loop_unroll.c   or else the body once for each step */
#ifndef APX_MODEL_ONNX_LOOP_H
#define APX_MODEL_ONNX_LOOP_H

#include "runtime/model/onnx_reader.h"

#define APX_LIMIT_LOOP_NODES  256 /* nodes, and constants, of a body: a cell has 30 */
#define APX_LIMIT_LOOP_HIDDEN (1 << 20)

/* One step of a loop: its body's nodes stand in the graph from `first_node` on, on placeholders for
 * what changes from step to step. */
struct apx_loop_step {
    struct apx_graph *graph;
    int first_node, node_count;
    int index, counter; /* placeholders: iteration number; a counter from 0, -1: none */
};

struct apx_loop {
    struct apx_onnx_reader *reader;
    const struct apx_onnx_scope *scope;
    const Onnx__NodeProto *node;
    const Onnx__GraphProto *body;
    const int *inputs; /* [2 + carried] trip count, condition, first values of what is carried */
    int outputs[APX_LIMIT_NODE_INPUTS]; /* carried, then one per step; -1: not wanted */
    size_t carried, scans;
    int constants[APX_LIMIT_LOOP_NODES]; /* the body's initializers */
    /* Of the step on placeholders: values of the body, the condition first, then what is carried;
     * behind that in `after` the outputs per step. */
    int before[APX_LIMIT_NODE_INPUTS], after[APX_LIMIT_NODE_INPUTS];
    size_t state[2]; /* which of the carried values are neither weights nor the counter */
    size_t state_count;
    struct apx_loop_step step;
};

/* APX_EUNSUPPORTED with the node, the reason and what to do about it. */
enum apx_status apx_loop_refuse(const struct apx_loop *loop, const char *why);
/* The body's nodes with these values for its inputs; `prefix` goes before their names. Fills
 * after[body outputs]. */
enum apx_status apx_loop_convert(struct apx_loop *loop, const char *prefix, int index,
                                 int condition, const int *carried, int *after);
/* A node with one output, a new value if `out` is -1; -1 if the graph could not grow or an input is
 * missing. */
int apx_loop_add_node(struct apx_loop *loop, enum apx_op op, const int *in, int in_count, int out);

/* ---- loop_length.c */
struct apx_loop_number {
    double value;
    enum apx_dtype dtype;
    int rank; /* of the tensor of one element; -1: not followed */
};
/* The number that `v` is whatever the inputs are; false if that cannot be told now. */
bool apx_loop_number(const struct apx_graph *graph, int v, struct apx_loop_number *out);
/* The node that makes `v`; NULL: none. */
const struct apx_node *apx_loop_maker(const struct apx_graph *graph, int v);
/* The loop runs as often as its first input says: every condition compares a counter from 0 with
 * that very number, or with a constant that is not less. */
bool apx_loop_runs_to_end(const struct apx_loop *loop);

/* ---- loop_terms.c */
struct apx_loop_activation {
    const char *name; /* NULL: not found yet */
    float alpha, beta;
    int takes; /* how many of alpha and beta its name does not imply */
};

/* One gate: column `column` on of matrices [.,stride] in constants (NULL: zeros); biases [H] (NULL:
 * zeros), and `bias` for all. */
struct apx_loop_gate {
    const float *kernel, *recurrent, *kernel_bias, *recurrent_bias;
    int64_t kernel_column, kernel_stride, recurrent_column, recurrent_stride;
    float bias;
};

#define APX_LOOP_GATES 4

/* A cell found in a step; gates in ONNX's order: LSTM i, o, f, c; GRU z, r, h. */
struct apx_loop_cell {
    enum apx_op op;         /* APX_OP_LSTM or APX_OP_GRU */
    int sequence;           /* value [T,N,I], of which step t reads [t]; -1: not found yet */
    int64_t inputs, hidden; /* I (0: not found yet), H */
    bool is_reset_after;    /* GRU: linear_before_reset */
    int gate_count, activation_count;
    struct apx_loop_activation activations[3];
    struct apx_loop_gate gates[APX_LOOP_GATES];
};

/* `v` with the copies between it and where it is made taken away. */
int apx_loop_origin(const struct apx_loop_step *step, int v);
bool apx_loop_same(const struct apx_loop_step *step, int a, int b);
/* The step's node that makes `v`, copies skipped, if it is an `op` with `in_count` inputs. */
const struct apx_node *apx_loop_made_by(const struct apx_loop_step *step, int v, enum apx_op op,
                                        int in_count);
/* A float constant of one element. */
bool apx_loop_float(const struct apx_loop_step *step, int v, float *out);
/* `v` as an activation of *input; *out is set, or must be the same if it was set before. With
 * `allows_linear`, what is no activation is Affine with the input `v` itself. */
bool apx_loop_activation(const struct apx_loop_step *step, int v, bool allows_linear,
                         struct apx_loop_activation *out, int *input);

/* What a gate's sum may hold: x K with the step's x, `state` R, biases. */
struct apx_loop_sum {
    const struct apx_loop_step *step;
    struct apx_loop_cell *cell;
    struct apx_loop_gate *gate;
    int state;          /* the value that multiplies R; -1: take what is there (once) */
    bool takes_kernel;  /* else x K is no part of it, and a bias is the recurrent one */
    bool takes_product; /* one product of two values, for the caller to look at */
    int product;        /* it; -1: none */
};
/* Adds `v`, of H columns, to the gate; false if something else is in it. */
bool apx_loop_add_terms(struct apx_loop_sum *sum, int v);

/* ---- loop_cell.c: false if the step is no cell of a form known here. state[count], next[count]:
 * placeholders of the states and their values after the step. *first: which of them is h. */
bool apx_loop_match(const struct apx_loop_step *step, const int *state, const int *next,
                    size_t count, struct apx_loop_cell *cell, size_t *first);

/* ---- loop_replace.c */
enum apx_status apx_loop_replace(struct apx_loop *loop, const struct apx_loop_cell *cell, size_t h);

/* ---- loop_unroll.c */
enum apx_status apx_loop_unroll(struct apx_loop *loop);

#endif
