/* SPDX-License-Identifier: Apache-2.0 */
/* predict_command.c - `auspex predict`: one batch from files, through the model, to files. */
#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: auspex predict MODEL --input [NAME=]FILE... [--output [NAME=]FILE...] [options]\n\n"
    "Run the rows of a file through a model: ONNX, or tree ensembles of XGBoost (.json, .ubj) and\n"
    "LightGBM (text) as these libraries save them. Files are .npy or .csv.\n\n"
    "  --input [NAME=]FILE      an input's rows; without NAME, of the next input in the model's\n"
    "                           order. A CSV line is one row: for an input [rows, steps, "
    "features]\n"
    "                           its columns are steps x features, step by step. Missing values\n"
    "                           are NaN. A .npy array has the input's shape and type; float64 is\n"
    "                           converted to float32 where the model wants that, float32 and\n"
    "                           float16 to float64, float16 to float32, and integers to any type\n"
    "                           that has the same numbers. A number beyond float32 is refused\n"
    "                           where the model wants that; infinities are not.\n"
    "                           Of a model that knows the names of its features, the columns are\n"
    "                           taken by name if the CSV has a header with all of them: in any\n"
    "                           order, beside others such as the label. With none of them the\n"
    "                           columns are taken in the order of the file, and there must be no\n"
    "                           others; with some of them the file is refused\n"
    "  --output [NAME=]FILE     where an output goes; may repeat for a model with several. "
    "Without\n"
    "                           it the model's only output goes to standard output as CSV.\n"
    "                           Classes that are words are written as words.\n"
    "                           The folder must be there\n"
    "  --margin                 of a tree ensemble, the sums before they become predictions\n"
    "  --leaf                   of a tree ensemble, the leaf of every tree that a row reaches,\n"
    "                           numbered as the library that trained it does\n" CLI_MODEL_HELP
        CLI_THREADS_HELP "  --quiet                  no summary line on standard error\n";

enum { INPUT = 1, OUTPUT, QUIET, MARGIN, LEAF };
#define MOST_FILES 256

struct job {
    const char *path;
    struct apx_cli_model_options options;
    const char *inputs[MOST_FILES], *outputs[MOST_FILES]; /* as given */
    int input_count, output_count;
    bool quiet;
    struct apx_model *model;
    struct apx_session *session;
    struct apx_tensor *in, *out;      /* one for each of the model's */
    const char **in_file, **out_file; /* the same; NULL: none */
};

static int refuse_missing(const struct job *job, const char *what, const char *word, size_t length,
                          apx_rows_info *get, size_t count)
{
    char names[512];
    size_t used = 0;
    names[0] = '\0';
    for (size_t i = 0; i < count && used < 400; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.64s", i > 0 ? ", " : "",
                                 get(job->model, i)->name);
    if (length != SIZE_MAX)
        return apx_cli_refuse(
            "predict", job->path,
            "there is no %s \"%.*s\"; the model has: %s; for a path with \"=\" in "
            "it say NAME=PATH",
            what, (int)length, word, names);
    return apx_cli_refuse("predict", job->path, "%s; the model has: %s", word, names);
}

/* Says which tensor each "[NAME=]FILE" is for. files: [count] */
static int assign(const struct job *job, const char *what, const char *const *given,
                  int given_count, apx_rows_info *get, size_t count, const char **files)
{
    for (int g = 0; g < given_count; g++) {
        struct apx_rows_given one =
            apx_rows_given_read(given[g], job->model, get, count, get == apx_model_output);
        size_t at = one.tensor;
        if (one.is_named && at == SIZE_MAX)
            return refuse_missing(job, what, given[g], (size_t)(one.file - given[g]) - 1, get,
                                  count);
        if (!one.is_named) {
            at = 0;
            while (at < count && files[at] != NULL)
                at++;
            if (at == count)
                return apx_cli_refuse("predict", job->path, "the model has only %zu %s%s", count,
                                      what, count == 1 ? "" : "s");
            if (given_count == 1 && count > 1 && get == apx_model_output)
                return refuse_missing(job, what, "say --output NAME=FILE for each output you want",
                                      SIZE_MAX, get, count);
        }
        if (files[at] != NULL)
            return apx_cli_refuse("predict", job->path, "%s \"%s\" is given twice", what,
                                  get(job->model, at)->name);
        files[at] = one.file;
    }
    return CLI_DONE;
}

