/* SPDX-License-Identifier: Apache-2.0 */
/* serve_options.c - the command line of auspex-serve. A mistake is told in one line, with the way
 * to the help; nothing is guessed. */
#include "serve/serve_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/auspex.h"

static const char help[] =
    "usage: auspex serve --repository DIR --listen ADDRESS [options]\n"
    "\n"
    "Serve the models of a repository over gRPC: auspex.v1.Inference/BatchPredict and\n"
    "grpc.health.v1.Health.\n"
    "\n"
    "  --repository DIR      the model repository (see: auspex repo --help)\n"
    "  --listen ADDRESS      HOST:PORT or unix:PATH; port 0 takes a free one; may repeat\n"
    "  --model NAME          serve this model, and start only if it loads; may repeat;\n"
    "                        without it, every model in the repository is served\n"
    "  --workers N           threads that compute (default: the cores this process may use)\n"
    "  --max-message-mib N   largest request in MiB (default 64)\n"
    "  --max-queue-rows N    rows that may wait; beyond, calls get RESOURCE_EXHAUSTED\n"
    "                        (default 200000)\n"
    "  --drain-seconds N     on SIGTERM, how long calls under way may take (default 10)\n"
    "  --device WORD         auto (default: each batch where it is done sooner), cpu or cuda\n"
    "  --cache DIR           where auspex calibrate --threads 1 put the times by which batches go "
    "to\n"
    "                        the CPU or the GPU (default: $XDG_CACHE_HOME/auspex or "
    "~/.cache/auspex)\n"
    "  --port-file FILE      write the port of the first HOST:PORT there once it is bound\n"
    "  --log-level LEVEL     debug, info, warn or error (default info); debug logs each call\n"
    "  --version             print the version\n"
    "  --help                print this help\n"
    "\n"
    "SIGTERM or SIGINT: answer the calls under way, then exit with 0; a second one: at once.\n"
    "SIGHUP: look at the repository now (it is looked at each second in any case), and try\n"
    "versions again that were refused.\n"
    "The log goes to stderr, one JSON object a line.\n";

static enum apx_options_result wrong(const char *what, const char *value)
{
    fprintf(stderr, "auspex serve: %s%s%s; see auspex serve --help\n", what,
            value != NULL ? ": " : "", value != NULL ? value : "");
    return APX_OPTIONS_WRONG;
}

static bool parse_number(const char *text, int64_t low, int64_t high, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high)
        return false;
    *out = value;
    return true;
}

enum {
    OPT_REPOSITORY = 1,
    OPT_LISTEN,
    OPT_MODEL,
    OPT_WORKERS,
    OPT_MESSAGE,
    OPT_QUEUE,
    OPT_DRAIN,
    OPT_PORT_FILE,
    OPT_DEVICE,
    OPT_CACHE,
    OPT_LOG,
    OPT_VERSION,
    OPT_HELP
};

static const struct option long_options[] = {
    {"repository", required_argument, NULL, OPT_REPOSITORY},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"model", required_argument, NULL, OPT_MODEL},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"max-message-mib", required_argument, NULL, OPT_MESSAGE},
    {"max-queue-rows", required_argument, NULL, OPT_QUEUE},
    {"drain-seconds", required_argument, NULL, OPT_DRAIN},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"port-file", required_argument, NULL, OPT_PORT_FILE},
    {"log-level", required_argument, NULL, OPT_LOG},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* The numbers, with their limits and where they go; one place for all of them. */
