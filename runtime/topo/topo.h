/* SPDX-License-Identifier: Apache-2.0 */
/* topo.h - the part of the machine that this process may use: cores, caches, NUMA nodes, GPUs.
 *
 *     struct apx_topo *topo;
 *     if (apx_topo_create(NULL, &topo, &error) == APX_OK)
 *         ...start topo->threads workers, keep worker i to the core of topo->pu[i]...
 *     apx_topo_destroy(topo);
 *
 * A "PU" is a hardware thread, a "core" has one or more of them. Everything is a copy made at
 * creation; an apx_topo is immutable and may be shared. */
#ifndef APX_TOPO_H
#define APX_TOPO_H

#include "runtime/auspex.h"

struct apx_topo_pu {
    int os_index; /* the number the operating system pins to */
    int core;     /* 0 .. cores-1; siblings share it */
    int node;     /* index into apx_topo.node; -1: the machine tells of no NUMA nodes */
};

struct apx_topo_node {
    int os_index;
    int cores;    /* allowed cores in this node; may be 0 */
    size_t bytes; /* local memory, 0: unknown */
};

struct apx_topo_gpu {
    char name[96]; /* maker and model if the machine knows them, else "gpu 10de:2330" */
    char bus[16];  /* "0000:1b:00.0" */
    uint16_t vendor, device;
    int node; /* index into apx_topo.node of the cores nearest to it; -1: all are as near */
};

struct apx_topo {
    int cores;    /* physical cores with at least one PU in the affinity mask, at least 1 */
    int pus;      /* PUs in the affinity mask, at least 1 */
    double quota; /* CPUs that the control group grants (cpu.max); 0: unlimited */
    int threads;  /* workers worth starting: cores, or floor(quota) if less, at least 1 */
    const struct apx_topo_pu *pu; /* [pus]: one of each core first, then their siblings */
    /* Of the first allowed core, in bytes; 0: unknown. */
    size_t l1d, l2, l3;
    int l3_cores; /* allowed cores that share that L3; `cores` if it is unknown */
    int nodes;
    const struct apx_topo_node *node; /* [nodes] */
    int gpus;
    const struct apx_topo_gpu *gpu; /* [gpus]; empty unless asked for */
};

/* Zero means "the default" for every field. The texts let a test pose as another machine. */
struct apx_topo_options {
    bool devices;          /* look for GPUs too: reads the PCI tree, some milliseconds */
    const char *synthetic; /* hwloc's words for a machine: "pack:2 core:8 pu:2". NULL: this one */
    const char *affinity;  /* PUs allowed, as "0,2-5"; NULL: the process's own mask, or all of a
                              synthetic machine */
    const char *root;      /* directory that holds proc/ and sys/; NULL: "/", or for a synthetic
                              machine no control group */
};

/* options may be NULL. *out is NULL on failure.
 *   APX_EINVAL (synthetic or affinity cannot be read), APX_ENOMEM, APX_EDEVICE (hwloc failed) */
enum apx_status apx_topo_create(const struct apx_topo_options *options, struct apx_topo **out,
                                struct apx_error *error);
void apx_topo_destroy(struct apx_topo *topo); /* accepts NULL */

/* Ask for the whole pages of [memory, memory + bytes) to lie on the NUMA node of this os_index,
 * those in use to move there. False if the system will not; nothing changes then. */
bool apx_topo_place(void *memory, size_t bytes, int node);

/* CPUs granted by the control groups of this process, read below `root` ("" for "/"): the least of
 * its own and its ancestors' limits, version 2 and version 1. 0: unlimited or not readable. */
double apx_topo_quota(const char *root);

#endif
