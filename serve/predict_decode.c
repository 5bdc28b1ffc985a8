/* SPDX-License-Identifier: Apache-2.0 */
/* predict_decode.c - protobuf's wire format, walked by hand over the spans of the network.
 *
 * protobuf-c would copy the message into one piece, and from there each field into memory of its
 * own; for the one message that comes in megabytes that is two copies and hundreds of allocations
 * too many. Here the only copies are the names, the row keys (sent back as they are) and the
 * lengths.
 *
 * As protobuf wants it: unknown fields are skipped, the last of several scalar fields counts, and
 * lengths may come packed, one by one, or both. Groups, which proto3 does not have, are refused. */
#include "serve/predict_decode.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied as they lie");

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum field {
    FIELD_MODEL = 1,
    FIELD_VERSION = 2,
    FIELD_ROWS = 3,
    FIELD_STEPS = 4,
    FIELD_FEATURES = 5,
    FIELD_VALUES = 6,
    FIELD_KEYS = 7,
    FIELD_LENGTHS = 8,
    FIELD_NAN_POLICY = 9,
    FIELD_OUTPUT = 10,
    FIELD_VALUE_TYPE = 16,
    FIELD_OUTPUT_TYPE = 17,
};

/* Reads forward over the spans. `left` never exceeds the bytes that are there from `place` on. */
struct cursor {
    const struct apx_span *spans;
    struct apx_place place;
    size_t left;
};

/* The key blob and the lengths while they grow. */
struct growing {
    size_t keys_capacity;
    size_t key_count;
    size_t length_count, length_capacity;
    uint64_t nan_policy, value_type, output_type; /* as sent */
};

static void settle(struct cursor *cursor)
{
    while (cursor->left > 0 && cursor->place.offset == cursor->spans[cursor->place.span].size) {
        cursor->place.span++;
        cursor->place.offset = 0;
    }
}

static void skip(struct cursor *cursor, size_t bytes)
{
    cursor->left -= bytes;
    while (bytes > 0) {
        size_t here = cursor->spans[cursor->place.span].size - cursor->place.offset;
        if (here > bytes) {
            cursor->place.offset += bytes;
            return;
        }
        bytes -= here;
        if (bytes == 0 && cursor->left == 0) { /* the end: stay inside of the list */
            cursor->place.offset += here;
            return;
        }
        cursor->place.span++;
        cursor->place.offset = 0;
    }
}

static void read(struct cursor *cursor, void *to, size_t bytes)
{
    uint8_t *at = to;
    while (bytes > 0) {
        settle(cursor);
        const struct apx_span *span = &cursor->spans[cursor->place.span];
        size_t here = span->size - cursor->place.offset;
        size_t part = here < bytes ? here : bytes;
        memcpy(at, span->data + cursor->place.offset, part);
        skip(cursor, part);
        at += part;
        bytes -= part;
    }
}

/* False: the message ends inside of it, or it has more than ten bytes. */
static bool read_varint(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (cursor->left == 0)
            return false;
        uint8_t byte;
        read(cursor, &byte, 1);
        if (shift < 63 || byte <= 1)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. protobuf clients refuse a
 * whole reply for one string that is not this. */
static bool is_utf8(const uint8_t *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        uint8_t lead = text[i++];
        size_t more = lead < 0x80                    ? 0
                      : lead >= 0xc2 && lead <= 0xdf ? 1
                      : lead >= 0xe0 && lead <= 0xef ? 2
                      : lead >= 0xf0 && lead <= 0xf4 ? 3
                                                     : SIZE_MAX;
        if (more == SIZE_MAX || more > bytes - i)
            return false;
        if (more > 0) {
            uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
            uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
            if (text[i] < low || text[i] > high)
                return false;
        }
        for (size_t k = 1; k < more; k++) {
            if (text[i + k] < 0x80 || text[i + k] > 0xbf)
                return false;
        }
        i += more;
    }
    return true;
}

