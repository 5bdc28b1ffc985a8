/* SPDX-License-Identifier: Apache-2.0 */
/* Precision "fp16-weights": a model whose W and R were rounded beforehand says the same, bit by
 * bit, in fp32; nothing else of a layer is rounded; and what cannot be done is refused by name. */
#include "tests/runtime/run_case.h"

static struct rng rng = {17};

enum { T = 11, B = 7, I = 20, H = 24 };

struct layer {
    struct apx_tensor w, r, b, p;
    bool is_lstm, after;
    int directions;
};

/* Weights of an ordinary size, so that small differences stay small. */
static struct apx_tensor weights(int directions, int rows, int columns)
{
    struct apx_tensor tensor = run_random(&rng, 3, directions, rows, columns);
    for (size_t i = 0; i < run_count(&tensor); i++)
        ((float *)tensor.data)[i] *= 0.125f;
    return tensor;
}

static struct layer make_layer(bool is_lstm, bool after, int directions, int input)
{
    const int rows = (is_lstm ? 4 : 3) * H;
    return (struct layer){.w = weights(directions, rows, input),
                          .r = weights(directions, rows, H),
                          .b = run_random(&rng, 2, directions, 2 * rows),
                          .p = run_random(&rng, 2, directions, 3 * H),
                          .is_lstm = is_lstm,
                          .after = after,
                          .directions = directions};
}

static void free_layer(struct layer *layer)
{
    run_release(&layer->w, 1);
    run_release(&layer->r, 1);
    run_release(&layer->b, 1);
    run_release(&layer->p, 1);
}

static void round_to_half(struct apx_tensor *tensor)
{
    float *values = tensor->data;
    for (size_t i = 0; i < run_count(tensor); i++) {
        int exponent;
        frexp((double)values[i], &exponent);
        const int last = exponent - 11 > -24 ? exponent - 11 : -24;
        values[i] = (float)ldexp(nearbyint(ldexp((double)values[i], -last)), last);
    }
}

static struct apx_onnx *build(const struct layer *layer)
{
    struct apx_onnx *m = case_begin(17, "x:f[t,b,20] lens:i[b]", layer->is_lstm ? "y h c" : "y h");
    apx_onnx_tensor(m, "w", APX_F32, 3, layer->w.dims, layer->w.data);
    apx_onnx_tensor(m, "r", APX_F32, 3, layer->r.dims, layer->r.data);
    apx_onnx_tensor(m, "bias", APX_F32, 2, layer->b.dims, layer->b.data);
    if (layer->is_lstm)
        apx_onnx_tensor(m, "p", APX_F32, 2, layer->p.dims, layer->p.data);
    case_node(m, layer->is_lstm ? "LSTM" : "GRU",
              layer->is_lstm ? "x w r bias lens - - p" : "x w r bias lens",
              layer->is_lstm ? "y h c" : "y h");
    apx_onnx_int(m, "hidden_size", H);
    apx_onnx_text(m, "direction", layer->directions == 2 ? "bidirectional" : "forward");
    if (!layer->is_lstm)
        apx_onnx_int(m, "linear_before_reset", layer->after);
    return m;
}

static void rounds_weights_and_nothing_else(void)
{
    for (int kind = 0; kind < 3; kind++) {
        struct layer layer = make_layer(kind == 0, kind == 1, 1 + kind % 2, I);
        struct apx_tensor x[2] = {run_random(&rng, 3, T, B, I),
                                  run_tensor(APX_I32, 1, (int64_t[]){B})};
        for (int n = 0; n < B; n++)
            ((int32_t *)x[1].data)[n] = (n * 5 + 4) % (T + 1);
        run_precision = NULL;
        REQUIRE(run_case_list(build(&layer), 2, x));
        CHECK(strstr(run_plan, "fp16-weights") == NULL);
        struct apx_tensor plain = run_out[0];
        run_out[0] = (struct apx_tensor){0};
        run_precision = "fp16-weights";
        REQUIRE(run_case_list(build(&layer), 2, x)); /* four ways that agree */
        CHECK_HAS(run_plan, "\"precision\": \"fp16-weights\"");
        CHECK_HAS(run_plan, kind == 0 ? "apx_lstm_f16_" : "apx_gru_f16_");
        struct apx_tensor half[3];
        const size_t outputs = run_out_count;
        memcpy(half, run_out, outputs * sizeof half[0]);
        memset(run_out, 0, sizeof run_out);
        run_precision = NULL;
        round_to_half(&layer.w);
        round_to_half(&layer.r);
        REQUIRE(run_case_list(build(&layer), 2, x));
        for (size_t i = 0; i < outputs; i++)
            CHECK(memcmp(half[i].data, run_out[i].data, half[i].bytes) == 0);
        CHECK(memcmp(half[0].data, plain.data, plain.bytes) != 0);
        CHECK(run_worst(&half[0], &plain) < 0.002);
        run_release(half, outputs);
        run_release(&plain, 1);
        run_release(x, 2);
        free_layer(&layer);
    }
}

static void refuses_what_does_not_fit(void)
{
    struct apx_tensor x[2] = {run_random(&rng, 3, T, B, I), run_tensor(APX_I32, 1, (int64_t[]){B})};
    memset(x[1].data, 0, x[1].bytes);
    for (int of_r = 0; of_r < 2; of_r++) {
        struct layer layer = make_layer(true, false, 1, I);
        ((float *)(of_r ? layer.r.data : layer.w.data))[77] = -65504.0f;
        run_precision = "fp16-weights";
        CHECK(run_case_list(build(&layer), 2, x));
        ((float *)(of_r ? layer.r.data : layer.w.data))[77] = -65505.0f;
        CHECK(!run_case_list(build(&layer), 2, x));
        CHECK_EQ(run_status, APX_EUNSUPPORTED);
        CHECK_HAS(run_error.message, of_r ? "R holds -65505" : "W holds -65505");
        CHECK(run_error.field[0] != '\0');
        run_precision = NULL;
        CHECK(run_case_list(build(&layer), 2, x));
        free_layer(&layer);
    }
    run_precision = "fp16-weights";
    struct apx_onnx *m = case_begin(17, "x:f[t,b,20] lens:i[b]", "y");
    case_node(m, "Relu", "x", "y");
    CHECK(!run_case_list(m, 2, x));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    CHECK_STR(run_error.field, "precision");
    run_precision = NULL;
    run_release(x, 2);
    run_release(run_out, RUN_TENSORS);
}

int main(void)
{
    RUN(rounds_weights_and_nothing_else);
    RUN(refuses_what_does_not_fit);
    return check_report();
}
