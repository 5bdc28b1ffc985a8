/* SPDX-License-Identifier: Apache-2.0 */
/* npy.c - NumPy's .npy files.
 *
 * Six bytes of magic, a version, the length of a header, the header, the data. The header is a
 * Python dictionary in text: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, read here
 * key by key in any order. Versions differ in the width of the length (2 bytes in 1.0, then 4) and
 * in the header's encoding (3.0: UTF-8), which matters only to structured types. Integers that no
 * tensor holds (16 bits, unsigned of 32 and 64) are widened to the next signed type that is one,
 * half-precision numbers to float32. */
#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/half_float.h"
#include "runtime/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC       "\x93NUMPY"
#define MAGIC_BYTES 6
#define ALIGNMENT   64 /* of the data in the file, as NumPy writes it */

struct header {
    char descr[16]; /* "" until seen */
    bool fortran, has_order, has_shape;
    int rank; /* APX_MAX_RANK + 1: more */
    int64_t dims[APX_MAX_RANK];
};

/* Written are the types before the first that is widened. */
static const struct type {
    char code[3];
    unsigned char size; /* in the file */
    enum apx_dtype dtype;
} types[] = {{"f4", 4, APX_F32},  {"f8", 8, APX_F64}, {"i4", 4, APX_I32}, {"i8", 8, APX_I64},
             {"b1", 1, APX_BOOL}, {"u1", 1, APX_U8},  {"i1", 1, APX_I8},  {"i2", 2, APX_I32},
             {"u2", 2, APX_I32},  {"f2", 2, APX_F32}, {"u4", 4, APX_I64}, {"u8", 8, APX_I64}};

/* What of a file is not in its tensor. */
struct layout {
    const struct type *type;
    size_t offset; /* of the data */
    bool fortran;
};

static const char *blanks(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
        at++;
    return at;
}

/* 'text' or "text"; NULL if there is none or it does not fit. */
static const char *quoted(const char *at, char *to, size_t size)
{
    char quote = *at;
    if (quote != '\'' && quote != '"')
        return NULL;
    size_t length = strcspn(++at, quote == '\'' ? "'\\" : "\"\\");
    if (at[length] != quote || length >= size)
        return NULL;
    memcpy(to, at, length);
    to[length] = '\0';
    return at + length + 1;
}

/* (), (3,), (3, 4); NULL if it is no such thing. */
static const char *shape(const char *at, struct header *header)
{
    if (*at != '(')
        return NULL;
    header->rank = 0;
    for (at = blanks(at + 1); *at != ')'; at = blanks(at)) {
        int64_t extent = 0;
        if (*at < '0' || *at > '9')
            return NULL;
        for (; *at >= '0' && *at <= '9'; at++)
            if (__builtin_mul_overflow(extent, (int64_t)10, &extent) ||
                __builtin_add_overflow(extent, (int64_t)(*at - '0'), &extent))
                return NULL;
        if (*at == 'L') /* as Python 2 wrote it */
            at++;
        if (header->rank < APX_MAX_RANK)
            header->dims[header->rank] = extent;
        header->rank += header->rank <= APX_MAX_RANK;
        at = blanks(at);
        if (*at == ',')
            at++;
        else if (*at != ')')
            return NULL;
    }
    return at + 1;
}

/* The value of one key; NULL if it is not what the key wants. */
static const char *value_of(const char *key, const char *at, struct header *header)
{
    if (strcmp(key, "descr") == 0)
        return quoted(at, header->descr, sizeof header->descr);
    if (strcmp(key, "fortran_order") == 0) {
        header->has_order = true;
        header->fortran = strncmp(at, "True", 4) == 0;
        if (header->fortran)
            return at + 4;
        return strncmp(at, "False", 5) == 0 ? at + 5 : NULL;
    }
    header->has_shape = true;
    return strcmp(key, "shape") == 0 ? shape(at, header) : NULL;
}

/* The dictionary; text ends with a NUL. False: it is malformed. */
static bool read_header(const char *text, struct header *header)
{
    const char *at = blanks(text);
    if (*at != '{')
        return false;
    for (at = blanks(at + 1); *at != '}'; at = blanks(at)) {
        char key[16];
        if ((at = quoted(at, key, sizeof key)) == NULL || *(at = blanks(at)) != ':')
            return false;
        if ((at = value_of(key, blanks(at + 1), header)) == NULL)
            return false;
        at = blanks(at);
        if (*at == ',')
            at++;
        else if (*at != '}')
            return false;
    }
    return *blanks(at + 1) == '\0' && header->descr[0] != '\0' && header->has_order &&
           header->has_shape;
}

