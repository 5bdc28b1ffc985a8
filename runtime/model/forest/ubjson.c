/* SPDX-License-Identifier: Apache-2.0 */
/* ubjson.c - UBJSON (Universal Binary JSON, draft 12) to the values of a document.
 *
 * A marker byte, then big-endian data. Containers may announce their count (#) and the type of
 * their elements ($); XGBoost writes arrays of numbers so, with counts and lengths of type L. Other
 * integer types are read as well, and containers without a count. High-precision numbers (H) and
 * typed containers of anything but numbers have no place in a model and are refused. */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/document.h"

static uint32_t fail_at(struct apx_doc_scan *scan, const char *what)
{
    if (scan->status == APX_OK)
        scan->status = apx_fail(scan->doc->error, APX_EFORMAT, "",
                                "UBJSON, byte %zu: %s; the file is damaged or is no model",
                                apx_doc_offset(scan), what);
    return 0;
}

/* Bytes of a number of this type; 0 if it is none. */
static size_t number_size(char type)
{
    switch (type) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static bool has(struct apx_doc_scan *scan, uint64_t bytes)
{
    if (bytes <= (uint64_t)(scan->end - scan->at))
        return true;
    if (scan->status == APX_OK)
        scan->status =
            apx_fail(scan->doc->error, APX_EFORMAT, "",
                     "UBJSON, byte %zu: the file ends here, %zu bytes short of what it "
                     "announces: it is cut off or damaged, copy or save it again",
                     apx_doc_offset(scan), (size_t)(bytes - (uint64_t)(scan->end - scan->at)));
    return false;
}

/* The next byte that is no filler, '\0' (and a failure) at the end. Not consumed. */
static char peek(struct apx_doc_scan *scan)
{
    while (scan->at < scan->end && *scan->at == 'N')
        scan->at++;
    return has(scan, 1) ? *scan->at : '\0';
}

/* A length or count: an integer with its marker, not negative. */
static bool scan_length(struct apx_doc_scan *scan, uint64_t *length)
{
    char type = peek(scan);
    size_t size = number_size(type);
    if (size == 0 || type == 'd' || type == 'D') {
        fail_at(scan, "the length of a text or array is due here");
        return false;
    }
    scan->at++;
    if (!has(scan, size))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (unsigned char)*scan->at++;
    if (type != 'U' && value >> (8 * size - 1) != 0) {
        fail_at(scan, "a length is negative");
        return false;
    }
    *length = value;
    return true;
}

static uint32_t add_span(struct apx_doc_scan *scan, enum apx_doc_kind kind, char type,
                         uint64_t count, uint64_t bytes)
{
    if (!has(scan, bytes))
        return 0;
    uint32_t index = apx_doc_add(scan->doc, kind, apx_doc_offset(scan), &scan->status);
    scan->at += bytes;
    if (index != 0) {
        scan->doc->values[index].type = type;
        scan->doc->values[index].count = (uint32_t)count;
        scan->doc->values[index].end = (uint32_t)apx_doc_offset(scan);
    }
    return index;
}

static uint32_t scan_value(struct apx_doc_scan *scan, int depth);

/* $ type and # count, both optional. *type 0 and *count UINT64_MAX: not given. */
static bool scan_header(struct apx_doc_scan *scan, char *type, uint64_t *count)
{
    *type = '\0';
    *count = UINT64_MAX;
    if (peek(scan) == '$') {
        scan->at++;
        if (!has(scan, 1))
            return false;
        *type = *scan->at++;
        if (number_size(*type) == 0 || peek(scan) != '#') {
            fail_at(scan, "a typed container holds numbers and has a count");
            return false;
        }
    }
    if (peek(scan) == '#') {
        scan->at++;
        return scan_length(scan, count);
    }
    return scan->status == APX_OK;
}

static uint32_t scan_array(struct apx_doc_scan *scan, int depth)
{
    char type;
    uint64_t count;
    if (!scan_header(scan, &type, &count))
        return 0;
    if (type != '\0') {
        if (count > APX_LIMIT_DOCUMENT_BYTES)
            return fail_at(scan, "an array counts more numbers than the file has bytes");
        return add_span(scan, APX_DOC_NUMBERS, type, count, count * number_size(type));
    }
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_LIST, apx_doc_offset(scan), &scan->status),
             last = 0;
    for (uint64_t i = 0; index != 0 && i < count; i++) {
        if (count == UINT64_MAX && peek(scan) == ']') {
            scan->at++;
            break;
        }
        uint32_t child = scan_value(scan, depth + 1);
        if (child == 0)
            return 0;
        apx_doc_chain(scan->doc, index, &last, child);
    }
    return index;
}

