/* SPDX-License-Identifier: Apache-2.0 */
/* lt_rows_test.c - layers that cuBLASLt computes: who takes which, how far they are from float64,
 * and that a row's bits are the same alone and in any batch. Over the emulator and a strict
 * stand-in for the library, or (ci/device) on a GPU with the library itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cuda_tables.h"
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
    } shapes[] = {{1024, 1024, true},   {1024, 1023, false}, {8192, 128, true},
                  {128, 8192, true},    {512, 512, false},   {1u << 16, 64, false},
                  {64, 1u << 16, false}};
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

int main(void)
{
    device_open();
    if (apx_lt_version() == 0) {
        printf("SKIPPED: no " APX_LT_LIBRARY "\n");
        return 77;
    }
    RUN(dense_rule);
    RUN(dense_batches);
    RUN(dense_broadcast);
    return check_report();
}
