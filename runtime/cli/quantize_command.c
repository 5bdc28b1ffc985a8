/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_command.c - `auspex quantize`: a model with int8 layers, and what that costs in accuracy
 * on the rows of a file. Nothing is written unless the new model loads and runs. */
#include "runtime/base/file.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/quantize_error.h"
#include "runtime/cli/quantize_range.h"
#include "runtime/cli/rows_file.h"
#include "runtime/quantize.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: auspex quantize MODEL.onnx OUT.onnx [--data [NAME=]FILE]... [options]\n\n"
    "Write a model whose LSTM, GRU and dense layers have int8 weights. The state of a recurrent\n"
    "layer, and what is made of states or comes out of Tanh or Sigmoid, lies in [-1, 1] whatever\n"
    "the data are; other inputs become int8 with a scale from --data, and keep their floats\n"
    "without. Layers that stay as they are are named with the reason. The file runs wherever ONNX\n"
    "does (docs/quantize.md).\n\n"
    "  --data [NAME=]FILE       rows (.npy or .csv, as for auspex predict): they say how large "
    "the\n"
    "                           inputs of layers become, and are run through both models: the\n"
    "                           difference is reported; once for each input of the model, without\n"
    "                           NAME for the next in the model's order\n"
    "  --no-scales              take no scales from --data, only measure\n"
    "  --targets [NAME=]FILE    what an output (the first float) should have been: the error of "
    "both\n"
    "                           models against it is reported; needs --data\n"
    "  --levels 63|127          the state is one of 2 x levels + 1 numbers (default: 127)\n"
    "  --layers NAME,NAME       these layers only\n"
    "  -o, --output FILE        the same as OUT.onnx; its folder must be there\n"
    "  --isa WORD, --threads N  as for auspex predict; the int8 results do not depend on them\n"
    "  --json                   the report, for programs\n";

enum { DATA = 1, NO_SCALES, TARGETS, LEVELS, LAYERS, OUTPUT = 'o' };
#define MOST_FILES  256
#define MOST_LAYERS 256
#define FEW_ROWS    30 /* so few tell little of how large an input becomes */

struct job {
    const char *source, *target;
    const char *data[MOST_FILES], *targets;
    int data_count;
    const char *layers[MOST_LAYERS];
    char *layer_text;
    struct apx_quantize_options options;
    struct apx_cli_model_options model_options;
    bool as_json, no_scales;
    FILE *report_to;

    char *bytes; /* of the source */
    size_t byte_count;
    char *directory; /* of its external tensors */
    void *made;      /* of the target */
    size_t made_count;
    struct apx_quantize_report *report;
    struct apx_quantize_probes probes;
    struct apx_quantize_range *ranges;  /* [options.range_count] */
    struct apx_quantize_reach *reaches; /* of each range */
    struct apx_tensor *inputs;          /* [input_count] the rows of --data; NULL: not read yet */
    size_t input_count;
    struct apx_quantize_error *errors; /* [output_count]; NULL: not measured */
    size_t output_count;
    int64_t rows;
};

/* ---- reports -----------------------------------------------------------------------------------
 */

static void say(const struct job *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct job *job, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(job->report_to, format, arguments);
    va_end(arguments);
}

static json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* What was found of the layer's input; -1: no rows were asked. */
static long find_range(const struct job *job, const struct apx_quantize_layer *layer)
{
    for (size_t i = 0; i < job->options.range_count; i++)
        if (strcmp(job->ranges[i].layer, layer->name) == 0)
            return (long)i;
    return -1;
}

/* Rows of the data that scales come from; -1: none do. */
static long long scale_rows(const struct job *job)
{
    int64_t rows = -1;
    for (size_t i = 0; i < job->report->layer_count; i++)
        if (job->report->layers[i].has_range)
            rows = job->rows;
    for (size_t i = 0; rows >= 0 && i < job->output_count; i++) {
        const struct apx_quantize_error *error = &job->errors[i];
        if (error->rows == job->rows && error->rows - error->nan_rows < rows)
            rows = error->rows - error->nan_rows;
    }
    return rows;
}

/* The model's file and those with its external tensors. */
static unsigned long long source_bytes(const struct job *job)
{
    unsigned long long bytes = job->byte_count;
    for (size_t i = 0; i < job->report->file_count; i++)
        bytes += job->report->files[i].bytes;
    return bytes;
}

