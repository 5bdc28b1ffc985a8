/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_problem.c - int8 layers out of float problems, from ordinary ones to those in which any
 * sum that saturated or overflowed would show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/rnn_problem.h"

/* How the weights look. */
enum look {
    LOOK_ROUNDED, /* the float weights, to the nearest level */
    LOOK_LARGEST, /* all as large as can be, both signs */
    LOOK_LARGEST_POSITIVE,
};

struct matrices {
    float *w_scale, *r_scale;
    int8_t *w, *r;
};

static struct matrices allocate(struct rnn_problem *p)
{
    const size_t outputs = p->gates * p->desc.hidden;
    const size_t weights = outputs * (p->desc.input + p->desc.hidden);
    struct matrices m;
    p->int8 = kcheck_alloc(2 * outputs * sizeof(float) + weights);
    m.w_scale = p->int8;
    m.r_scale = m.w_scale + outputs;
    m.w = (int8_t *)(m.r_scale + outputs);
    m.r = m.w + outputs * p->desc.input;
    return m;
}

/* from[outputs, inner] to q and one scale a row. */
static void quantise(struct rng *rng, const float *from, size_t outputs, size_t inner, int most,
                     enum look look, int8_t *q, float *scale)
{
    for (size_t o = 0; o < outputs; o++) {
        const float *row = from + o * inner;
        float largest = 0.0f;
        for (size_t k = 0; k < inner; k++)
            largest = fmaxf(largest, fabsf(row[k]));
        scale[o] = largest / (float)most;
        if (look != LOOK_ROUNDED) /* sums of about unit size still */
            scale[o] = 1.0f / (float)(most * (int)(inner + 1));
        for (size_t k = 0; k < inner; k++) {
            if (look == LOOK_ROUNDED)
                q[o * inner + k] = (int8_t)(largest > 0.0f ? rintf(row[k] / scale[o]) : 0.0f);
            else
                q[o * inner + k] =
                    (int8_t)(look == LOOK_LARGEST && rng_once(rng, 2) ? -most : most);
        }
    }
}

static void make(struct rng *rng, struct rnn_problem *p, int most, enum look look)
{
    const size_t outputs = p->gates * p->desc.hidden;
    const struct matrices m = allocate(p);
    quantise(rng, p->weights.w, outputs, p->desc.input, most, look, m.w, m.w_scale);
    quantise(rng, p->weights.r, outputs, p->desc.hidden, most, look, m.r, m.r_scale);
    const bool quantises_x = p->desc.int8.input_scale > 0.0f;
    p->weights.r = NULL;
    p->weights.r_s8 = m.r;
    p->weights.r_scale = m.r_scale;
    p->weights.peephole = NULL;
    if (!quantises_x)
        return;
    p->weights.w = NULL;
    p->weights.w_s8 = m.w;
    p->weights.w_scale = m.w_scale;
}

/* Every value as far out as `bound`, or somewhat beyond. */
static void push_out(struct rng *rng, float *values, size_t count, float bound, bool one_sign)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = bound * (rng_once(rng, 4) ? 1.5f : 1.0f);
        if (!one_sign && rng_once(rng, 2))
            values[i] = -values[i];
    }
}

void rnn_problem_int8(struct rng *rng, struct rnn_problem *p)
{
    /* Among them the largest for which 2, 4, 8, 16 products with levels of 127 or 63 fit 16 bits,
     * and the next ones. */
    static const int most[] = {127, 66, 65, 64, 63, 33, 32, 17, 16, 7, 1};
    struct apx_rnn_desc *desc = &p->desc;
    const enum look look = rng_once(rng, 3)   ? LOOK_LARGEST
                           : rng_once(rng, 6) ? LOOK_LARGEST_POSITIVE
                                              : LOOK_ROUNDED;
    const size_t x_count = p->rows * p->steps * desc->input, h_count = p->rows * desc->hidden;
    desc->has_peephole = desc->input_forget = false;
    desc->clip = 0.0f;
    desc->act[0] = (struct apx_activation){.kind = APX_ACT_SIGMOID};
    desc->act[1] = desc->act[2] = (struct apx_activation){.kind = APX_ACT_TANH};
    desc->int8.levels = rng_once(rng, 3) ? 63 : 127;
    if (!rng_once(rng, 3)) /* as another layer's h, or such that x saturates */
        desc->int8.input_scale = (rng_once(rng, 2) ? 1.0f : 0.7f) / (float)desc->int8.levels;
    make(rng, p, most[rng_below(rng, sizeof most / sizeof most[0])], look);
    const bool one_sign = rng_once(rng, 2);
    if (rng_once(rng, 3))
        push_out(rng, p->x, x_count, 1.0f, one_sign);
    if (p->h0 != NULL && rng_once(rng, 2))
        push_out(rng, p->h0, h_count, 1.0f, one_sign);
    if (x_count > 0 && rng_once(rng, 10))
        p->x[rng_below(rng, x_count)] = rng_once(rng, 2) ? NAN : INFINITY;
    if (p->h0 != NULL && h_count > 0 && rng_once(rng, 20))
        p->h0[rng_below(rng, h_count)] = NAN;
}

void rnn_problem_plain_int8(struct rnn_problem *p)
{
    struct rng rng = {1};
    p->desc.int8.levels = 127;
    p->desc.int8.input_scale = p->desc.input < 16 ? 0.0f : 1.0f / 127.0f;
    make(&rng, p, 63, LOOK_ROUNDED);
}
