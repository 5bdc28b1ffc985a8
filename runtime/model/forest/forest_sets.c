/* SPDX-License-Identifier: Apache-2.0 */
/* forest_sets.c - from sets to columns of 0 and 1.
 *
 * A set's tree is a search among its bounds: how many of them are <= x, and is that number odd?
 * Equal sets of one feature share a column, so long as NaN goes the same way. Sets that one
 * comparison can say (a single bound, or none) need no column. */
#include "runtime/model/forest/forest_sets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

static size_t bound_count(const struct apx_forest_desc *desc, const struct apx_tree_node *node)
{
    return desc->set_begin[node->set + 1] - desc->set_begin[node->set];
}

static const double *bounds_of(const struct apx_forest_desc *desc, const struct apx_tree_node *node)
{
    return desc->bounds + desc->set_begin[node->set];
}

static bool wants_column(const struct apx_forest_desc *desc, const struct apx_tree_node *node)
{
    return node->feature >= 0 && node->set >= 0 && bound_count(desc, node) > 1;
}

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

/* By feature, side of NaN, and bounds: equal ones are neighbours. */
static int compare(const void *a, const void *b, void *context)
{
    const struct apx_forest_desc *desc = context;
    const struct apx_tree_node *x = &desc->nodes[*(const uint32_t *)a];
    const struct apx_tree_node *y = &desc->nodes[*(const uint32_t *)b];
    size_t xs = bound_count(desc, x), ys = bound_count(desc, y);
    int sign = order(x->feature, y->feature);
    sign = sign != 0 ? sign : order(x->nan_right, y->nan_right);
    sign = sign != 0 ? sign : order((double)xs, (double)ys);
    for (size_t i = 0; sign == 0 && x->set != y->set && i < xs; i++)
        sign = order(bounds_of(desc, x)[i], bounds_of(desc, y)[i]);
    return sign;
}

struct search {
    const double *bounds;
    struct apx_tree_node *nodes;
    uint32_t count;
    int32_t feature;
    size_t nan_leaf; /* the leaf that NaN must reach, counted from the left */
};

/* The nodes for leaves first to last; returns the topmost. */
static uint32_t add_search(struct search *s, size_t first, size_t last)
{
    uint32_t at = s->count++;
    if (first == last) {
        s->nodes[at] = (struct apx_tree_node){
            .feature = -1, .set = -1, .left = first & 1, .right = (uint32_t)first};
        return at;
    }
    size_t middle = first + (last - first) / 2; /* bound `middle` parts leaves middle, middle + 1 */
    uint32_t left = add_search(s, first, middle), right = add_search(s, middle + 1, last);
    s->nodes[at] = (struct apx_tree_node){.threshold = s->bounds[middle],
                                          .feature = s->feature,
                                          .set = -1,
                                          .left = left,
                                          .right = right,
                                          .nan_right = s->nan_leaf > middle};
    return at;
}