static int print_json(const struct job *job)
{
    json_t *layers = json_array(), *outputs = json_array();
    for (size_t i = 0; i < job->report->layer_count; i++) {
        const struct apx_quantize_layer *layer = &job->report->layers[i];
        json_t *json =
            json_pack("{s:s, s:s, s:I, s:I, s:b, s:I}", "name", layer->name, "op", layer->op,
                      "input", (json_int_t)layer->input, layer->is_dense ? "output" : "hidden",
                      (json_int_t)layer->hidden, "int8", layer->is_done, "float_bytes",
                      (json_int_t)layer->float_bytes);
        if (!layer->is_dense)
            json_object_set_new(json, "direction", json_string(layer->direction));
        if (layer->is_done) {
            json_object_set_new(json, "int8_bytes", json_integer((json_int_t)layer->int8_bytes));
            json_object_set_new(json, "input_is_int8", json_boolean(layer->quantises_x));
            if (layer->quantises_x) {
                json_object_set_new(json, "input_bound", json_number((double)layer->input_bound));
                json_object_set_new(json, "bound_from_data", json_boolean(layer->has_range));
            }
            const long range = find_range(job, layer);
            if (range >= 0 && layer->has_range) {
                const struct apx_quantize_reach *reach = &job->reaches[range];
                json_object_set_new(json, "max_abs_input", json_number(reach->greatest));
                json_object_set_new(json, "input_rows", json_integer((json_int_t)reach->rows));
                json_object_set_new(json, "input_rows_cut_off",
                                    json_integer((json_int_t)reach->lost_rows));
            } else if (range >= 0 && job->ranges[range].why_not != NULL) {
                json_object_set_new(json, "input_reason", json_string(job->ranges[range].why_not));
            }
        } else {
            json_object_set_new(json, "reason", json_string(layer->reason));
        }
        json_array_append_new(layers, json);
    }
    for (size_t i = 0; job->errors != NULL && i < job->output_count; i++) {
        const struct apx_quantize_error *error = &job->errors[i];
        json_t *json = json_pack(
            "{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "name", error->name, "rows_compared",
            (json_int_t)(error->rows - error->nan_rows), "rows_with_nan",
            (json_int_t)error->nan_rows, "max_abs_error", json_number(error->greatest),
            "mean_abs_error", json_number(error->mean), "worst_row",
            error->worst_row >= 0 ? json_integer((json_int_t)error->worst_row) : json_null(),
            "max_abs_value", json_number(error->magnitude));
        if (error->has_targets) {
            json_object_set_new(json, "rmse_float", json_number(error->rmse_float));
            json_object_set_new(json, "rmse_int8", json_number(error->rmse_int8));
            json_object_set_new(json, "rmse_change_percent",
                                json_number(apx_quantize_change(error)));
        }
        if (error->is_label)
            json_object_set_new(json, "rows_of_another_class",
                                json_integer((json_int_t)error->other_rows));
        json_array_append_new(outputs, json);
    }
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:I, s:i, s:i, s:I, s:o}", "source", job->source, "output", job->target,
        "source_bytes", (json_int_t)source_bytes(job), "output_bytes", (json_int_t)job->made_count,
        "levels", job->report->hidden_levels, "weight_levels", job->report->weight_levels,
        "int8_before", (json_int_t)job->report->int8_before, "layers", layers);
    if (job->errors != NULL) {
        json_object_set_new(json, "rows", json_integer((json_int_t)job->rows));
        if (scale_rows(job) >= 0)
            json_object_set_new(json, "rows_for_scales", json_integer((json_int_t)scale_rows(job)));
        json_object_set(json, "outputs", outputs);
    }
    json_decref(outputs);
    if (json == NULL)
        return apx_cli_refuse("quantize", job->source,
                              "out of memory, or a name that is not UTF-8");
    json_dumpf(json, job->report_to, JSON_INDENT(2));
    fputc('\n', job->report_to);
    json_decref(json);
    return CLI_DONE;
}

/* What the scale of the layer's input does not hold, or why it has none. */
static void print_range(const struct job *job, const struct apx_quantize_layer *layer)
{
    const long range = find_range(job, layer);
    if (range < 0)
        return;
    const struct apx_quantize_reach *reach = &job->reaches[range];
    const char *why_not = job->ranges[range].why_not;
    if (!layer->has_range && why_not != NULL)
        say(job, "          its input stays float: %s\n", why_not);
    else if (layer->has_range && reach->lost_rows > 0)
        say(job,
            "          %.0f of %.0f rows of its input lie%s far beyond %.4g (largest %.4g): "
            "%.0f value%s there count%s as %.4g, and the row%s answered wrongly\n",
            reach->lost_rows, reach->rows, reach->lost_rows == 1 ? "s" : "",
            (double)layer->input_bound, reach->greatest, reach->cut, reach->cut == 1 ? "" : "s",
            reach->cut == 1 ? "s" : "", (double)layer->input_bound,
            reach->lost_rows == 1 ? " is" : "s are");
}

