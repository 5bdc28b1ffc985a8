/* SPDX-License-Identifier: Apache-2.0 */
/* step_cuda.h - what a class of steps can do on a CUDA device, beside what it can do on the CPU.
 *
 * Operands, parameters and argument blocks are those of the CPU: a step is lowered and bound once
 * in the same way, and only the end differs, where a kernel is called or enqueued. */
#ifndef APX_PLAN_STEP_CUDA_H
#define APX_PLAN_STEP_CUDA_H

#include "kernels/cuda/cuda_driver.h"
#include "runtime/plan/plan.h"

/* Where a program is to run. */
struct apx_cuda_place {
    const struct apx_cuda_driver *driver;
    struct apx_cuda_device device;
    const char *precision; /* "fp32", "fp16", "int8" */
};

/* What was chosen for a step. */
struct apx_cuda_choice {
    const void *row;       /* of the driver's tables, or NULL: the class has no rows */
    const char *kernel;    /* for reports; NULL: the class's name says it */
    const char *precision; /* of its products; NULL: fp32 */
};

/* One step while it is enqueued. The slots of `frame` are the device's. */
struct apx_cuda_frame {
    struct apx_frame frame;
    const struct apx_cuda_place *place;
    struct apx_cuda_choice choice;
    const void *packed; /* the step's weights on the device */
    const void *header; /* the first header_bytes of them on the host */
    int32_t *fault;     /* on the device: see apx_cuda_rnn_row */
    void *stream;
};

/* A step of a stack while it is enqueued. */
struct apx_cuda_stacked {
    const struct apx_step *step;
    const void *args, *packed; /* as launch gets them */
    bool is_between;           /* its first output is read by the next one alone */
};

struct apx_step_cuda {
    /* False: this device cannot run this step; out->precision then says which was looked for. */
    bool (*choose)(const struct apx_step *step, const struct apx_cuda_place *place,
                   struct apx_cuda_choice *out);
    /* Weights; NULL: none. pack may touch packed_bound bytes and tells how many to upload. */
    size_t (*packed_bound)(const struct apx_step *step, const struct apx_cuda_choice *choice);
    size_t (*pack)(const struct apx_step *step, const struct apx_cuda_choice *choice, void *packed);
    size_t header_bytes; /* of the weights that launch wants to see on the host */
    /* Bytes of scratch; NULL: none. Does not fall when extents grow. */
    size_t (*scratch)(const struct apx_step *step, const struct apx_cuda_choice *choice,
                      const void *header, const struct apx_bound *in, const struct apx_bound *out);
    /* 0, CUDA's error or APX_CUDA_CANNOT. */
    int (*launch)(const struct apx_step *step, const void *args,
                  const struct apx_cuda_frame *frame);
    /* The device's time; NULL: what its operands take to be read and written. */
    double (*seconds)(const struct apx_step *step, const struct apx_cuda_place *place,
                      const struct apx_cuda_choice *choice, const void *header,
                      const struct apx_bound *in, const struct apx_bound *out);
    /* Stacks: steps of this class and with one row, each of which takes the first output of the one
     * before as its first input, in one launch. NULL, all three: none. follows: `above` may be that
     * to `below`, whose y it is known to take. stack_seconds: as seconds, infinite if there is no
     * such launch. 2 to APX_CUDA_MOST_STACKED steps; in: of the first */
    bool (*follows)(const struct apx_step *below, const struct apx_step *above);
    int (*launch_stack)(const struct apx_cuda_stacked *steps, int count,
                        const struct apx_cuda_frame *frame);
    double (*stack_seconds)(const struct apx_step *const *steps, int count,
                            const struct apx_cuda_place *place,
                            const struct apx_cuda_choice *choice, const struct apx_bound *in);
};

#endif
