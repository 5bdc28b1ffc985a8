/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_loop.c - loops over the steps of a sequence.
 *
 * Keras has no recurrent operator to export: tf2onnx writes its GRU as a Loop whose body is one
 * step. Such a loop is read as the GRU operator that it is, and any other is refused. The body's
 * nodes are converted once, on placeholders for what changes from step to step, and loop_cell.c
 * looks whether they are a GRU; then nothing needs them, and they are dropped with all dead nodes.
 *
 * What makes the replacement exact:
 *   - the loop runs as often as its first input says: every condition compares a counter from 0
 *     with that very number, or with a constant that is not less;
 *   - step t reads row t of a sequence; the operator gets the rows up to that number, by a Slice
 *     that is a copy of everything in all files seen and then costs nothing. */
#include "runtime/model/onnx_loop.h"
#include "runtime/base/fail.h"

#include <stdio.h>
#include <string.h>

#define APX_LIMIT_LOOP_NODES 256 /* nodes, and constants, of a body: a cell has 30 */
#define MAX_CASTS            4   /* casts in a row between a number and its use */

struct loop {
    struct apx_onnx_reader *reader;
    const struct apx_onnx_scope *scope;
    const Onnx__NodeProto *node;
    const Onnx__GraphProto *body;
    const int *inputs; /* [2 + carried] trip count, condition, first values of what is carried */
    int outputs[APX_LIMIT_NODE_INPUTS]; /* carried, then one per step; -1: not wanted */
    size_t carried, scans;
    int before[APX_LIMIT_NODE_INPUTS], after[APX_LIMIT_NODE_INPUTS]; /* values in the body */
    size_t state;
    struct apx_loop_step step;
};

static enum apx_status refuse(const struct loop *loop, const char *why)
{
    return apx_fail(loop->reader->error, APX_EUNSUPPORTED, apx_onnx_node_label(loop->node),
                    "Loop: %s; loops are supported where they are a GRU over the steps of a "
                    "sequence: export the model with its recurrent layers as LSTM or GRU operators",
                    why);
}

/* ---- numbers that the loop's length depends on ---- */

/* The one element of a constant. */
static bool number(const struct apx_graph *graph, int v, double *out)
{
    const struct apx_value *value = v < 0 ? NULL : &graph->values[v];
    if (value == NULL || value->data == NULL || value->bytes != apx_dtype_size(value->dtype))
        return false;
    switch (value->dtype) {
    case APX_F32:
        *out = *(const float *)value->data;
        return true;
    case APX_I32:
        *out = *(const int32_t *)value->data;
        return true;
    case APX_I64:
        *out = (double)*(const int64_t *)value->data;
        return true;
    case APX_BOOL:
        *out = *(const uint8_t *)value->data;
        return true;
    default:
        return false;
    }
}

static const struct apx_node *maker(const struct apx_graph *graph, int v)
{
    for (int n = 0; v >= 0 && n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].out_count; i++)
            if (graph->nodes[n].out[i] == v)
                return &graph->nodes[n];
    return NULL;
}

/* What `v` is a cast or a copy of. */
static int uncast(const struct apx_graph *graph, int v)
{
    for (int hop = 0; hop < MAX_CASTS; hop++) {
        const struct apx_node *node = maker(graph, v);
        if (node == NULL || (node->op != APX_OP_CAST && node->op != APX_OP_IDENTITY))
            break;
        v = node->in[0];
    }
    return v;
}

/* Whether `bound` is the trip count, or a constant that is at least it plus `slack`. */
static bool covers_trip(const struct loop *loop, int bound, int slack)
{
    const struct apx_graph *graph = loop->reader->graph;
    int trip = uncast(graph, loop->inputs[0]);
    double limit, steps;
    bound = uncast(graph, bound);
    if (bound == trip)
        return true;
    return number(graph, bound, &limit) && number(graph, trip, &steps) && limit >= steps + slack;
}

/* Whether `v` counts the steps done before this one, plus *ahead. */
static bool is_count(const struct loop *loop, int v, int *ahead)
{
    const struct apx_graph *graph = loop->reader->graph;
    const struct apx_loop_step *step = &loop->step;
    v = uncast(graph, v);
    const struct apx_node *sum = maker(graph, v);
    double one;
    *ahead = 0;
    if (sum != NULL && sum->op == APX_OP_ADD && number(graph, sum->in[1], &one) && one == 1.0) {
        v = uncast(graph, sum->in[0]);
        *ahead = 1;
    }
    return v == step->index || (v == step->counter && step->counter >= 0);
}