static void print_layer(const struct job *job, const struct apx_quantize_layer *layer)
{
    if (layer->is_dense)
        say(job, "%s  dense (%s), %zu inputs, %zu outputs: ", layer->name, layer->op, layer->input,
            layer->hidden);
    else
        say(job, "%s  %s %s, %zu inputs, %zu units: ", layer->name, layer->direction, layer->op,
            layer->input, layer->hidden);
    if (!layer->is_done) {
        say(job, "left as it is: %s\n", layer->reason);
        return;
    }
    say(job, "int8");
    if (layer->has_range)
        say(job, ", its input too, up to %.4g", (double)layer->input_bound);
    else if (layer->quantises_x)
        say(job, ", its input too");
    say(job, ", %zu bytes instead of %zu\n", layer->int8_bytes, layer->float_bytes);
    print_range(job, layer);
}

static void print_layers(const struct job *job)
{
    for (size_t i = 0; i < job->report->layer_count; i++) {
        say(job, "%-9s ", i == 0 ? "layers" : "");
        print_layer(job, &job->report->layers[i]);
    }
}

static void print_error(const struct job *job, const struct apx_quantize_error *error)
{
    char row[24] = "none";
    if (error->worst_row >= 0)
        snprintf(row, sizeof row, "%lld", (long long)error->worst_row);
    say(job, "          %12.4g %12.4g %10s %12.4g  %s\n", error->greatest, error->mean, row,
        error->magnitude, error->name);
}

static void print_label(const struct job *job, const struct apx_quantize_error *error)
{
    say(job, "          another class in %lld of %lld rows: %s\n", (long long)error->other_rows,
        (long long)error->rows, error->name);
}

static void print_targets(const struct job *job, const struct apx_quantize_error *error)
{
    char change[32] = "-";
    if (!isnan(apx_quantize_change(error)))
        snprintf(change, sizeof change, "%+.3f%%", apx_quantize_change(error));
    say(job, "          %12.6g %12.6g %10s  %s\n", error->rmse_float, error->rmse_int8, change,
        error->name);
}

static void print_nan(const struct job *job, const struct apx_quantize_error *error)
{
    say(job, "nan       %lld of %lld rows hold NaN %s: %s\n", (long long)error->nan_rows,
        (long long)error->rows,
        error->nan_rows < error->rows ? "and are left out of the figures"
                                      : "and no error was measured",
        error->name);
}

static void print_errors(const struct job *job)
{
    bool has_targets = false;
    if (scale_rows(job) >= 0 && scale_rows(job) < FEW_ROWS)
        say(job, "scales    from %lld row%s only: larger inputs than theirs are cut off\n",
            scale_rows(job), scale_rows(job) == 1 ? "" : "s");
    say(job, "rows      %lld of the data, %s\n", (long long)job->rows,
        job->report->int8_before == 0 ? "float32 beside int8"
                                      : "the given model beside the new one: what the layers that "
                                        "were int8 before cost is in neither figure");
    say(job, "outputs   %12s %12s %10s %12s  name\n", "max error", "mean error", "worst row",
        "max value");
    for (size_t i = 0; i < job->output_count; i++) {
        if (job->errors[i].is_label)
            print_label(job, &job->errors[i]);
        else
            print_error(job, &job->errors[i]);
        has_targets |= job->errors[i].has_targets;
    }
    if (has_targets)
        say(job, "targets   %12s %12s %10s\n",
            job->report->int8_before == 0 ? "float RMSE" : "given RMSE", "int8 RMSE", "change");
    for (size_t i = 0; i < job->output_count; i++)
        if (job->errors[i].has_targets)
            print_targets(job, &job->errors[i]);
    for (size_t i = 0; i < job->output_count; i++)
        if (job->errors[i].has_targets && isnan(apx_quantize_change(&job->errors[i])) &&
            isfinite(job->errors[i].rmse_float) && isfinite(job->errors[i].rmse_int8))
            say(job,
                "          the given model is so close to these targets that a percentage says "
                "nothing: %s\n",
                job->errors[i].name);
    for (size_t i = 0; i < job->output_count; i++)
        if (job->errors[i].nan_rows > 0)
            print_nan(job, &job->errors[i]);
}

