/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_open.c - from a plug-in to usable devices.
 *
 * dlopen counts and is safe to call from any thread, so nothing is remembered here: the loader
 * does. */
#include "runtime/device/cuda_open.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/fail.h"
#include "runtime/topo/topo.h"

#define PLUGIN "libauspex_cuda.so"

/* ---- what is wrong ----------------------------------------------------------------------------
 */

#define NVIDIA 0x10de /* on the bus */

void apx_cuda_look(struct apx_cuda_evidence *out)
{
    const struct apx_topo_options options = {.devices = true};
    struct apx_topo *topo;
    memset(out, 0, sizeof *out);
    if (apx_topo_create(&options, &topo, NULL) == APX_OK) {
        for (int g = 0; g < topo->gpus && !out->has_gpu; g++)
            if (topo->gpu[g].vendor == NVIDIA) {
                out->has_gpu = true;
                memcpy(out->gpu, topo->gpu[g].name, sizeof out->gpu);
            }
        apx_topo_destroy(topo);
    }
    void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    out->has_driver = library != NULL;
    if (library != NULL)
        dlclose(library);
}

enum apx_status apx_cuda_explain(const struct apx_cuda_evidence *evidence, const char *reason,
                                 struct apx_error *error)
{
    if (!evidence->has_driver && !evidence->has_gpu)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"cuda\": there is no NVIDIA GPU here; use device \"cpu\" or "
                        "\"auto\" (if the machine has one, let the container or virtual machine "
                        "have it)");
    if (!evidence->has_driver)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"cuda\": no NVIDIA driver is installed for %s, or a container "
                        "hides it; install one of CUDA 13 (580 or newer)",
                        evidence->gpu);
    /* The loader names first what it lacks: the plug-in, or something that the plug-in needs. */
    if (strncmp(reason, PLUGIN ":", sizeof PLUGIN) == 0 && strstr(reason, "No such file") != NULL)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"cuda\": the plug-in " PLUGIN " is not installed; build with nvcc "
                        "(cmake -DAPX_CUDA=ON) and put it beside libauspex.so, or its folder into "
                        "LD_LIBRARY_PATH");
    return apx_fail(error, APX_EDEVICE, "device",
                    "device \"cuda\": the plug-in " PLUGIN " cannot be loaded: %s", reason);
}

/* ---- the plug-in ------------------------------------------------------------------------------
 */

enum apx_status apx_cuda_load(const struct apx_cuda_driver **out, struct apx_error *error)
{
    *out = NULL;
    void *library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        char reason[256];
        struct apx_cuda_evidence evidence;
        snprintf(reason, sizeof reason, "%s", dlerror());
        if (error == NULL) /* nobody asks why, and looking takes milliseconds */
            return APX_EDEVICE;
        apx_cuda_look(&evidence);
        return apx_cuda_explain(&evidence, reason, error);
    }
    apx_cuda_plugin_fn *plugin;
    void *symbol = dlsym(library, "apx_cuda_plugin");
    if (symbol == NULL)
        return apx_fail(error, APX_EDEVICE, "device", PLUGIN " is not a plug-in of this library");
    memcpy(&plugin, &symbol, sizeof plugin); /* POSIX: a function's address fits */
    *out = plugin(APX_CUDA_DRIVER_VERSION);
    if (*out == NULL)
        return apx_fail(error, APX_EDEVICE, "device",
                        PLUGIN " is of another version than this library: install both from one "
                               "build");
    return APX_OK;
}

