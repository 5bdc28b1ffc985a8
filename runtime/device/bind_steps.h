/* SPDX-License-Identifier: Apache-2.0 */
/* bind_steps.h - a program with numbers: what every lane does when extents are new, whatever it
 * runs on. */
#ifndef APX_DEVICE_BIND_STEPS_H
#define APX_DEVICE_BIND_STEPS_H

#include "runtime/plan/plan.h"

#define APX_BIND_OPERANDS                                                                          \
    (APX_LIMIT_SHAPE_ELEMS + 2) /* of any step; the rest are copies of two                         \
                                 */

/* The symbols as steps see them: a slice's rows, and the batch's under a symbol of their own.
 * symbols, out: [APX_MAX_SYMBOLS] */
void apx_bind_symbols(const struct apx_program *program, const int64_t *symbols, int64_t rows,
                      int64_t *out);
/* All operands of a step as numbers, bounds[in_count + out_count]; those left out have rank -1.
 * False: these extents are none. */
bool apx_bind_operands(const struct apx_step *step, const int64_t *symbols,
                       struct apx_bound *bounds);
/* Every step's argument block, after every view was found to lie inside of its slot. `batch`: rows
 * of the caller's tensors; args: [program->args_bytes]. APX_EINVAL (field: the node) */
enum apx_status apx_bind_steps(const struct apx_program *program, const int64_t *symbols,
                               int64_t batch, char *args, struct apx_error *error);
/* Elements from one row to the next of a caller's tensor whose rows are axis `axis`; 0 for -1. */
int64_t apx_bind_row_stride(const struct apx_value *value, int axis, const int64_t *symbols);

/* The node's name, "" if there is none. */
const char *apx_bind_name(const struct apx_program *program, const struct apx_step *step);
/* APX_EINVAL in words. */
enum apx_status apx_bind_refuse(const struct apx_program *program, const struct apx_step *step,
                                struct apx_error *error);
enum apx_status apx_bind_too_large(struct apx_error *error);

#endif
