/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_error.c - run the rows of files through two models and compare what they say, with each
 * other and with what should have been said. */
#include "runtime/cli/quantize_error.h"

#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A larger ratio of RMSEs tells how close to exact the float model is on these rows, and nothing
 * about int8. */
#define MOST_CHANGE 10

static int refuse_name(const struct apx_quantize_trial *trial, const char *what, const char *given,
                       apx_rows_info *get, size_t count)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < 400; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.64s", i > 0 ? ", " : "",
                                 get(trial->models[0], i)->name);
    return apx_cli_refuse(
        "quantize", trial->source,
        "no %s is named \"%.*s\"; %ss: %s; for a path with \"=\" in it say NAME=PATH", what,
        (int)strcspn(given, "="), given, what, names);
}

static int64_t rows_of(const struct apx_model *model, const struct apx_tensor *inputs)
{
    for (size_t i = 0; i < apx_model_input_count(model); i++) {
        int axis = apx_model_input(model, i)->row_axis;
        if (axis >= 0)
            return inputs[i].dims[axis];
    }
    return 1;
}

static void release_tensors(struct apx_tensor *tensors, size_t count)
{
    for (size_t i = 0; tensors != NULL && i < count; i++)
        free(tensors[i].data);
    free(tensors);
}

void apx_quantize_rows_release(struct apx_tensor *inputs, size_t count)
{
    release_tensors(inputs, count);
}

/* inputs: [inputs of the model], zeroed */
static int read_inputs(const struct apx_quantize_trial *trial, struct apx_tensor *inputs)
{
    const struct apx_model *model = trial->models[0];
    const size_t count = apx_model_input_count(model);
    struct apx_rows_names names = apx_rows_names_of(model);
    struct apx_error error = {0};
    int status = CLI_DONE;
    for (int k = 0; status == CLI_DONE && k < trial->data_count; k++) {
        struct apx_rows_given given =
            apx_rows_given_read(trial->data[k], model, apx_model_input, count, false);
        const char *file = given.file;
        size_t next = 0;
        while (next < count && inputs[next].data != NULL)
            next++;
        size_t i = given.is_named || next == count ? given.tensor : next;
        if (i == SIZE_MAX && given.is_named)
            status = refuse_name(trial, "input", trial->data[k], apx_model_input, count);
        else if (i == SIZE_MAX)
            status = apx_cli_refuse("quantize", trial->source, "no input is left for --data %s",
                                    trial->data[k]);
        else if (inputs[i].data != NULL)
            status = apx_cli_refuse("quantize", trial->source, "input \"%s\" is given twice",
                                    apx_model_input(model, i)->name);
        else if (apx_rows_read(file, "input", apx_model_input(model, i), names.list, &inputs[i],
                               &error) != APX_OK)
            status = apx_cli_failed("quantize", file, &error);
    }
    for (size_t i = 0; status == CLI_DONE && i < count; i++)
        if (inputs[i].data == NULL)
            status = apx_cli_refuse(
                "quantize", trial->source, "input \"%s\" has no file; give --data %s=FILE",
                apx_model_input(model, i)->name, apx_model_input(model, i)->name);
    apx_rows_names_release(&names);
    return status;
}

int apx_quantize_rows_read(const struct apx_quantize_trial *trial, struct apx_tensor **inputs)
{
    const size_t count = apx_model_input_count(trial->models[0]);
    *inputs = calloc(count + 1, sizeof **inputs);
    int status = *inputs != NULL ? read_inputs(trial, *inputs)
                                 : apx_cli_refuse("quantize", NULL, "out of memory");
    if (status == CLI_DONE && rows_of(trial->models[0], *inputs) == 0)
        status = apx_cli_refuse(
            "quantize",
            apx_rows_given_read(trial->data[0], trial->models[0], apx_model_input, count, false)
                .file,
            "no rows: no error can be measured");
    return status;
}

/* outputs: [outputs of the model], zeroed */
static int run_model(const struct apx_quantize_trial *trial, int which,
                     const struct apx_tensor *inputs, struct apx_tensor *outputs)
{
    const struct apx_model *model = trial->models[which];
    size_t in_count = apx_model_input_count(model), out_count = apx_model_output_count(model);
    struct apx_error error = {0};
    if (apx_session_shape(trial->sessions[which], inputs, in_count, outputs, out_count, &error) !=
        APX_OK)
        return apx_cli_failed("quantize", trial->source, &error);
    for (size_t i = 0; i < out_count; i++) {
        outputs[i].data = malloc(outputs[i].bytes > 0 ? outputs[i].bytes : 1);
        if (outputs[i].data == NULL)
            return apx_cli_refuse("quantize", NULL, "out of memory for the outputs");
    }
    if (apx_session_run(trial->sessions[which], inputs, in_count, outputs, out_count, &error) !=
        APX_OK)
        return apx_cli_failed("quantize", trial->source, &error);
    return CLI_DONE;
}

static size_t elements_of(const struct apx_tensor *tensor)
{
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->dims[i];
    return count;
}