static enum apx_status read_name(struct cursor *cursor, size_t bytes, const char *field, char *to,
                                 size_t limit, struct apx_error *error)
{
    if (bytes > limit)
        return apx_fail(error, APX_ELIMIT, field, "%zu bytes, at most %zu are allowed", bytes,
                        limit);
    read(cursor, to, bytes);
    to[bytes] = '\0';
    if (memchr(to, '\0', bytes) != NULL)
        return apx_fail(error, APX_EINVAL, field, "holds a NUL byte");
    if (!is_utf8((const uint8_t *)to, bytes))
        return apx_fail(error, APX_EINVAL, field, "is not UTF-8");
    return APX_OK;
}

static bool reserve(void **data, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return true;
    size_t grown = *capacity < 64 ? 64 : *capacity;
    while (grown < need)
        grown *= 2;
    void *moved = realloc(*data, grown * size);
    if (moved == NULL)
        return false;
    *data = moved;
    *capacity = grown;
    return true;
}

static size_t put_varint(uint8_t *to, uint64_t value)
{
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        to[used++] = (uint8_t)(value | 0x80);
    to[used++] = (uint8_t)value;
    return used;
}

static enum apx_status read_key(struct cursor *cursor, size_t bytes,
                                struct apx_predict_request *request, struct growing *growing,
                                struct apx_error *error)
{
    if (bytes > APX_LIMIT_KEY_BYTES)
        return apx_fail(error, APX_ELIMIT, "keys", "key %zu has %zu bytes, at most %d are allowed",
                        growing->key_count, bytes, APX_LIMIT_KEY_BYTES);
    void *keys = request->keys;
    if (!reserve(&keys, &growing->keys_capacity, request->keys_bytes + bytes + 11, 1))
        return apx_fail(error, APX_ENOMEM, "keys", "out of memory");
    request->keys = keys;
    uint8_t *to = request->keys + request->keys_bytes;
    *to++ = FIELD_KEYS << 3 | WIRE_BYTES;
    to += put_varint(to, bytes);
    read(cursor, to, bytes);
    if (!is_utf8(to, bytes))
        return apx_fail(error, APX_EINVAL, "keys", "key %zu is not UTF-8", growing->key_count);
    request->keys_bytes = (size_t)(to + bytes - request->keys);
    growing->key_count++;
    return APX_OK;
}

static enum apx_status add_length(uint64_t value, struct apx_predict_request *request,
                                  struct growing *growing, struct apx_error *error)
{
    if (value > UINT32_MAX)
        return apx_fail(error, APX_EINVAL, "lengths", "length %zu is beyond 32 bits",
                        growing->length_count);
    if (growing->length_count == APX_LIMIT_REQUEST_ROWS)
        return apx_fail(error, APX_ELIMIT, "lengths", "more than %d", APX_LIMIT_REQUEST_ROWS);
    void *lengths = request->lengths;
    if (!reserve(&lengths, &growing->length_capacity, growing->length_count + 1,
                 sizeof *request->lengths))
        return apx_fail(error, APX_ENOMEM, "lengths", "out of memory");
    request->lengths = lengths;
    request->lengths[growing->length_count++] = (uint32_t)value;
    return APX_OK;
}

static enum apx_status read_lengths(struct cursor *cursor, size_t bytes,
                                    struct apx_predict_request *request, struct growing *growing,
                                    struct apx_error *error)
{
    struct cursor packed = {cursor->spans, cursor->place, bytes};
    enum apx_status status = APX_OK;
    while (packed.left > 0 && status == APX_OK) {
        uint64_t value;
        if (!read_varint(&packed, &value))
            return apx_fail(error, APX_EFORMAT, "lengths", "a packed length is cut short");
        status = add_length(value, request, growing, error);
    }
    skip(cursor, bytes);
    return status;
}

