/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_probe.c - a model that says what its layers get: the file's nodes, other outputs.
 *
 * Values may be inputs of the graph, or outputs already, or the same for two layers; an Identity
 * gives each place a name of its own. What no output needs any more is dropped by whoever loads the
 * file. */
#include "runtime/model/onnx_builder.h"
#include "runtime/model/onnx_reader.h"
#include "runtime/model/quantize/quantize_plan.h"

#include "runtime/base/fail.h"

#include <stdio.h>
#include <string.h>

/* Whether a node of the graph, or its interface, has the name. */
static bool is_taken(const Onnx__GraphProto *graph, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < graph->n_input; i++)
        found = found || strcmp(apx_onnx_or_empty(graph->input[i]->name), name) == 0;
    for (size_t i = 0; i < graph->n_initializer; i++)
        found = found || strcmp(apx_onnx_or_empty(graph->initializer[i]->name), name) == 0;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            found = found || strcmp(apx_onnx_or_empty(graph->node[i]->output[k]), name) == 0;
    return found;
}

/* float32, and nothing said of its extents */
static void add_output(struct apx_onnx *onnx, const char *name)
{
    Onnx__ValueInfoProto *value = apx_onnx_take(onnx, 1, sizeof *value);
    Onnx__TypeProto *type = apx_onnx_take(onnx, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = apx_onnx_take(onnx, 1, sizeof *tensor);
    char *copy = apx_onnx_copy_text(onnx, name);
    if (value == NULL || type == NULL || tensor == NULL || copy == NULL)
        return;
    onnx__value_info_proto__init(value);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->has_elem_type = 1;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    value->name = copy;
    value->type = type;
    apx_onnx_append(onnx, &onnx->graph.output, &onnx->graph.n_output, value);
}

enum apx_status apx_quantize_write_probe(const void *given, const char *const *values, size_t count,
                                         void **out, size_t *out_bytes, struct apx_error *error)
{
    const Onnx__ModelProto *model = given;
    struct apx_onnx *onnx = apx_onnx_create("");
    if (onnx == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    onnx->model = *model;
    onnx->graph = *model->graph;
    onnx->model.graph = &onnx->graph;
    onnx->graph.node = NULL;
    onnx->graph.output = NULL;
    onnx->graph.n_node = onnx->graph.n_output = 0;
    for (size_t i = 0; i < model->graph->n_node; i++)
        apx_onnx_append(onnx, &onnx->graph.node, &onnx->graph.n_node, model->graph->node[i]);
    for (size_t i = 0, number = 0; i < count; i++) {
        char name[64];
        const char *text = name;
        do {
            snprintf(name, sizeof name, "layer_input_%zu", number++);
        } while (is_taken(model->graph, name));
        apx_onnx_node(onnx, "", "Identity", "", &values[i], 1, &text, 1);
        add_output(onnx, name);
    }
    enum apx_status status = apx_onnx_write_memory(onnx, out, out_bytes, error);
    apx_onnx_destroy(onnx);
    return status;
}