static enum apx_options_result number_option(const struct option *option, const char *text,
                                             struct apx_serve_options *options)
{
    int64_t value, least = option->val == OPT_DRAIN ? 0 : 1;
    int64_t most = option->val == OPT_WORKERS   ? APX_LIMIT_WORKERS
                   : option->val == OPT_MESSAGE ? APX_LIMIT_MESSAGE_MIB
                   : option->val == OPT_QUEUE   ? INT32_MAX
                                                : 86400;
    if (!parse_number(text, least, most, &value)) {
        char what[96];
        snprintf(what, sizeof what, "--%s takes a number from %lld to %lld", option->name,
                 (long long)least, (long long)most);
        return wrong(what, text);
    }
    if (option->val == OPT_WORKERS)
        options->workers = (int)value;
    else if (option->val == OPT_MESSAGE)
        options->message_mib = (int)value;
    else if (option->val == OPT_QUEUE)
        options->queue_rows = value;
    else
        options->drain_seconds = (int)value;
    return APX_OPTIONS_RUN;
}

static enum apx_options_result check(const struct apx_serve_options *options)
{
    if (options->repository == NULL)
        return wrong("--repository DIR is missing", NULL);
    if (options->listen_count == 0)
        return wrong("--listen HOST:PORT or unix:PATH is missing", NULL);
    bool tcp = false;
    for (int i = 0; i < options->listen_count; i++) {
        if (strncmp(options->listen[i], "unix:", 5) != 0)
            tcp = true;
    }
    if (options->port_file != NULL && !tcp)
        return wrong("--port-file needs a --listen HOST:PORT", NULL);
    return APX_OPTIONS_RUN;
}

static bool is_device(const char *word)
{
    return strcmp(word, "auto") == 0 || strcmp(word, "cpu") == 0 || strcmp(word, "cuda") == 0;
}

static bool is_address(const char *address)
{
    if (strncmp(address, "unix:", 5) == 0)
        return address[5] != '\0';
    const char *colon = strrchr(address, ':');
    int64_t port;
    return colon != NULL && colon != address && parse_number(colon + 1, 0, 65535, &port);
}

enum apx_options_result apx_serve_options_parse(int argc, char **argv,
                                                struct apx_serve_options *options)
{
    *options = (struct apx_serve_options){.device = "auto",
                                          .message_mib = 64,
                                          .queue_rows = 200000,
                                          .drain_seconds = 10,
                                          .log_level = APX_LOG_INFO};
    opterr = 0;
    optind = 1;
    int index = 0;
    for (int option; (option = getopt_long(argc, argv, ":", long_options, &index)) != -1;) {
        switch (option) {
        case OPT_REPOSITORY:
            options->repository = optarg;
            break;
        case OPT_LISTEN:
            if (options->listen_count == APX_LIMIT_LISTEN)
                return wrong("too many --listen", optarg);
            if (!is_address(optarg))
                return wrong("--listen takes HOST:PORT or unix:PATH", optarg);
            options->listen[options->listen_count++] = optarg;
            break;
        case OPT_MODEL:
            if (options->model_count == APX_LIMIT_SERVE_MODELS)
                return wrong("too many --model", optarg);
            options->models[options->model_count++] = optarg;
            break;
        case OPT_PORT_FILE:
            options->port_file = optarg;
            break;
        case OPT_DEVICE:
            if (!is_device(optarg))
                return wrong("--device takes auto, cpu or cuda", optarg);
            options->device = optarg;
            break;
        case OPT_CACHE:
            options->cache = optarg;
            break;
        case OPT_LOG:
            if (!apx_log_level_parse(optarg, &options->log_level))
                return wrong("--log-level takes debug, info, warn or error", optarg);
            break;
        case OPT_WORKERS:
        case OPT_MESSAGE:
        case OPT_QUEUE:
        case OPT_DRAIN:
            if (number_option(&long_options[index], optarg, options) != APX_OPTIONS_RUN)
                return APX_OPTIONS_WRONG;
            break;
        case OPT_VERSION:
            printf("auspex-serve %s\n", apx_version());
            return APX_OPTIONS_HELP;
        case OPT_HELP:
            fputs(help, stdout);
            return APX_OPTIONS_HELP;
        case ':':
            return wrong("a value is missing after", argv[optind - 1]);
        default:
            return wrong("unknown option", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return wrong("unexpected argument", argv[optind]);
    return check(options);
}
