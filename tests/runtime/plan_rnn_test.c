/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM and GRU through the whole engine: strides, directions, states, layers of which only the last
 * step is read. The arithmetic itself is checked by the kernels' own tests and by tests/golden;
 * here a plain cell in float64 checks that every operand reaches its place. */
#include "tests/runtime/run_case.h"

static struct rng rng = {5};

enum { T = 6, B = 5, I = 3, H = 4 };

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

struct layer {
    struct apx_tensor w, r, b;
    int directions;
    bool is_lstm;
};

static struct layer make_layer(bool is_lstm, int directions, int input)
{
    int gates = is_lstm ? 4 : 3;
    struct layer layer = {.w = run_random(&rng, 3, directions, gates * H, input),
                          .r = run_random(&rng, 3, directions, gates * H, H),
                          .b = run_random(&rng, 2, directions, 2 * gates * H),
                          .directions = directions,
                          .is_lstm = is_lstm};
    return layer;
}

static void free_layer(struct layer *layer)
{
    free(layer->w.data);
    free(layer->r.data);
    free(layer->b.data);
}

static void add_layer(struct apx_onnx *m, const struct layer *layer, const char *suffix,
                      const char *x, const char *rest, const char *outputs)
{
    char names[3][8], list[96];
    const struct apx_tensor *tensors[3] = {&layer->w, &layer->r, &layer->b};
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "%c%s", "wrb"[i], suffix);
        apx_onnx_tensor(m, names[i], APX_F32, tensors[i]->rank, tensors[i]->dims, tensors[i]->data);
    }
    snprintf(list, sizeof list, "%s %s %s %s %s", x, names[0], names[1], names[2], rest);
    case_node(m, layer->is_lstm ? "LSTM" : "GRU", list, outputs);
    apx_onnx_int(m, "hidden_size", H);
    apx_onnx_text(m, "direction", layer->directions == 2 ? "bidirectional" : "forward");
    if (!layer->is_lstm)
        apx_onnx_int(m, "linear_before_reset", 1);
}

/* gate g of unit u: what x and h bring to it, and the two biases, one by one */
static void gate(const struct layer *layer, int d, int g, int u, const double *x, size_t input,
                 const double *h, double *from_x, double *from_h)
{
    size_t gates = layer->is_lstm ? 4 : 3, row = (size_t)d * gates * H + (size_t)(g * H + u);
    *from_x = (double)run_f32(&layer->b, (size_t)d * 2 * gates * H + (size_t)(g * H + u));
    *from_h = (double)run_f32(&layer->b, ((size_t)d * 2 + 1) * gates * H + (size_t)(g * H + u));
    for (size_t k = 0; k < input; k++)
        *from_x += x[k] * (double)run_f32(&layer->w, row * input + k);
    for (size_t k = 0; k < H; k++)
        *from_h += h[k] * (double)run_f32(&layer->r, row * H + k);
}

/* One row: x[steps][input], y[steps][directions*H], h[directions][H] in and out. */
static void reference(const struct layer *layer, size_t steps, size_t input, const double *x,
                      double *y, double *h)
{
    for (int d = 0; d < layer->directions; d++) {
        double *state = h + d * H, c[H] = {0};
        for (size_t k = 0; k < steps; k++) {
            size_t t = d == 0 ? k : steps - 1 - k;
            double next[H];
            for (int u = 0; u < H; u++) {
                double a[4], b[4];
                for (int g = 0; g < (layer->is_lstm ? 4 : 3); g++)
                    gate(layer, d, g, u, x + t * input, input, state, &a[g], &b[g]);
                if (layer->is_lstm) {
                    c[u] = sigmoid(a[2] + b[2]) * c[u] + sigmoid(a[0] + b[0]) * tanh(a[3] + b[3]);
                    next[u] = sigmoid(a[1] + b[1]) * tanh(c[u]);
                } else {
                    double z = sigmoid(a[0] + b[0]), r = sigmoid(a[1] + b[1]);
                    next[u] = (1 - z) * tanh(a[2] + r * b[2]) + z * state[u];
                }
            }
            memcpy(state, next, sizeof next);
            memcpy(y + (t * (size_t)layer->directions + (size_t)d) * H, next, sizeof next);
        }
    }
}

