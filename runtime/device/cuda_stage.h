/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_stage.h - the rows of a slice from the caller's tensors into the buffers that are copied to
 * a device, and from those that come back. */
#ifndef APX_DEVICE_CUDA_STAGE_H
#define APX_DEVICE_CUDA_STAGE_H

#include "runtime/device/cuda_program.h"

struct apx_cuda_staging {
    const struct apx_cuda_program *program;
    const int64_t *symbols; /* as steps see them */
    int64_t bucket;         /* rows in the buffers: the slice's, then zeros */
    const struct apx_slice *slice;
    char *const *slot;    /* [slot_count] on the host; those of inputs and outputs are looked at */
    const int32_t *place; /* [slice->rows] of each row in the buffers; NULL: as they come */
};

void apx_cuda_stage(const struct apx_cuda_staging *staging);
void apx_cuda_unstage(const struct apx_cuda_staging *staging);

/* What both ways would take longer with rows in places of their own. */
double apx_cuda_order_seconds(const struct apx_cuda_staging *staging);

#endif
