/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_key.c - model, precision, GPU, driver, processor and instruction set in words. */
#include <cpuid.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/sha256.h"
#include "runtime/device/crossover.h"

/* At most room - 1 characters without blanks around them; what is not printable becomes '?'. */
static void put(char *out, size_t room, const char *text)
{
    size_t used = 0;
    while (isspace((unsigned char)*text))
        text++;
    for (; *text != '\0' && used + 1 < room; text++)
        out[used++] = *text >= ' ' && *text <= '~' ? *text : '?';
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

/* The processor's own name for itself. */
static void name_cpu(char *out, size_t room)
{
    char text[49] = "unknown";
    unsigned words[12];
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) >= 0x80000004u) {
        for (unsigned i = 0; i < 3; i++)
            __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                        &words[4 * i + 3]);
        memcpy(text, words, sizeof words);
        text[sizeof words] = '\0';
    }
    put(out, room, text);
}

#define KERNEL_MODULE "/proc/driver/nvidia/version"
#define MOST_BYTES    4096

/* "580.65.06" of "... Kernel Module  580.65.06  Release Build ..."; "" where nothing tells. */
static void find_release(char *out, size_t room)
{
    char *text;
    size_t bytes;
    out[0] = '\0';
    if (apx_file_read(KERNEL_MODULE, MOST_BYTES, &text, &bytes, NULL) != APX_OK)
        return;
    for (const char *at = text; at[0] != '\0' && at[0] != '\n'; at++) {
        const size_t digits = strspn(at, "0123456789"), length = strspn(at, "0123456789.");
        if (at > text && at[-1] == ' ' && digits >= 3 && length > digits && at[length] == ' ') {
            snprintf(out, room, "%.*s", (int)(length < 32 ? length : 32), at);
            break;
        }
    }
    free(text);
}

void apx_crossover_key_make(const void *file, size_t bytes, const char *precision, const char *gpu,
                            int gpus, int cuda, const char *isa, struct apx_crossover_key *out)
{
    char text[160], release[40];
    memset(out, 0, sizeof *out);
    apx_sha256_of(file, bytes, out->model);
    put(out->precision, sizeof out->precision, precision != NULL ? precision : "fp32");
    if (gpus > 1)
        snprintf(text, sizeof text, "%d x %.120s", gpus, gpu);
    else
        snprintf(text, sizeof text, "%.120s", gpu);
    put(out->gpu, sizeof out->gpu, text);
    find_release(release, sizeof release);
    snprintf(text, sizeof text, "CUDA %d.%d%s%s", cuda / 1000, cuda % 1000 / 10,
             release[0] != '\0' ? ", " : "", release);
    put(out->driver, sizeof out->driver, text);
    name_cpu(out->cpu, sizeof out->cpu);
    put(out->isa, sizeof out->isa, isa);
}
