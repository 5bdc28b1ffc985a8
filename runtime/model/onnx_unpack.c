/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_unpack.c - protobuf-c under a byte budget.
 *
 * A file of N bytes can ask for far more than N bytes of structs: an empty message is two bytes on
 * the wire. So the allocator given to protobuf-c counts what is alive and refuses beyond a budget.
 * It also chains its blocks: all of them are released together, whether or not protobuf-c would
 * have found its way through a half-built message after a failed allocation. */
#include "runtime/base/memory.h"
#include "runtime/model/onnx_reader.h"

#include <stdalign.h>

struct block {
    alignas(16) struct block *next;
    struct block *previous;
    size_t bytes;
};

struct apx_onnx_memory {
    const struct apx_allocator *allocator;
    ProtobufCAllocator pool;
    struct block all; /* head of a ring */
    size_t used, budget;
    enum apx_status failure;
};

static void *take(void *context, size_t bytes)
{
    struct apx_onnx_memory *memory = context;
    if (bytes > memory->budget - memory->used ||
        sizeof(struct block) > memory->budget - memory->used - bytes) {
        memory->failure = APX_ELIMIT;
        return NULL;
    }
    struct block *block = memory->allocator->alloc(memory->allocator->context,
                                                   alignof(struct block), sizeof *block + bytes);
    if (block == NULL) {
        memory->failure = APX_ENOMEM;
        return NULL;
    }
    block->bytes = sizeof *block + bytes;
    memory->used += block->bytes;
    block->next = memory->all.next;
    block->previous = &memory->all;
    block->next->previous = block;
    memory->all.next = block;
    return block + 1;
}

static void give_back(void *context, void *pointer)
{
    struct apx_onnx_memory *memory = context;
    if (pointer == NULL)
        return;
    struct block *block = (struct block *)pointer - 1;
    block->next->previous = block->previous;
    block->previous->next = block->next;
    memory->used -= block->bytes;
    apx_release(memory->allocator, block);
}

enum apx_status apx_onnx_memory_create(const struct apx_allocator *allocator, size_t budget,
                                       struct apx_onnx_memory **out)
{
    struct apx_onnx_memory *memory = *out = apx_alloc(allocator, 1, sizeof *memory);
    if (memory == NULL)
        return APX_ENOMEM;
    memory->allocator = allocator;
    memory->pool = (ProtobufCAllocator){take, give_back, memory};
    memory->all.next = memory->all.previous = &memory->all;
    memory->budget = budget;
    return APX_OK;
}

void apx_onnx_memory_destroy(struct apx_onnx_memory *memory)
{
    if (memory == NULL)
        return;
    while (memory->all.next != &memory->all)
        give_back(memory, memory->all.next + 1);
    apx_release(memory->allocator, memory);
}

ProtobufCMessage *apx_onnx_unpack(struct apx_onnx_memory *memory,
                                  const ProtobufCMessageDescriptor *descriptor, const void *data,
                                  size_t bytes)
{
    memory->failure = APX_EFORMAT; /* unless an allocation fails */
    return protobuf_c_message_unpack(descriptor, &memory->pool, bytes, data);
}

enum apx_status apx_onnx_unpack_failure(const struct apx_onnx_memory *memory)
{
    return memory->failure;
}

bool apx_onnx_unknown_field(const ProtobufCMessage *message, uint32_t tag, size_t index,
                            const uint8_t **data, size_t *bytes)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        if (field->tag != tag || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
            index-- > 0)
            continue;
        size_t prefix = 0; /* protobuf-c keeps the length in front of the payload */
        while (prefix < field->len && (field->data[prefix] & 0x80) != 0)
            prefix++;
        if (prefix == field->len)
            return false;
        *data = field->data + prefix + 1;
        *bytes = field->len - prefix - 1;
        return true;
    }
    return false;
}
