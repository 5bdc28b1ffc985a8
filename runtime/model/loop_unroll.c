/* SPDX-License-Identifier: Apache-2.0 */
/* loop_unroll.c - a loop as its body once for each step.
 *
 * For loops that are no recurrent cell but whose length is known when the file is read. Counters
 * become constants step by step, so that the condition is a number after each step, and so that
 * "row t of x" is a row at a known place; a condition that is no number then depends on the data.
 */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The steps done so far. */
struct unrolled {
    int condition, carried[APX_LIMIT_NODE_INPUTS]; /* after them */
    int *steps;                                    /* [capacity][scans] their outputs */
    int count, capacity;
};

/* A constant of one element; -1 if the graph could not grow. */
static int add_number(struct apx_loop *loop, const struct apx_loop_number *number)
{
    const int64_t one = 1;
    const float as_float = (float)number->value;
    const int32_t as_int = (int32_t)number->value;
    const int64_t as_long = (int64_t)number->value;
    const uint8_t as_truth = number->value != 0.0;
    const void *data = number->dtype == APX_F32   ? (const void *)&as_float
                       : number->dtype == APX_I32 ? (const void *)&as_int
                       : number->dtype == APX_I64 ? (const void *)&as_long
                                                  : (const void *)&as_truth;
    return apx_graph_add_constant(loop->reader->graph, "", number->dtype, number->rank, &one, data);
}

