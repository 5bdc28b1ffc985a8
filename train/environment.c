/* SPDX-License-Identifier: Apache-2.0 */
/* environment.c - versions as the libraries themselves report them at run time. */
#include "train/environment.h"

#include <cblas.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <yaml.h>

#include "kernels/kernels.h"
#include "runtime/base/fail.h"

/* The first "model name" of /proc/cpuinfo. */
static void processor_name(char name[128])
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, 128, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL && colon[1] == ' ') {
            snprintf(name, 128, "%.127s", colon + 2);
            name[strcspn(name, "\n")] = '\0';
            break;
        }
    }
    if (file != NULL)
        fclose(file);
}

enum apx_status apx_environment_caps(uint32_t *caps, struct apx_error *error)
{
    const char *word = getenv("AUSPEX_ISA");
    *caps = apx_cpu_caps();
    if (word == NULL || word[0] == '\0' || apx_caps_limit(*caps, word, caps))
        return APX_OK;
    return apx_fail(error, APX_EINVAL, "AUSPEX_ISA",
                    "the environment's AUSPEX_ISA is \"%s\"; say scalar, avx2, avx512, avx512vnni "
                    "or avx512vbmi",
                    word);
}

json_t *apx_environment_json(uint32_t caps, int threads)
{
    char cpu[128], os[256] = "unknown";
    struct utsname system;
    processor_name(cpu);
    if (uname(&system) == 0)
        snprintf(os, sizeof os, "%.60s %.60s %.60s", system.sysname, system.release,
                 system.machine);
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "auspex",
                     apx_version(), "cpu", cpu, "isa", apx_caps_name(caps), "threads", threads,
                     "os", os, "compiler", __VERSION__, "libraries", "openblas",
                     openblas_get_config(), "jansson", jansson_version_str(), "yaml",
                     yaml_get_version_string(), "libc", gnu_get_libc_version());
}
