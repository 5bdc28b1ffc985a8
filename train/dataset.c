/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.c - from patterns to files, from files to series.
 *
 * Patterns are expanded in sorted order, so that the order of the series, and with it every bit of
 * the result, does not depend on the directory. The first file decides what the columns are. */
#include "train/dataset.h"

#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/table.h"
#include "train/file_hash.h"
#include "train/series_read.h"

/* Every file is read twice, for its name (SHA-256) and for its rows. */
static enum apx_status check_regular(const char *path, struct apx_error *error)
{
    struct stat about;
    if (stat(path, &about) != 0 || S_ISREG(about.st_mode)) /* who opens it says what is missing */
        return APX_OK;
    return apx_fail(error, APX_EINVAL, "data.files",
                    "%s: data.files: this is %s, no regular file; data are read more than once",
                    path,
                    S_ISDIR(about.st_mode)    ? "a folder"
                    : S_ISFIFO(about.st_mode) ? "a pipe"
                                              : "a device or a socket");
}

static enum apx_status add_file(struct apx_dataset *data, const char *path, const char *label,
                                struct apx_error *error)
{
    enum apx_status status = check_regular(path, error);
    if (status != APX_OK)
        return status;
    struct apx_series *series =
        realloc(data->series, (data->series_count + 1) * sizeof *data->series);
    if (series == NULL)
        return apx_fail(error, APX_ENOMEM, "data.files", "out of memory");
    data->series = series;
    series += data->series_count;
    *series = (struct apx_series){.path = strdup(path), .label = strdup(label)};
    data->series_count++;
    if (series->path == NULL || series->label == NULL)
        return apx_fail(error, APX_ENOMEM, "data.files", "out of memory");
    return APX_OK;
}

