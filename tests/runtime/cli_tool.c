/* SPDX-License-Identifier: Apache-2.0 */
/* cli_tool.c - what the shell tests of the `auspex` program need: golden values as files, and a
 * comparison of files of numbers.
 *
 *     cli_tool unpack NAME DIR      DIR/in_0.npy, DIR/in_0.csv, ..., DIR/out_0.npy, ... of set 0
 *     cli_tool near A B TOLERANCE   same shape, and no value further apart; "float32": the same
 *                                   once rounded to that
 *     cli_tool fill FILE VALUE DIM...   a float32 .npy of that value
 *     cli_tool wide FROM TO         float32 .npy to float64
 *     cli_tool dense FILE           x [rows, 40] -> 64, Relu -> 48 -> 2: a network of dense layers
 *     cli_tool classes FILE         x [rows, 40] -> 64 -> label, one of three words that need
 * quotes in a table ("" among them), and their scores cli_tool lstm FILE            x [rows, 5, 20]
 * -> LSTM of 8 units -> y cli_tool external FROM DIR NAME   DIR/NAME.onnx: FROM with its weights in
 * DIR/NAME.data
 */
#include "runtime/base/file.h"
#include "runtime/onnx_build.h"
#include "runtime/table.h"

#include <jansson.h>
#include <math.h>
#include <onnx/onnx.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "cli_tool: %s: %s\n", what, why);
    exit(1);
}

static enum apx_dtype dtype_of(const char *name)
{
    for (enum apx_dtype dtype = APX_F32; dtype <= APX_I8; dtype++)
        if (strcmp(apx_dtype_name(dtype), name) == 0)
            return dtype;
    fail(name, "unknown type");
    return APX_DTYPE_NONE;
}

/* Rows in the first dimension, everything else a column; float32 only. */
static void write_csv(const char *path, const struct apx_tensor *tensor)
{
    FILE *file = fopen(path, "w");
    size_t rows = (size_t)tensor->dims[0], columns = tensor->bytes / 4 / rows;
    const float *x = tensor->data;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            fprintf(file, "%.9g%s", (double)x[r * columns + c], c + 1 < columns ? "," : "\n");
    fclose(file);
}

static void unpack_list(json_t *list, const char *kind, const char *data, const char *directory)
{
    size_t i, d;
    json_t *entry, *dim;
    json_array_foreach (list, i, entry) {
        char path[512];
        struct apx_tensor tensor = {
            .dtype = dtype_of(json_string_value(json_object_get(entry, "dtype")))};
        size_t offset = (size_t)json_integer_value(json_object_get(entry, "offset"));
        tensor.bytes = apx_dtype_size(tensor.dtype);
        json_array_foreach (json_object_get(entry, "dims"), d, dim) {
            tensor.dims[tensor.rank++] = json_integer_value(dim);
            tensor.bytes *= (size_t)json_integer_value(dim);
        }
        tensor.data = malloc(tensor.bytes + 1);
        memcpy(tensor.data, data + offset, tensor.bytes);
        snprintf(path, sizeof path, "%s/%s_%zu.npy", directory, kind, i);
        if (apx_npy_write(path, &tensor, NULL) != APX_OK)
            fail(path, "cannot be written");
        snprintf(path, sizeof path, "%s/%s_%zu.csv", directory, kind, i);
        if (tensor.dtype == APX_F32 && tensor.rank > 0)
            write_csv(path, &tensor);
        free(tensor.data);
    }
}

static void unpack(const char *name, const char *directory)
{
    json_t *manifest = json_load_file("tests/golden/manifest.json", 0, NULL), *model;
    size_t i, bytes;
    json_array_foreach (json_object_get(manifest, "models"), i, model) {
        if (strcmp(json_string_value(json_object_get(model, "name")), name) != 0)
            continue;
        char path[512], *data;
        snprintf(path, sizeof path, "tests/golden/%s",
                 json_string_value(json_object_get(model, "data")));
        if (apx_file_read(path, 1 << 28, &data, &bytes, NULL) != APX_OK)
            fail(path, "cannot be read");
        json_t *set = json_array_get(json_object_get(model, "sets"), 0);
        unpack_list(json_object_get(set, "inputs"), "in", data, directory);
        unpack_list(json_object_get(set, "outputs"), "out", data, directory);
        free(data);
        json_decref(manifest);
        return;
    }
    fail(name, "no such golden model");
}