static void print(const struct job *job)
{
    const struct apx_quantize_report *report = job->report;
    say(job, "model     %s: ", job->target);
    if (report->recurrent_count > 0)
        say(job, "%zu of %zu recurrent layer%s%s", report->recurrent_done, report->recurrent_count,
            report->recurrent_count == 1 ? "" : "s", report->dense_count > 0 ? " and " : "");
    if (report->dense_count > 0)
        say(job, "%zu of %zu dense layer%s", report->dense_done, report->dense_count,
            report->dense_count == 1 ? "" : "s");
    say(job, " in int8, %d levels of h, %d of a weight\n", report->hidden_levels,
        report->weight_levels);
    if (report->int8_before > 0)
        say(job, "before    %zu more layer%s int8 already in %s, and stay%s so\n",
            report->int8_before, report->int8_before == 1 ? " was" : "s were", job->source,
            report->int8_before == 1 ? "s" : "");
    print_layers(job);
    say(job, "file      %zu bytes instead of %llu", job->made_count, source_bytes(job));
    if (report->file_count > 0)
        say(job, ", %llu of them in external data", source_bytes(job) - job->byte_count);
    say(job, "\n");
    if (job->errors != NULL)
        print_errors(job);
    else
        say(job, "error     not measured: give rows with --data\n");
}

/* ---- the work ----------------------------------------------------------------------------------
 */

static int read_layers(struct job *job, const char *text)
{
    free(job->layer_text);
    job->layer_text = strdup(text);
    job->options.layer_count = 0;
    char *rest = NULL;
    for (char *name = job->layer_text != NULL ? strtok_r(job->layer_text, ",", &rest) : NULL;
         name != NULL; name = strtok_r(NULL, ",", &rest)) {
        if (job->options.layer_count == MOST_LAYERS)
            return apx_cli_usage("quantize", "more than %d layers", MOST_LAYERS);
        job->layers[job->options.layer_count++] = name;
    }
    job->options.layers = job->layers;
    return job->options.layer_count > 0 ? CLI_DONE
                                        : apx_cli_usage("quantize", "--layers names no layer");
}

static bool is_rows_file(const char *given)
{
    if (apx_rows_is_csv(given) || apx_rows_is_npy(given))
        return true;
    apx_cli_usage("quantize", "\"%s\" ends neither in .npy nor in .csv", given);
    return false;
}

static int read_option(struct job *job, int option)
{
    switch (option) {
    case DATA:
        if (job->data_count == MOST_FILES)
            return apx_cli_usage("quantize", "more than %d files", MOST_FILES);
        job->data[job->data_count++] = optarg;
        return is_rows_file(optarg) ? CLI_DONE : CLI_USAGE;
    case NO_SCALES:
        job->no_scales = true;
        return CLI_DONE;
    case TARGETS:
        if (job->targets != NULL)
            return apx_cli_usage("quantize", "say --targets once");
        job->targets = optarg;
        return is_rows_file(optarg) ? CLI_DONE : CLI_USAGE;
    case LEVELS:
        if (strcmp(optarg, "63") != 0 && strcmp(optarg, "127") != 0)
            return apx_cli_usage("quantize", "--levels is 63 or 127, not \"%s\"", optarg);
        job->options.hidden_levels = atoi(optarg);
        return CLI_DONE;
    case LAYERS:
        return read_layers(job, optarg);
    case OUTPUT:
        job->target = optarg;
        return CLI_DONE;
    case CLI_JSON:
        job->as_json = true;
        return CLI_DONE;
    default:
        return apx_cli_model_option("quantize", option, optarg, &job->model_options);
    }
}