static double element(const struct apx_tensor *tensor, size_t i)
{
    switch (tensor->dtype) {
    case APX_F32:
        return (double)((const float *)tensor->data)[i];
    case APX_F64:
        return ((const double *)tensor->data)[i];
    case APX_I32:
        return (double)((const int32_t *)tensor->data)[i];
    case APX_I64:
        return (double)((const int64_t *)tensor->data)[i];
    case APX_I8:
        return (double)((const int8_t *)tensor->data)[i];
    default: /* APX_U8, APX_BOOL */
        return (double)((const uint8_t *)tensor->data)[i];
    }
}

/* Elements of one place along the row axis, and of all places behind an index before it. */
static int64_t row_of(const struct apx_tensor_info *info, const struct apx_tensor *tensor, size_t i)
{
    size_t inner = 1;
    int axis = info->row_axis < 0 ? 0 : info->row_axis;
    for (int d = axis + 1; d < tensor->rank; d++)
        inner *= (size_t)tensor->dims[d];
    return tensor->rank > axis ? (int64_t)(i / inner % (size_t)tensor->dims[axis]) : 0;
}

/* Which rows hold NaN in either output. */
static bool find_nan(const struct apx_tensor_info *info, const struct apx_tensor *before,
                     const struct apx_tensor *after, struct apx_quantize_error *error)
{
    int axis = info->row_axis < 0 ? 0 : info->row_axis;
    error->rows = before->rank > axis ? before->dims[axis] : 1;
    error->holds_nan = calloc((size_t)error->rows + 1, sizeof *error->holds_nan);
    if (error->holds_nan == NULL)
        return false;
    for (size_t i = 0; i < elements_of(before); i++)
        if (isnan(element(before, i)) || isnan(element(after, i))) {
            bool *holds_nan = &error->holds_nan[row_of(info, before, i)];
            error->nan_rows += !*holds_nan;
            *holds_nan = true;
        }
    return true;
}

static void compare(const struct apx_tensor_info *info, const struct apx_tensor *before,
                    const struct apx_tensor *after, struct apx_quantize_error *error)
{
    size_t count = 0;
    double sum = 0;
    error->greatest = error->mean = error->magnitude = NAN;
    error->worst_row = -1;
    error->is_label = info->classes != NULL;
    if (error->is_label) {
        int64_t last = -1; /* elements of a row stand together */
        for (size_t i = 0; i < elements_of(before); i++) {
            int64_t row = row_of(info, before, i);
            if (row != last && element(before, i) != element(after, i)) {
                error->other_rows++;
                last = row;
            }
        }
        return;
    }
    for (size_t i = 0; i < elements_of(before); i++) {
        int64_t row = row_of(info, before, i);
        if (error->holds_nan[row])
            continue;
        double a = element(before, i), b = element(after, i);
        double difference = a == b ? 0 : fabs(a - b); /* of infinities too */
        if (!(difference <= error->greatest)) {
            error->greatest = difference;
            error->worst_row = row;
        }
        error->magnitude = fmax(error->magnitude, fabs(a));
        sum += difference;
        count++;
    }
    if (count > 0)
        error->mean = sum / (double)count;
}

static double rmse(const struct apx_tensor_info *info, const struct apx_tensor *output,
                   const struct apx_tensor *target, const bool *holds_nan)
{
    size_t used = 0;
    double sum = 0;
    for (size_t i = 0; i < elements_of(output); i++) {
        double difference = element(output, i) - element(target, i);
        if (isnan(element(target, i)) /* nothing is known there */ ||
            holds_nan[row_of(info, output, i)])
            continue;
        sum += difference * difference;
        used++;
    }
    return used > 0 && !isnan(sum) ? sqrt(sum / (double)used) : NAN;
}

/* The output that targets without a name are for: a classifier may name its label first. */
static size_t first_of_floats(const struct apx_model *model)
{
    for (size_t i = 0; i < apx_model_output_count(model); i++) {
        const enum apx_dtype dtype = apx_model_output(model, i)->dtype;
        if (dtype == APX_F32 || dtype == APX_F64)
            return i;
    }
    return 0;
}

static int measure_targets(const struct apx_quantize_trial *trial, const struct apx_tensor *before,
                           const struct apx_tensor *after, struct apx_quantize_error *errors)
{
    const struct apx_model *model = trial->models[0];
    struct apx_rows_given given = apx_rows_given_read(trial->targets, model, apx_model_output,
                                                      apx_model_output_count(model), false);
    const char *file = given.file;
    struct apx_tensor target = {0};
    struct apx_error error = {0};
    size_t at = given.is_named ? given.tensor : first_of_floats(model);
    if (at == SIZE_MAX)
        return refuse_name(trial, "output", trial->targets, apx_model_output,
                           apx_model_output_count(model));
    const struct apx_tensor_info *info = apx_model_output(model, at);
    if (info->classes != NULL)
        return apx_cli_refuse("quantize", file,
                              "output \"%s\" is a class, of which there is no RMSE; name an output "
                              "of numbers",
                              info->name);
    if (apx_rows_read(file, "output", info, NULL, &target, &error) != APX_OK)
        return apx_cli_failed("quantize", file, &error);
    int status = CLI_DONE;
    if (elements_of(&target) != elements_of(&before[at])) {
        status = apx_cli_refuse("quantize", file, "%zu targets for %zu elements of output \"%s\"",
                                elements_of(&target), elements_of(&before[at]), info->name);
    } else {
        errors[at].has_targets = true;
        errors[at].rmse_float = rmse(info, &before[at], &target, errors[at].holds_nan);
        errors[at].rmse_int8 = rmse(info, &after[at], &target, errors[at].holds_nan);
    }
    free(target.data);
    return status;
}

