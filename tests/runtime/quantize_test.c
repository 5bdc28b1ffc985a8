/* SPDX-License-Identifier: Apache-2.0 */
/* apx_quantize: which layers become int8 and why others do not, what is left of the old file, and
 * that the new one says nearly the same. That its functions compute the same elsewhere is the
 * business of tests/interop/quantized.py. */
#include "runtime/quantize.h"

#include "runtime/base/file.h"
#include "tests/runtime/run_case.h"

#include <onnx/onnx.pb-c.h>

static struct rng rng = {3};

enum { H = 8 };

static struct apx_quantize_report *report;
static void *made;
static size_t made_bytes;
static struct apx_error failure;

static void forget(void)
{
    apx_quantize_report_destroy(report);
    free(made);
    report = NULL;
    made = NULL;
}

/* Takes the builder. */
static enum apx_status quantize(struct apx_onnx *m, const struct apx_quantize_options *options)
{
    void *data;
    size_t bytes;
    forget();
    memset(&failure, 0, sizeof failure);
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &failure) == APX_OK);
    apx_onnx_destroy(m);
    enum apx_status status =
        apx_quantize(data, bytes, NULL, options, &made, &made_bytes, &report, &failure);
    free(data);
    return status;
}

static void add_weights(struct apx_onnx *m, const char *name, int rank, const int64_t *dims)
{
    float data[2 * 4 * H * 2 * H];
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    REQUIRE(count <= (int64_t)(sizeof data / sizeof data[0]));
    for (int64_t i = 0; i < count; i++)
        data[i] = 0.4f * rng_real(&rng);
    apx_onnx_tensor(m, name, APX_F32, rank, dims, data);
}

/* A layer called `name` of [t,n,input]; its weights are name.w, name.r and, if `rest` begins with
 * "B", name.b; `rest`: the inputs behind. */
static void add_layer(struct apx_onnx *m, const char *op, const char *name, int input, int D,
                      const char *x, const char *rest, const char *outputs)
{
    const int64_t rows = (strcmp(op, "LSTM") == 0 ? 4 : 3) * H;
    char text[160], out_text[64];
    const char *in[16], *out[16];
    snprintf(text, sizeof text, "%s.w", name);
    add_weights(m, text, 3, (int64_t[]){D, rows, input});
    snprintf(text, sizeof text, "%s.r", name);
    add_weights(m, text, 3, (int64_t[]){D, rows, H});
    snprintf(text, sizeof text, "%s %s.w %s.r %s", x, name, name, rest);
    char room[160];
    int in_count = case_words(text, room, sizeof room, in);
    int out_count = case_words(outputs, out_text, sizeof out_text, out);
    apx_onnx_node(m, "", op, name, in, in_count, out, out_count);
    apx_onnx_int(m, "hidden_size", H);
    apx_onnx_text(m, "direction", D == 2 ? "bidirectional" : "forward");
}

static bool has_tensor(const Onnx__ModelProto *model, const char *name)
{
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, name) == 0)
            return true;
    return false;
}

/* LSTM, Transpose and Reshape around, bidirectional LSTM, GRU: the input of all but the first is h.
 */
static struct apx_onnx *stack(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[t,n,3]", "y3 last");
    int64_t inside[4] = {0, 2, 1, 3};
    case_ints(m, "merge", 3, 0LL, 0LL, -1LL);
    case_ints(m, "first", 1, 1LL);
    add_layer(m, "LSTM", "one", 3, 1, "x", "", "y1");
    case_node(m, "Squeeze", "y1 first", "y1s");
    add_layer(m, "LSTM", "two", H, 2, "y1s", "", "y2 last");
    case_node(m, "Transpose", "y2", "y2t");
    apx_onnx_ints(m, "perm", inside, 4);
    case_node(m, "Reshape", "y2t merge", "y2r");
    add_layer(m, "GRU", "three", 2 * H, 1, "y2r", "", "y3");
    apx_onnx_metadata(m, "owner", "me");
    return m;
}

