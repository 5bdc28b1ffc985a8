/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/memory.h"
#include "runtime/model/onnx_read.h"
#include "runtime/onnx_build.h"
#include "tests/harness/check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_EQ_STATUS(call, error)                                                               \
    check_that((call) == APX_OK, __FILE__, __LINE__, (error).message)

static const float weights[6] = {1, 2, 3, 4, 5, 6};

static struct apx_onnx *small_model(void)
{
    struct apx_onnx *onnx = apx_onnx_create("small");
    REQUIRE(onnx != NULL);
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_opset(onnx, "ai.onnx.ml", 3);
    apx_onnx_metadata(onnx, "made for", "a test");
    apx_onnx_metadata(onnx, "empty", "");
    apx_onnx_input(onnx, "x", APX_F32, 2, (const char *const[]){"rows", "3"});
    apx_onnx_output(onnx, "y", APX_F32, 2, (const char *const[]){"rows", "2"});
    apx_onnx_tensor(onnx, "w", APX_F32, 2, (const int64_t[]){3, 2}, weights);
    apx_onnx_node(onnx, "ai.onnx.ml", "Scaler", "scale", (const char *const[]){"x"}, 1,
                  (const char *const[]){"scaled"}, 1);
    apx_onnx_floats(onnx, "offset", (const float[]){1, 2, 3}, 3);
    apx_onnx_floats(onnx, "scale", (const float[]){0.5f}, 1);
    apx_onnx_node(onnx, "", "Gemm", "product", (const char *const[]){"scaled", "w"}, 2,
                  (const char *const[]){"h"}, 1);
    apx_onnx_float(onnx, "alpha", 0.25f);
    apx_onnx_int(onnx, "transB", 0);
    apx_onnx_node(onnx, "", "Clip", "", (const char *const[]){"h", "", ""}, 3,
                  (const char *const[]){"y"}, 1);
    return onnx;
}

static void reads_back_what_was_written(void)
{
    struct apx_onnx *onnx = small_model();
    struct apx_error error = {0};
    struct apx_graph *graph = NULL;
    void *data = NULL;
    size_t bytes = 0;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(onnx);
    enum apx_status status = apx_onnx_read(data, bytes, NULL, NULL, &graph, &error);
    free(data);
    if (!CHECK_EQ_STATUS(status, error))
        exit(1);
    CHECK_STR(graph->name, "small");
    CHECK_STR(graph->producer, "auspex " APX_VERSION);
    CHECK_EQ(graph->opset, 17);
    CHECK_EQ(graph->opset_ml, 3);
    CHECK_EQ(graph->metadata_count, 2);
    CHECK_STR(graph->metadata[0].key, "made for");
    CHECK_STR(graph->metadata[0].value, "a test");
    CHECK_STR(graph->metadata[1].value, "");
    REQUIRE(graph->node_count == 3);
    CHECK_EQ(graph->nodes[0].op, APX_OP_SCALER);
    CHECK_STR(graph->nodes[0].name, "scale");
    const struct apx_attr *offset = apx_node_attr(&graph->nodes[0], "offset");
    REQUIRE(offset != NULL && offset->count == 3);
    CHECK_NEAR(offset->floats[2], 3, 0);
    CHECK_NEAR(apx_node_float(&graph->nodes[1], "alpha", 1), 0.25, 0);
    CHECK_EQ(apx_node_int(&graph->nodes[1], "transB", 1), 0);
    CHECK_EQ(graph->nodes[2].in_count, 1); /* trailing inputs that are left out are gone */
    const struct apx_value *w = &graph->values[graph->nodes[1].in[1]];
    CHECK_EQ(w->bytes, sizeof weights);
    CHECK(memcmp(w->data, weights, sizeof weights) == 0);
    CHECK_EQ_STATUS(apx_graph_infer(graph, &error), error);
    const struct apx_value *y = &graph->values[graph->outputs[0]];
    CHECK_EQ(y->rank, 2);
    CHECK(apx_dim_is_symbol(&y->dims[0], NULL));
    CHECK_STR(graph->symbols[0], "rows");
    apx_graph_destroy(graph);
}

