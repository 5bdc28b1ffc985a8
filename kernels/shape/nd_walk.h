/* SPDX-License-Identifier: Apache-2.0 */
/* nd_walk.h - walk a broadcast, strided operand set in output order, one innermost run at a time.
 *
 * Extents of 1 are dropped and neighbouring extents that every operand steps through evenly are
 * merged first, so a dense operation becomes a single run. */
#ifndef APX_KERNELS_ND_WALK_H
#define APX_KERNELS_ND_WALK_H

#include "kernels/kernels.h"

struct nd_walk {
    struct apx_nd nd; /* simplified; rank >= 1, the last extent is the run */
    size_t runs;      /* 0 if the output is empty */
    size_t index[APX_ND_RANK];
    ptrdiff_t offset[3]; /* of each operand, at the run's first element */
};

/* operands: how many of nd->stride are used (1 .. 3). */
void apx_nd_begin(struct nd_walk *walk, const struct apx_nd *nd, int operands);
/* To the next run; call it runs - 1 times. */
void apx_nd_next(struct nd_walk *walk);

#endif
