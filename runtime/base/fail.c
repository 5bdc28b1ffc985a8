/* SPDX-License-Identifier: Apache-2.0 */
/* fail.c - one line of text for people, made safe to print. */
#include "runtime/base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_printable(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from[i] != '\0' && i + 1 < size; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
}

enum apx_status apx_fail(struct apx_error *error, enum apx_status status, const char *field,
                         const char *format, ...)
{
    if (error == NULL)
        return status;
    char text[8192]; /* room for a path of PATH_MAX */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t length = strlen(text), room = sizeof error->message - 1;
    if (length > room) { /* what and where stand in front, why at the end: the middle goes */
        memcpy(text + room / 2, "...", 3);
        memmove(text + room / 2 + 3, text + length - (room - room / 2 - 3), room - room / 2 - 3);
        text[room] = '\0';
    }
    error->status = status;
    copy_printable(error->field, sizeof error->field, field != NULL ? field : "");
    copy_printable(error->message, sizeof error->message, text);
    return status;
}
