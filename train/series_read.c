/* SPDX-License-Identifier: Apache-2.0 */
/* series_read.c - which rows of a file are kept, and where time breaks.
 *
 * First time is looked at (rows that repeat it, places where it jumps), then missing values within
 * each even stretch, and then the rows that are left are copied with the ends of their segments. */
#include "train/series_read.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "train/timestamp.h"

enum fate { KEPT, FILLED, REPEATED, MISSING };

/* One file on its way into the dataset. */
struct reading {
    const struct apx_train_config *config;
    const struct apx_table *table;
    struct apx_dataset *data;
    struct apx_series *series;
    size_t rows, columns;      /* columns: features, then targets */
    const double **columns_in; /* [columns] of the table */
    double *values;            /* [rows, columns] */
    double *times;             /* [rows] or NULL */
    unsigned char *fates;      /* [rows] enum fate */
    bool *cut;                 /* [rows] a segment starts here */
};

/* Counts findings of one kind; the first few are spelled out. */
struct tally {
    struct reading *reading;
    size_t count;
};

static void found(struct tally *tally, size_t row, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void found(struct tally *tally, size_t row, const char *format, ...)
{
    if (tally->count++ >= APX_NOTES_SHOWN)
        return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    apx_notes_add(&tally->reading->data->notes, "%s:%zu: %s", tally->reading->series->label,
                  tally->reading->table->lines[row], text);
}

static void close_tally(const struct tally *tally, const char *what)
{
    if (tally->count > APX_NOTES_SHOWN)
        apx_notes_add(&tally->reading->data->notes, "%s: %zu %s in all",
                      tally->reading->series->label, tally->count, what);
}

enum apx_status apx_series_find_column(const struct apx_table *table, const char *path,
                                       const char *name, int *index, struct apx_error *error)
{
    *index = apx_table_find(table, name);
    if (*index >= 0)
        return APX_OK;
    char known[200] = "";
    size_t length = 0;
    for (size_t i = 0; i < table->columns && length + 2 < sizeof known; i++)
        length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", i > 0 ? ", " : "",
                                   table->column[i].name);
    return apx_fail(error, APX_ENOTFOUND, name, "%s: no column \"%.60s\"; there are: %s", path,
                    name, known);
}

static enum apx_status text_column(const struct reading *reading, int index,
                                   struct apx_error *error)
{
    const struct apx_table_column *column = &reading->table->column[index];
    const char *text = "";
    for (size_t row = 0; row < reading->rows; row++) {
        if (reading->table->lines[row] == column->first_text)
            text = column->texts[row];
    }
    return apx_fail(error, APX_EINVAL, column->name,
                    "%s:%zu: column \"%.60s\": \"%.40s\" is not a number; name the features in "
                    "data.columns",
                    reading->series->path, column->first_text, column->name, text);
}

/* Features and targets become float32; what would be an infinity then is no missing value. */
static enum apx_status check_range(const struct reading *reading, int index,
                                   struct apx_error *error)
{
    const struct apx_table_column *column = &reading->table->column[index];
    if (column->first_beyond > 0)
        return apx_fail(error, APX_EINVAL, column->name,
                        "%s:%zu: column \"%.60s\" has a number beyond float64",
                        reading->series->path, column->first_beyond, column->name);
    for (size_t row = 0; row < reading->rows; row++) {
        if (isfinite(column->numbers[row]) && isinf((float)column->numbers[row]))
            return apx_fail(error, APX_EINVAL, column->name,
                            "%s:%zu: column \"%.60s\": %.9g is beyond float32, which networks are "
                            "trained in",
                            reading->series->path, reading->table->lines[row], column->name,
                            column->numbers[row]);
    }
    return APX_OK;
}

static enum apx_status take_columns(struct reading *reading, struct apx_error *error)
{
    const struct apx_dataset *data = reading->data;
    for (size_t i = 0; i < reading->columns; i++) {
        const char *name =
            i < data->features ? data->feature_names[i] : data->target_names[i - data->features];
        int index;
        enum apx_status status =
            apx_series_find_column(reading->table, reading->series->path, name, &index, error);
        if (status != APX_OK)
            return status;
        if (reading->table->column[index].is_text)
            return text_column(reading, index, error);
        status = check_range(reading, index, error);
        if (status != APX_OK)
            return status;
        reading->columns_in[i] = reading->table->column[index].numbers;
    }
    for (size_t row = 0; row < reading->rows; row++) {
        for (size_t i = 0; i < reading->columns; i++)
            reading->values[row * reading->columns + i] = reading->columns_in[i][row];
    }
    return APX_OK;
}

