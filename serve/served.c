/* SPDX-License-Identifier: Apache-2.0 */
/* served.c - what of a model can be served, and running it for one worker.
 *
 * A version is tried before it is offered: a model that loads and cannot run would turn every call
 * into an error. The same runs grow each session to its working size and measure what a row costs,
 * which admission and the slices need from the first call on. */
#include "serve/served.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"
#include "serve/predict_decode.h"
#include "serve/value_block.h"

enum {
    TRIAL_ROWS = 64,
    TRIAL_STEPS = 16, /* where the number of steps is free */
    TRIAL_FEATURES = 4,
    TRIAL_RUNS = 3,
};

static bool is_number(enum apx_dtype type)
{
    return type == APX_F32 || type == APX_F64;
}

/* The dimensions behind the row axis have to be fixed where there are others before it: that tells
 * how a row's values lie apart (see apx_served_fetch). */
static bool is_output(const struct apx_tensor_info *info)
{
    for (int axis = info->row_axis + 1; info->row_axis > 0 && axis < info->rank; axis++) {
        if (info->dims[axis] <= 0)
            return false;
    }
    return is_number(info->dtype) && info->row_axis >= 0;
}

static enum apx_status take_values_input(struct apx_served *served, int index,
                                         const struct apx_tensor_info *info,
                                         struct apx_error *error)
{
    if (served->values_input >= 0)
        return apx_fail(error, APX_EUNSUPPORTED, info->name,
                        "a served model has one floating point input, this is the second");
    served->values_input = index;
    served->values_type = info->dtype;
    if (info->rank < 2 || info->rank > 3 || info->row_axis < 0 ||
        info->row_axis == info->rank - 1 || info->dims[info->row_axis] != -1)
        return apx_fail(error, APX_EUNSUPPORTED, info->name,
                        "a served input is [rows, features] or [rows, steps, features] with any "
                        "number of rows");
    served->has_steps = info->rank == 3;
    int64_t features = info->dims[info->rank - 1];
    int64_t steps = served->has_steps ? info->dims[info->row_axis == 0 ? 1 : 0] : 1;
    if (features > UINT32_MAX || steps > APX_LIMIT_REQUEST_STEPS || features == 0 || steps == 0)
        return apx_fail(error, APX_EUNSUPPORTED, info->name, "extents out of range");
    served->features = features > 0 ? (uint32_t)features : 0;
    served->steps = steps > 0 ? (uint32_t)steps : 0;
    return APX_OK;
}

static enum apx_status take_inputs(struct apx_served *served, struct apx_error *error)
{
    size_t count = apx_model_input_count(served->model);
    served->values_input = -1;
    served->lengths_input = -1;
    for (size_t i = 0; i < count; i++) {
        const struct apx_tensor_info *info = apx_model_input(served->model, i);
        if (is_number(info->dtype)) {
            enum apx_status status = take_values_input(served, (int)i, info, error);
            if (status != APX_OK)
                return status;
        } else if ((info->dtype == APX_I32 || info->dtype == APX_I64) && info->rank == 1 &&
                   info->row_axis == 0 && served->lengths_input < 0) {
            served->lengths_input = (int)i;
        } else {
            return apx_fail(error, APX_EUNSUPPORTED, info->name,
                            "a served model has one float32 or float64 input and at most one of "
                            "integer lengths, one for each row");
        }
    }
    if (served->values_input < 0)
        return apx_fail(error, APX_EUNSUPPORTED, "", "the model has no float32 or float64 input");
    if (served->lengths_input >= 0 && !served->has_steps)
        return apx_fail(error, APX_EUNSUPPORTED,
                        apx_model_input(served->model, (size_t)served->lengths_input)->name,
                        "lengths without a time axis");
    return APX_OK;
}

/* Fills the session's inputs; data may be NULL to ask for shapes. */
static void describe_inputs(const struct apx_served *served, const struct apx_run *run,
                            void *values, void *lengths, struct apx_tensor inputs[2])
{
    memset(inputs, 0, 2 * sizeof *inputs);
    struct apx_tensor *in = &inputs[served->values_input];
    const struct apx_tensor_info *info =
        apx_model_input(served->model, (size_t)served->values_input);
    in->dtype = run->type;
    in->rank = info->rank;
    in->dims[info->row_axis] = run->rows;
    in->dims[info->rank - 1] = run->features;
    if (served->has_steps)
        in->dims[info->row_axis == 0 ? 1 : 0] = run->steps;
    in->data = values;
    if (served->lengths_input >= 0) {
        in = &inputs[served->lengths_input];
        in->dtype = apx_model_input(served->model, (size_t)served->lengths_input)->dtype;
        in->rank = 1;
        in->dims[0] = run->rows;
        in->data = lengths;
    }
}

