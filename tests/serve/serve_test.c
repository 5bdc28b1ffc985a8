/* SPDX-License-Identifier: Apache-2.0 */
/* serve_test.c - the server as its clients see it: right answers, and every way to be refused. */
#include <pthread.h>
#include <unistd.h>

#include "grpc/health/v1/health.pb-c.h"
#include "tests/harness/check.h"
#include "tests/serve/process.h"
#include "tests/serve/test_models.h"
#include "tests/serve/wire.h"

enum {
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    RESOURCE_EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    CANCELLED = 1
};
#define WORDS_MODEL "tests/golden/sklearn_boost_two_words.onnx" /* label, probabilities */
enum { STEPS = 10, FEATURES = 4, MAX_ROWS = 3000 };

static struct process server;
static char repository[128], unix_target[128], lstm1[128], lstm2[128], ragged[128], sum[128],
    wide[128];
static struct wire *wire;
static float values[MAX_ROWS * STEPS * FEATURES];
static char lstm_name[] = "lstm", ragged_name[] = "ragged", sum_name[] = "sum",
            slow_name[] = "slow", wide_name[] = "wide", words_name[] = "words";

static void path_of(char to[128], const char *name)
{
    snprintf(to, 128, "%s/%s", server.directory, name);
}

static void make_repository(void)
{
    char slow[128], fixed[128];
    path_of(repository, "repository");
    path_of(lstm1, "lstm1.onnx");
    path_of(lstm2, "lstm2.onnx");
    path_of(ragged, "ragged.onnx");
    path_of(sum, "sum.onnx");
    path_of(wide, "wide.onnx");
    path_of(slow, "slow.onnx");
    path_of(fixed, "fixed.onnx");
    test_model_write(
        &(struct test_model){
            .features = FEATURES, .hidden = 12, .dense = 3, .steps = STEPS, .seed = 1},
        lstm1);
    test_model_write(
        &(struct test_model){
            .features = FEATURES, .hidden = 12, .dense = 3, .steps = STEPS, .seed = 2},
        lstm2);
    test_model_write(
        &(struct test_model){.features = FEATURES, .hidden = 7, .lengths = true, .seed = 3},
        ragged);
    test_model_write(&(struct test_model){.features = 8, .hidden = 200, .steps = 100, .seed = 4},
                     slow);
    test_model_write(
        &(struct test_model){
            .features = FEATURES, .hidden = 4, .steps = STEPS, .fixed_rows = true, .seed = 5},
        fixed);
    test_model_sum(sum, 3, APX_F32);
    test_model_sum(wide, 3, APX_F64);
    test_repo_add(repository, "lstm", lstm1);
    test_repo_add(repository, "lstm", lstm2);
    test_repo_alias(repository, "lstm", "canary", 2);
    test_repo_add(repository, "ragged", ragged);
    test_repo_add(repository, "sum", sum);
    test_repo_add(repository, "wide", wide);
    test_repo_add(repository, "slow", slow);
    test_repo_add(repository, "fixed", fixed);
    test_repo_add(repository, words_name, WORDS_MODEL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = (float)((i * 7919) % 1000) / 500.0f - 1;
}

static Auspex__V1__BatchPredictRequest request_of(char *model, uint32_t rows, uint32_t steps,
                                                  uint32_t features)
{
    Auspex__V1__BatchPredictRequest request = AUSPEX__V1__BATCH_PREDICT_REQUEST__INIT;
    request.model = model;
    request.rows = rows;
    request.steps = steps;
    request.features = features;
    request.values.data = (uint8_t *)values;
    request.values.len = (size_t)rows * (steps > 0 ? steps : 1) * features * sizeof(float);
    return request;
}

/* The call fails with this code and a message that begins with `start`; the connection lives on. */
static void expect_refusal(const Auspex__V1__BatchPredictRequest *request, int code,
                           const char *start)
{
    Auspex__V1__BatchPredictReply *answer;
    struct wire_reply reply = wire_predict(wire, request, NULL, &answer);
    CHECK_EQ(reply.code, code);
    if (!CHECK(strncmp(reply.message, start, strlen(start)) == 0))
        fprintf(stderr, "    \"%s\", expected \"%s...\"\n", reply.message, start);
    CHECK(answer == NULL);
    Auspex__V1__BatchPredictRequest good = request_of(lstm_name, 1, STEPS, FEATURES);
    reply = wire_predict(wire, &good, NULL, &answer);
    CHECK_EQ(reply.code, 0);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

static void expect_rows(struct wire *over, const Auspex__V1__BatchPredictRequest *request,
                        const char *path, int output, const char *version)
{
    Auspex__V1__BatchPredictReply *answer;
    struct wire_reply reply = wire_predict(over, request, NULL, &answer);
    if (!CHECK(reply.code == 0) || !CHECK(answer != NULL)) {
        fprintf(stderr, "    %d %s\n", reply.code, reply.message);
        return;
    }
    int64_t width = 0;
    int32_t lengths[MAX_ROWS];
    for (size_t i = 0; i < request->n_lengths; i++)
        lengths[i] = (int32_t)request->lengths[i];
    float *expected = test_predict(path, output, (const float *)(void *)request->values.data,
                                   request->n_lengths > 0 ? lengths : NULL, request->rows,
                                   request->steps, request->features, &width);
    CHECK_STR(answer->model, request->model);
    CHECK_STR(answer->version, version);
    CHECK_EQ(answer->rows, request->rows);
    CHECK_EQ(answer->outputs, width);
    CHECK_EQ(answer->values.len, request->rows * (size_t)width * sizeof(float));
    CHECK(memcmp(answer->values.data, expected, answer->values.len) == 0);
    CHECK_EQ(answer->status.len, request->rows);
    for (size_t i = 0; i < answer->status.len; i++)
        CHECK_EQ(answer->status.data[i], 0);
    CHECK(answer->total_us >= answer->compute_us && answer->total_us >= answer->queue_us);
    free(expected);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

static void answers_are_those_of_the_library_bit_by_bit(void)
{
    static const uint32_t sizes[] = {1, 2, 7, 8, 9, 100, 333, MAX_ROWS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        Auspex__V1__BatchPredictRequest request = request_of(lstm_name, sizes[i], STEPS, FEATURES);
        expect_rows(wire, &request, lstm1, 0, "1");
    }
    Auspex__V1__BatchPredictRequest request = request_of(sum_name, 5, 0, 3);
    expect_rows(wire, &request, sum, 0, "1");
}

static void versions_aliases_and_outputs_are_chosen(void)
{
    char canary[] = "canary", two[] = "2", one[] = "1", state[] = "state";
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name, 5, STEPS, FEATURES);
    request.version = canary;
    expect_rows(wire, &request, lstm2, 0, "2");
    request.version = two;
    expect_rows(wire, &request, lstm2, 0, "2");
    request.version = one;
    request.output = state;
    expect_rows(wire, &request, lstm1, 1, "1");
}

static void lengths_reach_the_model_and_padding_does_not(void)
{
    uint32_t lengths[20];
    static float padded[20 * STEPS * FEATURES];
    Auspex__V1__BatchPredictRequest request = request_of(ragged_name, 20, STEPS, FEATURES);
    expect_rows(wire, &request, ragged, 0, "1");
    memcpy(padded, values, sizeof padded);
    for (uint32_t row = 0; row < 20; row++) {
        lengths[row] = row % STEPS + 1;
        for (size_t i = lengths[row] * FEATURES; i < (size_t)STEPS * FEATURES; i++)
            padded[row * STEPS * FEATURES + i] = 0;
    }
    request.lengths = lengths;
    request.n_lengths = 20;
    request.values.data = (uint8_t *)padded;
    expect_rows(wire, &request, ragged, 0, "1");
    Auspex__V1__BatchPredictReply *clean, *dirty;
    wire_predict(wire, &request, NULL, &clean);
    for (uint32_t row = 0; row < 20; row++) {
        for (size_t i = lengths[row] * FEATURES; i < (size_t)STEPS * FEATURES; i++)
            padded[row * STEPS * FEATURES + i] = i % 2 == 0 ? NAN : 1e30f;
    }
    struct wire_reply reply = wire_predict(wire, &request, NULL, &dirty);
    CHECK_EQ(reply.code, 0);
    REQUIRE(clean != NULL && dirty != NULL);
    CHECK(memcmp(clean->values.data, dirty->values.data, clean->values.len) == 0);
    auspex__v1__batch_predict_reply__free_unpacked(clean, NULL);
    auspex__v1__batch_predict_reply__free_unpacked(dirty, NULL);

    Auspex__V1__BatchPredictRequest free_steps = request_of(ragged_name, 3, 17, FEATURES);
    expect_rows(wire, &free_steps, ragged, 0, "1");
    lengths[4] = STEPS + 1;
    expect_refusal(&request, INVALID_ARGUMENT, "lengths: row 4: 11 is not in 1 to 10");
    lengths[4] = 1;
    request.n_lengths = 19;
    expect_refusal(&request, INVALID_ARGUMENT, "lengths: 19 lengths for 20 rows");
    request = request_of(lstm_name, 20, STEPS, FEATURES);
    request.lengths = lengths;
    request.n_lengths = 20;
    expect_refusal(&request, INVALID_ARGUMENT, "lengths: model \"lstm\" has no input for them");
}

static void keys_come_back(void)
{
    char a[] = "vm-1", b[] = "", c[] = "h\xc3\xb4te";
    char *keys[] = {a, b, c};
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name, 3, STEPS, FEATURES);
    request.keys = keys;
    request.n_keys = 3;
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->n_keys, 3);
    CHECK_STR(answer->keys[0], a);
    CHECK_STR(answer->keys[2], c);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    request.n_keys = 2;
    expect_refusal(&request, INVALID_ARGUMENT, "keys: 2 keys for 3 rows");
}

