/* SPDX-License-Identifier: Apache-2.0 */
/* forest_scalar.c - the reference: one row, one tree, one node after the other, as the description
 * says it. The packed form is the description itself, its arrays one behind the other. */
#include <math.h>
#include <string.h>

#include "kernels/tree/forest_rows.h"

/* Offsets in bytes from the start of the packed forest. */
struct plain {
    struct apx_forest_desc desc; /* its pointers are NULL */
    struct apx_forest_linear linear;
    size_t roots, nodes, tree_output, leaf_values, leaf_ids, set_begin, bounds, base;
    size_t constant, begin, feature, coefficient;
    bool has_tree_output, has_linear;
    size_t bytes;
};

static size_t place(size_t *end, size_t count, size_t size)
{
    size_t at = (*end + 63) / 64 * 64;
    *end = at + count * size;
    return at;
}

static size_t leaf_width(const struct apx_forest_desc *desc)
{
    return desc->tree_output != NULL ? 1 : desc->outputs;
}

static void lay_out(const struct apx_forest_desc *desc, struct plain *plain)
{
    size_t end = sizeof *plain;
    memset(plain, 0, sizeof *plain);
    plain->desc = *desc;
    plain->has_tree_output = desc->tree_output != NULL;
    plain->has_linear = desc->linear != NULL;
    plain->roots = place(&end, desc->trees + 1, sizeof *desc->roots);
    plain->nodes = place(&end, desc->node_count, sizeof *desc->nodes);
    plain->tree_output =
        place(&end, plain->has_tree_output ? desc->trees : 0, sizeof *desc->tree_output);
    plain->leaf_values =
        place(&end, desc->leaf_count * leaf_width(desc), sizeof *desc->leaf_values);
    plain->leaf_ids = place(&end, desc->leaf_count, sizeof *desc->leaf_ids);
    plain->set_begin = place(&end, desc->set_count + 1, sizeof *desc->set_begin);
    plain->bounds = place(&end, desc->set_count > 0 ? desc->set_begin[desc->set_count] : 0,
                          sizeof *desc->bounds);
    plain->base = place(&end, desc->outputs, sizeof *desc->base);
    if (plain->has_linear) {
        const struct apx_forest_linear *linear = desc->linear;
        size_t terms = linear->begin[desc->leaf_count];
        plain->constant = place(&end, desc->leaf_count, sizeof *linear->constant);
        plain->begin = place(&end, desc->leaf_count + 1, sizeof *linear->begin);
        plain->feature = place(&end, terms, sizeof *linear->feature);
        plain->coefficient = place(&end, terms, sizeof *linear->coefficient);
    }
    plain->bytes = (end + 63) / 64 * 64;
    plain->desc.roots = plain->desc.tree_output = plain->desc.leaf_ids = NULL;
    plain->desc.nodes = NULL;
    plain->desc.leaf_values = plain->desc.bounds = plain->desc.base = NULL;
    plain->desc.set_begin = NULL;
    plain->desc.linear = NULL;
}

size_t apx_forest_plain_scalar_pack_bound(const struct apx_forest_desc *desc)
{
    struct plain plain;
    lay_out(desc, &plain);
    return plain.bytes;
}

static void put(char *base, size_t at, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(base + at, from, bytes);
}

size_t apx_forest_plain_scalar_pack(const struct apx_forest_desc *desc, void *memory)
{
    struct plain *plain = memory;
    char *base = memory;
    lay_out(desc, plain);
    put(base, plain->roots, desc->roots, (desc->trees + 1) * sizeof *desc->roots);
    put(base, plain->nodes, desc->nodes, desc->node_count * sizeof *desc->nodes);
    if (plain->has_tree_output)
        put(base, plain->tree_output, desc->tree_output, desc->trees * sizeof *desc->tree_output);
    put(base, plain->leaf_values, desc->leaf_values,
        desc->leaf_count * leaf_width(desc) * sizeof *desc->leaf_values);
    put(base, plain->leaf_ids, desc->leaf_ids, desc->leaf_count * sizeof *desc->leaf_ids);
    put(base, plain->set_begin, desc->set_begin, (desc->set_count + 1) * sizeof *desc->set_begin);
    if (desc->set_count > 0)
        put(base, plain->bounds, desc->bounds,
            desc->set_begin[desc->set_count] * sizeof *desc->bounds);
    put(base, plain->base, desc->base, desc->outputs * sizeof *desc->base);
    if (plain->has_linear) {
        const struct apx_forest_linear *linear = desc->linear;
        size_t terms = linear->begin[desc->leaf_count];
        put(base, plain->constant, linear->constant, desc->leaf_count * sizeof *linear->constant);
        put(base, plain->begin, linear->begin, (desc->leaf_count + 1) * sizeof *linear->begin);
        put(base, plain->feature, linear->feature, terms * sizeof *linear->feature);
        put(base, plain->coefficient, linear->coefficient, terms * sizeof *linear->coefficient);
    }
    return plain->bytes;
}

