/* SPDX-License-Identifier: Apache-2.0 */
/* parts_test.c - windows stay in their part and segment, scalers see the training part alone, and
 * the naive forecasts are what they say. */
#include <cblas.h>

#include "tests/train/scratch.h"
#include "train/evaluate.h"

enum { ROWS = 100 };

static struct apx_train_config config;
static struct apx_dataset data;
static struct apx_parts parts;
static struct apx_error error;

/* Two series of ROWS rows; the value of row i is i, in series 2 1000 + i; series 2 has a gap before
 * row 40. */
static void make(const char *more)
{
    char yaml[512];
    for (int s = 1; s <= 2; s++) {
        char csv[4000] = "t,v\n", name[16];
        for (int i = 0; i < ROWS; i++)
            sprintf(csv + strlen(csv), "%d,%d\n", (s == 2 && i >= 40 ? 500 : 0) + i,
                    i + (s == 2 ? 1000 : 0));
        snprintf(name, sizeof name, "s%d.csv", s);
        scratch_write(name, csv);
    }
    snprintf(yaml, sizeof yaml, "season: 7\ndata: {files: [s1.csv, s2.csv], time: t}\n%s", more);
    scratch_write("c.yaml", yaml);
    REQUIRE(apx_train_config_read(scratch_path("c.yaml"), NULL, 0, &config, &error) == APX_OK);
    REQUIRE(apx_dataset_read(&config, &data, &error) == APX_OK);
}

static void windows(void)
{
    make("window: {steps: 10, horizon: 3}\nsplit: {train: 0.6, validation: 0.2, test: 0.2}\n");
    REQUIRE(apx_parts_make(&config, &data, &parts, &error) == APX_OK);
    const size_t first[] = {0, 60, 80}, end[] = {60, 80, 100};
    size_t counts[APX_PARTS] = {0};
    for (int part = 0; part < APX_PARTS; part++) {
        for (size_t i = 0; i < parts.count[part]; i++) {
            size_t row = parts.windows[part][i], base = row / ROWS * ROWS;
            size_t target = row + 10 - base;
            CHECK(target >= first[part] && target + 3 <= end[part]);
            CHECK(row + 13 <= base + ROWS);
            if (base > 0) /* nothing across the gap */
                CHECK(row - base >= 40 || row - base + 13 <= 40);
            CHECK(i == 0 || row > parts.windows[part][i - 1]);
        }
    }
    /* every window that may be there is there: 60-12, and 40-12 + 20-12 beside the gap */
    counts[0] = 48 + 28 + 8;
    counts[1] = 18 + 18;
    counts[2] = 18 + 18;
    for (int part = 0; part < APX_PARTS; part++)
        CHECK_EQ(parts.count[part], counts[part]);
    apx_parts_fini(&parts);
    apx_dataset_fini(&data);
    apx_train_config_fini(&config);
}

static void scalers(void)
{
    make("split: {train: 0.6, validation: 0.2, test: 0.2}\nwindow: {steps: 5}\n");
    REQUIRE(apx_parts_make(&config, &data, &parts, &error) == APX_OK);
    /* rows 0..59 and 1000..1059: mean 529.5, variance (60^2 - 1) / 12 + 500^2 */
    CHECK_NEAR(parts.x_center[0], 529.5, 1e-4);
    CHECK_NEAR(parts.x_scale[0], sqrt(3599.0 / 12 + 250000), 1e-3);
    CHECK(parts.y_center[0] == parts.x_center[0] && parts.y_scale[0] == parts.x_scale[0]);
    CHECK_NEAR(parts.x[150], (1050 - 529.5) / parts.x_scale[0], 1e-5);
    apx_parts_fini(&parts);
    config.scaler = APX_SCALER_MINMAX;
    REQUIRE(apx_parts_make(&config, &data, &parts, &error) == APX_OK);
    CHECK(parts.x_center[0] == 0 && parts.x_scale[0] == 1059);
    apx_parts_fini(&parts);
    config.steps = 90;
    CHECK(apx_parts_make(&config, &data, &parts, &error) == APX_EINVAL);
    CHECK_STR(error.field, "train");
    CHECK_HAS(error.message, "the train part has no window");
    apx_dataset_fini(&data);
    apx_train_config_fini(&config);
}

