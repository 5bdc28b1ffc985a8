/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_bench.c - time of the CUDA kernels on device-resident data, and their results against the
 * processor's rows, on the shapes that count.
 *
 *   cuda_bench [--cuts] [--most-rows N] [--steps T]
 *
 * One line a shape: microseconds a launch (the median of graphs of ten), the estimate that the row
 * gives of itself, and for recurrent layers microseconds a step; of layers one behind the other, in
 * one launch and in one each. float and int8 rows must give the processor's bits, cuBLASLt's be
 * within 1e-5 (dense: 1e-4), rows of halves within 1e-2. --cuts: each way to cut a launch, timed,
 * for the constants of the *_cut.c. Exit status 1 if a result is wrong, 77 without a device. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_layout.h"
#include "kernels/cuda/rnn_mma.h"
#include "tests/cuda/device.h"
#include "tests/harness/rng.h"
#include "tests/kernels/forest_problem.h"

enum { CHECKED_ROWS = 64 };

static size_t failures;

/* forest_problem.c is the checker's. */
void *kcheck_alloc(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        perror("malloc");
        exit(2);
    }
    return memory;
}

static float *random_floats(struct rng *rng, size_t count, float scale)
{
    float *values = kcheck_alloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = scale * rng_real(rng);
    return values;
}

static void *upload(const void *from, size_t bytes)
{
    void *to = device_alloc(bytes);
    device_in(to, from, bytes);
    return to;
}

/* ---- recurrent layers ------------------------------------------------------------------------ */

static const char *form(bool is_lstm, bool reset_after)
{
    return is_lstm ? "" : reset_after ? " after" : " before";
}

struct rnn_bench {
    const struct apx_cuda_rnn_row *row;
    struct apx_rnn_args args; /* on the device */
    int32_t *fault;
    const struct rnn_f32_cut *f32; /* or the row's own choice */
    const struct rnn_mma_cut *mma;
    bool is_lstm;
};

static int rnn_launch(void *context, void *stream)
{
    const struct rnn_bench *bench = context;
    if (bench->f32 != NULL)
        return (bench->is_lstm ? apx_lstm_f32_cuda_launch : apx_gru_f32_cuda_launch)(
            bench->f32, &bench->args, bench->fault, stream);
    if (bench->mma != NULL && bench->args.desc->int8.levels > 0)
        return (bench->is_lstm ? apx_lstm_s8_cuda_launch : apx_gru_s8_cuda_launch)(
            bench->mma, &bench->args, bench->fault, stream);
    if (bench->mma != NULL)
        return (bench->is_lstm ? apx_lstm_f16_cuda_launch : apx_gru_f16_cuda_launch)(
            bench->mma, &bench->args, bench->fault, stream);
    return bench->row->launch(device_open(), &bench->args, bench->fault, stream);
}

static void rnn_cuts(struct rnn_bench *bench)
{
    const struct apx_rnn_args *args = &bench->args;
    const bool before = !bench->is_lstm && !args->desc->reset_after;
    const unsigned gates = bench->is_lstm ? 4 : 3;
    const double steps = (double)args->steps;
    for (unsigned i = 0; i < 4 * 4 * 5; i++) {
        struct rnn_f32_cut f32 = {
            .cluster = 1u << i % 4, .tile = 1u << i / 4 % 4, .groups = 1u << i / 16};
        struct rnn_mma_cut mma = {.cluster = 1u << i % 4, .tiles = 1u << i / 4 % 4};
        if (strcmp(bench->row->precision, "fp32") == 0) {
            if ((f32.groups > 1 && f32.tile * f32.groups / 2 >= args->rows) ||
                !apx_rnn_f32_cut_complete(device_open(), args->desc, gates, before, &f32))
                continue;
            bench->f32 = &f32;
            printf("    cluster %u tile %u x %u first k %u: %.2f us a step\n", f32.cluster,
                   f32.tile, f32.groups, f32.first_k, 1e6 * device_time(rnn_launch, bench) / steps);
            bench->f32 = NULL;
        } else if (i < 12 && apx_rnn_mma_cut_complete(device_open(), args->desc, gates, &mma)) {
            bench->mma = &mma;
            printf("    cluster %u tiles %u %s: %.2f us a step\n", mma.cluster, mma.tiles,
                   mma.resident ? "resident" : "from L2",
                   1e6 * device_time(rnn_launch, bench) / steps);
            bench->mma = NULL;
        }
    }
}

