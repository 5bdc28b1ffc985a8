/* SPDX-License-Identifier: Apache-2.0 */
/* nd_walk.c - simplify a broadcast walk, then count through it like an odometer. */
#include "kernels/shape/nd_walk.h"

#include <assert.h>
#include <string.h>

/* Axis `outer` continues axis `inner` evenly for every operand. */
static bool mergeable(const struct apx_nd *nd, int outer, size_t extent, const ptrdiff_t *inner)
{
    for (int j = 0; j < 3; j++)
        if (nd->stride[j][outer] != inner[j] * (ptrdiff_t)extent)
            return false;
    return true;
}

void apx_nd_begin(struct nd_walk *walk, const struct apx_nd *nd, int operands)
{
    assert(nd->rank >= 0 && nd->rank <= APX_ND_RANK && operands >= 1 && operands <= 3);
    struct apx_nd given = *nd;
    for (int j = operands; j < 3; j++)
        memset(given.stride[j], 0, sizeof given.stride[j]);

    /* From the last axis to the first into the tail of `out`, then moved to its front. */
    size_t extent[APX_ND_RANK];
    ptrdiff_t stride[APX_ND_RANK][3];
    int kept = 0;
    walk->runs = 1;
    for (int d = given.rank - 1; d >= 0; d--) {
        if (given.extent[d] == 0)
            walk->runs = 0;
        if (given.extent[d] == 1)
            continue;
        if (kept > 0 && mergeable(&given, d, extent[kept - 1], stride[kept - 1])) {
            extent[kept - 1] *= given.extent[d];
            continue;
        }
        extent[kept] = given.extent[d];
        for (int j = 0; j < 3; j++)
            stride[kept][j] = given.stride[j][d];
        kept++;
    }
    if (kept == 0) {
        extent[0] = 1;
        memset(stride[0], 0, sizeof stride[0]);
        kept = 1;
    }
    memset(&walk->nd, 0, sizeof walk->nd);
    walk->nd.rank = kept;
    for (int d = 0; d < kept; d++) {
        const int from = kept - 1 - d;
        walk->nd.extent[d] = extent[from];
        for (int j = 0; j < 3; j++)
            walk->nd.stride[j][d] = stride[from][j];
        if (d < kept - 1)
            walk->runs *= extent[from];
    }
    memset(walk->index, 0, sizeof walk->index);
    memset(walk->offset, 0, sizeof walk->offset);
}

void apx_nd_next(struct nd_walk *walk)
{
    for (int d = walk->nd.rank - 2; d >= 0; d--) {
        for (int j = 0; j < 3; j++)
            walk->offset[j] += walk->nd.stride[j][d];
        if (++walk->index[d] < walk->nd.extent[d])
            return;
        for (int j = 0; j < 3; j++)
            walk->offset[j] -= walk->nd.stride[j][d] * (ptrdiff_t)walk->nd.extent[d];
        walk->index[d] = 0;
    }
}
