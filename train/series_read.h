/* SPDX-License-Identifier: Apache-2.0 */
/* series_read.h - one CSV file into a dataset. */
#ifndef APX_TRAIN_SERIES_READ_H
#define APX_TRAIN_SERIES_READ_H

#include "runtime/table.h"
#include "train/dataset.h"

/* Append the rows of `table`, read from series->path, to the dataset's arrays and fill in `series`.
 * The dataset's column names are set. Errors as for apx_dataset_read. */
enum apx_status apx_series_append(const struct apx_train_config *config,
                                  const struct apx_table *table, struct apx_dataset *data,
                                  struct apx_series *series, struct apx_error *error);

/* Number of the column of that name. APX_ENOTFOUND, with the names there are. */
enum apx_status apx_series_find_column(const struct apx_table *table, const char *path,
                                       const char *name, int *index, struct apx_error *error);

#endif
