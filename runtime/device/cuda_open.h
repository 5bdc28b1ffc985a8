/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_open.h - the CUDA driver and its devices, and what their errors mean to a person. */
#ifndef APX_DEVICE_CUDA_OPEN_H
#define APX_DEVICE_CUDA_OPEN_H

#include "kernels/cuda/cuda_driver.h"
#include "runtime/auspex.h"

#define APX_CUDA_DEVICES 16 /* used at once; a larger machine shows its first ones */

/* Devices of one kind (compute capability), the first one's; others are left alone, since a row of
 * a batch shall have the same bits on each. */
struct apx_cuda_machine {
    const struct apx_cuda_driver *driver;
    int count; /* at least 1 */
    struct apx_cuda_device device[APX_CUDA_DEVICES];
    int os_node[APX_CUDA_DEVICES]; /* NUMA node of the cores nearest to it; -1: all are as near */
};

/* What can be seen of a GPU without CUDA. */
struct apx_cuda_evidence {
    bool has_gpu;    /* NVIDIA's, on the bus */
    bool has_driver; /* its library; a GPU may be there that the bus does not show */
    char gpu[96];
};
void apx_cuda_look(struct apx_cuda_evidence *out);
/* Why there is no plug-in, or no driver: the cause that is behind the others, and what to do.
 * reason: the loader's, of the plug-in. APX_EDEVICE */
enum apx_status apx_cuda_explain(const struct apx_cuda_evidence *evidence, const char *reason,
                                 struct apx_error *error);

/* The plug-in's table: libauspex_cuda.so on the loader's path (rpath of this library,
 * LD_LIBRARY_PATH, the system's folders). A plug-in stays loaded: its driver keeps threads.
 *   APX_EDEVICE: no plug-in, or of another version */
enum apx_status apx_cuda_load(const struct apx_cuda_driver **out, struct apx_error *error);

/* driver NULL: the plug-in's. APX_EDEVICE: no plug-in, no driver, no device; APX_ENOMEM */
enum apx_status apx_cuda_open(const struct apx_cuda_driver *driver, struct apx_cuda_machine *out,
                              struct apx_error *error);

/* What CUDA's error `code`, met while `doing` ("running the model"), means and what to do.
 *   APX_ENOMEM: the device's memory is full; APX_EDEVICE: anything else */
enum apx_status apx_cuda_fail(const struct apx_cuda_driver *driver, int code, const char *doing,
                              struct apx_error *error);

#endif
