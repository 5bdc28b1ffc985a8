/* SPDX-License-Identifier: Apache-2.0 */
/* forest_graph.c - the graph around one forest: "input", a Forest node, "output". */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/forest_read.h"

/* The producer is the first part of "xgboost 3.1.0, binary:logistic". */
static bool add_source(struct apx_graph *graph, const char *source)
{
    graph->producer = apx_graph_string(graph, source, strcspn(source, ","));
    graph->name = "forest";
    return graph->producer != NULL;
}

static bool build(struct apx_graph *graph, const struct apx_forest *forest,
                  const char *const *feature_names)
{
    const struct apx_forest_desc *desc = &forest->desc;
    int rows = apx_graph_symbol(graph, "rows");
    int x = apx_graph_add_value(graph, "input"), y = apx_graph_add_value(graph, "output");
    int n = apx_graph_add_node(graph, APX_OP_FOREST, "forest", 1, 1);
    graph->inputs = apx_graph_alloc(graph, sizeof *graph->inputs);
    graph->outputs = apx_graph_alloc(graph, sizeof *graph->outputs);
    if (rows < 0 || x < 0 || y < 0 || n < 0 || graph->inputs == NULL || graph->outputs == NULL ||
        !add_source(graph, forest->source))
        return false;
    struct apx_value *input = &graph->values[x];
    input->dtype = desc->compares_double ? APX_F64 : APX_F32;
    input->rank = 2;
    input->dims[0] = apx_dim_symbol(rows);
    input->dims[1] = apx_dim_constant((int64_t)desc->features);
    graph->values[y].producer = n;
    graph->nodes[n].in[0] = x;
    graph->nodes[n].out[0] = y;
    graph->nodes[n].forest = forest;
    graph->inputs[0] = x;
    graph->outputs[0] = y;
    graph->input_count = graph->output_count = 1;
    return feature_names == NULL ||
           apx_graph_add_names(graph, "feature_names", feature_names, desc->features);
}

enum apx_status apx_forest_graph(struct apx_forest *forest, const char *const *feature_names,
                                 struct apx_graph **out, struct apx_error *error)
{
    struct apx_graph *graph;
    enum apx_status status = apx_graph_create(forest->allocator, &graph);
    *out = NULL;
    if (status != APX_OK) {
        apx_forest_destroy(forest);
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the graph");
    }
    apx_graph_own_forest(graph, forest);
    if (!build(graph, forest, feature_names)) {
        apx_graph_destroy(graph);
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the graph");
    }
    *out = graph;
    return APX_OK;
}
