/* SPDX-License-Identifier: Apache-2.0 */
/* number.h - decimal text to double, whatever the process's locale. */
#ifndef APX_BASE_NUMBER_H
#define APX_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#define APX_LIMIT_NUMBER_TEXT 1023 /* characters of one number */

/* True if all of text[0, length) is one decimal number: [+-] digits [. digits] [e [+-] digits], a
 * digit before or after the point, or [+-] inf or infinity in any case. No blanks, no hexadecimal,
 * no NaN. *value (may be NULL) gets the nearest double, an infinity beyond its range. */
bool apx_number_parse(const char *text, size_t length, double *value);

#endif
