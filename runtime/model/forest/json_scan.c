/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.c - JSON text to the values of a document.
 *
 * One pass. An array that begins with a number is run over byte by byte until its end and only its
 * commas are counted; whether there is a number between each two is checked by who asks for them.
 * NaN, Infinity and -Infinity are numbers here, since files of models hold them. */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/document.h"

static uint32_t fail_at(struct apx_doc_scan *scan, const char *what)
{
    if (scan->status == APX_OK)
        scan->status = scan->at < scan->end
                           ? apx_fail(scan->doc->error, APX_EFORMAT, "",
                                      "JSON, byte %zu: %s; the file is damaged or was edited",
                                      apx_doc_offset(scan), what)
                           : apx_fail(scan->doc->error, APX_EFORMAT, "",
                                      "JSON, byte %zu: the file ends here: it is cut off, copy or "
                                      "save it again",
                                      apx_doc_offset(scan));
    return 0;
}

static void skip_blanks(struct apx_doc_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

static bool next_is(struct apx_doc_scan *scan, char c)
{
    skip_blanks(scan);
    return scan->at < scan->end && *scan->at == c;
}

/* At a quote; ends behind the other. *begin and *length: what is inside. */
static bool scan_string(struct apx_doc_scan *scan, size_t *begin, size_t *length)
{
    if (!next_is(scan, '"')) {
        fail_at(scan, "a string is due here");
        return false;
    }
    const char *first = ++scan->at;
    while (scan->at < scan->end && *scan->at != '"') {
        if ((unsigned char)*scan->at < 0x20) {
            fail_at(scan, "a control character in a string");
            return false;
        }
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    }
    if (scan->at >= scan->end) {
        scan->at = scan->end;
        fail_at(scan, "");
        return false;
    }
    *begin = (size_t)(first - scan->doc->data);
    *length = (size_t)(scan->at - first);
    scan->at++;
    return true;
}

static const char number_bytes[] = "+-.0123456789eENaInfityrulsE";

static bool is_number_byte(char c)
{
    return c != '\0' && memchr(number_bytes, c, sizeof number_bytes - 1) != NULL;
}

static uint32_t scan_number(struct apx_doc_scan *scan)
{
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_NUMBER, apx_doc_offset(scan), &scan->status);
    while (scan->at < scan->end && is_number_byte(*scan->at))
        scan->at++;
    if (index != 0) {
        scan->doc->values[index].end = (uint32_t)apx_doc_offset(scan);
        scan->doc->values[index].count = 1;
    }
    return index;
}

/* Behind the bracket, at the first number. 0 goes on, 1 is a comma, 2 stops. */
static uint32_t scan_numbers(struct apx_doc_scan *scan)
{
    uint8_t class[256];
    memset(class, 2, sizeof class);
    for (const char *c = number_bytes; *c != '\0'; c++)
        class[(unsigned char)*c] = 0;
    class[' '] = class['\n'] = class['\r'] = class['\t'] = 0;
    class[','] = 1;
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_NUMBERS, apx_doc_offset(scan), &scan->status);
    if (index == 0)
        return 0;
    const unsigned char *at = (const unsigned char *)scan->at,
                        *end = (const unsigned char *)scan->end;
    size_t count = 1;
    for (; at < end && class[*at] < 2; at++)
        count += class[*at];
    scan->at = (const char *)at;
    if (at == end || *at != ']')
        return fail_at(scan, "an array of numbers ends with ], and this does not");
    scan->doc->values[index].end = (uint32_t)apx_doc_offset(scan);
    scan->doc->values[index].count = (uint32_t)count;
    scan->at++;
    return index;
}

static uint32_t scan_value(struct apx_doc_scan *scan, int depth);

static uint32_t scan_list(struct apx_doc_scan *scan, int depth)
{
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_LIST, apx_doc_offset(scan), &scan->status),
             last = 0;
    while (scan->status == APX_OK) {
        uint32_t child = scan_value(scan, depth + 1);
        if (child == 0)
            return 0;
        apx_doc_chain(scan->doc, index, &last, child);
        if (next_is(scan, ']')) {
            scan->at++;
            return index;
        }
        if (!next_is(scan, ','))
            return fail_at(scan, "a comma or ] is due here");
        scan->at++;
    }
    return 0;
}

