/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - CSV files as columns of numbers, and NumPy files as tensors.
 *
 * CSV: comma (or the separator given), quotes doubled inside quotes, line ends LF, CRLF or bare CR,
 * an optional byte order mark, blank lines skipped. A header is recognised when a cell of the first
 * line is neither a number nor a missing mark; columns without one are named f0, f1, ... Missing
 * marks: empty, NaN, nan, NA, N/A, null, "?" give NaN and are counted. Every other cell that is not
 * a number makes its column text. Numbers are read as float64. Ragged lines are errors with their
 * line number. */
#ifndef APX_RUNTIME_TABLE_H
#define APX_RUNTIME_TABLE_H

#include "runtime/auspex.h"

#define APX_LIMIT_CSV_COLUMNS 16384
#define APX_LIMIT_CSV_CELL    65536 /* bytes of one cell */

struct apx_table_column {
    const char *name;
    bool is_text;
    const double *numbers;    /* [rows]; NaN where missing; NULL for a text column */
    const char *const *texts; /* [rows] for a text column; NULL otherwise */
    size_t missing;           /* cells with a missing mark */
    size_t first_missing;     /* line number of the first of them, 0: none */
};

struct apx_table {
    size_t rows, columns;
    struct apx_table_column *column; /* [columns] */
    const size_t *lines;             /* [rows] line number in the file, from 1 */
    bool has_header;
    void *memory; /* owns everything above */
};

/* separator 0: comma.
 *   APX_ENOTFOUND, APX_EIO, APX_ENOMEM; APX_EFORMAT with the line number; APX_ELIMIT */
enum apx_status apx_table_read_csv(const char *path, char separator, struct apx_table **out,
                                   struct apx_error *error);
enum apx_status apx_table_parse_csv(const char *text, size_t bytes, char separator,
                                    struct apx_table **out, struct apx_error *error);
void apx_table_destroy(struct apx_table *table); /* accepts NULL */
/* Column of that name, or -1. */
int apx_table_find(const struct apx_table *table, const char *name);

/* NumPy .npy, format 1.0 to 3.0, C order, little-endian, types of enum apx_dtype. On success the
 * caller frees tensor->data with free().
 *   APX_ENOTFOUND, APX_EIO, APX_EFORMAT, APX_EUNSUPPORTED (Fortran order, other types), APX_ENOMEM
 */
enum apx_status apx_npy_read(const char *path, struct apx_tensor *tensor, struct apx_error *error);
enum apx_status apx_npy_parse(const void *data, size_t bytes, struct apx_tensor *tensor,
                              struct apx_error *error);
enum apx_status apx_npy_write(const char *path, const struct apx_tensor *tensor,
                              struct apx_error *error);

#endif
