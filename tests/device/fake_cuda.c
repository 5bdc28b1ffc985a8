/* SPDX-License-Identifier: Apache-2.0 */
/* fake_cuda.c - memory, streams and graphs of the driver that is none; its kernels: fake_rows.c. */
#include "tests/device/fake_cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/device/fake_rows.h"

#define PAGE 4096

struct fake_cuda fake_cuda;
/* One for everything: what a test counts is exact, and memory opens for one stream at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int current = -1;

void fake_lock(void)
{
    pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

enum kind { DEVICE, PINNED };

struct block {
    char *memory;
    size_t bytes, mapped;
    enum kind kind;
    int device;
    struct block *next;
};
static struct block *blocks;

struct list {
    struct fake_op **ops;
    size_t count, capacity;
};

struct stream {
    int device;
    bool is_capturing, has_failed;
    struct list queue, captured;
};

void fake_cuda_reset(void)
{
    struct fake_cuda old = fake_cuda;
    memset(&fake_cuda, 0, sizeof fake_cuda);
    fake_cuda.devices = 1;
    fake_cuda.major = 9;
    fake_cuda.memory_bytes = (size_t)1 << 30;
    fake_cuda.most_hidden = 256;
    fake_cuda.row_seconds = 1e-9;
    fake_cuda.memory = old.memory;
    fake_cuda.pinned = old.pinned;
    fake_cuda.streams = old.streams;
    fake_cuda.graphs = old.graphs;
    memcpy(fake_cuda.used, old.used, sizeof old.used);
}

static void breaks(const char *rule)
{
    if (fake_cuda.broken++ == 0)
        fake_cuda.rule = rule;
}

/* Counts a call; the code that it is to fail with, or 0. */
static int enter(enum fake_call call)
{
    fake_cuda.calls[call]++;
    fake_cuda.all_calls++;
    if (fake_cuda.fail_at == 0 || (!fake_cuda.fails_any && call != fake_cuda.fail_call))
        return 0;
    if (fake_cuda.fail_at > 1) {
        fake_cuda.fail_at--;
        return 0;
    }
    if (fake_cuda.fail_count > 1)
        fake_cuda.fail_count--;
    else
        fake_cuda.fail_at = 0;
    return fake_cuda.fail_code;
}

/* ---- devices --------------------------------------------------------------------------------- */

static enum apx_cuda_fault fault(int code)
{
    switch (code) {
    case FAKE_NO_MEMORY:
        return APX_CUDA_NO_MEMORY;
    case FAKE_OLD_DRIVER:
        return APX_CUDA_OLD_DRIVER;
    case FAKE_NO_DEVICE:
        return APX_CUDA_NO_DEVICE;
    case FAKE_LAUNCH_FAILED:
        return APX_CUDA_LOST;
    case FAKE_NO_DRIVER:
        return APX_CUDA_NO_DRIVER;
    case FAKE_BUSY:
        return APX_CUDA_BUSY;
    case FAKE_NO_KERNEL:
        return APX_CUDA_NO_KERNEL;
    default:
        return APX_CUDA_OTHER;
    }
}

static const char *text(int code)
{
    return code == FAKE_NO_MEMORY       ? "out of memory"
           : code == FAKE_OLD_DRIVER    ? "CUDA driver version is insufficient"
           : code == FAKE_NO_DEVICE     ? "no CUDA-capable device is detected"
           : code == FAKE_LAUNCH_FAILED ? "unspecified launch failure"
                                        : "some other error";
}

static int count(int *devices)
{
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_COUNT);
    *devices = fake_cuda.devices;
    pthread_mutex_unlock(&lock);
    return code;
}

static int describe(int index, struct apx_cuda_device *out)
{
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_DESCRIBE);
    *out = (struct apx_cuda_device){.index = index,
                                    .major = fake_cuda.major,
                                    .minor = fake_cuda.minor,
                                    .multiprocessors = 132,
                                    .driver = 13000,
                                    .shared_bytes = 227 << 10,
                                    .memory_bytes = fake_cuda.memory_bytes,
                                    .memory_rate = 4.8e12,
                                    .clock = 1.98e9};
    snprintf(out->name, sizeof out->name, "Fake GPU");
    snprintf(out->bus, sizeof out->bus, "0000:%02x:00.0", 0x3b + index);
    pthread_mutex_unlock(&lock);
    return code;
}

static int use(int index)
{
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_USE);
    if (code == 0 && (index < 0 || index >= fake_cuda.devices))
        code = FAKE_INVALID_DEVICE;
    if (code == 0)
        current = index;
    pthread_mutex_unlock(&lock);
    return code;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static struct block *block_of(const void *memory)
{
    for (struct block *block = blocks; block != NULL; block = block->next)
        if ((const char *)memory >= block->memory &&
            (const char *)memory < block->memory + block->bytes)
            return block;
    return NULL;
}

static bool is_inside(const void *memory, size_t bytes, enum kind kind, int device)
{
    const struct block *block = block_of(memory);
    return block != NULL && block->kind == kind &&
           bytes <= block->bytes - (size_t)((const char *)memory - block->memory) &&
           (kind == PINNED || block->device == device);
}

