/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_problem.c - make recurrent problems, run rows on them between guard pages, compare. */
#include "tests/kernels/rnn_problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(struct rng *rng, float *values, size_t count, float scale)
{
    for (size_t i = 0; i < count; i++)
        values[i] = scale * rng_real(rng);
}

static float *take(float **from, size_t count)
{
    float *part = *from;
    *from += count;
    return part;
}

/* Weights, inputs and states for the sizes in *p; every optional part is made. */
static void fill_problem(struct rng *rng, struct rnn_problem *p)
{
    const size_t in = p->desc.input, h = p->desc.hidden, gates = p->gates, n = p->rows;
    const size_t floats = gates * h * (in + h + 2) + 3 * h + n * p->steps * in + 2 * n * h + n + 1;
    float *next = p->memory = kcheck_alloc(floats * sizeof(float));
    /* Sums of about unit size, so that the gates neither saturate nor stay linear. */
    const float scale = 1.7f / sqrtf((float)(in + h));
    float *w = take(&next, gates * h * in), *r = take(&next, gates * h * h);
    float *bias_w = take(&next, gates * h), *bias_r = take(&next, gates * h);
    float *peephole = take(&next, 3 * h);
    fill(rng, w, gates * h * in, scale);
    fill(rng, r, gates * h * h, scale);
    fill(rng, bias_w, gates * h, 0.5f);
    fill(rng, bias_r, gates * h, 0.5f);
    fill(rng, peephole, 3 * h, 0.5f);
    p->weights = (struct apx_rnn_weights){
        .w = w, .r = r, .bias_w = bias_w, .bias_r = bias_r, .peephole = peephole};
    p->x = take(&next, n * p->steps * in);
    p->h0 = take(&next, n * h);
    p->c0 = take(&next, n * h);
    fill(rng, p->x, n * p->steps * in, 1.0f);
    fill(rng, p->h0, n * h, 1.0f);
    fill(rng, p->c0, n * h, 1.0f);
    p->lengths = (int32_t *)(void *)take(&next, n);
    for (size_t i = 0; i < n; i++)
        p->lengths[i] = (int32_t)rng_below(rng, p->steps + 1);
}

static bool is_bounded(enum apx_act kind)
{
    return kind == APX_ACT_SIGMOID || kind == APX_ACT_TANH || kind == APX_ACT_HARD_SIGMOID ||
           kind == APX_ACT_SCALED_TANH || kind == APX_ACT_SOFTSIGN;
}

/* Gates without a bound may be larger than 1: states grow from step to step and roundings with
 * them, beyond any tolerance that would find a wrong sum. Small weights keep such gates small. */
static void tame(struct rnn_problem *p)
{
    bool bounded = p->desc.clip > 0;
    if (!bounded)
        bounded = is_bounded(p->desc.act[0].kind) && is_bounded(p->desc.act[1].kind) &&
                  (p->gates == 3 || is_bounded(p->desc.act[2].kind));
    const size_t h = p->desc.hidden;
    float *weights = p->memory; /* W, R, both biases and the peephole lie one behind the other */
    for (size_t i = 0; !bounded && i < p->gates * h * (p->desc.input + h + 2) + 3 * h; i++)
        weights[i] *= 0.25f;
}

