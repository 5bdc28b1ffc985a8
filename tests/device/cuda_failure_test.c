/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of the driver fails once, in turn, and every allocation of the host: each failure is
 * told, nothing is lost, and where the device goes on the engine goes on. */
#include "tests/device/device_case.h"

/* Counts down to the allocation that fails. */
static long allocations_left = -1, alive;
static bool has_failed;

static void *failing_alloc(void *context, size_t align, size_t bytes)
{
    (void)context;
    if (allocations_left == 0) {
        has_failed = true;
        return NULL;
    }
    allocations_left -= allocations_left > 0;
    void *memory = aligned_alloc(align, (bytes + align - 1) / align * align + align);
    alive += memory != NULL;
    return memory;
}

static void counted_free(void *context, void *memory)
{
    (void)context;
    alive -= memory != NULL;
    free(memory);
}

static const struct apx_allocator allocator = {failing_alloc, counted_free, NULL};

/* Compile, three runs (the second captures), release. The first failure's status. */
static enum apx_status live(struct device_case *c, const struct apx_allocator *memory)
{
    const struct apx_compile_options options = {.allocator = memory, .cuda = &fake_cuda_driver};
    c->cuda = NULL;
    c->cuda_lane = NULL;
    memset(&c->error, 0, sizeof c->error);
    enum apx_status status = apx_backend_cuda.compile(c->graph, &options, &c->cuda, &c->error);
    CHECK((status == APX_OK) == (c->cuda != NULL));
    if (status == APX_OK)
        status = apx_backend_cuda.lane_create(c->cuda, &c->cuda_lane, &c->error);
    for (int n = 0; n < 3 && status == APX_OK; n++)
        status = device_try(c, 5, 0, 5, 3);
    apx_backend_cuda.lane_destroy(c->cuda_lane);
    apx_backend_cuda.program_destroy(c->cuda);
    c->cuda = NULL;
    c->cuda_lane = NULL;
    CHECK_EQ(fake_cuda.memory + fake_cuda.pinned + fake_cuda.streams + fake_cuda.graphs, 0);
    if (!CHECK(fake_cuda.broken == 0))
        fprintf(stderr, "    %s\n", fake_cuda.rule);
    return status;
}

static void every_call_once(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(3, true), NULL);
    apx_backend_cuda.lane_destroy(c.cuda_lane);
    apx_backend_cuda.program_destroy(c.cuda);
    int failed = 0, survived = 0;
    for (unsigned long n = 1;; n++) {
        fake_cuda_reset();
        fake_cuda.fails_any = true;
        fake_cuda.fail_at = n;
        fake_cuda.fail_code = 999;
        enum apx_status status = live(&c, apx_allocator_default());
        if (fake_cuda.fail_at > 0) {
            CHECK_EQ(status, APX_OK); /* there are fewer than n calls */
            break;
        }
        CHECK(status == APX_OK || status == APX_EDEVICE);
        failed += status != APX_OK;
        survived +=
            status == APX_OK; /* a capture that fails, and what can only be told at the end */
        if (status != APX_OK)
            CHECK_HAS(c.error.message, "some other error (CUDA error 999)");
    }
    printf("%d failures told, %d survived\n", failed, survived);
    CHECK(failed > 20 && survived >= 6);
    device_close(&c);
}

static void every_allocation_once(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(3, true), NULL);
    apx_backend_cuda.lane_destroy(c.cuda_lane);
    apx_backend_cuda.program_destroy(c.cuda);
    for (long n = 0;; n++) {
        allocations_left = n;
        has_failed = false;
        enum apx_status status = live(&c, &allocator);
        allocations_left = -1;
        CHECK_EQ(alive, 0);
        if (!has_failed) {
            CHECK_EQ(status, APX_OK);
            CHECK(n > 50);
            break;
        }
        if (!CHECK(status == APX_ENOMEM))
            fprintf(stderr, "    allocation %ld\n", n);
    }
    device_close(&c);
}

/* One failure while it runs, of each kind: told, and the next run is right. */
static void goes_on_after(enum fake_call call, int code, enum apx_status status, int64_t batch,
                          struct device_case *c)
{
    fake_cuda.fail_call = call;
    fake_cuda.fail_at = 1;
    fake_cuda.fail_code = code;
    CHECK_EQ(device_try(c, batch, 0, batch, 3), status);
    CHECK_EQ(fake_cuda.fail_at, 0);
    if (status != APX_OK)
        CHECK_HAS(c->error.message, "device \"cuda\"");
    for (int n = 0; n < 3; n++)
        device_run(c, batch, 0, batch, 3);
}

