/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_loop.c - loops over the steps of a sequence.
 *
 * Keras has no recurrent operator to export: what tf2onnx does not recognise, such as every GRU, it
 * writes as a Loop whose body is one step. The body's nodes are converted once, on placeholders for
 * what changes from step to step. If they are a recurrent cell, the loop is read as the operator
 * that it is, for any number of steps; else, if the number of steps is known, as that many copies
 * of the body. Other loops are refused. */
#include "runtime/model/onnx_loop.h"
#include "runtime/base/fail.h"

#include <stdio.h>
#include <string.h>

enum apx_status apx_loop_refuse(const struct apx_loop *loop, const char *why)
{
    return apx_fail(loop->reader->error, APX_EUNSUPPORTED, apx_onnx_node_label(loop->node),
                    "Loop: %s; export the model with a fixed number of steps, or with its "
                    "recurrent layers as LSTM or GRU operators",
                    why);
}

int apx_loop_add_node(struct apx_loop *loop, enum apx_op op, const int *in, int in_count, int out)
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
    graph->values[out].producer = node;
    return out;
}

/* ---- the body */

/* Whether carried value `i` comes out as it went in: a weight. */
static bool passes_through(const struct apx_loop *loop, size_t i)
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

static enum apx_status bind(struct apx_loop *loop, int scope, const char *name, int value)
{
    int taken;
    if (name[0] == '\0' || strlen(name) > APX_LIMIT_NAME ||
        apx_onnx_names_find(&loop->reader->names, scope, name, &taken))
        return apx_fail(loop->reader->error, APX_EFORMAT, apx_onnx_node_label(loop->node),
                        "%.200s in the loop's body is no name of its own", name);
    return value >= 0 && apx_onnx_names_add(&loop->reader->names, scope, name, value)
               ? APX_OK
               : apx_onnx_cannot_grow(loop->reader);
}

static enum apx_status bind_inputs(struct apx_loop *loop, int scope, int index, int condition,
                                   const int *carried)
{
    const Onnx__GraphProto *body = loop->body;
    enum apx_status status = bind(loop, scope, apx_onnx_or_empty(body->input[0]->name), index);
    if (status == APX_OK)
        status = bind(loop, scope, apx_onnx_or_empty(body->input[1]->name), condition);
    for (size_t i = 0; status == APX_OK && i < loop->carried; i++)
        status = bind(loop, scope, apx_onnx_or_empty(body->input[2 + i]->name), carried[i]);
    for (size_t i = 0; status == APX_OK && i < body->n_initializer; i++)
        status =
            bind(loop, scope, apx_onnx_or_empty(body->initializer[i]->name), loop->constants[i]);
    return status;
}

/* A value from around the body: of the graph or body that the loop stands in, or further out. */
static bool find_outer(const struct apx_loop *loop, const char *name, int *value)
{
    for (const struct apx_onnx_scope *scope = loop->scope; scope != NULL; scope = scope->caller) {
        if (apx_onnx_names_find(&loop->reader->names, scope->id, name, value))
            return true;
        if (scope->function != NULL)
            break; /* a function sees nothing of its caller */
    }
    return false;
}

/* A body reads values from around it by their names; so do the bodies in it. */
static enum apx_status bind_outer(struct apx_loop *loop, int scope, const Onnx__GraphProto *body)
{
    struct apx_onnx_names *names = &loop->reader->names;
    for (size_t n = 0; n < body->n_node; n++) {
        const Onnx__NodeProto *node = body->node[n];
        for (size_t i = 0; i < node->n_input; i++) {
            const char *name = apx_onnx_or_empty(node->input[i]);
            int value;
            if (name[0] != '\0' && !apx_onnx_names_find(names, scope, name, &value) &&
                find_outer(loop, name, &value) && value >= 0 &&
                !apx_onnx_names_add(names, scope, name, value))
                return apx_onnx_cannot_grow(loop->reader);
        }
    }
    return APX_OK;
}

