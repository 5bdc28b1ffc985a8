/* SPDX-License-Identifier: Apache-2.0 */
/* leaf_algebra.c - elementwise nodes evaluated for the leaves of a tree.
 *
 * Everything is computed in double, though the graph says float: nearer to what the exporter's
 * library computes than the graph itself. Comparisons and casts to integers must not notice, so
 * they are only followed on numbers that were looked up and not computed. */
#include "runtime/model/forest/leaf_algebra.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "runtime/base/memory.h"
#include "runtime/model/infer.h"
#include "runtime/model/label_map.h"

bool apx_leaf_constant(const struct apx_graph *graph, int v, double *number)
{
    const struct apx_value *value = &graph->values[v];
    if (value->data == NULL || value->dtype == APX_STRING || value->rank > 2 ||
        value->bytes != apx_dtype_size(value->dtype))
        return false;
    apx_cast(1, (int)value->dtype, value->data, APX_F64, number);
    return true;
}

static bool is_tree(const struct apx_node *node)
{
    return node->forest != NULL &&
           (node->op == APX_OP_TREE_ENSEMBLE_REGRESSOR || node->op == APX_OP_TREE_ENSEMBLE);
}

static bool is_column(const struct apx_graph *graph, const struct apx_node *node)
{
    const struct apx_value *shape = apx_node_in(graph, node, 1);
    const int64_t *ints = shape != NULL ? shape->data : NULL;
    return ints != NULL && shape->dtype == APX_I64 && shape->bytes == 2 * sizeof *ints &&
           ints[0] == -1 && ints[1] == 1;
}

static bool is_followed(const struct apx_graph *graph, const struct apx_node *node)
{
    switch (node->op) {
    case APX_OP_IDENTITY:
    case APX_OP_CAST:
    case APX_OP_LABEL_ENCODER:
    case APX_OP_EQUAL:
    case APX_OP_LESS:
    case APX_OP_LESS_OR_EQUAL:
    case APX_OP_GREATER:
    case APX_OP_GREATER_OR_EQUAL:
    case APX_OP_ADD:
    case APX_OP_SUB:
    case APX_OP_MUL:
    case APX_OP_DIV:
    case APX_OP_MIN:
    case APX_OP_MAX:
    case APX_OP_NEG:
    case APX_OP_LOG:
        return true;
    case APX_OP_RESHAPE:
        return is_column(graph, node);
    default:
        return false;
    }
}

/* ---- the chain ------------------------------------------------------------------------------- */

static int place_of(const struct apx_leaf_chain *chain, int node)
{
    for (int i = 0; i < chain->count; i++)
        if (chain->nodes[i] == node)
            return i;
    return -1;
}

static bool visit(const struct apx_graph *graph, int v, struct apx_leaf_chain *chain)
{
    int n = graph->values[v].producer;
    double number;
    if (apx_leaf_constant(graph, v, &number))
        return true;
    if (n < 0)
        return false;
    const struct apx_node *node = &graph->nodes[n];
    if (is_tree(node)) {
        bool is_same = chain->source < 0 || chain->source == n;
        chain->source = n;
        return is_same;
    }
    if (place_of(chain, n) >= 0)
        return true;
    if (!is_followed(graph, node) || chain->count == APX_LIMIT_LEAF_NODES)
        return false;
    chain->nodes[chain->count++] = n;
    return true;
}