/* The condition after a step holds as long as steps are left. */
static bool goes_on(const struct loop *loop, int v, int depth)
{
    const struct apx_graph *graph = loop->reader->graph;
    double value;
    int ahead;
    v = uncast(graph, v);
    if (v == loop->before[0] || (number(graph, v, &value) && value != 0.0))
        return true;
    const struct apx_node *node = maker(graph, v);
    if (node == NULL || node->in_count != 2 || depth == MAX_CASTS)
        return false;
    if (node->op == APX_OP_AND)
        return goes_on(loop, node->in[0], depth + 1) && goes_on(loop, node->in[1], depth + 1);
    return node->op == APX_OP_LESS && is_count(loop, node->in[0], &ahead) &&
           covers_trip(loop, node->in[1], ahead - 1);
}

/* The condition before the first step holds if there is a step. */
static bool starts(const struct loop *loop, int v, int depth)
{
    const struct apx_graph *graph = loop->reader->graph;
    double value;
    v = uncast(graph, v);
    if (v < 0 || (number(graph, v, &value) && value != 0.0))
        return true;
    const struct apx_node *node = maker(graph, v);
    if (node == NULL || node->in_count != 2 || depth == MAX_CASTS)
        return false;
    if (node->op == APX_OP_AND)
        return starts(loop, node->in[0], depth + 1) && starts(loop, node->in[1], depth + 1);
    int trip = uncast(graph, loop->inputs[0]), bound = uncast(graph, node->in[1]);
    return node->op == APX_OP_LESS && number(graph, node->in[0], &value) && value == 0.0 &&
           (bound == trip || (number(graph, bound, &value) && value > 0.0));
}

/* ---- the body ---- */

/* Whether carried value `i` comes out as it went in: a weight. */
static bool passes_through(const struct loop *loop, size_t i)
{
    const Onnx__GraphProto *body = loop->body;
    const char *in = apx_onnx_or_empty(body->input[2 + i]->name);
    const char *out = apx_onnx_or_empty(body->output[1 + i]->name);
    for (size_t n = 0; n < body->n_node; n++) {
        const Onnx__NodeProto *node = body->node[n];
        if (node->n_output == 1 && node->n_input == 1 &&
            strcmp(apx_onnx_or_empty(node->op_type), "Identity") == 0 &&
            strcmp(apx_onnx_or_empty(node->output[0]), out) == 0)
            out = apx_onnx_or_empty(node->input[0]);
    }
    return strcmp(in, out) == 0;
}

static enum apx_status bind(struct loop *loop, int scope, const char *name, int value)
{
    int taken;
    if (name[0] == '\0' || strlen(name) > APX_LIMIT_NAME ||
        apx_onnx_names_find(&loop->reader->names, scope, name, &taken))
        return apx_fail(loop->reader->error, APX_EFORMAT, apx_onnx_node_label(loop->node),
                        "%s in the loop's body is no name of its own", name);
    return value >= 0 && apx_onnx_names_add(&loop->reader->names, scope, name, value)
               ? APX_OK
               : apx_onnx_cannot_grow(loop->reader);
}

static enum apx_status bind_inputs(struct loop *loop, int scope)
{
    struct apx_graph *graph = loop->reader->graph;
    const Onnx__GraphProto *body = loop->body;
    enum apx_status status = APX_OK;
    loop->step.index = apx_graph_add_value(graph, "");
    loop->before[0] = apx_graph_add_value(graph, ""); /* the condition */
    status = bind(loop, scope, apx_onnx_or_empty(body->input[0]->name), loop->step.index);
    if (status == APX_OK)
        status = bind(loop, scope, apx_onnx_or_empty(body->input[1]->name), loop->before[0]);
    for (size_t i = 0; status == APX_OK && i < loop->carried; i++) {
        int value = passes_through(loop, i) ? loop->inputs[2 + i] : apx_graph_add_value(graph, "");
        loop->before[1 + i] = value;
        status = bind(loop, scope, apx_onnx_or_empty(body->input[2 + i]->name), value);
    }
    for (size_t i = 0; status == APX_OK && i < body->n_initializer; i++) {
        const char *name = apx_onnx_or_empty(body->initializer[i]->name);
        int value;
        status = apx_onnx_read_tensor(loop->reader, body->initializer[i], name, &value);
        if (status == APX_OK)
            status = bind(loop, scope, name, value);
    }
    return status;
}

