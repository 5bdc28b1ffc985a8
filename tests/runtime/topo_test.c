/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topo/topo.h"
#include "tests/harness/check.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/topo_test_XXXXXX";

static struct apx_topo *pose(const char *synthetic, const char *affinity, const char *as_root)
{
    struct apx_topo_options options = {
        .synthetic = synthetic, .affinity = affinity, .root = as_root, .devices = true};
    struct apx_topo *topo;
    struct apx_error error = {0};
    if (!CHECK(apx_topo_create(&options, &topo, &error) == APX_OK)) {
        fprintf(stderr, "    %s\n", error.message);
        exit(1);
    }
    return topo;
}

static void one_core(void)
{
    struct apx_topo *topo = pose("core:1 pu:1", NULL, NULL);
    CHECK_EQ(topo->cores, 1);
    CHECK_EQ(topo->pus, 1);
    CHECK_EQ(topo->threads, 1);
    CHECK_EQ(topo->pu[0].os_index, 0);
    CHECK_EQ(topo->gpus, 0);
    CHECK_EQ(topo->l3_cores, 1);
    apx_topo_destroy(topo);
}

static void two_sockets_with_siblings(void)
{
    struct apx_topo *topo = pose("pack:2 numa:1 l3:1(size=33554432) core:8 l2:1(size=1048576) "
                                 "l1d:1(size=49152) pu:2",
                                 NULL, NULL);
    CHECK_EQ(topo->cores, 16);
    CHECK_EQ(topo->pus, 32);
    CHECK_EQ(topo->threads, 16);
    CHECK_EQ(topo->nodes, 2);
    CHECK_EQ(topo->node[0].cores, 8);
    CHECK_EQ(topo->node[1].cores, 8);
    CHECK_EQ(topo->l1d, 48 << 10);
    CHECK_EQ(topo->l2, 1 << 20);
    CHECK_EQ(topo->l3, 32 << 20);
    CHECK_EQ(topo->l3_cores, 8);
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(topo->pu[i].core, i);
        CHECK_EQ(topo->pu[i].os_index, 2 * i);
        CHECK_EQ(topo->pu[i].node, i / 8);
        CHECK_EQ(topo->pu[16 + i].core, i);
        CHECK_EQ(topo->pu[16 + i].os_index, 2 * i + 1);
    }
    apx_topo_destroy(topo);
}

static void no_second_cache(void)
{
    struct apx_topo *topo = pose("pack:1 core:4 l1d:1(size=32768) pu:1", NULL, NULL);
    CHECK_EQ(topo->cores, 4);
    CHECK_EQ(topo->l1d, 32 << 10);
    CHECK_EQ(topo->l2, 0);
    CHECK_EQ(topo->l3, 0);
    CHECK_EQ(topo->l3_cores, 4);
    apx_topo_destroy(topo);
}

static void no_cores_told(void)
{
    struct apx_topo *topo = pose("pack:1 pu:6", NULL, NULL);
    CHECK_EQ(topo->cores, 6);
    CHECK_EQ(topo->pus, 6);
    apx_topo_destroy(topo);
}

static void obeys_the_mask(void)
{
    /* Core 0 by its second thread, core 1 whole, one core of the other socket. */
    struct apx_topo *topo = pose("pack:2 numa:1 l3:1 core:8 pu:2", "1-3,16", NULL);
    CHECK_EQ(topo->cores, 3);
    CHECK_EQ(topo->pus, 4);
    CHECK_EQ(topo->threads, 3);
    CHECK_EQ(topo->pu[0].os_index, 1);
    CHECK_EQ(topo->pu[1].os_index, 2);
    CHECK_EQ(topo->pu[2].os_index, 16);
    CHECK_EQ(topo->pu[2].core, 2);
    CHECK_EQ(topo->pu[2].node, 1);
    CHECK_EQ(topo->pu[3].os_index, 3);
    CHECK_EQ(topo->pu[3].core, 1);
    CHECK_EQ(topo->node[0].cores, 2);
    CHECK_EQ(topo->node[1].cores, 1);
    CHECK_EQ(topo->l3_cores, 2);
    apx_topo_destroy(topo);
}

