/* SPDX-License-Identifier: Apache-2.0 */
/* replicas.h - a copy of the packed weights for each NUMA node.
 *
 * Every row walks through all of the weights; fetching them from another node's memory costs about
 * half of the bandwidth. A lane uses the copy of the node on which its thread runs at the moment,
 * so that nobody above has to know of nodes. */
#ifndef APX_PLAN_REPLICAS_H
#define APX_PLAN_REPLICAS_H

#include "runtime/plan/plan.h"
#include "runtime/topo/topo.h"

/* The tables of packed weights of all steps, one for each node of `topo` (NULL: one); the first
 * copy is the one the steps were packed into. APX_ENOMEM */
enum apx_status apx_replicas_create(struct apx_program *program, const struct apx_topo *topo,
                                    struct apx_error *error);
void apx_replicas_destroy(struct apx_program *program);
/* [step_count] for a thread on processor `cpu` of the operating system; -1: not known. */
const void *const *apx_replica_of(const struct apx_program *program, int cpu);
/* The same for the caller. */
const void *const *apx_replica_here(const struct apx_program *program);

#endif
