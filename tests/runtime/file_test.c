/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/file.h"
#include "tests/harness/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/file_test_XXXXXX";
static char path[64];

static int entries(void)
{
    DIR *list = opendir(directory);
    int count = -2; /* . and .. */
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

static void writes_and_reads_back(void)
{
    struct apx_error error;
    char *data;
    size_t bytes;
    CHECK_EQ(apx_file_replace(path, "one\0two", 7, &error), APX_OK);
    CHECK_EQ(apx_file_read(path, 7, &data, &bytes, &error), APX_OK);
    CHECK_EQ(bytes, 7);
    CHECK(memcmp(data, "one\0two", 8) == 0);
    free(data);
    CHECK_EQ(apx_file_replace(path, "", 0, &error), APX_OK);
    CHECK_EQ(apx_file_read(path, 7, &data, &bytes, &error), APX_OK);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(data[0], 0);
    free(data);
    CHECK_EQ(entries(), 1);
}

static void reads_a_pipe(void)
{
    int ends[2];
    char name[32], *data;
    size_t bytes;
    struct apx_error error;
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        static char text[200000];
        memset(text, 'x', sizeof text);
        close(ends[0]);
        _exit(apx_file_write_all(ends[1], text, sizeof text, "pipe", NULL) != APX_OK);
    }
    close(ends[1]);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    CHECK_EQ(apx_file_read(name, 1 << 20, &data, &bytes, &error), APX_OK);
    CHECK_EQ(bytes, 200000);
    free(data);
    close(ends[0]);
}

static void refuses(void)
{
    struct apx_error error;
    char *data;
    size_t bytes;
    CHECK_EQ(apx_file_read("/nowhere/at all", 9, &data, &bytes, &error), APX_ENOTFOUND);
    CHECK(data == NULL);
    CHECK_EQ(apx_file_read("/tmp", 9, &data, &bytes, &error), APX_EIO);
    CHECK_EQ(apx_file_replace(path, "0123456789", 10, &error), APX_OK);
    CHECK_EQ(apx_file_read(path, 9, &data, &bytes, &error), APX_ELIMIT);
    CHECK_EQ(apx_file_read("/dev/zero", 100000, &data, &bytes, &error), APX_ELIMIT);
    CHECK_EQ(apx_file_replace("/nowhere/file", "x", 1, &error), APX_ENOTFOUND);
    CHECK_HAS(error.message, "there is no folder /nowhere");
    CHECK_EQ(apx_file_replace("/dev/full", "x", 1, &error), APX_EIO);
    CHECK_HAS(error.message, "No space left");
}

/* Writers of one target, some killed at any moment: it is whole all the time, and the next writer
 * that nobody kills leaves nothing else. */
static void sweeps_after_the_dead(void)
{
    enum { SIZE = 300000, ROUNDS = 40, WRITERS = 3 };
    static char text[SIZE];
    struct apx_error error = {0};
    char *data;
    size_t bytes;
    int left = 0;
    REQUIRE(apx_file_replace(path, text, SIZE, NULL) == APX_OK);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child[WRITERS];
        for (int i = 0; i < WRITERS; i++)
            if ((child[i] = fork()) == 0) {
                memset(text, 'a' + i, SIZE);
                for (;;)
                    if (apx_file_replace(path, text, SIZE, NULL) != APX_OK)
                        _exit(1);
            }
        nanosleep(&(struct timespec){.tv_nsec = 100000L * (1 + round * 7 % 50)}, NULL);
        /* This one is never killed: what it removes is nobody's who is alive. */
        CHECK_EQ(apx_file_replace(path, text, SIZE, &error), APX_OK);
        for (int i = 0; i < WRITERS; i++) {
            int result;
            kill(child[i], SIGKILL);
            REQUIRE(waitpid(child[i], &result, 0) == child[i]);
            CHECK(WIFSIGNALED(result)); /* none had failed */
        }
        left += entries() - 1;
        REQUIRE(apx_file_read(path, SIZE, &data, &bytes, &error) == APX_OK);
        CHECK_EQ(bytes, SIZE);
        CHECK(memcmp(data, data + 1, SIZE - 1) == 0);
        free(data);
    }
    CHECK(left > 0); /* or the kills came at the wrong moments */
    CHECK_EQ(apx_file_replace(path, "x", 1, &error), APX_OK);
    CHECK_EQ(entries(), 1);
}

