/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_lists.c - TreeEnsembleRegressor and TreeEnsembleClassifier: parallel lists in which
 * nodes, children and votes are named by a tree's and a node's id.
 *
 * Nodes are sorted by their ids (files mostly have them in order), so that a tree is a run of them
 * and a child is found by counting or by halving. The root of a tree is the first node in the file
 * that is nobody's child.
 *
 * Exporters write a test for membership as a chain of equalities that share their true branch.
 * Such a chain becomes one node with a set: what the rest of it stood for is then out of reach. */
#include <stdlib.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/tree_ensemble.h"

#define NONE UINT32_MAX

struct key {
    int64_t tree, node;
    uint32_t at; /* in the file's lists */
};

struct lists {
    const struct apx_tree_attrs *attrs;
    const struct apx_tree_score *score;
    const struct apx_allocator *allocator;
    struct apx_forest_builder *builder;
    struct apx_error *error;
    size_t count;
    struct key *keys;     /* [count] sorted */
    uint32_t *first_vote; /* [count] by position in keys; NONE: no vote */
    uint32_t *next_vote;  /* [votes] in the file's order */
    /* of one tree, [count] at most */
    struct apx_tree_node *nodes;
    uint32_t *when_true, *when_false; /* positions in the tree */
    bool *is_child, *continues, *is_absorbed;
    double *members, *values;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static enum apx_status no_memory(struct lists *l)
{
    return apx_fail(l->error, APX_ENOMEM, "", "out of memory for the trees");
}

static enum apx_status sort_nodes(struct lists *l)
{
    const struct apx_tree_attrs *attrs = l->attrs;
    bool is_sorted = true;
    for (size_t i = 0; i < l->count; i++) {
        l->keys[i] = (struct key){attrs->treeids.data[i], attrs->nodeids.data[i], (uint32_t)i};
        is_sorted = is_sorted && (i == 0 || compare_keys(&l->keys[i - 1], &l->keys[i]) < 0);
    }
    if (is_sorted)
        return APX_OK;
    qsort(l->keys, l->count, sizeof *l->keys, compare_keys);
    for (size_t i = 1; i < l->count; i++)
        if (compare_keys(&l->keys[i - 1], &l->keys[i]) == 0)
            return apx_fail(l->error, APX_EFORMAT, "", "tree %lld has two nodes with the id %lld",
                            (long long)l->keys[i].tree, (long long)l->keys[i].node);
    return APX_OK;
}

/* Position in keys of a node among [begin, end), which are one tree; NONE: no such id. */
static uint32_t find_node(const struct lists *l, size_t begin, size_t end, int64_t id)
{
    int64_t first = l->keys[begin].node, last = l->keys[end - 1].node;
    if (id < first || id > last)
        return NONE;
    /* Ids without a gap; as unsigned numbers the difference cannot overflow. */
    if ((uint64_t)last - (uint64_t)first == end - begin - 1)
        return (uint32_t)(begin + ((uint64_t)id - (uint64_t)first));
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (l->keys[middle].node == id)
            return (uint32_t)middle;
        if (l->keys[middle].node < id)
            begin = middle + 1;
        else
            end = middle;
    }
    return NONE;
}

static size_t end_of_tree(const struct lists *l, size_t begin)
{
    size_t end = begin + 1;
    while (end < l->count && l->keys[end].tree == l->keys[begin].tree)
        end++;
    return end;
}

/* The run of nodes of tree `id`, found by halving. */
static bool find_tree(const struct lists *l, int64_t id, size_t *begin)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->keys[middle].tree < id)
            low = middle + 1;
        else
            high = middle;
    }
    *begin = low;
    return low < l->count && l->keys[low].tree == id;
}