static size_t input_count(const struct apx_served *served)
{
    return served->lengths_input >= 0 ? 2 : 1;
}

/* The shape of the wanted output. */
static enum apx_status shape_output(struct apx_served *served, const struct apx_run *run,
                                    struct apx_tensor *wanted, struct apx_error *error)
{
    struct apx_tensor inputs[2];
    size_t count = apx_model_output_count(served->model);
    struct apx_tensor *outputs = calloc(count, sizeof *outputs);
    if (outputs == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    describe_inputs(served, run, NULL, NULL, inputs);
    enum apx_status status = apx_session_shape(served->sessions[served->workers], inputs,
                                               input_count(served), outputs, count, error);
    *wanted = outputs[run->output];
    free(outputs);
    return status;
}

enum apx_dtype apx_served_run_type(const struct apx_served *served, enum apx_dtype sent)
{
    return sent == APX_F32 && served->widens ? APX_F32 : served->values_type;
}

/* Does the model of a float64 input take float32 by itself? Otherwise the worker widens it. */
static bool takes_narrow(struct apx_served *served)
{
    const struct apx_run one = {.type = APX_F32,
                                .rows = 1,
                                .steps = served->steps > 0 ? served->steps : TRIAL_STEPS,
                                .features =
                                    served->features > 0 ? served->features : TRIAL_FEATURES};
    struct apx_tensor unused;
    struct apx_error error;
    return served->values_type == APX_F64 && shape_output(served, &one, &unused, &error) == APX_OK;
}

static enum apx_status try_sessions(struct apx_served *served, struct apx_error *error)
{
    struct apx_run run = {.rows = TRIAL_ROWS,
                          .steps = served->steps > 0 ? served->steps : TRIAL_STEPS,
                          .features = served->features > 0 ? served->features : TRIAL_FEATURES};
    enum apx_status status = apx_served_output(served, "", &run.output, error);
    if (status == APX_OK)
        status = apx_served_shape(served, run.output, run.steps, run.features, &run.width, error);
    if (status != APX_OK)
        return status;
    struct apx_scratch scratch = {0};
    run.type = apx_served_run_type(served, APX_F32); /* what most callers send */
    status = apx_scratch_reserve(&scratch, served, &run, 0, error);
    if (status == APX_OK) {
        memset(scratch.values, 0,
               (size_t)TRIAL_ROWS * run.steps * run.features * apx_dtype_size(run.type));
        for (uint32_t row = 0; row < TRIAL_ROWS; row++)
            apx_scratch_set_length(&scratch, served, row, run.steps);
    }
    int64_t best = INT64_MAX;
    for (int i = 0; i < served->workers && status == APX_OK; i++) {
        /* The first session runs several times: its first run grows it, the best one counts. */
        for (int trial = 0; trial < (i == 0 ? TRIAL_RUNS : 1) && status == APX_OK; trial++) {
            int64_t start = apx_now_ns();
            status = apx_served_run(served, i, &scratch, &run, error);
            int64_t took = apx_now_ns() - start;
            best = took < best ? took : best;
        }
    }
    apx_scratch_fini(&scratch);
    served->ns_per_unit = (double)best / ((double)TRIAL_ROWS * run.steps);
    return status;
}

enum apx_status apx_served_load(const char *name, int64_t version, const char *path, int workers,
                                const struct apx_load_options *options,
                                struct apx_served_owner *owner, struct apx_served **out,
                                struct apx_error *error)
{
    *out = NULL;
    struct apx_served *served = calloc(1, sizeof *served);
    if (served == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    snprintf(served->name, sizeof served->name, "%s", name);
    snprintf(served->version_text, sizeof served->version_text, "%" PRId64, version);
    served->version = version;
    served->workers = workers;
    served->owner = owner;
    atomic_init(&served->references, 1);
    pthread_mutex_init(&served->shape_mutex, NULL);
    enum apx_status status = apx_model_load(path, options, &served->model, error);
    if (status != APX_OK)
        goto fail;
    served->rows_independent = apx_model_rows_are_independent(served->model);
    served->nan_is_missing = apx_model_nan_is_missing(served->model);
    status = take_inputs(served, error);
    if (status != APX_OK)
        goto fail;
    served->sessions = calloc((size_t)workers + 1, sizeof(struct apx_session *));
    if (served->sessions == NULL) {
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
        goto fail;
    }
    const struct apx_session_options alone = {.size = sizeof alone, .threads = 1};
    for (int i = 0; i <= workers && status == APX_OK; i++)
        status = apx_session_create(served->model, &alone, &served->sessions[i], error);
    if (status == APX_OK) {
        served->widens = takes_narrow(served);
        status = try_sessions(served, error);
    }
    if (status != APX_OK)
        goto fail;
    *out = served;
    return APX_OK;
fail:
    apx_served_destroy(served);
    return status;
}

void apx_served_ref(struct apx_served *served)
{
    atomic_fetch_add_explicit(&served->references, 1, memory_order_relaxed);
}

void apx_served_unref(struct apx_served *served)
{
    if (served != NULL &&
        atomic_fetch_sub_explicit(&served->references, 1, memory_order_acq_rel) == 1)
        served->owner->retire(served->owner, served);
}

void apx_served_destroy(struct apx_served *served)
{
    if (served == NULL)
        return;
    for (int i = 0; served->sessions != NULL && i <= served->workers; i++)
        apx_session_destroy(served->sessions[i]);
    free(served->sessions);
    apx_model_destroy(served->model);
    pthread_mutex_destroy(&served->shape_mutex);
    free(served);
}

enum apx_status apx_served_output(const struct apx_served *served, const char *name, int *output,
                                  struct apx_error *error)
{
    size_t count = apx_model_output_count(served->model);
    bool is_integer = false;
    for (size_t i = 0; i < count; i++) {
        const struct apx_tensor_info *info = apx_model_output(served->model, i);
        if (strcmp(name, info->name) == 0)
            is_integer = info->dtype != APX_F32 && info->dtype != APX_F64;
        if (is_output(info) && (name[0] == '\0' || strcmp(name, info->name) == 0)) {
            *output = (int)i;
            return APX_OK;
        }
    }
    if (name[0] == '\0')
        return apx_fail(error, APX_EUNSUPPORTED, "output",
                        "the model has no float32 or float64 output with a value for each row");
    return apx_fail(
        error, APX_ENOTFOUND, "output",
        "model \"%s\" has no float32 or float64 output \"%s\" with a value for each row%s",
        served->name, name, is_integer ? "; labels and other integers are not served" : "");
}

enum apx_status apx_served_shape(struct apx_served *served, int output, uint32_t steps,
                                 uint32_t features, uint32_t *width, struct apx_error *error)
{
    if (served->steps != 0 && steps != served->steps)
        return apx_fail(error, APX_EINVAL, "steps", "model \"%s\" takes %u, the request has %u",
                        served->name, served->steps, steps);
    if (served->features != 0 && features != served->features)
        return apx_fail(error, APX_EINVAL, "features", "model \"%s\" takes %u, the request has %u",
                        served->name, served->features, features);
    enum apx_status status = APX_OK;
    pthread_mutex_lock(&served->shape_mutex);
    if (served->shape_width == 0 || served->shape_output != output ||
        served->shape_steps != steps || served->shape_features != features) {
        const struct apx_run one = {.output = output,
                                    .type = served->values_type,
                                    .rows = 1,
                                    .steps = steps,
                                    .features = features};
        struct apx_tensor wanted = {0};
        status = shape_output(served, &one, &wanted, error);
        size_t count = status == APX_OK ? wanted.bytes / apx_dtype_size(wanted.dtype) : 0;
        if (status == APX_OK && (count == 0 || count > UINT32_MAX))
            status = apx_fail(error, APX_EINVAL, "output", "a row of it has no values");
        if (status == APX_OK) {
            served->shape_output = output;
            served->shape_steps = steps;
            served->shape_features = features;
            served->shape_width = (uint32_t)count;
        }
    }
    *width = served->shape_width;
    pthread_mutex_unlock(&served->shape_mutex);
    return status;
}

static bool grow(void *memory, size_t *capacity, size_t need)
{
    void **at = memory;
    if (need <= *capacity)
        return true;
    void *grown = aligned_alloc(64, (need + 63) / 64 * 64);
    if (grown == NULL)
        return false;
    free(*at);
    *at = grown;
    *capacity = need;
    return true;
}

static size_t output_size(const struct apx_served *served, const struct apx_run *run)
{
    return apx_dtype_size(apx_model_output(served->model, (size_t)run->output)->dtype);
}

enum apx_status apx_scratch_reserve(struct apx_scratch *scratch, const struct apx_served *served,
                                    const struct apx_run *run, size_t sent, struct apx_error *error)
{
    /* The request's own check keeps these products in range: its values are there in full. */
    size_t values = (size_t)run->rows * run->steps * run->features * apx_dtype_size(run->type);
    size_t outputs = (size_t)run->rows * run->width * output_size(served, run);
    bool steps_first = apx_model_input(served->model, (size_t)served->values_input)->row_axis == 1;
    if (!grow(&scratch->sent, &scratch->sent_bytes, sent) ||
        !grow(&scratch->values, &scratch->values_bytes, values) ||
        !grow(&scratch->outputs, &scratch->outputs_bytes, outputs) ||
        !grow(&scratch->lengths, &scratch->lengths_bytes, run->rows * sizeof(int64_t)) ||
        (steps_first && !grow(&scratch->transposed, &scratch->transposed_bytes, values)))
        return apx_fail(error, APX_ENOMEM, "", "out of memory for %u rows", run->rows);
    return APX_OK;
}

void apx_scratch_fini(struct apx_scratch *scratch)
{
    free(scratch->sent);
    free(scratch->values);
    free(scratch->transposed);
    free(scratch->lengths);
    free(scratch->outputs);
}

void apx_scratch_set_length(struct apx_scratch *scratch, const struct apx_served *served,
                            uint32_t row, uint32_t length)
{
    if (served->lengths_input < 0)
        return;
    if (apx_model_input(served->model, (size_t)served->lengths_input)->dtype == APX_I64)
        ((int64_t *)scratch->lengths)[row] = length;
    else
        ((int32_t *)scratch->lengths)[row] = (int32_t)length;
}

enum apx_status apx_served_run(struct apx_served *served, int worker, struct apx_scratch *scratch,
                               const struct apx_run *run, struct apx_error *error)
{
    enum { MAX_OUTPUTS = 64 };
    struct apx_tensor inputs[2];
    struct apx_tensor outputs[MAX_OUTPUTS];
    size_t count = apx_model_output_count(served->model);
    if (count > MAX_OUTPUTS)
        return apx_fail(error, APX_ELIMIT, "", "more than %d outputs", MAX_OUTPUTS);
    char *values = scratch->values;
    if (apx_model_input(served->model, (size_t)served->values_input)->row_axis == 1) {
        size_t bytes = run->features * apx_dtype_size(run->type); /* of one step */
        values = scratch->transposed;
        for (uint32_t row = 0; row < run->rows; row++) {
            for (uint32_t step = 0; step < run->steps; step++)
                memcpy(values + ((size_t)step * run->rows + row) * bytes,
                       (const char *)scratch->values + ((size_t)row * run->steps + step) * bytes,
                       bytes);
        }
    }
    describe_inputs(served, run, values, scratch->lengths, inputs);
    memset(outputs, 0, sizeof outputs);
    outputs[run->output].data = scratch->outputs;
    outputs[run->output].bytes = (size_t)run->rows * run->width * output_size(served, run);
    return apx_session_run(served->sessions[worker], inputs, input_count(served), outputs, count,
                           error);
}

void apx_served_fetch(const struct apx_served *served, const struct apx_scratch *scratch,
                      const struct apx_run *run, uint32_t first, uint32_t count,
                      enum apx_dtype type, void *to)
{
    const struct apx_tensor_info *info = apx_model_output(served->model, (size_t)run->output);
    const char *outputs = scratch->outputs;
    size_t from_size = apx_dtype_size(info->dtype), to_size = apx_dtype_size(type);
    if (info->row_axis == 0) {
        apx_block_copy(info->dtype, outputs + (size_t)first * run->width * from_size,
                       (size_t)count * run->width, type, to);
        return;
    }
    size_t inner = 1; /* [outer, rows, inner] */
    for (int axis = info->row_axis + 1; axis < info->rank; axis++)
        inner *= (size_t)info->dims[axis];
    size_t outer = run->width / inner;
    for (uint32_t row = 0; row < count; row++) {
        for (size_t o = 0; o < outer; o++)
            apx_block_copy(info->dtype, outputs + (o * run->rows + first + row) * inner * from_size,
                           inner, type,
                           (char *)to + ((size_t)row * run->width + o * inner) * to_size);
    }
}
