/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_build.c - ONNX files from a sequence of calls.
 *
 * The calls fill protobuf-c's structs; everything they point to comes from one chain of blocks, so
 * that destroying is walking the chain. Lists grow by doubling: a list of n entries has the
 * smallest power of two of at least n, and a new one is taken from the chain when n is such a
 * power. */
#include "runtime/model/onnx_builder.h"

#include "runtime/base/fail.h"
#include "runtime/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IR_VERSION 8

struct apx_onnx_block {
    _Alignas(16) struct apx_onnx_block *next;
};

static void fail(struct apx_onnx *onnx, enum apx_status status, const char *field, const char *text)
{
    if (onnx->failure.status == APX_OK)
        apx_fail(&onnx->failure, status, field, "%s", text);
}

void *apx_onnx_take(struct apx_onnx *onnx, size_t count, size_t size)
{
    size_t bytes;
    struct apx_onnx_block *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes < SIZE_MAX / 2)
        block = calloc(1, sizeof *block + bytes);
    if (block == NULL) {
        fail(onnx, APX_ENOMEM, NULL, "out of memory");
        return NULL;
    }
    block->next = onnx->blocks;
    onnx->blocks = block;
    return block + 1;
}

static void *copy(struct apx_onnx *onnx, const void *from, size_t count, size_t size)
{
    void *to = apx_onnx_take(onnx, count, size);
    if (to != NULL && count > 0)
        memcpy(to, from, count * size);
    return to;
}

char *apx_onnx_copy_text(struct apx_onnx *onnx, const char *text)
{
    return copy(onnx, text, strlen(text) + 1, 1);
}

static ProtobufCBinaryData copy_bytes(struct apx_onnx *onnx, const void *from, size_t bytes)
{
    ProtobufCBinaryData data = {.data = copy(onnx, from, bytes, 1)};
    data.len = data.data != NULL ? bytes : 0;
    return data;
}

void apx_onnx_append(struct apx_onnx *onnx, void *list, size_t *count, void *entry)
{
    void **entries;
    memcpy(&entries, list, sizeof entries); /* list is a T ***, whatever T */
    if (entry == NULL)
        return;
    if ((*count & (*count - 1)) == 0) {
        void **larger = apx_onnx_take(onnx, *count == 0 ? 1 : 2 * *count, sizeof *larger);
        if (larger == NULL)
            return;
        if (*count > 0)
            memcpy(larger, entries, *count * sizeof *larger);
        entries = larger;
        memcpy(list, &entries, sizeof entries);
    }
    entries[(*count)++] = entry;
}

/* A message of type T, initialised, or NULL. */
#define TAKE(onnx, type, init) ((type *)take_message(onnx, sizeof(type), &(const type)init))

static void *take_message(struct apx_onnx *onnx, size_t size, const void *initial)
{
    return copy(onnx, initial, 1, size);
}

struct apx_onnx *apx_onnx_create(const char *graph_name)
{
    struct apx_onnx *onnx = calloc(1, sizeof *onnx);
    if (onnx == NULL)
        return NULL;
    onnx->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
    onnx->graph = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
    onnx->model.has_ir_version = 1;
    onnx->model.ir_version = IR_VERSION;
    onnx->model.graph = &onnx->graph;
    onnx->target = &onnx->whole;
    onnx->whole.graph = &onnx->graph;
    onnx->whole.nodes = &onnx->graph.node;
    onnx->whole.node_count = &onnx->graph.n_node;
    onnx->model.producer_name = apx_onnx_copy_text(onnx, "auspex");
    onnx->model.producer_version = apx_onnx_copy_text(onnx, apx_version());
    onnx->graph.name = apx_onnx_copy_text(onnx, graph_name);
    return onnx;
}

