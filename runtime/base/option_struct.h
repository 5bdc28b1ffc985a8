/* SPDX-License-Identifier: Apache-2.0 */
/* option_struct.h - a caller's options, of this header or of an older one. */
#ifndef APX_BASE_OPTION_STRUCT_H
#define APX_BASE_OPTION_STRUCT_H

#include "runtime/auspex.h"

/* Fills the `bytes` bytes at `options` with what `given` has of them and zeros. `given` is NULL
 * (all zeros) or a struct of the same type whose first field is size_t size: how many bytes the
 * caller has, 0 for all. type: its name, for the message. APX_EINVAL (field "size"): no struct of
 * this type was ever that large */
enum apx_status apx_options_take(const void *given, const char *type, void *options, size_t bytes,
                                 struct apx_error *error);

#endif