void rnn_problem_random(struct rng *rng, bool lstm, struct rnn_problem *out)
{
    struct rnn_problem p = {.gates = lstm ? 4 : 3};
    p.desc = (struct apx_rnn_desc){.input = rng_size(rng, 0, 8, 40),
                                   .hidden = rng_size(rng, 1, rng_once(rng, 2) ? 8 : 16, 70),
                                   .reverse = rng_once(rng, 3)};
    if (rng_once(rng, 25)) /* sums as long as those of real layers */
        p.desc.hidden = 120 + rng_below(rng, 20);
    p.rows = rng_size(rng, 0, rng_once(rng, 2) ? 3 : 6, 20);
    if (rng_once(rng, 20)) /* and around what goes through a step together */
        p.rows = 47 + rng_below(rng, 4);
    p.steps = rng_size(rng, 0, 3, 7);
    if (rng_once(rng, 10)) { /* few rows whose x goes ahead of h, more than once */
        p.desc.input = 16 + rng_below(rng, 8);
        p.rows = 1 + rng_below(rng, 4);
        p.steps = 8 + rng_below(rng, 18);
    }
    if (rng_once(rng, 20)) { /* and rows of wide layers, whose x goes between h if there is one */
        p.desc.input = 120 + rng_below(rng, 30);
        p.desc.hidden = 120 + rng_below(rng, 30);
        p.rows = rng_once(rng, 4) ? 2 : 1;
        p.steps = rng_below(rng, 41);
    }
    p.desc.reset_after = !lstm && rng_once(rng, 2);
    p.desc.act[0] = (struct apx_activation){.kind = APX_ACT_SIGMOID};
    p.desc.act[1] = p.desc.act[2] = (struct apx_activation){.kind = APX_ACT_TANH};
    if (rng_once(rng, 3)) { /* the general cell */
        p.desc.has_peephole = lstm && rng_once(rng, 2);
        p.desc.input_forget = lstm && rng_once(rng, 2);
        p.desc.clip = rng_once(rng, 2) ? 0.4f : 0.0f;
        for (int i = 0; i < 3 && !rng_once(rng, 3); i++)
            p.desc.act[i] = kcheck_random_activation(rng);
    }
    fill_problem(rng, &p);
    tame(&p);
    if (rng_once(rng, 4))
        p.weights.bias_w = NULL;
    if (rng_once(rng, 4))
        p.weights.bias_r = NULL;
    if (!p.desc.has_peephole)
        p.weights.peephole = NULL;
    if (rng_once(rng, 3))
        p.h0 = NULL;
    if (!lstm || rng_once(rng, 3))
        p.c0 = NULL;
    if (!rng_once(rng, 3))
        p.lengths = NULL;
    p.want_y = !rng_once(rng, 5);
    p.want_h_last = !rng_once(rng, 5);
    p.want_c_last = lstm && !rng_once(rng, 5);
    p.time_first = rng_once(rng, 2);
    p.gap = rng_once(rng, 2) ? 0 : 1 + rng_below(rng, 5);
    *out = p;
}

void rnn_problem_free(struct rnn_problem *problem)
{
    free(problem->memory);
    free(problem->int8);
    memset(problem, 0, sizeof *problem);
}

static struct rnn_result result_create(const struct rnn_problem *p)
{
    const size_t states = p->rows * p->desc.hidden * sizeof(float);
    return (struct rnn_result){.y = kcheck_alloc(states * p->steps),
                               .h_last = kcheck_alloc(states),
                               .c_last = kcheck_alloc(states)};
}

static void result_free(struct rnn_result *result)
{
    free(result->y);
    free(result->h_last);
    free(result->c_last);
}

/* A tensor [N,T,width] somewhere in a guarded buffer. */
struct placed {
    struct guard guard;
    float *data;
    ptrdiff_t row, step;
};

static struct placed place(size_t rows, size_t steps, size_t width, size_t gap, bool time_first,
                           enum guard_side side)
{
    struct placed placed;
    const size_t inner = width + gap;
    const size_t row = time_first ? inner : steps * inner + gap;
    const size_t step = time_first ? rows * inner + gap : inner;
    size_t floats = 0;
    if (rows > 0 && steps > 0)
        floats = (rows - 1) * row + (steps - 1) * step + width;
    placed.guard = guard_create(floats * sizeof(float), side);
    placed.data = placed.guard.data;
    placed.row = (ptrdiff_t)row;
    placed.step = (ptrdiff_t)step;
    return placed;
}

/* Copy between the placed tensor and a dense one. */
static void transfer(const struct placed *placed, size_t rows, size_t steps, size_t width,
                     float *dense, bool in)
{
    for (size_t n = 0; n < rows; n++)
        for (size_t t = 0; t < steps; t++) {
            float *there = placed->data + (ptrdiff_t)n * placed->row + (ptrdiff_t)t * placed->step;
            float *here = dense + (n * steps + t) * width;
            memcpy(in ? there : here, in ? here : there, width * sizeof(float));
        }
}

