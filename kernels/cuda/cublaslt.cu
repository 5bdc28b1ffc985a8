/* SPDX-License-Identifier: Apache-2.0 */
/* cublaslt.cu - cuBLASLt, if it is installed: a library of half a gigabyte that only large layers
 * want, so nothing is linked with it, and it is looked for when the first such layer comes. */
#include "kernels/cuda/cublaslt.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

namespace
{
struct apx_lt_library library;
bool is_loaded;
pthread_once_t once = PTHREAD_ONCE_INIT;

const struct {
    const char *name;
    size_t offset;
} functions[] = {
    {"cublasLtGetVersion", offsetof(struct apx_lt_library, version)},
    {"cublasLtCreate", offsetof(struct apx_lt_library, create)},
    {"cublasLtMatmulDescCreate", offsetof(struct apx_lt_library, desc_create)},
    {"cublasLtMatmulDescDestroy", offsetof(struct apx_lt_library, desc_destroy)},
    {"cublasLtMatmulDescSetAttribute", offsetof(struct apx_lt_library, desc_set)},
    {"cublasLtMatrixLayoutCreate", offsetof(struct apx_lt_library, layout_create)},
    {"cublasLtMatrixLayoutDestroy", offsetof(struct apx_lt_library, layout_destroy)},
    {"cublasLtMatmulPreferenceCreate", offsetof(struct apx_lt_library, preference_create)},
    {"cublasLtMatmulPreferenceDestroy", offsetof(struct apx_lt_library, preference_destroy)},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(struct apx_lt_library, preference_set)},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(struct apx_lt_library, heuristic)},
    {"cublasLtMatmulAlgoCheck", offsetof(struct apx_lt_library, check)},
    {"cublasLtMatmulAlgoConfigGetAttribute", offsetof(struct apx_lt_library, config_get)},
    {"cublasLtMatmul", offsetof(struct apx_lt_library, matmul)},
};

void load()
{
    void *handle = dlopen(APX_LT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr)
        return;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *symbol = dlsym(handle, functions[i].name);
        if (symbol == nullptr) {
            dlclose(handle);
            return;
        }
        /* POSIX: a function's address fits. */
        memcpy((char *)&library + functions[i].offset, &symbol, sizeof symbol);
    }
    is_loaded = library.version() / 10000 == APX_LT_MAJOR;
    if (!is_loaded)
        dlclose(handle);
}
} // namespace

const struct apx_lt_library *apx_lt_library()
{
    pthread_once(&once, load);
    return is_loaded ? &library : nullptr;
}

size_t apx_lt_version()
{
    const struct apx_lt_library *found = apx_lt_library();
    return found != nullptr ? found->version() : 0;
}
