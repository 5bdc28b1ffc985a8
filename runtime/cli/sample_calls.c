/* SPDX-License-Identifier: Apache-2.0 */
/* sample_calls.c - inputs that nobody asks about, to see how long calls take.
 *
 * They are random from a fixed seed, or the rows of a file over and over: which way a row takes
 * through a tree, and so the time, depends on its numbers. */
#include "runtime/cli/sample_calls.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"

#define MOST_STEPS 1000000000

int apx_cli_calls_steps(struct apx_cli_calls *calls, const char *text)
{
    if (apx_cli_number(text, 1, MOST_STEPS, &calls->steps))
        return CLI_DONE;
    return apx_cli_usage(calls->command, "--steps is a number from 1, not \"%s\"", text);
}

int apx_cli_calls_input(struct apx_cli_calls *calls, const char *text)
{
    calls->input = text;
    if (apx_rows_is_csv(text) || apx_rows_is_npy(text))
        return CLI_DONE;
    return apx_cli_usage(calls->command, "\"%s\" ends neither in .npy nor in .csv", text);
}

int64_t apx_cli_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Uniform in [-1, 1) for floats, 0 and 1 for integers, the same for every run. */
static void fill_random(struct apx_tensor *tensor, uint64_t seed)
{
    size_t size = apx_dtype_size(tensor->dtype), count = tensor->bytes / size;
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    memset(tensor->data, 0, tensor->bytes);
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char *at = (char *)tensor->data + i * size;
        double uniform = (double)(state >> 11) * 0x1p-52 - 1;
        float narrow = (float)uniform;
        if (tensor->dtype == APX_F64)
            memcpy(at, &uniform, sizeof uniform);
        else if (tensor->dtype == APX_F32)
            memcpy(at, &narrow, sizeof narrow);
        else
            *at = (char)(state >> 63); /* little-endian: 0 or 1 in any width */
    }
}

/* Rows of the file in turn. */
static void fill_from(struct apx_tensor *tensor, const struct apx_tensor *sample)
{
    size_t row = tensor->bytes / (size_t)tensor->dims[0];
    for (int64_t i = 0; i < tensor->dims[0]; i++)
        memcpy((char *)tensor->data + (size_t)i * row,
               (const char *)sample->data + (size_t)(i % sample->dims[0]) * row, row);
}

static int read_sample(struct apx_cli_calls *calls)
{
    struct apx_error error = {0};
    const struct apx_tensor_info *info = apx_model_input(calls->model, 0);
    if (calls->input == NULL)
        return CLI_DONE;
    if (apx_model_input_count(calls->model) != 1 || info->row_axis != 0)
        return apx_cli_refuse(calls->command, calls->path,
                              "--input is for models with one input whose rows come first");
    struct apx_rows_names names = apx_rows_names_of(calls->model);
    enum apx_status status =
        apx_rows_read(calls->input, "input", info, names.list, &calls->sample, &error);
    apx_rows_names_release(&names);
    if (status != APX_OK)
        return apx_cli_failed(calls->command, calls->input, &error);
    if (calls->sample.dims[0] == 0)
        return apx_cli_refuse(calls->command, calls->input, "there are no rows in it");
    for (int d = 1; d < info->rank; d++)
        if (info->dims[d] < 0 && calls->steps == 0)
            calls->steps = (long)calls->sample.dims[d];
        else if (info->dims[d] < 0 && calls->steps != (long)calls->sample.dims[d])
            return apx_cli_refuse(calls->command, calls->input, "its rows have %lld steps, not %ld",
                                  (long long)calls->sample.dims[d], calls->steps);
    return CLI_DONE;
}

/* Inputs of these rows, with memory and values. The kernel's own limits refuse absurd sizes. */
static int make_inputs(struct apx_cli_calls *calls, int64_t rows)
{
    for (size_t i = 0; i < apx_model_input_count(calls->model); i++) {
        const struct apx_tensor_info *info = apx_model_input(calls->model, i);
        struct apx_tensor *tensor = &calls->in[i];
        free(tensor->data);
        *tensor = (struct apx_tensor){.dtype = info->dtype, .rank = info->rank};
        tensor->bytes = apx_dtype_size(info->dtype);
        bool overflow = false;
        for (int d = 0; d < info->rank; d++) {
            tensor->dims[d] = info->dims[d] >= 0    ? info->dims[d]
                              : d == info->row_axis ? rows
                                                    : calls->steps;
            overflow |=
                __builtin_mul_overflow(tensor->bytes, (size_t)tensor->dims[d], &tensor->bytes);
        }
        tensor->data = overflow ? NULL : malloc(tensor->bytes > 0 ? tensor->bytes : 1);
        if (tensor->data == NULL)
            return apx_cli_refuse(calls->command, calls->path,
                                  "out of memory for %lld rows of input \"%s\"", (long long)rows,
                                  info->name);
        if (calls->input != NULL)
            fill_from(tensor, &calls->sample);
        else
            fill_random(tensor, i + 1);
    }
    return CLI_DONE;
}

