/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - the threads that compute. Worker i uses session i of each served version, and no other
 * thread does. */
#ifndef APX_SERVE_WORKER_H
#define APX_SERVE_WORKER_H

#include "serve/queue.h"

struct apx_workers;

struct apx_workers_options {
    struct apx_queue *queue;
    int count;
    /* A job has ended; called on the worker's thread. */
    void (*answer)(void *context, struct apx_job *job);
    void *context;
};

/* APX_ENOMEM */
enum apx_status apx_workers_create(const struct apx_workers_options *options,
                                   struct apx_workers **out, struct apx_error *error);
/* The queue must be closed; waits until it is empty. Accepts NULL. */
void apx_workers_destroy(struct apx_workers *workers);

#endif
