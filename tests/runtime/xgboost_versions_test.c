/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_versions_test.c - files that XGBoost's versions from 1.0 to 3.4 wrote
 * (tests/interop/xgboost_versions.py): leaves and margins are the library's, to the bit. */
#include "runtime/auspex.h"
#include "tests/harness/check.h"

#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/golden/xgboost/"

static struct {
    size_t rows, features;
    float *x;
} given;

/* The model's only output for the rows given, in memory of the caller's. */
static void *output_of(const char *path, const char *trees, struct apx_tensor *out)
{
    struct apx_model *model;
    struct apx_session *session;
    struct apx_error error = {0};
    const struct apx_load_options options = {.size = sizeof options, .trees = trees};
    const struct apx_session_options one = {.size = sizeof one, .threads = 1};
    if (apx_model_load(path, &options, &model, &error) != APX_OK)
        fprintf(stderr, "    %s: %s\n", path, error.message);
    REQUIRE(error.message[0] == '\0');
    REQUIRE(apx_session_create(model, &one, &session, &error) == APX_OK);
    const struct apx_tensor in = {.dtype = APX_F32,
                                  .rank = 2,
                                  .dims = {(int64_t)given.rows, (int64_t)given.features},
                                  .data = given.x};
    *out = (struct apx_tensor){0};
    REQUIRE(apx_session_shape(session, &in, 1, out, 1, &error) == APX_OK);
    void *data = malloc(out->bytes);
    REQUIRE(data != NULL);
    out->data = data;
    CHECK_EQ(apx_session_run(session, &in, 1, out, 1, &error), APX_OK);
    apx_session_destroy(session);
    apx_model_destroy(model);
    return data;
}

static void check_model(FILE *expected, const char *file, size_t outputs, size_t trees)
{
    char path[256];
    struct apx_tensor margin, leaf;
    snprintf(path, sizeof path, FOLDER "%s", file);
    float *margins = output_of(path, "margin", &margin);
    int32_t *leaves = output_of(path, "leaf", &leaf);
    REQUIRE(margin.dtype == APX_F32 && margin.dims[1] == (int64_t)outputs);
    REQUIRE(leaf.dtype == APX_I32 && leaf.dims[1] == (int64_t)trees);
    int wrong = 0;
    for (size_t n = 0; n < given.rows; n++) {
        for (size_t k = 0; k < outputs; k++) {
            float want;
            REQUIRE(fscanf(expected, "%f", &want) == 1);
            wrong += want != margins[n * outputs + k];
        }
        for (size_t t = 0; t < trees; t++) {
            int want;
            REQUIRE(fscanf(expected, "%d", &want) == 1);
            wrong += want != leaves[n * trees + t];
        }
    }
    if (!CHECK(wrong == 0))
        fprintf(stderr, "    %s: %d of %zu numbers\n", file, wrong, given.rows * (outputs + trees));
    free(margins);
    free(leaves);
}

static void answers_as_the_library(void)
{
    FILE *expected = fopen(FOLDER "expected.txt", "r");
    REQUIRE(expected != NULL);
    REQUIRE(fscanf(expected, "rows %zu %zu", &given.rows, &given.features) == 2);
    given.x = malloc(given.rows * given.features * sizeof *given.x);
    REQUIRE(given.x != NULL);
    for (size_t i = 0; i < given.rows * given.features; i++)
        REQUIRE(fscanf(expected, "%f", &given.x[i]) == 1);
    int models = 0;
    char file[128];
    size_t outputs, trees;
    for (; fscanf(expected, " model %127s %zu %zu", file, &outputs, &trees) == 3; models++)
        check_model(expected, file, outputs, trees);
    CHECK_EQ(models, 18);
    free(given.x);
    fclose(expected);
}

int main(void)
{
    RUN(answers_as_the_library);
    return check_report();
}