/* Blank the tensor's elements; what is not 0xff afterwards was written between them. */
static bool gaps_intact(const struct placed *placed, size_t rows, size_t steps, size_t width)
{
    for (size_t n = 0; n < rows; n++)
        for (size_t t = 0; t < steps; t++)
            memset(placed->data + (ptrdiff_t)n * placed->row + (ptrdiff_t)t * placed->step, 0xff,
                   width * sizeof(float));
    const unsigned char *bytes = placed->guard.data;
    for (size_t i = 0; i < placed->guard.bytes; i++)
        if (bytes[i] != 0xff)
            return false;
    return guard_intact(&placed->guard);
}

/* Rows first .. first + count of the problem through `row`, between guard pages. */
static void run(const struct apx_rnn_row *row, const struct rnn_problem *p, size_t first,
                size_t count, enum guard_side side, const struct rnn_result *out)
{
    const size_t in = p->desc.input, h = p->desc.hidden, steps = p->steps;
    struct placed x = place(count, steps, in, p->gap, p->time_first, side);
    struct placed y = place(count, steps, h, p->gap, p->time_first, side);
    struct placed h0 = place(count, 1, h, p->gap, false, side);
    struct placed c0 = place(count, 1, h, p->gap, false, side);
    struct placed h_last = place(count, 1, h, p->gap, false, side);
    struct placed c_last = place(count, 1, h, p->gap, false, side);
    struct guard packed = guard_create(row->packed_bytes(&p->desc), side);
    struct guard scratch = guard_create(row->scratch_bytes(&p->desc, count), side);
    struct guard lengths = guard_create(p->lengths != NULL ? count * sizeof(int32_t) : 0, side);

    transfer(&x, count, steps, in, p->x + first * steps * in, true);
    if (p->h0 != NULL)
        transfer(&h0, count, 1, h, p->h0 + first * h, true);
    if (p->c0 != NULL)
        transfer(&c0, count, 1, h, p->c0 + first * h, true);
    if (p->lengths != NULL && count > 0)
        memcpy(lengths.data, p->lengths + first, count * sizeof(int32_t));
    row->pack(&p->desc, &p->weights, packed.data);
    if (!guard_intact(&packed))
        kcheck_fail("pack writes outside packed");
    guard_freeze(&packed);
    guard_freeze(&x.guard);
    guard_freeze(&h0.guard);
    guard_freeze(&c0.guard);
    guard_freeze(&lengths);
    const struct apx_rnn_args args = {
        .desc = &p->desc,
        .packed = packed.data,
        .rows = count,
        .steps = steps,
        .x = x.data,
        .x_row = x.row,
        .x_step = x.step,
        .h0 = p->h0 != NULL ? h0.data : NULL,
        .c0 = p->c0 != NULL ? c0.data : NULL,
        .h0_row = h0.row,
        .c0_row = c0.row,
        .lengths = p->lengths != NULL ? lengths.data : NULL,
        .y = p->want_y ? y.data : NULL,
        .y_row = y.row,
        .y_step = y.step,
        .h_last = p->want_h_last ? h_last.data : NULL,
        .c_last = p->want_c_last ? c_last.data : NULL,
        .h_last_row = h_last.row,
        .c_last_row = c_last.row,
        .scratch = scratch.data,
    };
    row->run(&args);
    transfer(&y, count, steps, h, out->y + first * steps * h, false);
    transfer(&h_last, count, 1, h, out->h_last + first * h, false);
    transfer(&c_last, count, 1, h, out->c_last + first * h, false);
    if (!gaps_intact(&y, count, steps, h) || !gaps_intact(&h_last, count, 1, h) ||
        !gaps_intact(&c_last, count, 1, h))
        kcheck_fail("writes between the rows of an output");
    if (!guard_intact(&scratch))
        kcheck_fail("writes outside scratch");
    struct guard *all[] = {&x.guard,      &y.guard, &h0.guard, &c0.guard, &h_last.guard,
                           &c_last.guard, &packed,  &scratch,  &lengths};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        guard_destroy(all[i]);
}

void rnn_problem_half(struct rng *rng, struct rnn_problem *p)
{
    p->desc.half_weights = true;
    const size_t outputs = p->gates * p->desc.hidden;
    float *w = p->memory; /* W and R lie one behind the other */
    for (size_t i = 0; i < outputs * (p->desc.input + p->desc.hidden); i++) {
        if (rng_once(rng, 10))
            w[i] *= 0x1p-16f;
        else if (rng_once(rng, 10)) /* twelve bits: the last one is half a unit */
            w[i] = (float)(2 * rng_below(rng, 1024) + 2049) * (w[i] < 0 ? -0x1p-14f : 0x1p-14f);
    }
}