static enum apx_status link_votes(struct lists *l)
{
    const struct apx_tree_attrs *attrs = l->attrs;
    size_t begin = 0, end = 0;
    for (size_t i = 0; i < l->count; i++)
        l->first_vote[i] = NONE;
    for (size_t v = attrs->vote_ids.count; v-- > 0;) { /* so that lists begin with the first */
        int64_t tree = attrs->vote_treeids.data[v], node = attrs->vote_nodeids.data[v];
        if (end == 0 || l->keys[begin].tree != tree) {
            if (!find_tree(l, tree, &begin))
                return apx_fail(l->error, APX_EFORMAT, "",
                                "a vote of tree %lld, which is not there", (long long)tree);
            end = end_of_tree(l, begin);
        }
        uint32_t at = find_node(l, begin, end, node);
        if (at == NONE)
            return apx_fail(l->error, APX_EFORMAT, "",
                            "a vote of node %lld of tree %lld, which is not there", (long long)node,
                            (long long)tree);
        if (attrs->vote_ids.data[v] < 0 || (size_t)attrs->vote_ids.data[v] >= l->score->targets)
            return apx_fail(l->error, APX_EFORMAT, "", "a vote for target %lld of a model with %zu",
                            (long long)attrs->vote_ids.data[v], l->score->targets);
        l->next_vote[v] = l->first_vote[at];
        l->first_vote[at] = (uint32_t)v;
    }
    return APX_OK;
}

/* ---- one tree, nodes [begin, end) of keys ---------------------------------------------------- */

static enum apx_tree_mode mode_of(const struct lists *l, size_t begin, uint32_t node)
{
    return (enum apx_tree_mode)l->attrs->modes[l->keys[begin + node].at];
}

static bool is_missing_true(const struct lists *l, size_t begin, uint32_t node)
{
    return l->attrs->missing.count > 0 && l->attrs->missing.data[l->keys[begin + node].at] != 0;
}

static enum apx_status find_children(struct lists *l, size_t begin, size_t end)
{
    for (uint32_t i = 0; i < end - begin; i++)
        l->is_child[i] = l->continues[i] = l->is_absorbed[i] = false;
    for (uint32_t i = 0; i < end - begin; i++) {
        const struct key *key = &l->keys[begin + i];
        if (mode_of(l, begin, i) == APX_TREE_LEAF)
            continue;
        int64_t ids[2] = {l->attrs->truenodeids.data[key->at],
                          l->attrs->falsenodeids.data[key->at]};
        for (int side = 0; side < 2; side++) {
            uint32_t at = find_node(l, begin, end, ids[side]);
            if (at == NONE)
                return apx_fail(l->error, APX_EFORMAT, "",
                                "node %lld of tree %lld has the child %lld, which is not there",
                                (long long)key->node, (long long)key->tree, (long long)ids[side]);
            if (at == begin + i)
                return apx_fail(l->error, APX_EFORMAT, "",
                                "node %lld of tree %lld is its own child", (long long)key->node,
                                (long long)key->tree);
            (side == 0 ? l->when_true : l->when_false)[i] = at - (uint32_t)begin;
            l->is_child[at - begin] = true;
        }
    }
    return APX_OK;
}

/* The next equality of the chain that node i is in; NONE: it ends here. */
static uint32_t next_equal(const struct lists *l, size_t begin, uint32_t i)
{
    uint32_t next = l->when_false[i];
    bool continues = mode_of(l, begin, i) == APX_TREE_EQ &&
                     mode_of(l, begin, next) == APX_TREE_EQ && next != i &&
                     l->when_true[next] == l->when_true[i] &&
                     l->attrs->featureids.data[l->keys[begin + next].at] ==
                         l->attrs->featureids.data[l->keys[begin + i].at] &&
                     is_missing_true(l, begin, next) == is_missing_true(l, begin, i);
    return continues ? next : NONE;
}

/* The values of the chain that begins at i, into members; what follows it becomes *after. */
static enum apx_status take_chain(struct lists *l, size_t begin, uint32_t i, size_t *count,
                                  uint32_t *after)
{
    *count = 0;
    for (uint32_t at = i; at != NONE; at = next_equal(l, begin, at)) {
        if (l->is_absorbed[at])
            return apx_fail(l->error, APX_EFORMAT, "", "node %lld of tree %lld has two parents",
                            (long long)l->keys[begin + at].node,
                            (long long)l->keys[begin + at].tree);
        l->is_absorbed[at] = true;
        l->members[(*count)++] = apx_tree_real(&l->attrs->values, l->keys[begin + at].at);
        *after = l->when_false[at];
    }
    return APX_OK;
}

