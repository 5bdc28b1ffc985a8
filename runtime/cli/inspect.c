/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c - `auspex inspect`: what a model is and how it would run here. */
#include "runtime/cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: auspex inspect MODEL [--json] [options]\n\n"
    "Inputs and outputs with their shapes (a word is a free dimension), nodes, tree ensembles,\n"
    "the steps of the plan with the kernel that each would use here, and the cost of one row,\n"
    "free dimensions other than the rows counted as 1. MODEL is an ONNX file, or one of XGBoost\n"
    "(.json, .ubj) or LightGBM (text).\n\n" CLI_MODEL_HELP
    "  --json                   the same, and the model's metadata, for programs\n";

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void print_tensors(const char *label, size_t count, const struct apx_model *model,
                          const struct apx_tensor_info *(*get)(const struct apx_model *, size_t))
{
    for (size_t i = 0; i < count; i++) {
        const struct apx_tensor_info *info = get(model, i);
        char shape[256];
        printf("%-9s %s  %s%s", i == 0 ? label : "", info->name, apx_dtype_name(info->dtype),
               apx_cli_shape(info, shape));
        if (info->row_axis > 0)
            printf("  (dimension %d counts the rows)", info->row_axis);
        putchar('\n');
    }
}

/* "LSTM x2, Gemm, Softmax" in the order of first use. */
static void print_nodes(json_t *nodes)
{
    size_t i, j;
    json_t *node, *other;
    bool first = true;
    printf("nodes     %zu:", json_array_size(nodes));
    json_array_foreach (nodes, i, node) {
        const char *op = text_of(node, "op");
        int count = 0;
        bool seen = false;
        json_array_foreach (nodes, j, other)
            if (strcmp(text_of(other, "op"), op) == 0) {
                seen |= j < i;
                count++;
            }
        if (seen)
            continue;
        printf("%s %s", first ? "" : ",", op);
        if (count > 1)
            printf(" x%d", count);
        first = false;
    }
    putchar('\n');
}

static void print_count(const char *comma, json_t *forest, const char *key, const char *one)
{
    json_int_t count = json_integer_value(json_object_get(forest, key));
    printf("%s%lld %s", comma, (long long)count, count == 1 ? one : key);
}

/* What the trees are, and what the library that made them called them. */
static void print_forests(json_t *json)
{
    size_t i;
    json_t *forest;
    json_array_foreach (json_object_get(json, "forests"), i, forest) {
        const char *source = text_of(json_object_get(json, "metadata"), "source"); /* imported */
        if (source[0] == '\0')
            source = text_of(forest, "source");
        printf("%-9s ", i == 0 ? "trees" : "");
        print_count("", forest, "trees", "tree");
        print_count(", ", forest, "splits", "split");
        print_count(", ", forest, "leaves", "leaf");
        print_count(", ", forest, "features", "feature");
        print_count(", ", forest, "margins", "margin");
        if (json_integer_value(json_object_get(forest, "sets")) > 0)
            print_count(", ", forest, "sets", "set");
        printf("; compares in %s, sums in %s", text_of(forest, "compares"),
               text_of(forest, "sums"));
        if (source[0] != '\0')
            printf("; %s", source);
        putchar('\n');
    }
}

/* What the numbers of an output mean, where they stand for words. */
static void print_classes(json_t *json)
{
    size_t i;
    json_t *output;
    json_array_foreach (json_object_get(json, "outputs"), i, output) {
        char *classes = json_dumps(json_object_get(output, "classes"), JSON_COMPACT);
        if (classes != NULL)
            printf("classes   %s: %s, numbered from 0\n", text_of(output, "name"), classes);
        free(classes);
    }
}

/* XGBoost's file tells where training stopped early; which trees are used is not in it. */
static void print_best(json_t *metadata)
{
    const char *best = text_of(metadata, "best_iteration"),
               *score = text_of(metadata, "best_score");
    long at = strtol(best, NULL, 10), count = strtol(text_of(metadata, "iterations"), NULL, 10);
    if (best[0] == '\0')
        return;
    printf("stopping  best iteration %s, counted from 0, of %ld", best, count);
    if (score[0] != '\0')
        printf(" (score %s)", score);
    if (at >= 0 && at + 1 < count)
        printf(
            "; all %ld are used, as by Booster.predict: XGBModel.predict stops there, and so does "
            "booster[:%ld] when it is saved",
            count, at + 1);
    putchar('\n');
}