/* The element type, or NULL. */
static const struct type *type_of(const char *descr)
{
    if (strlen(descr) == 3 && strchr("<|=", descr[0]) != NULL)
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (strcmp(descr + 1, types[i].code) == 0)
                return &types[i];
    return NULL;
}

/* The values of a bool, and what int64 has of uint64. */
static enum apx_status check_values(const struct type *type, const unsigned char *data,
                                    size_t bytes, const char *name, struct apx_error *error)
{
    const char *colon = name[0] != '\0' ? ": " : "";
    for (size_t i = 0; type->dtype == APX_BOOL && i < bytes; i++)
        if (data[i] > 1)
            return apx_fail(error, APX_EFORMAT, name,
                            "%s%sa bool has the value %d; only 0 and 1 are bools", name, colon,
                            data[i]);
    for (size_t i = 7; strcmp(type->code, "u8") == 0 && i < bytes; i += 8)
        if (data[i] > 127)
            return apx_fail(error, APX_EUNSUPPORTED, name,
                            "%s%selement %zu, a uint64, is beyond 2^63 - 1; save the array as "
                            "float64 if rounding is meant",
                            name, colon, i / 8);
    return APX_OK;
}

/* Checks that `held` bytes are just the data that the header promises. */
static enum apx_status accept(const struct header *header, const unsigned char *data, size_t held,
                              const char *name, struct apx_tensor *tensor, struct layout *layout,
                              struct apx_error *error)
{
    const char *colon = name[0] != '\0' ? ": " : "";
    layout->type = type_of(header->descr);
    if (layout->type == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, name,
                        "%s%selements of type \"%s\"; save the array as float16, float32, float64, "
                        "bool or an integer type, little-endian",
                        name, colon, header->descr);
    tensor->dtype = layout->type->dtype;
    if (header->rank > APX_MAX_RANK)
        return apx_fail(error, APX_EUNSUPPORTED, name, "%s%smore than %d dimensions", name, colon,
                        APX_MAX_RANK);
    size_t size = layout->type->size;
    bool empty = false, overflow = false;
    tensor->rank = header->rank;
    for (int i = 0; i < header->rank; i++) {
        tensor->dims[i] = header->dims[i];
        empty |= header->dims[i] == 0;
        overflow |= __builtin_mul_overflow(size, (size_t)header->dims[i], &size);
    }
    if (empty)
        size = 0;
    else if (overflow)
        size = SIZE_MAX;
    if (size != held)
        return apx_fail(error, APX_EFORMAT, name,
                        "%s%sthe shape asks for %zu bytes of data and the file holds %zu", name,
                        colon, size, held);
    tensor->bytes = size / layout->type->size * apx_dtype_size(tensor->dtype);
    return check_values(layout->type, data, size, name, error);
}

