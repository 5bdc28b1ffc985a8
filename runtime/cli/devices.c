/* SPDX-License-Identifier: Apache-2.0 */
/* devices.c - `auspex devices`: what this machine grants us and which backend would run. */
#include "kernels/kernels.h"
#include "runtime/cli/cli.h"
#include "runtime/device/backend.h"
#include "runtime/device/cuda_open.h"
#include "runtime/topo/topo.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: auspex devices [--json]\n\n"
    "Cores, caches, instruction sets, NUMA nodes and GPUs that this process may use, and which\n"
    "backend would run a model. Cores count only as far as the affinity mask and the control\n"
    "group's CPU quota allow.\n";

static json_t *describe_isa(void)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } sets[] = {
        {APX_CAP_AVX2, "avx2"},
        {APX_CAP_AVX512, "avx512"},
        {APX_CAP_AVX512VNNI, "avx512vnni"},
        {APX_CAP_AVX512VBMI, "avx512vbmi"},
    };
    uint32_t caps = apx_cpu_caps(), limited;
    json_t *isa = json_object(), *words = json_array();
    json_array_append_new(words, json_string("scalar"));
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if ((caps & sets[i].bit) != 0)
            json_array_append_new(words, json_string(sets[i].word));
    const char *limit = getenv("AUSPEX_ISA");
    const bool is_set = limit != NULL && limit[0] != '\0';
    const bool is_known = is_set && apx_caps_limit(caps, limit, &limited);
    json_object_set_new(isa, "present", words);
    json_object_set_new(isa, "limit", is_known ? json_string(limit) : json_null());
    if (is_set && !is_known) {
        char word[49], message[256];
        apx_cli_printable(limit, word, sizeof word);
        snprintf(message, sizeof message,
                 "the environment's AUSPEX_ISA is \"%s\", which is no instruction set: no model "
                 "loads; say scalar, avx2, avx512, avx512vnni or avx512vbmi",
                 word);
        json_object_set_new(isa, "message", json_string(message));
    }
    json_object_set_new(isa, "slow_gather", json_boolean((caps & APX_CAP_SLOW_GATHER) != 0));
    json_object_set_new(isa, "slow_512", json_boolean((caps & APX_CAP_SLOW_512) != 0));
    return isa;
}

/* What CUDA itself tells of its devices. */
static json_t *describe_cuda_devices(void)
{
    struct apx_cuda_machine machine;
    json_t *list = json_array();
    if (apx_cuda_open(NULL, &machine, NULL) != APX_OK)
        return list;
    for (int i = 0; i < machine.count; i++) {
        const struct apx_cuda_device *device = &machine.device[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(device->name));
        json_object_set_new(entry, "bus", json_string(device->bus));
        json_object_set_new(entry, "capability", json_real(device->major + device->minor / 10.0));
        json_object_set_new(entry, "multiprocessors", json_integer(device->multiprocessors));
        json_object_set_new(entry, "bytes", json_integer((json_int_t)device->memory_bytes));
        json_array_append_new(list, entry);
    }
    return list;
}

/* The library that computes large layers: its version, null if it is not found. */
static json_t *describe_cublaslt(void)
{
    const struct apx_cuda_driver *driver;
    char text[32];
    if (apx_cuda_load(&driver, NULL) != APX_OK || driver->cublaslt() == 0)
        return json_null();
    const size_t version = driver->cublaslt();
    snprintf(text, sizeof text, "%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
    return json_string(text);
}

static json_t *describe_backends(void)
{
    static const char *const names[] = {"cpu", "cuda"};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct apx_backend *backend;
        struct apx_error error = {0};
        bool usable = apx_backend_find(names[i], &backend, &error) == APX_OK;
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(names[i]));
        json_object_set_new(entry, "usable", json_boolean(usable));
        if (!usable)
            json_object_set_new(entry, "reason", json_string(error.message));
        if (usable && strcmp(names[i], "cuda") == 0) {
            json_object_set_new(entry, "devices", describe_cuda_devices());
            json_object_set_new(entry, "cublaslt", describe_cublaslt());
        }
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *describe(const struct apx_topo *topo)
{
    json_t *json = json_object(), *caches = json_object(), *pus = json_array();
    json_t *nodes = json_array(), *gpus = json_array();
    json_object_set_new(json, "version", json_string(apx_version()));
    json_object_set_new(json, "cores", json_integer(topo->cores));
    json_object_set_new(json, "hardware_threads", json_integer(topo->pus));
    json_object_set_new(json, "quota", topo->quota > 0 ? json_real(topo->quota) : json_null());
    json_object_set_new(json, "threads", json_integer(topo->threads));
    for (int i = 0; i < topo->pus; i++)
        json_array_append_new(pus, json_integer(topo->pu[i].os_index));
    json_object_set_new(json, "pinning_order", pus);
    json_object_set_new(caches, "l1d", json_integer((json_int_t)topo->l1d));
    json_object_set_new(caches, "l2", json_integer((json_int_t)topo->l2));
    json_object_set_new(caches, "l3", json_integer((json_int_t)topo->l3));
    json_object_set_new(caches, "l3_cores", json_integer(topo->l3_cores));
    json_object_set_new(json, "caches", caches);
    json_object_set_new(json, "isa", describe_isa());
    for (int i = 0; i < topo->nodes; i++) {
        json_t *node = json_object();
        json_object_set_new(node, "node", json_integer(topo->node[i].os_index));
        json_object_set_new(node, "cores", json_integer(topo->node[i].cores));
        json_object_set_new(node, "bytes", json_integer((json_int_t)topo->node[i].bytes));
        json_array_append_new(nodes, node);
    }
    json_object_set_new(json, "numa", nodes);
    for (int i = 0; i < topo->gpus; i++) {
        const struct apx_topo_gpu *gpu = &topo->gpu[i];
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(gpu->name));
        json_object_set_new(entry, "bus", json_string(gpu->bus));
        json_object_set_new(entry, "node",
                            gpu->node >= 0 ? json_integer(topo->node[gpu->node].os_index)
                                           : json_null());
        json_array_append_new(gpus, entry);
    }
    json_object_set_new(json, "gpus", gpus);
    json_object_set_new(json, "backends", describe_backends());
    const struct apx_backend *backend = NULL;
    if (apx_backend_find("auto", &backend, NULL) == APX_OK)
        json_object_set_new(json, "would_run", json_string(backend->name));
    return json;
}

