/* SPDX-License-Identifier: Apache-2.0 */
/* device_emulated.c - device.h over the emulator: device memory is the host's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cuda/device.h"

extern size_t emulated_shared_limit;

const struct apx_cuda_device *device_open(void)
{
    static const struct apx_cuda_device device = {.major = 9,
                                                  .multiprocessors = 132,
                                                  .shared_bytes = 227 * 1024,
                                                  .memory_bytes = 1ull << 30,
                                                  .memory_rate = 4.8e12,
                                                  .clock = 1.785e9,
                                                  .name = "emulated"};
    return &device;
}

void *device_alloc(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 256, bytes > 0 ? bytes : 1) != 0) {
        fprintf(stderr, "FAIL no memory\n");
        exit(1);
    }
    memset(memory, 0xff, bytes);
    return memory;
}

void device_free(void *memory)
{
    free(memory);
}

void device_in(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
}

void device_out(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
}

void device_check(const char *what, int code)
{
    if (code == 0)
        return;
    fprintf(stderr, "FAIL %s: %d\n", what, code);
    exit(1);
}

void device_limit_shared(size_t bytes)
{
    emulated_shared_limit = bytes;
}

double device_time(int (*launch)(void *context, void *stream), void *context)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    device_check("launch", launch(context, NULL));
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}
