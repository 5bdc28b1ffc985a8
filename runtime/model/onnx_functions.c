/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_functions.c - put a local function's body in place of its call.
 *
 * Each call gets a name scope of its own. Formal inputs stand for the caller's values; a body value
 * that is a formal output *is* the caller's value, so that no copies appear. Calls count as nodes
 * against the node limit: functions that call each other twice would otherwise double per level. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <stdio.h>
#include <string.h>

/* `overload` came to both messages after Debian's onnx.proto. */
#define NODE_OVERLOAD     8
#define FUNCTION_OVERLOAD 13

static bool same_overload(const Onnx__NodeProto *call, const Onnx__FunctionProto *function)
{
    const uint8_t *wanted = NULL, *offered = NULL;
    size_t wanted_bytes = 0, offered_bytes = 0;
    apx_onnx_unknown_field(&call->base, NODE_OVERLOAD, 0, &wanted, &wanted_bytes);
    apx_onnx_unknown_field(&function->base, FUNCTION_OVERLOAD, 0, &offered, &offered_bytes);
    return wanted_bytes == offered_bytes &&
           (wanted_bytes == 0 || memcmp(wanted, offered, wanted_bytes) == 0);
}

const Onnx__FunctionProto *apx_onnx_function(const struct apx_onnx_reader *reader,
                                             const Onnx__NodeProto *call)
{
    const char *domain = apx_onnx_domain(call->domain), *name = apx_onnx_or_empty(call->op_type);
    enum apx_op op;
    /* Our own operators carry a body for other runtimes; here they are native. */
    if (strcmp(domain, APX_ONNX_OWN_DOMAIN) == 0 && apx_op_find(domain, name, &op))
        return NULL;
    for (size_t i = 0; i < reader->model->n_functions; i++) {
        const Onnx__FunctionProto *function = reader->model->functions[i];
        if (strcmp(apx_onnx_or_empty(function->name), name) == 0 &&
            strcmp(apx_onnx_domain(function->domain), domain) == 0 && same_overload(call, function))
            return function;
    }
    return NULL;
}

static enum apx_status bind_inputs(struct apx_onnx_reader *reader, int scope,
                                   const Onnx__FunctionProto *function, const int *inputs,
                                   size_t input_count)
{
    for (size_t i = 0; i < function->n_input; i++) {
        const char *formal = apx_onnx_or_empty(function->input[i]);
        int value;
        if (formal[0] == '\0' || apx_onnx_names_find(&reader->names, scope, formal, &value))
            return apx_fail(reader->error, APX_EFORMAT, apx_onnx_or_empty(function->name),
                            "input %zu of the function has no name of its own", i);
        if (!apx_onnx_names_add(&reader->names, scope, formal, i < input_count ? inputs[i] : -1))
            return apx_onnx_cannot_grow(reader);
    }
    return APX_OK;
}

/* A result that is not a node's own output (an input passed on, a constant, the same result twice)
 * is copied to the caller's value. */
static enum apx_status bind_results(struct apx_onnx_reader *reader,
                                    const struct apx_onnx_scope *scope)
{
    const Onnx__FunctionProto *function = scope->function;
    for (size_t i = 0; i < function->n_output; i++) {
        const char *formal = apx_onnx_or_empty(function->output[i]);
        int value = -1;
        if (scope->results[i] < 0)
            continue;
        if (!apx_onnx_names_find(&reader->names, scope->id, formal, &value) || value < 0)
            return apx_fail(reader->error, APX_EFORMAT, apx_onnx_or_empty(function->name),
                            "nothing in the function produces its output %s", formal);
        if (value == scope->results[i])
            continue;
        int node = apx_graph_add_node(reader->graph, APX_OP_IDENTITY, "", 1, 1);
        if (node < 0)
            return apx_onnx_cannot_grow(reader);
        reader->graph->nodes[node].in[0] = value;
        reader->graph->nodes[node].out[0] = scope->results[i];
    }
    return APX_OK;
}

enum apx_status apx_onnx_inline(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                                const Onnx__NodeProto *call, const Onnx__FunctionProto *function,
                                const int *inputs, size_t input_count, const int *outputs,
                                size_t output_count)
{
    const char *label = apx_onnx_node_label(call);
    if (input_count > function->n_input || output_count > function->n_output)
        return apx_fail(reader->error, APX_EFORMAT, label,
                        "more inputs or outputs than function %s has",
                        apx_onnx_or_empty(function->name));
    if (function->n_output > APX_LIMIT_NODE_INPUTS || function->n_input > APX_LIMIT_NODE_INPUTS)
        return apx_fail(reader->error, APX_ELIMIT, apx_onnx_or_empty(function->name),
                        "more inputs or outputs than APX_LIMIT_NODE_INPUTS (%d)",
                        APX_LIMIT_NODE_INPUTS);
    if (scope->depth == APX_LIMIT_CALL_DEPTH)
        return apx_fail(reader->error, APX_ELIMIT, label,
                        "functions call each other deeper than APX_LIMIT_CALL_DEPTH (%d)",
                        APX_LIMIT_CALL_DEPTH);
    if (++reader->call_count > APX_LIMIT_NODES)
        return apx_fail(reader->error, APX_ELIMIT, label,
                        "more than APX_LIMIT_NODES (%d) function calls", APX_LIMIT_NODES);
    int results[APX_LIMIT_NODE_INPUTS];
    for (size_t i = 0; i < function->n_output; i++)
        results[i] = i < output_count ? outputs[i] : -1;
    char prefix[APX_LIMIT_NAME];
    snprintf(prefix, sizeof prefix, "%s%s/", scope->prefix, label);
    struct apx_onnx_scope body = {
        .id = ++reader->scope_count,
        .depth = scope->depth + 1,
        .prefix = prefix,
        .opset = apx_onnx_import(function->opset_import, function->n_opset_import, ""),
        .caller = scope,
        .function = function,
        .call = call,
        .results = results,
    };
    if (body.opset == 0)
        body.opset = scope->opset;
    enum apx_status status = bind_inputs(reader, body.id, function, inputs, input_count);
    if (status == APX_OK)
        status = apx_onnx_read_nodes(reader, &body, function->node, function->n_node);
    if (status == APX_OK)
        status = bind_results(reader, &body);
    return status;
}
