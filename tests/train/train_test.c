/* SPDX-License-Identifier: Apache-2.0 */
/* train_test.c - the program auspex-train as people run it: what it writes, what it refuses, and
 * what signals do to it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/base/sha256.h"
#include "tests/train/scratch.h"

static char program[512];

/* Start auspex-train with `arguments` (blank-separated); standard output and error go to the files
 * "out" and "err". */
static pid_t start(const char *arguments)
{
    char copy[1024], *words[64] = {program};
    int count = 1;
    snprintf(copy, sizeof copy, "%s", arguments);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        words[count++] = word;
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        int out = open(scratch_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err = open(scratch_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(out, 1);
        dup2(err, 2);
        if (chdir(scratch) == 0)
            execv(program, words);
        _exit(127);
    }
    return pid;
}

/* Exit status, or 1000 + signal. */
static int finish(pid_t pid)
{
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int train(const char *arguments)
{
    return finish(start(arguments));
}

/* Up to 64 KiB of a file of the scratch directory; "" if it is not there. */
static const char *text_of(const char *name)
{
    static char text[65536];
    FILE *file = fopen(scratch_path(name), "rb");
    size_t got = 0;
    if (file != NULL) {
        got = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    text[got] = '\0';
    return text;
}

static void hash_of(const char *name, char hex[65])
{
    char *bytes = malloc(1 << 22);
    FILE *file = fopen(scratch_path(name), "rb");
    REQUIRE(file != NULL);
    size_t got = fread(bytes, 1, 1 << 22, file);
    fclose(file);
    apx_sha256_of(bytes, got, hex);
    free(bytes);
}

static json_t *json_of(const char *name)
{
    json_error_t error;
    json_t *json = json_load_file(scratch_path(name), 0, &error);
    if (!CHECK(json != NULL))
        fprintf(stderr, "    %s: %s\n", name, error.text);
    return json;
}

static double real_of(const json_t *json, const char *part, const char *by, const char *metric)
{
    json_t *scores = json_object_get(json_object_get(json, "metrics"), part);
    json_t *real = json_object_get(json_object_get(scores, by), "real");
    return json_number_value(json_object_get(real, metric));
}

static bool exists(const char *name)
{
    return access(scratch_path(name), F_OK) == 0;
}

static bool complete(const char *folder)
{
    static const char *const files[] = {"model.onnx", "metrics.json", "config.yaml", "history.csv"};
    char name[128];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, files[i]);
        if (!exists(name))
            return false;
    }
    return true;
}

static void make_data(void)
{
    FILE *file = fopen(scratch_path("wave.csv"), "w");
    REQUIRE(file != NULL);
    fprintf(file, "t,v\n");
    for (int i = 0; i < 1200; i++)
        fprintf(file, "%d,%.6f\n", 1600000000 + 60 * i, 50 + 20 * sin(0.21 * i) + 5 * sin(0.9 * i));
    fclose(file);
    file = fopen(scratch_path("constant.csv"), "w");
    fprintf(file, "t,v\n");
    for (int i = 0; i < 400; i++)
        fprintf(file, "%d,0\n", 1600000000 + 60 * i);
    fclose(file);
    scratch_write("wave.yaml", "data: {files: wave.csv, time: t, units: [percent]}\n"
                               "window: {steps: 16, horizon: 2}\nseason: 30\n"
                               "model: {cell: gru, layers: [12, 8], dense: [6], dropout: 0.02}\n"
                               "training: {epochs: 40, batch: 50, learning_rate: 0.01, l2: 1e-6}\n"
                               "output: {name: wave}\n");
    scratch_write("constant.yaml", "data: {files: constant.csv, time: t}\nwindow: {steps: 6}\n"
                                   "model: {layers: [4]}\ntraining: {epochs: 2}\n");
}

static void learns(void)
{
    REQUIRE(train("wave.yaml --output out1 --repository repo --threads 2") == 0);
    CHECK(complete("out1"));
    CHECK_HAS(text_of("out"), "The model beats the naive forecasts");
    CHECK_HAS(text_of("out"), "in percent");
    json_t *json = json_of("out1/metrics.json");
    double model = real_of(json, "test", "model", "rmse");
    CHECK(model > 0 && model < 0.4 * real_of(json, "test", "last_value", "rmse"));
    CHECK(model < 0.4 * real_of(json, "test", "seasonal_naive", "rmse"));
    CHECK(real_of(json, "test", "model", "r2") > 0.9);
    json_t *read_back = json_object_get(json, "read_back");
    CHECK(json_number_value(json_object_get(read_back, "worst_share_of_scale")) <= 1e-5);
    CHECK_EQ(json_integer_value(json_object_get(read_back, "windows")), 179);
    json_decref(json);
    /* the version in the repository is the same file, with the report and its line of descent */
    char exported[65], stored[65];
    hash_of("out1/model.onnx", exported);
    hash_of("repo/wave/1/model.onnx", stored);
    CHECK_STR(stored, exported);
    json = json_of("repo/wave/1/metadata.json");
    CHECK(json_is_null(json_object_get(json, "parent")));
    CHECK_EQ(strlen(json_string_value(json_object_get(json, "config_sha256"))), 64);
    CHECK(json_object_get(json_object_get(json, "environment"), "libraries") != NULL);
    json_t *metrics = json_object_get(json, "metrics");
    CHECK_NEAR(json_number_value(json_object_get(metrics, "test_rmse")), model, 1e-12);
    CHECK(json_number_value(json_object_get(metrics, "last_value_test_rmse")) > model);
    CHECK(json_is_object(json_object_get(json_object_get(json, "scores"), "validation")));
    json_decref(json);
    /* the snapshot of the configuration repeats the run, which replaces the old files */
    REQUIRE(train("out1/config.yaml --repository repo --threads 1 --quiet") == 0);
    CHECK_STR(text_of("err"), "");
    hash_of("out1/model.onnx", stored);
    json = json_of("repo/wave/2/metadata.json");
    CHECK_EQ(json_integer_value(json_object_get(json, "parent")), 1);
    json_decref(json);
}

/* The whole file is compared: every weight, and the metadata, but none of it depends on threads. */
static void same_bits(void)
{
    char one[65], other[65];
    REQUIRE(train("wave.yaml --output bits --threads 1 --set training.epochs=3") == 0);
    hash_of("bits/model.onnx", one);
    for (int threads = 2; threads <= 4; threads++) {
        char arguments[128];
        snprintf(arguments, sizeof arguments,
                 "wave.yaml --output bits --threads %d --set training.epochs=3", threads);
        REQUIRE(train(arguments) == 0);
        hash_of("bits/model.onnx", other);
        CHECK_STR(other, one);
    }
    REQUIRE(train("wave.yaml --output bits --set training.epochs=3 --set seed=2") == 0);
    hash_of("bits/model.onnx", other);
    CHECK(strcmp(other, one) != 0);
}

static void constant_series(void)
{
    REQUIRE(train("constant.yaml --output constant --json") == 0);
    CHECK_HAS(text_of("err"), "is constant (0)");
    json_t *json = json_of("out");
    json_t *test = json_object_get(json_object_get(json, "metrics"), "test");
    json_t *real = json_object_get(json_object_get(test, "model"), "real");
    CHECK(json_is_null(json_object_get(real, "mape")));
    CHECK(json_is_null(json_object_get(real, "r2")));
    CHECK_EQ(json_integer_value(json_object_get(real, "mape_count")), 0);
    CHECK(real_of(json, "test", "last_value", "rmse") == 0);
    CHECK_HAS(json_string_value(json_object_get(json, "verdict")), "nothing can be better");
    json_decref(json);
}

static void other_networks(void)
{
    static const char *const settings[] = {
        "--set model.cell=lstm --set model.layers=[9]",
        "--set model.cell=lstm --set model.residual=true --set scaler=minmax",
        "--set model.layers=[7] --set model.dense=[5,4] --set model.activation=tanh",
        "--set model.activation=sigmoid --set training.loss=huber --set training.decay=cosine",
        "--set model.dense=[] --set training.loss=mae --set window.steps=1 --set window.horizon=5",
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments, "wave.yaml --output nets --set training.epochs=2 %s",
                 settings[i]);
        if (!CHECK(train(arguments) == 0))
            fprintf(stderr, "    %s: %s\n", settings[i], text_of("err"));
        CHECK_HAS(text_of("out"), "reproduces the trainer's");
    }
}

