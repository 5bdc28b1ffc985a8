/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - a model as JSON, for people and programs that ask what it is and how it runs. */
#include <jansson.h>
#include <stdlib.h>

#include "runtime/base/fail.h"
#include "runtime/exec/model_impl.h"

/* null for a word that is not UTF-8. */
static json_t *describe_classes(const struct apx_tensor_info *info)
{
    json_t *classes = json_array();
    for (size_t i = 0; i < info->class_count; i++) {
        json_t *word = json_string(info->classes[i]);
        json_array_append_new(classes, word != NULL ? word : json_null());
    }
    return classes;
}

static json_t *describe_tensor(const struct apx_tensor_info *info)
{
    json_t *json = json_object(), *dims = json_array();
    for (int i = 0; i < info->rank; i++) {
        if (info->dims[i] >= 0)
            json_array_append_new(dims, json_integer((json_int_t)info->dims[i]));
        else if (info->dim_names[i][0] != '\0')
            json_array_append_new(dims, json_string(info->dim_names[i]));
        else
            json_array_append_new(dims, json_null());
    }
    json_object_set_new(json, "name", json_string(info->name));
    json_object_set_new(json, "dtype", json_string(apx_dtype_name(info->dtype)));
    json_object_set_new(json, "dims", dims);
    json_object_set_new(json, "row_axis",
                        info->row_axis >= 0 ? json_integer(info->row_axis) : json_null());
    if (info->classes != NULL)
        json_object_set_new(json, "classes", describe_classes(info));
    return json;
}

static json_t *describe_nodes(const struct apx_graph *graph)
{
    json_t *nodes = json_array();
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        if (node->is_dead)
            continue;
        const struct apx_op_info *info = apx_op_info(node->op);
        json_t *json = json_object();
        json_object_set_new(json, "name", json_string(node->name));
        json_object_set_new(json, "op", json_string(info->name));
        if (info->domain[0] != '\0')
            json_object_set_new(json, "domain", json_string(info->domain));
        json_array_append_new(nodes, json);
    }
    return nodes;
}

static json_t *describe_forests(const struct apx_model *model)
{
    json_t *forests = json_array();
    for (size_t i = 0; i < model->forest_count; i++) {
        const struct apx_forest_facts *facts = &model->forests[i];
        json_t *json = json_object();
        json_object_set_new(json, "node", json_string(facts->node));
        if (facts->source != NULL && facts->source[0] != '\0')
            json_object_set_new(json, "source", json_string(facts->source));
        json_object_set_new(json, "trees", json_integer((json_int_t)facts->trees));
        json_object_set_new(json, "splits", json_integer((json_int_t)facts->splits));
        json_object_set_new(json, "leaves", json_integer((json_int_t)facts->leaves));
        json_object_set_new(json, "features", json_integer((json_int_t)facts->features));
        json_object_set_new(json, "margins", json_integer((json_int_t)facts->margins));
        json_object_set_new(json, "sets", json_integer((json_int_t)facts->sets));
        json_object_set_new(json, "compares",
                            json_string(facts->compares_double ? "float64" : "float32"));
        json_object_set_new(json, "sums", json_string(facts->sums_double ? "float64" : "float32"));
        json_array_append_new(forests, json);
    }
    return forests;
}

enum apx_status apx_model_describe(const struct apx_model *model, char **out,
                                   struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    *out = NULL;
    json_t *json = json_object(), *inputs = json_array(), *outputs = json_array(),
           *left_out = json_array(), *metadata = json_object();
    for (int i = 0; i < graph->input_count; i++)
        json_array_append_new(inputs, describe_tensor(&model->inputs[i]));
    for (int i = 0; i < graph->output_count; i++)
        json_array_append_new(outputs, describe_tensor(&model->outputs[i]));
    for (int i = 0; i < graph->metadata_count; i++)
        json_object_set_new(metadata, graph->metadata[i].key,
                            json_string(graph->metadata[i].value));
    for (int i = 0; i < graph->left_out_count; i++)
        json_array_append_new(left_out, json_string(graph->left_out[i]));
    json_object_set_new(json, "name", json_string(graph->name != NULL ? graph->name : ""));
    json_object_set_new(json, "producer",
                        json_string(graph->producer != NULL ? graph->producer : ""));
    json_object_set_new(json, "opset", json_integer((json_int_t)graph->opset));
    json_object_set_new(json, "inputs", inputs);
    json_object_set_new(json, "outputs", outputs);
    json_object_set_new(json, "left_out", left_out);
    json_object_set_new(json, "metadata", metadata);
    json_object_set_new(json, "nodes", describe_nodes(graph));
    if (model->forest_count > 0)
        json_object_set_new(json, "forests", describe_forests(model));
    json_object_set_new(json, "device", json_string(model->backend->name));
    json_object_set_new(json, "rows_are_independent", json_boolean(model->row_symbol >= 0));
    if (json != NULL && model->backend->describe(model->program, json) == APX_OK)
        *out = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    return *out != NULL ? APX_OK : apx_fail(error, APX_ENOMEM, "", "out of memory");
}

void apx_string_release(char *string)
{
    free(string);
}
