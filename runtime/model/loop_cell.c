/* SPDX-License-Identifier: Apache-2.0 */
/* loop_cell.c - recognise a recurrent cell in the body of a loop.
 *
 * With x the step's input, h and c the states, K and R the weights with all gates side by side,
 * s and t activations, and biases wherever they are added:
 *
 *   LSTM    i, f, o = s(x K + h R)      g = t(x K + h R)      c' = f * c + i * g    h' = o * u(c')
 *   GRU, reset after     z, r = s(x K + h R)      n = t(x K + r * (h R))
 *   GRU, reset before    z, r = s(x K + h R)      n = t(x K + (r * h) R)
 *                                                 h' = z * h + (1 - z) * n
 *   plain   h' = t(x K + h R)
 *
 * Expressions are followed backwards from the next states; sums and products match either way
 * round. A plain cell is a GRU that forgets all (z = 0, r = 1), to the last bit. */
#include "runtime/model/onnx_loop.h"

#include <string.h>

struct match {
    const struct apx_loop_step *step;
    struct apx_loop_cell *cell;
    int h, c, h_next, c_next; /* c: LSTM */
};

enum { GATES, CANDIDATE, OUTPUT }; /* a cell's activations */
enum { LSTM_I, LSTM_O, LSTM_F, LSTM_C };
enum { GRU_Z, GRU_R, GRU_H };

/* A gate activation(x K + h R + biases). */
static bool match_gate(const struct match *match, int v, int gate, int activation)
{
    int input;
    struct apx_loop_cell *cell = match->cell;
    struct apx_loop_sum sum = {.step = match->step,
                               .cell = cell,
                               .gate = &cell->gates[gate],
                               .state = match->h,
                               .takes_kernel = true,
                               .product = -1};
    cell->gates[gate] = (struct apx_loop_gate){.bias = 0.0f};
    return apx_loop_activation(match->step, v, activation == CANDIDATE,
                               &cell->activations[activation], &input) &&
           apx_loop_add_terms(&sum, input) && sum.gate->kernel != NULL &&
           sum.gate->recurrent != NULL;
}

/* ---- LSTM */

/* One of the ways round; bits of `way` turn the two factors or summands. */
static bool try_lstm(const struct match *match, int way)
{
    const struct apx_loop_step *step = match->step;
    struct apx_loop_cell *cell = match->cell;
    const struct apx_node *out = apx_loop_made_by(step, match->h_next, APX_OP_MUL, 2);
    const struct apx_node *sum = apx_loop_made_by(step, match->c_next, APX_OP_ADD, 2);
    if (out == NULL || sum == NULL)
        return false;
    int first = way & 1, second = way >> 1 & 1, third = way >> 2 & 1, fourth = way >> 3 & 1, of;
    const struct apx_node *kept = apx_loop_made_by(step, sum->in[second], APX_OP_MUL, 2);
    const struct apx_node *added = apx_loop_made_by(step, sum->in[1 - second], APX_OP_MUL, 2);
    return kept != NULL && added != NULL &&
           apx_loop_activation(step, out->in[1 - first], true, &cell->activations[OUTPUT], &of) &&
           apx_loop_same(step, of, match->c_next) &&
           apx_loop_same(step, kept->in[1 - third], match->c) &&
           match_gate(match, out->in[first], LSTM_O, GATES) &&
           match_gate(match, kept->in[third], LSTM_F, GATES) &&
           match_gate(match, added->in[fourth], LSTM_I, GATES) &&
           match_gate(match, added->in[1 - fourth], LSTM_C, CANDIDATE);
}

/* ---- GRU */

/* The product in the candidate: r * (h R + biases). */
static bool match_reset_after(const struct match *match, int v)
{
    const struct apx_node *product = apx_loop_made_by(match->step, v, APX_OP_MUL, 2);
    struct apx_loop_gate *gate = &match->cell->gates[GRU_H];
    for (int i = 0; product != NULL && i < 2; i++) {
        struct apx_loop_sum sum = {.step = match->step,
                                   .cell = match->cell,
                                   .gate = gate,
                                   .state = match->h,
                                   .product = -1};
        gate->recurrent = NULL;
        gate->recurrent_bias = NULL;
        if (match_gate(match, product->in[i], GRU_R, GATES) &&
            apx_loop_add_terms(&sum, product->in[1 - i]) && gate->recurrent != NULL)
            return true;
    }
    return false;
}

/* The candidate multiplied R with this: r * h. */
static bool match_reset_before(const struct match *match, int v)
{
    const struct apx_node *product = apx_loop_made_by(match->step, v, APX_OP_MUL, 2);
    for (int i = 0; product != NULL && i < 2; i++)
        if (apx_loop_same(match->step, product->in[i], match->h) &&
            match_gate(match, product->in[1 - i], GRU_R, GATES))
            return true;
    return false;
}