/* Everything but the data. */
static enum apx_status parse(const char *data, size_t bytes, const char *name,
                             struct apx_tensor *tensor, struct layout *layout,
                             struct apx_error *error)
{
    const unsigned char *head = (const unsigned char *)data;
    const char *colon = name[0] != '\0' ? ": " : "";
    struct header header = {0};
    if (bytes < MAGIC_BYTES + 4 || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return apx_fail(error, APX_EFORMAT, name, "%s%sthis is no NumPy .npy file", name, colon);
    unsigned version = head[MAGIC_BYTES];
    if (version < 1 || version > 3)
        return apx_fail(error, APX_EUNSUPPORTED, name, "%s%sversion %u of the .npy format", name,
                        colon, version);
    size_t start = MAGIC_BYTES + (version == 1 ? 4u : 6u);
    size_t length = head[MAGIC_BYTES + 2] | (size_t)head[MAGIC_BYTES + 3] << 8;
    if (version > 1 && bytes >= start)
        length |= (size_t)head[MAGIC_BYTES + 4] << 16 | (size_t)head[MAGIC_BYTES + 5] << 24;
    if (length > APX_LIMIT_NPY_HEADER)
        return apx_fail(error, APX_ELIMIT, name, "%s%sa header of %zu bytes; at most %d", name,
                        colon, length, APX_LIMIT_NPY_HEADER);
    if (bytes < start || length > bytes - start)
        return apx_fail(error, APX_EFORMAT, name, "%s%sthe file ends inside its header", name,
                        colon);
    char *text = malloc(length + 1);
    if (text == NULL)
        return apx_fail(error, APX_ENOMEM, name, "out of memory for %s", name);
    memcpy(text, data + start, length);
    text[length] = '\0';
    bool ok = read_header(text, &header);
    free(text);
    if (!ok)
        return apx_fail(error, APX_EFORMAT, name,
                        "%s%sthe header is damaged, or describes a structured type", name, colon);
    layout->offset = start + length;
    layout->fortran = header.fortran && header.rank > 1;
    return accept(&header, head + layout->offset, bytes - layout->offset, name, tensor, layout,
                  error);
}

static void put_element(const struct type *type, const char *from, char *to)
{
    int64_t value = 0; /* little-endian in the file; negative ones are shorter than int64 */
    if (type->size == apx_dtype_size(type->dtype)) {
        memcpy(to, from, type->size);
        return;
    }
    for (int i = 0; i < type->size; i++)
        value |= (int64_t)(unsigned char)from[i] << (8 * i);
    if (type->code[0] == 'f') {
        const float real = apx_float_of_half((uint16_t)value);
        memcpy(to, &real, sizeof real);
        return;
    }
    if (type->code[0] == 'i' && from[type->size - 1] < 0)
        value -= (int64_t)1 << (8 * type->size);
    apx_cast(1, APX_I64, &value, (int)type->dtype, to);
}

/* The tensor's data from the file's: each element as its type, the last index running fastest. In
 * Fortran's order (what a pandas table is saved as) it is the first. */
static void put_elements(const struct layout *layout, const char *from, struct apx_tensor *tensor)
{
    size_t size = apx_dtype_size(tensor->dtype), count = tensor->bytes / size;
    int64_t index[APX_MAX_RANK] = {0};
    size_t stride[APX_MAX_RANK], at = 0, step = layout->type->size;
    for (int k = 0; k < tensor->rank; k++) {
        int i = layout->fortran ? k : tensor->rank - 1 - k;
        stride[i] = step;
        step *= (size_t)tensor->dims[i];
    }
    for (size_t n = 0; n < count; n++) {
        put_element(layout->type, from + at, (char *)tensor->data + n * size);
        for (int i = tensor->rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < tensor->dims[i])
                break;
            at -= stride[i] * (size_t)tensor->dims[i];
            index[i] = 0;
        }
    }
}

/* The data lies in the file as the tensor wants it. */
static bool is_plain(const struct layout *layout)
{
    return !layout->fortran && layout->type->size == apx_dtype_size(layout->type->dtype);
}

static enum apx_status fill(const struct layout *layout, const char *data, const char *name,
                            struct apx_tensor *tensor, struct apx_error *error)
{
    tensor->data = malloc(tensor->bytes > 0 ? tensor->bytes : 1);
    if (tensor->data == NULL)
        return apx_fail(error, APX_ENOMEM, name, "out of memory for %zu bytes", tensor->bytes);
    if (!is_plain(layout))
        put_elements(layout, data + layout->offset, tensor);
    else if (tensor->bytes > 0)
        memcpy(tensor->data, data + layout->offset, tensor->bytes);
    return APX_OK;
}

enum apx_status apx_npy_parse(const void *data, size_t bytes, struct apx_tensor *tensor,
                              struct apx_error *error)
{
    struct layout layout;
    *tensor = (struct apx_tensor){0};
    enum apx_status status = parse(data, bytes, "", tensor, &layout, error);
    return status == APX_OK ? fill(&layout, data, "", tensor, error) : status;
}

