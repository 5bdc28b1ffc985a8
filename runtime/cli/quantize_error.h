/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_error.h - two models that should say the same, over the same rows. */
#ifndef APX_CLI_QUANTIZE_ERROR_H
#define APX_CLI_QUANTIZE_ERROR_H

#include "runtime/auspex.h"

/* Of one output, over all elements of the rows that are compared: those in which neither model has
 * a NaN. A figure is NaN where there is nothing to tell it from. */
struct apx_quantize_error {
    char *name;
    int64_t rows;
    bool *holds_nan; /* [rows] */
    int64_t nan_rows;
    double greatest, mean; /* absolute difference of the two */
    double magnitude;      /* largest absolute value of the first */
    int64_t worst_row;     /* where the greatest is; -1: nowhere */
    bool is_label;         /* places among classes: no figure above but the rows */
    int64_t other_rows;    /* then: rows to which the two give different classes */
    bool has_targets;
    double rmse_float, rmse_int8; /* against the targets */
};

struct apx_quantize_trial {
    const char *source; /* the model's file, for messages */
    const struct apx_model *models[2];
    struct apx_session *sessions[2];
    const char *const *data; /* [data_count] "[NAME=]FILE" */
    int data_count;
    const struct apx_tensor *inputs; /* [inputs of the models] their rows, as read */
    const char *targets; /* as data, of an output, by default the first of floats; NULL: none */
};

/* The rows of all inputs of model 0, whose names and extents every model of the trial shares: to be
 * released with apx_quantize_rows_release. Failures are printed; returns an exit status. */
int apx_quantize_rows_read(const struct apx_quantize_trial *trial, struct apx_tensor **inputs);
void apx_quantize_rows_release(struct apx_tensor *inputs, size_t count); /* accepts NULL */

/* *errors: one for each output, with *rows rows; to be released. Failures are printed; returns an
 * exit status. */
int apx_quantize_try(const struct apx_quantize_trial *trial, struct apx_quantize_error **errors,
                     int64_t *rows);
/* What model `which` says about the rows, at most `most` at a time where they can be cut: `see`
 * gets its outputs [outputs of the model]. Returns an exit status. */
int apx_quantize_look(const struct apx_quantize_trial *trial, int which, int64_t most,
                      void (*see)(void *context, const struct apx_tensor *outputs), void *context);
void apx_quantize_errors_release(struct apx_quantize_error *errors, size_t count);
/* By how many percent the second model's RMSE is larger; NaN where that says nothing: one is not
 * known, or the first is so small beside the second that it is next to exact. */
double apx_quantize_change(const struct apx_quantize_error *error);

#endif
