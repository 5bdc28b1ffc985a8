/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_driver.cu - the driver's table in CUDA's own calls: each is one or two of them. Decisions
 * are the runtime's (runtime/device). */
#include <cuda_runtime.h>
#include <string.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cuda_driver.h"

namespace
{

/* A call's error also stays behind as the thread's last error, where the next launch would find
 * it. */
int told(cudaError_t error)
{
    if (error != cudaSuccess)
        (void)cudaGetLastError();
    return (int)error;
}

/* The runtime says "insufficient" of a driver that is not there, too. */
bool has_driver()
{
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess && version > 0;
}

enum apx_cuda_fault fault(int code)
{
    switch ((cudaError_t)code) {
    case cudaErrorStubLibrary:
        return APX_CUDA_NO_DRIVER;
    case cudaErrorInsufficientDriver:
        return has_driver() ? APX_CUDA_OLD_DRIVER : APX_CUDA_NO_DRIVER;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
        return APX_CUDA_NO_DEVICE;
    case cudaErrorMemoryAllocation:
        return APX_CUDA_NO_MEMORY;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
        return APX_CUDA_NO_KERNEL;
    case cudaErrorDevicesUnavailable:
        return APX_CUDA_BUSY;
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorContextIsDestroyed:
        return APX_CUDA_LOST;
    default:
        return APX_CUDA_OTHER;
    }
}

const char *text(int code)
{
    return cudaGetErrorString((cudaError_t)code);
}

int count(int *devices)
{
    *devices = 0;
    return told(cudaGetDeviceCount(devices));
}

int describe(int index, struct apx_cuda_device *out)
{
    struct cudaDeviceProp properties;
    int clock = 0, memory_clock = 0, bus_bits = 0; /* kHz, kHz */
    memset(out, 0, sizeof *out);
    cudaError_t error = cudaGetDeviceProperties(&properties, index);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, index);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&memory_clock, cudaDevAttrMemoryClockRate, index);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, index);
    if (error == cudaSuccess)
        error = cudaDeviceGetPCIBusId(out->bus, (int)sizeof out->bus, index);
    if (error == cudaSuccess)
        error = cudaDriverGetVersion(&out->driver);
    if (error != cudaSuccess)
        return told(error);
    out->index = index;
    out->major = properties.major;
    out->minor = properties.minor;
    out->multiprocessors = properties.multiProcessorCount;
    out->shared_bytes = properties.sharedMemPerBlockOptin;
    out->memory_bytes = properties.totalGlobalMem;
    out->memory_rate = 2.0 * 1e3 * memory_clock * bus_bits / 8; /* two transfers a cycle */
    out->clock = 1e3 * clock;
    memcpy(out->name, properties.name, sizeof out->name - 1); /* which is the shorter */
    return 0;
}

int use(int index)
{
    return told(cudaSetDevice(index));
}

int alloc(size_t bytes, void **out)
{
    *out = NULL;
    return told(cudaMalloc(out, bytes));
}

void release(void *memory)
{
    (void)told(cudaFree(memory));
}

int host_alloc(size_t bytes, void **out)
{
    *out = NULL;
    return told(cudaHostAlloc(out, bytes, cudaHostAllocPortable));
}

void host_release(void *memory)
{
    if (memory != NULL)
        (void)told(cudaFreeHost(memory));
}

int stream_create(void **out)
{
    cudaStream_t stream = NULL;
    cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    *out = stream;
    return told(error);
}

void stream_destroy(void *stream)
{
    if (stream == NULL)
        return;
    (void)told(cudaStreamSynchronize((cudaStream_t)stream));
    (void)told(cudaStreamDestroy((cudaStream_t)stream));
}

int stream_wait(void *stream)
{
    return told(cudaStreamSynchronize((cudaStream_t)stream));
}

int copy_in(void *device, const void *host, size_t bytes, void *stream)
{
    return told(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, (cudaStream_t)stream));
}

int copy_out(void *host, const void *device, size_t bytes, void *stream)
{
    return told(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)stream));
}

/* Of this thread alone: others allocate and copy meanwhile. */
int capture_begin(void *stream)
{
    return told(cudaStreamBeginCapture((cudaStream_t)stream, cudaStreamCaptureModeThreadLocal));
}

int capture_end(void *stream, void **out)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t executable = NULL;
    *out = NULL;
    cudaError_t error = cudaStreamEndCapture((cudaStream_t)stream, &graph);
    if (error == cudaSuccess)
        error = cudaGraphInstantiate(&executable, graph, 0);
    if (graph != NULL)
        (void)told(cudaGraphDestroy(graph));
    if (error != cudaSuccess)
        return told(error);
    *out = executable;
    return 0;
}

int graph_launch(void *graph, void *stream)
{
    return told(cudaGraphLaunch((cudaGraphExec_t)graph, (cudaStream_t)stream));
}

void graph_destroy(void *graph)
{
    if (graph != NULL)
        (void)told(cudaGraphExecDestroy((cudaGraphExec_t)graph));
}

struct apx_cuda_driver make_table()
{
    struct apx_cuda_driver table = {};
    table.version = APX_CUDA_DRIVER_VERSION;
    table.fault = fault;
    table.text = text;
    table.count = count;
    table.describe = describe;
    table.use = use;
    table.alloc = alloc;
    table.release = release;
    table.host_alloc = host_alloc;
    table.host_release = host_release;
    table.stream_create = stream_create;
    table.stream_destroy = stream_destroy;
    table.stream_wait = stream_wait;
    table.copy_in = copy_in;
    table.copy_out = copy_out;
    table.capture_begin = capture_begin;
    table.capture_end = capture_end;
    table.graph_launch = graph_launch;
    table.graph_destroy = graph_destroy;
    table.cublaslt = apx_lt_version;
    table.lstm = apx_cuda_lstm_rows(&table.lstm_count);
    table.gru = apx_cuda_gru_rows(&table.gru_count);
    table.dense = apx_cuda_dense_rows(&table.dense_count);
    table.forest = apx_cuda_forest_rows(&table.forest_count);
    table.ops = apx_cuda_ops();
    return table;
}

/* Made when the plug-in is loaded, which one thread does. */
const struct apx_cuda_driver driver = make_table();

} // namespace

extern "C" __attribute__((visibility("default"))) const struct apx_cuda_driver *
apx_cuda_plugin(int version)
{
    return version == APX_CUDA_DRIVER_VERSION ? &driver : NULL;
}
