/* SPDX-License-Identifier: Apache-2.0 */
/* The models of tests/golden and of the examples on device "cuda", above a driver whose kernels are
 * the scalar rows: the bits must be those of the scalar kernels on the CPU, for every size of
 * batch. What the device refuses must be among the few that are known to be beyond it. */
#include <glob.h>

#include "runtime/auspex.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

#define MOST 16

static struct rng rng = {4};
static int run_count, refused_count;

static struct apx_tensor make_input(const struct apx_tensor_info *info, int64_t rows)
{
    struct apx_tensor tensor = {.dtype = info->dtype, .rank = info->rank};
    size_t count = 1;
    for (int i = 0; i < info->rank; i++) {
        tensor.dims[i] = info->dims[i] >= 0 ? info->dims[i] : i == info->row_axis ? rows : 3;
        count *= (size_t)tensor.dims[i];
    }
    tensor.bytes = count * apx_dtype_size(info->dtype);
    tensor.data = malloc(tensor.bytes + 1);
    REQUIRE(tensor.data != NULL);
    for (size_t i = 0; i < count; i++) {
        float value = 2 * rng_real(&rng);
        int64_t small = 1 + (int64_t)rng_below(&rng, 2); /* a length, an index */
        switch (info->dtype) {
        case APX_F32:
            ((float *)tensor.data)[i] = value;
            break;
        case APX_F64:
            ((double *)tensor.data)[i] = (double)value;
            break;
        case APX_I64:
            ((int64_t *)tensor.data)[i] = small;
            break;
        case APX_I32:
            ((int32_t *)tensor.data)[i] = (int32_t)small;
            break;
        default:
            ((uint8_t *)tensor.data)[i] = (uint8_t)(small - 1);
        }
    }
    return tensor;
}

static enum apx_status run(struct apx_session *session, const struct apx_tensor *in,
                           size_t in_count, struct apx_tensor *out, size_t out_count,
                           struct apx_error *error)
{
    memset(out, 0, out_count * sizeof *out);
    enum apx_status status = apx_session_shape(session, in, in_count, out, out_count, error);
    for (size_t i = 0; i < out_count && status == APX_OK; i++) {
        out[i].data = malloc(out[i].bytes + 1);
        REQUIRE(out[i].data != NULL);
        memset(out[i].data, 0x5a, out[i].bytes);
    }
    return status == APX_OK ? apx_session_run(session, in, in_count, out, out_count, error)
                            : status;
}

static void release(struct apx_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(tensors[i].data);
}

/* Products of halves: a share of 2^-11 each, some dozens of steps; a label may tip over. */
static bool is_near(const struct apx_tensor *a, const struct apx_tensor *b)
{
    if (a->dtype != APX_F32)
        return a->bytes == b->bytes;
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        float x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
        if (!(fabsf(x - y) <= 0.02f * fmaxf(1, fabsf(x))) && !(isnan(x) && isnan(y)))
            return false;
    }
    return a->bytes == b->bytes;
}

static void compare(const char *path, const struct apx_model *model, struct apx_session *cpu,
                    struct apx_session *cuda, int64_t rows, bool in_halves)
{
    struct apx_tensor in[MOST], out[2][MOST];
    struct apx_error error = {0};
    size_t in_count = apx_model_input_count(model), out_count = apx_model_output_count(model);
    REQUIRE(in_count <= MOST && out_count <= MOST);
    for (size_t i = 0; i < in_count; i++)
        in[i] = make_input(apx_model_input(model, i), rows);
    enum apx_status first = run(cpu, in, in_count, out[0], out_count, &error);
    enum apx_status second = run(cuda, in, in_count, out[1], out_count, &error);
    if (!CHECK(first == second))
        fprintf(stderr, "%s, %lld rows: %s\n", path, (long long)rows, error.message);
    run_count += first == APX_OK;
    for (size_t i = 0; i < out_count && first == APX_OK && second == APX_OK; i++)
        if (!CHECK(in_halves ? is_near(&out[0][i], &out[1][i])
                             : out[0][i].bytes == out[1][i].bytes &&
                                   memcmp(out[0][i].data, out[1][i].data, out[0][i].bytes) == 0))
            fprintf(stderr, "%s, %lld rows, output %zu\n", path, (long long)rows, i);
    release(in, in_count);
    release(out[0], out_count);
    release(out[1], out_count);
}

static bool is_half; /* the models in fp16 */
static bool is_int8; /* layers made int8 while loading, there and here */

static void replay(const char *path, int threads)
{
    struct apx_load_options options = {.device = "cpu", .isa = "scalar"};
    struct apx_session_options session_options = {.threads = threads};
    struct apx_model *cpu = NULL, *cuda = NULL;
    struct apx_session *sessions[2] = {NULL, NULL};
    struct apx_error error = {0};
    options.precision = is_int8 ? "int8" : NULL;
    if (apx_model_load(path, &options, &cpu, &error) != APX_OK)
        return; /* refusals have tests of their own */
    options.device = "cuda";
    options.precision = is_half ? "fp16" : options.precision;
    enum apx_status status = apx_model_load(path, &options, &cuda, &error);
    if (status == APX_OK) {
        REQUIRE(apx_session_create(cpu, &session_options, &sessions[0], &error) == APX_OK);
        REQUIRE(apx_session_create(cuda, &session_options, &sessions[1], &error) == APX_OK);
        static const int64_t sizes[] = {1, 3, 3, 3, 9, 9, 17, 1, 40};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            compare(path, cpu, sessions[0], sessions[1], sizes[i], is_half);
    } else {
        CHECK_EQ(status, APX_EUNSUPPORTED);
        CHECK_HAS(error.message, "use device \"cpu\"");
        printf("beyond the device: %s: %s\n", path, error.message);
        refused_count++;
    }
    apx_session_destroy(sessions[0]);
    apx_session_destroy(sessions[1]);
    apx_model_destroy(cpu);
    apx_model_destroy(cuda);
}

static void replay_all(const char *pattern, int threads, size_t least)
{
    glob_t found;
    REQUIRE(glob(pattern, 0, NULL, &found) == 0);
    CHECK(found.gl_pathc >= least);
    for (size_t i = 0; i < found.gl_pathc; i++)
        replay(found.gl_pathv[i], threads);
    globfree(&found);
}

static void models_of_exporters(void)
{
    replay_all("tests/golden/*.onnx", 1, 50);
}

static void trees(void)
{
    replay_all("tests/golden/lightgbm/*.txt", 2, 3);
    replay_all("runtime/examples/trees/*", 2, 2);
}

static void models_in_halves(void)
{
    is_half = true;
    replay_all("tests/golden/torch_*.onnx", 1, 20);
    replay_all("tests/golden/keras_*.onnx", 1, 20);
    is_half = false;
}

static void models_in_int8(void)
{
    const int before = run_count;
    is_int8 = true;
    replay_all("tests/golden/torch_*.onnx", 1, 20);
    replay_all("tests/golden/keras_*.onnx", 1, 20);
    is_int8 = false;
    CHECK(run_count - before >= 300);
}

/* Files that have int8 layers: all of them run there. */
static void int8_models(void)
{
    const int before = refused_count;
    replay_all("tests/golden/int8_*.onnx", 2, 5);
    CHECK_EQ(refused_count, before);
}

int main(void)
{
    RUN(models_of_exporters);
    RUN(int8_models);
    RUN(models_in_int8);
    RUN(models_in_halves);
    RUN(trees);
    printf("%d runs, %d models refused\n", run_count, refused_count);
    CHECK(run_count >= 400);
    return check_report();
}