static double element(const struct apx_tensor *tensor, size_t i)
{
    const char *at = (const char *)tensor->data + i * apx_dtype_size(tensor->dtype);
    float f32;
    double f64;
    int64_t i64;
    switch (tensor->dtype) {
    case APX_F32:
        memcpy(&f32, at, sizeof f32);
        return (double)f32;
    case APX_F64:
        memcpy(&f64, at, sizeof f64);
        return f64;
    case APX_I64:
        memcpy(&i64, at, sizeof i64);
        return (double)i64;
    default:
        fail("near", "type not supported");
        return 0;
    }
}

/* The numbers of a .npy or .csv file as [rows, columns], which the caller frees. */
static double *numbers(const char *path, size_t *rows, size_t *columns)
{
    struct apx_error error;
    double *all;
    if (strstr(path, ".csv") != NULL) {
        struct apx_table *table;
        if (apx_table_read_csv(path, 0, &table, &error) != APX_OK)
            fail(path, error.message);
        *rows = table->rows;
        *columns = table->columns;
        all = malloc(*rows * *columns * sizeof *all + 1);
        for (size_t c = 0; c < *columns; c++)
            for (size_t r = 0; r < *rows; r++)
                all[r * *columns + c] = table->column[c].numbers[r];
        apx_table_destroy(table);
        return all;
    }
    struct apx_tensor tensor;
    if (apx_npy_read(path, &tensor, &error) != APX_OK)
        fail(path, error.message);
    size_t count = tensor.bytes / apx_dtype_size(tensor.dtype);
    *rows = tensor.rank > 0 ? (size_t)tensor.dims[0] : 1;
    *columns = *rows > 0 ? count / *rows : 0;
    all = malloc(count * sizeof *all + 1);
    for (size_t i = 0; i < count; i++)
        all[i] = element(&tensor, i);
    free(tensor.data);
    return all;
}

static void near(const char *a, const char *b, const char *how)
{
    bool round = strcmp(how, "float32") == 0;
    double tolerance = round ? 0 : atof(how);
    size_t rows[2], columns[2];
    double *x = numbers(a, &rows[0], &columns[0]), *y = numbers(b, &rows[1], &columns[1]);
    if (rows[0] != rows[1] || columns[0] != columns[1] || rows[0] * columns[0] == 0)
        fail(a, "the shapes differ, or there is nothing to compare");
    for (size_t i = 0; i < rows[0] * columns[0]; i++)
        if (!(fabs(round ? (double)((float)x[i] - (float)y[i]) : x[i] - y[i]) <= tolerance) &&
            !(isnan(x[i]) && isnan(y[i]))) {
            fprintf(stderr, "cli_tool: element %zu: %.9g, expected %.9g\n", i, x[i], y[i]);
            exit(1);
        }
    free(x);
    free(y);
}

static void write_file(const char *directory, const char *name, const char *ending,
                       const void *data, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", directory, name, ending);
    if (apx_file_replace(path, data, bytes, NULL) != APX_OK)
        fail(path, "cannot be written");
}

