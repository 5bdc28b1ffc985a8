/* SPDX-License-Identifier: Apache-2.0 */
/* import.c - `auspex import`: a model of XGBoost or LightGBM as an ONNX file. */
#include "runtime/cli/cli.h"
#include "runtime/forest_import.h"

#include <jansson.h>
#include <string.h>

static const char help[] =
    "usage: auspex import SOURCE -o MODEL.onnx [--json]\n\n"
    "Write a tree ensemble as ONNX, for runtimes that read nothing else. SOURCE is a file of\n"
    "XGBoost (.json, .ubj) or LightGBM (text); the other commands take these as they are.\n\n"
    "The ONNX model has the input \"input\" [rows, features] and the output \"output\" of the\n"
    "library's own predict(). Comparisons are exact: every row reaches the same leaves, missing\n"
    "values and categories included. Sums are made in float for XGBoost (TreeEnsembleRegressor,\n"
    "ai.onnx.ml 3) and in double for LightGBM (TreeEnsemble, ai.onnx.ml 5: ONNX Runtime 1.20 or\n"
    "newer), whose input is float64 as well; the order of additions is the runtime's. Linear\n"
    "trees (LightGBM's linear_tree) are refused: ONNX has no such leaves.\n\n"
    "  -o, --output FILE        the ONNX file; its folder must be there\n"
    "  --json                   what was written, for programs\n";

enum { OUTPUT = 'o' };

static int print_json(FILE *to, const char *target, const struct apx_import_report *report)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "output", target,
                  "source", report->source, "operator", report->op, "dtype",
                  apx_dtype_name(report->dtype), "trees", (json_int_t)report->trees, "splits",
                  (json_int_t)report->splits, "leaves", (json_int_t)report->leaves, "features",
                  (json_int_t)report->features, "outputs", (json_int_t)report->outputs, "sets",
                  (json_int_t)report->sets, "bytes", (json_int_t)report->bytes);
    if (json == NULL)
        return apx_cli_refuse("import", target, "out of memory, or a name that is not UTF-8");
    json_dumpf(json, to, JSON_INDENT(2));
    fputc('\n', to);
    json_decref(json);
    return CLI_DONE;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print(FILE *to, const char *target, const struct apx_import_report *report)
{
    fprintf(to, "%s: %s: %zu tree%s, %zu splits, %zu leaves, %zu feature%s (%s), %zu output%s",
            target, report->source, report->trees, plural(report->trees), report->splits,
            report->leaves, report->features, plural(report->features),
            apx_dtype_name(report->dtype), report->outputs, plural(report->outputs));
    if (report->sets > 0)
        fprintf(to, ", %zu set%s of categories", report->sets, plural(report->sets));
    fprintf(to, "; %s, %zu bytes\n", report->op, report->bytes);
}

int apx_cli_import(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, OUTPUT},
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    const char *target = NULL;
    bool as_json = false;
    for (int option; (option = apx_cli_next_short("import", argc, argv, ":o:", options)) != -1;) {
        if (option == CLI_HELP) {
            fputs(help, stdout);
            return apx_cli_finish("import");
        }
        if (option == '?')
            return CLI_USAGE;
        if (option == CLI_JSON)
            as_json = true;
        else
            target = optarg;
    }
    const char *source = apx_cli_single("import", argc, argv, "a model of XGBoost or LightGBM");
    if (source == NULL)
        return CLI_USAGE;
    if (target == NULL)
        return apx_cli_usage("import", "say -o MODEL.onnx");
    if (target[0] == '\0')
        return apx_cli_usage("import", "the name of the file to write is empty");
    int status = apx_cli_folder("import", target);
    if (status == CLI_DONE)
        status = apx_cli_spare("import", target, source, "the source");
    if (status != CLI_DONE)
        return status;
    FILE *to = apx_cli_report_to(target);
    struct apx_import_report report;
    struct apx_error error = {0};
    if (apx_forest_import(source, target, &report, &error) != APX_OK)
        return apx_cli_failed("import", source, &error);
    if (as_json)
        status = print_json(to, target, &report);
    else
        print(to, target, &report);
    return status == CLI_DONE ? apx_cli_finish("import") : status;
}
