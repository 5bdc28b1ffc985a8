/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_read.c - the way from bytes to a graph: scan, unpack, versions, constants, inputs, nodes,
 * outputs, order. What each step may assume is what the steps before it have checked. */
#include "runtime/model/onnx_read.h"

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/leaf_algebra.h"
#include "runtime/model/onnx_reader.h"

#include <stdio.h>
#include <string.h>

/* What protobuf-c may hold while it unpacks, per byte of the file: a list that is not packed takes
 * two bytes an element on the wire, and up to 88 in memory while protobuf-c counts it. */
#define UNPACK_FACTOR 64
#define UNPACK_FLOOR  ((size_t)1 << 20)

enum apx_status apx_onnx_cannot_grow(const struct apx_onnx_reader *reader)
{
    if (reader->graph->value_count >= APX_LIMIT_VALUES)
        return apx_fail(reader->error, APX_ELIMIT, NULL,
                        "the model has more than APX_LIMIT_VALUES (%d) values", APX_LIMIT_VALUES);
    if (reader->graph->node_count >= APX_LIMIT_NODES)
        return apx_fail(reader->error, APX_ELIMIT, NULL,
                        "the model has more than APX_LIMIT_NODES (%d) nodes", APX_LIMIT_NODES);
    return apx_fail(reader->error, APX_ENOMEM, NULL, "out of memory");
}

enum apx_status apx_onnx_charge(struct apx_onnx_reader *reader, const char *name, size_t bytes)
{
    if (bytes > reader->constant_budget - reader->constant_bytes)
        return apx_fail(reader->error, APX_ELIMIT, name,
                        "constants grow beyond APX_LIMIT_CONSTANT_FACTOR (%d) times the file",
                        APX_LIMIT_CONSTANT_FACTOR);
    reader->constant_bytes += bytes;
    return APX_OK;
}

const char *apx_onnx_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

const char *apx_onnx_domain(const char *domain)
{
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

int64_t apx_onnx_import(Onnx__OperatorSetIdProto *const *imports, size_t count, const char *domain)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(apx_onnx_domain(imports[i]->domain), domain) == 0)
            return imports[i]->version;
    return 0;
}

const char *apx_onnx_full_name(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                               const char *name)
{
    char text[APX_LIMIT_NAME + 1];
    if (scope->prefix[0] == '\0')
        return name;
    snprintf(text, sizeof text, "%s%s", scope->prefix, name);
    return apx_graph_string(reader->graph, text, strlen(text));
}

static enum apx_status check_versions(struct apx_onnx_reader *reader)
{
    const Onnx__ModelProto *model = reader->model;
    struct apx_graph *graph = reader->graph;
    if (model->graph == NULL || !model->has_ir_version)
        return apx_fail(reader->error, APX_EFORMAT, NULL, "not an ONNX model: it has no %s",
                        model->graph == NULL ? "graph" : "IR version");
    if (model->n_functions > APX_LIMIT_FUNCTIONS)
        return apx_fail(reader->error, APX_ELIMIT, NULL,
                        "more than APX_LIMIT_FUNCTIONS (%d) local functions", APX_LIMIT_FUNCTIONS);
    if (model->ir_version < APX_ONNX_IR_FIRST || model->ir_version > APX_ONNX_IR_LAST)
        return apx_fail(reader->error, APX_EUNSUPPORTED, NULL,
                        "IR version %lld; this build reads %d to %d: save the model with "
                        "ir_version set to one of these",
                        (long long)model->ir_version, APX_ONNX_IR_FIRST, APX_ONNX_IR_LAST);
    graph->opset = apx_onnx_import(model->opset_import, model->n_opset_import, "");
    graph->opset_ml = apx_onnx_import(model->opset_import, model->n_opset_import, "ai.onnx.ml");
    if (graph->opset_ml < 0 || graph->opset_ml > APX_ONNX_ML_LAST)
        return apx_fail(reader->error, APX_EUNSUPPORTED, NULL,
                        "opset %lld of ai.onnx.ml; this build reads 1 to %d",
                        (long long)graph->opset_ml, APX_ONNX_ML_LAST);
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (strcmp(apx_onnx_domain(model->opset_import[i]->domain), APX_ONNX_OWN_DOMAIN) == 0 &&
            model->opset_import[i]->version != APX_ONNX_OWN_VERSION)
            return apx_fail(reader->error, APX_EUNSUPPORTED, NULL,
                            "domain " APX_ONNX_OWN_DOMAIN " version %lld; this build knows "
                            "version %d",
                            (long long)model->opset_import[i]->version, APX_ONNX_OWN_VERSION);
    if (graph->opset == 0 && graph->opset_ml > 0)
        return APX_OK; /* a model of ai.onnx.ml alone */
    if (graph->opset < APX_ONNX_OPSET_FIRST || graph->opset > APX_ONNX_OPSET_LAST)
        return apx_fail(reader->error, APX_EUNSUPPORTED, NULL,
                        "opset %lld; this build reads %d to %d: export the model again with one "
                        "of these",
                        (long long)graph->opset, APX_ONNX_OPSET_FIRST, APX_ONNX_OPSET_LAST);
    return APX_OK;
}

