/* SPDX-License-Identifier: Apache-2.0 */
/* timestamp.h - points in time as CSV files spell them. */
#ifndef APX_TRAIN_TIMESTAMP_H
#define APX_TRAIN_TIMESTAMP_H

#include <stdbool.h>

/* YYYY-MM-DD, also with '/', alone or followed by blank or 'T' and HH:MM, HH:MM:SS or HH:MM:SS.fff,
 * alone or followed by Z, +HH, +HHMM or +HH:MM. Without an offset the time is taken as UTC: only
 * differences matter. *seconds: since 1970-01-01T00:00Z. False if the text is anything else or no
 * such date exists. */
bool apx_timestamp_parse(const char *text, double *seconds);

/* Epoch seconds; numbers of 1e11 and more, which would lie after the year 5000, are milliseconds.
 */
double apx_timestamp_number(double number);

#endif
