/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_read_test.c - what the reader takes, and above all what it refuses and how it says so. */
#include "tests/runtime/model_case.h"

#include <fcntl.h>
#include <onnx/onnx.pb-c.h>
#include <sys/stat.h>
#include <unistd.h>

/* Messages of one case live here, so that a case may edit them freely. */
static char arena[1 << 20];
static size_t arena_used;

static void *take(void *context, size_t bytes)
{
    (void)context;
    size_t start = (arena_used + 15) / 16 * 16;
    REQUIRE(bytes <= sizeof arena - start);
    arena_used = start + bytes;
    return memset(arena + start, 0, bytes);
}

static void give_back(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

static ProtobufCAllocator in_arena = {take, give_back, NULL};

/* The builder's model as messages to edit. */
static Onnx__ModelProto *edit(struct apx_onnx *onnx)
{
    void *data = NULL;
    size_t bytes = 0;
    struct apx_error error;
    arena_used = 0;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(onnx);
    Onnx__ModelProto *model = onnx__model_proto__unpack(&in_arena, bytes, data);
    REQUIRE(model != NULL);
    free(data);
    return model;
}

static char outcome[600];

/* "ok", or "APX_EFORMAT field: message"; the graph stays in case_graph. */
static const char *read_bytes(const void *data, size_t bytes, const char *directory)
{
    struct apx_error error = {0};
    case_end();
    enum apx_status status = apx_onnx_read(data, bytes, directory, NULL, &case_graph, &error);
    CHECK((status == APX_OK) == (case_graph != NULL));
    if (status == APX_OK)
        return "ok";
    snprintf(outcome, sizeof outcome, "%s %s: %s", apx_status_name(status), error.field,
             error.message);
    return outcome;
}

static const char *read_in(const Onnx__ModelProto *model, const char *directory)
{
    size_t bytes = onnx__model_proto__get_packed_size(model);
    uint8_t *data = malloc(bytes + 1);
    REQUIRE(data != NULL);
    onnx__model_proto__pack(model, data);
    const char *text = read_bytes(data, bytes, directory);
    free(data);
    return text;
}

static const char *read_model(const Onnx__ModelProto *model)
{
    return read_in(model, NULL);
}

static const char *read_built(struct apx_onnx *onnx)
{
    return read_model(edit(onnx));
}

/* x[b,4] -> MatMul with w[4,2] -> h -> Relu -> y */
static struct apx_onnx *plain(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_floats(m, "w", 1, 2, 4, 2);
    case_node(m, "MatMul", "x w", "h");
    case_node(m, "Relu", "h", "y");
    return m;
}

static void takes_a_plain_model(void)
{
    CHECK_STR(read_built(plain()), "ok");
    CHECK_EQ(case_graph->node_count, 2);
    CHECK_EQ(case_graph->input_count, 1);
    CHECK_EQ(case_graph->values[case_graph->outputs[0]].producer, 1);
}

static void refuses_what_is_no_model(void)
{
    CHECK_STR(read_bytes("", 0, NULL), "APX_EFORMAT : the file is empty");
    CHECK_HAS(read_bytes("hello world", 11, NULL), "APX_EFORMAT");
    CHECK_HAS(read_bytes("\x08\x08", 2, NULL), "it has no graph");
    CHECK_HAS(read_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, NULL), "APX_EFORMAT");
    CHECK_HAS(read_bytes("\x3a\x05x", 3, NULL), "cut short");
    CHECK_HAS(read_bytes("\x3b", 1, NULL), "wire type 3"); /* groups */
    /* every cut of a good file is refused or is a model itself, never a crash */
    void *data = NULL;
    size_t bytes = 0;
    struct apx_onnx *m = plain();
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, NULL) == APX_OK);
    apx_onnx_destroy(m);
    int refused = 0;
    for (size_t cut = 0; cut < bytes; cut++)
        refused += strcmp(read_bytes(data, cut, NULL), "ok") != 0;
    CHECK(refused > (int)bytes - 40);
    free(data);
}

