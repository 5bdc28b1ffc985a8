/* SPDX-License-Identifier: Apache-2.0 */
/* messages.c - one line on standard error, in one form for all commands. */
#include "runtime/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static void start(const char *command, const char *file)
{
    fflush(stdout);
    fprintf(stderr, "auspex%s%s: ", command[0] != '\0' ? " " : "", command);
    if (file != NULL)
        fprintf(stderr, "%s: ", file);
}

int apx_cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    start(command, NULL);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ". Try: auspex %s --help\n", command);
    return CLI_USAGE;
}

int apx_cli_refuse(const char *command, const char *file, const char *format, ...)
{
    va_list arguments;
    start(command, file);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int apx_cli_failed(const char *command, const char *file, const struct apx_error *error)
{
    if (file != NULL && strstr(error->message, file) != NULL)
        file = NULL;
    if (error->field[0] != '\0' && strstr(error->message, error->field) == NULL)
        return apx_cli_refuse(command, file, "%s: %s", error->field, error->message);
    return apx_cli_refuse(command, file, "%s", error->message);
}

int apx_cli_finish(const char *command)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_DONE;
    return apx_cli_refuse(command, NULL, "cannot write standard output: %s", strerror(errno));
}
