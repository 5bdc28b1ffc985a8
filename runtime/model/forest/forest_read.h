/* SPDX-License-Identifier: Apache-2.0 */
/* forest_read.h - files of XGBoost and LightGBM to graphs.
 *
 * The graph has one input "input" [rows, features] and one output "output" [rows, predictions],
 * with one Forest node between them: what the library's own predict() would return. */
#ifndef APX_MODEL_FOREST_READ_H
#define APX_MODEL_FOREST_READ_H

#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"

/* XGBoost's JSON or UBJSON. Input and output are float32.
 *   APX_EFORMAT       not such a file, truncated or inconsistent (field: the member at fault, and
 *                     the text names the byte offset or the tree and node)
 *   APX_EUNSUPPORTED  a booster or objective beyond this build; APX_ELIMIT; APX_ENOMEM */
enum apx_status apx_xgboost_read(const void *data, size_t bytes,
                                 const struct apx_allocator *allocator, struct apx_graph **out,
                                 struct apx_error *error);

/* LightGBM's text. Input and output are float64: the library compares and sums in double. Errors as
 * above; the text names the line or the tree. */
enum apx_status apx_lightgbm_read(const void *data, size_t bytes,
                                  const struct apx_allocator *allocator, struct apx_graph **out,
                                  struct apx_error *error);

/* The graph around a forest, which it then owns (on failure too). feature_names: [features] or
 * NULL, kept as metadata "feature_names" (JSON list). */
enum apx_status apx_forest_graph(struct apx_forest *forest, const char *const *feature_names,
                                 struct apx_graph **out, struct apx_error *error);

#endif
