/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_attr.c - attributes of nodes.
 *
 * Inside a function an attribute may name one of the call's instead of having a value; the call's
 * own attribute may do the same one level up. Defaults for attributes that the call leaves out came
 * to FunctionProto later than Debian's onnx.proto (field 11): they are read from its unknown
 * fields. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <string.h>

#define FUNCTION_ATTRIBUTE_PROTO 11

typedef Onnx__AttributeProto__AttributeType attr_kind;
#define KIND(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

static enum apx_status find_default(struct apx_onnx_reader *reader,
                                    const Onnx__FunctionProto *function, const char *name,
                                    const Onnx__AttributeProto **out)
{
    const uint8_t *data;
    size_t bytes;
    for (size_t i = 0;
         apx_onnx_unknown_field(&function->base, FUNCTION_ATTRIBUTE_PROTO, i, &data, &bytes); i++) {
        /* To the scan of the file these bytes were opaque. */
        enum apx_status status =
            apx_onnx_scan(&onnx__attribute_proto__descriptor, data, bytes, reader->error);
        if (status != APX_OK)
            return status;
        ProtobufCMessage *message =
            apx_onnx_unpack(reader->memory, &onnx__attribute_proto__descriptor, data, bytes);
        if (message == NULL)
            return apx_fail(reader->error, apx_onnx_unpack_failure(reader->memory), name,
                            "cannot read the defaults of function %s",
                            apx_onnx_or_empty(function->name));
        const Onnx__AttributeProto *attr = (const Onnx__AttributeProto *)message;
        if (strcmp(apx_onnx_or_empty(attr->name), name) == 0) {
            *out = attr;
            return APX_OK;
        }
    }
    return APX_OK;
}

enum apx_status apx_onnx_attr_resolve(struct apx_onnx_reader *reader,
                                      const struct apx_onnx_scope *scope,
                                      const Onnx__AttributeProto *from,
                                      const Onnx__AttributeProto **out)
{
    *out = from;
    while (*out != NULL && apx_onnx_or_empty((*out)->ref_attr_name)[0] != '\0') {
        const char *name = (*out)->ref_attr_name;
        if (scope->function == NULL)
            return apx_fail(reader->error, APX_EFORMAT, name,
                            "refers to an attribute of a function, outside of any");
        const Onnx__NodeProto *call = scope->call;
        *out = NULL;
        for (size_t i = 0; i < call->n_attribute && *out == NULL; i++)
            if (strcmp(apx_onnx_or_empty(call->attribute[i]->name), name) == 0)
                *out = call->attribute[i];
        if (*out == NULL)
            return find_default(reader, scope->function, name, out);
        scope = scope->caller;
    }
    return APX_OK;
}

/* Files from before the type field say it by the field that is there. */
attr_kind apx_onnx_attr_kind(const Onnx__AttributeProto *from)
{
    if (from->has_type && from->type != KIND(UNDEFINED))
        return from->type;
    if (from->has_f)
        return KIND(FLOAT);
    if (from->has_i)
        return KIND(INT);
    if (from->has_s)
        return KIND(STRING);
    if (from->t != NULL)
        return KIND(TENSOR);
    if (from->g != NULL || from->n_graphs > 0)
        return KIND(GRAPH);
    if (from->n_floats > 0)
        return KIND(FLOATS);
    if (from->n_ints > 0)
        return KIND(INTS);
    if (from->n_strings > 0)
        return KIND(STRINGS);
    return KIND(UNDEFINED);
}

/* The bytes an attribute takes: a function's are copied at each of its calls. */
static size_t payload(const Onnx__AttributeProto *from)
{
    size_t bytes = from->s.len + from->n_floats * sizeof *from->floats +
                   from->n_ints * sizeof *from->ints + from->n_strings * sizeof(char *);
    for (size_t i = 0; i < from->n_strings; i++)
        bytes += from->strings[i].len;
    return bytes;
}

static const char *copy_text(struct apx_onnx_reader *reader, const ProtobufCBinaryData *text)
{
    return apx_graph_string(reader->graph, text->len > 0 ? (const char *)text->data : "",
                            text->len);
}

static bool has_zero(const ProtobufCBinaryData *text)
{
    return text->len > 0 && memchr(text->data, '\0', text->len) != NULL;
}