static enum apx_status make_split(struct lists *l, size_t begin, uint32_t i)
{
    enum apx_tree_mode mode = mode_of(l, begin, i);
    size_t at = l->keys[begin + i].at, members = 0;
    int64_t feature = l->attrs->featureids.data[at];
    uint32_t when_false = l->when_false[i];
    if (feature < 0 || feature >= APX_LIMIT_FEATURES)
        return apx_fail(l->error, feature < 0 ? APX_EFORMAT : APX_ELIMIT, "",
                        "node %lld of tree %lld splits on feature %lld; those from 0 on are read, "
                        "below APX_LIMIT_FEATURES (%d)",
                        (long long)l->keys[begin + i].node, (long long)l->keys[begin + i].tree,
                        (long long)feature, APX_LIMIT_FEATURES);
    if (l->continues[i]) { /* out of reach, or else a node with two parents: so the builder sees it
                            */
        l->nodes[i] = (struct apx_tree_node){.set = -1, .left = i, .right = i};
        return APX_OK;
    }
    if (mode == APX_TREE_EQ) {
        enum apx_status status = take_chain(l, begin, i, &members, &when_false);
        if (status != APX_OK)
            return status;
        mode = APX_TREE_MEMBER;
    }
    return apx_tree_split(l->builder, mode, (int32_t)feature, apx_tree_real(&l->attrs->values, at),
                          l->members, members, l->when_true[i], when_false,
                          is_missing_true(l, begin, i), &l->nodes[i], l->error);
}

/* One vote joins what the leaf has. */
static void count_vote(const struct lists *l, double *value, double weight)
{
    if (!l->score->is_extreme)
        *value += weight;
    else if (l->attrs->aggregate == APX_TREE_MIN ? weight < *value : weight > *value)
        *value = weight;
}

/* Leaf number `leaf` of the tree: width values, or one for the output it votes for. */
static void make_leaf(struct lists *l, size_t begin, uint32_t i, size_t leaf, size_t width)
{
    double *values = l->values + leaf * width;
    for (size_t k = 0; k < width; k++)
        values[k] = l->score->nothing;
    for (uint32_t v = l->first_vote[begin + i]; v != NONE; v = l->next_vote[v]) {
        double weight = apx_tree_real(&l->attrs->weights, v);
        if (l->score->mirrored) {
            count_vote(l, &values[0], -weight);
            count_vote(l, &values[1], weight);
        } else {
            count_vote(l, &values[width == 1 ? 0 : l->attrs->vote_ids.data[v]], weight);
        }
    }
    l->nodes[i] = (struct apx_tree_node){.feature = -1,
                                         .set = -1,
                                         .left = (uint32_t)leaf,
                                         .right = (uint32_t)l->keys[begin + i].node};
}

static enum apx_status find_root(struct lists *l, size_t begin, size_t end, uint32_t *root)
{
    *root = NONE;
    for (uint32_t i = 0; i < end - begin; i++)
        if (!l->is_child[i] && (*root == NONE || l->keys[begin + i].at < l->keys[begin + *root].at))
            *root = i;
    return *root != NONE
               ? APX_OK
               : apx_fail(l->error, APX_EFORMAT, "", "tree %lld has no root: every node is a child",
                          (long long)l->keys[begin].tree);
}

/* The target that all votes of the tree are for; 0 without votes, NONE if there are several. */
static uint32_t only_target(const struct lists *l, size_t begin, size_t end)
{
    uint32_t only = NONE;
    for (size_t i = begin; i < end; i++)
        for (uint32_t v = l->first_vote[i]; v != NONE; v = l->next_vote[v]) {
            uint32_t target = (uint32_t)l->attrs->vote_ids.data[v];
            if (only != NONE && target != only)
                return NONE;
            only = target;
        }
    return only != NONE ? only : 0;
}

