/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the `auspex` program: find the command and run it. Commands that are programs of their
 * own stand beside this one, as git's do. */
#include "runtime/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: the program auspex-NAME */
    const char *help;
} commands[] = {
    {"devices", apx_cli_devices, "cores, caches, instruction sets, NUMA nodes, GPUs"},
    {"inspect", apx_cli_inspect, "inputs, outputs, nodes, plan and cost of a model"},
    {"predict", apx_cli_predict, "run a model over a file of rows"},
    {"bench", apx_cli_bench, "time a model at several batch sizes"},
    {"calibrate", apx_cli_calibrate, "time a model on CPU and GPU, for device auto to choose by"},
    {"import", apx_cli_import, "write a model of XGBoost or LightGBM as ONNX"},
    {"quantize", apx_cli_quantize, "write a model with int8 layers, and compare the two"},
    {"repo", apx_cli_repo, "list, add, promote, roll back, alias, verify and prune versions"},
    {"train", NULL, "train a model and add it to a repository"},
    {"serve", NULL, "serve a repository over gRPC"},
};

static void help(void)
{
    puts("usage: auspex COMMAND ...\n"
         "       auspex COMMAND --help | --help | --version\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].help);
    puts("\nExit status: 0 done, 1 refused or failed (one line on standard error), 2 usage.");
}

/* Replaces this program by auspex-NAME in the same directory. */
static int become(const char *name, char **argv)
{
    char path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0)
        return apx_cli_refuse(name, NULL, "cannot find this program's directory: %s",
                              strerror(errno));
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "auspex-%s", name);
    argv[0] = path;
    execv(path, argv);
    if (errno == ENOENT)
        return apx_cli_refuse(
            name, NULL, "this needs the program %s, which is not there; build or install it", path);
    return apx_cli_refuse(name, path, "cannot run it: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    static char help_option[] = "--help";
    /* A file beyond the limit on sizes is a write that fails: it is told, and nothing half written
     * is left behind. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        fputs("auspex: say what to do. Try: auspex --help\n", stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 && argc == 3) { /* help COMMAND: COMMAND --help */
        argv[1] = argv[2];
        argv[2] = help_option;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        help();
        return apx_cli_finish("");
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("auspex %s\n", apx_version());
        return apx_cli_finish("");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run != NULL ? commands[i].run(argc - 1, argv + 1)
                                           : become(commands[i].name, argv + 1);
    fprintf(stderr, "auspex: there is no command \"%s\". Try: auspex --help\n", argv[1]);
    return CLI_USAGE;
}
