/* SPDX-License-Identifier: Apache-2.0 */
/* model_case.h - small models for tests of the reader and of inference, in one line each.
 *
 *     struct apx_onnx *m = case_begin(13, "x:f[b,4]", "y");     inputs, outputs (declared float32)
 *     case_node(m, "Add", "x w", "y");                          names; "-" leaves an input out
 *     CHECK_STR(case_infer(m, "y"), "float32[b,4]");            or "APX_EFORMAT Add: ..." on
 * failure
 */
#ifndef APX_TESTS_MODEL_CASE_H
#define APX_TESTS_MODEL_CASE_H

#include "runtime/base/memory.h"
#include "runtime/model/infer.h"
#include "runtime/model/onnx_read.h"
#include "runtime/onnx_build.h"
#include "tests/harness/check.h"

#include <stdarg.h>

static char case_text[1024];
static struct apx_graph *case_graph; /* of the last case; destroyed by the next */

static inline enum apx_dtype case_dtype(char letter)
{
    switch (letter) {
    case 'd':
        return APX_F64;
    case 'i':
        return APX_I32;
    case 'l':
        return APX_I64;
    case 'b':
        return APX_BOOL;
    case 's':
        return APX_STRING;
    case 'u':
        return APX_U8;
    case 'c':
        return APX_I8;
    default:
        return APX_F32;
    }
}

/* "name:f[b,4]" -> an input. */
static inline void case_input(struct apx_onnx *onnx, const char *text)
{
    char name[64], dims[64];
    char letter = 'f';
    const char *list[APX_MAX_RANK + 4];
    int rank = 0;
    dims[0] = '\0';
    REQUIRE(sscanf(text, "%63[^:]:%c[%63[^]]", name, &letter, dims) >= 2);
    for (char *save, *at = strtok_r(dims, ",", &save); at != NULL; at = strtok_r(NULL, ",", &save))
        list[rank++] = strcmp(at, "?") == 0 ? "" : at;
    apx_onnx_input(onnx, name, case_dtype(letter), rank, list);
}

/* Words of `text` into list[16]; "-" becomes "". `room` holds the text. */
static inline int case_words(const char *text, char *room, size_t size, const char **list)
{
    int count = 0;
    snprintf(room, size, "%s", text);
    for (char *save, *at = strtok_r(room, " ", &save); at != NULL && count < 16;
         at = strtok_r(NULL, " ", &save))
        list[count++] = strcmp(at, "-") == 0 ? "" : at;
    return count;
}

static inline struct apx_onnx *case_begin(int64_t opset, const char *inputs, const char *outputs)
{
    struct apx_onnx *onnx = apx_onnx_create("case");
    char room[512];
    const char *list[16];
    REQUIRE(onnx != NULL);
    apx_onnx_opset(onnx, "", opset);
    apx_onnx_opset(onnx, "ai.onnx.ml", 3);
    int count = case_words(inputs, room, sizeof room, list);
    for (int i = 0; i < count; i++)
        case_input(onnx, list[i]);
    count = case_words(outputs, room, sizeof room, list);
    for (int i = 0; i < count; i++)
        apx_onnx_output(onnx, list[i], APX_F32, 0, NULL);
    return onnx;
}

static inline void case_node_of(struct apx_onnx *onnx, const char *domain, const char *op,
                                const char *inputs, const char *outputs)
{
    char in_room[512], out_room[512];
    const char *in[16], *out[16];
    int in_count = case_words(inputs, in_room, sizeof in_room, in);
    int out_count = case_words(outputs, out_room, sizeof out_room, out);
    apx_onnx_node(onnx, domain, op, op, in, in_count, out, out_count);
}

static inline void case_node(struct apx_onnx *onnx, const char *op, const char *inputs,
                             const char *outputs)
{
    case_node_of(onnx, "", op, inputs, outputs);
}

/* A list of int64, or a single number if count is 0. */
static inline void case_ints(struct apx_onnx *onnx, const char *name, int count, ...)
{
    int64_t values[16], dims[1] = {count};
    va_list arguments;
    va_start(arguments, count);
    for (int i = 0; i < (count > 0 ? count : 1); i++)
        values[i] = va_arg(arguments, long long);
    va_end(arguments);
    apx_onnx_tensor(onnx, name, APX_I64, count > 0, dims, values);
}

/* A float32 tensor of these extents, all elements `value`. */
static inline void case_floats(struct apx_onnx *onnx, const char *name, float value, int rank, ...)
{
    int64_t dims[APX_MAX_RANK], elements = 1;
    va_list arguments;
    va_start(arguments, rank);
    for (int i = 0; i < rank; i++)
        elements *= dims[i] = va_arg(arguments, int);
    va_end(arguments);
    float *data = malloc((size_t)elements * sizeof *data + 1);
    REQUIRE(data != NULL);
    for (int64_t i = 0; i < elements; i++)
        data[i] = value;
    apx_onnx_tensor(onnx, name, APX_F32, rank, dims, data);
    free(data);
}

/* The value called `name` in case_graph, or NULL. */
static inline const struct apx_value *case_value(const char *name)
{
    for (int v = 0; case_graph != NULL && v < case_graph->value_count; v++)
        if (strcmp(case_graph->values[v].name, name) == 0)
            return &case_graph->values[v];
    return NULL;
}

/* "float32[b,4]", then "={...}" if its elements are followed and "=all 0" if it is filled. */
static inline const char *case_show(const char *name)
{
    const struct apx_value *value = case_value(name);
    size_t used = 0;
    if (value == NULL)
        return "no such value";
    char *to = case_text;
    size_t size = sizeof case_text;
    used += (size_t)snprintf(to, size, "%s[", apx_dtype_name(value->dtype));
    for (int d = 0; d < value->rank; d++) {
        char dim[64];
        apx_dim_format(&value->dims[d], case_graph->symbols, dim, sizeof dim);
        used += (size_t)snprintf(to + used, size - used, "%s%s", d > 0 ? "," : "", dim);
    }
    used += (size_t)snprintf(to + used, size - used, "]");
    if (value->elems != NULL)
        used += (size_t)snprintf(to + used, size - used, "=");
    for (int e = 0; value->elems != NULL && e < value->elem_count; e++) {
        char elem[64];
        apx_dim_format(&value->elems[e], case_graph->symbols, elem, sizeof elem);
        used += (size_t)snprintf(to + used, size - used, "%s%s", e > 0 ? " " : "", elem);
    }
    if (value->is_filled && value->elems == NULL)
        snprintf(to + used, size - used, "=all %g", value->fill);
    return case_text;
}

/* Writes, reads and infers the model, releases the builder; then case_show(name), or the error as
 * "APX_EFORMAT node: message". */
static inline const char *case_infer(struct apx_onnx *onnx, const char *name)
{
    struct apx_error error = {0};
    void *data = NULL;
    size_t bytes = 0;
    apx_graph_destroy(case_graph);
    case_graph = NULL;
    enum apx_status status = apx_onnx_write_memory(onnx, &data, &bytes, &error);
    apx_onnx_destroy(onnx);
    if (status == APX_OK)
        status = apx_onnx_read(data, bytes, NULL, NULL, &case_graph, &error);
    free(data);
    if (status == APX_OK)
        status = apx_graph_infer(case_graph, &error);
    if (status == APX_OK)
        return case_show(name);
    snprintf(case_text, sizeof case_text, "%s %s: %s", apx_status_name(status), error.field,
             error.message);
    return case_text;
}

static inline void case_end(void)
{
    apx_graph_destroy(case_graph);
    case_graph = NULL;
}

#endif
