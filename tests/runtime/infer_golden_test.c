/* SPDX-License-Identifier: Apache-2.0 */
/* infer_golden_test.c - the extents and types that inference gives for models of other programs,
 * against the outputs that ONNX Runtime computed (tests/golden/manifest.json). */
#include "runtime/base/memory.h"
#include "runtime/model/onnx_read.h"
#include "tests/harness/check.h"

#include <jansson.h>

static const char *const golden = "tests/golden";

static struct apx_graph *load(const char *name, struct apx_error *error)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", golden, name);
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL && fseek(file, 0, SEEK_END) == 0);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    void *data = malloc(bytes);
    REQUIRE(data != NULL && fread(data, 1, bytes, file) == bytes);
    fclose(file);
    struct apx_graph *graph = NULL;
    enum apx_status status = apx_onnx_read(data, bytes, golden, NULL, &graph, error);
    free(data);
    if (status == APX_OK && apx_graph_infer(graph, error) != APX_OK) {
        apx_graph_destroy(graph);
        graph = NULL;
    }
    return graph;
}

/* Fits `value` to the golden tensor: types equal, fixed extents equal; free ones set symbols[] if
 * `binds`, and must give the golden extent if not. */
static bool fits(const struct apx_value *value, const json_t *tensor, int64_t *symbols, bool binds)
{
    const json_t *dims = json_object_get(tensor, "dims");
    if (strcmp(apx_dtype_name(value->dtype), json_string_value(json_object_get(tensor, "dtype"))) !=
            0 ||
        (size_t)value->rank != json_array_size(dims))
        return false;
    for (int d = 0; d < value->rank; d++) {
        int64_t wanted = json_integer_value(json_array_get(dims, (size_t)d)), extent;
        int symbol;
        if (binds && apx_dim_is_symbol(&value->dims[d], &symbol))
            symbols[symbol] = wanted;
        if (!apx_dim_evaluate(&value->dims[d], symbols, &extent) || extent != wanted)
            return false;
    }
    return true;
}

static int sets_checked;

static void check_model(const json_t *model)
{
    const char *name = json_string_value(json_object_get(model, "name"));
    struct apx_error error = {0};
    struct apx_graph *graph = load(json_string_value(json_object_get(model, "model")), &error);
    if (graph == NULL) {
        /* What this build lacks is refused as such, by name; nothing else may be refused. */
        printf("     %s: %s\n", name, error.message);
        CHECK_EQ(error.status, APX_EUNSUPPORTED);
        return;
    }
    size_t s, i;
    json_t *set, *tensor;
    json_array_foreach (json_object_get(model, "sets"), s, set) {
        int64_t symbols[APX_MAX_SYMBOLS] = {0};
        bool ok = true;
        const json_t *inputs = json_object_get(set, "inputs");
        const json_t *outputs = json_object_get(set, "outputs");
        ok = json_array_size(inputs) == (size_t)graph->input_count &&
             json_array_size(outputs) <= (size_t)graph->output_count;
        json_array_foreach (inputs, i, tensor)
            ok = ok && fits(&graph->values[graph->inputs[i]], tensor, symbols, true);
        json_array_foreach (outputs, i, tensor)
            ok = ok && fits(&graph->values[graph->outputs[i]], tensor, symbols, false);
        if (!check_that(ok, __FILE__, __LINE__, "extents are those of ONNX Runtime"))
            fprintf(stderr, "    %s, set %zu\n", name, s);
        sets_checked++;
    }
    apx_graph_destroy(graph);
}

static void extents_are_those_of_onnx_runtime(void)
{
    char path[512];
    json_error_t problem;
    size_t i;
    json_t *model;
    snprintf(path, sizeof path, "%s/manifest.json", golden);
    json_t *manifest = json_load_file(path, 0, &problem);
    REQUIRE(manifest != NULL);
    json_array_foreach (json_object_get(manifest, "models"), i, model)
        check_model(model);
    printf("     %zu models, %d sets\n", i, sets_checked);
    CHECK(sets_checked > 250);
    json_decref(manifest);
}

int main(void)
{
    RUN(extents_are_those_of_onnx_runtime);
    return check_report();
}
