/* SPDX-License-Identifier: Apache-2.0 */
/* apx_quantize on dense layers: which become int8 and with what scale, what the probe says that
 * they get, and that the new model says nearly the same. */
#include "runtime/quantize.h"

#include "tests/runtime/run_case.h"

#include <onnx/onnx.pb-c.h>

static struct rng rng = {5};

enum { H = 32 };

static struct apx_quantize_report *report;
static void *made, *source;
static size_t made_bytes, source_bytes;
static struct apx_error failure;

static void forget(void)
{
    apx_quantize_report_destroy(report);
    free(made);
    report = NULL;
    made = NULL;
}

/* Takes the builder; its bytes stay in `source`. */
static enum apx_status quantize(struct apx_onnx *m, const struct apx_quantize_options *options)
{
    forget();
    memset(&failure, 0, sizeof failure);
    if (m != NULL) {
        free(source);
        REQUIRE(apx_onnx_write_memory(m, &source, &source_bytes, &failure) == APX_OK);
        apx_onnx_destroy(m);
    }
    return apx_quantize(source, source_bytes, NULL, options, &made, &made_bytes, &report, &failure);
}

static void add_weights(struct apx_onnx *m, const char *name, int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    float *data = malloc((size_t)count * sizeof *data);
    REQUIRE(data != NULL);
    for (int64_t i = 0; i < count; i++)
        data[i] = 0.3f * rng_real(&rng);
    apx_onnx_tensor(m, name, APX_F32, rank, dims, data);
    free(data);
}

static void name_node(struct apx_onnx *m, const char *op, const char *name, const char *inputs,
                      const char *output)
{
    char room[160];
    const char *in[8];
    int count = case_words(inputs, room, sizeof room, in);
    apx_onnx_node(m, "", op, name, in, count, &output, 1);
}

/* [t,n,20] -> GRU 32 -> Gemm 64 (h: a scale that is known), Relu -> MatMul 48 (of data), Tanh ->
 * Gemm 48 (known again) -> Gemm 2 (small) */
static struct apx_onnx *network(int64_t opset)
{
    struct apx_onnx *m = case_begin(opset, "x:f[t,n,20]", "y");
    case_ints(m, "pick", 1, 0LL);
    add_weights(m, "gw", 3, (int64_t[]){1, 3 * H, 20});
    add_weights(m, "gr", 3, (int64_t[]){1, 3 * H, H});
    apx_onnx_node(m, "", "GRU", "gru", (const char *const[]){"x", "gw", "gr"}, 3,
                  (const char *const[]){"", "h"}, 2);
    apx_onnx_int(m, "hidden_size", H);
    case_ints(m, "matrix", 2, -1LL, (long long)H);
    name_node(m, "Reshape", "", "h matrix", "h2");
    add_weights(m, "w1", 2, (int64_t[]){64, H});
    add_weights(m, "b1", 2, (int64_t[]){1, 64});
    name_node(m, "Gemm", "one", "h2 w1 b1", "a1");
    apx_onnx_int(m, "transB", 1);
    apx_onnx_float(m, "alpha", 0.5f);
    apx_onnx_float(m, "beta", 2.0f);
    name_node(m, "Relu", "", "a1", "r1");
    add_weights(m, "w2", 2, (int64_t[]){64, 48});
    name_node(m, "MatMul", "two", "r1 w2", "a2");
    name_node(m, "Tanh", "", "a2", "t2");
    add_weights(m, "w3", 2, (int64_t[]){48, 48});
    name_node(m, "Gemm", "three", "t2 w3", "a3");
    add_weights(m, "w4", 2, (int64_t[]){48, 2});
    name_node(m, "Gemm", "four", "a3 w4", "y");
    return m;
}

static const struct apx_quantize_layer *layer_of(const char *name)
{
    for (size_t i = 0; i < report->layer_count; i++)
        if (strcmp(report->layers[i].name, name) == 0)
            return &report->layers[i];
    REQUIRE(false);
    return NULL;
}