static enum apx_status copy_description(struct apx_onnx_reader *reader)
{
    const Onnx__ModelProto *model = reader->model;
    struct apx_graph *graph = reader->graph;
    char producer[256];
    snprintf(producer, sizeof producer, "%.120s%s%.120s", apx_onnx_or_empty(model->producer_name),
             apx_onnx_or_empty(model->producer_version)[0] != '\0' ? " " : "",
             apx_onnx_or_empty(model->producer_version));
    const char *name = apx_onnx_or_empty(model->graph->name);
    graph->name = apx_graph_string(graph, name, strnlen(name, APX_LIMIT_NAME));
    graph->producer = apx_graph_string(graph, producer, strlen(producer));
    graph->metadata = apx_graph_alloc(graph, model->n_metadata_props * sizeof *graph->metadata);
    if (graph->name == NULL || graph->producer == NULL || graph->metadata == NULL)
        return apx_onnx_cannot_grow(reader);
    for (size_t i = 0; i < model->n_metadata_props && i < APX_LIMIT_VALUES; i++) {
        const char *key = apx_onnx_or_empty(model->metadata_props[i]->key);
        const char *value = apx_onnx_or_empty(model->metadata_props[i]->value);
        struct apx_metadata *entry = &graph->metadata[i];
        entry->key = apx_graph_string(graph, key, strlen(key));
        entry->value = apx_graph_string(graph, value, strlen(value));
        if (entry->key == NULL || entry->value == NULL)
            return apx_onnx_cannot_grow(reader);
        graph->metadata_count++;
    }
    return APX_OK;
}

/* A usable name that is not taken. */
static enum apx_status check_name(const struct apx_onnx_reader *reader, const char *what,
                                  const char *name)
{
    int value;
    if (name[0] == '\0')
        return apx_fail(reader->error, APX_EFORMAT, NULL, "%s without a name", what);
    if (strlen(name) > APX_LIMIT_NAME)
        return apx_fail(reader->error, APX_ELIMIT, name,
                        "a name of more than APX_LIMIT_NAME (%d) bytes", APX_LIMIT_NAME);
    if (apx_onnx_names_find(&reader->names, 0, name, &value))
        return apx_fail(reader->error, APX_EFORMAT, name, "%s: the name is used twice", what);
    return APX_OK;
}

static enum apx_status read_initializers(struct apx_onnx_reader *reader)
{
    const Onnx__GraphProto *from = reader->model->graph;
    if (from->n_sparse_initializer > 0)
        return apx_fail(reader->error, APX_EUNSUPPORTED, NULL,
                        "sparse tensors are not supported; save the weights as dense tensors");
    for (size_t i = 0; i < from->n_initializer; i++) {
        const char *name = apx_onnx_or_empty(from->initializer[i]->name);
        int value;
        enum apx_status status = check_name(reader, "initializer", name);
        if (status == APX_OK)
            status = apx_onnx_read_tensor(reader, from->initializer[i], name, &value);
        if (status != APX_OK)
            return status;
        if (!apx_onnx_names_add(&reader->names, 0, name, value))
            return apx_onnx_cannot_grow(reader);
    }
    return APX_OK;
}

