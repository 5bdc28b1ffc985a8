/* SPDX-License-Identifier: Apache-2.0 */
/* nan_missing.c - see the header. One walk over the nodes, which are in topological order:
 * `carries` are the values in which a NaN of the input may still be. */
#include "runtime/model/nan_missing.h"

#include "runtime/base/memory.h"

/* Puts a NaN of its input in the same place of its output, and makes none of anything else. */
static bool keeps_nan_in_place(enum apx_op op)
{
    switch (op) {
    case APX_OP_IDENTITY:
    case APX_OP_DROPOUT:
    case APX_OP_CAST:
    case APX_OP_CAST_LIKE:
    case APX_OP_RESHAPE:
    case APX_OP_FLATTEN:
    case APX_OP_SQUEEZE:
    case APX_OP_UNSQUEEZE:
    case APX_OP_TRANSPOSE:
    case APX_OP_CONCAT:
    case APX_OP_SPLIT:
    case APX_OP_SLICE:
    case APX_OP_GATHER:
    case APX_OP_ADD:
    case APX_OP_SUB:
    case APX_OP_MUL:
    case APX_OP_DIV:
    case APX_OP_SCALER:
    case APX_OP_IMPUTER:
    case APX_OP_ARRAY_FEATURE_EXTRACTOR:
    case APX_OP_FEATURE_VECTORIZER:
        return true;
    default:
        return false;
    }
}

static bool is_float(const struct apx_graph *graph, int v)
{
    return graph->values[v].dtype == APX_F32 || graph->values[v].dtype == APX_F64;
}

/* False: a NaN gets to where it is no missing value. */
static bool follow(const struct apx_graph *graph, const struct apx_node *node, bool *carries,
                   int *forests)
{
    bool reads = false;
    for (int i = 0; i < node->in_count; i++)
        reads = reads || (node->in[i] >= 0 && carries[node->in[i]]);
    if (node->is_dead || !reads)
        return true;
    if (node->op == APX_OP_FOREST) {
        ++*forests;
        return true;
    }
    bool keeps = keeps_nan_in_place(node->op);
    for (int i = 0; i < node->out_count && keeps; i++) {
        if (node->out[i] < 0)
            continue;
        keeps = is_float(graph, node->out[i]); /* an integer has no NaN */
        carries[node->out[i]] = true;
    }
    return keeps;
}

bool apx_graph_nan_is_missing(const struct apx_graph *graph)
{
    int forests = 0;
    bool *carries = apx_alloc(graph->allocator, (size_t)graph->value_count, sizeof *carries);
    if (carries == NULL)
        return false; /* the careful answer */
    for (int i = 0; i < graph->input_count; i++)
        carries[graph->inputs[i]] = is_float(graph, graph->inputs[i]);
    bool is_missing = true;
    for (int n = 0; n < graph->node_count && is_missing; n++)
        is_missing = follow(graph, &graph->nodes[n], carries, &forests);
    for (int i = 0; i < graph->output_count; i++)
        is_missing = is_missing && !carries[graph->outputs[i]];
    apx_release(graph->allocator, carries);
    return is_missing && forests > 0;
}
