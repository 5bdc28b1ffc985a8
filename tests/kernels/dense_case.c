/* SPDX-License-Identifier: Apache-2.0 */
/* dense_case.c - the rows of the dense table under the checker, float and int8, with the formulas
 * of kernels.h in float64. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/kcheck.h"

struct problem {
    struct apx_dense_desc desc;
    size_t rows, gap;
    bool transposed; /* weights [K,O] instead of [O,K] */
    bool has_bias;
    float *x, *w, *bias;
    float *memory;
    int8_t *w_s8; /* int8 layers */
    float *w_scale;
};

static struct problem problem_create(struct rng *rng, size_t rows, size_t input, size_t output)
{
    struct problem p = {.desc = {.input = input, .output = output}, .rows = rows, .has_bias = true};
    p.x = p.memory = kcheck_alloc((rows * input + input * output + output) * sizeof(float));
    p.w = p.x + rows * input;
    p.bias = p.w + input * output;
    const float scale = 1.7f / sqrtf((float)(input + 1));
    for (size_t i = 0; i < rows * input + input * output + output; i++)
        p.memory[i] = (i >= rows * input ? scale : 1.0f) * rng_real(rng);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->memory);
    free(p->w_s8);
    free(p->w_scale);
}

/* An int8 layer with weights of up to `most` levels: those of the float layer, or all as large as
 * can be, of one sign or both: any sum that saturated or overflowed would show. */
static void make_int8(struct rng *rng, struct problem *p, int levels, int most)
{
    const size_t input = p->desc.input, output = p->desc.output;
    const bool largest = rng_once(rng, 3), positive = rng_once(rng, 2);
    p->w_s8 = kcheck_alloc(input * output);
    p->w_scale = kcheck_alloc(output * sizeof(float));
    p->desc.int8.levels = levels;
    p->desc.int8.input_scale = (0.2f + fabsf(rng_real(rng))) / (float)levels;
    for (size_t o = 0; o < output; o++) {
        p->w_scale[o] = rng_once(rng, 20) ? 0.0f : 1.7f / sqrtf((float)(input + 1)) / (float)most;
        for (size_t k = 0; k < input; k++) {
            const int extreme = positive || rng_once(rng, 2) ? most : -most;
            p->w_s8[o * input + k] =
                (int8_t)(largest ? extreme : (int)(rng_real(rng) * (float)most));
        }
    }
}

static struct apx_dense_weights weights_of(const struct problem *p)
{
    const ptrdiff_t k = (ptrdiff_t)p->desc.input, o = (ptrdiff_t)p->desc.output;
    return (struct apx_dense_weights){.w = p->w,
                                      .w_out = p->transposed ? 1 : k,
                                      .w_in = p->transposed ? o : 1,
                                      .bias = p->has_bias ? p->bias : NULL,
                                      .w_s8 = p->w_s8,
                                      .w_scale = p->w_scale};
}

/* The levels of a row's x times their weights, not yet scaled. */
static double int8_sum(const struct problem *p, const float *x, size_t o)
{
    const double most = p->desc.int8.levels;
    const float factor = 1.0f / p->desc.int8.input_scale;
    double sum = 0.0;
    for (size_t k = 0; k < p->desc.input; k++)
        sum += isnan(x[k]) ? NAN
                           : fmin(most, fmax(-most, nearbyint((double)(x[k] * factor)))) *
                                 p->w_s8[o * p->desc.input + k];
    return sum;
}

static void oracle(const struct problem *p, double *y)
{
    const struct apx_dense_weights weights = weights_of(p);
    for (size_t n = 0; n < p->rows; n++)
        for (size_t o = 0; o < p->desc.output; o++) {
            double sum = weights.bias != NULL ? (double)weights.bias[o] : 0.0;
            if (p->w_s8 != NULL)
                sum += (double)p->w_scale[o] * (double)p->desc.int8.input_scale *
                       int8_sum(p, p->x + n * p->desc.input, o);
            for (size_t k = 0; k < p->desc.input && p->w_s8 == NULL; k++)
                sum +=
                    (double)p->x[n * p->desc.input + k] *
                    (double)weights.w[(ptrdiff_t)o * weights.w_out + (ptrdiff_t)k * weights.w_in];
            y[n * p->desc.output + o] = kcheck_activation(p->desc.act, sum);
        }
}