static void refuses_deep_nesting(void)
{
    /* graph { node { attribute { g { node ... : 5000 levels, built from the inside out */
    static uint8_t data[1 << 17];
    size_t start = sizeof data;
    static const uint8_t keys[] = {0x32, 0x2a, 0x0a}; /* AttributeProto.g, NodeProto.attribute,
                                                         GraphProto.node */
    for (int level = 0; level < 15000; level++) {
        size_t length = sizeof data - start;
        if (length > 0x3fff)
            data[--start] = (uint8_t)(length >> 14);
        if (length > 0x7f)
            data[--start] = (uint8_t)((length >> 7 & 0x7f) | (length > 0x3fff ? 0x80 : 0));
        data[--start] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
        data[--start] = keys[level % 3];
    }
    size_t length = sizeof data - start;
    data[--start] = (uint8_t)(length >> 14);
    data[--start] = (uint8_t)((length >> 7 & 0x7f) | 0x80);
    data[--start] = (uint8_t)((length & 0x7f) | 0x80);
    data[--start] = 0x3a; /* ModelProto.graph */
    CHECK_HAS(read_bytes(data + start, sizeof data - start, NULL),
              "APX_ELIMIT NodeProto: messages are nested deeper than APX_LIMIT_NESTING (32)");
}

static void refuses_what_is_not_text(void)
{
    static const char *const bad[] = {"a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                      "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Onnx__ModelProto *model = edit(plain());
        model->graph->node[0]->name = (char *)(uintptr_t)bad[i];
        CHECK_HAS(read_model(model), "APX_EFORMAT NodeProto: name is not UTF-8 text");
    }
    Onnx__ModelProto *model = edit(plain());
    model->graph->node[0]->name = (char *)(uintptr_t) "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8d";
    CHECK_STR(read_model(model), "ok");
    /* a zero byte inside of a name would cut it: 'h' becomes "\0" in the packed file */
    size_t bytes = onnx__model_proto__get_packed_size(model);
    uint8_t *data = malloc(bytes);
    REQUIRE(data != NULL);
    onnx__model_proto__pack(model, data);
    for (size_t i = 0; i + 2 < bytes; i++)
        if (data[i] == 0x0a && data[i + 1] == 1 && data[i + 2] == 'h')
            data[i + 2] = 0;
    CHECK_HAS(read_bytes(data, bytes, NULL), "input is not UTF-8 text");
    free(data);
}

static void checks_versions(void)
{
    Onnx__ModelProto *model = edit(plain());
    model->ir_version = 2;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED : IR version 2; this build reads 3 to 14");
    model->ir_version = 15;
    CHECK_HAS(read_model(model), "IR version 15");
    model->ir_version = 14;
    CHECK_STR(read_model(model), "ok");
    model->graph->input[0]->type->tensor_type->elem_type = 27; /* what version 14 brought */
    CHECK_HAS(read_model(model), "an unknown type");
    model->graph->input[0]->type->tensor_type->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    model->opset_import[0]->version = 6;
    CHECK_HAS(read_model(model), "opset 6; this build reads 7 to 24");
    model->opset_import[0]->version = 25;
    CHECK_HAS(read_model(model), "opset 25");
    model->opset_import[0]->domain = (char *)(uintptr_t) "ai.onnx";
    model->opset_import[0]->version = 24;
    CHECK_STR(read_model(model), "ok");
    CHECK_EQ(case_graph->opset, 24);
    model->opset_import[1]->version = 99;
    CHECK_HAS(read_model(model), "opset 99 of ai.onnx.ml");
    model->opset_import[1]->domain = (char *)(uintptr_t) "auspex";
    model->opset_import[1]->version = 2;
    CHECK_STR(read_model(model), "APX_EUNSUPPORTED : domain auspex version 2; this build knows "
                                 "version 1");
    model->opset_import[1]->version = 0;
    CHECK_HAS(read_model(model), "domain auspex version 0");
    model->opset_import[1]->version = 1;
    CHECK_STR(read_model(model), "ok");
}

static void names_what_it_does_not_know(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Einsum", "x", "y");
    CHECK_STR(read_built(m),
              "APX_EUNSUPPORTED Einsum: operator Einsum of domain ai.onnx is not supported");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node_of(m, "com.example", "Relu", "x", "y");
    CHECK_HAS(read_built(m), "operator Relu of domain com.example is not supported");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Scan", "x", "y");
    CHECK_HAS(read_built(m), "Scan: control flow is not supported");
    Onnx__ModelProto *model = edit(plain());
    Onnx__GraphProto inner = ONNX__GRAPH_PROTO__INIT;
    Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT, *list[1] = {&attribute};
    attribute.name = (char *)(uintptr_t) "body";
    attribute.g = &inner;
    model->graph->node[1]->attribute = list;
    model->graph->node[1]->n_attribute = 1;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED Relu: attribute body holds a subgraph");
}

