/* SPDX-License-Identifier: Apache-2.0 */
/* topo.c - what hwloc knows about the machine, cut down to what this process may use.
 *
 * hwloc already leaves out what the cpuset control group forbids; the affinity mask (taskset, a
 * batch system) and the CPU quota are applied here. hwloc's own plug-ins for CUDA, OpenCL and
 * displays are kept out: they would load drivers, which is the backend loader's business. */
#include "runtime/topo/topo.h"

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

#define PCI_CLASS_DISPLAY     0x03 /* VGA, XGA, 3D and other display controllers */
#define PCI_CLASS_ACCELERATOR 0x12
#define PCI_VENDOR_AMD        0x1002
#define PCI_VENDOR_NVIDIA     0x10de
#define PCI_VENDOR_INTEL      0x8086

/* Allocated as one; the public part comes first, so that the pointers are the same. */
struct topo {
    struct apx_topo public;
    struct apx_topo_pu *pu;
    struct apx_topo_node *node;
    struct apx_topo_gpu *gpu;
};

/* Not asked for: what hwloc learns by running on each processor in turn, which costs a migration
 * each and takes time from whoever runs there; distances, kinds of memory and of processors. On a
 * machine of many cores these are milliseconds of every load. */
#if HWLOC_API_VERSION >= 0x00020800
#    define SPARING                                                                                \
        (HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |              \
         HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS)
#else
#    define SPARING 0
#endif

/* The caller destroys *out, on failure too; NULL if it could not even be begun. */
static enum apx_status load(hwloc_topology_t *out, const struct apx_topo_options *options,
                            unsigned long flags, struct apx_error *error)
{
    if (hwloc_topology_init(out)) {
        *out = NULL;
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the topology");
    }
    hwloc_topology_t topology = *out;
    static const char *const unwanted[] = {"cuda", "nvml", "opencl", "gl", "rsmi", "levelzero"};
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                      unwanted[i]);
    if (options->synthetic != NULL && hwloc_topology_set_synthetic(topology, options->synthetic))
        return apx_fail(error, APX_EINVAL, "synthetic", "hwloc cannot read the machine \"%s\"",
                        options->synthetic);
    hwloc_topology_set_flags(topology, flags);
    if (options->devices)
        hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology))
        return apx_fail(error, APX_EDEVICE, NULL, "hwloc cannot read this machine's topology");
    return APX_OK;
}

/* Where the system does not tell of caches, hwloc may find them by running on each processor. */
static enum apx_status discover(hwloc_topology_t *out, const struct apx_topo_options *options,
                                struct apx_error *error)
{
    enum apx_status status = load(out, options, SPARING, error);
    if (status != APX_OK || options->synthetic != NULL || SPARING == 0 ||
        hwloc_get_nbobjs_by_type(*out, HWLOC_OBJ_L2CACHE) > 0)
        return status;
    hwloc_topology_destroy(*out);
    return load(out, options, 0, error);
}

/* The PUs this process may run on; never empty. */
static enum apx_status allowed_pus(hwloc_topology_t topology,
                                   const struct apx_topo_options *options, hwloc_bitmap_t set,
                                   struct apx_error *error)
{
    hwloc_const_bitmap_t all = hwloc_topology_get_topology_cpuset(topology);
    if (options->affinity != NULL) {
        if (hwloc_bitmap_list_sscanf(set, options->affinity))
            return apx_fail(error, APX_EINVAL, "affinity",
                            "\"%s\" is no list of processors; write it as 0,2-5",
                            options->affinity);
    } else if (!hwloc_topology_is_thissystem(topology) ||
               hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_PROCESS)) {
        hwloc_bitmap_copy(set, all);
    }
    hwloc_bitmap_and(set, set, all);
    if (options->affinity != NULL && hwloc_bitmap_iszero(set))
        return apx_fail(error, APX_EINVAL, "affinity", "this machine has none of the processors %s",
                        options->affinity);
    if (hwloc_bitmap_iszero(set)) /* a mask of processors that went off line since */
        hwloc_bitmap_copy(set, all);
    return APX_OK;
}

