/* SPDX-License-Identifier: Apache-2.0 */
/* learner_test.c - the same bits for any number of threads, and something is learnt. */
#include <cblas.h>
#include <stdint.h>

#include "tests/harness/check.h"
#include "train/learner.h"
#include "train/random.h"

enum { ROWS = 600, STEPS = 12, WINDOWS = ROWS - STEPS - 2 };

static float wave[ROWS];

struct trained {
    float *params;
    size_t count;
    double first, last; /* losses */
    float forecasts[2 * WINDOWS];
};

static struct trained train(enum apx_net_cell cell, int threads, uint64_t seed, int epochs,
                            size_t batch)
{
    struct apx_net_desc desc = {.cell = cell,
                                .steps = STEPS,
                                .features = 1,
                                .outputs = 2,
                                .layer_count = 2,
                                .layers = {17, 12},
                                .dense_count = 1,
                                .dense = {9},
                                .dense_act = APX_ACT_RELU};
    struct apx_learner_options options = {.seed = seed,
                                          .dropout = 0.1f,
                                          .clip_norm = 1.0,
                                          .l2 = 1e-4,
                                          .beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .epsilon = 1e-8,
                                          .batch = batch};
    struct apx_learner_data data = {
        .x = wave, .y = wave, .features = 1, .targets = 1, .steps = STEPS, .horizon = 2};
    struct apx_net net;
    struct apx_learner learner;
    struct apx_crew *crew;
    struct apx_error error = {0};
    REQUIRE(apx_net_init(&net, &desc, &error) == APX_OK);
    REQUIRE(apx_crew_create(threads, &crew, &error) == APX_OK);
    REQUIRE(apx_learner_init(&learner, &net, &data, crew, &options, &error) == APX_OK);
    struct trained result = {.count = net.parameters};
    size_t windows[WINDOWS];
    for (size_t i = 0; i < WINDOWS; i++)
        windows[i] = (i * 5) % WINDOWS;
    for (int epoch = 1; epoch <= epochs; epoch++) {
        for (size_t i = 0; i < WINDOWS; i += batch) {
            size_t count = WINDOWS - i < batch ? WINDOWS - i : batch;
            double loss = apx_learner_step(&learner, (uint64_t)epoch, 3e-3, windows + i, count);
            if (epoch == 1 && i == 0)
                result.first = loss;
            result.last = loss;
        }
    }
    apx_learner_forecast(&learner, learner.params, windows, WINDOWS, result.forecasts);
    result.params = malloc(net.parameters * sizeof(float));
    memcpy(result.params, learner.params, net.parameters * sizeof(float));
    apx_learner_fini(&learner);
    apx_crew_destroy(crew);
    apx_net_fini(&net);
    return result;
}

static void same_bits(void)
{
    for (enum apx_net_cell cell = APX_NET_LSTM; cell <= APX_NET_GRU; cell++) {
        struct trained one = train(cell, 1, 3, 2, 200);
        for (int threads = 2; threads <= 4; threads++) {
            struct trained many = train(cell, threads, 3, 2, 200);
            CHECK(memcmp(one.params, many.params, one.count * sizeof(float)) == 0);
            CHECK(memcmp(one.forecasts, many.forecasts, sizeof one.forecasts) == 0);
            free(many.params);
        }
        struct trained other = train(cell, 2, 4, 2, 200);
        CHECK(memcmp(one.params, other.params, one.count * sizeof(float)) != 0);
        free(other.params);
        free(one.params);
    }
}

static void learns(void)
{
    for (enum apx_net_cell cell = APX_NET_LSTM; cell <= APX_NET_GRU; cell++) {
        struct trained result = train(cell, 2, 1, 40, 64);
        CHECK(result.last < 0.1 * result.first);
        printf("     loss %.4f to %.4f\n", result.first, result.last);
        free(result.params);
    }
}

int main(void)
{
    openblas_set_num_threads(1);
    for (size_t i = 0; i < ROWS; i++)
        wave[i] = sinf(0.3f * (float)i) + 0.3f * sinf(1.1f * (float)i);
    RUN(same_bits);
    RUN(learns);
    return check_report();
}