static void keeps_every_element_type(void)
{
    const double f64[2] = {1.5, -2.5};
    const int32_t i32[2] = {INT32_MIN, 7};
    const int64_t i64[2] = {INT64_MIN, 7}, two[1] = {2};
    const uint8_t flags[2] = {1, 0}, u8[2] = {0, 255};
    const int8_t i8[2] = {-128, 127};
    const char *const texts[2] = {"left", ""};
    const struct {
        enum apx_dtype dtype;
        const void *data;
        size_t bytes;
    } cases[] = {
        {APX_F64, f64, sizeof f64},      {APX_I32, i32, sizeof i32}, {APX_I64, i64, sizeof i64},
        {APX_BOOL, flags, sizeof flags}, {APX_U8, u8, sizeof u8},    {APX_I8, i8, sizeof i8},
        {APX_STRING, texts, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct apx_onnx *onnx = apx_onnx_create("t");
        struct apx_graph *graph = NULL;
        struct apx_error error = {0};
        void *data = NULL;
        size_t bytes = 0;
        REQUIRE(onnx != NULL);
        apx_onnx_opset(onnx, "", 17);
        apx_onnx_tensor(onnx, "w", cases[c].dtype, 1, two, cases[c].data);
        apx_onnx_output(onnx, "w", cases[c].dtype, 1, (const char *const[]){"2"});
        REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
        apx_onnx_destroy(onnx);
        enum apx_status status = apx_onnx_read(data, bytes, NULL, NULL, &graph, &error);
        free(data);
        if (!CHECK_EQ_STATUS(status, error))
            continue;
        const struct apx_value *w = &graph->values[graph->outputs[0]];
        CHECK_EQ(w->dtype, cases[c].dtype);
        if (cases[c].dtype == APX_STRING)
            CHECK_STR(((const char *const *)w->data)[0], "left");
        else
            CHECK(memcmp(w->data, cases[c].data, cases[c].bytes) == 0);
        apx_graph_destroy(graph);
    }
}

static void tensors_are_attributes_too(void)
{
    const double value = 7.25;
    struct apx_onnx *onnx = apx_onnx_create("t");
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    void *data = NULL;
    size_t bytes = 0;
    REQUIRE(onnx != NULL);
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_input(onnx, "shape", APX_I64, 1, (const char *const[]){"2"});
    apx_onnx_output(onnx, "y", APX_F64, 2, (const char *const[]){"a", "b"});
    apx_onnx_node(onnx, "", "ConstantOfShape", "fill", (const char *const[]){"shape"}, 1,
                  (const char *const[]){"y"}, 1);
    apx_onnx_tensor_attribute(onnx, "value", APX_F64, 1, (const int64_t[]){1}, &value);
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(onnx);
    enum apx_status status = apx_onnx_read(data, bytes, NULL, NULL, &graph, &error);
    free(data);
    REQUIRE(CHECK_EQ_STATUS(status, error));
    const struct apx_attr *attr = apx_node_attr(&graph->nodes[0], "value");
    REQUIRE(attr != NULL && attr->type == APX_ATTR_TENSOR);
    CHECK_EQ(graph->values[attr->tensor].dtype, APX_F64);
    CHECK_NEAR(((const double *)graph->values[attr->tensor].data)[0], value, 0);
    apx_graph_destroy(graph);
}

/* Equal pointers share a copy; what is read is the list all the same. */
static void long_lists_of_texts_repeat(void)
{
    const char *const words[] = {"a", "b", "c", "d", "e"};
    const char *given[600];
    struct apx_onnx *onnx = apx_onnx_create("t");
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    void *data = NULL;
    size_t bytes = 0;
    for (int i = 0; i < 600; i++)
        given[i] = words[i * i % (i < 300 ? 3 : 5)];
    REQUIRE(onnx != NULL);
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_tensor(onnx, "w", APX_STRING, 1, (const int64_t[]){600}, given);
    apx_onnx_output(onnx, "w", APX_STRING, 1, (const char *const[]){"600"});
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(onnx);
    enum apx_status status = apx_onnx_read(data, bytes, NULL, NULL, &graph, &error);
    free(data);
    REQUIRE(CHECK_EQ_STATUS(status, error));
    const char *const *read = graph->values[graph->outputs[0]].data;
    int differ = 0;
    for (int i = 0; i < 600; i++)
        differ += strcmp(read[i], given[i]) != 0;
    CHECK_EQ(differ, 0);
    apx_graph_destroy(graph);
}

static void remembers_the_first_failure(void)
{
    struct apx_onnx *onnx = apx_onnx_create("t");
    struct apx_error error = {0};
    void *data = NULL;
    size_t bytes = 1;
    apx_onnx_int(onnx, "axis", 1); /* no node yet */
    apx_onnx_tensor(onnx, "w", APX_F32, 1, (const int64_t[]){-1}, NULL);
    CHECK_EQ(apx_onnx_write_memory(onnx, &data, &bytes, &error), APX_EINVAL);
    CHECK_STR(error.field, "axis");
    CHECK(data == NULL);
    CHECK_EQ(bytes, 0);
    apx_onnx_destroy(onnx);
    apx_onnx_destroy(NULL);
}

static void writes_files_whole_or_not_at_all(void)
{
    char directory[] = "/tmp/apx-build-XXXXXX", path[64], missing[64];
    struct apx_error error = {0};
    struct stat about;
    REQUIRE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/m.onnx", directory);
    snprintf(missing, sizeof missing, "%s/none/m.onnx", directory);
    struct apx_onnx *onnx = small_model();
    CHECK_EQ_STATUS(apx_onnx_write(onnx, path, &error), error);
    CHECK_EQ_STATUS(apx_onnx_write(onnx, path, &error), error); /* over an old one */
    void *data = NULL;
    size_t bytes = 0;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    REQUIRE(stat(path, &about) == 0);
    CHECK_EQ(about.st_size, bytes);
    CHECK_EQ(about.st_mode & 0777, 0644);
    CHECK_EQ(apx_onnx_write(onnx, missing, &error), APX_ENOTFOUND);
    CHECK_HAS(error.message, "there is no folder");
    CHECK_EQ(apx_onnx_write(onnx, directory, &error), APX_EIO); /* a directory is in the way */
    free(data);
    apx_onnx_destroy(onnx);
    unlink(path);
    CHECK_EQ(rmdir(directory), 0); /* so no temporary file was left */
}

int main(void)
{
    RUN(reads_back_what_was_written);
    RUN(keeps_every_element_type);
    RUN(tensors_are_attributes_too);
    RUN(long_lists_of_texts_repeat);
    RUN(remembers_the_first_failure);
    RUN(writes_files_whole_or_not_at_all);
    return check_report();
}
