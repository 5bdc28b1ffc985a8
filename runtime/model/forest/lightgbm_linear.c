/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_linear.c - leaves that are linear functions of the row.
 *
 * A leaf is then leaf_const + leaf_coeff[0] x[leaf_features[0]] + ..., added from left to right in
 * double, or its plain leaf_value if one of those features is NaN. Trees with and without such
 * leaves stand in one model (the first iteration never has them): to the kernels all leaves are
 * linear then, those without features with their value as the constant. */
#include "runtime/model/forest/lightgbm_reader.h"

#include <string.h>

#include "runtime/base/memory.h"

static enum apx_status wrong(const struct apx_lightgbm_reader *reader, size_t line, const char *key,
                             size_t index, const char *wanted)
{
    return apx_lightgbm_fail(reader, APX_EFORMAT, line, true, "%s: number %zu is missing or no %s",
                             key, index, wanted);
}

/* Of every leaf in the file's order: its constant, and where its terms begin. */
struct tree_terms {
    double *constant;
    uint32_t *begin; /* [leaves + 1] */
};

static enum apx_status read_leaves(const struct apx_lightgbm_reader *reader, size_t leaves,
                                   const struct apx_lightgbm_linear_lines *lines,
                                   const struct tree_terms *tree)
{
    struct apx_lightgbm_span constants = lines->constants, counts = lines->counts, word;
    tree->begin[0] = 0;
    for (size_t i = 0; i < leaves; i++) {
        int32_t terms = 0;
        if (constants.at == NULL || !apx_lightgbm_word(&constants, &word) ||
            !apx_lightgbm_double(&word, &tree->constant[i]))
            return wrong(reader, constants.line, "leaf_const", i, "number");
        if (counts.at != NULL &&
            (!apx_lightgbm_word(&counts, &word) || !apx_lightgbm_int(&word, &terms) || terms < 0))
            return wrong(reader, counts.line, "num_features", i, "count of features");
        if ((uint32_t)terms > UINT32_MAX - tree->begin[i])
            return wrong(reader, counts.line, "num_features", i, "count of features");
        tree->begin[i + 1] = tree->begin[i] + (uint32_t)terms;
    }
    return APX_OK;
}

static enum apx_status read_terms(const struct apx_lightgbm_reader *reader, size_t count,
                                  const struct apx_lightgbm_linear_lines *lines,
                                  struct apx_lightgbm_term *terms)
{
    struct apx_lightgbm_span features = lines->features, coefficients = lines->coefficients, word;
    for (size_t i = 0; i < count; i++) {
        int32_t feature;
        if (!apx_lightgbm_word(&features, &word) || !apx_lightgbm_int(&word, &feature) ||
            feature < 0 || feature >= reader->features)
            return wrong(reader, features.line, "leaf_features", i, "feature of the model");
        terms[i].feature = (uint32_t)feature;
        if (!apx_lightgbm_word(&coefficients, &word) ||
            !apx_lightgbm_double(&word, &terms[i].coefficient))
            return wrong(reader, coefficients.line, "leaf_coeff", i, "number");
    }
    return APX_OK;
}

/* To the reader's lists, in the order in which the builder put the leaves. */
static enum apx_status append(struct apx_lightgbm_reader *reader, size_t first,
                              const struct tree_terms *tree, const struct apx_lightgbm_term *terms)
{
    struct apx_lightgbm_linear *linear = &reader->linear;
    const uint32_t *value_index;
    const size_t end = apx_forest_builder_leaves(reader->builder, &value_index);
    if (!apx_grow(reader->allocator, &linear->leaves, linear->leaf_count, &linear->leaf_capacity,
                  end - first, sizeof *linear->leaves))
        return apx_lightgbm_no_memory(reader);
    for (size_t leaf = first; leaf < end; leaf++) {
        uint32_t i = value_index[leaf], count = tree->begin[i + 1] - tree->begin[i];
        if (!apx_grow(reader->allocator, &linear->terms, linear->term_count, &linear->term_capacity,
                      count, sizeof *linear->terms))
            return apx_lightgbm_no_memory(reader);
        linear->leaves[linear->leaf_count++] = (struct apx_lightgbm_linear_leaf){
            .leaf = (uint32_t)leaf, .terms = count, .constant = tree->constant[i]};
        if (count > 0)
            memcpy(&linear->terms[linear->term_count], &terms[tree->begin[i]],
                   count * sizeof *terms);
        linear->term_count += count;
    }
    return linear->term_count <= UINT32_MAX
               ? APX_OK
               : apx_lightgbm_fail(reader, APX_ELIMIT, 0, true,
                                   "more than 2^32 coefficients of linear leaves in all");
}