enum apx_status apx_npy_read(const char *path, struct apx_tensor *tensor, struct apx_error *error)
{
    char *data;
    size_t bytes;
    struct layout layout;
    *tensor = (struct apx_tensor){0};
    enum apx_status status = apx_file_read(path, APX_LIMIT_NPY_BYTES, &data, &bytes, error);
    if (status == APX_OK)
        status = parse(data, bytes, path, tensor, &layout, error);
    if (status == APX_OK && is_plain(&layout)) { /* the file's memory becomes the tensor's */
        memmove(data, data + layout.offset, tensor->bytes);
        tensor->data = data;
        return APX_OK;
    }
    if (status == APX_OK)
        status = fill(&layout, data, path, tensor, error);
    free(data);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* A file whose elements have `size` bytes each: all of it but the data, for which there is room at
 * *data. NULL: out of memory. The caller frees it. */
static char *start_file(const char *descr, size_t size, int rank, const int64_t *extents,
                        char **data, size_t *file_bytes)
{
    char dims[APX_MAX_RANK * 24] = "", header[320];
    size_t used = 0;
    for (int i = 0; i < rank; i++) {
        used += (size_t)snprintf(dims + used, sizeof dims - used, "%s%lld", i > 0 ? ", " : "",
                                 (long long)extents[i]);
        size *= (size_t)extents[i];
    }
    size_t length = (size_t)snprintf(header, sizeof header,
                                     "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                                     descr, dims, rank == 1 ? "," : "");
    size_t start = MAGIC_BYTES + 4;
    size_t offset = (start + length + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *file = malloc(offset + size);
    if (file == NULL)
        return NULL;
    memcpy(file, MAGIC "\1\0", MAGIC_BYTES + 2);
    file[MAGIC_BYTES + 2] = (char)((offset - start) & 255);
    file[MAGIC_BYTES + 3] = (char)((offset - start) >> 8);
    memset(file + start, ' ', offset - start);
    memcpy(file + start, header, length);
    file[offset - 1] = '\n';
    *data = file + offset;
    *file_bytes = offset + size;
    return file;
}

enum apx_status apx_npy_write(const char *path, const struct apx_tensor *tensor,
                              struct apx_error *error)
{
    const size_t size = apx_dtype_size(tensor->dtype);
    const char *code = NULL;
    char descr[8], *data;
    size_t bytes;
    for (size_t i = 0; i < sizeof types / sizeof types[0] && code == NULL; i++)
        if (types[i].dtype == tensor->dtype)
            code = types[i].code;
    if (code == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, path, "%s: a .npy file cannot hold %s", path,
                        apx_dtype_name(tensor->dtype));
    snprintf(descr, sizeof descr, "%c%s", size > 1 ? '<' : '|', code);
    char *file = start_file(descr, size, tensor->rank, tensor->dims, &data, &bytes);
    if (file == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    if (file + bytes > data)
        memcpy(data, tensor->data, (size_t)(file + bytes - data));
    enum apx_status status = apx_file_replace(path, file, bytes, error);
    free(file);
    return status;
}

/* The character at *text, which goes on behind it; U+FFFD for a byte that begins none. */
static uint32_t next_character(const unsigned char **text)
{
    const unsigned char *at = *text, first = *at;
    const int more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t character = more <= 0 ? first : first & (0x3fu >> more);
    *text = at + 1;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0xfffd;
        character = character << 6 | (at[i] & 0x3fu);
    }
    if (more < 0 || first > 0xf4 || character > 0x10ffff)
        return 0xfffd;
    *text = at + 1 + more;
    return character;
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; count++)
        next_character(&at);
    return count;
}

enum apx_status apx_npy_write_words(const char *path, const struct apx_tensor *places,
                                    const char *const *words, size_t word_count,
                                    struct apx_error *error)
{
    const int64_t *place = places->data;
    size_t width = 1, bytes;
    char descr[24], *data;
    for (size_t i = 0; i < word_count; i++) {
        const size_t count = count_characters(words[i]);
        width = count > width ? count : width;
    }
    snprintf(descr, sizeof descr, "<U%zu", width);
    const size_t size = width * sizeof(uint32_t);
    char *file = start_file(descr, size, places->rank, places->dims, &data, &bytes);
    if (file == NULL)
        return apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    memset(data, 0, (size_t)(file + bytes - data)); /* shorter words end in zeros */
    for (; data < file + bytes; data += size, place++) {
        assert(*place >= 0 && (uint64_t)*place < word_count);
        const unsigned char *at = (const unsigned char *)words[*place];
        for (size_t i = 0; *at != '\0'; i++) {
            const uint32_t character = next_character(&at);
            memcpy(data + i * sizeof character, &character, sizeof character);
        }
    }
    enum apx_status status = apx_file_replace(path, file, bytes, error);
    free(file);
    return status;
}
