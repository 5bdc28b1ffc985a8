/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_node.c - nodes of the graph and of function bodies.
 *
 * Two rounds: first every output gets its value, then every node is converted and finds its inputs.
 * So nodes may stand in any order here; onnx_order.c sorts them and finds the cycles. Constant
 * nodes become constants in the first round and leave no node behind. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <string.h>

const char *apx_onnx_node_label(const Onnx__NodeProto *node)
{
    const char *name = apx_onnx_or_empty(node->name);
    return name[0] != '\0' ? name : apx_onnx_or_empty(node->op_type);
}

static bool is_constant(const Onnx__NodeProto *node)
{
    return strcmp(apx_onnx_or_empty(node->op_type), "Constant") == 0 &&
           apx_onnx_domain(node->domain)[0] == '\0';
}

static bool is_loop(const Onnx__NodeProto *node)
{
    return strcmp(apx_onnx_or_empty(node->op_type), "Loop") == 0 &&
           apx_onnx_domain(node->domain)[0] == '\0';
}

/* Trailing inputs or outputs that are left out do not count. */
static size_t used_count(char *const *names, size_t count)
{
    while (count > 0 && apx_onnx_or_empty(names[count - 1])[0] == '\0')
        count--;
    return count;
}

static enum apx_status check_sizes(const struct apx_onnx_reader *reader,
                                   const Onnx__NodeProto *node)
{
    const char *label = apx_onnx_node_label(node);
    if (node->n_input > APX_LIMIT_NODE_INPUTS || node->n_output > APX_LIMIT_NODE_INPUTS)
        return apx_fail(reader->error, APX_ELIMIT, label,
                        "more inputs or outputs than APX_LIMIT_NODE_INPUTS (%d)",
                        APX_LIMIT_NODE_INPUTS);
    if (node->n_attribute > APX_LIMIT_ATTRIBUTES)
        return apx_fail(reader->error, APX_ELIMIT, label,
                        "more attributes than APX_LIMIT_ATTRIBUTES (%d)", APX_LIMIT_ATTRIBUTES);
    if (strlen(label) > APX_LIMIT_NAME)
        return apx_fail(reader->error, APX_ELIMIT, label,
                        "a name of more than APX_LIMIT_NAME (%d) bytes", APX_LIMIT_NAME);
    if (used_count(node->output, node->n_output) == 0)
        return apx_fail(reader->error, APX_EFORMAT, label, "the node has no output");
    return APX_OK;
}

/* The caller's value if `name` is a result of the function, else -1. */
static int caller_value(const struct apx_onnx_scope *scope, const char *name)
{
    for (size_t i = 0; scope->function != NULL && i < scope->function->n_output; i++)
        if (strcmp(apx_onnx_or_empty(scope->function->output[i]), name) == 0)
            return scope->results[i];
    return -1;
}

static enum apx_status declare(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                               const Onnx__NodeProto *node)
{
    enum apx_status status = check_sizes(reader, node);
    for (size_t i = 0; status == APX_OK && i < node->n_output; i++) {
        const char *name = apx_onnx_or_empty(node->output[i]);
        int value = -1;
        if (name[0] == '\0')
            continue;
        if (strlen(name) > APX_LIMIT_NAME)
            return apx_fail(reader->error, APX_ELIMIT, name,
                            "a name of more than APX_LIMIT_NAME (%d) bytes", APX_LIMIT_NAME);
        if (apx_onnx_names_find(&reader->names, scope->id, name, &value))
            return apx_fail(reader->error, APX_EFORMAT, apx_onnx_node_label(node),
                            "%s is produced twice", name);
        const char *full = apx_onnx_full_name(reader, scope, name);
        if (full == NULL)
            return apx_onnx_cannot_grow(reader);
        if (is_constant(node)) {
            if (node->n_output != 1)
                return apx_fail(reader->error, APX_EFORMAT, full, "Constant has one output");
            status = apx_onnx_attr_constant(reader, scope, node, full, &value);
            if (status != APX_OK)
                return status;
        } else {
            value = caller_value(scope, name);
            if (value < 0)
                value = apx_graph_add_value(reader->graph, full);
        }
        if (value < 0 || !apx_onnx_names_add(&reader->names, scope->id, name, value))
            return apx_onnx_cannot_grow(reader);
    }
    return status;
}

