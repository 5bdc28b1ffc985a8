/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_five.c - TreeEnsemble of opset 5: nodes and leaves in lists of their own, named by
 * position, and a root for each tree. A node both of whose branches are the same leaf is that leaf:
 * so the operator says it of trees without a split. */
#include <math.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/tree_ensemble.h"

/* A branch to be followed: what the file calls it, and its place in the tree. */
struct branch {
    int64_t id;
    bool is_leaf;
    uint32_t to;
};

struct five {
    const struct apx_tree_attrs *attrs;
    const struct apx_tree_score *score;
    const struct apx_allocator *allocator;
    struct apx_forest_builder *builder;
    struct apx_error *error;
    size_t count, leaf_count, features;
    bool *is_taken; /* [count] it is in a tree already */
    struct branch *stack;
    struct apx_tree_node *nodes; /* [2 * count + 1] of one tree */
    double *values;              /* [count + 1, width] its leaves */
    size_t node_count, width, value_count;
    uint32_t target; /* of the last leaf */
    bool is_mixed;
    size_t *first_member; /* [count + 1] into membership */
    double *members;
};

static enum apx_status check_lists(struct five *f)
{
    const struct apx_tree_attrs *attrs = f->attrs;
    const struct {
        const char *name;
        size_t count, wanted;
    } lists[] = {
        {"nodes_featureids", attrs->featureids.count, f->count},
        {"nodes_splits", attrs->values.count, f->count},
        {"nodes_truenodeids", attrs->truenodeids.count, f->count},
        {"nodes_falsenodeids", attrs->falsenodeids.count, f->count},
        {"nodes_trueleafs", attrs->trueleafs.count, f->count},
        {"nodes_falseleafs", attrs->falseleafs.count, f->count},
        {"nodes_missing_value_tracks_true", attrs->missing.count,
         attrs->missing.count > 0 ? f->count : 0},
        {"leaf_weights", attrs->weights.count, f->leaf_count},
    };
    if (f->count == 0 || attrs->roots.count == 0)
        return apx_fail(f->error, APX_EFORMAT, "", "an ensemble without nodes or roots");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i].count != lists[i].wanted)
            return apx_fail(f->error, APX_EFORMAT, "",
                            "%s: %zu elements, not %zu, as nodes_modes or leaf_targetids has",
                            lists[i].name, lists[i].count, lists[i].wanted);
    if (f->count > APX_LIMIT_TREE_NODES / 2 || f->leaf_count > APX_LIMIT_TREE_NODES)
        return apx_fail(f->error, APX_ELIMIT, "",
                        "%zu nodes and %zu leaves; more than APX_LIMIT_TREE_NODES (%d)", f->count,
                        f->leaf_count, APX_LIMIT_TREE_NODES);
    for (size_t i = 0; i < f->leaf_count; i++)
        if (attrs->targetids.data[i] < 0 || (size_t)attrs->targetids.data[i] >= f->score->targets)
            return apx_fail(f->error, APX_EFORMAT, "", "leaf %zu is for target %lld of %zu", i,
                            (long long)attrs->targetids.data[i], f->score->targets);
    return APX_OK;
}

/* Features, and where each node's members are: the sets stand in the order of the nodes, each ended
 * by a NaN. */
static enum apx_status survey_nodes(struct five *f)
{
    const struct apx_tree_attrs *attrs = f->attrs;
    size_t at = 0;
    for (size_t i = 0; i < f->count; i++) {
        int64_t feature = attrs->featureids.data[i];
        if (attrs->modes[i] > APX_TREE_MEMBER)
            return apx_fail(f->error, APX_EFORMAT, "",
                            "node %zu has the mode %d; 0 (LEQ) to 6 (MEMBER) are known", i,
                            attrs->modes[i]);
        if (feature < 0 || feature >= APX_LIMIT_FEATURES)
            return apx_fail(f->error, feature < 0 ? APX_EFORMAT : APX_ELIMIT, "",
                            "node %zu splits on feature %lld; those from 0 on are read, below "
                            "APX_LIMIT_FEATURES (%d)",
                            i, (long long)feature, APX_LIMIT_FEATURES);
        if ((size_t)feature >= f->features)
            f->features = (size_t)feature + 1;
        f->first_member[i] = at;
        if (attrs->modes[i] != APX_TREE_MEMBER)
            continue;
        while (at < attrs->membership.count && !isnan(apx_tree_real(&attrs->membership, at)))
            at++;
        if (at == attrs->membership.count)
            return apx_fail(f->error, APX_EFORMAT, "",
                            "membership_values ends before the set of node %zu does", i);
        at++;
    }
    f->first_member[f->count] = at;
    return APX_OK;
}

