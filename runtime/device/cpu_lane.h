/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_lane.h - what one worker needs to run a program: an arena, and bindings. */
#ifndef APX_DEVICE_CPU_LANE_H
#define APX_DEVICE_CPU_LANE_H

#include "runtime/plan/plan.h"

/* As in struct apx_backend. */
enum apx_status apx_cpu_lane_create(const struct apx_program *program, struct apx_lane **out,
                                    struct apx_error *error);
void apx_cpu_lane_destroy(struct apx_lane *lane);
enum apx_status apx_cpu_lane_reserve(struct apx_lane *lane, const int64_t *symbols, int64_t rows,
                                     struct apx_error *error);
enum apx_status apx_cpu_lane_run(struct apx_lane *lane, const struct apx_slice *slice,
                                 struct apx_error *error);

/* What one row costs for these symbols: operations of all steps and of each (flops: [step_count] or
 * NULL), seconds of the steps that tell their own, the most arena bytes in use at any time. */
void apx_cpu_measure(const struct apx_program *program, const int64_t *symbols, double *flops,
                     struct apx_row_cost *total);

#endif
