/* SPDX-License-Identifier: Apache-2.0 */
/* forest_members.h - columns of 0 and 1 back to sets: the reverse of forest_sets.h. */
#ifndef APX_MODEL_FOREST_MEMBERS_H
#define APX_MODEL_FOREST_MEMBERS_H

#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"

/* If `node`, whose forest is `forest`, reads [x, members of x], it reads x and looks at sets from
 * then on; otherwise nothing changes. APX_ENOMEM */
enum apx_status apx_forest_fold_members(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_forest *forest, struct apx_error *error);

#endif