static void takes_what_is_bounded(void)
{
    REQUIRE(quantize(network(17), NULL) == APX_OK);
    CHECK_EQ(report->recurrent_count, 1);
    CHECK_EQ(report->recurrent_done, 1);
    CHECK_EQ(report->dense_count, 4);
    CHECK_EQ(report->dense_done, 2);
    CHECK(layer_of("one")->is_done && !layer_of("one")->has_range);
    CHECK(layer_of("one")->is_dense && layer_of("one")->quantises_x);
    CHECK(layer_of("one")->input_bound == 1);
    CHECK_EQ(layer_of("one")->int8_bytes, 64 * (H + 4));
    CHECK_STR(layer_of("two")->reason,
              "the range of its input is not known; rows of data tell it (auspex quantize --data)");
    CHECK(layer_of("two")->wants_range && layer_of("gru")->wants_range);
    CHECK(!layer_of("three")->wants_range && layer_of("three")->is_done);
    CHECK_STR(layer_of("four")->reason, "it is so small that float is as fast");
    CHECK(!layer_of("gru")->quantises_x && !layer_of("four")->wants_range);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL);
    CHECK_EQ(model->n_functions, 3); /* GRU, with B, without */
    onnx__model_proto__free_unpacked(model, NULL);
}

/* Why the data tell no range comes to the report in the words of who has looked at them. */
/* The functions of `made`, no two of one name. */
static size_t distinct_functions(void)
{
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL);
    size_t count = model->n_functions;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(model->functions[i]->name, model->functions[k]->name) != 0);
    onnx__model_proto__free_unpacked(model, NULL);
    return count;
}

/* What the last call made is given to the next. */
static void give_again(void)
{
    free(source);
    source = made;
    source_bytes = made_bytes;
    made = NULL;
}

/* A second run needs functions that the first has put into the file. */
static void adds_no_function_twice(void)
{
    const struct apx_quantize_range ranges[] = {{.layer = "two", .bound = 3}};
    struct apx_quantize_options all = {.ranges = ranges, .range_count = 1};
    REQUIRE(quantize(network(17),
                     &(struct apx_quantize_options){.layers = (const char *const[]){"three"},
                                                    .layer_count = 1}) == APX_OK);
    CHECK_EQ(distinct_functions(), 1);
    give_again();
    REQUIRE(quantize(NULL, &all) == APX_OK);
    CHECK_EQ(report->int8_before, 1);
    CHECK(layer_of("one")->is_done && layer_of("two")->is_done && layer_of("gru")->is_done);
    CHECK_EQ(distinct_functions(), 3); /* GRU, with B, without */

    /* Another function of that name is not ours to use. */
    REQUIRE(quantize(network(17),
                     &(struct apx_quantize_options){.layers = (const char *const[]){"three"},
                                                    .layer_count = 1}) == APX_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, made_bytes, made);
    REQUIRE(model != NULL && model->n_functions == 1);
    Onnx__FunctionProto *function = model->functions[0];
    free(function->node[function->n_node - 1]->op_type);
    function->node[function->n_node - 1]->op_type = strdup("Add");
    free(source);
    source_bytes = onnx__model_proto__get_packed_size(model);
    source = malloc(source_bytes);
    REQUIRE(source != NULL);
    onnx__model_proto__pack(model, source);
    onnx__model_proto__free_unpacked(model, NULL);
    CHECK_EQ(quantize(NULL, &all), APX_EUNSUPPORTED);
    CHECK(strstr(failure.message, "not the one that this build writes") != NULL);
}

static void takes_reasons(void)
{
    const struct apx_quantize_range range = {"two", 0, "it rained"};
    struct apx_quantize_options options = {.ranges = &range, .range_count = 1};
    REQUIRE(quantize(network(17), &options) == APX_OK);
    CHECK(!layer_of("two")->is_done && !layer_of("two")->has_range);
    CHECK_STR(layer_of("two")->reason, "it rained");
}