static enum apx_status add_column(const struct apx_allocator *allocator,
                                  struct apx_forest_builder *builder,
                                  const struct apx_forest_desc *desc,
                                  const struct apx_tree_node *node, uint32_t column,
                                  struct apx_error *error)
{
    static const double values[2] = {0, 1};
    size_t bounds = bound_count(desc, node);
    struct search s = {.bounds = bounds_of(desc, node),
                       .nodes = apx_alloc(allocator, 2 * bounds + 1, sizeof *s.nodes),
                       .feature = node->feature,
                       .nan_leaf = node->nan_right};
    if (s.nodes == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the sets of categories");
    uint32_t root = add_search(&s, 0, bounds);
    enum apx_status status =
        apx_forest_builder_tree(builder, s.nodes, s.count, root, column, values, 2, error);
    apx_release(allocator, s.nodes);
    return status;
}

/* Nodes that need no column: a bound is a threshold, and no bound is one that nothing is below,
 * with the children the other way round. */
static void simplify(const struct apx_forest_desc *desc, struct apx_tree_node *nodes)
{
    for (size_t n = 0; n < desc->node_count; n++) {
        struct apx_tree_node *node = &nodes[n];
        if (node->feature < 0 || node->set < 0 || bound_count(desc, node) > 1)
            continue;
        if (bound_count(desc, node) == 1) {
            node->threshold = bounds_of(desc, node)[0];
        } else {
            uint32_t left = node->left;
            node->left = node->right;
            node->right = left;
            node->nan_right = !node->nan_right;
            node->threshold = -(double)INFINITY;
        }
        node->set = -1;
    }
}

/* The nodes that want columns, into asking[node_count], sorted. */
static size_t list_asking(struct apx_forest_desc *desc, uint32_t *asking)
{
    size_t count = 0;
    for (size_t n = 0; n < desc->node_count; n++)
        if (wants_column(desc, &desc->nodes[n]))
            asking[count++] = (uint32_t)n;
    qsort_r(asking, count, sizeof *asking, compare, desc);
    return count;
}

static size_t count_different(struct apx_forest_desc *desc, const uint32_t *asking, size_t count)
{
    size_t columns = count > 0;
    for (size_t i = 1; i < count; i++)
        columns += compare(&asking[i - 1], &asking[i], desc) != 0;
    return columns;
}

enum apx_status apx_forest_sets_count(const struct apx_forest *forest, size_t *count,
                                      struct apx_error *error)
{
    struct apx_forest_desc context = forest->desc;
    *count = 0;
    if (forest->desc.set_count == 0)
        return APX_OK;
    uint32_t *asking = apx_alloc(forest->allocator, context.node_count, sizeof *asking);
    if (asking == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the sets of categories");
    *count = count_different(&context, asking, list_asking(&context, asking));
    apx_release(forest->allocator, asking);
    return APX_OK;
}

/* asking: [count] nodes with columns, sorted. */
static enum apx_status build(const struct apx_forest *forest, const uint32_t *asking, size_t count,
                             struct apx_forest_sets *out, struct apx_error *error)
{
    const struct apx_forest_desc *desc = &forest->desc;
    struct apx_forest_desc context = *desc;
    struct apx_forest_builder *builder = NULL;
    size_t columns = count_different(&context, asking, count);
    if (columns == 0)
        return APX_OK;
    if (columns > APX_LIMIT_TREE_OUTPUTS)
        return apx_fail(error, APX_ELIMIT, "categories",
                        "%zu different sets of categories; at most %d can be written as ONNX",
                        columns, APX_LIMIT_TREE_OUTPUTS);
    enum apx_status status =
        apx_forest_builder_create(forest->allocator, desc->features, columns, 1, &builder, error);
    uint32_t column = 0;
    for (size_t i = 0; i < count && status == APX_OK; i++) {
        struct apx_tree_node *node = &out->nodes[asking[i]];
        bool is_new = i == 0 || compare(&asking[i - 1], &asking[i], &context) != 0;
        if (is_new && i > 0)
            column++;
        if (is_new)
            status = add_column(forest->allocator, builder, desc, &desc->nodes[asking[i]], column,
                                error);
        node->feature = (int32_t)(desc->features + column);
        node->set = -1;
        node->threshold = 0.5;
        node->nan_right = false; /* a column is never NaN */
    }
    if (status == APX_OK)
        status = apx_forest_builder_finish(builder, &out->members, error);
    apx_forest_builder_destroy(builder);
    if (status != APX_OK)
        return status;
    out->columns = columns;
    out->members->desc.compares_double = desc->compares_double;
    out->members->desc.sums_double = desc->sums_double;
    return APX_OK;
}

enum apx_status apx_forest_sets_to_columns(const struct apx_forest *forest,
                                           struct apx_forest_sets *out, struct apx_error *error)
{
    const struct apx_forest_desc *desc = &forest->desc;
    struct apx_forest_desc context = *desc;
    *out = (struct apx_forest_sets){
        .nodes = apx_alloc(forest->allocator, desc->node_count, sizeof *out->nodes)};
    uint32_t *asking = apx_alloc(forest->allocator, desc->node_count + 1, sizeof *asking);
    enum apx_status status = APX_OK;
    if (out->nodes == NULL || asking == NULL) {
        status = apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
    } else {
        if (desc->node_count > 0)
            memcpy(out->nodes, desc->nodes, desc->node_count * sizeof *out->nodes);
        simplify(desc, out->nodes);
        status = build(forest, asking, list_asking(&context, asking), out, error);
    }
    apx_release(forest->allocator, asking);
    if (status != APX_OK)
        apx_forest_sets_release(forest, out);
    return status;
}

void apx_forest_sets_release(const struct apx_forest *forest, struct apx_forest_sets *sets)
{
    apx_release(forest->allocator, sets->nodes);
    apx_forest_destroy(sets->members);
    *sets = (struct apx_forest_sets){0};
}
