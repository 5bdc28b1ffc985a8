/* SPDX-License-Identifier: Apache-2.0 */
/* panel_layout.h - how a matrix product's weights are cut: panels of up to four vectors of outputs.
 *
 * Four vectors and VF_TILE_ROWS rows of accumulators keep the multipliers busy; the last panel is
 * as wide as what is left needs, and then takes more rows instead. */
#ifndef APX_KERNELS_PANEL_LAYOUT_H
#define APX_KERNELS_PANEL_LAYOUT_H

#include <stddef.h>

#define PANEL_VECTORS 4

/* Floats across the panel that starts where `left` outputs are left. */
static inline size_t panel_width(size_t left, size_t lanes)
{
    size_t vectors = (left + lanes - 1) / lanes;
    return (vectors < PANEL_VECTORS ? vectors : PANEL_VECTORS) * lanes;
}

#endif
