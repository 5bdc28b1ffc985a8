/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_case.c - the int8 rows of both tables under the checker, with the formulas of kernels.h in
 * float64.
 *
 * A rounding to levels makes a jump of any difference near a tie, so float64 does not run on its
 * own: each step starts from the h that the row gave out before, whose q is known exactly, and
 * says what h must come next. (q of r h, in a GRU that resets before, is not known so: steps with
 * a tie in sight are passed over.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/rnn_problem.h"

#define TIE_IN_SIGHT 1e-3

/* One row of the batch between steps. */
struct walk {
    const struct rnn_problem *p;
    double *h, *c;  /* [H]; h as the row gave it */
    double *q, *qx; /* [H], [I] */
    double *r, *z;  /* [H] */
    double *h_next; /* [H] */
    bool lost;      /* to NaN */
};

static double level(const struct rnn_problem *p, float v, float factor)
{
    const double most = p->desc.int8.levels;
    return fmin(most, fmax(-most, nearbyint((double)(v * factor))));
}

static double bias(const float *values, size_t at)
{
    return values != NULL ? (double)values[at] : 0.0;
}

/* W x of matrix row `at`, without its bias. */
static double from_x(const struct walk *walk, size_t at, const float *x)
{
    const struct rnn_problem *p = walk->p;
    const size_t in = p->desc.input;
    double sum = 0.0;
    for (size_t k = 0; k < in; k++)
        sum += p->weights.w_s8 != NULL ? p->weights.w_s8[at * in + k] * walk->qx[k]
                                       : (double)p->weights.w[at * in + k] * (double)x[k];
    if (p->weights.w_s8 != NULL)
        sum *= (double)p->weights.w_scale[at] * (double)p->desc.int8.input_scale;
    return sum;
}

static double from_h(const struct walk *walk, size_t at, const double *q)
{
    const struct rnn_problem *p = walk->p;
    const size_t hidden = p->desc.hidden;
    double sum = 0.0;
    for (size_t k = 0; k < hidden; k++)
        sum += p->weights.r_s8[at * hidden + k] * q[k];
    return sum * (double)p->weights.r_scale[at] / p->desc.int8.levels;
}

static double both_biases(const struct walk *walk, size_t at)
{
    return bias(walk->p->weights.bias_w, at) + bias(walk->p->weights.bias_r, at);
}

static double sigmoid(double v)
{
    return 1.0 / (1.0 + exp(-v));
}

/* Gate `gate` of unit j, from q of h. */
static double gate_sum(const struct walk *walk, size_t gate, size_t j, const float *x)
{
    const size_t at = gate * walk->p->desc.hidden + j;
    return both_biases(walk, at) + from_x(walk, at, x) + from_h(walk, at, walk->q);
}

static void lstm_step(struct walk *walk, const float *x)
{
    for (size_t j = 0; j < walk->p->desc.hidden; j++) {
        const double i = sigmoid(gate_sum(walk, 0, j, x)), o = sigmoid(gate_sum(walk, 1, j, x));
        const double f = sigmoid(gate_sum(walk, 2, j, x)), g = tanh(gate_sum(walk, 3, j, x));
        walk->c[j] = f * walk->c[j] + i * g;
        walk->h_next[j] = o * tanh(walk->c[j]);
    }
}

/* Returns whether a q was too close to a tie to be sure of. */
static bool gru_step(struct walk *walk, const float *x)
{
    const struct rnn_problem *p = walk->p;
    const size_t hidden = p->desc.hidden;
    const double most = p->desc.int8.levels;
    bool unsure = false;
    for (size_t j = 0; j < hidden; j++) {
        walk->z[j] = sigmoid(gate_sum(walk, 0, j, x));
        walk->r[j] = sigmoid(gate_sum(walk, 1, j, x));
    }
    double *qrh = kcheck_alloc(hidden * sizeof *qrh);
    for (size_t j = 0; j < hidden; j++) {
        const double scaled = walk->r[j] * walk->h[j] * most;
        qrh[j] = fmin(most, fmax(-most, nearbyint(scaled)));
        unsure = unsure || fabs(fabs(scaled - floor(scaled)) - 0.5) < TIE_IN_SIGHT;
    }
    for (size_t j = 0; j < hidden; j++) {
        const size_t at = 2 * hidden + j;
        double n = from_x(walk, at, x) + bias(p->weights.bias_w, at);
        if (p->desc.reset_after)
            n += walk->r[j] * (from_h(walk, at, walk->q) + bias(p->weights.bias_r, at));
        else
            n += from_h(walk, at, qrh) + bias(p->weights.bias_r, at);
        walk->h_next[j] = (1.0 - walk->z[j]) * tanh(n) + walk->z[j] * walk->h[j];
    }
    free(qrh);
    return unsure && !p->desc.reset_after;
}

/* One row from its first step to its last. */
static void judge_row(struct walk *walk, size_t n, const struct rnn_result *result)
{
    const struct rnn_problem *p = walk->p;
    const size_t hidden = p->desc.hidden, in = p->desc.input;
    const size_t length = p->lengths != NULL ? (size_t)p->lengths[n] : p->steps;
    const float *h = p->h0 != NULL ? p->h0 + n * hidden : NULL;
    walk->lost = false;
    for (size_t j = 0; j < hidden; j++) {
        walk->c[j] = p->c0 != NULL ? (double)p->c0[n * hidden + j] : 0.0;
        walk->lost = walk->lost || (h != NULL && isnan(h[j]));
    }
    for (size_t s = 0; s < length; s++) {
        const size_t t = p->desc.reverse ? length - 1 - s : s;
        const float *x = p->x + (n * p->steps + t) * in;
        const float *actual = result->y + (n * p->steps + t) * hidden;
        const float levels = (float)p->desc.int8.levels;
        for (size_t k = 0; k < in; k++) {
            walk->qx[k] =
                p->weights.w_s8 != NULL ? level(p, x[k], 1.0f / p->desc.int8.input_scale) : 0.0;
            walk->lost = walk->lost || (isnan(x[k]));
        }
        for (size_t j = 0; j < hidden; j++) {
            walk->h[j] = h != NULL ? (double)h[j] : 0.0;
            walk->q[j] = h != NULL ? level(p, h[j], levels) : 0.0;
        }
        bool unsure = false;
        if (p->gates == 4)
            lstm_step(walk, x);
        else
            unsure = gru_step(walk, x);
        for (size_t j = 0; j < hidden; j++)
            walk->h_next[j] = walk->lost ? NAN : unsure ? (double)actual[j] : walk->h_next[j];
        kcheck_judge("h after a step", rnn_tolerance(p), hidden, actual, walk->h_next);
        h = actual;
    }
    for (size_t j = 0; j < hidden && walk->lost; j++)
        walk->c[j] = NAN;
    for (size_t j = 0; j < hidden && length == 0; j++)
        walk->c[j] = 0.0;
    if (p->want_c_last)
        kcheck_judge("c_last", rnn_tolerance(p), hidden, result->c_last + n * hidden, walk->c);
    for (size_t j = 0; j < hidden; j++)
        walk->h[j] = length > 0 ? (double)h[j] : 0.0;
    if (p->want_h_last)
        kcheck_judge("h_last", 0.0, hidden, result->h_last + n * hidden, walk->h);
}

/* Infinite x through float weights may give NaN for some units and not for others, which float64
 * does not tell. */
static bool is_judged(const struct rnn_problem *p)
{
    bool has_infinity = false;
    for (size_t i = 0; i < p->rows * p->steps * p->desc.input; i++)
        has_infinity = has_infinity || isinf(p->x[i]);
    return p->want_y && (!has_infinity || p->weights.w_s8 != NULL);
}

static void judge(const struct rnn_problem *p, const struct rnn_result *result)
{
    const size_t hidden = p->desc.hidden;
    if (!is_judged(p))
        return;
    double *memory = kcheck_alloc((6 * hidden + p->desc.input) * sizeof(double));
    struct walk walk = {.p = p,
                        .h = memory,
                        .c = memory + hidden,
                        .q = memory + 2 * hidden,
                        .r = memory + 3 * hidden,
                        .z = memory + 4 * hidden,
                        .h_next = memory + 5 * hidden,
                        .qx = memory + 6 * hidden};
    for (size_t n = 0; n < p->rows; n++)
        judge_row(&walk, n, result);
    free(memory);
}

static void check(const struct kcheck_row *row, bool lstm, uint64_t seed, size_t trial)
{
    size_t count;
    const struct apx_rnn_row *rows = lstm ? apx_lstm_rows(&count) : apx_gru_rows(&count);
    struct rng rng = {seed * 1000003 + trial};
    struct rnn_problem problem;
    rnn_problem_random(&rng, lstm, &problem);
    rnn_problem_int8(&rng, &problem);
    rnn_check(row, rnn_scalar(rows, count, "s8"), &problem, judge, &rng);
    rnn_problem_free(&problem);
}

static bool lstm_row(size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_lstm_rows(&count);
    return rnn_row(rows, count, "s8", index, out);
}

static bool gru_row(size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_rnn_row *rows = apx_gru_rows(&count);
    return rnn_row(rows, count, "s8", index, out);
}

static void lstm_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, true, seed, trial);
}

static void gru_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    check(row, false, seed, trial);
}

static bool lstm_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    return rnn_bench(row->row, true, false, index, out);
}

static bool gru_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    return rnn_bench(row->row, false, index % 2 == 0, index / 2, out);
}

const struct kcheck_case kcheck_lstm_s8 = {
    .op = "lstm_s8", .row = lstm_row, .check = lstm_check, .trials = 400, .bench = lstm_bench};
const struct kcheck_case kcheck_gru_s8 = {
    .op = "gru_s8", .row = gru_row, .check = gru_check, .trials = 400, .bench = gru_bench};