/* A body reads values from around it by their names. */
static enum apx_status bind_outer(struct loop *loop, int scope)
{
    struct apx_onnx_names *names = &loop->reader->names;
    for (size_t n = 0; n < loop->body->n_node; n++) {
        const Onnx__NodeProto *node = loop->body->node[n];
        for (size_t i = 0; i < node->n_input; i++) {
            const char *name = apx_onnx_or_empty(node->input[i]);
            int value;
            if (!apx_onnx_names_find(names, scope, name, &value) &&
                apx_onnx_names_find(names, loop->scope->id, name, &value) && value >= 0 &&
                !apx_onnx_names_add(names, scope, name, value))
                return apx_onnx_cannot_grow(loop->reader);
        }
    }
    return APX_OK;
}

static enum apx_status convert_body(struct loop *loop)
{
    struct apx_onnx_reader *reader = loop->reader;
    char prefix[APX_LIMIT_NAME];
    snprintf(prefix, sizeof prefix, "%s%s/", loop->scope->prefix, apx_onnx_node_label(loop->node));
    struct apx_onnx_scope inner = {.id = ++reader->scope_count,
                                   .depth = loop->scope->depth + 1,
                                   .prefix = prefix,
                                   .opset = loop->scope->opset,
                                   .caller = loop->scope};
    if (inner.depth > APX_LIMIT_CALL_DEPTH)
        return apx_fail(reader->error, APX_ELIMIT, apx_onnx_node_label(loop->node),
                        "nested deeper than APX_LIMIT_CALL_DEPTH (%d)", APX_LIMIT_CALL_DEPTH);
    enum apx_status status = bind_inputs(loop, inner.id);
    if (status == APX_OK)
        status = bind_outer(loop, inner.id);
    loop->step.first_node = reader->graph->node_count;
    if (status == APX_OK)
        status = apx_onnx_read_nodes(reader, &inner, loop->body->node, loop->body->n_node);
    loop->step.node_count = reader->graph->node_count - loop->step.first_node;
    for (size_t i = 0; status == APX_OK && i < loop->body->n_output; i++) {
        const char *name = apx_onnx_or_empty(loop->body->output[i]->name);
        if (!apx_onnx_names_find(&reader->names, inner.id, name, &loop->after[i]) ||
            loop->after[i] < 0)
            return apx_fail(reader->error, APX_EFORMAT, name,
                            "nothing in the loop's body produces this output");
    }
    return status;
}

/* Which carried value is the state, which one counts; all outputs per step are the state. */
static enum apx_status sort_out(struct loop *loop)
{
    const struct apx_graph *graph = loop->reader->graph;
    struct apx_loop_step *step = &loop->step;
    size_t states = 0;
    step->counter = -1;
    for (size_t i = 0; i < loop->carried; i++) {
        const struct apx_node *sum = apx_loop_maker(step, loop->after[1 + i]);
        double first, one;
        if (loop->before[1 + i] == loop->inputs[2 + i])
            continue;
        if (step->counter < 0 && sum != NULL && sum->op == APX_OP_ADD &&
            sum->in[0] == loop->before[1 + i] && number(graph, sum->in[1], &one) && one == 1.0 &&
            number(graph, loop->inputs[2 + i], &first) && first == 0.0) {
            step->counter = loop->before[1 + i];
            continue;
        }
        loop->state = i;
        states++;
    }
    if (states != 1)
        return refuse(loop, "its body does not have one state");
    step->state = loop->before[1 + loop->state];
    step->next = loop->after[1 + loop->state];
    for (size_t i = 0; i < loop->scans; i++)
        if (apx_loop_origin(step, loop->after[1 + loop->carried + i]) !=
            apx_loop_origin(step, step->next))
            return refuse(loop, "it returns more than the state of each step");
    if (!starts(loop, loop->inputs[1], 0) || !goes_on(loop, loop->after[0], 0))
        return refuse(loop, "its length depends on what it computes");
    return APX_OK;
}

/* ---- the GRU in its place ---- */

static int add_constant(struct loop *loop, const char *what, enum apx_dtype dtype, int rank,
                        const int64_t *dims, const void *data)
{
    char name[APX_LIMIT_NAME];
    snprintf(name, sizeof name, "%.900s.%s", apx_onnx_node_label(loop->node), what);
    return apx_graph_add_constant(loop->reader->graph, name, dtype, rank, dims, data);
}

/* A node with one output; -1 if the graph could not grow or an input is missing. */
static int add_step(struct loop *loop, enum apx_op op, const int *in, int in_count, int out)
{
    struct apx_graph *graph = loop->reader->graph;
    for (int i = 0; i < in_count; i++)
        if (in[i] < 0)
            return -1;
    if (out < 0)
        out = apx_graph_add_value(graph, "");
    int node = apx_graph_add_node(graph, op, "", in_count, 1);
    if (node < 0 || out < 0)
        return -1;
    memcpy(graph->nodes[node].in, in, (size_t)in_count * sizeof *in);
    graph->nodes[node].out[0] = out;
    return out;
}

