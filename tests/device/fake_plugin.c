/* SPDX-License-Identifier: Apache-2.0 */
/* fake_plugin.c - the driver that is none as a libauspex_cuda.so, for programs under test. The
 * environment's FAKE_CUDA says what is wrong with it: "no_device", "old_driver", "old_device",
 * "other_version", "two_devices"; anything else, or nothing: one good device. */
#include <stdlib.h>
#include <string.h>

#include "tests/device/fake_cuda.h"

__attribute__((visibility("default"))) apx_cuda_plugin_fn apx_cuda_plugin;

const struct apx_cuda_driver *apx_cuda_plugin(int version)
{
    const char *word = getenv("FAKE_CUDA");
    word = word != NULL ? word : "";
    fake_cuda_reset();
    fake_cuda.devices = strcmp(word, "two_devices") == 0 ? 2 : 1;
    if (strcmp(word, "old_device") == 0)
        fake_cuda.major = 7;
    if (strcmp(word, "no_device") == 0 || strcmp(word, "old_driver") == 0) {
        fake_cuda.fail_call = FAKE_COUNT;
        fake_cuda.fail_at = 1;
        fake_cuda.fail_count = (unsigned long)-1;
        fake_cuda.fail_code = word[0] == 'n' ? FAKE_NO_DEVICE : FAKE_OLD_DRIVER;
    }
    return version == APX_CUDA_DRIVER_VERSION && strcmp(word, "other_version") != 0
               ? &fake_cuda_driver
               : NULL;
}
