/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_fuzz.c - any bytes to the ONNX reader, to inference and to the folding of tree ensembles;
 * what they accept must keep the promises of graph.h. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_fold.h"
#include "runtime/model/onnx_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

static void check_value(const struct apx_graph *graph, int v)
{
    promise(v < graph->value_count);
    if (v < 0)
        return;
    const struct apx_value *value = &graph->values[v];
    promise(value->name != NULL && value->dtype != APX_DTYPE_NONE);
    promise(value->rank >= 0 && value->rank <= APX_MAX_RANK);
    int64_t elements = 1, extent;
    for (int d = 0; d < value->rank; d++) {
        promise(apx_dim_is_known(&value->dims[d]));
        if (apx_dim_is_constant(&value->dims[d], &extent)) {
            promise(extent >= 0);
            elements *= extent;
            promise(elements <= APX_LIMIT_ELEMENTS);
        }
    }
    if (value->elems != NULL) {
        promise(value->rank <= 1 && value->elem_count <= APX_LIMIT_SHAPE_ELEMS);
        promise(value->rank == 1 || value->elem_count == 1);
        for (int e = 0; e < value->elem_count; e++)
            promise(apx_dim_is_known(&value->elems[e]));
        if (value->rank == 1)
            promise(apx_dim_is_constant(&value->dims[0], &extent) && extent == value->elem_count);
    }
    if (value->data != NULL && value->dtype != APX_STRING)
        promise((size_t)elements * apx_dtype_size(value->dtype) == value->bytes);
}

static void check_graph(const struct apx_graph *graph)
{
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        for (int i = 0; i < node->in_count; i++) {
            check_value(graph, node->in[i]);
            promise(node->in[i] < 0 || graph->values[node->in[i]].producer < n);
        }
        for (int i = 0; i < node->out_count; i++) {
            check_value(graph, node->out[i]);
            promise(node->out[i] < 0 || graph->values[node->out[i]].producer == n ||
                    graph->values[node->out[i]].data != NULL);
        }
    }
    for (int i = 0; i < graph->input_count; i++)
        check_value(graph, graph->inputs[i]);
    for (int i = 0; i < graph->output_count; i++)
        check_value(graph, graph->outputs[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_graph *graph;
    struct apx_error error = {0};
    enum apx_status status =
        apx_onnx_read(data, size, NULL, apx_allocator_default(), &graph, &error);
    promise((status == APX_OK) == (graph != NULL));
    if (status == APX_OK)
        status = apx_graph_infer(graph, &error);
    promise(status == APX_OK || (error.status == status && error.message[0] != '\0'));
    if (status == APX_OK)
        check_graph(graph);
    bool folds = status == APX_OK;
    if (folds)
        status = apx_forest_fold(graph, &error);
    promise(status == APX_OK || (error.status == status && error.message[0] != '\0'));
    if (folds && status == APX_OK)
        check_graph(graph);
    apx_graph_destroy(graph);
    return 0;
}
