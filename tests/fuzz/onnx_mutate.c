/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_mutate.c - a libFuzzer mutator that keeps most inputs well-formed ONNX.
 *
 * Blind changes of bytes rarely get past the wire format. This one unpacks the model, changes one
 * to four fields found through protobuf-c's descriptors - a number, a name taken from elsewhere in
 * the file, an operator taken from ops.def, a list's element dropped, doubled or swapped - and
 * packs it again. One input in four still gets a blind change. */
#include "runtime/model/onnx_reader.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES 4096
#define ARENA    ((size_t)8 << 20)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static char *arena;
static size_t arena_used;
static uint64_t state;

static void *take(void *context, size_t bytes)
{
    (void)context;
    size_t start = (arena_used + 15) / 16 * 16;
    if (start > ARENA || bytes > ARENA - start)
        return NULL;
    arena_used = start + bytes;
    return arena + start;
}

static void give_back(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

static ProtobufCAllocator in_arena = {take, give_back, NULL};

static size_t below(size_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return limit == 0 ? 0 : (size_t)(state >> 33) % limit;
}

static struct {
    ProtobufCMessage *message[MESSAGES];
    size_t count;
    char *text[MESSAGES];
    size_t text_count;
} found;

/* The field itself, and for a list or an optional scalar its count or has-flag. */
static void *member(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

static size_t *count_of(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (size_t *)(void *)((char *)message + field->quantifier_offset);
}

static bool is_chosen(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
           *(uint32_t *)(void *)((char *)message + field->quantifier_offset) == field->id;
}

static void collect(ProtobufCMessage *message)
{
    if (found.count == MESSAGES)
        return;
    found.message[found.count++] = message;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        void **items = is_list ? *(void ***)member(message, field) : member(message, field);
        size_t count = is_list ? *count_of(message, field) : 1;
        if ((field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING) ||
            !is_chosen(message, field))
            continue;
        for (size_t i = 0; i < count; i++) {
            if (items[i] == NULL)
                continue;
            if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                collect(items[i]);
            else if (found.text_count < MESSAGES)
                found.text[found.text_count++] = items[i];
        }
    }
}

static char *other_text(const ProtobufCFieldDescriptor *field)
{
    static const char *const words[] = {"", "x", "forward", "reverse", "bidirectional", "axes"};
    if (strcmp(field->name, "op_type") == 0 && below(4) != 0)
        return (char *)(uintptr_t)apx_op_info((enum apx_op)below(APX_OP_COUNT))->name;
    if (below(8) == 0 || found.text_count == 0)
        return (char *)(uintptr_t)words[below(sizeof words / sizeof words[0])];
    return found.text[below(found.text_count)];
}

static int64_t other_number(int64_t number)
{
    static const int64_t numbers[] = {0,         1,         2,         3,         4,
                                      -1,        -2,        7,         13,        64,
                                      INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_C(1) << 31};
    if (below(3) == 0)
        return (int64_t)((uint64_t)number + below(5) - 2);
    return numbers[below(sizeof numbers / sizeof numbers[0])];
}

static size_t scalar_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return 4;
    }
}

static void change_bytes(ProtobufCBinaryData *bytes)
{
    size_t room = bytes->len + 16;
    uint8_t *copy = take(NULL, room);
    if (copy == NULL)
        return;
    if (bytes->len > 0)
        memcpy(copy, bytes->data, bytes->len);
    bytes->len = below(4) == 0 ? below(bytes->len + 1) : LLVMFuzzerMutate(copy, bytes->len, room);
    bytes->data = copy;
}

/* Such a message can never contain itself, wherever it is put. */
static bool is_flat(const ProtobufCMessageDescriptor *descriptor)
{
    return descriptor == &onnx__tensor_proto__descriptor ||
           descriptor == &onnx__tensor_shape_proto__descriptor ||
           descriptor == &onnx__tensor_shape_proto__dimension__descriptor ||
           descriptor == &onnx__string_string_entry_proto__descriptor ||
           descriptor == &onnx__operator_set_id_proto__descriptor;
}

static void change_item(void *item, const ProtobufCFieldDescriptor *field)
{
    int64_t number = 0;
    size_t size = scalar_size(field->type);
    void **pointer = item;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *pointer = other_text(field);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        change_bytes(item);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        for (int tries = 0; tries < 20 && is_flat(field->descriptor); tries++) {
            ProtobufCMessage *other = found.message[below(found.count)];
            if (other->descriptor == field->descriptor) {
                *pointer = other;
                break;
            }
        }
        break;
    default:
        memcpy(&number, item, size);
        number = other_number(number);
        memcpy(item, &number, size);
    }
}

static void change_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    size_t size = scalar_size(field->type), *count = count_of(message, field);
    char **list = member(message, field);
    size_t i = below(*count), j = below(*count);
    char kept[sizeof(ProtobufCBinaryData)];
    char *longer = take(NULL, (*count + 1) * size);
    if (longer == NULL)
        return;
    if (*count > 0)
        memcpy(longer, *list, *count * size);
    *list = longer;
    switch (below(4)) {
    case 0: /* drop one */
        if (*count > 0) {
            memmove(longer + i * size, longer + (i + 1) * size, (*count - i - 1) * size);
            --*count;
        }
        break;
    case 1: /* double one, or begin a list of numbers or names */
        memset(longer + *count * size, 0, size);
        if (*count > 0)
            memcpy(longer + *count * size, longer + i * size, size);
        else if (field->type == PROTOBUF_C_TYPE_STRING)
            *(char **)(void *)longer = other_text(field);
        else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            break;
        ++*count;
        break;
    case 2: /* swap two */
        if (*count > 0) {
            memcpy(kept, longer + i * size, size);
            memcpy(longer + i * size, longer + j * size, size);
            memcpy(longer + j * size, kept, size);
        }
        break;
    default:
        if (*count > 0)
            change_item(longer + i * size, field);
    }
}

static void change(void)
{
    ProtobufCMessage *message = found.message[below(found.count)];
    const ProtobufCFieldDescriptor *field =
        &message->descriptor->fields[below(message->descriptor->n_fields)];
    if (!is_chosen(message, field))
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        change_list(message, field);
        return;
    }
    bool has_flag = field->type != PROTOBUF_C_TYPE_STRING &&
                    field->type != PROTOBUF_C_TYPE_MESSAGE &&
                    (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
    if (has_flag)
        *(protobuf_c_boolean *)(void *)count_of(message, field) = below(8) != 0;
    change_item(member(message, field), field);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (arena == NULL && (arena = malloc(ARENA)) == NULL)
        return size;
    state = seed;
    arena_used = found.count = found.text_count = 0;
    ProtobufCMessage *model = NULL;
    if (below(4) != 0 && apx_onnx_scan(&onnx__model_proto__descriptor, data, size, NULL) == APX_OK)
        model = protobuf_c_message_unpack(&onnx__model_proto__descriptor, &in_arena, size, data);
    if (model == NULL)
        return LLVMFuzzerMutate(data, size, max_size);
    collect(model);
    for (size_t i = below(4) + 1; i > 0; i--)
        change();
    size_t packed = found.count < MESSAGES ? protobuf_c_message_get_packed_size(model) : SIZE_MAX;
    return packed <= max_size ? protobuf_c_message_pack(model, data)
                              : LLVMFuzzerMutate(data, size, max_size);
}
