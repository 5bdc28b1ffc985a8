/* SPDX-License-Identifier: Apache-2.0 */
/* fit_test.c - when the training stops, which epoch is kept, and what the learning rate is. */
#include <cblas.h>

#include "tests/harness/check.h"
#include "train/fit.h"

enum { ROWS = 260, STEPS = 8, TRAIN = 180, LOOKED = 60 };

static float wave[ROWS];
static size_t train_windows[TRAIN], looked_windows[LOOKED];
static struct apx_error error;

static struct apx_train_config small(void)
{
    return (struct apx_train_config){.seed = 3,
                                     .steps = STEPS,
                                     .horizon = 1,
                                     .epochs = 12,
                                     .batch = 32,
                                     .learning_rate = 0.01,
                                     .decay = APX_DECAY_NONE,
                                     .decay_factor = 0.5,
                                     .decay_floor = 0.1};
}

struct setting {
    struct apx_net net;
    struct apx_learner_data data;
    struct apx_parts parts;
    struct apx_crew *crew;
    struct apx_learner learner;
};

static void set_up(struct setting *s, const struct apx_train_config *config)
{
    struct apx_net_desc desc = {
        .steps = STEPS, .features = 1, .outputs = 1, .layer_count = 1, .layers = {6}};
    struct apx_learner_options options = {.seed = config->seed,
                                          .beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .epsilon = 1e-8,
                                          .batch = config->batch};
    *s = (struct setting){0};
    s->data = (struct apx_learner_data){
        .x = wave, .y = wave, .features = 1, .targets = 1, .steps = STEPS, .horizon = 1};
    for (size_t i = 0; i < TRAIN; i++)
        train_windows[i] = i;
    for (size_t i = 0; i < LOOKED; i++)
        looked_windows[i] = TRAIN + STEPS + i;
    s->parts.count[APX_PART_TRAIN] = TRAIN;
    s->parts.count[APX_PART_VALIDATION] = LOOKED;
    s->parts.windows[APX_PART_TRAIN] = train_windows;
    s->parts.windows[APX_PART_VALIDATION] = looked_windows;
    REQUIRE(apx_net_init(&s->net, &desc, &error) == APX_OK);
    REQUIRE(apx_crew_create(1, &s->crew, &error) == APX_OK);
    REQUIRE(apx_learner_init(&s->learner, &s->net, &s->data, s->crew, &options, &error) == APX_OK);
}

static void tear_down(struct setting *s)
{
    apx_learner_fini(&s->learner);
    apx_crew_destroy(s->crew);
    apx_net_fini(&s->net);
}

static const struct apx_fit_watch nobody;

static void learning_rates(void)
{
    struct apx_train_config config = small();
    CHECK_NEAR(apx_fit_learning_rate(&config, 12), 0.01, 0);
    config.decay = APX_DECAY_EXPONENTIAL;
    CHECK_NEAR(apx_fit_learning_rate(&config, 1), 0.01, 1e-15);
    CHECK_NEAR(apx_fit_learning_rate(&config, 3), 0.0025, 1e-15);
    CHECK_NEAR(apx_fit_learning_rate(&config, 9), 0.001, 1e-15); /* the floor */
    config.decay = APX_DECAY_COSINE;
    CHECK_NEAR(apx_fit_learning_rate(&config, 1), 0.01, 1e-15);
    CHECK_NEAR(apx_fit_learning_rate(&config, 7), 0.01 * (0.1 + 0.9 * 0.5), 1e-15);
}

