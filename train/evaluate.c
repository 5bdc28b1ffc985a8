/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.c - forecasts of a part side by side, then their metrics. */
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"

const char *apx_forecaster_name(enum apx_forecaster forecaster)
{
    static const char *const names[] = {"model", "last_value", "seasonal_naive",
                                        "model_where_seasonal"};
    return names[forecaster];
}

/* Forecasts of one part: [windows, horizon, targets] each, in real units. */
struct table {
    size_t windows, outputs, targets;
    double *truth, *model, *last, *season;
    bool *has_season; /* [windows] */
    float *scaled;    /* the model's, as the network gives them */
};

static void release_table(struct table *table)
{
    free(table->truth);
    free(table->model);
    free(table->last);
    free(table->season);
    free(table->has_season);
    free(table->scaled);
}

static bool make_table(struct table *table, size_t windows, size_t outputs, size_t targets)
{
    size_t count = windows * outputs;
    *table = (struct table){.windows = windows, .outputs = outputs, .targets = targets};
    table->truth = malloc(count * sizeof(double));
    table->model = malloc(count * sizeof(double));
    table->last = malloc(count * sizeof(double));
    table->season = malloc(count * sizeof(double));
    table->has_season = malloc(windows * sizeof(bool));
    table->scaled = malloc(count * sizeof(float));
    return table->truth != NULL && table->model != NULL && table->last != NULL &&
           table->season != NULL && table->has_season != NULL && table->scaled != NULL;
}

static void naive(const struct apx_dataset *data, const struct apx_learner_data *shape,
                  size_t window, size_t index, struct table *table)
{
    size_t targets = data->targets, known = window + shape->steps; /* first row not known */
    size_t to = index * table->outputs;
    bool whole = true;
    for (size_t ahead = 0; ahead < shape->horizon; ahead++) {
        size_t row = known + ahead, seasons = ahead / data->season + 1;
        size_t back = seasons * data->season;
        bool there = row >= back && row - back >= data->segment_start[window];
        whole = whole && there;
        for (size_t i = 0; i < targets; i++, to++) {
            table->truth[to] = data->y[row * targets + i];
            table->last[to] = data->y[(known - 1) * targets + i];
            table->season[to] = there ? data->y[(row - back) * targets + i] : 0;
        }
    }
    table->has_season[index] = whole;
}

