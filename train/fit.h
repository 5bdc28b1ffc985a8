/* SPDX-License-Identifier: Apache-2.0 */
/* fit.h - epochs: shuffle, step, look at the validation part, keep the best, know when to stop. */
#ifndef APX_TRAIN_FIT_H
#define APX_TRAIN_FIT_H

#include <signal.h>

#include "train/config.h"
#include "train/learner.h"
#include "train/parts.h"

struct apx_fit_epoch {
    double learning_rate;
    double train_loss;      /* mean over the epoch's steps, as they were taken */
    double validation_loss; /* after the epoch */
    double norm;            /* largest gradient norm before clipping */
    double seconds;
    bool best; /* better than all before */
};

enum apx_fit_stop { APX_FIT_EPOCHS, APX_FIT_PATIENCE, APX_FIT_INTERRUPTED, APX_FIT_DIVERGED };

struct apx_fit {
    float *params;                 /* of the best epoch [net->parameters] */
    size_t epochs;                 /* finished */
    struct apx_fit_epoch *history; /* [epochs] */
    size_t best;                   /* its number, from 1 */
    enum apx_fit_stop stop;
};

/* Told about progress; either may be NULL. */
struct apx_fit_watch {
    void *context;
    void (*step)(void *context, size_t epoch, size_t windows_done, size_t windows, double loss);
    void (*epoch)(void *context, size_t epoch, const struct apx_fit_epoch *result);
};

/* "all epochs done", "no better epoch for a while" and so on. Static storage. */
const char *apx_fit_stop_text(enum apx_fit_stop stop);
/* Learning rate of an epoch, counted from 1. */
double apx_fit_learning_rate(const struct apx_train_config *config, size_t epoch);

/* Train until the configured end. *stop becoming non-zero ends after the step that runs: an epoch
 * cut short is not counted. On failure there is nothing to release. APX_ECONFLICT: stopped or
 * diverged before the first epoch was over; APX_ENOMEM */
enum apx_status apx_fit_run(const struct apx_train_config *config, struct apx_learner *learner,
                            const struct apx_parts *parts, volatile sig_atomic_t *stop,
                            const struct apx_fit_watch *watch, struct apx_fit *fit,
                            struct apx_error *error);
void apx_fit_fini(struct apx_fit *fit);

#endif
