/* SPDX-License-Identifier: Apache-2.0 */
/* forest_output.h - a model's margins or leaves in place of its outputs. */
#ifndef APX_MODEL_FOREST_OUTPUT_H
#define APX_MODEL_FOREST_OUTPUT_H

#include "runtime/model/graph.h"

/* The inferred graph's only output becomes that of its one Forest node: "margin" or "leaf".
 *   APX_EINVAL   another word, or not exactly one Forest node (field: trees); APX_ENOMEM */
enum apx_status apx_forest_choose_output(struct apx_graph *graph, const char *word,
                                         struct apx_error *error);

#endif
