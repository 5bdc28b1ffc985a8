/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fold.h - what stands around a forest's operators becomes part of the forest. */
#ifndef APX_MODEL_FOREST_FOLD_H
#define APX_MODEL_FOREST_FOLD_H

#include "runtime/model/graph.h"

/* Of an inferred graph, as forest_onnx.c writes it or anybody else:
 *   - a forest over columns of which another forest computes some as 0 and 1 looks at sets instead;
 *   - base values added in double behind a forest become its own;
 *   - the operators of a link (forest_tail.h) behind a forest become its link;
 *   - what the metadata says of a forest that was imported: sums in float, leaves by tree.
 * Every row reaches the leaves it reached, and predictions are those of the library that trained
 * the forest. Nodes that are no longer needed are dead. APX_ENOMEM */
enum apx_status apx_forest_fold(struct apx_graph *graph, struct apx_error *error);

#endif
