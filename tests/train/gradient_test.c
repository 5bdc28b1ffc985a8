/* SPDX-License-Identifier: Apache-2.0 */
/* gradient_test.c - analytic gradients against central differences of a float64 network.
 *
 * The oracle below is written from the ONNX definitions of LSTM and GRU, one scalar at a time and
 * in float64; it shares nothing with the trainer but the order of the parameters. Its differences
 * (f(p + s) - f(p - s)) / 2s with s = 1e-5 are good to about 1e-9, so what is left is the rounding
 * of the trainer's float32. */
#include <cblas.h>
#include <stdint.h>

#include "tests/harness/check.h"
#include "train/learner.h"
#include "train/random.h"

enum { ROWS = 120 };

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double mask(const struct apx_learner_options *options, uint64_t epoch, size_t window,
                   size_t layer, size_t unit)
{
    if (!(options->dropout > 0))
        return 1.0;
    uint64_t bits = apx_random_bits(options->seed, APX_RANDOM_DROPOUT,
                                    apx_random_mix(epoch) ^ window, (uint64_t)layer << 32 | unit);
    return apx_random_uniform(bits) < (double)options->dropout
               ? 0.0
               : (double)(1.0f / (1.0f - options->dropout));
}

/* One recurrent layer over seq [T, I], in place of which comes [T, H]. */
static void oracle_rnn(enum apx_net_cell cell, const struct apx_net_rnn *s, const double *p,
                       size_t steps, double *seq)
{
    size_t in = s->input, hidden = s->hidden;
    double *out = calloc(steps * hidden, sizeof *out), *h = calloc(hidden, sizeof *h);
    double *c = calloc(hidden, sizeof *c), *next = calloc(hidden, sizeof *next);
    for (size_t t = 0; t < steps; t++) {
        for (size_t k = 0; k < hidden; k++) {
            double a[4] = {0}, q[4] = {0};
            for (size_t g = 0; g < s->gates; g++) {
                size_t row = g * hidden + k;
                a[g] = p[s->bias + row];
                for (size_t j = 0; j < in; j++)
                    a[g] += p[s->w + row * in + j] * seq[t * in + j];
                for (size_t j = 0; j < hidden; j++)
                    q[g] += p[s->r + row * hidden + j] * h[j];
            }
            if (cell == APX_NET_LSTM) {
                double i = sigmoid(a[0] + q[0]), o = sigmoid(a[1] + q[1]);
                double f = sigmoid(a[2] + q[2]), g = tanh(a[3] + q[3]);
                c[k] = f * c[k] + i * g;
                next[k] = o * tanh(c[k]);
            } else {
                double z = sigmoid(a[0] + q[0]), r = sigmoid(a[1] + q[1]);
                double n = tanh(a[2] + r * (q[2] + p[s->bias_r + k]));
                next[k] = (1 - z) * n + z * h[k];
            }
        }
        memcpy(h, next, hidden * sizeof *h);
        memcpy(out + t * hidden, next, hidden * sizeof *h);
    }
    memcpy(seq, out, steps * hidden * sizeof *out);
    free(out);
    free(h);
    free(c);
    free(next);
}

static double oracle_loss(const struct apx_net *net, const struct apx_learner_data *data,
                          const struct apx_learner_options *options, uint64_t epoch,
                          const double *p, const size_t *windows, size_t count)
{
    size_t steps = net->desc.steps, outputs = net->desc.outputs;
    double *seq = calloc(steps * net->widest, sizeof *seq), *y = calloc(net->widest, sizeof *y);
    double sum = 0;
    for (size_t n = 0; n < count; n++) {
        const float *x = data->x + windows[n] * data->features;
        for (size_t k = 0; k < steps * data->features; k++)
            seq[k] = (double)x[k];
        size_t width = 0;
        for (size_t i = 0; i < net->rnn_count; i++) {
            oracle_rnn(net->desc.cell, &net->rnn[i], p, steps, seq);
            width = net->rnn[i].hidden;
            for (size_t k = 0; k < steps * width; k++)
                seq[k] *= mask(options, epoch, windows[n], i, k % width);
        }
        memmove(seq, seq + (steps - 1) * width, width * sizeof *seq);
        for (size_t i = 0; i < net->dense_count; i++) {
            const struct apx_net_dense *s = &net->dense[i];
            for (size_t o = 0; o < s->output; o++) {
                double a = p[s->bias + o];
                for (size_t k = 0; k < s->input; k++)
                    a += p[s->w + o * s->input + k] * seq[k];
                if (s->act == APX_ACT_RELU)
                    a = a > 0 ? a : 0;
                else if (s->act == APX_ACT_TANH)
                    a = tanh(a);
                else if (s->act == APX_ACT_SIGMOID)
                    a = sigmoid(a);
                if (i + 1 < net->dense_count)
                    a *= mask(options, epoch, windows[n], net->rnn_count + i, o);
                y[o] = a;
            }
            memcpy(seq, y, s->output * sizeof *y);
        }
        for (size_t o = 0; o < outputs; o++) {
            double out = seq[o];
            if (net->desc.residual != NULL)
                out += (double)x[(steps - 1) * data->features + net->desc.residual[o]];
            double e = out - (double)data->y[(windows[n] + steps) * data->targets + o];
            double delta = (double)options->huber_delta;
            if (options->loss == APX_LOSS_MSE)
                sum += e * e;
            else if (options->loss == APX_LOSS_MAE)
                sum += fabs(e);
            else
                sum += fabs(e) <= delta ? 0.5 * e * e : delta * (fabs(e) - 0.5 * delta);
        }
    }
    free(seq);
    free(y);
    return sum / (double)(count * outputs);
}

