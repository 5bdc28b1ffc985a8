/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - how far the training is: a bar on a terminal, a line per epoch elsewhere. */
#ifndef APX_TRAIN_PROGRESS_H
#define APX_TRAIN_PROGRESS_H

#include <stdio.h>

#include "train/fit.h"

struct apx_progress {
    FILE *file; /* NULL: say nothing */
    bool is_terminal;
    size_t epochs, best;
    double begin, drawn;                /* seconds: of the first step, of the last drawing */
    double validation, best_validation; /* of the last finished epoch, of the best one */
};

/* file NULL: silent. */
void apx_progress_init(struct apx_progress *progress, FILE *file, size_t epochs);
/* Callbacks for struct apx_fit_watch, with the progress as context. */
void apx_progress_step(void *context, size_t epoch, size_t done, size_t windows, double loss);
void apx_progress_epoch(void *context, size_t epoch, const struct apx_fit_epoch *result);
/* Ends a bar's line. */
void apx_progress_fini(struct apx_progress *progress);

#endif