/* Wait until the log has `part`; false after 60 s. */
static bool wait_for(const char *part)
{
    for (int i = 0; i < 6000; i++) {
        if (strstr(text_of("err"), part) != NULL)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

static void interrupted(void)
{
    pid_t pid = start("wave.yaml --output int --repository intrepo --set training.epochs=100000 "
                      "--set training.patience=0");
    CHECK(wait_for("epoch 3/"));
    kill(pid, SIGINT);
    CHECK_EQ(finish(pid), 0);
    CHECK(complete("int"));
    CHECK(exists("intrepo/wave/1/model.onnx"));
    json_t *json = json_of("int/metrics.json");
    json_t *training = json_object_get(json, "training");
    CHECK_STR(json_string_value(json_object_get(training, "stopped")), "interrupted");
    CHECK(json_integer_value(json_object_get(training, "best_epoch")) >= 1);
    json_decref(json);
}

/* A folder is always whole: the old run or the new one. */
static void killed(void)
{
    int cut_short = 0;
    char before[65], after[65];
    REQUIRE(train("constant.yaml --output killed") == 0);
    hash_of("killed/model.onnx", before);
    for (int i = 0; i < 24; i++) {
        pid_t pid = start("constant.yaml --output killed --set seed=5");
        nanosleep(&(struct timespec){.tv_nsec = 1000000 + i * 3000000}, NULL);
        kill(pid, SIGKILL);
        cut_short += finish(pid) == 1000 + SIGKILL;
        CHECK(complete("killed"));
    }
    CHECK(cut_short > 0);
    /* what two of them left at once, and what one left whose process number is somebody's now */
    char path[128];
    snprintf(path, sizeof path, "%s/.killed.partial-7", scratch);
    REQUIRE(mkdir(path, 0777) == 0);
    snprintf(path, sizeof path, "%s/.killed.partial-1", scratch);
    REQUIRE(mkdir(path, 0777) == 0);
    /* and what one is writing that goes on */
    snprintf(path, sizeof path, "%s/.killed.partial-0", scratch);
    REQUIRE(mkdir(path, 0777) == 0 || errno == EEXIST);
    int file = open(path, O_RDONLY | O_DIRECTORY);
    REQUIRE(file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0);
    REQUIRE(train("constant.yaml --output killed --set seed=5") == 0);
    CHECK(access(path, F_OK) == 0);
    close(file);
    REQUIRE(train("constant.yaml --output killed --set seed=5") == 0);
    hash_of("killed/model.onnx", after);
    CHECK(strcmp(before, after) != 0);
    /* what the killed runs had begun is gone */
    char command[256];
    snprintf(command, sizeof command, "ls -A %s | grep -c partial", scratch);
    FILE *pipe = popen(command, "r");
    int left = -1;
    CHECK(fscanf(pipe, "%d", &left) == 1);
    pclose(pipe);
    CHECK_EQ(left, 0);
}

/* A word that is none must not come out only when the trained model is read back. */
static void isa_of_the_environment(void)
{
    setenv("AUSPEX_ISA", "avx1", 1);
    CHECK_EQ(train("wave.yaml --check"), 1);
    CHECK_HAS(text_of("err"), "AUSPEX_ISA is \"avx1\"; say scalar, avx2");
    setenv("AUSPEX_ISA", "scalar", 1);
    CHECK_EQ(train("wave.yaml --json --quiet --output capped"), 0);
    json_t *report = json_loads(text_of("out"), 0, NULL);
    const char *isa =
        json_string_value(json_object_get(json_object_get(report, "environment"), "isa"));
    CHECK(isa != NULL && strcmp(isa, "scalar") == 0);
    json_decref(report);
    unsetenv("AUSPEX_ISA");
}

static void refusals(void)
{
    CHECK_EQ(train(""), 2);
    CHECK_EQ(train("--no-such-option"), 2);
    CHECK(strcmp(text_of("err"), "auspex train: --no-such-option: not known, or not used so. Try: "
                                 "auspex train --help\n") == 0);
    CHECK_EQ(train("wave.yaml --set"), 2);
    CHECK_HAS(text_of("err"), "auspex train: --set wants a value.");
    CHECK_EQ(train("wave.yaml --check --json"), 2);
    CHECK_HAS(text_of("err"), "--check trains nothing");
    CHECK_EQ(train("a b"), 2);
    CHECK_EQ(train("wave.yaml --threads 0"), 2);
    CHECK_EQ(train("--help"), 0);
    CHECK_HAS(text_of("out"), "usage: auspex train CONFIG.yaml");
    CHECK_EQ(train("--keys"), 0);
    CHECK_HAS(text_of("out"), "training.learning_rate");
    CHECK_EQ(train("absent.yaml"), 1);
    CHECK_HAS(text_of("err"), "absent.yaml: No such file");
    CHECK_EQ(train("wave.yaml --set model.cel=gru"), 1);
    CHECK_HAS(text_of("err"), "the nearest is \"model.cell\"");
    CHECK_EQ(train("wave.yaml --check"), 0);
    CHECK_HAS(text_of("err"), "1200 rows");
    CHECK(!exists("trained"));
    /* a directory with other people's files is not replaced */
    REQUIRE(mkdir(scratch_path("mine"), 0700) == 0);
    scratch_write("mine/letter.txt", "keep");
    CHECK_EQ(train("constant.yaml --output mine"), 1);
    CHECK_HAS(text_of("err"), "holds \"letter.txt\"");
    CHECK(exists("mine/letter.txt"));
}

int main(void)
{
    const char *folder = getenv("APX_BIN");
    REQUIRE(folder != NULL);
    snprintf(program, sizeof program, "%s/auspex-train", folder);
    scratch_enter();
    make_data();
    RUN(learns);
    RUN(same_bits);
    RUN(constant_series);
    RUN(other_networks);
    RUN(interrupted);
    RUN(killed);
    RUN(isa_of_the_environment);
    RUN(refusals);
    return check_report();
}