/* Counters as constants, as far as that can be told. */
static enum apx_status settle(struct apx_loop *loop, int *values)
{
    for (size_t i = 0; i < loop->carried; i++) {
        struct apx_loop_number number;
        if (loop->reader->graph->values[values[i]].data != NULL ||
            !apx_loop_number(loop->reader->graph, values[i], &number) || number.rank < 0 ||
            number.rank > 1)
            continue;
        values[i] = add_number(loop, &number);
        if (values[i] < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    return APX_OK;
}

/* The values of all steps, each [..], as one [steps, ..]; all[] is used up. */
static enum apx_status stack(struct apx_loop *loop, int *all, int count, int axis, int out)
{
    for (int i = 0; i < count; i++) {
        all[i] = apx_loop_add_node(loop, APX_OP_UNSQUEEZE, (int[]){all[i], axis}, 2, -1);
        if (all[i] < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    while (count > 1) {
        int joined = 0;
        for (int from = 0; from < count; from += APX_LIMIT_NODE_INPUTS) {
            int some = count - from;
            if (some > APX_LIMIT_NODE_INPUTS)
                some = APX_LIMIT_NODE_INPUTS;
            int whole = apx_loop_add_node(loop, APX_OP_CONCAT, &all[from], some, -1);
            struct apx_graph *graph = loop->reader->graph;
            if (whole < 0 || apx_graph_add_attr(graph, &graph->nodes[graph->node_count - 1], "axis",
                                                APX_ATTR_INT) == NULL)
                return apx_onnx_cannot_grow(loop->reader); /* the attribute is 0 */
            all[joined++] = whole;
        }
        count = joined;
    }
    return apx_loop_add_node(loop, APX_OP_IDENTITY, all, 1, out) < 0
               ? apx_onnx_cannot_grow(loop->reader)
               : APX_OK;
}

/* The values of output `scan` of every step. */
static int *column(struct apx_loop *loop, const struct unrolled *done, size_t scan)
{
    int *all = apx_graph_alloc(loop->reader->graph, (size_t)done->count * sizeof *all);
    for (int t = 0; all != NULL && t < done->count; t++)
        all[t] = done->steps[(size_t)t * loop->scans + scan];
    return all;
}

static enum apx_status finish(struct apx_loop *loop, const struct unrolled *done)
{
    for (size_t i = 0; i < loop->carried; i++)
        if (loop->outputs[i] >= 0 &&
            apx_loop_add_node(loop, APX_OP_IDENTITY, &done->carried[i], 1, loop->outputs[i]) < 0)
            return apx_onnx_cannot_grow(loop->reader);
    const int64_t zero = 0, one = 1;
    int axis = apx_graph_add_constant(loop->reader->graph, "", APX_I64, 1, &one, &zero);
    if (axis < 0)
        return apx_onnx_cannot_grow(loop->reader);
    for (size_t i = 0; i < loop->scans; i++) {
        int out = loop->outputs[loop->carried + i];
        if (out < 0)
            continue;
        if (done->count == 0)
            return apx_loop_refuse(loop, "it runs no step");
        int *all = column(loop, done, i);
        enum apx_status status = all == NULL ? apx_onnx_cannot_grow(loop->reader)
                                             : stack(loop, all, done->count, axis, out);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

/* Room for the outputs of one more step. */
static bool make_room(struct apx_loop *loop, struct unrolled *done)
{
    if (done->count < done->capacity)
        return true;
    int larger = done->capacity == 0 ? 16 : 2 * done->capacity;
    int *moved = apx_graph_alloc(loop->reader->graph, (size_t)larger * loop->scans * sizeof *moved);
    if (moved == NULL)
        return false;
    if (done->count > 0)
        memcpy(moved, done->steps, (size_t)done->count * loop->scans * sizeof *moved);
    done->steps = moved;
    done->capacity = larger;
    return true;
}

/* One step more: its condition, carried values and outputs. */
static enum apx_status run_step(struct apx_loop *loop, struct unrolled *done)
{
    char prefix[APX_LIMIT_NAME];
    int after[APX_LIMIT_NODE_INPUTS];
    struct apx_loop_number index = {.value = done->count, .dtype = APX_I64};
    int step = add_number(loop, &index);
    if (step < 0 || !make_room(loop, done))
        return apx_onnx_cannot_grow(loop->reader);
    snprintf(prefix, sizeof prefix, "%s%.900s.%d/", loop->scope->prefix,
             apx_onnx_node_label(loop->node), done->count);
    enum apx_status status =
        apx_loop_convert(loop, prefix, step, done->condition, done->carried, after);
    if (status != APX_OK)
        return status;
    done->condition = after[0];
    memcpy(done->carried, after + 1, loop->carried * sizeof *after);
    memcpy(done->steps + (size_t)done->count++ * loop->scans, after + 1 + loop->carried,
           loop->scans * sizeof *after);
    return settle(loop, done->carried);
}

/* What a step costs, in nodes: names take time and memory too, even where there is no node. */
static int cost(const Onnx__GraphProto *body)
{
    size_t names = (body->n_initializer + body->n_input) / 4;
    return (int)(body->n_node > names ? body->n_node : names > 0 ? names : 1);
}

enum apx_status apx_loop_unroll(struct apx_loop *loop)
{
    struct apx_onnx_reader *reader = loop->reader;
    struct apx_loop_number number = {.value = HUGE_VAL};
    struct unrolled done = {.condition = loop->inputs[1]};
    const int size = cost(loop->body);
    if (loop->inputs[0] >= 0 && !apx_loop_number(reader->graph, loop->inputs[0], &number))
        return apx_loop_refuse(loop, "its body is no LSTM, GRU or RNN cell, and its number of "
                                     "steps is not fixed");
    const double most = number.value;
    if (loop->inputs[0] >= 0 && most * size > APX_LIMIT_NODES)
        return apx_fail(reader->error, APX_ELIMIT, apx_onnx_node_label(loop->node),
                        "Loop: %.0f steps of %d nodes; more than APX_LIMIT_NODES (%d)", most, size,
                        APX_LIMIT_NODES);
    if (done.condition < 0) {
        struct apx_loop_number yes = {.value = 1, .dtype = APX_BOOL};
        done.condition = add_number(loop, &yes);
    }
    if (done.condition < 0)
        return apx_onnx_cannot_grow(reader);
    memcpy(done.carried, loop->inputs + 2, loop->carried * sizeof *done.carried);
    enum apx_status status = settle(loop, done.carried);
    while (status == APX_OK && done.count < most) {
        if (!apx_loop_number(reader->graph, done.condition, &number))
            return apx_loop_refuse(loop, "its condition depends on data");
        if (number.value == 0.0)
            break;
        if ((reader->call_count += size) > APX_LIMIT_NODES)
            return apx_fail(reader->error, APX_ELIMIT, apx_onnx_node_label(loop->node),
                            "Loop: more than APX_LIMIT_NODES (%d) nodes in all steps",
                            APX_LIMIT_NODES);
        status = run_step(loop, &done);
    }
    return status == APX_OK ? finish(loop, &done) : status;
}
