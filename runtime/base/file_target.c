/* SPDX-License-Identifier: Apache-2.0 */
/* file_target.c - where a path that is written to leads: through symbolic links, to their end.
 *
 * A file is replaced by giving another file its name. Where the name is a link that would replace
 * the link and leave the file that its owner meant as it was; so the links are followed first, one
 * that leads to nothing yet too, as opening it for writing would. */
#include "runtime/base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_FOLLOWED 40 /* as many as the kernel does */

/* What `link` holds, as seen from where `link` lies. NULL with errno. */
static char *step(const char *link)
{
    char to[PATH_MAX], *next;
    ssize_t length = readlink(link, to, sizeof to);
    if (length < 0)
        return NULL;
    if ((size_t)length == sizeof to) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    const char *slash = strrchr(link, '/');
    int folder = slash == NULL || to[0] == '/' ? 0 : (int)(slash - link) + 1;
    if (asprintf(&next, "%.*s%.*s", folder, link, (int)length, to) >= 0)
        return next;
    errno = ENOMEM;
    return NULL;
}

char *apx_file_target(const char *path)
{
    char *at = strdup(path);
    for (int links = 0; at != NULL; links++) {
        char *next = step(at);
        if (next == NULL && (errno == EINVAL || errno == ENOENT || errno == ENOTDIR))
            return at; /* no link: a file, or what may become one */
        if (next != NULL && links == LINKS_FOLLOWED) {
            free(next);
            next = NULL;
            errno = ELOOP;
        }
        free(at); /* leaves errno as it is */
        at = next;
    }
    return NULL;
}