static enum apx_status take_times(struct reading *reading, struct apx_error *error)
{
    const char *name = reading->config->time;
    int index;
    enum apx_status status =
        apx_series_find_column(reading->table, reading->series->path, name, &index, error);
    if (status != APX_OK)
        return status;
    const struct apx_table_column *column = &reading->table->column[index];
    for (size_t row = 0; row < reading->rows; row++) {
        size_t line = reading->table->lines[row];
        if (column->is_text) {
            if (!apx_timestamp_parse(column->texts[row], &reading->times[row]))
                return apx_fail(error, APX_EINVAL, name,
                                "%s:%zu: \"%.40s\" is not a timestamp; expected YYYY-MM-DD "
                                "[HH:MM[:SS]] or epoch seconds",
                                reading->series->path, line, column->texts[row]);
        } else if (isfinite(column->numbers[row])) {
            reading->times[row] = apx_timestamp_number(column->numbers[row]);
        } else {
            return apx_fail(error, APX_EINVAL, name, "%s:%zu: the timestamp is missing",
                            reading->series->path, line);
        }
    }
    return APX_OK;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the positive differences; 0 if there are none. differences: [rows] scratch. */
static double median_step(const double *times, size_t rows, double *differences)
{
    size_t count = 0;
    for (size_t row = 1; row < rows; row++) {
        if (times[row] > times[row - 1])
            differences[count++] = times[row] - times[row - 1];
    }
    if (count == 0)
        return 0;
    qsort(differences, count, sizeof *differences, by_size);
    return differences[count / 2];
}

static enum apx_status look_at_times(struct reading *reading, struct apx_error *error)
{
    struct tally repeated = {reading, 0}, backward = {reading, 0}, gaps = {reading, 0};
    double step = reading->series->step;
    size_t last = 0, uneven = 0;
    for (size_t row = 1; row < reading->rows; row++) {
        double moved = reading->times[row] - reading->times[last];
        if (moved == 0) {
            reading->fates[row] = REPEATED;
            found(&repeated, row, "repeats the time of line %zu; the row is left out",
                  reading->table->lines[last]);
            continue;
        }
        if (moved < 0) {
            reading->cut[row] = true;
            found(&backward, row, "time goes back by %g s; no window crosses this line", -moved);
        } else if (moved > 1.5 * step) {
            reading->cut[row] = true;
            found(&gaps, row, "a gap of %g s where the step is %g s; no window crosses it", moved,
                  step);
        } else if (fabs(moved - step) > 0.01 * step) {
            uneven++;
        }
        last = row;
    }
    close_tally(&repeated, "rows that repeat a time");
    close_tally(&backward, "places where time goes back");
    close_tally(&gaps, "gaps");
    if (uneven > 0)
        apx_notes_add(&reading->data->notes,
                      "%s: %zu of %zu steps differ from the median of %g s by more than 1 %%, but "
                      "are no gaps; they are taken as one step",
                      reading->series->label, uneven, reading->rows - 1, step);
    if (repeated.count > reading->rows / 2)
        return apx_fail(error, APX_EINVAL, reading->config->time,
                        "%s: %zu of %zu rows repeat the time of the row before: is data.time the "
                        "whole timestamp, and is there one series in the file?",
                        reading->series->path, repeated.count, reading->rows);
    return APX_OK;
}

static bool is_missing(const struct reading *reading, size_t row)
{
    for (size_t i = 0; i < reading->columns; i++) {
        if (!isfinite(reading->values[row * reading->columns + i]))
            return true;
    }
    return false;
}

/* Fill rows from..to-1, whose neighbours from-1 and to are whole, along a straight line. */
static void fill(struct reading *reading, size_t from, size_t to)
{
    size_t columns = reading->columns;
    const double *left = reading->values + (from - 1) * columns;
    const double *right = reading->values + to * columns;
    size_t steps = 0, at = 0;
    for (size_t row = from; row < to; row++)
        steps += reading->fates[row] != REPEATED;
    for (size_t row = from; row < to; row++) {
        if (reading->fates[row] == REPEATED)
            continue;
        double share = (double)++at / (double)(steps + 1);
        for (size_t i = 0; i < columns; i++) {
            double *value = &reading->values[row * columns + i];
            if (!isfinite(*value))
                *value = left[i] + share * (right[i] - left[i]);
        }
        reading->fates[row] = FILLED;
        reading->series->filled++;
    }
}

static enum apx_status look_at_values(struct reading *reading, struct apx_error *error)
{
    const struct apx_train_config *config = reading->config;
    struct tally left_out = {reading, 0}, filled = {reading, 0};
    for (size_t row = 0; row < reading->rows; row++) {
        if (reading->fates[row] == REPEATED || !is_missing(reading, row))
            continue;
        if (config->missing == APX_MISSING_ERROR)
            return apx_fail(error, APX_EINVAL, "data.missing",
                            "%s:%zu: a value is missing (data.missing: error); drop or interpolate "
                            "would go on",
                            reading->series->path, reading->table->lines[row]);
        size_t end = row, length = 0; /* of the run, up to a break in time */
        while (end < reading->rows && (end == row || !reading->cut[end]) &&
               (reading->fates[end] == REPEATED || is_missing(reading, end)))
            length += reading->fates[end++] != REPEATED;
        bool inside = row > 0 && !reading->cut[row] && reading->fates[row - 1] == KEPT &&
                      end < reading->rows && !reading->cut[end];
        if (config->missing == APX_MISSING_INTERPOLATE && inside &&
            length <= config->missing_limit) {
            found(&filled, row, "%zu row%s with missing values filled in", length,
                  length > 1 ? "s" : "");
            fill(reading, row, end);
        } else {
            found(&left_out, row, "%zu row%s with missing values left out; no window crosses %s",
                  length, length > 1 ? "s" : "", length > 1 ? "them" : "it");
            for (size_t i = row; i < end; i++) {
                if (reading->fates[i] != REPEATED)
                    reading->fates[i] = MISSING;
            }
        }
        row = end - 1;
    }
    close_tally(&left_out, "runs of rows left out");
    close_tally(&filled, "runs of rows filled in");
    return APX_OK;
}

static enum apx_status grow(struct apx_dataset *data, size_t rows, struct apx_error *error)
{
    size_t count = data->rows + rows;
    if (count > APX_LIMIT_DATASET_ROWS)
        return apx_fail(error, APX_ELIMIT, "data.files",
                        "more than %d rows in all (APX_LIMIT_DATASET_ROWS)",
                        APX_LIMIT_DATASET_ROWS);
    float *x = realloc(data->x, (count * data->features + 1) * sizeof *x);
    if (x != NULL)
        data->x = x;
    double *y = realloc(data->y, (count * data->targets + 1) * sizeof *y);
    if (y != NULL)
        data->y = y;
    size_t *start = realloc(data->segment_start, (count + 1) * sizeof *start);
    if (start != NULL)
        data->segment_start = start;
    size_t *end = realloc(data->segment_end, (count + 1) * sizeof *end);
    if (end != NULL)
        data->segment_end = end;
    if (x == NULL || y == NULL || start == NULL || end == NULL)
        return apx_fail(error, APX_ENOMEM, "data.files", "out of memory at %zu rows", count);
    return APX_OK;
}

static void keep_rows(struct reading *reading)
{
    struct apx_dataset *data = reading->data;
    struct apx_series *series = reading->series;
    size_t segment = data->rows;
    bool cut = true;
    series->first = data->rows;
    for (size_t row = 0; row < reading->rows; row++) {
        if (reading->cut[row] || reading->fates[row] == MISSING)
            cut = true;
        if (reading->fates[row] == REPEATED || reading->fates[row] == MISSING) {
            series->dropped++;
            continue;
        }
        size_t to = data->rows++;
        if (cut) {
            series->cuts += to > series->first;
            segment = to;
            cut = false;
        }
        data->segment_start[to] = segment;
        const double *values = reading->values + row * reading->columns;
        for (size_t i = 0; i < data->features; i++)
            data->x[to * data->features + i] = (float)values[i];
        for (size_t i = 0; i < data->targets; i++)
            data->y[to * data->targets + i] = values[data->features + i];
    }
    series->rows = data->rows - series->first;
    size_t end = data->rows;
    for (size_t row = data->rows; row-- > series->first;) {
        data->segment_end[row] = end;
        if (data->segment_start[row] == row)
            end = row;
    }
}

enum apx_status apx_series_append(const struct apx_train_config *config,
                                  const struct apx_table *table, struct apx_dataset *data,
                                  struct apx_series *series, struct apx_error *error)
{
    struct reading reading = {.config = config,
                              .table = table,
                              .data = data,
                              .series = series,
                              .rows = table->rows,
                              .columns = data->features + data->targets};
    size_t rows = table->rows + 1; /* never an empty allocation */
    double *differences = malloc(rows * sizeof *differences);
    reading.columns_in = calloc(reading.columns, sizeof *reading.columns_in);
    reading.values = malloc(rows * reading.columns * sizeof *reading.values);
    reading.times = malloc(rows * sizeof *reading.times);
    reading.fates = calloc(rows, sizeof *reading.fates);
    reading.cut = calloc(rows, sizeof *reading.cut);
    enum apx_status status;
    if (differences == NULL || reading.columns_in == NULL || reading.values == NULL ||
        reading.times == NULL || reading.fates == NULL || reading.cut == NULL) {
        status = apx_fail(error, APX_ENOMEM, "data.files", "%s: out of memory", series->path);
        goto done;
    }
    status = grow(data, table->rows, error);
    if (status == APX_OK)
        status = take_columns(&reading, error);
    if (status == APX_OK && config->time != NULL) {
        status = take_times(&reading, error);
        if (status == APX_OK) {
            series->step = median_step(reading.times, table->rows, differences);
            if (series->step == 0 && table->rows > 1)
                status = apx_fail(error, APX_EINVAL, config->time, "%s: time never goes forward",
                                  series->path);
        }
        if (status == APX_OK)
            status = look_at_times(&reading, error);
    }
    if (status == APX_OK)
        status = look_at_values(&reading, error);
    if (status == APX_OK)
        keep_rows(&reading);
done:
    free(differences);
    free(reading.columns_in);
    free(reading.values);
    free(reading.times);
    free(reading.fates);
    free(reading.cut);
    return status;
}
