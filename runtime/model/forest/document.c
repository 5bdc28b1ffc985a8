/* SPDX-License-Identifier: Apache-2.0 */
/* document.c - members, texts and numbers of a document, JSON or UBJSON. */
#include "runtime/model/forest/document.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

enum apx_status apx_doc_open(struct apx_doc *doc, const void *data, size_t bytes,
                             const struct apx_allocator *allocator,
                             const struct apx_doc_value **root, struct apx_error *error)
{
    *doc = (struct apx_doc){.allocator = allocator, .data = data, .bytes = bytes, .error = error};
    enum apx_status status = APX_OK;
    if (bytes > APX_LIMIT_DOCUMENT_BYTES)
        return apx_fail(error, APX_ELIMIT, "",
                        "a JSON or UBJSON file of %zu bytes; at most APX_LIMIT_DOCUMENT_BYTES "
                        "(%zu) are read",
                        bytes, APX_LIMIT_DOCUMENT_BYTES);
    /* In JSON, an object's brace is followed by a quote, a blank or the other brace; in UBJSON by
     * the marker of a key's length. */
    size_t at = 0;
    while (at < bytes && strchr(" \t\r\n", doc->data[at]) != NULL && doc->data[at] != '\0')
        at++;
    if (at >= bytes || doc->data[at] != '{')
        return apx_fail(error, APX_EFORMAT, "", "neither JSON nor UBJSON: no object at byte %zu",
                        at);
    doc->is_binary = at + 1 < bytes && memchr("iUIlLN#$", doc->data[at + 1], 8) != NULL;
    apx_doc_add(doc, APX_DOC_NULL, 0, &status); /* 0 is none */
    if (status == APX_OK)
        status = doc->is_binary ? apx_ubjson_scan(doc) : apx_json_scan(doc);
    if (status != APX_OK)
        return status;
    *root = &doc->values[1];
    return APX_OK;
}

void apx_doc_close(struct apx_doc *doc)
{
    apx_release(doc->allocator, doc->values);
    doc->values = NULL;
}

uint32_t apx_doc_add(struct apx_doc *doc, enum apx_doc_kind kind, size_t begin,
                     enum apx_status *status)
{
    if (doc->value_count >= APX_LIMIT_DOCUMENT_VALUES) {
        *status = apx_fail(doc->error, APX_ELIMIT, "",
                           "byte %zu: more values than APX_LIMIT_DOCUMENT_VALUES (%d), an array of "
                           "numbers counted as one",
                           begin, APX_LIMIT_DOCUMENT_VALUES);
        return 0;
    }
    if (!apx_grow(doc->allocator, &doc->values, doc->value_count, &doc->value_capacity, 1,
                  sizeof *doc->values)) {
        *status = apx_fail(doc->error, APX_ENOMEM, "", "out of memory for the file's values");
        return 0;
    }
    doc->values[doc->value_count] =
        (struct apx_doc_value){.kind = (uint8_t)kind, .begin = (uint32_t)begin};
    return (uint32_t)doc->value_count++;
}

void apx_doc_chain(struct apx_doc *doc, uint32_t container, uint32_t *last, uint32_t child)
{
    if (*last == 0)
        doc->values[container].first = child;
    else
        doc->values[*last].next = child;
    doc->values[container].count++;
    *last = child;
}

/* ---- values ---------------------------------------------------------------------------------- */

const struct apx_doc_value *apx_doc_first(const struct apx_doc *doc,
                                          const struct apx_doc_value *value)
{
    return value->first != 0 ? &doc->values[value->first] : NULL;
}

const struct apx_doc_value *apx_doc_next(const struct apx_doc *doc,
                                         const struct apx_doc_value *value)
{
    return value->next != 0 ? &doc->values[value->next] : NULL;
}