static void takes_ranges(void)
{
    const struct apx_quantize_range ranges[] = {
        {"two", 3, NULL}, {"gru", 2, NULL}, {"four", 1, NULL}};
    struct apx_quantize_options options = {.ranges = ranges, .range_count = 3};
    REQUIRE(quantize(network(17), &options) == APX_OK);
    CHECK_EQ(report->dense_done, 3);
    CHECK(layer_of("two")->is_done && layer_of("two")->has_range);
    CHECK(layer_of("gru")->quantises_x && layer_of("gru")->has_range);
    CHECK(layer_of("gru")->input_bound == 2);
    CHECK(!layer_of("four")->is_done);
    struct apx_tensor x = run_random(&rng, 3, 6, 9, 20), out[2][RUN_TENSORS] = {{{0}}};
    REQUIRE(run_once(source, source_bytes, NULL, 1, 0, &x, 1, out[0]));
    REQUIRE(run_once(made, made_bytes, NULL, 1, 0, &x, 1, out[1]));
    CHECK_HAS(run_plan, "apx_dense_s8");
    CHECK_HAS(run_plan, "apx_gru_s8");
    double worst = run_worst(&out[1][0], &out[0][0]), most = 0;
    for (size_t i = 0; i < run_count(&out[0][0]); i++)
        most = fmax(most, fabs((double)run_f32(&out[0][0], i)));
    CHECK(worst > 0 && worst < 0.05 * most);
    run_release(&out[0][0], 1);
    run_release(&out[1][0], 1);
    free(x.data);

    const struct apx_quantize_range nobody = {"nobody", 1, NULL}, negative = {"two", -1, NULL};
    options = (struct apx_quantize_options){.ranges = &nobody, .range_count = 1};
    CHECK_EQ(quantize(NULL, &options), APX_EUNSUPPORTED);
    CHECK_HAS(failure.message, "no recurrent or dense layer \"nobody\"");
    options.ranges = &negative;
    CHECK_EQ(quantize(NULL, &options), APX_EINVAL);
}

/* The values of the layers' inputs, which the test computes from a model of its own. */
static void says_what_layers_get(void)
{
    struct apx_quantize_probes probes;
    REQUIRE(quantize(network(17), NULL) == APX_OK);
    REQUIRE(apx_quantize_probe(source, source_bytes, NULL, NULL, &probes, &failure) == APX_OK);
    REQUIRE(probes.count == 2);
    CHECK_STR(probes.list[0].layer, "gru");
    CHECK_STR(probes.list[1].layer, "two");
    CHECK(!probes.list[0].is_computed && probes.list[1].is_computed);
    struct apx_tensor x = run_random(&rng, 3, 6, 9, 20), out[RUN_TENSORS] = {{0}};
    REQUIRE(run_once(probes.model, probes.model_bytes, NULL, 1, 0, &x, 1, out));
    CHECK_EQ(out[0].bytes, x.bytes);
    CHECK(memcmp(out[0].data, x.data, x.bytes) == 0);
    CHECK_EQ(run_count(&out[1]), 9 * 64);
    bool has_positive = false;
    for (size_t i = 0; i < run_count(&out[1]); i++) {
        CHECK(run_f32(&out[1], i) >= 0); /* behind a Relu */
        has_positive = has_positive || run_f32(&out[1], i) > 0;
    }
    CHECK(has_positive);
    run_release(out, 2);
    free(x.data);
    apx_quantize_probes_fini(&probes);
    /* Nothing is left to ask for. */
    REQUIRE(apx_quantize_probe(made, made_bytes, NULL, NULL, &probes, &failure) == APX_OK);
    CHECK_EQ(probes.count, 1);
    CHECK_STR(probes.list[0].layer, "two");
    apx_quantize_probes_fini(&probes);
}

