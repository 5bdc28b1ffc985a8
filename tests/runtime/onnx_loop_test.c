/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that are a recurrent cell are read as one, others step by step if their length is known:
 * Keras's models from tests/golden, as they are and with one thing changed each. That the operators
 * compute what ONNX Runtime does is golden_test's; here the two ways of reading are compared. */
#include <onnx/onnx.pb-c.h>

#include "runtime/auspex.h"
#include "runtime/model/onnx_read.h"
#include "tests/harness/check.h"

struct file {
    unsigned char *data;
    size_t bytes;
};

static struct file read_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s.onnx", name);
    FILE *in = fopen(path, "rb");
    REQUIRE(in != NULL);
    REQUIRE(fseek(in, 0, SEEK_END) == 0);
    long end = ftell(in);
    REQUIRE(end > 0 && fseek(in, 0, SEEK_SET) == 0);
    struct file file = {.data = malloc((size_t)end), .bytes = (size_t)end};
    REQUIRE(file.data != NULL && fread(file.data, 1, file.bytes, in) == file.bytes);
    fclose(in);
    return file;
}

static Onnx__ModelProto *unpack(const char *name)
{
    struct file file = read_file(name);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, file.bytes, file.data);
    REQUIRE(model != NULL);
    free(file.data);
    return model;
}

static Onnx__NodeProto *find_node(Onnx__NodeProto **nodes, size_t count, const char *op, size_t nth)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(nodes[i]->op_type, op) == 0 && nth-- == 0)
            return nodes[i];
    return NULL;
}

static Onnx__GraphProto *body_of(Onnx__ModelProto *model)
{
    Onnx__NodeProto *loop = find_node(model->graph->node, model->graph->n_node, "Loop", 0);
    REQUIRE(loop != NULL);
    for (size_t i = 0; i < loop->n_attribute; i++)
        if (strcmp(loop->attribute[i]->name, "body") == 0)
            return loop->attribute[i]->g;
    return NULL;
}

/* Packs, frees and reads the model. */
static enum apx_status read_model(Onnx__ModelProto *model, struct apx_graph **graph,
                                  struct apx_error *error)
{
    size_t bytes = onnx__model_proto__get_packed_size(model);
    unsigned char *data = malloc(bytes);
    REQUIRE(data != NULL);
    onnx__model_proto__pack(model, data);
    onnx__model_proto__free_unpacked(model, NULL);
    enum apx_status status = apx_onnx_read(data, bytes, NULL, NULL, graph, error);
    if (status == APX_OK)
        status = apx_graph_infer(*graph, error);
    free(data);
    return status;
}

static int count_op(const struct apx_graph *graph, enum apx_op op)
{
    int count = 0;
    for (int n = 0; n < graph->node_count; n++)
        count += !graph->nodes[n].is_dead && graph->nodes[n].op == op;
    return count;
}

/* The model has `layers` operators `op` and nothing of the body. */
static void check_cell(const char *name, enum apx_op op, int layers, int64_t reset_after)
{
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    if (CHECK(read_model(unpack(name), &graph, &error) == APX_OK)) {
        CHECK_EQ(count_op(graph, op), layers);
        CHECK_EQ(count_op(graph, APX_OP_SIGMOID) + count_op(graph, APX_OP_TANH), 0);
        for (int n = 0; n < graph->node_count; n++)
            if (graph->nodes[n].op == APX_OP_GRU)
                CHECK_EQ(apx_node_int(&graph->nodes[n], "linear_before_reset", 0), reset_after);
    } else {
        fprintf(stderr, "    %s: %s\n", name, error.message);
    }
    apx_graph_destroy(graph);
}

static void reads_a_loop_as_a_cell(void)
{
    check_cell("keras_gru", APX_OP_GRU, 1, 1);
    check_cell("keras_gru_stacked", APX_OP_GRU, 2, 1);
    check_cell("keras_gru_free_time", APX_OP_GRU, 1, 1);
    check_cell("keras_gru_before", APX_OP_GRU, 1, 0);
    check_cell("keras_gru_nobias", APX_OP_GRU, 1, 1);
    check_cell("keras_rnn_free_time", APX_OP_GRU, 2, 1);
    check_cell("keras_lstm_hardsigmoid", APX_OP_LSTM, 1, 0);
    check_cell("keras_lstm_hardsigmoid_free_time", APX_OP_LSTM, 2, 0);
}

static void keeps_the_weights(void)
{
    Onnx__ModelProto *model = unpack("keras_gru");
    const Onnx__NodeProto *loop = find_node(model->graph->node, model->graph->n_node, "Loop", 0);
    REQUIRE(loop != NULL && loop->n_input == 7);
    float kernel[4 * 24];
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, loop->input[5]) == 0) {
            REQUIRE(model->graph->initializer[i]->raw_data.len == sizeof kernel);
            memcpy(kernel, model->graph->initializer[i]->raw_data.data, sizeof kernel);
        }
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    REQUIRE(read_model(model, &graph, &error) == APX_OK);
    for (int n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].op != APX_OP_GRU)
            continue;
        const float *w = graph->values[graph->nodes[n].in[1]].data;
        REQUIRE(w != NULL);
        for (int row = 0; row < 24; row++)
            for (int i = 0; i < 4; i++)
                CHECK_NEAR(w[row * 4 + i], kernel[i * 24 + row], 0.0);
    }
    apx_graph_destroy(graph);
}

