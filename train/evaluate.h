/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.h - the model beside the forecasts that cost nothing.
 *
 *   last value       every row ahead is like the last row of the window
 *   seasonal naive   every row ahead is like the row one season before it (or two, if one season
 *                    before it is not yet known)
 * A window whose season before lies beyond a break has no seasonal-naive forecast; where that
 * happens, the model is also scored on the windows that have one, so that like is compared with
 * like. */
#ifndef APX_TRAIN_EVALUATE_H
#define APX_TRAIN_EVALUATE_H

#include "train/learner.h"
#include "train/metrics.h"
#include "train/parts.h"

enum apx_forecaster {
    APX_BY_MODEL,
    APX_BY_LAST_VALUE,
    APX_BY_SEASON,
    APX_BY_MODEL_WHERE_SEASON, /* the model on the windows that the seasonal naive can forecast */
    APX_FORECASTERS
};

/* "model", "last_value", "seasonal_naive", "model_where_seasonal". Static storage. */
const char *apx_forecaster_name(enum apx_forecaster forecaster);

struct apx_score {
    size_t windows;
    struct apx_metrics scaled, real;                 /* all targets and rows ahead together */
    struct apx_metrics *target_scaled, *target_real; /* [targets] */
    double *ahead_rmse; /* [horizon] real units, all targets together */
};

struct apx_evaluation {
    size_t targets, horizon;
    struct apx_score score[APX_PARTS][APX_FORECASTERS];
    float *test; /* [test windows, horizon * targets] the model's forecasts in real units */
    /* Series by series, since a large one may hide what happens to the small ones: */
    size_t series;
    double (*series_rmse)[APX_FORECASTERS]; /* [series] test part, real units with one target, else
                                               scaled; NaN without windows */
};

/* APX_ENOMEM; on failure there is nothing to release. params: [net->parameters]. */
enum apx_status apx_evaluate(const struct apx_dataset *data, const struct apx_parts *parts,
                             struct apx_learner *learner, const float *params,
                             struct apx_evaluation *evaluation, struct apx_error *error);
void apx_evaluation_fini(struct apx_evaluation *evaluation);

#endif
