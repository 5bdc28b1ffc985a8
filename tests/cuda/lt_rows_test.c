/* SPDX-License-Identifier: Apache-2.0 */
/* lt_rows_test.c - layers that cuBLASLt computes: who takes which, how far they are from float64,
 * and that a row's bits are the same alone and in any batch. Over the emulator and a strict
 * stand-in for the library, or (ci/device) on a GPU with the library itself. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/lt_product.h"
#include "tests/cuda/device.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { ROWS = 1000, NAN_ROW = 400, GAP = 3 };

static float *random_floats(struct rng *rng, size_t count, float scale)
{
    float *values = malloc(count * sizeof *values);
    REQUIRE(values != NULL);
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

/* ---- products ------------------------------------------------------------------------------- */

static struct apx_lt_product small_product(size_t inner, size_t outputs)
{
    return (struct apx_lt_product){.inner = inner,
                                   .outputs = outputs,
                                   .w_row = outputs,
                                   .usual_rows = 1024,
                                   .w_alignment = 4,
                                   .alignment = 4,
                                   .has_bias = true};
}

/* More rows than the library is given at once; and the ones around the cut by themselves. */
static void product_many_rows(void)
{
    enum { INNER = 5, OUTPUTS = 128, MANY = 70000, X_ROW = 6, Y_ROW = 129 };
    static const size_t parts[][2] = {{65535, 2}, {65500, 99}, {MANY - 1, 1}, {0, 50}};
    const struct apx_lt_product product = small_product(INNER, OUTPUTS);
    struct rng rng = {70};
    float *x = random_floats(&rng, MANY * X_ROW, 1.0f);
    float *w = random_floats(&rng, INNER * OUTPUTS, 1.0f);
    float *bias = random_floats(&rng, OUTPUTS, 1.0f);
    const size_t bytes = (size_t)MANY * Y_ROW * sizeof(float);
    float *y = malloc(bytes), *part = malloc(100 * Y_ROW * sizeof *part);
    REQUIRE(y != NULL && part != NULL);
    float *on_x = upload(x, MANY * X_ROW * sizeof *x);
    float *on_w = upload(w, INNER * OUTPUTS * sizeof *w);
    float *on_bias = upload(bias, OUTPUTS * sizeof *bias);
    float *on_y = device_alloc(bytes);
    struct apx_lt_arrays arrays = {.w = on_w,
                                   .bias = on_bias,
                                   .x = on_x,
                                   .y = on_y,
                                   .rows = MANY,
                                   .x_row = X_ROW,
                                   .y_row = Y_ROW};
    REQUIRE(apx_lt_can(device_open(), &product));
    device_check("launch", apx_lt_launch(device_open(), &product, &arrays, NULL));
    device_out(y, on_y, bytes);
    size_t wrong = 0;
    for (size_t n = 0; n < MANY; n++)
        for (size_t o = 0; o < OUTPUTS; o++) {
            double sum = (double)bias[o];
            for (size_t k = 0; k < INNER; k++)
                sum += (double)x[n * X_ROW + k] * (double)w[k * OUTPUTS + o];
            wrong += !(fabs((double)y[n * Y_ROW + o] - sum) <= 1e-5);
        }
    CHECK_EQ(wrong, 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t first = parts[i][0];
        arrays.rows = parts[i][1];
        arrays.x = on_x + first * X_ROW;
        device_check("launch", apx_lt_launch(device_open(), &product, &arrays, NULL));
        device_out(part, on_y, arrays.rows * Y_ROW * sizeof *part);
        for (size_t n = 0; n < arrays.rows; n++)
            CHECK(memcmp(part + n * Y_ROW, y + (first + n) * Y_ROW, OUTPUTS * sizeof *y) == 0);
    }
    device_free(on_x);
    device_free(on_w);
    device_free(on_bias);
    device_free(on_y);
    free(x);
    free(w);
    free(bias);
    free(y);
    free(part);
}

static int *fake_is_full; /* the stand-in's, NULL: it is the library itself */