/* A file of that very name comes before any meaning as a pattern. */
static enum apx_status expand(const struct apx_train_config *config, struct apx_dataset *data,
                              struct apx_error *error)
{
    for (size_t i = 0; i < config->files.count; i++) {
        const char *given = config->files.item[i];
        enum apx_status status = APX_OK;
        char *path = apx_train_config_path(config, given);
        if (path == NULL)
            return apx_fail(error, APX_ENOMEM, "data.files", "out of memory");
        glob_t found = {0};
        if (access(path, F_OK) == 0 || strpbrk(given, "*?[") == NULL) {
            status = add_file(data, path, given, error);
        } else {
            int result = glob(path, 0, NULL, &found);
            if (result != 0)
                status = apx_fail(error, result == GLOB_NOSPACE ? APX_ENOMEM : APX_ENOTFOUND,
                                  "data.files", "%s: data.files: no file matches \"%.80s\"",
                                  config->path, path);
            /* labels are relative to the same folder as the pattern */
            size_t skip = given[0] == '/' ? 0 : strlen(config->folder);
            for (size_t k = 0; result == 0 && k < found.gl_pathc && status == APX_OK; k++)
                status = add_file(data, found.gl_pathv[k], found.gl_pathv[k] + skip, error);
            if (result == 0)
                globfree(&found);
        }
        free(path);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

static enum apx_status copy_names(char ***names, size_t *count, char *const *from, size_t n,
                                  struct apx_error *error)
{
    *names = calloc(n + 1, sizeof **names);
    if (*names == NULL)
        return apx_fail(error, APX_ENOMEM, "data.columns", "out of memory");
    for (size_t i = 0; i < n; i++) {
        (*names)[i] = strdup(from[i]);
        if ((*names)[i] == NULL)
            return apx_fail(error, APX_ENOMEM, "data.columns", "out of memory");
        (*count)++;
    }
    return APX_OK;
}

static enum apx_status choose_columns(const struct apx_train_config *config,
                                      const struct apx_table *table, struct apx_dataset *data,
                                      struct apx_error *error)
{
    enum apx_status status = APX_OK;
    int time;
    if (config->time != NULL)
        status = apx_series_find_column(table, data->series[0].path, config->time, &time, error);
    if (status != APX_OK)
        return status;
    if (config->columns.count > 0) {
        status = copy_names(&data->feature_names, &data->features, config->columns.item,
                            config->columns.count, error);
    } else {
        char **names = calloc(table->columns + 1, sizeof *names);
        size_t count = 0;
        if (names == NULL)
            return apx_fail(error, APX_ENOMEM, "data.columns", "out of memory");
        for (size_t i = 0; i < table->columns; i++) {
            char *name = (char *)(uintptr_t)table->column[i].name;
            if (config->time == NULL || strcmp(name, config->time) != 0)
                names[count++] = name;
        }
        status = copy_names(&data->feature_names, &data->features, names, count, error);
        free(names);
    }
    if (status != APX_OK)
        return status;
    if (data->features == 0)
        return apx_fail(error, APX_EINVAL, "data.columns", "%s: no column but the time",
                        data->series[0].path);
    if (config->targets.count > 0)
        status = copy_names(&data->target_names, &data->targets, config->targets.item,
                            config->targets.count, error);
    else if (data->features == 1)
        status = copy_names(&data->target_names, &data->targets, data->feature_names, 1, error);
    else
        status = apx_fail(error, APX_EINVAL, "data.targets",
                          "%s: data.targets: must be named, since there are %zu features",
                          config->path, data->features);
    if (status != APX_OK)
        return status;
    data->target_feature = calloc(data->targets, sizeof *data->target_feature);
    if (data->target_feature == NULL)
        return apx_fail(error, APX_ENOMEM, "data.targets", "out of memory");
    for (size_t i = 0; i < data->targets; i++) {
        data->target_feature[i] = -1;
        for (size_t k = 0; k < data->features; k++) {
            if (strcmp(data->target_names[i], data->feature_names[k]) == 0)
                data->target_feature[i] = (int)k;
        }
        if (config->residual && data->target_feature[i] < 0)
            return apx_fail(error, APX_EINVAL, "model.residual",
                            "%s: model.residual: the target \"%.60s\" is no feature, so the model "
                            "does not see its last value",
                            config->path, data->target_names[i]);
    }
    return APX_OK;
}

/* Rows in a season: a day, or a week of days, or a year of months. */
static enum apx_status choose_season(const struct apx_train_config *config,
                                     struct apx_dataset *data, struct apx_error *error)
{
    if (config->season > 0) {
        data->season = config->season;
        return APX_OK;
    }
    const double day = 86400;
    if (data->step == 0)
        return apx_fail(error, APX_EINVAL, "season",
                        "%s: season: must be given in rows, since there is no time column",
                        config->path);
    if (data->step <= day / 2)
        data->season = (size_t)llround(day / data->step);
    else if (data->step <= 2 * day)
        data->season = 7;
    else if (data->step < 14 * day)
        data->season = 52;
    else
        data->season = data->step < 100 * day ? 12 : 1;
    return APX_OK;
}

static enum apx_status read_series(const struct apx_train_config *config, struct apx_dataset *data,
                                   size_t index, struct apx_error *error)
{
    struct apx_series *series = &data->series[index];
    struct apx_table *table = NULL;
    char separator = config->separator[0];
    if (strcmp(config->separator, "tab") == 0)
        separator = '\t';
    enum apx_status status = apx_file_sha256(series->path, series->sha256, error);
    if (status == APX_OK)
        status = apx_table_read_csv(series->path, separator, &table, error);
    if (status == APX_OK && index == 0)
        status = choose_columns(config, table, data, error);
    if (status == APX_OK)
        status = apx_series_append(config, table, data, series, error);
    apx_table_destroy(table);
    if (status != APX_OK)
        return status;
    if (index == 0)
        data->step = series->step;
    else if (series->step > 1.5 * data->step || series->step < data->step / 1.5)
        return apx_fail(error, APX_EINVAL, "data.files",
                        "%s: its time step is %g s, that of %s is %g s; train on files of one step",
                        series->path, series->step, data->series[0].path, data->step);
    return APX_OK;
}

enum apx_status apx_dataset_read(const struct apx_train_config *config, struct apx_dataset *data,
                                 struct apx_error *error)
{
    *data = (struct apx_dataset){0};
    enum apx_status status = expand(config, data, error);
    for (size_t i = 0; i < data->series_count && status == APX_OK; i++)
        status = read_series(config, data, i, error);
    if (status == APX_OK)
        status = choose_season(config, data, error);
    if (status == APX_OK && config->units.count > 0 && config->units.count != data->targets)
        status = apx_fail(error, APX_EINVAL, "data.units", "%s: data.units: %zu units, %zu targets",
                          config->path, config->units.count, data->targets);
    if (status != APX_OK)
        apx_dataset_fini(data);
    return status;
}

static void release_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

void apx_dataset_fini(struct apx_dataset *data)
{
    for (size_t i = 0; i < data->series_count; i++) {
        free(data->series[i].path);
        free(data->series[i].label);
    }
    free(data->series);
    release_names(data->feature_names, data->features);
    release_names(data->target_names, data->targets);
    free(data->target_feature);
    free(data->x);
    free(data->y);
    free(data->segment_start);
    free(data->segment_end);
    apx_notes_fini(&data->notes);
    *data = (struct apx_dataset){0};
}
