/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_pool.h - engines of a program, lent for the time of one slice.
 *
 * A machine has more workers than a GPU has use for: three slices at once keep its two copy engines
 * and its multiprocessors busy. So lanes own nothing, and take an engine for each slice: on the
 * device nearest to the worker's core that has least to do. */
#ifndef APX_DEVICE_CUDA_POOL_H
#define APX_DEVICE_CUDA_POOL_H

#include "runtime/device/cuda_engine.h"

#define APX_CUDA_ENGINES 3 /* of one device: one copies in, one computes, one copies out */

struct apx_cuda_pool;

/* The program outlives the pool. APX_ENOMEM */
enum apx_status apx_cuda_pool_create(const struct apx_cuda_program *program,
                                     struct apx_cuda_pool **out, struct apx_error *error);
void apx_cuda_pool_destroy(struct apx_cuda_pool *pool); /* accepts NULL; nobody holds an engine */

/* Waits for one if all are lent. Any thread. APX_EDEVICE, APX_ENOMEM: not even one can be made */
enum apx_status apx_cuda_pool_take(struct apx_cuda_pool *pool, struct apx_cuda_engine **out,
                                   struct apx_error *error);
void apx_cuda_pool_give(struct apx_cuda_pool *pool, struct apx_cuda_engine *engine);
/* Of all engines; nobody holds one. */
struct apx_cuda_counts apx_cuda_pool_counts(struct apx_cuda_pool *pool);

#endif
