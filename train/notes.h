/* SPDX-License-Identifier: Apache-2.0 */
/* notes.h - findings that a person should see, but that stop nothing.
 *
 * A finding of one kind in one file is spelled out APX_NOTES_SHOWN times; after that the rest are
 * counted and named in one closing line. */
#ifndef APX_TRAIN_NOTES_H
#define APX_TRAIN_NOTES_H

#include <stddef.h>

#define APX_NOTES_SHOWN 3

struct apx_notes {
    size_t count;
    char **item; /* [count] one line each, owned */
};

/* Adds a line; nothing is added when memory runs out, since nothing depends on a note. */
void apx_notes_add(struct apx_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void apx_notes_fini(struct apx_notes *notes);

#endif
