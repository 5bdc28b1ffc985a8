/* SPDX-License-Identifier: Apache-2.0 */
/* row_order.h - rows in the order of falling lengths, so that those that are computed side by side
 * end together. */
#ifndef APX_DEVICE_ROW_ORDER_H
#define APX_DEVICE_ROW_ORDER_H

#include "runtime/auspex.h"

/* lengths: [rows] of `dtype`, APX_I32 or APX_I64; those outside of 0..steps count as the nearest
 * inside. room: [rows + steps + 1]; room[n] is the place of row n afterwards, 0 for one of the
 * longest; rows of a length keep their order. rows >= 0 and steps >= 0 have a sum below INT32_MAX.
 *
 * Returns what the order saves of rows x steps where a tile of rows takes as long as its longest
 * row: 0 for lengths that are all the same or have this order already, and for a single tile. */
double apx_row_order(const void *lengths, enum apx_dtype dtype, int64_t rows, int64_t steps,
                     int32_t *room);

#endif