/* Two stacked bidirectional layers as exporters write them, batch first: Transpose, LSTM,
 * Transpose, Reshape, LSTM, Transpose, Reshape, Transpose. All the glue becomes views. */
static void stacks_layers(void)
{
    for (int is_lstm = 0; is_lstm < 2; is_lstm++) {
        struct layer one = make_layer(is_lstm, 2, I), two = make_layer(is_lstm, 2, 2 * H);
        struct apx_onnx *m = case_begin(17, "x:f[b,t,3]", "y");
        int64_t perm[3] = {1, 0, 2}, inside[4] = {0, 2, 1, 3};
        case_ints(m, "merge", 3, 0LL, 0LL, -1LL);
        case_node(m, "Transpose", "x", "xt");
        apx_onnx_ints(m, "perm", perm, 3);
        add_layer(m, &one, "1", "xt", "", "y1");
        case_node(m, "Transpose", "y1", "y1t");
        apx_onnx_ints(m, "perm", inside, 4);
        case_node(m, "Reshape", "y1t merge", "y1r");
        add_layer(m, &two, "2", "y1r", "", "y2");
        case_node(m, "Transpose", "y2", "y2t");
        apx_onnx_ints(m, "perm", inside, 4);
        case_node(m, "Reshape", "y2t merge", "y2r");
        case_node(m, "Transpose", "y2r", "y");
        apx_onnx_ints(m, "perm", perm, 3);
        struct apx_tensor x = run_random(&rng, 3, B, T, I);
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        CHECK(strstr(run_plan, "\"step\": \"copy\"") == NULL);
        for (size_t b = 0; b < B; b++) {
            double in[T * I], mid[T * 2 * H], out[T * 2 * H], h1[2 * H] = {0}, h2[2 * H] = {0};
            for (size_t k = 0; k < T * I; k++)
                in[k] = (double)run_f32(&x, b * T * I + k);
            reference(&one, T, I, in, mid, h1);
            reference(&two, T, 2 * H, mid, out, h2);
            for (size_t k = 0; k < T * 2 * H; k++)
                CHECK_NEAR(run_at(0, b * T * 2 * H + k), out[k], 1e-5);
        }
        free(x.data);
        free_layer(&one);
        free_layer(&two);
    }
}

/* The standard's own layout as inputs and outputs: rows are axis 1 of x, 2 of y, 1 of the states.
 */
static void writes_all_outputs_in_place(void)
{
    struct layer layer = make_layer(false, 2, I);
    struct apx_onnx *m = case_begin(17, "x:f[t,b,3] h0:f[2,b,4]", "y yh");
    add_layer(m, &layer, "", "x", "- h0", "y yh");
    struct apx_tensor in[2] = {run_random(&rng, 3, T, B, I), run_random(&rng, 3, 2, B, H)};
    REQUIRE(run_case_list(m, 2, in));
    CHECK(run_independent);
    CHECK(strstr(run_plan, "\"step\": \"copy\"") == NULL);
    for (size_t b = 0; b < B; b++) {
        double x[T * I], y[T * 2 * H], h[2 * H];
        for (size_t k = 0; k < T * I; k++)
            x[k] = (double)run_f32(&in[0], (k / I * B + b) * I + k % I);
        for (size_t k = 0; k < 2 * H; k++)
            h[k] = (double)run_f32(&in[1], (k / H * B + b) * H + k % H);
        reference(&layer, T, I, x, y, h);
        for (size_t k = 0; k < T * 2 * H; k++)
            CHECK_NEAR(run_at(0, (k / H * B + b) * H + k % H), y[k], 1e-5);
        for (size_t k = 0; k < 2 * H; k++)
            CHECK_NEAR(run_at(1, (k / H * B + b) * H + k % H), h[k], 1e-5);
    }
    run_release(in, 2);
    free_layer(&layer);
}

