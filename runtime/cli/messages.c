/* SPDX-License-Identifier: Apache-2.0 */
/* messages.c - one line on standard error, in one form for all commands. */
#include "runtime/base/file.h"
#include "runtime/cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

void apx_cli_note(const char *command, const char *text)
{
    start(command, NULL);
    fprintf(stderr, "%s\n", text);
}

/* True if the message has the field as a word of its own: "x" does not stand in "extent 7". */
static bool names_field(const char *message, const char *field)
{
    size_t length = strlen(field);
    for (const char *at = message; (at = strstr(at, field)) != NULL; at++)
        if ((at == message || !isalnum((unsigned char)at[-1])) &&
            !isalnum((unsigned char)at[length]))
            return true;
    return false;
}

int apx_cli_failed(const char *command, const char *file, const struct apx_error *error)
{
    if (file != NULL && strstr(error->message, file) != NULL)
        file = NULL;
    if (error->field[0] != '\0' && !names_field(error->message, error->field))
        return apx_cli_refuse(command, file, "%s: %s", error->field, error->message);
    return apx_cli_refuse(command, file, "%s", error->message);
}

int apx_cli_spare(const char *command, const char *target, const char *file, const char *what)
{
    if (!apx_file_is_same(target, file))
        return CLI_DONE;
    return apx_cli_refuse(command, target, "this is %s itself; name another file to write", what);
}

int apx_cli_folder(const char *command, const char *target)
{
    struct apx_error error = {0};
    if (apx_file_check_folder(target, &error) == APX_OK)
        return CLI_DONE;
    return apx_cli_failed(command, target, &error);
}

FILE *apx_cli_report_to(const char *target)
{
    struct stat file, output;
    const bool is_output = stat(target, &file) == 0 && fstat(STDOUT_FILENO, &output) == 0 &&
                           file.st_dev == output.st_dev && file.st_ino == output.st_ino &&
                           !S_ISCHR(file.st_mode); /* /dev/null and terminals hold no model */
    return is_output ? stderr : stdout;
}

void apx_cli_printable(const char *text, char *out, size_t room)
{
    size_t used = 0;
    for (; *text != '\0' && used + 1 < room; text++)
        out[used++] = *text >= ' ' && *text <= '~' ? *text : '?';
    out[used] = '\0';
}

int apx_cli_finish(const char *command)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CLI_DONE;
    return apx_cli_refuse(command, NULL, "cannot write standard output: %s", strerror(errno));
}
