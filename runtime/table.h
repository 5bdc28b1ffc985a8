/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - CSV files as columns of numbers, and NumPy files as tensors.
 *
 * CSV: comma (or the separator given), quotes doubled inside quotes, line ends LF, CRLF or bare CR,
 * an optional byte order mark, blanks around cells and blank lines skipped. Missing marks: empty,
 * NaN, nan, NA, N/A, #N/A, <NA>, null, NULL, None, "?" give NaN and are counted. Every other cell
 * that is not a number (runtime/base/number.h) makes its column text. Numbers are read as float64,
 * those beyond its range as infinities.
 * Ragged lines are errors with their line number. The first line is a header if it has texts and no
 * numbers, or if it has a text over a column that holds only numbers. Columns without a name are
 * called f0, f1, ... */
#ifndef APX_RUNTIME_TABLE_H
#define APX_RUNTIME_TABLE_H

#include "runtime/auspex.h"

#define APX_LIMIT_CSV_COLUMNS 16384
#define APX_LIMIT_CSV_CELL    65536 /* bytes of one cell */
#define APX_LIMIT_CSV_BYTES   ((size_t)1 << 36)
#define APX_LIMIT_NPY_BYTES   ((size_t)1 << 40)
#define APX_LIMIT_NPY_HEADER  65536

struct apx_table_column {
    const char *name;
    bool is_text;
    const double *numbers;    /* [rows]; NaN where missing; NULL for a text column */
    const char *const *texts; /* [rows] for a text column, missing marks as written; NULL otherwise
                               */
    size_t missing;           /* cells with a missing mark */
    size_t first_missing;     /* line number of the first of them, 0: none */
    size_t first_text;        /* line number of the first cell that makes it text, 0: none */
    size_t first_beyond;      /* line number of the first finite number beyond float64, 0: none */
};

struct apx_table {
    size_t rows, columns;
    struct apx_table_column *column; /* [columns] */
    const size_t *lines;             /* [rows] line number in the file, from 1 */
    bool has_header;
    void *memory; /* owns everything above */
};

/* separator: one of , ; | : space tab; 0: comma.
 *   APX_ENOTFOUND, APX_EIO, APX_ENOMEM; APX_EFORMAT with the line number; APX_ELIMIT;
 *   APX_EINVAL (separator) */
enum apx_status apx_table_read_csv(const char *path, char separator, struct apx_table **out,
                                   struct apx_error *error);
enum apx_status apx_table_parse_csv(const char *text, size_t bytes, char separator,
                                    struct apx_table **out, struct apx_error *error);
void apx_table_destroy(struct apx_table *table); /* accepts NULL */
/* The first column of that name, or -1. */
int apx_table_find(const struct apx_table *table, const char *name);

/* NumPy .npy, format 1.0 to 3.0, C or Fortran order (the tensor is in C order), little-endian,
 * types of enum apx_dtype; float16 becomes float32, int16 and uint16 int32, uint32 and uint64
 * int64. On success the caller frees tensor->data with free(), and tensor->bytes is the size of the
 * data. APX_ENOTFOUND, APX_EIO, APX_EFORMAT, APX_EUNSUPPORTED (other types, a uint64 beyond int64),
 * APX_ENOMEM, APX_ELIMIT */
enum apx_status apx_npy_read(const char *path, struct apx_tensor *tensor, struct apx_error *error);
enum apx_status apx_npy_parse(const void *data, size_t bytes, struct apx_tensor *tensor,
                              struct apx_error *error);
/* The file appears whole or not at all. APX_EIO, APX_ENOTFOUND (the directory), APX_ENOMEM */
enum apx_status apx_npy_write(const char *path, const struct apx_tensor *tensor,
                              struct apx_error *error);
/* The same of text: places holds int64 from 0 to below word_count, words UTF-8. */
enum apx_status apx_npy_write_words(const char *path, const struct apx_tensor *places,
                                    const char *const *words, size_t word_count,
                                    struct apx_error *error);

#endif
