/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that are a GRU are read as one, and any other is refused: Keras's models from tests/golden,
 * as they are and with one thing changed each. What the operator then computes is golden_test's. */
#include <onnx/onnx.pb-c.h>

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

static void check_gru(const char *name, int layers, int64_t reset_after)
{
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    if (CHECK(read_model(unpack(name), &graph, &error) == APX_OK)) {
        CHECK_EQ(count_op(graph, APX_OP_GRU), layers);
        CHECK_EQ(count_op(graph, APX_OP_SIGMOID), 0); /* nothing is left of the body */
        for (int n = 0; n < graph->node_count; n++)
            if (graph->nodes[n].op == APX_OP_GRU)
                CHECK_EQ(apx_node_int(&graph->nodes[n], "linear_before_reset", 0), reset_after);
    } else {
        fprintf(stderr, "    %s: %s\n", name, error.message);
    }
    apx_graph_destroy(graph);
}

static void reads_a_loop_as_gru(void)
{
    check_gru("keras_gru", 1, 1);
    check_gru("keras_gru_stacked", 2, 1);
    check_gru("keras_gru_free_time", 1, 1);
    check_gru("keras_gru_before", 1, 0);
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

static void refuses_other_bodies(void)
{
    Onnx__ModelProto *model = unpack("keras_gru");
    rename_op(body_of(model), "Sub", 0, "Add");
    check_refused(model, "its body is none");
    model = unpack("keras_gru");
    rename_op(body_of(model), "Sigmoid", 0, "Tanh"); /* two gates, two activations */
    check_refused(model, "its body is none");
    model = unpack("keras_gru");
    rename_op(body_of(model), "Mul", 0, "Add");
    check_refused(model, "its body is none");
    model = unpack("keras_gru_before");
    rename_op(body_of(model), "Mul", 0, "Add");
    check_refused(model, "its body is none");
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

static void refuses_another_length(void)
{
    Onnx__ModelProto *model = unpack("keras_gru");
    CHECK(change_constant(body_of(model), 10.0f, 9.0f) > 0); /* stops a step early */
    check_refused(model, "its length depends on what it computes");
    model = unpack("keras_gru");
    CHECK(change_constant(body_of(model), 1.0f, 2.0f) > 0); /* 2 - z */
    check_refused(model, "its body is none");
    model = unpack("keras_gru");
    rename_op(body_of(model), "Less", 0, "Equal");
    check_refused(model, "its length depends on what it computes");
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
    RUN(reads_a_loop_as_gru);
    RUN(keeps_the_weights);
    RUN(refuses_other_bodies);
    RUN(refuses_another_length);
    RUN(survives_damage);
    return check_report();
}