static void bad_words_are_refused(void)
{
    struct apx_topo *topo = (struct apx_topo *)root;
    struct apx_error error;
    struct apx_topo_options options = {.synthetic = "core:many"};
    CHECK_EQ(apx_topo_create(&options, &topo, &error), APX_EINVAL);
    CHECK(topo == NULL);
    CHECK_STR(error.field, "synthetic");
    options = (struct apx_topo_options){.synthetic = "core:2 pu:1", .affinity = "7"};
    CHECK_EQ(apx_topo_create(&options, &topo, &error), APX_EINVAL);
    CHECK_STR(error.field, "affinity");
}

static void put(const char *path, const char *text)
{
    char full[4096];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void quota_of_version_2(void)
{
    put("v2/proc/self/cgroup", "0::/box/app\n");
    put("v2/sys/fs/cgroup/box/app/cpu.max", "max 100000\n");
    put("v2/sys/fs/cgroup/box/cpu.max", "250000 100000\n");
    char v2[256];
    snprintf(v2, sizeof v2, "%s/v2", root);
    CHECK_NEAR(apx_topo_quota(v2), 2.5, 0);
    struct apx_topo *topo = pose("core:8 pu:2", NULL, v2);
    CHECK_EQ(topo->cores, 8);
    CHECK_EQ(topo->threads, 2);
    CHECK_NEAR(topo->quota, 2.5, 0);
    apx_topo_destroy(topo);
    put("v2/sys/fs/cgroup/box/app/cpu.max", "50000 100000\n");
    topo = pose("core:8 pu:2", NULL, v2);
    CHECK_EQ(topo->threads, 1);
    apx_topo_destroy(topo);
    put("v2/sys/fs/cgroup/box/app/cpu.max", "6400000 100000\n");
    put("v2/sys/fs/cgroup/box/cpu.max", "max\n");
    topo = pose("core:8 pu:2", NULL, v2);
    CHECK_EQ(topo->threads, 8);
    apx_topo_destroy(topo);
}

/* A container sees its own group at the top of the mount, under a path that is the host's. */
static void quota_inside_a_container(void)
{
    put("box/proc/self/cgroup", "0::/../../kubepods/pod1\n");
    put("box/sys/fs/cgroup/cpu.max", "300000 100000\n");
    char box[256];
    snprintf(box, sizeof box, "%s/box", root);
    CHECK_NEAR(apx_topo_quota(box), 3, 0);
    put("box/proc/self/cgroup", "0::/\n");
    CHECK_NEAR(apx_topo_quota(box), 3, 0);
}

static void quota_of_version_1(void)
{
    put("v1/proc/self/cgroup", "12:cpuset:/\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n");
    put("v1/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
    put("v1/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
    put("v1/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1000\n");
    char v1[256];
    snprintf(v1, sizeof v1, "%s/v1", root);
    CHECK_NEAR(apx_topo_quota(v1), 3, 0);
    put("v1/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    CHECK_NEAR(apx_topo_quota(v1), 0, 0);
    CHECK_NEAR(apx_topo_quota("/nowhere"), 0, 0);
}

/* A machine as hwloc exports it: two sockets, a GPU at the second, a console's display chip and a
 * GPU without a name at the machine's own bridge. */
static void gpus_and_their_nodes(void)
{
    put("gpus.xml",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
        "<topology version=\"2.0\">\n"
        "<object type=\"Machine\" os_index=\"0\" cpuset=\"0x3\" complete_cpuset=\"0x3\""
        " allowed_cpuset=\"0x3\" nodeset=\"0x3\" complete_nodeset=\"0x3\" allowed_nodeset=\"0x3\""
        " gp_index=\"1\">\n"
        "<object type=\"Package\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\""
        " nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"2\">\n"
        "<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\""
        " nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"3\" local_memory=\"1024\"/>\n"
        "<object type=\"Core\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\""
        " nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"4\">\n"
        "<object type=\"PU\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\""
        " nodeset=\"0x1\" complete_nodeset=\"0x1\" gp_index=\"5\"/>\n"
        "</object></object>\n"
        "<object type=\"Package\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\""
        " nodeset=\"0x2\" complete_nodeset=\"0x2\" gp_index=\"6\">\n"
        "<object type=\"NUMANode\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\""
        " nodeset=\"0x2\" complete_nodeset=\"0x2\" gp_index=\"7\" local_memory=\"1024\"/>\n"
        "<object type=\"Core\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\""
        " nodeset=\"0x2\" complete_nodeset=\"0x2\" gp_index=\"8\">\n"
        "<object type=\"PU\" os_index=\"1\" cpuset=\"0x2\" complete_cpuset=\"0x2\""
        " nodeset=\"0x2\" complete_nodeset=\"0x2\" gp_index=\"9\"/>\n"
        "</object>\n"
        "<object type=\"Bridge\" gp_index=\"10\" bridge_type=\"0-1\" depth=\"0\""
        " bridge_pci=\"0000:[80-90]\">\n"
        "<object type=\"PCIDev\" gp_index=\"11\" pci_busid=\"0000:81:00.0\""
        " pci_type=\"0302 [10de:2335] [10de:18be] a1\" pci_link_speed=\"0.0\">\n"
        "<info name=\"PCIVendor\" value=\"NVIDIA Corporation\"/>\n"
        "<info name=\"PCIDevice\" value=\"GH100 [H200 SXM 141GB]\"/>\n"
        "</object></object></object>\n"
        "<object type=\"Bridge\" gp_index=\"12\" bridge_type=\"0-1\" depth=\"0\""
        " bridge_pci=\"0000:[00-10]\">\n"
        "<object type=\"PCIDev\" gp_index=\"13\" pci_busid=\"0000:02:00.0\""
        " pci_type=\"0300 [1a03:2000] [1a03:2000] 41\" pci_link_speed=\"0.0\"/>\n"
        "<object type=\"PCIDev\" gp_index=\"14\" pci_busid=\"0000:03:00.0\""
        " pci_type=\"0300 [1002:740f] [1002:0c34] 02\" pci_link_speed=\"0.0\"/>\n"
        "</object>\n"
        "</object></topology>\n");
    char path[256];
    snprintf(path, sizeof path, "%s/gpus.xml", root);
    setenv("HWLOC_XMLFILE", path, 1);
    struct apx_topo *topo = pose(NULL, NULL, root);
    unsetenv("HWLOC_XMLFILE");
    CHECK_EQ(topo->cores, 2);
    REQUIRE(topo->gpus == 2 && topo->nodes == 2);
    CHECK_STR(topo->gpu[0].name, "NVIDIA Corporation GH100 [H200 SXM 141GB]");
    CHECK_STR(topo->gpu[0].bus, "0000:81:00.0");
    CHECK_EQ(topo->gpu[0].vendor, 0x10de);
    CHECK_EQ(topo->gpu[0].node, 1);
    CHECK_STR(topo->gpu[1].name, "gpu 1002:740f");
    CHECK_EQ(topo->gpu[1].node, -1);
    apx_topo_destroy(topo);
}

static void this_machine(void)
{
    struct apx_topo *topo = pose(NULL, NULL, NULL);
    cpu_set_t mask;
    REQUIRE(sched_getaffinity(0, sizeof mask, &mask) == 0);
    CHECK_EQ(topo->pus, CPU_COUNT(&mask));
    CHECK(topo->cores >= 1 && topo->cores <= topo->pus);
    CHECK(topo->threads >= 1 && topo->threads <= topo->cores);
    for (int i = 0; i < topo->pus; i++)
        CHECK(CPU_ISSET(topo->pu[i].os_index, &mask));
    int first = topo->pu[0].os_index;
    apx_topo_destroy(topo);

    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    topo = pose(NULL, NULL, NULL);
    CHECK_EQ(topo->pus, 1);
    CHECK_EQ(topo->threads, 1);
    CHECK_EQ(topo->pu[0].os_index, first);
    apx_topo_destroy(topo);
    sched_setaffinity(0, sizeof mask, &mask);
    apx_topo_destroy(NULL);
}

int main(void)
{
    REQUIRE(mkdtemp(root) != NULL);
    RUN(one_core);
    RUN(two_sockets_with_siblings);
    RUN(no_second_cache);
    RUN(no_cores_told);
    RUN(obeys_the_mask);
    RUN(bad_words_are_refused);
    RUN(quota_of_version_2);
    RUN(quota_inside_a_container);
    RUN(quota_of_version_1);
    RUN(gpus_and_their_nodes);
    RUN(this_machine);
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) != 0 || check_report();
}
