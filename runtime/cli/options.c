/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - options and arguments, and those that all commands with a model have. */
#include "runtime/cli/cli.h"

#include <stdlib.h>
#include <string.h>

int apx_cli_next(const char *command, int argc, char **argv, const struct option *options)
{
    return apx_cli_next_short(command, argc, argv, ":", options);
}

int apx_cli_next_short(const char *command, int argc, char **argv, const char *letters,
                       const struct option *options)
{
    opterr = 0;
    int at = optind == 0 ? 1 : optind;
    int option = getopt_long(argc, argv, letters, options, NULL);
    if (option == ':')
        apx_cli_usage(command, "%s wants a value", argv[optind - 1]);
    else if (option == '?')
        apx_cli_usage(command, "option %s is not known, or is not used so",
                      argv[optind > at ? optind - 1 : at]);
    return option == ':' ? '?' : option;
}

bool apx_cli_number(const char *text, long least, long most, long *value)
{
    size_t length = strlen(text);
    if (length == 0 || length > 18 || strspn(text, "0123456789") != length)
        return false;
    *value = strtol(text, NULL, 10);
    return *value >= least && *value <= most;
}

const char *apx_cli_single(const char *command, int argc, char **argv, const char *what)
{
    if (optind == argc)
        apx_cli_usage(command, "name %s", what);
    else if (optind + 1 < argc)
        apx_cli_usage(command, "\"%s\" is one argument too many", argv[optind + 1]);
    else
        return argv[optind];
    return NULL;
}

int apx_cli_rows(const char *command, const char *text, long *rows, int most)
{
    char *copy = strdup(text), *rest = copy, *word;
    bool ok = copy != NULL;
    int count = 0;
    while (ok && (word = strsep(&rest, ",")) != NULL) {
        ok = count < most && apx_cli_number(word, 1, 1000000000, &rows[count]);
        count++;
    }
    free(copy);
    if (!ok)
        apx_cli_usage(command, "--rows is a list of numbers such as 1,64,1024, not \"%s\"", text);
    return ok ? count : 0;
}

bool apx_cli_seconds(const char *command, const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    if (end != text && *end == '\0' && *seconds >= 0 && *seconds <= 3600)
        return true;
    apx_cli_usage(command, "--seconds is a number from 0 to 3600, not \"%s\"", text);
    return false;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words != NULL && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

int apx_cli_model_option(const char *command, int option, const char *value,
                         struct apx_cli_model_options *options)
{
    static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
    static const char *const precisions[] = {"fp32", "fp16", "fp16-weights", "int8", NULL};
    static const char *const sets[] = {"scalar",     "avx2",       "avx512",
                                       "avx512vnni", "avx512vbmi", NULL};
    long threads;
    switch (option) {
    case CLI_CACHE:
        options->load.cache = value;
        return CLI_DONE;
    case CLI_DEVICE:
        options->load.device = value;
        return is_one_of(value, devices)
                   ? CLI_DONE
                   : apx_cli_usage(command, "--device is auto, cpu or cuda, not \"%s\"", value);
    case CLI_PRECISION:
        options->load.precision = value;
        return is_one_of(value, precisions)
                   ? CLI_DONE
                   : apx_cli_usage(command,
                                   "--precision is fp32, fp16-weights, fp16 or int8, not \"%s\"",
                                   value);
    case CLI_ISA:
        options->load.isa = value;
        return is_one_of(value, sets)
                   ? CLI_DONE
                   : apx_cli_usage(
                         command,
                         "--isa is scalar, avx2, avx512, avx512vnni or avx512vbmi, not \"%s\"",
                         value);
    default:
        if (!apx_cli_number(value, 1, 1024, &threads)) /* APX_LIMIT_THREADS of a session */
            return apx_cli_usage(command, "--threads is a number from 1 to 1024, not \"%s\"",
                                 value);
        options->threads = (int)threads;
        return CLI_DONE;
    }
}

int apx_cli_load(const char *command, const char *path, const struct apx_cli_model_options *options,
                 struct apx_model **model, struct apx_session **session)
{
    struct apx_error error = {0};
    *model = NULL;
    if (apx_model_load(path, &options->load, model, &error) != APX_OK)
        return apx_cli_failed(command, path, &error);
    const char *notice = apx_model_notice(*model);
    if (notice != NULL)
        apx_cli_note(command, notice);
    struct apx_session_options session_options = {.threads = options->threads};
    if (session != NULL &&
        apx_session_create(*model, &session_options, session, &error) != APX_OK) {
        apx_model_destroy(*model);
        *model = NULL;
        return apx_cli_failed(command, path, &error);
    }
    return CLI_DONE;
}

const char *apx_cli_shape(const struct apx_tensor_info *info, char text[256])
{
    size_t used = (size_t)snprintf(text, 256, "[");
    for (int i = 0; i < info->rank && used < 220; i++) {
        const char *comma = i > 0 ? ", " : "", *name = info->dim_names[i];
        if (info->dims[i] >= 0)
            used += (size_t)snprintf(text + used, 256 - used, "%s%lld", comma,
                                     (long long)info->dims[i]);
        else
            used += (size_t)snprintf(text + used, 256 - used, "%s%.24s", comma,
                                     name != NULL && name[0] != '\0' ? name : "?");
    }
    snprintf(text + used, 256 - used, "]");
    return text;
}