static void checks_names(void)
{
    struct apx_onnx *m = plain();
    case_node(m, "Neg", "x", "h");
    CHECK_STR(read_built(m), "APX_EFORMAT Neg: h is produced twice");
    m = plain();
    case_floats(m, "w", 1, 1, 3);
    CHECK_HAS(read_built(m), "APX_EFORMAT w: initializer: the name is used twice");
    m = case_begin(17, "x:f[b,4]", "y y");
    case_node(m, "Relu", "x", "y");
    CHECK_HAS(read_built(m), "APX_EFORMAT y: output: the name is used twice");
    m = case_begin(17, "x:f[b,4] x:f[b,4]", "y");
    case_node(m, "Relu", "x", "y");
    CHECK_HAS(read_built(m), "APX_EFORMAT x: input: the name is used twice");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Relu", "missing", "y");
    CHECK_HAS(read_built(m), "APX_EFORMAT Relu: input missing is neither");
    m = case_begin(17, "x:f[b,4]", "z");
    case_node(m, "Relu", "x", "y");
    CHECK_STR(read_built(m), "APX_EFORMAT z: no node produces this output");
    m = case_begin(17, "x:f[b,4]", "");
    case_node(m, "Relu", "x", "y");
    CHECK_STR(read_built(m), "APX_EFORMAT : the model has no outputs");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Relu", "x", "");
    CHECK_HAS(read_built(m), "the node has no output");
    Onnx__ModelProto *model = edit(plain());
    char *name = take(NULL, APX_LIMIT_NAME + 2);
    memset(name, 'n', APX_LIMIT_NAME + 1);
    model->graph->node[0]->name = name;
    CHECK_HAS(read_model(model), "APX_ELIMIT");
    name[APX_LIMIT_NAME] = '\0';
    CHECK_STR(read_model(model), "ok");
}

static void sorts_and_drops_nodes(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Relu", "b", "y");
    case_node(m, "Tanh", "a", "b");
    case_node(m, "Neg", "a", "unused");
    case_node(m, "Sqrt", "x", "a");
    CHECK_STR(read_built(m), "ok");
    REQUIRE(case_graph->node_count == 3);
    CHECK_EQ(case_graph->nodes[0].op, APX_OP_SQRT);
    CHECK_EQ(case_graph->nodes[1].op, APX_OP_TANH);
    CHECK_EQ(case_graph->nodes[2].op, APX_OP_RELU);
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Add", "x b", "a");
    case_node(m, "Tanh", "a", "b");
    case_node(m, "Relu", "b", "y");
    CHECK_HAS(read_built(m), "the node depends on its own output");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Add", "x y", "y");
    CHECK_HAS(read_built(m), "the node depends on its own output");
    m = case_begin(17, "x:f[b,6]", "q");
    case_node(m, "Split", "x", "p q -");
    CHECK_STR(read_built(m), "ok");
    CHECK_EQ(case_graph->nodes[0].out_count, 3);
    for (int i = 0; i < 3; i++)
        CHECK(case_graph->nodes[0].out[i] >= 0);
    m = case_begin(17, "x:f[b,6]", "deviation");
    case_floats(m, "scale", 1, 1, 6);
    case_node(m, "LayerNormalization", "x scale", "normal mean deviation");
    CHECK_STR(read_built(m), "ok");
    CHECK_EQ(case_graph->nodes[0].out_count, 3);
    CHECK_EQ(case_graph->nodes[0].out[0], -1);
    CHECK_EQ(case_graph->nodes[0].out[1], -1);
    CHECK(case_graph->nodes[0].out[2] >= 0);
}

static void checks_arity_and_attributes(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Add", "x", "y");
    CHECK_STR(read_built(m), "APX_EFORMAT Add: Add with 1 inputs; it takes 2 to 2");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Add", "- x", "y");
    CHECK_STR(read_built(m), "APX_EFORMAT Add: Add: required input 0 is left out");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Relu", "x", "y z");
    CHECK_STR(read_built(m), "APX_EFORMAT Relu: Relu with 2 outputs; it has up to 1");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Elu", "x", "y");
    apx_onnx_float(m, "alpha", 1);
    apx_onnx_float(m, "alpha", 2);
    CHECK_STR(read_built(m), "APX_EFORMAT Elu: attribute alpha is given twice");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Elu", "x", "y");
    apx_onnx_float(m, "alpha", 0.5f);
    Onnx__ModelProto *model = edit(m);
    model->graph->node[0]->attribute[0]->has_type = 0; /* as files before IR 2 have it */
    CHECK_STR(read_model(model), "ok");
    CHECK_NEAR(apx_node_float(&case_graph->nodes[0], "alpha", 9), 0.5, 0);
    model->graph->node[0]->attribute[0]->ref_attr_name = (char *)(uintptr_t) "beta";
    CHECK_HAS(read_model(model), "refers to an attribute of a function, outside of any");
}