static enum apx_status take_leaf(struct five *f, int64_t leaf, struct apx_tree_node *node)
{
    if (leaf < 0 || (size_t)leaf >= f->leaf_count)
        return apx_fail(f->error, APX_EFORMAT, "",
                        "a branch leads to leaf %lld: leaf %lld is not there, there are %zu",
                        (long long)leaf, (long long)leaf, f->leaf_count);
    double *value = f->values + f->value_count * f->width;
    int64_t target = f->attrs->targetids.data[leaf];
    for (size_t k = 0; k < f->width; k++)
        value[k] = f->score->nothing;
    value[f->width == 1 ? 0 : target] = apx_tree_real(&f->attrs->weights, (size_t)leaf);
    f->is_mixed = f->is_mixed || (f->value_count > 0 && f->target != (uint32_t)target);
    f->target = (uint32_t)target;
    *node = (struct apx_tree_node){
        .feature = -1, .set = -1, .left = (uint32_t)f->value_count, .right = (uint32_t)leaf};
    f->value_count++;
    return APX_OK;
}

/* The node at `at` becomes *node; its branches get places in the tree and are pushed. */
static enum apx_status take_split(struct five *f, size_t at, struct apx_tree_node *node,
                                  size_t *depth)
{
    const struct apx_tree_attrs *attrs = f->attrs;
    size_t members = 0;
    if (f->is_taken[at])
        return apx_fail(f->error, APX_EFORMAT, "", "node %zu has two parents", at);
    f->is_taken[at] = true;
    if (attrs->modes[at] == APX_TREE_MEMBER)
        for (size_t i = f->first_member[at]; i + 1 < f->first_member[at + 1]; i++)
            f->members[members++] = apx_tree_real(&attrs->membership, i);
    uint32_t when_true = (uint32_t)f->node_count++, when_false = (uint32_t)f->node_count++;
    f->stack[(*depth)++] =
        (struct branch){attrs->falsenodeids.data[at], attrs->falseleafs.data[at] != 0, when_false};
    f->stack[(*depth)++] =
        (struct branch){attrs->truenodeids.data[at], attrs->trueleafs.data[at] != 0, when_true};
    return apx_tree_split(f->builder, (enum apx_tree_mode)attrs->modes[at],
                          (int32_t)attrs->featureids.data[at], apx_tree_real(&attrs->values, at),
                          f->members, members, when_true, when_false,
                          attrs->missing.count > 0 && attrs->missing.data[at] != 0, node, f->error);
}

static bool is_only_leaf(const struct apx_tree_attrs *attrs, int64_t at)
{
    return attrs->trueleafs.data[at] != 0 && attrs->falseleafs.data[at] != 0 &&
           attrs->truenodeids.data[at] == attrs->falsenodeids.data[at];
}

