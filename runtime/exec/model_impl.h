/* SPDX-License-Identifier: Apache-2.0 */
/* model_impl.h - what a model is, for the files of this folder. */
#ifndef APX_EXEC_MODEL_IMPL_H
#define APX_EXEC_MODEL_IMPL_H

#include "runtime/device/backend.h"
#include "runtime/topo/topo.h"

/* What a tree ensemble was, for reports: the trees themselves are gone once they are packed. */
struct apx_forest_facts {
    const char *node, *source; /* of the graph's memory */
    size_t trees, splits, leaves, features, margins, sets;
    bool compares_double, sums_double;
};

struct apx_model {
    const struct apx_allocator *allocator;
    const struct apx_backend *backend;
    struct apx_graph *graph;
    struct apx_program *program;
    struct apx_topo *topo;
    struct apx_tensor_info *inputs, *outputs;
    int row_symbol; /* -1: rows are not independent */
    bool nan_is_missing;
    struct apx_forest_facts *forests; /* [forest_count] */
    size_t forest_count;
};

#endif