static float noise[ROWS * 8];

static void compare(const char *what, const struct apx_net_desc *desc,
                    const struct apx_learner_options *options, size_t targets, size_t count)
{
    struct apx_net net;
    struct apx_learner learner;
    struct apx_crew *crew;
    struct apx_error error = {0};
    REQUIRE(apx_net_init(&net, desc, &error) == APX_OK);
    REQUIRE(apx_crew_create(2, &crew, &error) == APX_OK);
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        noise[i] = (float)apx_random_normal(apx_random_mix(2 * i), apx_random_mix(2 * i + 1));
    struct apx_learner_data data = {.x = noise,
                                    .y = noise + 3,
                                    .features = desc->features,
                                    .targets = targets,
                                    .steps = desc->steps,
                                    .horizon = desc->outputs / targets};
    REQUIRE(apx_learner_init(&learner, &net, &data, crew, options, &error) == APX_OK);
    size_t windows[64];
    for (size_t i = 0; i < count; i++)
        windows[i] = (7 * i + 3) % 50;
    double *p = calloc(net.parameters, sizeof *p);
    for (size_t k = 0; k < net.parameters; k++) {
        /* biases away from zero, so that a misplaced one shows */
        if (k >= net.weights)
            learner.params[k] += 0.3f * noise[k % 500];
        p[k] = (double)learner.params[k];
    }
    double loss = apx_learner_gradient(&learner, 5, windows, count);
    double expected = oracle_loss(&net, &data, options, 5, p, windows, count);
    CHECK_NEAR(loss, expected, 1e-5 * (1 + expected));
    double worst = 0, largest = 0;
    for (size_t k = 0; k < net.parameters; k++) {
        double at = p[k], step = 1e-5;
        p[k] = at + step;
        double up = oracle_loss(&net, &data, options, 5, p, windows, count);
        p[k] = at - step;
        double down = oracle_loss(&net, &data, options, 5, p, windows, count);
        p[k] = at;
        double slope = (up - down) / (2 * step);
        worst = fmax(worst, fabs(slope - (double)learner.gradient[k]));
        largest = fmax(largest, fabs(slope));
    }
    printf("     %s: %zu parameters, largest slope %.3g, worst difference %.3g\n", what,
           net.parameters, largest, worst);
    CHECK(largest > 1e-3);
    CHECK(worst <= 2e-6 * (1 + largest));
    free(p);
    apx_learner_fini(&learner);
    apx_crew_destroy(crew);
    apx_net_fini(&net);
}

static struct apx_learner_options plain(void)
{
    return (struct apx_learner_options){.seed = 11,
                                        .loss = APX_LOSS_MSE,
                                        .huber_delta = 0.5f,
                                        .beta1 = 0.9,
                                        .beta2 = 0.999,
                                        .epsilon = 1e-8,
                                        .batch = 64};
}

static void one_layer(void)
{
    struct apx_learner_options options = plain();
    for (enum apx_net_cell cell = APX_NET_LSTM; cell <= APX_NET_GRU; cell++) {
        struct apx_net_desc desc = {
            .cell = cell, .steps = 5, .features = 3, .outputs = 1, .layer_count = 1, .layers = {7}};
        compare(cell == APX_NET_LSTM ? "LSTM" : "GRU", &desc, &options, 1, 9);
        desc.steps = 1;
        compare("one step", &desc, &options, 1, 3);
    }
}

