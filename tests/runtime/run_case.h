/* SPDX-License-Identifier: Apache-2.0 */
/* run_case.h - run the small models of model_case.h.
 *
 *     struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
 *     case_node(m, "Relu", "x", "y");
 *     run_case(m, 1, run_random(&rng, 2, 5, 4));         inputs: tensors made by run_*
 *     CHECK_NEAR(run_at(0, 3), ..., 1e-6);               output 0, element 3
 *
 * A case runs four ways: on one thread; in slices of one row on two threads; in slices of three
 * rows; with the scalar kernels. The first three must give the same bits, the last nearly. With
 * APX_ON_FAKE_CUDA, it then runs on device "cuda" twice, the kernels being the scalar ones again:
 * the bits must be theirs, unless the model is beyond the device. */
#ifndef APX_TESTS_RUN_CASE_H
#define APX_TESTS_RUN_CASE_H

#include "kernels/kernels.h"
#include "tests/harness/rng.h"
#include "tests/runtime/model_case.h"

#define RUN_TENSORS 8

static struct apx_tensor run_out[RUN_TENSORS];
static size_t run_out_count;
static enum apx_status run_status; /* of loading or of running */
static struct apx_error run_error;
static bool run_independent;
static const char *run_precision; /* to load with; NULL: fp32 */
static char run_plan[16384];      /* apx_model_describe */

static inline struct apx_tensor run_tensor(enum apx_dtype dtype, int rank, const int64_t *dims)
{
    struct apx_tensor tensor = {.dtype = dtype, .rank = rank, .bytes = apx_dtype_size(dtype)};
    for (int i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        tensor.bytes *= (size_t)dims[i];
    }
    tensor.data = malloc(tensor.bytes + 8);
    REQUIRE(tensor.data != NULL);
    return tensor;
}

static inline size_t run_count(const struct apx_tensor *tensor)
{
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->dims[i];
    return count;
}

/* float32 in [-2, 2); extents follow as ints. */
static inline struct apx_tensor run_random(struct rng *rng, int rank, ...)
{
    int64_t dims[APX_MAX_RANK];
    va_list arguments;
    va_start(arguments, rank);
    for (int i = 0; i < rank; i++)
        dims[i] = va_arg(arguments, int);
    va_end(arguments);
    struct apx_tensor tensor = run_tensor(APX_F32, rank, dims);
    for (size_t i = 0; i < run_count(&tensor); i++)
        ((float *)tensor.data)[i] = 2 * rng_real(rng);
    return tensor;
}

/* int64 in [low, high]; extents follow. */
static inline struct apx_tensor run_integers(struct rng *rng, int low, int high, int rank, ...)
{
    int64_t dims[APX_MAX_RANK];
    va_list arguments;
    va_start(arguments, rank);
    for (int i = 0; i < rank; i++)
        dims[i] = va_arg(arguments, int);
    va_end(arguments);
    struct apx_tensor tensor = run_tensor(APX_I64, rank, dims);
    for (size_t i = 0; i < run_count(&tensor); i++)
        ((int64_t *)tensor.data)[i] = low + (int64_t)rng_below(rng, (size_t)(high - low + 1));
    return tensor;
}

static inline float run_f32(const struct apx_tensor *tensor, size_t i)
{
    return ((const float *)tensor->data)[i];
}

static inline double run_element(const struct apx_tensor *tensor, size_t i)
{
    double value = 0;
    apx_cast(1, (int)tensor->dtype, (const char *)tensor->data + i * apx_dtype_size(tensor->dtype),
             APX_F64, &value);
    return value;
}

/* Element i of output o as a double. */
static inline double run_at(size_t o, size_t i)
{
    return run_element(&run_out[o], i);
}

static inline void run_release(struct apx_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(tensors[i].data);
        tensors[i] = (struct apx_tensor){0};
    }
}

static inline bool run_once_on(const char *device, const void *data, size_t bytes, const char *isa,
                               int threads, size_t slice_rows, const struct apx_tensor *in,
                               size_t in_count, struct apx_tensor *out)
{
    struct apx_load_options load = {.device = device, .isa = isa, .precision = run_precision};
    struct apx_session_options options = {.threads = threads, .slice_rows = slice_rows};
    struct apx_model *model = NULL;
    struct apx_session *session = NULL;
    run_status = apx_model_load_memory(data, bytes, &load, &model, &run_error);
    if (run_status == APX_OK) {
        char *text = NULL;
        run_out_count = apx_model_output_count(model);
        run_independent = apx_model_rows_are_independent(model);
        REQUIRE(run_out_count <= RUN_TENSORS);
        REQUIRE(apx_model_describe(model, &text, &run_error) == APX_OK);
        snprintf(run_plan, sizeof run_plan, "%s", text);
        apx_string_release(text);
        run_status = apx_session_create(model, &options, &session, &run_error);
    }
    if (run_status == APX_OK)
        run_status = apx_session_shape(session, in, in_count, out, run_out_count, &run_error);
    for (size_t i = 0; i < run_out_count && run_status == APX_OK; i++) {
        out[i].data = malloc(out[i].bytes + 8);
        REQUIRE(out[i].data != NULL);
        memset(out[i].data, 0x5a, out[i].bytes + 8);
    }
    if (run_status == APX_OK)
        run_status = apx_session_run(session, in, in_count, out, run_out_count, &run_error);
    for (size_t i = 0; i < run_out_count && run_status == APX_OK; i++)
        for (size_t k = 0; k < 8; k++) /* nothing is written behind the end */
            CHECK_EQ(((unsigned char *)out[i].data)[out[i].bytes + k], 0x5a);
    apx_session_destroy(session);
    apx_model_destroy(model);
    return run_status == APX_OK;
}

