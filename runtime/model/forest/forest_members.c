/* SPDX-License-Identifier: Apache-2.0 */
/* forest_members.c - which forests compute columns of 0 and 1, and the sets that they ask for.
 *
 * A tree with one feature whose thresholds ascend from left to right is a search among them, so
 * from one of its leaves to the next x crosses a threshold; where the leaves' values differ, that
 * is a bound of the set. */
#include "runtime/model/forest/forest_members.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/infer.h"

struct set {
    size_t begin, count; /* bounds */
    int32_t feature;
    bool has_nan; /* NaN is a member */
};

struct members {
    const struct apx_forest_desc *desc; /* of the forest that computes them */
    struct set *sets;                   /* [desc->outputs] */
    double *bounds;                     /* [desc->node_count + desc->trees] */
    size_t bound_count;
    uint32_t *stack; /* [desc->node_count] */
};

static double value_at(const struct members *m, uint32_t leaf)
{
    return m->desc->leaf_values[m->desc->nodes[leaf].left];
}

/* Tree t as a set; false if it is none. */
static bool read_tree(struct members *m, size_t t)
{
    const struct apx_forest_desc *desc = m->desc;
    struct set *set = &m->sets[desc->tree_output[t]];
    uint32_t at = desc->roots[t];
    if (desc->nodes[at].feature < 0 || set->feature >= 0) /* one leaf; a second tree */
        return false;
    *set = (struct set){.begin = m->bound_count, .feature = desc->nodes[at].feature};
    for (uint32_t n = at; n < desc->roots[t + 1]; n++) {
        const struct apx_tree_node *node = &desc->nodes[n];
        if (node->feature < 0 ? value_at(m, n) != 0 && value_at(m, n) != 1
                              : node->feature != set->feature || node->set >= 0)
            return false;
    }
    double before = 0, last = -(double)INFINITY;
    size_t depth = 0;
    for (;;) { /* in order: leaf, split, leaf, ... */
        for (; desc->nodes[at].feature >= 0; at = desc->nodes[at].left)
            m->stack[depth++] = at;
        if (value_at(m, at) != before)
            m->bounds[m->bound_count++] = last;
        before = value_at(m, at);
        if (depth == 0)
            break;
        const struct apx_tree_node *split = &desc->nodes[m->stack[--depth]];
        bool is_least = split->threshold == last && last == -(double)INFINITY; /* the first */
        if (!(split->threshold > last) && (!is_least || m->bound_count > set->begin))
            return false;
        last = split->threshold;
        at = split->right;
    }
    set->count = m->bound_count - set->begin;
    for (at = desc->roots[t]; desc->nodes[at].feature >= 0;)
        at = desc->nodes[at].nan_right ? desc->nodes[at].right : desc->nodes[at].left;
    set->has_nan = value_at(m, at) == 1;
    return true;
}

static bool read_sets(struct members *m)
{
    for (size_t s = 0; s < m->desc->outputs; s++) {
        m->sets[s].feature = -1;
        if (m->desc->base[s] != 0)
            return false;
    }
    for (size_t t = 0; t < m->desc->trees; t++)
        if (!read_tree(m, t))
            return false;
    for (size_t s = 0; s < m->desc->outputs; s++)
        if (m->sets[s].feature < 0)
            return false;
    return true;
}

/* Every question that the forest asks of such a column is: 0 or 1? */
static bool asks_for_sets(const struct apx_forest_desc *desc, size_t features, size_t sets)
{
    for (size_t n = 0; n < desc->node_count; n++) {
        const struct apx_tree_node *node = &desc->nodes[n];
        if (node->feature >= 0 && (size_t)node->feature >= features &&
            (node->set >= 0 || !(node->threshold > 0 && node->threshold <= 1) ||
             (size_t)node->feature >= features + sets))
            return false;
    }
    return true;
}

