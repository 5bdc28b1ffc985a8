/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that inference makes another of: ReverseSequence over whole rows, GlobalAveragePool. */
#include "runtime/model/onnx_read.h"
#include "runtime/onnx_build.h"
#include "tests/harness/check.h"

/* One node on x, and whatever made its other input; the graph, or NULL with `status` and `error`.
 */
static struct apx_graph *infer(struct apx_onnx *onnx, enum apx_status *status,
                               struct apx_error *error)
{
    void *data = NULL;
    size_t bytes = 0;
    struct apx_graph *graph = NULL;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, error) == APX_OK);
    apx_onnx_destroy(onnx);
    *status = apx_onnx_read(data, bytes, NULL, NULL, &graph, error);
    if (*status == APX_OK)
        *status = apx_graph_infer(graph, error);
    free(data);
    if (*status == APX_OK)
        return graph;
    apx_graph_destroy(graph);
    return NULL;
}

static struct apx_onnx *start(int rank, const char *const *dims)
{
    struct apx_onnx *onnx = apx_onnx_create("test");
    REQUIRE(onnx != NULL);
    apx_onnx_opset(onnx, "", 15);
    apx_onnx_input(onnx, "x", APX_F32, rank, dims);
    apx_onnx_output(onnx, "y", APX_F32, rank, dims);
    return onnx;
}

static void reverse(struct apx_onnx *onnx)
{
    apx_onnx_node(onnx, "", "ReverseSequence", "turn", (const char *const[]){"x", "lengths"}, 2,
                  (const char *const[]){"y"}, 1);
    apx_onnx_int(onnx, "time_axis", 0);
    apx_onnx_int(onnx, "batch_axis", 1);
}

static const struct apx_node *node_of(const struct apx_graph *graph, enum apx_op op)
{
    for (int n = 0; graph != NULL && n < graph->node_count; n++)
        if (graph->nodes[n].op == op)
            return &graph->nodes[n];
    return NULL;
}

static void whole_rows_become_a_slice(void)
{
    const char *const dims[] = {"time", "batch", "3"};
    const int64_t one = 1, zero = 0;
    struct apx_onnx *onnx = start(3, dims);
    apx_onnx_tensor(onnx, "zero", APX_I64, 1, &one, &zero);
    apx_onnx_tensor(onnx, "one", APX_I64, 1, &one, &one);
    apx_onnx_node(onnx, "", "Shape", "", (const char *const[]){"x"}, 1, (const char *const[]){"s"},
                  1);
    apx_onnx_node(onnx, "", "Gather", "", (const char *const[]){"s", "zero"}, 2,
                  (const char *const[]){"steps"}, 1);
    apx_onnx_node(onnx, "", "Gather", "", (const char *const[]){"s", "one"}, 2,
                  (const char *const[]){"rows"}, 1);
    apx_onnx_node(onnx, "", "Expand", "", (const char *const[]){"steps", "rows"}, 2,
                  (const char *const[]){"lengths"}, 1);
    reverse(onnx);
    enum apx_status status;
    struct apx_error error = {0};
    struct apx_graph *graph = infer(onnx, &status, &error);
    const struct apx_node *slice = node_of(graph, APX_OP_SLICE);
    CHECK(slice != NULL && slice->in_count == 5);
    CHECK(node_of(graph, APX_OP_REVERSE_SEQUENCE) == NULL);
    if (slice != NULL) {
        const struct apx_value *x = &graph->values[graph->inputs[0]];
        const struct apx_value *y = &graph->values[slice->out[0]];
        for (int d = 0; d < 3; d++)
            CHECK(apx_dim_equal(&x->dims[d], &y->dims[d]));
    }
    apx_graph_destroy(graph);
}

static enum apx_status reverse_constant(int64_t length, struct apx_error *error)
{
    const char *const dims[] = {"4", "2", "3"};
    const int64_t two = 2, lengths[2] = {length, 4};
    struct apx_onnx *onnx = start(3, dims);
    apx_onnx_tensor(onnx, "lengths", APX_I64, 1, &two, lengths);
    reverse(onnx);
    enum apx_status status;
    apx_graph_destroy(infer(onnx, &status, error));
    return status;
}

static void lengths_of_their_own_are_refused(void)
{
    struct apx_error error = {0};
    CHECK_EQ(reverse_constant(4, &error), APX_OK);
    CHECK_EQ(reverse_constant(3, &error), APX_EUNSUPPORTED);
    CHECK_HAS(error.message, "full length");
    CHECK_STR(error.field, "turn");
    const char *const dims[] = {"time", "batch", "3"}, *const rows[] = {"batch"};
    struct apx_onnx *onnx = start(3, dims);
    apx_onnx_input(onnx, "lengths", APX_I64, 1, rows);
    reverse(onnx);
    enum apx_status status;
    apx_graph_destroy(infer(onnx, &status, &error));
    CHECK_EQ(status, APX_EUNSUPPORTED);
}

static enum apx_status pool(int rank, const char *const *dims, struct apx_error *error)
{
    struct apx_onnx *onnx = start(rank, dims);
    apx_onnx_node(onnx, "", "GlobalAveragePool", "pool", (const char *const[]){"x"}, 1,
                  (const char *const[]){"y"}, 1);
    enum apx_status status;
    struct apx_graph *graph = infer(onnx, &status, error);
    if (status == APX_OK) {
        const struct apx_node *mean = node_of(graph, APX_OP_REDUCE_MEAN);
        int64_t extent = 0;
        CHECK(mean != NULL);
        if (mean != NULL)
            CHECK(apx_dim_is_constant(&graph->values[mean->out[0]].dims[2], &extent));
        CHECK_EQ(extent, 1);
    }
    apx_graph_destroy(graph);
    return status;
}

static void pooling_becomes_a_mean(void)
{
    struct apx_error error = {0};
    CHECK_EQ(pool(3, (const char *const[]){"batch", "5", "7"}, &error), APX_OK);
    CHECK_EQ(pool(4, (const char *const[]){"batch", "5", "7", "7"}, &error), APX_EUNSUPPORTED);
    CHECK_HAS(error.message, "rank 3");
}

int main(void)
{
    RUN(whole_rows_become_a_slice);
    RUN(lengths_of_their_own_are_refused);
    RUN(pooling_becomes_a_mean);
    return check_report();
}
