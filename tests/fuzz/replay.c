/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - run a fuzz target without libFuzzer: over each file of its corpus (or the files
 * given), whole, cut at 64 places, and with 256 seeded damages. A failure is a crash, an abort or a
 * sanitizer's report; the last line printed names the file. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUTS    64
#define DAMAGES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The input at its exact size, so that a read beyond it is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (exact == NULL)
        exit(1);
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_damaged(uint8_t *data, size_t size)
{
    uint32_t state = 1;
    for (size_t i = 0; i < CUTS; i++)
        run(data, size * i / CUTS);
    for (int i = 0; i < DAMAGES && size > 0; i++) {
        size_t at = next_random(&state) % size;
        uint8_t before = data[at];
        switch (next_random(&state) % 4) {
        case 0:
            data[at] ^= (uint8_t)(1u << next_random(&state) % 8);
            break;
        case 1:
            data[at] = 0xff;
            break;
        case 2:
            data[at]++;
            break;
        default:
            data[at] = (uint8_t)next_random(&state);
        }
        run(data, size);
        data[at] = before;
    }
}

static int replay(const char *path)
{
    printf("%s\n", path);
    fflush(stdout);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    long size = ftell(file);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    run(data, (size_t)size);
    run_damaged(data, (size_t)size);
    free(data);
    return 1;
}

int main(int count, char **paths)
{
    int done = 0;
    for (int i = 1; i < count; i++)
        done += replay(paths[i]);
    DIR *corpus = count > 1 ? NULL : opendir(APX_CORPUS);
    for (struct dirent *entry; corpus != NULL && (entry = readdir(corpus)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", APX_CORPUS, entry->d_name);
        done += replay(path);
    }
    if (corpus != NULL)
        closedir(corpus);
    printf("%d files\n", done);
    return done > 0 ? 0 : 1;
}
