/* SPDX-License-Identifier: Apache-2.0 */
/* ranked_sums.h - from leaves to sums, in the order of the trees, and from sums to margins. */
#ifndef APX_TREE_RANKED_SUMS_H
#define APX_TREE_RANKED_SUMS_H

#include "kernels/tree/ranked_codes.h"

static double ranked_value(const struct ranked_run *run, size_t row, size_t feature)
{
    const ptrdiff_t at = (ptrdiff_t)row * run->args->x_row + (ptrdiff_t)feature;
    if (!run->args->x_is_double)
        return (double)((const float *)run->args->x)[at];
    const double x = ((const double *)run->args->x)[at];
    return run->packed->compares_double ? x : (double)(float)x;
}

static double ranked_leaf_value(const struct ranked_run *run, size_t row, size_t leaf)
{
    const struct apx_packed *p = run->packed;
    const double plain =
        p->sums_double ? ((const double *)apx_packed_array(p, p->leaf_values_at))[leaf]
                       : (double)((const float *)apx_packed_array(p, p->leaf_values_at))[leaf];
    if (!p->has_linear)
        return plain;
    const uint32_t *begin = apx_packed_array(p, p->begin_at);
    const uint32_t *feature = apx_packed_array(p, p->linear_feature_at);
    const double *coefficient = apx_packed_array(p, p->coefficient_at);
    double sum = ((const double *)apx_packed_array(p, p->constant_at))[leaf];
    for (uint32_t i = begin[leaf]; i < begin[leaf + 1]; i++) {
        double x = ranked_value(run, row, feature[i]);
        if (x != x)
            return plain;
        sum += coefficient[i] * x;
    }
    return sum;
}

static void ranked_add(const struct apx_packed *packed, double *sum, double value, bool begins)
{
    if (packed->sum == APX_FOREST_MIN)
        *sum = begins || value < *sum ? value : *sum;
    else if (packed->sum == APX_FOREST_MAX)
        *sum = begins || value > *sum ? value : *sum;
    else
        *sum = packed->sums_double ? *sum + value : (double)((float)*sum + (float)value);
}

/* One row's leaf to its sums [K]. leaf: index in the forest. */
static void ranked_add_row(const struct ranked_run *run, const struct apx_packed_tree *tree,
                           size_t row, size_t leaf, double *sums)
{
    const struct apx_packed *packed = run->packed;
    if (!packed->vector) {
        ranked_add(packed, &sums[tree->output], ranked_leaf_value(run, row, leaf), tree->begins);
        return;
    }
    const size_t outputs = packed->outputs;
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    for (size_t k = 0; k < outputs; k++)
        ranked_add(packed, &sums[k],
                   packed->sums_double ? ((const double *)values)[leaf * outputs + k]
                                       : (double)((const float *)values)[leaf * outputs + k],
                   tree->begins);
}

/* Leaves of many values: leaf[r] from the first value of the tree's on, to the sums of row r. */
#define VECTOR_ADD(name, type)                                                                     \
    APX_INLINE void name##_of(const size_t outputs, const type *values, const uint32_t *leaf,      \
                              size_t rows, type *sums)                                             \
    {                                                                                              \
        for (size_t r = 0; r < rows; r++, sums += outputs)                                         \
            for (size_t k = 0; k < outputs; k++)                                                   \
                sums[k] += values[leaf[r] * outputs + k];                                          \
    }                                                                                              \
    static void name(size_t outputs, const type *values, const uint32_t *leaf, size_t rows,        \
                     type *sums)                                                                   \
    {                                                                                              \
        switch (outputs) {                                                                         \
        case 2:                                                                                    \
            name##_of(2, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        case 3:                                                                                    \
            name##_of(3, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        case 4:                                                                                    \
            name##_of(4, values, leaf, rows, sums);                                                \
            break;                                                                                 \
        default:                                                                                   \
            name##_of(outputs, values, leaf, rows, sums);                                          \
        }                                                                                          \
    }
VECTOR_ADD(ranked_add_vectors, float)
VECTOR_ADD(ranked_add_vectors_double, double)
#undef VECTOR_ADD

static void ranked_begin(const struct ranked_run *run, void *sums, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const double *base = apx_packed_array(packed, packed->base_at);
    const size_t outputs = packed->outputs;
    for (size_t k = 0; k < outputs; k++) {
        const double first = base[k];
        for (size_t r = 0; r < rows; r++)
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)sums)[k * TILE + r] = (float)first;
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)sums)[k * TILE + r] = first;
            else if (run->sums_kind == SUMS_VECTOR)
                ((float *)sums)[r * outputs + k] = (float)first;
            else
                ((double *)sums)[r * outputs + k] = first;
    }
}

