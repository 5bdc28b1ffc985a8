/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_split.c - the comparisons of ai.onnx.ml as a threshold or a set.
 *
 * Everything is said in double here. Rows of floats meet float thresholds: x >= T for a float x is
 * x >= the least float that is not below T, so narrowing rounds every bound up, and what was an
 * interval of doubles is the interval of the floats in it (none, if it lies between two floats). */
#include "runtime/model/forest/tree_ensemble.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/fail.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The members as half-open intervals [m, next above m), in place: there is room for 2 * count. */
static int32_t add_members(struct apx_forest_builder *builder, double *members, size_t count)
{
    size_t kept = 0, end;
    for (size_t i = 0; i < count; i++)
        if (!isnan(members[i])) /* equal to nothing */
            members[kept++] = members[i];
    if (kept > 1)
        qsort(members, kept, sizeof *members, compare);
    count = kept;
    kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || members[i] > members[kept - 1])
            members[kept++] = members[i];
    end = 2 * kept;
    if (kept > 0 && isinf(members[kept - 1]) && members[kept - 1] > 0)
        end--; /* open to the right */
    for (size_t i = kept; i-- > 0;) {
        double member = members[i];
        if (2 * i + 1 < end)
            apx_above_double(member, &members[2 * i + 1]);
        members[2 * i] = member;
    }
    return apx_forest_builder_set(builder, members, end);
}

enum apx_status apx_tree_split(struct apx_forest_builder *builder, enum apx_tree_mode mode,
                               int32_t feature, double value, double *members, size_t count,
                               uint32_t when_true, uint32_t when_false, bool is_missing_true,
                               struct apx_tree_node *node, struct apx_error *error)
{
    const double everything = -(double)INFINITY;
    /* The side on which the true branch lies. */
    bool is_right = mode == APX_TREE_GTE || mode == APX_TREE_GT || mode == APX_TREE_EQ ||
                    mode == APX_TREE_MEMBER;
    *node = (struct apx_tree_node){.feature = feature,
                                   .set = -1,
                                   .left = is_right ? when_false : when_true,
                                   .right = is_right ? when_true : when_false};
    /* NaN differs from every value: so ONNX Runtime and the standard's evaluator have it. */
    is_missing_true = is_missing_true || mode == APX_TREE_NEQ;
    node->nan_right = is_missing_true == is_right;
    if (mode == APX_TREE_EQ || mode == APX_TREE_NEQ || mode == APX_TREE_MEMBER)
        node->set = mode == APX_TREE_MEMBER ? add_members(builder, members, count)
                                            : add_members(builder, (double[2]){value}, 1);
    else if (isnan(value)) /* no value compares with it: the false branch */
        node->set = apx_forest_builder_set(builder, &everything, is_right ? 0 : 1);
    else if (mode == APX_TREE_LT || mode == APX_TREE_GTE)
        node->threshold = value;
    else if (!apx_above_double(value, &node->threshold))
        node->set = apx_forest_builder_set(builder, NULL, 0); /* nothing is above infinity */
    else
        return APX_OK;
    if (node->set < 0 && mode != APX_TREE_LT && mode != APX_TREE_GTE)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
    return APX_OK;
}

static double up_to_float(double value)
{
    float near = (float)value;
    return (double)((double)near < value ? nextafterf(near, INFINITY) : near);
}

void apx_tree_narrow(struct apx_forest *forest)
{
    struct apx_forest_desc *desc = &forest->desc;
    /* Arrays of the forest itself, which nobody has seen yet. */
    struct apx_tree_node *nodes = (struct apx_tree_node *)(uintptr_t)desc->nodes;
    double *bounds = (double *)(uintptr_t)desc->bounds;
    for (size_t n = 0; n < desc->node_count; n++)
        if (nodes[n].feature >= 0 && nodes[n].set < 0)
            nodes[n].threshold = up_to_float(nodes[n].threshold);
    for (size_t i = 0; desc->set_count > 0 && i < desc->set_begin[desc->set_count]; i++)
        bounds[i] = up_to_float(bounds[i]);
    desc->compares_double = false;
}
