/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_file_test.c - measured figures on disk: what is stored comes back, and what is not
 * right is as good as none. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/device/crossover.h"
#include "tests/harness/check.h"
#include "tests/harness/text_with.h"

static char directory[] = "/tmp/crossover_file_test_XXXXXX";
static struct apx_crossover_key key;
static struct apx_crossovers found;
static struct apx_error error;

static struct apx_crossover sample(int threads, int64_t steps)
{
    struct apx_crossover c = {.threads = threads,
                              .steps = steps,
                              .from_rows = 12,
                              .measured = "2026-11-21T22:40:00Z",
                              .point_count = 2,
                              .points = {{8, 1000, 2000}, {16, 4000, 2000}}};
    c.from_rows = apx_crossover_settle(c.points, 2);
    return c;
}

static void make_key(void)
{
    apx_crossover_key_make("model", 5, NULL, "NVIDIA H200", 1, 13000, "avx512", &key);
    CHECK_STR(key.model, "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4");
    CHECK_STR(key.precision, "fp32");
    CHECK_STR(key.gpu, "NVIDIA H200");
    CHECK(strncmp(key.driver, "CUDA 13.0", 9) == 0);
    CHECK(strlen(key.cpu) > 2);
    CHECK_STR(key.isa, "avx512");
    struct apx_crossover_key other;
    apx_crossover_key_make("", 0, "int8", " A\tB\x80 ", 3, 12080, "scalar", &other);
    CHECK_STR(other.gpu, "3 x  A?B?");
    CHECK(strncmp(other.driver, "CUDA 12.8", 9) == 0);
    CHECK_STR(other.precision, "int8");
}

static enum apx_status load(void)
{
    memset(&error, 0, sizeof error);
    return apx_crossovers_load(directory, &key, apx_allocator_default(), &found, &error);
}

static char *store(int threads, int64_t steps)
{
    struct apx_crossover c = sample(threads, steps);
    char *path;
    REQUIRE(apx_crossovers_store(directory, &key, &c, &path, &error) == APX_OK);
    return path;
}

static void keeps_what_is_stored(void)
{
    CHECK_EQ(load(), APX_ENOTFOUND);
    CHECK_EQ(found.count, 0);
    free(store(2, 0));
    free(store(1, 0));
    free(store(1, 20));
    free(store(2, 0)); /* in the place of the first */
    CHECK_EQ(load(), APX_OK);
    CHECK_EQ(found.count, 3);
    const struct apx_crossover *c = apx_crossovers_find(&found, 1, 20);
    REQUIRE(c != NULL);
    const struct apx_crossover expected = sample(1, 20);
    CHECK_EQ(c->from_rows, expected.from_rows);
    CHECK_STR(c->measured, expected.measured);
    CHECK_EQ(c->point_count, 2);
    CHECK(memcmp(c->points, expected.points, 2 * sizeof *c->points) == 0);
    CHECK(apx_crossovers_find(&found, 2, 20) == NULL);
    CHECK(apx_crossovers_find(&found, 2, 0) != NULL);
    apx_crossovers_release(&found);
    /* A full file loses its oldest. */
    for (int i = 0; i < APX_LIMIT_CROSSOVERS; i++)
        free(store(3, i + 1));
    CHECK_EQ(load(), APX_OK);
    CHECK_EQ(found.count, APX_LIMIT_CROSSOVERS);
    CHECK(apx_crossovers_find(&found, 2, 0) == NULL);
    apx_crossovers_release(&found);
    /* Nothing half written is left. */
    DIR *folder = opendir(directory);
    int files = 0;
    REQUIRE(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        files += entry->d_name[0] != '.' || strstr(entry->d_name, "tmp") != NULL;
    closedir(folder);
    CHECK_EQ(files, 1);
}

static void is_for_one_key(void)
{
    char *path = apx_crossover_path(directory, &key);
    char *fields[] = {key.model, key.precision, key.gpu, key.driver, key.cpu, key.isa};
    static const char *const words[] = {"another model",     "another precision",
                                        "another GPU",       "another driver",
                                        "another processor", "another instruction set"};
    free(store(2, 0));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        fields[i][0]++;
        char *elsewhere = apx_crossover_path(directory, &key), *text;
        size_t bytes;
        CHECK(strcmp(path, elsewhere) != 0);
        CHECK_EQ(load(), APX_ENOTFOUND);
        /* A file that was put there by hand. */
        REQUIRE(apx_file_read(path, 1 << 20, &text, &bytes, NULL) == APX_OK);
        REQUIRE(apx_file_replace(elsewhere, text, bytes, NULL) == APX_OK);
        CHECK_EQ(load(), APX_EFORMAT);
        CHECK_HAS(error.message, words[i]);
        CHECK_HAS(error.message, "measure again with auspex calibrate");
        CHECK_HAS(error.message, elsewhere);
        CHECK_EQ(found.count, 0);
        unlink(elsewhere);
        free(text);
        free(elsewhere);
        fields[i][0]--;
    }
    CHECK_EQ(load(), APX_OK);
    apx_crossovers_release(&found);
    free(path);
}