static void quantises_what_it_can(void)
{
    REQUIRE(quantize(stack(), NULL) == APX_OK);
    CHECK_EQ(report->layer_count, 3);
    CHECK_EQ(report->recurrent_done, 3);
    CHECK_EQ(report->hidden_levels, 127);
    CHECK_STR(report->layers[0].name, "one");
    CHECK_STR(report->layers[1].direction, "bidirectional");
    CHECK_STR(report->layers[2].op, "GRU");
    CHECK_EQ(report->layers[1].input, H);
    CHECK(!report->layers[0].quantises_x && report->layers[1].quantises_x &&
          report->layers[2].quantises_x);
    CHECK_EQ(report->layers[0].float_bytes, 4 * H * (3 + H) * 4);
    CHECK_EQ(report->layers[0].int8_bytes, 4 * H * (3 * 4 + H + 4));
    CHECK_EQ(report->layers[2].int8_bytes, 3 * H * (2 * H + 4 + H + 4));

    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL);
    CHECK_EQ(model->n_functions, 3); /* float input, bidirectional with int8 input, GRU */
    CHECK_EQ(model->n_opset_import, 3);
    CHECK_STR(model->opset_import[2]->domain, "auspex");
    CHECK_EQ(model->opset_import[2]->version, 1);
    CHECK(has_tensor(model, "one.w")); /* its input stays float */
    CHECK(!has_tensor(model, "one.r") && !has_tensor(model, "two.w") &&
          !has_tensor(model, "three.r"));
    CHECK(has_tensor(model, "one/R_int8") && has_tensor(model, "two/W_scale"));
    CHECK_EQ(model->n_metadata_props, 2);
    for (size_t i = 0; i < model->graph->n_node; i++)
        if (strcmp(model->graph->node[i]->domain, "auspex") == 0)
            CHECK_EQ(model->graph->node[i]->n_output,
                     strncmp(model->graph->node[i]->op_type, "QuantizedLSTM", 13) == 0 ? 3 : 2);
    onnx__model_proto__free_unpacked(model, NULL);
}

/* The engine's own answers before and after, and the same file twice. */
static void says_nearly_the_same(void)
{
    struct apx_tensor x = run_random(&rng, 3, 7, 9, 3), out[2][RUN_TENSORS] = {{{0}}};
    void *data;
    size_t bytes;
    struct apx_onnx *m = stack();
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &failure) == APX_OK);
    REQUIRE(run_once(data, bytes, NULL, 1, 0, &x, 1, out[0]));
    forget();
    REQUIRE(apx_quantize(data, bytes, NULL, NULL, &made, &made_bytes, &report, &failure) == APX_OK);
    REQUIRE(run_once(made, made_bytes, NULL, 1, 0, &x, 1, out[1]));
    CHECK_HAS(run_plan, "QuantizedGRU");
    for (size_t i = 0; i < 2; i++) {
        double worst = run_worst(&out[1][i], &out[0][i]);
        CHECK(worst > 0 && worst < 0.02);
        run_release(&out[0][i], 1);
        run_release(&out[1][i], 1);
    }
    void *again;
    size_t again_bytes;
    struct apx_quantize_report *other;
    REQUIRE(apx_quantize(data, bytes, NULL, NULL, &again, &again_bytes, &other, &failure) ==
            APX_OK);
    CHECK(again_bytes == made_bytes && memcmp(again, made, made_bytes) == 0);
    free(again);
    apx_quantize_report_destroy(other);
    /* A second time there is nothing left to do. */
    CHECK_EQ(apx_quantize(made, made_bytes, NULL, NULL, &again, &again_bytes, &other, &failure),
             APX_EUNSUPPORTED);
    CHECK_HAS(failure.message, "its layers are int8 already");
    apx_quantize_report_destroy(other);
    apx_onnx_destroy(m);
    free(data);
    free(x.data);
}

/* The largest weight of a row is the largest integer; each weight is half a scale off at most. */
static void rounds_weights_to_their_row(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[t,n,3]", "y");
    float r[4 * H * H];
    const int64_t w_dims[3] = {1, 4 * H, 3}, r_dims[3] = {1, 4 * H, H};
    for (size_t i = 0; i < sizeof r / sizeof r[0]; i++)
        r[i] = i / H == 5 ? 0 : rng_real(&rng) * (i / H == 6 ? 1e-42f : 1);
    add_weights(m, "w", 3, w_dims);
    apx_onnx_tensor(m, "r", APX_F32, 3, r_dims, r);
    case_node(m, "LSTM", "x w r", "y");
    apx_onnx_int(m, "hidden_size", H);
    REQUIRE(quantize(m, &(struct apx_quantize_options){.weight_levels = 100}) == APX_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL);
    const int8_t *q = NULL;
    const float *scale = NULL;
    for (size_t i = 0; i < model->graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = model->graph->initializer[i];
        if (strcmp(tensor->name, "LSTM/R_int8") == 0)
            q = (const int8_t *)tensor->raw_data.data;
        if (strcmp(tensor->name, "LSTM/R_scale") == 0)
            scale = (const float *)(const void *)tensor->raw_data.data;
    }
    REQUIRE(q != NULL && scale != NULL);
    for (size_t row = 0; row < 4 * H; row++) {
        int largest = 0;
        for (size_t k = 0; k < H; k++) {
            largest = abs(q[row * H + k]) > largest ? abs(q[row * H + k]) : largest;
            double weight = (double)r[row * H + k], step = (double)scale[row];
            /* The scale of row 6 is itself a number of three bits. */
            CHECK_NEAR(q[row * H + k] * step, weight,
                       0.5001 * step + (row == 6 ? 0.2 * fabs(weight) : 0));
        }
        if (row != 6)
            CHECK_EQ(largest, row == 5 ? 0 : 100);
    }
    onnx__model_proto__free_unpacked(model, NULL);
}

