/* SPDX-License-Identifier: Apache-2.0 */
/* driver_check.h - what cuda_driver.h promises, asked of a driver: the fake one in every build,
 * CUDA's on a machine with a GPU (ci/device). Needs nothing but the table and the kernels of C. */
#ifndef APX_TESTS_DRIVER_CHECK_H
#define APX_TESTS_DRIVER_CHECK_H

#include "kernels/cuda/cuda_driver.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

enum { DRIVER_ROWS = 37, DRIVER_INPUT = 19, DRIVER_OUTPUT = 8 };

/* One dense layer and a Relu behind it, with their memory. */
struct driver_work {
    const struct apx_cuda_driver *driver;
    struct apx_cuda_device device;
    const struct apx_cuda_dense_row *row;
    struct apx_dense_desc desc;
    char *memory, *pinned; /* packed | x | y | z, and x | z */
    size_t packed, x, y;   /* bytes, in steps of 256 */
    void *stream;
    float expected[DRIVER_ROWS * DRIVER_OUTPUT];
};

static inline size_t driver_round(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

static inline void driver_fill(struct driver_work *work, struct rng *rng, const float *w)
{
    float *x = (float *)(void *)work->pinned;
    for (size_t i = 0; i < (size_t)DRIVER_ROWS * DRIVER_INPUT; i++)
        x[i] = rng_real(rng);
    for (size_t n = 0; n < DRIVER_ROWS; n++)
        for (size_t o = 0; o < DRIVER_OUTPUT; o++) {
            double sum = 0;
            for (size_t k = 0; k < DRIVER_INPUT; k++)
                sum += (double)x[n * DRIVER_INPUT + k] * (double)w[o * DRIVER_INPUT + k];
            work->expected[n * DRIVER_OUTPUT + o] = sum > 0 ? (float)sum : 0;
        }
}

/* Copy, two kernels, copy. The first failure. */
static inline int driver_enqueue(const struct driver_work *work)
{
    const struct apx_cuda_driver *driver = work->driver;
    char *x = work->memory + work->packed, *y = x + work->x, *z = y + work->y;
    const struct apx_dense_args args = {.desc = &work->desc,
                                        .packed = work->memory,
                                        .rows = DRIVER_ROWS,
                                        .x = (const float *)(const void *)x,
                                        .x_row = DRIVER_INPUT,
                                        .y = (float *)(void *)y,
                                        .y_row = DRIVER_OUTPUT};
    int code = driver->copy_in(x, work->pinned, work->x, work->stream);
    if (code == 0)
        code = work->row->launch(&work->device, &args, work->stream);
    if (code == 0)
        code = driver->ops->unary(APX_UNARY_RELU, (size_t)DRIVER_ROWS * DRIVER_OUTPUT,
                                  (const float *)(const void *)y, (float *)(void *)z, 0, 0,
                                  work->stream);
    if (code == 0)
        code = driver->copy_out(work->pinned + work->x, z, work->y, work->stream);
    return code;
}

static inline void driver_compare(const struct driver_work *work)
{
    const float *z = (const float *)(const void *)(work->pinned + work->x);
    for (size_t i = 0; i < (size_t)DRIVER_ROWS * DRIVER_OUTPUT; i++)
        CHECK_NEAR(z[i], work->expected[i], 1e-5);
}

static inline void driver_check(const struct apx_cuda_driver *driver)
{
    struct rng rng = {5};
    struct driver_work work = {.driver = driver,
                               .desc = {.input = DRIVER_INPUT, .output = DRIVER_OUTPUT}};
    float w[DRIVER_OUTPUT * DRIVER_INPUT];
    void *graph = NULL, *memory = NULL, *pinned = NULL;
    int count = 0;
    REQUIRE(driver->version == APX_CUDA_DRIVER_VERSION);
    REQUIRE(driver->count(&count) == 0 && count > 0);
    REQUIRE(driver->describe(0, &work.device) == 0);
    printf(
        "%s at %s, compute capability %d.%d, %d multiprocessors, %.1f GiB, %.2f TB/s, %.2f GHz\n",
        work.device.name, work.device.bus, work.device.major, work.device.minor,
        work.device.multiprocessors, (double)work.device.memory_bytes / 1073741824,
        work.device.memory_rate / 1e12, work.device.clock / 1e9);
    CHECK(work.device.driver >= 13000);
    CHECK(work.device.multiprocessors > 0 && work.device.shared_bytes >= 48 << 10);
    CHECK(work.device.memory_rate > 1e10 && work.device.clock > 1e8);
    CHECK(strlen(work.device.bus) == 12);
    REQUIRE(driver->use(0) == 0);
    CHECK(driver->use(count) != 0);

    /* More than there is; then as usual. */
    int code = driver->alloc((size_t)1 << 50, &memory);
    CHECK(code != 0 && memory == NULL);
    CHECK_EQ(driver->fault(code), APX_CUDA_NO_MEMORY);
    CHECK(driver->text(code)[0] != '\0');
    driver->release(NULL);
    driver->host_release(NULL);
    driver->stream_destroy(NULL);
    driver->graph_destroy(NULL);

    for (size_t i = driver->dense_count; i-- > 0;)
        if (driver->dense[i].supports(&work.device, &work.desc))
            work.row = &driver->dense[i];
    REQUIRE(work.row != NULL);
    work.packed = driver_round(work.row->packed_bytes(&work.desc));
    work.x = driver_round(sizeof(float) * DRIVER_ROWS * DRIVER_INPUT);
    work.y = driver_round(sizeof(float) * DRIVER_ROWS * DRIVER_OUTPUT);
    REQUIRE(driver->alloc(work.packed + work.x + 2 * work.y, &memory) == 0);
    REQUIRE(driver->host_alloc(work.x + work.y, &pinned) == 0);
    work.memory = memory;
    work.pinned = pinned;
    memset(pinned, 0, work.x + work.y);
    CHECK((uintptr_t)memory % 256 == 0 && (uintptr_t)pinned % 64 == 0);
    REQUIRE(driver->stream_create(&work.stream) == 0);

    /* Weights from memory that is not pinned. */
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++)
        w[i] = rng_real(&rng);
    const struct apx_dense_weights weights = {.w = w, .w_out = DRIVER_INPUT, .w_in = 1};
    void *packed = aligned_alloc(256, work.packed);
    REQUIRE(packed != NULL);
    memset(packed, 0, work.packed);
    work.row->pack(&work.desc, &weights, packed);
    CHECK_EQ(driver->copy_in(memory, packed, work.packed, work.stream), 0);
    CHECK_EQ(driver->stream_wait(work.stream), 0);
    free(packed);

    driver_fill(&work, &rng, w);
    CHECK_EQ(driver_enqueue(&work), 0);
    CHECK_EQ(driver->stream_wait(work.stream), 0);
    driver_compare(&work);

    /* Captured, nothing runs; launched, all of it, with what the buffers hold then. */
    driver_fill(&work, &rng, w);
    memset(work.pinned + work.x, 0x5a, work.y);
    CHECK_EQ(driver->capture_begin(work.stream), 0);
    CHECK_EQ(driver_enqueue(&work), 0);
    CHECK_EQ(driver->capture_end(work.stream, &graph), 0);
    REQUIRE(graph != NULL);
    CHECK_EQ(driver->stream_wait(work.stream), 0);
    CHECK_EQ(work.pinned[work.x], 0x5a);
    for (int n = 0; n < 3; n++) {
        CHECK_EQ(driver->graph_launch(graph, work.stream), 0);
        CHECK_EQ(driver->stream_wait(work.stream), 0);
        driver_compare(&work);
        driver_fill(&work, &rng, w);
    }
    driver->graph_destroy(graph);

    /* The stream is as before, and a pinned buffer goes only after what uses it. */
    CHECK_EQ(driver_enqueue(&work), 0);
    driver->stream_destroy(work.stream);
    driver_compare(&work);
    driver->release(memory);
    driver->host_release(pinned);
}

#endif
