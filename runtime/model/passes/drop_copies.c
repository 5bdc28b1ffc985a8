/* SPDX-License-Identifier: Apache-2.0 */
/* drop_copies.c - nodes that hand their input on as it is.
 *
 * A graph output keeps its name: a copy between an input (or a constant) and an output stays. */
#include "runtime/model/infer.h"
#include "runtime/model/passes/passes.h"

static bool have_equal_extents(const struct apx_value *a, const struct apx_value *b)
{
    bool equal = a->rank == b->rank && a->dtype == b->dtype;
    for (int i = 0; i < a->rank && equal; i++)
        equal = apx_dim_equal(&a->dims[i], &b->dims[i]);
    return equal;
}

static bool is_identity_perm(const struct apx_node *node, int rank)
{
    const struct apx_attr *perm = apx_node_attr(node, "perm");
    bool same = perm != NULL || rank < 2;
    for (int i = 0; i < rank && perm != NULL; i++)
        same = same && perm->ints[i] == i;
    return same;
}

static bool is_forward_slice(const struct apx_graph *graph, const struct apx_node *node, int rank)
{
    struct apx_slice_axis axes[APX_MAX_RANK];
    if (apx_node_slice(graph, node, axes, NULL) != APX_OK)
        return false;
    for (int i = 0; i < rank; i++)
        if (axes[i].step != 1)
            return false;
    return true;
}

/* With equal types and extents, these change nothing. */
static bool is_copy(const struct apx_graph *graph, const struct apx_node *node, int rank)
{
    switch (node->op) {
    case APX_OP_IDENTITY:
    case APX_OP_CAST:
    case APX_OP_CAST_LIKE:
    case APX_OP_RESHAPE:
    case APX_OP_FLATTEN:
    case APX_OP_SQUEEZE:
    case APX_OP_UNSQUEEZE:
    case APX_OP_EXPAND:
    case APX_OP_TILE:
    case APX_OP_ZIP_MAP:
        return true;
    case APX_OP_DROPOUT:
        return node->out_count < 2 || node->out[1] < 0 ||
               apx_graph_use_count(graph, node->out[1]) == 0;
    case APX_OP_TRANSPOSE:
        return is_identity_perm(node, rank);
    case APX_OP_SLICE:
        return is_forward_slice(graph, node, rank);
    case APX_OP_CONCAT:
    case APX_OP_SUM:
    case APX_OP_MIN:
    case APX_OP_MAX:
    case APX_OP_MEAN:
        return node->in_count == 1;
    default:
        return false;
    }
}

static bool is_output(const struct apx_graph *graph, int v)
{
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == v)
            return true;
    return false;
}

void apx_pass_drop_copies(struct apx_graph *graph)
{
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *node = &graph->nodes[n];
        if (node->is_dead || node->in_count == 0 || node->in[0] < 0 || node->out[0] < 0)
            continue;
        int from = node->in[0], to = node->out[0];
        const struct apx_value *value = &graph->values[from];
        if (!have_equal_extents(value, &graph->values[to]) || !is_copy(graph, node, value->rank) ||
            is_output(graph, to))
            continue;
        apx_graph_replace_value(graph, to, from);
        node->is_dead = true;
    }
}
