/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_reader.h - inside of the reader of XGBoost's files.
 *
 *   xgboost_read.c        where things stand in the versions' layouts; the graph
 *   xgboost_tree.c        one tree to the builder
 *   xgboost_objective.c   objectives: what becomes of margins, and base_score before it is one */
#ifndef APX_MODEL_XGBOOST_READER_H
#define APX_MODEL_XGBOOST_READER_H

#include "runtime/model/forest/document.h"
#include "runtime/model/forest/forest.h"

/* What is known before the trees are read. Values belong to the document. */
struct apx_xgboost {
    struct apx_doc doc;
    const struct apx_allocator *allocator;
    struct apx_error *error;
    int32_t version[3];
    char objective[64];
    struct apx_link link;
    size_t features, outputs;
    bool has_vector_leaves;
    const struct apx_doc_value *trees; /* list; NULL: none */
    size_t tree_count;
    int32_t *tree_output; /* [tree_count] */
    float *tree_weight;   /* [tree_count] of dropout; NULL: all 1 */
};

/* Work space for one tree after the other. */
struct apx_xgboost_tree;
enum apx_status apx_xgboost_tree_create(struct apx_xgboost *reader, struct apx_xgboost_tree **out);
void apx_xgboost_tree_destroy(struct apx_xgboost_tree *tree); /* accepts NULL */
/* Tree number `index`, the object `value`, to the builder. */
enum apx_status apx_xgboost_tree_read(struct apx_xgboost_tree *tree, size_t index,
                                      const struct apx_doc_value *value,
                                      struct apx_forest_builder *builder);
/* Targets of a leaf of the tree. */
enum apx_status apx_xgboost_leaf_width(struct apx_xgboost *reader, size_t index,
                                       const struct apx_doc_value *value, size_t *width);

/* An integer that is a number or, as in the parameter objects, a string. Absent: *out stays.
 *   APX_EFORMAT   no integer, or negative */
enum apx_status apx_xgboost_integer(struct apx_xgboost *reader, const struct apx_doc_value *object,
                                    const char *name, size_t *out);

/* The objective's link by its name.
 *   APX_EUNSUPPORTED   no objective of that name is known (field: objective) */
enum apx_status apx_xgboost_link(const char *objective, struct apx_link *link,
                                 struct apx_error *error);
/* base[outputs] as the file has it to margins.
 *   APX_EFORMAT   outside of what the objective allows */
enum apx_status apx_xgboost_base(const char *objective, float *base, size_t outputs,
                                 struct apx_error *error);

#endif
