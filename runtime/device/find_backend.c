/* SPDX-License-Identifier: Apache-2.0 */
/* find_backend.c - a device's name to its backend. */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/device/auto_backend.h"
#include "runtime/device/backend.h"
#include "runtime/device/cuda_open.h"

enum apx_status apx_backend_find(const char *device, const struct apx_backend **out,
                                 struct apx_error *error)
{
    *out = NULL;
    if (device != NULL && strcmp(device, "cpu") == 0) {
        *out = &apx_backend_cpu;
        return APX_OK;
    }
    const bool is_auto = device == NULL || strcmp(device, "auto") == 0;
    if (!is_auto && strcmp(device, "cuda") != 0)
        return apx_fail(error, APX_EINVAL, "device",
                        "device \"%s\" is not known; say auto, cpu or cuda", device);
    struct apx_cuda_machine machine;
    if (is_auto) {
        bool has_gpu = apx_cuda_open(NULL, &machine, NULL) == APX_OK;
        *out = has_gpu ? &apx_backend_auto : &apx_backend_cpu;
        return APX_OK;
    }
    enum apx_status status = apx_cuda_open(NULL, &machine, error);
    if (status == APX_OK)
        *out = &apx_backend_cuda;
    return status;
}

enum apx_status apx_device_check(const char *device, struct apx_error *error)
{
    const struct apx_backend *backend;
    return apx_backend_find(device, &backend, error);
}
