/* SPDX-License-Identifier: Apache-2.0 */
/* device.h - a device's memory and clock for checks and benchmarks of kernels/cuda: CUDA's
 * (device_cuda.cu) or the emulator's (device_emulated.c). Every failure ends the program with a
 * line that says what it was. */
#ifndef APX_TESTS_CUDA_DEVICE_H
#define APX_TESTS_CUDA_DEVICE_H

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Device 0; exits with 77 and a line if there is none. Static storage. */
const struct apx_cuda_device *device_open(void);
void *device_alloc(size_t bytes);
void device_free(void *memory);
void device_in(void *to, const void *from, size_t bytes);
void device_out(void *to, const void *from, size_t bytes);
/* Ends if `code`, or a kernel before, failed. */
void device_check(const char *what, int code);
/* The emulator's launches fail from now on that want more shared memory for a block; CUDA's limit
 * is the device's own, and stays. */
void device_limit_shared(size_t bytes);
/* Seconds of one launch: the median of several runs of a captured graph of some launches. */
double device_time(int (*launch)(void *context, void *stream), void *context);

#ifdef __cplusplus
}
#endif
#endif
