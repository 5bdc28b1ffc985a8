/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.h - a directory of a test's own, and small files in it. */
#ifndef APX_TESTS_TRAIN_SCRATCH_H
#define APX_TESTS_TRAIN_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/check.h"

static char scratch[64];

static int scratch_remove_entry(const char *path, const struct stat *info, int kind,
                                struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static void scratch_leave(void)
{
    nftw(scratch, scratch_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_enter(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/apx-train-XXXXXX");
    REQUIRE(mkdtemp(scratch) != NULL);
    atexit(scratch_leave);
}

/* "<scratch>/<name>"; the text lives until eight more calls. */
static inline const char *scratch_path(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void scratch_write(const char *name, const char *text)
{
    FILE *file = fopen(scratch_path(name), "wb");
    REQUIRE(file != NULL);
    fputs(text, file);
    REQUIRE(fclose(file) == 0);
}

#endif
