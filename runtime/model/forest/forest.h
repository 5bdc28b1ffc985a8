/* SPDX-License-Identifier: Apache-2.0 */
/* forest.h - a tree ensemble between its readers and the plan.
 *
 *   xgboost_*.c, lightgbm_*.c    files of those libraries to a graph of one Forest node
 *   tree_ensemble_*.c            the operators of ai.onnx.ml to Forest nodes
 *   isolation_forest.c           what skl2onnx writes for one, to a single Forest node
 *   forest_onnx*.c, forest_tail.c, forest_sets.c   a Forest node to standard operators of ONNX
 *   forest_fold.c                what those wrote, back to one Forest node
 *
 * A reader hands trees to a builder as they stand in its file; the builder checks them and brings
 * them into the order of struct apx_forest_desc (kernels/kernels.h). Every comparison of every
 * library is said with two forms: `right if x >= threshold`, or membership in a set of intervals.
 */
#ifndef APX_MODEL_FOREST_H
#define APX_MODEL_FOREST_H

#include "kernels/kernels.h"
#include "runtime/auspex.h"

#define APX_LIMIT_TREES        (1 << 20)
#define APX_LIMIT_TREE_NODES   (1 << 27) /* of a forest, leaves included */
#define APX_LIMIT_FEATURES     (1 << 20)
#define APX_LIMIT_TREE_OUTPUTS (1 << 16)

/* Which class a row gets; the class with index i is labels[i]. */
enum apx_label_rule {
    APX_LABEL_NONE,   /* not a classifier */
    APX_LABEL_ARGMAX, /* the first largest margin */
    APX_LABEL_ABOVE,  /* K = 1: index 1 if the margin is above label_threshold, else 0 */
};

struct apx_forest {
    struct apx_forest_desc desc;
    struct apx_link link;
    bool output_double; /* predictions are double; else float */
    const char *source; /* "xgboost 3.1.0, binary:logistic", for reports; static or owned */
    enum apx_label_rule label_rule;
    double label_threshold;
    const int64_t *labels; /* [label_count]; NULL: the index itself */
    size_t label_count;
    bool labels_are_text;     /* then a label is its index */
    const char *const *words; /* [word_count] of the graph's memory: the word of each index; NULL:
                                 there are indices without one */
    size_t word_count;
    struct apx_forest *next; /* of the graph's forests */
    struct apx_forest_memory *memory;
    const struct apx_allocator *allocator;
};

/* `bytes` zeroed bytes that live as long as the forest; NULL if out of memory. */
void *apx_forest_alloc(struct apx_forest *forest, size_t bytes);
void apx_forest_destroy(struct apx_forest *forest); /* accepts NULL */

struct apx_forest_builder;

/* A forest over `features` columns with `outputs` margins. leaf_width: values of a leaf, 1 or
 * `outputs`. *out is NULL on failure.
 *   APX_ELIMIT (features, outputs), APX_ENOMEM */
enum apx_status apx_forest_builder_create(const struct apx_allocator *allocator, size_t features,
                                          size_t outputs, size_t leaf_width,
                                          struct apx_forest_builder **out, struct apx_error *error);
void apx_forest_builder_destroy(struct apx_forest_builder *builder); /* accepts NULL */
/* Room for so many more, for readers that know: lists then need not grow. False: out of memory. */
bool apx_forest_builder_reserve(struct apx_forest_builder *builder, size_t nodes, size_t leaves);

/* A set of `count` ascending bounds for nodes added later: its index, that of the equal set if
 * there is one; -1: out of memory. No bounds: everything goes left; the bound -infinity alone:
 * everything goes right. */
int32_t apx_forest_builder_set(struct apx_forest_builder *builder, const double *bounds,
                               size_t count);

/* One more tree. nodes[count]: as struct apx_tree_node says, but that left and right are indices in
 * this array, and of a leaf (feature -1) `left` is its index among `values` and `right` what the
 * library calls it. Nodes that `root` does not reach are dropped. output < outputs (ignored when
 * leaf_width is not 1). values:
 *   [value_count, leaf_width]
 * Errors:
 *   APX_EFORMAT   a child outside of the array or with two parents, a feature or set that is not
 *                 there, a threshold that is NaN (field: "tree <t>")
 *   APX_ELIMIT, APX_ENOMEM */
enum apx_status apx_forest_builder_tree(struct apx_forest_builder *builder,
                                        const struct apx_tree_node *nodes, size_t count,
                                        uint32_t root, uint32_t output, const double *values,
                                        size_t value_count, struct apx_error *error);

/* "tree 3, node 7: ..." as APX_EFORMAT with the field "tree 3", for whoever looks at trees. */
enum apx_status apx_forest_tree_fail(struct apx_error *error, size_t tree, size_t node,
                                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Leaves so far, and the index among its tree's `values` that each had: [leaves]. */
size_t apx_forest_builder_leaves(const struct apx_forest_builder *builder,
                                 const uint32_t **value_index);

/* The forest: desc but for base (zeros), linear, sum and the two types, which the caller sets along
 * with everything behind desc. Empties the builder. */
enum apx_status apx_forest_builder_finish(struct apx_forest_builder *builder,
                                          struct apx_forest **out, struct apx_error *error);

/* The least float or double y with y > x, for `x <= t goes left`: right if x >= above(t). False if
 * there is none (t is infinity): then everything but NaN goes left. */
bool apx_above_float(float t, double *out);
bool apx_above_double(double t, double *out);

#endif