/* ONNX keeps a gate's weights as rows: W [1,3H,I], R [1,3H,H], B [1,6H]. */
static enum apx_status add_weights(struct loop *loop, const struct apx_loop_gru *gru, int *weights)
{
    struct apx_graph *graph = loop->reader->graph;
    const size_t h = (size_t)gru->hidden, inputs = (size_t)gru->inputs, g = APX_LOOP_GATES;
    const size_t count = g * h * (inputs + h + 2);
    enum apx_status status =
        apx_onnx_charge(loop->reader, apx_onnx_node_label(loop->node), count * sizeof(float));
    if (status != APX_OK)
        return status;
    float *w = apx_graph_alloc(graph, count * sizeof *w);
    if (w == NULL)
        return apx_onnx_cannot_grow(loop->reader);
    float *r = w + g * h * inputs, *b = r + g * h * h;
    for (size_t k = 0; k < g; k++) {
        const struct apx_loop_gate *gate = &gru->gates[k];
        for (size_t j = 0; j < h; j++) {
            for (size_t i = 0; i < inputs; i++)
                w[(k * h + j) * inputs + i] =
                    gate->kernel[i * (size_t)gate->kernel_stride + (size_t)gate->kernel_column + j];
            for (size_t i = 0; i < h; i++)
                r[(k * h + j) * h + i] = gate->recurrent[i * (size_t)gate->recurrent_stride +
                                                         (size_t)gate->recurrent_column + j];
            b[k * h + j] = gate->kernel_bias != NULL ? gate->kernel_bias[j] : 0.0f;
            b[(g + k) * h + j] = gate->recurrent_bias != NULL ? gate->recurrent_bias[j] : 0.0f;
        }
    }
    const int64_t rows = (int64_t)(g * h);
    weights[0] = add_constant(loop, "W", APX_F32, 3, (int64_t[]){1, rows, gru->inputs}, w);
    weights[1] = add_constant(loop, "R", APX_F32, 3, (int64_t[]){1, rows, gru->hidden}, r);
    weights[2] = add_constant(loop, "B", APX_F32, 2, (int64_t[]){1, 2 * rows}, b);
    return weights[0] < 0 || weights[1] < 0 || weights[2] < 0 ? apx_onnx_cannot_grow(loop->reader)
                                                              : APX_OK;
}

static bool add_attributes(struct loop *loop, const struct apx_loop_gru *gru, int node)
{
    struct apx_graph *graph = loop->reader->graph;
    struct apx_attr *size =
        apx_graph_add_attr(graph, &graph->nodes[node], "hidden_size", APX_ATTR_INT);
    if (size == NULL)
        return false;
    size->i = gru->hidden;
    struct apx_attr *order =
        apx_graph_add_attr(graph, &graph->nodes[node], "linear_before_reset", APX_ATTR_INT);
    if (order == NULL)
        return false;
    order->i = gru->is_reset_after;
    struct apx_attr *activations =
        apx_graph_add_attr(graph, &graph->nodes[node], "activations", APX_ATTR_STRINGS);
    const char **names = apx_graph_alloc(graph, 2 * sizeof *names);
    if (activations == NULL || names == NULL)
        return false;
    names[0] = gru->gate;
    names[1] = gru->candidate;
    activations->strings = names;
    activations->count = 2;
    return true;
}

/* Outputs that are no state: weights as they were, and the counter's last value. */
static enum apx_status add_rest(struct loop *loop)
{
    struct apx_graph *graph = loop->reader->graph;
    for (size_t i = 0; i < loop->carried; i++) {
        int out = loop->outputs[i];
        if (out < 0 || i == loop->state)
            continue;
        bool is_counter = loop->before[1 + i] == loop->step.counter;
        int from = is_counter ? loop->inputs[0] : loop->inputs[2 + i];
        if (add_step(loop, is_counter ? APX_OP_CAST : APX_OP_IDENTITY, &from, 1, out) < 0)
            return apx_onnx_cannot_grow(loop->reader);
        if (!is_counter)
            continue;
        struct apx_attr *to =
            apx_graph_add_attr(graph, &graph->nodes[graph->node_count - 1], "to", APX_ATTR_INT);
        if (to == NULL)
            return apx_onnx_cannot_grow(loop->reader);
        to->i = graph->values[loop->inputs[2 + i]].dtype == APX_I32
                    ? ONNX__TENSOR_PROTO__DATA_TYPE__INT32
                    : ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    }
    return APX_OK;
}

