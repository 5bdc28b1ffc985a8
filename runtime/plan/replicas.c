/* SPDX-License-Identifier: Apache-2.0 */
/* replicas.c - a copy of the packed weights for each NUMA node. */
#include "runtime/plan/replicas.h"

#include <sched.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

#define PAGE 4096 /* at least: so that a copy shares no page with anything else */

struct apx_replica {
    const void **packed; /* [step_count] */
    char *memory;        /* NULL: where the steps were packed */
};

static size_t bytes_of(const struct apx_step *step)
{
    return step->type->build != NULL          ? step->built_bytes
           : step->type->packed_bytes != NULL ? step->type->packed_bytes(step)
                                              : 0;
}

static size_t round_up(size_t bytes)
{
    return (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
}

static bool copy(struct apx_program *program, struct apx_replica *replica, int os_node)
{
    size_t total = 0, used = 0;
    for (int s = 0; s < program->step_count; s++)
        total += round_up(bytes_of(program->steps[s]));
    total = (total + PAGE - 1) / PAGE * PAGE;
    replica->memory =
        program->allocator->alloc(program->allocator->context, PAGE, total > 0 ? total : PAGE);
    if (replica->memory == NULL)
        return false;
    apx_topo_place(replica->memory, total, os_node); /* a copy elsewhere is slower, not wrong */
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        size_t bytes = bytes_of(step);
        if (bytes == 0)
            continue;
        replica->packed[s] = memcpy(replica->memory + used, step->packed, bytes);
        used += round_up(bytes);
    }
    return true;
}

/* The steps' own weights are the first node's. */
static void keep(struct apx_program *program, struct apx_replica *replica, int os_node)
{
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        replica->packed[s] = step->packed;
        if (os_node >= 0 && step->built_bytes > 0)
            apx_topo_place(program->built[step->built_index], step->built_bytes, os_node);
    }
    if (os_node >= 0)
        apx_topo_place(program->packed, program->packed_bytes - program->built_bytes, os_node);
}

enum apx_status apx_replicas_create(struct apx_program *program, const struct apx_topo *topo,
                                    struct apx_error *error)
{
    const struct apx_allocator *allocator = program->allocator;
    int nodes = topo != NULL && topo->nodes > 1 ? topo->nodes : 1;
    program->replicas = apx_alloc(allocator, (size_t)nodes, sizeof *program->replicas);
    if (program->replicas == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    program->replica_count = nodes;
    for (int i = 0; i < nodes; i++) {
        struct apx_replica *replica = &program->replicas[i];
        replica->packed =
            apx_alloc(allocator, (size_t)program->step_count, sizeof *replica->packed);
        if (replica->packed == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        if (i == 0)
            keep(program, replica, nodes > 1 ? topo->node[0].os_index : -1);
        else if (!copy(program, replica, topo->node[i].os_index))
            return apx_fail(error, APX_ENOMEM, "",
                            "out of memory for a copy of the weights on each NUMA node");
    }
    int cpus = 0;
    for (int i = 0; nodes > 1 && i < topo->pus; i++)
        cpus = topo->pu[i].os_index >= cpus ? topo->pu[i].os_index + 1 : cpus;
    program->replica_of_cpu = apx_alloc(allocator, (size_t)cpus, sizeof *program->replica_of_cpu);
    if (program->replica_of_cpu == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    program->cpu_count = cpus;
    for (int i = 0; nodes > 1 && i < topo->pus; i++)
        program->replica_of_cpu[topo->pu[i].os_index] =
            topo->pu[i].node >= 0 ? topo->pu[i].node : 0;
    return APX_OK;
}

void apx_replicas_destroy(struct apx_program *program)
{
    for (int i = 0; i < program->replica_count; i++) {
        apx_release(program->allocator, program->replicas[i].packed);
        apx_release(program->allocator, program->replicas[i].memory);
    }
    apx_release(program->allocator, program->replicas);
    apx_release(program->allocator, program->replica_of_cpu);
}

const void *const *apx_replica_of(const struct apx_program *program, int cpu)
{
    bool is_known = cpu >= 0 && cpu < program->cpu_count;
    return program->replicas[is_known ? program->replica_of_cpu[cpu] : 0].packed;
}

const void *const *apx_replica_here(const struct apx_program *program)
{
    return apx_replica_of(program, program->replica_count > 1 ? sched_getcpu() : -1);
}