static enum apx_status fill_nodes(struct topo *topo, hwloc_topology_t topology,
                                  struct apx_error *error)
{
    int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
    topo->node =
        apx_alloc(apx_allocator_default(), (size_t)(count > 0 ? count : 0), sizeof *topo->node);
    if (topo->node == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the topology");
    for (int i = 0; i < count; i++) {
        hwloc_obj_t object = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)i);
        topo->node[i].os_index = (int)object->os_index;
        topo->node[i].bytes = (size_t)object->attr->numanode.local_memory;
        topo->public.nodes++;
    }
    return APX_OK;
}

/* The first node of the set; -1 for none. */
static int node_of(const struct topo *topo, hwloc_const_bitmap_t nodeset)
{
    for (int i = 0; nodeset != NULL && i < topo->public.nodes; i++)
        if (hwloc_bitmap_isset(nodeset, (unsigned)topo->node[i].os_index))
            return i;
    return -1;
}

/* Visits the cores in hwloc's order, nearest together first, and for each rank of sibling (0: first
 * PU of a core) appends the allowed PUs. Virtual machines may tell of no cores: then each PU is
 * one.
 */
static enum apx_status fill_pus(struct topo *topo, hwloc_topology_t topology,
                                hwloc_const_bitmap_t allowed, struct apx_error *error)
{
    int count = hwloc_bitmap_weight(allowed);
    topo->pu = apx_alloc(apx_allocator_default(), (size_t)count, sizeof *topo->pu);
    if (topo->pu == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the topology");
    hwloc_obj_type_t type =
        hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    for (int sibling = 0; topo->public.pus < count; sibling++) {
        int core = 0, found = 0;
        for (hwloc_obj_t object = NULL;
             (object = hwloc_get_next_obj_by_type(topology, type, object)) != NULL;) {
            int rank = 0, pu;
            for (pu = hwloc_bitmap_first(object->cpuset); pu >= 0;
                 pu = hwloc_bitmap_next(object->cpuset, pu))
                if (hwloc_bitmap_isset(allowed, (unsigned)pu) && rank++ == sibling)
                    break;
            if (pu >= 0) {
                struct apx_topo_pu *entry = &topo->pu[topo->public.pus++];
                *entry = (struct apx_topo_pu){pu, core, node_of(topo, object->nodeset)};
                if (sibling == 0 && entry->node >= 0)
                    topo->node[entry->node].cores++;
                found++;
            }
            core += hwloc_bitmap_intersects(object->cpuset, allowed);
        }
        if (sibling == 0)
            topo->public.cores = core;
        if (found == 0) /* PUs outside of every core: hwloc promises there are none */
            break;
    }
    return topo->public.pus > 0
               ? APX_OK
               : apx_fail(error, APX_EDEVICE, NULL, "hwloc tells of no processors");
}

static void fill_caches(struct topo *topo, hwloc_topology_t topology, hwloc_const_bitmap_t allowed)
{
    topo->public.l3_cores = topo->public.cores;
    hwloc_obj_t object = hwloc_get_pu_obj_by_os_index(topology, (unsigned)topo->pu[0].os_index);
    for (; object != NULL; object = object->parent) {
        size_t bytes = hwloc_obj_type_is_cache(object->type) ? object->attr->cache.size : 0;
        if (object->type == HWLOC_OBJ_L1CACHE)
            topo->public.l1d = bytes;
        else if (object->type == HWLOC_OBJ_L2CACHE)
            topo->public.l2 = bytes;
        else if (object->type == HWLOC_OBJ_L3CACHE && bytes > 0) {
            topo->public.l3 = bytes;
            topo->public.l3_cores = 0;
            for (int i = 0; i < topo->public.cores; i++) /* the first PU of each core */
                topo->public.l3_cores +=
                    hwloc_bitmap_isset(object->cpuset, (unsigned)topo->pu[i].os_index) &&
                    hwloc_bitmap_isset(allowed, (unsigned)topo->pu[i].os_index);
        }
    }
}

static bool is_gpu(hwloc_obj_t object)
{
    unsigned class = object->attr->pcidev.class_id >> 8;
    unsigned vendor = object->attr->pcidev.vendor_id;
    /* Others are the display chips of remote consoles. */
    return (class == PCI_CLASS_DISPLAY || class == PCI_CLASS_ACCELERATOR) &&
           (vendor == PCI_VENDOR_NVIDIA || vendor == PCI_VENDOR_AMD || vendor == PCI_VENDOR_INTEL);
}

static enum apx_status fill_gpus(struct topo *topo, hwloc_topology_t topology,
                                 struct apx_error *error)
{
    size_t count = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_pcidev(topology, o)) != NULL;)
        count += is_gpu(o);
    topo->gpu = apx_alloc(apx_allocator_default(), count, sizeof *topo->gpu);
    if (topo->gpu == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the topology");
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_pcidev(topology, o)) != NULL;) {
        if (!is_gpu(o))
            continue;
        struct apx_topo_gpu *gpu = &topo->gpu[topo->public.gpus++];
        const struct hwloc_pcidev_attr_s *pci = &o->attr->pcidev;
        const char *maker = hwloc_obj_get_info_by_name(o, "PCIVendor");
        const char *model = hwloc_obj_get_info_by_name(o, "PCIDevice");
        gpu->vendor = pci->vendor_id;
        gpu->device = pci->device_id;
        if (maker != NULL && model != NULL)
            snprintf(gpu->name, sizeof gpu->name, "%s %s", maker, model);
        else
            snprintf(gpu->name, sizeof gpu->name, "gpu %04x:%04x", gpu->vendor, gpu->device);
        snprintf(gpu->bus, sizeof gpu->bus, "%04x:%02x:%02x.%01x", (unsigned)pci->domain,
                 (unsigned)pci->bus, (unsigned)pci->dev, (unsigned)pci->func);
        hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(topology, o);
        bool one = near != NULL && near->nodeset != NULL && hwloc_bitmap_weight(near->nodeset) == 1;
        gpu->node = one ? node_of(topo, near->nodeset) : -1;
    }
    return APX_OK;
}