/* It would count as left out otherwise, and the model run with the default. */
static void attributes_have_their_type(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "LeakyRelu", "x", "y");
    apx_onnx_int(m, "alpha", 1);
    CHECK_STR(read_built(m), "APX_EFORMAT LeakyRelu: LeakyRelu: attribute alpha has the wrong "
                             "type: it is an integer and must be a float");
    m = case_begin(17, "x:f[4,4]", "y");
    case_node(m, "Gemm", "x x", "y");
    apx_onnx_float(m, "transA", 1);
    CHECK_HAS(read_built(m), "attribute transA has the wrong type: it is a float");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Softmax", "x", "y");
    apx_onnx_text(m, "axis", "1");
    CHECK_HAS(read_built(m), "attribute axis has the wrong type: it is a string");
    m = case_begin(20, "x:f[b,4]", "y");
    case_node(m, "Gelu", "x", "y");
    apx_onnx_int(m, "approximate", 3);
    CHECK_HAS(read_built(m), "must be a string");
    m = case_begin(9, "x:f[b,4]", "y");
    case_node(m, "Clip", "x", "y");
    apx_onnx_int(m, "max", 3);
    CHECK_HAS(read_built(m), "attribute max has the wrong type");
    m = case_begin(17, "x:f[b,4]", "y");
    case_node_of(m, "ai.onnx.ml", "Scaler", "x", "y");
    apx_onnx_float(m, "scale", 3);
    CHECK_HAS(read_built(m), "must be a list of floats");
    const int64_t four = 4;
    m = case_begin(17, "x:f[b,4]", "y");
    case_node(m, "Relu", "x", "y");
    apx_onnx_ints(m, "consumed_inputs", &four, 1); /* nobody reads it */
    CHECK_STR(read_built(m), "ok");
}

static void checks_inputs(void)
{
    Onnx__ModelProto *model = edit(plain());
    Onnx__TypeProto__Tensor *type = model->graph->input[0]->type->tensor_type;
    type->elem_type = 10;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED x: inputs of float16 are not supported");
    type->elem_type = 1;
    type->shape->dim[0]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    type->shape->dim[0]->dim_value = -1;
    CHECK_STR(read_model(model), "ok");
    CHECK_STR(case_graph->symbols[0], "x_dim0");
    type->shape->dim[0]->dim_value = INT64_MAX;
    CHECK_HAS(read_model(model), "APX_ELIMIT x: extent 9223372036854775807");
    type->shape = NULL;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED x: the input has no shape");
    model->graph->input[0]->type->value_case = ONNX__TYPE_PROTO__VALUE__NOT_SET;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED x: the input is no tensor");
    CHECK_HAS(read_built(case_begin(17, "x:f[a,b,c,d,e,f,g,h,i]", "x")),
              "APX_ELIMIT x: rank 9 is above APX_MAX_RANK (8)");
    CHECK_HAS(read_built(case_begin(17, "x:f[a,b,c,d,e,f,g,h] y:f[i]", "x")),
              "APX_ELIMIT y: more than APX_MAX_SYMBOLS (8) free dimensions");
    CHECK_STR(read_built(case_begin(17, "x:f[a]", "x")), "ok"); /* an input may be an output */
    /* IR 3 lists weights as inputs */
    struct apx_onnx *m = case_begin(17, "x:f[b,4] w:f[4,2]", "y");
    case_floats(m, "w", 1, 2, 4, 2);
    case_node(m, "MatMul", "x w", "y");
    CHECK_STR(read_built(m), "ok");
    CHECK_EQ(case_graph->input_count, 1);
}

/* A model whose output is the constant `tensor`, which is called "w". */
static Onnx__ModelProto *constant_model(Onnx__TensorProto **tensor)
{
    struct apx_onnx *m = case_begin(17, "", "w");
    case_floats(m, "w", 1, 1, 2);
    Onnx__ModelProto *model = edit(m);
    *tensor = model->graph->initializer[0];
    return model;
}

static float first_float(size_t i)
{
    return ((const float *)case_graph->values[case_graph->outputs[0]].data)[i];
}