static enum apx_status add_tree(struct five *f, int64_t root)
{
    enum apx_status status = APX_OK;
    size_t depth = 0;
    f->node_count = 1;
    f->value_count = 0;
    f->target = 0;
    f->stack[depth++] = (struct branch){root, false, 0};
    while (depth > 0 && status == APX_OK) {
        struct branch branch = f->stack[--depth];
        struct apx_tree_node *node = &f->nodes[branch.to];
        if (branch.is_leaf)
            status = take_leaf(f, branch.id, node);
        else if (branch.id < 0 || (size_t)branch.id >= f->count)
            status = apx_fail(f->error, APX_EFORMAT, "",
                              "a branch or root leads to node %lld: node %lld is not there, there "
                              "are %zu",
                              (long long)branch.id, (long long)branch.id, f->count);
        else if (is_only_leaf(f->attrs, branch.id))
            status = take_leaf(f, f->attrs->truenodeids.data[branch.id], node);
        else
            status = take_split(f, (size_t)branch.id, node, &depth);
    }
    if (status != APX_OK)
        return status;
    return apx_forest_builder_tree(f->builder, f->nodes, f->node_count, 0, f->target, f->values,
                                   f->value_count, f->error);
}

/* All trees, with leaves of f->width values; f->is_mixed: a tree has leaves for several targets. */
static enum apx_status add_trees(struct five *f, struct apx_forest_builder **builder)
{
    const struct apx_tree_ints *roots = &f->attrs->roots;
    if (f->count + 1 > apx_tree_most_values(f->leaf_count) / f->width)
        return apx_fail(f->error, APX_ELIMIT, "",
                        "%zu nodes and %zu leaves with %zu targets each: more than "
                        "APX_LIMIT_TREE_VALUE_FACTOR (%zu) values for a leaf",
                        f->count, f->leaf_count, f->width, APX_LIMIT_TREE_VALUE_FACTOR);
    f->values = apx_alloc(f->allocator, (f->count + 1) * f->width, sizeof *f->values);
    if (f->values == NULL)
        return apx_fail(f->error, APX_ENOMEM, "", "out of memory for the trees");
    for (size_t i = 0; i < f->count; i++)
        f->is_taken[i] = false;
    enum apx_status status = apx_forest_builder_create(f->allocator, f->features, f->score->outputs,
                                                       f->width, builder, f->error);
    f->builder = *builder;
    f->is_mixed = false;
    for (size_t t = 0; t < roots->count && status == APX_OK; t++)
        status = add_tree(f, roots->data[t]);
    return status;
}

static enum apx_status build(struct five *f, struct apx_forest_builder **builder)
{
    enum apx_status status = check_lists(f);
    if (status != APX_OK)
        return status;
    f->is_taken = apx_alloc(f->allocator, f->count, sizeof *f->is_taken);
    f->stack = apx_alloc(f->allocator, f->count + 2, sizeof *f->stack);
    f->nodes = apx_alloc(f->allocator, 2 * f->count + 1, sizeof *f->nodes);
    f->first_member = apx_alloc(f->allocator, f->count + 1, sizeof *f->first_member);
    f->members = apx_alloc(f->allocator, 2 * f->attrs->membership.count, sizeof *f->members);
    if (f->is_taken == NULL || f->stack == NULL || f->nodes == NULL || f->first_member == NULL ||
        f->members == NULL)
        return apx_fail(f->error, APX_ENOMEM, "", "out of memory for the trees");
    if ((status = survey_nodes(f)) != APX_OK)
        return status;
    f->width = f->score->is_extreme ? f->score->outputs : 1;
    status = add_trees(f, builder);
    if (status != APX_OK || !f->is_mixed || f->width == f->score->outputs)
        return status;
    apx_forest_builder_destroy(*builder);
    apx_release(f->allocator, f->values);
    *builder = NULL;
    f->values = NULL;
    f->width = f->score->outputs;
    return add_trees(f, builder);
}

enum apx_status apx_tree_build_five(const struct apx_tree_attrs *attrs,
                                    const struct apx_tree_score *score,
                                    const struct apx_allocator *allocator,
                                    struct apx_forest_builder **builder, struct apx_error *error)
{
    struct five f = {.attrs = attrs,
                     .score = score,
                     .allocator = allocator,
                     .error = error,
                     .count = attrs->mode_count,
                     .leaf_count = attrs->targetids.count};
    *builder = NULL;
    enum apx_status status = build(&f, builder);
    void *rooms[] = {f.is_taken, f.stack, f.nodes, f.values, f.first_member, f.members};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        apx_release(allocator, rooms[i]);
    return status;
}
