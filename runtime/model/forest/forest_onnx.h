/* SPDX-License-Identifier: Apache-2.0 */
/* forest_onnx.h - forests as the standard operators of ONNX.
 *
 *   forest_onnx.c          the model around them
 *   forest_onnx_lists.c    TreeEnsembleRegressor of ai.onnx.ml 3
 *   forest_onnx_five.c     TreeEnsemble of ai.onnx.ml 5
 *   forest_sets.c          sets as columns
 *   forest_tail.c          links */
#ifndef APX_MODEL_FOREST_ONNX_H
#define APX_MODEL_FOREST_ONNX_H

#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"
#include "runtime/onnx_build.h"

struct apx_forest_written {
    const struct apx_forest *forest; /* of the graph */
    const char *op;                  /* which operator; static */
    size_t sets;                     /* columns that sets became */
};

/* A graph as the readers of XGBoost and LightGBM make it (forest_read.h), appended to an empty
 * builder, for other runtimes to run: the input and the output keep their names, types and shapes.
 *
 * A forest in float is a TreeEnsembleRegressor, which every runtime with trees has; one in double a
 * TreeEnsemble (ai.onnx.ml 5), since results of the former are floats. Leaves keep their numbers:
 * the former's ids of leaves, in the latter the order of a tree's leaves.
 *   APX_EUNSUPPORTED  what standard operators cannot say (field: what it is)
 *   APX_ELIMIT, APX_ENOMEM; what the builder meets is told by apx_onnx_write */
enum apx_status apx_forest_to_onnx(const struct apx_graph *graph, struct apx_onnx *onnx,
                                   struct apx_forest_written *written, struct apx_error *error);

/* Metadata of such a file, which other runtimes need not know: sums are made in float, tree after
 * tree from the base value on, as the library that trained the forest makes them; */
#define APX_FOREST_SUMS_KEY   "auspex_sums"
#define APX_FOREST_SUMS_FLOAT "float32"
/* leaves of TreeEnsemble, which have no numbers of their own, are counted in each tree. */
#define APX_FOREST_LEAVES_KEY     "auspex_leaves"
#define APX_FOREST_LEAVES_BY_TREE "by tree"

/* One node with the trees of `desc`, but `nodes` in place of its own, which have no sets. False:
 * out of memory. */
bool apx_forest_write_lists(struct apx_onnx *onnx, const struct apx_allocator *allocator,
                            const struct apx_forest_desc *desc, const struct apx_tree_node *nodes,
                            const char *name, const char *in, const char *out);
/* leaf values: one a leaf. */
bool apx_forest_write_five(struct apx_onnx *onnx, const struct apx_allocator *allocator,
                           const struct apx_forest_desc *desc, const struct apx_tree_node *nodes,
                           const char *name, const char *in, const char *out);

#endif
