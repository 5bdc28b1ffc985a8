/* SPDX-License-Identifier: Apache-2.0 */
/* notes.c - a list of lines that grows. Control characters, which file names and cells may hold,
 * become '?', so that a note cannot move the cursor of a terminal. */
#include "train/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void apx_notes_add(struct apx_notes *notes, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    }
    char **item = realloc(notes->item, (notes->count + 1) * sizeof *item);
    if (item == NULL)
        return;
    notes->item = item;
    item[notes->count] = strdup(line);
    if (item[notes->count] != NULL)
        notes->count++;
}

void apx_notes_fini(struct apx_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free(notes->item[i]);
    free(notes->item);
    *notes = (struct apx_notes){0};
}