static enum apx_status add_tree(struct lists *l, size_t begin, size_t end, size_t width)
{
    size_t leaves = 0;
    uint32_t root = NONE, output = 0;
    enum apx_status status = find_children(l, begin, end);
    if (status == APX_OK)
        status = find_root(l, begin, end, &root);
    for (uint32_t i = 0; i < end - begin && status == APX_OK; i++) {
        uint32_t next = mode_of(l, begin, i) == APX_TREE_EQ ? next_equal(l, begin, i) : NONE;
        if (next != NONE)
            l->continues[next] = true;
    }
    for (uint32_t i = 0; i < end - begin && status == APX_OK; i++) {
        if (mode_of(l, begin, i) == APX_TREE_LEAF)
            make_leaf(l, begin, i, leaves++, width);
        else
            status = make_split(l, begin, i);
    }
    if (status != APX_OK)
        return status;
    if (width == 1 && l->score->outputs > 1)
        output = only_target(l, begin, end);
    return apx_forest_builder_tree(l->builder, l->nodes, end - begin, root, output, l->values,
                                   leaves, l->error);
}

/* ---- the forest ------------------------------------------------------------------------------ */

static enum apx_status check_lists(struct lists *l)
{
    const struct apx_tree_attrs *attrs = l->attrs;
    const struct {
        const char *name;
        size_t count, wanted;
    } lists[] = {
        {"nodes_nodeids", attrs->nodeids.count, l->count},
        {"nodes_featureids", attrs->featureids.count, l->count},
        {"nodes_modes", attrs->mode_count, l->count},
        {"nodes_values", attrs->values.count, l->count},
        {"nodes_truenodeids", attrs->truenodeids.count, l->count},
        {"nodes_falsenodeids", attrs->falsenodeids.count, l->count},
        {"nodes_missing_value_tracks_true", attrs->missing.count,
         attrs->missing.count > 0 ? l->count : 0},
        {"the votes' nodeids", attrs->vote_nodeids.count, attrs->vote_ids.count},
        {"the votes' treeids", attrs->vote_treeids.count, attrs->vote_ids.count},
        {"the votes' weights", attrs->weights.count, attrs->vote_ids.count},
    };
    if (l->count == 0)
        return apx_fail(l->error, APX_EFORMAT, "", "an ensemble without nodes");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i].count != lists[i].wanted)
            return apx_fail(l->error, APX_EFORMAT, "",
                            "%s: %zu elements, not %zu, as nodes_treeids or the votes' ids have",
                            lists[i].name, lists[i].count, lists[i].wanted);
    if (l->count > APX_LIMIT_TREE_NODES || attrs->vote_ids.count > APX_LIMIT_TREE_NODES)
        return apx_fail(l->error, APX_ELIMIT, "",
                        "%zu nodes and %zu votes; more than APX_LIMIT_TREE_NODES (%d)", l->count,
                        attrs->vote_ids.count, APX_LIMIT_TREE_NODES);
    return APX_OK;
}

/* Room for the largest tree. */
static bool take_rooms(struct lists *l, size_t largest, size_t leaves, size_t width)
{
    size_t room;
    if (__builtin_mul_overflow(leaves, width, &room))
        return false;
    l->nodes = apx_alloc(l->allocator, largest, sizeof *l->nodes);
    l->when_true = apx_alloc(l->allocator, largest, sizeof *l->when_true);
    l->when_false = apx_alloc(l->allocator, largest, sizeof *l->when_false);
    l->is_child = apx_alloc(l->allocator, largest, sizeof *l->is_child);
    l->continues = apx_alloc(l->allocator, largest, sizeof *l->continues);
    l->is_absorbed = apx_alloc(l->allocator, largest, sizeof *l->is_absorbed);
    l->members = apx_alloc(l->allocator, 2 * largest, sizeof *l->members);
    l->values = apx_alloc(l->allocator, room, sizeof *l->values);
    return l->nodes != NULL && l->when_true != NULL && l->when_false != NULL &&
           l->is_child != NULL && l->continues != NULL && l->is_absorbed != NULL &&
           l->members != NULL && l->values != NULL;
}