static void reads_every_payload(void)
{
    Onnx__TensorProto *tensor;
    Onnx__ModelProto *model = constant_model(&tensor);
    float floats[2] = {1.5f, -2.5f};
    int32_t ints[2] = {0x3c01, 0xfbff}; /* halves: 1 + 2^-10 and the least, -65504 */
    tensor->raw_data.len = 7;
    CHECK_STR(read_model(model), "APX_EFORMAT w: raw_data has 7 bytes, the shape asks for 8");
    tensor->has_raw_data = 0;
    CHECK_STR(read_model(model), "APX_EFORMAT w: the payload has 0 elements, the shape asks for 2");
    tensor->float_data = floats;
    tensor->n_float_data = 2;
    CHECK_STR(read_model(model), "ok");
    CHECK_NEAR(first_float(1), -2.5, 0);
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    tensor->int32_data = ints;
    tensor->n_int32_data = 2;
    CHECK_STR(read_model(model), "ok");
    CHECK_EQ(case_graph->values[case_graph->outputs[0]].dtype, APX_F32);
    CHECK_NEAR(first_float(0), 1 + 0x1p-10, 0);
    CHECK_NEAR(first_float(1), -65504, 0);
    ints[0] = 0x8001; /* subnormal */
    ints[1] = 0x7c00;
    CHECK_STR(read_model(model), "ok");
    CHECK_NEAR(first_float(0), -0x1p-24, 0);
    CHECK_NEAR(first_float(1), INFINITY, 0);
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
    ints[1] = 0x4049;
    CHECK_STR(read_model(model), "ok");
    CHECK_NEAR(first_float(1), 3.140625, 0);
    ints[0] = 0x10000;
    CHECK_STR(read_model(model), "APX_EFORMAT w: 65536 is no value of type bfloat16");
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
    ints[0] = -128;
    ints[1] = 127;
    CHECK_STR(read_model(model), "ok");
    CHECK_EQ(((const int8_t *)case_graph->values[case_graph->outputs[0]].data)[0], -128);
    ints[1] = 128;
    CHECK_HAS(read_model(model), "128 is no value of type int8");
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED w: tensors of complex64 are not supported");
    static const struct {
        int type;
        const char *name;
    } quantized[] = {
        {4, "uint16"}, {5, "int16"}, {17, "float8e4m3fn"}, {21, "uint4"}, {22, "int4"}};
    for (size_t i = 0; i < sizeof quantized / sizeof quantized[0]; i++) {
        char message[160];
        tensor->data_type = quantized[i].type;
        snprintf(message, sizeof message,
                 "APX_EUNSUPPORTED w: tensors of %s are not supported; quantise the float model to "
                 "int8 or uint8, or give it to auspex quantize",
                 quantized[i].name);
        CHECK_STR(read_model(model), message);
    }
    tensor->data_type = 99;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED w: tensors of");
    tensor->data_type = -1;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED w: tensors of");
}

static void checks_tensor_sizes(void)
{
    Onnx__TensorProto *tensor;
    Onnx__ModelProto *model = constant_model(&tensor);
    int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    tensor->dims = dims;
    tensor->n_dims = 9;
    CHECK_HAS(read_model(model), "APX_ELIMIT w: rank 9 is above APX_MAX_RANK (8)");
    tensor->n_dims = 2;
    dims[0] = dims[1] = INT64_C(1) << 40;
    CHECK_HAS(read_model(model), "APX_ELIMIT w: more than APX_LIMIT_ELEMENTS");
    dims[0] = -2;
    CHECK_HAS(read_model(model), "APX_EFORMAT w: extent -2 is negative");
    dims[0] = dims[1] = 40000; /* 6.4 GB that the file does not have */
    CHECK_HAS(read_model(model), "APX_ELIMIT w: constants grow beyond APX_LIMIT_CONSTANT_FACTOR");
    Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *list[1] = {&sparse};
    model->graph->sparse_initializer = list;
    model->graph->n_sparse_initializer = 1;
    CHECK_HAS(read_model(model), "APX_EUNSUPPORTED : sparse tensors are not supported");
}

