/* SPDX-License-Identifier: Apache-2.0 */
/* model_load.c - from a file to a model: read, infer, simplify, compile, describe its tensors. */
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/option_struct.h"
#include "runtime/exec/model_impl.h"
#include "runtime/model/forest/forest.h"
#include "runtime/model/forest/forest_fold.h"
#include "runtime/model/forest/forest_output.h"
#include "runtime/model/forest/forest_sets.h"
#include "runtime/model/model_format.h"
#include "runtime/model/nan_missing.h"
#include "runtime/model/passes/passes.h"
#include "runtime/quantize.h"

/* ---- options --------------------------------------------------------------------------------- */

static enum apx_status read_options(const struct apx_load_options *given,
                                    struct apx_load_options *options, struct apx_error *error)
{
    enum apx_status status =
        apx_options_take(given, "apx_load_options", options, sizeof *options, error);
    if (status != APX_OK)
        return status;
    if (options->allocator == NULL)
        options->allocator = apx_allocator_default();
    if (options->max_file_bytes == 0)
        options->max_file_bytes = APX_LIMIT_FILE_BYTES;
    return APX_OK;
}

/* *isa: the lower of the option and of the environment's word; NULL: neither is said. An option
 * that is no word is left for the backend to refuse. */
static enum apx_status choose_isa(const char *option, const char **isa, struct apx_error *error)
{
    const char *environment = getenv("AUSPEX_ISA");
    uint32_t allowed, asked;
    *isa = option;
    if (environment == NULL || environment[0] == '\0')
        return APX_OK;
    if (!apx_caps_limit(UINT32_MAX, environment, &allowed))
        return apx_fail(error, APX_EINVAL, "AUSPEX_ISA",
                        "the environment's AUSPEX_ISA is \"%s\"; say scalar, avx2, avx512, "
                        "avx512vnni or avx512vbmi",
                        environment);
    if (option == NULL || (apx_caps_limit(UINT32_MAX, option, &asked) && (asked & ~allowed) != 0))
        *isa = environment;
    return APX_OK;
}