enum apx_status apx_loop_convert(struct apx_loop *loop, const char *prefix, int index,
                                 int condition, const int *carried, int *after)
{
    struct apx_onnx_reader *reader = loop->reader;
    const Onnx__GraphProto *body = loop->body;
    struct apx_onnx_scope inner = {.id = ++reader->scope_count,
                                   .depth = loop->scope->depth + 1,
                                   .prefix = prefix,
                                   .opset = loop->scope->opset,
                                   .caller = loop->scope};
    if (inner.depth > APX_LIMIT_CALL_DEPTH)
        return apx_fail(reader->error, APX_ELIMIT, apx_onnx_node_label(loop->node),
                        "nested deeper than APX_LIMIT_CALL_DEPTH (%d)", APX_LIMIT_CALL_DEPTH);
    enum apx_status status = bind_inputs(loop, inner.id, index, condition, carried);
    if (status == APX_OK)
        status = bind_outer(loop, inner.id, body);
    if (status == APX_OK)
        status = apx_onnx_read_nodes(reader, &inner, body->node, body->n_node);
    for (size_t i = 0; status == APX_OK && i < body->n_output; i++) {
        const char *name = apx_onnx_or_empty(body->output[i]->name);
        if ((!apx_onnx_names_find(&reader->names, inner.id, name, &after[i]) &&
             !find_outer(loop, name, &after[i])) ||
            after[i] < 0)
            return apx_fail(reader->error, APX_EFORMAT, name,
                            "nothing in the loop's body produces this output");
    }
    return status;
}

static enum apx_status read_constants(struct apx_loop *loop)
{
    enum apx_status status = APX_OK;
    for (size_t i = 0; status == APX_OK && i < loop->body->n_initializer; i++)
        status = apx_onnx_read_tensor(loop->reader, loop->body->initializer[i],
                                      apx_onnx_or_empty(loop->body->initializer[i]->name),
                                      &loop->constants[i]);
    return status;
}

static enum apx_status convert_on_placeholders(struct apx_loop *loop)
{
    struct apx_graph *graph = loop->reader->graph;
    char prefix[APX_LIMIT_NAME];
    snprintf(prefix, sizeof prefix, "%s%.900s/", loop->scope->prefix,
             apx_onnx_node_label(loop->node));
    loop->step.index = apx_graph_add_value(graph, "");
    loop->before[0] = apx_graph_add_value(graph, "");
    for (size_t i = 0; i < loop->carried; i++)
        loop->before[1 + i] =
            passes_through(loop, i) ? loop->inputs[2 + i] : apx_graph_add_value(graph, "");
    loop->step.first_node = graph->node_count;
    enum apx_status status = apx_loop_convert(loop, prefix, loop->step.index, loop->before[0],
                                              loop->before + 1, loop->after);
    loop->step.node_count = graph->node_count - loop->step.first_node;
    return status;
}

/* ---- what it is */

/* Which carried values are states, which one counts. */
static void sort_out(struct apx_loop *loop)
{
    const struct apx_graph *graph = loop->reader->graph;
    struct apx_loop_step *step = &loop->step;
    struct apx_loop_number one, first;
    step->counter = -1;
    for (size_t i = 0; i < loop->carried; i++) {
        int before = loop->before[1 + i];
        const struct apx_node *sum = apx_loop_made_by(step, loop->after[1 + i], APX_OP_ADD, 2);
        bool counts = false;
        if (before == loop->inputs[2 + i])
            continue;
        for (int k = 0; sum != NULL && k < 2; k++)
            counts |= sum->in[k] == before && apx_loop_number(graph, sum->in[1 - k], &one) &&
                      one.value == 1.0;
        if (counts && step->counter < 0 && apx_loop_number(graph, loop->inputs[2 + i], &first) &&
            first.value == 0.0) {
            step->counter = before;
            continue;
        }
        if (loop->state_count < 2)
            loop->state[loop->state_count] = i;
        loop->state_count++;
    }
}