static void deep(void)
{
    struct apx_learner_options options = plain();
    const size_t residual[] = {1, 0, 1, 0};
    for (enum apx_net_cell cell = APX_NET_LSTM; cell <= APX_NET_GRU; cell++) {
        struct apx_net_desc desc = {.cell = cell,
                                    .steps = 6,
                                    .features = 2,
                                    .outputs = 4,
                                    .layer_count = 2,
                                    .layers = {5, 8},
                                    .dense_count = 2,
                                    .dense = {6, 3},
                                    .dense_act = APX_ACT_TANH};
        compare("2 layers, 2 dense, tanh", &desc, &options, 2, 40);
        desc.dense_act = APX_ACT_SIGMOID;
        desc.residual = residual;
        compare("2 layers, 2 dense, sigmoid, residual", &desc, &options, 2, 33);
        desc.layer_count = 3;
        desc.layers[2] = 3;
        desc.dense_act = APX_ACT_RELU;
        compare("3 layers, 2 dense, relu", &desc, &options, 2, 33);
    }
}

static void losses(void)
{
    struct apx_learner_options options = plain();
    struct apx_net_desc desc = {.steps = 4,
                                .features = 2,
                                .outputs = 3,
                                .layer_count = 1,
                                .layers = {6},
                                .dense_count = 1,
                                .dense = {4},
                                .dense_act = APX_ACT_TANH};
    options.loss = APX_LOSS_MAE;
    compare("mean absolute error", &desc, &options, 1, 20);
    options.loss = APX_LOSS_HUBER;
    compare("Huber", &desc, &options, 3, 20);
}

static void dropped(void)
{
    struct apx_learner_options options = plain();
    options.dropout = 0.4f;
    for (enum apx_net_cell cell = APX_NET_LSTM; cell <= APX_NET_GRU; cell++) {
        struct apx_net_desc desc = {.cell = cell,
                                    .steps = 4,
                                    .features = 2,
                                    .outputs = 1,
                                    .layer_count = 2,
                                    .layers = {6, 9},
                                    .dense_count = 1,
                                    .dense = {8},
                                    .dense_act = APX_ACT_TANH};
        compare("dropout 0.4", &desc, &options, 1, 34);
    }
}

/* Adam as published (Kingma and Ba 2015, algorithm 1) in float64, fed with the same gradients. */
static void adam(void)
{
    struct apx_net_desc desc = {
        .steps = 4, .features = 2, .outputs = 1, .layer_count = 1, .layers = {6}};
    struct apx_learner_options options = plain();
    options.clip_norm = 0.05;
    options.l2 = 0.02;
    struct apx_net net;
    struct apx_learner learner;
    struct apx_crew *crew;
    struct apx_error error = {0};
    REQUIRE(apx_net_init(&net, &desc, &error) == APX_OK);
    REQUIRE(apx_crew_create(1, &crew, &error) == APX_OK);
    struct apx_learner_data data = {
        .x = noise, .y = noise + 3, .features = 2, .targets = 1, .steps = 4, .horizon = 1};
    REQUIRE(apx_learner_init(&learner, &net, &data, crew, &options, &error) == APX_OK);
    double *p = calloc(net.parameters, sizeof *p), *m = calloc(net.parameters, sizeof *m);
    double *v = calloc(net.parameters, sizeof *v);
    for (size_t k = 0; k < net.parameters; k++)
        p[k] = (double)learner.params[k];
    const size_t windows[] = {0, 10, 20, 30, 40};
    int clipped = 0;
    for (int step = 1; step <= 4; step++) {
        double rate = 0.01 / step;
        apx_learner_gradient(&learner, 1, windows, 5);
        double norm = 0;
        for (size_t k = 0; k < net.parameters; k++)
            norm += (double)learner.gradient[k] * (double)learner.gradient[k];
        norm = sqrt(norm);
        CHECK_NEAR(norm, learner.norm, 1e-9);
        clipped += norm > options.clip_norm;
        for (size_t k = 0; k < net.parameters; k++) {
            double g = (double)learner.gradient[k];
            g *= norm > options.clip_norm ? options.clip_norm / norm : 1.0;
            g += k < net.weights ? options.l2 * (double)learner.params[k] : 0.0;
            m[k] = 0.9 * m[k] + 0.1 * g;
            v[k] = 0.999 * v[k] + 0.001 * g * g;
            p[k] -=
                rate * (m[k] / (1 - pow(0.9, step))) / (sqrt(v[k] / (1 - pow(0.999, step))) + 1e-8);
        }
        apx_learner_step(&learner, 1, rate, windows, 5);
        double worst = 0;
        for (size_t k = 0; k < net.parameters; k++) {
            worst = fmax(worst, fabs(p[k] - (double)learner.params[k]));
            p[k] = (double)learner.params[k];
        }
        CHECK(worst < 1e-6);
    }
    CHECK(clipped > 0);
    free(p);
    free(m);
    free(v);
    apx_learner_fini(&learner);
    apx_crew_destroy(crew);
    apx_net_fini(&net);
}

int main(void)
{
    openblas_set_num_threads(1);
    RUN(one_layer);
    RUN(deep);
    RUN(losses);
    RUN(dropped);
    RUN(adam);
    return check_report();
}
