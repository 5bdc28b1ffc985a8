/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - the report for people.
 *
 * A model that does not beat repeating the last value is worth nothing, however good its R2 looks,
 * so that comparison is what the last sentence says, also when it is bad news. Several targets may
 * have different units; then the table is in scaled units. */
#include <math.h>
#include <string.h>

#include "train/report.h"

/* A number or a dash, right-aligned. */
static void cell(FILE *file, int width, double value)
{
    if (isfinite(value))
        fprintf(file, " %*.5g", width, value);
    else
        fprintf(file, " %*s", width, "-");
}

static void series_table(const struct apx_report *report, FILE *file)
{
    enum { SHOWN = 12 };
    const struct apx_evaluation *evaluation = report->evaluation;
    fprintf(file, "\n%-32s %10s %10s %14s\n", "Test RMSE by series", "model", "last value",
            "seasonal naive");
    for (size_t i = 0; i < evaluation->series && i < SHOWN; i++) {
        const char *label = report->data->series[i].label;
        size_t length = strlen(label);
        /* the end of a path tells more than its beginning */
        fprintf(file, "%-32s", length > 32 ? label + length - 32 : label);
        cell(file, 10, evaluation->series_rmse[i][APX_BY_MODEL]);
        cell(file, 10, evaluation->series_rmse[i][APX_BY_LAST_VALUE]);
        cell(file, 14, evaluation->series_rmse[i][APX_BY_SEASON]);
        putc('\n', file);
    }
    if (evaluation->series > SHOWN)
        fprintf(file, "and %zu more in metrics.json\n", evaluation->series - SHOWN);
}

void apx_report_table(const struct apx_report *report, FILE *file)
{
    static const char *const labels[] = {"model", "last value", "seasonal naive",
                                         "model, same windows"};
    const struct apx_train_config *config = report->config;
    bool one = report->data->targets == 1, zeros = false, fewer = false;
    fprintf(file, "\nForecasts of ");
    for (size_t i = 0; i < report->data->targets; i++)
        fprintf(file, "%s%s", i > 0 ? ", " : "", report->data->target_names[i]);
    if (one && config->units.count > 0)
        fprintf(file, " in %s", config->units.item[0]);
    else if (!one)
        fprintf(file, " in scaled units");
    fprintf(file, ", %zu row%s ahead, season %zu rows\n", config->horizon,
            config->horizon > 1 ? "s" : "", report->data->season);
    fprintf(file, "%-32s %8s %10s %10s %10s %9s %8s\n", "", "windows", "RMSE", "MAE", "MSE",
            "MAPE %", "R2");
    for (enum apx_part part = APX_PART_TRAIN; part < APX_PARTS; part++) {
        const struct apx_score *scores = report->evaluation->score[part];
        for (int by = 0; by < APX_FORECASTERS; by++) {
            const struct apx_metrics *m = apx_report_metrics(report, part, (enum apx_forecaster)by);
            bool same = scores[by].windows == scores[APX_BY_MODEL].windows;
            if (by == APX_BY_MODEL_WHERE_SEASON && (same || scores[by].windows == 0))
                continue;
            fewer = fewer || !same;
            zeros = zeros || m->mape_count < m->count;
            fprintf(file, "%-11s %-20s %8zu", by == 0 ? apx_part_name(part) : "", labels[by],
                    scores[by].windows);
            cell(file, 10, m->rmse);
            cell(file, 10, m->mae);
            cell(file, 10, m->mse);
            cell(file, 9, m->mape);
            cell(file, 8, m->r2);
            putc('\n', file);
        }
    }
    if (zeros)
        fprintf(file, "MAPE leaves out targets that are 0 (counts in metrics.json).\n");
    if (fewer)
        fprintf(file, "Windows without a season of unbroken rows before them have no "
                      "seasonal-naive forecast.\n");
    if (report->evaluation->series > 1)
        series_table(report, file);
    char verdict[1024];
    apx_report_verdict(report, verdict, sizeof verdict);
    fprintf(file, "\n%s\n", verdict);
}

static void append(char *text, size_t bytes, const char *more)
{
    size_t length = strlen(text);
    snprintf(text + length, bytes - length, "%s", more);
}

/* "12.3 % lower than last value's (1.2 against 1.4)" */
static void compare(const struct apx_report *report, enum apx_forecaster model,
                    enum apx_forecaster other, const char *name, char *text, size_t bytes)
{
    double a = apx_report_metrics(report, APX_PART_TEST, model)->rmse,
           b = apx_report_metrics(report, APX_PART_TEST, other)->rmse;
    char line[200];
    if (a == b)
        snprintf(line, sizeof line, "equal to %s (%.4g)", name, a);
    else if (b > 0)
        snprintf(line, sizeof line, "%.1f %% %s than %s (%.4g against %.4g)", 100 * fabs(a - b) / b,
                 a < b ? "lower" : "higher", name, a, b);
    else
        snprintf(line, sizeof line, "higher than %s (%.4g against 0)", name, a);
    append(text, bytes, line);
}

static const char *reason(const struct apx_report *report)
{
    double model = apx_report_metrics(report, APX_PART_TRAIN, APX_BY_MODEL)->rmse;
    double last = apx_report_metrics(report, APX_PART_TRAIN, APX_BY_LAST_VALUE)->rmse;
    double season = apx_report_metrics(report, APX_PART_TRAIN, APX_BY_SEASON)->rmse;
    double naive = isfinite(season) ? fmin(last, season) : last;
    if (report->fit->stop == APX_FIT_INTERRUPTED)
        return "The training was interrupted; its best epoch so far is what is judged here.";
    if (naive == 0)
        return "A naive forecast is exact here: the series does not change, and nothing can be "
               "better.";
    if (model < naive)
        return "On the training part it is better than both, so the test part behaves differently "
               "from it, or the network has learnt the training part by heart: try more data, "
               "dropout, l2 or a smaller network.";
    if (report->fit->best == report->fit->epochs && report->fit->stop == APX_FIT_EPOCHS)
        return "The best epoch was the last: more epochs may help.";
    return "It is no better on the training part: the series may move like a random walk, which "
           "nothing beats, or the window holds too little: try model.residual: true, more steps or "
           "more features.";
}

void apx_report_verdict(const struct apx_report *report, char *text, size_t bytes)
{
    const struct apx_score *scores = report->evaluation->score[APX_PART_TEST];
    bool seasonal = scores[APX_BY_SEASON].windows > 0;
    double model = apx_report_metrics(report, APX_PART_TEST, APX_BY_MODEL)->rmse;
    double last = apx_report_metrics(report, APX_PART_TEST, APX_BY_LAST_VALUE)->rmse;
    bool better = model < last;
    if (seasonal)
        better =
            better && apx_report_metrics(report, APX_PART_TEST, APX_BY_MODEL_WHERE_SEASON)->rmse <
                          apx_report_metrics(report, APX_PART_TEST, APX_BY_SEASON)->rmse;
    text[0] = '\0';
    append(text, bytes,
           better ? "The model beats the naive forecasts: its test RMSE is "
                  : "The model does not beat the naive forecasts: its test RMSE is ");
    compare(report, APX_BY_MODEL, APX_BY_LAST_VALUE, "last value's", text, bytes);
    if (seasonal) {
        append(text, bytes, " and ");
        compare(report, APX_BY_MODEL_WHERE_SEASON, APX_BY_SEASON, "the seasonal naive's", text,
                bytes);
        append(text, bytes, ".");
    } else {
        append(text, bytes, "; no test window has a season before it.");
    }
    if (!better) {
        append(text, bytes, " ");
        append(text, bytes, reason(report));
    }
}
