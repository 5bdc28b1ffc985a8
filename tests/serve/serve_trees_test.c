/* SPDX-License-Identifier: Apache-2.0 */
/* serve_trees_test.c - models of XGBoost and LightGBM behind the server, as those libraries wrote
 * them: their types, their missing values, and files that are damaged. */
#include <signal.h>
#include <unistd.h>

#include "tests/harness/check.h"
#include "tests/harness/tiny_trees.h"
#include "tests/serve/process.h"
#include "tests/serve/test_models.h"
#include "tests/serve/wire.h"

enum { INVALID_ARGUMENT = 3, NOT_FOUND = 5, ROWS = 3 };

static const double tenth = 0.1, third = 1.0 / 3;
static struct process server;
static char repository[128];
static struct wire *wire;
static char light[] = "light", extreme[] = "extreme";

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL && fwrite(text, 1, bytes, file) == bytes && fclose(file) == 0);
}

static const char *in(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", server.directory, name);
    return path;
}

/* What the tests ask: the sender's values, the types, the policy. */
struct question {
    char *model;
    const void *values; /* [ROWS, 2] */
    bool sends_wide, wants_wide;
    int nan_policy;
};

static Auspex__V1__BatchPredictRequest request_of(const struct question *question)
{
    static const Auspex__V1__ValueType types[] = {AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_UNSPECIFIED,
                                                  AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64};
    Auspex__V1__BatchPredictRequest request = AUSPEX__V1__BATCH_PREDICT_REQUEST__INIT;
    request.model = question->model;
    request.rows = ROWS;
    request.features = 2;
    request.values.data = (uint8_t *)(uintptr_t)question->values;
    request.values.len = ROWS * 2 * (question->sends_wide ? sizeof(double) : sizeof(float));
    request.value_type = types[question->sends_wide];
    request.output_type = types[question->wants_wide];
    request.nan_policy = (Auspex__V1__NanPolicy)question->nan_policy;
    return request;
}

