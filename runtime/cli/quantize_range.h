/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_range.h - how large the inputs of a model's layers become on the rows of files. */
#ifndef APX_CLI_QUANTIZE_RANGE_H
#define APX_CLI_QUANTIZE_RANGE_H

#include "runtime/cli/quantize_error.h"
#include "runtime/quantize.h"

/* What the rows of a layer's input - vectors along its last axis - are to its bound. */
struct apx_quantize_reach {
    double rows;           /* without NaN */
    double lost_rows, cut; /* that the bound cuts off by a third or more, and values beyond it */
    double greatest;       /* |x| */
    char why[184];         /* room for a range's why_not */
};

/* The range of each layer of `probes`, or why int8 cannot hold its input, for `levels` levels;
 * trial's model 0 is that of the probes. ranges, reaches: [probes->count]; *count is set; ranges
 * point into `probes` and `reaches`. Failures are printed, among them that all rows make all inputs
 * NaN; returns an exit status. */
int apx_quantize_find_ranges(const struct apx_quantize_trial *trial,
                             const struct apx_quantize_probes *probes, int levels,
                             struct apx_quantize_range *ranges, struct apx_quantize_reach *reaches,
                             size_t *count);

#endif
