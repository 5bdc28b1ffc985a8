/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - take a slice, fetch its rows from the network's buffers, run, write the answers into
 * the replies. One copy in, one copy out, and what is not finite is found on the way. */
#include "serve/worker.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"

struct worker {
    struct apx_workers *workers;
    int index;
    pthread_t thread;
};

struct apx_workers {
    struct apx_workers_options options;
    int started;
    struct worker *worker; /* [options.count] */
};

static bool all_finite(const float *values, size_t count)
{
    uint32_t found = 0; /* no early end: the loop becomes vector code */
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return found == 0;
}

/* Fetch one part's rows to `to` and note in its status bytes which are not finite. */
static void gather(struct apx_part *part, const struct apx_slice *slice,
                   struct apx_scratch *scratch, uint32_t at)
{
    const struct apx_predict_request *request = &part->job->request;
    size_t row_floats = (size_t)slice->steps * slice->features;
    float *to = scratch->values + at * row_floats;
    uint8_t *status = part->job->reply + part->job->plan.status_at + part->first;
    apx_values_fetch(request, part->first * row_floats * sizeof(float),
                     part->rows * row_floats * sizeof(float), to);
    for (uint32_t row = 0; row < part->rows; row++, to += row_floats) {
        uint32_t length = slice->steps;
        if (request->lengths != NULL) {
            length = request->lengths[part->first + row];
            /* Padding may hold anything, NaN too: it must not reach the arithmetic. */
            memset(to + (size_t)length * slice->features, 0,
                   (size_t)(slice->steps - length) * slice->features * sizeof(float));
        }
        apx_scratch_set_length(scratch, slice->served, at + row, length);
        status[row] = APX_ROW_OK;
        if (!all_finite(to, row_floats)) {
            status[row] = APX_ROW_INPUT_NOT_FINITE;
            if (!part->has_bad_row)
                part->bad_row = part->first + row;
            part->has_bad_row = true;
        }
    }
}

/* Write one part's answers into its reply. */
static void scatter(const struct apx_part *part, const struct apx_slice *slice,
                    const struct apx_scratch *scratch, uint32_t at)
{
    static const float not_a_number = __builtin_nanf("");
    struct apx_job *job = part->job;
    uint8_t *status = job->reply + job->plan.status_at + part->first;
    uint8_t *to =
        job->reply + job->plan.values_at + (size_t)part->first * slice->width * sizeof(float);
    apx_served_fetch(slice->served, scratch, slice->output, slice->rows, slice->width, at,
                     part->rows, to);
    for (uint32_t row = 0; row < part->rows; row++) {
        uint8_t *values = to + (size_t)row * slice->width * sizeof(float);
        if (status[row] == APX_ROW_INPUT_NOT_FINITE) {
            for (uint32_t i = 0; job->request.nan_policy == APX_NAN_MARK && i < slice->width; i++)
                memcpy(values + i * sizeof(float), &not_a_number, sizeof(float));
            continue;
        }
        uint32_t found = 0;
        for (uint32_t i = 0; i < slice->width; i++) {
            uint32_t bits;
            memcpy(&bits, values + i * sizeof bits, sizeof bits);
            found |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        if (found != 0)
            status[row] = APX_ROW_OUTPUT_NOT_FINITE;
    }
}

static void answer(const struct apx_workers *workers, struct apx_job *ended)
{
    while (ended != NULL) {
        struct apx_job *next = ended->next_ended; /* an answered job may be gone */
        workers->options.answer(workers->options.context, ended);
        ended = next;
    }
}

static void compute(struct worker *worker, struct apx_slice *slice, struct apx_scratch *scratch)
{
    const struct apx_workers *workers = worker->workers;
    struct apx_error error = {0};
    int64_t start = apx_now_ns();
    enum apx_status status = apx_scratch_reserve(scratch, slice->served, slice->rows, slice->steps,
                                                 slice->features, slice->width, &error);
    uint32_t at = 0;
    for (int i = 0; i < slice->part_count && status == APX_OK; i++) {
        gather(&slice->parts[i], slice, scratch, at);
        at += slice->parts[i].rows;
    }
    if (status == APX_OK)
        status = apx_served_run(slice->served, worker->index, scratch, slice->output, slice->rows,
                                slice->steps, slice->features, slice->width, &error);
    at = 0;
    for (int i = 0; i < slice->part_count && status == APX_OK; i++) {
        scatter(&slice->parts[i], slice, scratch, at);
        at += slice->parts[i].rows;
    }
    answer(workers,
           apx_queue_done(workers->options.queue, slice, start, apx_now_ns(), status, &error));
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct apx_slice slice;
    struct apx_scratch scratch = {0};
    struct apx_job *ended;
    while (apx_queue_take(worker->workers->options.queue, &slice, &ended)) {
        answer(worker->workers, ended);
        if (slice.part_count > 0)
            compute(worker, &slice, &scratch);
    }
    apx_scratch_fini(&scratch);
    return NULL;
}

enum apx_status apx_workers_create(const struct apx_workers_options *options,
                                   struct apx_workers **out, struct apx_error *error)
{
    *out = NULL;
    struct apx_workers *workers = calloc(1, sizeof *workers);
    struct worker *list = calloc((size_t)options->count, sizeof *list);
    if (workers == NULL || list == NULL) {
        free(workers);
        free(list);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    workers->options = *options;
    workers->worker = list;
    for (int i = 0; i < options->count; i++) {
        list[i].workers = workers;
        list[i].index = i;
        int failed = pthread_create(&list[i].thread, NULL, work, &list[i]);
        if (failed != 0) {
            apx_queue_close(options->queue);
            apx_workers_destroy(workers);
            return apx_fail(error, APX_ENOMEM, "", "cannot start a worker: %s", strerror(failed));
        }
        workers->started++;
    }
    *out = workers;
    return APX_OK;
}

void apx_workers_destroy(struct apx_workers *workers)
{
    if (workers == NULL)
        return;
    for (int i = 0; i < workers->started; i++)
        pthread_join(workers->worker[i].thread, NULL);
    free(workers->worker);
    free(workers);
}
