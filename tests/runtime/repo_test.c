/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/file.h"
#include "runtime/base/sha256.h"
#include "runtime/onnx_build.h"
#include "runtime/repo.h"
#include "tests/harness/check.h"
#include "tests/harness/tiny_trees.h"

#include <dirent.h>
#include <jansson.h>
#include <onnx/onnx.pb-c.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODEL        "tests/golden/sklearn_linear.onnx"
#define UBJSON_MODEL "runtime/examples/trees/xgboost.ubj"

static char top[] = "/tmp/repo_test_XXXXXX";
static char directory[256];
static struct apx_repo *repo;

/* A fresh repository named after the test. */
static void fresh(const char *name)
{
    struct apx_error error;
    apx_repo_close(repo);
    snprintf(directory, sizeof directory, "%s/%s/models", top, name);
    REQUIRE(apx_repo_open(directory, true, &repo, &error) == APX_OK);
}

static const char *in(const char *name)
{
    static char path[2][1024];
    static int turn;
    snprintf(path[turn ^= 1], sizeof path[0], "%s/%s", directory, name);
    return path[turn];
}

static void put(const char *name, const char *text)
{
    REQUIRE(apx_file_replace(in(name), text, strlen(text), NULL) == APX_OK);
}

static int64_t add(const char *model)
{
    int64_t version = -1;
    struct apx_error error = {0};
    if (!CHECK(apx_repo_add(repo, model, MODEL, NULL, &version, &error) == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
    return version;
}

static int64_t resolve(const char *model, const char *reference)
{
    int64_t version;
    return apx_repo_resolve(repo, model, reference, &version, NULL, 0, NULL) == APX_OK ? version
                                                                                       : -1;
}

static json_t *object_of(const char *name)
{
    json_t *object = json_load_file(in(name), 0, NULL);
    if (!CHECK(object != NULL))
        fprintf(stderr, "    %s\n", name);
    return object;
}

static int entries(const char *name, const char *part)
{
    int count = 0;
    DIR *list = opendir(in(name));
    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        count += strstr(entry->d_name, part) != NULL;
    if (list != NULL)
        closedir(list);
    return count;
}

static void first_version_is_current(void)
{
    char path[512], hex[65], *data;
    size_t bytes;
    int64_t version;
    fresh("first");
    CHECK_EQ(add("cpu"), 1);
    CHECK_EQ(add("cpu"), 2);
    CHECK_EQ(resolve("cpu", ""), 1);
    CHECK_EQ(resolve("cpu", "2"), 2);
    CHECK_EQ(apx_repo_resolve(repo, "cpu", "", &version, path, sizeof path, NULL), APX_OK);
    CHECK_STR(path, in("cpu/1/model.onnx"));
    CHECK_EQ(apx_repo_resolve(repo, "cpu", "", &version, path, 10, NULL), APX_ELIMIT);

    REQUIRE(apx_file_read(MODEL, 1 << 20, &data, &bytes, NULL) == APX_OK);
    apx_sha256_of(data, bytes, hex);
    free(data);
    json_t *metadata = object_of("cpu/1/metadata.json");
    CHECK_STR(json_string_value(json_object_get(metadata, "model_sha256")), hex);
    CHECK_EQ(json_integer_value(json_object_get(metadata, "model_bytes")), bytes);
    json_decref(metadata);
    CHECK_EQ(entries("cpu/promotions", "promotion-"), 1);
}

static void keeps_the_metadata(void)
{
    int64_t version;
    struct apx_error error;
    fresh("metadata");
    CHECK_EQ(apx_repo_add(repo, "m", MODEL, "{\"metrics\": {\"mae\": 0.5}, \"parent\": 3}",
                          &version, &error),
             APX_OK);
    json_t *metadata = object_of("m/1/metadata.json");
    CHECK_EQ(json_integer_value(json_object_get(metadata, "parent")), 3);
    json_decref(metadata);
    CHECK_EQ(apx_repo_add(repo, "m", MODEL, "[1]", &version, &error), APX_EINVAL);
    CHECK_STR(error.field, "metadata");
    CHECK_EQ(apx_repo_add(repo, "m", MODEL, "{", &version, &error), APX_EINVAL);
    CHECK_EQ(resolve("m", "2"), -1);
}

static void bad_models_never_become_versions(void)
{
    int64_t version;
    struct apx_error error;
    fresh("bad");
    put("junk.onnx", "this is no model");
    CHECK_EQ(apx_repo_add(repo, "m", in("junk.onnx"), NULL, &version, &error), APX_EFORMAT);
    CHECK_EQ(apx_repo_add(repo, "m", "/nowhere.onnx", NULL, &version, &error), APX_ENOTFOUND);
    CHECK_EQ(entries("m", ""), 0);
    static const char *const names[] = {"", ".", "..", ".x", "a/b", "a b", "\xc3\xa9", "a\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_EQ(apx_repo_add(repo, names[i], MODEL, NULL, &version, &error), APX_EINVAL);
        CHECK_STR(error.field, "model");
        CHECK_EQ(apx_repo_resolve(repo, names[i], "", &version, NULL, 0, &error), APX_EINVAL);
    }
}

/* x[b,4] MatMul w[4,2] Add (a Constant node's) c[2], everything inside. */
static void *model_inside(size_t *bytes)
{
    const float w[8] = {1, 2, 3, 4, 5, 6, 7, 8}, c[2] = {9, 10};
    const char *x[] = {"b", "4"}, *y[] = {"b", "2"};
    void *data;
    struct apx_onnx *m = apx_onnx_create("inside");
    REQUIRE(m != NULL);
    apx_onnx_opset(m, "", 17);
    apx_onnx_input(m, "x", APX_F32, 2, x);
    apx_onnx_output(m, "y", APX_F32, 2, y);
    apx_onnx_tensor(m, "w", APX_F32, 2, (int64_t[]){4, 2}, w);
    apx_onnx_node(m, "", "Constant", "", NULL, 0, (const char *[]){"c"}, 1);
    apx_onnx_tensor_attribute(m, "value", APX_F32, 1, (int64_t[]){2}, c);
    apx_onnx_node(m, "", "MatMul", "", (const char *[]){"x", "w"}, 2, (const char *[]){"h"}, 1);
    apx_onnx_node(m, "", "Add", "", (const char *[]){"h", "c"}, 2, (const char *[]){"y"}, 1);
    REQUIRE(apx_onnx_write_memory(m, &data, bytes, NULL) == APX_OK);
    apx_onnx_destroy(m);
    return data;
}

/* The payload goes to `file` from `offset` on, the tensor points there. */
static void put_out(Onnx__TensorProto *tensor, FILE *file, const char *location, long offset)
{
    static char room[2][16];
    static Onnx__StringStringEntryProto entries[2][2], *list[2][2];
    static int turn;
    turn ^= 1;
    snprintf(room[turn], sizeof room[0], "%ld", offset);
    for (int i = 0; i < 2; i++) {
        onnx__string_string_entry_proto__init(list[turn][i] = &entries[turn][i]);
        entries[turn][i].key = (char *)(uintptr_t)(i == 0 ? "location" : "offset");
        entries[turn][i].value = i == 0 ? (char *)(uintptr_t)location : room[turn];
    }
    REQUIRE(tensor->has_raw_data && fseek(file, offset, SEEK_SET) == 0 &&
            fwrite(tensor->raw_data.data, tensor->raw_data.len, 1, file) == 1);
    tensor->has_raw_data = 0;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = list[turn];
    tensor->n_external_data = 2;
}

/* model.onnx with its data in `location`; what the messages held before they pointed there is
 * left to the process. */
static void put_apart(const void *data, size_t bytes, const char *location)
{
    static uint8_t packed[4096];
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, bytes, data);
    FILE *file = fopen(in("apart.data"), "wb");
    REQUIRE(model != NULL && file != NULL);
    Onnx__TensorProto *both[] = {model->graph->initializer[0],
                                 model->graph->node[0]->attribute[0]->t};
    Onnx__TensorProto kept[] = {*both[0], *both[1]};
    put_out(both[0], file, location, 64);
    put_out(both[1], file, location, 8);
    REQUIRE(fclose(file) == 0 && onnx__model_proto__get_packed_size(model) <= sizeof packed);
    size_t size = onnx__model_proto__pack(model, packed);
    REQUIRE(apx_file_replace(in("apart.onnx"), packed, size, NULL) == APX_OK);
    *both[0] = kept[0];
    *both[1] = kept[1];
    onnx__model_proto__free_unpacked(model, NULL);
}

/* As exporters write large models: the version holds what lay in two files. */
static void data_of_other_files_comes_in(void)
{
    int64_t version;
    struct apx_error error;
    size_t bytes, stored_bytes;
    char *stored;
    fresh("apart");
    void *inside = model_inside(&bytes);
    put_apart(inside, bytes, "apart.data");
    REQUIRE(apx_repo_add(repo, "m", in("apart.onnx"), NULL, &version, &error) == APX_OK);
    REQUIRE(apx_file_read(in("m/1/model.onnx"), 1 << 20, &stored, &stored_bytes, NULL) == APX_OK);
    CHECK(stored_bytes == bytes && memcmp(stored, inside, bytes) == 0);
    CHECK_EQ(apx_repo_verify(repo, "m", 1, NULL, &error), APX_OK);
    free(stored);
    put_apart(inside, bytes, "none.data");
    CHECK_EQ(apx_repo_add(repo, "m", in("apart.onnx"), NULL, &version, &error), APX_EIO);
    CHECK_HAS(error.message, "cannot open none.data");
    put_apart(inside, bytes, "../models/apart.data");
    CHECK_EQ(apx_repo_add(repo, "m", in("apart.onnx"), NULL, &version, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "must lie beside the model");
    put_apart(inside, bytes, "apart.data");
    REQUIRE(truncate(in("apart.data"), 95) == 0);
    CHECK_EQ(apx_repo_add(repo, "m", in("apart.onnx"), NULL, &version, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "apart.data is too short: 32 bytes from 64 on");
    CHECK_EQ(resolve("m", "2"), -1);
    free(inside);
}

static void moves_and_their_records(void)
{
    struct apx_repo_move move = {"ana", "lower error on March"};
    struct apx_error error;
    int64_t version = 0;
    fresh("moves");
    add("m"), add("m"), add("m");
    CHECK_EQ(apx_repo_rollback(repo, "m", NULL, &version, &error), APX_ECONFLICT);
    CHECK_EQ(apx_repo_promote(repo, "m", 3, &move, &error), APX_OK);
    CHECK_EQ(resolve("m", ""), 3);
    CHECK_EQ(apx_repo_promote(repo, "m", 3, &move, &error), APX_OK); /* nothing changes */
    CHECK_EQ(entries("m/promotions", "promotion-"), 2);
    CHECK_EQ(apx_repo_rollback(repo, "m", NULL, &version, &error), APX_OK);
    CHECK_EQ(version, 1);
    CHECK_EQ(resolve("m", ""), 1);
    CHECK_EQ(apx_repo_rollback(repo, "m", NULL, &version, &error), APX_OK);
    CHECK_EQ(version, 3);
    CHECK_EQ(apx_repo_promote(repo, "m", 4, NULL, &error), APX_ENOTFOUND);
    CHECK_STR(error.field, "version");
    CHECK_EQ(apx_repo_promote(repo, "n", 1, NULL, &error), APX_ENOTFOUND);
    CHECK_STR(error.field, "model");
    CHECK_EQ(entries("m/promotions", "promotion-"), 4);

    int found = 0;
    DIR *list = opendir(in("m/promotions"));
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char name[300];
        snprintf(name, sizeof name, "m/promotions/%s", entry->d_name);
        json_t *record = object_of(name);
        const char *action = json_string_value(json_object_get(record, "action"));
        CHECK_STR(json_string_value(json_object_get(record, "model")), "m");
        CHECK_HAS(json_string_value(json_object_get(record, "time")), "T");
        if (action != NULL && strcmp(action, "promote") == 0) {
            found++;
            CHECK_EQ(json_integer_value(json_object_get(record, "from")), 1);
            CHECK_EQ(json_integer_value(json_object_get(record, "to")), 3);
            CHECK_STR(json_string_value(json_object_get(record, "who")), "ana");
            CHECK_STR(json_string_value(json_object_get(record, "why")), "lower error on March");
        }
        json_decref(record);
    }
    closedir(list);
    CHECK_EQ(found, 1);
}

static void aliases(void)
{
    struct apx_error error;
    fresh("aliases");
    add("m"), add("m");
    CHECK_EQ(apx_repo_alias(repo, "m", "canary", 2, NULL, &error), APX_OK);
    CHECK_EQ(resolve("m", "canary"), 2);
    CHECK_EQ(apx_repo_alias(repo, "m", "canary", 1, NULL, &error), APX_OK);
    CHECK_EQ(resolve("m", "canary"), 1);
    CHECK_EQ(apx_repo_alias(repo, "m", "canary", 0, NULL, &error), APX_OK);
    CHECK_EQ(resolve("m", "canary"), -1);
    CHECK_EQ(apx_repo_alias(repo, "m", "canary", 0, NULL, &error), APX_ENOTFOUND);
    CHECK_EQ(apx_repo_alias(repo, "m", "canary", 9, NULL, &error), APX_ENOTFOUND);
    CHECK_EQ(apx_repo_alias(repo, "m", "12", 1, NULL, &error), APX_EINVAL);
    CHECK_EQ(apx_repo_alias(repo, "m", "a b", 1, NULL, &error), APX_EINVAL);
    CHECK_EQ(entries("m/promotions", "promotion-"), 4);
}

static void prune_keeps_what_is_pointed_at(void)
{
    struct apx_error error;
    int64_t removed;
    fresh("prune");
    for (int i = 0; i < 7; i++)
        add("m");
    apx_repo_promote(repo, "m", 3, NULL, NULL); /* previous: 1 */
    apx_repo_alias(repo, "m", "canary", 4, NULL, NULL);
    CHECK_EQ(apx_repo_prune(repo, "m", 0, &removed, &error), APX_EINVAL);
    CHECK_EQ(apx_repo_prune(repo, "m", 2, &removed, &error), APX_OK);
    CHECK_EQ(removed, 2);
    CHECK_EQ(resolve("m", "1"), 1);
    CHECK_EQ(resolve("m", "2"), -1);
    CHECK_EQ(resolve("m", "3"), 3);
    CHECK_EQ(resolve("m", "4"), 4);
    CHECK_EQ(resolve("m", "5"), -1);
    CHECK_EQ(resolve("m", "6"), 6);
    CHECK_EQ(apx_repo_prune(repo, "m", 100, &removed, &error), APX_OK);
    CHECK_EQ(removed, 0);
    CHECK_EQ(add("m"), 8);
    CHECK_EQ(entries("m", ".tmp-"), 0);
}

static void laid_out_by_hand(void)
{
    int64_t version;
    struct apx_error error;
    char *data;
    size_t bytes;
    fresh("hand");
    REQUIRE(apx_file_read(MODEL, 1 << 20, &data, &bytes, NULL) == APX_OK);
    mkdir(in("m"), 0777), mkdir(in("m/1"), 0777), mkdir(in("m/2"), 0777), mkdir(in("m/3"), 0777);
    apx_file_replace(in("m/1/model.onnx"), data, bytes, NULL);
    apx_file_replace(in("m/2/model.onnx"), data, bytes, NULL);
    put("m/3/notes.txt", "no model here");
    free(data);
    CHECK_EQ(resolve("m", ""), 2);
    CHECK_EQ(resolve("m", "3"), -1);
    bool is_checked = true;
    CHECK_EQ(apx_repo_verify(repo, "m", 2, &is_checked, &error), APX_OK);
    CHECK(!is_checked);
    CHECK_EQ(add("m"), 4);
    CHECK_EQ(apx_repo_verify(repo, "m", 4, &is_checked, &error), APX_OK);
    CHECK(is_checked);
    CHECK_EQ(resolve("m", ""), 2); /* what was served stays so */
    CHECK_EQ(apx_repo_promote(repo, "m", 4, NULL, &error), APX_OK);
    CHECK_EQ(apx_repo_rollback(repo, "m", NULL, &version, &error), APX_OK);
    CHECK_EQ(version, 2);
    mkdir(in("empty"), 0777);
    CHECK_EQ(apx_repo_resolve(repo, "empty", "", &version, NULL, 0, &error), APX_ENOTFOUND);
    CHECK_STR(error.field, "version");
}

/* Each is stored as it came, under its format's name, whatever its own was. */
static void formats_are_told_by_content(void)
{
    static const char *const stored[] = {"m/1/model.onnx", "m/2/model.json", "m/3/model.ubj",
                                         "m/4/model.txt"};
    int64_t version, removed;
    struct apx_error error = {0};
    char path[512], *before, *after;
    size_t bytes, copied;
    fresh("formats");
    put("risk.model", tiny_xgboost);
    put("risk.json", tiny_lightgbm);
    add("m");
    CHECK_EQ(apx_repo_add(repo, "m", in("risk.model"), NULL, &version, &error), APX_OK);
    CHECK_EQ(apx_repo_add(repo, "m", UBJSON_MODEL, NULL, &version, &error), APX_OK);
    CHECK_EQ(apx_repo_add(repo, "m", in("risk.json"), NULL, &version, &error), APX_OK);
    for (int v = 1; v <= 4; v++) {
        char digit[2] = {(char)('0' + v), '\0'};
        REQUIRE(apx_repo_resolve(repo, "m", digit, &version, path, sizeof path, &error) == APX_OK);
        CHECK_STR(path, in(stored[v - 1]));
        CHECK_EQ(apx_repo_verify(repo, "m", v, NULL, &error), APX_OK);
    }
    REQUIRE(apx_file_read(UBJSON_MODEL, 1 << 20, &before, &bytes, NULL) == APX_OK);
    REQUIRE(apx_file_read(in("m/3/model.ubj"), 1 << 20, &after, &copied, NULL) == APX_OK);
    CHECK(bytes == copied && memcmp(before, after, bytes) == 0);
    free(before);
    free(after);
    CHECK_EQ(apx_repo_promote(repo, "m", 3, NULL, &error), APX_OK);
    CHECK_EQ(apx_repo_promote(repo, "m", 4, NULL, &error), APX_OK);
    CHECK_EQ(apx_repo_rollback(repo, "m", NULL, &version, &error), APX_OK);
    CHECK_EQ(version, 3);
    CHECK_EQ(apx_repo_prune(repo, "m", 1, &removed, &error), APX_OK);
    CHECK_EQ(removed, 2);
    put("m/3/model.ubj", "{");
    CHECK_EQ(apx_repo_verify(repo, "m", 3, NULL, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "m/3/model.ubj is damaged");

    char *list;
    REQUIRE(apx_repo_list(repo, &list, &error) == APX_OK);
    CHECK_HAS(list, "\"file\": \"model.txt\"");
    apx_string_release(list);
    /* Cut short, no tree model becomes a version. */
    put("cut.json", "{\"learner\": {");
    CHECK_EQ(apx_repo_add(repo, "m", in("cut.json"), NULL, &version, &error), APX_EFORMAT);
    put("cut.txt", "tree\nversion=v4\nnum_class=1\n");
    CHECK_EQ(apx_repo_add(repo, "m", in("cut.txt"), NULL, &version, &error), APX_EFORMAT);
    CHECK_EQ(resolve("m", "5"), -1);
}

/* A version has one model file: with two, nobody can say which was meant. */
static void two_model_files_are_refused(void)
{
    int64_t version, removed;
    struct apx_error error;
    char path[512], *list;
    fresh("two");
    add("m"), add("m"), add("m");
    put("m/2/model.json", "{}");
    CHECK_EQ(apx_repo_resolve(repo, "m", "2", &version, path, sizeof path, &error), APX_EFORMAT);
    CHECK_STR(error.field, "version");
    CHECK_HAS(error.message, "version 2 of model \"m\" holds model.onnx and model.json");
    CHECK_EQ(apx_repo_verify(repo, "m", 2, NULL, &error), APX_EFORMAT);
    CHECK_EQ(apx_repo_promote(repo, "m", 2, NULL, &error), APX_EFORMAT);
    CHECK_EQ(resolve("m", ""), 1);
    REQUIRE(apx_repo_list(repo, &list, &error) == APX_OK);
    CHECK_HAS(list, "holds model.onnx and model.json");
    apx_string_release(list);
    CHECK_EQ(apx_repo_promote(repo, "m", 3, NULL, &error), APX_OK);
    CHECK_EQ(add("m"), 4); /* its number is not given away */
    CHECK_EQ(apx_repo_prune(repo, "m", 1, &removed, &error), APX_OK);
    CHECK_EQ(removed, 1);
    CHECK_EQ(resolve("m", "2"), -1);
    /* Laid out by hand, the newest version being the one: another can be chosen. */
    mkdir(in("h"), 0777), mkdir(in("h/1"), 0777), mkdir(in("h/2"), 0777);
    put("h/1/model.txt", "tree"), put("h/2/model.ubj", "{"), put("h/2/model.txt", "tree");
    CHECK_EQ(apx_repo_resolve(repo, "h", "", &version, path, sizeof path, &error), APX_EFORMAT);
    CHECK_EQ(apx_repo_promote(repo, "h", 1, NULL, &error), APX_OK);
    CHECK_EQ(apx_repo_resolve(repo, "h", "", &version, path, sizeof path, &error), APX_OK);
    CHECK_STR(path, in("h/1/model.txt"));
    mkdir(in("h/1/model.json"), 0777); /* no file */
    CHECK_EQ(apx_repo_resolve(repo, "h", "", &version, path, sizeof path, &error), APX_OK);
}

static void damaged_files_are_named(void)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"version\": \"1\"}",
                                      "{\"version\": 0}",
                                      "{\"version\": 1, \"previous\": []}"};
    int64_t version;
    struct apx_error error;
    char *list;
    fresh("damage");
    add("m"), add("m");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("m/current.json", bad[i]);
        CHECK_EQ(apx_repo_resolve(repo, "m", "", &version, NULL, 0, &error), APX_EFORMAT);
        CHECK_HAS(error.message, "m/current.json is damaged");
        CHECK_EQ(apx_repo_promote(repo, "m", 2, NULL, &error), APX_EFORMAT);
        CHECK_EQ(apx_repo_list(repo, &list, &error), APX_OK);
        CHECK_HAS(list, "current.json is damaged");
        apx_string_release(list);
    }
    put("m/current.json", "{\"version\": 7}");
    CHECK_EQ(apx_repo_resolve(repo, "m", "", &version, NULL, 0, &error), APX_ENOTFOUND);
    CHECK_HAS(error.message, "no version 7");
    CHECK_EQ(apx_repo_prune(repo, "m", 1, &version, &error), APX_ECONFLICT);
    CHECK_HAS(error.message, "names version 7, which is not there");
    CHECK_EQ(resolve("m", "1"), 1);
    CHECK_EQ(apx_repo_alias(repo, "m", "current", 1, NULL, &error), APX_EINVAL);
    CHECK_STR(error.field, "alias");
    REQUIRE(unlink(in("m/current.json")) == 0 && mkfifo(in("m/current.json"), 0600) == 0);
    CHECK_EQ(apx_repo_resolve(repo, "m", "", &version, NULL, 0, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "no regular file");
    REQUIRE(unlink(in("m/current.json")) == 0);
    put("m/current.json", "{\"version\": 1}");
    put("m/aliases.json", "{\"canary\": -1}");
    CHECK_EQ(apx_repo_resolve(repo, "m", "canary", &version, NULL, 0, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "m/aliases.json");
    put("m/2/model.onnx", "overwritten");
    CHECK_EQ(apx_repo_verify(repo, "m", 2, NULL, &error), APX_EFORMAT);
    CHECK_EQ(apx_repo_promote(repo, "m", 2, NULL, &error), APX_EFORMAT);
    CHECK_HAS(error.message, "2/model.onnx");
    CHECK_EQ(resolve("m", ""), 1);
}

static void lists(void)
{
    char *text;
    fresh("lists");
    add("b"), add("b"), add("a");
    mkdir(in(".hidden"), 0777), mkdir(in("no_versions"), 0777);
    apx_repo_promote(repo, "b", 2, NULL, NULL);
    apx_repo_alias(repo, "b", "old", 1, NULL, NULL);
    REQUIRE(apx_repo_list(repo, &text, NULL) == APX_OK);
    json_t *list = json_loads(text, 0, NULL);
    apx_string_release(text);
    CHECK_EQ(json_array_size(list), 2);
    json_t *b = json_array_get(list, 1);
    CHECK_STR(json_string_value(json_object_get(b, "model")), "b");
    CHECK_EQ(json_integer_value(json_object_get(b, "current")), 2);
    CHECK_EQ(json_integer_value(json_object_get(b, "previous")), 1);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(b, "aliases"), "old")), 1);
    CHECK_EQ(json_array_size(json_object_get(b, "versions")), 2);
    json_decref(list);
}

