/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f16_test.c - recurrent kernels with products of halves, emulated: against ONNX's equations in
 * float64 with x, weights and h rounded to halves where the kernels round them, in every cut, all
 * of which must give the same bits, rows alone and in a batch. */
#include "kernels/cuda/rnn_mma.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { LSTM, GRU_AFTER, GRU_BEFORE, KINDS };

extern size_t emulated_shared_limit;

static struct apx_cuda_device device = {
    .major = 9, .multiprocessors = 132, .shared_bytes = 227 * 1024, .clock = 1.8e9};

struct problem {
    int kind;
    struct apx_rnn_desc desc;
    size_t rows, steps;
    struct apx_rnn_weights weights;
    float *memory, *x, *h0, *c0;
    int32_t lengths[64];
    bool has_lengths, has_h0;
};

struct result {
    float *y, *h_last, *c_last;
};

static void *get(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    REQUIRE(memory != NULL);
    memset(memory, 0xff, bytes);
    return memory;
}

/* To eleven bits, halves to even, within the largest half; NaN stays. */
static double half(double value)
{
    int exponent;
    if (fabs(value) > 65504.0)
        return copysign(65504.0, value);
    frexp(value, &exponent);
    if (exponent < -13)
        exponent = -13;
    return ldexp(rint(ldexp(value, 11 - exponent)), exponent - 11);
}

