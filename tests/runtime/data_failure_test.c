/* SPDX-License-Identifier: Apache-2.0 */
/* data_failure_test.c - each allocation of the file readers, of topo and of the repository fails
 * once: the call reports it, leaks nothing (the sanitizers look), and what is on disk stays whole.
 *
 * The linker sends the archive's malloc and its kin here (--wrap); jansson is told by its own hook.
 */
#include "runtime/base/file.h"
#include "runtime/repo.h"
#include "runtime/table.h"
#include "runtime/topo/topo.h"
#include "tests/harness/check.h"

#include <jansson.h>
#include <unistd.h>

#define MODEL "tests/golden/sklearn_linear.onnx"

static long left = -1; /* allocations that still succeed; -1: all */

static int refused(void)
{
    return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
char *__real_strndup(const char *text, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
char *__wrap_strndup(const char *text, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return refused() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return refused() ? NULL : __real_aligned_alloc(align, bytes);
}

char *__wrap_strndup(const char *text, size_t bytes)
{
    return refused() ? NULL : __real_strndup(text, bytes);
}

static char top[] = "/tmp/data_failure_test_XXXXXX";
static char csv[64], npy[64];
static struct apx_repo *repo;

/* Each returns a status and leaves nothing behind but what it has done. */
static enum apx_status read_csv(void)
{
    struct apx_table *table;
    enum apx_status status = apx_table_read_csv(csv, 0, &table, NULL);
    CHECK((status == APX_OK) == (table != NULL));
    apx_table_destroy(table);
    return status;
}

static enum apx_status read_npy(void)
{
    struct apx_tensor tensor;
    enum apx_status status = apx_npy_read(npy, &tensor, NULL);
    if (status == APX_OK)
        free(tensor.data);
    return status;
}

static enum apx_status write_npy(void)
{
    float x[2] = {1, 2};
    struct apx_tensor tensor = {.dtype = APX_F32, .rank = 1, .dims = {2}, .data = x};
    return apx_npy_write(npy, &tensor, NULL);
}

static enum apx_status create_topo(void)
{
    struct apx_topo_options options = {.synthetic = "pack:2 core:2 pu:2"};
    struct apx_topo *topo;
    enum apx_status status = apx_topo_create(&options, &topo, NULL);
    apx_topo_destroy(topo);
    return status;
}

static enum apx_status add(void)
{
    int64_t version;
    return apx_repo_add(repo, "m", MODEL, "{\"metrics\": {\"mae\": 1}}", &version, NULL);
}

static enum apx_status promote(void)
{
    int64_t current;
    if (apx_repo_resolve(repo, "m", "", &current, NULL, 0, NULL) != APX_OK)
        return APX_ENOMEM;
    return apx_repo_promote(repo, "m", current == 1 ? 2 : 1, NULL, NULL);
}

static enum apx_status rollback(void)
{
    int64_t current;
    return apx_repo_rollback(repo, "m", NULL, &current, NULL);
}

static enum apx_status alias(void)
{
    return apx_repo_alias(repo, "m", "canary", 1, NULL, NULL);
}

static enum apx_status list(void)
{
    char *text;
    enum apx_status status = apx_repo_list(repo, &text, NULL);
    apx_string_release(text);
    return status;
}

static enum apx_status prune(void)
{
    int64_t removed;
    return apx_repo_prune(repo, "m", 2, &removed, NULL);
}

/* Fails allocation 0, 1, 2, ... until the call succeeds without having met the failure. */
static void fail_each(const char *name, enum apx_status (*call)(void))
{
    long count = 0;
    for (; count < 100000; count++) {
        left = count;
        enum apx_status status = call();
        bool met = left < 0;
        left = -1;
        if (!met) {
            CHECK_EQ(status, APX_OK);
            break;
        }
        /* A failure may be met where a list is only made poorer, and jansson calls some of its own
         * failures bad text. */
        bool is_bad_text = repo != NULL && (status == APX_EFORMAT || status == APX_EINVAL);
        if (!CHECK(status == APX_ENOMEM || status == APX_OK || is_bad_text))
            fprintf(stderr, "    %s, allocation %ld: %s\n", name, count, apx_status_name(status));
        if (repo != NULL) {
            int64_t version;
            struct apx_error error = {0};
            enum apx_status now = apx_repo_resolve(repo, "m", "", &version, NULL, 0, &error);
            if (!CHECK(now == APX_OK || (now == APX_ENOTFOUND && call == add)))
                fprintf(stderr, "    %s, allocation %ld: %s\n", name, count, error.message);
            CHECK(now != APX_OK || apx_repo_verify(repo, "m", version, NULL, NULL) == APX_OK);
        }
    }
    CHECK(count > 0);
    printf("     %s: %ld allocations\n", name, count);
}

static void readers(void)
{
    const char text[] = "a,\"b \"\"c\"\"\"\n1,x\nNaN,y\n";
    REQUIRE(apx_file_replace(csv, text, strlen(text), NULL) == APX_OK);
    fail_each("npy write", write_npy);
    fail_each("csv", read_csv);
    fail_each("npy read", read_npy);
    fail_each("topo", create_topo);
}

static void repository(void)
{
    char directory[128];
    snprintf(directory, sizeof directory, "%s/models", top);
    REQUIRE(apx_repo_open(directory, true, &repo, NULL) == APX_OK);
    fail_each("add the first", add);
    fail_each("add", add);
    fail_each("promote", promote);
    fail_each("rollback", rollback);
    fail_each("alias", alias);
    fail_each("list", list);
    fail_each("prune", prune);
    apx_repo_close(repo);
}

int main(void)
{
    REQUIRE(mkdtemp(top) != NULL);
    snprintf(csv, sizeof csv, "%s/x.csv", top);
    snprintf(npy, sizeof npy, "%s/x.npy", top);
    json_set_alloc_funcs(__wrap_malloc, free);
    RUN(readers);
    RUN(repository);
    char command[200];
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command) != 0 || check_report();
}
