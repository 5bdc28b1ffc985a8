/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - calls wait here for workers; who is admitted, and who takes which rows.
 *
 * A free worker takes what is waiting for one model version: the rows of the call that is due
 * first, and if those do not fill a slice, rows of the next ones. The shorter a call, the sooner it
 * is due, so that ten rows never wait for ten thousand. Nobody waits for a slice to fill up. All
 * functions may be called from any thread. */
#ifndef APX_SERVE_QUEUE_H
#define APX_SERVE_QUEUE_H

#include "serve/predict_decode.h"
#include "serve/predict_encode.h"
#include "serve/served.h"
#include "serve/transport.h"

/* One BatchPredict call. Made by call_predict.c; between apx_queue_push and its end, what is marked
 * (q) belongs to the queue. */
struct apx_job {
    struct apx_call *call;
    struct apx_predict_request request;
    struct apx_served *served; /* one reference */
    int output;
    uint32_t steps, width;
    enum apx_dtype run_type; /* of the values in a run */
    struct apx_reply_plan plan;
    uint8_t *reply; /* [plan.capacity], the transport's */
    int64_t arrival_ns, deadline_ns;
    bool counted; /* among the calls under way */

    int64_t started_ns, computed_ns; /* (q) start of the first slice, end of the last; 0: none */
    double forecast_ns;              /* (q) of one row */
    double due_ns;                   /* (q) the order of the calls of a version */
    uint32_t next_row;               /* (q) the first row that nobody has taken */
    uint32_t open_rows;              /* (q) rows not yet computed, taken or not */
    bool waiting;                    /* (q) in its version's list */
    enum apx_code code;              /* (q) the first failure */
    uint32_t bad_row;                /* (q) with has_bad_row: the first one that is not finite */
    bool has_bad_row;
    char message[416];               /* (q) */
    struct apx_job *previous, *next; /* (q) */
    struct apx_job *next_ended;      /* (q), then of whoever got it */
};

/* What a worker computes in one go. */
enum { APX_SLICE_PARTS = 64 };
struct apx_part {
    struct apx_job *job;
    uint32_t first, rows;
    /* Filled in by the worker: */
    bool has_bad_row;
    uint32_t bad_row;
};
struct apx_slice {
    struct apx_served *served;
    struct apx_run run;
    int part_count;
    struct apx_part parts[APX_SLICE_PARTS];
};

struct apx_queue;

struct apx_queue_options {
    int workers;
    int64_t max_rows;
    size_t max_bytes; /* of the waiting requests' and replies' rows */
};

/* APX_ENOMEM */
enum apx_status apx_queue_create(const struct apx_queue_options *options, struct apx_queue **out,
                                 struct apx_error *error);
/* Nobody may wait on it or hold a job of it. Accepts NULL. */
void apx_queue_destroy(struct apx_queue *queue);

/* Admission. APX_CODE_OK: the job is the queue's, and may even have ended when this returns. Any
 * other code: the job is still the caller's, `message` (of message_size bytes) says why, *retry_ms
 * when to come again (-1: never).
 *   APX_CODE_DEADLINE_EXCEEDED    its deadline is over
 *   APX_CODE_RESOURCE_EXHAUSTED   no room, or no time before its deadline
 *   APX_CODE_UNAVAILABLE          the queue is closed */
enum apx_code apx_queue_push(struct apx_queue *queue, struct apx_job *job, char *message,
                             size_t message_size, int64_t *retry_ms);
/* Its client gave up: drop the rows that nobody has taken. True: the job has ended by that, and is
 * the caller's to answer. Harmless for a job that has ended or was never pushed. */
bool apx_queue_cancel(struct apx_queue *queue, struct apx_job *job);

/* Wait for work. False: the queue is closed and empty. Jobs that were too late are in *ended (a
 * list by next_ended) for the caller to answer; slice->part_count may then be 0. */
bool apx_queue_take(struct apx_queue *queue, struct apx_slice *slice, struct apx_job **ended);
/* The slice is computed (status APX_OK) or failed. Returns the jobs that ended by it. */
struct apx_job *apx_queue_done(struct apx_queue *queue, const struct apx_slice *slice,
                               int64_t start_ns, int64_t end_ns, enum apx_status status,
                               const struct apx_error *error);
/* Let the workers go once nothing is left; pushes are refused from here on. */
void apx_queue_close(struct apx_queue *queue);
/* Rows that wait. */
int64_t apx_queue_waiting(struct apx_queue *queue);

#endif
