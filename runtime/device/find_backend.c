/* SPDX-License-Identifier: Apache-2.0 */
/* find_backend.c - a device's name to its backend; plug-ins are loaded here.
 *
 * A plug-in is looked for under its plain name, so that the loader's own rules apply (rpath of this
 * library, LD_LIBRARY_PATH, the system's folders), and is never unloaded: its driver may keep
 * threads. dlopen counts and is safe to call from any thread. */
#include <dlfcn.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/device/backend.h"

static enum apx_status load_plugin(const char *device, const char *file,
                                   const struct apx_backend **out, struct apx_error *error)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return apx_fail(error, APX_EDEVICE, "device",
                        "device \"%s\" needs the plug-in %s, which cannot be loaded: %s", device,
                        file, dlerror());
    apx_backend_plugin_fn *plugin;
    void *symbol = dlsym(library, "apx_backend_plugin");
    if (symbol == NULL)
        return apx_fail(error, APX_EDEVICE, "device", "%s is not a plug-in of this library", file);
    memcpy(&plugin, &symbol, sizeof plugin); /* POSIX: a function's address fits */
    struct apx_error reason = {0};
    *out = plugin(APX_BACKEND_VERSION, &reason);
    if (*out == NULL)
        return apx_fail(error, APX_EDEVICE, "device", "device \"%s\": %s", device,
                        reason.message[0] != '\0' ? reason.message
                                                  : "the plug-in is of another version");
    return APX_OK;
}

enum apx_status apx_backend_find(const char *device, const struct apx_backend **out,
                                 struct apx_error *error)
{
    *out = NULL;
    if (device == NULL || strcmp(device, "auto") == 0 || strcmp(device, "cpu") == 0) {
        *out = &apx_backend_cpu;
        return APX_OK;
    }
    if (strcmp(device, "cuda") == 0)
        return load_plugin(device, "libauspex_cuda.so", out, error);
    return apx_fail(error, APX_EINVAL, "device",
                    "device \"%s\" is not known; say auto, cpu or cuda", device);
}
