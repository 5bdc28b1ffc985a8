/* SPDX-License-Identifier: Apache-2.0 */
/* fail.h - fill a caller-owned struct apx_error and return its status in one expression:
 *     return apx_fail(error, APX_EFORMAT, node->name, "axis %d is outside of rank %d", axis, rank);
 */
#ifndef APX_BASE_FAIL_H
#define APX_BASE_FAIL_H

#include "runtime/auspex.h"

/* field may be NULL (""), error may be NULL. Long text loses its middle; control characters and
 * bytes that are not printable ASCII become '?', since names come from files. Returns status. */
enum apx_status apx_fail(struct apx_error *error, enum apx_status status, const char *field,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
