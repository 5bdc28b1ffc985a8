/* SPDX-License-Identifier: Apache-2.0 */
/* parts.c - ends of parts, scalers, windows.
 *
 * Scaling is done in float32 with the very operations of the exported graph (subtract, divide), so
 * that the trainer learns from the numbers that the model will see. */
#include "train/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"

const char *apx_part_name(enum apx_part part)
{
    static const char *const names[] = {"train", "validation", "test"};
    return names[part];
}

/* ends[part]: one past the last row of the part. */
static void split(const struct apx_train_config *config, const struct apx_series *series,
                  size_t ends[APX_PARTS])
{
    double rows = (double)series->rows;
    ends[APX_PART_TRAIN] = series->first + (size_t)llround(rows * config->split_train);
    ends[APX_PART_VALIDATION] =
        series->first + (size_t)llround(rows * (config->split_train + config->split_validation));
    ends[APX_PART_TEST] = series->first + series->rows;
}

/* The part that a window starting at `row` belongs to; APX_PARTS for none. */
static enum apx_part part_of(const struct apx_train_config *config, const struct apx_dataset *data,
                             const size_t ends[APX_PARTS], size_t row)
{
    size_t first = row + config->steps, last = first + config->horizon - 1;
    if (last >= data->segment_end[row])
        return APX_PARTS;
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS; part++) {
        if (last < ends[part])
            return part == APX_PART_TRAIN || first >= ends[part - 1] ? part : APX_PARTS;
    }
    return APX_PARTS;
}

static enum apx_status cut_windows(const struct apx_train_config *config,
                                   const struct apx_dataset *data, struct apx_parts *parts,
                                   struct apx_error *error)
{
    size_t ends[APX_PARTS];
    for (int pass = 0; pass < 2; pass++) { /* count, then fill in */
        for (int part = 0; part < APX_PARTS; part++) {
            if (pass == 1) {
                parts->windows[part] = malloc((parts->count[part] + 1) * sizeof(size_t));
                if (parts->windows[part] == NULL)
                    return apx_fail(error, APX_ENOMEM, "data.files", "out of memory");
            }
            parts->count[part] = 0;
        }
        for (size_t i = 0; i < data->series_count; i++) {
            const struct apx_series *series = &data->series[i];
            split(config, series, ends);
            for (size_t row = series->first; row < series->first + series->rows; row++) {
                enum apx_part part = part_of(config, data, ends, row);
                if (part == APX_PARTS)
                    continue;
                if (pass == 1)
                    parts->windows[part][parts->count[part]] = row;
                parts->count[part]++;
            }
        }
    }
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS; part++) {
        if (parts->count[part] == 0)
            return apx_fail(error, APX_EINVAL, apx_part_name(part),
                            "%s: the %s part has no window of %zu + %zu rows without a break; "
                            "give more data, or smaller window.steps and window.horizon",
                            config->path, apx_part_name(part), config->steps, config->horizon);
    }
    return APX_OK;
}

/* A column's values at training rows: what the scaler sees. */
struct column {
    const struct apx_dataset *data;
    size_t index;
    bool is_target;
};

static double value_at(const struct column *column, size_t row)
{
    const struct apx_dataset *data = column->data;
    if (column->is_target)
        return data->y[row * data->targets + column->index];
    return (double)data->x[row * data->features + column->index];
}

static void fit_scaler(const struct apx_train_config *config, struct apx_dataset *data,
                       const struct column *column, float *center, float *scale)
{
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY, count = 0, mean = 0;
    for (int pass = 0; pass < 2; pass++) { /* the mean first: no cancellation in the deviation */
        for (size_t i = 0; i < data->series_count; i++) {
            size_t ends[APX_PARTS];
            split(config, &data->series[i], ends);
            for (size_t row = data->series[i].first; row < ends[APX_PART_TRAIN]; row++) {
                double value = value_at(column, row);
                if (pass == 0) {
                    sum += value;
                    count++;
                    least = fmin(least, value);
                    most = fmax(most, value);
                } else {
                    squares += (value - mean) * (value - mean);
                }
            }
        }
        mean = sum / count;
    }
    double from = config->scaler == APX_SCALER_STANDARD ? mean : least;
    double size = config->scaler == APX_SCALER_STANDARD ? sqrt(squares / count) : most - least;
    *center = (float)from;
    *scale = (float)size;
    if (!(least < most) || !(*scale > 0) || !isfinite(1.0f / *scale)) {
        *scale = 1.0f;
        apx_notes_add(
            &data->notes,
            "column \"%s\" is constant (%g) in the training part; its scale is taken as 1",
            column->is_target ? data->target_names[column->index]
                              : data->feature_names[column->index],
            least);
    }
}

static enum apx_status scale(const struct apx_train_config *config, struct apx_dataset *data,
                             struct apx_parts *parts, struct apx_error *error)
{
    size_t features = data->features, targets = data->targets, rows = data->rows;
    parts->x_center = malloc(features * sizeof(float));
    parts->x_scale = malloc(features * sizeof(float));
    parts->y_center = malloc(targets * sizeof(float));
    parts->y_scale = malloc(targets * sizeof(float));
    parts->x = malloc(rows * features * sizeof(float));
    parts->y = malloc(rows * targets * sizeof(float));
    if (parts->x_center == NULL || parts->x_scale == NULL || parts->y_center == NULL ||
        parts->y_scale == NULL || parts->x == NULL || parts->y == NULL)
        return apx_fail(error, APX_ENOMEM, "data.files", "out of memory at %zu rows", rows);
    for (size_t i = 0; i < features; i++) {
        struct column column = {data, i, false};
        fit_scaler(config, data, &column, &parts->x_center[i], &parts->x_scale[i]);
    }
    for (size_t i = 0; i < targets; i++) {
        struct column column = {data, i, true};
        int feature = data->target_feature[i];
        if (feature >= 0) {
            parts->y_center[i] = parts->x_center[feature];
            parts->y_scale[i] = parts->x_scale[feature];
        } else {
            fit_scaler(config, data, &column, &parts->y_center[i], &parts->y_scale[i]);
        }
    }
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < features; i++) {
            size_t at = row * features + i;
            parts->x[at] = (data->x[at] - parts->x_center[i]) / parts->x_scale[i];
        }
        for (size_t i = 0; i < targets; i++) {
            size_t at = row * targets + i;
            parts->y[at] = ((float)data->y[at] - parts->y_center[i]) / parts->y_scale[i];
        }
    }
    return APX_OK;
}

enum apx_status apx_parts_make(const struct apx_train_config *config, struct apx_dataset *data,
                               struct apx_parts *parts, struct apx_error *error)
{
    *parts = (struct apx_parts){0};
    enum apx_status status = cut_windows(config, data, parts, error);
    if (status == APX_OK)
        status = scale(config, data, parts, error);
    if (status != APX_OK)
        apx_parts_fini(parts);
    return status;
}

void apx_parts_fini(struct apx_parts *parts)
{
    for (int part = 0; part < APX_PARTS; part++)
        free(parts->windows[part]);
    free(parts->x_center);
    free(parts->x_scale);
    free(parts->y_center);
    free(parts->y_scale);
    free(parts->x);
    free(parts->y);
    *parts = (struct apx_parts){0};
}
