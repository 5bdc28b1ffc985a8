/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - one mutex, one list of waiting calls for each model version, and a ring of the versions
 * that have any. A slice costs tens of microseconds to compute, the lock well under one.
 *
 * How much a worker takes follows from the measured cost of a row: an equal share of what waits,
 * but at least SLICE_MIN_NS worth of work, below which waking another worker costs more than it
 * saves, and at most SLICE_MAX_NS, so that the next call's turn comes soon.
 *
 * A call is due when PATIENCE times its own work is over, and the first due goes first: ten rows
 * pass ten thousand, calls of a size keep their order, and nobody waits for ever. (In turns, calls
 * of a size would all end at the same time: with more of them than can be computed, all too late.)
 *
 * A refusal by forecast needs others to be waiting: were a cost overestimated, an idle server would
 * refuse everything and never measure again. */
#include "serve/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"
#include "serve/status_map.h"

#define SLICE_MIN_NS 50e3
#define SLICE_MAX_NS 1e6
enum {
    SLICE_ROUND = 8, /* rows; kernels work on blocks of at least this many */
    SLICE_MAX_ROWS = 4096,
    RETRY_MIN_MS = 1,
    MAX_SEEN = 256, /* waiting calls that one forecast looks at, under the lock */
    PATIENCE = 10,  /* times its own work a call waits before shorter ones let it go first */
};
#define IN_TIME     0.8 /* of the time left a forecast may fill: it is one, and replies travel */
#define COST_WEIGHT 0.1 /* of a new measurement in the running mean */
#define COST_JUMP   4.0 /* and at most this far from it: one preempted slice is no trend */

struct apx_queue {
    struct apx_queue_options options;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct apx_served *ring_first, *ring_last; /* versions with waiting jobs */
    int64_t waiting_rows, idle_workers;
    size_t held_bytes; /* of all jobs pushed and not ended */
    double waiting_ns; /* forecast for the waiting rows, on one worker */
    bool closed;
};

enum apx_status apx_queue_create(const struct apx_queue_options *options, struct apx_queue **out,
                                 struct apx_error *error)
{
    struct apx_queue *queue = calloc(1, sizeof *queue);
    *out = queue;
    if (queue == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    queue->options = *options;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->work, NULL);
    return APX_OK;
}