enum apx_status apx_topo_create(const struct apx_topo_options *options, struct apx_topo **out,
                                struct apx_error *error)
{
    static const struct apx_topo_options defaults;
    hwloc_topology_t topology = NULL;
    hwloc_bitmap_t allowed = NULL;
    enum apx_status status;
    struct topo *topo = apx_alloc(apx_allocator_default(), 1, sizeof *topo);
    *out = NULL;
    if (options == NULL)
        options = &defaults;
    if (topo == NULL || (allowed = hwloc_bitmap_alloc()) == NULL) {
        status = apx_fail(error, APX_ENOMEM, NULL, "out of memory for the topology");
        goto done;
    }
    status = discover(&topology, options, error);
    if (status == APX_OK)
        status = allowed_pus(topology, options, allowed, error);
    if (status == APX_OK)
        status = fill_nodes(topo, topology, error);
    if (status == APX_OK)
        status = fill_pus(topo, topology, allowed, error);
    if (status == APX_OK && options->devices)
        status = fill_gpus(topo, topology, error);
    if (status != APX_OK)
        goto done;
    fill_caches(topo, topology, allowed);

    const char *root = options->root;
    if (root == NULL && options->synthetic == NULL)
        root = "";
    struct apx_topo *public = &topo->public;
    public->quota = root != NULL ? apx_topo_quota(root) : 0;
    public->threads = public->cores;
    if (public->quota > 0 && public->quota < public->threads)
    public->threads = public->quota >= 1 ? (int)public->quota : 1;
    public->pu = topo->pu;
    public->node = topo->node;
    public->gpu = topo->gpu;
    *out = public;
    topo = NULL;
done:
    if (topo != NULL)
        apx_topo_destroy(&topo->public);
    hwloc_bitmap_free(allowed);
    if (topology != NULL)
        hwloc_topology_destroy(topology);
    return status;
}

void apx_topo_destroy(struct apx_topo *public)
{
    if (public == NULL)
        return;
    struct topo *topo = (struct topo *)public;
    apx_release(apx_allocator_default(), topo->pu);
    apx_release(apx_allocator_default(), topo->node);
    apx_release(apx_allocator_default(), topo->gpu);
    apx_release(apx_allocator_default(), topo);
}
