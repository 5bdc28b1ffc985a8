/* SPDX-License-Identifier: Apache-2.0 */
/* loop_cell.c - recognise a GRU in the body of a loop.
 *
 * Keras writes its GRU as a loop over steps of small operators, in two forms (x = step's input, h =
 * state, K and R the weights, all gates side by side):
 *
 *   reset after    z, r = s(x K + b + h R + c)      n = t(x K + b + r * (h R + c))
 *   reset before   z, r = s(x K + b + h R)          n = t(x K + b + (r * h) R)
 *   both           next = z * h + (1 - z) * n
 *
 * The expression is followed backwards from the next state. Sums and products match either way
 * round, and columns are cut with Split or Slice; whatever does not fit ends the match. Weights
 * must be constants, so that their columns can be read at once. */
#include "runtime/model/onnx_loop.h"

#include <string.h>

int apx_loop_origin(const struct apx_loop_step *step, int v)
{
    /* A chain of copies is no longer than the body; a damaged file may make it a circle. */
    for (int hop = 0; hop < step->node_count; hop++) {
        int from = -1;
        for (int n = step->first_node; n < step->first_node + step->node_count; n++) {
            const struct apx_node *node = &step->graph->nodes[n];
            if (node->op == APX_OP_IDENTITY && node->out_count == 1 && node->out[0] == v)
                from = node->in[0];
        }
        if (from < 0)
            break;
        v = from;
    }
    return v;
}

const struct apx_node *apx_loop_maker(const struct apx_loop_step *step, int v)
{
    v = apx_loop_origin(step, v);
    for (int n = step->first_node; n < step->first_node + step->node_count; n++) {
        const struct apx_node *node = &step->graph->nodes[n];
        for (int i = 0; i < node->out_count; i++)
            if (node->out[i] == v)
                return node;
    }
    return NULL;
}

/* The maker of `v` if it is an `op` with `in_count` inputs. */
static const struct apx_node *made_by(const struct apx_loop_step *step, int v, enum apx_op op,
                                      int in_count)
{
    const struct apx_node *node = apx_loop_maker(step, v);
    if (node == NULL || node->op != op || node->in_count != in_count)
        return NULL;
    for (int i = 0; i < in_count; i++)
        if (node->in[i] < 0)
            return NULL;
    return node;
}

static bool is_same(const struct apx_loop_step *step, int a, int b)
{
    return apx_loop_origin(step, a) == apx_loop_origin(step, b);
}

/* A float constant, or NULL. */
static const struct apx_value *constant(const struct apx_loop_step *step, int v)
{
    const struct apx_value *value = &step->graph->values[apx_loop_origin(step, v)];
    return value->data != NULL && value->dtype == APX_F32 ? value : NULL;
}

static bool is_one(const struct apx_loop_step *step, int v)
{
    const struct apx_value *value = constant(step, v);
    return value != NULL && value->bytes == sizeof(float) && *(const float *)value->data == 1.0f;
}

/* Element `i` of a constant integer vector. */
static bool integer(const struct apx_loop_step *step, int v, int i, int64_t *out)
{
    const struct apx_value *value = v < 0 ? NULL : &step->graph->values[apx_loop_origin(step, v)];
    if (value == NULL || value->data == NULL || value->rank > 1)
        return false;
    if (value->dtype == APX_I64 && (size_t)i < value->bytes / sizeof(int64_t))
        *out = ((const int64_t *)value->data)[i];
    else if (value->dtype == APX_I32 && (size_t)i < value->bytes / sizeof(int32_t))
        *out = ((const int32_t *)value->data)[i];
    else
        return false;
    return true;
}

static int64_t int_count(const struct apx_loop_step *step, int v)
{
    const struct apx_value *value = &step->graph->values[apx_loop_origin(step, v)];
    size_t size = apx_dtype_size(value->dtype);
    return value->data != NULL && size > 0 ? (int64_t)(value->bytes / size) : -1;
}

/* Columns [from, to) of a matrix; COLUMNS_END: up to its last. */
#define COLUMNS_END INT32_MAX
struct columns {
    int source;
    int64_t from, to;
};

/* `v` as columns of a matrix: the source itself, or what a Slice or Split cuts from it. `hidden` is
 * the width of a Split's parts. */
