/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_driver.h - all that the runtime may ask of CUDA, in one table.
 *
 * The plug-in libauspex_cuda.so exports apx_cuda_plugin, which returns its table; the runtime knows
 * nothing else of it, and tests put a table of their own below the runtime. Functions return 0 or a
 * CUDA error's number. Handles are opaque; all functions may be called by any thread, each handle
 * by one at a time. */
#ifndef APX_KERNELS_CUDA_DRIVER_H
#define APX_KERNELS_CUDA_DRIVER_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

/* What an error means for those who must act on it. */
enum apx_cuda_fault {
    APX_CUDA_NO_DRIVER,  /* none is installed */
    APX_CUDA_OLD_DRIVER, /* older than the plug-in's CUDA */
    APX_CUDA_NO_DEVICE,  /* none is there, or none is visible */
    APX_CUDA_NO_MEMORY,
    APX_CUDA_NO_KERNEL, /* not compiled for this device */
    APX_CUDA_BUSY,      /* another process has the device for itself */
    APX_CUDA_LOST,      /* the context is broken: nothing works until the process starts again */
    APX_CUDA_OTHER,
};

#define APX_CUDA_DRIVER_VERSION 4

struct apx_cuda_driver {
    int version; /* APX_CUDA_DRIVER_VERSION */

    enum apx_cuda_fault (*fault)(int code);
    const char *(*text)(int code); /* CUDA's own words; static storage */

    int (*count)(int *devices);
    int (*describe)(int index, struct apx_cuda_device *out);
    /* For the calling thread: what is made or enqueued afterwards is on this device. Releasing and
     * destroying need no such call. */
    int (*use)(int index);

    int (*alloc)(size_t bytes, void **out);      /* device memory, 256-byte aligned; bytes > 0 */
    void (*release)(void *memory);               /* accepts NULL */
    int (*host_alloc)(size_t bytes, void **out); /* pinned, 64-byte aligned */
    void (*host_release)(void *memory);          /* accepts NULL */

    int (*stream_create)(void **out);
    void (*stream_destroy)(void *stream); /* accepts NULL; what is under way ends first */
    int (*stream_wait)(void *stream);     /* until all is done; errors of what ran come here */
    int (*copy_in)(void *device, const void *host, size_t bytes, void *stream);
    int (*copy_out)(void *host, const void *device, size_t bytes, void *stream);

    /* What is enqueued on `stream` between the two is not run but becomes a graph. After a failure
     * of capture_end, or of what came between, the stream is as before and *out NULL. */
    int (*capture_begin)(void *stream);
    int (*capture_end)(void *stream, void **out);
    int (*graph_launch)(void *graph, void *stream);
    void (*graph_destroy)(void *graph); /* accepts NULL */

    /* Of the cuBLASLt that large layers use (130100: 13.1.0); 0: none is found. */
    size_t (*cublaslt)(void);

    const struct apx_cuda_rnn_row *lstm, *gru;
    size_t lstm_count, gru_count;
    const struct apx_cuda_dense_row *dense;
    size_t dense_count;
    const struct apx_cuda_forest_row *forest;
    size_t forest_count;
    const struct apx_cuda_ops *ops;
};

/* What a plug-in exports as apx_cuda_plugin; NULL for another version than its own. Touches no
 * driver and no device. */
typedef const struct apx_cuda_driver *apx_cuda_plugin_fn(int version);

#ifdef __cplusplus
}
#endif
#endif