static void ranked_finish(const struct ranked_run *run, const void *sums, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const size_t outputs = packed->outputs;
    if (run->args->margins == NULL)
        return;
    for (size_t k = 0; k < outputs; k++)
        for (size_t r = 0; r < rows; r++) {
            const size_t at = (row0 + r) * outputs + k;
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)run->args->margins)[at] = ((const float *)sums)[k * TILE + r];
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)run->args->margins)[at] = ((const double *)sums)[k * TILE + r];
            else if (run->sums_kind == SUMS_VECTOR)
                ((float *)run->args->margins)[at] = ((const float *)sums)[r * outputs + k];
            else if (packed->sums_double)
                ((double *)run->args->margins)[at] = ((const double *)sums)[r * outputs + k];
            else
                ((float *)run->args->margins)[at] = (float)((const double *)sums)[r * outputs + k];
        }
}

/* A tile's leaves of one tree to the sums, and to args->leaves. */
static void ranked_take_leaves(const struct ranked_run *run, size_t t, const uint32_t *leaf,
                               void *sums, size_t row0, size_t rows)
{
    const struct apx_packed *packed = run->packed;
    const struct apx_packed_tree *tree = &run->trees[t];
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    if (run->sums_kind == SUMS_FLOAT) {
        const float *value = (const float *)values + tree->leaves;
        float *sum = (float *)sums + (size_t)tree->output * TILE;
        for (size_t r = 0; r < rows; r++)
            sum[r] += value[leaf[r]];
    } else if (run->sums_kind == SUMS_DOUBLE) {
        const double *value = (const double *)values + tree->leaves;
        double *sum = (double *)sums + (size_t)tree->output * TILE;
        for (size_t r = 0; r < rows; r++)
            sum[r] += value[leaf[r]];
    } else if (run->sums_kind == SUMS_VECTOR) {
        ranked_add_vectors(packed->outputs,
                           (const float *)values + (size_t)tree->leaves * packed->outputs, leaf,
                           rows, sums);
    } else if (run->sums_kind == SUMS_VECTOR_DOUBLE) {
        ranked_add_vectors_double(packed->outputs,
                                  (const double *)values + (size_t)tree->leaves * packed->outputs,
                                  leaf, rows, sums);
    } else {
        for (size_t r = 0; r < rows; r++)
            ranked_add_row(run, tree, row0 + r, tree->leaves + leaf[r],
                           (double *)sums + r * packed->outputs);
    }
    if (run->args->leaves == NULL)
        return;
    for (size_t r = 0; r < rows; r++)
        run->args->leaves[(row0 + r) * packed->trees + t] =
            apx_packed_leaf_id(packed, tree->leaves + leaf[r], tree->leaves);
}

/* One row's leaves to its sums and margins; leaf[t]: index in tree t. */
static void ranked_take_row(const struct ranked_run *run, const uint32_t *leaf, size_t row)
{
    const struct apx_packed *packed = run->packed;
    void *sums = run->scratch + packed->sums_at;
    const void *values = apx_packed_array(packed, packed->leaf_values_at);
    ranked_begin(run, sums, 1);
    if (packed->outputs == 1 && run->sums_kind == SUMS_FLOAT) {
        float sum = *(const float *)sums;
        for (size_t t = 0; t < packed->trees; t++)
            sum += ((const float *)values)[run->trees[t].leaves + leaf[t]];
        *(float *)sums = sum;
    } else {
        for (size_t t = 0; t < packed->trees; t++) {
            const struct apx_packed_tree *tree = &run->trees[t];
            const size_t at = tree->leaves + leaf[t];
            if (run->sums_kind == SUMS_FLOAT)
                ((float *)sums)[(size_t)tree->output * TILE] += ((const float *)values)[at];
            else if (run->sums_kind == SUMS_DOUBLE)
                ((double *)sums)[(size_t)tree->output * TILE] += ((const double *)values)[at];
            else if (run->sums_kind == SUMS_VECTOR)
                ranked_add_vectors(packed->outputs,
                                   (const float *)values + (size_t)tree->leaves * packed->outputs,
                                   &leaf[t], 1, sums);
            else if (run->sums_kind == SUMS_VECTOR_DOUBLE)
                ranked_add_vectors_double(packed->outputs,
                                          (const double *)values +
                                              (size_t)tree->leaves * packed->outputs,
                                          &leaf[t], 1, sums);
            else
                ranked_add_row(run, tree, row, at, sums);
        }
    }
    for (size_t t = 0; t < packed->trees && run->args->leaves != NULL; t++)
        run->args->leaves[row * packed->trees + t] =
            apx_packed_leaf_id(packed, run->trees[t].leaves + leaf[t], run->trees[t].leaves);
    ranked_finish(run, sums, row, 1);
}

#endif
