/* SPDX-License-Identifier: Apache-2.0 */
/* Replays tests/golden/manifest.json: models of other programs, with the outputs that ONNX Runtime
 * (or a float64 reference) gave. Each set runs on one thread, on three with slices of two rows, and
 * with the kernels of each instruction set; all of these must agree to the last bit. With names as
 * arguments only those models run; with -v each model's largest error is told. */
#include <jansson.h>

#include "runtime/auspex.h"
#include "runtime/base/file.h"
#include "tests/harness/check.h"

#define FOLDER "tests/golden/"
#define MOST   16 /* tensors of a model */

/* A word above what this processor has means the best that it has. */
static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512vnni", "avx512vbmi"};
#define ISAS (sizeof isas / sizeof isas[0])

static bool is_verbose;

static enum apx_dtype dtype_of(const char *word)
{
    for (int i = 1; i < APX_STRING; i++)
        if (strcmp(apx_dtype_name((enum apx_dtype)i), word) == 0)
            return (enum apx_dtype)i;
    return APX_DTYPE_NONE;
}

static struct apx_tensor tensor_of(const json_t *json, char *data)
{
    struct apx_tensor tensor = {.dtype =
                                    dtype_of(json_string_value(json_object_get(json, "dtype")))};
    const json_t *dims = json_object_get(json, "dims");
    tensor.rank = (int)json_array_size(dims);
    tensor.bytes = apx_dtype_size(tensor.dtype);
    for (int i = 0; i < tensor.rank; i++) {
        tensor.dims[i] = json_integer_value(json_array_get(dims, (size_t)i));
        tensor.bytes *= (size_t)tensor.dims[i];
    }
    tensor.data = data + json_integer_value(json_object_get(json, "offset"));
    return tensor;
}

static double element(const struct apx_tensor *tensor, size_t i)
{
    switch (tensor->dtype) {
    case APX_F32:
        return (double)((const float *)tensor->data)[i];
    case APX_F64:
        return ((const double *)tensor->data)[i];
    case APX_I64:
        return (double)((const int64_t *)tensor->data)[i];
    case APX_I32:
        return (double)((const int32_t *)tensor->data)[i];
    default:
        return (double)((const uint8_t *)tensor->data)[i];
    }
}

/* Largest error relative to max(1, |expected|); infinite if shapes or NaNs differ. */
static double largest_error(const struct apx_tensor *got, const struct apx_tensor *expected)
{
    double most = 0;
    if (got->dtype != expected->dtype || got->rank != expected->rank ||
        memcmp(got->dims, expected->dims, (size_t)got->rank * sizeof got->dims[0]) != 0)
        return INFINITY;
    size_t count = expected->bytes / apx_dtype_size(expected->dtype);
    for (size_t i = 0; i < count; i++) {
        double a = element(got, i), b = element(expected, i);
        if ((isnan(a) && isnan(b)) || a == b)
            continue;
        double error = fabs(a - b) / fmax(1, fabs(b));
        most = error > most || isnan(error) ? (isnan(error) ? INFINITY : error) : most;
    }
    return most;
}

static void report(const char *name, const char *what, const struct apx_error *error)
{
    fprintf(stderr, "%s: %s: %s\n", name, what, error->message);
}

/* Runs one set; results are malloc'ed into outputs[count]. */
static bool run_set(const char *name, const struct apx_model *model, int threads, size_t slice_rows,
                    const struct apx_tensor *inputs, size_t input_count, struct apx_tensor *outputs,
                    size_t output_count)
{
    struct apx_session_options options = {.threads = threads, .slice_rows = slice_rows};
    struct apx_session *session;
    struct apx_error error = {0};
    memset(outputs, 0, output_count * sizeof *outputs);
    if (!CHECK(apx_session_create(model, &options, &session, &error) == APX_OK)) {
        report(name, "session", &error);
        return false;
    }
    bool ok =
        apx_session_shape(session, inputs, input_count, outputs, output_count, &error) == APX_OK;
    for (size_t i = 0; i < output_count && ok; i++) {
        outputs[i].data = malloc(outputs[i].bytes + 1);
        memset(outputs[i].data, 0x7f, outputs[i].bytes);
    }
    ok = ok &&
         apx_session_run(session, inputs, input_count, outputs, output_count, &error) == APX_OK;
    if (!CHECK(ok))
        report(name, "run", &error);
    apx_session_destroy(session);
    return ok;
}

static void release(struct apx_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(tensors[i].data);
}