/* What a layer has that the operators do not, and the reason given. */
static void leaves_other_layers_alone(void)
{
    static const struct {
        const char *op, *rest, *reason;
    } forms[] = {
        {"LSTM", "", "its activations are not Sigmoid and Tanh"},
        {"GRU", "", "it clips its gates"},
        {"LSTM", "- - - - p", "it has peepholes"},
        {"LSTM", "", "its input and forget gates are coupled"},
        {"GRU", "", "it has layout 1; the operators have layout 0"},
        {"LSTM", "b", "its weights are not constants of the model"},
        {"LSTM", "", "a weight is not a finite number"},
    };
    static const char *const relu[3] = {"sigmoid", "Relu", "Tanh"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct apx_onnx *m = case_begin(17, i == 5 ? "x:f[t,n,3] b:f[1,64]" : "x:f[t,n,3]", "y z");
        case_floats(m, "p", 0.1f, 2, 1, 3 * H);
        add_layer(m, "LSTM", "good", 3, 1, "x", "", "z");
        add_layer(m, forms[i].op, "other", 3, 1, "x", forms[i].rest, "y");
        if (i == 0)
            apx_onnx_texts(m, "activations", relu, 3);
        if (i == 1)
            apx_onnx_float(m, "clip", 2);
        if (i == 3)
            apx_onnx_int(m, "input_forget", 1);
        if (i == 4)
            apx_onnx_int(m, "layout", 1);
        if (i == 6) {
            apx_onnx_destroy(m);
            m = case_begin(17, "x:f[t,n,3]", "y z");
            add_layer(m, "LSTM", "good", 3, 1, "x", "", "z");
            case_floats(m, "w", 1, 3, 1, 4 * H, 3);
            case_floats(m, "r", INFINITY, 3, 1, 4 * H, H);
            apx_onnx_node(m, "", "LSTM", "other", (const char *const[]){"x", "w", "r"}, 3,
                          (const char *const[]){"y"}, 1);
            apx_onnx_int(m, "hidden_size", H);
        }
        REQUIRE(quantize(m, NULL) == APX_OK);
        CHECK_EQ(report->recurrent_done, 1);
        REQUIRE(report->layer_count == 2);
        CHECK(report->layers[0].is_done && !report->layers[1].is_done);
        CHECK_STR(report->layers[1].reason, forms[i].reason);
    }
}

/* h behind a Relu cell is not bounded, c never is. */
static void quantises_no_other_input(void)
{
    static const char *const relu[3] = {"Sigmoid", "Tanh", "Relu"};
    for (int i = 0; i < 3; i++) {
        struct apx_onnx *m = case_begin(17, "x:f[t,n,3]", "y2");
        case_ints(m, "first", 1, 1LL);
        add_layer(m, "LSTM", "one", 3, 1, "x", "", "y1 h c");
        if (i == 0)
            apx_onnx_texts(m, "activations", relu, 3);
        if (i == 2)
            case_node(m, "Add", "h h", "twice");
        if (i == 0)
            case_node(m, "Squeeze", "y1 first", "x2");
        add_layer(m, "LSTM", "two", H, 1, i == 0 ? "x2" : i == 1 ? "c" : "twice", "", "y2");
        REQUIRE(quantize(m, NULL) == APX_OK);
        REQUIRE(report->layer_count == 2);
        CHECK(report->layers[1].is_done && !report->layers[1].quantises_x);
    }
}

