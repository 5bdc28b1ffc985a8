/* SPDX-License-Identifier: Apache-2.0 */
/* train_main.c - the program auspex-train: options, signals, exit status. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/crew.h"
#include "train/train_run.h"

static const char usage[] =
    "usage: auspex train CONFIG.yaml [options]\n"
    "Train an LSTM or GRU forecaster from CSV files and write it as ONNX.\n"
    "  --set KEY=VALUE    override a key of the configuration; may repeat\n"
    "  --output DIR       where the files of the run go; made if it is not there\n"
    "  --repository DIR   add the model to this repository as a new version\n"
    "  --threads N        default: all that this process may use; results do not depend on it\n"
    "  --json             report as JSON on standard output\n"
    "  --quiet            no progress and no notes on standard error\n"
    "  --check            read configuration and data, report, and train nothing\n"
    "  --keys             list all keys of a configuration with their defaults\n"
    "  --help, --version\n"
    "Ctrl-C ends the training and keeps the best epoch; a second one ends the program.\n";

static volatile sig_atomic_t stop_requested;

static void request_stop(int signal)
{
    (void)signal;
    stop_requested = 1;
}

/* The exit status of a text that was printed. */
static int printed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "auspex train: cannot write standard output: %s\n", strerror(errno));
    return 1;
}

static int wrong_usage(const char *what, const char *option)
{
    fprintf(stderr, "auspex train: %s%s. Try: auspex train --help\n", option, what);
    return 2;
}

static bool parse_threads(const char *text, int *threads)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > APX_LIMIT_CREW)
        return false;
    *threads = (int)value;
    return true;
}

enum {
    OPTION_SET = 256,
    OPTION_OUTPUT,
    OPTION_REPOSITORY,
    OPTION_THREADS,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_CHECK,
    OPTION_KEYS,
    OPTION_HELP,
    OPTION_VERSION
};

/* Exit status, or -1 to go on. */
static int parse(int argc, char **argv, struct apx_train_options *options, const char **sets)
{
    static const struct option known[] = {
        {"set", required_argument, NULL, OPTION_SET},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"repository", required_argument, NULL, OPTION_REPOSITORY},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"json", no_argument, NULL, OPTION_JSON},
        {"quiet", no_argument, NULL, OPTION_QUIET},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"keys", no_argument, NULL, OPTION_KEYS},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {0}};
    opterr = 0;
    for (int option, at = 1; (option = getopt_long(argc, argv, ":", known, NULL)) != -1;) {
        switch (option) {
        case OPTION_SET:
            sets[options->set_count++] = optarg;
            break;
        case OPTION_OUTPUT:
            options->output = optarg;
            break;
        case OPTION_REPOSITORY:
            options->repository = optarg;
            break;
        case OPTION_THREADS:
            if (!parse_threads(optarg, &options->threads)) {
                fprintf(stderr, "auspex train: --threads %s: must be 1 to %d\n", optarg,
                        APX_LIMIT_CREW);
                return 2;
            }
            break;
        case OPTION_JSON:
            options->json = true;
            break;
        case OPTION_QUIET:
            options->quiet = true;
            break;
        case OPTION_CHECK:
            options->check = true;
            break;
        case OPTION_KEYS:
            apx_train_config_help(stdout);
            return printed();
        case OPTION_HELP:
            fputs(usage, stdout);
            return printed();
        case OPTION_VERSION:
            printf("auspex-train %s\n", apx_version());
            return printed();
        case ':':
            return wrong_usage(" wants a value", argv[optind - 1]);
        default:
            return wrong_usage(": not known, or not used so", argv[optind > at ? optind - 1 : at]);
        }
        at = optind;
    }
    if (argc - optind != 1)
        return wrong_usage(
            optind == argc ? "no configuration given" : "one configuration at a time", "");
    if (options->check && options->json)
        return wrong_usage("--check trains nothing, so that there is no report for --json", "");
    options->config_path = argv[optind];
    return -1;
}

int main(int argc, char **argv)
{
    struct apx_error error = {0};
    const char **sets = calloc((size_t)argc, sizeof *sets);
    if (sets == NULL) {
        fputs("auspex train: out of memory\n", stderr);
        return 1;
    }
    struct apx_train_options options = {
        .sets = sets, .out = stdout, .log = stderr, .stop = &stop_requested};
    int status = parse(argc, argv, &options, sets);
    if (status < 0) {
        struct sigaction action = {.sa_handler = request_stop, .sa_flags = (int)SA_RESETHAND};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        status = 0;
        if (apx_train_run(&options, &error) != APX_OK) {
            fprintf(stderr, "auspex train: %s\n", error.message);
            status = 1;
        }
    }
    free(sets);
    return status;
}