static bool take_sets(const struct members *m, struct apx_forest *forest, size_t features)
{
    struct apx_forest_desc *desc = &forest->desc;
    size_t known = desc->set_count, bounds = known > 0 ? desc->set_begin[known] : 0;
    size_t sets = known + m->desc->outputs;
    struct apx_tree_node *nodes = (struct apx_tree_node *)(uintptr_t)desc->nodes; /* its own */
    uint32_t *begin = apx_forest_alloc(forest, (sets + 1) * sizeof *begin);
    double *all = apx_forest_alloc(forest, (bounds + m->bound_count + 1) * sizeof *all);
    if (begin == NULL || all == NULL)
        return false;
    memcpy(begin, desc->set_begin, (known + 1) * sizeof *begin);
    if (bounds > 0)
        memcpy(all, desc->bounds, bounds * sizeof *all);
    for (size_t s = 0; s < m->desc->outputs; s++) { /* in the order of outputs, not of trees */
        memcpy(all + begin[known + s], m->bounds + m->sets[s].begin,
               m->sets[s].count * sizeof *all);
        begin[known + s + 1] = begin[known + s] + (uint32_t)m->sets[s].count;
    }
    for (size_t n = 0; n < desc->node_count; n++) {
        if (nodes[n].feature < 0 || (size_t)nodes[n].feature < features)
            continue;
        size_t s = (size_t)nodes[n].feature - features;
        nodes[n].feature = m->sets[s].feature;
        nodes[n].set = (int32_t)(known + s);
        nodes[n].nan_right = m->sets[s].has_nan;
        nodes[n].threshold = 0;
    }
    desc->features = features;
    desc->set_begin = begin;
    desc->bounds = all;
    desc->set_count = sets;
    return true;
}

/* The forest whose columns stand behind x in what `node` reads; NULL: none. */
static const struct apx_forest *find_columns(const struct apx_graph *graph,
                                             const struct apx_node *node, int *x, int64_t *features)
{
    int producer = graph->values[node->in[0]].producer;
    const struct apx_node *concat = producer >= 0 ? &graph->nodes[producer] : NULL;
    if (concat == NULL || concat->op != APX_OP_CONCAT || concat->in_count != 2 ||
        (apx_node_int(concat, "axis", 0) != 1 && apx_node_int(concat, "axis", 0) != -1))
        return NULL;
    const struct apx_value *first = apx_node_in(graph, concat, 0);
    const struct apx_value *second = apx_node_in(graph, concat, 1);
    const struct apx_node *members = second->producer >= 0 ? &graph->nodes[second->producer] : NULL;
    if (first->rank != 2 || !apx_dim_is_constant(&first->dims[1], features) || members == NULL ||
        members->op != APX_OP_FOREST || members->in[0] != concat->in[0] ||
        members->out[0] != concat->in[1])
        return NULL;
    *x = concat->in[0];
    return members->forest;
}

enum apx_status apx_forest_fold_members(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_forest *forest, struct apx_error *error)
{
    int x;
    int64_t features;
    const struct apx_forest *from = find_columns(graph, node, &x, &features);
    if (from == NULL || from == forest || from->link.kind != APX_LINK_NONE ||
        from->link.divide != 0 || from->desc.tree_output == NULL || from->desc.linear != NULL ||
        from->desc.sum != APX_FOREST_SUM || features > APX_LIMIT_FEATURES ||
        from->desc.compares_double != forest->desc.compares_double ||
        forest->desc.set_count + from->desc.outputs > INT32_MAX ||
        !asks_for_sets(&forest->desc, (size_t)features, from->desc.outputs))
        return APX_OK;
    const struct apx_allocator *allocator = forest->allocator;
    struct members m = {.desc = &from->desc};
    m.sets = apx_alloc(allocator, from->desc.outputs, sizeof *m.sets);
    m.bounds = apx_alloc(allocator, from->desc.node_count + from->desc.trees, sizeof *m.bounds);
    m.stack = apx_alloc(allocator, from->desc.node_count, sizeof *m.stack);
    bool ok = m.sets != NULL && m.bounds != NULL && m.stack != NULL;
    if (ok && read_sets(&m)) {
        ok = take_sets(&m, forest, (size_t)features);
        if (ok)
            node->in[0] = x;
    }
    apx_release(allocator, m.sets);
    apx_release(allocator, m.bounds);
    apx_release(allocator, m.stack);
    return ok ? APX_OK : apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
}