/* The good text with one part replaced. */
static void refuses(const char *text, const char *part, const char *other, const char *words)
{
    char *changed = text_with(text, part, other);
    memset(&error, 0, sizeof error);
    CHECK_EQ(apx_crossovers_read(changed, strlen(changed), &key, apx_allocator_default(), &found,
                                 &error),
             APX_EFORMAT);
    if (!CHECK(strstr(error.message, words) != NULL && strchr(error.message, '\n') == NULL))
        fprintf(stderr, "    %s for %s: %s\n", other, part, error.message);
    CHECK(found.count == 0 && found.list == NULL);
    free(changed);
}

/* There is something else at the file's place: nothing is written, and nothing waits. */
static void refuses_to_store(void)
{
    struct apx_crossover c = sample(1, 0);
    struct apx_error reason = {0};
    char *none;
    CHECK_EQ(apx_crossovers_prepare(directory, &key, &reason), APX_EIO);
    CHECK_HAS(reason.message, ".json is no regular file; remove it");
    memset(&reason, 0, sizeof reason);
    CHECK_EQ(apx_crossovers_store(directory, &key, &c, &none, &reason), APX_EIO);
    CHECK_HAS(reason.message, ".json is no regular file; remove it");
    CHECK(none == NULL);
}

static void refuses_what_is_damaged(void)
{
    char *path = store(2, 0), *text;
    size_t bytes;
    unlink(path);
    free(path);
    path = store(2, 0);
    REQUIRE(apx_file_read(path, 1 << 20, &text, &bytes, NULL) == APX_OK);
    static const char *const bad[][2] = {
        {"\"threads\": 2", "\"threads\": 0"},
        {"\"threads\": 2", "\"threads\": 2000"},
        {"\"threads\": 2", "\"threads\": \"2\""},
        {"\"threads\": 2", "\"threads\": 2.0"},
        {"\"steps\": null", "\"steps\": 0"},
        {"\"steps\": null", "\"steps\": -4"},
        {"\"steps\": null", "\"steps\": 9223372036854775807"},
        {"\"steps\": null", "\"stops\": null"},
        {"2026-11-21T22:40:00Z", "2026-11-21 22:40"},
        {"2026-11-21T22:40:00Z", "2026-11-21T22:40:00ZZ"},
        {"2026-11-21T22:40:00Z", "\\u001b[31m-21T22:40:00Z"},
        {"\"rows\": 16", "\"rows\": 8"},
        {"\"rows\": 16", "\"rows\": 2000000000"},
        {"\"rows\": 8", "\"rows\": 0"},
        {"\"cpu_ns\": 1000", "\"cpu_ns\": 0"},
        {"\"cpu_ns\": 1000", "\"cpu_ns\": -1"},
        {"\"gpu_ns\": 2000", "\"gpu_ns\": 1e3"},
        {"\"gpu_ns\": 2000", "\"gpu_ns\": 2000000000000000"},
        {"\"points\": [", "\"points\": [[]],\"x\": ["},
        {"\"points\": [", "\"points\": [],\"x\": ["},
        {"\"points\": [", "\"points\": {},\"x\": ["},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses(text, bad[i][0], bad[i][1], "crossover 0 is damaged");
    refuses(text, "crossover 1\"", "crossover 2\"", "it is no \"auspex crossover 1\"");
    refuses(text, "\"format\"", "\"fermat\"", "it is no \"auspex crossover 1\"");
    refuses(text, "\"key\"", "\"koy\"", "another model (none)");
    refuses(text, "\"crossovers\": [", "\"crossovers\": [], \"x\": [", "0 crossovers");
    refuses(text, "\"crossovers\": [", "\"format\": [", "is no JSON");
    refuses(text, "{", "[", "is no JSON");
    /* Whatever its length, a beginning is not the whole. */
    for (size_t cut = 0; cut + 1 < bytes; cut++)
        CHECK_EQ(apx_crossovers_read(text, cut, &key, apx_allocator_default(), &found, NULL),
                 APX_EFORMAT);
    /* The same in the file, and things that are no files. */
    REQUIRE(apx_file_replace(path, text, bytes / 2, NULL) == APX_OK);
    CHECK_EQ(load(), APX_EFORMAT);
    CHECK_HAS(error.message, "or it is cut off; measure again");
    REQUIRE(truncate(path, (off_t)APX_LIMIT_CROSSOVER_BYTES + 1) == 0);
    CHECK_EQ(load(), APX_ELIMIT);
    unlink(path);
    REQUIRE(mkfifo(path, 0600) == 0);
    CHECK_EQ(load(), APX_EFORMAT);
    CHECK_HAS(error.message, "it is no regular file; remove it and measure again");
    refuses_to_store();
    unlink(path);
    REQUIRE(mkdir(path, 0700) == 0);
    CHECK_EQ(load(), APX_EFORMAT);
    refuses_to_store();
    rmdir(path);
    /* What was of no use is replaced. */
    REQUIRE(apx_file_replace(path, "{", 1, NULL) == APX_OK);
    free(store(2, 0));
    CHECK_EQ(load(), APX_OK);
    apx_crossovers_release(&found);
    unlink(path);
    free(path);
    free(text);
}

static void finds_the_folder(void)
{
    static const char *const cases[][4] = {
        /* XDG_CACHE_HOME, HOME, given, found */
        {"/a/b", "/home/x", NULL, "/a/b/auspex"},
        {"a/b", "/home/x", NULL, "/home/x/.cache/auspex"},
        {"", "/home/x", NULL, "/home/x/.cache/auspex"},
        {"", "", NULL, NULL},
        {"/a/b", "/home/x", "there", "there"},
        {"/a/b", "/home/x", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("XDG_CACHE_HOME", cases[i][0], 1);
        setenv("HOME", cases[i][1], 1);
        char *path = apx_crossover_directory(cases[i][2]);
        if (cases[i][3] != NULL)
            CHECK_STR(path, cases[i][3]);
        else
            CHECK(path == NULL);
        free(path);
    }
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CHECK(apx_crossover_directory(NULL) == NULL);
}

/* Folders are made, for their owner; where that cannot be, the reason is told. */
static void makes_the_folder(void)
{
    char deep[128], lock[160], *path;
    struct apx_crossover c = sample(1, 0);
    struct stat about;
    snprintf(deep, sizeof deep, "%s/a/b", directory);
    CHECK_EQ(apx_crossovers_store(deep, &key, &c, &path, &error), APX_OK);
    CHECK(stat(deep, &about) == 0 && (about.st_mode & 0777) == 0700);
    CHECK(strncmp(path, deep, strlen(deep)) == 0);
    struct apx_error reason = {0};
    char *none;
    CHECK_EQ(apx_crossovers_store(path, &key, &c, &none, &reason), APX_EIO);
    CHECK(none == NULL && strstr(reason.message, "is no folder") != NULL);
    CHECK_EQ(apx_crossovers_prepare(path, &key, &reason), APX_EIO);
    CHECK_EQ(apx_crossovers_prepare(deep, &key, &reason), APX_OK);
    CHECK_EQ(apx_crossovers_store("/proc/nowhere", &key, &c, &none, &reason), APX_EIO);
    CHECK_HAS(reason.message, "cannot make the folder /proc/nowhere");
    unlink(path);
    snprintf(lock, sizeof lock, "%s/.lock", deep);
    CHECK(unlink(lock) == 0 && mkfifo(lock, 0600) == 0);
    CHECK_EQ(apx_crossovers_prepare(deep, &key, &reason), APX_EIO);
    CHECK_HAS(reason.message, "/.lock is no regular file; remove it");
    CHECK(unlink(lock) == 0 && mkdir(lock, 0700) == 0);
    CHECK_EQ(apx_crossovers_prepare(deep, &key, &reason), APX_EIO);
    CHECK_HAS(reason.message, "/.lock is no regular file; remove it");
    rmdir(lock);
    rmdir(deep);
    *strrchr(deep, '/') = '\0';
    rmdir(deep);
    free(path);
}

/* Points of another run for the same threads and steps stay. */
static void merges(void)
{
    struct apx_crossover c = sample(5, 5);
    char *path;
    REQUIRE(apx_crossovers_store(directory, &key, &c, &path, NULL) == APX_OK);
    free(path);
    c.point_count = 1;
    c.points[0] = (struct apx_crossover_point){32, 9000, 2000};
    REQUIRE(apx_crossovers_store(directory, &key, &c, &path, NULL) == APX_OK);
    CHECK_EQ(c.point_count, 3); /* what is stored is told */
    CHECK_EQ(load(), APX_OK);
    const struct apx_crossover *stored = apx_crossovers_find(&found, 5, 5);
    REQUIRE(stored != NULL && stored->point_count == 3);
    CHECK(memcmp(stored->points, c.points, 3 * sizeof *c.points) == 0);
    CHECK_EQ(stored->from_rows, c.from_rows);
    apx_crossovers_release(&found);
    unlink(path);
    free(path);
}

#define WRITERS 8
#define EACH    6

/* Of many at once every one finds its figures again. */
static void loses_nothing(void)
{
    pid_t writers[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        REQUIRE(writers[w] >= 0);
        if (writers[w] == 0) {
            for (int i = 0; i < EACH; i++)
                free(store(w + 1, i + 1));
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = 1;
        CHECK(waitpid(writers[w], &status, 0) == writers[w] && status == 0);
    }
    CHECK_EQ(load(), APX_OK);
    CHECK_EQ(found.count, WRITERS * EACH);
    apx_crossovers_release(&found);
    char *path = apx_crossover_path(directory, &key);
    CHECK(path != NULL && unlink(path) == 0);
    free(path);
}

int main(void)
{
    REQUIRE(mkdtemp(directory) != NULL);
    RUN(make_key);
    RUN(keeps_what_is_stored);
    RUN(is_for_one_key);
    RUN(refuses_what_is_damaged);
    RUN(merges);
    RUN(loses_nothing);
    RUN(makes_the_folder);
    RUN(finds_the_folder);
    char lock[64];
    snprintf(lock, sizeof lock, "%s/.lock", directory);
    CHECK(unlink(lock) == 0 && rmdir(directory) == 0);
    return check_report();
}