static void protect(int device, int rights)
{
    for (struct block *block = blocks; block != NULL; block = block->next)
        if (block->kind == DEVICE && block->device == device)
            mprotect(block->memory, block->mapped, rights);
}

static int take(enum kind kind, size_t bytes, void **out)
{
    pthread_mutex_lock(&lock);
    int code = enter(kind == DEVICE ? FAKE_ALLOC : FAKE_HOST_ALLOC);
    *out = NULL;
    if (bytes == 0)
        breaks("nothing is allocated");
    if (current < 0)
        breaks("no device is chosen");
    if (code == 0 && kind == DEVICE && fake_cuda.used[current] + bytes > fake_cuda.memory_bytes)
        code = FAKE_NO_MEMORY;
    if (code == 0) {
        struct block *block = malloc(sizeof *block);
        size_t mapped = (bytes + PAGE - 1) / PAGE * PAGE;
        char *memory =
            mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == NULL || memory == MAP_FAILED)
            abort();
        memset(memory, 0xa5, mapped); /* nothing is zero by itself */
        if (kind == DEVICE)
            mprotect(memory, mapped, PROT_NONE);
        *block = (struct block){memory, bytes, mapped, kind, current, blocks};
        blocks = block;
        *out = memory;
        kind == DEVICE ? fake_cuda.memory++ : fake_cuda.pinned++;
        fake_cuda.used[current] += kind == DEVICE ? bytes : 0;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static void drop(enum kind kind, void *memory)
{
    pthread_mutex_lock(&lock);
    struct block **place = &blocks;
    while (memory != NULL && *place != NULL && (*place)->memory != (char *)memory)
        place = &(*place)->next;
    if (memory != NULL && (*place == NULL || (*place)->kind != kind))
        breaks("memory is released that is none, or of the other kind");
    if (memory != NULL && *place != NULL) {
        struct block *block = *place;
        *place = block->next;
        kind == DEVICE ? fake_cuda.memory-- : fake_cuda.pinned--;
        fake_cuda.used[block->device] -= kind == DEVICE ? block->bytes : 0;
        munmap(block->memory, block->mapped);
        free(block);
    }
    pthread_mutex_unlock(&lock);
}

static int alloc(size_t bytes, void **out)
{
    return take(DEVICE, bytes, out);
}

static void release(void *memory)
{
    drop(DEVICE, memory);
}

static int host_alloc(size_t bytes, void **out)
{
    return take(PINNED, bytes, out);
}

static void host_release(void *memory)
{
    drop(PINNED, memory);
}

/* ---- streams --------------------------------------------------------------------------------- */

/* A copy of it. */
static void append(struct list *list, const struct fake_op *op)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? 2 * list->capacity : 16;
        list->ops = realloc(list->ops, list->capacity * sizeof *list->ops);
        if (list->ops == NULL)
            abort();
    }
    struct fake_op *copy = malloc(op->bytes);
    if (copy == NULL)
        abort();
    list->ops[list->count++] = memcpy(copy, op, op->bytes);
}

static void clear(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->ops[i]);
    free(list->ops);
    *list = (struct list){0};
}

static void work(struct stream *stream)
{
    protect(stream->device, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < stream->queue.count; i++)
        stream->queue.ops[i]->run(stream->queue.ops[i]);
    protect(stream->device, PROT_NONE);
    clear(&stream->queue);
}