static enum apx_status replace(struct loop *loop, const struct apx_loop_gru *gru)
{
    struct apx_graph *graph = loop->reader->graph;
    int weights[3] = {-1, -1, -1};
    enum apx_status status = add_weights(loop, gru, weights);
    if (status != APX_OK)
        return status;
    const int64_t zero = 0, one = 1;
    int first = add_constant(loop, "first", APX_I64, 1, &one, &zero);
    int second = add_constant(loop, "second", APX_I64, 1, &one, &one);
    int trip = add_step(loop, APX_OP_RESHAPE, (int[]){loop->inputs[0], second}, 2, -1);
    int rows = add_step(loop, APX_OP_SLICE, (int[]){gru->sequence, first, trip, first}, 4, -1);
    int state =
        add_step(loop, APX_OP_UNSQUEEZE, (int[]){loop->inputs[2 + loop->state], first}, 2, -1);
    int y = apx_graph_add_value(graph, ""), y_h = apx_graph_add_value(graph, "");
    const char *name =
        apx_onnx_full_name(loop->reader, loop->scope, apx_onnx_node_label(loop->node));
    int node = name == NULL ? -1 : apx_graph_add_node(graph, APX_OP_GRU, name, 6, 2);
    if (node < 0 || rows < 0 || state < 0 || y < 0 || y_h < 0)
        return apx_onnx_cannot_grow(loop->reader);
    const int in[6] = {rows, weights[0], weights[1], weights[2], -1, state};
    memcpy(graph->nodes[node].in, in, sizeof in);
    graph->nodes[node].out[0] = y;
    graph->nodes[node].out[1] = y_h;
    if (!add_attributes(loop, gru, node))
        return apx_onnx_cannot_grow(loop->reader);
    int last = loop->outputs[loop->state];
    if (last >= 0 && add_step(loop, APX_OP_SQUEEZE, (int[]){y_h, first}, 2, last) < 0)
        return apx_onnx_cannot_grow(loop->reader);
    for (size_t i = 0; i < loop->scans; i++) {
        int out = loop->outputs[loop->carried + i];
        if (out >= 0 && add_step(loop, APX_OP_SQUEEZE, (int[]){y, second}, 2, out) < 0)
            return apx_onnx_cannot_grow(loop->reader);
    }
    return add_rest(loop);
}

enum apx_status apx_onnx_read_loop(struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope, const Onnx__NodeProto *node,
                                   const int *inputs, size_t input_count, const int *outputs,
                                   size_t output_count)
{
    struct loop loop = {.reader = reader, .scope = scope, .node = node, .inputs = inputs};
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(apx_onnx_or_empty(node->attribute[i]->name), "body") == 0)
            loop.body = node->attribute[i]->g;
    if (loop.body == NULL || input_count < 2 || loop.body->n_input != input_count ||
        loop.body->n_output < input_count - 1 || loop.body->n_output > APX_LIMIT_NODE_INPUTS ||
        output_count > loop.body->n_output - 1)
        return apx_fail(reader->error, APX_EFORMAT, apx_onnx_node_label(node),
                        "the loop's body does not fit its inputs and outputs");
    loop.carried = input_count - 2;
    loop.scans = loop.body->n_output - 1 - loop.carried;
    for (size_t i = 0; i < loop.carried + loop.scans; i++)
        loop.outputs[i] = i < output_count ? outputs[i] : -1;
    if (loop.body->n_node > APX_LIMIT_LOOP_NODES || loop.body->n_initializer > APX_LIMIT_LOOP_NODES)
        return apx_fail(reader->error, APX_ELIMIT, apx_onnx_node_label(node),
                        "a loop's body of more than APX_LIMIT_LOOP_NODES (%d) nodes",
                        APX_LIMIT_LOOP_NODES);
    for (size_t i = 0; i < input_count; i++)
        if (i != 1 && inputs[i] < 0)
            return refuse(&loop, "it has no number of steps, or no first state");
    struct apx_loop_gru gru;
    loop.step.graph = reader->graph;
    enum apx_status status = convert_body(&loop);
    if (status == APX_OK)
        status = sort_out(&loop);
    if (status != APX_OK)
        return status;
    if (!apx_loop_match_gru(&loop.step, &gru))
        return refuse(&loop, "its body is none");
    return replace(&loop, &gru);
}