/* To the nearest half, by the definition of the format. */
static float rounded(float v)
{
    int exponent;
    frexp((double)v, &exponent);
    const int last = exponent - 11 > -24 ? exponent - 11 : -24;
    return (float)ldexp(nearbyint(ldexp((double)v, -last)), last);
}

/* The problem as float64 has to see it; *memory is freed by the caller. */
static struct rnn_problem with_rounded_weights(const struct rnn_problem *p, float **memory)
{
    struct rnn_problem copy = *p;
    const size_t outputs = p->gates * p->desc.hidden;
    const size_t w = outputs * p->desc.input, r = outputs * p->desc.hidden;
    *memory = kcheck_alloc((w + r) * sizeof(float));
    for (size_t i = 0; i < w; i++)
        (*memory)[i] = rounded(p->weights.w[i]);
    for (size_t i = 0; i < r; i++)
        (*memory)[w + i] = rounded(p->weights.r[i]);
    copy.weights.w = *memory;
    copy.weights.r = *memory + w;
    return copy;
}

double rnn_tolerance(const struct rnn_problem *p)
{
    return 1e-7 * (double)(8 + p->desc.input + p->desc.hidden) * (double)(1 + p->steps);
}

void rnn_judge(const struct rnn_problem *p, const struct rnn_result *result, rnn_oracle_fn oracle)
{
    const size_t states = p->rows * p->desc.hidden;
    double *y = kcheck_alloc(states * p->steps * sizeof(double));
    double *h_last = kcheck_alloc(states * sizeof(double));
    double *c_last = kcheck_alloc(states * sizeof(double));
    float *memory = NULL;
    const struct rnn_problem seen = p->desc.half_weights ? with_rounded_weights(p, &memory) : *p;
    oracle(&seen, y, h_last, c_last);
    free(memory);
    const double tolerance = rnn_tolerance(p);
    if (p->want_y)
        kcheck_judge("y", tolerance, states * p->steps, result->y, y);
    if (p->want_h_last)
        kcheck_judge("h_last", tolerance, states, result->h_last, h_last);
    if (p->want_c_last)
        kcheck_judge("c_last", tolerance, states, result->c_last, c_last);
    free(y);
    free(h_last);
    free(c_last);
}

bool rnn_row(const struct apx_rnn_row *rows, size_t count, const char *types, size_t index,
             struct kcheck_row *out)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].types, types) == 0 && index-- == 0) {
            *out = (struct kcheck_row){rows[i].isa, rows[i].name, rows[i].needs, rows[i].match,
                                       &rows[i]};
            return true;
        }
    return false;
}

const struct apx_rnn_row *rnn_scalar(const struct apx_rnn_row *rows, size_t count,
                                     const char *types)
{
    const struct apx_rnn_row *last = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].types, types) == 0)
            last = &rows[i];
    return last;
}

static void compare(const struct rnn_problem *p, const char *how, enum apx_match match,
                    const struct rnn_result *actual, const struct rnn_result *expected)
{
    const size_t h = p->desc.hidden, states = p->rows * h, inner = p->desc.input + h;
    char what[64];
    snprintf(what, sizeof what, "%s: y", how);
    if (p->want_y)
        kcheck_compare(what, match, inner, states * p->steps, actual->y, expected->y);
    snprintf(what, sizeof what, "%s: h_last", how);
    if (p->want_h_last)
        kcheck_compare(what, match, inner, states, actual->h_last, expected->h_last);
    snprintf(what, sizeof what, "%s: c_last", how);
    if (p->want_c_last)
        kcheck_compare(what, match, inner, states, actual->c_last, expected->c_last);
}