/* Names that are taken by what no writer left are gone around. */
static void leaves_what_is_not_its_own(void)
{
    char taken[96], other[96];
    snprintf(taken, sizeof taken, "%s/.file.tmp-0", directory);
    snprintf(other, sizeof other, "%s/.file.tmp-1", directory);
    REQUIRE(mkdir(taken, 0700) == 0 && symlink("file", other) == 0);
    CHECK_EQ(apx_file_replace(path, "x", 1, NULL), APX_OK);
    CHECK_EQ(entries(), 3);
    REQUIRE(rmdir(taken) == 0 && unlink(other) == 0);
    int file = open(taken, O_WRONLY | O_CREAT | O_EXCL, 0600);
    REQUIRE(file >= 0 && flock(file, LOCK_EX) == 0); /* as one that is being written */
    CHECK_EQ(apx_file_replace(path, "x", 1, NULL), APX_OK);
    CHECK_EQ(entries(), 2);
    close(file);
    CHECK_EQ(apx_file_replace(path, "x", 1, NULL), APX_OK);
    CHECK_EQ(entries(), 1);
}

/* A file size limit stands for a full disk: the old content stays and nothing lies beside it. */
static void full_disk_leaves_the_old_file(void)
{
    struct apx_error error;
    char *data;
    size_t bytes;
    static char big[100000];
    REQUIRE(apx_file_replace(path, "old", 3, &error) == APX_OK);
    struct rlimit old, low;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    low = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &low) == 0);
    CHECK_EQ(apx_file_replace(path, big, sizeof big, &error), APX_EIO);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_EQ(entries(), 1);
    REQUIRE(apx_file_read(path, 100, &data, &bytes, &error) == APX_OK);
    CHECK_STR(data, "old");
    free(data);
}

/* A named pipe: its writer may come later, write slowly and in pieces, or never come. */
static void waits_for_a_writer(void)
{
    const struct timespec moment = {.tv_nsec = 30000000};
    struct apx_error error;
    char fifo[80], *data;
    size_t bytes;
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    REQUIRE(mkfifo(fifo, 0600) == 0);
    for (int quick = 0; quick < 2; quick++) {
        pid_t child = fork();
        if (child == 0) {
            nanosleep(&moment, NULL);
            int file = open(fifo, O_WRONLY);
            if (quick == 0)
                nanosleep(&moment, NULL);
            bool ok = write(file, "one", 3) == 3;
            if (quick == 0)
                nanosleep(&moment, NULL);
            _exit(ok && write(file, "two", 3) == 3 ? 0 : 1);
        }
        int result;
        CHECK_EQ(apx_file_read(fifo, 6, &data, &bytes, &error), APX_OK);
        CHECK_STR(data, "onetwo");
        free(data);
        REQUIRE(waitpid(child, &result, 0) == child);
        CHECK_EQ(result, 0);
    }
    CHECK_EQ(apx_file_read(fifo, 6, &data, &bytes, &error), APX_EIO);
    CHECK_HAS(error.message, "nobody has opened for writing");
    CHECK(data == NULL);
    REQUIRE(unlink(fifo) == 0);
}