static void no_rows_are_a_valid_batch(void)
{
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name, 0, STEPS, FEATURES);
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->rows, 0);
    CHECK_EQ(answer->outputs, 3);
    CHECK_EQ(answer->values.len, 0);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

static void what_is_not_finite_follows_the_policy(void)
{
    enum { ROWS = 5, ROW_FLOATS = STEPS * FEATURES };
    static float dirty[ROWS * ROW_FLOATS];
    memcpy(dirty, values, sizeof dirty);
    dirty[3 * ROW_FLOATS + 11] = NAN;
    dirty[4 * ROW_FLOATS + 1] = -INFINITY;
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name, ROWS, STEPS, FEATURES);
    request.values.data = (uint8_t *)dirty;
    expect_refusal(&request, INVALID_ARGUMENT, "values: row 3 ");
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_REJECT;
    expect_refusal(&request, INVALID_ARGUMENT, "values: row 3 ");
    request.nan_policy = (Auspex__V1__NanPolicy)9;
    expect_refusal(&request, INVALID_ARGUMENT, "nan_policy: unknown policy 9");

    Auspex__V1__BatchPredictReply *answer;
    int64_t width;
    float *clean = test_predict(lstm1, 0, dirty, NULL, 3, STEPS, FEATURES, &width);
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_MARK;
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL && width == 3);
    float got[ROWS * 3];
    memcpy(got, answer->values.data, sizeof got);
    CHECK(memcmp(got, clean, 9 * sizeof(float)) == 0);
    CHECK(memcmp(answer->status.data, "\0\0\0\1\1", ROWS) == 0);
    for (int i = 9; i < 15; i++)
        CHECK(isnan(got[i]));
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    free(clean);

    float rows[2][3] = {{1, 2, 3}, {1, INFINITY, 3}}; /* the sum of the second is infinite */
    request = request_of(sum_name, 2, 1, 3);
    request.values.data = (uint8_t *)rows;
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_PROPAGATE;
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    memcpy(got, answer->values.data, 4 * sizeof *got);
    CHECK_NEAR(got[0], 6, 0);
    CHECK_NEAR(got[2], INFINITY, 0);
    CHECK(memcmp(answer->status.data, "\0\1", 2) == 0);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    rows[1][1] = 3e38f;
    rows[1][2] = 3e38f;
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_REJECT;
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    CHECK(memcmp(answer->status.data, "\0\2", 2) == 0); /* finite in, infinite out */
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