/* The first rows on the processor, compared. */
static double rnn_error(const struct apx_rnn_desc *desc, bool is_lstm,
                        const struct apx_rnn_weights *weights, const struct apx_rnn_args *host,
                        const float *y)
{
    const uint32_t caps = apx_cpu_caps();
    const struct apx_rnn_row *row =
        is_lstm ? apx_lstm_select(caps, desc) : apx_gru_select(caps, desc);
    const size_t values = host->rows * host->steps * desc->hidden;
    struct apx_rnn_args args = *host;
    void *packed = aligned_alloc(64, (row->packed_bytes(desc) + 63) / 64 * 64);
    void *scratch = aligned_alloc(64, (row->scratch_bytes(desc, host->rows) + 127) / 64 * 64);
    if (packed == NULL || scratch == NULL)
        exit(2);
    float *expected = kcheck_alloc(values * sizeof *expected);
    row->pack(desc, weights, packed);
    args.packed = packed;
    args.scratch = scratch;
    args.y = expected;
    row->run(&args);
    double worst = 0.0;
    for (size_t i = 0; i < values; i++) {
        const double error = fabs((double)y[i] - (double)expected[i]);
        worst = error <= worst ? worst : error; /* NaN is worst */
    }
    free(packed);
    free(scratch);
    free(expected);
    return worst;
}

/* One layer's weights, here and packed on the device. */
struct layer {
    struct apx_rnn_weights weights;
    float *w, *bias, *scales;
    int8_t *levels;
    void *packed;
};

