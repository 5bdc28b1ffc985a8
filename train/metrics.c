/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - sums in float64, in the order of the windows. The mean is taken before the squares
 * about it, so that a large level does not swallow a small spread. */
#include "train/metrics.h"

#include <math.h>

struct apx_metrics apx_metrics_of(const double *truth, const double *forecast, size_t count,
                                  size_t stride)
{
    struct apx_metrics m = {.count = count};
    double squares = 0, sizes = 0, shares = 0, sum = 0, spread = 0, least = INFINITY,
           most = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        double t = truth[i * stride], e = forecast[i * stride] - t;
        squares += e * e;
        sizes += fabs(e);
        sum += t;
        least = fmin(least, t);
        most = fmax(most, t);
        if (t != 0) {
            shares += fabs(e / t);
            m.mape_count++;
        }
    }
    double n = (double)count, mean = sum / n;
    for (size_t i = 0; i < count; i++)
        spread += (truth[i * stride] - mean) * (truth[i * stride] - mean);
    m.mse = squares / n;
    m.rmse = sqrt(m.mse);
    m.mae = sizes / n;
    m.mape = m.mape_count > 0 ? 100 * shares / (double)m.mape_count : NAN;
    m.r2 = least < most ? 1 - squares / spread : NAN;
    return m;
}
