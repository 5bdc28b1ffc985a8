/* SPDX-License-Identifier: Apache-2.0 */
/* crew.h - a few threads that work off numbered tasks together.
 *
 * Which thread takes which task is left to chance, so tasks must write to places of their own; the
 * results are then the same for any number of threads. One caller at a time. */
#ifndef APX_TRAIN_CREW_H
#define APX_TRAIN_CREW_H

#include "runtime/auspex.h"

#define APX_LIMIT_CREW 256 /* threads */

struct apx_crew;

/* worker: 0 .. threads-1, the caller's included; for buffers of one thread's own. */
typedef void (*apx_crew_task)(void *context, int worker, size_t task);

/* threads: 1 .. APX_LIMIT_CREW. SIGINT and SIGTERM stay with the calling thread.
 *   APX_EINVAL, APX_ENOMEM (also when the system refuses a thread) */
enum apx_status apx_crew_create(int threads, struct apx_crew **out, struct apx_error *error);
void apx_crew_destroy(struct apx_crew *crew); /* accepts NULL */
int apx_crew_threads(const struct apx_crew *crew);
/* Call task(context, worker, i) once for every i < count; returns when all have returned. */
void apx_crew_run(struct apx_crew *crew, size_t count, apx_crew_task task, void *context);

#endif
