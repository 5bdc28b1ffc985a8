/* SPDX-License-Identifier: Apache-2.0 */
/* csv_scan.h - CSV text cut into cells. Internal to runtime/data. */
#ifndef APX_DATA_CSV_SCAN_H
#define APX_DATA_CSV_SCAN_H

#include "runtime/auspex.h"

enum apx_csv_after { APX_CSV_CELL, APX_CSV_LINE, APX_CSV_END }; /* what follows a cell */

struct apx_csv_scan {
    const char *at, *end;
    char separator;
    size_t line;      /* of `at`, from 1 */
    const char *name; /* of the file, for messages; "" if none */
};

struct apx_csv_cell {
    const char *text; /* without quotes and without blanks around it; doubled quotes are kept */
    size_t length;
    bool doubled; /* `text` holds doubled quotes */
    size_t line;  /* where it starts */
    enum apx_csv_after after;
};

/* Skips a byte order mark. Errors: APX_EINVAL (separator), APX_EFORMAT (UTF-16) */
enum apx_status apx_csv_open(struct apx_csv_scan *scan, const char *text, size_t bytes,
                             char separator, const char *name, struct apx_error *error);
/* Moves past blank lines. False at the end of the text. Call at the start of a line. */
bool apx_csv_next_line(struct apx_csv_scan *scan);
/* Errors: APX_EFORMAT, APX_ELIMIT, with the line number. */
enum apx_status apx_csv_next_cell(struct apx_csv_scan *scan, struct apx_csv_cell *cell,
                                  struct apx_error *error);
/* The cell's text with single quotes where they are doubled, and a NUL; at most length + 1 bytes.
 * Returns how many. */
size_t apx_csv_copy(const struct apx_csv_cell *cell, char *to);

#endif
