/* SPDX-License-Identifier: Apache-2.0 */
/* text_with.h - a text with one place changed, for tests that damage files. */
#ifndef APX_TESTS_TEXT_WITH_H
#define APX_TESTS_TEXT_WITH_H

#include "tests/harness/check.h"

#include <stdlib.h>
#include <string.h>

/* A copy of text in which the first `from` is `to`. The caller frees it. */
static inline char *text_with(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!CHECK(at != NULL))
        fprintf(stderr, "    no %s\n", from);
    REQUIRE(at != NULL);
    size_t head = (size_t)(at - text);
    char *copy = malloc(strlen(text) + strlen(to) + 1);
    REQUIRE(copy != NULL);
    memcpy(copy, text, head);
    strcpy(copy + head, to);
    strcat(copy, at + strlen(from));
    return copy;
}

#endif