static double microseconds(json_t *point, const char *key)
{
    return (double)json_integer_value(json_object_get(point, key)) / 1e3;
}

static long long rows_of(json_t *point)
{
    return json_integer_value(json_object_get(point, "rows"));
}

/* What was measured for a number of threads and steps, with the figures around the change. */
static void print_measured(const char *gpu, json_t *measured)
{
    size_t i, near = 0;
    json_t *point, *steps = json_object_get(measured, "steps"),
                   *points = json_object_get(measured, "points");
    const long long from = json_integer_value(json_object_get(measured, "from_rows")),
                    threads = json_integer_value(json_object_get(measured, "threads"));
    printf("gpu       %s measured %.10s, %lld thread%s", gpu, text_of(measured, "measured"),
           threads, threads == 1 ? "" : "s");
    if (json_is_integer(steps))
        printf(", %lld steps", (long long)json_integer_value(steps));
    const long long all = json_integer_value(json_object_get(measured, "auto_from_rows"));
    const long long least = rows_of(json_array_get(points, 0)),
                    most = rows_of(json_array_get(points, json_array_size(points) - 1));
    json_array_foreach (points, i, point)
        if (from == 0 || rows_of(point) <= from)
            near = i;
    point = json_array_get(points, near);
    const long long rows = rows_of(point);
    if (from > 0 && (all == 0 || all > most))
        printf(": GPU from %lld rows on (measured), CPU beyond %lld (estimated)", from, most);
    else if (all == 0)
        printf(": up to %lld row%s the CPU (measured), and beyond (estimated)", most,
               most == 1 ? "" : "s");
    else if (all > most)
        printf(": up to %lld row%s the CPU (measured), GPU from %lld rows (estimated)", most,
               most == 1 ? "" : "s", all);
    else if (all > least)
        printf(": CPU below %lld rows, GPU from there on", all);
    else if (least > 1)
        printf(": from %lld rows the GPU (measured), and from %lld row%s (estimated)", least, all,
               all == 1 ? "" : "s");
    else
        printf(": GPU for every batch");
    printf(" (%lld row%s: CPU %.1f us, GPU %.1f us)\n", rows, rows == 1 ? "" : "s",
           microseconds(point, "cpu_ns"), microseconds(point, "gpu_ns"));
}

/* Other threads and steps than were measured go by the estimate. */
static void print_estimate(const char *gpu, json_t *from, bool is_rest)
{
    const char *otherwise = is_rest ? "otherwise " : "";
    if (json_is_integer(from))
        printf("gpu       %s %stakes batches of %lld rows and more (estimated; auspex calibrate "
               "measures)\n",
               gpu, otherwise, (long long)json_integer_value(from));
    else
        printf("gpu       %s %stakes none: the CPU is sooner with every batch (estimated; auspex "
               "calibrate measures)\n",
               gpu, otherwise);
}

/* With device "auto": what a GPU is chosen for, and by what. */
static void print_gpu(json_t *cuda)
{
    const char *gpu = text_of(cuda, "gpu");
    json_t *from = json_object_get(cuda, "from_rows"),
           *measured = json_object_get(cuda, "measured");
    size_t i;
    json_t *entry;
    if (cuda == NULL)
        return;
    if (from == NULL) {
        printf("gpu       takes none: %s\n", text_of(cuda, "reason"));
    } else if (json_object_get(cuda, "no_room") != NULL) {
        printf("gpu       %s takes none: %s\n", gpu, text_of(cuda, "no_room"));
    } else {
        json_array_foreach (measured, i, entry)
            print_measured(gpu, entry);
        if (strcmp(text_of(cuda, "from_rows_by"), "estimate") == 0)
            print_estimate(gpu, from, json_array_size(measured) > 0);
    }
}

