/* SPDX-License-Identifier: Apache-2.0 */
/* fake_plugin.c - the driver that is none as a libauspex_cuda.so, for programs under test. */
#include "tests/device/fake_cuda.h"

__attribute__((visibility("default"))) apx_cuda_plugin_fn apx_cuda_plugin;

const struct apx_cuda_driver *apx_cuda_plugin(int version)
{
    return fake_cuda_configure() && version == APX_CUDA_DRIVER_VERSION ? &fake_cuda_driver : NULL;
}
