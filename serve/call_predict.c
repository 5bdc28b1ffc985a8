/* SPDX-License-Identifier: Apache-2.0 */
/* call_predict.c - BatchPredict. On the transport's thread: decode, find the version, check the
 * extents, lay the reply out, queue. The rest happens when the last of its rows is computed. */
#include "serve/call_predict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"
#include "serve/status_map.h"

static void count_and_log(struct apx_predict *predict, const struct apx_job *job,
                          enum apx_code code, const char *message)
{
    int64_t omitted = 0;
    enum apx_log_level level = APX_LOG_DEBUG;
    if (code == APX_CODE_OK)
        atomic_fetch_add_explicit(&predict->answered_ok, 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&predict->refused, 1, memory_order_relaxed);
    if (code == APX_CODE_RESOURCE_EXHAUSTED && apx_log_allow(&predict->overload_limit, &omitted))
        level = APX_LOG_WARN;
    if (code == APX_CODE_INTERNAL && apx_log_allow(&predict->failure_limit, &omitted))
        level = APX_LOG_ERROR;
    APX_LOG(level, "call", APX_LOG_TEXT("code", apx_code_name(code)),
            APX_LOG_TEXT("model", job->request.model),
            APX_LOG_TEXT("version", job->served != NULL ? job->served->version_text : ""),
            APX_LOG_INT("rows", job->request.rows), APX_LOG_TEXT("message", message),
            APX_LOG_INT("us", (apx_now_ns() - job->arrival_ns) / 1000),
            APX_LOG_INT("omitted", omitted));
}

static void refuse(struct apx_predict *predict, struct apx_job *job, enum apx_code code,
                   const char *message, int64_t retry_ms)
{
    count_and_log(predict, job, code, message);
    apx_call_finish(job->call, code, message, retry_ms);
}

static void refuse_status(struct apx_predict *predict, struct apx_job *job,
                          const struct apx_error *error)
{
    char message[sizeof error->field + sizeof error->message + 4];
    if (error->field[0] != '\0')
        snprintf(message, sizeof message, "%s: %s", error->field, error->message);
    else
        snprintf(message, sizeof message, "%s", error->message);
    refuse(predict, job, apx_code_of_status(error->status), message, -1);
}

static enum apx_status prepare(struct apx_predict *predict, struct apx_job *job,
                               struct apx_error *error)
{
    struct apx_predict_request *request = &job->request;
    size_t span_count;
    const struct apx_span *spans = apx_call_request(job->call, &span_count);
    enum apx_status status = apx_predict_decode(spans, span_count, request, error);
    if (status == APX_OK)
        status = apx_models_acquire(predict->models, request->model, request->version, &job->served,
                                    error);
    if (status != APX_OK)
        return status;
    job->steps = request->steps > 0 ? request->steps : 1;
    job->run_type = apx_served_run_type(job->served, request->value_type);
    if (request->nan_policy == APX_NAN_UNSPECIFIED)
        request->nan_policy = job->served->nan_is_missing ? APX_NAN_ORDINARY : APX_NAN_REJECT;
    status = apx_served_output(job->served, request->output, &job->output, error);
    if (status == APX_OK)
        status = apx_served_shape(job->served, job->output, job->steps, request->features,
                                  &job->width, error);
    if (status != APX_OK)
        return status;
    if (request->lengths != NULL && job->served->lengths_input < 0)
        return apx_fail(error, APX_EINVAL, "lengths", "model \"%s\" has no input for them",
                        job->served->name);
    job->plan = (struct apx_reply_plan){.model = job->served->name,
                                        .version = job->served->version_text,
                                        .rows = request->rows,
                                        .width = job->width,
                                        .value_type = request->output_type,
                                        .keys_bytes = request->keys_bytes};
    return apx_reply_plan(&job->plan, error);
}

static void start(void *context, struct apx_call *call)
{
    struct apx_predict *predict = context;
    struct apx_error error = {0};
    struct apx_job *job = calloc(1, sizeof *job);
    atomic_fetch_add_explicit(&predict->calls, 1, memory_order_relaxed);
    if (job == NULL) {
        apx_call_finish(call, APX_CODE_RESOURCE_EXHAUSTED, "out of memory", -1);
        return;
    }
    job->call = call;
    job->arrival_ns = apx_call_arrival(call);
    job->deadline_ns = apx_call_deadline(call);
    apx_call_set_user(call, job);
    if (atomic_load_explicit(&predict->draining, memory_order_relaxed)) {
        refuse(predict, job, APX_CODE_UNAVAILABLE, "the server is going down", -1);
        return;
    }
    job->counted = true;
    atomic_fetch_add(&predict->under_way, 1);
    if (prepare(predict, job, &error) != APX_OK) {
        refuse_status(predict, job, &error);
        return;
    }
    job->reply = apx_call_reply(call, job->plan.capacity);
    if (job->reply == NULL) {
        refuse(predict, job, APX_CODE_RESOURCE_EXHAUSTED, "out of memory", -1);
        return;
    }
    apx_reply_begin(&job->plan, job->request.keys, job->reply);
    if (job->request.rows == 0) {
        apx_predict_answer(predict, job);
        return;
    }
    char message[256];
    int64_t retry_ms;
    enum apx_code code = apx_queue_push(predict->queue, job, message, sizeof message, &retry_ms);
    if (code != APX_CODE_OK)
        refuse(predict, job, code, message, retry_ms);
}

void apx_predict_answer(void *context, struct apx_job *job)
{
    struct apx_predict *predict = context;
    if (job->code != APX_CODE_OK) {
        refuse(predict, job, job->code, job->message, -1);
        return;
    }
    if (job->has_bad_row && job->request.nan_policy == APX_NAN_REJECT) {
        char message[192];
        snprintf(message, sizeof message,
                 "values: row %u holds a NaN or an infinity, which nan_policy REJECT refuses; "
                 "MARK answers the other rows",
                 job->bad_row);
        refuse(predict, job, APX_CODE_INVALID_ARGUMENT, message, -1);
        return;
    }
    int64_t now = apx_now_ns();
    int64_t started = job->started_ns != 0 ? job->started_ns : now;
    int64_t computed = job->computed_ns != 0 ? job->computed_ns : started;
    size_t bytes = apx_reply_end(&job->plan, (uint64_t)(started - job->arrival_ns) / 1000,
                                 (uint64_t)(computed - started) / 1000,
                                 (uint64_t)(now - job->arrival_ns) / 1000, job->reply);
    count_and_log(predict, job, APX_CODE_OK, "");
    apx_call_finish_ok(job->call, bytes);
}

static void cancelled(void *context, void *user)
{
    struct apx_predict *predict = context;
    struct apx_job *job = user;
    if (apx_queue_cancel(predict->queue, job))
        apx_predict_answer(predict, job);
}

static void released(void *context, void *user)
{
    struct apx_predict *predict = context;
    struct apx_job *job = user;
    if (job->counted)
        atomic_fetch_sub(&predict->under_way, 1);
    apx_predict_request_fini(&job->request);
    apx_served_unref(job->served);
    free(job);
}

struct apx_method apx_predict_method(struct apx_predict *predict)
{
    return (struct apx_method){.path = APX_PREDICT_PATH,
                               .context = predict,
                               .start = start,
                               .cancelled = cancelled,
                               .released = released};
}
