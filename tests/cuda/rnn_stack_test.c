/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_stack_test.c - layers one behind the other in one launch: the bits of the scalar rows and of
 * one launch each, however the launch is cut. Over the emulator or (ci/device) on a GPU. */
#include <math.h>

#include "kernels/cuda/rnn_f32_layout.h"
#include "tests/cuda/device.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

/* The device, and cuts of it: one with fewer multiprocessors, one with less shared memory. */
enum { WHOLE, FEW, TIGHT, MACHINES };
static struct apx_cuda_device machines[MACHINES];

static struct rng rng = {21};

enum kind { LSTM, GRU_AFTER, GRU_BEFORE, KINDS };

struct result { /* expected: the host's memory; actual: the device's */
    float *y, *h_last, *c_last;
};

struct layer {
    struct apx_rnn_desc desc;
    void *packed, *scalar;      /* for the device, there; for the scalar row */
    float *h0, *c0;             /* or NULL */
    float *given_h0, *given_c0; /* the same on the device */
    bool wants_y, wants_h, wants_c;
    struct result expected, actual;
};

struct stack {
    enum kind kind;
    size_t layers, rows, steps;
    bool time_first;
    float *x; /* [N,T,I] or [T,N,I], as all y */
    int32_t *lengths;
    float *given_x; /* both on the device */
    int32_t *given_lengths;
    struct layer layer[APX_CUDA_MOST_STACKED];
};

static void *take(size_t bytes)
{
    void *memory = NULL;
    REQUIRE(posix_memalign(&memory, 256, bytes > 0 ? bytes : 1) == 0);
    memset(memory, 0xff, bytes);
    return memory;
}

