/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - what came out of a run, for programs (JSON, CSV) and for people (a table, a sentence).
 */
#ifndef APX_TRAIN_REPORT_H
#define APX_TRAIN_REPORT_H

#include <jansson.h>

#include "train/evaluate.h"
#include "train/export.h"
#include "train/fit.h"

struct apx_report {
    const struct apx_train_config *config;
    const struct apx_dataset *data;
    const struct apx_parts *parts;
    const struct apx_net *net;
    const struct apx_fit *fit;
    const struct apx_evaluation *evaluation;
    const struct apx_export_match *match;
    const struct apx_export_names *names;
    int threads;
    double seconds; /* of the training */
};

/* The whole report; NULL if out of memory. Numbers that do not exist (the MAPE of zeros, the R2 of
 * a constant) are null. */
json_t *apx_report_json(const struct apx_report *report);
/* The few figures that tell one version from another, flat: test_rmse, last_value_test_rmse, ... in
 * real units, or scaled ones where there are several targets. */
json_t *apx_report_summary(const struct apx_report *report);
/* epoch,learning_rate,train_loss,validation_loss,gradient_norm,seconds,best */
void apx_report_history(const struct apx_fit *fit, FILE *file);
/* The metrics to show: in real units where there is one target, else scaled. */
const struct apx_metrics *apx_report_metrics(const struct apx_report *report, enum apx_part part,
                                             enum apx_forecaster by);
/* All parts and forecasters, then the verdict. */
void apx_report_table(const struct apx_report *report, FILE *file);
/* One or two sentences: does the model beat the naive forecasts on the test part, by how much, and
 * if not, what may be the reason. */
void apx_report_verdict(const struct apx_report *report, char *text, size_t bytes);

#endif