/* The answer's [rows, 2] values, widened to double. */
static void ask_in(Auspex__V1__BatchPredictRequest *request, bool sends_wide, bool wants_wide,
                   double *got, uint8_t *status)
{
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__ValueType types[] = {AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_UNSPECIFIED,
                                     AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64};
    request->value_type = types[sends_wide];
    request->output_type = types[wants_wide];
    struct wire_reply reply = wire_predict(wire, request, NULL, &answer);
    if (answer == NULL)
        fprintf(stderr, "    %s\n", reply.message);
    REQUIRE(answer != NULL && answer->outputs == 2);
    CHECK_EQ(answer->value_type, types[wants_wide]);
    CHECK_EQ(answer->values.len, request->rows * (wants_wide ? 16 : 8));
    for (uint32_t i = 0; i < request->rows * 2; i++) {
        float narrow;
        if (wants_wide) {
            memcpy(&got[i], answer->values.data + i * sizeof(double), sizeof(double));
            continue;
        }
        memcpy(&narrow, answer->values.data + i * sizeof narrow, sizeof narrow);
        got[i] = narrow;
    }
    memcpy(status, answer->status.data, request->rows);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
}

static void value_types_meet_every_model(void)
{
    enum { ROWS = 2 };
    double sent[ROWS][3] = {{1.0 / 3, 0.1, 1e-9}, {16777217, 1, 0}}, got[ROWS * 2];
    float narrow[ROWS][3];
    uint8_t status[ROWS];
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < 3; i++)
            narrow[row][i] = (float)sent[row][i];
    char *names[] = {sum_name, wide_name};
    for (int combination = 0; combination < 8; combination++) {
        bool sends_wide = (combination & 1) != 0, wants_wide = (combination & 2) != 0;
        Auspex__V1__BatchPredictRequest request = request_of(names[combination / 4], ROWS, 1, 3);
        request.values.data = sends_wide ? (uint8_t *)sent : (uint8_t *)narrow;
        request.values.len = sends_wide ? sizeof sent : sizeof narrow;
        ask_in(&request, sends_wide, wants_wide, got, status);
        for (int row = 0; row < ROWS; row++) {
            /* What the model adds is float32, whichever way it came: 16777217 is 2^24 by then. */
            float y = fmaf(narrow[row][2], 1, fmaf(narrow[row][1], 1, narrow[row][0]));
            CHECK_NEAR(got[2 * row], y, 0);
            CHECK_NEAR(got[2 * row + 1], -y, 0);
            CHECK_EQ(status[row], 0);
        }
    }
    /* What float32 cannot hold is an infinity by the time the model sees it. */
    sent[1][0] = 1e300;
    Auspex__V1__BatchPredictRequest request = request_of(sum_name, ROWS, 1, 3);
    request.values.data = (uint8_t *)sent;
    request.values.len = sizeof sent;
    request.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64;
    expect_refusal(&request, INVALID_ARGUMENT, "values: row 1 ");
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_MARK;
    ask_in(&request, true, true, got, status);
    CHECK(memcmp(status, "\0\1", 2) == 0);
    CHECK(isnan(got[2]) && isnan(got[3]) && !isnan(got[0]));
    /* It can be summed in float64's own model only as float32, too: the answer is infinite. */
    request.model = wide_name;
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_UNSPECIFIED;
    ask_in(&request, true, false, got, status);
    CHECK(memcmp(status, "\0\2", 2) == 0);
    sent[1][0] = NAN;
    expect_refusal(&request, INVALID_ARGUMENT, "values: row 1 ");

    request.value_type = (Auspex__V1__ValueType)7;
    expect_refusal(&request, INVALID_ARGUMENT, "value_type: unknown type 7");
    request.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT32;
    expect_refusal(&request, INVALID_ARGUMENT, "values: 48 bytes do not make 2 rows");
}

