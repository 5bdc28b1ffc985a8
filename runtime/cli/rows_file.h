/* SPDX-License-Identifier: Apache-2.0 */
/* rows_file.h - a model's inputs from files and its outputs to files, .npy or .csv. */
#ifndef APX_CLI_ROWS_FILE_H
#define APX_CLI_ROWS_FILE_H

#include "runtime/auspex.h"

/* Ends in .csv or .npy, in any case. */
bool apx_rows_is_csv(const char *path);
bool apx_rows_is_npy(const char *path);

/* apx_model_input or apx_model_output. */
typedef const struct apx_tensor_info *apx_rows_info(const struct apx_model *model, size_t index);

/* "[NAME=]FILE" as given on the command line, of one of the model's `count` inputs or outputs.
 * is_written: FILE need not be there. */
struct apx_rows_given {
    const char *file; /* within what was given */
    bool is_named;
    size_t tensor; /* the one with that name; SIZE_MAX: no name, or one that no tensor has */
};
struct apx_rows_given apx_rows_given_read(const char *given, const struct apx_model *model,
                                          apx_rows_info *info, size_t count, bool is_written);

/* The features' names, where the model says them (metadata "feature_names", a JSON list) and they
 * are the columns of its only input; else list is NULL. */
struct apx_rows_names {
    const char **list;
    void *memory;
};
struct apx_rows_names apx_rows_names_of(const struct apx_model *model);
void apx_rows_names_release(struct apx_rows_names *names);

/* Read `path` as the tensor `info` describes, an "input" of the model or, for messages, another
 * `kind`. A CSV line is one row: its columns are the row's
 * elements in row-major order. names: those of an input [rows, columns], or NULL; if the CSV has a
 * header with all of them, its columns are taken by name (a space stands for '_' too) and others
 * are left alone. float64 files
 * become float32 where the model wants that, unless a number of theirs is beyond it, float32 and
 * float16 files float64, and whole numbers of any type the model's if it has them exactly. On
 * success the caller frees tensor->data with free(). APX_EINVAL (does not fit the input), and what
 * the readers in runtime/table.h say */
enum apx_status apx_rows_read(const char *path, const char *kind,
                              const struct apx_tensor_info *info, const char *const *names,
                              struct apx_tensor *tensor, struct apx_error *error);

/* Write an output whose rows lie along dimension row_axis (-1: the first). A .csv gets a header of
 * the output's name, numbered if a row has several elements, and numbers that read back to the same
 * bits; classes that are words are written as words. path NULL: CSV on standard output. The file
 * appears whole or not at all. */
enum apx_status apx_rows_write(const char *path, const struct apx_tensor_info *info,
                               const struct apx_tensor *tensor, struct apx_error *error);

#endif
