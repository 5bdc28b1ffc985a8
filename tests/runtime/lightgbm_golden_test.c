/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_golden_test.c - models as five versions of LightGBM saved them, with what those versions
 * predicted: leaves equal, margins equal to the bit, predictions within two units in the last
 * place, through every instruction set of this machine. tests/interop/make_lightgbm_golden.py wrote
 * them and describes the files. */
#include "runtime/auspex.h"
#include "tests/harness/check.h"

#include <dirent.h>
#include <stdint.h>

#define FOLDER "tests/golden/lightgbm"

struct golden {
    char name[64];
    int64_t rows, features, outputs, trees;
    double *x, *margins, *predictions;
    int32_t *leaves;
};

static void *read_part(FILE *file, int64_t count, size_t size)
{
    void *data = malloc((size_t)count * size);
    REQUIRE(data != NULL && fread(data, size, (size_t)count, file) == (size_t)count);
    return data;
}

static void golden_read(struct golden *golden)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s.bin", golden->name);
    FILE *file = fopen(path, "rb");
    int64_t header[4];
    REQUIRE(file != NULL && fread(header, sizeof header[0], 4, file) == 4);
    golden->rows = header[0];
    golden->features = header[1];
    golden->outputs = header[2];
    golden->trees = header[3];
    golden->x = read_part(file, golden->rows * golden->features, sizeof(double));
    golden->margins = read_part(file, golden->rows * golden->outputs, sizeof(double));
    golden->predictions = read_part(file, golden->rows * golden->outputs, sizeof(double));
    golden->leaves = read_part(file, golden->rows * golden->trees, sizeof(int32_t));
    CHECK(fgetc(file) == EOF);
    fclose(file);
}

static void golden_fini(struct golden *golden)
{
    free(golden->x);
    free(golden->margins);
    free(golden->predictions);
    free(golden->leaves);
}

static bool near(double got, double want, int ulps)
{
    for (; ulps > 0 && got < want; ulps--)
        got = nextafter(got, (double)INFINITY);
    for (; ulps > 0 && got > want; ulps--)
        got = nextafter(got, -(double)INFINITY);
    return got == want;
}

/* Output of one kind; the caller frees it. */
static void *run(const struct golden *golden, const char *isa, const char *trees,
                 enum apx_dtype dtype, int64_t columns)
{
    char path[128];
    struct apx_model *model;
    struct apx_session *session;
    struct apx_error error;
    struct apx_load_options options = {.size = sizeof options, .isa = isa, .trees = trees};
    struct apx_session_options one = {.size = sizeof one, .threads = 1};
    snprintf(path, sizeof path, FOLDER "/%s.txt", golden->name);
    if (!CHECK(apx_model_load(path, &options, &model, &error) == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
    REQUIRE(model != NULL && apx_session_create(model, &one, &session, &error) == APX_OK);
    struct apx_tensor in = {
        .dtype = APX_F64, .rank = 2, .dims = {golden->rows, golden->features}, .data = golden->x};
    struct apx_tensor out = {0};
    CHECK_EQ(apx_session_shape(session, &in, 1, &out, 1, &error), APX_OK);
    REQUIRE(out.dtype == dtype && out.rank == 2 && out.dims[0] == golden->rows &&
            out.dims[1] == columns);
    out.data = malloc(out.bytes);
    REQUIRE(out.data != NULL);
    CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_OK);
    apx_session_destroy(session);
    apx_model_destroy(model);
    return out.data;
}

static void compare(const struct golden *golden, const char *isa)
{
    int32_t *leaves = run(golden, isa, "leaf", APX_I32, golden->trees);
    double *margins = run(golden, isa, "margin", APX_F64, golden->outputs);
    double *predictions = run(golden, isa, NULL, APX_F64, golden->outputs);
    const size_t values = (size_t)(golden->rows * golden->outputs);
    bool equal = memcmp(leaves, golden->leaves,
                        (size_t)(golden->rows * golden->trees) * sizeof *leaves) == 0;
    if (!CHECK(equal))
        fprintf(stderr, "    leaves of %s\n", golden->name);
    for (size_t i = 0; i < values; i++)
        if (!CHECK(near(margins[i], golden->margins[i], 0) &&
                   near(predictions[i], golden->predictions[i], 2)))
            fprintf(stderr, "    %s, value %zu: %.17g and %.17g, expected %.17g and %.17g\n",
                    golden->name, i, margins[i], predictions[i], golden->margins[i],
                    golden->predictions[i]);
    free(leaves);
    free(margins);
    free(predictions);
}

static void agrees_with_lightgbm(void)
{
    DIR *folder = opendir(FOLDER);
    REQUIRE(folder != NULL);
    int models = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *end = strstr(entry->d_name, ".txt");
        struct golden golden;
        if (end == NULL || (size_t)(end - entry->d_name) >= sizeof golden.name)
            continue;
        snprintf(golden.name, sizeof golden.name, "%.*s", (int)(end - entry->d_name),
                 entry->d_name);
        golden_read(&golden);
        compare(&golden, NULL);
        compare(&golden, "avx2");
        compare(&golden, "scalar");
        golden_fini(&golden);
        models++;
    }
    closedir(folder);
    CHECK_EQ(models, 18);
}

int main(void)
{
    RUN(agrees_with_lightgbm);
    return check_report();
}