/* Windows with padding, in float64: the padding is cleared in the run's own type. */
/* The label, int64 places of words, comes first in the file; scores are what is served. */
static void classes_that_are_words_answer_their_scores(void)
{
    enum { ROWS = 7, COLUMNS = 5, SCORES_AT = 200 }; /* in the golden data */
    static char scores_name[] = "probabilities", label_name[] = "label";
    float rows[ROWS * COLUMNS], scores[ROWS * 2];
    double got[ROWS * 2];
    uint8_t status[ROWS];
    FILE *golden = fopen("tests/golden/sklearn_boost_two_words.bin", "rb");
    REQUIRE(golden != NULL && fread(rows, sizeof rows, 1, golden) == 1);
    REQUIRE(fseek(golden, SCORES_AT, SEEK_SET) == 0);
    REQUIRE(fread(scores, sizeof scores, 1, golden) == 1);
    fclose(golden);
    Auspex__V1__BatchPredictRequest request = request_of(words_name, ROWS, 0, COLUMNS);
    request.values.data = (uint8_t *)rows;
    for (int named = 0; named < 2; named++) {
        if (named)
            request.output = scores_name;
        expect_rows(wire, &request, WORDS_MODEL, 1, "1");
        ask_in(&request, false, false, got, status);
        for (int i = 0; i < ROWS * 2; i++)
            CHECK_NEAR(got[i], scores[i], 1e-5);
    }
    request.output = label_name;
    expect_refusal(
        &request, NOT_FOUND,
        "output: model \"words\" has no float32 or float64 output \"label\" with a value "
        "for each row; labels and other integers are not served");
}