static float *random_floats(size_t count, float scale)
{
    float *values = take(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = scale * rng_real(&rng);
    return values;
}

/* NULL of NULL. */
static void *upload(const void *from, size_t bytes)
{
    if (from == NULL)
        return NULL;
    void *to = device_alloc(bytes);
    device_in(to, from, bytes);
    return to;
}

static void drop(void *memory)
{
    if (memory != NULL)
        device_free(memory);
}

/* The device holds just these bytes there. */
static bool holds(const float *memory, const float *expected, size_t bytes)
{
    float *actual = take(bytes);
    device_out(actual, memory, bytes);
    const bool good = memcmp(actual, expected, bytes) == 0;
    free(actual);
    return good;
}

static const struct apx_cuda_rnn_row *device_row(enum kind kind)
{
    size_t count;
    const struct apx_cuda_rnn_row *rows =
        kind == LSTM ? apx_cuda_lstm_rows(&count) : apx_cuda_gru_rows(&count);
    while (count > 0 && (strcmp(rows->precision, "fp32") != 0 || rows->launch_stack == NULL))
        rows++, count--;
    REQUIRE(count > 0);
    return rows;
}

static const struct apx_rnn_row *scalar_row(enum kind kind)
{
    size_t count;
    const struct apx_rnn_row *rows = kind == LSTM ? apx_lstm_rows(&count) : apx_gru_rows(&count);
    while (count > 0 && (strcmp(rows->isa, "scalar") != 0 || strcmp(rows->types, "f32") != 0))
        rows++, count--;
    REQUIRE(count > 0);
    return rows;
}

/* ---- problems -------------------------------------------------------------------------------- */

static struct result make_result(const struct stack *s, const struct layer *layer)
{
    const size_t states = s->rows * layer->desc.hidden * sizeof(float);
    return (struct result){take(states * s->steps), take(states), take(states)};
}

/* On the device; all bytes 0xff there too. */
static struct result make_actual(const struct stack *s, const struct layer *layer)
{
    const size_t states = s->rows * layer->desc.hidden * sizeof(float);
    return (struct result){device_alloc(states * s->steps), device_alloc(states),
                           device_alloc(states)};
}

static void drop_actual(const struct result *actual)
{
    device_free(actual->y);
    device_free(actual->h_last);
    device_free(actual->c_last);
}

static void make_layer(struct stack *s, size_t l, size_t input, bool reverse)
{
    struct layer *layer = &s->layer[l];
    const size_t gates = s->kind == LSTM ? 4 : 3;
    const size_t hidden = rng_size(&rng, 1, rng_once(&rng, 2) ? 8 : 32, 70);
    const size_t weights = gates * hidden * (input + hidden);
    layer->desc = (struct apx_rnn_desc){
        .input = input,
        .hidden = hidden,
        .reverse = reverse,
        .reset_after = s->kind == GRU_AFTER,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    float *w = random_floats(weights + 2 * gates * hidden, 1.7f / sqrtf((float)(input + hidden)));
    const struct apx_rnn_weights given = {.w = w,
                                          .r = w + gates * hidden * input,
                                          .bias_w = w + weights,
                                          .bias_r = w + weights + gates * hidden};
    const struct apx_rnn_row *scalar = scalar_row(s->kind);
    const struct apx_cuda_rnn_row *row = device_row(s->kind);
    layer->scalar = take(scalar->packed_bytes(&layer->desc));
    void *packed = take(row->packed_bytes(&layer->desc));
    scalar->pack(&layer->desc, &given, layer->scalar);
    row->pack(&layer->desc, &given, packed);
    layer->packed = upload(packed, row->packed_bytes(&layer->desc));
    free(packed);
    free(w);
    layer->h0 = rng_once(&rng, 2) ? random_floats(s->rows * hidden, 1.0f) : NULL;
    layer->c0 = s->kind == LSTM && rng_once(&rng, 2) ? random_floats(s->rows * hidden, 1.0f) : NULL;
    layer->given_h0 = upload(layer->h0, s->rows * hidden * sizeof(float));
    layer->given_c0 = upload(layer->c0, s->rows * hidden * sizeof(float));
    layer->wants_y = l + 1 == s->layers ? !rng_once(&rng, 5) : rng_once(&rng, 2);
    layer->wants_h = rng_once(&rng, 2);
    layer->wants_c = s->kind == LSTM && rng_once(&rng, 2);
    layer->expected = make_result(s, layer);
}

static struct stack make_stack(enum kind kind, size_t layers, size_t rows, size_t steps)
{
    struct stack s = {.kind = kind,
                      .layers = layers,
                      .rows = rows,
                      .steps = steps,
                      .time_first = rng_once(&rng, 2)};
    const size_t input = rng_size(&rng, 1, 8, 40);
    const bool reverse = rng_once(&rng, 2);
    s.x = random_floats(rows * steps * input, 1.0f);
    s.lengths = rng_once(&rng, 2) ? take(rows * sizeof *s.lengths) : NULL;
    for (size_t n = 0; n < rows && s.lengths != NULL; n++)
        s.lengths[n] = (int32_t)rng_below(&rng, steps + 1);
    s.given_x = upload(s.x, rows * steps * input * sizeof(float));
    s.given_lengths = upload(s.lengths, rows * sizeof *s.lengths);
    for (size_t l = 0; l < layers; l++)
        make_layer(&s, l, l > 0 ? s.layer[l - 1].desc.hidden : input, reverse);
    return s;
}

static void free_result(const struct result *result)
{
    free(result->y);
    free(result->h_last);
    free(result->c_last);
}

static void free_stack(struct stack *s)
{
    for (size_t l = 0; l < s->layers; l++) {
        device_free(s->layer[l].packed);
        free(s->layer[l].scalar);
        free(s->layer[l].h0);
        free(s->layer[l].c0);
        drop(s->layer[l].given_h0);
        drop(s->layer[l].given_c0);
        free_result(&s->layer[l].expected);
    }
    free(s->x);
    free(s->lengths);
    device_free(s->given_x);
    drop(s->given_lengths);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Of the device. */
static struct apx_rnn_args args_of(const struct stack *s, size_t l, const float *x,
                                   const struct result *out)
{
    const struct layer *layer = &s->layer[l];
    const ptrdiff_t in = (ptrdiff_t)layer->desc.input, h = (ptrdiff_t)layer->desc.hidden;
    const ptrdiff_t row = s->time_first ? 1 : (ptrdiff_t)s->steps;
    const ptrdiff_t step = s->time_first ? (ptrdiff_t)s->rows : 1;
    return (struct apx_rnn_args){.desc = &layer->desc,
                                 .packed = layer->packed,
                                 .rows = s->rows,
                                 .steps = s->steps,
                                 .x = x,
                                 .x_row = row * in,
                                 .x_step = step * in,
                                 .h0 = layer->given_h0,
                                 .c0 = layer->given_c0,
                                 .h0_row = h,
                                 .c0_row = h,
                                 .lengths = s->given_lengths,
                                 .y = out->y,
                                 .y_row = row * h,
                                 .y_step = step * h,
                                 .h_last = layer->wants_h ? out->h_last : NULL,
                                 .c_last = layer->wants_c ? out->c_last : NULL,
                                 .h_last_row = h,
                                 .c_last_row = h};
}

static void expect(const struct stack *s)
{
    const struct apx_rnn_row *scalar = scalar_row(s->kind);
    for (size_t l = 0; l < s->layers; l++) {
        const float *x = l > 0 ? s->layer[l - 1].expected.y : s->x;
        struct apx_rnn_args args = args_of(s, l, x, &s->layer[l].expected);
        args.packed = s->layer[l].scalar;
        args.h0 = s->layer[l].h0;
        args.c0 = s->layer[l].c0;
        args.lengths = s->lengths;
        args.scratch = take(scalar->scratch_bytes(args.desc, s->rows));
        scalar->run(&args);
        free(args.scratch);
    }
}

/* After a launch: it went well, and left this in its fault. Frees that. */
static void check_launch(const struct apx_cuda_rnn_row *row, int code, int32_t *fault,
                         int32_t expected)
{
    int32_t actual;
    device_check(row->name, code);
    device_out(&actual, fault, sizeof actual);
    CHECK_EQ(actual, expected);
    device_free(fault);
}

/* Into fresh memory: one launch each (cut NULL, is_apart), one of the row's choice, or one cut so.
 */
static void compare(struct stack *s, const struct apx_cuda_device *device, bool is_apart,
                    const struct rnn_f32_stack_cut *cut)
{
    const struct apx_cuda_rnn_row *row = device_row(s->kind);
    struct apx_rnn_args args[APX_CUDA_MOST_STACKED];
    int32_t *fault = upload(&(int32_t){0}, sizeof *fault);
    int code = 0;
    for (size_t l = 0; l < s->layers; l++) {
        struct layer *layer = &s->layer[l];
        layer->actual = make_actual(s, layer);
        args[l] = args_of(s, l,
                          l == 0     ? s->given_x
                          : is_apart ? args[l - 1].y
                                     : NULL,
                          &layer->actual);
        if (is_apart)
            code |= row->launch(device, &args[l], fault, NULL);
        else if (!layer->wants_y)
            args[l].y = NULL;
    }
    if (cut != NULL)
        code = s->kind == LSTM ? apx_lstm_f32_cuda_launch_stack(cut, args, fault, NULL)
                               : apx_gru_f32_cuda_launch_stack(cut, args, fault, NULL);
    else if (!is_apart)
        code = row->launch_stack(device, args, s->layers, fault, NULL);
    check_launch(row, code, fault, 0);
    for (size_t l = 0; l < s->layers; l++) {
        struct layer *layer = &s->layer[l];
        const size_t states = s->rows * layer->desc.hidden * sizeof(float);
        bool good =
            args[l].y == NULL || holds(layer->actual.y, layer->expected.y, states * s->steps);
        good &= holds(layer->actual.h_last, layer->expected.h_last, states);
        good &= holds(layer->actual.c_last, layer->expected.c_last, states);
        if (!CHECK(good))
            fprintf(stderr, "    kind %d, layer %zu of %zu, %zu rows, %zu steps, %s\n", s->kind, l,
                    s->layers, s->rows, s->steps, is_apart ? "apart" : "together");
        drop_actual(&layer->actual);
    }
}

/* Any cut that the layers permit; false if there seems to be none. */
static bool cut_anyhow(const struct stack *s, const struct apx_cuda_device *device,
                       struct rnn_f32_stack_cut *cut)
{
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    for (int tries = 0; tries < 100; tries++) {
        const unsigned tile = 1u << rng_below(&rng, 3), groups = 1u << rng_below(&rng, 3);
        *cut = (struct rnn_f32_stack_cut){.layers = (unsigned)s->layers,
                                          .cluster = 2u << rng_below(&rng, 3)};
        if (cut->cluster < cut->layers)
            continue;
        for (size_t l = 0; l < s->layers; l++) {
            descs[l] = &s->layer[l].desc;
            cut->layer[l] = (struct rnn_f32_cut){.cluster = 1, .tile = tile, .groups = groups};
        }
        for (size_t spare = cut->cluster - s->layers; spare > 0; spare--)
            cut->layer[rng_below(&rng, s->layers)].cluster++;
        if (apx_rnn_f32_stack_complete(device, descs, s->kind == LSTM ? 4 : 3,
                                       s->kind == GRU_BEFORE, cut))
            return true;
    }
    return false;
}

static size_t cuts;

static void check_stack(enum kind kind, size_t layers, size_t rows, size_t steps)
{
    struct stack s = make_stack(kind, layers, rows, steps);
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    struct rnn_f32_stack_cut cut;
    for (size_t l = 0; l < layers; l++)
        descs[l] = &s.layer[l].desc;
    expect(&s);
    for (size_t m = 0; m < MACHINES; m++) {
        device_limit_shared(machines[m].shared_bytes);
        if (!isinf(device_row(kind)->stack_seconds(&machines[m], descs, layers, rows, steps)))
            compare(&s, &machines[m], false, NULL);
        if (cut_anyhow(&s, &machines[m], &cut)) {
            compare(&s, &machines[m], false, &cut);
            cuts++;
        }
    }
    compare(&s, &machines[TIGHT], true, NULL);
    free_stack(&s);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void gives_the_same_bits(void)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 33};
    for (int trial = 0; trial < 60; trial++)
        check_stack((enum kind)(trial % KINDS), 2 + (size_t)(trial / KINDS % 3),
                    rows[rng_below(&rng, sizeof rows / sizeof rows[0])], rng_below(&rng, 10));
    CHECK(cuts > 100);
}

/* Fewer steps than layers, none at all. */
static void ends_early(void)
{
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t layers = 2; layers <= APX_CUDA_MOST_STACKED; layers++)
            for (size_t steps = 0; steps <= 3; steps++)
                check_stack((enum kind)kind, layers, 1 + rng_below(&rng, 4), steps);
}

/* A length that may not be is told by whichever layer, and counts as the nearest that may. */
static void tells_wrong_lengths(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        const struct apx_cuda_rnn_row *row = device_row((enum kind)kind);
        struct stack s = make_stack((enum kind)kind, 2, 3, 4);
        struct apx_rnn_args args[2];
        int32_t wrong[3] = {-1, 5, 2}, right[3] = {0, 4, 2};
        int32_t *fault = upload(&(int32_t){0}, sizeof *fault);
        free(s.lengths);
        s.lengths = right;
        expect(&s);
        drop(s.given_lengths);
        s.given_lengths = upload(wrong, sizeof wrong);
        device_limit_shared(machines[WHOLE].shared_bytes);
        for (size_t l = 0; l < 2; l++) {
            s.layer[l].actual = make_actual(&s, &s.layer[l]);
            args[l] = args_of(&s, l, s.given_x, &s.layer[l].actual);
        }
        check_launch(row, row->launch_stack(&machines[WHOLE], args, 2, fault, NULL), fault, 1);
        for (size_t l = 0; l < 2; l++) {
            CHECK(holds(s.layer[l].actual.y, s.layer[l].expected.y,
                        12 * s.layer[l].desc.hidden * sizeof(float)));
            drop_actual(&s.layer[l].actual);
        }
        s.lengths = NULL;
        free_stack(&s);
    }
}