/* The other direction: its reader may come later, or never. */
static void waits_for_a_reader(void)
{
    const struct timespec moment = {.tv_nsec = 30000000};
    static char text[200000]; /* more than a pipe holds: the reader is waited for there as well */
    struct apx_error error = {0};
    char fifo[80];
    int result;
    memset(text, 'x', sizeof text);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    REQUIRE(mkfifo(fifo, 0600) == 0);
    pid_t child = fork();
    if (child == 0) {
        char *data;
        size_t bytes;
        nanosleep(&moment, NULL);
        bool ok = apx_file_read(fifo, sizeof text, &data, &bytes, NULL) == APX_OK;
        _exit(ok && bytes == sizeof text && memcmp(data, text, bytes) == 0 ? 0 : 1);
    }
    CHECK_EQ(apx_file_replace(fifo, text, sizeof text, &error), APX_OK);
    REQUIRE(waitpid(child, &result, 0) == child);
    CHECK_EQ(result, 0);
    alarm(20); /* instead of for ever */
    CHECK_EQ(apx_file_replace(fifo, text, sizeof text, &error), APX_EIO);
    alarm(0);
    CHECK_HAS(error.message, "fifo is a pipe that nobody has opened for reading in 3 s");
    CHECK_EQ(entries(), 2);
    REQUIRE(unlink(fifo) == 0);
}

static mode_t mode_of(const char *name)
{
    struct stat about;
    REQUIRE(stat(name, &about) == 0);
    return about.st_mode & 07777;
}

/* A file that is replaced leaves its mode to the new one; a new one has what the umask leaves. */
static void keeps_the_mode(void)
{
    static const mode_t modes[] = {0640, 0600, 0664, 0444};
    mode_t mask = umask(022);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        REQUIRE(apx_file_replace(path, "a", 1, NULL) == APX_OK && chmod(path, modes[i]) == 0);
        CHECK_EQ(apx_file_replace(path, "b", 1, NULL), APX_OK);
        CHECK_EQ(mode_of(path), modes[i]);
    }
    REQUIRE(unlink(path) == 0);
    CHECK_EQ(apx_file_replace(path, "b", 1, NULL), APX_OK);
    CHECK_EQ(mode_of(path), 0644);
    umask(mask);
}

/* Root keeps the owner. A writer who may not leaves the group that is not kept no rights. */
static void keeps_the_owner_where_it_may(void)
{
    struct stat about;
    int result;
    if (geteuid() != 0)
        return;
    REQUIRE(apx_file_replace(path, "a", 1, NULL) == APX_OK);
    REQUIRE(chown(path, 12345, 23456) == 0 && chmod(path, 0640) == 0);
    CHECK_EQ(apx_file_replace(path, "b", 1, NULL), APX_OK);
    REQUIRE(stat(path, &about) == 0);
    CHECK_EQ(about.st_uid, 12345);
    CHECK_EQ(about.st_gid, 23456);
    CHECK_EQ(about.st_mode & 07777, 0640);
    REQUIRE(chmod(path, 0664) == 0 && chmod(directory, 0777) == 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = setgid(54321) == 0 && setuid(54321) == 0;
        _exit(ok && apx_file_replace(path, "c", 1, NULL) == APX_OK ? 0 : 1);
    }
    REQUIRE(waitpid(child, &result, 0) == child);
    CHECK_EQ(result, 0);
    REQUIRE(stat(path, &about) == 0);
    CHECK_EQ(about.st_uid, 54321);
    CHECK_EQ(about.st_mode & 07777, 0644);
    REQUIRE(chmod(directory, 0700) == 0 && unlink(path) == 0);
}

