/* SPDX-License-Identifier: Apache-2.0 */
/* dense_s8_test.c - the int8 dense kernel, emulated, at the edges of its tiles and slabs: the bits
 * of the processor's scalar row, rows alone and in a batch, with NaN and infinities. */
#include "kernels/cuda/cuda_rows.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

static struct apx_cuda_device device = {
    .major = 9, .shared_bytes = 227 * 1024, .clock = 1.8e9, .memory_rate = 4.8e12};

static void *get(size_t bytes)
{
    void *memory = NULL;
    REQUIRE(posix_memalign(&memory, 256, bytes > 0 ? bytes : 1) == 0);
    memset(memory, 0xff, bytes);
    return memory;
}

static const struct apx_cuda_dense_row *cuda_row(void)
{
    size_t count;
    const struct apx_cuda_dense_row *rows = apx_cuda_dense_rows(&count);
    while (strcmp(rows->precision, "int8") != 0) {
        REQUIRE(count-- > 1);
        rows++;
    }
    return rows;
}

static void check(struct rng *rng, size_t input, size_t output, size_t rows)
{
    const size_t gap = rng_once(rng, 2) ? 0 : 1 + rng_below(rng, 4);
    const size_t x_row = input + gap, y_row = output + gap;
    const struct apx_dense_row *scalar = NULL;
    const struct apx_cuda_dense_row *cuda = cuda_row();
    static const enum apx_act acts[] = {APX_ACT_NONE, APX_ACT_RELU, APX_ACT_TANH};
    const struct apx_dense_desc desc = {
        .input = input,
        .output = output,
        .act = {.kind = acts[rng_below(rng, 3)]},
        .int8 = {.levels = rng_once(rng, 2) ? 63 : 127, .input_scale = 0.007f}};
    float *x = get(rows * x_row * sizeof *x), *floats = get(2 * output * sizeof *floats);
    int8_t *w = get(input * output);
    for (size_t i = 0; i < rows * x_row; i++)
        x[i] = rng_real(rng);
    for (size_t i = 0; i < 2 * output; i++)
        floats[i] = fabsf(rng_real(rng)) / 127.0f;
    for (size_t i = 0; i < input * output; i++)
        w[i] = (int8_t)(rng_once(rng, 3) ? -127 : (int)rng_below(rng, 255) - 127);
    if (input > 0) {
        static const float odd[] = {NAN, INFINITY, -INFINITY, 0.5f};
        for (size_t i = 0; i < 3; i++)
            x[rng_below(rng, rows) * x_row + rng_below(rng, input)] = odd[rng_below(rng, 4)];
    }
    const struct apx_dense_weights weights = {
        .w_s8 = w, .w_scale = floats, .bias = rng_once(rng, 4) ? NULL : floats + output};
    scalar = apx_dense_select(0, &desc);
    void *packed = get(scalar->packed_bytes(&desc)), *on_cuda = get(cuda->packed_bytes(&desc));
    void *scratch = get(scalar->scratch_bytes(&desc, rows));
    scalar->pack(&desc, &weights, packed);
    cuda->pack(&desc, &weights, on_cuda);
    const size_t bytes = rows * y_row * sizeof(float);
    float *expected = get(bytes), *actual = get(bytes), *alone = get(bytes);
    struct apx_dense_args args = {.desc = &desc,
                                  .packed = packed,
                                  .rows = rows,
                                  .x = x,
                                  .x_row = (ptrdiff_t)x_row,
                                  .y = expected,
                                  .y_row = (ptrdiff_t)y_row,
                                  .scratch = scratch};
    scalar->run(&args);
    args.packed = on_cuda;
    args.y = actual;
    device.multiprocessors = rng_once(rng, 2) ? 132 : 1; /* small tiles, large ones */
    CHECK(cuda->supports(&device, &desc));
    CHECK_EQ(cuda->launch(&device, &args, NULL), 0);
    const size_t row = rng_below(rng, rows);
    args.x = x + row * x_row;
    args.y = alone;
    args.rows = 1;
    CHECK_EQ(cuda->launch(&device, &args, NULL), 0);
    bool same = memcmp(alone, actual + row * y_row, output * sizeof(float)) == 0;
    for (size_t i = 0; i < rows * y_row; i++)
        same = same && (memcmp(&actual[i], &expected[i], sizeof(float)) == 0 ||
                        (i % y_row < output && isnan(actual[i]) && isnan(expected[i])));
    if (!CHECK(same))
        fprintf(stderr, "    K %zu O %zu N %zu\n", input, output, rows);
    void *all[] = {x, floats, w, packed, on_cuda, scratch, expected, actual, alone};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void edges(void)
{
    static const size_t inputs[] = {0, 1, 4, 31, 32, 33, 127, 128, 129, 255, 256, 260, 385, 600};
    static const size_t outputs[] = {1, 8, 15, 16, 17, 63, 64, 65, 130};
    static const size_t sizes[] = {1, 7, 8, 9, 15, 16, 17, 63, 64, 65};
    struct rng rng = {21};
    for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++)
        for (size_t i = 0; i < 9; i++)
            check(&rng, inputs[k], outputs[i], sizes[rng_below(&rng, 10)]);
}

int main(void)
{
    RUN(edges);
    return check_report();
}
