/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle_test.c - going down, being killed, and changing versions, all under load. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/harness/check.h"
#include "tests/serve/process.h"
#include "tests/serve/test_models.h"
#include "tests/serve/wire.h"

enum {
    CANCELLED = 1,
    RESOURCE_EXHAUSTED = 8,
    UNAVAILABLE = 14,
    CALLERS = 8,
    ROWS = 40,
    STEPS = 10,
    FEATURES = 4,
    WIDTH = 3,
    VERSIONS = 3
};

static struct process server;
static char repository[128];
static float values[ROWS * STEPS * FEATURES];
static float *expected[VERSIONS + 1]; /* by version */
static char lstm_name[] = "lstm", slow_name[] = "slow";

static void make_repository(void)
{
    char path[128];
    int64_t width;
    snprintf(repository, sizeof repository, "%s/repository", server.directory);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = (float)((i * 7919) % 1000) / 500.0f - 1;
    for (int version = 1; version <= VERSIONS; version++) {
        snprintf(path, sizeof path, "%s/lstm%d.onnx", server.directory, version);
        test_model_write(&(struct test_model){.features = FEATURES,
                                              .hidden = 12,
                                              .dense = WIDTH,
                                              .steps = STEPS,
                                              .seed = (uint64_t)version},
                         path);
        CHECK_EQ(test_repo_add(repository, "lstm", path), version);
        expected[version] = test_predict(path, 0, values, NULL, ROWS, STEPS, FEATURES, &width);
        REQUIRE(width == WIDTH);
    }
    snprintf(path, sizeof path, "%s/slow.onnx", server.directory);
    test_model_write(
        &(struct test_model){
            .features = FEATURES, .hidden = 160, .dense = WIDTH, .steps = STEPS, .seed = 9},
        path);
    test_repo_add(repository, "slow", path);
}

struct caller {
    pthread_t thread;
    char *model;
    atomic_bool *stop;
    bool persistent; /* goes on although the server is going down */
    int ok, unavailable, cancelled, overloaded, others, wrong;
    int of_version[VERSIONS + 1];
    char last[256]; /* of the others */
};

static Auspex__V1__BatchPredictRequest request_of(char *model)
{
    Auspex__V1__BatchPredictRequest request = AUSPEX__V1__BATCH_PREDICT_REQUEST__INIT;
    request.model = model;
    request.rows = ROWS;
    request.steps = STEPS;
    request.features = FEATURES;
    request.values.data = (uint8_t *)values;
    request.values.len = sizeof values;
    return request;
}

/* Calls until told to stop, or until the server is gone; each caller has its own connection. */
static void *call(void *argument)
{
    struct caller *self = argument;
    struct wire *wire = wire_open(server.target);
    while (!atomic_load(self->stop) && (self->persistent || self->unavailable == 0)) {
        Auspex__V1__BatchPredictReply *answer;
        Auspex__V1__BatchPredictRequest request = request_of(self->model);
        struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
        if (reply.code == 0 && answer != NULL) {
            int version = atoi(answer->version);
            bool known = version >= 1 && version <= VERSIONS;
            self->ok++;
            self->of_version[known ? version : 0]++;
            if (self->model == lstm_name &&
                (!known || answer->values.len != ROWS * WIDTH * sizeof(float) ||
                 memcmp(answer->values.data, expected[version], answer->values.len) != 0))
                self->wrong++;
        } else if (reply.code == UNAVAILABLE) {
            self->unavailable++;
        } else if (reply.code == CANCELLED) { /* in the very instant of the shutdown */
            self->unavailable++;
            self->cancelled++;
        } else if (reply.code == RESOURCE_EXHAUSTED && reply.retry_ms >= 1) {
            self->overloaded++;
            process_sleep_ms(reply.retry_ms);
        } else {
            self->others++;
            snprintf(self->last, sizeof self->last, "%d %.200s", reply.code, reply.message);
        }
        auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    }
    wire_close(wire);
    return NULL;
}

static void start_callers(struct caller callers[CALLERS], char *model, bool persistent,
                          atomic_bool *stop)
{
    memset(callers, 0, CALLERS * sizeof *callers);
    atomic_store(stop, false);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].model = model;
        callers[i].persistent = persistent;
        callers[i].stop = stop;
        REQUIRE(pthread_create(&callers[i].thread, NULL, call, &callers[i]) == 0);
    }
}

