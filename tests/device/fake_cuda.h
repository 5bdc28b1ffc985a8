/* SPDX-License-Identifier: Apache-2.0 */
/* fake_cuda.h - a CUDA driver without CUDA, for tests of what lies above it.
 *
 * Device memory is memory of the host, closed (PROT_NONE) except while the "device" works, so that
 * touching it from outside is a segmentation fault. What is enqueued is kept and done when the
 * stream is waited for or destroyed, as late as CUDA might. Kernels are the scalar rows. Every copy
 * is checked against what is allocated; what breaks a rule of cuda_driver.h is counted. */
#ifndef APX_TESTS_FAKE_CUDA_H
#define APX_TESTS_FAKE_CUDA_H

#include "kernels/cuda/cuda_driver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CUDA's own numbers of these errors. */
enum {
    FAKE_NO_MEMORY = 2,
    FAKE_OLD_DRIVER = 35,
    FAKE_NO_DRIVER = 34, /* the stub library's; without any library the answer is 35 */
    FAKE_BUSY = 46,
    FAKE_NO_KERNEL = 209,
    FAKE_NO_DEVICE = 100,
    FAKE_LAUNCH_FAILED = 719,
    FAKE_INVALID_DEVICE = 101,
};

enum fake_call {
    FAKE_COUNT,
    FAKE_DESCRIBE,
    FAKE_USE,
    FAKE_ALLOC,
    FAKE_HOST_ALLOC,
    FAKE_STREAM_CREATE,
    FAKE_WAIT,
    FAKE_COPY_IN,
    FAKE_COPY_OUT,
    FAKE_CAPTURE_BEGIN,
    FAKE_CAPTURE_END,
    FAKE_GRAPH_LAUNCH,
    FAKE_LAUNCH, /* of a kernel */
    FAKE_CALLS,
};

struct fake_cuda {
    /* What the test says. */
    int devices, major, minor;
    size_t memory_bytes;      /* of a device; allocations beyond it fail */
    size_t most_hidden;       /* layers that there are rows for */
    double row_seconds;       /* of a recurrent step for each row, by the layers' own estimate */
    size_t forest_scratch;    /* bytes for each of the first 64 rows of trees */
    bool is_idle;             /* kernels do nothing: the device's time is wait_us */
    long wait_us;             /* what each wait for a stream takes longer */
    bool has_no_cublaslt;     /* auspex devices says so */
    bool has_no_ops;          /* elementwise, copies ... */
    bool fails_any;           /* fail_at counts calls of every kind */
    enum fake_call fail_call; /* else: of this kind */
    unsigned long fail_at;    /* 1: the next; 0: none fails */
    unsigned long fail_count; /* how many in turn; 0: one */
    int fail_code;
    /* What happened. */
    unsigned long calls[FAKE_CALLS], all_calls;
    unsigned long broken;                          /* rules */
    const char *rule;                              /* the first */
    unsigned long memory, pinned, streams, graphs; /* alive */
    size_t used[16];                               /* bytes on each device */
};

/* Devices: one of 9.0 with 1 GiB; nothing fails. What is alive stays alive. */
void fake_cuda_reset(void);
extern struct fake_cuda fake_cuda;
extern const struct apx_cuda_driver fake_cuda_driver;
/* From the environment: see fake_plugin.c. False: the plug-in is of another version. */
bool fake_cuda_configure(void);

#ifdef __cplusplus
}
#endif

#endif