static void move_weights(const char *from, const char *directory, const char *name)
{
    char location[256], *bytes;
    size_t size, used = 0;
    if (apx_file_read(from, 1 << 28, &bytes, &size, NULL) != APX_OK)
        fail(from, "cannot be read");
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, (uint8_t *)bytes);
    char *data = malloc(size);
    snprintf(location, sizeof location, "%s.data", name);
    for (size_t i = 0; i < model->graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = model->graph->initializer[i];
        if (!tensor->has_raw_data)
            continue;
        const char *keys[] = {"location", "offset"};
        char offset[32];
        snprintf(offset, sizeof offset, "%zu", used);
        memcpy(data + used, tensor->raw_data.data, tensor->raw_data.len);
        used += tensor->raw_data.len;
        free(tensor->raw_data.data);
        tensor->raw_data = (ProtobufCBinaryData){0};
        tensor->has_raw_data = 0;
        tensor->has_data_location = 1;
        tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
        tensor->n_external_data = 2;
        tensor->external_data = malloc(2 * sizeof *tensor->external_data);
        for (int k = 0; k < 2; k++) {
            Onnx__StringStringEntryProto *entry = malloc(sizeof *entry);
            onnx__string_string_entry_proto__init(entry);
            entry->key = strdup(keys[k]);
            entry->value = strdup(k == 0 ? location : offset);
            tensor->external_data[k] = entry;
        }
    }
    if (used == 0)
        fail(from, "has no weights to move");
    write_file(directory, name, ".data", data, used);
    uint8_t *packed = malloc(onnx__model_proto__get_packed_size(model));
    write_file(directory, name, ".onnx", packed, onnx__model_proto__pack(model, packed));
    free(packed);
    free(data);
    free(bytes);
    onnx__model_proto__free_unpacked(model, NULL);
}

static void add_dense(struct apx_onnx *m, int input, int output, const char *x, const char *y)
{
    char name[32];
    float *w = malloc((size_t)(input * output) * sizeof *w);
    for (int i = 0; i < input * output; i++)
        w[i] = (float)((i * 37 + 11) % 101 - 50) / 250.0f;
    snprintf(name, sizeof name, "%s_w", y);
    apx_onnx_tensor(m, name, APX_F32, 2, (int64_t[]){input, output}, w);
    apx_onnx_node(m, "", "MatMul", y, (const char *const[]){x, name}, 2, &y, 1);
    free(w);
}

/* x [rows, 5, 20] -> LSTM of 8 units -> y: its input is wide enough for int8, if rows tell its
 * scale.
 */
static void write_lstm(const char *path)
{
    enum { INPUT = 20, UNITS = 8, GATES = 4 * UNITS };
    struct apx_onnx *m = apx_onnx_create("lstm");
    const char *dims[3] = {"rows", "5", "20"}, *in[] = {"t", "w", "r"}, *out[] = {"", "h"};
    const char *x = "x", *h = "h", *t = "t", *y = "y";
    float w[GATES * INPUT], r[GATES * UNITS];
    for (int i = 0; i < GATES * INPUT; i++)
        w[i] = (float)((i * 37 + 11) % 101 - 50) / 250.0f;
    for (int i = 0; i < GATES * UNITS; i++)
        r[i] = (float)((i * 53 + 29) % 101 - 50) / 250.0f;
    apx_onnx_opset(m, "", 17);
    apx_onnx_input(m, x, APX_F32, 3, dims);
    dims[0] = "1";
    dims[1] = "rows";
    dims[2] = "8";
    apx_onnx_output(m, y, APX_F32, 3, dims);
    apx_onnx_tensor(m, "w", APX_F32, 3, (int64_t[]){1, GATES, INPUT}, w);
    apx_onnx_tensor(m, "r", APX_F32, 3, (int64_t[]){1, GATES, UNITS}, r);
    apx_onnx_node(m, "", "Transpose", "", &x, 1, &t, 1);
    apx_onnx_ints(m, "perm", (int64_t[]){1, 0, 2}, 3);
    apx_onnx_node(m, "", "LSTM", "layer", in, 3, out, 2);
    apx_onnx_int(m, "hidden_size", UNITS);
    apx_onnx_node(m, "", "Identity", "", &h, 1, &y, 1);
    if (apx_onnx_write(m, path, NULL) != APX_OK)
        fail(path, "cannot be written");
    apx_onnx_destroy(m);
}