static int assign_all(struct job *job)
{
    size_t inputs = apx_model_input_count(job->model), outputs = apx_model_output_count(job->model);
    int status =
        assign(job, "input", job->inputs, job->input_count, apx_model_input, inputs, job->in_file);
    if (status == CLI_DONE)
        status = assign(job, "output", job->outputs, job->output_count, apx_model_output, outputs,
                        job->out_file);
    for (size_t i = 0; status == CLI_DONE && i < inputs; i++)
        if (job->in_file[i] == NULL)
            status = apx_cli_refuse(
                "predict", job->path, "input \"%s\" has no file; give --input %s=FILE",
                apx_model_input(job->model, i)->name, apx_model_input(job->model, i)->name);
    if (status == CLI_DONE && outputs > 1 && job->output_count == 0)
        status = refuse_missing(job, "output", "say --output NAME=FILE for each output you want",
                                SIZE_MAX, apx_model_output, outputs);
    return status;
}

/* Rows of the batch: the extent of the first row dimension there is. */
static int64_t rows_of(const struct job *job)
{
    for (size_t i = 0; i < apx_model_input_count(job->model); i++) {
        int axis = apx_model_input(job->model, i)->row_axis;
        if (axis >= 0)
            return job->in[i].dims[axis];
    }
    return 1;
}

static int read_inputs(struct job *job)
{
    struct apx_error error = {0};
    size_t inputs = apx_model_input_count(job->model);
    struct apx_rows_names names = apx_rows_names_of(job->model);
    int status = CLI_DONE;
    for (size_t i = 0; i < inputs && status == CLI_DONE; i++)
        if (apx_rows_read(job->in_file[i], "input", apx_model_input(job->model, i), names.list,
                          &job->in[i], &error) != APX_OK)
            status = apx_cli_failed("predict", job->in_file[i], &error);
    apx_rows_names_release(&names);
    return status;
}

/* No output goes where something is read from. */
static int check_outputs(const struct job *job)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < apx_model_output_count(job->model); i++) {
        const char *target = job->out_file[i];
        if (target == NULL)
            continue;
        status = apx_cli_folder("predict", target);
        if (status == CLI_DONE)
            status = apx_cli_spare("predict", target, job->path, "the model");
        if (status == CLI_DONE && apx_model_has_file(job->model, target))
            status = apx_cli_spare("predict", target, target, "the model's external data");
        for (size_t k = 0; status == CLI_DONE && k < apx_model_input_count(job->model); k++)
            status = apx_cli_spare("predict", target, job->in_file[k], "an input's file");
        if (status != CLI_DONE)
            break;
    }
    return status;
}