static enum apx_status compile(struct apx_model *model, const void *data, size_t bytes,
                               const struct apx_load_options *options, struct apx_error *error)
{
    const char *isa;
    enum apx_status status = choose_isa(options->isa, &isa, error);
    if (status != APX_OK)
        return status;
    const struct apx_compile_options compile_options = {
        .allocator = model->allocator,
        .isa = isa,
        .precision = options->precision,
        .l2_bytes = model->topo->l2,
        .topo = model->topo,
        .file = options->trees == NULL ? data : NULL, /* its outputs were measured, nothing else */
        .file_bytes = bytes,
        .cache = options->cache,
    };
    return model->backend->compile(model->graph, &compile_options, &model->program, error);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* A free extent that is no bare symbol (sequence - 1) has the name "". */
static void fill_info(const struct apx_graph *graph, int v, int row_symbol,
                      struct apx_tensor_info *info)
{
    const struct apx_value *value = &graph->values[v];
    info->name = value->name;
    info->dtype = value->dtype;
    info->rank = value->rank;
    info->row_axis = -1;
    info->classes = value->words;
    info->class_count = value->word_count;
    for (int i = 0; i < value->rank; i++) {
        int symbol;
        if (apx_dim_is_constant(&value->dims[i], &info->dims[i]))
            continue;
        info->dims[i] = -1;
        info->dim_names[i] = "";
        if (apx_dim_is_symbol(&value->dims[i], &symbol))
            info->dim_names[i] = graph->symbols[symbol];
        if (row_symbol >= 0 && info->row_axis < 0 &&
            apx_dim_depends_on(&value->dims[i], row_symbol))
            info->row_axis = i;
    }
}

/* Which symbol a reader would call the rows, independent or not. */
static int reported_row_symbol(const struct apx_model *model)
{
    if (model->row_symbol >= 0)
        return model->row_symbol;
    for (int i = 0; i < model->graph->input_count; i++) {
        const struct apx_value *value = &model->graph->values[model->graph->inputs[i]];
        int symbol;
        for (int axis = 0; axis < value->rank; axis++)
            if (apx_dim_is_symbol(&value->dims[axis], &symbol))
                return symbol;
    }
    return -1;
}

static enum apx_status describe_tensors(struct apx_model *model, struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    model->inputs = apx_alloc(model->allocator, (size_t)graph->input_count, sizeof *model->inputs);
    model->outputs =
        apx_alloc(model->allocator, (size_t)graph->output_count, sizeof *model->outputs);
    if (model->inputs == NULL || model->outputs == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    int symbol = reported_row_symbol(model);
    for (int i = 0; i < graph->input_count; i++)
        fill_info(graph, graph->inputs[i], symbol, &model->inputs[i]);
    for (int i = 0; i < graph->output_count; i++)
        fill_info(graph, graph->outputs[i], symbol, &model->outputs[i]);
    return APX_OK;
}

/* A session takes tensors of numbers whose free extents it can read off the inputs. */
static enum apx_status check_inputs(const struct apx_graph *graph, struct apx_error *error)
{
    for (int i = 0; i < graph->input_count; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        if (apx_dtype_size(value->dtype) == 0)
            return apx_fail(error, APX_EUNSUPPORTED, value->name,
                            "input \"%s\" is %s; a run takes numbers", value->name,
                            apx_dtype_name(value->dtype));
        for (int axis = 0; axis < value->rank; axis++) {
            int symbol;
            if (!apx_dim_is_constant(&value->dims[axis], NULL) &&
                !apx_dim_is_symbol(&value->dims[axis], &symbol))
                return apx_fail(error, APX_EUNSUPPORTED, value->name,
                                "input \"%s\": extent %d is neither a number nor a name",
                                value->name, axis);
        }
    }
    return APX_OK;
}

/* In the order of nodes. */
static enum apx_status note_forests(struct apx_model *model, struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    size_t count = 0;
    for (int n = 0; n < graph->node_count; n++)
        count += !graph->nodes[n].is_dead && graph->nodes[n].forest != NULL;
    if (count == 0)
        return APX_OK;
    model->forests = apx_alloc(model->allocator, count, sizeof *model->forests);
    if (model->forests == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_forest *forest = graph->nodes[n].forest;
        if (graph->nodes[n].is_dead || forest == NULL)
            continue;
        const struct apx_forest_desc *desc = &forest->desc;
        struct apx_forest_facts *facts = &model->forests[model->forest_count++];
        facts->node = graph->nodes[n].name;
        facts->source = apx_graph_string(model->graph, forest->source, strlen(forest->source));
        facts->trees = desc->trees;
        facts->splits = desc->node_count - desc->leaf_count;
        facts->leaves = desc->leaf_count;
        facts->features = desc->features;
        facts->margins = desc->outputs;
        facts->compares_double = desc->compares_double;
        facts->sums_double = desc->sums_double;
        enum apx_status status = apx_forest_sets_count(forest, &facts->sets, error);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

/* ---- load ------------------------------------------------------------------------------------ */

/* Precision "int8": the model that apx_quantize makes of the file, or the file itself if its layers
 * are int8 already. */
static enum apx_status read_int8(struct apx_model *model, const void *data, size_t bytes,
                                 const char *directory, struct apx_error *error)
{
    struct apx_quantize_report *report;
    struct apx_error why = {0};
    void *made;
    size_t made_bytes;
    if (apx_model_format_guess(data, bytes) != APX_MODEL_ONNX)
        return apx_fail(
            error, APX_EUNSUPPORTED, "precision",
            "precision \"int8\" is for recurrent and dense layers; this is a tree ensemble");
    enum apx_status status =
        apx_quantize(data, bytes, directory, NULL, &made, &made_bytes, &report, &why);
    if (status == APX_OK) {
        status = apx_model_read(made, made_bytes, NULL, model->allocator, &model->graph, error);
        for (size_t i = 0; status == APX_OK && i < report->file_count; i++)
            if (!apx_graph_add_file(model->graph, &report->files[i]))
                status = apx_fail(error, APX_ENOMEM, "", "out of memory");
        apx_quantize_report_destroy(report);
        free(made);
        return status;
    }
    apx_quantize_report_destroy(report);
    if (status == APX_EUNSUPPORTED &&
        apx_model_read(data, bytes, directory, model->allocator, &model->graph, NULL) == APX_OK &&
        apx_graph_count_int8(model->graph) > 0)
        return APX_OK;
    return apx_fail(error, status, why.field, "%s", why.message);
}

static enum apx_status load(struct apx_model *model, const void *data, size_t bytes,
                            const char *directory, const struct apx_load_options *options,
                            struct apx_error *error)
{
    bool wants_int8 = options->precision != NULL && strcmp(options->precision, "int8") == 0;
    enum apx_status status = apx_backend_find(options->device, &model->backend, error);
    if (status == APX_OK)
        status = apx_topo_create(NULL, &model->topo, error);
    if (status == APX_OK && wants_int8)
        status = read_int8(model, data, bytes, directory, error);
    else if (status == APX_OK)
        status = apx_model_read(data, bytes, directory, model->allocator, &model->graph, error);
    if (status == APX_OK)
        status = apx_graph_infer(model->graph, error);
    if (status == APX_OK && model->graph->forests != NULL)
        status = apx_forest_fold(model->graph, error);
    if (status == APX_OK && options->trees != NULL)
        status = apx_forest_choose_output(model->graph, options->trees, error);
    if (status == APX_OK)
        status = apx_passes_run(model->graph, &apx_backend_cpu, error);
    if (status == APX_OK)
        status = check_inputs(model->graph, error);
    if (status == APX_OK)
        model->nan_is_missing = apx_graph_nan_is_missing(model->graph);
    if (status == APX_OK)
        status = note_forests(model, error);
    if (status == APX_OK)
        status = compile(model, data, bytes, options, error);
    if (status == APX_OK) {
        apx_graph_release_forests(model->graph); /* the program has them packed */
        model->row_symbol = model->backend->row_symbol(model->program);
        status = describe_tensors(model, error);
    }
    return status;
}

static enum apx_status load_bytes(const void *data, size_t bytes, const char *directory,
                                  const struct apx_load_options *options, struct apx_model **out,
                                  struct apx_error *error)
{
    struct apx_model *model = apx_alloc(options->allocator, 1, sizeof *model);
    if (model == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    model->allocator = options->allocator;
    enum apx_status status = load(model, data, bytes, directory, options, error);
    if (status != APX_OK) {
        apx_model_destroy(model);
        return status;
    }
    *out = model;
    return APX_OK;
}

enum apx_status apx_model_load_memory(const void *data, size_t bytes,
                                      const struct apx_load_options *given, struct apx_model **out,
                                      struct apx_error *error)
{
    struct apx_load_options options;
    *out = NULL;
    enum apx_status status = read_options(given, &options, error);
    if (status != APX_OK)
        return status;
    if (bytes > options.max_file_bytes)
        return apx_fail(error, APX_ELIMIT, "", "a model of %zu bytes; at most %zu are read", bytes,
                        options.max_file_bytes);
    return load_bytes(data, bytes, options.directory, &options, out, error);
}

enum apx_status apx_model_load(const char *path, const struct apx_load_options *given,
                               struct apx_model **out, struct apx_error *error)
{
    struct apx_load_options options;
    *out = NULL;
    enum apx_status status = read_options(given, &options, error);
    if (status != APX_OK)
        return status;
    char *data;
    size_t bytes;
    status = apx_file_read(path, options.max_file_bytes, &data, &bytes, error);
    if (status != APX_OK)
        return status;
    /* External tensors lie beside the file. */
    char *directory = apx_file_directory(path);
    status = directory != NULL ? load_bytes(data, bytes, directory, &options, out, error)
                               : apx_fail(error, APX_ENOMEM, "", "out of memory");
    free(directory);
    free(data);
    return status;
}

void apx_model_destroy(struct apx_model *model)
{
    if (model == NULL)
        return;
    if (model->backend != NULL)
        model->backend->program_destroy(model->program);
    apx_graph_destroy(model->graph);
    apx_topo_destroy(model->topo);
    apx_release(model->allocator, model->inputs);
    apx_release(model->allocator, model->outputs);
    apx_release(model->allocator, model->forests);
    apx_release(model->allocator, model);
}

/* ---- questions ------------------------------------------------------------------------------- */

size_t apx_model_input_count(const struct apx_model *model)
{
    return (size_t)model->graph->input_count;
}

size_t apx_model_output_count(const struct apx_model *model)
{
    return (size_t)model->graph->output_count;
}

const struct apx_tensor_info *apx_model_input(const struct apx_model *model, size_t index)
{
    return &model->inputs[index];
}

const struct apx_tensor_info *apx_model_output(const struct apx_model *model, size_t index)
{
    return &model->outputs[index];
}

const char *apx_model_metadata(const struct apx_model *model, const char *key)
{
    for (int i = 0; i < model->graph->metadata_count; i++)
        if (strcmp(model->graph->metadata[i].key, key) == 0)
            return model->graph->metadata[i].value;
    return NULL;
}

bool apx_model_has_file(const struct apx_model *model, const char *path)
{
    for (const struct apx_graph_file *file = model->graph->files; file != NULL; file = file->next)
        if (apx_file_has_id(path, &file->id))
            return true;
    return false;
}

bool apx_model_nan_is_missing(const struct apx_model *model)
{
    return model->nan_is_missing;
}

const char *apx_model_notice(const struct apx_model *model)
{
    return model->backend->notice != NULL ? model->backend->notice(model->program) : NULL;
}

bool apx_model_rows_are_independent(const struct apx_model *model)
{
    return model->row_symbol >= 0;
}