static bool match_candidate(const struct match *match, int v)
{
    struct apx_loop_cell *cell = match->cell;
    struct apx_loop_gate *gate = &cell->gates[GRU_H];
    struct apx_loop_sum sum = {.step = match->step,
                               .cell = cell,
                               .gate = gate,
                               .state = -1,
                               .takes_kernel = true,
                               .takes_product = true,
                               .product = -1};
    int input;
    if (!apx_loop_activation(match->step, v, true, &cell->activations[CANDIDATE], &input) ||
        !apx_loop_add_terms(&sum, input) || gate->kernel == NULL)
        return false;
    cell->is_reset_after = sum.product >= 0;
    if (!cell->is_reset_after)
        return gate->recurrent != NULL && match_reset_before(match, sum.state);
    /* A second bias would have to be added ahead of the reset. */
    return gate->recurrent == NULL && gate->recurrent_bias == NULL &&
           match_reset_after(match, sum.product);
}

/* (1 - z) * n: z must be the given value; the candidate comes out. */
static bool find_candidate(const struct match *match, int v, int z, int *candidate)
{
    const struct apx_node *product = apx_loop_made_by(match->step, v, APX_OP_MUL, 2);
    for (int i = 0; product != NULL && i < 2; i++) {
        const struct apx_node *rest = apx_loop_made_by(match->step, product->in[i], APX_OP_SUB, 2);
        float one;
        *candidate = product->in[1 - i];
        if (rest != NULL && apx_loop_float(match->step, rest->in[0], &one) && one == 1.0f &&
            apx_loop_same(match->step, rest->in[1], z))
            return true;
    }
    return false;
}

static bool try_gru(const struct match *match, int way)
{
    const struct apx_loop_step *step = match->step;
    const struct apx_node *sum = apx_loop_made_by(step, match->h_next, APX_OP_ADD, 2);
    int first = way & 1, second = way >> 1 & 1, candidate;
    const struct apx_node *kept =
        sum == NULL ? NULL : apx_loop_made_by(step, sum->in[first], APX_OP_MUL, 2);
    return kept != NULL && apx_loop_same(step, kept->in[1 - second], match->h) &&
           find_candidate(match, sum->in[1 - first], kept->in[second], &candidate) &&
           match_gate(match, kept->in[second], GRU_Z, GATES) && match_candidate(match, candidate);
}

/* ---- a plain cell */

static bool try_plain(const struct match *match)
{
    struct apx_loop_cell *cell = match->cell;
    if (!match_gate(match, match->h_next, GRU_H, CANDIDATE))
        return false;
    cell->activations[GATES] =
        (struct apx_loop_activation){.name = "Affine", .alpha = 1.0f, .takes = 2};
    cell->gates[GRU_Z] = (struct apx_loop_gate){.bias = 0.0f};
    cell->gates[GRU_R] = (struct apx_loop_gate){.bias = 1.0f};
    cell->is_reset_after = true;
    return true;
}

/* The state's width: the rows of the matrix that multiplies it. With reset before, another matrix
 * of as many rows multiplies what became of it. */
static int64_t find_hidden(const struct apx_loop_step *step, int h)
{
    for (int n = step->first_node; n < step->first_node + step->node_count; n++) {
        const struct apx_node *node = &step->graph->nodes[n];
        int64_t rows;
        if (node->op != APX_OP_MATMUL || node->in_count != 2 ||
            apx_loop_origin(step, node->in[0]) != h)
            continue;
        int weight = apx_loop_origin(step, node->in[1]);
        const struct apx_node *cut = apx_loop_maker(step->graph, weight);
        if (cut != NULL && (cut->op == APX_OP_SLICE || cut->op == APX_OP_SPLIT))
            weight = apx_loop_origin(step, cut->in[0]);
        const struct apx_value *value = weight < 0 ? NULL : &step->graph->values[weight];
        if (value != NULL && value->data != NULL && value->rank == 2 &&
            apx_dim_is_constant(&value->dims[0], &rows) && rows > 0 &&
            rows <= APX_LIMIT_LOOP_HIDDEN)
            return rows;
    }
    return 0;
}

static void start(const struct match *match, enum apx_op op, int64_t hidden)
{
    *match->cell = (struct apx_loop_cell){.op = op,
                                          .sequence = -1,
                                          .hidden = hidden,
                                          .gate_count = op == APX_OP_LSTM ? 4 : 3,
                                          .activation_count = op == APX_OP_LSTM ? 3 : 2};
}

bool apx_loop_match(const struct apx_loop_step *step, const int *state, const int *next,
                    size_t count, struct apx_loop_cell *cell, size_t *first)
{
    for (size_t i = 0; i < count; i++) {
        struct match match = {.step = step, .cell = cell, .h = state[i], .h_next = next[i]};
        int64_t hidden = find_hidden(step, state[i]);
        *first = i;
        if (hidden == 0)
            continue;
        if (count == 2) {
            match.c = state[1 - i];
            match.c_next = next[1 - i];
            for (int way = 0; way < 16; way++) {
                start(&match, APX_OP_LSTM, hidden);
                if (try_lstm(&match, way))
                    return true;
            }
            continue;
        }
        for (int way = 0; way < 4; way++) {
            start(&match, APX_OP_GRU, hidden);
            if (try_gru(&match, way))
                return true;
        }
        start(&match, APX_OP_GRU, hidden);
        if (try_plain(&match))
            return true;
    }
    return false;
}