static enum apx_status copy_list(struct apx_onnx_reader *reader, struct apx_attr *to, size_t count,
                                 size_t size, const void *from, void *list)
{
    void *copy = apx_graph_alloc(reader->graph, count * size); /* count comes from memory */
    if (copy == NULL)
        return apx_onnx_cannot_grow(reader);
    if (count > 0)
        memcpy(copy, from, count * size);
    memcpy(list, &copy, sizeof copy);
    to->count = count;
    return APX_OK;
}

static enum apx_status copy_texts(struct apx_onnx_reader *reader, const Onnx__AttributeProto *from,
                                  const char *label, struct apx_attr *to)
{
    const char **texts = apx_graph_alloc(reader->graph, from->n_strings * sizeof *texts);
    if (texts == NULL)
        return apx_onnx_cannot_grow(reader);
    for (size_t i = 0; i < from->n_strings; i++) {
        if (has_zero(&from->strings[i]))
            return apx_fail(reader->error, APX_EFORMAT, label, "%s: a text holds a zero byte",
                            to->name);
        texts[i] = copy_text(reader, &from->strings[i]);
        if (texts[i] == NULL)
            return apx_onnx_cannot_grow(reader);
    }
    to->strings = texts;
    to->count = from->n_strings;
    return APX_OK;
}

static enum apx_status copy_value(struct apx_onnx_reader *reader,
                                  const struct apx_onnx_scope *scope,
                                  const Onnx__AttributeProto *from, const char *label,
                                  struct apx_attr *to)
{
    switch (to->type) {
    case APX_ATTR_INT:
        to->i = from->i;
        return APX_OK;
    case APX_ATTR_FLOAT:
        to->f = from->f;
        return APX_OK;
    case APX_ATTR_STRING:
        if (has_zero(&from->s))
            return apx_fail(reader->error, APX_EFORMAT, label, "%s: the text holds a zero byte",
                            to->name);
        to->s = copy_text(reader, &from->s);
        return to->s != NULL ? APX_OK : apx_onnx_cannot_grow(reader);
    case APX_ATTR_INTS:
        return copy_list(reader, to, from->n_ints, sizeof *from->ints, from->ints, &to->ints);
    case APX_ATTR_FLOATS:
        return copy_list(reader, to, from->n_floats, sizeof *from->floats, from->floats,
                         &to->floats);
    case APX_ATTR_STRINGS:
        return copy_texts(reader, from, label, to);
    case APX_ATTR_TENSOR: {
        const char *name = apx_onnx_full_name(reader, scope, label);
        if (name == NULL)
            return apx_onnx_cannot_grow(reader);
        if (from->t == NULL)
            return apx_fail(reader->error, APX_EFORMAT, label, "%s: the tensor is missing",
                            to->name);
        return apx_onnx_read_tensor(reader, from->t, name, &to->tensor);
    }
    }
    return APX_EFORMAT;
}

enum apx_status apx_onnx_read_attr(struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope,
                                   const Onnx__AttributeProto *from, int node)
{
    const char *label = reader->graph->nodes[node].name;
    const char *name = apx_onnx_or_empty(from->name);
    if (name[0] == '\0' || strlen(name) > APX_LIMIT_NAME)
        return apx_fail(reader->error, APX_EFORMAT, label, "an attribute has no usable name");
    if (apx_node_attr(&reader->graph->nodes[node], name) != NULL)
        return apx_fail(reader->error, APX_EFORMAT, label, "attribute %s is given twice", name);
    enum apx_status status = apx_onnx_attr_resolve(reader, scope, from, &from);
    if (status != APX_OK || from == NULL)
        return status;
    enum apx_op op = reader->graph->nodes[node].op;
    enum apx_attr_type type, wanted;
    switch (apx_onnx_attr_kind(from)) {
    case KIND(FLOAT):
        type = APX_ATTR_FLOAT;
        break;
    case KIND(INT):
        type = APX_ATTR_INT;
        break;
    case KIND(STRING):
        type = APX_ATTR_STRING;
        break;
    case KIND(TENSOR):
        type = APX_ATTR_TENSOR;
        break;
    case KIND(FLOATS):
        type = APX_ATTR_FLOATS;
        break;
    case KIND(INTS):
        type = APX_ATTR_INTS;
        break;
    case KIND(STRINGS):
        type = APX_ATTR_STRINGS;
        break;
    case KIND(UNDEFINED): /* nothing is given: an empty list in files without types */
        return APX_OK;
    default:
        return apx_fail(reader->error, APX_EUNSUPPORTED, label,
                        "attribute %s holds a subgraph, a sparse tensor, a list of tensors or a "
                        "type; these are not supported",
                        name);
    }
    if (apx_attr_type_find(op, name, &wanted) && type != wanted)
        return apx_fail(reader->error, APX_EFORMAT, label,
                        "%s: attribute %s has the wrong type: it is %s and must be %s",
                        apx_op_info(op)->name, name, apx_attr_type_name(type),
                        apx_attr_type_name(wanted));
    status = apx_onnx_charge(reader, label, payload(from));
    if (status != APX_OK)
        return status;
    struct apx_attr *to =
        apx_graph_add_attr(reader->graph, &reader->graph->nodes[node], name, type);
    if (to == NULL)
        return apx_onnx_cannot_grow(reader);
    return copy_value(reader, scope, from, label, to);
}

