/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - the report as JSON and CSV. */
#include "train/report.h"

#include <inttypes.h>
#include <math.h>

#include "train/environment.h"

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *metrics_json(const struct apx_metrics *m)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:I}", "rmse", number(m->rmse), "mae",
                     number(m->mae), "mse", number(m->mse), "mape", number(m->mape), "mape_count",
                     (json_int_t)m->mape_count, "r2", number(m->r2), "count", (json_int_t)m->count);
}

static json_t *score_json(const struct apx_report *report, const struct apx_score *score)
{
    json_t *ahead = json_array(), *targets = json_array();
    for (size_t i = 0; i < report->evaluation->horizon; i++)
        json_array_append_new(ahead, number(score->ahead_rmse[i]));
    for (size_t i = 0; i < report->data->targets; i++)
        json_array_append_new(targets,
                              json_pack("{s:s, s:o, s:o}", "name", report->data->target_names[i],
                                        "scaled", metrics_json(&score->target_scaled[i]), "real",
                                        metrics_json(&score->target_real[i])));
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "windows", (json_int_t)score->windows, "scaled",
                     metrics_json(&score->scaled), "real", metrics_json(&score->real),
                     "rmse_by_row_ahead", ahead, "targets", targets);
}

static json_t *all_scores_json(const struct apx_report *report)
{
    json_t *all = json_object();
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS; part++) {
        const struct apx_score *scores = report->evaluation->score[part];
        json_t *by = json_object();
        for (enum apx_forecaster i = APX_BY_MODEL; i < APX_FORECASTERS; i++) {
            bool same = scores[i].windows == scores[APX_BY_MODEL].windows;
            if (i == APX_BY_MODEL_WHERE_SEASON && same)
                continue;
            json_object_set_new(by, apx_forecaster_name(i), score_json(report, &scores[i]));
        }
        json_object_set_new(all, apx_part_name(part), by);
    }
    return all;
}

static json_t *series_json(const struct apx_report *report)
{
    json_t *all = json_array();
    for (size_t i = 0; i < report->evaluation->series; i++) {
        const double *rmse = report->evaluation->series_rmse[i];
        json_array_append_new(
            all, json_pack("{s:s, s:o, s:o, s:o}", "file", report->data->series[i].label,
                           apx_forecaster_name(APX_BY_MODEL), number(rmse[APX_BY_MODEL]),
                           apx_forecaster_name(APX_BY_LAST_VALUE), number(rmse[APX_BY_LAST_VALUE]),
                           apx_forecaster_name(APX_BY_SEASON), number(rmse[APX_BY_SEASON])));
    }
    return all;
}

static json_t *data_json(const struct apx_report *report)
{
    const struct apx_dataset *data = report->data;
    json_t *files = json_array(), *notes = json_array(), *windows = json_object();
    json_t *features = json_array(), *targets = json_array();
    for (size_t i = 0; i < data->series_count; i++) {
        const struct apx_series *series = &data->series[i];
        json_array_append_new(
            files, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "file", series->label, "sha256",
                             series->sha256, "rows", (json_int_t)series->rows, "rows_left_out",
                             (json_int_t)series->dropped, "rows_filled", (json_int_t)series->filled,
                             "breaks", (json_int_t)series->cuts, "step_seconds", series->step));
    }
    for (size_t i = 0; i < data->notes.count; i++)
        json_array_append_new(notes, json_string(data->notes.item[i]));
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS; part++)
        json_object_set_new(windows, apx_part_name(part),
                            json_integer((json_int_t)report->parts->count[part]));
    for (size_t i = 0; i < data->features; i++)
        json_array_append_new(features, json_pack("{s:s, s:f, s:f}", "name", data->feature_names[i],
                                                  "center", (double)report->parts->x_center[i],
                                                  "scale", (double)report->parts->x_scale[i]));
    for (size_t i = 0; i < data->targets; i++)
        json_array_append_new(
            targets,
            json_pack("{s:s, s:s?, s:f, s:f}", "name", data->target_names[i], "unit",
                      i < report->config->units.count ? report->config->units.item[i] : NULL,
                      "center", (double)report->parts->y_center[i], "scale",
                      (double)report->parts->y_scale[i]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "sha256",
                     report->names->data_sha256, "files", files, "windows", windows, "features",
                     features, "targets", targets, "season", (json_int_t)data->season, "steps",
                     (json_int_t)report->config->steps, "horizon",
                     (json_int_t)report->config->horizon, "notes", notes);
}

json_t *apx_report_json(const struct apx_report *report)
{
    char verdict[1024];
    const struct apx_fit *fit = report->fit;
    apx_report_verdict(report, verdict, sizeof verdict);
    return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:{s:I, s:I, s:s, s:f, s:I}, s:o, s:{s:I, "
                     "s:o, s:o, s:f}, s:o}",
                     "model", report->config->name, "verdict", verdict, "config_sha256",
                     report->names->config_sha256, "seed", (json_int_t)report->config->seed,
                     "metrics", all_scores_json(report), "test_rmse_by_series", series_json(report),
                     "training", "epochs", (json_int_t)fit->epochs, "best_epoch",
                     (json_int_t)fit->best, "stopped", apx_fit_stop_text(fit->stop), "seconds",
                     report->seconds, "parameters", (json_int_t)report->net->parameters, "data",
                     data_json(report), "read_back", "windows", (json_int_t)report->match->windows,
                     "worst_difference", number(report->match->worst), "worst_share_of_scale",
                     number(report->match->share), "tolerance", APX_EXPORT_TOLERANCE, "environment",
                     apx_environment_json(report->net->desc.caps, report->threads));
}

const struct apx_metrics *apx_report_metrics(const struct apx_report *report, enum apx_part part,
                                             enum apx_forecaster by)
{
    const struct apx_score *score = &report->evaluation->score[part][by];
    return report->data->targets == 1 ? &score->real : &score->scaled;
}

json_t *apx_report_summary(const struct apx_report *report)
{
    const struct apx_metrics *test = apx_report_metrics(report, APX_PART_TEST, APX_BY_MODEL);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "test_rmse", number(test->rmse),
                     "last_value_test_rmse",
                     number(apx_report_metrics(report, APX_PART_TEST, APX_BY_LAST_VALUE)->rmse),
                     "seasonal_naive_test_rmse",
                     number(apx_report_metrics(report, APX_PART_TEST, APX_BY_SEASON)->rmse),
                     "test_mae", number(test->mae), "test_mape", number(test->mape), "test_r2",
                     number(test->r2), "validation_rmse",
                     number(apx_report_metrics(report, APX_PART_VALIDATION, APX_BY_MODEL)->rmse),
                     "train_rmse",
                     number(apx_report_metrics(report, APX_PART_TRAIN, APX_BY_MODEL)->rmse));
}

void apx_report_history(const struct apx_fit *fit, FILE *file)
{
    fputs("epoch,learning_rate,train_loss,validation_loss,gradient_norm,seconds,best\n", file);
    for (size_t i = 0; i < fit->epochs; i++) {
        const struct apx_fit_epoch *epoch = &fit->history[i];
        fprintf(file, "%zu,%.9g,%.9g,%.9g,%.9g,%.3f,%d\n", i + 1, epoch->learning_rate,
                epoch->train_loss, epoch->validation_loss, epoch->norm, epoch->seconds,
                epoch->best);
    }
}
