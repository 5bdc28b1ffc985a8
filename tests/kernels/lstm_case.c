/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_case.c - the LSTM table under the checker, with ONNX's equations in float64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/rnn_problem.h"

/* Gate `gate` of unit j before its activation: W x + R h + Wb + Rb. */
static double gate_sum(const struct rnn_problem *p, size_t gate, size_t j, const float *x,
                       const double *h)
{
    const size_t in = p->desc.input, hidden = p->desc.hidden, at = gate * hidden + j;
    double sum = 0.0;
    for (size_t k = 0; k < in; k++)
        sum += (double)p->weights.w[at * in + k] * (double)x[k];
    for (size_t k = 0; k < hidden; k++)
        sum += (double)p->weights.r[at * hidden + k] * h[k];
    if (p->weights.bias_w != NULL)
        sum += (double)p->weights.bias_w[at];
    if (p->weights.bias_r != NULL)
        sum += (double)p->weights.bias_r[at];
    return sum;
}

static double clipped(const struct rnn_problem *p, double v)
{
    const double bound = (double)p->desc.clip;
    return bound > 0.0 ? fmin(bound, fmax(-bound, v)) : v;
}

/* One step of one row: h and c are replaced. */
static void oracle_step(const struct rnn_problem *p, const float *x, double *h, double *c)
{
    const size_t hidden = p->desc.hidden;
    const struct apx_activation *act = p->desc.act;
    double *next = kcheck_alloc(hidden * sizeof(double));
    for (size_t j = 0; j < hidden; j++) {
        double p_i = 0.0, p_o = 0.0, p_f = 0.0;
        if (p->desc.has_peephole) {
            p_i = (double)p->weights.peephole[j];
            p_o = (double)p->weights.peephole[hidden + j];
            p_f = (double)p->weights.peephole[2 * hidden + j];
        }
        const double i =
            kcheck_activation(act[0], clipped(p, gate_sum(p, 0, j, x, h) + p_i * c[j]));
        const double f =
            p->desc.input_forget
                ? 1.0 - i
                : kcheck_activation(act[0], clipped(p, gate_sum(p, 2, j, x, h) + p_f * c[j]));
        const double g = kcheck_activation(act[1], clipped(p, gate_sum(p, 3, j, x, h)));
        c[j] = f * c[j] + i * g;
        const double o =
            kcheck_activation(act[0], clipped(p, gate_sum(p, 1, j, x, h) + p_o * c[j]));
        next[j] = o * kcheck_activation(act[2], c[j]);
    }
    memcpy(h, next, hidden * sizeof(double));
    free(next);
}

static void oracle(const struct rnn_problem *p, double *y, double *h_last, double *c_last)
{
    const size_t hidden = p->desc.hidden;
    for (size_t n = 0; n < p->rows; n++) {
        double *h = h_last + n * hidden, *c = c_last + n * hidden;
        for (size_t j = 0; j < hidden; j++) {
            h[j] = p->h0 != NULL ? (double)p->h0[n * hidden + j] : 0.0;
            c[j] = p->c0 != NULL ? (double)p->c0[n * hidden + j] : 0.0;
        }
        const size_t length = p->lengths != NULL ? (size_t)p->lengths[n] : p->steps;
        for (size_t i = 0; i < p->steps * hidden; i++)
            y[n * p->steps * hidden + i] = 0.0;
        for (size_t s = 0; s < length; s++) {
            const size_t t = p->desc.reverse ? length - 1 - s : s;
            oracle_step(p, p->x + (n * p->steps + t) * p->desc.input, h, c);
            memcpy(y + (n * p->steps + t) * hidden, h, hidden * sizeof(double));
        }
        for (size_t j = 0; j < hidden && length == 0; j++)
            h[j] = c[j] = 0.0;
    }
}

static bool row_of(const char *types, size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_lstm_rows(&count);
    return rnn_row(rows, count, types, index, out);
}

static bool lstm_row(size_t index, struct kcheck_row *out)
{
    return row_of("f32", index, out);
}

static bool lstm_f16_row(size_t index, struct kcheck_row *out)
{
    return row_of("f16", index, out);
}

static void lstm_judge(const struct rnn_problem *p, const struct rnn_result *result)
{
    rnn_judge(p, result, oracle);
}

static void check(const struct kcheck_row *row, const char *types, uint64_t seed, size_t trial)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_lstm_rows(&count);
    struct rng rng = {seed * 1000003 + trial};
    struct rnn_problem problem;
    rnn_problem_random(&rng, true, &problem);
    if (strcmp(types, "f16") == 0)
        rnn_problem_half(&rng, &problem);
    rnn_check(row, rnn_scalar(rows, count, types), &problem, lstm_judge, &rng);
    rnn_problem_free(&problem);
}

static void lstm_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, "f32", seed, trial);
}

static void lstm_f16_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, "f16", seed, trial);
}

static bool lstm_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    return rnn_bench(row->row, true, false, index, out);
}

const struct kcheck_case kcheck_lstm = {
    .op = "lstm", .row = lstm_row, .check = lstm_check, .trials = 250, .bench = lstm_bench};
const struct kcheck_case kcheck_lstm_f16 = {.op = "lstm_f16",
                                            .row = lstm_f16_row,
                                            .check = lstm_f16_check,
                                            .trials = 250,
                                            .bench = lstm_bench};
