/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - asking the system to keep memory on a NUMA node. */
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/topo/topo.h"

#define MASK_BITS  (8 * (int)sizeof(unsigned long))
#define MASK_WORDS 16

bool apx_topo_place(void *memory, size_t bytes, int node)
{
    unsigned long mask[MASK_WORDS] = {0};
    long page = sysconf(_SC_PAGESIZE);
    if (node < 0 || node >= MASK_BITS * MASK_WORDS || page <= 0)
        return false;
    uintptr_t start = ((uintptr_t)memory + (uintptr_t)page - 1) / (uintptr_t)page * (uintptr_t)page;
    uintptr_t end = ((uintptr_t)memory + bytes) / (uintptr_t)page * (uintptr_t)page;
    if (end <= start)
        return true; /* no whole page: too little to matter */
    mask[node / MASK_BITS] = 1ul << (node % MASK_BITS);
    return syscall(SYS_mbind, start, end - start, MPOL_PREFERRED, mask, MASK_BITS * MASK_WORDS,
                   MPOL_MF_MOVE) == 0;
}