void apx_onnx_destroy(struct apx_onnx *onnx)
{
    if (onnx == NULL)
        return;
    for (struct apx_onnx_block *block = onnx->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(onnx);
}

void apx_onnx_opset(struct apx_onnx *onnx, const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *opset =
        TAKE(onnx, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    if (opset == NULL)
        return;
    opset->domain = apx_onnx_copy_text(onnx, domain);
    opset->has_version = 1;
    opset->version = version;
    apx_onnx_append(onnx, &onnx->model.opset_import, &onnx->model.n_opset_import, opset);
}

void apx_onnx_metadata(struct apx_onnx *onnx, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry =
        TAKE(onnx, Onnx__StringStringEntryProto, ONNX__STRING_STRING_ENTRY_PROTO__INIT);
    if (entry == NULL)
        return;
    entry->key = apx_onnx_copy_text(onnx, key);
    entry->value = apx_onnx_copy_text(onnx, value);
    apx_onnx_append(onnx, &onnx->model.metadata_props, &onnx->model.n_metadata_props, entry);
}

/* TensorProto.DataType; 0 for APX_DTYPE_NONE. */
static int32_t data_type_of(enum apx_dtype dtype)
{
    static const int32_t types[] = {
        [APX_F32] = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
        [APX_F64] = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE,
        [APX_I32] = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
        [APX_I64] = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
        [APX_BOOL] = ONNX__TENSOR_PROTO__DATA_TYPE__BOOL,
        [APX_U8] = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
        [APX_I8] = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
        [APX_STRING] = ONNX__TENSOR_PROTO__DATA_TYPE__STRING,
    };
    return (size_t)dtype < sizeof types / sizeof types[0] ? types[dtype] : 0;
}

static Onnx__TensorShapeProto__Dimension *make_dimension(struct apx_onnx *onnx, const char *text)
{
    Onnx__TensorShapeProto__Dimension *dimension =
        TAKE(onnx, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
    if (dimension == NULL)
        return NULL;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && number >= 0) {
        dimension->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dimension->dim_value = number;
    } else {
        dimension->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dimension->dim_param = apx_onnx_copy_text(onnx, text);
    }
    return dimension;
}

static Onnx__ValueInfoProto *make_value(struct apx_onnx *onnx, const char *name,
                                        enum apx_dtype dtype, int rank, const char *const *dims)
{
    Onnx__ValueInfoProto *value = TAKE(onnx, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = TAKE(onnx, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor =
        TAKE(onnx, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *shape =
        TAKE(onnx, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    if (value == NULL || type == NULL || tensor == NULL || shape == NULL)
        return NULL;
    if (data_type_of(dtype) == 0)
        fail(onnx, APX_EINVAL, name, "an input or output without an element type");
    for (int i = 0; i < rank; i++)
        apx_onnx_append(onnx, &shape->dim, &shape->n_dim, make_dimension(onnx, dims[i]));
    tensor->has_elem_type = 1;
    tensor->elem_type = data_type_of(dtype);
    tensor->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    value->name = apx_onnx_copy_text(onnx, name);
    value->type = type;
    return value;
}

/* The graph that values go to; a function has none, and taking its calls for the model's would hide
 * the mistake. */
static Onnx__GraphProto *current_graph(struct apx_onnx *onnx, const char *name)
{
    if (onnx->target->graph == NULL)
        fail(onnx, APX_EINVAL, name, "a typed value or a tensor of a function");
    return onnx->target->graph != NULL ? onnx->target->graph : &onnx->graph;
}

void apx_onnx_input(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                    const char *const *dims)
{
    Onnx__GraphProto *graph = current_graph(onnx, name);
    apx_onnx_append(onnx, &graph->input, &graph->n_input,
                    make_value(onnx, name, dtype, rank, dims));
}

void apx_onnx_output(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                     const char *const *dims)
{
    Onnx__GraphProto *graph = current_graph(onnx, name);
    apx_onnx_append(onnx, &graph->output, &graph->n_output,
                    make_value(onnx, name, dtype, rank, dims));
}

/* Long lists (the modes of tree nodes) repeat a few pointers: equal ones share a copy. */
#define RECENT 4

static void copy_strings(struct apx_onnx *onnx, const char *const *from, size_t count,
                         ProtobufCBinaryData **to, size_t *to_count)
{
    size_t recent[RECENT] = {0}, next = 0; /* where from[] was copied last */
    *to = apx_onnx_take(onnx, count, sizeof **to);
    *to_count = *to != NULL ? count : 0;
    for (size_t i = 0; i < *to_count; i++) {
        size_t r = 0;
        while (r < RECENT && (recent[r] >= i || from[recent[r]] != from[i]))
            r++;
        if (r < RECENT) {
            (*to)[i] = (*to)[recent[r]];
            continue;
        }
        (*to)[i] = copy_bytes(onnx, from[i], strlen(from[i]));
        recent[next++ % RECENT] = i;
    }
}

/* NULL after recording the failure. */
static Onnx__TensorProto *make_tensor(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype,
                                      int rank, const int64_t *dims, const void *data)
{
    Onnx__TensorProto *tensor = TAKE(onnx, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    size_t elements = 1, bytes;
    if (tensor == NULL)
        return NULL;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(elements, (size_t)dims[i], &elements))
            fail(onnx, APX_EINVAL, name, "a tensor with an impossible extent");
    if (data_type_of(dtype) == 0 ||
        __builtin_mul_overflow(elements, apx_dtype_size(dtype), &bytes)) {
        fail(onnx, APX_EINVAL, name, "a tensor without an element type, or too large");
        return NULL;
    }
    if (onnx->failure.status != APX_OK)
        return NULL;
    tensor->name = apx_onnx_copy_text(onnx, name);
    tensor->dims = copy(onnx, dims, (size_t)rank, sizeof *dims);
    tensor->n_dims = tensor->dims != NULL ? (size_t)rank : 0;
    tensor->has_data_type = 1;
    tensor->data_type = data_type_of(dtype);
    if (dtype == APX_STRING) {
        copy_strings(onnx, data, elements, &tensor->string_data, &tensor->n_string_data);
    } else {
        tensor->has_raw_data = 1;
        tensor->raw_data = copy_bytes(onnx, data, bytes);
    }
    return tensor;
}

void apx_onnx_tensor(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                     const int64_t *dims, const void *data)
{
    Onnx__GraphProto *graph = current_graph(onnx, name);
    apx_onnx_append(onnx, &graph->initializer, &graph->n_initializer,
                    make_tensor(onnx, name, dtype, rank, dims, data));
}

void apx_onnx_node(struct apx_onnx *onnx, const char *domain, const char *op_type, const char *name,
                   const char *const *inputs, int input_count, const char *const *outputs,
                   int output_count)
{
    Onnx__NodeProto *node = TAKE(onnx, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    if (node == NULL)
        return;
    node->domain = apx_onnx_copy_text(onnx, domain);
    node->op_type = apx_onnx_copy_text(onnx, op_type);
    node->name = apx_onnx_copy_text(onnx, name);
    for (int i = 0; i < input_count; i++)
        apx_onnx_append(onnx, &node->input, &node->n_input, apx_onnx_copy_text(onnx, inputs[i]));
    for (int i = 0; i < output_count; i++)
        apx_onnx_append(onnx, &node->output, &node->n_output, apx_onnx_copy_text(onnx, outputs[i]));
    apx_onnx_append(onnx, onnx->target->nodes, onnx->target->node_count, node);
}

/* An attribute of the node added last; NULL after recording the failure. */
static Onnx__AttributeProto *make_attribute(struct apx_onnx *onnx, const char *name,
                                            Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = TAKE(onnx, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    if (*onnx->target->node_count == 0)
        fail(onnx, APX_EINVAL, name, "an attribute before the first node");
    if (attribute == NULL || onnx->failure.status != APX_OK)
        return NULL;
    Onnx__NodeProto *node = (*onnx->target->nodes)[*onnx->target->node_count - 1];
    attribute->name = apx_onnx_copy_text(onnx, name);
    attribute->has_type = 1;
    attribute->type = type;
    apx_onnx_append(onnx, &node->attribute, &node->n_attribute, attribute);
    return attribute;
}

void apx_onnx_int(struct apx_onnx *onnx, const char *attribute, int64_t value)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (made == NULL)
        return;
    made->has_i = 1;
    made->i = value;
}

void apx_onnx_float(struct apx_onnx *onnx, const char *attribute, float value)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (made == NULL)
        return;
    made->has_f = 1;
    made->f = value;
}

void apx_onnx_text(struct apx_onnx *onnx, const char *attribute, const char *value)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    if (made == NULL)
        return;
    made->has_s = 1;
    made->s = copy_bytes(onnx, value, strlen(value));
}

void apx_onnx_ints(struct apx_onnx *onnx, const char *attribute, const int64_t *values, int count)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    if (made == NULL)
        return;
    made->ints = copy(onnx, values, (size_t)count, sizeof *values);
    made->n_ints = made->ints != NULL ? (size_t)count : 0;
}

void apx_onnx_floats(struct apx_onnx *onnx, const char *attribute, const float *values, int count)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
    if (made == NULL)
        return;
    made->floats = copy(onnx, values, (size_t)count, sizeof *values);
    made->n_floats = made->floats != NULL ? (size_t)count : 0;
}

void apx_onnx_texts(struct apx_onnx *onnx, const char *attribute, const char *const *values,
                    int count)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
    if (made != NULL)
        copy_strings(onnx, values, (size_t)count, &made->strings, &made->n_strings);
}

void apx_onnx_tensor_attribute(struct apx_onnx *onnx, const char *attribute, enum apx_dtype dtype,
                               int rank, const int64_t *dims, const void *data)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
    if (made != NULL)
        made->t = make_tensor(onnx, attribute, dtype, rank, dims, data);
}

void apx_onnx_reference(struct apx_onnx *onnx, const char *attribute, enum apx_onnx_kind kind,
                        const char *of_function)
{
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute,
                       kind == APX_ONNX_INT ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
                                            : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (made != NULL)
        made->ref_attr_name = apx_onnx_copy_text(onnx, of_function);
}

/* ---- functions and subgraphs ------------------------------------------------------------------
 */

/* Until the caller says otherwise (memory may be short) what follows goes to the model's graph. */
static struct apx_onnx_target *enter(struct apx_onnx *onnx)
{
    struct apx_onnx_target *target = apx_onnx_take(onnx, 1, sizeof *target);
    if (target != NULL) {
        *target = onnx->whole;
        target->outer = onnx->target;
        onnx->target = target;
    }
    return target;
}

static void copy_names(struct apx_onnx *onnx, char ***list, size_t *count, const char *const *names,
                       int name_count)
{
    for (int i = 0; i < name_count; i++)
        apx_onnx_append(onnx, list, count, apx_onnx_copy_text(onnx, names[i]));
}

void apx_onnx_function_begin(struct apx_onnx *onnx, const char *domain, const char *name,
                             int64_t opset, const char *const *inputs, int input_count,
                             const char *const *outputs, int output_count,
                             const char *const *attributes, int attribute_count)
{
    Onnx__FunctionProto *function = TAKE(onnx, Onnx__FunctionProto, ONNX__FUNCTION_PROTO__INIT);
    Onnx__OperatorSetIdProto *import =
        TAKE(onnx, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    struct apx_onnx_target *target = enter(onnx);
    if (function == NULL || import == NULL || target == NULL)
        return;
    import->domain = apx_onnx_copy_text(onnx, "");
    import->has_version = 1;
    import->version = opset;
    function->name = apx_onnx_copy_text(onnx, name);
    function->domain = apx_onnx_copy_text(onnx, domain);
    apx_onnx_append(onnx, &function->opset_import, &function->n_opset_import, import);
    copy_names(onnx, &function->input, &function->n_input, inputs, input_count);
    copy_names(onnx, &function->output, &function->n_output, outputs, output_count);
    copy_names(onnx, &function->attribute, &function->n_attribute, attributes, attribute_count);
    apx_onnx_append(onnx, &onnx->model.functions, &onnx->model.n_functions, function);
    target->graph = NULL;
    target->nodes = &function->node;
    target->node_count = &function->n_node;
}

void apx_onnx_graph_begin(struct apx_onnx *onnx, const char *attribute, const char *name)
{
    Onnx__GraphProto *graph = TAKE(onnx, Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);
    Onnx__AttributeProto *made =
        make_attribute(onnx, attribute, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH);
    struct apx_onnx_target *target = enter(onnx);
    if (graph == NULL || made == NULL || target == NULL)
        return;
    graph->name = apx_onnx_copy_text(onnx, name);
    made->g = graph;
    target->graph = graph;
    target->nodes = &graph->node;
    target->node_count = &graph->n_node;
}

void apx_onnx_end(struct apx_onnx *onnx)
{
    if (onnx->target->outer == NULL)
        fail(onnx, onnx->failure.status == APX_OK ? APX_EINVAL : onnx->failure.status, "",
             "an end without a begin");
    else
        onnx->target = onnx->target->outer;
}

enum apx_status apx_onnx_write_memory(struct apx_onnx *onnx, void **data, size_t *bytes,
                                      struct apx_error *error)
{
    *data = NULL;
    *bytes = 0;
    if (onnx->failure.status != APX_OK) {
        if (error != NULL)
            *error = onnx->failure;
        return onnx->failure.status;
    }
    size_t size = onnx__model_proto__get_packed_size(&onnx->model);
    if (size > APX_LIMIT_FILE_BYTES)
        return apx_fail(error, APX_ELIMIT, NULL,
                        "the model would be larger than APX_LIMIT_FILE_BYTES (2 GiB)");
    uint8_t *packed = malloc(size > 0 ? size : 1);
    if (packed == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    *bytes = onnx__model_proto__pack(&onnx->model, packed);
    *data = packed;
    return APX_OK;
}

enum apx_status apx_onnx_write(struct apx_onnx *onnx, const char *path, struct apx_error *error)
{
    void *data;
    size_t bytes;
    enum apx_status status = apx_onnx_write_memory(onnx, &data, &bytes, error);
    if (status == APX_OK)
        status = apx_file_replace(path, data, bytes, error);
    free(data);
    return status;
}