static void takes_only_what_is_asked_for(void)
{
    const char *two[1] = {"two"}, *nobody[2] = {"two", "nobody"};
    struct apx_quantize_options options = {.hidden_levels = 63, .layers = two, .layer_count = 1};
    REQUIRE(quantize(stack(), &options) == APX_OK);
    CHECK_EQ(report->recurrent_done, 1);
    CHECK(report->layers[1].is_done);
    CHECK_STR(report->layers[0].reason, "not among the layers asked for");
    options = (struct apx_quantize_options){.layers = nobody, .layer_count = 2};
    CHECK_EQ(quantize(stack(), &options), APX_EUNSUPPORTED);
    CHECK_HAS(failure.message, "no recurrent or dense layer \"nobody\"");
    options = (struct apx_quantize_options){.hidden_levels = 64};
    CHECK_EQ(quantize(stack(), &options), APX_EINVAL);
    options = (struct apx_quantize_options){.weight_levels = 128};
    CHECK_EQ(quantize(stack(), &options), APX_EINVAL);
}

static void refuses_models_without_layers(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,3]", "y");
    case_node(m, "Relu", "x", "y");
    CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
    CHECK(report != NULL && made == NULL);
    CHECK_HAS(failure.message, "no LSTM, no GRU and no dense layer");
    m = case_begin(8, "x:f[t,n,3]", "y");
    add_layer(m, "LSTM", "old", 3, 1, "x", "", "y");
    CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
    CHECK_HAS(failure.message, "opset 8");
    forget();
    CHECK_EQ(apx_quantize("junk", 4, NULL, NULL, &made, &made_bytes, &report, &failure),
             APX_EFORMAT);
    CHECK(report == NULL && made == NULL);
}

/* Names that the new tensors and outputs would like to have are taken. */
static void avoids_names_in_use(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[t,n,3]", "one/Y_h one/R_int8");
    add_layer(m, "LSTM", "one", 3, 1, "x", "", "y1");
    case_node(m, "Relu", "y1", "one/Y_h");
    case_node(m, "Neg", "y1", "one/R_int8");
    REQUIRE(quantize(m, NULL) == APX_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL);
    CHECK(has_tensor(model, "one/R_int8_2") && !has_tensor(model, "one/R_int8"));
    onnx__model_proto__free_unpacked(model, NULL);
    struct apx_tensor x = run_random(&rng, 3, 2, 2, 3);
    CHECK(run_once(made, made_bytes, NULL, 1, 0, &x, 1, run_out));
    free(x.data);
}

/* tf2onnx writes a GRU as a Loop: it goes, and the weights with it. */
static void replaces_loops(void)
{
    static const struct {
        const char *name;
        size_t layers, done;
    } files[] = {{"keras_gru", 1, 1},
                 {"keras_gru_before", 1, 1},
                 {"keras_gru_stacked", 2, 2},
                 {"keras_gru_bi_free_time", 4, 4},
                 {"keras_lstm_hardsigmoid", 1, 0},
                 {"keras_rnn_free_time", 2, 0}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128], *data;
        size_t bytes, loops = 0;
        snprintf(path, sizeof path, "tests/golden/%s.onnx", files[i].name);
        REQUIRE(apx_file_read(path, 1 << 20, &data, &bytes, &failure) == APX_OK);
        forget();
        enum apx_status status =
            apx_quantize(data, bytes, NULL, NULL, &made, &made_bytes, &report, &failure);
        free(data);
        CHECK_EQ(status, files[i].done > 0 ? APX_OK : APX_EUNSUPPORTED);
        REQUIRE(report != NULL);
        CHECK_EQ(report->recurrent_count, files[i].layers);
        CHECK_EQ(report->recurrent_done, files[i].done);
        if (files[i].done == 0) {
            CHECK_STR(report->layers[0].reason, "its activations are not Sigmoid and Tanh");
            continue;
        }
        CHECK_EQ(report->layers[files[i].layers - 1].quantises_x, files[i].layers > 1);
        Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
        REQUIRE(model != NULL);
        for (size_t n = 0; n < model->graph->n_node; n++)
            loops += strcmp(model->graph->node[n]->op_type, "Loop") == 0;
        CHECK_EQ(loops, 0);
        for (size_t n = 0; n < model->graph->n_initializer; n++)
            CHECK(strstr(model->graph->initializer[n]->name, "gru_cell") == NULL);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}

int main(void)
{
    RUN(quantises_what_it_can);
    RUN(says_nearly_the_same);
    RUN(rounds_weights_to_their_row);
    RUN(leaves_other_layers_alone);
    RUN(quantises_no_other_input);
    RUN(takes_only_what_is_asked_for);
    RUN(refuses_models_without_layers);
    RUN(avoids_names_in_use);
    RUN(replaces_loops);
    forget();
    run_end();
    return check_report();
}