/* The stand-in alone refuses for certain what was promised and not kept. */
static void product_refused(void)
{
    struct apx_lt_product product = small_product(8, 8);
    float *memory = device_alloc(256 * sizeof *memory);
    const struct apx_lt_arrays arrays = {.w = memory,
                                         .bias = memory,
                                         .x = memory,
                                         .y = memory + 128,
                                         .rows = 4,
                                         .x_row = 9,
                                         .y_row = 9};
    product.alignment = 16;
    REQUIRE(apx_lt_can(device_open(), &product));
    CHECK_EQ(apx_lt_launch(device_open(), &product, &arrays, NULL), APX_CUDA_CANNOT);
    device_free(memory);
}

/* An answer stays, whatever the library would say later. Leaves no room for other products. */
static void product_answers(void)
{
    struct apx_cuda_device other = *device_open();
    struct apx_lt_product product = small_product(8, 8);
    other.index = 5;
    product.usual_rows = 3;
    *fake_is_full = 1;
    CHECK(!apx_lt_can(&other, &product)); /* no handle */
    CHECK(!apx_lt_can(device_open(), &product));
    *fake_is_full = 0;
    CHECK(!apx_lt_can(&other, &product));
    CHECK(!apx_lt_can(device_open(), &product));
    product.usual_rows = 4;
    CHECK(!apx_lt_can(&other, &product));
    CHECK(apx_lt_can(device_open(), &product));
    for (product.inner = 1; apx_lt_can(device_open(), &product); product.inner++)
        REQUIRE(product.inner < 1000);
    CHECK(!apx_lt_can(device_open(), &product));
    product.inner--;
    CHECK(apx_lt_can(device_open(), &product));
}

/* ---- dense layers ---------------------------------------------------------------------------- */

static const struct apx_cuda_dense_row *chosen(size_t input, size_t output)
{
    const struct apx_dense_desc desc = {.input = input, .output = output};
    size_t count;
    const struct apx_cuda_dense_row *rows = apx_cuda_dense_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].supports(device_open(), &desc))
            return &rows[i];
    return NULL;
}

static void dense_rule(void)
{
    static const struct {
        size_t input, output;
        bool is_large;
    } shapes[] = {{1024, 1024, true},    {1024, 1023, false}, {8192, 128, true},
                  {128, 8192, true},     {512, 512, false},   {1u << 16, 64, false},
                  {64, 1u << 16, false}, {8128, 129, false},  {8129, 129, true}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct apx_cuda_dense_row *row = chosen(shapes[i].input, shapes[i].output);
        REQUIRE(row != NULL);
        CHECK_STR(row->name, shapes[i].is_large ? "dense_f32_lt_cuda" : "dense_f32_cuda");
    }
}

struct dense_problem {
    struct apx_dense_desc desc;
    struct apx_dense_args all; /* of ROWS rows, on the device */
};

/* y of rows first .. first + count, computed as a batch of their own. */
static void dense_part(const struct dense_problem *p, size_t first, size_t count, float *y)
{
    const size_t bytes = count * (size_t)p->all.y_row * sizeof(float);
    struct apx_dense_args args = p->all;
    args.rows = count;
    args.x += (ptrdiff_t)first * args.x_row;
    args.y = device_alloc(bytes);
    device_check("launch", apx_dense_f32_lt_cuda.launch(device_open(), &args, NULL));
    device_out(y, args.y, bytes);
    device_free(args.y);
}

static double dense_exact(const struct apx_dense_desc *desc, const float *x, const float *w,
                          double sum, double *magnitude)
{
    *magnitude = fabs(sum);
    for (size_t k = 0; k < desc->input; k++) {
        sum += (double)x[k] * (double)w[k];
        *magnitude += fabs((double)x[k] * (double)w[k]);
    }
    return desc->act.kind == APX_ACT_TANH   ? tanh(sum)
           : desc->act.kind == APX_ACT_RELU ? (sum > 0.0 ? sum : 0.0)
                                            : sum;
}