void rnn_check(const struct kcheck_row *row, const struct apx_rnn_row *scalar,
               const struct rnn_problem *p, rnn_judge_fn judge, struct rng *rng)
{
    const struct apx_rnn_row *rnn = row->row;
    const struct apx_rnn_desc *desc = &p->desc;
    kcheck_describe("I %zu H %zu N %zu T %zu%s%s%s%s%s acts %d %d %d int8 %d %g", desc->input,
                    desc->hidden, p->rows, p->steps, desc->reverse ? " reverse" : "",
                    desc->has_peephole ? " peephole" : "", desc->input_forget ? " coupled" : "",
                    desc->reset_after ? " reset after" : "", p->lengths != NULL ? " lengths" : "",
                    desc->act[0].kind, desc->act[1].kind, desc->act[2].kind, desc->int8.levels,
                    (double)desc->int8.input_scale);
    if (!rnn->supports(desc))
        return;
    struct rnn_result expected = result_create(p), actual = result_create(p);
    run(scalar, p, 0, p->rows, GUARD_END, &expected);
    if (rnn == scalar)
        judge(p, &expected);
    run(rnn, p, 0, p->rows, GUARD_START, &actual);
    compare(p, "guard before", row->match, &actual, &expected);
    run(rnn, p, 0, p->rows, GUARD_END, &actual);
    compare(p, "guard behind", row->match, &actual, &expected);

    /* Cut anywhere, down to single rows: the same bits as in the batch. */
    struct rnn_result cut = result_create(p);
    for (size_t first = 0; first < p->rows;) {
        size_t count = rng_once(rng, 2) ? 1 : 1 + rng_below(rng, p->rows - first);
        run(rnn, p, first, count, GUARD_END, &cut);
        first += count;
    }
    compare(p, "cut", APX_MATCH_EXACT, &cut, &actual);
    result_free(&cut);
    result_free(&expected);
    result_free(&actual);
}

struct bench_context {
    const struct apx_rnn_row *row;
    struct apx_rnn_args args;
};

static void bench_once(void *context)
{
    struct bench_context *bench = context;
    bench->row->run(&bench->args);
}

bool rnn_bench(const struct apx_rnn_row *row, bool lstm, bool reset_after, size_t index,
               struct kcheck_time *out)
{
    const bool is_int8 = strcmp(row->types, "s8") == 0;
    static const struct {
        size_t input, hidden, rows, steps;
    } shapes[] = {{4, 64, 1, 10},   {4, 64, 64, 10},    {4, 128, 1, 10},   {4, 128, 16, 10},
                  {4, 128, 64, 10}, {128, 128, 1, 10},  {128, 128, 3, 10}, {128, 128, 64, 10},
                  {16, 256, 1, 10}, {256, 128, 64, 10}, {16, 256, 64, 10}};
    if (index >= sizeof shapes / sizeof shapes[0])
        return false;
    struct rng rng = {1};
    struct rnn_problem p = {
        .gates = lstm ? 4 : 3, .rows = shapes[index].rows, .steps = shapes[index].steps};
    p.desc = (struct apx_rnn_desc){
        .input = shapes[index].input,
        .hidden = shapes[index].hidden,
        .reset_after = reset_after,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    fill_problem(&rng, &p);
    p.desc.half_weights = strcmp(row->types, "f16") == 0;
    if (is_int8)
        rnn_problem_plain_int8(&p);
    const size_t in = p.desc.input, h = p.desc.hidden;
    float *y = kcheck_alloc(p.rows * p.steps * h * sizeof(float));
    struct guard packed = guard_create(row->packed_bytes(&p.desc), GUARD_START);
    struct guard scratch = guard_create(row->scratch_bytes(&p.desc, p.rows), GUARD_START);
    row->pack(&p.desc, &p.weights, packed.data);
    struct bench_context context = {.row = row,
                                    .args = {.desc = &p.desc,
                                             .packed = packed.data,
                                             .rows = p.rows,
                                             .steps = p.steps,
                                             .x = p.x,
                                             .x_row = (ptrdiff_t)(p.steps * in),
                                             .x_step = (ptrdiff_t)in,
                                             .y = y,
                                             .y_row = (ptrdiff_t)(p.steps * h),
                                             .y_step = (ptrdiff_t)h,
                                             .scratch = scratch.data}};
    snprintf(out->shape, sizeof out->shape, "I %zu H %zu N %zu T %zu%s", in, h, p.rows, p.steps,
             reset_after ? " reset after" : "");
    out->seconds = kcheck_time(bench_once, &context);
    out->flop = 2.0 * (double)(p.gates * h * (in + h) * p.rows * p.steps);
    guard_destroy(&packed);
    guard_destroy(&scratch);
    free(y);
    rnn_problem_free(&p);
    return true;
}