static int read_arguments(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {{"data", required_argument, NULL, DATA},
                                            {"no-scales", no_argument, NULL, NO_SCALES},
                                            {"targets", required_argument, NULL, TARGETS},
                                            {"levels", required_argument, NULL, LEVELS},
                                            {"layers", required_argument, NULL, LAYERS},
                                            {"output", required_argument, NULL, OUTPUT},
                                            {"isa", required_argument, NULL, CLI_ISA},
                                            CLI_THREADS_OPTION,
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = apx_cli_next_short("quantize", argc, argv, ":o:", options)) != -1;) {
        if (option == CLI_HELP || option == '?')
            return option;
        if (read_option(job, option) != CLI_DONE)
            return '?';
    }
    int left = argc - optind;
    if (left > 0)
        job->source = argv[optind];
    if (left > 1 && job->target == NULL) {
        job->target = argv[optind + 1];
        left--;
    }
    if (job->source == NULL)
        apx_cli_usage("quantize", "name a model file");
    else if (job->target == NULL)
        apx_cli_usage("quantize", "name the file to write: MODEL.onnx OUT.onnx");
    else if (job->target[0] == '\0')
        apx_cli_usage("quantize", "the name of the file to write is empty");
    else if (left > 1)
        apx_cli_usage("quantize", "\"%s\" is one argument too many", argv[argc - 1]);
    else if (job->targets != NULL && job->data_count == 0)
        apx_cli_usage("quantize", "--targets needs --data");
    else
        return 0;
    return '?';
}

/* "[NAME=]FILE" before the model says which names there are: the target is neither reading of it.
 */
static int spare_given(const struct job *job, const char *given, const char *what)
{
    const char *equals = strchr(given, '=');
    int status = apx_cli_spare("quantize", job->target, given, what);
    if (status == CLI_DONE && equals != NULL)
        status = apx_cli_spare("quantize", job->target, equals + 1, what);
    return status;
}

/* Nothing that is read may be written to. */
static int check_target(const struct job *job)
{
    int status = apx_cli_folder("quantize", job->target);
    if (status == CLI_DONE)
        status = apx_cli_spare("quantize", job->target, job->source, "the model");
    for (int i = 0; status == CLI_DONE && i < job->data_count; i++)
        status = spare_given(job, job->data[i], "a file of --data");
    if (status == CLI_DONE && job->targets != NULL)
        status = spare_given(job, job->targets, "the file of --targets");
    return status;
}

static int check_external(const struct job *job)
{
    for (size_t i = 0; i < job->report->file_count; i++)
        if (apx_file_has_id(job->target, &job->report->files[i]))
            return apx_cli_spare("quantize", job->target, job->target, "the model's external data");
    return CLI_DONE;
}

/* Of the job's bytes, which stay. */
static int load(const struct job *job, const char *name, const void *bytes, size_t count,
                struct apx_model **model, struct apx_session **session)
{
    struct apx_error error = {0};
    struct apx_session_options options = {.threads = job->model_options.threads};
    if (apx_model_load_memory(bytes, count, &job->model_options.load, model, &error) != APX_OK ||
        apx_session_create(*model, &options, session, &error) != APX_OK)
        return apx_cli_failed("quantize", name, &error);
    return CLI_DONE;
}

/* The trial of one or two models over the rows, which are read at the first time. */
static int begin_trial(struct job *job, struct apx_model *const models[2],
                       struct apx_session *const sessions[2], struct apx_quantize_trial *trial)
{
    *trial = (struct apx_quantize_trial){.source = job->source,
                                         .models = {models[0], models[1]},
                                         .sessions = {sessions[0], sessions[1]},
                                         .data = job->data,
                                         .data_count = job->data_count,
                                         .targets = job->targets};
    int status = CLI_DONE;
    if (job->inputs == NULL) {
        job->input_count = apx_model_input_count(models[0]);
        status = apx_quantize_rows_read(trial, &job->inputs);
    }
    trial->inputs = job->inputs;
    return status;
}

/* Scales of layers' inputs from the rows, as far as layers want them. */
static int find_ranges(struct job *job)
{
    struct apx_error error = {0};
    struct apx_model *models[2] = {NULL, NULL};
    struct apx_session *sessions[2] = {NULL, NULL};
    struct apx_quantize_trial trial;
    if (apx_quantize_probe(job->bytes, job->byte_count, job->directory, &job->options, &job->probes,
                           &error) != APX_OK)
        return apx_cli_failed("quantize", job->source, &error);
    if (job->probes.count == 0)
        return CLI_DONE;
    job->ranges = calloc(job->probes.count, sizeof *job->ranges);
    job->reaches = calloc(job->probes.count, sizeof *job->reaches);
    int status = job->ranges == NULL || job->reaches == NULL
                     ? apx_cli_refuse("quantize", NULL, "out of memory")
                     : load(job, job->source, job->probes.model, job->probes.model_bytes,
                            &models[0], &sessions[0]);
    if (status == CLI_DONE)
        status = begin_trial(job, models, sessions, &trial);
    if (status == CLI_DONE) {
        const int levels =
            job->options.hidden_levels != 0 ? job->options.hidden_levels : APX_QUANTIZE_LEVELS;
        status = apx_quantize_find_ranges(&trial, &job->probes, levels, job->ranges, job->reaches,
                                          &job->options.range_count);
        job->options.ranges = job->ranges;
    }
    apx_session_destroy(sessions[0]);
    apx_model_destroy(models[0]);
    return status;
}