bool apx_leaf_chain_find(const struct apx_graph *graph, int v, struct apx_leaf_chain *chain)
{
    chain->source = -1;
    chain->count = 0;
    if (!visit(graph, v, chain))
        return false;
    for (int i = 0; i < chain->count; i++) { /* grows meanwhile */
        const struct apx_node *node = &graph->nodes[chain->nodes[i]];
        int inputs = node->op == APX_OP_RESHAPE ? 1 : node->in_count;
        for (int k = 0; k < inputs; k++)
            if (node->in[k] < 0 || !visit(graph, node->in[k], chain))
                return false;
    }
    for (int i = 1; i < chain->count; i++) /* few: by insertion */
        for (int k = i; k > 0 && chain->nodes[k - 1] > chain->nodes[k]; k--) {
            int swap = chain->nodes[k];
            chain->nodes[k] = chain->nodes[k - 1];
            chain->nodes[k - 1] = swap;
        }
    return chain->source >= 0;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* What a value is for each leaf; a constant has one element for all. */
struct column {
    const double *values;
    double constant;
    enum apx_dtype dtype;
    bool is_looked_up; /* not computed: the same in float and in double */
};

struct evaluation {
    const struct apx_graph *graph;
    const struct apx_leaf_chain *chain;
    size_t leaves;
    double *room; /* [nodes + 1, leaves], the last one the tree's own */
    struct column columns[APX_LIMIT_LEAF_NODES + 1];
};

static double at(const struct column *column, size_t leaf)
{
    return column->values != NULL ? column->values[leaf] : column->constant;
}

static bool column_of(const struct evaluation *e, int v, struct column *column)
{
    *column = (struct column){.dtype = e->graph->values[v].dtype, .is_looked_up = true};
    if (apx_leaf_constant(e->graph, v, &column->constant))
        return true;
    int n = e->graph->values[v].producer;
    *column = e->columns[n == e->chain->source ? APX_LIMIT_LEAF_NODES : place_of(e->chain, n)];
    return true;
}

static bool is_real(const struct column *column)
{
    return column->dtype == APX_F32 || column->dtype == APX_F64;
}

static bool cast(const struct apx_node *node, const struct column *x, size_t leaves, double *y,
                 struct column *to)
{
    switch (apx_node_int(node, "to", 0)) {
    case 1:
        to->dtype = APX_F32;
        break;
    case 7:
        to->dtype = APX_I64;
        break;
    case 11:
        to->dtype = APX_F64;
        break;
    default:
        return false;
    }
    if (to->dtype == APX_I64 && !x->is_looked_up)
        return false;
    for (size_t i = 0; i < leaves; i++) {
        double value = at(x, i);
        if (to->dtype == APX_I64 && !(fabs(value) < 0x1p53))
            return false;
        y[i] = to->dtype == APX_I64 ? trunc(value) : value;
    }
    to->is_looked_up = x->is_looked_up;
    return true;
}

static bool look_up(const struct evaluation *e, const struct apx_node *node, const struct column *x,
                    double *y, struct column *to)
{
    struct apx_label_map map;
    if (!x->is_looked_up || apx_label_map_init(e->graph, node, &map, NULL) != APX_OK)
        return false;
    bool ok = map.from == x->dtype;
    size_t size = apx_dtype_size(map.to);
    for (size_t i = 0; i < e->leaves && ok; i++) {
        if (map.integers != NULL && !(fabs(at(x, i)) < 0x1p53)) { /* no longer itself in double */
            ok = false;
            break;
        }
        size_t label = map.integers != NULL ? apx_label_map_integer(&map, (int64_t)at(x, i))
                                            : apx_label_map_real(&map, at(x, i));
        apx_cast(1, (int)map.to, (const char *)map.labels + label * size, APX_F64, &y[i]);
        ok = map.to != APX_I64 || fabs(y[i]) < 0x1p53;
    }
    to->dtype = map.to;
    to->is_looked_up = true;
    apx_label_map_fini(&map);
    return ok;
}

static bool compare(enum apx_op op, double a, double b)
{
    switch (op) {
    case APX_OP_EQUAL:
        return a == b;
    case APX_OP_LESS:
        return a < b;
    case APX_OP_LESS_OR_EQUAL:
        return a <= b;
    case APX_OP_GREATER:
        return a > b;
    default:
        return a >= b;
    }
}

static double combine(enum apx_op op, double a, double b)
{
    switch (op) {
    case APX_OP_ADD:
        return a + b;
    case APX_OP_SUB:
        return a - b;
    case APX_OP_MUL:
        return a * b;
    case APX_OP_DIV:
        return a / b;
    case APX_OP_MIN:
        return isnan(a) || a < b ? a : b;
    default:
        return isnan(a) || a > b ? a : b;
    }
}

static bool is_compare(enum apx_op op)
{
    return op == APX_OP_EQUAL || op == APX_OP_LESS || op == APX_OP_LESS_OR_EQUAL ||
           op == APX_OP_GREATER || op == APX_OP_GREATER_OR_EQUAL;
}

static bool evaluate(struct evaluation *e, const struct apx_node *node, double *y,
                     struct column *to)
{
    struct column x, other;
    if (!column_of(e, node->in[0], &x))
        return false;
    *to = (struct column){.values = y, .dtype = x.dtype};
    if (node->op == APX_OP_CAST)
        return cast(node, &x, e->leaves, y, to);
    if (node->op == APX_OP_LABEL_ENCODER)
        return look_up(e, node, &x, y, to);
    for (size_t i = 0; i < e->leaves; i++)
        y[i] = at(&x, i);
    if (node->op == APX_OP_IDENTITY || node->op == APX_OP_RESHAPE) {
        to->is_looked_up = x.is_looked_up;
        return true;
    }
    if (is_compare(node->op)) {
        if (!column_of(e, node->in[1], &other) || !x.is_looked_up || !other.is_looked_up)
            return false;
        for (size_t i = 0; i < e->leaves; i++)
            y[i] = compare(node->op, y[i], at(&other, i));
        to->dtype = APX_BOOL;
        to->is_looked_up = true;
        return true;
    }
    if (!is_real(&x)) /* integers would wrap and divide differently */
        return false;
    for (size_t i = 0; i < e->leaves && node->op == APX_OP_NEG; i++)
        y[i] = -y[i];
    for (size_t i = 0; i < e->leaves && node->op == APX_OP_LOG; i++)
        y[i] = log(y[i]);
    for (int k = 1; k < node->in_count; k++) {
        if (!column_of(e, node->in[k], &other) || other.dtype != x.dtype)
            return false;
        for (size_t i = 0; i < e->leaves; i++)
            y[i] = combine(node->op, y[i], at(&other, i));
    }
    return true;
}

/* A tree of the opset 5 answers in its input's type, which is known of the graph's inputs. */
static bool type_of(const struct apx_graph *graph, const struct apx_node *source,
                    enum apx_dtype *dtype)
{
    *dtype = APX_F32;
    if (source->op == APX_OP_TREE_ENSEMBLE)
        *dtype = graph->values[source->in[0]].dtype;
    return *dtype == APX_F32 || *dtype == APX_F64;
}

bool apx_leaf_chain_evaluate(const struct apx_graph *graph, const struct apx_leaf_chain *chain,
                             int v, double *values, enum apx_dtype *dtype)
{
    const struct apx_node *source = &graph->nodes[chain->source];
    const struct apx_forest_desc *desc = &source->forest->desc;
    struct evaluation e = {.graph = graph, .chain = chain, .leaves = desc->leaf_count};
    struct column *own = &e.columns[APX_LIMIT_LEAF_NODES], result;
    bool ok = type_of(graph, source, dtype);
    e.room = ok ? apx_alloc(graph->allocator, (size_t)chain->count + 1,
                            (e.leaves > 0 ? e.leaves : 1) * sizeof *e.room)
                : NULL;
    if (e.room == NULL)
        return false;
    double *tree = e.room + (size_t)chain->count * e.leaves;
    for (size_t i = 0; i < e.leaves; i++)
        tree[i] = desc->leaf_values[i] + desc->base[0];
    *own = (struct column){.values = tree, .dtype = *dtype, .is_looked_up = true};
    for (int k = 0; k < chain->count && ok; k++)
        ok = evaluate(&e, &graph->nodes[chain->nodes[k]], e.room + (size_t)k * e.leaves,
                      &e.columns[k]);
    if (ok && column_of(&e, v, &result)) {
        for (size_t i = 0; i < e.leaves; i++)
            values[i] = at(&result, i);
        *dtype = result.dtype;
    }
    apx_release(graph->allocator, e.room);
    return ok;
}

bool apx_leaf_chain_is_plain(const struct apx_graph *graph, const struct apx_leaf_chain *chain,
                             enum apx_dtype *dtype)
{
    if (!type_of(graph, &graph->nodes[chain->source], dtype))
        return false;
    for (int k = 0; k < chain->count; k++) {
        const struct apx_node *node = &graph->nodes[chain->nodes[k]];
        int64_t to = apx_node_int(node, "to", 0);
        if (node->op == APX_OP_CAST && (to == 1 || to == 11))
            *dtype = to == 1 ? APX_F32 : APX_F64;
        else if (node->op != APX_OP_IDENTITY && node->op != APX_OP_RESHAPE)
            return false;
    }
    return true;
}