/* The pairs of the chosen windows, real and scaled, into four arrays, and their metrics. */
static enum apx_status score(const struct apx_parts *parts, const struct table *table,
                             const double *forecast, const bool *chosen, struct apx_score *score,
                             struct apx_error *error)
{
    size_t outputs = table->outputs, targets = table->targets, horizon = outputs / targets;
    size_t room = table->windows * outputs, count = 0;
    double *pairs = malloc((4 * room + 1) * sizeof *pairs);
    double *truth = pairs, *real = pairs + room, *truth_scaled = pairs + 2 * room;
    double *scaled = pairs + 3 * room;
    score->target_scaled = calloc(targets, sizeof *score->target_scaled);
    score->target_real = calloc(targets, sizeof *score->target_real);
    score->ahead_rmse = calloc(horizon, sizeof *score->ahead_rmse);
    if (pairs == NULL || score->target_scaled == NULL || score->target_real == NULL ||
        score->ahead_rmse == NULL) {
        free(pairs);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    score->windows = 0;
    for (size_t window = 0; window < table->windows; window++) {
        if (chosen != NULL && !chosen[window])
            continue;
        score->windows++;
        for (size_t k = 0; k < outputs; k++, count++) {
            size_t at = window * outputs + k;
            double center = (double)parts->y_center[k % targets];
            double scale = (double)parts->y_scale[k % targets];
            truth[count] = table->truth[at];
            real[count] = forecast[at];
            truth_scaled[count] = (table->truth[at] - center) / scale;
            scaled[count] = (forecast[at] - center) / scale;
        }
    }
    score->real = apx_metrics_of(truth, real, count, 1);
    score->scaled = apx_metrics_of(truth_scaled, scaled, count, 1);
    for (size_t i = 0; i < targets; i++) {
        score->target_real[i] = apx_metrics_of(truth + i, real + i, count / targets, targets);
        score->target_scaled[i] =
            apx_metrics_of(truth_scaled + i, scaled + i, count / targets, targets);
    }
    for (size_t ahead = 0; ahead < horizon; ahead++) {
        double squares = 0;
        for (size_t window = 0; window < score->windows; window++) {
            for (size_t i = 0; i < targets; i++) {
                size_t at = window * outputs + ahead * targets + i;
                squares += (real[at] - truth[at]) * (real[at] - truth[at]);
            }
        }
        score->ahead_rmse[ahead] = sqrt(squares / (double)(score->windows * targets));
    }
    free(pairs);
    return APX_OK;
}

/* The test part's RMSE of each series. Windows are in the order of the series. */
static void score_series(const struct apx_dataset *data, const struct apx_parts *parts,
                         const struct table *table, const double *const *forecasts,
                         struct apx_evaluation *evaluation)
{
    size_t window = 0;
    for (size_t s = 0; s < data->series_count; s++) {
        size_t end = data->series[s].first + data->series[s].rows;
        double squares[APX_FORECASTERS] = {0}, counts[APX_FORECASTERS] = {0};
        for (; window < table->windows && parts->windows[APX_PART_TEST][window] < end; window++) {
            for (int by = 0; by < APX_FORECASTERS; by++) {
                if ((by == APX_BY_SEASON || by == APX_BY_MODEL_WHERE_SEASON) &&
                    !table->has_season[window])
                    continue;
                for (size_t k = 0; k < table->outputs; k++) {
                    size_t at = window * table->outputs + k;
                    double e = forecasts[by][at] - table->truth[at];
                    if (table->targets > 1)
                        e /= (double)parts->y_scale[k % table->targets];
                    squares[by] += e * e;
                    counts[by]++;
                }
            }
        }
        for (int by = 0; by < APX_FORECASTERS; by++)
            evaluation->series_rmse[s][by] = sqrt(squares[by] / counts[by]);
    }
}

static enum apx_status evaluate_part(const struct apx_dataset *data, const struct apx_parts *parts,
                                     enum apx_part part, struct apx_learner *learner,
                                     const float *params, struct apx_evaluation *evaluation,
                                     struct apx_error *error)
{
    size_t windows = parts->count[part], outputs = learner->net->desc.outputs;
    size_t targets = data->targets;
    struct apx_score *scores = evaluation->score[part];
    struct table table;
    enum apx_status status = APX_OK;
    if (!make_table(&table, windows, outputs, targets)) {
        release_table(&table);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    apx_learner_forecast(learner, params, parts->windows[part], windows, table.scaled);
    for (size_t k = 0; k < windows * outputs; k++) {
        /* float32, with the operations of the exported graph */
        float product = table.scaled[k] * parts->y_scale[k % targets];
        float real = product + parts->y_center[k % targets];
        table.model[k] = (double)real;
        if (part == APX_PART_TEST)
            evaluation->test[k] = real;
    }
    for (size_t i = 0; i < windows; i++)
        naive(data, learner->data, parts->windows[part][i], i, &table);
    const double *forecasts[APX_FORECASTERS] = {table.model, table.last, table.season, table.model};
    for (int by = 0; by < APX_FORECASTERS && status == APX_OK; by++) {
        bool seasonal = by == APX_BY_SEASON || by == APX_BY_MODEL_WHERE_SEASON;
        status = score(parts, &table, forecasts[by], seasonal ? table.has_season : NULL,
                       &scores[by], error);
    }
    if (part == APX_PART_TEST)
        score_series(data, parts, &table, forecasts, evaluation);
    release_table(&table);
    return status;
}

enum apx_status apx_evaluate(const struct apx_dataset *data, const struct apx_parts *parts,
                             struct apx_learner *learner, const float *params,
                             struct apx_evaluation *evaluation, struct apx_error *error)
{
    enum apx_status status = APX_OK;
    *evaluation = (struct apx_evaluation){
        .targets = data->targets, .horizon = learner->data->horizon, .series = data->series_count};
    evaluation->test =
        malloc(parts->count[APX_PART_TEST] * learner->net->desc.outputs * sizeof(float));
    evaluation->series_rmse = calloc(data->series_count, sizeof *evaluation->series_rmse);
    if (evaluation->test == NULL || evaluation->series_rmse == NULL) {
        apx_evaluation_fini(evaluation);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS && status == APX_OK; part++)
        status = evaluate_part(data, parts, part, learner, params, evaluation, error);
    if (status != APX_OK)
        apx_evaluation_fini(evaluation);
    return status;
}

void apx_evaluation_fini(struct apx_evaluation *evaluation)
{
    for (int part = 0; part < APX_PARTS; part++) {
        for (int by = 0; by < APX_FORECASTERS; by++) {
            free(evaluation->score[part][by].target_scaled);
            free(evaluation->score[part][by].target_real);
            free(evaluation->score[part][by].ahead_rmse);
        }
    }
    free(evaluation->test);
    free(evaluation->series_rmse);
    *evaluation = (struct apx_evaluation){0};
}
