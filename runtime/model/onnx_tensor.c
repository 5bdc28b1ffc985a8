/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_tensor.c - the payload of a tensor as a constant of the graph.
 *
 * A payload may stand in raw_data (little endian, dense), in the typed field of its element type,
 * or in another file. Half and bfloat16 weights become float32, which holds each of their values:
 * the engine computes in float32 anyway. */
#include "runtime/base/fail.h"
#include "runtime/base/half_float.h"
#include "runtime/base/memory.h"
#include "runtime/model/onnx_reader.h"

#include <string.h>

enum {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_UINT16 = 4,
    ONNX_INT16 = 5,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_BFLOAT16 = 16,
    ONNX_FLOAT8 = 17, /* the first of its kinds */
    ONNX_INT2 = 26,
};

static const struct {
    const char *name;
    enum apx_dtype dtype;
    uint8_t stored; /* bytes of an element in raw_data */
} types[] = {
    [0] = {"undefined", APX_DTYPE_NONE, 0},
    [ONNX_FLOAT] = {"float32", APX_F32, 4},
    [ONNX_UINT8] = {"uint8", APX_U8, 1},
    [ONNX_INT8] = {"int8", APX_I8, 1},
    [ONNX_UINT16] = {"uint16", APX_DTYPE_NONE, 0},
    [ONNX_INT16] = {"int16", APX_DTYPE_NONE, 0},
    [ONNX_INT32] = {"int32", APX_I32, 4},
    [ONNX_INT64] = {"int64", APX_I64, 8},
    [ONNX_STRING] = {"string", APX_STRING, 0},
    [ONNX_BOOL] = {"bool", APX_BOOL, 1},
    [ONNX_FLOAT16] = {"float16", APX_DTYPE_NONE, 2},
    [ONNX_DOUBLE] = {"float64", APX_F64, 8},
    [12] = {"uint32", APX_DTYPE_NONE, 0},
    [13] = {"uint64", APX_DTYPE_NONE, 0},
    [14] = {"complex64", APX_DTYPE_NONE, 0},
    [15] = {"complex128", APX_DTYPE_NONE, 0},
    [ONNX_BFLOAT16] = {"bfloat16", APX_DTYPE_NONE, 2},
    [17] = {"float8e4m3fn", APX_DTYPE_NONE, 0},
    [18] = {"float8e4m3fnuz", APX_DTYPE_NONE, 0},
    [19] = {"float8e5m2", APX_DTYPE_NONE, 0},
    [20] = {"float8e5m2fnuz", APX_DTYPE_NONE, 0},
    [21] = {"uint4", APX_DTYPE_NONE, 0},
    [22] = {"int4", APX_DTYPE_NONE, 0},
    [23] = {"float4e2m1", APX_DTYPE_NONE, 0},
    [24] = {"float8e8m0", APX_DTYPE_NONE, 0},
    [25] = {"uint2", APX_DTYPE_NONE, 0},
    [ONNX_INT2] = {"int2", APX_DTYPE_NONE, 0},
};

static bool is_listed(int32_t data_type)
{
    return data_type >= 0 && (size_t)data_type < sizeof types / sizeof types[0];
}

enum apx_dtype apx_onnx_dtype(int32_t data_type)
{
    return is_listed(data_type) ? types[data_type].dtype : APX_DTYPE_NONE;
}

/* Types in which quantisers alone write tensors. */
static bool is_quantized(int32_t data_type)
{
    return data_type == ONNX_UINT16 || data_type == ONNX_INT16 ||
           (data_type >= ONNX_FLOAT8 && data_type <= ONNX_INT2);
}

const char *apx_onnx_dtype_name(int32_t data_type)
{
    return is_listed(data_type) ? types[data_type].name : "an unknown type";
}

size_t apx_onnx_stored_size(int32_t data_type)
{
    return is_listed(data_type) ? types[data_type].stored : 0;
}