/* "The last step" in the words of each exporter. y is then never written as a whole: the plan has
 * no copy and its memory does not grow with the steps. */
static void replaces_last_steps(void)
{
    static const char *const words[] = {"gather", "slice", "fixed", "direct"};
    for (size_t k = 0; k < 4; k++) {
        struct layer layer = make_layer(true, 1, I);
        struct apx_onnx *m = case_begin(17, k == 2 ? "x:f[b,6,3]" : "x:f[b,t,3]", "z");
        int64_t perm[3] = {1, 0, 2};
        case_ints(m, "one", 1, 1LL);
        case_ints(m, "zero", 1, 0LL);
        case_ints(m, "m1", 1, -1LL);
        case_ints(m, "end", 1, 9223372036854775807LL);
        case_ints(m, "last", 0, k == 2 ? 5LL : -1LL);
        case_node(m, "Transpose", "x", "xt");
        apx_onnx_ints(m, "perm", perm, 3);
        add_layer(m, &layer, "", "xt", "", "y");
        case_node(m, "Squeeze", "y one", "s");
        if (strcmp(words[k], "slice") == 0) {
            case_node(m, "Slice", "s m1 end zero", "l");
            case_node(m, "Squeeze", "l zero", "g");
        } else if (strcmp(words[k], "direct") == 0) {
            case_node(m, "Gather", "s last", "g");
        } else {
            case_node(m, "Transpose", "s", "st");
            apx_onnx_ints(m, "perm", perm, 3);
            case_node(m, "Gather", "st last", "g");
            apx_onnx_int(m, "axis", 1);
        }
        case_node(m, "Relu", "g", "z");
        struct apx_tensor x = run_random(&rng, 3, B, T, I);
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        CHECK(strstr(run_plan, "\"step\": \"copy\"") == NULL);
        CHECK_HAS(run_plan, "\"bytes_per_row\": 16.0"); /* H floats */
        for (size_t b = 0; b < B; b++) {
            double in[T * I], y[T * H], h[H] = {0};
            for (size_t i = 0; i < T * I; i++)
                in[i] = (double)run_f32(&x, b * T * I + i);
            reference(&layer, T, I, in, y, h);
            for (size_t i = 0; i < H; i++)
                CHECK_NEAR(run_at(0, b * H + i), fmax(0, h[i]), 1e-5);
        }
        free(x.data);
        free_layer(&layer);
    }
}

/* Other steps than the last, and the last step of a backward half, are not h_last. */
static void keeps_other_steps(void)
{
    struct layer layer = make_layer(false, 2, I);
    struct apx_onnx *m = case_begin(17, "x:f[t,b,3]", "z f");
    case_ints(m, "last", 0, -1LL);
    case_ints(m, "first", 0, 0LL);
    add_layer(m, &layer, "", "x", "", "y");
    case_node(m, "Gather", "y last", "z");
    case_node(m, "Gather", "y first", "f");
    struct apx_tensor x = run_random(&rng, 3, T, B, I);
    REQUIRE(run_case_list(m, 1, &x));
    for (size_t b = 0; b < B; b++) {
        double in[T * I], y[T * 2 * H], h[2 * H] = {0};
        for (size_t k = 0; k < T * I; k++)
            in[k] = (double)run_f32(&x, (k / I * B + b) * I + k % I);
        reference(&layer, T, I, in, y, h);
        for (size_t k = 0; k < 2 * H; k++) {
            CHECK_NEAR(run_at(0, (k / H * B + b) * H + k % H), y[(T - 1) * 2 * H + k], 1e-5);
            CHECK_NEAR(run_at(1, (k / H * B + b) * H + k % H), y[k], 1e-5);
        }
    }
    free(x.data);
    free_layer(&layer);
}

