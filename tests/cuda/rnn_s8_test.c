/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_test.c - int8 recurrent kernels, emulated, at the edges of octets, tiles of k and blocks:
 * the bits of the processor's scalar rows in every cut, with lengths, either direction, initial
 * states, NaN, x in float and in int8. */
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_mma.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { LSTM, GRU_AFTER, GRU_BEFORE, KINDS };
enum { MOST_ROWS = 17, STEPS = 3 };

extern size_t emulated_shared_limit;
extern unsigned emulated_cluster_limit;

static struct apx_cuda_device device = {
    .major = 9, .multiprocessors = 132, .shared_bytes = 227 * 1024, .clock = 1.8e9};

struct problem {
    struct apx_rnn_desc desc;
    struct apx_rnn_weights weights;
    size_t gates, rows;
    float *floats, *x, *h0, *c0;
    int8_t *bytes;
    int32_t lengths[MOST_ROWS];
    bool has_lengths, has_states;
};

struct result {
    float *y, *h_last, *c_last;
    size_t count;
};

static void *get(size_t bytes)
{
    void *memory = NULL;
    REQUIRE(posix_memalign(&memory, 256, bytes > 0 ? bytes : 1) == 0);
    memset(memory, 0xff, bytes);
    return memory;
}

static struct problem make(struct rng *rng, int kind, size_t input, size_t hidden, size_t rows,
                           bool quantises_x)
{
    struct problem p = {.gates = kind == LSTM ? 4 : 3, .rows = rows};
    p.desc = (struct apx_rnn_desc){
        .input = input,
        .hidden = hidden,
        .reverse = rng_once(rng, 2),
        .reset_after = kind == GRU_AFTER,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}},
        .int8 = {.levels = rng_once(rng, 2) ? 63 : 127}};
    if (quantises_x)
        p.desc.int8.input_scale = 0.8f / (float)p.desc.int8.levels;
    const size_t outputs = p.gates * hidden, w = outputs * input, r = outputs * hidden;
    const size_t states = rows * hidden, xs = rows * STEPS * input;
    float *next = p.floats = get((w + 4 * outputs + 2 * states + xs) * sizeof(float));
    for (size_t i = 0; i < w + 4 * outputs + 2 * states + xs; i++)
        next[i] = rng_real(rng);
    p.bytes = get(w + r);
    for (size_t i = 0; i < w + r; i++)
        p.bytes[i] = (int8_t)((int)rng_below(rng, 255) - 127);
    float *scale = next + w;
    for (size_t i = 0; i < 2 * outputs; i++)
        scale[i] = fabsf(scale[i]) * 2.5f / (127.0f * sqrtf((float)(input + hidden)));
    p.weights = (struct apx_rnn_weights){.w = quantises_x ? NULL : next,
                                         .w_s8 = quantises_x ? p.bytes : NULL,
                                         .r_s8 = p.bytes + w,
                                         .w_scale = quantises_x ? scale : NULL,
                                         .r_scale = scale + outputs,
                                         .bias_w = scale + 2 * outputs,
                                         .bias_r = rng_once(rng, 4) ? NULL : scale + 3 * outputs};
    p.h0 = scale + 4 * outputs;
    p.c0 = p.h0 + states;
    p.x = p.c0 + states;
    p.has_states = rng_once(rng, 2);
    p.has_lengths = rng_once(rng, 2);
    for (size_t n = 0; n < rows; n++)
        p.lengths[n] = (int32_t)rng_below(rng, STEPS + 1);
    if (xs > 0 && rng_once(rng, 3))
        p.x[rng_below(rng, xs)] = NAN;
    if (xs > 0 && rng_once(rng, 3))
        p.x[rng_below(rng, xs)] = -INFINITY;
    if (rng_once(rng, 3))
        p.h0[rng_below(rng, states)] = NAN;
    if (rng_once(rng, 3))
        p.c0[rng_below(rng, states)] = rng_once(rng, 2) ? NAN : 40.0f;
    return p;
}

static struct result make_result(const struct problem *p)
{
    const size_t states = p->rows * p->desc.hidden;
    struct result result = {.count = states * (STEPS + 2)};
    result.y = get(result.count * sizeof(float));
    result.h_last = result.y + states * STEPS;
    result.c_last = result.h_last + states;
    return result;
}

static struct apx_rnn_args make_args(const struct problem *p, const struct result *result,
                                     const void *packed)
{
    const ptrdiff_t in = (ptrdiff_t)p->desc.input, h = (ptrdiff_t)p->desc.hidden;
    return (struct apx_rnn_args){.desc = &p->desc,
                                 .packed = packed,
                                 .rows = p->rows,
                                 .steps = STEPS,
                                 .x = p->x,
                                 .x_row = STEPS * in,
                                 .x_step = in,
                                 .h0 = p->has_states ? p->h0 : NULL,
                                 .c0 = p->has_states ? p->c0 : NULL,
                                 .h0_row = h,
                                 .c0_row = h,
                                 .lengths = p->has_lengths ? p->lengths : NULL,
                                 .y = result->y,
                                 .y_row = STEPS * h,
                                 .y_step = h,
                                 .h_last = result->h_last,
                                 .c_last = p->gates == 4 ? result->c_last : NULL,
                                 .h_last_row = h,
                                 .c_last_row = h};
}