static void lengths_go_with_float64(void)
{
    enum { ROWS = 4 };
    static double sent[ROWS * STEPS * FEATURES];
    static float narrow[ROWS * STEPS * FEATURES];
    uint32_t lengths[ROWS] = {3, 10, 1, 7};
    int32_t same[ROWS] = {3, 10, 1, 7};
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        bool is_padding = i % (STEPS * FEATURES) / FEATURES >= lengths[i / (STEPS * FEATURES)];
        sent[i] = is_padding ? NAN : (double)(i % 17) / 17;
        narrow[i] = is_padding ? 0 : (float)sent[i];
    }
    int64_t width;
    float *expected = test_predict(ragged, 0, narrow, same, ROWS, STEPS, FEATURES, &width);
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = request_of(ragged_name, ROWS, STEPS, FEATURES);
    request.values.data = (uint8_t *)sent;
    request.values.len = sizeof sent;
    request.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64;
    request.lengths = lengths;
    request.n_lengths = ROWS;
    wire_predict(wire, &request, NULL, &answer);
    REQUIRE(answer != NULL);
    CHECK_EQ(answer->values.len, ROWS * (size_t)width * sizeof(float));
    CHECK(memcmp(answer->values.data, expected, answer->values.len) == 0);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    free(expected);
}