static int make_outputs(struct apx_cli_calls *calls, struct apx_session *session, int64_t rows)
{
    struct apx_error error = {0};
    size_t inputs = apx_model_input_count(calls->model),
           outputs = apx_model_output_count(calls->model);
    for (size_t i = 0; i < outputs; i++) {
        free(calls->out[i].data);
        calls->out[i] = (struct apx_tensor){0};
    }
    if (apx_session_shape(session, calls->in, inputs, calls->out, outputs, &error) != APX_OK)
        return apx_cli_failed(calls->command, calls->path, &error);
    for (size_t i = 0; i < outputs; i++)
        if ((calls->out[i].data = malloc(calls->out[i].bytes > 0 ? calls->out[i].bytes : 1)) ==
            NULL)
            return apx_cli_refuse(calls->command, calls->path,
                                  "out of memory for the outputs of %lld rows", (long long)rows);
    return CLI_DONE;
}

/* Which extents are free, and whether the options say them. */
static int check_shapes(struct apx_cli_calls *calls)
{
    bool has_rows = false;
    int64_t fixed = 1;
    for (size_t i = 0; i < apx_model_input_count(calls->model); i++) {
        const struct apx_tensor_info *info = apx_model_input(calls->model, i);
        has_rows |= info->row_axis >= 0;
        if (i == 0 && info->rank > 0 && info->dims[0] >= 0)
            fixed = info->dims[0];
        for (int d = 0; d < info->rank; d++) {
            if (info->dims[d] >= 0 || d == info->row_axis)
                continue;
            calls->has_steps = true;
            if (calls->steps == 0)
                return apx_cli_refuse(calls->command, calls->path,
                                      "dimension %d (%s) of input \"%s\" is free; give --steps", d,
                                      info->dim_names[d] != NULL ? info->dim_names[d] : "?",
                                      info->name);
        }
    }
    if (calls->steps > 0 && !calls->has_steps)
        return apx_cli_refuse(calls->command, calls->path,
                              "--steps is of no use: all dimensions but the rows are fixed");
    calls->fixed_rows = has_rows ? 0 : fixed;
    return CLI_DONE;
}

int apx_cli_calls_open(struct apx_cli_calls *calls, const struct apx_model *model)
{
    calls->model = model;
    calls->in = calloc(apx_model_input_count(model) + 1, sizeof *calls->in);
    calls->out = calloc(apx_model_output_count(model) + 1, sizeof *calls->out);
    if (calls->in == NULL || calls->out == NULL)
        return apx_cli_refuse(calls->command, NULL, "out of memory");
    int status = read_sample(calls);
    return status == CLI_DONE ? check_shapes(calls) : status;
}

void apx_cli_calls_close(struct apx_cli_calls *calls)
{
    for (size_t i = 0; calls->in != NULL && i < apx_model_input_count(calls->model); i++)
        free(calls->in[i].data);
    for (size_t i = 0; calls->out != NULL && i < apx_model_output_count(calls->model); i++)
        free(calls->out[i].data);
    free(calls->in);
    free(calls->out);
    free(calls->sample.data);
}

int apx_cli_calls_make(struct apx_cli_calls *calls, struct apx_session *session, int64_t rows)
{
    int status = make_inputs(calls, rows);
    return status == CLI_DONE ? make_outputs(calls, session, rows) : status;
}

enum apx_status apx_cli_calls_run(struct apx_cli_calls *calls, struct apx_session *session,
                                  int64_t *ns, struct apx_error *error)
{
    const int64_t before = apx_cli_now();
    enum apx_status status =
        apx_session_run(session, calls->in, apx_model_input_count(calls->model), calls->out,
                        apx_model_output_count(calls->model), error);
    *ns = apx_cli_now() - before;
    return status;
}
