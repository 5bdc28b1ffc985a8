/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_tree.c - one tree of an XGBoost file to the builder.
 *
 * A tree is a set of arrays over its nodes. A node whose left child is -1 is a leaf, and its
 * split_conditions is then its value; with vector leaves the values are rows of leaf_weights
 * (indexed by the leaf's right_children), or in files before that array existed the node's own row
 * of base_weights. Pruned nodes stay in the arrays, but nothing leads to them.
 *
 * Numbers: left if x < condition, which is the builder's form already. Categories: members of the
 * node's set go right, and everything else left: codes from [c, c + 1) are truncated to c, negative
 * ones and those from 2^24 on are in no set. Weights of dropout go into the leaves: the library
 * multiplies in float before it adds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/xgboost_reader.h"

#define CATEGORY_END 16777216.0 /* 2^24: codes from here on are not exact floats */

/* An array that is as large as the largest tree so far. */
struct room {
    void *data;
    size_t bytes;
};

struct apx_xgboost_tree {
    struct apx_xgboost *reader;
    struct room left, right, feature, nan_left, split_type, condition, cover, weights;
    struct room nodes, values, sets, categories, category_nodes, sizes, bounds;
    size_t index; /* of the tree at hand */
};

enum apx_status apx_xgboost_tree_create(struct apx_xgboost *reader, struct apx_xgboost_tree **out)
{
    *out = apx_alloc(reader->allocator, 1, sizeof **out);
    if (*out == NULL)
        return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for a tree");
    (*out)->reader = reader;
    return APX_OK;
}

void apx_xgboost_tree_destroy(struct apx_xgboost_tree *tree)
{
    if (tree == NULL)
        return;
    struct room *rooms[] = {&tree->left,     &tree->right,          &tree->feature,
                            &tree->nan_left, &tree->split_type,     &tree->condition,
                            &tree->cover,    &tree->weights,        &tree->nodes,
                            &tree->values,   &tree->sets,           &tree->categories,
                            &tree->bounds,   &tree->category_nodes, &tree->sizes};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        apx_release(tree->reader->allocator, rooms[i]->data);
    apx_release(tree->reader->allocator, tree);
}

static enum apx_status take(struct apx_xgboost_tree *tree, struct room *room, size_t count,
                            size_t size)
{
    size_t bytes;
    if (!__builtin_mul_overflow(count, size, &bytes) &&
        apx_grow(tree->reader->allocator, &room->data, 0, &room->bytes, bytes, 1))
        return APX_OK;
    return apx_fail(tree->reader->error, APX_ENOMEM, "", "out of memory for a tree");
}

static enum apx_status wrong_count(struct apx_xgboost_tree *tree, const char *name, size_t count,
                                   size_t wanted)
{
    char field[32];
    snprintf(field, sizeof field, "tree %zu", tree->index);
    if (count == SIZE_MAX)
        return apx_fail(tree->reader->error, APX_EFORMAT, field,
                        "tree %zu: %s is missing or no array of numbers", tree->index, name);
    return apx_fail(tree->reader->error, APX_EFORMAT, field,
                    "tree %zu: %s has %zu elements, not %zu", tree->index, name, count, wanted);
}

/* The member `name`, `wanted` numbers (SIZE_MAX: any count, in *count), as ints or floats. */
static enum apx_status take_array(struct apx_xgboost_tree *tree, const struct apx_doc_value *value,
                                  const char *name, bool is_float, size_t wanted, size_t *count,
                                  struct room *room)
{
    const struct apx_doc *doc = &tree->reader->doc;
    const struct apx_doc_value *member = apx_doc_member(doc, value, name);
    size_t found = apx_doc_count(doc, member);
    if (found == SIZE_MAX || (wanted != SIZE_MAX && found != wanted))
        return wrong_count(tree, name, found, wanted);
    if (count != NULL)
        *count = found;
    enum apx_status status = take(tree, room, found, sizeof(float));
    if (status != APX_OK)
        return status;
    return is_float ? apx_doc_floats(doc, member, name, room->data)
                    : apx_doc_ints(doc, member, name, room->data);
}

/* Zeros where the file has no such array. */
static enum apx_status take_optional(struct apx_xgboost_tree *tree,
                                     const struct apx_doc_value *value, const char *name,
                                     bool is_float, size_t count, struct room *room)
{
    if (apx_doc_member(&tree->reader->doc, value, name) != NULL)
        return take_array(tree, value, name, is_float, count, NULL, room);
    enum apx_status status = take(tree, room, count, sizeof(float));
    if (status == APX_OK)
        memset(room->data, 0, count * sizeof(float));
    return status;
}

/* ---- categories ------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The set of these categories: *set, its index with the builder. */
static enum apx_status make_set(struct apx_xgboost_tree *tree, size_t node, int32_t *categories,
                                size_t count, struct apx_forest_builder *builder, int32_t *set)
{
    double *bounds = tree->bounds.data; /* [2 * count] */
    size_t used = 0;
    for (size_t i = 1; i < count; i++)
        if (categories[i] <= categories[i - 1]) {
            qsort(categories, count, sizeof *categories, ascending);
            break;
        }
    for (size_t i = 0; i < count; i++) {
        double c = (double)categories[i];
        if (c < 0)
            return apx_forest_tree_fail(tree->reader->error, tree->index, node,
                                        "a category below 0: %d", (int)categories[i]);
        if (c >= CATEGORY_END)
            break;
        if (used > 0 && bounds[used - 1] >= c) {
            bounds[used - 1] = c + 1;
        } else {
            bounds[used++] = c;
            bounds[used++] = c + 1;
        }
    }
    *set = apx_forest_builder_set(builder, bounds, used);
    return *set >= 0 ? APX_OK
                     : apx_fail(tree->reader->error, APX_ENOMEM, "", "out of memory for a set");
}

/* sets[node]: its set, -1 for the nodes that compare numbers. */
static enum apx_status take_sets(struct apx_xgboost_tree *tree, const struct apx_doc_value *value,
                                 size_t count, struct apx_forest_builder *builder)
{
    size_t with, categories, total = 0, all = SIZE_MAX;
    enum apx_status status = take(tree, &tree->sets, count, sizeof(int32_t));
    if (status != APX_OK)
        return status;
    int32_t *sets = tree->sets.data;
    const int32_t *split_type = tree->split_type.data, *left = tree->left.data;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        sets[i] = -1;
        any |= split_type[i] == 1 && left[i] >= 0;
    }
    if (!any)
        return APX_OK;
    status = take_array(tree, value, "categories_nodes", false, all, &with, &tree->category_nodes);
    if (status == APX_OK)
        status = take_array(tree, value, "categories_sizes", false, with, NULL, &tree->sizes);
    if (status == APX_OK)
        status = take_array(tree, value, "categories", false, all, &categories, &tree->categories);
    if (status == APX_OK)
        status = take(tree, &tree->bounds, categories, 2 * sizeof(double));
    const int32_t *nodes = tree->category_nodes.data, *sizes = tree->sizes.data;
    for (size_t k = 0; status == APX_OK && k < with; k++) {
        size_t node = (size_t)nodes[k];
        if (nodes[k] < 0 || node >= count)
            return apx_forest_tree_fail(tree->reader->error, tree->index, k,
                                        "categories of a node that is not there: %d of %zu",
                                        (int)nodes[k], count);
        if (sets[node] >= 0)
            return apx_forest_tree_fail(tree->reader->error, tree->index, node,
                                        "categories_nodes names it twice");
        if (sizes[k] < 0 || (size_t)sizes[k] > categories - total)
            return apx_forest_tree_fail(
                tree->reader->error, tree->index, node,
                "categories_sizes gives it %d, which is more categories than the tree has "
                "left (%zu)",
                (int)sizes[k], categories - total);
        status = make_set(tree, node, (int32_t *)tree->categories.data + total, (size_t)sizes[k],
                          builder, &sets[node]);
        total += (size_t)sizes[k];
    }
    return status;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void make_leaf(const struct apx_xgboost_tree *tree, size_t i, bool has_rows,
                      struct apx_tree_node *node)
{
    const int32_t *right = tree->right.data;
    node->feature = -1;
    node->left = has_rows ? (uint32_t)right[i] : (uint32_t)i; /* which of the values */
    node->right = (uint32_t)i;
}

static enum apx_status make_split(struct apx_xgboost_tree *tree, size_t i, size_t count,
                                  struct apx_forest_builder *builder, struct apx_tree_node *node)
{
    const int32_t *left = tree->left.data, *right = tree->right.data;
    const int32_t *feature = tree->feature.data, *nan_left = tree->nan_left.data;
    const int32_t *split_type = tree->split_type.data;
    int32_t *sets = tree->sets.data;
    float condition = ((const float *)tree->condition.data)[i];
    if (left[i] < 0 || (size_t)left[i] >= count)
        return apx_forest_tree_fail(tree->reader->error, tree->index, i,
                                    "its left child is outside of the tree: %d of %zu nodes",
                                    (int)left[i], count);
    if (right[i] != left[i] + 1)
        return apx_forest_tree_fail(
            tree->reader->error, tree->index, i,
            "its right child is not the one behind its left, where XGBoost goes: %d and "
            "%d",
            (int)right[i], (int)left[i]);
    node->feature = feature[i] >= 0 ? feature[i] : INT32_MAX;
    node->left = (uint32_t)left[i];
    node->right = (uint32_t)right[i];
    node->nan_right = nan_left[i] == 0;
    if (split_type[i] == 1) {
        if (sets[i] < 0) /* none listed: nothing is a member */
            return make_set(tree, i, NULL, 0, builder, &node->set);
        node->set = sets[i];
    } else {
        /* Nothing is below NaN: all but NaN itself go right. */
        node->threshold = isnan(condition) ? -(double)INFINITY : (double)condition;
    }
    return APX_OK;
}

static enum apx_status make_nodes(struct apx_xgboost_tree *tree, size_t count, bool has_rows,
                                  struct apx_forest_builder *builder)
{
    struct apx_tree_node *nodes = tree->nodes.data;
    const int32_t *left = tree->left.data;
    const float *cover = tree->cover.data;
    enum apx_status status = APX_OK;
    for (size_t i = 0; i < count && status == APX_OK; i++) {
        nodes[i] = (struct apx_tree_node){.set = -1};
        if (cover[i] > 0.0f && isfinite(cover[i]))
            nodes[i].cover = cover[i];
        if (left[i] == -1)
            make_leaf(tree, i, has_rows, &nodes[i]);
        else
            status = make_split(tree, i, count, builder, &nodes[i]);
    }
    return status;
}

/* values[*rows, width]: what the leaves hold, weighted. */
static enum apx_status make_values(struct apx_xgboost_tree *tree, size_t count, size_t width,
                                   const struct room *from)
{
    enum apx_status status = take(tree, &tree->values, count * width, sizeof(double));
    if (status != APX_OK)
        return status;
    double *values = tree->values.data;
    const float *raw = from->data, *weights = tree->reader->tree_weight;
    const float weight = weights != NULL ? weights[tree->index] : 1.0f;
    for (size_t i = 0; i < count * width; i++) {
        float value = weights != NULL ? raw[i] * weight : raw[i];
        values[i] = (double)value;
    }
    return APX_OK;
}

static enum apx_status take_values(struct apx_xgboost_tree *tree, const struct apx_doc_value *value,
                                   size_t count, size_t *rows, bool *has_rows)
{
    const struct apx_xgboost *reader = tree->reader;
    *has_rows = false;
    *rows = count;
    if (!reader->has_vector_leaves)
        return make_values(tree, count, 1, &tree->condition);
    const size_t width = reader->outputs;
    size_t total;
    *has_rows = apx_doc_member(&reader->doc, value, "leaf_weights") != NULL;
    const char *name = *has_rows ? "leaf_weights" : "base_weights";
    enum apx_status status = take_array(
        tree, value, name, true, *has_rows ? SIZE_MAX : count * width, &total, &tree->weights);
    if (status == APX_OK && total % width != 0)
        return wrong_count(tree, name, total, total - total % width);
    *rows = total / width;
    return status == APX_OK ? make_values(tree, *rows, width, &tree->weights) : status;
}

enum apx_status apx_xgboost_leaf_width(struct apx_xgboost *reader, size_t index,
                                       const struct apx_doc_value *value, size_t *width)
{
    char field[32];
    *width = 1;
    snprintf(field, sizeof field, "tree %zu", index);
    if (value->kind != APX_DOC_OBJECT)
        return apx_fail(reader->error, APX_EFORMAT, field, "tree %zu is no object", index);
    enum apx_status status = apx_xgboost_integer(
        reader, apx_doc_member(&reader->doc, value, "tree_param"), "size_leaf_vector", width);
    if (status == APX_OK && *width == 0) /* 1.x wrote 0 for "no vectors" */
        *width = 1;
    return status;
}

static enum apx_status check_head(struct apx_xgboost_tree *tree, const struct apx_doc_value *value,
                                  size_t *count)
{
    struct apx_xgboost *reader = tree->reader;
    size_t width, id = tree->index;
    enum apx_status status = apx_xgboost_leaf_width(reader, tree->index, value, &width);
    if (status == APX_OK)
        status = apx_xgboost_integer(reader, value, "id", &id);
    if (status != APX_OK)
        return status;
    if (id != tree->index)
        return apx_forest_tree_fail(tree->reader->error, tree->index, 0,
                                    "the tree's id, %zu, is not its place in the file", id);
    if (width != (reader->has_vector_leaves ? reader->outputs : 1))
        return apx_forest_tree_fail(tree->reader->error, tree->index, 0,
                                    "a size_leaf_vector unlike the model's: %zu", width);
    const struct apx_doc *doc = &reader->doc;
    *count = apx_doc_count(doc, apx_doc_member(doc, value, "left_children"));
    size_t told = *count;
    status =
        apx_xgboost_integer(reader, apx_doc_member(doc, value, "tree_param"), "num_nodes", &told);
    if (status == APX_OK && (*count == SIZE_MAX || *count != told || *count == 0))
        return wrong_count(tree, "left_children", *count, told);
    return status;
}

enum apx_status apx_xgboost_tree_read(struct apx_xgboost_tree *tree, size_t index,
                                      const struct apx_doc_value *value,
                                      struct apx_forest_builder *builder)
{
    size_t n = 0, rows = 0;
    bool has_rows = false;
    tree->index = index;
    enum apx_status status = check_head(tree, value, &n);
    if (status == APX_OK)
        status = take_array(tree, value, "left_children", false, n, NULL, &tree->left);
    if (status == APX_OK)
        status = take_array(tree, value, "right_children", false, n, NULL, &tree->right);
    if (status == APX_OK)
        status = take_array(tree, value, "split_indices", false, n, NULL, &tree->feature);
    if (status == APX_OK)
        status = take_array(tree, value, "split_conditions", true, n, NULL, &tree->condition);
    if (status == APX_OK)
        status = take_array(tree, value, "default_left", false, n, NULL, &tree->nan_left);
    if (status == APX_OK)
        status = take_optional(tree, value, "sum_hessian", true, n, &tree->cover);
    if (status == APX_OK)
        status = take_optional(tree, value, "split_type", false, n, &tree->split_type);
    if (status == APX_OK)
        status = take_sets(tree, value, n, builder);
    if (status == APX_OK)
        status = take(tree, &tree->nodes, n, sizeof(struct apx_tree_node));
    if (status == APX_OK)
        status = take_values(tree, value, n, &rows, &has_rows);
    if (status == APX_OK)
        status = make_nodes(tree, n, has_rows, builder);
    if (status != APX_OK)
        return status;
    return apx_forest_builder_tree(builder, tree->nodes.data, n, 0,
                                   (uint32_t)tree->reader->tree_output[index], tree->values.data,
                                   rows, tree->reader->error);
}
