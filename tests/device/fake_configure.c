/* SPDX-License-Identifier: Apache-2.0 */
/* fake_configure.c - the environment's FAKE_CUDA says what is wrong with the device: "no_device",
 * "old_driver", "old_device", "other_version", "full" (no memory but for weights), "two_devices",
 * "narrow" (layers of one unit alone), "no_cublaslt"; "idle=N": kernels do nothing, and each call
 * takes N microseconds; anything else, or nothing: one good device. */
#include <stdlib.h>
#include <string.h>

#include "tests/device/fake_cuda.h"

bool fake_cuda_configure(void)
{
    const char *word = getenv("FAKE_CUDA");
    word = word != NULL ? word : "";
    fake_cuda_reset();
    fake_cuda.devices = strcmp(word, "two_devices") == 0 ? 2 : 1;
    if (strcmp(word, "narrow") == 0)
        fake_cuda.most_hidden = 1;
    fake_cuda.has_no_cublaslt = strcmp(word, "no_cublaslt") == 0;
    if (strcmp(word, "old_device") == 0)
        fake_cuda.major = 7;
    if (strcmp(word, "no_device") == 0 || strcmp(word, "old_driver") == 0) {
        fake_cuda.fail_call = FAKE_COUNT;
        fake_cuda.fail_code = word[0] == 'n' ? FAKE_NO_DEVICE : FAKE_OLD_DRIVER;
    }
    if (strcmp(word, "full") == 0) {
        fake_cuda.fail_call = FAKE_HOST_ALLOC;
        fake_cuda.fail_code = FAKE_NO_MEMORY;
    }
    if (strncmp(word, "idle=", 5) == 0) {
        fake_cuda.is_idle = true;
        fake_cuda.wait_us = strtol(word + 5, NULL, 10);
    }
    fake_cuda.fail_at = fake_cuda.fail_code != 0;
    fake_cuda.fail_count = (unsigned long)-1;
    return strcmp(word, "other_version") != 0;
}