static void leaves_others_alone(void)
{
    /* a body that could not read its call's attributes */
    REQUIRE(quantize(network(11), NULL) == APX_OK);
    CHECK_EQ(report->dense_done, 0);
    CHECK_HAS(layer_of("one")->reason, "the model is of opset 11; int8 dense layers need 12");
    CHECK(!layer_of("gru")->wants_range);
    static const struct {
        const char *inputs, *what, *reason;
    } forms[] = {
        {"x:f[n,64]", "tanh transA", "no matrix of float32"},
        {"x:f[64]", "tanh vector", "no matrix of float32"},
        {"x:f[n,64] c:f[48]", "tanh computed", "its C is no row of constants"},
        {"x:f[n,64]", "tanh nan", "a weight is not a finite number"},
        {"x:f[n,64]", "relu",
         "the range of its input is not known; rows of data tell it (auspex quantize --data)"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct apx_onnx *m = case_begin(17, forms[i].inputs, "y");
        case_node(m, strncmp(forms[i].what, "tanh", 4) == 0 ? "Tanh" : "Relu", "x", "t");
        if (i == 3)
            case_floats(m, "w", NAN, 2, 64, 48);
        else
            add_weights(m, "w", 2, (int64_t[]){64, 48});
        if (i == 1)
            name_node(m, "MatMul", "one", "t w", "y");
        else
            name_node(m, "Gemm", "one", i == 2 ? "t w c" : "t w", "y");
        if (i == 0)
            apx_onnx_int(m, "transA", 1);
        CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
        REQUIRE(report != NULL && report->layer_count == 1);
        CHECK_HAS(report->layers[0].reason, forms[i].reason);
        CHECK_HAS(failure.message, "one: ");
    }
}

/* Beyond it the engine would not load what was written. */
static void leaves_what_is_too_wide(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,131073]", "y");
    case_node(m, "Tanh", "x", "t");
    case_floats(m, "w", 0.5f, 2, 131073, 16);
    name_node(m, "MatMul", "one", "t w", "y");
    CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
    REQUIRE(report != NULL && report->layer_count == 1);
    CHECK_HAS(report->layers[0].reason, "more than 131072 inputs");

    m = case_begin(17, "x:f[t,n,131073]", "y");
    case_floats(m, "w", 0.5f, 3, 1, 4, 131073);
    case_floats(m, "r", 0.5f, 3, 1, 4, 1);
    name_node(m, "LSTM", "lstm", "x w r", "y");
    apx_onnx_int(m, "hidden_size", 1);
    CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
    REQUIRE(report != NULL && report->layer_count == 1);
    CHECK_HAS(report->layers[0].reason, "so many inputs");
}

/* Each of 30 pieces names the one before twice: 2^30 ways back to the Tanh. */
static void ends_soon(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[n,64]", "y");
    case_ints(m, "begin", 1, 0LL);
    case_ints(m, "end", 1, 64LL);
    case_ints(m, "axis", 1, 1LL);
    case_node(m, "Tanh", "x", "t0");
    for (int i = 0; i < 30; i++) {
        char inputs[64], wide[16], out[16];
        snprintf(inputs, sizeof inputs, "t%d t%d", i, i);
        snprintf(wide, sizeof wide, "w%d", i);
        case_node(m, "Concat", inputs, wide);
        apx_onnx_int(m, "axis", 1);
        snprintf(inputs, sizeof inputs, "%s begin end axis", wide);
        snprintf(out, sizeof out, "t%d", i + 1);
        case_node(m, "Slice", inputs, out);
    }
    add_weights(m, "w", 2, (int64_t[]){64, 48});
    name_node(m, "MatMul", "one", "t30 w", "y");
    CHECK_EQ(quantize(m, NULL), APX_EUNSUPPORTED);
    REQUIRE(report != NULL && report->layer_count == 1);
    CHECK_HAS(report->layers[0].reason,
              "the range of its input is not known; rows of data tell it (auspex quantize --data)");
}

int main(void)
{
    RUN(takes_what_is_bounded);
    RUN(takes_ranges);
    RUN(takes_reasons);
    RUN(says_what_layers_get);
    RUN(leaves_others_alone);
    RUN(leaves_what_is_too_wide);
    RUN(ends_soon);
    RUN(adds_no_function_twice);
    forget();
    free(source);
    run_end();
    return check_report();
}