static uint32_t scan_object(struct apx_doc_scan *scan, int depth)
{
    char type;
    uint64_t count;
    if (!scan_header(scan, &type, &count))
        return 0;
    if (type != '\0')
        return fail_at(scan, "an object that gives all members one type, which no model does");
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_OBJECT, apx_doc_offset(scan), &scan->status),
             last = 0;
    for (uint64_t i = 0; index != 0 && i < count; i++) {
        uint64_t key_length;
        if (count == UINT64_MAX && peek(scan) == '}') {
            scan->at++;
            break;
        }
        if (!scan_length(scan, &key_length) || !has(scan, key_length))
            return 0;
        size_t key = apx_doc_offset(scan);
        scan->at += key_length;
        uint32_t child = scan_value(scan, depth + 1);
        if (child == 0)
            return 0;
        scan->doc->values[child].key = (uint32_t)key;
        scan->doc->values[child].key_length = (uint32_t)key_length;
        apx_doc_chain(scan->doc, index, &last, child);
    }
    return index;
}

static uint32_t add_bool(struct apx_doc_scan *scan, bool value)
{
    static const char marker[2] = {'F', 'T'};
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_NUMBER, apx_doc_offset(scan), &scan->status);
    if (index != 0) {
        scan->doc->values[index].type = marker[value];
        scan->doc->values[index].count = 1;
    }
    return index;
}

static uint32_t scan_value(struct apx_doc_scan *scan, int depth)
{
    uint64_t length;
    if (depth > APX_LIMIT_DOCUMENT_NESTING) {
        scan->status = apx_fail(scan->doc->error, APX_ELIMIT, "",
                                "UBJSON, byte %zu: deeper than APX_LIMIT_DOCUMENT_NESTING (%d)",
                                apx_doc_offset(scan), APX_LIMIT_DOCUMENT_NESTING);
        return 0;
    }
    char marker = peek(scan);
    if (scan->status != APX_OK)
        return 0;
    scan->at++;
    switch (marker) {
    case '{':
        return scan_object(scan, depth);
    case '[':
        return scan_array(scan, depth);
    case 'S':
        return scan_length(scan, &length) ? add_span(scan, APX_DOC_STRING, 'S', 0, length) : 0;
    case 'C':
        return add_span(scan, APX_DOC_STRING, 'C', 0, 1);
    case 'Z':
        return apx_doc_add(scan->doc, APX_DOC_NULL, apx_doc_offset(scan), &scan->status);
    case 'T':
    case 'F':
        return add_bool(scan, marker == 'T');
    default:
        if (number_size(marker) > 0)
            return add_span(scan, APX_DOC_NUMBER, marker, 1, number_size(marker));
        scan->at--;
        return fail_at(scan, "no value begins with this byte");
    }
}

enum apx_status apx_ubjson_scan(struct apx_doc *doc)
{
    struct apx_doc_scan scan = {.doc = doc, .at = doc->data, .end = doc->data + doc->bytes};
    while (scan.at < scan.end && *scan.at != '{') /* blanks, as apx_doc_open has seen */
        scan.at++;
    scan_value(&scan, 0);
    while (scan.at < scan.end && (*scan.at == 'N' || *scan.at == '\0'))
        scan.at++;
    if (scan.status == APX_OK && scan.at != scan.end)
        fail_at(&scan, "something follows the object");
    return scan.status;
}