static enum apx_status find_inputs(const struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope, const Onnx__NodeProto *node,
                                   size_t count, int *inputs)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = apx_onnx_or_empty(node->input[i]);
        inputs[i] = -1;
        if (name[0] != '\0' && !apx_onnx_names_find(&reader->names, scope->id, name, &inputs[i]))
            return apx_fail(reader->error, APX_EFORMAT, apx_onnx_node_label(node),
                            "input %s is neither an input nor a constant nor produced by a node",
                            name);
    }
    return APX_OK;
}

/* What quantisers write in place of layers. */
static bool is_quantized(const char *op)
{
    return strncmp(op, "QLinear", 7) == 0 || strcmp(op, "QGemm") == 0 ||
           strcmp(op, "QAttention") == 0 || strncmp(op, "MatMul", 6) == 0 ||
           strstr(op, "uantize") != NULL; /* Quantize..., Dequantize... */
}

static enum apx_status refuse(const struct apx_onnx_reader *reader, const Onnx__NodeProto *node)
{
    const char *domain = apx_onnx_domain(node->domain), *op = apx_onnx_or_empty(node->op_type);
    const char *label = apx_onnx_node_label(node);
    if (domain[0] == '\0' && (strcmp(op, "If") == 0 || strcmp(op, "Scan") == 0))
        return apx_fail(reader->error, APX_EUNSUPPORTED, label,
                        "%s: control flow is not supported; export the model with recurrent "
                        "layers as LSTM or GRU operators and without branches",
                        op);
    if (strcmp(domain, "com.microsoft") == 0 && strcmp(op, "DynamicQuantizeLSTM") == 0)
        return apx_fail(reader->error, APX_EUNSUPPORTED, label,
                        "DynamicQuantizeLSTM: its numbers depend on the rows beside it; give the "
                        "float model to auspex quantize instead");
    return apx_fail(reader->error, APX_EUNSUPPORTED, label,
                    "operator %s of domain %s is not supported%s", op,
                    domain[0] != '\0' ? domain : "ai.onnx",
                    strcmp(domain, "com.microsoft") == 0 && is_quantized(op)
                        ? "; quantise the float model to 8 bits with quant_format=QDQ, or give it "
                          "to auspex quantize"
                        : "");
}

static enum apx_status check_arity(const struct apx_onnx_reader *reader, enum apx_op op,
                                   const char *label, const int *inputs, size_t in_count,
                                   size_t out_count)
{
    const struct apx_op_info *info = apx_op_info(op);
    if (in_count < (size_t)info->min_in || in_count > (size_t)info->max_in)
        return apx_fail(reader->error, APX_EFORMAT, label, "%s with %zu inputs; it takes %d to %d",
                        info->name, in_count, info->min_in, info->max_in);
    if (out_count > (size_t)info->max_out)
        return apx_fail(reader->error, APX_EFORMAT, label, "%s with %zu outputs; it has up to %d",
                        info->name, out_count, info->max_out);
    for (int i = 0; i < info->min_in; i++)
        if (inputs[i] < 0)
            return apx_fail(reader->error, APX_EFORMAT, label, "%s: required input %d is left out",
                            info->name, i);
    return APX_OK;
}

/* Our own operators mean what the imported version of their domain says. */
static enum apx_status check_own_version(const struct apx_onnx_reader *reader,
                                         const struct apx_onnx_scope *scope,
                                         const Onnx__NodeProto *node)
{
    const Onnx__FunctionProto *function = scope->function;
    int64_t version = 0;
    if (strcmp(apx_onnx_domain(node->domain), APX_ONNX_OWN_DOMAIN) != 0)
        return APX_OK;
    if (function != NULL)
        version =
            apx_onnx_import(function->opset_import, function->n_opset_import, APX_ONNX_OWN_DOMAIN);
    if (version == 0)
        version = apx_onnx_import(reader->model->opset_import, reader->model->n_opset_import,
                                  APX_ONNX_OWN_DOMAIN);
    if (version == APX_ONNX_OWN_VERSION)
        return APX_OK;
    if (version == 0)
        return apx_fail(reader->error, APX_EFORMAT, apx_onnx_node_label(node),
                        "operator %s of domain " APX_ONNX_OWN_DOMAIN ", which the model does not "
                        "import; this build knows version %d of it",
                        apx_onnx_or_empty(node->op_type), APX_ONNX_OWN_VERSION);
    return apx_fail(reader->error, APX_EUNSUPPORTED, apx_onnx_node_label(node),
                    "domain " APX_ONNX_OWN_DOMAIN " version %lld; this build knows version %d",
                    (long long)version, APX_ONNX_OWN_VERSION);
}

