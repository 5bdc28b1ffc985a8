/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's own driver under driver_check.h: linked with kernels/cuda by ci/device. Exit status 77:
 * there is no device. */
#include "tests/device/driver_check.h"

apx_cuda_plugin_fn apx_cuda_plugin;

static void keeps_its_promises(void)
{
    driver_check(apx_cuda_plugin(APX_CUDA_DRIVER_VERSION));
}

static void knows_its_version(void)
{
    CHECK(apx_cuda_plugin(APX_CUDA_DRIVER_VERSION + 1) == NULL);
}

int main(void)
{
    const struct apx_cuda_driver *driver = apx_cuda_plugin(APX_CUDA_DRIVER_VERSION);
    int count = 0, code = driver->count(&count);
    if (code != 0 || count == 0) {
        printf("no device: %s\n", code != 0 ? driver->text(code) : "none is visible");
        return 77;
    }
    RUN(knows_its_version);
    RUN(keeps_its_promises);
    return check_report();
}