static void print_bytes(const char *label, size_t bytes)
{
    if (bytes == 0)
        printf("%s unknown", label);
    else if (bytes < (size_t)1 << 20)
        printf("%s %zu KiB", label, bytes >> 10);
    else
        printf("%s %.4g MiB", label, (double)bytes / 1048576);
}

static void print(const struct apx_topo *topo, json_t *json)
{
    size_t i;
    json_t *entry;
    printf("cores     %d (%d hardware threads)", topo->cores, topo->pus);
    if (topo->quota > 0)
        printf(", control group grants %.4g", topo->quota);
    printf("; a session starts %d thread%s\ncaches    ", topo->threads,
           topo->threads == 1 ? "" : "s");
    print_bytes("L1d", topo->l1d);
    print_bytes(", L2", topo->l2);
    print_bytes(", L3", topo->l3);
    if (topo->l3 > 0)
        printf(" shared by %d core%s", topo->l3_cores, topo->l3_cores == 1 ? "" : "s");
    printf("\nisa      ");
    json_t *isa = json_object_get(json, "isa");
    json_array_foreach (json_object_get(isa, "present"), i, entry)
        printf(" %s", json_string_value(entry));
    if (json_is_string(json_object_get(isa, "limit")))
        printf("; AUSPEX_ISA allows up to %s", json_string_value(json_object_get(isa, "limit")));
    if (json_is_true(json_object_get(isa, "slow_512")))
        printf("; 512-bit work is slow here");
    if (json_is_true(json_object_get(isa, "slow_gather")))
        printf("; gathers are slow here");
    putchar('\n');
    for (int n = 0; n < topo->nodes; n++)
        printf("numa %-4d %d core%s, %.4g GiB\n", topo->node[n].os_index, topo->node[n].cores,
               topo->node[n].cores == 1 ? "" : "s", (double)topo->node[n].bytes / 1073741824);
    for (int g = 0; g < topo->gpus; g++) {
        printf("gpu       %s at %s", topo->gpu[g].name, topo->gpu[g].bus);
        if (topo->gpu[g].node >= 0)
            printf(", near NUMA node %d", topo->node[topo->gpu[g].node].os_index);
        putchar('\n');
    }
    if (topo->gpus == 0)
        puts("gpu       none");
    json_array_foreach (json_object_get(json, "backends"), i, entry) {
        const char *reason = json_string_value(json_object_get(entry, "reason"));
        printf("backend   %s: %s\n", json_string_value(json_object_get(entry, "name")),
               reason != NULL ? reason : "usable");
        size_t k;
        json_t *device;
        json_array_foreach (json_object_get(entry, "devices"), k, device)
            printf("          %s at %s, compute capability %.1f, %lld multiprocessors, %.4g GiB\n",
                   json_string_value(json_object_get(device, "name")),
                   json_string_value(json_object_get(device, "bus")),
                   json_real_value(json_object_get(device, "capability")),
                   (long long)json_integer_value(json_object_get(device, "multiprocessors")),
                   (double)json_integer_value(json_object_get(device, "bytes")) / 1073741824);
        const json_t *cublaslt = json_object_get(entry, "cublaslt");
        if (json_is_string(cublaslt))
            printf("          cuBLASLt %s computes large layers\n", json_string_value(cublaslt));
        else if (json_is_null(cublaslt))
            puts("          libcublasLt.so.13 is not found: our own kernels compute large layers");
    }
    const char *would = json_string_value(json_object_get(json, "would_run"));
    printf("would run %s\n", would != NULL ? would : "nothing");
}

int apx_cli_devices(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    bool as_json = false;
    for (int option; (option = apx_cli_next("devices", argc, argv, options)) != -1;) {
        if (option == CLI_HELP) {
            fputs(help, stdout);
            return apx_cli_finish("devices");
        }
        if (option != CLI_JSON)
            return CLI_USAGE;
        as_json = true;
    }
    if (optind < argc)
        return apx_cli_usage("devices", "it takes no argument, \"%s\" is one", argv[optind]);
    struct apx_topo_options topo_options = {.devices = true};
    struct apx_topo *topo;
    struct apx_error error = {0};
    if (apx_topo_create(&topo_options, &topo, &error) != APX_OK)
        return apx_cli_failed("devices", NULL, &error);
    json_t *json = describe(topo);
    if (as_json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print(topo, json);
    }
    const char *message =
        json_string_value(json_object_get(json_object_get(json, "isa"), "message"));
    int status = apx_cli_finish("devices");
    if (message != NULL)
        status = apx_cli_refuse("devices", NULL, "%s", message);
    json_decref(json);
    apx_topo_destroy(topo);
    return status;
}