static void dense_bits(size_t input, size_t output, enum apx_act act)
{
    static const size_t parts[][2] = {{0, 1},  {NAN_ROW - 1, 1},  {999, 1},  {NAN_ROW - 3, 7},
                                      {11, 7}, {NAN_ROW - 9, 64}, {900, 64}, {1, 999}};
    struct rng rng = {input + output};
    struct dense_problem p = {.desc = {.input = input, .output = output, .act = {.kind = act}}};
    const size_t x_row = input + GAP, y_row = output + GAP, bytes = ROWS * y_row * sizeof(float);
    float *x = random_floats(&rng, ROWS * x_row, 1.0f);
    float *w = random_floats(&rng, input * output, 1.7f / sqrtf((float)input));
    float *bias = random_floats(&rng, output, 1.0f);
    float *y = malloc(bytes), *part = malloc(bytes);
    const size_t packed_bytes = apx_dense_f32_lt_cuda.packed_bytes(&p.desc);
    void *packed = malloc(packed_bytes);
    REQUIRE(y != NULL && part != NULL && packed != NULL);
    REQUIRE(apx_dense_f32_lt_cuda.supports(device_open(), &p.desc));
    x[NAN_ROW * x_row + input / 2] = NAN;
    const struct apx_dense_weights weights = {
        .w = w, .w_out = (ptrdiff_t)input, .w_in = 1, .bias = bias};
    apx_dense_f32_lt_cuda.pack(&p.desc, &weights, packed);
    void *on_packed = upload(packed, packed_bytes);
    float *on_x = upload(x, ROWS * x_row * sizeof(float));
    p.all = (struct apx_dense_args){.desc = &p.desc,
                                    .packed = on_packed,
                                    .x = on_x,
                                    .x_row = (ptrdiff_t)x_row,
                                    .y_row = (ptrdiff_t)y_row};
    dense_part(&p, 0, ROWS, y);
    for (size_t n = 0; n < ROWS; n += 37)
        for (size_t o = 0; o < output; o += 13) {
            double magnitude;
            const double exact =
                dense_exact(&p.desc, x + n * x_row, w + o * input, (double)bias[o], &magnitude);
            CHECK(fabs((double)y[n * y_row + o] - exact) <= 1e-5 * magnitude);
        }
    for (size_t o = 0; o < output; o++)
        CHECK(isnan(y[NAN_ROW * y_row + o]) && !isnan(y[(NAN_ROW + 1) * y_row + o]));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t first = parts[i][0], count = parts[i][1];
        dense_part(&p, first, count, part);
        for (size_t n = 0; n < count; n++)
            CHECK(memcmp(part + n * y_row, y + (first + n) * y_row, output * sizeof(float)) == 0);
    }
    device_free(on_packed);
    device_free(on_x);
    free(x);
    free(w);
    free(bias);
    free(y);
    free(part);
    free(packed);
}

/* One row, broadcast: dense_f32.cu computes it. */
static void dense_broadcast(void)
{
    const struct apx_dense_desc desc = {.input = 1024, .output = 1024};
    struct rng rng = {8};
    float *w = random_floats(&rng, desc.input * desc.output, 0.1f);
    float *x = random_floats(&rng, desc.input, 1.0f);
    float *y = malloc(3 * desc.output * sizeof *y);
    float *packed = malloc(apx_dense_f32_lt_cuda.packed_bytes(&desc));
    REQUIRE(y != NULL && packed != NULL);
    const struct apx_dense_weights weights = {.w = w, .w_out = 1, .w_in = (ptrdiff_t)desc.output};
    apx_dense_f32_lt_cuda.pack(&desc, &weights, packed);
    void *on_packed = upload(packed, apx_dense_f32_lt_cuda.packed_bytes(&desc));
    float *on_x = upload(x, desc.input * sizeof *x);
    float *on_y = device_alloc(3 * desc.output * sizeof *y);
    const struct apx_dense_args args = {.desc = &desc,
                                        .packed = on_packed,
                                        .rows = 3,
                                        .x = on_x,
                                        .y = on_y,
                                        .y_row = (ptrdiff_t)desc.output};
    device_check("launch", apx_dense_f32_lt_cuda.launch(device_open(), &args, NULL));
    device_out(y, on_y, 3 * desc.output * sizeof *y);
    for (size_t o = 0; o < desc.output; o++) {
        double sum = 0.0;
        for (size_t k = 0; k < desc.input; k++)
            sum += (double)x[k] * (double)w[k * desc.output + o];
        CHECK_NEAR(y[o], sum, 1e-4);
        CHECK(y[o] == y[desc.output + o] && y[o] == y[2 * desc.output + o]);
    }
    device_free(on_packed);
    device_free(on_x);
    device_free(on_y);
    free(w);
    free(x);
    free(y);
    free(packed);
}