static void failures_of_the_disk(void)
{
    int64_t version;
    struct apx_error error;
    struct rlimit old, low;
    struct apx_repo *other;
    fresh("disk");
    add("m");
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    low = (struct rlimit){64, old.rlim_max}; /* a full disk */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    CHECK_EQ(apx_repo_add(repo, "m", MODEL, NULL, &version, &error), APX_EIO);
    CHECK_EQ(apx_repo_add(repo, "n", MODEL, NULL, &version, &error), APX_EIO);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_EQ(entries("m", ".tmp-"), 0);
    CHECK_EQ(resolve("m", ""), 1);
    CHECK_EQ(resolve("m", "2"), -1);
    CHECK_EQ(add("m"), 2);
    CHECK_EQ(add("n"), 1);

    CHECK_EQ(apx_repo_open("/nowhere", false, &other, &error), APX_ENOTFOUND);
    CHECK(other == NULL);
    CHECK_EQ(apx_repo_open(MODEL, false, &other, &error), APX_ENOTFOUND);
    CHECK_EQ(apx_repo_open("/proc/nowhere", true, &other, &error), APX_EIO);
    put("file", "x");
    CHECK_EQ(apx_repo_add(repo, "file", MODEL, NULL, &version, &error), APX_ENOTFOUND);
}

