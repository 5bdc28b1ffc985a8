/* SPDX-License-Identifier: Apache-2.0 */
/* value_block.h - blocks of float32 and float64 values. Pointers need no alignment. */
#ifndef APX_SERVE_VALUE_BLOCK_H
#define APX_SERVE_VALUE_BLOCK_H

#include "runtime/auspex.h"

/* Copy `count` values of from_type to values of to_type, both APX_F32 or APX_F64; the blocks do not
 * overlap. Widening changes no value; narrowing rounds to the nearest, ties to even, and what is
 * beyond float32 becomes an infinity. */
void apx_block_copy(enum apx_dtype from_type, const void *from, size_t count,
                    enum apx_dtype to_type, void *to);
/* Is none of them a NaN or an infinity? */
bool apx_block_is_finite(enum apx_dtype type, const void *values, size_t count);
void apx_block_fill_nan(enum apx_dtype type, void *values, size_t count);

#endif
