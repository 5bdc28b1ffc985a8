/* SPDX-License-Identifier: Apache-2.0 */
/* train_run.h - one training run from configuration to stored model. */
#ifndef APX_TRAIN_RUN_H
#define APX_TRAIN_RUN_H

#include <signal.h>
#include <stdio.h>

#include "train/config.h"

struct apx_train_options {
    const char *config_path;
    const char *const *sets; /* [set_count] "key=value" */
    size_t set_count;
    const char *output, *repository; /* override the configuration; relative to the current
                                        directory; may be NULL */
    int threads;                     /* 0: as many as this process may use */
    bool json;                       /* the report as JSON on `out` instead of the table */
    bool quiet;                      /* no progress, no notes */
    bool check;                      /* read everything, train nothing, write nothing */
    FILE *out, *log;                 /* results; progress and notes */
    volatile sig_atomic_t *stop;     /* non-zero: end after the step that runs */
};

/* Errors: those of every stage; whatever fails, neither the output directory nor the repository has
 * changed, except that a version may have been added when the output directory cannot be put in
 * place afterwards (the message says so). */
enum apx_status apx_train_run(const struct apx_train_options *options, struct apx_error *error);

#endif
