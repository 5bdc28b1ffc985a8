/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_case.h - small models of LightGBM as text, read and run through the reference row. */
#ifndef APX_TESTS_LIGHTGBM_CASE_H
#define APX_TESTS_LIGHTGBM_CASE_H

#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_read.h"
#include "tests/harness/text_with.h"

/* Two iterations over three features: number splits, a categorical split, a single leaf. */
static const char *const lightgbm_sample = "tree\n"
                                           "version=v4\n"
                                           "num_class=1\n"
                                           "num_tree_per_iteration=1\n"
                                           "label_index=0\n"
                                           "max_feature_idx=2\n"
                                           "objective=binary sigmoid:0.5\n"
                                           "feature_names=a b=2 \"c\n"
                                           "feature_infos=[-1:1] [0:9] 0:1:2:3\n"
                                           "importance_type=0\n"
                                           "\n"
                                           "Tree=0\n"
                                           "num_leaves=4\n"
                                           "num_cat=1\n"
                                           "split_feature=0 2 1\n"
                                           "split_gain=3 2 1\n"
                                           "threshold=0.5 0 1e-300\n"
                                           "decision_type=10 1 4\n"
                                           "left_child=1 -1 -2\n"
                                           "right_child=2 -3 -4\n"
                                           "leaf_value=0.125 -1.5 2.25 0.10000000000000001\n"
                                           "leaf_weight=1 1 1 1\n"
                                           "leaf_count=10 20 30 40\n"
                                           "internal_value=0 0 0\n"
                                           "internal_weight=1 1 1\n"
                                           "internal_count=100 40 60\n"
                                           "cat_boundaries=0 2\n"
                                           "cat_threshold=2147483657 1\n"
                                           "is_linear=0\n"
                                           "shrinkage=1\n"
                                           "\n"
                                           "\n"
                                           "Tree=1\n"
                                           "num_leaves=1\n"
                                           "num_cat=0\n"
                                           "split_feature=\n"
                                           "leaf_value=-0.29999999999999999\n"
                                           "shrinkage=0.1\n"
                                           "\n"
                                           "\n"
                                           "end of trees\n"
                                           "\n"
                                           "feature_importances:\n"
                                           "a=1\n"
                                           "\n"
                                           "parameters:\n"
                                           "[boosting: gbdt]\n"
                                           "end of parameters\n"
                                           "\n"
                                           "pandas_categorical:null\n";

/* From a copy without a byte to spare, so that a read beyond it is seen. */
static inline enum apx_status lightgbm_read(const char *text, size_t length,
                                            struct apx_graph **graph, struct apx_error *error)
{
    char *exact = malloc(length > 0 ? length : 1);
    REQUIRE(exact != NULL);
    memcpy(exact, text, length);
    *error = (struct apx_error){0};
    enum apx_status status =
        apx_lightgbm_read(exact, length, apx_allocator_default(), graph, error);
    free(exact);
    CHECK((status == APX_OK) == (*graph != NULL));
    CHECK_EQ(error->status, status);
    CHECK((status == APX_OK) == (error->message[0] == '\0'));
    return status;
}

/* The forest of a text that must be readable; the graph is the caller's. */
static inline const struct apx_forest *lightgbm_forest(const char *text, struct apx_graph **graph)
{
    struct apx_error error;
    if (!CHECK(lightgbm_read(text, strlen(text), graph, &error) == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
    REQUIRE(*graph != NULL && (*graph)->node_count == 1);
    return (*graph)->nodes[0].forest;
}

/* Margins [rows, outputs] and leaves [rows, trees] of x [rows, features]. */
static inline void lightgbm_run(const struct apx_forest *forest, size_t rows, const double *x,
                                double *margins, uint32_t *leaves)
{
    size_t count;
    const struct apx_forest_row *row = apx_forest_rows(&count) + count - 1; /* the reference */
    const struct apx_allocator *allocator = apx_allocator_default();
    void *packed = apx_alloc(allocator, 1, row->pack_bound(&forest->desc));
    REQUIRE(packed != NULL);
    row->pack(&forest->desc, packed);
    void *scratch = apx_alloc(allocator, 1, row->scratch_bytes(packed));
    REQUIRE(scratch != NULL);
    row->run(&(struct apx_forest_args){.packed = packed,
                                       .rows = rows,
                                       .x = x,
                                       .x_is_double = true,
                                       .x_row = (ptrdiff_t)forest->desc.features,
                                       .margins = margins,
                                       .leaves = leaves,
                                       .scratch = scratch});
    apx_release(allocator, scratch);
    apx_release(allocator, packed);
}

#endif