static void dense_batches(void)
{
    dense_bits(1024, 1024, APX_ACT_NONE);
    dense_bits(1031, 1021, APX_ACT_TANH);
    dense_bits(128, 8200, APX_ACT_RELU);
}

/* ---- recurrent layers ------------------------------------------------------------------------ */

static const struct apx_cuda_rnn_row *chosen_rnn(bool is_lstm, const struct apx_rnn_desc *desc)
{
    size_t count;
    const struct apx_cuda_rnn_row *rows =
        is_lstm ? apx_cuda_lstm_rows(&count) : apx_cuda_gru_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].precision, "fp32") == 0 && rows[i].supports(device_open(), desc))
            return &rows[i];
    return NULL;
}

static struct apx_rnn_desc rnn_desc(size_t input, size_t hidden)
{
    return (struct apx_rnn_desc){
        .input = input,
        .hidden = hidden,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
}

static void rnn_rule(void)
{
    static const size_t shapes[][3] = {
        {64, 512, false}, {64, 513, true}, {64, 4096, true}, {4096, 64, false}, {4097, 64, true}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct apx_rnn_desc desc = rnn_desc(shapes[i][0], shapes[i][1]);
        const struct apx_cuda_rnn_row *row = chosen_rnn(true, &desc);
        REQUIRE(row != NULL);
        CHECK_STR(row->name, shapes[i][2] ? "lstm_f32_lt_cuda" : "lstm_f32_cuda");
        for (int after = 0; after < 2; after++) {
            desc.reset_after = after;
            row = chosen_rnn(false, &desc);
            REQUIRE(row != NULL);
            CHECK_STR(row->name, shapes[i][2] ? "gru_f32_lt_cuda" : "gru_f32_cuda");
        }
        desc.clip = 1.0f;
        CHECK(chosen_rnn(true, &desc) == NULL && chosen_rnn(false, &desc) == NULL);
    }
}

struct rnn_outputs {
    float *y, *h_last, *c_last; /* [N][T][H], [N][H] */
};

static struct rnn_outputs rnn_outputs(size_t rows, size_t steps, size_t hidden)
{
    const struct rnn_outputs out = {malloc(rows * steps * hidden * sizeof(float)),
                                    malloc(rows * hidden * sizeof(float)),
                                    malloc(rows * hidden * sizeof(float))};
    REQUIRE(out.y != NULL && out.h_last != NULL && out.c_last != NULL);
    return out;
}

static void rnn_outputs_free(struct rnn_outputs *out)
{
    free(out->y);
    free(out->h_last);
    free(out->c_last);
}

/* A batch of rows first .. first + count on the device; args: of all rows. */
static void rnn_part(const struct apx_cuda_rnn_row *row, const struct apx_rnn_args *all,
                     size_t first, size_t count, const struct rnn_outputs *out)
{
    const size_t hidden = all->desc->hidden, last = count * hidden * sizeof(float);
    const size_t scratch = row->scratch_bytes(all->desc, count, all->steps);
    const int32_t no_fault = 0;
    int32_t *fault = upload(&no_fault, sizeof no_fault);
    struct apx_rnn_args args = *all;
    args.rows = count;
    args.x += (ptrdiff_t)first * args.x_row;
    args.h0 += (ptrdiff_t)first * args.h0_row;
    args.c0 = args.c0 != NULL ? args.c0 + (ptrdiff_t)first * args.c0_row : NULL;
    args.lengths += first;
    args.y = device_alloc(last * all->steps);
    args.h_last = device_alloc(last);
    args.c_last = args.c0 != NULL ? device_alloc(last) : NULL;
    args.scratch = device_alloc(scratch);
    CHECK(scratch <= row->scratch_bytes(all->desc, count + 1, all->steps));
    CHECK(scratch <= row->scratch_bytes(all->desc, count, all->steps + 1));
    device_check(row->name, row->launch(device_open(), &args, fault, NULL));
    device_out(out->y, args.y, last * all->steps);
    device_out(out->h_last, args.h_last, last);
    if (args.c_last != NULL)
        device_out(out->c_last, args.c_last, last);
    void *const on_device[] = {fault, args.y, args.h_last, args.c_last, args.scratch};
    for (size_t i = 0; i < sizeof on_device / sizeof on_device[0]; i++)
        if (on_device[i] != NULL)
            device_free(on_device[i]);
}

/* The first rows on the processor. */
static void rnn_compare(bool is_lstm, const struct apx_rnn_weights *weights,
                        const struct apx_rnn_args *host, const struct rnn_outputs *actual)
{
    const struct apx_rnn_desc *desc = host->desc;
    const struct apx_rnn_row *row =
        is_lstm ? apx_lstm_select(apx_cpu_caps(), desc) : apx_gru_select(apx_cpu_caps(), desc);
    struct rnn_outputs expected = rnn_outputs(host->rows, host->steps, desc->hidden);
    struct apx_rnn_args args = *host;
    void *packed = aligned_alloc(64, (row->packed_bytes(desc) + 63) / 64 * 64);
    args.scratch = aligned_alloc(64, (row->scratch_bytes(desc, host->rows) + 127) / 64 * 64);
    REQUIRE(packed != NULL && args.scratch != NULL);
    row->pack(desc, weights, packed);
    args.packed = packed;
    args.y = expected.y;
    args.h_last = expected.h_last;
    args.c_last = is_lstm ? expected.c_last : NULL;
    row->run(&args);
    double worst = 0.0;
    for (size_t i = 0; i < host->rows * host->steps * desc->hidden; i++)
        worst = fmax(worst, fabs((double)actual->y[i] - (double)expected.y[i]));
    for (size_t i = 0; i < host->rows * desc->hidden; i++) {
        worst = fmax(worst, fabs((double)actual->h_last[i] - (double)expected.h_last[i]));
        if (is_lstm)
            worst = fmax(worst, fabs((double)actual->c_last[i] - (double)expected.c_last[i]));
    }
    CHECK(worst <= 1e-5);
    free(packed);
    free(args.scratch);
    rnn_outputs_free(&expected);
}

static void rnn_bits(bool is_lstm, const struct apx_rnn_desc *desc, size_t rows, size_t steps)
{
    const size_t parts[][2] = {{0, 1}, {rows - 1, 1}, {rows / 2, 7}, {rows / 4, 64}};
    const struct apx_cuda_rnn_row *row = chosen_rnn(is_lstm, desc);
    const size_t input = desc->input, hidden = desc->hidden, gates = is_lstm ? 4 : 3;
    struct rng rng = {input + hidden};
    float *w = random_floats(&rng, gates * hidden * (input + hidden),
                             1.7f / sqrtf((float)(input + hidden)));
    float *bias = random_floats(&rng, 2 * gates * hidden, 0.5f);
    float *x = random_floats(&rng, rows * steps * input, 1.0f);
    float *states = random_floats(&rng, 2 * rows * hidden, 1.0f);
    int32_t *lengths = malloc(rows * sizeof *lengths);
    const size_t packed_bytes = row->packed_bytes(desc);
    float *packed = malloc(packed_bytes);
    REQUIRE(lengths != NULL && packed != NULL);
    for (size_t n = 0; n < rows; n++)
        lengths[n] = (int32_t)rng_below(&rng, steps + 1);
    const struct apx_rnn_weights weights = {
        .w = w, .r = w + gates * hidden * input, .bias_w = bias, .bias_r = bias + gates * hidden};
    row->pack(desc, &weights, packed);
    struct apx_rnn_args host = {.desc = desc,
                                .rows = 12,
                                .steps = steps,
                                .x = x,
                                .x_row = (ptrdiff_t)(steps * input),
                                .x_step = (ptrdiff_t)input,
                                .h0 = states,
                                .c0 = is_lstm ? states + rows * hidden : NULL,
                                .h0_row = (ptrdiff_t)hidden,
                                .c0_row = (ptrdiff_t)hidden,
                                .lengths = lengths,
                                .y_row = (ptrdiff_t)(steps * hidden),
                                .y_step = (ptrdiff_t)hidden,
                                .h_last_row = (ptrdiff_t)hidden,
                                .c_last_row = (ptrdiff_t)hidden};
    struct apx_rnn_args all = host;
    float *on_states = upload(states, 2 * rows * hidden * sizeof *states);
    float *on_packed = upload(packed, packed_bytes), *on_x = upload(x, rows * steps * input * 4);
    int32_t *on_lengths = upload(lengths, rows * sizeof *lengths);
    all.packed = on_packed;
    all.x = on_x;
    all.h0 = on_states;
    all.c0 = is_lstm ? on_states + rows * hidden : NULL;
    all.lengths = on_lengths;
    struct rnn_outputs whole = rnn_outputs(rows, steps, hidden);
    struct rnn_outputs part = rnn_outputs(rows, steps, hidden);
    rnn_part(row, &all, 0, rows, &whole);
    rnn_compare(is_lstm, &weights, &host, &whole);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t first = parts[i][0] * hidden, count = parts[i][1] * hidden * sizeof(float);
        rnn_part(row, &all, parts[i][0], parts[i][1], &part);
        CHECK(memcmp(part.y, whole.y + first * steps, count * steps) == 0);
        CHECK(memcmp(part.h_last, whole.h_last + first, count) == 0);
        CHECK(!is_lstm || memcmp(part.c_last, whole.c_last + first, count) == 0);
    }
    rnn_outputs_free(&whole);
    rnn_outputs_free(&part);
    void *const on_device[] = {on_states, on_packed, on_x, on_lengths};
    for (size_t i = 0; i < sizeof on_device / sizeof on_device[0]; i++)
        device_free(on_device[i]);
    free(w);
    free(bias);
    free(x);
    free(states);
    free(lengths);
    free(packed);
}

