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

enum {
    TRIAL_ROWS = 64,
    TRIAL_STEPS = 16, /* where the number of steps is free */
    TRIAL_FEATURES = 4,
    TRIAL_RUNS = 3,
};

/* The dimensions behind the row axis have to be fixed where there are others before it: that tells
 * how a row's values lie apart (see apx_served_fetch). */
static bool is_output(const struct apx_tensor_info *info)
{
    for (int axis = info->row_axis + 1; info->row_axis > 0 && axis < info->rank; axis++) {
        if (info->dims[axis] <= 0)
            return false;
    }
    return info->dtype == APX_F32 && info->row_axis >= 0;
}

static enum apx_status take_values_input(struct apx_served *served, int index,
                                         const struct apx_tensor_info *info,
                                         struct apx_error *error)
{
    if (served->values_input >= 0)
        return apx_fail(error, APX_EUNSUPPORTED, info->name,
                        "a served model has one float32 input, this is the second");
    served->values_input = index;
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
        if (info->dtype == APX_F32) {
            enum apx_status status = take_values_input(served, (int)i, info, error);
            if (status != APX_OK)
                return status;
        } else if ((info->dtype == APX_I32 || info->dtype == APX_I64) && info->rank == 1 &&
                   info->row_axis == 0 && served->lengths_input < 0) {
            served->lengths_input = (int)i;
        } else {
            return apx_fail(error, APX_EUNSUPPORTED, info->name,
                            "a served model has one float32 input and at most one of integer "
                            "lengths, one for each row");
        }
    }
    if (served->values_input < 0)
        return apx_fail(error, APX_EUNSUPPORTED, "", "the model has no float32 input");
    if (served->lengths_input >= 0 && !served->has_steps)
        return apx_fail(error, APX_EUNSUPPORTED,
                        apx_model_input(served->model, (size_t)served->lengths_input)->name,
                        "lengths without a time axis");
    return APX_OK;
}

/* Fills the session's inputs; data may be NULL to ask for shapes. */
static void describe_inputs(const struct apx_served *served, uint32_t rows, uint32_t steps,
                            uint32_t features, void *values, void *lengths,
                            struct apx_tensor inputs[2])
{
    memset(inputs, 0, 2 * sizeof *inputs);
    struct apx_tensor *in = &inputs[served->values_input];
    const struct apx_tensor_info *info =
        apx_model_input(served->model, (size_t)served->values_input);
    in->dtype = APX_F32;
    in->rank = info->rank;
    in->dims[info->row_axis] = rows;
    in->dims[info->rank - 1] = features;
    if (served->has_steps)
        in->dims[info->row_axis == 0 ? 1 : 0] = steps;
    in->data = values;
    if (served->lengths_input >= 0) {
        in = &inputs[served->lengths_input];
        in->dtype = apx_model_input(served->model, (size_t)served->lengths_input)->dtype;
        in->rank = 1;
        in->dims[0] = rows;
        in->data = lengths;
    }
}

static size_t input_count(const struct apx_served *served)
{
    return served->lengths_input >= 0 ? 2 : 1;
}

static enum apx_status try_sessions(struct apx_served *served, struct apx_error *error)
{
    uint32_t steps = served->steps > 0 ? served->steps : TRIAL_STEPS;
    uint32_t features = served->features > 0 ? served->features : TRIAL_FEATURES;
    int output;
    uint32_t width = 0;
    enum apx_status status = apx_served_output(served, "", &output, error);
    if (status == APX_OK)
        status = apx_served_shape(served, output, steps, features, &width, error);
    if (status != APX_OK)
        return status;
    struct apx_scratch scratch = {0};
    status = apx_scratch_reserve(&scratch, served, TRIAL_ROWS, steps, features, width, error);
    if (status == APX_OK) {
        memset(scratch.values, 0, (size_t)TRIAL_ROWS * steps * features * sizeof(float));
        for (uint32_t row = 0; row < TRIAL_ROWS; row++)
            apx_scratch_set_length(&scratch, served, row, steps);
    }
    int64_t best = INT64_MAX;
    for (int i = 0; i < served->workers && status == APX_OK; i++) {
        /* The first session runs several times: its first run grows it, the best one counts. */
        for (int run = 0; run < (i == 0 ? TRIAL_RUNS : 1) && status == APX_OK; run++) {
            int64_t start = apx_now_ns();
            status = apx_served_run(served, i, &scratch, output, TRIAL_ROWS, steps, features, width,
                                    error);
            int64_t took = apx_now_ns() - start;
            best = took < best ? took : best;
        }
    }
    apx_scratch_fini(&scratch);
    served->ns_per_unit = (double)best / ((double)TRIAL_ROWS * steps);
    return status;
}