static float bfloat_to_float(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float widen(int32_t data_type, uint16_t bits)
{
    return data_type == ONNX_FLOAT16 ? apx_float_of_half(bits) : bfloat_to_float(bits);
}

static bool is_narrow(int32_t data_type)
{
    return data_type == ONNX_FLOAT16 || data_type == ONNX_BFLOAT16;
}

/* From the stored form to the graph's: halves widened, truth values made 0 or 1. */
static void convert_raw(int32_t data_type, const void *raw, size_t elements, void *data)
{
    if (is_narrow(data_type)) {
        for (size_t i = 0; i < elements; i++) {
            uint16_t bits;
            memcpy(&bits, (const char *)raw + 2 * i, sizeof bits);
            ((float *)data)[i] = widen(data_type, bits);
        }
    } else if (data_type == ONNX_BOOL) {
        for (size_t i = 0; i < elements; i++)
            ((uint8_t *)data)[i] = ((const uint8_t *)raw)[i] != 0;
    } else if (elements > 0) {
        memcpy(data, raw, elements * types[data_type].stored);
    }
}

static bool fits(int32_t data_type, int32_t value)
{
    switch (data_type) {
    case ONNX_UINT8:
        return value >= 0 && value <= UINT8_MAX;
    case ONNX_INT8:
        return value >= INT8_MIN && value <= INT8_MAX;
    case ONNX_BOOL:
        return value == 0 || value == 1;
    default:
        return value >= 0 && value <= UINT16_MAX;
    }
}

/* int32_data carries all narrow types. */
static enum apx_status convert_narrow(const struct apx_onnx_reader *reader,
                                      const Onnx__TensorProto *tensor, const char *name,
                                      size_t elements, void *data)
{
    for (size_t i = 0; i < elements; i++) {
        int32_t value = tensor->int32_data[i];
        if (!fits(tensor->data_type, value))
            return apx_fail(reader->error, APX_EFORMAT, name, "%d is no value of type %s", value,
                            types[tensor->data_type].name);
        if (is_narrow(tensor->data_type))
            ((float *)data)[i] = widen(tensor->data_type, (uint16_t)value);
        else
            ((uint8_t *)data)[i] = (uint8_t)value;
    }
    return APX_OK;
}

static enum apx_status convert_strings(struct apx_onnx_reader *reader,
                                       const Onnx__TensorProto *tensor, const char *name,
                                       size_t elements, const char **data)
{
    for (size_t i = 0; i < elements; i++) {
        const ProtobufCBinaryData *text = &tensor->string_data[i];
        if (text->len > 0 && memchr(text->data, '\0', text->len) != NULL)
            return apx_fail(reader->error, APX_EFORMAT, name, "a string holds a zero byte");
        enum apx_status status = apx_onnx_charge(reader, name, text->len);
        if (status != APX_OK)
            return status;
        data[i] = apx_graph_string(reader->graph, text->len > 0 ? (const char *)text->data : "",
                                   text->len);
        if (data[i] == NULL)
            return apx_onnx_cannot_grow(reader);
    }
    return APX_OK;
}

/* The typed field that holds this element type. */
static size_t typed_count(const Onnx__TensorProto *tensor, const void **field)
{
    switch (tensor->data_type) {
    case ONNX_FLOAT:
        *field = tensor->float_data;
        return tensor->n_float_data;
    case ONNX_DOUBLE:
        *field = tensor->double_data;
        return tensor->n_double_data;
    case ONNX_INT64:
        *field = tensor->int64_data;
        return tensor->n_int64_data;
    case ONNX_STRING:
        return tensor->n_string_data;
    default:
        *field = tensor->int32_data;
        return tensor->n_int32_data;
    }
}

/* Straight into place, unless the elements grow. */
static enum apx_status fill_external(struct apx_onnx_reader *reader,
                                     const Onnx__TensorProto *tensor, const char *name,
                                     size_t elements, void *data)
{
    int32_t type = tensor->data_type;
    const struct apx_allocator *allocator = reader->graph->allocator;
    size_t bytes = elements * types[type].stored;
    if (type == ONNX_STRING)
        return apx_fail(reader->error, APX_EFORMAT, name, "strings in an external file");
    void *raw = is_narrow(type) ? apx_alloc(allocator, elements, types[type].stored) : data;
    if (raw == NULL)
        return apx_onnx_cannot_grow(reader);
    enum apx_status status = apx_onnx_read_external(reader, tensor, name, bytes, raw);
    if (status == APX_OK && (is_narrow(type) || type == ONNX_BOOL))
        convert_raw(type, raw, elements, data);
    if (raw != data)
        apx_release(allocator, raw);
    return status;
}

static enum apx_status fill(struct apx_onnx_reader *reader, const Onnx__TensorProto *tensor,
                            const char *name, size_t elements, void *data)
{
    int32_t type = tensor->data_type;
    if (apx_onnx_is_external(tensor))
        return fill_external(reader, tensor, name, elements, data);
    if (tensor->has_raw_data && tensor->raw_data.len > 0) {
        if (type == ONNX_STRING || tensor->raw_data.len != elements * types[type].stored)
            return apx_fail(reader->error, APX_EFORMAT, name,
                            "raw_data has %zu bytes, the shape asks for %zu", tensor->raw_data.len,
                            elements * types[type].stored);
        convert_raw(type, tensor->raw_data.data, elements, data);
        return APX_OK;
    }
    const void *field = NULL;
    size_t count = typed_count(tensor, &field);
    if (count != elements)
        return apx_fail(reader->error, APX_EFORMAT, name,
                        "the payload has %zu elements, the shape asks for %zu", count, elements);
    if (type == ONNX_STRING)
        return convert_strings(reader, tensor, name, elements, data);
    if (types[type].stored < 4)
        return convert_narrow(reader, tensor, name, elements, data);
    if (elements > 0)
        memcpy(data, field, elements * types[type].stored);
    return APX_OK;
}

enum apx_status apx_onnx_read_tensor(struct apx_onnx_reader *reader,
                                     const Onnx__TensorProto *tensor, const char *name, int *value)
{
    struct apx_error *error = reader->error;
    int32_t type = tensor->data_type;
    enum apx_dtype dtype = is_narrow(type) ? APX_F32 : apx_onnx_dtype(type);
    if (dtype == APX_DTYPE_NONE)
        return apx_fail(error, APX_EUNSUPPORTED, name, "tensors of %s are not supported%s",
                        apx_onnx_dtype_name(type),
                        is_quantized(type) ? "; quantise the float model to int8 or uint8, or "
                                             "give it to auspex quantize"
                                           : "");
    if (tensor->segment != NULL)
        return apx_fail(error, APX_EUNSUPPORTED, name, "segmented tensors are not supported");
    if (tensor->n_dims > APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, name, "rank %zu is above APX_MAX_RANK (%d)",
                        tensor->n_dims, APX_MAX_RANK);
    int64_t elements = 1;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0)
            return apx_fail(error, APX_EFORMAT, name, "extent %lld is negative",
                            (long long)tensor->dims[i]);
        if (__builtin_mul_overflow(elements, tensor->dims[i], &elements) ||
            elements > APX_LIMIT_ELEMENTS)
            return apx_fail(error, APX_ELIMIT, name,
                            "more than APX_LIMIT_ELEMENTS (2^31) elements");
    }
    size_t width = dtype == APX_STRING ? sizeof(char *) : apx_dtype_size(dtype);
    size_t bytes = (size_t)elements * width;
    enum apx_status status =
        apx_onnx_is_external(tensor)
            ? apx_onnx_check_external(reader, tensor, name, (size_t)elements * types[type].stored)
            : apx_onnx_charge(reader, name, bytes);
    if (status != APX_OK)
        return status;
    void *data = apx_graph_alloc(reader->graph, bytes);
    if (data == NULL)
        return apx_onnx_cannot_grow(reader);
    status = fill(reader, tensor, name, (size_t)elements, data);
    if (status != APX_OK)
        return status;
    int v = apx_graph_add_value(reader->graph, name);
    if (v < 0)
        return apx_onnx_cannot_grow(reader);
    struct apx_value *made = &reader->graph->values[v];
    made->dtype = dtype;
    made->rank = (int)tensor->n_dims;
    for (int i = 0; i < made->rank; i++)
        made->dims[i] = apx_dim_constant(tensor->dims[i]);
    made->data = data;
    made->bytes = bytes;
    *value = v;
    return APX_OK;
}