/* With season 2, value i at row i and 3 rows ahead, last value errs by 1, 2, 3 and the seasonal
 * naive by 2, 2, 4. */
static void naive_forecasts(void)
{
    make("window: {steps: 10, horizon: 3}\nsplit: {train: 0.6, validation: 0.2, test: 0.2}\n");
    data.season = 2;
    REQUIRE(apx_parts_make(&config, &data, &parts, &error) == APX_OK);
    struct apx_net_desc desc = {
        .steps = 10, .features = 1, .outputs = 3, .layer_count = 1, .layers = {4}};
    struct apx_learner_data shape = {
        .x = parts.x, .y = parts.y, .features = 1, .targets = 1, .steps = 10, .horizon = 3};
    struct apx_learner_options options = {.batch = 32};
    struct apx_net net;
    struct apx_crew *crew;
    struct apx_learner learner;
    struct apx_evaluation evaluation;
    REQUIRE(apx_net_init(&net, &desc, &error) == APX_OK);
    REQUIRE(apx_crew_create(2, &crew, &error) == APX_OK);
    REQUIRE(apx_learner_init(&learner, &net, &shape, crew, &options, &error) == APX_OK);
    REQUIRE(apx_evaluate(&data, &parts, &learner, learner.params, &evaluation, &error) == APX_OK);
    const struct apx_score *scores = evaluation.score[APX_PART_TEST];
    CHECK_EQ(scores[APX_BY_LAST_VALUE].windows, 36);
    CHECK_NEAR(scores[APX_BY_LAST_VALUE].real.mae, 2, 1e-12);
    CHECK_NEAR(scores[APX_BY_LAST_VALUE].real.mse, 14.0 / 3, 1e-12);
    CHECK_NEAR(scores[APX_BY_SEASON].real.mse, 24.0 / 3, 1e-12);
    for (int ahead = 0; ahead < 3; ahead++)
        CHECK_NEAR(scores[APX_BY_LAST_VALUE].ahead_rmse[ahead], ahead + 1, 1e-12);
    double scale = (double)parts.y_scale[0];
    CHECK_NEAR(scores[APX_BY_LAST_VALUE].scaled.mse, 14.0 / 3 / (scale * scale), 1e-9);
    /* the first untrained output of the first test window, in real units */
    float scaled[3];
    apx_learner_forecast(&learner, learner.params, parts.windows[APX_PART_TEST], 1, scaled);
    CHECK_NEAR(evaluation.test[0], scaled[0] * parts.y_scale[0] + parts.y_center[0], 1e-3);
    apx_evaluation_fini(&evaluation);
    /* a season of 45 rows: none in the window itself, and none across the gap at row 40 */
    data.season = 45;
    REQUIRE(apx_evaluate(&data, &parts, &learner, learner.params, &evaluation, &error) == APX_OK);
    scores = evaluation.score[APX_PART_TEST];
    CHECK(scores[APX_BY_SEASON].windows == 18 + 13); /* series 2: rows 85 and later */
    CHECK_EQ(scores[APX_BY_MODEL_WHERE_SEASON].windows, 18 + 13);
    CHECK_NEAR(scores[APX_BY_SEASON].real.mae, 45, 1e-12);
    apx_evaluation_fini(&evaluation);
    apx_learner_fini(&learner);
    apx_crew_destroy(crew);
    apx_net_fini(&net);
    apx_parts_fini(&parts);
    apx_dataset_fini(&data);
    apx_train_config_fini(&config);
}

int main(void)
{
    openblas_set_num_threads(1);
    scratch_enter();
    RUN(windows);
    RUN(scalers);
    RUN(naive_forecasts);
    return check_report();
}