static bool find_columns(const struct apx_loop_step *step, int v, int64_t hidden,
                         struct columns *out)
{
    *out = (struct columns){.source = apx_loop_origin(step, v), .to = COLUMNS_END};
    const struct apx_node *node = apx_loop_maker(step, v);
    if (node == NULL)
        return true;
    if (node->op == APX_OP_SPLIT) {
        int64_t axis = apx_node_int(node, "axis", 0);
        if (axis != 1 && axis != -1)
            return false;
        for (int i = 0; i < node->out_count; i++) {
            int64_t width;
            if (node->in_count > 1 && (!integer(step, node->in[1], i, &width) || width != hidden))
                return false;
            if (node->out[i] == out->source) {
                out->from = i * hidden;
                out->to = out->from + hidden;
            }
        }
        out->source = apx_loop_origin(step, node->in[0]);
        return true;
    }
    if (node->op != APX_OP_SLICE || node->in_count < 4)
        return true;
    for (int i = 0; i < (int)int_count(step, node->in[3]); i++) {
        int64_t axis, start, end, stride = 1;
        if (!integer(step, node->in[3], i, &axis) || !integer(step, node->in[1], i, &start) ||
            !integer(step, node->in[2], i, &end) ||
            (node->in_count > 4 && !integer(step, node->in[4], i, &stride)) || stride != 1)
            return false;
        if (end > COLUMNS_END)
            end = COLUMNS_END;
        if (start < 0 || start > end)
            return false;
        if (axis == 1 || axis == -1) {
            out->from = start;
            out->to = end;
        } else if (start != 0 || end < COLUMNS_END) {
            return false;
        }
    }
    out->source = apx_loop_origin(step, node->in[0]);
    return true;
}

/* A constant vector of at least `count` floats: itself, or a row of a constant matrix [rows,count]
 * that Split (and Squeeze) or Gather cut out. */
static const float *find_bias(const struct apx_loop_step *step, int v, int64_t count)
{
    const struct apx_value *value = constant(step, v);
    int64_t row = 0;
    if (value == NULL) {
        const struct apx_node *node = made_by(step, v, APX_OP_SQUEEZE, 2);
        if (node != NULL)
            v = node->in[0];
        node = apx_loop_maker(step, v);
        if (node == NULL)
            return NULL;
        if (node->op == APX_OP_SPLIT && node->in_count == 1 && apx_node_int(node, "axis", 0) == 0) {
            for (int i = 0; i < node->out_count; i++)
                if (node->out[i] == apx_loop_origin(step, v))
                    row = i;
        } else if (node->op != APX_OP_GATHER || apx_node_int(node, "axis", 0) != 0 ||
                   !integer(step, node->in[1], 0, &row)) {
            return NULL;
        }
        value = constant(step, node->in[0]);
    }
    if (value == NULL || row < 0 || row >= APX_LOOP_GATES ||
        (int64_t)(value->bytes / sizeof(float)) < (row + 1) * count)
        return NULL;
    return (const float *)value->data + row * count;
}

/* input x weight + bias with constant weight and bias. */
struct affine {
    int input;
    const float *weight, *bias;    /* bias NULL: none */
    int64_t rows, width, from, to; /* the weight's extents, and which of its columns are used */
};

static bool find_affine(const struct apx_loop_step *step, int v, int64_t hidden, struct affine *out)
{
    const struct apx_node *add = made_by(step, v, APX_OP_ADD, 2);
    const struct apx_node *product = made_by(step, v, APX_OP_MATMUL, 2);
    int bias = -1;
    for (int i = 0; add != NULL && product == NULL && i < 2; i++) {
        product = made_by(step, add->in[i], APX_OP_MATMUL, 2);
        bias = add->in[1 - i];
    }
    struct columns columns;
    if (product == NULL || !find_columns(step, product->in[1], hidden, &columns))
        return false;
    const struct apx_value *weight = constant(step, columns.source);
    if (weight == NULL || weight->rank != 2)
        return false;
    *out = (struct affine){.input = apx_loop_origin(step, product->in[0]),
                           .weight = weight->data,
                           .from = columns.from};
    if (!apx_dim_is_constant(&weight->dims[0], &out->rows) ||
        !apx_dim_is_constant(&weight->dims[1], &out->width))
        return false;
    out->to = columns.to < out->width ? columns.to : out->width;
    if (bias >= 0) {
        /* A bias beside a part of the columns would start at that part. */
        if (columns.from != 0 || (out->bias = find_bias(step, bias, out->width)) == NULL)
            return false;
    }
    return true;
}