/* The rows are the first axis of every input. */
static bool can_cut(const struct apx_model *model, const struct apx_tensor *inputs)
{
    bool can = apx_model_input_count(model) > 0;
    for (size_t i = 0; i < apx_model_input_count(model); i++)
        can = can && apx_model_input(model, i)->row_axis == 0 &&
              inputs[i].dims[0] == inputs[0].dims[0];
    return can;
}

int apx_quantize_look(const struct apx_quantize_trial *trial, int which, int64_t most,
                      void (*see)(void *context, const struct apx_tensor *outputs), void *context)
{
    const struct apx_model *model = trial->models[which];
    const struct apx_tensor *inputs = trial->inputs;
    const size_t in_count = apx_model_input_count(model);
    const size_t out_count = apx_model_output_count(model);
    const int64_t rows = rows_of(model, inputs), step = can_cut(model, inputs) ? most : rows;
    struct apx_tensor *part = calloc(in_count + 1, sizeof *part);
    int status = part != NULL ? CLI_DONE : apx_cli_refuse("quantize", NULL, "out of memory");
    for (int64_t first = 0; status == CLI_DONE && first < rows; first += step) {
        const int64_t count = rows - first < step ? rows - first : step;
        struct apx_tensor *outputs = calloc(out_count + 1, sizeof *outputs);
        for (size_t i = 0; i < in_count; i++) {
            part[i] = inputs[i];
            if (count == rows)
                continue;
            const size_t row_bytes = inputs[i].bytes / (size_t)rows;
            part[i].dims[0] = count;
            part[i].bytes = (size_t)count * row_bytes;
            part[i].data = (char *)inputs[i].data + (size_t)first * row_bytes;
        }
        status = outputs != NULL ? run_model(trial, which, part, outputs)
                                 : apx_cli_refuse("quantize", NULL, "out of memory");
        if (status == CLI_DONE)
            see(context, outputs);
        release_tensors(outputs, out_count);
    }
    free(part);
    return status;
}

int apx_quantize_try(const struct apx_quantize_trial *trial, struct apx_quantize_error **errors,
                     int64_t *rows)
{
    const struct apx_model *model = trial->models[0];
    size_t out_count = apx_model_output_count(model);
    struct apx_tensor *before = calloc(out_count + 1, sizeof *before);
    struct apx_tensor *after = calloc(out_count + 1, sizeof *after);
    struct apx_quantize_error *made = calloc(out_count + 1, sizeof *made);
    int status = CLI_DONE;
    for (size_t i = 0; made != NULL && i < out_count; i++)
        if ((made[i].name = strdup(apx_model_output(model, i)->name)) == NULL)
            status = CLI_FAILED;
    if (before == NULL || after == NULL || made == NULL || status != CLI_DONE)
        status = apx_cli_refuse("quantize", NULL, "out of memory");
    if (status == CLI_DONE)
        status = run_model(trial, 0, trial->inputs, before);
    if (status == CLI_DONE)
        status = run_model(trial, 1, trial->inputs, after);
    for (size_t i = 0; status == CLI_DONE && i < out_count; i++) {
        if (find_nan(apx_model_output(model, i), &before[i], &after[i], &made[i]))
            compare(apx_model_output(model, i), &before[i], &after[i], &made[i]);
        else
            status = apx_cli_refuse("quantize", NULL, "out of memory");
    }
    if (status == CLI_DONE && trial->targets != NULL)
        status = measure_targets(trial, before, after, made);
    if (status == CLI_DONE) {
        *rows = rows_of(model, trial->inputs);
        *errors = made;
        made = NULL;
    }
    apx_quantize_errors_release(made, out_count);
    release_tensors(before, out_count);
    release_tensors(after, out_count);
    return status;
}

void apx_quantize_errors_release(struct apx_quantize_error *errors, size_t count)
{
    for (size_t i = 0; errors != NULL && i < count; i++) {
        free(errors[i].name);
        free(errors[i].holds_nan);
    }
    free(errors);
}

double apx_quantize_change(const struct apx_quantize_error *error)
{
    const double before = error->rmse_float, after = error->rmse_int8;
    if (before == after && isfinite(before))
        return 0;
    return isfinite(before) && isfinite(after) && after <= MOST_CHANGE * before
               ? 100 * (after / before - 1)
               : NAN;
}
