/* SPDX-License-Identifier: Apache-2.0 */
/* worker_pool.h - threads that take the items of a job one by one; the caller works too.
 *
 * A job neither locks nor allocates. Workers look out for the next job for some microseconds before
 * they sleep. One thread at a time may run jobs on a pool. */
#ifndef APX_EXEC_WORKER_POOL_H
#define APX_EXEC_WORKER_POOL_H

#include <sched.h>

#include "runtime/auspex.h"

/* worker: 0 is the caller, 1 and up the pool's threads. */
typedef void apx_pool_fn(void *context, int worker, uint32_t item);

struct apx_pool;

/* `workers` >= 1 counts the caller, so 1 starts no thread. cores[workers]: worker i is pinned to
 * the hardware threads of cores[i]; NULL: none is. The caller is not pinned, cores[0] is only left
 * to it: a worker on whose core the caller turns up moves to the one left, unless the caller is
 * kept off that one, or the worker was moved by somebody else. *out is NULL on failure.
 *   APX_ENOMEM, APX_EIO (the system starts no more threads) */
enum apx_status apx_pool_create(const struct apx_allocator *allocator, int workers,
                                const cpu_set_t *cores, struct apx_pool **out,
                                struct apx_error *error);
void apx_pool_destroy(struct apx_pool *pool); /* accepts NULL; waits for the threads to end */

/* Calls run(context, worker, item) once for each item < count and returns when all are done. */
void apx_pool_run(struct apx_pool *pool, apx_pool_fn *run, void *context, uint32_t count);

#endif