int fake_enqueue(bool is_kernel, const struct fake_op *op, void *opaque)
{
    struct stream *stream = opaque;
    pthread_mutex_lock(&lock);
    int code = is_kernel ? enter(FAKE_LAUNCH) : 0;
    if (stream == NULL || stream->device != current)
        breaks("a stream of another device is used");
    if (code == 0 && is_kernel && fake_cuda.is_idle) {
        /* nothing comes of it */
    } else if (code == 0 && stream != NULL) {
        append(stream->is_capturing ? &stream->captured : &stream->queue, op);
    } else if (stream != NULL && stream->is_capturing) {
        stream->has_failed = true;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int stream_create(void **out)
{
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_STREAM_CREATE);
    *out = NULL;
    if (code == 0) {
        struct stream *stream = calloc(1, sizeof *stream);
        if (stream == NULL)
            abort();
        stream->device = current;
        *out = stream;
        fake_cuda.streams++;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static void stream_destroy(void *opaque)
{
    struct stream *stream = opaque;
    if (stream == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (stream->is_capturing)
        breaks("a stream is destroyed while it captures");
    work(stream);
    clear(&stream->captured);
    free(stream);
    fake_cuda.streams--;
    pthread_mutex_unlock(&lock);
}

static int stream_wait(void *opaque)
{
    struct stream *stream = opaque;
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_WAIT);
    if (stream->is_capturing)
        breaks("a stream is waited for while it captures");
    work(stream);
    const struct timespec time = {fake_cuda.wait_us / 1000000, fake_cuda.wait_us % 1000000 * 1000};
    pthread_mutex_unlock(&lock);
    if (time.tv_sec > 0 || time.tv_nsec > 0)
        nanosleep(&time, NULL);
    return code;
}

struct copy {
    struct fake_op op;
    void *to;
    const void *from;
    size_t bytes;
};

static void run_copy(const struct fake_op *op)
{
    const struct copy *copy = (const void *)op;
    if (copy->from != NULL)
        memcpy(copy->to, copy->from, copy->bytes);
    else
        memset(copy->to, 0, copy->bytes);
}

static int enqueue_copy(enum fake_call call, void *to, const void *from, size_t bytes,
                        const void *device_side, const void *host_side, struct stream *stream)
{
    pthread_mutex_lock(&lock);
    int code = enter(call);
    if (!is_inside(device_side, bytes, DEVICE, stream->device))
        breaks("a copy outside of what is allocated on the device");
    /* Memory that is not pinned is read at once, so that it may go. */
    bool is_pinned = block_of(host_side) != NULL;
    if (is_pinned && !is_inside(host_side, bytes, PINNED, 0))
        breaks("a copy outside of what is pinned");
    if (!is_pinned && (call == FAKE_COPY_OUT || stream->is_capturing))
        breaks("memory that is not pinned");
    if (code == 0 && !is_pinned) {
        work(stream);
        protect(stream->device, PROT_READ | PROT_WRITE);
        memcpy(to, from, bytes);
        protect(stream->device, PROT_NONE);
    }
    if (code != 0 && stream->is_capturing)
        stream->has_failed = true;
    pthread_mutex_unlock(&lock);
    if (code != 0 || !is_pinned)
        return code;
    const struct copy copy = {{run_copy, sizeof copy}, to, from, bytes};
    return fake_enqueue(false, &copy.op, stream);
}

static int copy_in(void *device, const void *host, size_t bytes, void *stream)
{
    return enqueue_copy(FAKE_COPY_IN, device, host, bytes, device, host, stream);
}

static int copy_out(void *host, const void *device, size_t bytes, void *stream)
{
    return enqueue_copy(FAKE_COPY_OUT, host, device, bytes, device, host, stream);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

static int capture_begin(void *opaque)
{
    struct stream *stream = opaque;
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_CAPTURE_BEGIN);
    if (stream->is_capturing)
        breaks("a capture inside of a capture");
    stream->is_capturing = code == 0;
    stream->has_failed = false;
    pthread_mutex_unlock(&lock);
    return code;
}

static int capture_end(void *opaque, void **out)
{
    struct stream *stream = opaque;
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_CAPTURE_END);
    *out = NULL;
    if (!stream->is_capturing)
        breaks("the end of a capture that was not begun");
    stream->is_capturing = false;
    if (code == 0 && stream->has_failed)
        code = 901; /* invalidated */
    if (code == 0) {
        struct list *graph = malloc(sizeof *graph);
        if (graph == NULL)
            abort();
        *graph = stream->captured;
        stream->captured = (struct list){0};
        *out = graph;
        fake_cuda.graphs++;
    } else {
        clear(&stream->captured);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int graph_launch(void *graph, void *opaque)
{
    const struct list *list = graph;
    struct stream *stream = opaque;
    pthread_mutex_lock(&lock);
    int code = enter(FAKE_GRAPH_LAUNCH);
    for (size_t i = 0; i < list->count && code == 0; i++)
        append(&stream->queue, list->ops[i]);
    pthread_mutex_unlock(&lock);
    return code;
}

static void graph_destroy(void *graph)
{
    if (graph == NULL)
        return;
    pthread_mutex_lock(&lock);
    clear(graph);
    free(graph);
    fake_cuda.graphs--;
    pthread_mutex_unlock(&lock);
}

static size_t cublaslt(void)
{
    return fake_cuda.has_no_cublaslt ? 0 : 130100;
}

const struct apx_cuda_driver fake_cuda_driver = {.version = APX_CUDA_DRIVER_VERSION,
                                                 .fault = fault,
                                                 .text = text,
                                                 .count = count,
                                                 .describe = describe,
                                                 .use = use,
                                                 .alloc = alloc,
                                                 .release = release,
                                                 .host_alloc = host_alloc,
                                                 .host_release = host_release,
                                                 .stream_create = stream_create,
                                                 .stream_destroy = stream_destroy,
                                                 .stream_wait = stream_wait,
                                                 .copy_in = copy_in,
                                                 .copy_out = copy_out,
                                                 .capture_begin = capture_begin,
                                                 .capture_end = capture_end,
                                                 .graph_launch = graph_launch,
                                                 .graph_destroy = graph_destroy,
                                                 .cublaslt = cublaslt,
                                                 .lstm = fake_lstm_rows,
                                                 .lstm_count = 3,
                                                 .gru = fake_gru_rows,
                                                 .gru_count = 3,
                                                 .dense = fake_dense_rows,
                                                 .dense_count = 2,
                                                 .forest = fake_forest_rows,
                                                 .forest_count = 1,
                                                 .ops = &fake_ops};