/* The last step spread over time again, as autoencoders do: not replaced, and right. */
static void repeats_the_last_step(void)
{
    struct layer one = make_layer(true, 1, I), two = make_layer(true, 1, H);
    struct apx_onnx *m = case_begin(17, "x:f[6,b,3]", "z");
    case_ints(m, "last", 1, -1LL);
    case_ints(m, "one", 1, 1LL);
    case_ints(m, "reps", 3, 6LL, 1LL, 1LL);
    add_layer(m, &one, "1", "x", "", "y1");
    case_node(m, "Squeeze", "y1 one", "s");
    case_node(m, "Gather", "s last", "g");
    case_node(m, "Tile", "g reps", "e");
    add_layer(m, &two, "2", "e", "", "y2");
    case_node(m, "Squeeze", "y2 one", "z");
    struct apx_tensor x = run_random(&rng, 3, T, B, I);
    REQUIRE(run_case_list(m, 1, &x));
    for (size_t b = 0; b < B; b++) {
        double in[T * I], mid[T * H], y[T * H], h[H] = {0}, h2[H] = {0};
        for (size_t k = 0; k < T * I; k++)
            in[k] = (double)run_f32(&x, (k / I * B + b) * I + k % I);
        reference(&one, T, I, in, mid, h);
        for (size_t k = 0; k < T * H; k++)
            mid[k] = h[k % H];
        reference(&two, T, H, mid, y, h2);
        for (size_t k = 0; k < T * H; k++)
            CHECK_NEAR(run_at(0, (k / H * B + b) * H + k % H), y[k], 1e-5);
    }
    free(x.data);
    free_layer(&one);
    free_layer(&two);
}

/* Lengths come from the caller: out of range is refused, never followed. */
static void checks_lengths(void)
{
    static const int32_t bad[] = {-1, T + 1, INT32_MIN, INT32_MAX};
    struct layer layer = make_layer(true, 1, I);
    struct apx_tensor x = run_random(&rng, 3, T, B, I);
    struct apx_tensor lengths = run_tensor(APX_I32, 1, &(int64_t){B});
    for (int k = -1; k < 4; k++) {
        struct apx_onnx *m = case_begin(17, "x:f[t,b,3] n:i[b]", "y yh");
        add_layer(m, &layer, "", "x", "n", "y yh");
        for (int b = 0; b < B; b++)
            ((int32_t *)lengths.data)[b] = b;
        if (k >= 0)
            ((int32_t *)lengths.data)[2] = bad[k];
        struct apx_tensor in[2] = {x, lengths};
        CHECK_EQ(run_case_list(m, 2, in), k < 0);
        if (k >= 0) {
            CHECK_EQ(run_status, APX_EINVAL);
            CHECK_HAS(run_error.message, "length");
            continue;
        }
        CHECK(run_independent);
        for (size_t b = 0; b < B; b++) {
            double in_row[T * I], y[T * H] = {0}, h[H] = {0};
            for (size_t i = 0; i < T * I; i++)
                in_row[i] = (double)run_f32(&x, (i / I * B + b) * I + i % I);
            reference(&layer, b, I, in_row, y, h);
            for (size_t i = 0; i < T * H; i++)
                CHECK_NEAR(run_at(0, (i / H * B + b) * H + i % H), y[i], 1e-5);
            for (size_t i = 0; i < H; i++)
                CHECK_NEAR(run_at(1, b * H + i), h[i], 1e-5);
        }
    }
    free(x.data);
    free(lengths.data);
    free_layer(&layer);
}

int main(void)
{
    RUN(stacks_layers);
    RUN(writes_all_outputs_in_place);
    RUN(replaces_last_steps);
    RUN(keeps_other_steps);
    RUN(repeats_the_last_step);
    RUN(checks_lengths);
    run_end();
    return check_report();
}
