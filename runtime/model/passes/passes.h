/* SPDX-License-Identifier: Apache-2.0 */
/* passes.h - rewrites of an inferred graph that every backend profits from. */
#ifndef APX_MODEL_PASSES_H
#define APX_MODEL_PASSES_H

#include "runtime/device/backend.h"

/* All passes in their order; afterwards the graph has no node that nothing reads. evaluator
 * computes constants. APX_ENOMEM */
enum apx_status apx_passes_run(struct apx_graph *graph, const struct apx_backend *evaluator,
                               struct apx_error *error);

/* Nodes whose results inference knows go; integers that are numbers become constants. APX_ENOMEM */
enum apx_status apx_pass_drop_known(struct apx_graph *graph);

/* Nodes that hand their input on unchanged go: Identity, Dropout, Cast to the same type, and
 * Reshape, Squeeze, Unsqueeze, Flatten, Transpose, Slice, Concat, Expand that change nothing. */
void apx_pass_drop_copies(struct apx_graph *graph);

/* Nodes all of whose inputs are constants become constants, computed by the evaluator's own steps.
 * A node that the evaluator cannot run is left alone. APX_ENOMEM */
enum apx_status apx_pass_fold_constants(struct apx_graph *graph,
                                        const struct apx_backend *evaluator);

#endif