static void reads_constant_nodes(void)
{
    struct apx_onnx *m = case_begin(17, "", "a b c d e f");
    case_node(m, "Constant", "", "a");
    apx_onnx_float(m, "value_float", 2.5f);
    case_node(m, "Constant", "", "b");
    apx_onnx_ints(m, "value_ints", (const int64_t[]){3, 4}, 2);
    case_node(m, "Constant", "", "c");
    apx_onnx_int(m, "value_int", -1);
    case_node(m, "Constant", "", "d");
    apx_onnx_text(m, "value_string", "word");
    case_node(m, "Constant", "", "e");
    apx_onnx_texts(m, "value_strings", (const char *const[]){"p", "q"}, 2);
    case_node(m, "Constant", "", "f");
    apx_onnx_floats(m, "value_floats", (const float[]){1, 2}, 2);
    CHECK_STR(read_built(m), "ok");
    CHECK_EQ(case_graph->node_count, 0);
    CHECK_NEAR(first_float(0), 2.5, 0);
    CHECK_EQ(case_graph->values[case_graph->outputs[0]].rank, 0);
    CHECK_EQ(((const int64_t *)case_graph->values[case_graph->outputs[1]].data)[1], 4);
    CHECK_EQ(case_graph->values[case_graph->outputs[2]].dtype, APX_I64);
    CHECK_STR(*(const char *const *)case_graph->values[case_graph->outputs[3]].data, "word");
    CHECK_STR(((const char *const *)case_graph->values[case_graph->outputs[4]].data)[1], "q");
    CHECK_EQ(case_graph->values[case_graph->outputs[5]].bytes, 8);
    m = case_begin(17, "", "a");
    case_node(m, "Constant", "", "a");
    CHECK_HAS(read_built(m), "Constant needs exactly one attribute");
    m = case_begin(17, "", "a");
    case_node(m, "Constant", "", "a");
    apx_onnx_int(m, "other", 1);
    CHECK_HAS(read_built(m), "Constant: attribute other is not supported");
}

/* Moves the nodes of `from`, a graph, into a function; inputs and outputs are words. */
static Onnx__FunctionProto *make_function(Onnx__ModelProto *from, const char *name,
                                          const char *inputs, const char *outputs)
{
    Onnx__FunctionProto *function = take(NULL, sizeof *function);
    onnx__function_proto__init(function);
    char *room = take(NULL, 128);
    char **in = take(NULL, 16 * sizeof *in), **out = take(NULL, 16 * sizeof *out);
    function->name = (char *)(uintptr_t)name;
    function->domain = (char *)(uintptr_t) "local";
    function->n_input = (size_t)case_words(inputs, room, 64, (const char **)(void *)in);
    function->n_output = (size_t)case_words(outputs, room + 64, 64, (const char **)(void *)out);
    function->input = in;
    function->output = out;
    function->node = from->graph->node;
    function->n_node = from->graph->n_node;
    return function;
}

static void inlines_functions(void)
{
    /* Twice(a) = Elu(a + a, alpha from the call), and a itself */
    struct apx_onnx *m = case_begin(17, "", "o");
    case_node(m, "Add", "a a", "s");
    case_node(m, "Elu", "s", "o");
    apx_onnx_float(m, "alpha", 0);
    Onnx__ModelProto *inner = edit(m);
    size_t kept = arena_used;
    m = case_begin(17, "x:f[b,4]", "y z");
    case_node_of(m, "local", "Twice", "x", "u v");
    apx_onnx_float(m, "sharp", 0.25f);
    case_node_of(m, "local", "Twice", "u", "y");
    case_node(m, "Neg", "v", "z");
    /* both models in one arena */
    void *data = NULL;
    size_t bytes = 0;
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, NULL) == APX_OK);
    apx_onnx_destroy(m);
    arena_used = kept;
    Onnx__ModelProto *model = onnx__model_proto__unpack(&in_arena, bytes, data);
    free(data);
    REQUIRE(model != NULL);
    inner->graph->node[1]->attribute[0]->ref_attr_name = (char *)(uintptr_t) "sharp";
    Onnx__FunctionProto *function = make_function(inner, "Twice", "a", "o a");
    model->functions = &function;
    model->n_functions = 1;
    CHECK_STR(read_model(model), "ok");
    int adds = 0, elus = 0;
    for (int n = 0; n < case_graph->node_count; n++) {
        const struct apx_node *node = &case_graph->nodes[n];
        adds += node->op == APX_OP_ADD;
        if (node->op == APX_OP_ELU) /* the second call gives no alpha: the default holds */
            CHECK_NEAR(apx_node_float(node, "alpha", 1), elus++ == 0 ? 0.25 : 1, 0);
    }
    CHECK_EQ(adds, 2);
    CHECK_EQ(elus, 2);
    struct apx_error error;
    CHECK_EQ(apx_graph_infer(case_graph, &error), APX_OK);
    CHECK_STR(case_show("z"), "float32[b,4]");
    /* too many inputs, a missing result, a function that calls itself */
    char *extra[2] = {(char *)(uintptr_t) "x", (char *)(uintptr_t) "x"};
    model->graph->node[1]->input = extra;
    model->graph->node[1]->n_input = 2;
    CHECK_HAS(read_model(model), "more inputs or outputs than function Twice has");
    model->graph->node[1]->n_input = 1;
    function->output[1] = (char *)(uintptr_t) "nowhere";
    CHECK_HAS(read_model(model), "nothing in the function produces its output nowhere");
    function->output[1] = (char *)(uintptr_t) "a";
    inner->graph->node[0]->op_type = (char *)(uintptr_t) "Twice";
    inner->graph->node[0]->domain = (char *)(uintptr_t) "local";
    inner->graph->node[0]->n_input = 1;
    CHECK_HAS(read_model(model), "functions call each other deeper than APX_LIMIT_CALL_DEPTH (16)");
}