static struct problem make(struct rng *rng, int kind)
{
    struct problem p = {.kind = kind, .rows = 1 + rng_below(rng, 20), .steps = rng_below(rng, 6)};
    const size_t in = rng_size(rng, 0, 16, 40), h = rng_size(rng, 1, 16, 70);
    p.desc = (struct apx_rnn_desc){
        .input = in,
        .hidden = h,
        .reverse = rng_once(rng, 3),
        .reset_after = kind == GRU_AFTER,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    const size_t gates = kind == LSTM ? 4 : 3, w = gates * h * in, r = gates * h * h;
    const size_t xs = p.rows * p.steps * in, states = p.rows * h;
    const size_t all = w + r + 2 * gates * h + xs + 2 * states;
    float *next = p.memory = get(all * sizeof(float));
    for (size_t i = 0; i < all; i++)
        next[i] = rng_real(rng) * (i < w + r ? 1.7f / sqrtf((float)(in + h)) : 1.0f);
    p.weights.w = next;
    p.weights.r = next + w;
    p.weights.bias_w = next + w + r;
    p.weights.bias_r = rng_once(rng, 4) ? NULL : next + w + r + gates * h;
    p.x = next + w + r + 2 * gates * h;
    p.h0 = p.x + xs;
    p.c0 = p.h0 + states;
    p.has_h0 = !rng_once(rng, 3);
    p.has_lengths = rng_once(rng, 2);
    for (size_t n = 0; n < p.rows; n++)
        p.lengths[n] = (int32_t)rng_below(rng, p.steps + 1);
    return p;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Bias, W x and R h of a gate's unit; h is rounded. */
static double sum_of(const struct problem *p, size_t gate, size_t unit, const float *x,
                     const double *h, double *from_h)
{
    const size_t in = p->desc.input, hidden = p->desc.hidden, row = gate * hidden + unit;
    double sum = (double)p->weights.bias_w[row];
    for (size_t k = 0; k < in; k++)
        sum += half((double)p->weights.w[row * in + k]) * half((double)x[k]);
    *from_h = p->weights.bias_r != NULL ? (double)p->weights.bias_r[row] : 0.0;
    for (size_t k = 0; k < hidden; k++)
        *from_h += half((double)p->weights.r[row * hidden + k]) * half(h[k]);
    return sum;
}

static void step(const struct problem *p, const float *x, double *h, double *c)
{
    const size_t hidden = p->desc.hidden;
    double next[128], rh[128], z[128], part;
    for (size_t u = 0; u < hidden; u++) {
        if (p->kind == LSTM) {
            double gate[4];
            for (size_t g = 0; g < 4; g++) {
                gate[g] = sum_of(p, g, u, x, h, &part);
                gate[g] += part;
            }
            c[u] = sigmoid(gate[2]) * c[u] + sigmoid(gate[0]) * tanh(gate[3]);
            next[u] = sigmoid(gate[1]) * tanh(c[u]);
            continue;
        }
        z[u] = sum_of(p, 0, u, x, h, &part);
        z[u] = sigmoid(z[u] + part);
        double r = sum_of(p, 1, u, x, h, &part);
        r = sigmoid(r + part);
        rh[u] = r * h[u];
        const double from_x = sum_of(p, 2, u, x, h, &part);
        next[u] = (1.0 - z[u]) * tanh(from_x + r * part) + z[u] * h[u];
    }
    for (size_t u = 0; u < hidden && p->kind == GRU_BEFORE; u++) {
        const double from_x = sum_of(p, 2, u, x, rh, &part);
        next[u] = (1.0 - z[u]) * tanh(from_x + part) + z[u] * h[u];
    }
    memcpy(h, next, hidden * sizeof *h);
}

static void oracle(const struct problem *p, const struct result *out)
{
    const size_t hidden = p->desc.hidden;
    memset(out->y, 0, p->rows * p->steps * hidden * sizeof(float));
    for (size_t n = 0; n < p->rows; n++) {
        double h[128] = {0}, c[128] = {0};
        const size_t length = p->has_lengths ? (size_t)p->lengths[n] : p->steps;
        for (size_t u = 0; u < hidden && p->has_h0 && length > 0; u++) {
            h[u] = (double)p->h0[n * hidden + u];
            c[u] = (double)p->c0[n * hidden + u];
        }
        for (size_t s = 0; s < length; s++) {
            const size_t t = p->desc.reverse ? length - 1 - s : s, at = n * p->steps + t;
            step(p, p->x + at * p->desc.input, h, c);
            for (size_t u = 0; u < hidden; u++)
                out->y[at * hidden + u] = (float)h[u];
        }
        for (size_t u = 0; u < hidden; u++) {
            out->h_last[n * hidden + u] = (float)h[u];
            out->c_last[n * hidden + u] = (float)c[u];
        }
    }
}

/* Rows from `first` on. */
static void run(const struct problem *p, const struct rnn_mma_cut *cut, const void *packed,
                size_t first, size_t count, const struct result *out)
{
    const size_t in = p->desc.input, h = p->desc.hidden, t = p->steps;
    int32_t fault = 0;
    struct apx_rnn_args args = {.desc = &p->desc,
                                .packed = packed,
                                .rows = count,
                                .steps = t,
                                .x = p->x + first * t * in,
                                .x_row = (ptrdiff_t)(t * in),
                                .x_step = (ptrdiff_t)in,
                                .y = out->y + first * t * h,
                                .y_row = (ptrdiff_t)(t * h),
                                .y_step = (ptrdiff_t)h,
                                .h_last = out->h_last + first * h,
                                .h_last_row = (ptrdiff_t)h};
    if (p->has_lengths)
        args.lengths = p->lengths + first;
    if (p->has_h0) {
        args.h0 = p->h0 + first * h;
        args.h0_row = (ptrdiff_t)h;
    }
    if (p->kind == LSTM) {
        args.c0 = p->has_h0 ? p->c0 + first * h : NULL;
        args.c0_row = (ptrdiff_t)h;
        args.c_last = out->c_last + first * h;
        args.c_last_row = (ptrdiff_t)h;
        CHECK_EQ(apx_lstm_f16_cuda_launch(cut, &args, &fault, NULL), 0);
    } else {
        CHECK_EQ(apx_gru_f16_cuda_launch(cut, &args, &fault, NULL), 0);
    }
    CHECK_EQ(fault, 0);
}

static struct result result_create(const struct problem *p)
{
    const size_t states = p->rows * p->desc.hidden * sizeof(float);
    return (struct result){get(states * p->steps), get(states), get(states)};
}

static void result_free(struct result *result)
{
    free(result->y);
    free(result->h_last);
    free(result->c_last);
}

/* A rounding of h that falls on the other side shows in what follows, so rarely it may be more. */
static void judge(const struct problem *p, const struct result *actual,
                  const struct result *expected)
{
    const size_t states = p->rows * p->desc.hidden;
    double worst = 0.0, total = 0.0;
    size_t count = 0;
    const struct {
        const float *actual, *expected;
        size_t count;
    } parts[] = {{actual->y, expected->y, states * p->steps},
                 {actual->h_last, expected->h_last, states},
                 {actual->c_last, expected->c_last, p->kind == LSTM ? states : 0}};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < parts[i].count; j++, count++) {
            const double error = fabs((double)parts[i].actual[j] - (double)parts[i].expected[j]);
            worst = error <= worst ? worst : error; /* NaN is worst */
            total += error;
        }
    if (!CHECK(worst < 1e-3) || !CHECK(total <= 1e-5 * (double)count))
        fprintf(stderr, "    kind %d I %zu H %zu N %zu T %zu: error %g, mean %g\n", p->kind,
                p->desc.input, p->desc.hidden, p->rows, p->steps, worst, total / (double)count);
}

static bool same(const struct problem *p, const struct result *a, const struct result *b)
{
    const size_t states = p->rows * p->desc.hidden * sizeof(float);
    return memcmp(a->y, b->y, states * p->steps) == 0 &&
           memcmp(a->h_last, b->h_last, states) == 0 &&
           (p->kind != LSTM || memcmp(a->c_last, b->c_last, states) == 0);
}

static size_t clusters_seen, far_seen;

static void one(struct rng *rng, int kind)
{
    struct problem p = make(rng, kind);
    const unsigned gates = kind == LSTM ? 4 : 3;
    void *packed = get(apx_rnn_mma_packed_bytes(&p.desc, gates));
    apx_rnn_mma_pack(&p.desc, gates, &p.weights, packed);
    struct result expected = result_create(&p), chosen = result_create(&p);
    oracle(&p, &expected);
    device.shared_bytes = rng_once(rng, 2) ? 227 * 1024 : 24 * 1024;
    emulated_shared_limit = device.shared_bytes;
    struct rnn_mma_cut cut;
    REQUIRE(apx_rnn_mma_cut(&device, &p.desc, gates, p.rows, p.steps, &cut));
    run(&p, &cut, packed, 0, p.rows, &chosen);
    judge(&p, &chosen, &expected);
    for (unsigned cluster = 1; cluster <= 8; cluster *= 2) {
        struct result actual = result_create(&p);
        cut = (struct rnn_mma_cut){.cluster = cluster, .tiles = 1u << rng_below(rng, 3)};
        if (apx_rnn_mma_cut_complete(&device, &p.desc, gates, &cut)) {
            clusters_seen += cluster > 1;
            far_seen += !cut.resident;
            for (size_t first = 0; first < p.rows;) {
                const size_t left = p.rows - first;
                const size_t count = rng_once(rng, 2) ? left : 1 + rng_below(rng, left);
                run(&p, &cut, packed, first, count, &actual);
                first += count;
            }
            CHECK(same(&p, &actual, &chosen));
        }
        result_free(&actual);
    }
    result_free(&expected);
    result_free(&chosen);
    free(packed);
    free(p.memory);
}

static void lstm(void)
{
    struct rng rng = {1};
    for (int i = 0; i < 40; i++)
        one(&rng, LSTM);
}

static void gru(void)
{
    struct rng rng = {2};
    for (int i = 0; i < 40; i++)
        one(&rng, i % 2 == 0 ? GRU_AFTER : GRU_BEFORE);
}

/* x beyond the range of halves counts as its end, h0 as well, where an infinity times a weight of
 * zero would be NaN; NaN stays NaN. */
static void bounded(void)
{
    static const float far[] = {65504.0f, 65520.0f, 1e6f, INFINITY, -65520.0f, -INFINITY};
    struct rng rng = {3};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
            struct problem p = make(&rng, kind);
            while (p.steps == 0 || p.desc.input == 0) {
                free(p.memory);
                p = make(&rng, kind);
            }
            const unsigned gates = kind == LSTM ? 4 : 3;
            const size_t weights = gates * p.desc.hidden;
            float *w = p.memory;
            for (size_t k = 0; k < weights * p.desc.input; k++) /* sums of about unit size */
                w[k] = k % p.desc.input == 0 ? (k % 3 == 0 ? 0.0f : 0x1p-16f) : w[k];
            for (size_t n = 0; n < p.rows * p.steps; n++)
                p.x[n * p.desc.input] = far[i];
            p.has_lengths = false;
            p.has_h0 = p.has_h0 && kind == LSTM; /* a GRU's h goes on from h0 */
            for (size_t k = 0; k < p.rows * p.desc.hidden; k += 7)
                p.h0[k] = p.has_h0 ? far[i] : p.h0[k];
            float *r = w + weights * p.desc.input;
            for (size_t k = 0; k < weights * p.desc.hidden && p.has_h0; k++)
                r[k] *= 0x1p-18f;
            void *packed = get(apx_rnn_mma_packed_bytes(&p.desc, gates));
            apx_rnn_mma_pack(&p.desc, gates, &p.weights, packed);
            struct result expected = result_create(&p), actual = result_create(&p);
            struct rnn_mma_cut cut = {.cluster = 1, .tiles = 1};
            REQUIRE(apx_rnn_mma_cut_complete(&device, &p.desc, gates, &cut));
            oracle(&p, &expected);
            run(&p, &cut, packed, 0, p.rows, &actual);
            judge(&p, &actual, &expected);
            p.x[0] = NAN;
            run(&p, &cut, packed, 0, 1, &actual);
            const size_t last = p.desc.reverse ? 0 : p.steps - 1;
            for (size_t u = 0; u < p.desc.hidden; u++)
                CHECK(isnan(actual.y[last * p.desc.hidden + u]));
            result_free(&expected);
            result_free(&actual);
            free(packed);
            free(p.memory);
        }
}

static void variety(void)
{
    CHECK(clusters_seen > 20);
    CHECK(far_seen > 10);
}

int main(void)
{
    RUN(lstm);
    RUN(gru);
    RUN(bounded);
    RUN(variety);
    return check_report();
}