/* The weights handed back are those of the epoch with the lowest loss, not of the last one. */
static void keeps_the_best(void)
{
    struct apx_train_config config = small();
    struct setting s;
    struct apx_fit fit;
    volatile sig_atomic_t stop = 0;
    float forecasts[LOOKED];
    config.learning_rate = 0.2; /* restless enough that the last epoch is not the best */
    config.epochs = 30;
    set_up(&s, &config);
    REQUIRE(apx_fit_run(&config, &s.learner, &s.parts, &stop, &nobody, &fit, &error) == APX_OK);
    CHECK_EQ(fit.epochs, 30);
    CHECK_EQ(fit.stop, APX_FIT_EPOCHS);
    CHECK(fit.best >= 1 && fit.best < 30);
    double least = INFINITY;
    for (size_t i = 0; i < fit.epochs; i++) {
        bool best = fit.history[i].validation_loss < least;
        CHECK_EQ(fit.history[i].best, best);
        least = fmin(least, fit.history[i].validation_loss);
        CHECK_NEAR(fit.history[i].learning_rate, 0.2, 0);
    }
    CHECK(fit.history[fit.best - 1].validation_loss == least);
    apx_learner_forecast(&s.learner, fit.params, looked_windows, LOOKED, forecasts);
    CHECK(apx_learner_loss(&s.learner, looked_windows, LOOKED, forecasts) == least);
    apx_fit_fini(&fit);
    tear_down(&s);
}

static void patience(void)
{
    struct apx_train_config config = small();
    struct setting s;
    struct apx_fit fit;
    volatile sig_atomic_t stop = 0;
    config.min_delta = 1e6; /* nothing counts as better than the first epoch */
    config.patience = 4;
    set_up(&s, &config);
    REQUIRE(apx_fit_run(&config, &s.learner, &s.parts, &stop, &nobody, &fit, &error) == APX_OK);
    CHECK_EQ(fit.epochs, 5);
    CHECK_EQ(fit.best, 1);
    CHECK_EQ(fit.stop, APX_FIT_PATIENCE);
    apx_fit_fini(&fit);
    tear_down(&s);
}

struct stopper {
    volatile sig_atomic_t stop;
    size_t epoch, windows;
};

static void stop_there(void *context, size_t epoch, size_t done, size_t windows, double loss)
{
    struct stopper *stopper = context;
    CHECK(done <= windows && isfinite(loss));
    if (epoch == stopper->epoch && done >= stopper->windows)
        stopper->stop = 1;
}

static void interrupted(void)
{
    struct apx_train_config config = small();
    struct setting s;
    struct apx_fit fit;
    struct stopper stopper = {.epoch = 4, .windows = 64};
    struct apx_fit_watch watch = {.context = &stopper, .step = stop_there};
    set_up(&s, &config);
    REQUIRE(apx_fit_run(&config, &s.learner, &s.parts, &stopper.stop, &watch, &fit, &error) ==
            APX_OK);
    CHECK_EQ(fit.epochs, 3); /* the fourth was cut short */
    CHECK_EQ(fit.stop, APX_FIT_INTERRUPTED);
    apx_fit_fini(&fit);
    tear_down(&s);
    stopper = (struct stopper){.epoch = 1, .windows = 64};
    set_up(&s, &config);
    CHECK_EQ(apx_fit_run(&config, &s.learner, &s.parts, &stopper.stop, &watch, &fit, &error),
             APX_ECONFLICT);
    CHECK_HAS(error.message, "before the first epoch");
    tear_down(&s);
}

static void diverged(void)
{
    struct apx_train_config config = small();
    struct setting s;
    struct apx_fit fit;
    volatile sig_atomic_t stop = 0;
    float kept = wave[20];
    wave[20] = NAN;
    set_up(&s, &config);
    CHECK_EQ(apx_fit_run(&config, &s.learner, &s.parts, &stop, &nobody, &fit, &error),
             APX_ECONFLICT);
    CHECK_HAS(error.message, "lower training.learning_rate");
    wave[20] = kept;
    tear_down(&s);
}

int main(void)
{
    openblas_set_num_threads(1);
    for (size_t i = 0; i < ROWS; i++)
        wave[i] = sinf(0.4f * (float)i) + 0.2f * (float)((i * 7919) % 13) / 13.0f;
    RUN(learning_rates);
    RUN(keeps_the_best);
    RUN(patience);
    RUN(interrupted);
    RUN(diverged);
    return check_report();
}
