/* SPDX-License-Identifier: Apache-2.0 */
/* emulated_plugin.cc - a libauspex_cuda.so of the real kernels, run by the emulator of tests/cuda,
 * under the driver that is none: all of the CUDA backend but for CUDA itself. */
#include <dlfcn.h>
#include <stdlib.h>

#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/cublaslt.h"
#include "tests/cuda/emulate.h"
#include "tests/device/fake_cuda.h"
#include "tests/device/fake_rows.h"

namespace
{
struct launch {
    struct fake_op op;
    const std::function<int()> *run;
};

void run(const struct fake_op *op)
{
    if ((*reinterpret_cast<const struct launch *>(op)->run)() != 0)
        abort();
}

/* Launches live as long as the plug-in: graphs run them again. */
std::vector<std::unique_ptr<std::function<int()>>> launches;

int enqueue(const std::function<int()> &closure, void *stream)
{
    fake_lock();
    launches.emplace_back(new std::function<int()>(closure));
    const struct launch launch = {{run, sizeof launch}, launches.back().get()};
    fake_unlock();
    return fake_enqueue(true, &launch.op, stream);
}

/* Products of the stand-in for cuBLASLt (tests/cuda/fake_cublaslt.c) wait with the launches. */
int enqueue_product(void (*product)(const void *job), const void *job, size_t bytes, void *stream)
{
    const auto *begin = static_cast<const unsigned char *>(job);
    const std::vector<unsigned char> kept(begin, begin + bytes);
    return enqueue(
        [=] {
            product(kept.data());
            return 0;
        },
        stream);
}

void join_cublaslt()
{
    void *library = dlopen(APX_LT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    void *hook = library != nullptr ? dlsym(library, "fake_cublaslt_enqueue") : nullptr;
    if (hook != nullptr)
        *static_cast<decltype(&enqueue_product) *>(hook) = enqueue_product;
}

struct apx_cuda_driver table;
} // namespace

extern "C" __attribute__((visibility("default"))) const struct apx_cuda_driver *
apx_cuda_plugin(int version)
{
    fake_lock();
    emulated_enqueue = enqueue;
    join_cublaslt();
    table = fake_cuda_driver;
    table.cublaslt = apx_lt_version;
    table.lstm = apx_cuda_lstm_rows(&table.lstm_count);
    table.gru = apx_cuda_gru_rows(&table.gru_count);
    table.dense = apx_cuda_dense_rows(&table.dense_count);
    table.forest = apx_cuda_forest_rows(&table.forest_count);
    table.ops = apx_cuda_ops();
    fake_unlock();
    return fake_cuda_configure() && version == APX_CUDA_DRIVER_VERSION ? &table : nullptr;
}
