/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.h - CSV files as series of rows, cut where time does not run evenly.
 *
 * Every file is one series. Its rows are kept in the order of the file; a run of rows whose time
 * goes up by the file's step is a segment, and no window crosses the end of one. A segment ends
 *   - where the time jumps by more than 1.5 steps (a gap) or goes backward,
 *   - where rows with missing values were left out.
 * A row that repeats the time of the row before it is left out. The step is the median of the
 * positive differences. Whatever is left out or cuts is reported in `notes` with file and line. */
#ifndef APX_TRAIN_DATASET_H
#define APX_TRAIN_DATASET_H

#include "train/config.h"
#include "train/notes.h"

#define APX_LIMIT_DATASET_ROWS 50000000 /* of all files together */

struct apx_series {
    char *path;                   /* as opened */
    char *label;                  /* as the configuration or its pattern names it */
    char sha256[65];              /* of the file's bytes */
    size_t first, rows;           /* in the arrays below */
    double step;                  /* seconds; 0 without times */
    size_t dropped, filled, cuts; /* rows left out, rows filled in, ends of segments inside */
};

struct apx_dataset {
    size_t series_count;
    struct apx_series *series;
    size_t features, targets;
    char **feature_names, **target_names; /* [features], [targets] */
    int *target_feature;                  /* [targets] the same column as a feature, or -1 */
    size_t rows;
    float *x;              /* [rows, features] as the model will be given them */
    double *y;             /* [rows, targets] */
    size_t *segment_start; /* [rows] first row of the row's segment */
    size_t *segment_end;   /* [rows] one past its last row */
    double step;           /* seconds, of the first file; 0 without times */
    size_t season;         /* rows */
    struct apx_notes notes;
};

/* On failure there is nothing to release. Errors: those of apx_table_read_csv; APX_ENOTFOUND (no
 * file matches a pattern; a column does not exist); APX_EINVAL (text in a numeric column, bad
 * timestamp, missing values where the configuration forbids them: with file and line); APX_ELIMIT.
 */
enum apx_status apx_dataset_read(const struct apx_train_config *config, struct apx_dataset *data,
                                 struct apx_error *error);
void apx_dataset_fini(struct apx_dataset *data);

#endif
