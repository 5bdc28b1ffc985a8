/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_names.c - a hash table from (scope, name) to a value's index. */
#include "runtime/base/memory.h"
#include "runtime/model/onnx_reader.h"

#include <string.h>

void apx_onnx_names_fini(struct apx_onnx_names *names)
{
    apx_release(names->allocator, names->slots);
    names->slots = NULL;
}

/* FNV-1a; a file that provokes collisions slows its own loading, up to APX_LIMIT_VALUES names. */
static size_t hash(int scope, const char *text)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)scope * 0x9e3779b97f4a7c15u;
    for (; *text != '\0'; text++)
        h = (h ^ (uint8_t)*text) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* The slot of the name, or the free slot where it belongs. capacity is a power of two. */
static struct apx_onnx_name *slot_of(struct apx_onnx_name *slots, size_t capacity, int scope,
                                     const char *text)
{
    size_t i = hash(scope, text) & (capacity - 1);
    while (slots[i].text != NULL && (slots[i].scope != scope || strcmp(slots[i].text, text) != 0))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

bool apx_onnx_names_add(struct apx_onnx_names *names, int scope, const char *text, int value)
{
    if (names->count >= names->capacity / 2) {
        size_t capacity = names->capacity == 0 ? 64 : 2 * names->capacity;
        struct apx_onnx_name *slots = apx_alloc(names->allocator, capacity, sizeof *slots);
        if (slots == NULL)
            return false;
        for (size_t i = 0; i < names->capacity; i++)
            if (names->slots[i].text != NULL)
                *slot_of(slots, capacity, names->slots[i].scope, names->slots[i].text) =
                    names->slots[i];
        apx_release(names->allocator, names->slots);
        names->slots = slots;
        names->capacity = capacity;
    }
    *slot_of(names->slots, names->capacity, scope, text) =
        (struct apx_onnx_name){.scope = scope, .value = value, .text = text};
    names->count++;
    return true;
}

bool apx_onnx_names_find(const struct apx_onnx_names *names, int scope, const char *text,
                         int *value)
{
    if (names->capacity == 0)
        return false;
    const struct apx_onnx_name *slot = slot_of(names->slots, names->capacity, scope, text);
    if (slot->text == NULL)
        return false;
    *value = slot->value;
    return true;
}