static void run_scalar(const struct problem *p, const struct result *result)
{
    size_t count;
    const struct apx_rnn_row *rows = p->gates == 4 ? apx_lstm_rows(&count) : apx_gru_rows(&count);
    size_t i = 0;
    while (strcmp(rows[i].isa, "scalar") != 0 || strcmp(rows[i].types, "s8") != 0)
        REQUIRE(++i < count);
    void *packed = get(rows[i].packed_bytes(&p->desc));
    void *scratch = get(rows[i].scratch_bytes(&p->desc, p->rows));
    rows[i].pack(&p->desc, &p->weights, packed);
    struct apx_rnn_args args = make_args(p, result, packed);
    args.scratch = scratch;
    rows[i].run(&args);
    free(packed);
    free(scratch);
}

/* Same bits, any NaN for a NaN. */
static bool is_same(const struct result *a, const struct result *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(&a->y[i], &b->y[i], sizeof(float)) != 0 && !(isnan(a->y[i]) && isnan(b->y[i])))
            return false;
    return true;
}

/* The cuts of this layer; returns how many were tried. */
static size_t check_cuts(const struct problem *p)
{
    const bool is_lstm = p->gates == 4;
    struct result expected = make_result(p), actual = make_result(p);
    void *packed = get(apx_rnn_mma_packed_bytes(&p->desc, (unsigned)p->gates));
    apx_rnn_mma_pack(&p->desc, (unsigned)p->gates, &p->weights, packed);
    run_scalar(p, &expected);
    size_t cuts = 0;
    const size_t most = p->desc.hidden > 60 ? 2 : 4 * 3; /* wide ones take long */
    for (size_t i = 0; i < 4 * 3 && cuts < most; i++) {
        const size_t which = (i + p->rows * 5 + p->gates * 3 + p->desc.hidden) % (4 * 3);
        struct rnn_mma_cut cut = {.cluster = 1u << which % 4, .tiles = 1u << which / 4};
        if (cut.cluster > emulated_cluster_limit ||
            !apx_rnn_mma_cut_complete(&device, &p->desc, (unsigned)p->gates, &cut))
            continue;
        int32_t fault = 0;
        memset(actual.y, 0xff, actual.count * sizeof(float));
        const struct apx_rnn_args args = make_args(p, &actual, packed);
        CHECK_EQ(
            (is_lstm ? apx_lstm_s8_cuda_launch : apx_gru_s8_cuda_launch)(&cut, &args, &fault, NULL),
            0);
        CHECK_EQ(fault, 0);
        if (!CHECK(is_same(&expected, &actual)))
            fprintf(stderr, "I %zu H %zu N %zu gates %zu, cluster %u tiles %u\n", p->desc.input,
                    p->desc.hidden, p->rows, p->gates, cut.cluster, cut.tiles);
        cuts++;
    }
    free(expected.y);
    free(actual.y);
    free(packed);
    free(p->floats);
    free(p->bytes);
    return cuts;
}

static void edges(void)
{
    static const size_t widths[] = {1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 128, 256};
    static const size_t inputs[] = {0, 1, 3, 4, 5, 31, 32, 33, 64, 65};
    static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17};
    struct rng rng = {11};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int quantises_x = 0; quantises_x < 2; quantises_x++) {
                const struct problem p = make(
                    &rng, kind, inputs[rng_below(&rng, sizeof inputs / sizeof inputs[0])],
                    widths[i], sizes[rng_below(&rng, sizeof sizes / sizeof sizes[0])], quantises_x);
                CHECK(check_cuts(&p) > 0);
            }
}

/* Weights from L2, where they do not fit: the same bits. */
static void little_shared_memory(void)
{
    struct rng rng = {12};
    device.shared_bytes = emulated_shared_limit = 24 * 1024;
    for (int i = 0; i < 12; i++) {
        const struct problem p = make(&rng, i % KINDS, 9 + 8 * (size_t)(i % 2), 96, 9, i % 2 == 0);
        struct rnn_mma_cut cut = {.cluster = 1, .tiles = 1};
        REQUIRE(apx_rnn_mma_cut_complete(&device, &p.desc, (unsigned)p.gates, &cut));
        CHECK(!cut.resident);
        CHECK(check_cuts(&p) > 0);
    }
    device.shared_bytes = emulated_shared_limit = 227 * 1024;
}

/* What the device takes, and in how many blocks its weights then lie. */
static void cuts(void)
{
    struct apx_rnn_desc desc = {
        .input = 32,
        .hidden = 128,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}},
        .int8 = {.levels = 127, .input_scale = 1.0f / 127.0f}};
    struct rnn_mma_cut cut;
    CHECK(apx_lstm_s8_cuda.supports(&device, &desc));
    CHECK(apx_rnn_mma_cut(&device, &desc, 4, 65536, 50, &cut));
    CHECK(cut.resident);
    CHECK_EQ(cut.cluster, 1); /* 80 KB: no other block to wait for */
    desc.hidden = 256;
    CHECK(apx_rnn_mma_cut(&device, &desc, 4, 65536, 50, &cut));
    CHECK(cut.resident);
    CHECK_EQ(cut.cluster, 2);
    desc.hidden = 1024;
    CHECK(apx_lstm_s8_cuda.supports(&device, &desc));
    device.major = 8; /* no clusters: a block's warps take 256 units */
    CHECK(!apx_lstm_s8_cuda.supports(&device, &desc));
    desc.hidden = 256;
    CHECK(apx_lstm_s8_cuda.supports(&device, &desc));
    device.major = 9;
    desc.has_peephole = true;
    CHECK(!apx_lstm_s8_cuda.supports(&device, &desc));
    desc.has_peephole = false;
    desc.int8.levels = 0;
    CHECK(!apx_lstm_s8_cuda.supports(&device, &desc));
}

int main(void)
{
    RUN(edges);
    RUN(little_shared_memory);
    RUN(cuts);
    return check_report();
}