enum apx_status apx_lightgbm_linear_add(struct apx_lightgbm_reader *reader, size_t first,
                                        size_t leaves,
                                        const struct apx_lightgbm_linear_lines *lines)
{
    struct apx_lightgbm_term *terms = NULL;
    struct tree_terms tree = {apx_alloc(reader->allocator, leaves, sizeof *tree.constant),
                              apx_alloc(reader->allocator, leaves + 1, sizeof *tree.begin)};
    enum apx_status status = APX_OK;
    if (tree.constant == NULL || tree.begin == NULL)
        status = apx_lightgbm_no_memory(reader);
    if (status == APX_OK)
        status = read_leaves(reader, leaves, lines, &tree);
    const size_t count = status == APX_OK ? tree.begin[leaves] : 0;
    /* Believed only if the file is long enough for so many. */
    if (count > 0 && (lines->features.at == NULL || lines->coefficients.at == NULL ||
                      (size_t)(lines->features.end - lines->features.at) < count))
        status =
            apx_lightgbm_fail(reader, APX_EFORMAT, lines->counts.line, true,
                              "num_features asks for %zu terms; leaf_features or leaf_coeff is "
                              "missing or has fewer",
                              count);
    if (status == APX_OK && (terms = apx_alloc(reader->allocator, count, sizeof *terms)) == NULL)
        status = apx_lightgbm_no_memory(reader);
    if (status == APX_OK)
        status = read_terms(reader, count, lines, terms);
    if (status == APX_OK)
        status = append(reader, first, &tree, terms);
    reader->linear.any = true;
    apx_release(reader->allocator, terms);
    apx_release(reader->allocator, tree.constant);
    apx_release(reader->allocator, tree.begin);
    return status;
}

enum apx_status apx_lightgbm_linear_finish(const struct apx_lightgbm_reader *reader,
                                           struct apx_forest *forest)
{
    const struct apx_lightgbm_linear *from = &reader->linear;
    if (!from->any)
        return APX_OK;
    const size_t leaves = forest->desc.leaf_count;
    struct apx_forest_linear *to = apx_forest_alloc(forest, sizeof *to);
    double *constant = apx_forest_alloc(forest, leaves * sizeof *constant);
    uint32_t *begin = apx_forest_alloc(forest, (leaves + 1) * sizeof *begin);
    uint32_t *feature = apx_forest_alloc(forest, from->term_count * sizeof *feature);
    double *coefficient = apx_forest_alloc(forest, from->term_count * sizeof *coefficient);
    if (to == NULL || constant == NULL || begin == NULL || feature == NULL || coefficient == NULL)
        return apx_lightgbm_no_memory(reader);
    memcpy(constant, forest->desc.leaf_values, leaves * sizeof *constant);
    for (size_t i = 0; i < from->leaf_count; i++) {
        constant[from->leaves[i].leaf] = from->leaves[i].constant;
        begin[from->leaves[i].leaf + 1] = from->leaves[i].terms;
    }
    for (size_t i = 0; i < leaves; i++)
        begin[i + 1] += begin[i];
    for (size_t i = 0; i < from->term_count; i++) {
        feature[i] = from->terms[i].feature;
        coefficient[i] = from->terms[i].coefficient;
    }
    *to = (struct apx_forest_linear){constant, begin, feature, coefficient};
    forest->desc.linear = to;
    return APX_OK;
}
