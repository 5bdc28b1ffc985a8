/* SPDX-License-Identifier: Apache-2.0 */
/* device_cuda.cu - device.h in CUDA's own calls. */
#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "tests/cuda/device.h"

static void check(const char *what, cudaError_t error)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "FAIL %s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

const struct apx_cuda_device *device_open(void)
{
    static struct apx_cuda_device device;
    int count = 0, clock = 0, value = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
        fprintf(stderr, "SKIPPED: no CUDA device: %s\n", cudaGetErrorString(error));
        exit(77);
    }
    cudaDeviceProp properties;
    check("cudaGetDeviceProperties", cudaGetDeviceProperties(&properties, 0));
    device.major = properties.major;
    device.minor = properties.minor;
    device.multiprocessors = properties.multiProcessorCount;
    device.shared_bytes = properties.sharedMemPerBlockOptin;
    device.memory_bytes = properties.totalGlobalMem;
    check("clock", cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0));
    device.clock = 1e3 * clock;
    check("memory clock", cudaDeviceGetAttribute(&value, cudaDevAttrMemoryClockRate, 0));
    device.memory_rate = 2e3 * value * properties.memoryBusWidth / 8.0;
    snprintf(device.name, sizeof device.name, "%s", properties.name);
    return &device;
}

void *device_alloc(size_t bytes)
{
    void *memory;
    check("cudaMalloc", cudaMalloc(&memory, bytes > 0 ? bytes : 1));
    check("cudaMemset", cudaMemset(memory, 0xff, bytes));
    return memory;
}

void device_free(void *memory)
{
    check("cudaFree", cudaFree(memory));
}

void device_in(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        check("copy to the device", cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
}

void device_out(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        check("copy from the device", cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

void device_check(const char *what, int code)
{
    check(what, (cudaError_t)code);
    check(what, cudaDeviceSynchronize());
}

void device_limit_shared(size_t bytes)
{
    (void)bytes;
}

double device_time(int (*launch)(void *context, void *stream), void *context)
{
    enum { LAUNCHES = 10, RUNS = 9 };
    static cudaStream_t stream;
    if (stream == nullptr)
        check("stream", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    cudaGraph_t graph;
    cudaGraphExec_t runnable;
    check("launch", (cudaError_t)launch(context, stream));
    check("launch", cudaStreamSynchronize(stream));
    check("capture", cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < LAUNCHES; i++)
        check("launch in a capture", (cudaError_t)launch(context, stream));
    check("capture", cudaStreamEndCapture(stream, &graph));
    check("instantiate", cudaGraphInstantiate(&runnable, graph, 0));
    cudaEvent_t begin, end;
    check("event", cudaEventCreate(&begin));
    check("event", cudaEventCreate(&end));
    float times[RUNS];
    for (int i = -2; i < RUNS; i++) { /* two to warm up */
        check("event", cudaEventRecord(begin, stream));
        check("graph", cudaGraphLaunch(runnable, stream));
        check("event", cudaEventRecord(end, stream));
        check("graph", cudaEventSynchronize(end));
        if (i >= 0)
            check("event", cudaEventElapsedTime(&times[i], begin, end));
    }
    check("event", cudaEventDestroy(begin));
    check("event", cudaEventDestroy(end));
    check("graph", cudaGraphExecDestroy(runnable));
    check("graph", cudaGraphDestroy(graph));
    std::sort(times, times + RUNS);
    return 1e-3 * times[RUNS / 2] / LAUNCHES;
}
