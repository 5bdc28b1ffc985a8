/* SPDX-License-Identifier: Apache-2.0 */
/* serve_options.h - the command line of auspex-serve. */
#ifndef APX_SERVE_OPTIONS_H
#define APX_SERVE_OPTIONS_H

#include <stdint.h>

#include "serve/log.h"

enum {
    APX_LIMIT_LISTEN = 8,        /* addresses to listen on */
    APX_LIMIT_SERVE_MODELS = 64, /* --model options */
    APX_LIMIT_WORKERS = 1024,
    APX_LIMIT_MESSAGE_MIB = 1024,
};

struct apx_serve_options {
    const char *repository;
    const char *listen[APX_LIMIT_LISTEN];
    int listen_count;
    const char *models[APX_LIMIT_SERVE_MODELS]; /* none: all that the repository holds */
    int model_count;
    const char *port_file; /* NULL: none */
    const char *device;    /* "auto", "cpu" or "cuda" */
    const char *cache;     /* as apx_load_options.cache; NULL: the user's */
    int workers;           /* 0: as many as the machine allows this process */
    int message_mib;
    int64_t queue_rows;
    int drain_seconds;
    enum apx_log_level log_level;
};

enum apx_options_result {
    APX_OPTIONS_RUN,
    APX_OPTIONS_HELP,  /* help went to stdout: exit with 0 */
    APX_OPTIONS_WRONG, /* one line went to stderr: exit with 2 */
};

/* The strings point into argv. */
enum apx_options_result apx_serve_options_parse(int argc, char **argv,
                                                struct apx_serve_options *options);

#endif
