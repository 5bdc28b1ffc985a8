/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_read_failure_test.c - reading and inference with each allocation failing once, and with all
 * from each one on: no crash, nothing left behind, APX_ENOMEM. */
#include "runtime/base/memory.h"
#include "runtime/model/onnx_read.h"
#include "tests/harness/check.h"
#include "tests/harness/counted_heap.h"

static enum apx_status read_and_infer(const void *data, size_t bytes, struct apx_error *error)
{
    struct apx_graph *graph;
    heap.count = 0;
    enum apx_status status = apx_onnx_read(data, bytes, "tests", &counted, &graph, error);
    if (status == APX_OK)
        status = apx_graph_infer(graph, error);
    apx_graph_destroy(graph);
    return status;
}

static void survives_every_failure(const char *path)
{
    struct apx_error error = {0};
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL && fseek(file, 0, SEEK_END) == 0);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    void *data = malloc(bytes);
    REQUIRE(data != NULL && fread(data, 1, bytes, file) == bytes);
    fclose(file);
    heap.fail_from = heap.fail_count = 0;
    CHECK_EQ(read_and_infer(data, bytes, &error), APX_OK);
    CHECK_EQ(heap.live, 0);
    long total = heap.count;
    CHECK(total > 10);
    int ignored = 0;
    for (long i = 0; i < total; i++) {
        heap.fail_from = i;
        heap.fail_count = 1;
        enum apx_status status = read_and_infer(data, bytes, &error);
        /* only dropping dead nodes may go without its memory */
        ignored += status == APX_OK;
        CHECK(status == APX_OK || status == APX_ENOMEM);
        CHECK_EQ(heap.live, 0);
        heap.fail_count = total;
        status = read_and_infer(data, bytes, &error);
        ignored += status == APX_OK;
        CHECK(status == APX_OK || status == APX_ENOMEM);
        CHECK_EQ(heap.live, 0);
    }
    CHECK(ignored <= 8); /* two allocations, each both ways, and again where text was an output */
    free(data);
}

static void with_an_exported_model(void)
{
    survives_every_failure("tests/golden/torch_legacy_lstm_2_time.onnx");
}

static void with_functions(void)
{
    survives_every_failure("tests/fuzz/corpus/onnx/made_functions.onnx");
    survives_every_failure("tests/fuzz/corpus/onnx/made_function_default.onnx");
}

static void with_an_old_opset(void)
{
    survives_every_failure("tests/fuzz/corpus/onnx/made_slice9.onnx");
    survives_every_failure("tests/fuzz/corpus/onnx/made_softmax11.onnx");
}

static void with_loops(void)
{
    survives_every_failure("tests/golden/keras_gru_bi_free_time.onnx"); /* as operators */
    survives_every_failure("tests/golden/keras_gru_silu.onnx");         /* step by step */
}

static void with_shape_arithmetic(void)
{
    survives_every_failure("tests/fuzz/corpus/onnx/made_shapes.onnx");
    survives_every_failure("tests/fuzz/corpus/onnx/made_where.onnx");
    survives_every_failure("tests/fuzz/corpus/onnx/made_ml.onnx");
}

int main(void)
{
    RUN(with_an_exported_model);
    RUN(with_functions);
    RUN(with_an_old_opset);
    RUN(with_loops);
    RUN(with_shape_arithmetic);
    return check_report();
}