enum apx_status apx_served_load(const char *name, int64_t version, const char *path, int workers,
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
    enum apx_status status = apx_model_load(path, NULL, &served->model, error);
    if (status != APX_OK)
        goto fail;
    served->rows_independent = apx_model_rows_are_independent(served->model);
    status = take_inputs(served, error);
    if (status != APX_OK)
        goto fail;
    served->sessions = calloc((size_t)workers + 1, sizeof(struct apx_session *));
    if (served->sessions == NULL) {
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
        goto fail;
    }
    const struct apx_session_options options = {.size = sizeof options, .threads = 1};
    for (int i = 0; i <= workers && status == APX_OK; i++)
        status = apx_session_create(served->model, &options, &served->sessions[i], error);
    if (status == APX_OK)
        status = try_sessions(served, error);
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
    for (size_t i = 0; i < count; i++) {
        const struct apx_tensor_info *info = apx_model_output(served->model, i);
        if (is_output(info) && (name[0] == '\0' || strcmp(name, info->name) == 0)) {
            *output = (int)i;
            return APX_OK;
        }
    }
    if (name[0] == '\0')
        return apx_fail(error, APX_EUNSUPPORTED, "output",
                        "the model has no float32 output with a value for each row");
    return apx_fail(error, APX_ENOTFOUND, "output",
                    "model \"%s\" has no float32 output \"%s\" with a value for each row",
                    served->name, name);
}

/* All outputs of a run: only the wanted one has room for data. */
static enum apx_status shape_outputs(struct apx_served *served, struct apx_session *session,
                                     uint32_t rows, uint32_t steps, uint32_t features, int output,
                                     struct apx_tensor *wanted, struct apx_error *error)
{
    struct apx_tensor inputs[2];
    size_t count = apx_model_output_count(served->model);
    struct apx_tensor *outputs = calloc(count, sizeof *outputs);
    if (outputs == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    describe_inputs(served, rows, steps, features, NULL, NULL, inputs);
    enum apx_status status =
        apx_session_shape(session, inputs, input_count(served), outputs, count, error);
    *wanted = outputs[output];
    free(outputs);
    return status;
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
        struct apx_tensor wanted = {0};
        status = shape_outputs(served, served->sessions[served->workers], 1, steps, features,
                               output, &wanted, error);
        size_t floats = wanted.bytes / sizeof(float);
        if (status == APX_OK && (floats == 0 || floats > UINT32_MAX))
            status = apx_fail(error, APX_EINVAL, "output", "a row of it has no values");
        if (status == APX_OK) {
            served->shape_output = output;
            served->shape_steps = steps;
            served->shape_features = features;
            served->shape_width = (uint32_t)floats;
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

enum apx_status apx_scratch_reserve(struct apx_scratch *scratch, const struct apx_served *served,
                                    uint32_t rows, uint32_t steps, uint32_t features,
                                    uint32_t width, struct apx_error *error)
{
    /* The request's own check keeps these products in range: its values are there in full. */
    size_t values = (size_t)rows * steps * features * sizeof(float);
    size_t outputs = (size_t)rows * width * sizeof(float);
    bool steps_first = apx_model_input(served->model, (size_t)served->values_input)->row_axis == 1;
    if (!grow(&scratch->values, &scratch->values_bytes, values) ||
        !grow(&scratch->outputs, &scratch->outputs_bytes, outputs) ||
        !grow(&scratch->lengths, &scratch->lengths_bytes, rows * sizeof(int64_t)) ||
        (steps_first && !grow(&scratch->transposed, &scratch->transposed_bytes, values)))
        return apx_fail(error, APX_ENOMEM, "", "out of memory for %u rows", rows);
    return APX_OK;
}

void apx_scratch_fini(struct apx_scratch *scratch)
{
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
                               int output, uint32_t rows, uint32_t steps, uint32_t features,
                               uint32_t width, struct apx_error *error)
{
    enum { MAX_OUTPUTS = 64 };
    struct apx_tensor inputs[2];
    struct apx_tensor outputs[MAX_OUTPUTS];
    size_t count = apx_model_output_count(served->model);
    if (count > MAX_OUTPUTS)
        return apx_fail(error, APX_ELIMIT, "", "more than %d outputs", MAX_OUTPUTS);
    float *values = scratch->values;
    if (apx_model_input(served->model, (size_t)served->values_input)->row_axis == 1) {
        values = scratch->transposed;
        for (uint32_t row = 0; row < rows; row++) {
            for (uint32_t step = 0; step < steps; step++)
                memcpy(values + ((size_t)step * rows + row) * features,
                       scratch->values + ((size_t)row * steps + step) * features,
                       features * sizeof(float));
        }
    }
    describe_inputs(served, rows, steps, features, values, scratch->lengths, inputs);
    memset(outputs, 0, sizeof outputs);
    outputs[output].data = scratch->outputs;
    outputs[output].bytes = (size_t)rows * width * sizeof(float);
    return apx_session_run(served->sessions[worker], inputs, input_count(served), outputs, count,
                           error);
}

void apx_served_fetch(const struct apx_served *served, const struct apx_scratch *scratch,
                      int output, uint32_t rows, uint32_t width, uint32_t first, uint32_t count,
                      void *to)
{
    const struct apx_tensor_info *info = apx_model_output(served->model, (size_t)output);
    if (info->row_axis == 0) {
        memcpy(to, scratch->outputs + (size_t)first * width, (size_t)count * width * sizeof(float));
        return;
    }
    size_t inner = 1; /* [outer, rows, inner] */
    for (int axis = info->row_axis + 1; axis < info->rank; axis++)
        inner *= (size_t)info->dims[axis];
    size_t outer = width / inner;
    for (uint32_t row = 0; row < count; row++) {
        for (size_t o = 0; o < outer; o++)
            memcpy((char *)to + ((size_t)row * width + o * inner) * sizeof(float),
                   scratch->outputs + (o * rows + first + row) * inner, inner * sizeof(float));
    }
}