static uint32_t scan_array(struct apx_doc_scan *scan, int depth)
{
    scan->at++;
    skip_blanks(scan);
    if (next_is(scan, ']')) {
        uint32_t index =
            apx_doc_add(scan->doc, APX_DOC_NUMBERS, apx_doc_offset(scan), &scan->status);
        if (index != 0)
            scan->doc->values[index].end = scan->doc->values[index].begin;
        scan->at++;
        return index;
    }
    bool is_number = scan->at < scan->end && *scan->at != 'n' && is_number_byte(*scan->at);
    return is_number ? scan_numbers(scan) : scan_list(scan, depth);
}

static uint32_t scan_object(struct apx_doc_scan *scan, int depth)
{
    uint32_t index = apx_doc_add(scan->doc, APX_DOC_OBJECT, apx_doc_offset(scan), &scan->status),
             last = 0;
    scan->at++;
    if (index != 0 && next_is(scan, '}')) {
        scan->at++;
        return index;
    }
    while (scan->status == APX_OK) {
        size_t key, key_length;
        if (!scan_string(scan, &key, &key_length))
            return 0;
        if (!next_is(scan, ':'))
            return fail_at(scan, "a colon is due here");
        scan->at++;
        uint32_t child = scan_value(scan, depth + 1);
        if (child == 0)
            return 0;
        scan->doc->values[child].key = (uint32_t)key;
        scan->doc->values[child].key_length = (uint32_t)key_length;
        apx_doc_chain(scan->doc, index, &last, child);
        if (next_is(scan, '}')) {
            scan->at++;
            return index;
        }
        if (!next_is(scan, ','))
            return fail_at(scan, "a comma or } is due here");
        scan->at++;
    }
    return 0;
}

static uint32_t scan_value(struct apx_doc_scan *scan, int depth)
{
    uint32_t index;
    size_t begin, length;
    if (depth > APX_LIMIT_DOCUMENT_NESTING) {
        scan->status = apx_fail(scan->doc->error, APX_ELIMIT, "",
                                "JSON, byte %zu: deeper than APX_LIMIT_DOCUMENT_NESTING (%d)",
                                apx_doc_offset(scan), APX_LIMIT_DOCUMENT_NESTING);
        return 0;
    }
    skip_blanks(scan);
    switch (scan->at < scan->end ? *scan->at : '\0') {
    case '{':
        return scan_object(scan, depth);
    case '[':
        return scan_array(scan, depth);
    case '"':
        if (!scan_string(scan, &begin, &length))
            return 0;
        index = apx_doc_add(scan->doc, APX_DOC_STRING, begin, &scan->status);
        if (index != 0)
            scan->doc->values[index].end = (uint32_t)(begin + length);
        return index;
    case 'n':
        if (scan->end - scan->at < 4 || memcmp(scan->at, "null", 4) != 0)
            return fail_at(scan, "no value begins like this");
        scan->at += 4;
        return apx_doc_add(scan->doc, APX_DOC_NULL, apx_doc_offset(scan), &scan->status);
    default:
        if (scan->at < scan->end && is_number_byte(*scan->at))
            return scan_number(scan);
        return fail_at(scan, "no value begins like this");
    }
}

enum apx_status apx_json_scan(struct apx_doc *doc)
{
    struct apx_doc_scan scan = {.doc = doc, .at = doc->data, .end = doc->data + doc->bytes};
    scan_value(&scan, 0);
    if (scan.status != APX_OK)
        return scan.status;
    skip_blanks(&scan);
    while (scan.at < scan.end && *scan.at == '\0') /* some writers end the text as C does */
        scan.at++;
    if (scan.at != scan.end)
        fail_at(&scan, "something follows the object");
    return scan.status;
}