/* Whether the loop is a cell over a sequence, all of whose outputs per step are its h. */
static bool find_cell(struct apx_loop *loop, struct apx_loop_cell *cell, size_t *h)
{
    int state[2], next[2];
    sort_out(loop);
    if (loop->state_count < 1 || loop->state_count > 2 || !apx_loop_runs_to_end(loop))
        return false;
    for (size_t i = 0; i < loop->state_count; i++) {
        state[i] = loop->before[1 + loop->state[i]];
        next[i] = loop->after[1 + loop->state[i]];
    }
    if (!apx_loop_match(&loop->step, state, next, loop->state_count, cell, h))
        return false;
    for (size_t i = 0; i < loop->scans; i++)
        if (!apx_loop_same(&loop->step, loop->after[1 + loop->carried + i], next[*h]))
            return false;
    return true;
}

/* Whether the body has loops or branches of its own: then it is no cell, and what they do may
 * follow from the step's number alone, which the placeholders do not have. */
static bool is_nested(const Onnx__GraphProto *body)
{
    for (size_t n = 0; n < body->n_node; n++)
        for (size_t i = 0; i < body->node[n]->n_attribute; i++)
            if (body->node[n]->attribute[i]->g != NULL)
                return true;
    return false;
}

static enum apx_status check_interface(const struct apx_loop *loop, size_t input_count,
                                       size_t output_count)
{
    const Onnx__GraphProto *body = loop->body;
    const char *label = apx_onnx_node_label(loop->node);
    if (body == NULL || input_count < 2 || body->n_input != input_count ||
        body->n_output < input_count - 1 || body->n_output > APX_LIMIT_NODE_INPUTS ||
        output_count > body->n_output - 1)
        return apx_fail(loop->reader->error, APX_EFORMAT, label,
                        "the loop's body does not fit its inputs and outputs");
    if (body->n_node > APX_LIMIT_LOOP_NODES || body->n_initializer > APX_LIMIT_LOOP_NODES)
        return apx_fail(loop->reader->error, APX_ELIMIT, label,
                        "a loop's body of more than APX_LIMIT_LOOP_NODES (%d) nodes",
                        APX_LIMIT_LOOP_NODES);
    for (size_t i = 2; i < input_count; i++)
        if (loop->inputs[i] < 0)
            return apx_fail(loop->reader->error, APX_EFORMAT, label,
                            "the loop carries a value that has no first value");
    return APX_OK;
}

enum apx_status apx_onnx_read_loop(struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope, const Onnx__NodeProto *node,
                                   const int *inputs, size_t input_count, const int *outputs,
                                   size_t output_count)
{
    struct apx_loop loop = {.reader = reader, .scope = scope, .node = node};
    int all[APX_LIMIT_NODE_INPUTS] = {-1, -1}; /* both may be left out, at the end too */
    if (input_count > 0)
        memcpy(all, inputs, input_count * sizeof *inputs);
    loop.inputs = all;
    if (input_count < 2)
        input_count = 2;
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(apx_onnx_or_empty(node->attribute[i]->name), "body") == 0)
            loop.body = node->attribute[i]->g;
    enum apx_status status = check_interface(&loop, input_count, output_count);
    if (status == APX_OK) {
        loop.carried = input_count - 2;
        loop.scans = loop.body->n_output - 1 - loop.carried;
        for (size_t i = 0; i < loop.carried + loop.scans; i++)
            loop.outputs[i] = i < output_count ? outputs[i] : -1;
        loop.step.graph = reader->graph;
        status = read_constants(&loop);
    }
    if (status != APX_OK)
        return status;
    if (loop.inputs[0] >= 0 && !is_nested(loop.body)) {
        struct apx_loop_cell cell;
        size_t h;
        status = convert_on_placeholders(&loop);
        if (status != APX_OK)
            return status;
        if (find_cell(&loop, &cell, &h)) {
            /* Placeholders have no type: inference must not meet them. */
            for (int n = 0; n < loop.step.node_count; n++)
                reader->graph->nodes[loop.step.first_node + n].is_dead = true;
            return apx_loop_replace(&loop, &cell, h);
        }
        reader->graph->node_count = loop.step.first_node; /* what follows starts anew */
    }
    return apx_loop_unroll(&loop);
}
