/* SPDX-License-Identifier: Apache-2.0 */
/* tree_sums.c - a Sum of trees over the same rows is one forest.
 *
 * Each tree may first choose columns with a Gather, and its answer may go through elementwise nodes
 * (leaf_algebra.h). A tree is used once, so that a file cannot ask for more than it holds. */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/leaf_algebra.h"
#include "runtime/model/infer.h"

struct folding {
    struct apx_graph *graph;
    struct apx_error *error;
    bool *is_taken; /* [node_count] trees that are part of a forest */
};

/* What a tree reads: columns of x. */
struct source {
    int x;
    const struct apx_value *columns; /* constant integers; NULL: as they are */
};

int apx_tree_sum_reader(const struct apx_graph *graph, int v)
{
    int reader = -1;
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == v)
            return -1;
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; !graph->nodes[n].is_dead && i < graph->nodes[n].in_count; i++)
            if (graph->nodes[n].in[i] == v) {
                if (reader >= 0)
                    return -1;
                reader = n;
            }
    return reader;
}

void apx_tree_sum_move(struct apx_graph *graph, int from, int to)
{
    struct apx_node *node = &graph->nodes[to];
    node->in[0] = graph->nodes[from].in[0];
    node->in_count = 1;
    node->attr_count = 0;
    node->op = graph->nodes[from].op;
    node->forest = graph->nodes[from].forest;
}

static struct source source_of(const struct apx_graph *graph, const struct apx_node *tree)
{
    struct source source = {tree->in[0], NULL};
    int n = graph->values[tree->in[0]].producer;
    if (n < 0 || graph->nodes[n].op != APX_OP_GATHER)
        return source;
    const struct apx_node *gather = &graph->nodes[n];
    const struct apx_value *columns = apx_node_in(graph, gather, 1);
    if (apx_node_int(gather, "axis", 0) == 1 && columns != NULL && columns->data != NULL &&
        columns->dtype == APX_I64 && columns->rank == 1)
        source = (struct source){gather->in[0], columns};
    return source;
}

/* The column of x that the tree calls `feature`; -1: it is not known here. */
static int64_t column_of(const struct source *source, int32_t feature)
{
    if (source->columns == NULL)
        return feature;
    if ((size_t)feature >= source->columns->bytes / sizeof(int64_t))
        return -1;
    int64_t column = ((const int64_t *)source->columns->data)[feature];
    return column < APX_LIMIT_FEATURES ? column : -1;
}

/* One tree of `desc` with other leaf values ([leaves] of the whole desc) and other columns. */
static enum apx_status copy_tree(const struct folding *f, struct apx_forest_builder *builder,
                                 const struct apx_forest_desc *desc, size_t tree,
                                 const struct source *source, const double *values)
{
    uint32_t begin = desc->roots[tree], count = desc->roots[tree + 1] - begin;
    struct apx_tree_node *nodes = apx_alloc(f->graph->allocator, count, sizeof *nodes);
    if (nodes == NULL)
        return apx_fail(f->error, APX_ENOMEM, "", "out of memory for the trees");
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        nodes[i] = desc->nodes[begin + i];
        if (nodes[i].feature < 0) {
            nodes[i].right = desc->leaf_ids[nodes[i].left];
            continue;
        }
        nodes[i].left -= begin;
        nodes[i].right -= begin;
        nodes[i].feature = (int32_t)column_of(source, nodes[i].feature);
        if (nodes[i].set >= 0) {
            uint32_t first = desc->set_begin[nodes[i].set];
            nodes[i].set = apx_forest_builder_set(builder, desc->bounds + first,
                                                  desc->set_begin[nodes[i].set + 1] - first);
            ok = nodes[i].set >= 0;
        }
    }
    enum apx_status status = ok ? apx_forest_builder_tree(builder, nodes, count, 0, 0, values,
                                                          desc->leaf_count, f->error)
                                : apx_fail(f->error, APX_ENOMEM, "", "out of memory for the trees");
    apx_release(f->graph->allocator, nodes);
    return status;
}

/* ---- one Sum --------------------------------------------------------------------------------- */

struct sum {
    int x;
    size_t features;
    enum apx_dtype dtype;
    double base;
};

static bool is_summable(const struct apx_forest *forest)
{
    const struct apx_forest_desc *desc = &forest->desc;
    return desc->outputs == 1 && desc->sum == APX_FOREST_SUM && desc->linear == NULL &&
           forest->link.kind == APX_LINK_NONE && desc->tree_output != NULL;
}

/* Whether input k of the node is a tree over the same rows as those before; the tree is taken. */
static bool join(const struct folding *f, const struct apx_node *node, int k, struct sum *sum)
{
    struct apx_leaf_chain chain;
    if (node->in[k] < 0 || !apx_leaf_chain_find(f->graph, node->in[k], &chain) ||
        f->is_taken[chain.source])
        return false;
    f->is_taken[chain.source] = true;
    const struct apx_node *tree = &f->graph->nodes[chain.source];
    const struct source source = source_of(f->graph, tree);
    const struct apx_forest_desc *desc = &tree->forest->desc;
    if (!is_summable(tree->forest) || (k > 0 && source.x != sum->x))
        return false;
    sum->x = source.x;
    for (size_t n = 0; n < desc->node_count; n++) {
        if (desc->nodes[n].feature < 0)
            continue;
        int64_t column = column_of(&source, desc->nodes[n].feature);
        if (column < 0)
            return false;
        if ((size_t)column >= sum->features)
            sum->features = (size_t)column + 1;
    }
    return true;
}

