/* SPDX-License-Identifier: Apache-2.0 */
/* Loops made by hand: carried values and outputs per step, conditions, values from around, loops in
 * loops; and those that must be refused. Expected numbers are worked out here. */
#include <onnx/onnx.pb-c.h>

#include "runtime/auspex.h"
#include "tests/harness/check.h"

/* ---- building; everything lives until the next begin() */

#define POOL ((size_t)256 * 1024)
static _Alignas(16) char pool[POOL];
static size_t pool_used;

static void *take(size_t bytes)
{
    void *at = pool + pool_used;
    pool_used += (bytes + 15) / 16 * 16;
    REQUIRE(pool_used <= POOL);
    memset(at, 0, bytes);
    return at;
}

static char *text(const char *from)
{
    char *copy = take(strlen(from) + 1);
    memcpy(copy, from, strlen(from));
    return copy;
}

/* The words of `from`; "-" becomes "". */
static char **words(const char *from, size_t *count)
{
    char **list = take(32 * sizeof *list), *room = text(from);
    *count = 0;
    for (char *save, *at = strtok_r(room, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save))
        list[(*count)++] = strcmp(at, "-") == 0 ? text("") : at;
    return list;
}

/* x:[2] float32 and the outputs' names; nodes are added. */
static Onnx__GraphProto *new_graph(const char *inputs, const char *outputs)
{
    Onnx__GraphProto *graph = take(sizeof *graph);
    onnx__graph_proto__init(graph);
    graph->name = text("g");
    for (int side = 0; side < 2; side++) {
        size_t count;
        char **names = words(side == 0 ? inputs : outputs, &count);
        Onnx__ValueInfoProto **list = take((count + 1) * sizeof *list);
        for (size_t i = 0; i < count; i++) {
            list[i] = take(sizeof **list);
            onnx__value_info_proto__init(list[i]);
            list[i]->name = names[i];
        }
        if (side == 0) {
            graph->input = list;
            graph->n_input = count;
        } else {
            graph->output = list;
            graph->n_output = count;
        }
    }
    graph->node = take(64 * sizeof *graph->node);
    graph->initializer = take(16 * sizeof *graph->initializer);
    return graph;
}

static Onnx__NodeProto *node(Onnx__GraphProto *graph, const char *op, const char *inputs,
                             const char *outputs)
{
    Onnx__NodeProto *made = take(sizeof *made);
    onnx__node_proto__init(made);
    made->op_type = text(op);
    made->name = text(op);
    made->input = words(inputs, &made->n_input);
    made->output = words(outputs, &made->n_output);
    graph->node[graph->n_node++] = made;
    return made;
}

static void cast_to(Onnx__NodeProto *made, int64_t type)
{
    made->attribute = take(sizeof *made->attribute);
    made->attribute[0] = take(sizeof **made->attribute);
    onnx__attribute_proto__init(made->attribute[0]);
    made->attribute[0]->name = text("to");
    made->attribute[0]->has_type = 1;
    made->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    made->attribute[0]->has_i = 1;
    made->attribute[0]->i = type;
    made->n_attribute = 1;
}

static void loop(Onnx__GraphProto *graph, const char *inputs, const char *outputs,
                 Onnx__GraphProto *body)
{
    Onnx__NodeProto *made = node(graph, "Loop", inputs, outputs);
    made->attribute = take(sizeof *made->attribute);
    made->attribute[0] = take(sizeof **made->attribute);
    onnx__attribute_proto__init(made->attribute[0]);
    made->attribute[0]->name = text("body");
    made->attribute[0]->has_type = 1;
    made->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    made->attribute[0]->g = body;
    made->n_attribute = 1;
}

