/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_range.h - how large the inputs of a model's layers become on the rows of files. */
#ifndef APX_CLI_QUANTIZE_RANGE_H
#define APX_CLI_QUANTIZE_RANGE_H

#include "runtime/cli/quantize_error.h"
#include "runtime/quantize.h"

/* The range of each layer of `probes`, or why int8 cannot hold its input, for `levels` levels;
 * trial's model 0 is that of the probes. ranges: [probes->count]; *count is set, and points into
 * `probes`. Failures are printed; returns an exit status. */
int apx_quantize_find_ranges(const struct apx_quantize_trial *trial,
                             const struct apx_quantize_probes *probes, int levels,
                             struct apx_quantize_range *ranges, size_t *count);

#endif