/* What the trees need: their largest extents, the highest feature, the width of a leaf. */
struct survey {
    size_t nodes, leaves, all_leaves, features, width;
};

static struct survey look_at_trees(const struct lists *l)
{
    struct survey s = {.width = 1};
    bool is_wide = l->score->mirrored || (l->score->is_extreme && l->score->outputs > 1);
    for (size_t begin = 0, end; begin < l->count; begin = end) {
        size_t leaves = 0;
        end = end_of_tree(l, begin);
        for (size_t i = begin; i < end; i++) {
            int64_t feature = l->attrs->featureids.data[l->keys[i].at];
            if (l->attrs->modes[l->keys[i].at] == APX_TREE_LEAF)
                leaves++;
            else if (feature >= 0 && feature < APX_LIMIT_FEATURES && (size_t)feature >= s.features)
                s.features = (size_t)feature + 1;
        }
        s.all_leaves += leaves;
        s.leaves = leaves > s.leaves ? leaves : s.leaves;
        s.nodes = end - begin > s.nodes ? end - begin : s.nodes;
        is_wide = is_wide || (l->score->outputs > 1 && only_target(l, begin, end) == NONE);
    }
    if (is_wide)
        s.width = l->score->outputs;
    return s;
}

static enum apx_status build(struct lists *l, struct apx_forest_builder **builder)
{
    enum apx_status status = check_lists(l);
    if (status != APX_OK)
        return status;
    l->keys = apx_alloc(l->allocator, l->count, sizeof *l->keys);
    l->first_vote = apx_alloc(l->allocator, l->count, sizeof *l->first_vote);
    l->next_vote = apx_alloc(l->allocator, l->attrs->vote_ids.count + 1, sizeof *l->next_vote);
    if (l->keys == NULL || l->first_vote == NULL || l->next_vote == NULL)
        return no_memory(l);
    if ((status = sort_nodes(l)) != APX_OK || (status = link_votes(l)) != APX_OK)
        return status;
    const struct survey s = look_at_trees(l);
    if (s.all_leaves > apx_tree_most_values(l->attrs->vote_ids.count) / s.width)
        return apx_fail(
            l->error, APX_ELIMIT, "",
            "%zu leaves with %zu targets and %zu votes: more than APX_LIMIT_TREE_VALUE_FACTOR "
            "(%zu) values for a vote",
            s.all_leaves, s.width, l->attrs->vote_ids.count, APX_LIMIT_TREE_VALUE_FACTOR);
    status = apx_forest_builder_create(l->allocator, s.features, l->score->outputs, s.width,
                                       builder, l->error);
    if (status != APX_OK)
        return status;
    l->builder = *builder;
    if (!apx_forest_builder_reserve(l->builder, l->count, s.all_leaves) ||
        !take_rooms(l, s.nodes, s.leaves, s.width))
        return no_memory(l);
    for (size_t begin = 0, end; begin < l->count && status == APX_OK; begin = end) {
        end = end_of_tree(l, begin);
        status = add_tree(l, begin, end, s.width);
    }
    return status;
}

enum apx_status apx_tree_build_lists(const struct apx_tree_attrs *attrs,
                                     const struct apx_tree_score *score,
                                     const struct apx_allocator *allocator,
                                     struct apx_forest_builder **builder, struct apx_error *error)
{
    struct lists l = {.attrs = attrs,
                      .score = score,
                      .allocator = allocator,
                      .error = error,
                      .count = attrs->treeids.count};
    *builder = NULL;
    enum apx_status status = build(&l, builder);
    void *rooms[] = {l.keys,     l.first_vote, l.next_vote,   l.nodes,   l.when_true, l.when_false,
                     l.is_child, l.continues,  l.is_absorbed, l.members, l.values};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        apx_release(allocator, rooms[i]);
    return status;
}
