/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h - a dataset split in time, scaled, and cut into windows.
 *
 * Each series is split by rows, in time order, into train, validation and test. A window belongs to
 * the part in which all rows that it forecasts lie; what it reads may reach back into the part
 * before, as it would in use. Windows whose targets lie in two parts belong to none. The scaler is
 * fitted to the rows of the training parts alone. */
#ifndef APX_TRAIN_PARTS_H
#define APX_TRAIN_PARTS_H

#include "train/dataset.h"

enum apx_part { APX_PART_TRAIN, APX_PART_VALIDATION, APX_PART_TEST, APX_PARTS };

/* "train", "validation", "test". Static storage. */
const char *apx_part_name(enum apx_part part);

struct apx_parts {
    size_t count[APX_PARTS];
    size_t *windows[APX_PARTS]; /* [count] first rows, ascending */
    float *x_center, *x_scale;  /* [features]: scaled = (value - center) / scale, in float32 */
    float *y_center, *y_scale;  /* [targets]; the feature's where the target is one */
    float *x;                   /* [rows, features] scaled */
    float *y;                   /* [rows, targets] scaled */
};

/* Adds notes to the dataset (constant columns). On failure there is nothing to release.
 *   APX_EINVAL: a part has no window (field: the part); APX_ENOMEM */
enum apx_status apx_parts_make(const struct apx_train_config *config, struct apx_dataset *data,
                               struct apx_parts *parts, struct apx_error *error);
void apx_parts_fini(struct apx_parts *parts);

#endif