static int run(struct job *job)
{
    struct apx_error error = {0};
    size_t inputs = apx_model_input_count(job->model), outputs = apx_model_output_count(job->model);
    int read = read_inputs(job);
    if (read != CLI_DONE)
        return read;
    if (apx_session_shape(job->session, job->in, inputs, job->out, outputs, &error) != APX_OK)
        return apx_cli_failed("predict", job->path, &error);
    for (size_t i = 0; i < outputs; i++) {
        if (job->out_file[i] == NULL && job->output_count > 0)
            continue; /* not asked for */
        job->out[i].data = malloc(job->out[i].bytes > 0 ? job->out[i].bytes : 1);
        if (job->out[i].data == NULL)
            return apx_cli_refuse("predict", job->path, "out of memory for output \"%s\"",
                                  apx_model_output(job->model, i)->name);
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (apx_session_run(job->session, job->in, inputs, job->out, outputs, &error) != APX_OK)
        return apx_cli_failed("predict", job->path, &error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (size_t i = 0; i < outputs; i++)
        if (job->out[i].data != NULL &&
            apx_rows_write(job->out_file[i], apx_model_output(job->model, i), &job->out[i],
                           &error) != APX_OK)
            return apx_cli_failed("predict", job->out_file[i], &error);
    int status = apx_cli_finish("predict");
    if (status == CLI_DONE && !job->quiet) {
        double seconds =
            (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
        int threads = apx_session_threads(job->session);
        fprintf(stderr, "%lld rows in %.6f s: %.0f rows/s on %d thread%s\n",
                (long long)rows_of(job), seconds, (double)rows_of(job) / (seconds + 1e-9), threads,
                threads == 1 ? "" : "s");
    }
    return status;
}

static int read_options(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {CLI_MODEL_OPTIONS,
                                            CLI_THREADS_OPTION,
                                            {"input", required_argument, NULL, INPUT},
                                            {"output", required_argument, NULL, OUTPUT},
                                            {"margin", no_argument, NULL, MARGIN},
                                            {"leaf", no_argument, NULL, LEAF},
                                            {"quiet", no_argument, NULL, QUIET},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = apx_cli_next("predict", argc, argv, options)) != -1;) {
        if (option == CLI_HELP || option == '?')
            return option;
        if (option == QUIET) {
            job->quiet = true;
        } else if (option == MARGIN || option == LEAF) {
            const char *trees = option == MARGIN ? "margin" : "leaf";
            if (job->options.load.trees != NULL && strcmp(job->options.load.trees, trees) != 0) {
                apx_cli_usage("predict", "say --margin or --leaf, not both");
                return '?';
            }
            job->options.load.trees = trees;
        } else if (option == INPUT || option == OUTPUT) {
            int *count = option == INPUT ? &job->input_count : &job->output_count;
            if (!apx_rows_is_csv(optarg) && !apx_rows_is_npy(optarg)) {
                apx_cli_usage("predict", "\"%s\" ends neither in .npy nor in .csv", optarg);
                return '?';
            }
            if (*count == MOST_FILES) {
                apx_cli_usage("predict", "more than %d files", MOST_FILES);
                return '?';
            }
            (option == INPUT ? job->inputs : job->outputs)[(*count)++] = optarg;
        } else if (apx_cli_model_option("predict", option, optarg, &job->options) != CLI_DONE) {
            return '?';
        }
    }
    job->path = apx_cli_single("predict", argc, argv, "a model file");
    if (job->path == NULL)
        return '?';
    if (job->input_count == 0) {
        apx_cli_usage("predict", "give --input FILE");
        return '?';
    }
    return 0;
}

int apx_cli_predict(int argc, char **argv)
{
    struct job job = {0};
    int option = read_options(argc, argv, &job);
    if (option == CLI_HELP) {
        fputs(help, stdout);
        return apx_cli_finish("predict");
    }
    if (option != 0)
        return CLI_USAGE;
    int status = apx_cli_load("predict", job.path, &job.options, &job.model, &job.session);
    if (status != CLI_DONE)
        return status;
    size_t inputs = apx_model_input_count(job.model), outputs = apx_model_output_count(job.model);
    job.in = calloc(inputs + 1, sizeof *job.in);
    job.out = calloc(outputs + 1, sizeof *job.out);
    job.in_file = calloc(inputs + 1, sizeof *job.in_file);
    job.out_file = calloc(outputs + 1, sizeof *job.out_file);
    if (job.in == NULL || job.out == NULL || job.in_file == NULL || job.out_file == NULL)
        status = apx_cli_refuse("predict", NULL, "out of memory");
    if (status == CLI_DONE)
        status = assign_all(&job);
    if (status == CLI_DONE)
        status = check_outputs(&job);
    if (status == CLI_DONE)
        status = run(&job);
    for (size_t i = 0; job.in != NULL && i < inputs; i++)
        free(job.in[i].data);
    for (size_t i = 0; job.out != NULL && i < outputs; i++)
        free(job.out[i].data);
    free(job.in);
    free(job.out);
    free(job.in_file);
    free(job.out_file);
    apx_session_destroy(job.session);
    apx_model_destroy(job.model);
    return status;
}