/* Answered by `version` with these values (to the bit, in the type asked for) and status bytes. */
static void expect(const struct question *question, const char *version, const double want[ROWS],
                   const char status[ROWS])
{
    Auspex__V1__BatchPredictRequest request = request_of(question);
    Auspex__V1__BatchPredictReply *answer;
    struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
    if (!CHECK(answer != NULL)) {
        fprintf(stderr, "    %s\n", reply.message);
        return;
    }
    CHECK_STR(answer->version, version);
    CHECK_EQ(answer->outputs, 1);
    CHECK(answer->status.len == ROWS && memcmp(answer->status.data, status, ROWS) == 0);
    CHECK_EQ(answer->values.len, ROWS * (question->wants_wide ? sizeof(double) : sizeof(float)));
    for (int row = 0; row < ROWS; row++) {
        float narrow = (float)want[row], got_narrow;
        double got;
        if (question->wants_wide) {
            memcpy(&got, answer->values.data + row * sizeof got, sizeof got);
            CHECK(isnan(want[row]) ? isnan(got) : got == want[row]);
        } else {
            memcpy(&got_narrow, answer->values.data + row * sizeof narrow, sizeof narrow);
            CHECK(isnan(narrow) ? isnan(got_narrow) : got_narrow == narrow);
        }
    }
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

static void expect_refusal(const struct question *question, int code, const char *start)
{
    Auspex__V1__BatchPredictRequest request = request_of(question);
    Auspex__V1__BatchPredictReply *answer;
    struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
    CHECK_EQ(reply.code, code);
    CHECK(strncmp(reply.message, start, strlen(start)) == 0);
    CHECK(answer == NULL);
}

/* float64 tells 2^24 + 1 from 2^24, float32 cannot; what comes back in float32 is rounded. */
static void lightgbm_answers_in_float64(void)
{
    static const double sent[ROWS][2] = {{16777216, 0}, {16777217, 0}, {-1e300, 0}};
    static const float narrow[ROWS][2] = {{16777216, 0}, {16777218, 0}, {3, 0}};
    struct question question = {.model = light, .values = sent, .sends_wide = true};
    const double want[ROWS] = {tenth, third, tenth};
    expect(&question, "1", want, "\0\0\0");
    question.wants_wide = true;
    expect(&question, "1", want, "\0\0\0");
    question = (struct question){.model = light, .values = narrow};
    expect(&question, "1", want, "\0\0\0");
    question.wants_wide = true;
    expect(&question, "1", want, "\0\0\0");
}

/* Just below 0.5 in float64 is 0.5 in float32, where XGBoost compares. */
static void xgboost_rounds_its_features(void)
{
    static const double sent[ROWS][2] = {{0, 0.25}, {0, 0.49999999999999994}, {0, 1e300}};
    static const float narrow[ROWS][2] = {{0, 0.25f}, {0, 0.5f}, {0, 7}};
    const double want[ROWS] = {1.25, 2.5, 2.5};
    struct question question = {.model = extreme, .values = sent, .sends_wide = true};
    expect(&question, "1", want, "\0\0\0");
    question = (struct question){.model = extreme, .values = narrow, .wants_wide = true};
    expect(&question, "1", want, "\0\0\0");
}

static void nan_is_missing_unless_the_call_says_otherwise(void)
{
    static const float narrow[ROWS][2] = {{0, 0}, {NAN, NAN}, {0, 0}};
    static const double wide[ROWS][2] = {{0, 0}, {NAN, INFINITY}, {0, 0}};
    struct question question = {.model = light, .values = narrow, .wants_wide = true};
    expect(&question, "1", (const double[]){tenth, third, tenth}, "\0\0\0");
    question.values = wide;
    question.sends_wide = true;
    expect(&question, "1", (const double[]){tenth, third, tenth}, "\0\0\0");
    question.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_REJECT;
    expect_refusal(&question, INVALID_ARGUMENT, "values: row 1 ");
    question.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_MARK;
    expect(&question, "1", (const double[]){tenth, NAN, tenth}, "\0\1\0");
    question.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_PROPAGATE;
    expect(&question, "1", (const double[]){tenth, third, tenth}, "\0\1\0");

    question = (struct question){.model = extreme, .values = narrow};
    expect(&question, "1", (const double[]){1.25, 1.25, 1.25}, "\0\0\0");
    question.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_REJECT;
    expect_refusal(&question, INVALID_ARGUMENT, "values: row 1 ");
}

static void tables_have_the_model_s_columns(void)
{
    static const float narrow[ROWS * 3];
    struct question question = {.model = extreme, .values = narrow};
    Auspex__V1__BatchPredictRequest request = request_of(&question);
    Auspex__V1__BatchPredictReply *answer;
    request.features = 3;
    request.values.len = sizeof narrow;
    struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
    CHECK_EQ(reply.code, INVALID_ARGUMENT);
    CHECK_HAS(reply.message, "features: model \"extreme\" takes 2, the request has 3");
}

/* The second version is cut short after it was added, then has a second model file beside it: both
 * times the first one stays. Mended, it is served; a rollback brings the first one back. */
static void damaged_versions_replace_nothing(void)
{
    static const float narrow[ROWS][2] = {{0, 0}, {0, 1}, {0, 0}};
    const double want[ROWS] = {1.25, 2.5, 1.25};
    char path[200], beside[200], current[200];
    struct question question = {.model = extreme, .values = narrow};
    snprintf(path, sizeof path, "%s/extreme/2/model.json", repository);
    snprintf(current, sizeof current, "%s/extreme/current.json", repository);
    CHECK_EQ(test_repo_add(repository, extreme, in("xgboost.json")), 2);
    write_file(path, tiny_xgboost, sizeof tiny_xgboost / 2);
    snprintf(beside, sizeof beside, "%s/extreme/current.json.new", repository);
    write_file(beside, "{\"version\": 2, \"previous\": 1}", 29);
    REQUIRE(rename(beside, current) == 0);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_refused\"", "\"version\":2",
                              "\"serving\":\"1\""));
    expect(&question, "1", want, "\0\0\0");

    write_file(path, tiny_xgboost, sizeof tiny_xgboost - 1);
    snprintf(beside, sizeof beside, "%s/extreme/2/model.txt", repository);
    write_file(beside, tiny_lightgbm, sizeof tiny_lightgbm - 1);
    kill(server.pid, SIGHUP);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_refused\"",
                              "holds model.json and model.txt", "\"serving\":\"1\""));
    expect(&question, "1", want, "\0\0\0");

    unlink(beside);
    kill(server.pid, SIGHUP);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_serving\"", "\"model\":\"extreme\"",
                              "\"before\":\"1\""));
    expect(&question, "2", want, "\0\0\0");
    test_repo_promote(repository, extreme, 1);
    CHECK(process_wait_logged(&server, 5000, "\"event\":\"model_serving\"", "\"model\":\"extreme\"",
                              "\"before\":\"2\""));
    expect(&question, "1", want, "\0\0\0");
}

int main(void)
{
    process_init(&server);
    snprintf(repository, sizeof repository, "%s/repository", server.directory);
    write_file(in("lightgbm.txt"), tiny_lightgbm, sizeof tiny_lightgbm - 1);
    test_repo_add(repository, light, in("lightgbm.txt"));
    write_file(in("xgboost.json"), tiny_xgboost, sizeof tiny_xgboost - 1);
    test_repo_add(repository, extreme, in("xgboost.json"));
    REQUIRE(process_start(&server, repository, NULL));
    wire = wire_open(server.target);
    RUN(lightgbm_answers_in_float64);
    RUN(xgboost_rounds_its_features);
    RUN(nan_is_missing_unless_the_call_says_otherwise);
    RUN(tables_have_the_model_s_columns);
    RUN(damaged_versions_replace_nothing);
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);
    if (check_failures > 0)
        fprintf(stderr, "files are in %s\n", server.directory);
    else
        process_clean(&server);
    return check_report();
}