/* Works on the repository until it is killed. */
static void work(unsigned seed)
{
    for (;; seed = seed * 1103515245 + 12345) {
        int64_t number;
        apx_repo_add(repo, "m", MODEL, "{\"metrics\":{}}", &number, NULL);
        apx_repo_promote(repo, "m", number, NULL, NULL);
        if (seed >> 16 & 1)
            apx_repo_rollback(repo, "m", NULL, &number, NULL);
        if (seed >> 17 & 1)
            apx_repo_alias(repo, "m", "canary", number, NULL, NULL);
        if (seed >> 18 & 1)
            apx_repo_prune(repo, "m", 3, &number, NULL);
    }
}

/* Two writers are killed at random instants, again and again. Whatever is there must be whole. */
static void kills_leave_it_whole(void)
{
    int64_t last = 0;
    fresh("kills");
    srand(7);
    for (int round = 0; round < 40; round++) {
        pid_t child[2];
        for (int i = 0; i < 2; i++)
            if ((child[i] = fork()) == 0)
                work((unsigned)(round * 2 + i));
        usleep((useconds_t)(rand() % 200000));
        for (int i = 0; i < 2; i++) {
            REQUIRE(child[i] > 0);
            kill(child[i], SIGKILL);
            waitpid(child[i], NULL, 0);
        }
        struct apx_error error = {0};
        int64_t version;
        char path[512];
        enum apx_status status =
            apx_repo_resolve(repo, "m", "", &version, path, sizeof path, &error);
        if (status == APX_ENOTFOUND && last == 0)
            continue; /* killed before the first version */
        if (!CHECK(status == APX_OK))
            fprintf(stderr, "    %s\n", error.message);
        CHECK_EQ(apx_repo_verify(repo, "m", version, NULL, &error), APX_OK);
        char *list;
        REQUIRE(apx_repo_list(repo, &list, &error) == APX_OK);
        CHECK(strstr(list, "\"error\"") == NULL);
        json_t *all = json_loads(list, 0, NULL), *entry;
        size_t i;
        json_array_foreach (json_object_get(json_array_get(all, 0), "versions"), i, entry) {
            int64_t each = json_integer_value(json_object_get(entry, "version"));
            CHECK(json_object_get(entry, "sha256") != NULL);
            CHECK_EQ(apx_repo_verify(repo, "m", each, NULL, &error), APX_OK);
        }
        json_decref(all);
        apx_string_release(list);
        int64_t now = add("m");
        CHECK(now > last);
        last = now;
        CHECK_EQ(entries("m", ".tmp-"), 0);
        CHECK_EQ(entries("m/promotions", ".tmp-"), 0);
    }
    CHECK(last > 40);
    printf("     %lld versions were made\n", (long long)last);
}

int main(void)
{
    REQUIRE(mkdtemp(top) != NULL);
    RUN(first_version_is_current);
    RUN(keeps_the_metadata);
    RUN(bad_models_never_become_versions);
    RUN(data_of_other_files_comes_in);
    RUN(moves_and_their_records);
    RUN(aliases);
    RUN(prune_keeps_what_is_pointed_at);
    RUN(laid_out_by_hand);
    RUN(formats_are_told_by_content);
    RUN(two_model_files_are_refused);
    RUN(damaged_files_are_named);
    RUN(lists);
    RUN(failures_of_the_disk);
    RUN(kills_leave_it_whole);
    apx_repo_close(repo);
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", top);
    return system(command) != 0 || check_report();
}