static void lstm_batches(void)
{
    struct apx_rnn_desc desc = rnn_desc(13, 520);
    rnn_bits(true, &desc, 512, 8); /* x W of 512 rows is made in two pieces */
    desc.reverse = true;
    rnn_bits(true, &desc, 512, 8);
}

static void gru_batches(void)
{
    struct apx_rnn_desc desc = rnn_desc(30, 516);
    rnn_bits(false, &desc, 128, 3);
    desc.reset_after = true;
    rnn_bits(false, &desc, 128, 3);
    desc = rnn_desc(4098, 27);
    desc.reverse = true;
    rnn_bits(false, &desc, 128, 3);
}

int main(void)
{
    device_open();
    if (apx_lt_version() == 0) {
        printf("SKIPPED: no " APX_LT_LIBRARY "\n");
        return 77;
    }
    RUN(product_many_rows);
    RUN(dense_rule);
    RUN(dense_batches);
    RUN(dense_broadcast);
    RUN(rnn_rule);
    RUN(lstm_batches);
    RUN(gru_batches);
    void *library = dlopen(APX_LT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    fake_is_full = library != NULL ? dlsym(library, "fake_cublaslt_is_full") : NULL;
    if (fake_is_full != NULL) {
        RUN(product_refused);
        RUN(product_answers);
    }
    return check_report();
}