static enum apx_status read_bytes_field(struct cursor *cursor, uint64_t number, size_t bytes,
                                        struct apx_predict_request *request,
                                        struct growing *growing, struct apx_error *error)
{
    switch (number) {
    case FIELD_MODEL:
        return read_name(cursor, bytes, "model", request->model, APX_LIMIT_MODEL_NAME, error);
    case FIELD_VERSION:
        return read_name(cursor, bytes, "version", request->version, APX_LIMIT_MODEL_NAME, error);
    case FIELD_OUTPUT:
        return read_name(cursor, bytes, "output", request->output, APX_LIMIT_OUTPUT_NAME, error);
    case FIELD_KEYS:
        return read_key(cursor, bytes, request, growing, error);
    case FIELD_LENGTHS:
        return read_lengths(cursor, bytes, request, growing, error);
    case FIELD_VALUES:
        settle(cursor);
        request->values = cursor->place;
        request->values_bytes = bytes;
        skip(cursor, bytes);
        return APX_OK;
    default:
        skip(cursor, bytes);
        return APX_OK;
    }
}

static enum apx_status read_count(uint64_t value, const char *field, uint32_t *to,
                                  struct apx_error *error)
{
    if (value > UINT32_MAX)
        return apx_fail(error, APX_EINVAL, field, "is beyond 32 bits");
    *to = (uint32_t)value;
    return APX_OK;
}

static enum apx_status read_varint_field(uint64_t number, uint64_t value,
                                         struct apx_predict_request *request,
                                         struct growing *growing, struct apx_error *error)
{
    switch (number) {
    case FIELD_ROWS:
        return read_count(value, "rows", &request->rows, error);
    case FIELD_STEPS:
        return read_count(value, "steps", &request->steps, error);
    case FIELD_FEATURES:
        return read_count(value, "features", &request->features, error);
    case FIELD_LENGTHS:
        return add_length(value, request, growing, error);
    case FIELD_NAN_POLICY:
        growing->nan_policy = value;
        return APX_OK;
    case FIELD_VALUE_TYPE:
        growing->value_type = value;
        return APX_OK;
    case FIELD_OUTPUT_TYPE:
        growing->output_type = value;
        return APX_OK;
    default:
        return APX_OK;
    }
}

static enum apx_status read_field(struct cursor *cursor, struct apx_predict_request *request,
                                  struct growing *growing, struct apx_error *error)
{
    uint64_t tag, value;
    if (!read_varint(cursor, &tag))
        return apx_fail(error, APX_EFORMAT, "", "the message ends inside of a field's tag");
    uint64_t number = tag >> 3;
    if (number == 0 || tag > UINT32_MAX)
        return apx_fail(error, APX_EFORMAT, "", "field number out of range");
    switch (tag & 7) {
    case WIRE_VARINT:
        if (!read_varint(cursor, &value))
            return apx_fail(error, APX_EFORMAT, "", "field %d is cut short", (int)number);
        return read_varint_field(number, value, request, growing, error);
    case WIRE_BYTES:
        if (!read_varint(cursor, &value) || value > cursor->left)
            return apx_fail(error, APX_EFORMAT, "", "field %d is cut short", (int)number);
        return read_bytes_field(cursor, number, (size_t)value, request, growing, error);
    case WIRE_FIXED64:
    case WIRE_FIXED32:
        value = (tag & 7) == WIRE_FIXED64 ? 8 : 4;
        if (value > cursor->left)
            return apx_fail(error, APX_EFORMAT, "", "field %d is cut short", (int)number);
        skip(cursor, (size_t)value);
        return APX_OK;
    default:
        return apx_fail(error, APX_EFORMAT, "", "field %d has an unknown wire type", (int)number);
    }
}

static enum apx_status read_type(uint64_t value, const char *field, enum apx_dtype *type,
                                 struct apx_error *error)
{
    static const enum apx_dtype types[] = {APX_F32, APX_F32, APX_F64}; /* of enum ValueType */
    if (value >= sizeof types / sizeof types[0])
        return apx_fail(error, APX_EINVAL, field, "unknown type %llu", (unsigned long long)value);
    *type = types[value];
    return APX_OK;
}

