/* SPDX-License-Identifier: Apache-2.0 */
/* forest_import.c - read a library's file, write ONNX. */
#include "runtime/forest_import.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_onnx.h"
#include "runtime/model/model_format.h"
#include "runtime/onnx_build.h"

static enum apx_status read(const char *source, struct apx_graph **graph, struct apx_error *error)
{
    char *data;
    size_t bytes;
    enum apx_status status = apx_file_read(source, APX_LIMIT_FILE_BYTES, &data, &bytes, error);
    if (status != APX_OK)
        return status;
    const struct apx_allocator *allocator = apx_allocator_default();
    if (apx_model_format_guess(data, bytes) != APX_MODEL_ONNX)
        status = apx_model_read(data, bytes, NULL, allocator, graph, error);
    else
        status = apx_fail(error, APX_EUNSUPPORTED, "",
                          bytes == 0 ? "the file is empty"
                                     : "neither XGBoost's JSON or UBJSON nor LightGBM's text; an "
                                       "ONNX file needs no import");
    free(data);
    return status;
}

static void tell(const struct apx_forest *forest, const struct apx_forest_written *written,
                 struct apx_import_report *report)
{
    const struct apx_forest_desc *desc = &forest->desc;
    snprintf(report->source, sizeof report->source, "%s", forest->source);
    report->op = written->op;
    report->dtype = desc->compares_double ? APX_F64 : APX_F32;
    report->trees = desc->trees;
    report->splits = desc->node_count - desc->leaf_count;
    report->leaves = desc->leaf_count;
    report->features = desc->features;
    report->outputs = apx_link_outputs(&forest->link, desc->outputs);
    report->sets = written->sets;
}

static enum apx_status write(const struct apx_graph *graph, const char *target,
                             struct apx_import_report *report, struct apx_error *error)
{
    struct apx_forest_written written = {0};
    void *data = NULL;
    struct apx_onnx *onnx = apx_onnx_create(graph->name);
    if (onnx == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the ONNX file");
    enum apx_status status = apx_forest_to_onnx(graph, onnx, &written, error);
    if (status == APX_OK)
        status = apx_onnx_write_memory(onnx, &data, &report->bytes, error);
    apx_onnx_destroy(onnx);
    if (status == APX_OK)
        status = apx_file_replace(target, data, report->bytes, error);
    free(data);
    if (status == APX_OK)
        tell(written.forest, &written, report);
    return status;
}

enum apx_status apx_forest_import(const char *source, const char *target,
                                  struct apx_import_report *report, struct apx_error *error)
{
    struct apx_graph *graph = NULL;
    *report = (struct apx_import_report){0};
    enum apx_status status = read(source, &graph, error);
    if (status == APX_OK)
        status = write(graph, target, report, error);
    apx_graph_destroy(graph);
    return status;
}
