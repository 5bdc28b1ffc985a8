/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_test.c - by hand, and where a figure does not exist. */
#include "tests/harness/check.h"
#include "train/metrics.h"

static void by_hand(void)
{
    const double truth[] = {1, 2, 4, 5}, forecast[] = {2, 2, 3, 7}; /* errors 1 0 -1 2 */
    struct apx_metrics m = apx_metrics_of(truth, forecast, 4, 1);
    CHECK_EQ(m.count, 4);
    CHECK_NEAR(m.mse, 1.5, 1e-15);
    CHECK_NEAR(m.rmse, 1.2247448713915890, 1e-15);
    CHECK_NEAR(m.mae, 1.0, 1e-15);
    CHECK_NEAR(m.mape, 100 * (1.0 + 0.25 + 0.4) / 4, 1e-12);
    CHECK_NEAR(m.r2, 1 - 6.0 / 10.0, 1e-15);
    m = apx_metrics_of(truth, truth, 4, 1);
    CHECK(m.mse == 0 && m.r2 == 1 && m.mape == 0);
    const double every_other[] = {1, -9, 2, -9, 4, -9, 5, -9}, other[] = {2, 0, 2, 0, 3, 0, 7, 0};
    CHECK_NEAR(apx_metrics_of(every_other, other, 4, 2).mse, 1.5, 1e-15);
}

static void where_nothing_is_defined(void)
{
    const double truth[] = {0, 0, 2, 0}, forecast[] = {1, 0, 1, 0};
    struct apx_metrics m = apx_metrics_of(truth, forecast, 4, 1);
    CHECK_EQ(m.mape_count, 1);
    CHECK_NEAR(m.mape, 50, 1e-12);
    m = apx_metrics_of(truth, forecast, 2, 1); /* all zero */
    CHECK_EQ(m.mape_count, 0);
    CHECK(isnan(m.mape));
    CHECK(isnan(m.r2)); /* constant truth */
    CHECK_NEAR(m.mae, 0.5, 0);
    /* 0.1 has no exact float64: a mean that is off by one bit must not make an R2 */
    const double constant[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    CHECK(isnan(apx_metrics_of(constant, constant, 7, 1).r2));
    /* a large level, a small spread */
    double high[100], naive[100];
    for (int i = 0; i < 100; i++) {
        high[i] = 1e9 + (i % 2);
        naive[i] = 1e9 + 0.5;
    }
    CHECK_NEAR(apx_metrics_of(high, naive, 100, 1).r2, 0, 1e-9);
}

int main(void)
{
    RUN(by_hand);
    RUN(where_nothing_is_defined);
    return check_report();
}
