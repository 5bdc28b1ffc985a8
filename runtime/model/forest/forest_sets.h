/* SPDX-License-Identifier: Apache-2.0 */
/* forest_sets.h - a forest whose sets are columns of another.
 *
 * ONNX has no node that asks for a union of intervals. So every set that nodes ask for becomes one
 * more feature, 1 for members and 0 for the others, and a small forest with one tree for each
 * computes these features from the row: exactly, for every value there is, NaN included. */
#ifndef APX_MODEL_FOREST_SETS_H
#define APX_MODEL_FOREST_SETS_H

#include "runtime/model/forest/forest.h"

struct apx_forest_sets {
    struct apx_tree_node *nodes; /* [node_count] without sets; release with apx_release */
    size_t columns;              /* features added behind the forest's own */
    struct apx_forest *members;  /* [rows, columns] of 0 and 1; NULL if columns is 0 */
};

/* Nodes keep their places; where one never goes right, its children change sides.
 *   APX_ELIMIT   more columns than APX_LIMIT_TREE_OUTPUTS; APX_ENOMEM. Nothing is kept then. */
enum apx_status apx_forest_sets_to_columns(const struct apx_forest *forest,
                                           struct apx_forest_sets *out, struct apx_error *error);
/* How many columns that would be: different sets, those of different features being different, and
 * those that one comparison can say left out. APX_ENOMEM */
enum apx_status apx_forest_sets_count(const struct apx_forest *forest, size_t *count,
                                      struct apx_error *error);
void apx_forest_sets_release(const struct apx_forest *forest, struct apx_forest_sets *sets);

#endif
