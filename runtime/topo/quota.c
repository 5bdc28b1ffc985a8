/* SPDX-License-Identifier: Apache-2.0 */
/* quota.c - how many CPUs the control group grants.
 *
 * A container usually sees all of its host's cores and may use a few: the limit is no mask but a
 * share of time, cpu.max in version 2 of the control groups, cpu.cfs_quota_us over
 * cpu.cfs_period_us in version 1. More workers than that share only get in each other's way, and
 * the kernel then stops all of them until the period ends.
 *
 * /proc/self/cgroup names the group, but as seen from the host; inside a container without its own
 * control group namespace that path does not exist and the group's files lie at the mount's top. So
 * every ancestor up to the top is tried, which also is right by itself: the least limit on the way
 * up holds. */
#include "runtime/topo/topo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096

static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool ok = fgets(line, size, file) != NULL;
    fclose(file);
    return ok;
}

/* 0: no limit. */
static double share(const char *quota, const char *period)
{
    double q = strtod(quota, NULL), p = strtod(period, NULL); /* "max" and "-1" give no limit */
    return q > 0 && p > 0 ? q / p : 0;
}

static double limit_v2(const char *directory)
{
    char path[PATH_BYTES + 32], line[128];
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (!read_line(path, line, sizeof line))
        return 0;
    char *space = strchr(line, ' ');
    return share(line, space != NULL ? space + 1 : "100000"); /* the kernel's default period */
}

static double limit_v1(const char *directory)
{
    char path[PATH_BYTES + 32], quota[64], period[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (!read_line(path, quota, sizeof quota))
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    return read_line(path, period, sizeof period) ? share(quota, period) : 0;
}

static double least(double a, double b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The least limit from top + group up to top. */
static double climb(const char *top, const char *group, double (*limit)(const char *directory))
{
    char directory[PATH_BYTES];
    int length = snprintf(directory, sizeof directory, "%s%s", top, group);
    if (length < 0 || (size_t)length >= sizeof directory || strstr(group, "..") != NULL)
        snprintf(directory, sizeof directory, "%s", top);
    double quota = 0;
    while (strlen(directory) > strlen(top)) {
        quota = least(quota, limit(directory));
        *strrchr(directory, '/') = '\0';
    }
    return least(quota, limit(top));
}

/* "cpu,cpuacct" holds the word "cpu"; "cpuset" does not. */
static bool has_cpu(const char *controllers)
{
    for (const char *at = controllers; (at = strstr(at, "cpu")) != NULL; at += 3)
        if ((at == controllers || at[-1] == ',') && (at[3] == ',' || at[3] == '\0'))
            return true;
    return false;
}

double apx_topo_quota(const char *root)
{
    char path[PATH_BYTES / 4], top[PATH_BYTES / 2], line[PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    double quota = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(++controllers, ':') : NULL;
        if (group == NULL)
            continue;
        *group++ = '\0';
        if (strcmp(group, "/") == 0)
            group = group + 1;
        if (*controllers == '\0') {
            snprintf(top, sizeof top, "%s/sys/fs/cgroup", root);
            quota = least(quota, climb(top, group, limit_v2));
        } else if (has_cpu(controllers)) {
            static const char *const mounts[] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
            for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
                snprintf(top, sizeof top, "%s/sys/fs/cgroup/%s", root, mounts[i]);
                quota = least(quota, climb(top, group, limit_v1));
            }
        }
    }
    fclose(file);
    return quota;
}