static void check_refused(Onnx__ModelProto *model, const char *part)
{
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    CHECK_EQ(read_model(model, &graph, &error), APX_EUNSUPPORTED);
    CHECK_HAS(error.message, part);
    CHECK(graph == NULL);
    apx_graph_destroy(graph);
}

static void rename_op(Onnx__GraphProto *body, const char *from, size_t nth, const char *to)
{
    Onnx__NodeProto *node = find_node(body->node, body->n_node, from, nth);
    REQUIRE(node != NULL);
    free(node->op_type);
    node->op_type = strdup(to);
    REQUIRE(node->op_type != NULL);
}

/* ---- the loop's steps one after the other */

#define ROWS  3
#define STEPS 10
#define WIDTH 4

static struct apx_model *load(Onnx__ModelProto *onnx)
{
    struct apx_model *model = NULL;
    struct apx_error error = {0};
    size_t bytes = onnx__model_proto__get_packed_size(onnx);
    unsigned char *data = malloc(bytes);
    REQUIRE(data != NULL);
    onnx__model_proto__pack(onnx, data);
    onnx__model_proto__free_unpacked(onnx, NULL);
    if (!CHECK(apx_model_load_memory(data, bytes, NULL, &model, &error) == APX_OK))
        fprintf(stderr, "    %s: %s\n", error.field, error.message);
    free(data);
    REQUIRE(model != NULL);
    return model;
}