static struct caller join_callers(struct caller callers[CALLERS])
{
    struct caller sum = {0};
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        sum.ok += callers[i].ok;
        sum.unavailable += callers[i].unavailable;
        sum.others += callers[i].others;
        sum.cancelled += callers[i].cancelled;
        sum.overloaded += callers[i].overloaded;
        sum.wrong += callers[i].wrong;
        for (int v = 0; v <= VERSIONS; v++)
            sum.of_version[v] += callers[i].of_version[v];
        if (callers[i].others > 0)
            fprintf(stderr, "    caller %d: %s\n", i, callers[i].last);
    }
    return sum;
}

static void start(const char *const *extra)
{
    unlink(server.log);
    REQUIRE(process_start(&server, repository, extra));
}

/* SIGTERM in the middle of the load: what the server accepted it answers, and it ends well. */
static void a_drain_answers_what_was_accepted(void)
{
    static const char *const models[] = {lstm_name, slow_name};
    for (int round = 0; round < 6; round++) {
        struct caller callers[CALLERS];
        atomic_bool stop;
        start(NULL);
        start_callers(callers, round % 2 == 0 ? lstm_name : slow_name, false, &stop);
        process_sleep_ms(150 + 30 * round);
        CHECK_EQ(process_stop(&server), 0);
        struct caller sum = join_callers(callers);
        CHECK(sum.ok > 0);
        CHECK_EQ(sum.wrong, 0);
        CHECK_EQ(sum.others, 0);
        CHECK(sum.cancelled <= 1);
        CHECK_EQ(sum.unavailable, CALLERS); /* each was refused once, and stopped by that */
        CHECK(process_logged(&server, "\"event\":\"drained\"", "\"outcome\":\"quiet\"", NULL));
        char answered[64];
        snprintf(answered, sizeof answered, "\"answered\":%d,", sum.ok);
        /* Every call that was accepted was answered, every answer arrived, and the rest was told.
         */
        if (!CHECK(process_logged(&server, "\"event\":\"stopped\"", answered, NULL)))
            fprintf(stderr, "    %s: %s\n", models[round % 2], answered);
    }
}

/* Clients that do not take no for an answer hold the server up for a second, not for the grace. */
static void a_drain_ends_though_clients_go_on_calling(void)
{
    struct caller callers[CALLERS];
    atomic_bool stop;
    static const char *const extra[] = {"--drain-seconds", "60", NULL};
    start(extra);
    start_callers(callers, lstm_name, true, &stop);
    process_sleep_ms(200);
    kill(server.pid, SIGTERM);
    CHECK_EQ(process_wait(&server, 15000), 0);
    atomic_store(&stop, true);
    struct caller sum = join_callers(callers);
    CHECK(sum.ok > 0 && sum.unavailable > CALLERS);
    CHECK_EQ(sum.wrong, 0);
}

/* A queue for one call, and eight who want it: who is refused is told when to come again, and is
 * served then. */
static void overload_is_refused_with_a_time_to_come_back(void)
{
    struct caller callers[CALLERS];
    atomic_bool stop;
    static const char *const extra[] = {"--max-queue-rows", "50", "--workers", "1", NULL};
    start(extra);
    start_callers(callers, slow_name, false, &stop);
    process_sleep_ms(1000);
    atomic_store(&stop, true);
    struct caller sum = join_callers(callers);
    CHECK(sum.ok > 0 && sum.overloaded > 0);
    CHECK_EQ(sum.others + sum.unavailable, 0);
    struct wire *wire = wire_open(server.target);
    static float many[60 * STEPS * FEATURES];
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name);
    request.rows = 60;
    request.values.data = (uint8_t *)many;
    request.values.len = sizeof many;
    struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
    CHECK_EQ(reply.code, RESOURCE_EXHAUSTED);
    CHECK_EQ(reply.retry_ms, -1); /* it never fits: no use in coming again */
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);
    CHECK(process_logged(&server, "\"level\":\"warn\"", "\"code\":\"RESOURCE_EXHAUSTED\"", NULL));
}