/* The description again, its pointers into the packed forest. */
static struct apx_forest_desc open_packed(const void *packed, struct apx_forest_linear *linear)
{
    const struct plain *plain = packed;
    const char *base = packed;
    struct apx_forest_desc desc = plain->desc;
    desc.roots = (const void *)(base + plain->roots);
    desc.nodes = (const void *)(base + plain->nodes);
    desc.tree_output = plain->has_tree_output ? (const void *)(base + plain->tree_output) : NULL;
    desc.leaf_values = (const void *)(base + plain->leaf_values);
    desc.leaf_ids = (const void *)(base + plain->leaf_ids);
    desc.set_begin = (const void *)(base + plain->set_begin);
    desc.bounds = (const void *)(base + plain->bounds);
    desc.base = (const void *)(base + plain->base);
    desc.linear = plain->has_linear ? linear : NULL;
    linear->constant = (const void *)(base + plain->constant);
    linear->begin = (const void *)(base + plain->begin);
    linear->feature = (const void *)(base + plain->feature);
    linear->coefficient = (const void *)(base + plain->coefficient);
    return desc;
}

size_t apx_forest_plain_scalar_scratch_bytes(const void *packed)
{
    const struct plain *plain = packed;
    return plain->desc.outputs * (sizeof(double) + sizeof(bool));
}

void apx_forest_plain_scalar_describe(const void *packed, struct apx_forest_choice *choice)
{
    const struct plain *plain = packed;
    /* Some five nanoseconds a node, and half of a balanced tree's depth more for real ones. */
    double depth = plain->desc.trees > 0
                       ? 1.5 * log2((double)plain->desc.leaf_count / (double)plain->desc.trees + 1)
                       : 0;
    choice->schedule = "reference: node by node";
    choice->bytes = plain->bytes;
    choice->seconds_per_row = 5e-9 * depth * (double)plain->desc.trees;
    choice->seconds_per_row_one = choice->seconds_per_row;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* The row's value of a feature, as the forest compares it. */
static double value_of(const struct apx_forest_args *args, bool compares_double, size_t row,
                       size_t feature)
{
    ptrdiff_t at = (ptrdiff_t)row * args->x_row + (ptrdiff_t)feature;
    if (!args->x_is_double)
        return (double)((const float *)args->x)[at];
    double x = ((const double *)args->x)[at];
    return compares_double ? x : (double)(float)x;
}

static bool goes_right(const struct apx_forest_desc *desc, const struct apx_tree_node *node,
                       double x)
{
    if (isnan(x))
        return node->nan_right;
    if (node->set < 0)
        return x >= node->threshold;
    bool inside = false;
    for (uint32_t i = desc->set_begin[node->set]; i < desc->set_begin[node->set + 1]; i++)
        inside ^= desc->bounds[i] <= x;
    return inside;
}

static uint32_t find_leaf(const struct apx_forest_desc *desc, const struct apx_forest_args *args,
                          size_t row, size_t tree)
{
    const struct apx_tree_node *node = &desc->nodes[desc->roots[tree]];
    while (node->feature >= 0) {
        double x = value_of(args, desc->compares_double, row, (size_t)node->feature);
        node = &desc->nodes[goes_right(desc, node, x) ? node->right : node->left];
    }
    return node->left;
}

static double leaf_value(const struct apx_forest_desc *desc, const struct apx_forest_args *args,
                         size_t row, uint32_t leaf)
{
    if (desc->linear == NULL)
        return desc->leaf_values[leaf];
    const struct apx_forest_linear *linear = desc->linear;
    double sum = linear->constant[leaf];
    for (uint32_t i = linear->begin[leaf]; i < linear->begin[leaf + 1]; i++) {
        double x = value_of(args, desc->compares_double, row, linear->feature[i]);
        if (isnan(x))
            return desc->leaf_values[leaf];
        sum += linear->coefficient[i] * x;
    }
    return sum;
}

static void add(const struct apx_forest_desc *desc, double *sum, double value, bool is_first)
{
    if (desc->sum == APX_FOREST_SUM)
        *sum = desc->sums_double ? *sum + value : (double)((float)*sum + (float)value);
    else if (is_first || (desc->sum == APX_FOREST_MIN ? value < *sum : value > *sum))
        *sum = value;
}

void apx_forest_plain_scalar_run(const struct apx_forest_args *args)
{
    struct apx_forest_linear linear;
    const struct apx_forest_desc desc = open_packed(args->packed, &linear);
    double *sums = args->scratch;
    bool *is_first = (bool *)(sums + desc.outputs); /* no tree of this output yet */
    for (size_t n = 0; n < args->rows; n++) {
        for (size_t k = 0; k < desc.outputs; k++) {
            sums[k] = desc.sum == APX_FOREST_SUM ? desc.base[k] : 0;
            is_first[k] = true;
        }
        for (size_t t = 0; t < desc.trees; t++) {
            uint32_t leaf = find_leaf(&desc, args, n, t);
            if (args->leaves != NULL)
                args->leaves[n * desc.trees + t] = desc.leaf_ids[leaf];
            if (desc.tree_output != NULL) {
                size_t k = desc.tree_output[t];
                add(&desc, &sums[k], leaf_value(&desc, args, n, leaf), is_first[k]);
                is_first[k] = false;
                continue;
            }
            for (size_t k = 0; k < desc.outputs; k++)
                add(&desc, &sums[k], desc.leaf_values[leaf * desc.outputs + k], t == 0);
        }
        for (size_t k = 0; k < desc.outputs && args->margins != NULL; k++) {
            if (desc.sums_double)
                ((double *)args->margins)[n * desc.outputs + k] = sums[k];
            else
                ((float *)args->margins)[n * desc.outputs + k] = (float)sums[k];
        }
    }
}