static enum apx_status read_extent(struct apx_onnx_reader *reader, const char *name, int axis,
                                   const Onnx__TensorShapeProto__Dimension *from,
                                   struct apx_dim *extent)
{
    const char *symbol = "";
    bool is_made;
    char made[APX_LIMIT_NAME + 32];
    if (from->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
        from->dim_value >= 0) {
        if (from->dim_value > APX_LIMIT_ELEMENTS)
            return apx_fail(reader->error, APX_ELIMIT, name,
                            "extent %lld is above APX_LIMIT_ELEMENTS (2^31)",
                            (long long)from->dim_value);
        *extent = apx_dim_constant(from->dim_value);
        return APX_OK;
    }
    if (from->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
        symbol = apx_onnx_or_empty(from->dim_param);
    if (strlen(symbol) > APX_LIMIT_NAME)
        return apx_fail(reader->error, APX_ELIMIT, name,
                        "a name of more than APX_LIMIT_NAME (%d) bytes", APX_LIMIT_NAME);
    is_made = symbol[0] == '\0';
    if (is_made) { /* also -1, which some exporters write for "free" */
        snprintf(made, sizeof made, "%s_dim%d", name, axis);
        symbol = made;
    }
    int index = apx_graph_symbol(reader->graph, symbol);
    if (index < 0)
        return reader->graph->symbol_count == APX_MAX_SYMBOLS
                   ? apx_fail(reader->error, APX_ELIMIT, name,
                              "more than APX_MAX_SYMBOLS (%d) free dimensions: fix some, or give "
                              "those that are equal the same name",
                              APX_MAX_SYMBOLS)
                   : apx_onnx_cannot_grow(reader);
    reader->graph->symbol_is_made[index] = is_made;
    *extent = apx_dim_symbol(index);
    return APX_OK;
}

static enum apx_status read_input(struct apx_onnx_reader *reader, const Onnx__ValueInfoProto *from)
{
    const char *name = from->name;
    struct apx_error *error = reader->error;
    if (from->type == NULL || from->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return apx_fail(error, APX_EUNSUPPORTED, name,
                        "the input is no tensor (or has no type); only tensors are supported");
    const Onnx__TypeProto__Tensor *type = from->type->tensor_type;
    enum apx_dtype dtype = apx_onnx_dtype(type->elem_type);
    if (dtype == APX_DTYPE_NONE || dtype == APX_STRING)
        return apx_fail(error, APX_EUNSUPPORTED, name,
                        "inputs of %s are not supported; a run takes numbers",
                        apx_onnx_dtype_name(type->elem_type));
    if (type->shape == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, name,
                        "the input has no shape; export the model with its number of dimensions");
    if (type->shape->n_dim > APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, name, "rank %zu is above APX_MAX_RANK (%d)",
                        type->shape->n_dim, APX_MAX_RANK);
    int v = apx_graph_add_value(reader->graph, name);
    if (v < 0 || !apx_onnx_names_add(&reader->names, 0, name, v))
        return apx_onnx_cannot_grow(reader);
    reader->graph->values[v].dtype = dtype;
    reader->graph->values[v].rank = (int)type->shape->n_dim;
    reader->graph->inputs[reader->graph->input_count++] = v;
    for (int i = 0; i < (int)type->shape->n_dim; i++) {
        enum apx_status status =
            read_extent(reader, name, i, type->shape->dim[i], &reader->graph->values[v].dims[i]);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

static bool is_initializer(const struct apx_onnx_reader *reader, const char *name)
{
    int value;
    return apx_onnx_names_find(&reader->names, 0, name, &value) &&
           reader->graph->values[value].data != NULL;
}

static enum apx_status read_inputs(struct apx_onnx_reader *reader)
{
    const Onnx__GraphProto *from = reader->model->graph;
    if (from->n_input > APX_LIMIT_VALUES)
        return apx_fail(reader->error, APX_ELIMIT, NULL, "more than APX_LIMIT_VALUES (%d) inputs",
                        APX_LIMIT_VALUES);
    reader->graph->inputs =
        apx_graph_alloc(reader->graph, from->n_input * sizeof *reader->graph->inputs);
    if (reader->graph->inputs == NULL)
        return apx_onnx_cannot_grow(reader);
    for (size_t i = 0; i < from->n_input; i++) {
        /* IR 3 lists initializers as inputs too: values that a caller could override. They are
         * constants here. */
        const char *name = apx_onnx_or_empty(from->input[i]->name);
        if (is_initializer(reader, name))
            continue;
        enum apx_status status = check_name(reader, "input", name);
        if (status == APX_OK)
            status = read_input(reader, from->input[i]);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

static enum apx_status read_outputs(struct apx_onnx_reader *reader)
{
    const Onnx__GraphProto *from = reader->model->graph;
    struct apx_graph *graph = reader->graph;
    if (from->n_output == 0)
        return apx_fail(reader->error, APX_EFORMAT, NULL, "the model has no outputs");
    if (from->n_output > APX_LIMIT_NODES)
        return apx_fail(reader->error, APX_ELIMIT, NULL, "more than APX_LIMIT_NODES (%d) outputs",
                        APX_LIMIT_NODES);
    graph->outputs = apx_graph_alloc(graph, from->n_output * sizeof *graph->outputs);
    if (graph->outputs == NULL)
        return apx_onnx_cannot_grow(reader);
    for (size_t i = 0; i < from->n_output; i++) {
        const char *name = apx_onnx_or_empty(from->output[i]->name);
        int value, seen;
        if (!apx_onnx_names_find(&reader->names, 0, name, &value))
            return apx_fail(reader->error, APX_EFORMAT, name, "no node produces this output");
        if (apx_onnx_names_find(&reader->names, -1, name, &seen))
            return apx_fail(reader->error, APX_EFORMAT, name, "output: the name is used twice");
        if (!apx_onnx_names_add(&reader->names, -1, name, value))
            return apx_onnx_cannot_grow(reader);
        graph->outputs[graph->output_count++] = value;
    }
    return APX_OK;
}

enum apx_status apx_onnx_unpack_model(struct apx_onnx_reader *reader, const void *data,
                                      size_t bytes)
{
    if (bytes == 0)
        return apx_fail(reader->error, APX_EFORMAT, NULL, "the file is empty");
    if (bytes > APX_LIMIT_FILE_BYTES)
        return apx_fail(reader->error, APX_ELIMIT, NULL,
                        "the file is larger than APX_LIMIT_FILE_BYTES (2 GiB)");
    enum apx_status status =
        apx_onnx_scan(&onnx__model_proto__descriptor, data, bytes, reader->error);
    if (status != APX_OK)
        return status;
    size_t budget = UNPACK_FLOOR + UNPACK_FACTOR * bytes;
    reader->constant_budget = APX_LIMIT_CONSTANT_FLOOR + APX_LIMIT_CONSTANT_FACTOR * bytes;
    status = apx_onnx_memory_create(reader->names.allocator, budget, &reader->memory);
    if (status != APX_OK)
        return apx_fail(reader->error, status, NULL, "out of memory");
    reader->model = (const Onnx__ModelProto *)apx_onnx_unpack(
        reader->memory, &onnx__model_proto__descriptor, data, bytes);
    if (reader->model != NULL)
        return APX_OK;
    switch (apx_onnx_unpack_failure(reader->memory)) {
    case APX_ENOMEM:
        return apx_fail(reader->error, APX_ENOMEM, NULL, "out of memory");
    case APX_ELIMIT:
        return apx_fail(reader->error, APX_ELIMIT, NULL,
                        "unpacked, the file takes more than %d times its size", UNPACK_FACTOR);
    default:
        return apx_fail(reader->error, APX_EFORMAT, NULL, "not an ONNX file");
    }
}

/* Before inference, which then has a node where there were thousands. */
static enum apx_status fold_trees(struct apx_graph *graph, struct apx_error *error)
{
    bool changed;
    enum apx_status status = apx_tree_sums_fold(graph, &changed, error);
    return status == APX_OK && changed ? apx_onnx_order(graph, error) : status;
}

enum apx_status apx_onnx_read(const void *data, size_t bytes, const char *directory,
                              const struct apx_allocator *allocator, struct apx_graph **out,
                              struct apx_error *error)
{
    if (allocator == NULL)
        allocator = apx_allocator_default();
    struct apx_onnx_reader reader = {
        .error = error, .directory = directory, .names = {.allocator = allocator}};
    *out = NULL;
    enum apx_status status = apx_onnx_unpack_model(&reader, data, bytes);
    if (status == APX_OK && apx_graph_create(allocator, &reader.graph) != APX_OK)
        status = apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    if (status != APX_OK || (status = check_versions(&reader)) != APX_OK ||
        (status = copy_description(&reader)) != APX_OK ||
        (status = read_initializers(&reader)) != APX_OK ||
        (status = read_inputs(&reader)) != APX_OK)
        goto fail;
    struct apx_onnx_scope scope = {.prefix = "", .opset = reader.graph->opset};
    if ((status = apx_onnx_read_nodes(&reader, &scope, reader.model->graph->node,
                                      reader.model->graph->n_node)) != APX_OK ||
        (status = read_outputs(&reader)) != APX_OK ||
        (status = apx_onnx_order(reader.graph, error)) != APX_OK ||
        (status = fold_trees(reader.graph, error)) != APX_OK)
        goto fail;
    *out = reader.graph;
    reader.graph = NULL;
fail:
    apx_graph_destroy(reader.graph);
    apx_onnx_names_fini(&reader.names);
    apx_onnx_memory_destroy(reader.memory);
    return status;
}