/* Work that takes longer than the grace is cut off; a second signal cuts off at once. */
static void the_grace_ends(void)
{
    for (int round = 0; round < 2; round++) {
        static const char *const short_grace[] = {"--drain-seconds", "0", "--workers", "1", NULL};
        static const char *const long_grace[] = {"--drain-seconds", "60", "--workers", "1", NULL};
        struct caller callers[CALLERS];
        atomic_bool stop;
        start(round == 0 ? short_grace : long_grace);
        start_callers(callers, slow_name, false, &stop);
        process_sleep_ms(200);
        kill(server.pid, SIGTERM);
        if (round == 1)
            kill(server.pid, SIGINT);
        CHECK_EQ(process_wait(&server, 10000), 0);
        atomic_store(&stop, true);
        join_callers(callers);
        CHECK(process_logged(&server, "\"event\":\"stopped\"", NULL, NULL));
    }
}

/* A hundred promotions and an unreadable version under load: not one call fails, and each answer is
 * wholly of the version it names. */
static void versions_change_without_a_failed_call(void)
{
    struct caller callers[CALLERS];
    atomic_bool stop;
    start(NULL);
    start_callers(callers, lstm_name, false, &stop);
    for (int i = 0; i < 100; i++) {
        test_repo_promote(repository, "lstm", i % VERSIONS + 1);
        kill(server.pid, SIGHUP);
        process_sleep_ms(15);
    }
    test_repo_promote(repository, "lstm", 2);
    kill(server.pid, SIGHUP);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_serving\"", "\"version\":\"2\"",
                              NULL));
    process_sleep_ms(200);
    /* A version that loads but cannot be served, pointed at: logged, and the old one stays. */
    char path[160];
    snprintf(path, sizeof path, "%s/fixed.onnx", server.directory);
    test_model_write(&(struct test_model){.features = FEATURES,
                                          .hidden = 12,
                                          .dense = WIDTH,
                                          .steps = STEPS,
                                          .fixed_rows = true,
                                          .seed = 1},
                     path);
    test_repo_promote(repository, "lstm", test_repo_add(repository, "lstm", path));
    kill(server.pid, SIGHUP);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_refused\"", "\"version\":4",
                              "\"serving\":\"2\""));
    process_sleep_ms(200);
    atomic_store(&stop, true);
    struct caller sum = join_callers(callers);
    struct wire *wire = wire_open(server.target);
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name);
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    CHECK_STR(answer->version, "2");
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    CHECK_EQ(wire_health(wire, "lstm"), 1);
    wire_close(wire);
    CHECK(sum.ok > 100);
    CHECK_EQ(sum.unavailable + sum.others + sum.wrong, 0);
    for (int version = 1; version <= VERSIONS; version++)
        CHECK(sum.of_version[version] > 0);
    CHECK_EQ(process_stop(&server), 0);
    test_repo_promote(repository, "lstm", 1);
}

static void write_pointer(const char *text)
{
    char path[160], beside[160];
    snprintf(path, sizeof path, "%s/lstm/current.json", repository);
    snprintf(beside, sizeof beside, "%s/lstm/current.json.new", repository);
    FILE *file = fopen(beside, "w");
    REQUIRE(file != NULL);
    fputs(text, file);
    REQUIRE(fclose(file) == 0 && rename(beside, path) == 0);
}

/* Damage moves nothing, and what was refused is tried again when somebody asks. */
static void a_damaged_repository_changes_nothing(void)
{
    static const char *const damage[] = {"", "{", "{\"version\": \"2\"}", "{\"version\": -1}"};
    start(NULL);
    struct wire *wire = wire_open(server.target);
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        write_pointer(damage[i]);
        kill(server.pid, SIGHUP);
        process_sleep_ms(100);
        CHECK_EQ(wire_health(wire, "lstm"), 1);
        Auspex__V1__BatchPredictReply *answer;
        Auspex__V1__BatchPredictRequest request = request_of(lstm_name);
        wire_predict(wire, &request, NULL, &answer);
        REQUIRE(answer != NULL);
        CHECK_STR(answer->version, "1");
        auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    }
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);

    char path[160], away[160];
    write_pointer("{\"version\": 1}");
    start(NULL);
    snprintf(path, sizeof path, "%s/lstm/2/model.onnx", repository);
    snprintf(away, sizeof away, "%s/away.onnx", server.directory);
    REQUIRE(rename(path, away) == 0);
    write_pointer("{\"version\": 2}");
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_refused\"", "\"version\":2",
                              "\"serving\":\"1\""));
    REQUIRE(rename(away, path) == 0);
    process_sleep_ms(1200); /* no pointer moved: nothing is tried by itself */
    CHECK(!process_logged(&server, "\"event\":\"model_loaded\"", "\"version\":2", NULL));
    kill(server.pid, SIGHUP);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_serving\"", "\"version\":\"2\"",
                              "\"before\":\"1\""));
    write_pointer("{");
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_refused\"", "is damaged",
                              "\"serving\":\"2\""));
    CHECK_EQ(process_stop(&server), 0);
    static const char *const wanted[] = {"--model", lstm_name, NULL};
    CHECK(!process_start(&server, repository, wanted));
    CHECK_EQ(process_wait(&server, 10000), 1);
    write_pointer("{\"version\": 1}");
}