static void bad_requests_name_the_field(void)
{
    char unknown[] = "nobody", three[] = "3", fixed[] = "fixed", nowhere[] = "../lstm";
    Auspex__V1__BatchPredictRequest request = request_of(unknown, 2, STEPS, FEATURES);
    expect_refusal(&request, NOT_FOUND, "model: no model \"nobody\"");
    request.model = nowhere;
    expect_refusal(&request, NOT_FOUND, "model: ");
    request.model = fixed; /* in the repository, but cannot be served */
    expect_refusal(&request, NOT_FOUND, "version: ");
    request = request_of(lstm_name, 2, STEPS, FEATURES);
    request.version = three;
    expect_refusal(&request, NOT_FOUND, "version: ");
    request.version = unknown;
    expect_refusal(&request, NOT_FOUND, "version: ");
    request = request_of(lstm_name, 2, STEPS, FEATURES);
    request.output = unknown;
    expect_refusal(&request, NOT_FOUND, "output: ");
    request = request_of(lstm_name, 2, STEPS, FEATURES + 1);
    expect_refusal(&request, INVALID_ARGUMENT,
                   "features: model \"lstm\" takes 4, the request has 5");
    request = request_of(lstm_name, 2, STEPS - 1, FEATURES);
    expect_refusal(&request, INVALID_ARGUMENT, "steps: model \"lstm\" takes 10, the request has 9");
    request = request_of(sum_name, 2, 2, 3);
    expect_refusal(&request, INVALID_ARGUMENT, "steps: model \"sum\" takes 1, the request has 2");
    request = request_of(lstm_name, 2, STEPS, FEATURES);
    request.values.len -= 4;
    expect_refusal(&request, INVALID_ARGUMENT, "values: 316 bytes do not make 2 rows");
    request.rows = UINT32_MAX;
    expect_refusal(&request, INVALID_ARGUMENT, "rows: ");
    request = request_of(lstm_name, 2, STEPS, 0);
    expect_refusal(&request, INVALID_ARGUMENT, "features: is 0");

    static const uint8_t garbage[] = "\xff\xff\xff\xff no message";
    struct wire_reply reply = wire_call(wire, WIRE_PREDICT, garbage, sizeof garbage, NULL);
    CHECK_EQ(reply.code, INVALID_ARGUMENT);
    wire_reply_fini(&reply);
    reply = wire_call(wire, WIRE_PREDICT, garbage, 0, NULL);
    CHECK_EQ(reply.code, INVALID_ARGUMENT);
    CHECK_HAS(reply.message, "model: ");
    wire_reply_fini(&reply);
}

static void unknown_methods_are_unimplemented(void)
{
    static const char *const methods[] = {"/auspex.v1.Inference/Nothing",
                                          "/no.Service/BatchPredict"};
    for (int i = 0; i < 2; i++) {
        struct wire_reply reply = wire_call(wire, methods[i], "", 0, NULL);
        CHECK_EQ(reply.code, UNIMPLEMENTED);
        CHECK_HAS(reply.message, methods[i]);
        wire_reply_fini(&reply);
    }
}

static void oversize_and_compressed_messages_are_refused(void)
{
    size_t size = (8u << 20) + 1024; /* the server was started with --max-message-mib 8 */
    uint8_t *zeros = calloc(1, size);
    struct wire_reply reply = wire_call(wire, WIRE_PREDICT, zeros, size, NULL);
    CHECK_EQ(reply.code, RESOURCE_EXHAUSTED);
    wire_reply_fini(&reply);
    struct wire_options gzip = {.gzip = true};
    reply = wire_call(wire, WIRE_PREDICT, zeros, 4u << 20, &gzip);
    CHECK_EQ(reply.code, UNIMPLEMENTED);
    wire_reply_fini(&reply);
    free(zeros);
    Auspex__V1__BatchPredictRequest good = request_of(lstm_name, 1, STEPS, FEATURES);
    expect_rows(wire, &good, lstm1, 0, "1");
}

static Auspex__V1__BatchPredictRequest slow_request(uint32_t rows)
{
    return request_of(slow_name, rows, 100, 8);
}

