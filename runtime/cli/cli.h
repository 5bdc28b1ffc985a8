/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what the commands of the `auspex` program share.
 *
 * Every command is int f(int argc, char **argv) with argv[0] its name, and returns the exit status:
 * 0 done, 1 refused or failed, 2 usage. What goes wrong is one line on standard error:
 *     auspex predict: model.onnx: input "x": what; what to do */
#ifndef APX_CLI_H
#define APX_CLI_H

#include "runtime/auspex.h"

#include <getopt.h>
#include <stdio.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int apx_cli_devices(int argc, char **argv);
int apx_cli_inspect(int argc, char **argv);
int apx_cli_predict(int argc, char **argv);
int apx_cli_bench(int argc, char **argv);
int apx_cli_calibrate(int argc, char **argv);
int apx_cli_import(int argc, char **argv);
int apx_cli_quantize(int argc, char **argv);
int apx_cli_repo(int argc, char **argv);

/* ---- messages: print the line, return the status ------------------------------------------- */

/* "auspex COMMAND: text. Try: auspex COMMAND --help"; returns CLI_USAGE. */
int apx_cli_usage(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "auspex COMMAND: FILE: text"; file may be NULL. Returns CLI_FAILED. */
int apx_cli_refuse(const char *command, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what the library said; its field is added where its message does not name it. */
int apx_cli_failed(const char *command, const char *file, const struct apx_error *error);
/* CLI_DONE, or refuses to write `target` where there is no folder for it: no command makes one. */
int apx_cli_folder(const char *command, const char *target);
/* A line that is no failure. */
void apx_cli_note(const char *command, const char *text);
/* CLI_DONE, or refuses to write `target` where it is `file`, by whatever name; what: "the model".
 */
int apx_cli_spare(const char *command, const char *target, const char *file, const char *what);
/* text with '?' for what a terminal would obey or not show, at most room - 1 bytes of it. */
void apx_cli_printable(const char *text, char *out, size_t room);
/* Where to say what became of `target`, asked before that is written: standard output, or standard
 * error where it is standard output that is written. */
FILE *apx_cli_report_to(const char *target);
/* Flush standard output: CLI_DONE, or the failure to write it. */
int apx_cli_finish(const char *command);

/* ---- options ------------------------------------------------------------------------------- */

/* getopt_long, silent. Returns -1 after the last option, an option's value, or '?' once the usage
 * message is printed. */
int apx_cli_next(const char *command, int argc, char **argv, const struct option *options);
/* The same with one-letter options, as getopt has them, behind a colon: ":o:". */
int apx_cli_next_short(const char *command, int argc, char **argv, const char *letters,
                       const struct option *options);
/* Decimal digits between least and most; false otherwise. */
bool apx_cli_number(const char *text, long least, long most, long *value);
/* "1,64,1024" to rows[most]: how many; 0 once the usage message is printed. */
int apx_cli_rows(const char *command, const char *text, long *rows, int most);
/* The value of --seconds; false once the usage message is printed. */
bool apx_cli_seconds(const char *command, const char *text, double *seconds);
/* Exactly one positional argument is left: it, or NULL once the usage message is printed. */
const char *apx_cli_single(const char *command, int argc, char **argv, const char *what);

/* Options of all commands that run a model, for their tables and their help texts. */
enum { CLI_DEVICE = 256, CLI_ISA, CLI_PRECISION, CLI_THREADS, CLI_HELP, CLI_JSON, CLI_CACHE };
#define CLI_MODEL_OPTIONS                                                                          \
    {"device", required_argument, NULL, CLI_DEVICE},                                               \
        {"cache", required_argument, NULL, CLI_CACHE}, {"isa", required_argument, NULL, CLI_ISA},  \
    {                                                                                              \
        "precision", required_argument, NULL, CLI_PRECISION                                        \
    }
#define CLI_THREADS_OPTION                                                                         \
    {                                                                                              \
        "threads", required_argument, NULL, CLI_THREADS                                            \
    }
#define CLI_MODEL_HELP                                                                             \
    "  --device auto|cpu|cuda   where to run it (auto)\n"                                          \
    "  --cache DIR              where auspex calibrate put the times that auto goes by\n"          \
    "                           ($XDG_CACHE_HOME/auspex, or ~/.cache/auspex)\n"                    \
    "  --isa WORD               highest instruction set to use: scalar, avx2, avx512,\n"           \
    "                           avx512vnni, avx512vbmi (all there is). AUSPEX_ISA in the\n"        \
    "                           environment caps it too: the lower of the two counts\n"            \
    "  --precision WORD         fp32: as the file says; fp16-weights: W and R of LSTM and\n"       \
    "                           GRU layers rounded to half precision, all else fp32; int8:\n"      \
    "                           layers as auspex quantize makes them without data; fp16:\n"        \
    "                           products of half precision, on CUDA devices alone (fp32)\n"
#define CLI_THREADS_HELP                                                                           \
    "  --threads N              worker threads (as many as the machine grants)\n"

struct apx_cli_model_options {
    struct apx_load_options load;
    int threads; /* 0: all */
};
/* Takes one of the CLI_MODEL_OPTIONS or the CLI_THREADS_OPTION. Returns CLI_DONE, or CLI_USAGE once
 * the message is printed.
 */
int apx_cli_model_option(const char *command, int option, const char *value,
                         struct apx_cli_model_options *options);
/* Load, and create a session unless session is NULL; failures are printed. */
int apx_cli_load(const char *command, const char *path, const struct apx_cli_model_options *options,
                 struct apx_model **model, struct apx_session **session);
/* "[rows, 10, 4]" with the names of free dimensions. Returns text. */
const char *apx_cli_shape(const struct apx_tensor_info *info, char text[256]);

#endif
