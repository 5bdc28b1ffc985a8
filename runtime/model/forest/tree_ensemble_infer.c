/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_infer.c - the operators of ai.onnx.ml become Forest nodes once the type of their
 * rows is known: rows of floats (and of integers, which are cast to floats as ONNX Runtime does)
 * are compared as floats. */
#include "runtime/base/fail.h"
#include "runtime/model/forest/tree_ensemble.h"
#include "runtime/model/infer.h"

static struct apx_forest *own_forest(struct apx_graph *graph, const struct apx_node *node)
{
    struct apx_forest *forest = graph->forests;
    while (forest != NULL && forest != node->forest)
        forest = forest->next;
    return forest;
}

enum apx_status apx_infer_tree_ensemble(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_forest *forest = own_forest(graph, node);
    if (forest == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s without its trees",
                        apx_op_info(node->op)->name);
    if (x->dtype != APX_F64)
        apx_tree_narrow(forest);
    forest->output_double = node->op == APX_OP_TREE_ENSEMBLE && x->dtype == APX_F64;
    if (node->op == APX_OP_TREE_ENSEMBLE_CLASSIFIER) {
        int *out = apx_graph_alloc(graph, 2 * sizeof *out);
        if (out == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        out[0] = node->out_count > 1 ? node->out[1] : -1; /* Forest: scores, labels */
        out[1] = node->out[0];
        node->out = out;
        node->out_count = 2;
    }
    node->op = APX_OP_FOREST;
    return apx_infer_forest(graph, node, error);
}