static enum apx_status check_values(const struct apx_predict_request *request,
                                    struct apx_error *error)
{
    size_t need = apx_dtype_size(request->value_type);
    uint32_t steps = request->steps > 0 ? request->steps : 1;
    if (__builtin_mul_overflow(need, (size_t)request->rows, &need) ||
        __builtin_mul_overflow(need, (size_t)steps, &need) ||
        __builtin_mul_overflow(need, (size_t)request->features, &need) ||
        need != request->values_bytes)
        return apx_fail(error, APX_EINVAL, "values",
                        "%zu bytes do not make %u rows x %u steps x %u features of %s",
                        request->values_bytes, request->rows, steps, request->features,
                        apx_dtype_name(request->value_type));
    return APX_OK;
}

/* Do the parts fit each other? */
static enum apx_status check(struct apx_predict_request *request, const struct growing *growing,
                             struct apx_error *error)
{
    if (request->model[0] == '\0')
        return apx_fail(error, APX_EINVAL, "model", "is empty");
    if (request->rows > APX_LIMIT_REQUEST_ROWS)
        return apx_fail(error, APX_ELIMIT, "rows", "%u, at most %d are allowed", request->rows,
                        APX_LIMIT_REQUEST_ROWS);
    if (request->steps > APX_LIMIT_REQUEST_STEPS)
        return apx_fail(error, APX_ELIMIT, "steps", "%u, at most %d are allowed", request->steps,
                        APX_LIMIT_REQUEST_STEPS);
    if (request->features == 0)
        return apx_fail(error, APX_EINVAL, "features", "is 0");
    enum apx_status status =
        read_type(growing->value_type, "value_type", &request->value_type, error);
    if (status == APX_OK)
        status = read_type(growing->output_type, "output_type", &request->output_type, error);
    if (status == APX_OK)
        status = check_values(request, error);
    if (status != APX_OK)
        return status;
    uint32_t steps = request->steps > 0 ? request->steps : 1;
    if (growing->key_count != 0 && growing->key_count != request->rows)
        return apx_fail(error, APX_EINVAL, "keys", "%zu keys for %u rows", growing->key_count,
                        request->rows);
    if (growing->length_count != 0 && growing->length_count != request->rows)
        return apx_fail(error, APX_EINVAL, "lengths", "%zu lengths for %u rows",
                        growing->length_count, request->rows);
    for (size_t i = 0; i < growing->length_count; i++) {
        if (request->lengths[i] == 0 || request->lengths[i] > steps)
            return apx_fail(error, APX_EINVAL, "lengths", "row %zu: %u is not in 1 to %u", i,
                            request->lengths[i], steps);
    }
    if (growing->nan_policy > APX_NAN_PROPAGATE)
        return apx_fail(error, APX_EINVAL, "nan_policy", "unknown policy %llu",
                        (unsigned long long)growing->nan_policy);
    request->nan_policy = (enum apx_nan_policy)growing->nan_policy;
    return APX_OK;
}

enum apx_status apx_predict_decode(const struct apx_span *spans, size_t span_count,
                                   struct apx_predict_request *request, struct apx_error *error)
{
    memset(request, 0, sizeof *request);
    request->spans = spans;
    request->span_count = span_count;
    struct cursor cursor = {.spans = spans};
    for (size_t i = 0; i < span_count; i++)
        cursor.left += spans[i].size;
    struct growing growing = {0};
    enum apx_status status = APX_OK;
    while (cursor.left > 0 && status == APX_OK)
        status = read_field(&cursor, request, &growing, error);
    if (status == APX_OK)
        status = check(request, &growing, error);
    if (status != APX_OK)
        apx_predict_request_fini(request);
    return status;
}

void apx_predict_request_fini(struct apx_predict_request *request)
{
    free(request->keys);
    free(request->lengths);
    request->keys = NULL;
    request->lengths = NULL;
}

void apx_values_fetch(const struct apx_predict_request *request, size_t offset, size_t bytes,
                      void *to)
{
    struct cursor cursor = {request->spans, request->values, offset + bytes};
    skip(&cursor, offset);
    read(&cursor, to, bytes);
}
