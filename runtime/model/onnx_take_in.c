/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_take_in.c - tensors that lie in other files come into the model.
 *
 * Tensors hang in graphs, in attributes, in graphs in attributes and in functions; all of these are
 * walked. What the walk does not know (a newer field) is packed again as it came, and the reader
 * speaks up if data still lie elsewhere. */
#include "runtime/model/onnx_take_in.h"

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/onnx_reader.h"

#include <stdlib.h>

struct payload {
    struct payload *next;
    uint8_t bytes[];
};

struct taking {
    struct apx_onnx_reader reader;
    struct payload *payloads; /* what the tensors point to until the model is packed */
};

static enum apx_status payload_size(const struct taking *t, const Onnx__TensorProto *tensor,
                                    const char *name, size_t *bytes)
{
    *bytes = apx_onnx_stored_size(tensor->data_type);
    if (*bytes == 0)
        return apx_fail(t->reader.error, APX_EUNSUPPORTED, name,
                        "tensors of %s in another file are not supported",
                        apx_onnx_dtype_name(tensor->data_type));
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (tensor->dims[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)tensor->dims[i], bytes) ||
            *bytes > APX_LIMIT_FILE_BYTES)
            return apx_fail(t->reader.error, APX_ELIMIT, name,
                            "extent %lld: the tensor would have more than APX_LIMIT_FILE_BYTES "
                            "(2 GiB)",
                            (long long)tensor->dims[i]);
    return APX_OK;
}

static enum apx_status take_tensor(struct taking *t, Onnx__TensorProto *tensor)
{
    size_t bytes;
    if (tensor == NULL || !apx_onnx_is_external(tensor))
        return APX_OK;
    const char *name = apx_onnx_or_empty(tensor->name);
    enum apx_status status = payload_size(t, tensor, name, &bytes);
    if (status == APX_OK) /* before memory is asked for */
        status = apx_onnx_check_external(&t->reader, tensor, name, bytes);
    if (status != APX_OK)
        return status;
    struct payload *payload = malloc(sizeof *payload + bytes);
    if (payload == NULL)
        return apx_fail(t->reader.error, APX_ENOMEM, name, "out of memory");
    payload->next = t->payloads;
    t->payloads = payload;
    status = apx_onnx_read_external(&t->reader, tensor, name, bytes, payload->bytes);
    tensor->has_data_location = 0;
    tensor->n_external_data = 0;
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){.len = bytes, .data = payload->bytes};
    return status;
}

static enum apx_status take_graph(struct taking *t, const Onnx__GraphProto *graph);

static enum apx_status take_nodes(struct taking *t, Onnx__NodeProto *const *nodes, size_t count)
{
    enum apx_status status = APX_OK;
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < nodes[n]->n_attribute; i++) {
            const Onnx__AttributeProto *attribute = nodes[n]->attribute[i];
            status = take_tensor(t, attribute->t);
            for (size_t k = 0; status == APX_OK && k < attribute->n_tensors; k++)
                status = take_tensor(t, attribute->tensors[k]);
            if (status == APX_OK && attribute->g != NULL)
                status = take_graph(t, attribute->g);
            for (size_t k = 0; status == APX_OK && k < attribute->n_graphs; k++)
                status = take_graph(t, attribute->graphs[k]);
            if (status != APX_OK)
                return status;
        }
    return APX_OK;
}

/* As deep as the scan lets a message be. */
static enum apx_status take_graph(struct taking *t, const Onnx__GraphProto *graph)
{
    enum apx_status status = APX_OK;
    for (size_t i = 0; status == APX_OK && i < graph->n_initializer; i++)
        status = take_tensor(t, graph->initializer[i]);
    return status == APX_OK ? take_nodes(t, graph->node, graph->n_node) : status;
}

static enum apx_status take_model(struct taking *t, const Onnx__ModelProto *model)
{
    enum apx_status status = model->graph != NULL ? take_graph(t, model->graph) : APX_OK;
    for (size_t i = 0; status == APX_OK && i < model->n_functions; i++)
        status = take_nodes(t, model->functions[i]->node, model->functions[i]->n_node);
    return status;
}

static enum apx_status pack(const struct taking *t, void **out, size_t *out_bytes)
{
    size_t size = onnx__model_proto__get_packed_size(t->reader.model);
    if (size > APX_LIMIT_FILE_BYTES)
        return apx_fail(t->reader.error, APX_ELIMIT, NULL,
                        "with its data inside the model would be larger than APX_LIMIT_FILE_BYTES "
                        "(2 GiB)");
    uint8_t *packed = malloc(size);
    if (packed == NULL)
        return apx_fail(t->reader.error, APX_ENOMEM, NULL, "out of memory");
    *out_bytes = onnx__model_proto__pack(t->reader.model, packed);
    *out = packed;
    return APX_OK;
}

enum apx_status apx_onnx_take_in(const void *data, size_t bytes, const char *directory, void **out,
                                 size_t *out_bytes, struct apx_error *error)
{
    struct taking t = {.reader = {.error = error,
                                  .directory = directory,
                                  .names = {.allocator = apx_allocator_default()}}};
    *out = NULL;
    *out_bytes = 0;
    enum apx_status status = apx_onnx_unpack_model(&t.reader, data, bytes);
    if (status == APX_OK)
        status = take_model(&t, t.reader.model);
    else if (status != APX_ENOMEM)
        status = APX_OK; /* whoever loads it says what it is */
    if (status == APX_OK && t.payloads != NULL)
        status = pack(&t, out, out_bytes);
    for (struct payload *next; t.payloads != NULL; t.payloads = next) {
        next = t.payloads->next;
        free(t.payloads);
    }
    apx_onnx_memory_destroy(t.reader.memory);
    return status;
}