static void refuses_functions_that_explode(void)
{
    /* f0 = x, f1 = f0(f0(x)), ...: 2^15 calls without a single node */
    static char names[16][8];
    static Onnx__FunctionProto *functions[16];
    struct apx_onnx *m = case_begin(17, "x:f[b]", "y");
    case_node_of(m, "local", "f15", "x", "y");
    Onnx__ModelProto *model = edit(m);
    for (int i = 0; i < 16; i++) {
        Onnx__NodeProto **calls = take(NULL, 2 * sizeof *calls);
        char **names_of = take(NULL, 3 * sizeof *names_of);
        snprintf(names[i], sizeof names[i], "f%d", i);
        names_of[0] = (char *)(uintptr_t) "a";
        names_of[1] = (char *)(uintptr_t) "b";
        names_of[2] = (char *)(uintptr_t) "c";
        functions[i] = take(NULL, sizeof **functions);
        onnx__function_proto__init(functions[i]);
        functions[i]->name = names[i];
        functions[i]->domain = (char *)(uintptr_t) "local";
        functions[i]->input = names_of;
        functions[i]->output = i == 0 ? names_of : names_of + 2;
        functions[i]->n_input = functions[i]->n_output = 1;
        functions[i]->node = calls;
        for (int c = 0; c < 2 && i > 0; c++) {
            calls[c] = take(NULL, sizeof **calls);
            onnx__node_proto__init(calls[c]);
            calls[c]->op_type = names[i - 1];
            calls[c]->domain = (char *)(uintptr_t) "local";
            calls[c]->input = names_of + c;
            calls[c]->output = names_of + c + 1;
            calls[c]->n_input = calls[c]->n_output = 1;
            functions[i]->n_node++;
        }
    }
    model->functions = functions;
    model->n_functions = 16;
    CHECK_HAS(read_model(model), "APX_ELIMIT");
    model->graph->node[0]->op_type = (char *)(uintptr_t) "f8";
    CHECK_STR(read_model(model), "ok");
}

static void set_external(Onnx__TensorProto *tensor, const char *location, const char *offset)
{
    static Onnx__StringStringEntryProto entries[2], *list[2];
    for (int i = 0; i < 2; i++) {
        onnx__string_string_entry_proto__init(&entries[i]);
        list[i] = &entries[i];
    }
    entries[0].key = (char *)(uintptr_t) "location";
    entries[0].value = (char *)(uintptr_t)location;
    entries[1].key = (char *)(uintptr_t) "offset";
    entries[1].value = (char *)(uintptr_t)offset;
    tensor->has_raw_data = 0;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = list;
    tensor->n_external_data = 2;
}