/* The file that a link leads to is written, also one that is not there yet; the link stays. */
static void writes_through_links(void)
{
    struct apx_error error = {0};
    struct stat about;
    char first[80], second[80], folder[80], behind[96], *data;
    size_t bytes;
    snprintf(first, sizeof first, "%s/first", directory);
    snprintf(second, sizeof second, "%s/second", directory);
    snprintf(folder, sizeof folder, "%s/folder", directory);
    snprintf(behind, sizeof behind, "%s/behind", folder);
    REQUIRE(mkdir(folder, 0700) == 0 && symlink("folder/behind", first) == 0 &&
            symlink(first, second) == 0);
    for (int there = 0; there < 2; there++) { /* at first the links lead to nothing */
        CHECK_EQ(apx_file_check_folder(second, &error), APX_OK);
        CHECK_EQ(apx_file_replace(second, there ? "two" : "one", 3, &error), APX_OK);
        CHECK(lstat(first, &about) == 0 && S_ISLNK(about.st_mode));
        CHECK(lstat(second, &about) == 0 && S_ISLNK(about.st_mode));
        REQUIRE(lstat(behind, &about) == 0 && S_ISREG(about.st_mode));
        REQUIRE(apx_file_read(behind, 9, &data, &bytes, &error) == APX_OK);
        CHECK_STR(data, there ? "two" : "one");
        free(data);
    }
    REQUIRE(unlink(behind) == 0 && rmdir(folder) == 0);
    CHECK_EQ(apx_file_check_folder(second, &error), APX_ENOTFOUND);
    CHECK_HAS(error.message, "second: there is no folder ");
    CHECK_EQ(apx_file_replace(second, "x", 1, &error), APX_ENOTFOUND);
    REQUIRE(unlink(first) == 0 && symlink("second", first) == 0); /* in a circle */
    CHECK_EQ(apx_file_check_folder(second, &error), APX_EIO);
    CHECK_EQ(apx_file_replace(second, "x", 1, &error), APX_EIO);
    CHECK_HAS(error.message, "levels of symbolic links");
    REQUIRE(unlink(first) == 0 && unlink(second) == 0);
}

/* /dev/fd/N is a link to the open file, also to one that has no name any more. */
static void writes_to_open_files(void)
{
    struct apx_error error = {0};
    char name[32], text[8] = "";
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    REQUIRE(file >= 0);
    CHECK_EQ(apx_file_replace(name, "longer", 6, &error), APX_OK);
    CHECK_EQ(entries(), 1);
    close(file);
    file = open(path, O_RDWR);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    REQUIRE(unlink(path) == 0);
    CHECK_EQ(apx_file_replace(name, "x", 1, &error), APX_OK);
    CHECK_EQ(read(file, text, sizeof text), 1);
    CHECK_STR(text, "x");
    CHECK_EQ(entries(), 0);
    close(file);
}

static void tells_two_names_of_one_file(void)
{
    char other[80], link_name[80], dotted[80];
    snprintf(other, sizeof other, "%s/other", directory);
    snprintf(link_name, sizeof link_name, "%s/link", directory);
    snprintf(dotted, sizeof dotted, "%s/./file", directory);
    REQUIRE(apx_file_replace(path, "x", 1, NULL) == APX_OK);
    REQUIRE(apx_file_replace(other, "x", 1, NULL) == APX_OK);
    CHECK(apx_file_is_same(path, path) && apx_file_is_same(dotted, path));
    CHECK(!apx_file_is_same(path, other));
    REQUIRE(symlink("file", link_name) == 0);
    CHECK(apx_file_is_same(link_name, path) && apx_file_is_same(path, link_name));
    REQUIRE(unlink(link_name) == 0);
    CHECK(!apx_file_is_same(link_name, path) && !apx_file_is_same(path, link_name));
    REQUIRE(link(path, link_name) == 0);
    CHECK(apx_file_is_same(link_name, path) && !apx_file_is_same(link_name, other));
    CHECK(!apx_file_is_same("/dev/null", "/dev/null")); /* writing there loses nothing */
    REQUIRE(unlink(link_name) == 0 && unlink(other) == 0);
}

int main(void)
{
    REQUIRE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/file", directory);
    RUN(writes_and_reads_back);
    RUN(reads_a_pipe);
    RUN(waits_for_a_writer);
    RUN(waits_for_a_reader);
    RUN(keeps_the_mode);
    RUN(keeps_the_owner_where_it_may);
    RUN(writes_through_links);
    RUN(writes_to_open_files);
    RUN(refuses);
    RUN(tells_two_names_of_one_file);
    RUN(sweeps_after_the_dead);
    RUN(leaves_what_is_not_its_own);
    RUN(full_disk_leaves_the_old_file);
    unlink(path);
    rmdir(directory);
    return check_report();
}
