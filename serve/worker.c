/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - take a slice, fetch its rows from the network's buffers, run, write the answers into
 * the replies. One copy in, one copy out, and what is not finite is found on the way. */
#include "serve/worker.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"
#include "serve/value_block.h"

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

/* Bytes of the part's values as its call sent them, if they are not what the run takes. */
static size_t bytes_to_convert(const struct apx_part *part, const struct apx_run *run)
{
    enum apx_dtype sent = part->job->request.value_type;
    return sent == run->type
               ? 0
               : (size_t)part->rows * run->steps * run->features * apx_dtype_size(sent);
}

/* Fetch one part's rows to `to` and note in its status bytes which are not finite. */
static void gather(struct apx_part *part, const struct apx_slice *slice,
                   struct apx_scratch *scratch, uint32_t at)
{
    const struct apx_predict_request *request = &part->job->request;
    const struct apx_run *run = &slice->run;
    size_t step_bytes = run->features * apx_dtype_size(run->type);
    size_t row_bytes = run->steps * step_bytes, row_values = (size_t)run->steps * run->features;
    size_t sent_row = row_values * apx_dtype_size(request->value_type);
    char *to = (char *)scratch->values + at * row_bytes;
    uint8_t *status = part->job->reply + part->job->plan.status_at + part->first;
    bool converts = request->value_type != run->type;
    apx_values_fetch(request, part->first * sent_row, part->rows * sent_row,
                     converts ? scratch->sent : to);
    if (converts)
        apx_block_copy(request->value_type, scratch->sent, part->rows * row_values, run->type, to);
    for (uint32_t row = 0; row < part->rows; row++, to += row_bytes) {
        uint32_t length = run->steps;
        if (request->lengths != NULL) {
            length = request->lengths[part->first + row];
            /* Padding may hold anything, NaN too: it must not reach the arithmetic. */
            memset(to + length * step_bytes, 0, (run->steps - length) * step_bytes);
        }
        apx_scratch_set_length(scratch, slice->served, at + row, length);
        status[row] = APX_ROW_OK;
        if (request->nan_policy != APX_NAN_ORDINARY &&
            !apx_block_is_finite(run->type, to, row_values)) {
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
    struct apx_job *job = part->job;
    enum apx_dtype type = job->plan.value_type;
    size_t row_bytes = slice->run.width * apx_dtype_size(type);
    uint8_t *status = job->reply + job->plan.status_at + part->first;
    uint8_t *to = job->reply + job->plan.values_at + part->first * row_bytes;
    apx_served_fetch(slice->served, scratch, &slice->run, at, part->rows, type, to);
    for (uint32_t row = 0; row < part->rows; row++, to += row_bytes) {
        if (status[row] != APX_ROW_INPUT_NOT_FINITE)
            status[row] = apx_block_is_finite(type, to, slice->run.width)
                              ? APX_ROW_OK
                              : APX_ROW_OUTPUT_NOT_FINITE;
        else if (job->request.nan_policy == APX_NAN_MARK)
            apx_block_fill_nan(type, to, slice->run.width);
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
    size_t most = 0;
    for (int i = 0; i < slice->part_count; i++) {
        size_t bytes = bytes_to_convert(&slice->parts[i], &slice->run);
        most = bytes > most ? bytes : most;
    }
    enum apx_status status = apx_scratch_reserve(scratch, slice->served, &slice->run, most, &error);
    uint32_t at = 0;
    for (int i = 0; i < slice->part_count && status == APX_OK; i++) {
        gather(&slice->parts[i], slice, scratch, at);
        at += slice->parts[i].rows;
    }
    if (status == APX_OK)
        status = apx_served_run(slice->served, worker->index, scratch, &slice->run, &error);
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