/* The trees of input k, as the Sum sees them. *folds: false if its answer is not followed. */
static enum apx_status add_input(const struct folding *f, const struct apx_node *node, int k,
                                 struct apx_forest_builder *builder, struct sum *sum, bool *folds)
{
    struct apx_leaf_chain chain;
    enum apx_dtype dtype;
    enum apx_status status = APX_OK;
    apx_leaf_chain_find(f->graph, node->in[k], &chain);
    const struct apx_node *tree = &f->graph->nodes[chain.source];
    const struct source source = source_of(f->graph, tree);
    const struct apx_forest_desc *desc = &tree->forest->desc;
    if (apx_leaf_chain_is_plain(f->graph, &chain, &dtype)) {
        *folds = k == 0 || dtype == sum->dtype;
        sum->base += desc->base[0];
        for (size_t t = 0; t < desc->trees && status == APX_OK && *folds; t++)
            status = copy_tree(f, builder, desc, t, &source, desc->leaf_values);
    } else {
        double *values = apx_alloc(f->graph->allocator, desc->leaf_count, sizeof *values);
        if (values == NULL)
            return apx_fail(f->error, APX_ENOMEM, "", "out of memory for the trees");
        *folds = desc->trees == 1 &&
                 apx_leaf_chain_evaluate(f->graph, &chain, node->in[k], values, &dtype) &&
                 (k == 0 ? dtype == APX_F32 || dtype == APX_F64 : dtype == sum->dtype);
        if (*folds)
            status = copy_tree(f, builder, desc, 0, &source, values);
        apx_release(f->graph->allocator, values);
    }
    if (k == 0)
        sum->dtype = dtype;
    return status;
}

/* Where the forest goes: a sum in double, of rows in float, must be cast to float next. */
static int target_of(const struct apx_graph *graph, int n, const struct sum *sum, enum apx_op *op)
{
    *op = sum->dtype == APX_F64 ? APX_OP_TREE_ENSEMBLE : APX_OP_TREE_ENSEMBLE_REGRESSOR;
    if (sum->dtype == APX_F32 || graph->values[sum->x].dtype == APX_F64)
        return n;
    *op = APX_OP_TREE_ENSEMBLE_REGRESSOR;
    int reader = apx_tree_sum_reader(graph, graph->nodes[n].out[0]);
    return reader >= 0 && graph->nodes[reader].op == APX_OP_CAST &&
                   apx_node_int(&graph->nodes[reader], "to", 0) == 1
               ? reader
               : -1;
}

static enum apx_status replace(const struct folding *f, int n, const struct sum *sum,
                               struct apx_forest_builder *builder, bool *changed)
{
    struct apx_forest *forest;
    enum apx_op op;
    int to = target_of(f->graph, n, sum, &op);
    if (to < 0)
        return APX_OK;
    enum apx_status status = apx_forest_builder_finish(builder, &forest, f->error);
    if (status != APX_OK)
        return status;
    apx_graph_own_forest(f->graph, forest);
    forest->source = "ONNX, a sum of trees";
    forest->desc.compares_double = forest->desc.sums_double = true;
    *(double *)(uintptr_t)forest->desc.base = sum->base;
    struct apx_node *node = &f->graph->nodes[to];
    node->op = op;
    node->forest = forest;
    node->in[0] = sum->x;
    node->in_count = 1;
    node->attr_count = 0;
    *changed = true;
    apx_isolation_forest_find(f->graph, to);
    return APX_OK;
}

static enum apx_status fold(const struct folding *f, int n, bool *changed)
{
    const struct apx_node *node = &f->graph->nodes[n];
    struct apx_forest_builder *builder;
    struct sum sum = {.x = -1};
    bool folds = true;
    for (int k = 0; k < node->in_count; k++)
        if (!join(f, node, k, &sum))
            return APX_OK;
    enum apx_status status =
        apx_forest_builder_create(f->graph->allocator, sum.features, 1, 1, &builder, f->error);
    for (int k = 0; k < node->in_count && status == APX_OK && folds; k++)
        status = add_input(f, node, k, builder, &sum, &folds);
    if (status == APX_OK && folds)
        status = replace(f, n, &sum, builder, changed);
    apx_forest_builder_destroy(builder);
    return status;
}

enum apx_status apx_tree_sums_fold(struct apx_graph *graph, bool *changed, struct apx_error *error)
{
    struct folding f = {.graph = graph, .error = error};
    enum apx_status status = APX_OK;
    *changed = false;
    if (graph->forests == NULL)
        return APX_OK;
    f.is_taken = apx_alloc(graph->allocator, (size_t)graph->node_count, sizeof *f.is_taken);
    if (f.is_taken == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
    for (int n = 0; n < graph->node_count && status == APX_OK; n++)
        if (graph->nodes[n].op == APX_OP_SUM)
            status = fold(&f, n, changed);
    apx_release(graph->allocator, f.is_taken);
    if (*changed)
        apx_graph_sweep(graph);
    return status;
}