static void write_classes(const char *path)
{
    static const char *const words[] = {"", " two words", "a,b"};
    struct apx_onnx *m = apx_onnx_create("classes");
    float scores[3 * 64], none[3] = {0, 0, 0};
    for (int i = 0; i < 3 * 64; i++)
        scores[i] = (float)((i * 29 + 7) % 89 - 44) / 100.0f;
    apx_onnx_opset(m, "", 17);
    apx_onnx_opset(m, "ai.onnx.ml", 3);
    apx_onnx_input(m, "x", APX_F32, 2, (const char *const[]){"rows", "40"});
    apx_onnx_output(m, "label", APX_F32, 0, NULL); /* what it is follows from the operator */
    apx_onnx_output(m, "scores", APX_F32, 2, (const char *const[]){"rows", "3"});
    add_dense(m, 40, 64, "x", "first");
    apx_onnx_node(m, "ai.onnx.ml", "LinearClassifier", "", (const char *const[]){"first"}, 1,
                  (const char *const[]){"label", "scores"}, 2);
    apx_onnx_floats(m, "coefficients", scores, 3 * 64);
    apx_onnx_floats(m, "intercepts", none, 3);
    apx_onnx_texts(m, "classlabels_strings", words, 3);
    if (apx_onnx_write(m, path, NULL) != APX_OK)
        fail(path, "cannot be written");
    apx_onnx_destroy(m);
}

static void write_dense(const char *path)
{
    struct apx_onnx *m = apx_onnx_create("dense");
    const char *dims[2] = {"rows", "40"}, *out = "r";
    apx_onnx_opset(m, "", 17);
    apx_onnx_input(m, "x", APX_F32, 2, dims);
    dims[1] = "2";
    apx_onnx_output(m, "y", APX_F32, 2, dims);
    add_dense(m, 40, 64, "x", "first");
    apx_onnx_node(m, "", "Relu", "", (const char *const[]){"first"}, 1, &out, 1);
    add_dense(m, 64, 48, "r", "second");
    add_dense(m, 48, 2, "second", "y");
    if (apx_onnx_write(m, path, NULL) != APX_OK)
        fail(path, "cannot be written");
    apx_onnx_destroy(m);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "unpack") == 0) {
        unpack(argv[2], argv[3]);
    } else if (argc == 5 && strcmp(argv[1], "near") == 0) {
        near(argv[2], argv[3], argv[4]);
    } else if (argc > 4 && argc - 4 <= APX_MAX_RANK && strcmp(argv[1], "fill") == 0) {
        struct apx_tensor tensor = {.dtype = APX_F32, .rank = argc - 4, .bytes = 4};
        for (int i = 0; i < tensor.rank; i++)
            tensor.bytes *= (size_t)(tensor.dims[i] = atoll(argv[4 + i]));
        float *x = tensor.data = malloc(tensor.bytes + 1);
        for (size_t i = 0; i < tensor.bytes / 4; i++)
            x[i] = (float)atof(argv[3]);
        if (apx_npy_write(argv[2], &tensor, NULL) != APX_OK)
            fail(argv[2], "cannot be written");
        free(x);
    } else if (argc == 3 && strcmp(argv[1], "dense") == 0) {
        write_dense(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "classes") == 0) {
        write_classes(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "lstm") == 0) {
        write_lstm(argv[2]);
    } else if (argc == 5 && strcmp(argv[1], "external") == 0) {
        move_weights(argv[2], argv[3], argv[4]);
    } else if (argc == 4 && strcmp(argv[1], "wide") == 0) {
        struct apx_tensor tensor;
        if (apx_npy_read(argv[2], &tensor, NULL) != APX_OK)
            fail(argv[2], "cannot be read");
        size_t count = tensor.bytes / 4;
        double *wide = malloc(count * sizeof *wide + 1);
        for (size_t i = 0; i < count; i++)
            wide[i] = element(&tensor, i);
        free(tensor.data);
        tensor.dtype = APX_F64;
        tensor.data = wide;
        if (apx_npy_write(argv[3], &tensor, NULL) != APX_OK)
            fail(argv[3], "cannot be written");
        free(wide);
    } else {
        fail("usage",
             "unpack NAME DIR | near A B TOLERANCE | fill FILE VALUE DIM... | wide FROM TO | "
             "external FROM DIR NAME");
    }
    return 0;
}