static inline bool run_once(const void *data, size_t bytes, const char *isa, int threads,
                            size_t slice_rows, const struct apx_tensor *in, size_t in_count,
                            struct apx_tensor *out)
{
    return run_once_on("cpu", data, bytes, isa, threads, slice_rows, in, in_count, out);
}

static inline double run_worst(const struct apx_tensor *a, const struct apx_tensor *b)
{
    double worst = 0;
    for (size_t i = 0; i < run_count(a); i++) {
        double x = run_element(a, i), y = run_element(b, i);
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        double error = fabs(x - y) / fmax(1, fabs(y));
        worst = error > worst || isnan(error) ? (isnan(error) ? INFINITY : error) : worst;
    }
    return worst;
}

#ifdef APX_ON_FAKE_CUDA
static int run_cuda_count; /* cases that the device took */

/* As a whole, and in slices of two rows. */
static inline void run_on_cuda(const void *data, size_t bytes, const struct apx_tensor *in,
                               size_t in_count, const struct apx_tensor *scalar)
{
    static char plan[sizeof run_plan];
    const size_t out_count = run_out_count;
    memcpy(plan, run_plan, sizeof plan);
    for (size_t slice_rows = 0; slice_rows <= 2; slice_rows += 2) {
        struct apx_tensor out[RUN_TENSORS] = {{0}};
        bool ok = run_once_on("cuda", data, bytes, "scalar", 2, slice_rows, in, in_count, out);
        if (!ok && run_status != APX_EUNSUPPORTED)
            fprintf(stderr, "    on cuda: %s\n", run_error.message);
        CHECK(ok || run_status == APX_EUNSUPPORTED);
        run_cuda_count += ok;
        for (size_t i = 0; i < out_count && ok; i++)
            CHECK(out[i].bytes == scalar[i].bytes &&
                  memcmp(out[i].data, scalar[i].data, out[i].bytes) == 0);
        run_release(out, RUN_TENSORS);
    }
    run_status = APX_OK;
    run_out_count = out_count;
    memcpy(run_plan, plan, sizeof plan);
}
#endif

/* Runs the model and releases the builder, but not the inputs. False if it was refused: then
 * run_status and run_error tell why. */
static inline bool run_case_list(struct apx_onnx *onnx, size_t in_count,
                                 const struct apx_tensor *in)
{
    static const struct {
        const char *isa;
        int threads;
        size_t slice_rows;
    } ways[] = {{NULL, 2, 1}, {NULL, 1, 3}, {"scalar", 1, 0}};
    void *data = NULL;
    size_t bytes = 0;
    memset(&run_error, 0, sizeof run_error);
    run_release(run_out, RUN_TENSORS);
    run_out_count = 0;
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &run_error) == APX_OK);
    apx_onnx_destroy(onnx);
    bool ok = run_once(data, bytes, NULL, 1, 0, in, in_count, run_out);
    struct apx_tensor scalar[RUN_TENSORS] = {{0}};
    for (size_t way = 0; way < 3 && ok; way++) {
        struct apx_tensor fresh[RUN_TENSORS] = {{0}}, *out = ways[way].isa == NULL ? fresh : scalar;
        if (CHECK(run_once(data, bytes, ways[way].isa, ways[way].threads, ways[way].slice_rows, in,
                           in_count, out))) {
            for (size_t i = 0; i < run_out_count; i++) {
                CHECK_EQ(out[i].bytes, run_out[i].bytes);
                if (ways[way].isa == NULL)
                    CHECK(memcmp(out[i].data, run_out[i].data, out[i].bytes) == 0);
                else
                    CHECK(run_worst(&out[i], &run_out[i]) <= 1e-5);
            }
        }
        run_release(fresh, RUN_TENSORS);
    }
#ifdef APX_ON_FAKE_CUDA
    if (ok)
        run_on_cuda(data, bytes, in, in_count, scalar);
#endif
    run_release(scalar, RUN_TENSORS);
    free(data);
    return ok;
}

/* The same with the inputs as arguments; they are released. */
static inline bool run_case(struct apx_onnx *onnx, int in_count, ...)
{
    struct apx_tensor in[RUN_TENSORS] = {{0}};
    va_list arguments;
    va_start(arguments, in_count);
    for (int i = 0; i < in_count; i++)
        in[i] = va_arg(arguments, struct apx_tensor);
    va_end(arguments);
    bool ok = run_case_list(onnx, (size_t)in_count, in);
    if (!ok)
        fprintf(stderr, "    %s %s: %s\n", apx_status_name(run_status), run_error.field,
                run_error.message);
    run_release(in, RUN_TENSORS);
    return ok;
}

static inline void run_end(void)
{
    run_release(run_out, RUN_TENSORS);
    case_end();
#ifdef APX_ON_FAKE_CUDA
    printf("%d runs on the fake CUDA device\n", run_cuda_count);
    CHECK(run_cuda_count > 0);
#endif
}

#endif
