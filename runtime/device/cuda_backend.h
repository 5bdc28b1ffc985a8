/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_backend.h - what is inside of a program of apx_backend_cuda. */
#ifndef APX_DEVICE_CUDA_BACKEND_H
#define APX_DEVICE_CUDA_BACKEND_H

#include "runtime/device/cuda_pool.h"

/* Both belong to the program, which apx_backend_cuda has compiled. */
const struct apx_cuda_program *apx_cuda_backend_program(const struct apx_program *program);
struct apx_cuda_pool *apx_cuda_backend_pool(const struct apx_program *program);

#endif