static void goes_on(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(3, true), NULL);
    goes_on_after(FAKE_STREAM_CREATE, 999, APX_EDEVICE, 2, &c);
    goes_on_after(FAKE_USE, 999, APX_EDEVICE, 2, &c);
    goes_on_after(FAKE_GRAPH_LAUNCH, FAKE_LAUNCH_FAILED, APX_EDEVICE, 2, &c);
    goes_on_after(FAKE_WAIT, FAKE_LAUNCH_FAILED, APX_EDEVICE, 2, &c);
    CHECK_HAS(c.error.message, "");
    goes_on_after(FAKE_ALLOC, FAKE_NO_MEMORY, APX_ENOMEM, 50, &c);
    goes_on_after(FAKE_HOST_ALLOC, FAKE_NO_MEMORY, APX_ENOMEM, 100, &c);
    goes_on_after(FAKE_LAUNCH, 999, APX_EDEVICE, 200, &c);
    goes_on_after(FAKE_COPY_IN, 999, APX_EDEVICE, 300, &c);
    goes_on_after(FAKE_COPY_OUT, 999, APX_EDEVICE, 400, &c);
    device_close(&c);
}

/* A capture that fails costs speed, nothing else. */
static void runs_without_graphs(void)
{
    static const enum fake_call calls[] = {FAKE_CAPTURE_BEGIN, FAKE_CAPTURE_END, FAKE_LAUNCH};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        fake_cuda_reset();
        struct device_case c = device_open(device_lstm(3, true), NULL);
        device_run(&c, 4, 0, 4, 2);
        fake_cuda.fail_call = calls[i];
        fake_cuda.fail_at = 1;
        fake_cuda.fail_code = 900;
        for (int n = 0; n < 4; n++)
            device_run(&c, 4, 0, 4, 2);
        CHECK_EQ(fake_cuda.fail_at, 0);
        CHECK_EQ(device_counts(&c).direct, 5);
        CHECK_EQ(device_counts(&c).captured, 0);
        device_close(&c);
    }
}

/* A device that is full refuses, and takes smaller batches as before. */
static void refuses_when_full(void)
{
    fake_cuda_reset();
    fake_cuda.memory_bytes = 1 << 20;
    struct device_case c = device_open(device_lstm(8, false), NULL);
    REQUIRE(c.status == APX_OK);
    device_run(&c, 10, 0, 10, 5);
    CHECK_EQ(device_try(&c, 20000, 0, 20000, 5), APX_ENOMEM);
    CHECK_HAS(c.error.message, "a batch of 20480 rows needs ");
    CHECK_HAS(c.error.message, "of 1048576 in all: use smaller batches or device \"cpu\"");
    device_run(&c, 10, 0, 10, 5);
    fake_cuda.used[0] += 1 << 20; /* somebody else's */
    CHECK_EQ(device_try(&c, 50, 0, 50, 5), APX_ENOMEM);
    CHECK_HAS(c.error.message, "the GPU's memory is full: use smaller batches");
    fake_cuda.used[0] -= 1 << 20;
    device_run(&c, 10, 0, 10, 5);
    device_close(&c);
    fake_cuda_reset();
    fake_cuda.memory_bytes = 1000; /* not even the weights */
    c = device_open(device_lstm(8, false), NULL);
    CHECK_EQ(c.status, APX_ENOMEM);
    CHECK_HAS(c.error.message, "loading a model: out of memory");
    device_close(&c);
}

/* A second engine that cannot be made is no reason to fail: the first is waited for. */
static void shares_what_there_is(void)
{
    fake_cuda_reset();
    struct device_case c = device_open(device_lstm(3, false), NULL);
    struct apx_cuda_pool *pool = apx_cuda_backend_pool(c.cuda);
    struct apx_cuda_engine *first = NULL, *again = NULL;
    REQUIRE(apx_cuda_pool_take(pool, &first, NULL) == APX_OK);
    apx_cuda_pool_give(pool, first);
    struct apx_error error = {0};
    fake_cuda.fail_call = FAKE_STREAM_CREATE;
    fake_cuda.fail_at = 1;
    fake_cuda.fail_count = 1000;
    fake_cuda.fail_code = FAKE_NO_MEMORY;
    for (int n = 0; n < 3; n++) {
        CHECK_EQ(apx_cuda_pool_take(pool, &again, &error), APX_OK);
        CHECK(again == first);
        apx_cuda_pool_give(pool, again);
    }
    CHECK_STR(error.message, "");
    device_close(&c);
}

int main(void)
{
    RUN(every_call_once);
    RUN(every_allocation_once);
    RUN(goes_on);
    RUN(runs_without_graphs);
    RUN(refuses_when_full);
    RUN(shares_what_there_is);
    case_end();
    return check_report();
}