/* A scalar constant. */
static void scalar(Onnx__GraphProto *graph, const char *name, int type, double value)
{
    Onnx__TensorProto *tensor = take(sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = text(name);
    tensor->has_data_type = 1;
    tensor->data_type = type;
    const float as_float = (float)value;
    const int64_t as_long = (int64_t)value;
    const uint8_t as_truth = value != 0;
    tensor->has_raw_data = 1;
    tensor->raw_data.len = type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT   ? 4
                           : type == ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ? 8
                                                                          : 1;
    tensor->raw_data.data = take(8);
    memcpy(tensor->raw_data.data,
           type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT   ? (const void *)&as_float
           : type == ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ? (const void *)&as_long
                                                          : (const void *)&as_truth,
           tensor->raw_data.len);
    graph->initializer[graph->n_initializer++] = tensor;
}

#define FLOAT ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
#define INT64 ONNX__TENSOR_PROTO__DATA_TYPE__INT64
#define TRUTH ONNX__TENSOR_PROTO__DATA_TYPE__BOOL

/* A graph with the input x: float32 [2] and these outputs; constants M (steps), yes, one. */
static Onnx__GraphProto *begin(const char *outputs, double steps)
{
    pool_used = 0;
    Onnx__GraphProto *graph = new_graph("x", outputs);
    Onnx__TypeProto *type = take(sizeof *type);
    onnx__type_proto__init(type);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = take(sizeof *type->tensor_type);
    onnx__type_proto__tensor__init(type->tensor_type);
    type->tensor_type->has_elem_type = 1;
    type->tensor_type->elem_type = FLOAT;
    Onnx__TensorShapeProto *shape = take(sizeof *shape);
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = 1;
    shape->dim = take(sizeof *shape->dim);
    shape->dim[0] = take(sizeof **shape->dim);
    onnx__tensor_shape_proto__dimension__init(shape->dim[0]);
    shape->dim[0]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    shape->dim[0]->dim_value = 2;
    type->tensor_type->shape = shape;
    graph->input[0]->type = type;
    scalar(graph, "M", INT64, steps);
    scalar(graph, "yes", TRUTH, 1);
    scalar(graph, "one", FLOAT, 1);
    scalar(graph, "zero", INT64, 0);
    return graph;
}

/* ---- running */

static struct apx_error error;

static enum apx_status load(Onnx__GraphProto *graph, struct apx_model **model)
{
    Onnx__ModelProto onnx = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets = &opset;
    char no_domain[1] = "";
    opset.domain = no_domain;
    opset.has_version = 1;
    opset.version = 15;
    onnx.has_ir_version = 1;
    onnx.ir_version = 8;
    onnx.opset_import = &opsets;
    onnx.n_opset_import = 1;
    onnx.graph = graph;
    size_t bytes = onnx__model_proto__get_packed_size(&onnx);
    unsigned char *data = malloc(bytes);
    REQUIRE(data != NULL);
    onnx__model_proto__pack(&onnx, data);
    error = (struct apx_error){.status = APX_OK};
    enum apx_status status = apx_model_load_memory(data, bytes, NULL, model, &error);
    free(data);
    return status;
}

/* Runs the graph on x = {1, 10} and compares each output. */
static void check_run(Onnx__GraphProto *graph, size_t count, const float *const *expected,
                      const size_t *elements)
{
    struct apx_model *model = NULL;
    struct apx_session *session = NULL;
    float x[2] = {1, 10}, room[4][64] = {{0}};
    struct apx_tensor in = {.dtype = APX_F32, .rank = 1, .dims = {2}, .data = x, .bytes = sizeof x};
    struct apx_tensor out[4] = {{0}};
    for (size_t i = 0; i < count; i++) {
        out[i].data = room[i];
        out[i].bytes = sizeof room[i];
    }
    if (!CHECK(load(graph, &model) == APX_OK) ||
        !CHECK(apx_session_create(model, NULL, &session, &error) == APX_OK) ||
        !CHECK(apx_session_run(session, &in, 1, out, count, &error) == APX_OK)) {
        fprintf(stderr, "    %s: %s\n", error.field, error.message);
    } else {
        for (size_t i = 0; i < count; i++) {
            size_t got = 1;
            for (int d = 0; d < out[i].rank; d++)
                got *= (size_t)out[i].dims[d];
            CHECK_EQ(got, elements[i]);
            for (size_t k = 0; k < got && k < elements[i]; k++)
                CHECK_NEAR(room[i][k], expected[i][k], 1e-6f * fabsf(expected[i][k]));
        }
    }
    apx_session_destroy(session);
    apx_model_destroy(model);
}

static void check_refused(Onnx__GraphProto *graph, enum apx_status status, const char *part)
{
    struct apx_model *model = NULL;
    CHECK_EQ(load(graph, &model), status);
    CHECK_HAS(error.message, part);
    CHECK(model == NULL);
    apx_model_destroy(model);
}

/* s' = s + x, output per step s' * s'; "go" is the condition as it came. */
static Onnx__GraphProto *sums(void)
{
    Onnx__GraphProto *body = new_graph("i go s", "go s2 q");
    node(body, "Add", "s x", "s2");
    node(body, "Mul", "s2 s2", "q");
    return body;
}

/* ---- */

static void carries_and_stacks(void)
{
    Onnx__GraphProto *graph = begin("last all", 3);
    loop(graph, "M yes x", "last all", sums());
    static const float last[] = {4, 40}, all[] = {4, 400, 9, 900, 16, 1600};
    check_run(graph, 2, (const float *const[]){last, all}, (const size_t[]){2, 6});
    /* One step, and no condition at all. */
    graph = begin("last all", 1);
    loop(graph, "M - x", "last all", sums());
    static const float once[] = {2, 20}, square[] = {4, 400};
    check_run(graph, 2, (const float *const[]){once, square}, (const size_t[]){2, 2});
}

static void stacks_many_steps(void)
{
    /* More steps than a Concat takes inputs. */
    Onnx__GraphProto *graph = begin("sum", 200);
    loop(graph, "M yes x", "- all", sums());
    scalar(graph, "axes", INT64, 0);
    graph->initializer[graph->n_initializer - 1]->n_dims = 1;
    graph->initializer[graph->n_initializer - 1]->dims = take(sizeof(int64_t));
    graph->initializer[graph->n_initializer - 1]->dims[0] = 1;
    node(graph, "ReduceSum", "all axes", "sum");
    /* sum over n = 2..201 of n^2 = 201*202*403/6 - 1 */
    static const float sum[] = {2727100.0f, 2.7271e8f};
    struct apx_model *model = NULL;
    CHECK_EQ(load(graph, &model), APX_OK);
    apx_model_destroy(model);
    check_run(graph, 1, (const float *const[]){sum}, (const size_t[]){2});
}

static void runs_no_step(void)
{
    Onnx__GraphProto *graph = begin("last", 0);
    loop(graph, "M yes x", "last", sums());
    static const float same[] = {1, 10};
    check_run(graph, 1, (const float *const[]){same}, (const size_t[]){2});
    graph = begin("last", 5);
    scalar(graph, "no", TRUTH, 0);
    loop(graph, "M no x", "last", sums());
    check_run(graph, 1, (const float *const[]){same}, (const size_t[]){2});
    graph = begin("last all", 0);
    loop(graph, "M yes x", "last all", sums());
    check_refused(graph, APX_EUNSUPPORTED, "it runs no step");
}

/* s' = s + x while the counter, which goes up by two, is below `limit`. */
static Onnx__GraphProto *counting(double limit)
{
    Onnx__GraphProto *body = new_graph("i go n s", "more n2 s2");
    scalar(body, "two", INT64, 2);
    scalar(body, "limit", FLOAT, limit);
    node(body, "Add", "s x", "s2");
    node(body, "Add", "n two", "n2");
    cast_to(node(body, "Cast", "n2", "nf"), FLOAT);
    node(body, "Less", "nf limit", "more");
    return body;
}

static void follows_a_condition(void)
{
    /* No trip count: 0, 2, 4 are below 5, so three steps. */
    Onnx__GraphProto *graph = begin("last", 0);
    loop(graph, "- yes zero x", "- last", counting(5));
    static const float thrice[] = {4, 40};
    check_run(graph, 1, (const float *const[]){thrice}, (const size_t[]){2});
    /* The trip count comes first. */
    graph = begin("last", 2);
    loop(graph, "M yes zero x", "- last", counting(5));
    static const float twice[] = {3, 30};
    check_run(graph, 1, (const float *const[]){twice}, (const size_t[]){2});
}

static void knows_its_step(void)
{
    /* s' = s + x * float(i): 0 + 1 + 2 + 3 times x on top. */
    Onnx__GraphProto *graph = begin("last", 4), *body = new_graph("i go s", "go s2");
    cast_to(node(body, "Cast", "i", "f"), FLOAT);
    node(body, "Mul", "x f", "p");
    node(body, "Add", "s p", "s2");
    loop(graph, "M yes x", "last", body);
    static const float last[] = {7, 70};
    check_run(graph, 1, (const float *const[]){last}, (const size_t[]){2});
}

static void loops_in_loops(void)
{
    /* The inner loop runs as often as the outer one has begun (1, 2, 3) and sees x from outside:
     * six sums in all. */
    Onnx__GraphProto *graph = begin("last", 3);
    Onnx__GraphProto *outer = new_graph("j go s", "go s3"), *inner = new_graph("k on t", "on t2");
    scalar(outer, "unit", INT64, 1);
    node(inner, "Add", "t x", "t2");
    node(outer, "Add", "j unit", "times");
    loop(outer, "times go s", "s3", inner);
    loop(graph, "M yes x", "last", outer);
    static const float last[] = {7, 70};
    check_run(graph, 1, (const float *const[]){last}, (const size_t[]){2});
}

static void refuses_what_depends_on_data(void)
{
    Onnx__GraphProto *graph = begin("last", 5), *body = new_graph("i go s", "more s2");
    scalar(body, "limit", FLOAT, 100);
    scalar(body, "ends", INT64, 0);
    node(body, "Add", "s x", "s2");
    node(body, "Gather", "s2 ends", "first");
    node(body, "Less", "first limit", "more");
    loop(graph, "M yes x", "last", body);
    check_refused(graph, APX_EUNSUPPORTED, "its condition depends on data");
    CHECK_STR(error.field, "Loop");

    graph = begin("last", 5);
    node(graph, "Gather", "x zero", "first");
    cast_to(node(graph, "Cast", "first", "steps"), INT64);
    loop(graph, "steps yes x", "last", sums());
    check_refused(graph, APX_EUNSUPPORTED, "its number of steps is not fixed");
}

static void refuses_floods(void)
{
    Onnx__GraphProto *graph = begin("last", 1e15);
    loop(graph, "M yes x", "last", sums());
    check_refused(graph, APX_ELIMIT, "APX_LIMIT_NODES");
    /* A condition that always holds, and nothing in the body. */
    graph = begin("last", 0);
    loop(graph, "- yes x", "last", new_graph("i go s", "go s"));
    check_refused(graph, APX_ELIMIT, "APX_LIMIT_NODES");
    /* Each loop is small; one in the other, 1000 * 1000 steps. */
    graph = begin("last", 1000);
    Onnx__GraphProto *outer = new_graph("j go s", "go s3"), *inner = new_graph("k on t", "on t2");
    node(inner, "Add", "t x", "t2");
    loop(outer, "M go s", "s3", inner);
    loop(graph, "M yes x", "last", outer);
    check_refused(graph, APX_ELIMIT, "APX_LIMIT");
    /* Loops in loops in loops ... of one step each. */
    graph = begin("last", 1);
    Onnx__GraphProto *body = sums();
    for (int depth = 0; depth < 10; depth++) {
        Onnx__GraphProto *around = new_graph("i go s", "go s2");
        loop(around, "M go s", "s2", body);
        body = around;
    }
    loop(graph, "M yes x", "last", body);
    struct apx_model *model = NULL;
    CHECK(load(graph, &model) != APX_OK);
    apx_model_destroy(model);
}

static void refuses_malformed_loops(void)
{
    Onnx__GraphProto *graph = begin("last", 3);
    loop(graph, "M yes", "last", sums()); /* carries nothing */
    check_refused(graph, APX_EFORMAT, "does not fit");
    graph = begin("last", 3);
    node(graph, "Loop", "M yes x", "last");
    check_refused(graph, APX_EFORMAT, "does not fit");
    graph = begin("last", 3);
    loop(graph, "M yes -", "last", sums());
    check_refused(graph, APX_EFORMAT, "does not fit");
    graph = begin("last", 3);
    loop(graph, "M yes x", "last", new_graph("i go s", "go nowhere"));
    check_refused(graph, APX_EFORMAT, "nothing in the loop's body");
    graph = begin("last", 3);
    loop(graph, "M yes x", "last", new_graph("i i s", "s s"));
    check_refused(graph, APX_EFORMAT, "no name of its own");
}

int main(void)
{
    RUN(carries_and_stacks);
    RUN(stacks_many_steps);
    RUN(runs_no_step);
    RUN(follows_a_condition);
    RUN(knows_its_step);
    RUN(loops_in_loops);
    RUN(refuses_what_depends_on_data);
    RUN(refuses_floods);
    RUN(refuses_malformed_loops);
    return check_report();
}
