/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_engine.h - what runs one slice at a time on one device: a stream, memory there, pinned
 * memory here, and graphs of the shapes that come again. Used by one thread at a time. */
#ifndef APX_DEVICE_CUDA_ENGINE_H
#define APX_DEVICE_CUDA_ENGINE_H

#include "runtime/device/cuda_program.h"

/* Shapes (bucket and free extents) that an engine keeps, each with its graph. */
#define APX_CUDA_SHAPES 32

struct apx_cuda_engine;

struct apx_cuda_counts {
    unsigned long direct, captured, launched; /* calls step by step, graphs made, calls by graph */
    unsigned long ordered;                    /* calls whose rows were put in order of length */
};

/* `device`: index in the program's machine. *out is NULL on failure. APX_EDEVICE, APX_ENOMEM */
enum apx_status apx_cuda_engine_create(const struct apx_cuda_program *program, int device,
                                       struct apx_cuda_engine **out, struct apx_error *error);
void apx_cuda_engine_destroy(struct apx_cuda_engine *engine); /* accepts NULL */
int apx_cuda_engine_device(const struct apx_cuda_engine *engine);
struct apx_cuda_counts apx_cuda_engine_counts(const struct apx_cuda_engine *engine);

/* As lane_reserve and run of struct apx_backend. A failure of the device leaves the engine usable
 * as far as the device is. APX_EDEVICE, APX_ENOMEM, APX_EINVAL, APX_EUNSUPPORTED (extents) */
enum apx_status apx_cuda_engine_reserve(struct apx_cuda_engine *engine, const int64_t *symbols,
                                        int64_t rows, struct apx_error *error);
enum apx_status apx_cuda_engine_run(struct apx_cuda_engine *engine, const struct apx_slice *slice,
                                    struct apx_error *error);

#endif
