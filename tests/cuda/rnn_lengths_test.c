/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_lengths_test.c - lengths that a caller of the CUDA rows may not give, emulated: they are
 * told, and count as the nearest that is allowed. */
#include "kernels/cuda/cuda_tables.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { ROWS = 5, STEPS = 4, INPUT = 3, HIDDEN = 10, MOST = 4 * HIDDEN * (INPUT + HIDDEN + 2) };

static const struct apx_cuda_device device = {
    .major = 9, .multiprocessors = 132, .shared_bytes = 227 * 1024, .clock = 1.8e9};

struct outputs {
    float y[ROWS * STEPS * HIDDEN], h_last[ROWS * HIDDEN];
};

static int32_t run(const struct apx_cuda_rnn_row *row, const struct apx_rnn_desc *desc,
                   const void *packed, const float *x, const int32_t *lengths, struct outputs *out)
{
    int32_t fault = 0;
    struct apx_rnn_args args = {.desc = desc,
                                .packed = packed,
                                .rows = ROWS,
                                .steps = STEPS,
                                .x = x,
                                .x_row = STEPS * INPUT,
                                .x_step = INPUT,
                                .lengths = lengths,
                                .y = out->y,
                                .y_row = STEPS * HIDDEN,
                                .y_step = HIDDEN,
                                .h_last = out->h_last,
                                .h_last_row = HIDDEN};
    args.scratch = aligned_alloc(256, row->scratch_bytes(desc, ROWS, STEPS) + 256);
    REQUIRE(args.scratch != NULL);
    memset(out, 0xff, sizeof *out);
    CHECK_EQ(row->launch(&device, &args, &fault, NULL), 0);
    free(args.scratch);
    return fault;
}

static void one(const struct apx_cuda_rnn_row *row, bool reset_after, bool reverse)
{
    static const int32_t wrong[ROWS] = {-1, STEPS + 1, 2, INT32_MIN, INT32_MAX};
    static const int32_t right[ROWS] = {0, STEPS, 2, 0, STEPS};
    const bool is_int8 = strcmp(row->precision, "int8") == 0;
    const struct apx_rnn_desc desc = {
        .int8 = {.levels = is_int8 ? 127 : 0, .input_scale = is_int8 ? 1.0f / 127.0f : 0.0f},
        .input = INPUT,
        .hidden = HIDDEN,
        .reverse = reverse,
        .reset_after = reset_after,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    struct rng rng = {7};
    float weights[MOST], x[ROWS * STEPS * INPUT];
    for (size_t i = 0; i < MOST; i++)
        weights[i] = rng_real(&rng);
    for (size_t i = 0; i < ROWS * STEPS * INPUT; i++)
        x[i] = rng_real(&rng);
    int8_t bytes[MOST];
    float scales[4 * HIDDEN];
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (int8_t)rintf(127.0f * weights[i]);
    for (size_t i = 0; i < 4 * HIDDEN; i++)
        scales[i] = 1.0f / 127.0f;
    const struct apx_rnn_weights given = {.w = weights,
                                          .r = weights + 4 * HIDDEN * INPUT,
                                          .w_s8 = bytes,
                                          .r_s8 = bytes + 4 * HIDDEN * INPUT,
                                          .w_scale = scales,
                                          .r_scale = scales};
    if (strstr(row->name, "_lt") == NULL)
        CHECK(row->supports(&device, &desc));
    else /* which take large layers alone */
        CHECK((strstr(row->name, "lstm") != NULL ? apx_lstm_f32_lt_can
                                                 : apx_gru_f32_lt_can)(&device, &desc));
    void *packed = aligned_alloc(256, (row->packed_bytes(&desc) + 255) / 256 * 256);
    REQUIRE(packed != NULL);
    row->pack(&desc, &given, packed);
    struct outputs actual, expected;
    CHECK_EQ(run(row, &desc, packed, x, right, &expected), 0);
    CHECK_EQ(run(row, &desc, packed, x, wrong, &actual), 1);
    CHECK(memcmp(&actual, &expected, sizeof actual) == 0);
    CHECK(expected.y[STEPS * HIDDEN] != 0.0f && expected.y[0] == 0.0f);
    free(packed);
}

static void lstm(void)
{
    size_t count;
    const struct apx_cuda_rnn_row *rows = apx_cuda_lstm_rows(&count);
    for (size_t i = 0; i < count; i++) {
        one(&rows[i], false, false);
        one(&rows[i], false, true);
    }
}

static void gru(void)
{
    size_t count;
    const struct apx_cuda_rnn_row *rows = apx_cuda_gru_rows(&count);
    for (size_t i = 0; i < count; i++) {
        one(&rows[i], false, true);
        one(&rows[i], true, false);
    }
}

int main(void)
{
    RUN(lstm);
    RUN(gru);
    return check_report();
}