/* Rows first .. first + count between guard pages, into the dense y [N,O]. */
static void run(const struct apx_dense_row *row, const struct problem *p, size_t first,
                size_t count, enum guard_side side, float *y)
{
    const size_t input = p->desc.input, output = p->desc.output;
    const size_t x_row = input + p->gap, y_row = output + p->gap;
    const size_t x_floats = count > 0 ? (count - 1) * x_row + input : 0;
    const size_t y_floats = count > 0 ? (count - 1) * y_row + output : 0;
    struct guard x = guard_create(x_floats * sizeof(float), side);
    struct guard to = guard_create(y_floats * sizeof(float), side);
    struct guard packed = guard_create(row->packed_bytes(&p->desc), side);
    struct guard scratch = guard_create(row->scratch_bytes(&p->desc, count), side);
    for (size_t n = 0; n < count; n++)
        memcpy((float *)x.data + n * x_row, p->x + (first + n) * input, input * sizeof(float));
    const struct apx_dense_weights weights = weights_of(p);
    row->pack(&p->desc, &weights, packed.data);
    if (!guard_intact(&packed))
        kcheck_fail("pack writes outside packed");
    guard_freeze(&packed);
    guard_freeze(&x);
    const struct apx_dense_args args = {.desc = &p->desc,
                                        .packed = packed.data,
                                        .rows = count,
                                        .x = x.data,
                                        .x_row = (ptrdiff_t)x_row,
                                        .y = to.data,
                                        .y_row = (ptrdiff_t)y_row,
                                        .scratch = scratch.data};
    row->run(&args);
    if (!guard_intact(&scratch))
        kcheck_fail("writes outside scratch");
    for (size_t n = 0; n < count; n++) {
        float *there = (float *)to.data + n * y_row;
        memcpy(y + (first + n) * output, there, output * sizeof(float));
        memset(there, 0xff, output * sizeof(float));
    }
    const unsigned char *bytes = to.data;
    bool intact = guard_intact(&to);
    for (size_t i = 0; i < to.bytes; i++)
        intact = intact && bytes[i] == 0xff;
    if (!intact)
        kcheck_fail("writes outside y");
    guard_destroy(&x);
    guard_destroy(&to);
    guard_destroy(&packed);
    guard_destroy(&scratch);
}

/* Row `index` of those of one type; NULL past the last. */
static const struct apx_dense_row *row_of(const char *types, size_t index)
{
    size_t count;
    const struct apx_dense_row *rows = apx_dense_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].types, types) == 0 && index-- == 0)
            return &rows[i];
    return NULL;
}

static const struct apx_dense_row *scalar_row(const char *types)
{
    size_t last = 0;
    while (row_of(types, last + 1) != NULL)
        last++;
    return row_of(types, last);
}

static bool describe_row(const struct apx_dense_row *row, struct kcheck_row *out)
{
    if (row != NULL)
        *out = (struct kcheck_row){row->isa, row->name, row->needs, row->match, row};
    return row != NULL;
}

static bool dense_row(size_t index, struct kcheck_row *out)
{
    return describe_row(row_of("f32", index), out);
}

static bool dense_s8_row(size_t index, struct kcheck_row *out)
{
    return describe_row(row_of("s8", index), out);
}

