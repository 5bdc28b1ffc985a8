/* SPDX-License-Identifier: Apache-2.0 */
/* steps.h - the kinds of steps, their parameters, and helpers of their bind functions. */
#ifndef APX_PLAN_STEPS_H
#define APX_PLAN_STEPS_H

#include "kernels/kernels.h"
#include "runtime/plan/lower.h"

/* Writes `view`, of equal extents, into `out`. */
void apx_emit_copy_into(struct apx_lowering *lo, struct apx_view *view, struct apx_view *out);
/* Every element of a new value is `value`. */
void apx_emit_fill_into(struct apx_lowering *lo, struct apx_view *out, double value);
/* int64 elements that are expressions over the symbols. */
struct apx_view *apx_emit_elements(struct apx_lowering *lo, const struct apx_dim *elements,
                                   int count, int rank);

/* ---- for bind functions -------------------------------------------------------------------- */

struct apx_ref apx_ref_to(const struct apx_view *view, const struct apx_bound *bound);
/* A walk over a dense output whose operands have its rank; axes of one element go, and neighbours
 * that all operands walk with one stride are merged. */
void apx_nd_make(struct apx_nd *nd, const struct apx_bound *out, const struct apx_bound *operands,
                 int count);

#endif