static enum apx_status convert(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                               const Onnx__NodeProto *from)
{
    size_t in_count = used_count(from->input, from->n_input);
    /* How many outputs Split lists says how it splits, even if the last is not wanted. */
    bool is_split = strcmp(apx_onnx_or_empty(from->op_type), "Split") == 0;
    size_t out_count = is_split ? from->n_output : used_count(from->output, from->n_output);
    int inputs[APX_LIMIT_NODE_INPUTS], outputs[APX_LIMIT_NODE_INPUTS];
    enum apx_status status = find_inputs(reader, scope, from, in_count, inputs);
    if (status != APX_OK)
        return status;
    for (size_t i = 0; i < out_count; i++) {
        outputs[i] = -1;
        if (apx_onnx_or_empty(from->output[i])[0] != '\0')
            apx_onnx_names_find(&reader->names, scope->id, from->output[i], &outputs[i]);
    }
    const Onnx__FunctionProto *function = apx_onnx_function(reader, from);
    if (function != NULL)
        return apx_onnx_inline(reader, scope, from, function, inputs, in_count, outputs, out_count);
    if (is_loop(from))
        return apx_onnx_read_loop(reader, scope, from, inputs, in_count, outputs, out_count);
    enum apx_op op;
    if (!apx_op_find(apx_onnx_domain(from->domain), apx_onnx_or_empty(from->op_type), &op))
        return refuse(reader, from);
    if ((status = check_own_version(reader, scope, from)) != APX_OK)
        return status;
    while (in_count > 0 && inputs[in_count - 1] < 0) /* a function's input that its call left out */
        in_count--;
    const char *label = apx_onnx_node_label(from);
    status = check_arity(reader, op, label, inputs, in_count, out_count);
    if (status != APX_OK)
        return status;
    const char *name = apx_onnx_or_empty(from->name);
    if (name[0] != '\0' && (name = apx_onnx_full_name(reader, scope, name)) == NULL)
        return apx_onnx_cannot_grow(reader);
    for (size_t i = 0; op == APX_OP_SPLIT && i < out_count; i++)
        if (outputs[i] < 0 && (outputs[i] = apx_graph_add_value(reader->graph, "")) < 0)
            return apx_onnx_cannot_grow(reader);
    int node = apx_graph_add_node(reader->graph, op, name, (int)in_count, (int)out_count);
    if (node < 0)
        return apx_onnx_cannot_grow(reader);
    memcpy(reader->graph->nodes[node].in, inputs, in_count * sizeof *inputs);
    memcpy(reader->graph->nodes[node].out, outputs, out_count * sizeof *outputs);
    for (size_t i = 0; i < out_count; i++) /* for loop_length.c; onnx_order.c settles it */
        if (outputs[i] >= 0)
            reader->graph->values[outputs[i]].producer = node;
    if (apx_onnx_is_trees(op))
        return apx_onnx_read_trees(reader, scope, from, node);
    for (size_t i = 0; status == APX_OK && i < from->n_attribute; i++)
        status = apx_onnx_read_attr(reader, scope, from->attribute[i], node);
    if (status == APX_OK)
        status = apx_onnx_modernize(reader, scope->opset, node);
    return status;
}

enum apx_status apx_onnx_read_nodes(struct apx_onnx_reader *reader,
                                    const struct apx_onnx_scope *scope,
                                    Onnx__NodeProto *const *nodes, size_t count)
{
    enum apx_status status = APX_OK;
    if (count > APX_LIMIT_NODES)
        return apx_fail(reader->error, APX_ELIMIT, scope->prefix,
                        "more than APX_LIMIT_NODES (%d) nodes", APX_LIMIT_NODES);
    for (size_t i = 0; status == APX_OK && i < count; i++)
        status = declare(reader, scope, nodes[i]);
    for (size_t i = 0; status == APX_OK && i < count; i++)
        if (!is_constant(nodes[i]))
            status = convert(reader, scope, nodes[i]);
    return status;
}
