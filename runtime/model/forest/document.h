/* SPDX-License-Identifier: Apache-2.0 */
/* document.h - a model file that is one JSON or UBJSON object, seen through one interface.
 *
 *   json_scan.c     JSON text to values
 *   ubjson.c        UBJSON (big-endian, typed arrays) to values
 *   document.c      members, texts and numbers of either
 *   float_scan.c    decimal text to the nearest float
 *
 * Such files are nearly all numbers. A value therefore only knows where its bytes lie: an array of
 * numbers is one value, whatever its length, and becomes numbers when a reader asks for them. */
#ifndef APX_MODEL_FOREST_DOCUMENT_H
#define APX_MODEL_FOREST_DOCUMENT_H

#include "runtime/auspex.h"

#define APX_LIMIT_DOCUMENT_BYTES   ((size_t)UINT32_MAX - 1)
#define APX_LIMIT_DOCUMENT_VALUES  (1 << 25) /* an array of numbers is one value */
#define APX_LIMIT_DOCUMENT_NESTING 32
#define APX_LIMIT_DOCUMENT_TEXT    65536 /* bytes of a string that a reader asks for */

enum apx_doc_kind {
    APX_DOC_NULL,
    APX_DOC_NUMBER, /* true and false are 1 and 0 */
    APX_DOC_STRING,
    APX_DOC_NUMBERS, /* an array of numbers, or an empty one */
    APX_DOC_LIST,
    APX_DOC_OBJECT,
};

/* Offsets are into the file; indices are into doc->values, 0 is none. */
struct apx_doc_value {
    uint8_t kind;
    char type;           /* UBJSON: the marker of its numbers; JSON: 0 */
    uint32_t begin, end; /* of the text, the string inside of its quotes, or the numbers */
    uint32_t key, key_length;
    uint32_t count;       /* of numbers, elements or members */
    uint32_t first, next; /* first element or member; the next one of the same array or object */
};

struct apx_doc {
    const struct apx_allocator *allocator;
    const char *data;
    size_t bytes;
    bool is_binary; /* UBJSON */
    struct apx_doc_value *values;
    size_t value_count, value_capacity;
    struct apx_error *error;
};

/* The file's values; data must outlive the document. *root is an object. Release with
 * apx_doc_close, on failure too.
 *   APX_EFORMAT   neither JSON nor UBJSON, or cut off (the text gives the byte); APX_ELIMIT;
 *                 APX_ENOMEM */
enum apx_status apx_doc_open(struct apx_doc *doc, const void *data, size_t bytes,
                             const struct apx_allocator *allocator,
                             const struct apx_doc_value **root, struct apx_error *error);
void apx_doc_close(struct apx_doc *doc);

/* The member, or NULL. object may be NULL or no object: then NULL. */
const struct apx_doc_value *apx_doc_member(const struct apx_doc *doc,
                                           const struct apx_doc_value *object, const char *name);
/* The first element or member, the one behind `value`; NULL if there is none. */
const struct apx_doc_value *apx_doc_first(const struct apx_doc *doc,
                                          const struct apx_doc_value *value);
const struct apx_doc_value *apx_doc_next(const struct apx_doc *doc,
                                         const struct apx_doc_value *value);

/* Numbers in an array (APX_DOC_NUMBERS, or a list of numbers), 1 of a number; SIZE_MAX if it is
 * something else or NULL. */
size_t apx_doc_count(const struct apx_doc *doc, const struct apx_doc_value *value);
/* All of an array's numbers, to out[apx_doc_count]. Floats are the nearest to the text; integers
 * beyond 32 bits become the nearest that fits. `name` is for the error.
 *   APX_EFORMAT   not numbers, not integers */
enum apx_status apx_doc_floats(const struct apx_doc *doc, const struct apx_doc_value *value,
                               const char *name, float *out);
enum apx_status apx_doc_ints(const struct apx_doc *doc, const struct apx_doc_value *value,
                             const char *name, int32_t *out);
/* A string without its escapes, cut to `size` with a NUL; bytes that it needs in all. */
size_t apx_doc_text(const struct apx_doc *doc, const struct apx_doc_value *value, char *text,
                    size_t size);

/* The number at the start of [at, end): its end, or NULL if there is none. */
const char *apx_float_scan(const char *at, const char *end, float *out);

/* ---- for the two scanners -------------------------------------------------------------------- */

struct apx_doc_scan {
    struct apx_doc *doc;
    const char *at, *end;
    enum apx_status status;
};

enum apx_status apx_json_scan(struct apx_doc *doc);
enum apx_status apx_ubjson_scan(struct apx_doc *doc);
static inline size_t apx_doc_offset(const struct apx_doc_scan *scan)
{
    return (size_t)(scan->at - scan->doc->data);
}
/* A new value of `kind`; 0 if there is no room (*status says why). May move doc->values. */
uint32_t apx_doc_add(struct apx_doc *doc, enum apx_doc_kind kind, size_t begin,
                     enum apx_status *status);
/* `child` behind `*last` (0: none yet), which it becomes, in the container. */
void apx_doc_chain(struct apx_doc *doc, uint32_t container, uint32_t *last, uint32_t child);

#endif