/* Two outputs of each row, for a fixed x. */
static void run(const struct apx_model *model, float *y)
{
    float x[ROWS * STEPS * WIDTH];
    for (int i = 0; i < ROWS * STEPS * WIDTH; i++)
        x[i] = sinf(1.7f * (float)i);
    struct apx_session *session = NULL;
    struct apx_error error = {0};
    struct apx_tensor in = {
        .dtype = APX_F32, .rank = 3, .dims = {ROWS, STEPS, WIDTH}, .data = x, .bytes = sizeof x};
    struct apx_tensor out = {.data = y, .bytes = ROWS * 2 * sizeof *y};
    REQUIRE(apx_session_create(model, NULL, &session, &error) == APX_OK);
    if (!CHECK(apx_session_run(session, &in, 1, &out, 1, &error) == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
    apx_session_destroy(session);
}

static void check_same_results(Onnx__ModelProto *first, Onnx__ModelProto *second)
{
    float a[ROWS * 2] = {0}, b[ROWS * 2] = {0};
    struct apx_model *one = load(first), *other = load(second);
    run(one, a);
    run(other, b);
    for (int i = 0; i < ROWS * 2; i++)
        CHECK_NEAR(a[i], b[i], 1e-6);
    CHECK(fabsf(a[0]) > 1e-3f); /* it computed something */
    apx_model_destroy(one);
    apx_model_destroy(other);
}

/* A copy that the recogniser does not take for one: Clip without bounds. */
static Onnx__ModelProto *disguised(const char *name)
{
    Onnx__ModelProto *model = unpack(name);
    rename_op(body_of(model), "Identity", 0, "Clip");
    return model;
}

static void unrolls_to_the_same(void)
{
    static const char *const names[] = {"keras_gru", "keras_gru_before", "keras_gru_nobias",
                                        "keras_lstm_hardsigmoid"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct apx_graph *graph = NULL;
        struct apx_error error = {0};
        if (CHECK(read_model(disguised(names[i]), &graph, &error) == APX_OK)) {
            CHECK_EQ(count_op(graph, APX_OP_GRU) + count_op(graph, APX_OP_LSTM), 0);
            CHECK(count_op(graph, APX_OP_MATMUL) >= 2 * STEPS);
        }
        apx_graph_destroy(graph);
        check_same_results(unpack(names[i]), disguised(names[i]));
    }
}

/* An LSTM whose candidate and output have different activations. */
static void tells_activations_apart(void)
{
    Onnx__ModelProto *model = unpack("keras_lstm_hardsigmoid"), *plain;
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    rename_op(body_of(model), "Tanh", 0, "Relu");
    if (CHECK(read_model(model, &graph, &error) == APX_OK))
        CHECK_EQ(count_op(graph, APX_OP_LSTM), 1);
    apx_graph_destroy(graph);
    model = unpack("keras_lstm_hardsigmoid");
    plain = disguised("keras_lstm_hardsigmoid");
    rename_op(body_of(model), "Tanh", 0, "Relu");
    rename_op(body_of(plain), "Tanh", 0, "Relu");
    check_same_results(model, plain);
}

/* Every model here is a cell but for one thing; none may be taken for one. */
static void takes_no_other_body_for_a_cell(void)
{
    static const struct {
        const char *name, *from, *to;
    } cases[] = {
        {"keras_gru", "Sub", "Add"},  {"keras_gru", "Sigmoid", "Tanh"},
        {"keras_gru", "Mul", "Add"},  {"keras_gru_before", "Mul", "Add"},
        {"keras_gru", "Tanh", "Neg"}, {"keras_lstm_hardsigmoid", "Clip", "Sum"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct apx_graph *graph = NULL;
        struct apx_error error = {0};
        Onnx__ModelProto *model = unpack(cases[i].name);
        rename_op(body_of(model), cases[i].from, 0, cases[i].to);
        if (CHECK(read_model(model, &graph, &error) == APX_OK))
            CHECK_EQ(count_op(graph, APX_OP_GRU) + count_op(graph, APX_OP_LSTM), 0);
        else
            fprintf(stderr, "    case %zu: %s\n", i, error.message);
        apx_graph_destroy(graph);
    }
    Onnx__ModelProto *model = unpack("keras_gru_free_time");
    rename_op(body_of(model), "Sub", 0, "Add");
    check_refused(model, "its number of steps is not fixed");
}

/* Sets every scalar float constant `from` of the body to `to`. */
static int change_constant(Onnx__GraphProto *body, float from, float to)
{
    int changed = 0;
    for (size_t i = 0; i < body->n_initializer; i++) {
        Onnx__TensorProto *tensor = body->initializer[i];
        if (tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || tensor->n_dims != 0)
            continue;
        if (tensor->raw_data.len == sizeof from &&
            memcmp(tensor->raw_data.data, &from, sizeof from) == 0) {
            memcpy(tensor->raw_data.data, &to, sizeof to);
            changed++;
        } else if (tensor->n_float_data == 1 && tensor->float_data[0] == from) {
            tensor->float_data[0] = to;
            changed++;
        }
    }
    return changed;
}

/* The trip count that loops of Keras's models share. */
static void change_trip(Onnx__ModelProto *model, int64_t trip)
{
    const Onnx__NodeProto *loop = find_node(model->graph->node, model->graph->n_node, "Loop", 0);
    REQUIRE(loop != NULL);
    for (size_t i = 0; i < model->graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = model->graph->initializer[i];
        if (strcmp(tensor->name, loop->input[0]) != 0)
            continue;
        if (tensor->n_int64_data == 1)
            tensor->int64_data[0] = trip;
        else if (CHECK(tensor->raw_data.len == sizeof trip))
            memcpy(tensor->raw_data.data, &trip, sizeof trip);
    }
}

static void follows_the_condition(void)
{
    /* A step less, by the condition in the body or by the trip count: the same. */
    Onnx__ModelProto *stopped = unpack("keras_gru"), *shorter = unpack("keras_gru");
    CHECK(change_constant(body_of(stopped), 10.0f, 9.0f) > 0);
    change_trip(shorter, 9);
    check_same_results(stopped, shorter);
    /* 2 - z is no GRU, but can be computed. */
    Onnx__ModelProto *model = unpack("keras_gru");
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    CHECK(change_constant(body_of(model), 1.0f, 2.0f) > 0);
    CHECK_EQ(read_model(model, &graph, &error), APX_OK);
    if (graph != NULL)
        CHECK_EQ(count_op(graph, APX_OP_GRU), 0);
    apx_graph_destroy(graph);
}

static void check_limit(int64_t trip, const char *part)
{
    Onnx__ModelProto *model = disguised("keras_gru");
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    change_trip(model, trip);
    CHECK_EQ(read_model(model, &graph, &error), APX_ELIMIT);
    CHECK_HAS(error.message, part);
    CHECK(graph == NULL);
}

static void refuses_many_steps(void)
{
    check_limit((int64_t)1 << 60, "more than APX_LIMIT_NODES");
    check_limit(2000, "more than APX_LIMIT_NODES");
}

/* Damage of the body's interface must end in an error, not in a crash. */
static void survives_damage(void)
{
    for (size_t drop = 0; drop < 3; drop++) {
        Onnx__ModelProto *model = unpack("keras_gru");
        Onnx__GraphProto *body = body_of(model);
        struct apx_graph *graph = NULL;
        struct apx_error error = {0};
        size_t inputs = body->n_input, outputs = body->n_output, nodes = body->n_node;
        if (drop == 0)
            body->n_input--;
        else if (drop == 1)
            body->n_output = 2;
        else
            body->n_node = 3;
        size_t bytes = onnx__model_proto__get_packed_size(model);
        unsigned char *data = malloc(bytes);
        REQUIRE(data != NULL);
        onnx__model_proto__pack(model, data);
        body->n_input = inputs;
        body->n_output = outputs;
        body->n_node = nodes;
        onnx__model_proto__free_unpacked(model, NULL);
        CHECK_EQ(apx_onnx_read(data, bytes, NULL, NULL, &graph, &error), APX_EFORMAT);
        CHECK(graph == NULL);
        free(data);
    }
}

int main(void)
{
    RUN(reads_a_loop_as_a_cell);
    RUN(keeps_the_weights);
    RUN(unrolls_to_the_same);
    RUN(tells_activations_apart);
    RUN(takes_no_other_body_for_a_cell);
    RUN(follows_the_condition);
    RUN(refuses_many_steps);
    RUN(survives_damage);
    return check_report();
}
