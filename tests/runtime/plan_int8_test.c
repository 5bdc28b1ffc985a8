/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizedLSTM, QuantizedGRU and QuantizedLinear through the whole engine: every operand reaches
 * its place, and what breaks the operators' contract is refused by the node's name. The judge is
 * their definition (docs/quantize.md), written anew here: integers exact, everything else in
 * double. */
#include "tests/runtime/run_case.h"

static struct rng rng = {11};

enum { T = 5, N = 6, I = 3, H = 4 };

struct layer {
    bool is_lstm, lengths, states;
    int directions, levels, reverse, after;
    float s; /* input_scale */
    float w[2 * 4 * H * I], w_scale[2 * 4 * H], r_scale[2 * 4 * H], b[2 * 8 * H];
    int8_t w8[2 * 4 * H * I], r8[2 * 4 * H * H];
    int gates;
};

static void fill_layer(struct layer *layer)
{
    int rows = layer->directions * layer->gates * H;
    for (int i = 0; i < rows; i++) {
        layer->w_scale[i] = 0.004f + 0.002f * rng_real(&rng);
        layer->r_scale[i] = 0.006f + 0.002f * rng_real(&rng);
        layer->b[i] = rng_real(&rng);
        layer->b[rows + i] = rng_real(&rng);
    }
    for (int i = 0; i < rows * I; i++) {
        layer->w[i] = rng_real(&rng);
        layer->w8[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
    }
    for (int i = 0; i < rows * H; i++)
        layer->r8[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
}

/* variant: what is appended to the operator's name */
static struct apx_onnx *build(const struct layer *layer, const char *variant)
{
    const int64_t rows = layer->gates * H, D = layer->directions;
    char inputs[128], op[64];
    snprintf(inputs, sizeof inputs, "x:f[%d,n,%d]%s%s", T, I, layer->lengths ? " lens:i[n]" : "",
             !layer->states   ? ""
             : layer->is_lstm ? D == 2 ? " h0:f[2,n,4] c0:f[2,n,4]" : " h0:f[1,n,4] c0:f[1,n,4]"
             : D == 2         ? " h0:f[2,n,4]"
                              : " h0:f[1,n,4]");
    struct apx_onnx *m = case_begin(17, inputs, layer->is_lstm ? "y y_h y_c" : "y y_h");
    apx_onnx_opset(m, "auspex", 1);
    if (layer->s > 0)
        apx_onnx_tensor(m, "w", APX_I8, 3, (int64_t[]){D, rows, I}, layer->w8);
    else
        apx_onnx_tensor(m, "w", APX_F32, 3, (int64_t[]){D, rows, I}, layer->w);
    if (layer->s > 0)
        apx_onnx_tensor(m, "w_scale", APX_F32, 2, (int64_t[]){D, rows}, layer->w_scale);
    apx_onnx_tensor(m, "r", APX_I8, 3, (int64_t[]){D, rows, H}, layer->r8);
    apx_onnx_tensor(m, "r_scale", APX_F32, 2, (int64_t[]){D, rows}, layer->r_scale);
    apx_onnx_tensor(m, "b", APX_F32, 2, (int64_t[]){D, 2 * rows}, layer->b);
    snprintf(inputs, sizeof inputs, "x w %s r r_scale b %s %s %s", layer->s > 0 ? "w_scale" : "-",
             layer->lengths ? "lens" : "-", layer->states ? "h0" : "-",
             layer->states && layer->is_lstm ? "c0" : "-");
    snprintf(op, sizeof op, "%s%s", layer->is_lstm ? "QuantizedLSTM" : "QuantizedGRU", variant);
    if (!layer->is_lstm)
        inputs[strlen(inputs) - 2] = '\0';
    case_node_of(m, "auspex", op, inputs, layer->is_lstm ? "y y_h y_c" : "y y_h");
    apx_onnx_int(m, "hidden_size", H);
    apx_onnx_int(m, "hidden_levels", layer->levels);
    apx_onnx_float(m, "input_scale", layer->s);
    apx_onnx_text(m, "direction",
                  D == 2           ? "bidirectional"
                  : layer->reverse ? "reverse"
                                   : "forward");
    if (!layer->is_lstm)
        apx_onnx_int(m, "linear_before_reset", layer->after);
    return m;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static int quantised(double v, double factor, int levels)
{
    double q = rint((double)(float)(v * factor));
    return (int)(q > levels ? levels : q < -levels ? -levels : q);
}

/* Gate row `at`: from x with Wb, and from h with Rb. */
static void gate(const struct layer *layer, int d, int row, const float *x, const double *h,
                 double *from_x, double *from_h)
{
    int rows = layer->gates * H, at = d * rows + row, sum = 0;
    *from_x = (double)layer->b[d * 2 * rows + row];
    *from_h = (double)layer->b[d * 2 * rows + rows + row];
    for (int k = 0; k < I && layer->s > 0; k++)
        sum += layer->w8[at * I + k] * quantised(x[k], 1 / (double)layer->s, layer->levels);
    for (int k = 0; k < I && layer->s == 0; k++)
        *from_x += (double)layer->w[at * I + k] * (double)x[k];
    *from_x += (double)sum * (double)layer->w_scale[at] * (double)layer->s;
    sum = 0;
    for (int k = 0; k < H; k++)
        sum += layer->r8[at * H + k] * quantised(h[k], layer->levels, layer->levels);
    *from_h += (double)sum * (double)layer->r_scale[at] / layer->levels;
}

static void cell(const struct layer *layer, int d, const float *x, double *h, double *c)
{
    double a[4 * H], b[4 * H], reset[H], next[H];
    for (int row = 0; row < layer->gates * H; row++)
        gate(layer, d, row, x, h, &a[row], &b[row]);
    for (int u = 0; u < H; u++)
        reset[u] = sigmoid(a[H + u] + b[H + u]) * h[u];
    for (int u = 0; u < H; u++) {
        if (layer->is_lstm) {
            c[u] = sigmoid(a[2 * H + u] + b[2 * H + u]) * c[u] +
                   sigmoid(a[u] + b[u]) * tanh(a[3 * H + u] + b[3 * H + u]);
            next[u] = sigmoid(a[H + u] + b[H + u]) * tanh(c[u]);
            continue;
        }
        double z = sigmoid(a[u] + b[u]), r = sigmoid(a[H + u] + b[H + u]), from_x, from_h;
        if (!layer->after)
            gate(layer, d, 2 * H + u, x, reset, &from_x, &from_h);
        double n = layer->after ? tanh(a[2 * H + u] + r * b[2 * H + u]) : tanh(from_x + from_h);
        next[u] = (1 - z) * n + z * h[u];
    }
    memcpy(h, next, sizeof next);
}

/* Compares row n of the last run. */
static void check_row(const struct layer *layer, int n, const float *x, int length,
                      const struct apx_tensor *h0, const struct apx_tensor *c0)
{
    int D = layer->directions;
    for (int d = 0; d < D; d++) {
        double h[H] = {0}, c[H] = {0};
        for (int u = 0; u < H && layer->states; u++) {
            h[u] = (double)run_f32(h0, (size_t)((d * N + n) * H + u));
            c[u] = layer->is_lstm ? (double)run_f32(c0, (size_t)((d * N + n) * H + u)) : 0;
        }
        for (int k = 0; k < length; k++) {
            int t = d == 1 || layer->reverse ? length - 1 - k : k;
            cell(layer, d, x + (t * N + n) * I, h, c);
            for (int u = 0; u < H; u++)
                CHECK_NEAR(run_at(0, (size_t)(((t * D + d) * N + n) * H + u)), h[u], 1e-5);
        }
        for (int t = length; t < T; t++)
            for (int u = 0; u < H; u++)
                CHECK_EQ(run_at(0, (size_t)(((t * D + d) * N + n) * H + u)), 0);
        for (int u = 0; u < H; u++) {
            CHECK_NEAR(run_at(1, (size_t)((d * N + n) * H + u)), length > 0 ? h[u] : 0, 1e-5);
            if (layer->is_lstm)
                CHECK_NEAR(run_at(2, (size_t)((d * N + n) * H + u)), length > 0 ? c[u] : 0, 1e-5);
        }
    }
}

static void run_layer(struct layer *layer)
{
    struct apx_tensor in[4] = {run_random(&rng, 3, T, N, I)}, *h0 = NULL, *c0 = NULL;
    static const int32_t some[N] = {T, 1, 0, 3, T, 2};
    size_t count = 1;
    fill_layer(layer);
    if (layer->lengths) {
        in[count] = run_tensor(APX_I32, 1, (int64_t[]){N});
        memcpy(in[count++].data, some, sizeof some);
    }
    if (layer->states) { /* in [-2, 2): what is beyond 1 is bounded in the sums alone */
        h0 = &in[count];
        in[count++] = run_random(&rng, 3, layer->directions, N, H);
        c0 = layer->is_lstm ? &in[count] : NULL;
        if (layer->is_lstm)
            in[count++] = run_random(&rng, 3, layer->directions, N, H);
    }
    if (CHECK(run_case_list(build(layer, ""), count, in))) {
        CHECK(run_independent);
        CHECK_HAS(run_plan, "\"precision\": \"int8\"");
        for (int n = 0; n < N; n++)
            check_row(layer, n, in[0].data, layer->lengths ? some[n] : T, h0, c0);
    }
    run_release(in, 4);
}

static void computes_by_definition(void)
{
    for (int form = 0; form < 3 * 3 * 2 * 2 * 2; form++) {
        int cell_kind = form % 3, way = form / 3 % 3;
        struct layer layer = {.is_lstm = cell_kind == 0,
                              .after = cell_kind == 2,
                              .gates = cell_kind == 0 ? 4 : 3,
                              .directions = way == 2 ? 2 : 1,
                              .reverse = way == 1,
                              .levels = form / 9 % 2 == 0 ? 63 : 127,
                              .lengths = form / 18 % 2 == 1,
                              .states = form / 36 % 2 == 1};
        run_layer(&layer);
        layer.s = layer.levels == 63 ? 1.0f / 63 : 0.02f; /* x beyond 127 * 0.02 does not occur */
        run_layer(&layer);
    }
}

/* ---- the border --------------------------------------------------------------------------------
 */

static struct layer plain(void)
{
    struct layer layer = {.is_lstm = true, .gates = 4, .directions = 1, .levels = 63, .s = 0.05f};
    fill_layer(&layer);
    return layer;
}

static void refuses(const struct layer *layer, enum apx_status status, const char *text)
{
    struct apx_tensor x = run_random(&rng, 3, T, N, I);
    CHECK(!run_case_list(build(layer, ""), 1, &x));
    CHECK_EQ(run_status, status);
    CHECK_HAS(run_error.message, text);
    CHECK_STR(run_error.field, "QuantizedLSTM");
    free(x.data);
}

static void refuses_what_breaks_the_contract(void)
{
    struct layer layer = plain();
    layer.levels = 64;
    refuses(&layer, APX_EFORMAT, "hidden_levels 64");
    layer = plain();
    layer.r8[7] = -128;
    refuses(&layer, APX_EFORMAT, "R holds -128");
    layer = plain();
    layer.w8[0] = -128;
    refuses(&layer, APX_EFORMAT, "W holds -128");
    layer = plain();
    layer.r_scale[3] = NAN;
    refuses(&layer, APX_EFORMAT, "a scale of R");
    layer = plain();
    layer.w_scale[15] = -0.5f;
    refuses(&layer, APX_EFORMAT, "a scale of W");
    layer = plain();
    layer.s = INFINITY;
    refuses(&layer, APX_EFORMAT, "input_scale");
    layer = plain();
    layer.s = 1e-44f; /* its reciprocal is not finite */
    refuses(&layer, APX_EFORMAT, "input_scale");
    layer = plain();
    layer.s = -1;
    refuses(&layer, APX_EFORMAT, "input_scale");
}

/* Attributes of LSTM that the operator does not have, and a missing or mistyped input. */
static void refuses_other_forms(void)
{
    struct layer layer = plain();
    struct apx_tensor x = run_random(&rng, 3, T, N, I);
    struct apx_onnx *m = build(&layer, "");
    apx_onnx_float(m, "clip", 3);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_HAS(run_error.message, "no attribute clip");
    m = build(&layer, "");
    apx_onnx_int(m, "layout", 1);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_HAS(run_error.message, "layout 0");
    static const struct {
        const char *inputs, *text;
    } wrong[] = {
        {"x w w_scale r", "R_scale is left out"},
        {"x w - r r_scale", "W_scale is left out"},
        {"x w w_scale w r_scale", "extent 1 of W, wanted and given: 12 and 16"},
        {"x r_scale w_scale r r_scale", "W of float32"},
        {"x w w_scale r_scale r_scale", "R of float"},
        {"x w w_scale r r", "R_scale of int8"},
        {"w w w_scale r r_scale", "X of int8"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        m = case_begin(17, "x:f[5,n,3]", "y");
        apx_onnx_opset(m, "auspex", 1);
        apx_onnx_tensor(m, "w", APX_I8, 3, (int64_t[]){1, 16, I}, layer.w8);
        apx_onnx_tensor(m, "w_scale", APX_F32, 2, (int64_t[]){1, 16}, layer.w_scale);
        apx_onnx_tensor(m, "r", APX_I8, 3, (int64_t[]){1, 16, H}, layer.r8);
        apx_onnx_tensor(m, "r_scale", APX_F32, 2, (int64_t[]){1, 16}, layer.r_scale);
        case_node_of(m, "auspex", "QuantizedLSTM", wrong[i].inputs, "y");
        apx_onnx_int(m, "hidden_levels", 63);
        apx_onnx_float(m, "input_scale", 0.05f);
        CHECK(!run_case_list(m, 1, &x));
        CHECK_HAS(run_error.message, wrong[i].text);
    }
    free(x.data);
}

/* Version 2 of the operators may mean anything. */
static void reads_the_known_version_only(void)
{
    struct layer layer = plain();
    struct apx_tensor x = run_random(&rng, 3, T, N, I);
    const char *name = "y";
    struct apx_onnx *m = build(&layer, "");
    apx_onnx_opset(m, "auspex", 2);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    CHECK_HAS(run_error.message, "domain auspex version 2; this build knows version 1");
    m = case_begin(17, "x:f[5,n,3]", "y");
    case_node_of(m, "auspex", "QuantizedLSTM", "x x x x x", "y");
    CHECK(!run_case_list(m, 1, &x));
    CHECK_EQ(run_status, APX_EFORMAT);
    CHECK_HAS(run_error.message, "QuantizedLSTM of domain auspex, which the model does not import");
    /* so too where a function uses it that the model calls */
    m = case_begin(17, "x:f[5,n,3]", "y");
    case_node_of(m, "local", "Layer", "x", "y");
    apx_onnx_function_begin(m, "local", "Layer", 17, (const char *[]){"x"}, 1, &name, 1, NULL, 0);
    apx_onnx_node(m, "auspex", "QuantizedLSTM", "", (const char *[]){"x", "x", "x", "x", "x"}, 5,
                  &name, 1);
    apx_onnx_end(m);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_HAS(run_error.message, "which the model does not import");
    layer.is_lstm = false;
    layer.gates = 3;
    layer.after = 2;
    CHECK(!run_case_list(build(&layer, ""), 1, &x));
    CHECK_HAS(run_error.message, "linear_before_reset 2: must be 0 or 1");
    free(x.data);
}

/* The part of the name behind "_" chooses a body for others; the body itself is not read here. */
static void reads_variants_without_their_body(void)
{
    struct layer layer = plain();
    struct apx_tensor x = run_random(&rng, 3, T, N, I);
    const char *nothing = "Nothing";
    REQUIRE(run_case_list(build(&layer, ""), 1, &x));
    float *plainly = malloc(run_out[0].bytes);
    REQUIRE(plainly != NULL);
    memcpy(plainly, run_out[0].data, run_out[0].bytes);
    struct apx_onnx *m = build(&layer, "_any_thing");
    apx_onnx_function_begin(m, "auspex", "QuantizedLSTM_any_thing", 17, &nothing, 1, &nothing, 1,
                            NULL, 0);
    apx_onnx_node(m, "", "NoSuchOperator", "", &nothing, 1, &nothing, 1);
    apx_onnx_end(m);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(memcmp(plainly, run_out[0].data, run_out[0].bytes) == 0);
    CHECK(!run_case_list(build(&layer, "x"), 1, &x)); /* another operator */
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    free(plainly);
    free(x.data);
}

/* ---- QuantizeLinear and DequantizeLinear -------------------------------------------------------
 */

static struct apx_tensor numbers(int count, const float *values)
{
    struct apx_tensor tensor = run_tensor(APX_F32, 2, (int64_t[]){1, count});
    memcpy(tensor.data, values, tensor.bytes);
    return tensor;
}

/* Halves go to even, what is beyond the type to its end, whatever the zero point. */
static void quantises_linearly(void)
{
    static const float values[8] = {0.25f, 0.75f, -0.25f, 1.0f, 100, -100, INFINITY, -0.75f};
    static const int wanted[2][8] = {{0, 2, 0, 2, 127, -128, 127, -2},
                                     {200, 202, 200, 202, 255, 0, 255, 198}};
    const float half = 0.5f;
    for (int is_u8 = 0; is_u8 < 2; is_u8++) {
        const uint8_t zero = is_u8 ? 200 : 0;
        struct apx_onnx *m = case_begin(17, "x:f[n,8]", "y");
        apx_onnx_tensor(m, "scale", APX_F32, 0, NULL, &half);
        apx_onnx_tensor(m, "zero", is_u8 ? APX_U8 : APX_I8, 0, NULL, &zero);
        case_node(m, "QuantizeLinear", "x scale zero", "y");
        REQUIRE(run_case(m, 1, numbers(8, values)));
        CHECK_EQ(run_out[0].dtype, is_u8 ? APX_U8 : APX_I8);
        for (size_t i = 0; i < 8; i++)
            CHECK_EQ(run_at(0, i), wanted[is_u8][i]);
    }
}

/* A scale for each place of an axis, there and back: at most half a scale is lost. */
static void quantises_along_an_axis(void)
{
    const float scales[3] = {0.01f, 0.02f, 0.04f};
    const int8_t zeros[3] = {-5, 0, 5};
    struct apx_onnx *m = case_begin(17, "x:f[n,3,2]", "y");
    apx_onnx_tensor(m, "scale", APX_F32, 1, (int64_t[]){3}, scales);
    apx_onnx_tensor(m, "zero", APX_I8, 1, (int64_t[]){3}, zeros);
    case_node(m, "QuantizeLinear", "x scale zero", "q");
    apx_onnx_int(m, "axis", -2);
    case_node(m, "DequantizeLinear", "q scale zero", "y");
    struct apx_tensor x = run_random(&rng, 3, 7, 3, 2);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t i = 0; i < 7 * 3 * 2; i++) {
        double scale = (double)scales[i / 2 % 3], zero = zeros[i / 2 % 3];
        double least = (-128 - zero) * scale, most = (127 - zero) * scale;
        double kept = fmin(fmax((double)run_f32(&x, i), least), most);
        CHECK_NEAR(run_at(0, i), kept, 0.5001 * scale);
    }
    free(x.data);
}

static void refuses_other_scales(void)
{
    const float scales[6] = {1, 1, 1, 1, 1, 1};
    const int8_t zeros[3] = {0, 0, 0};
    for (int i = 0; i < 4; i++) {
        struct apx_tensor x = run_random(&rng, 2, 7, 3);
        struct apx_onnx *m = case_begin(21, "x:f[n,3]", "y");
        apx_onnx_tensor(m, "scale", i == 0 ? APX_F64 : APX_F32, i == 1 ? 2 : 1,
                        i == 2 ? (int64_t[]){2} : (int64_t[]){i == 1 ? 2 : 3, 3},
                        i == 0 ? (const void *)(double[]){1, 1, 1} : scales);
        apx_onnx_tensor(m, "zero", APX_I8, 1, (int64_t[]){i == 3 ? 2 : 3}, zeros);
        case_node(m, "QuantizeLinear", i == 3 ? "x scale zero" : "x scale", "y");
        CHECK(!run_case_list(m, 1, &x));
        CHECK_EQ(run_status, i < 2 ? APX_EUNSUPPORTED : APX_EFORMAT);
        free(x.data);
    }
}

enum { O = 19, K = 21 };

/* y = Relu(X W + B) of x [t,n,K]; what: 'w' W of another type, 'k' W too narrow, 's' a negative
 * scale, 'm' -128, 'l' levels, 'i' input_scale, 'b' B too wide, 'r' X a vector, 'c' W computed;
 * 'o' without B */
static struct apx_onnx *linear(char what, float input_scale, int levels, int8_t w[O * K],
                               float scales[O], float bias[O + 1])
{
    struct apx_onnx *m = case_begin(17,
                                    what == 'r'   ? "x:f[21]"
                                    : what == 'c' ? "x:f[t,n,21] w:f[19,21]"
                                                  : "x:f[t,n,21]",
                                    "y");
    apx_onnx_opset(m, "auspex", 1);
    for (int i = 0; i < O * K; i++)
        w[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
    for (int i = 0; i < O; i++) {
        scales[i] = 0.01f + 0.005f * rng_real(&rng);
        bias[i] = rng_real(&rng);
    }
    bias[O] = 0;
    if (what == 's')
        scales[3] = -1;
    if (what == 'm')
        w[7] = -128;
    apx_onnx_tensor(m, "v", what == 'w' ? APX_U8 : APX_I8, 2,
                    (int64_t[]){O, what == 'k' ? K - 1 : K}, w);
    apx_onnx_tensor(m, "scales", APX_F32, 1, (int64_t[]){O}, scales);
    apx_onnx_tensor(m, "bias", APX_F32, 1, (int64_t[]){what == 'b' ? O + 1 : O}, bias);
    if (what == 'c') {
        case_node(m, "Cast", "w", "v8");
        apx_onnx_int(m, "to", 3);
    }
    case_node_of(m, "auspex", what == 'o' ? "QuantizedLinear" : "QuantizedLinear_bias",
                 what == 'o'   ? "x v scales"
                 : what == 'c' ? "x v8 scales bias"
                               : "x v scales bias",
                 "z");
    apx_onnx_int(m, "levels", what == 'l' ? 100 : levels);
    apx_onnx_float(m, "input_scale", what == 'i' ? 0 : input_scale);
    if (what == 'o') { /* the sum joins the layer */
        case_node(m, "Add", "z bias", "a");
        case_node(m, "Relu", "a", "y");
    } else {
        case_node(m, "Relu", "z", "y");
    }
    return m;
}

static void multiplies_by_definition(void)
{
    int8_t w[O * K];
    float scales[O], bias[O + 1];
    for (int form = 0; form < 4; form++) {
        const int levels = form % 2 == 0 ? 63 : 127;
        const float s = 1.5f / (float)levels; /* some of x lies beyond */
        struct apx_onnx *m = linear(form < 2 ? '-' : 'o', s, levels, w, scales, bias);
        struct apx_tensor x = run_random(&rng, 3, T, N, K);
        ((float *)x.data)[2 * K + 4] = NAN;
        ((float *)x.data)[3 * K + 4] = INFINITY;
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        CHECK_HAS(run_plan, "dense_s8");
        for (int row = 0; row < T * N; row++)
            for (int o = 0; o < O; o++) {
                int sum = 0;
                for (int k = 0; k < K && row != 2; k++)
                    sum += w[o * K + k] * quantised((double)run_f32(&x, (size_t)(row * K + k)),
                                                    (double)(1 / s), levels);
                double y = (double)bias[o] + sum * (double)scales[o] * (double)s;
                if (row == 2)
                    CHECK(isnan(run_at(0, (size_t)(row * O + o))));
                else
                    CHECK_NEAR(run_at(0, (size_t)(row * O + o)), y > 0 ? y : 0, 2e-6);
            }
        free(x.data);
    }
}

static void refuses_other_products(void)
{
    static const char breaks[] = "wksmlibrc";
    int8_t w[O * K];
    float scales[O], bias[O + 1];
    for (size_t i = 0; i + 1 < sizeof breaks; i++) {
        struct apx_onnx *m = linear(breaks[i], 0.01f, 127, w, scales, bias);
        struct apx_tensor x[2] = {breaks[i] == 'r' ? run_random(&rng, 1, K)
                                                   : run_random(&rng, 3, 2, 2, K),
                                  run_random(&rng, 2, O, K)};
        CHECK(!run_case_list(m, breaks[i] == 'c' ? 2 : 1, x));
        CHECK_EQ(run_status, breaks[i] == 'c' ? APX_EUNSUPPORTED : APX_EFORMAT);
        free(x[0].data);
        free(x[1].data);
    }
}

/* 600 products of 255 and 255: beyond what a float holds. One zero point for a, one for each column
 * of b, which is constant or not. */
static void adds_integers_exactly(void)
{
    enum { LONG = 600, COLUMNS = 3 };
    const uint8_t zeros[COLUMNS] = {0, 128, 255}, zero = 1;
    uint8_t w[LONG * COLUMNS];
    for (int i = 0; i < LONG * COLUMNS; i++)
        w[i] = i % 3 == 0 ? 255 : (uint8_t)rng_below(&rng, 256);
    for (int is_constant = 0; is_constant < 2; is_constant++) {
        struct apx_onnx *m =
            case_begin(17, is_constant ? "x:u[n,600]" : "x:u[n,600] w:u[600,3]", "y");
        if (is_constant)
            apx_onnx_tensor(m, "w", APX_U8, 2, (int64_t[]){LONG, COLUMNS}, w);
        apx_onnx_tensor(m, "zero", APX_U8, 0, NULL, &zero);
        apx_onnx_tensor(m, "zeros", APX_U8, 1, (int64_t[]){COLUMNS}, zeros);
        case_node(m, "MatMulInteger", "x w zero zeros", "y");
        struct apx_tensor in[2] = {run_tensor(APX_U8, 2, (int64_t[]){4, LONG}),
                                   run_tensor(APX_U8, 2, (int64_t[]){LONG, COLUMNS})};
        for (int i = 0; i < 4 * LONG; i++)
            ((uint8_t *)in[0].data)[i] = i < LONG ? 255 : (uint8_t)rng_below(&rng, 256);
        memcpy(in[1].data, w, sizeof w);
        REQUIRE(run_case_list(m, is_constant ? 1 : 2, in));
        CHECK_EQ(run_out[0].dtype, APX_I32);
        CHECK(run_independent);
        for (int n = 0; n < 4; n++)
            for (int c = 0; c < COLUMNS; c++) {
                int sum = 0;
                for (int k = 0; k < LONG; k++)
                    sum += (((uint8_t *)in[0].data)[n * LONG + k] - zero) *
                           (w[k * COLUMNS + c] - zeros[c]);
                CHECK_EQ(((const int32_t *)run_out[0].data)[n * COLUMNS + c], sum);
            }
        free(in[0].data);
        free(in[1].data);
    }
}

/* The scale is the batch's, so rows are not independent. */
static void looks_at_the_whole_batch(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,3]", "y s z");
    case_node(m, "DynamicQuantizeLinear", "x", "y s z");
    struct apx_tensor x = run_random(&rng, 2, 5, 3);
    float *data = x.data, least = 0, most = 0;
    for (int i = 0; i < 15; i++) {
        least = fminf(least, data[i]);
        most = fmaxf(most, data[i]);
    }
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(!run_independent);
    const float scale = (most - least) / 255, zero = rintf(-least / scale);
    CHECK(run_f32(&run_out[1], 0) == scale);
    CHECK_EQ(run_at(2, 0), zero);
    for (size_t i = 0; i < 15; i++)
        CHECK_EQ(run_at(0, i), rintf(data[i] / scale) + zero);
    free(x.data);
}

/* All pairs of bytes, with scales that make every step exact, so that ties are ties. */
static void pairs_are_rounded_once(void)
{
    enum { BYTES = 256, PAIRS = BYTES * BYTES };
    const float scales[3] = {0.25f, 0.5f, 1};
    for (int form = 0; form < 4; form++) {
        const bool is_sum = form % 2 == 0, is_signed = form / 2 == 1;
        const int least = is_signed ? -128 : 0, zeros[3] = {least + 3, least + 130, least + 127};
        const enum apx_dtype dtype = is_signed ? APX_I8 : APX_U8;
        struct apx_onnx *m =
            case_begin(17, is_signed ? "a:c[n,256] b:c[n,256]" : "a:u[n,256] b:u[n,256]", "y");
        apx_onnx_opset(m, "com.microsoft", 1);
        for (int i = 0; i < 3; i++) {
            const uint8_t zero = (uint8_t)zeros[i];
            apx_onnx_tensor(m, (const char *const[]){"sa", "sb", "sy"}[i], APX_F32, 0, NULL,
                            &scales[i]);
            apx_onnx_tensor(m, (const char *const[]){"za", "zb", "zy"}[i], dtype, 0, NULL, &zero);
        }
        case_node_of(m, "com.microsoft", is_sum ? "QLinearAdd" : "QLinearMul",
                     "a sa za b sb zb sy zy", "y");
        struct apx_tensor in[2];
        for (int i = 0; i < 2; i++) {
            in[i] = run_tensor(dtype, 2, (int64_t[]){BYTES, BYTES});
            for (int k = 0; k < PAIRS; k++)
                ((uint8_t *)in[i].data)[k] = (uint8_t)((i == 0 ? k / BYTES : k % BYTES) + least);
        }
        REQUIRE(run_case_list(m, 2, in));
        CHECK_EQ(run_out[0].dtype, dtype);
        CHECK(run_independent);
        int wrong = 0;
        for (int k = 0; k < PAIRS; k++) {
            const double a = 0.25 * (k / BYTES + least - zeros[0]),
                         b = 0.5 * (k % BYTES + least - zeros[1]);
            const double y = rint((is_sum ? a + b : a * b) + zeros[2]);
            const uint8_t found = ((const uint8_t *)run_out[0].data)[k];
            wrong += (is_signed ? (int8_t)found : found) !=
                     (int)fmin(fmax(y, (double)least), (double)(least + 255));
        }
        CHECK_EQ(wrong, 0);
        run_release(in, 2);
    }
}

static void refuses_other_pairs(void)
{
    static const char *const forms[][2] = {
        {"a:u[n,4] b:c[n,4]", "a one zero b one zero one zero"}, /* two types */
        {"a:f[n,4] b:f[n,4]", "a one zero b one zero one zero"},
        {"a:u[n,4] b:u[n,4]", "a one zero b one zero none zero"}, /* a scale of 0 */
        {"a:u[n,4] b:u[n,4]", "a one zero b four zero one zero"}, /* one for each column */
        {"a:u[n,4] b:u[n,4]", "a zero zero b one zero one zero"}, /* an integer for a scale */
        {"a:u[n,4] b:u[n,4]", "a one one b one zero one zero"},
    };
    static const float one = 1, none = 0, four[4] = {1, 1, 1, 1};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct apx_onnx *m = case_begin(17, forms[i][0], "y");
        apx_onnx_opset(m, "com.microsoft", 1);
        apx_onnx_tensor(m, "one", APX_F32, 0, NULL, &one);
        apx_onnx_tensor(m, "none", APX_F32, 0, NULL, &none);
        apx_onnx_tensor(m, "four", APX_F32, 1, (int64_t[]){4}, four);
        apx_onnx_tensor(m, "zero", APX_U8, 0, NULL, &(uint8_t){0});
        case_node_of(m, "com.microsoft", "QLinearAdd", forms[i][1], "y");
        struct apx_tensor in[2] = {run_tensor(i == 1 ? APX_F32 : APX_U8, 2, (int64_t[]){2, 4}),
                                   run_tensor(i == 1   ? APX_F32
                                              : i == 0 ? APX_I8
                                                       : APX_U8,
                                              2, (int64_t[]){2, 4})};
        CHECK(!run_case_list(m, 2, in));
        CHECK(run_status == APX_EUNSUPPORTED || run_status == APX_EFORMAT);
        CHECK_HAS(run_error.message, "QLinearAdd");
        run_release(in, 2);
    }
}

static void refuses_other_integers(void)
{
    static const char *const forms[][2] = {
        {"x:f[n,4] w:u[4,3]", "x w"},          {"x:u[n,4] w:u[4,3] z:i[]", "x w z"},
        {"x:u[n,4] w:u[4,3] z:u[5]", "x w z"}, {"x:u[n,4] w:u[4,3] z:u[] v:u[2]", "x w z v"},
        {"x:u[n,k] w:u[k,3]", "x w"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct apx_onnx *m = case_begin(17, forms[i][0], "y");
        case_node(m, "MatMulInteger", forms[i][1], "y");
        struct apx_tensor in[4] = {
            run_tensor(i == 0 ? APX_F32 : APX_U8, 2, (int64_t[]){2, 4}),
            run_tensor(APX_U8, 2, (int64_t[]){4, 3}),
            run_tensor(i == 1 ? APX_I32 : APX_U8, i == 2 ? 1 : 0, (int64_t[]){5}),
            run_tensor(APX_U8, 1, (int64_t[]){2})};
        CHECK(!run_case_list(m, i == 3 ? 4 : i == 1 || i == 2 ? 3 : 2, in));
        CHECK(run_status == APX_EUNSUPPORTED || run_status == APX_EFORMAT);
        for (int k = 0; k < 4; k++)
            free(in[k].data);
    }
    struct apx_onnx *m = case_begin(17, "x:f[t,n,3]", "y");
    apx_onnx_opset(m, "com.microsoft", 1);
    case_node_of(m, "com.microsoft", "DynamicQuantizeLSTM", "x", "y");
    struct apx_tensor x = run_random(&rng, 3, 2, 2, 3);
    CHECK(!run_case_list(m, 1, &x));
    CHECK_EQ(run_status, APX_EUNSUPPORTED);
    CHECK_HAS(run_error.message, "auspex quantize");
    static const char *const of_quantizers[] = {"QGemm", "QLinearConcat", "MatMulNBits",
                                                "DynamicQuantizeMatMul", "DequantizeLinear"};
    for (size_t i = 0; i < sizeof of_quantizers / sizeof of_quantizers[0]; i++) {
        m = case_begin(17, "x:f[t,n,3]", "y");
        apx_onnx_opset(m, "com.microsoft", 1);
        case_node_of(m, "com.microsoft", of_quantizers[i], "x", "y");
        CHECK(!run_case_list(m, 1, &x));
        CHECK_EQ(run_status, APX_EUNSUPPORTED);
        CHECK_HAS(run_error.message, of_quantizers[i]);
        CHECK_HAS(run_error.message, "quant_format=QDQ, or give it to auspex quantize");
    }
    free(x.data);
}

int main(void)
{
    RUN(computes_by_definition);
    RUN(refuses_what_breaks_the_contract);
    RUN(refuses_other_forms);
    RUN(reads_the_known_version_only);
    RUN(reads_variants_without_their_body);
    RUN(quantises_linearly);
    RUN(quantises_along_an_axis);
    RUN(refuses_other_scales);
    RUN(adds_integers_exactly);
    RUN(looks_at_the_whole_batch);
    RUN(pairs_are_rounded_once);
    RUN(refuses_other_pairs);
    RUN(refuses_other_integers);
    RUN(multiplies_by_definition);
    RUN(refuses_other_products);
    run_end();
    return check_report();
}
