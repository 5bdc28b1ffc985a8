/* SPDX-License-Identifier: Apache-2.0 */
/* gru_case.c - the GRU table under the checker, with ONNX's equations in float64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/rnn_problem.h"

static double dot_x(const struct rnn_problem *p, size_t gate, size_t j, const float *x)
{
    const float *w = p->weights.w + (gate * p->desc.hidden + j) * p->desc.input;
    double sum = 0.0;
    for (size_t k = 0; k < p->desc.input; k++)
        sum += (double)w[k] * (double)x[k];
    return sum;
}

static double dot_h(const struct rnn_problem *p, size_t gate, size_t j, const double *h)
{
    const float *r = p->weights.r + (gate * p->desc.hidden + j) * p->desc.hidden;
    double sum = 0.0;
    for (size_t k = 0; k < p->desc.hidden; k++)
        sum += (double)r[k] * h[k];
    return sum;
}

static double bias(const float *values, size_t at)
{
    return values != NULL ? (double)values[at] : 0.0;
}

static double clipped(const struct rnn_problem *p, double v)
{
    const double bound = (double)p->desc.clip;
    return bound > 0.0 ? fmin(bound, fmax(-bound, v)) : v;
}

static void oracle_step(const struct rnn_problem *p, const float *x, double *h)
{
    const size_t hidden = p->desc.hidden;
    const struct apx_activation *act = p->desc.act;
    double *gate = kcheck_alloc(4 * hidden * sizeof(double));
    double *z = gate, *r = z + hidden, *rh = r + hidden, *next = rh + hidden;
    for (size_t g = 0; g < 2; g++)
        for (size_t j = 0; j < hidden; j++)
            gate[g * hidden + j] =
                kcheck_activation(act[0], clipped(p, dot_x(p, g, j, x) + dot_h(p, g, j, h) +
                                                         bias(p->weights.bias_w, g * hidden + j) +
                                                         bias(p->weights.bias_r, g * hidden + j)));
    for (size_t j = 0; j < hidden; j++)
        rh[j] = r[j] * h[j];
    for (size_t j = 0; j < hidden; j++) {
        const double from_x = dot_x(p, 2, j, x) + bias(p->weights.bias_w, 2 * hidden + j);
        const double bias_r = bias(p->weights.bias_r, 2 * hidden + j);
        const double from_h =
            p->desc.reset_after ? r[j] * (dot_h(p, 2, j, h) + bias_r) : dot_h(p, 2, j, rh) + bias_r;
        const double candidate = kcheck_activation(act[1], clipped(p, from_x + from_h));
        next[j] = (1.0 - z[j]) * candidate + z[j] * h[j];
    }
    memcpy(h, next, hidden * sizeof(double));
    free(gate);
}

static void oracle(const struct rnn_problem *p, double *y, double *h_last, double *c_last)
{
    (void)c_last;
    const size_t hidden = p->desc.hidden;
    for (size_t n = 0; n < p->rows; n++) {
        double *h = h_last + n * hidden;
        for (size_t j = 0; j < hidden; j++)
            h[j] = p->h0 != NULL ? (double)p->h0[n * hidden + j] : 0.0;
        const size_t length = p->lengths != NULL ? (size_t)p->lengths[n] : p->steps;
        for (size_t i = 0; i < p->steps * hidden; i++)
            y[n * p->steps * hidden + i] = 0.0;
        for (size_t s = 0; s < length; s++) {
            const size_t t = p->desc.reverse ? length - 1 - s : s;
            oracle_step(p, p->x + (n * p->steps + t) * p->desc.input, h);
            memcpy(y + (n * p->steps + t) * hidden, h, hidden * sizeof(double));
        }
        for (size_t j = 0; j < hidden && length == 0; j++)
            h[j] = 0.0;
    }
}

static bool row_of(const char *types, size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_gru_rows(&count);
    return rnn_row(rows, count, types, index, out);
}

static bool gru_row(size_t index, struct kcheck_row *out)
{
    return row_of("f32", index, out);
}

static bool gru_f16_row(size_t index, struct kcheck_row *out)
{
    return row_of("f16", index, out);
}

static void gru_judge(const struct rnn_problem *p, const struct rnn_result *result)
{
    rnn_judge(p, result, oracle);
}

static void check(const struct kcheck_row *row, const char *types, uint64_t seed, size_t trial)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_gru_rows(&count);
    struct rng rng = {seed * 1000003 + trial};
    struct rnn_problem problem;
    rnn_problem_random(&rng, false, &problem);
    if (strcmp(types, "f16") == 0)
        rnn_problem_half(&rng, &problem);
    rnn_check(row, rnn_scalar(rows, count, types), &problem, gru_judge, &rng);
    rnn_problem_free(&problem);
}

static void gru_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, "f32", seed, trial);
}

static void gru_f16_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, "f16", seed, trial);
}

/* Both forms, one after the other. */
static bool gru_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    return rnn_bench(row->row, false, index % 2 == 0, index / 2, out);
}

const struct kcheck_case kcheck_gru = {
    .op = "gru", .row = gru_row, .check = gru_check, .trials = 250, .bench = gru_bench};
const struct kcheck_case kcheck_gru_f16 = {
    .op = "gru_f16", .row = gru_f16_row, .check = gru_f16_check, .trials = 250, .bench = gru_bench};