static int make(struct job *job)
{
    struct apx_error error = {0};
    if (check_target(job) != CLI_DONE)
        return CLI_FAILED;
    job->report_to = apx_cli_report_to(job->target);
    if (apx_file_read(job->source, APX_LIMIT_FILE_BYTES, &job->bytes, &job->byte_count, &error) !=
        APX_OK)
        return apx_cli_failed("quantize", job->source, &error);
    const char *slash = strrchr(job->source, '/');
    job->directory = slash == NULL          ? strdup(".")
                     : slash == job->source ? strdup("/")
                                            : strndup(job->source, (size_t)(slash - job->source));
    if (job->directory == NULL)
        return apx_cli_refuse("quantize", NULL, "out of memory");
    job->model_options.load.directory = job->directory;
    if (job->data_count > 0 && !job->no_scales && find_ranges(job) != CLI_DONE)
        return CLI_FAILED;
    if (apx_quantize(job->bytes, job->byte_count, job->directory, &job->options, &job->made,
                     &job->made_count, &job->report, &error) == APX_OK)
        return check_external(job);
    apx_cli_failed("quantize", job->source, &error);
    if (job->report != NULL && job->report->layer_count > 1 && !job->as_json)
        print_layers(job);
    return CLI_FAILED;
}

/* Both models, over the rows if there are any. */
static int compare(struct job *job)
{
    struct apx_model *models[2] = {NULL, NULL};
    struct apx_session *sessions[2] = {NULL, NULL};
    struct apx_quantize_trial trial;
    int status = load(job, job->source, job->bytes, job->byte_count, &models[0], &sessions[0]);
    if (status == CLI_DONE)
        status = load(job, job->target, job->made, job->made_count, &models[1], &sessions[1]);
    if (status == CLI_DONE && job->data_count > 0 &&
        (status = begin_trial(job, models, sessions, &trial)) == CLI_DONE) {
        job->output_count = apx_model_output_count(models[0]);
        status = apx_quantize_try(&trial, &job->errors, &job->rows);
    }
    for (int i = 0; i < 2; i++) {
        apx_session_destroy(sessions[i]);
        apx_model_destroy(models[i]);
    }
    return status;
}

/* Not one row of which both models say a number. */
static bool has_no_figure(const struct job *job)
{
    bool has_none = job->output_count > 0;
    for (size_t i = 0; i < job->output_count; i++)
        has_none = has_none && job->errors[i].nan_rows == job->errors[i].rows;
    return has_none;
}

static int run(struct job *job)
{
    struct apx_error error = {0};
    int status = make(job);
    if (status == CLI_DONE)
        status = compare(job);
    if (status == CLI_DONE &&
        apx_file_replace(job->target, job->made, job->made_count, &error) != APX_OK)
        status = apx_cli_failed("quantize", job->target, &error);
    if (status != CLI_DONE)
        return status;
    if (job->data_count > 0 && has_no_figure(job))
        apx_cli_refuse(
            "quantize", job->target,
            "warning: written, but no error was measured: all rows of the data give NaN");
    if (job->as_json)
        status = print_json(job);
    else
        print(job);
    return status == CLI_DONE ? apx_cli_finish("quantize") : status;
}

int apx_cli_quantize(int argc, char **argv)
{
    struct job job = {0};
    int option = read_arguments(argc, argv, &job), status = CLI_USAGE;
    if (option == CLI_HELP) {
        fputs(help, stdout);
        status = apx_cli_finish("quantize");
    } else if (option == 0) {
        status = run(&job);
    }
    apx_quantize_errors_release(job.errors, job.output_count);
    apx_quantize_report_destroy(job.report);
    apx_quantize_probes_fini(&job.probes);
    apx_quantize_rows_release(job.inputs, job.input_count);
    free(job.ranges);
    free(job.reaches);
    free(job.made);
    free(job.bytes);
    free(job.directory);
    free(job.layer_text);
    return status;
}