/* Whether `part` of what `affine` computes is one gate: its first column of the weight, or -1. */
static int64_t gate_column(const struct columns *part, const struct affine *affine, int64_t hidden)
{
    int64_t from = affine->from + part->from;
    int64_t to = part->to == COLUMNS_END ? affine->to : affine->from + part->to;
    return to <= affine->to && to - from == hidden ? from : -1;
}

static const char *activation_of(const struct apx_node *node)
{
    static const enum apx_op known[] = {APX_OP_SIGMOID, APX_OP_TANH, APX_OP_RELU, APX_OP_SOFTSIGN,
                                        APX_OP_SOFTPLUS};
    for (size_t i = 0; node != NULL && i < sizeof known / sizeof known[0]; i++)
        if (node->op == known[i])
            return apx_op_info(node->op)->name;
    return NULL;
}

/* The step's input: row t of a sequence from outside of the loop. */
static bool find_sequence(const struct apx_loop_step *step, int input, int *sequence)
{
    const struct apx_node *gather = made_by(step, input, APX_OP_GATHER, 2);
    if (gather == NULL || apx_node_int(gather, "axis", 0) != 0)
        return false;
    int at = apx_loop_origin(step, gather->in[1]);
    *sequence = apx_loop_origin(step, gather->in[0]);
    return (at == step->index || at == step->counter) && *sequence != step->state &&
           apx_loop_maker(step, *sequence) == NULL;
}

/* One gate's share of x K + b: fills the kernel half, and the sequence if it is the first. */
static bool take_kernel(const struct apx_loop_step *step, int v, struct apx_loop_gru *gru, int g)
{
    struct columns part;
    struct affine affine;
    int64_t column;
    int sequence;
    if (!find_columns(step, v, gru->hidden, &part) ||
        !find_affine(step, part.source, gru->hidden, &affine) ||
        !find_sequence(step, affine.input, &sequence) ||
        (gru->sequence >= 0 && sequence != gru->sequence) ||
        (gru->inputs > 0 && gru->inputs != affine.rows) ||
        (column = gate_column(&part, &affine, gru->hidden)) < 0)
        return false;
    struct apx_loop_gate *gate = &gru->gates[g];
    gru->sequence = sequence;
    gru->inputs = (int)affine.rows;
    gate->kernel = affine.weight;
    gate->kernel_stride = (int)affine.width;
    gate->kernel_column = (int)column;
    gate->kernel_bias = affine.bias != NULL ? affine.bias + part.from : NULL;
    return true;
}

/* The same of `input` R + c, where the input is the state or what became of it. */
static bool take_recurrent(const struct apx_loop_step *step, int v, int input,
                           struct apx_loop_gru *gru, int g)
{
    struct columns part;
    struct affine affine;
    int64_t column;
    if (!find_columns(step, v, gru->hidden, &part) ||
        !find_affine(step, part.source, gru->hidden, &affine) ||
        affine.input != apx_loop_origin(step, input) || affine.rows != gru->hidden ||
        (column = gate_column(&part, &affine, gru->hidden)) < 0)
        return false;
    struct apx_loop_gate *gate = &gru->gates[g];
    gate->recurrent = affine.weight;
    gate->recurrent_stride = (int)affine.width;
    gate->recurrent_column = (int)column;
    gate->recurrent_bias = affine.bias != NULL ? affine.bias + part.from : NULL;
    return true;
}

/* A gate: activation(x K + b + h R + c). */
static bool match_gate(const struct apx_loop_step *step, int v, struct apx_loop_gru *gru, int g)
{
    const struct apx_node *node = apx_loop_maker(step, v);
    const char *name = activation_of(node);
    if (name == NULL || (gru->gate != NULL && strcmp(name, gru->gate) != 0))
        return false;
    gru->gate = name;
    const struct apx_node *sum = made_by(step, node->in[0], APX_OP_ADD, 2);
    for (int i = 0; sum != NULL && i < 2; i++)
        if (take_kernel(step, sum->in[i], gru, g) &&
            take_recurrent(step, sum->in[1 - i], step->state, gru, g))
            return true;
    return false;
}