/* Bit for bit: dtype and extents follow from the model. */
static bool are_same(const struct apx_tensor *a, const struct apx_tensor *b)
{
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* The words of a label are those of the manifest, in its order; without any there are none. */
static void check_classes(const struct apx_tensor_info *info, const json_t *expected)
{
    const json_t *classes = json_object_get(expected, "classes");
    REQUIRE(info->class_count == json_array_size(classes));
    CHECK((info->classes != NULL) == (classes != NULL));
    for (size_t i = 0; i < info->class_count; i++)
        CHECK_STR(info->classes[i], json_string_value(json_array_get(classes, i)));
}

/* models[0] has this processor's best kernels, the others those of one word of `isas` each. */
static void check_set(const char *name, struct apx_model *const *models, const json_t *set,
                      char *data, double tolerance)
{
    const json_t *ins = json_object_get(set, "inputs"), *outs = json_object_get(set, "outputs");
    size_t input_count = json_array_size(ins), output_count = json_array_size(outs);
    struct apx_tensor inputs[MOST], expected[MOST], one[MOST], other[MOST];
    for (size_t i = 0; i < input_count; i++)
        inputs[i] = tensor_of(json_array_get(ins, i), data);
    for (size_t i = 0; i < output_count; i++)
        expected[i] = tensor_of(json_array_get(outs, i), data);
    REQUIRE(apx_model_output_count(models[0]) == output_count);
    for (size_t i = 0; i < output_count; i++)
        check_classes(apx_model_output(models[0], i), json_array_get(outs, i));
    if (run_set(name, models[0], 1, 0, inputs, input_count, one, output_count)) {
        for (size_t i = 0; i < output_count; i++) {
            double error = largest_error(&one[i], &expected[i]);
            if (is_verbose || error > tolerance)
                fprintf(stderr, "%s output %zu: error %.3g\n", name, i, error);
            CHECK(error <= tolerance);
        }
        if (run_set(name, models[0], 3, 2, inputs, input_count, other, output_count))
            for (size_t i = 0; i < output_count; i++)
                CHECK(are_same(&other[i], &one[i]));
        release(other, output_count);
        for (size_t k = 0; k < ISAS; k++) {
            if (run_set(name, models[1 + k], 1, 0, inputs, input_count, other, output_count))
                for (size_t i = 0; i < output_count; i++)
                    if (!CHECK(are_same(&other[i], &one[i])))
                        fprintf(stderr, "    %s output %zu: %s\n", name, i, isas[k]);
            release(other, output_count);
        }
    }
    release(one, output_count);
}

static void check_model(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    char path[256];
    struct apx_model *models[1 + ISAS] = {0};
    struct apx_error error = {0};
    char *data = NULL;
    size_t bytes;
    snprintf(path, sizeof path, FOLDER "%s", json_string_value(json_object_get(entry, "model")));
    if (!CHECK(apx_model_load(path, NULL, &models[0], &error) == APX_OK)) {
        report(name, "load", &error);
        return;
    }
    for (size_t k = 0; k < ISAS; k++) {
        struct apx_load_options options = {.isa = isas[k]};
        REQUIRE(apx_model_load(path, &options, &models[1 + k], &error) == APX_OK);
    }
    snprintf(path, sizeof path, FOLDER "%s", json_string_value(json_object_get(entry, "data")));
    REQUIRE(apx_file_read(path, (size_t)1 << 30, &data, &bytes, &error) == APX_OK);
    double tolerance = json_number_value(json_object_get(entry, "tolerance"));
    const json_t *sets = json_object_get(entry, "sets");
    for (size_t i = 0; i < json_array_size(sets); i++)
        check_set(name, models, json_array_get(sets, i), data, tolerance);
    char *text = NULL;
    if (CHECK(apx_model_describe(models[0], &text, &error) == APX_OK))
        CHECK_HAS(text, "\"steps\"");
    apx_string_release(text);
    for (size_t k = 0; k <= ISAS; k++)
        apx_model_destroy(models[k]);
    free(data);
}

int main(int argc, char **argv)
{
    json_error_t reason;
    json_t *manifest = json_load_file(FOLDER "manifest.json", 0, &reason);
    REQUIRE(manifest != NULL);
    const json_t *models = json_object_get(manifest, "models");
    size_t count = json_array_size(models), run = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(models, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        bool is_asked = false, is_any_asked = false;
        for (int k = 1; k < argc; k++) {
            const bool is_option = strcmp(argv[k], "-v") == 0;
            is_verbose |= is_option;
            is_any_asked |= !is_option;
            is_asked |= strcmp(argv[k], name) == 0;
        }
        if (is_any_asked && !is_asked)
            continue;
        run++;
        int before = check_failures;
        check_model(entry);
        if (check_failures != before)
            printf("FAIL %s\n", name);
    }
    printf("%zu models\n", run);
    CHECK(run > 0); /* a name that no model has */
    json_decref(manifest);
    return check_report();
}