/* kill -9, and the next server takes the same addresses, stale socket and lock file included. */
static void a_killed_server_can_be_replaced(void)
{
    char unix_target[128];
    snprintf(unix_target, sizeof unix_target, "unix:%s/socket", server.directory);
    const char *const extra[] = {"--listen", unix_target, NULL};
    struct caller callers[CALLERS];
    atomic_bool stop;
    start(extra);
    start_callers(callers, lstm_name, false, &stop);
    process_sleep_ms(200);
    kill(server.pid, SIGKILL);
    CHECK_EQ(process_wait(&server, 10000), -SIGKILL);
    atomic_store(&stop, true);
    join_callers(callers);
    start(extra);
    struct wire *wire = wire_open(unix_target);
    CHECK_EQ(wire_health(wire, "lstm"), 1);
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);
}

/* A client that goes away in the middle of its calls, and a stop right after. */
static void clients_may_vanish(void)
{
    for (int round = 0; round < 5; round++) {
        start(NULL);
        pid_t client = fork();
        if (client == 0) {
            struct caller caller = {.model = slow_name};
            atomic_bool never;
            atomic_init(&never, false);
            caller.stop = &never;
            call(&caller);
            _exit(0);
        }
        process_sleep_ms(100 + 10 * round);
        kill(client, SIGKILL);
        struct process other = {.pid = client};
        process_wait(&other, 10000);
        CHECK_EQ(process_stop(&server), 0);
    }
}

static void mistakes_at_the_start_are_told(void)
{
    static const char *const missing[] = {"--model", "nobody", NULL};
    static const char *const unknown[] = {"--no-such-option", NULL};
    static const char *const range[] = {"--workers", "0", NULL};
    unlink(server.log);
    CHECK(!process_start(&server, repository, missing));
    CHECK_EQ(process_wait(&server, 10000), 1);
    CHECK(process_logged(&server, "no model \"nobody\"", NULL, NULL));
    CHECK(!process_start(&server, "/nowhere/at/all", NULL));
    CHECK_EQ(process_wait(&server, 10000), 1);
    CHECK(!process_start(&server, repository, unknown));
    CHECK_EQ(process_wait(&server, 10000), 2);
    CHECK(process_logged(&server, "unknown option", "--no-such-option", NULL));
    CHECK(!process_start(&server, repository, range));
    CHECK_EQ(process_wait(&server, 10000), 2);
    static const char *const only[] = {"--model", lstm_name, NULL};
    start(only);
    struct wire *wire = wire_open(server.target);
    CHECK_EQ(wire_health(wire, "lstm"), 1);
    CHECK_EQ(wire_health(wire, "slow"), -5);
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);
}

/* Where no GPU is to be seen, the processor does it all. */
static void the_log_tells_what_a_model_runs_on(void)
{
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    start(NULL);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_loaded\"", "\"model\":\"lstm\"",
                              "\"device\":\"cpu\""));
    CHECK_EQ(process_stop(&server), 0);
    unsetenv("CUDA_VISIBLE_DEVICES");
}

int main(void)
{
    process_init(&server);
    make_repository();
    RUN(clients_may_vanish); /* first: it forks, and gRPC has not started here yet */
    RUN(a_drain_answers_what_was_accepted);
    RUN(a_drain_ends_though_clients_go_on_calling);
    RUN(overload_is_refused_with_a_time_to_come_back);
    RUN(the_grace_ends);
    RUN(versions_change_without_a_failed_call);
    RUN(a_damaged_repository_changes_nothing);
    RUN(a_killed_server_can_be_replaced);
    RUN(mistakes_at_the_start_are_told);
    RUN(the_log_tells_what_a_model_runs_on);
    for (int version = 1; version <= VERSIONS; version++)
        free(expected[version]);
    if (check_failures > 0)
        fprintf(stderr, "files are in %s\n", server.directory);
    else
        process_clean(&server);
    return check_report();
}
