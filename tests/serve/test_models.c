/* SPDX-License-Identifier: Apache-2.0 */
/* test_models.c - see the header. */
#include "tests/serve/test_models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/onnx_build.h"

static void must(enum apx_status status, const struct apx_error *error)
{
    if (status == APX_OK)
        return;
    fprintf(stderr, "test model: %s: %s: %s\n", apx_status_name(status), error->field,
            error->message);
    exit(1);
}

static void add_weights(struct apx_onnx *onnx, const char *name, int rank, const int64_t *dims,
                        uint64_t *state)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)((double)(*state >> 40) / (1 << 24) - 0.5) * 0.5f;
    }
    apx_onnx_tensor(onnx, name, APX_F32, rank, dims, values);
    free(values);
}

static const char *decimal(char text[24], int value)
{
    snprintf(text, 24, "%d", value);
    return text;
}

void test_model_write(const struct test_model *model, const char *path)
{
    char features[24], steps[24], hidden[24], dense[24];
    const char *rows = model->fixed_rows ? "3" : "rows";
    const int64_t h = model->hidden, f = model->features;
    uint64_t state = model->seed;
    struct apx_onnx *onnx = apx_onnx_create("test");
    apx_onnx_opset(onnx, "", 17);
    const char *in_dims[] = {rows, model->steps > 0 ? decimal(steps, model->steps) : "steps",
                             decimal(features, model->features)};
    apx_onnx_input(onnx, "window", APX_F32, 3, in_dims);
    if (model->lengths)
        apx_onnx_input(onnx, "lengths", APX_I32, 1, in_dims);
    apx_onnx_tensor(onnx, "axis0", APX_I64, 1, (int64_t[]){1}, (int64_t[]){0});
    apx_onnx_node(onnx, "", "Transpose", "steps_first", (const char *[]){"window"}, 1,
                  (const char *[]){"x"}, 1);
    apx_onnx_ints(onnx, "perm", (int64_t[]){1, 0, 2}, 3);
    add_weights(onnx, "w", 3, (int64_t[]){1, 4 * h, f}, &state);
    add_weights(onnx, "r", 3, (int64_t[]){1, 4 * h, h}, &state);
    add_weights(onnx, "b", 2, (int64_t[]){1, 8 * h}, &state);
    apx_onnx_node(onnx, "", "LSTM", "lstm",
                  (const char *[]){"x", "w", "r", "b", model->lengths ? "lengths" : ""},
                  model->lengths ? 5 : 4, (const char *[]){"", "last"}, 2);
    apx_onnx_int(onnx, "hidden_size", h);
    apx_onnx_node(onnx, "", "Squeeze", "squeeze", (const char *[]){"last", "axis0"}, 2,
                  (const char *[]){"state"}, 1);
    if (model->dense > 0) {
        add_weights(onnx, "dw", 2, (int64_t[]){model->dense, h}, &state);
        add_weights(onnx, "db", 1, (int64_t[]){model->dense}, &state);
        apx_onnx_node(onnx, "", "Gemm", "dense", (const char *[]){"state", "dw", "db"}, 3,
                      (const char *[]){"forecast"}, 1);
        apx_onnx_int(onnx, "transB", 1);
        apx_onnx_output(onnx, "forecast", APX_F32, 2,
                        (const char *[]){rows, decimal(dense, model->dense)});
    }
    apx_onnx_output(onnx, "state", APX_F32, 2,
                    (const char *[]){rows, decimal(hidden, model->hidden)});
    struct apx_error error;
    must(apx_onnx_write(onnx, path, &error), &error);
    apx_onnx_destroy(onnx);
}