/* What is no stack, or has no cluster to be one in. */
static void refuses(void)
{
    const struct apx_rnn_desc below = {.input = 5, .hidden = 16},
                              above = {.input = 16, .hidden = 8};
    const struct apx_rnn_desc *descs[] = {&below, &above, &above, &above, &above};
    const struct apx_cuda_rnn_row *lstm = device_row(LSTM), *gru = device_row(GRU_AFTER);
    struct apx_rnn_desc other = above;
    struct apx_cuda_device old = machines[WHOLE];
    CHECK(lstm->stack_seconds(&machines[WHOLE], descs, 2, 1, 10) > 0);
    CHECK(isfinite(lstm->stack_seconds(&machines[WHOLE], descs, 2, 1, 10)));
    CHECK(isinf(lstm->stack_seconds(&machines[WHOLE], descs, 3, 1, 10))); /* 16 of 8 */
    CHECK(isinf(lstm->stack_seconds(&machines[WHOLE], descs, 1, 1, 10)));
    descs[1] = &other;
    other.reverse = true;
    CHECK(isinf(lstm->stack_seconds(&machines[WHOLE], descs, 2, 1, 10)));
    other = above;
    other.reset_after = true;
    CHECK(isinf(gru->stack_seconds(&machines[WHOLE], descs, 2, 1, 10)));
    other = above;
    CHECK(isfinite(gru->stack_seconds(&machines[WHOLE], descs, 2, 1, 10)));
    old.major = 8;
    CHECK(isinf(gru->stack_seconds(&old, descs, 2, 1, 10)));
    const struct apx_rnn_args args[] = {{.desc = &below, .rows = 1}, {.desc = &other, .rows = 1}};
    CHECK_EQ(gru->launch_stack(&old, args, 2, NULL, NULL), APX_CUDA_CANNOT);
    CHECK_EQ(lstm->launch_stack(&old, args, 2, NULL, NULL), APX_CUDA_CANNOT);
    other = (struct apx_rnn_desc){.input = 16, .hidden = 16};
    for (size_t l = 1; l < 5; l++)
        descs[l] = &other;
    CHECK(isfinite(gru->stack_seconds(&machines[WHOLE], descs, 4, 1, 10)));
    CHECK(isinf(gru->stack_seconds(&machines[WHOLE], descs, 5, 1, 10)));
}

int main(void)
{
    const struct apx_rnn_desc one = {.input = 8, .hidden = 8};
    const struct apx_rnn_desc *const two[] = {&one, &one};
    for (size_t m = 0; m < MACHINES; m++)
        machines[m] = *device_open();
    if (isinf(device_row(LSTM)->stack_seconds(&machines[WHOLE], two, 2, 1, 10))) {
        printf("SKIPPED: no clusters on %s\n", machines[WHOLE].name);
        return 77;
    }
    machines[FEW].multiprocessors = 8;
    machines[TIGHT].shared_bytes = 24 * 1024;
    RUN(gives_the_same_bits);
    RUN(ends_early);
    RUN(tells_wrong_lengths);
    RUN(refuses);
    return check_report();
}