/* A constant of the given elements. */
static enum apx_status add_constant(struct apx_onnx_reader *reader, const char *name,
                                    enum apx_dtype dtype, int rank, size_t count, const void *data,
                                    int *value)
{
    int64_t dims[1] = {(int64_t)count};
    *value = apx_graph_add_constant(reader->graph, name, dtype, rank, dims, data);
    return *value >= 0 ? APX_OK : apx_onnx_cannot_grow(reader);
}

static enum apx_status add_texts(struct apx_onnx_reader *reader, const char *name, int rank,
                                 size_t count, const ProtobufCBinaryData *texts, int *value)
{
    const char **copies = apx_graph_alloc(reader->graph, count * sizeof *copies);
    for (size_t i = 0; copies != NULL && i < count; i++) {
        if (has_zero(&texts[i]))
            return apx_fail(reader->error, APX_EFORMAT, name, "a text holds a zero byte");
        if ((copies[i] = copy_text(reader, &texts[i])) == NULL)
            copies = NULL;
    }
    if (copies == NULL)
        return apx_onnx_cannot_grow(reader);
    return add_constant(reader, name, APX_STRING, rank, count, copies, value);
}

enum apx_status apx_onnx_attr_constant(struct apx_onnx_reader *reader,
                                       const struct apx_onnx_scope *scope,
                                       const Onnx__NodeProto *from, const char *name, int *value)
{
    const Onnx__AttributeProto *attr = NULL;
    if (from->n_attribute != 1)
        return apx_fail(reader->error, APX_EFORMAT, name, "Constant needs exactly one attribute");
    enum apx_status status = apx_onnx_attr_resolve(reader, scope, from->attribute[0], &attr);
    if (status != APX_OK)
        return status;
    attr_kind kind = attr != NULL ? apx_onnx_attr_kind(attr) : KIND(UNDEFINED);
    if (attr != NULL && (status = apx_onnx_charge(reader, name, payload(attr))) != APX_OK)
        return status;
    const char *form = apx_onnx_or_empty(from->attribute[0]->name);
    if (kind == KIND(TENSOR) && attr->t != NULL && strcmp(form, "value") == 0)
        return apx_onnx_read_tensor(reader, attr->t, name, value);
    if (kind == KIND(FLOAT) && strcmp(form, "value_float") == 0)
        return add_constant(reader, name, APX_F32, 0, 1, &attr->f, value);
    if (kind == KIND(INT) && strcmp(form, "value_int") == 0)
        return add_constant(reader, name, APX_I64, 0, 1, &attr->i, value);
    if (kind == KIND(STRING) && strcmp(form, "value_string") == 0)
        return add_texts(reader, name, 0, 1, &attr->s, value);
    if (kind == KIND(FLOATS) && strcmp(form, "value_floats") == 0)
        return add_constant(reader, name, APX_F32, 1, attr->n_floats, attr->floats, value);
    if (kind == KIND(INTS) && strcmp(form, "value_ints") == 0)
        return add_constant(reader, name, APX_I64, 1, attr->n_ints, attr->ints, value);
    if (kind == KIND(STRINGS) && strcmp(form, "value_strings") == 0)
        return add_texts(reader, name, 1, attr->n_strings, attr->strings, value);
    return apx_fail(reader->error, APX_EUNSUPPORTED, name,
                    "Constant: attribute %s is not supported", form);
}