/* The candidate's second term: r * (h R + c), or (r * h) R. */
static bool match_reset(const struct apx_loop_step *step, int v, struct apx_loop_gru *gru)
{
    const struct apx_node *product = made_by(step, v, APX_OP_MUL, 2);
    gru->is_reset_after = product != NULL;
    if (product == NULL) {
        struct columns part;
        struct affine affine;
        if (!find_columns(step, v, gru->hidden, &part) ||
            !find_affine(step, part.source, gru->hidden, &affine))
            return false;
        product = made_by(step, affine.input, APX_OP_MUL, 2);
        if (product == NULL || !take_recurrent(step, v, affine.input, gru, 2))
            return false;
        for (int i = 0; i < 2; i++)
            if (is_same(step, product->in[i], step->state) &&
                match_gate(step, product->in[1 - i], gru, 1))
                return true;
        return false;
    }
    for (int i = 0; i < 2; i++)
        if (match_gate(step, product->in[i], gru, 1) &&
            take_recurrent(step, product->in[1 - i], step->state, gru, 2))
            return true;
    return false;
}

static bool match_candidate(const struct apx_loop_step *step, int v, struct apx_loop_gru *gru)
{
    const struct apx_node *node = apx_loop_maker(step, v);
    gru->candidate = activation_of(node);
    if (gru->candidate == NULL)
        return false;
    const struct apx_node *sum = made_by(step, node->in[0], APX_OP_ADD, 2);
    for (int i = 0; sum != NULL && i < 2; i++)
        if (take_kernel(step, sum->in[i], gru, 2) && match_reset(step, sum->in[1 - i], gru))
            return true;
    return false;
}

/* (1 - z) * n: z must be the given value; the candidate comes out. */
static bool find_candidate(const struct apx_loop_step *step, int v, int z, int *candidate)
{
    const struct apx_node *product = made_by(step, v, APX_OP_MUL, 2);
    for (int i = 0; product != NULL && i < 2; i++) {
        const struct apx_node *rest = made_by(step, product->in[i], APX_OP_SUB, 2);
        *candidate = product->in[1 - i];
        if (rest != NULL && is_one(step, rest->in[0]) && is_same(step, rest->in[1], z))
            return true;
    }
    return false;
}

/* The state's width: the rows of the matrix that multiplies it. */
static int find_hidden(const struct apx_loop_step *step)
{
    for (int n = step->first_node; n < step->first_node + step->node_count; n++) {
        const struct apx_node *node = &step->graph->nodes[n];
        struct columns columns;
        int64_t rows;
        if (node->op != APX_OP_MATMUL || node->in_count != 2 ||
            apx_loop_origin(step, node->in[0]) != step->state ||
            !find_columns(step, node->in[1], 0, &columns))
            continue;
        const struct apx_value *weight = constant(step, columns.source);
        if (weight != NULL && weight->rank == 2 && apx_dim_is_constant(&weight->dims[0], &rows) &&
            rows > 0 && rows <= APX_LIMIT_LOOP_HIDDEN)
            return (int)rows;
    }
    return 0;
}

bool apx_loop_match_gru(const struct apx_loop_step *step, struct apx_loop_gru *gru)
{
    const struct apx_node *sum = made_by(step, step->next, APX_OP_ADD, 2);
    int hidden = find_hidden(step);
    for (int i = 0; sum != NULL && hidden > 0 && i < 2; i++) {
        const struct apx_node *kept = made_by(step, sum->in[i], APX_OP_MUL, 2);
        for (int k = 0; kept != NULL && k < 2; k++) {
            int z = kept->in[1 - k], candidate;
            *gru = (struct apx_loop_gru){.sequence = -1, .hidden = hidden};
            if (is_same(step, kept->in[k], step->state) &&
                find_candidate(step, sum->in[1 - i], z, &candidate) &&
                match_gate(step, z, gru, 0) && match_candidate(step, candidate, gru))
                return true;
        }
    }
    return false;
}