static struct apx_rnn_desc make_desc(const struct apx_cuda_rnn_row *row, bool reset_after,
                                     size_t input, size_t hidden)
{
    const bool is_int8 = strcmp(row->precision, "int8") == 0;
    return (struct apx_rnn_desc){
        .input = input,
        .hidden = hidden,
        .reset_after = reset_after,
        .int8 = {.levels = is_int8 ? 127 : 0, .input_scale = 1.0f / 127.0f},
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
}

static struct layer make_layer(struct rng *rng, const struct apx_cuda_rnn_row *row, bool is_lstm,
                               const struct apx_rnn_desc *desc)
{
    const size_t input = desc->input, hidden = desc->hidden, gates = is_lstm ? 4 : 3;
    const float scale = 1.7f / sqrtf((float)(input + hidden));
    float *w = random_floats(rng, gates * hidden * (input + hidden), scale);
    float *bias = random_floats(rng, 2 * gates * hidden, 0.5f);
    int8_t *levels = kcheck_alloc(gates * hidden * (input + hidden));
    float *scales = kcheck_alloc(gates * hidden * sizeof *scales);
    for (size_t i = 0; i < gates * hidden * (input + hidden); i++)
        levels[i] = (int8_t)rintf(w[i] / scale * 127.0f);
    for (size_t i = 0; i < gates * hidden; i++)
        scales[i] = scale / 127.0f;
    const struct apx_rnn_weights weights = {.w = w,
                                            .r = w + gates * hidden * input,
                                            .bias_w = bias,
                                            .bias_r = bias + gates * hidden,
                                            .w_s8 = levels,
                                            .r_s8 = levels + gates * hidden * input,
                                            .w_scale = scales,
                                            .r_scale = scales};
    void *packed = kcheck_alloc(row->packed_bytes(desc));
    row->pack(desc, &weights, packed);
    void *on_device = upload(packed, row->packed_bytes(desc));
    free(packed);
    return (struct layer){weights, w, bias, scales, levels, on_device};
}

static void free_layer(struct layer *layer)
{
    device_free(layer->packed);
    free(layer->w);
    free(layer->bias);
    free(layer->scales);
    free(layer->levels);
}

static void rnn(const struct apx_cuda_rnn_row *row, bool is_lstm, bool reset_after, size_t input,
                size_t hidden, size_t rows, size_t steps, bool cuts)
{
    const struct apx_rnn_desc desc = make_desc(row, reset_after, input, hidden);
    const bool is_lt = strstr(row->name, "_lt") != NULL; /* here of any size */
    const bool is_supported =
        is_lt ? (is_lstm ? apx_lstm_f32_lt_can : apx_gru_f32_lt_can)(device_open(), &desc)
              : row->supports(device_open(), &desc);
    if (!is_supported) {
        printf("%-14s I %3zu H %3zu: not supported\n", row->name, input, hidden);
        return;
    }
    struct rng rng = {hidden * 31 + input};
    struct layer layer = make_layer(&rng, row, is_lstm, &desc);
    float *x = random_floats(&rng, rows * steps * input, 1.0f);
    const int32_t no_fault = 0;
    struct rnn_bench bench = {.row = row, .is_lstm = is_lstm};
    bench.fault = upload(&no_fault, sizeof no_fault);
    bench.args =
        (struct apx_rnn_args){.desc = &desc,
                              .packed = layer.packed,
                              .rows = rows,
                              .steps = steps,
                              .x = upload(x, rows * steps * input * sizeof(float)),
                              .x_row = (ptrdiff_t)(steps * input),
                              .x_step = (ptrdiff_t)input,
                              .y = device_alloc(rows * steps * hidden * sizeof(float)),
                              .y_row = (ptrdiff_t)(steps * hidden),
                              .y_step = (ptrdiff_t)hidden,
                              .scratch = device_alloc(row->scratch_bytes(&desc, rows, steps))};
    const double seconds = device_time(rnn_launch, &bench);
    device_check(row->name, 0);
    struct apx_rnn_args host = bench.args;
    host.rows = rows < CHECKED_ROWS ? rows : CHECKED_ROWS;
    host.x = x;
    const size_t bytes = host.rows * steps * hidden * sizeof(float);
    float *y = kcheck_alloc(bytes);
    device_out(y, bench.args.y, bytes);
    const double error = rnn_error(&desc, is_lstm, &layer.weights, &host, y);
    const bool good = strcmp(row->precision, "fp16") == 0 ? error < 1e-2
                      : is_lt                             ? error < 1e-5
                                                          : error == 0.0;
    failures += !good;
    printf("%-14s%s I %3zu H %3zu T %2zu N %5zu %10.1f us %8.2f us a step, estimate %8.2f, "
           "error %.1e%s\n",
           row->name, form(is_lstm, reset_after), input, hidden, steps, rows, 1e6 * seconds,
           1e6 * seconds / (double)steps,
           1e6 * row->seconds(device_open(), &desc, rows, steps) / (double)steps, error,
           good ? "" : " FAIL");
    if (cuts && !is_lt)
        rnn_cuts(&bench);
    const void *on_device[] = {bench.args.x, bench.args.y, bench.args.scratch, bench.fault};
    for (size_t i = 0; i < sizeof on_device / sizeof on_device[0]; i++) {
        void *memory;
        memcpy(&memory, &on_device[i], sizeof memory);
        device_free(memory);
    }
    free_layer(&layer);
    free(x);
    free(y);
}

/* ---- layers one behind the other ------------------------------------------------------------- */

struct stack_bench {
    const struct apx_cuda_rnn_row *row;
    struct apx_rnn_args args[APX_CUDA_MOST_STACKED]; /* on the device */
    size_t layers;
    int32_t *fault;
    bool is_together;
};

static int stack_launch(void *context, void *stream)
{
    const struct stack_bench *bench = context;
    int code = 0;
    if (bench->is_together)
        return bench->row->launch_stack(device_open(), bench->args, bench->layers, bench->fault,
                                        stream);
    for (size_t l = 0; l < bench->layers && code == 0; l++)
        code = bench->row->launch(device_open(), &bench->args[l], bench->fault, stream);
    return code;
}

/* The worst of all layers, each on the processor with the device's y of the one below. */
static double stack_error(const struct stack_bench *bench, bool is_lstm, const struct layer *layer,
                          const float *x)
{
    double worst = 0.0;
    float *below = NULL;
    for (size_t l = 0; l < bench->layers; l++) {
        struct apx_rnn_args host = bench->args[l];
        const size_t bytes = host.rows * host.steps * host.desc->hidden * sizeof(float);
        float *y = kcheck_alloc(bytes);
        device_out(y, host.y, bytes);
        host.x = l > 0 ? below : x;
        const double error = rnn_error(host.desc, is_lstm, &layer[l].weights, &host, y);
        worst = error <= worst ? worst : error;
        free(below);
        below = y;
    }
    free(below);
    return worst;
}

/* `width`: of x, then of each layer. */
static void stack(const struct apx_cuda_rnn_row *row, bool is_lstm, bool reset_after,
                  const size_t *width, size_t layers, size_t rows, size_t steps)
{
    struct apx_rnn_desc desc[APX_CUDA_MOST_STACKED];
    const struct apx_rnn_desc *descs[APX_CUDA_MOST_STACKED];
    double estimate = 0.0; /* of launches apart */
    for (size_t l = 0; l < layers; l++) {
        desc[l] = make_desc(row, reset_after, width[l], width[l + 1]);
        descs[l] = &desc[l];
        estimate += row->seconds(device_open(), &desc[l], rows, steps);
    }
    if (isinf(row->stack_seconds(device_open(), descs, layers, rows, steps))) {
        printf("SKIPPED %s%s %zu layers, N %zu: no clusters for them here\n", row->name,
               form(is_lstm, reset_after), layers, rows);
        return;
    }
    struct rng rng = {width[1] * 31 + width[0]};
    struct layer layer[APX_CUDA_MOST_STACKED];
    float *x = random_floats(&rng, rows * steps * width[0], 1.0f);
    const int32_t no_fault = 0;
    const double a_step = 1e6 / (double)steps;
    struct stack_bench bench = {.row = row, .layers = layers, .is_together = true};
    void *on_x = upload(x, rows * steps * width[0] * sizeof(float));
    bench.fault = upload(&no_fault, sizeof no_fault);
    for (size_t l = 0; l < layers; l++) {
        layer[l] = make_layer(&rng, row, is_lstm, &desc[l]);
        bench.args[l] =
            (struct apx_rnn_args){.desc = &desc[l],
                                  .packed = layer[l].packed,
                                  .rows = rows,
                                  .steps = steps,
                                  .x = l > 0 ? bench.args[l - 1].y : on_x,
                                  .x_row = (ptrdiff_t)(steps * width[l]),
                                  .x_step = (ptrdiff_t)width[l],
                                  .y = device_alloc(rows * steps * width[l + 1] * sizeof(float)),
                                  .y_row = (ptrdiff_t)(steps * width[l + 1]),
                                  .y_step = (ptrdiff_t)width[l + 1]};
    }
    const double together = device_time(stack_launch, &bench);
    device_check(row->name, 0);
    const double error = stack_error(&bench, is_lstm, layer, x);
    bench.is_together = false; /* and writes the same once more */
    const double apart = device_time(stack_launch, &bench);
    const bool good = error == 0.0;
    failures += !good;
    printf("%-14s%s %zu layers", row->name, form(is_lstm, reset_after), layers);
    for (size_t l = 0; l <= layers; l++)
        printf(" %zu", width[l]);
    printf(" T %2zu N %5zu %10.1f us %8.2f us a step, estimate %8.2f; apart %8.2f, estimate %8.2f, "
           "error %.1e%s\n",
           steps, rows, 1e6 * together, a_step * together,
           a_step * row->stack_seconds(device_open(), descs, layers, rows, steps), a_step * apart,
           a_step * estimate, error, good ? "" : " FAIL");
    for (size_t l = 0; l < layers; l++) {
        free_layer(&layer[l]);
        device_free(bench.args[l].y);
    }
    device_free(on_x);
    device_free(bench.fault);
    free(x);
}

static void all_stacks(size_t most_rows, size_t steps)
{
    static const size_t widths[][5] = {{128, 128, 128}, {64, 256, 128}, {32, 64, 64, 64}};
    static const size_t layers[] = {2, 2, 3};
    static const size_t batches[] = {1, 16, 128};
    for (int kind = 0; kind < 3; kind++) {
        size_t count;
        const struct apx_cuda_rnn_row *rows =
            kind == 0 ? apx_cuda_lstm_rows(&count) : apx_cuda_gru_rows(&count);
        for (size_t r = 0; r < count; r++)
            for (size_t w = 0; w < sizeof layers / sizeof layers[0]; w++)
                for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
                    if (batches[b] <= most_rows && rows[r].stack_seconds != NULL)
                        stack(&rows[r], kind == 0, kind == 1, widths[w], layers[w], batches[b],
                              steps);
    }
}

static void all_rnn(size_t most_rows, size_t steps, bool cuts)
{
    static const size_t shapes[][2] = {{32, 64}, {32, 128}, {128, 128}, {64, 256}};
    static const size_t batches[] = {1, 16, 128, 1024, 4096, 65536};
    size_t count;
    const struct apx_cuda_rnn_row *rows = apx_cuda_lstm_rows(&count);
    for (size_t r = 0; r < count; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
                if (batches[b] <= most_rows)
                    rnn(&rows[r], true, false, shapes[s][0], shapes[s][1], batches[b], steps, cuts);
    rows = apx_cuda_gru_rows(&count);
    for (size_t r = 0; r < count; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
                for (int after = 1; after >= 0 && batches[b] <= most_rows; after--)
                    rnn(&rows[r], false, after, shapes[s][0], shapes[s][1], batches[b], steps,
                        cuts);
}

/* Our own row and cuBLASLt's side by side: where its rule (rnn_lt.cuh) should draw the line. */
static void all_large_rnn(size_t most_rows, size_t steps)
{
    static const size_t shapes[][2] = {{128, 256}, {256, 512}, {512, 1024}};
    static const size_t batches[] = {1, 128, 1024, 4096};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            const size_t input = shapes[s][0], hidden = shapes[s][1], n = batches[b];
            if (n > most_rows)
                continue;
            rnn(&apx_lstm_f32_cuda, true, false, input, hidden, n, steps, false);
            rnn(&apx_lstm_f32_lt_cuda, true, false, input, hidden, n, steps, false);
            for (int after = 1; after >= 0; after--) {
                rnn(&apx_gru_f32_cuda, false, after, input, hidden, n, steps, false);
                rnn(&apx_gru_f32_lt_cuda, false, after, input, hidden, n, steps, false);
            }
        }
}

/* ---- dense layers ---------------------------------------------------------------------------- */

struct dense_bench {
    const struct apx_cuda_dense_row *row;
    struct apx_dense_args args; /* on the device */
};

static int dense_launch(void *context, void *stream)
{
    const struct dense_bench *bench = context;
    return bench->row->launch(device_open(), &bench->args, stream);
}

/* The first rows against float64. */
static double dense_error(const struct apx_dense_desc *desc, const float *w, const float *x,
                          const float *y, size_t rows)
{
    double worst = 0.0;
    for (size_t n = 0; n < rows; n++)
        for (size_t o = 0; o < desc->output; o += 7) {
            double sum = 0.0;
            for (size_t k = 0; k < desc->input; k++)
                sum += (double)x[n * desc->input + k] * (double)w[o * desc->input + k];
            const double error = fabs((double)y[n * desc->output + o] - fmax(sum, 0.0));
            worst = error <= worst ? worst : error; /* NaN is worst */
        }
    return worst;
}

static void dense(const struct apx_cuda_dense_row *row, size_t input, size_t output, size_t rows)
{
    const struct apx_dense_desc desc = {
        .input = input, .output = output, .act = {.kind = APX_ACT_RELU}};
    struct rng rng = {input * 31 + output};
    float *w = random_floats(&rng, input * output, 1.7f / sqrtf((float)input));
    float *x = random_floats(&rng, rows * input, 1.0f);
    float *packed = kcheck_alloc(row->packed_bytes(&desc));
    const struct apx_dense_weights weights = {.w = w, .w_out = (ptrdiff_t)input, .w_in = 1};
    row->pack(&desc, &weights, packed);
    void *on_packed = upload(packed, row->packed_bytes(&desc));
    float *on_x = upload(x, rows * input * sizeof *x);
    float *on_y = device_alloc(rows * output * sizeof *on_y);
    struct dense_bench bench = {.row = row,
                                .args = {.desc = &desc,
                                         .packed = on_packed,
                                         .rows = rows,
                                         .x = on_x,
                                         .x_row = (ptrdiff_t)input,
                                         .y = on_y,
                                         .y_row = (ptrdiff_t)output}};
    const double seconds = device_time(dense_launch, &bench);
    device_check(row->name, 0);
    const size_t checked = rows < CHECKED_ROWS ? rows : CHECKED_ROWS;
    float *y = kcheck_alloc(checked * output * sizeof *y);
    device_out(y, on_y, checked * output * sizeof *y);
    const double error = dense_error(&desc, w, x, y, checked);
    failures += !(error < 1e-4);
    printf("%-17s K %4zu O %4zu N %5zu %10.1f us %6.2f TFLOP/s, estimate %10.1f us, error %.1e%s\n",
           row->name, input, output, rows, 1e6 * seconds,
           2e-12 * (double)(rows * input * output) / seconds,
           1e6 * row->seconds(device_open(), &desc, rows), error, error < 1e-4 ? "" : " FAIL");
    device_free(on_packed);
    device_free(on_x);
    device_free(on_y);
    free(w);
    free(x);
    free(packed);
    free(y);
}

/* Our own row and cuBLASLt's side by side: where its rule (dense_f32_lt.cu) should draw the line.
 */
static void all_dense(size_t most_rows)
{
    static const size_t shapes[][2] = {
        {128, 128}, {256, 256}, {512, 512}, {1024, 1024}, {4096, 1024}};
    static const size_t batches[] = {1, 128, 1024, 4096, 65536};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            const struct apx_dense_desc desc = {.input = shapes[s][0], .output = shapes[s][1]};
            if (batches[b] > most_rows)
                continue;
            dense(&apx_dense_f32_cuda, desc.input, desc.output, batches[b]);
            if (apx_dense_f32_lt_can(device_open(), &desc))
                dense(&apx_dense_f32_lt_cuda, desc.input, desc.output, batches[b]);
        }
}

/* ---- forests --------------------------------------------------------------------------------- */

struct forest_bench {
    const struct apx_cuda_forest_row *row;
    const void *header;
    struct apx_forest_args args;
};

static int forest_launch(void *context, void *stream)
{
    const struct forest_bench *bench = context;
    return bench->row->launch(device_open(), bench->header, &bench->args, stream);
}

static void forest(size_t trees, size_t leaves, enum forest_shape shape, size_t features,
                   size_t rows)
{
    size_t count;
    const struct apx_cuda_forest_row *row = apx_cuda_forest_rows(&count);
    const struct forest_plan plan = {.features = features,
                                     .outputs = 1,
                                     .trees = trees,
                                     .rows = rows < CHECKED_ROWS ? rows : CHECKED_ROWS,
                                     .shape = shape,
                                     .leaves = leaves,
                                     .exact_leaves = true,
                                     .thresholds = 250,
                                     .plain_values = true};
    struct rng rng = {trees};
    struct forest_problem p;
    forest_problem_create(&rng, &plan, &p);
    double *margins = kcheck_alloc(plan.rows * sizeof *margins);
    uint32_t *leaf = kcheck_alloc(plan.rows * trees * sizeof *leaf);
    p.x_is_double = false;
    for (size_t i = 0; i < plan.rows * features; i++)
        p.x[i] = (double)(float)p.x[i];
    forest_problem_solve(&p, margins, leaf);
    float *x = random_floats(&rng, rows * features, 1.0f);
    for (size_t i = 0; i < plan.rows * features; i++)
        x[i] = (float)p.x[i];
    char *packed = kcheck_alloc(row->pack_bound(&p.desc));
    const size_t bytes = row->pack(&p.desc, packed);
    struct forest_bench bench = {.row = row, .header = packed};
    void *on_packed = upload(packed, bytes), *on_x = upload(x, rows * features * sizeof *x);
    float *on_margins = device_alloc(rows * sizeof(float));
    bench.args =
        (struct apx_forest_args){.packed = on_packed,
                                 .rows = rows,
                                 .x = on_x,
                                 .x_row = (ptrdiff_t)features,
                                 .margins = on_margins,
                                 .scratch = device_alloc(row->scratch_bytes(packed, rows))};
    const double seconds = device_time(forest_launch, &bench);
    device_check(row->name, 0);
    float *actual = kcheck_alloc(plan.rows * sizeof *actual);
    device_out(actual, on_margins, plan.rows * sizeof *actual);
    size_t wrong = 0;
    for (size_t n = 0; n < plan.rows; n++)
        wrong += !((double)actual[n] == margins[n] || (isnan(actual[n]) && isnan(margins[n])));
    failures += wrong > 0;
    printf("%-14s %4zu x %3zu leaves F %zu N %7zu %10.1f us %8.2f Mrows/s, estimate %10.1f us%s\n",
           row->name, trees, leaves, features, rows, 1e6 * seconds, 1e-6 * (double)rows / seconds,
           1e6 * row->seconds(device_open(), packed, rows), wrong > 0 ? " FAIL" : "");
    device_free(on_packed);
    device_free(on_x);
    device_free(on_margins);
    device_free(bench.args.scratch);
    free(margins);
    free(leaf);
    free(x);
    free(packed);
    free(actual);
    forest_problem_free(&p);
}

static void all_forests(size_t most_rows)
{
    static const size_t batches[] = {1, 64, 1024, 4096, 65536, 1000000};
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        if (batches[b] > most_rows)
            continue;
        forest(200, 256, FOREST_BALANCED, 100, batches[b]);
        forest(800, 255, FOREST_LEAF_WISE, 100, batches[b]);
        forest(100, 31, FOREST_LEAF_WISE, 50, batches[b]);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"cuts", no_argument, NULL, 'c'},
                                            {"most-rows", required_argument, NULL, 'm'},
                                            {"steps", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    size_t most_rows = 1000000, steps = 50;
    bool cuts = false;
    for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (letter == 'c') {
            cuts = true;
        } else if (letter == 'm') {
            most_rows = strtoull(optarg, NULL, 0);
        } else if (letter == 's') {
            steps = strtoull(optarg, NULL, 0);
        } else {
            fprintf(stderr, "usage: cuda_bench [--cuts] [--most-rows N] [--steps T]\n");
            return 2;
        }
    }
    const struct apx_cuda_device *device = device_open();
    printf("device: %s, %d.%d, %d multiprocessors, %zu KB of shared memory a block\n", device->name,
           device->major, device->minor, device->multiprocessors, device->shared_bytes / 1024);
    all_rnn(most_rows, steps, cuts);
    if (!cuts) {
        all_stacks(most_rows, steps);
        all_large_rnn(most_rows, steps);
        all_dense(most_rows);
    }
    all_forests(most_rows);
    printf("%zu wrong results\n", failures);
    return failures > 0;
}