void test_model_sum(const char *path, int features, enum apx_dtype dtype)
{
    char text[24];
    struct apx_onnx *onnx = apx_onnx_create("sum");
    float *weights = malloc((size_t)features * 2 * sizeof *weights);
    for (int i = 0; i < features * 2; i++)
        weights[i] = i % 2 == 0 ? 1 : -1;
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_input(onnx, "x", dtype, 2, (const char *[]){"rows", decimal(text, features)});
    apx_onnx_output(onnx, "y", dtype, 2, (const char *[]){"rows", "2"});
    apx_onnx_tensor(onnx, "w", APX_F32, 2, (int64_t[]){features, 2}, weights);
    enum { ONNX_FLOAT = 1, ONNX_DOUBLE = 11 };
    bool casts = dtype == APX_F64;
    if (casts) {
        apx_onnx_node(onnx, "", "Cast", "narrow", (const char *[]){"x"}, 1, (const char *[]){"x32"},
                      1);
        apx_onnx_int(onnx, "to", ONNX_FLOAT);
    }
    apx_onnx_node(onnx, "", "MatMul", "sum", (const char *[]){casts ? "x32" : "x", "w"}, 2,
                  (const char *[]){casts ? "y32" : "y"}, 1);
    if (casts) {
        apx_onnx_node(onnx, "", "Cast", "widen", (const char *[]){"y32"}, 1, (const char *[]){"y"},
                      1);
        apx_onnx_int(onnx, "to", ONNX_DOUBLE);
    }
    free(weights);
    struct apx_error error;
    must(apx_onnx_write(onnx, path, &error), &error);
    apx_onnx_destroy(onnx);
}

static struct apx_repo *open_repo(const char *repository)
{
    struct apx_repo *repo;
    struct apx_error error;
    must(apx_repo_open(repository, true, &repo, &error), &error);
    return repo;
}

int64_t test_repo_add(const char *repository, const char *name, const char *path)
{
    struct apx_repo *repo = open_repo(repository);
    struct apx_error error;
    int64_t version = 0;
    must(apx_repo_add(repo, name, path, NULL, &version, &error), &error);
    apx_repo_close(repo);
    return version;
}

void test_repo_promote(const char *repository, const char *name, int64_t version)
{
    static const struct apx_repo_move move = {"test", "test"};
    struct apx_repo *repo = open_repo(repository);
    struct apx_error error;
    must(apx_repo_promote(repo, name, version, &move, &error), &error);
    apx_repo_close(repo);
}

void test_repo_alias(const char *repository, const char *name, const char *alias, int64_t version)
{
    static const struct apx_repo_move move = {"test", "test"};
    struct apx_repo *repo = open_repo(repository);
    struct apx_error error;
    must(apx_repo_alias(repo, name, alias, version, &move, &error), &error);
    apx_repo_close(repo);
}

float *test_predict(const char *path, int output, const float *values, const int32_t *lengths,
                    int64_t rows, int64_t steps, int64_t features, int64_t *width)
{
    struct apx_model *model;
    struct apx_session *session;
    struct apx_error error;
    must(apx_model_load(path, NULL, &model, &error), &error);
    const struct apx_session_options options = {.size = sizeof options, .threads = 1};
    must(apx_session_create(model, &options, &session, &error), &error);
    size_t inputs = apx_model_input_count(model), outputs = apx_model_output_count(model);
    float *all = NULL;
    for (int64_t row = 0; row < rows; row++) {
        struct apx_tensor in[2], out[4];
        float x[16384];
        int32_t length = lengths != NULL ? lengths[row] : (int32_t)steps;
        int64_t row_floats = (steps > 0 ? steps : 1) * features;
        memcpy(x, values + row * row_floats, (size_t)row_floats * sizeof *x);
        memset(in, 0, sizeof in);
        memset(out, 0, sizeof out);
        in[0] = (struct apx_tensor){.dtype = APX_F32, .rank = 2, .dims = {1, features}, .data = x};
        if (steps > 0)
            in[0] = (struct apx_tensor){
                .dtype = APX_F32, .rank = 3, .dims = {1, steps, features}, .data = x};
        in[1] = (struct apx_tensor){.dtype = APX_I32, .rank = 1, .dims = {1}, .data = &length};
        must(apx_session_shape(session, in, inputs, out, outputs, &error), &error);
        *width = (int64_t)(out[output].bytes / sizeof(float));
        if (all == NULL)
            all = malloc((size_t)(rows * *width) * sizeof *all);
        out[output].data = all + row * *width;
        must(apx_session_run(session, in, inputs, out, outputs, &error), &error);
    }
    apx_session_destroy(session);
    apx_model_destroy(model);
    return all;
}