static void reads_external_data_from_its_directory_only(void)
{
    char directory[] = "/tmp/apx-external-XXXXXX", path[64];
    const float payload[4] = {1, 2, 3, 4};
    Onnx__TensorProto *tensor;
    REQUIRE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/sub", directory);
    REQUIRE(mkdir(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/sub/w.bin", directory);
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL && fwrite(payload, sizeof payload, 1, file) == 1 && fclose(file) == 0);
    snprintf(path, sizeof path, "%s/link", directory);
    REQUIRE(symlink("sub/w.bin", path) == 0);
    snprintf(path, sizeof path, "%s/away", directory);
    REQUIRE(symlink("/", path) == 0);
    snprintf(path, sizeof path, "%s/pipe", directory);
    REQUIRE(mkfifo(path, 0644) == 0);
    Onnx__ModelProto *model = constant_model(&tensor);
    set_external(tensor, "sub/w.bin", "8");
    CHECK_STR(read_in(model, directory), "ok");
    CHECK_NEAR(first_float(0), 3, 0);
    set_external(tensor, "./sub//w.bin", "0");
    CHECK_STR(read_in(model, directory), "ok");
    CHECK_NEAR(first_float(1), 2, 0);
    CHECK_HAS(read_in(model, NULL), "APX_EUNSUPPORTED w: its data is in the file ./sub//w.bin");
    set_external(tensor, "sub/w.bin", "12");
    CHECK_HAS(read_in(model, directory), "APX_EFORMAT w: sub/w.bin is too short");
    set_external(tensor, "sub/w.bin", "18446744073709551615");
    CHECK_HAS(read_in(model, directory), "is too short");
    set_external(tensor, "sub/w.bin", "-1");
    CHECK_HAS(read_in(model, directory), "offset is no number");
    set_external(tensor, "sub/w.bin", "2");
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16; /* the upper half of 1.0f */
    CHECK_STR(read_in(model, directory), "ok");
    CHECK_NEAR(first_float(0), 1, 0);
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    const int64_t huge = INT64_C(1) << 28; /* 1 GiB, never allocated */
    int64_t *dims = tensor->dims;
    tensor->dims = (int64_t *)(uintptr_t)&huge;
    CHECK_HAS(read_in(model, directory), "is too short: 1073741824 bytes");
    tensor->dims = dims;
    set_external(tensor, "none.bin", "0");
    CHECK_HAS(read_in(model, directory), "APX_EIO w: cannot open none.bin: No such file");
    static const char *const outside[] = {"../w.bin", "sub/../../w.bin", "/etc/passwd", "link",
                                          "away/etc/passwd"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        set_external(tensor, outside[i], "0");
        CHECK_HAS(read_in(model, directory),
                  "APX_EFORMAT w: external data must lie beside the model, not at");
    }
    set_external(tensor, "pipe", "0");
    CHECK_HAS(read_in(model, directory), "pipe is too short");
    set_external(tensor, "", "0");
    CHECK_HAS(read_in(model, directory), "external data without a location");
    static const char *const left[] = {"sub/w.bin", "sub", "link", "away", "pipe", ""};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, left[i]);
        CHECK_EQ(remove(path), 0);
    }
}

static void refuses_more_nodes_than_the_limit(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b]", "y");
    for (int i = 0; i <= APX_LIMIT_NODES; i++)
        apx_onnx_node(m, "", "Relu", "", (const char *const[]){"x"}, 1, (const char *const[]){"y"},
                      1);
    void *data = NULL;
    size_t bytes = 0;
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, NULL) == APX_OK);
    apx_onnx_destroy(m);
    CHECK_HAS(read_bytes(data, bytes, NULL),
              "APX_ELIMIT : more than APX_LIMIT_NODES (30000) nodes");
    free(data);
}

static void refuses_files_that_swell(void)
{
    /* 200,000 empty nodes of two bytes each: a hundred bytes and more in memory */
    size_t bytes = 4 + 400000;
    uint8_t *data = malloc(bytes);
    REQUIRE(data != NULL);
    memcpy(data, "\x3a\x80\xb5\x18", 4); /* ModelProto.graph of 400,000 bytes */
    for (size_t i = 4; i < bytes; i += 2) {
        data[i] = 0x0a; /* GraphProto.node */
        data[i + 1] = 0;
    }
    CHECK_HAS(read_bytes(data, bytes, NULL), "APX_ELIMIT : unpacked, the file takes more than");
    free(data);
}

int main(void)
{
    RUN(takes_a_plain_model);
    RUN(refuses_what_is_no_model);
    RUN(refuses_deep_nesting);
    RUN(refuses_what_is_not_text);
    RUN(checks_versions);
    RUN(names_what_it_does_not_know);
    RUN(checks_names);
    RUN(sorts_and_drops_nodes);
    RUN(checks_arity_and_attributes);
    RUN(attributes_have_their_type);
    RUN(checks_inputs);
    RUN(reads_every_payload);
    RUN(checks_tensor_sizes);
    RUN(reads_constant_nodes);
    RUN(inlines_functions);
    RUN(refuses_functions_that_explode);
    RUN(reads_external_data_from_its_directory_only);
    RUN(refuses_more_nodes_than_the_limit);
    RUN(refuses_files_that_swell);
    case_end();
    return check_report();
}