static void print(const struct apx_model *model, json_t *json)
{
    size_t i;
    json_t *step;
    printf("model     %s", text_of(json, "name"));
    if (text_of(json, "producer")[0] != '\0')
        printf(", made by %s", text_of(json, "producer"));
    if (json_integer_value(json_object_get(json, "opset")) > 0) /* files of trees have none */
        printf(", opset %lld", (long long)json_integer_value(json_object_get(json, "opset")));
    putchar('\n');
    printf("runs on   %s, %s, %s\n", text_of(json, "device"), text_of(json, "isa"),
           text_of(json, "precision"));
    print_tensors("inputs", apx_model_input_count(model), model, apx_model_input);
    print_tensors("outputs", apx_model_output_count(model), model, apx_model_output);
    print_classes(json);
    json_array_foreach (json_object_get(json, "left_out"), i, step)
        printf("left out  %s  text: the columns of the scores are the classes in their order\n",
               json_string_value(step));
    if (json_array_size(json_object_get(json, "left_out")) > 0 &&
        text_of(json_object_get(json, "metadata"), "classes")[0] != '\0')
        printf("classes   %s\n", text_of(json_object_get(json, "metadata"), "classes"));
    if (!apx_model_rows_are_independent(model))
        puts("rows      a batch runs as one piece: no dimension counts independent rows");
    print_nodes(json_object_get(json, "nodes"));
    print_forests(json);
    print_best(json_object_get(json, "metadata"));
    puts("plan          flops/row  isa         step, kernel, node");
    json_array_foreach (json_object_get(json, "steps"), i, step) {
        const char *kernel = text_of(step, "kernel"), *node = text_of(step, "node");
        const char *isa = text_of(step, "isa"), *schedule = text_of(step, "schedule");
        printf("%9zu %13.0f  %-10s  %s%s%s%s%s%s%s%s\n", i + 1,
               json_number_value(json_object_get(step, "flops_per_row")),
               isa[0] != '\0' ? isa : "-", text_of(step, "step"), kernel[0] != '\0' ? ", " : "",
               kernel, node[0] != '\0' ? ", " : "", node, schedule[0] != '\0' ? " (" : "", schedule,
               schedule[0] != '\0' ? ")" : "");
    }
    double flops = json_number_value(json_object_get(json, "flops_per_row"));
    printf("cost      about %.3g us a row %s",
           1e6 * json_number_value(json_object_get(json, "seconds_per_row")),
           text_of(json, "gpu")[0] != '\0' ? "in batches of 4096" : "on a core");
    if (flops > 0)
        printf(", %.0f flops and %.0f bytes", flops,
               json_number_value(json_object_get(json, "bytes_per_row")));
    printf("; %.0f bytes of packed weights\n",
           json_number_value(json_object_get(json, "packed_bytes")));
    print_gpu(json_object_get(json, "cuda"));
}

int apx_cli_inspect(int argc, char **argv)
{
    static const struct option options[] = {CLI_MODEL_OPTIONS,
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    struct apx_cli_model_options model_options = {0};
    bool as_json = false;
    for (int option; (option = apx_cli_next("inspect", argc, argv, options)) != -1;) {
        if (option == CLI_HELP) {
            fputs(help, stdout);
            return apx_cli_finish("inspect");
        }
        if (option == '?')
            return CLI_USAGE;
        if (option == CLI_JSON)
            as_json = true;
        else if (apx_cli_model_option("inspect", option, optarg, &model_options) != CLI_DONE)
            return CLI_USAGE;
    }
    const char *path = apx_cli_single("inspect", argc, argv, "a model file");
    if (path == NULL)
        return CLI_USAGE;
    struct apx_model *model;
    struct apx_error error = {0};
    char *text = NULL;
    int status = apx_cli_load("inspect", path, &model_options, &model, NULL);
    if (status != CLI_DONE)
        return status;
    if (apx_model_describe(model, &text, &error) != APX_OK) {
        status = apx_cli_failed("inspect", path, &error);
    } else if (as_json) {
        puts(text);
    } else {
        json_t *json = json_loads(text, 0, NULL);
        print(model, json);
        json_decref(json);
    }
    apx_string_release(text);
    apx_model_destroy(model);
    return status == CLI_DONE ? apx_cli_finish("inspect") : status;
}