const struct apx_doc_value *apx_doc_member(const struct apx_doc *doc,
                                           const struct apx_doc_value *object, const char *name)
{
    if (object == NULL || object->kind != APX_DOC_OBJECT)
        return NULL;
    size_t length = strlen(name);
    for (const struct apx_doc_value *member = apx_doc_first(doc, object); member != NULL;
         member = apx_doc_next(doc, member))
        if (member->key_length == length && memcmp(doc->data + member->key, name, length) == 0)
            return member;
    return NULL;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Appends to text[size] as long as there is room for a NUL; counts in any case. */
struct text {
    char *to;
    size_t size, length;
};

static void put(struct text *text, unsigned byte)
{
    if (text->length + 1 < text->size)
        text->to[text->length] = (char)byte;
    text->length++;
}

static int hex(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void put_utf8(struct text *text, unsigned code)
{
    if (code < 0x80) {
        put(text, code);
    } else if (code < 0x800) {
        put(text, 0xc0 | code >> 6);
        put(text, 0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(text, 0xe0 | code >> 12);
        put(text, 0x80 | (code >> 6 & 0x3f));
        put(text, 0x80 | (code & 0x3f));
    } else {
        put(text, 0xf0 | code >> 18);
        put(text, 0x80 | (code >> 12 & 0x3f));
        put(text, 0x80 | (code >> 6 & 0x3f));
        put(text, 0x80 | (code & 0x3f));
    }
}

/* The escape behind the backslash at *at, which moves behind it. Unknown ones stand for
 * themselves. */
static void put_escape(struct text *text, const char **at, const char *end)
{
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    char c = *(*at)++;
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    int code = c == 'u' ? hex(*at, end) : -1;
    if (code < 0) {
        put(text, (unsigned char)(name != NULL ? bytes[name - names] : c));
        return;
    }
    *at += 4;
    int low = end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' ? hex(*at + 2, end) : -1;
    if (code >= 0xd800 && code < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        *at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(text, (unsigned)code);
}

size_t apx_doc_text(const struct apx_doc *doc, const struct apx_doc_value *value, char *to,
                    size_t size)
{
    struct text text = {.to = to, .size = size};
    if (value != NULL && value->kind == APX_DOC_STRING) {
        const char *at = doc->data + value->begin, *end = doc->data + value->end;
        while (at < end) {
            char c = *at++;
            if (c == '\\' && !doc->is_binary && at < end)
                put_escape(&text, &at, end);
            else
                put(&text, (unsigned char)c);
        }
    }
    if (size > 0)
        to[text.length < size ? text.length : size - 1] = '\0';
    return text.length + 1;
}

/* ---- numbers --------------------------------------------------------------------------------- */

size_t apx_doc_count(const struct apx_doc *doc, const struct apx_doc_value *value)
{
    if (value != NULL && (value->kind == APX_DOC_NUMBERS || value->kind == APX_DOC_NUMBER))
        return value->count;
    if (value == NULL || value->kind != APX_DOC_LIST)
        return SIZE_MAX;
    for (const struct apx_doc_value *item = apx_doc_first(doc, value); item != NULL;
         item = apx_doc_next(doc, item))
        if (item->kind != APX_DOC_NUMBER)
            return SIZE_MAX;
    return value->count;
}

static uint64_t big_endian(const char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

static float float_of(const char *at, char type)
{
    uint32_t single;
    uint64_t wide;
    float f;
    double d;
    switch (type) {
    case 'd':
        single = (uint32_t)big_endian(at, 4);
        memcpy(&f, &single, sizeof f);
        return f;
    case 'D':
        wide = big_endian(at, 8);
        memcpy(&d, &wide, sizeof d);
        return (float)d;
    case 'i':
        return (float)(int8_t)*at;
    case 'U':
        return (float)(unsigned char)*at;
    case 'T':
    case 'F':
        return type == 'T' ? 1.0f : 0.0f;
    case 'I':
        return (float)(int16_t)big_endian(at, 2);
    case 'l':
        return (float)(int32_t)big_endian(at, 4);
    default:
        return (float)(int64_t)big_endian(at, 8);
    }
}

static int32_t fit(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* False for the types that are no integers. */
static bool int_of(const char *at, char type, int32_t *out)
{
    switch (type) {
    case 'i':
        *out = (int8_t)*at;
        return true;
    case 'U':
        *out = (unsigned char)*at;
        return true;
    case 'T':
    case 'F':
        *out = type == 'T';
        return true;
    case 'I':
        *out = (int16_t)big_endian(at, 2);
        return true;
    case 'l':
        *out = (int32_t)big_endian(at, 4);
        return true;
    case 'L':
        *out = fit((int64_t)big_endian(at, 8));
        return true;
    default:
        return false;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

static bool starts(const char *at, const char *end, const char *word, size_t length)
{
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0;
}

/* Decimal digits, true or false: the end, or NULL. */
static const char *int_scan(const char *at, const char *end, int32_t *out)
{
    if (at < end && (*at == 't' || *at == 'f')) {
        const bool truth = *at == 't';
        *out = truth;
        return starts(at, end, truth ? "true" : "false", truth ? 4 : 5) ? at + (truth ? 4 : 5)
                                                                        : NULL;
    }
    bool minus = at < end && *at == '-';
    at += minus;
    if (at == end || *at < '0' || *at > '9')
        return NULL;
    int64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (value <= INT32_MAX)
            value = value * 10 + (*at - '0');
    *out = fit(minus ? -value : value);
    return at;
}

static enum apx_status not_a_number(const struct apx_doc *doc, const char *name, size_t at,
                                    const char *what)
{
    return apx_fail(doc->error, APX_EFORMAT, name, "%s: no %s at byte %zu", name, what, at);
}

/* One number of either kind from [at, end): NULL if it is none. */
static const char *scan(const char *at, const char *end, float *floats, int32_t *ints)
{
    return floats != NULL ? apx_float_scan(at, end, floats) : int_scan(at, end, ints);
}

static enum apx_status read_text(const struct apx_doc *doc, const struct apx_doc_value *value,
                                 const char *name, size_t count, float *floats, int32_t *ints)
{
    const char *at = doc->data + value->begin, *end = doc->data + value->end;
    const char *what = floats != NULL ? "number" : "integer";
    for (size_t i = 0; i < count; i++) {
        at = skip_blanks(at, end);
        const char *after =
            scan(at, end, floats != NULL ? floats + i : NULL, ints != NULL ? ints + i : NULL);
        if (after == NULL)
            return not_a_number(doc, name, (size_t)(at - doc->data), what);
        at = skip_blanks(after, end);
        if (i + 1 < count ? at == end || *at != ',' : at != end)
            return not_a_number(doc, name, (size_t)(at - doc->data), what);
        at += i + 1 < count;
    }
    return APX_OK;
}

static size_t size_of(char type)
{
    return type == 'i' || type == 'U' ? 1 : type == 'I' ? 2 : type == 'd' || type == 'l' ? 4 : 8;
}

static enum apx_status read_packed(const struct apx_doc *doc, const struct apx_doc_value *value,
                                   const char *name, size_t count, float *floats, int32_t *ints)
{
    const char *at = doc->data + value->begin;
    const size_t size = size_of(value->type);
    for (size_t i = 0; i < count; i++, at += size) {
        if (floats != NULL)
            floats[i] = float_of(at, value->type);
        else if (!int_of(at, value->type, &ints[i]))
            return not_a_number(doc, name, (size_t)(at - doc->data), "integer");
    }
    return APX_OK;
}

static enum apx_status read_some(const struct apx_doc *doc, const struct apx_doc_value *value,
                                 const char *name, size_t count, float *floats, int32_t *ints)
{
    return value->type != 0 ? read_packed(doc, value, name, count, floats, ints)
                            : read_text(doc, value, name, count, floats, ints);
}

static enum apx_status read_numbers(const struct apx_doc *doc, const struct apx_doc_value *value,
                                    const char *name, float *floats, int32_t *ints)
{
    size_t count = apx_doc_count(doc, value);
    if (count == SIZE_MAX)
        return apx_fail(doc->error, APX_EFORMAT, name, "%s: no array of numbers%s", name,
                        value == NULL ? ", it is missing" : "");
    if (value->kind != APX_DOC_LIST)
        return read_some(doc, value, name, count, floats, ints);
    enum apx_status status = APX_OK;
    const struct apx_doc_value *item = apx_doc_first(doc, value);
    for (size_t i = 0; item != NULL && status == APX_OK; i++, item = apx_doc_next(doc, item))
        status = read_some(doc, item, name, 1, floats != NULL ? floats + i : NULL,
                           ints != NULL ? ints + i : NULL);
    return status;
}

enum apx_status apx_doc_floats(const struct apx_doc *doc, const struct apx_doc_value *value,
                               const char *name, float *out)
{
    return read_numbers(doc, value, name, out, NULL);
}

enum apx_status apx_doc_ints(const struct apx_doc *doc, const struct apx_doc_value *value,
                             const char *name, int32_t *out)
{
    return read_numbers(doc, value, name, NULL, out);
}