static void deadlines_and_cancellation_are_honoured(void)
{
    Auspex__V1__BatchPredictReply *answer;
    Auspex__V1__BatchPredictRequest request = slow_request(150);
    struct wire_options deadline = {.timeout_ms = 20};
    struct wire_reply reply = wire_predict(wire, &request, &deadline, &answer);
    CHECK_EQ(reply.code, DEADLINE_EXCEEDED);
    /* The server saw the cancellation and dropped the rows: its log says so. On a busy machine a
     * call can be cancelled before it has left, so that the server never hears of it: then once
     * more. */
    bool is_logged = false;
    for (int wait_ms = 10; wait_ms <= 80 && !is_logged; wait_ms *= 2) {
        struct wire_options cancel = {.cancel_after_ms = wait_ms};
        reply = wire_predict(wire, &request, &cancel, &answer);
        CHECK_EQ(reply.code, CANCELLED);
        is_logged = process_wait_logged(&server, 3000, "\"code\":\"CANCELLED\"",
                                        "\"model\":\"slow\"", "\"rows\":150");
    }
    CHECK(is_logged);
    Auspex__V1__BatchPredictRequest good = request_of(lstm_name, 9, STEPS, FEATURES);
    expect_rows(wire, &good, lstm1, 0, "1");
}

struct concurrent {
    pthread_t thread;
    int index, failures;
    const float *expected;
};

static void *call_many(void *argument)
{
    struct concurrent *self = argument;
    for (int i = 0; i < 40; i++) {
        uint32_t first = (uint32_t)((self->index * 131 + i * 17) % 2000),
                 rows = (uint32_t)(1 + (self->index * 7 + i * 13) % 90);
        Auspex__V1__BatchPredictReply *answer;
        Auspex__V1__BatchPredictRequest request = request_of(lstm_name, rows, STEPS, FEATURES);
        request.values.data = (uint8_t *)(values + first * STEPS * FEATURES);
        struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
        if (reply.code != 0 || answer == NULL || answer->values.len != rows * 3 * sizeof(float) ||
            memcmp(answer->values.data, self->expected + first * 3, answer->values.len) != 0)
            self->failures++;
        auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    }
    return NULL;
}

/* Rows of many calls share slices; none may get another's answer. */
static void sixty_four_calls_at_a_time_keep_their_rows_apart(void)
{
    int64_t width;
    float *expected = test_predict(lstm1, 0, values, NULL, MAX_ROWS, STEPS, FEATURES, &width);
    static struct concurrent threads[64];
    for (int i = 0; i < 64; i++) {
        threads[i].index = i;
        threads[i].expected = expected;
        REQUIRE(pthread_create(&threads[i].thread, NULL, call_many, &threads[i]) == 0);
    }
    for (int i = 0; i < 64; i++) {
        pthread_join(threads[i].thread, NULL);
        CHECK_EQ(threads[i].failures, 0);
    }
    free(expected);
}

static void health_is_told_by_name(void)
{
    CHECK_EQ(wire_health(wire, ""), 1);
    CHECK_EQ(wire_health(wire, "auspex.v1.Inference"), 1);
    CHECK_EQ(wire_health(wire, "lstm"), 1);
    CHECK_EQ(wire_health(wire, "fixed"), 2); /* it did not load */
    CHECK_EQ(wire_health(wire, "nobody"), -NOT_FOUND);
    struct wire_reply reply = wire_call(wire, "/grpc.health.v1.Health/Check", "\xff", 1, NULL);
    CHECK_EQ(reply.code, INVALID_ARGUMENT);
    wire_reply_fini(&reply);
}

static int next_status(struct wire_stream *stream)
{
    uint8_t bytes[64];
    int size = wire_stream_next(stream, bytes, sizeof bytes);
    if (size < 0)
        return -1;
    Grpc__Health__V1__HealthCheckResponse *response =
        grpc__health__v1__health_check_response__unpack(NULL, (size_t)size, bytes);
    int status = response != NULL ? (int)response->status : -1000;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return status;
}