void apx_queue_destroy(struct apx_queue *queue)
{
    if (queue == NULL)
        return;
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

/* ---- lists; the mutex is held --------------------------------------------------------------- */

static void ring_append(struct apx_queue *queue, struct apx_served *served)
{
    served->is_waiting = true;
    served->next_waiting = NULL;
    if (queue->ring_last != NULL)
        queue->ring_last->next_waiting = served;
    else
        queue->ring_first = served;
    queue->ring_last = served;
}

static void ring_remove(struct apx_queue *queue, struct apx_served *served)
{
    struct apx_served **at = &queue->ring_first, *previous = NULL;
    while (*at != served) {
        previous = *at;
        at = &(*at)->next_waiting;
    }
    *at = served->next_waiting;
    if (queue->ring_last == served)
        queue->ring_last = previous;
    served->is_waiting = false;
}

/* Behind all that are due before it or with it; most often that is the end. */
static void job_insert(struct apx_job *job)
{
    struct apx_served *served = job->served;
    struct apx_job *before = served->last;
    while (before != NULL && before->due_ns > job->due_ns)
        before = before->previous;
    job->previous = before;
    job->next = before != NULL ? before->next : served->first;
    if (before != NULL)
        before->next = job;
    else
        served->first = job;
    if (job->next != NULL)
        job->next->previous = job;
    else
        served->last = job;
    job->waiting = true;
}

static void job_remove(struct apx_job *job)
{
    struct apx_served *served = job->served;
    if (job->previous != NULL)
        job->previous->next = job->next;
    else
        served->first = job->next;
    if (job->next != NULL)
        job->next->previous = job->previous;
    else
        served->last = job->previous;
    job->waiting = false;
}

/* `rows` of the job no longer wait. */
static void count_out(struct apx_queue *queue, struct apx_job *job, uint32_t rows)
{
    job->served->waiting_rows -= rows;
    queue->waiting_rows -= rows;
    job->served->waiting_ns -= rows * job->forecast_ns;
    queue->waiting_ns -= rows * job->forecast_ns;
    if (job->served->waiting_rows == 0) /* what rounding left over */
        job->served->waiting_ns = 0;
    if (queue->waiting_rows == 0)
        queue->waiting_ns = 0;
}

static size_t job_bytes(const struct apx_job *job)
{
    return job->request.values_bytes + job->plan.capacity;
}

static void set_code(struct apx_job *job, enum apx_code code, const char *message)
{
    if (job->code != APX_CODE_OK)
        return;
    job->code = code;
    snprintf(job->message, sizeof job->message, "%s", message);
}

/* Take the rows that nobody has taken away again. True: the job has ended. */
static bool drop_waiting(struct apx_queue *queue, struct apx_job *job)
{
    uint32_t rows = job->request.rows - job->next_row;
    job_remove(job);
    count_out(queue, job, rows);
    if (job->served->first == NULL)
        ring_remove(queue, job->served);
    job->next_row = job->request.rows;
    job->open_rows -= rows;
    if (job->open_rows == 0)
        queue->held_bytes -= job_bytes(job);
    return job->open_rows == 0;
}

/* ---- admission ------------------------------------------------------------------------------ */

static int64_t retry_after(const struct apx_queue *queue)
{
    int64_t ms = (int64_t)(queue->waiting_ns / queue->options.workers / 1e6);
    return ms > RETRY_MIN_MS ? ms : RETRY_MIN_MS;
}

/* Nanoseconds until the job's last row would be computed if it were pushed now. Before it come the
 * calls of its version that are due before it; and each slice of theirs and its own lets one of
 * each other version pass, which others may have filled up. */
static double forecast(const struct apx_queue *queue, const struct apx_job *job)
{
    double own = job->request.rows * job->forecast_ns, before = job->served->waiting_ns;
    const struct apx_job *at = job->served->last;
    for (int seen = 0; at != NULL && at->due_ns > job->due_ns && seen < MAX_SEEN; seen++) {
        before -= (at->request.rows - at->next_row) * at->forecast_ns;
        at = at->previous;
    }
    double turns = 2 * (before + own + SLICE_MAX_NS);
    const struct apx_served *served = queue->ring_first;
    for (; served != NULL; served = served->next_waiting) {
        if (served != job->served)
            before +=
                served->rows_independent && served->waiting_ns > turns ? turns : served->waiting_ns;
    }
    double helpers = own / SLICE_MIN_NS; /* workers that can take a part of it */
    helpers = helpers < 1 ? 1 : helpers;
    helpers = helpers > queue->options.workers ? queue->options.workers : helpers;
    return before / queue->options.workers + own / helpers;
}

static enum apx_code admit(const struct apx_queue *queue, const struct apx_job *job, int64_t now,
                           char *message, size_t message_size, int64_t *retry_ms)
{
    *retry_ms = -1;
    if (queue->closed) {
        snprintf(message, message_size, "the server is going down");
        return APX_CODE_UNAVAILABLE;
    }
    if (job->deadline_ns <= now) {
        snprintf(message, message_size, "the deadline passed before the work began");
        return APX_CODE_DEADLINE_EXCEEDED;
    }
    if (job->request.rows > queue->options.max_rows || job_bytes(job) > queue->options.max_bytes) {
        snprintf(message, message_size, "rows: %u never fit a queue of %lld rows, %zu bytes",
                 job->request.rows, (long long)queue->options.max_rows, queue->options.max_bytes);
        return APX_CODE_RESOURCE_EXHAUSTED;
    }
    if (queue->waiting_rows + job->request.rows > queue->options.max_rows ||
        queue->held_bytes + job_bytes(job) > queue->options.max_bytes) {
        *retry_ms = retry_after(queue);
        snprintf(message, message_size, "the queue is full: %lld rows wait",
                 (long long)queue->waiting_rows);
        return APX_CODE_RESOURCE_EXHAUSTED;
    }
    if (queue->waiting_rows > 0 && job->deadline_ns != INT64_MAX &&
        (double)(job->deadline_ns - now) * IN_TIME < forecast(queue, job)) {
        *retry_ms = retry_after(queue);
        snprintf(message, message_size,
                 "%u rows behind %lld others would not be ready by the deadline", job->request.rows,
                 (long long)queue->waiting_rows);
        return APX_CODE_RESOURCE_EXHAUSTED;
    }
    return APX_CODE_OK;
}

enum apx_code apx_queue_push(struct apx_queue *queue, struct apx_job *job, char *message,
                             size_t message_size, int64_t *retry_ms)
{
    int64_t now = apx_now_ns();
    pthread_mutex_lock(&queue->mutex);
    job->forecast_ns = job->served->ns_per_unit * job->steps;
    job->due_ns = (double)now + PATIENCE * job->request.rows * job->forecast_ns;
    enum apx_code code = admit(queue, job, now, message, message_size, retry_ms);
    if (code == APX_CODE_OK) {
        job->open_rows = job->request.rows;
        job_insert(job);
        job->served->waiting_rows += job->request.rows;
        job->served->waiting_ns += job->request.rows * job->forecast_ns;
        queue->waiting_rows += job->request.rows;
        queue->waiting_ns += job->request.rows * job->forecast_ns;
        queue->held_bytes += job_bytes(job);
        if (!job->served->is_waiting)
            ring_append(queue, job->served);
        if (queue->idle_workers > 0)
            pthread_cond_signal(&queue->work); /* who takes a part of it wakes the next one */
    }
    pthread_mutex_unlock(&queue->mutex);
    return code;
}

bool apx_queue_cancel(struct apx_queue *queue, struct apx_job *job)
{
    bool ended = false;
    pthread_mutex_lock(&queue->mutex);
    if (job->waiting) {
        set_code(job, APX_CODE_CANCELLED, "the client gave up");
        ended = drop_waiting(queue, job);
    }
    pthread_mutex_unlock(&queue->mutex);
    return ended;
}

/* ---- workers -------------------------------------------------------------------------------- */

static uint32_t round_rows(double rows)
{
    if (rows >= SLICE_MAX_ROWS)
        return SLICE_MAX_ROWS;
    return ((uint32_t)rows + SLICE_ROUND - 1) / SLICE_ROUND * SLICE_ROUND;
}

static uint32_t slice_rows(const struct apx_queue *queue, const struct apx_served *served,
                           uint32_t steps)
{
    double row_ns = served->ns_per_unit * steps;
    row_ns = row_ns > 1 ? row_ns : 1;
    uint32_t share = round_rows((double)served->waiting_rows / queue->options.workers + 0.999);
    uint32_t least = round_rows(SLICE_MIN_NS / row_ns);
    uint32_t most = round_rows(SLICE_MAX_NS / row_ns);
    least = least > SLICE_ROUND ? least : SLICE_ROUND;
    most = most > least ? most : least;
    return share < least ? least : share > most ? most : share;
}

/* The late jobs among the first of this version leave the queue. */
static void drop_late(struct apx_queue *queue, struct apx_served *served, int64_t now,
                      struct apx_job **ended)
{
    while (served->first != NULL && served->first->deadline_ns <= now) {
        struct apx_job *job = served->first;
        set_code(job, APX_CODE_DEADLINE_EXCEEDED, "the deadline passed before the work was done");
        if (drop_waiting(queue, job)) {
            job->next_ended = *ended;
            *ended = job;
        }
    }
}

/* Move the job's next rows, at most `room`, into the slice. */
static void take_part(struct apx_queue *queue, struct apx_slice *slice, struct apx_job *job,
                      uint32_t room, int64_t now)
{
    uint32_t left = job->request.rows - job->next_row;
    uint32_t rows = left <= room || !job->served->rows_independent ? left : room;
    struct apx_part *part = &slice->parts[slice->part_count++];
    *part = (struct apx_part){.job = job, .first = job->next_row, .rows = rows};
    slice->run.rows += rows;
    job->next_row += rows;
    if (job->started_ns == 0)
        job->started_ns = now;
    count_out(queue, job, rows);
    if (rows == left)
        job_remove(job);
}

static void fill(struct apx_queue *queue, struct apx_served *served, struct apx_slice *slice,
                 int64_t now)
{
    struct apx_job *job = served->first;
    uint32_t target = slice_rows(queue, served, job->steps);
    slice->served = served;
    slice->run.output = job->output;
    slice->run.type = job->run_type;
    slice->run.steps = job->steps;
    slice->run.features = job->request.features;
    slice->run.width = job->width;
    while (job != NULL && slice->run.rows < target && slice->part_count < APX_SLICE_PARTS) {
        struct apx_job *next = job->next;
        if (job->output == slice->run.output && job->run_type == slice->run.type &&
            job->steps == slice->run.steps && job->request.features == slice->run.features &&
            job->deadline_ns > now)
            take_part(queue, slice, job, target - slice->run.rows, now);
        if (!served->rows_independent)
            break;
        job = next;
    }
}

bool apx_queue_take(struct apx_queue *queue, struct apx_slice *slice, struct apx_job **ended)
{
    slice->part_count = 0;
    slice->run.rows = 0;
    *ended = NULL;
    pthread_mutex_lock(&queue->mutex);
    while (queue->ring_first == NULL && !queue->closed) {
        queue->idle_workers++;
        pthread_cond_wait(&queue->work, &queue->mutex);
        queue->idle_workers--;
    }
    struct apx_served *served = queue->ring_first;
    if (served != NULL) {
        int64_t now = apx_now_ns();
        drop_late(queue, served, now, ended);
        if (served->first != NULL) {
            fill(queue, served, slice, now);
            ring_remove(queue, served); /* the next version's turn */
            if (served->first != NULL)
                ring_append(queue, served);
        }
        if (queue->ring_first != NULL && queue->idle_workers > 0)
            pthread_cond_signal(&queue->work);
    }
    pthread_mutex_unlock(&queue->mutex);
    return served != NULL;
}

static void measure(struct apx_served *served, const struct apx_slice *slice, int64_t took_ns)
{
    double sample = (double)took_ns / ((double)slice->run.rows * slice->run.steps);
    double mean = served->ns_per_unit;
    sample = sample > mean * COST_JUMP ? mean * COST_JUMP : sample;
    served->ns_per_unit = mean + COST_WEIGHT * (sample - mean);
}

struct apx_job *apx_queue_done(struct apx_queue *queue, const struct apx_slice *slice,
                               int64_t start_ns, int64_t end_ns, enum apx_status status,
                               const struct apx_error *error)
{
    struct apx_job *ended = NULL;
    pthread_mutex_lock(&queue->mutex);
    if (status == APX_OK &&
        slice->run.rows >= SLICE_ROUND) /* fewer say more of the call than of a row */
        measure(slice->served, slice, end_ns - start_ns);
    for (int i = 0; i < slice->part_count; i++) {
        const struct apx_part *part = &slice->parts[i];
        struct apx_job *job = part->job;
        if (status != APX_OK)
            set_code(job,
                     apx_code_of_status(status) == APX_CODE_RESOURCE_EXHAUSTED
                         ? APX_CODE_RESOURCE_EXHAUSTED
                         : APX_CODE_INTERNAL, /* the request was checked: it is our fault */
                     error->message);
        if (part->has_bad_row && (!job->has_bad_row || part->bad_row < job->bad_row)) {
            job->has_bad_row = true;
            job->bad_row = part->bad_row;
        }
        job->computed_ns = end_ns;
        bool failed =
            status != APX_OK || (job->has_bad_row && job->request.nan_policy == APX_NAN_REJECT);
        if (failed && job->waiting) /* rows are taken in order: the first bad one has been seen */
            drop_waiting(queue, job);
        job->open_rows -= part->rows;
        if (job->open_rows == 0) {
            queue->held_bytes -= job_bytes(job);
            job->next_ended = ended;
            ended = job;
        }
    }
    pthread_mutex_unlock(&queue->mutex);
    return ended;
}

void apx_queue_close(struct apx_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->work);
    pthread_mutex_unlock(&queue->mutex);
}

int64_t apx_queue_waiting(struct apx_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    int64_t rows = queue->waiting_rows;
    pthread_mutex_unlock(&queue->mutex);
    return rows;
}
