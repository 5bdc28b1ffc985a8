/* SPDX-License-Identifier: Apache-2.0 */
/* fit.c - the loop over epochs.
 *
 * The weights that count are those of the epoch with the lowest validation loss; all others are
 * forgotten. A loss or gradient that is no number ends the training there and then, since every
 * later weight would be none either. */
#include "train/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/fail.h"
#include "train/random.h"

const char *apx_fit_stop_text(enum apx_fit_stop stop)
{
    static const char *const texts[] = {"all epochs done", "validation loss no longer improves",
                                        "interrupted", "loss is no number any more"};
    return texts[stop];
}

double apx_fit_learning_rate(const struct apx_train_config *config, size_t epoch)
{
    double done = (double)(epoch - 1), share = 1;
    if (config->decay == APX_DECAY_EXPONENTIAL) {
        share = fmax(pow(config->decay_factor, done), config->decay_floor);
    } else if (config->decay == APX_DECAY_COSINE) {
        double wave = 0.5 * (1 + cos(3.14159265358979323846 * done / (double)config->epochs));
        share = config->decay_floor + (1 - config->decay_floor) * wave;
    }
    return config->learning_rate * share;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Fisher and Yates, from the sorted list each time: an epoch's order depends on its number alone.
 */
static void shuffle(uint64_t seed, size_t epoch, const size_t *sorted, size_t count, size_t *order)
{
    memcpy(order, sorted, count * sizeof *order);
    for (size_t i = count; i-- > 1;) {
        uint64_t bits = apx_random_bits(seed, APX_RANDOM_SHUFFLE, epoch, i);
        size_t other = (size_t)(apx_random_uniform(bits) * (double)(i + 1));
        size_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
}

/* False if the epoch was not finished. */
static bool run_epoch(const struct apx_train_config *config, struct apx_learner *learner,
                      size_t epoch, const size_t *order, size_t count, volatile sig_atomic_t *stop,
                      const struct apx_fit_watch *watch, struct apx_fit_epoch *result,
                      enum apx_fit_stop *why)
{
    double sum = 0;
    for (size_t done = 0; done < count;) {
        size_t batch = count - done < config->batch ? count - done : config->batch;
        double loss = apx_learner_step(learner, epoch, result->learning_rate, order + done, batch);
        if (!isfinite(loss)) {
            *why = APX_FIT_DIVERGED;
            return false;
        }
        sum += loss * (double)batch;
        result->norm = fmax(result->norm, learner->norm);
        done += batch;
        if (watch->step != NULL)
            watch->step(watch->context, epoch, done, count, sum / (double)done);
        if (*stop && done < count) {
            *why = APX_FIT_INTERRUPTED;
            return false;
        }
    }
    result->train_loss = sum / (double)count;
    return true;
}

enum apx_status apx_fit_run(const struct apx_train_config *config, struct apx_learner *learner,
                            const struct apx_parts *parts, volatile sig_atomic_t *stop,
                            const struct apx_fit_watch *watch, struct apx_fit *fit,
                            struct apx_error *error)
{
    size_t count = parts->count[APX_PART_TRAIN], looked = parts->count[APX_PART_VALIDATION];
    size_t bytes = learner->net->parameters * sizeof *fit->params;
    *fit = (struct apx_fit){.stop = APX_FIT_EPOCHS};
    size_t *order = malloc(count * sizeof *order);
    float *forecasts = malloc(looked * learner->net->desc.outputs * sizeof *forecasts);
    double best_loss = INFINITY;
    enum apx_status status = APX_OK;
    fit->params = malloc(bytes);
    fit->history = calloc(config->epochs, sizeof *fit->history);
    if (order == NULL || forecasts == NULL || fit->params == NULL || fit->history == NULL) {
        status = apx_fail(error, APX_ENOMEM, "", "out of memory for %zu windows", count);
        goto done;
    }
    for (size_t epoch = 1; epoch <= config->epochs; epoch++) {
        struct apx_fit_epoch *result = &fit->history[epoch - 1];
        double begin = now();
        result->learning_rate = apx_fit_learning_rate(config, epoch);
        shuffle(config->seed, epoch, parts->windows[APX_PART_TRAIN], count, order);
        if (!run_epoch(config, learner, epoch, order, count, stop, watch, result, &fit->stop))
            break;
        apx_learner_forecast(learner, learner->params, parts->windows[APX_PART_VALIDATION], looked,
                             forecasts);
        result->validation_loss =
            apx_learner_loss(learner, parts->windows[APX_PART_VALIDATION], looked, forecasts);
        if (!isfinite(result->validation_loss)) {
            fit->stop = APX_FIT_DIVERGED;
            break;
        }
        result->seconds = now() - begin;
        result->best = fit->best == 0 || result->validation_loss < best_loss - config->min_delta;
        fit->epochs = epoch;
        if (result->best) {
            fit->best = epoch;
            best_loss = result->validation_loss;
            memcpy(fit->params, learner->params, bytes);
        }
        if (watch->epoch != NULL)
            watch->epoch(watch->context, epoch, result);
        if (config->patience > 0 && epoch - fit->best >= config->patience) {
            fit->stop = APX_FIT_PATIENCE;
            break;
        }
        if (*stop && epoch < config->epochs) {
            fit->stop = APX_FIT_INTERRUPTED;
            break;
        }
    }
    if (fit->best == 0 && fit->stop == APX_FIT_DIVERGED)
        status = apx_fail(error, APX_ECONFLICT, "training.learning_rate",
                          "the loss is no number in the first epoch; lower training.learning_rate "
                          "or set training.clip_norm");
    else if (fit->best == 0)
        status = apx_fail(error, APX_ECONFLICT, "",
                          "interrupted before the first epoch was over; nothing was written");
done:
    free(order);
    free(forecasts);
    if (status != APX_OK)
        apx_fit_fini(fit);
    return status;
}

void apx_fit_fini(struct apx_fit *fit)
{
    free(fit->params);
    free(fit->history);
    *fit = (struct apx_fit){0};
}