/* A model that appears in the repository is served within a second or so, and watchers are told. */
static void new_models_are_noticed_and_watchers_told(void)
{
    struct wire_stream *stream =
        wire_stream_open(wire, "/grpc.health.v1.Health/Watch", "\x0a\x05later", 7);
    CHECK_EQ(next_status(stream), 3);
    test_repo_add(repository, "later", sum);
    CHECK_EQ(next_status(stream), 1);
    char later[] = "later";
    Auspex__V1__BatchPredictRequest request = request_of(later, 4, 1, 3);
    Auspex__V1__BatchPredictReply *answer;
    struct wire_reply reply = wire_predict(wire, &request, NULL, &answer);
    CHECK_EQ(reply.code, 0);
    auspex__v1__batch_predict_reply__free_unpacked(answer, NULL);
    CHECK_EQ(wire_stream_close(stream), CANCELLED);
}

static void the_unix_socket_serves_too_and_belongs_to_one_server(void)
{
    struct wire *other = wire_open(unix_target);
    Auspex__V1__BatchPredictRequest request = request_of(lstm_name, 70, STEPS, FEATURES);
    expect_rows(other, &request, lstm1, 0, "1");
    struct process second = server; /* the same directory, another log */
    snprintf(second.log, sizeof second.log, "%s/log2", server.directory);
    const char *const listen[] = {"--listen", unix_target, NULL};
    CHECK(!process_start(&second, repository, listen));
    CHECK_EQ(process_wait(&second, 20000), 1);
    CHECK(process_logged(&second, "another server owns", NULL, NULL));
    expect_rows(other, &request, lstm1, 0, "1");
    wire_close(other);
}

static void a_taken_port_is_refused(void)
{
    struct process second = server;
    snprintf(second.log, sizeof second.log, "%s/log3", server.directory);
    const char *const listen[] = {"--listen", server.target, NULL};
    CHECK(!process_start(&second, repository, listen));
    CHECK_EQ(process_wait(&second, 20000), 1);
    CHECK(process_logged(&second, "cannot listen on", server.target, NULL));
}

int main(void)
{
    process_init(&server);
    make_repository();
    snprintf(unix_target, sizeof unix_target, "unix:%s/socket", server.directory);
    const char *const extra[] = {"--listen",  unix_target,   "--max-message-mib",
                                 "8",         "--log-level", "debug",
                                 "--workers", "3",           NULL};
    REQUIRE(process_start(&server, repository, extra));
    wire = wire_open(server.target);
    RUN(answers_are_those_of_the_library_bit_by_bit);
    RUN(versions_aliases_and_outputs_are_chosen);
    RUN(lengths_reach_the_model_and_padding_does_not);
    RUN(keys_come_back);
    RUN(no_rows_are_a_valid_batch);
    RUN(what_is_not_finite_follows_the_policy);
    RUN(value_types_meet_every_model);
    RUN(classes_that_are_words_answer_their_scores);
    RUN(lengths_go_with_float64);
    RUN(bad_requests_name_the_field);
    RUN(unknown_methods_are_unimplemented);
    RUN(oversize_and_compressed_messages_are_refused);
    RUN(deadlines_and_cancellation_are_honoured);
    RUN(sixty_four_calls_at_a_time_keep_their_rows_apart);
    RUN(health_is_told_by_name);
    RUN(new_models_are_noticed_and_watchers_told);
    RUN(the_unix_socket_serves_too_and_belongs_to_one_server);
    RUN(a_taken_port_is_refused);
    wire_close(wire);
    CHECK_EQ(process_stop(&server), 0);
    CHECK(access(unix_target + 5, F_OK) != 0); /* the socket is gone, and its lock */
    CHECK(process_logged(&server, "\"event\":\"model_refused\"", "\"model\":\"fixed\"", NULL));
    CHECK(process_logged(&server, "\"event\":\"stopped\"", NULL, NULL));
    if (check_failures > 0)
        fprintf(stderr, "files are in %s\n", server.directory);
    else
        process_clean(&server);
    return check_report();
}