static void dense_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    const struct apx_dense_row *dense = row->row, *scalar = scalar_row(dense->types);
    const bool is_int8 = strcmp(dense->types, "s8") == 0;
    struct rng rng = {seed * 1000033 + trial};
    const size_t n = rng_size(&rng, 0, rng_once(&rng, 2) ? 8 : 65, 140);
    const size_t k = rng_size(&rng, 0, 8, 90);
    static const size_t tiles[] = {8, 16, 32, 64};
    const size_t o = rng_size(&rng, 1, tiles[rng_below(&rng, 4)], 200);
    struct problem p = problem_create(&rng, n, k, o);
    p.gap = rng_once(&rng, 2) ? 0 : 1 + rng_below(&rng, 5);
    p.transposed = rng_once(&rng, 2);
    p.has_bias = !rng_once(&rng, 3);
    static const enum apx_act common[] = {APX_ACT_NONE, APX_ACT_RELU};
    p.desc.act = kcheck_random_activation(&rng);
    if (rng_once(&rng, 2))
        p.desc.act.kind = common[rng_below(&rng, 2)];
    if (is_int8) {
        static const int weight_levels[] = {32, 64, 127};
        make_int8(&rng, &p, rng_once(&rng, 2) ? 63 : 127, weight_levels[rng_below(&rng, 3)]);
        for (size_t i = 0; i < n * k && rng_once(&rng, 2); i += 1 + rng_below(&rng, 4 * k))
            p.x[i] = rng_once(&rng, 2) ? NAN : rng_once(&rng, 2) ? INFINITY : -INFINITY;
    }
    kcheck_describe("K %zu O %zu N %zu act %d levels %d%s%s", k, o, n, p.desc.act.kind,
                    p.desc.int8.levels, p.transposed ? " transposed" : "",
                    p.has_bias ? " bias" : "");
    if (dense->supports(&p.desc)) {
        float *expected = kcheck_alloc(n * o * sizeof(float));
        float *actual = kcheck_alloc(n * o * sizeof(float));
        run(scalar, &p, 0, n, GUARD_END, expected);
        if (dense == scalar) {
            double *exact = kcheck_alloc(n * o * sizeof(double));
            oracle(&p, exact);
            kcheck_judge("y", 1e-7 * (double)(k + 8), n * o, expected, exact);
            free(exact);
        }
        run(dense, &p, 0, n, GUARD_START, actual);
        kcheck_compare("guard before: y", row->match, k, n * o, actual, expected);
        run(dense, &p, 0, n, GUARD_END, actual);
        kcheck_compare("guard behind: y", row->match, k, n * o, actual, expected);
        for (size_t first = 0; first < n;) {
            size_t part = rng_once(&rng, 2) ? 1 : 1 + rng_below(&rng, n - first);
            run(dense, &p, first, part, GUARD_END, expected);
            first += part;
        }
        kcheck_compare("cut: y", APX_MATCH_EXACT, k, n * o, expected, actual);
        free(expected);
        free(actual);
    }
    problem_free(&p);
}

struct bench_context {
    const struct apx_dense_row *row;
    struct apx_dense_args args;
};

static void bench_once(void *context)
{
    struct bench_context *bench = context;
    bench->row->run(&bench->args);
}

static bool dense_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    static const struct {
        size_t input, output, rows;
    } shapes[] = {{128, 24, 1024}, {128, 32, 1},   {128, 32, 64}, {128, 128, 64},   {64, 32, 64},
                  {32, 16, 64},    {512, 512, 64}, {512, 512, 1}, {512, 512, 1024}, {128, 1, 64}};
    if (index >= sizeof shapes / sizeof shapes[0])
        return false;
    const struct apx_dense_row *dense = row->row;
    struct rng rng = {1};
    struct problem p =
        problem_create(&rng, shapes[index].rows, shapes[index].input, shapes[index].output);
    p.desc.act.kind = APX_ACT_RELU;
    if (strcmp(dense->types, "s8") == 0)
        make_int8(&rng, &p, 127, 32);
    if (!dense->supports(&p.desc)) {
        problem_free(&p);
        return false;
    }
    const struct apx_dense_weights weights = weights_of(&p);
    struct guard packed = guard_create(dense->packed_bytes(&p.desc), GUARD_START);
    struct guard scratch = guard_create(dense->scratch_bytes(&p.desc, p.rows), GUARD_START);
    float *y = kcheck_alloc(p.rows * p.desc.output * sizeof(float));
    dense->pack(&p.desc, &weights, packed.data);
    struct bench_context context = {.row = dense,
                                    .args = {.desc = &p.desc,
                                             .packed = packed.data,
                                             .rows = p.rows,
                                             .x = p.x,
                                             .x_row = (ptrdiff_t)p.desc.input,
                                             .y = y,
                                             .y_row = (ptrdiff_t)p.desc.output,
                                             .scratch = scratch.data}};
    snprintf(out->shape, sizeof out->shape, "K %zu O %zu N %zu", p.desc.input, p.desc.output,
             p.rows);
    out->seconds = kcheck_time(bench_once, &context);
    out->flop = 2.0 * (double)(p.desc.input * p.desc.output * p.rows);
    guard_destroy(&packed);
    guard_destroy(&scratch);
    free(y);
    problem_free(&p);
    return true;
}

const struct kcheck_case kcheck_dense = {
    .op = "dense", .row = dense_row, .check = dense_check, .trials = 300, .bench = dense_bench};
const struct kcheck_case kcheck_dense_s8 = {.op = "dense_s8",
                                            .row = dense_s8_row,
                                            .check = dense_check,
                                            .trials = 300,
                                            .bench = dense_bench};
