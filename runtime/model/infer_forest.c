/* SPDX-License-Identifier: Apache-2.0 */
/* infer_forest.c - the Forest node: rows of features in; predictions, labels, margins and leaves
 * out. */
#include "runtime/base/fail.h"
#include "runtime/model/forest/forest.h"
#include "runtime/model/infer.h"

enum apx_status apx_infer_forest(struct apx_graph *graph, struct apx_node *node,
                                 struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_forest *forest = node->forest;
    struct apx_dim dims[2];
    int64_t width;
    if (forest == NULL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "Forest is made by the readers of tree ensembles and stands in no file");
    const struct apx_forest_desc *desc = &forest->desc;
    if (x->rank < 1 || x->rank > 2 || x->dtype == APX_STRING || x->dtype == APX_BOOL)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "trees read numbers [rows, features]; their input has rank %d and holds %s",
                        x->rank, apx_dtype_name(x->dtype));
    dims[0] = x->rank == 2 ? x->dims[0] : apx_dim_constant(1);
    const struct apx_dim features = apx_dim_constant((int64_t)desc->features);
    enum apx_status status = APX_OK;
    /* Columns behind the last one that a tree reads do no harm. */
    if (!apx_dim_is_constant(&x->dims[x->rank - 1], &width))
        status = apx_infer_meet(graph, node, &x->dims[x->rank - 1], &features, "features", error);
    else if (width < (int64_t)desc->features)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "the trees read %zu features; the input has %lld", desc->features,
                        (long long)width);
    enum apx_dtype margin = desc->sums_double ? APX_F64 : APX_F32;
    dims[1] = apx_dim_constant((int64_t)apx_link_outputs(&forest->link, desc->outputs));
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, forest->output_double ? APX_F64 : APX_F32, 2, dims,
                               error);
    const struct apx_value *label = apx_node_out(graph, node, 1);
    const bool is_text = forest->labels_are_text && label != NULL && label->words == NULL;
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 1, is_text ? APX_STRING : APX_I64, 1, dims, error);
    dims[1] = apx_dim_constant((int64_t)desc->outputs);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 2, margin, 2, dims, error);
    dims[1] = apx_dim_constant((int64_t)desc->trees);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 3, APX_I32, 2, dims, error);
    return status;
}