enum apx_status apx_cuda_fail(const struct apx_cuda_driver *driver, int code, const char *doing,
                              struct apx_error *error)
{
    const char *cause = NULL, *advice = "";
    enum apx_status status = APX_EDEVICE;
    switch (driver->fault(code)) {
    case APX_CUDA_NO_DRIVER:
        cause = "no NVIDIA driver is installed here, or a container hides it; install one of "
                "CUDA 13 (580 or newer)";
        break;
    case APX_CUDA_OLD_DRIVER:
        cause = "the driver is older than this build's CUDA: update it";
        break;
    case APX_CUDA_NO_DEVICE:
        cause = "no GPU is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES";
        break;
    case APX_CUDA_NO_MEMORY:
        advice = "; the GPU's memory is full: use smaller batches, fewer models or device \"cpu\"";
        status = APX_ENOMEM;
        break;
    case APX_CUDA_NO_KERNEL:
        advice = "; this build has no kernels for this GPU: it needs one of compute capability 8.0 "
                 "or higher";
        break;
    case APX_CUDA_BUSY:
        advice = "; another process has the GPU for itself";
        break;
    case APX_CUDA_LOST:
        advice = "; the GPU cannot be used again before this process starts anew";
        break;
    case APX_CUDA_OTHER:
        break;
    }
    if (cause != NULL)
        return apx_fail(error, status, "device", "device \"cuda\": %s (%s: %s, CUDA error %d)",
                        cause, doing, driver->text(code), code);
    return apx_fail(error, status, "device", "device \"cuda\", %s: %s (CUDA error %d)%s", doing,
                    driver->text(code), code, advice);
}

/* ---- devices ----------------------------------------------------------------------------------
 */

/* Without a driver: is there anything to drive? */
static enum apx_status fail_count(const struct apx_cuda_driver *driver, int code, bool is_plugin,
                                  struct apx_error *error)
{
    struct apx_cuda_evidence evidence;
    if (error == NULL || !is_plugin || driver->fault(code) != APX_CUDA_NO_DRIVER)
        return apx_cuda_fail(driver, code, "looking for GPUs", error);
    apx_cuda_look(&evidence);
    if (evidence.has_driver) /* of which CUDA itself knows nothing */
        return apx_cuda_fail(driver, code, "looking for GPUs", error);
    return apx_cuda_explain(&evidence, "", error);
}

/* Which NUMA node each device is near: hwloc knows them by their place on the bus. */
static enum apx_status find_nodes(struct apx_cuda_machine *machine, struct apx_error *error)
{
    const struct apx_topo_options options = {.devices = true};
    struct apx_topo *topo;
    enum apx_status status = apx_topo_create(&options, &topo, error);
    if (status != APX_OK)
        return status;
    for (int i = 0; i < machine->count; i++)
        for (int g = 0; g < topo->gpus; g++)
            if (strcasecmp(topo->gpu[g].bus, machine->device[i].bus) == 0 && topo->gpu[g].node >= 0)
                machine->os_node[i] = topo->node[topo->gpu[g].node].os_index;
    apx_topo_destroy(topo);
    return APX_OK;
}

enum apx_status apx_cuda_open(const struct apx_cuda_driver *driver, struct apx_cuda_machine *out,
                              struct apx_error *error)
{
    memset(out, 0, sizeof *out);
    const bool is_plugin = driver == NULL;
    if (is_plugin) {
        enum apx_status status = apx_cuda_load(&driver, error);
        if (status != APX_OK)
            return status;
    }
    out->driver = driver;
    int count = 0;
    int code = driver->count(&count);
    if (code != 0)
        return fail_count(driver, code, is_plugin, error);
    for (int i = 0; i < count && out->count < APX_CUDA_DEVICES; i++) {
        struct apx_cuda_device *device = &out->device[out->count];
        code = driver->describe(i, device);
        if (code != 0)
            return apx_cuda_fail(driver, code, "asking a GPU what it is", error);
        if (out->count > 0 &&
            (device->major != out->device[0].major || device->minor != out->device[0].minor))
            continue;
        out->os_node[out->count++] = -1;
    }
    if (out->count == 0)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"cuda\": no GPU is visible: see nvidia-smi and "
                        "CUDA_VISIBLE_DEVICES");
    if (out->device[0].major < 8)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"cuda\": %s is of compute capability %d.%d; 8.0 (A100) is the "
                        "least that is used",
                        out->device[0].name, out->device[0].major, out->device[0].minor);
    return out->count > 1 ? find_nodes(out, error) : APX_OK;
}
