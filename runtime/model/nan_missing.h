/* SPDX-License-Identifier: Apache-2.0 */
/* nan_missing.h - whether a NaN in a model's input says "missing". */
#ifndef APX_MODEL_NAN_MISSING_H
#define APX_MODEL_NAN_MISSING_H

#include "runtime/model/graph.h"

/* True if what an inferred graph reads from its floating point inputs ends in tree ensembles, on
 * the way through scalers, selections and the like at most: trees have a branch for NaN. False if
 * some of it goes anywhere else, an output included, or if there are no trees. */
bool apx_graph_nan_is_missing(const struct apx_graph *graph);

#endif
