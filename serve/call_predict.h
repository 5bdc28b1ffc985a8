/* SPDX-License-Identifier: Apache-2.0 */
/* call_predict.h - auspex.v1.Inference/BatchPredict, from arrival to answer. */
#ifndef APX_SERVE_CALL_PREDICT_H
#define APX_SERVE_CALL_PREDICT_H

#include "serve/log.h"
#include "serve/models.h"
#include "serve/queue.h"

#define APX_PREDICT_PATH "/auspex.v1.Inference/BatchPredict"

/* Caller-owned, zero but for the first two members; must outlive the transport and the workers. */
struct apx_predict {
    struct apx_models *models;
    struct apx_queue *queue;
    _Atomic int64_t calls, answered_ok, refused; /* since the start */
    _Atomic int64_t under_way; /* calls that were not refused on arrival and are not over */
    atomic_bool draining;      /* refuse what comes from now on with UNAVAILABLE */
    struct apx_log_limit overload_limit, failure_limit;
};

struct apx_method apx_predict_method(struct apx_predict *predict);
/* For the workers: answer a job that has ended. context: the struct apx_predict. */
void apx_predict_answer(void *context, struct apx_job *job);

#endif
