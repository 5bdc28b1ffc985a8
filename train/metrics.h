/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - how far forecasts are from what happened.
 *
 *   mse = mean e^2   rmse = sqrt(mse)   mae = mean |e|
 *   mape = 100 mean |e / truth| over the targets that are not 0
 *   r2 = 1 - sum e^2 / sum (truth - mean truth)^2
 */
#ifndef APX_TRAIN_METRICS_H
#define APX_TRAIN_METRICS_H

#include <stddef.h>

struct apx_metrics {
    size_t count;      /* pairs */
    size_t mape_count; /* of them with a truth that is not 0 */
    double mse, rmse, mae;
    double mape; /* NaN if mape_count is 0 */
    double r2;   /* NaN if all truths are equal */
};

/* truth, forecast: pairs i * stride, i < count. All NaN for no pairs. */
struct apx_metrics apx_metrics_of(const double *truth, const double *forecast, size_t count,
                                  size_t stride);

#endif
