/* SPDX-License-Identifier: Apache-2.0 */
/* predict_codec_test.c - the hand-written decoder and encoder against protobuf-c, however the
 * network cuts the message. */
#include "auspex/v1/inference.pb-c.h"
#include "serve/predict_decode.h"
#include "serve/predict_encode.h"
#include "tests/harness/check.h"

enum { ROWS = 3, STEPS = 2, FEATURES = 5 };

static float values[ROWS * STEPS * FEATURES];
static char model_name[] = "cpu", version_name[] = "canary", output_name[] = "y";
static char key_a[] = "vm-a", key_b[] = "", key_c[] = "vm-\xc3\xa9";
static char *keys[ROWS] = {key_a, key_b, key_c};
static uint32_t lengths[ROWS] = {2, 1, 2};

static Auspex__V1__BatchPredictRequest sample(void)
{
    Auspex__V1__BatchPredictRequest request = AUSPEX__V1__BATCH_PREDICT_REQUEST__INIT;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        values[i] = (float)i * 0.5f - 3;
    request.model = model_name;
    request.version = version_name;
    request.output = output_name;
    request.rows = ROWS;
    request.steps = STEPS;
    request.features = FEATURES;
    request.values.data = (uint8_t *)values;
    request.values.len = sizeof values;
    request.keys = keys;
    request.n_keys = ROWS;
    request.lengths = lengths;
    request.n_lengths = ROWS;
    request.nan_policy = AUSPEX__V1__NAN_POLICY__NAN_POLICY_MARK;
    return request;
}

static size_t pack(const Auspex__V1__BatchPredictRequest *request, uint8_t bytes[4096])
{
    REQUIRE(auspex__v1__batch_predict_request__get_packed_size(request) <= 4096);
    return auspex__v1__batch_predict_request__pack(request, bytes);
}

static void check_sample(const struct apx_predict_request *request)
{
    static const uint8_t blob[] = "\x3a\x04vm-a\x3a\x00\x3a\x05vm-\xc3\xa9";
    float fetched[ROWS * STEPS * FEATURES];
    CHECK_STR(request->model, "cpu");
    CHECK_STR(request->version, "canary");
    CHECK_STR(request->output, "y");
    CHECK_EQ(request->rows, ROWS);
    CHECK_EQ(request->steps, STEPS);
    CHECK_EQ(request->features, FEATURES);
    CHECK_EQ(request->values_bytes, sizeof values);
    CHECK_EQ(request->nan_policy, APX_NAN_MARK);
    CHECK_EQ(request->keys_bytes, sizeof blob - 1);
    CHECK(memcmp(request->keys, blob, sizeof blob - 1) == 0);
    CHECK(memcmp(request->lengths, lengths, sizeof lengths) == 0);
    apx_values_fetch(request, 0, sizeof values, fetched);
    CHECK(memcmp(fetched, values, sizeof values) == 0);
    memset(fetched, 0, sizeof fetched);
    for (size_t row = ROWS; row-- > 0;) { /* backwards: each fetch stands alone */
        size_t bytes = sizeof values / ROWS;
        apx_values_fetch(request, row * bytes, bytes, (char *)fetched + row * bytes);
    }
    CHECK(memcmp(fetched, values, sizeof values) == 0);
}

static void reads_what_protobuf_wrote_however_it_is_cut(void)
{
    Auspex__V1__BatchPredictRequest message = sample();
    uint8_t bytes[4096];
    size_t size = pack(&message, bytes);
    struct apx_predict_request request;
    struct apx_error error;
    for (size_t cut = 0; cut <= size; cut++) { /* two pieces, with an empty one between */
        struct apx_span spans[3] = {{bytes, cut}, {bytes, 0}, {bytes + cut, size - cut}};
        if (!CHECK(apx_predict_decode(spans, 3, &request, &error) == APX_OK))
            return;
        check_sample(&request);
        apx_predict_request_fini(&request);
    }
    struct apx_span single[4096];
    for (size_t i = 0; i < size; i++) /* byte by byte, each in memory of its own size */
        single[i] = (struct apx_span){bytes + i, 1};
    if (!CHECK(apx_predict_decode(single, size, &request, &error) == APX_OK))
        return;
    check_sample(&request);
    apx_predict_request_fini(&request);
}

static void float64_is_read_to_the_last_byte(void)
{
    Auspex__V1__BatchPredictRequest message = sample();
    double wide[ROWS * STEPS * FEATURES], fetched[STEPS * FEATURES];
    uint8_t bytes[4096];
    struct apx_predict_request request;
    struct apx_error error;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        wide[i] = 1.0 / (double)(i + 3);
    message.values.data = (uint8_t *)wide;
    message.values.len = sizeof wide;
    message.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64;
    message.output_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64;
    size_t size = pack(&message, bytes);
    for (size_t cut = 0; cut <= size; cut++) {
        struct apx_span spans[2] = {{bytes, cut}, {bytes + cut, size - cut}};
        if (!CHECK(apx_predict_decode(spans, 2, &request, &error) == APX_OK))
            return;
        CHECK_EQ(request.value_type, APX_F64);
        CHECK_EQ(request.output_type, APX_F64);
        CHECK_EQ(request.values_bytes, sizeof wide);
        apx_values_fetch(&request, sizeof wide / ROWS, sizeof fetched, fetched);
        CHECK(memcmp(fetched, wide + STEPS * FEATURES, sizeof fetched) == 0);
        apx_predict_request_fini(&request);
    }
}

static void every_cut_off_message_is_refused_or_incomplete(void)
{
    Auspex__V1__BatchPredictRequest message = sample();
    uint8_t bytes[4096];
    size_t size = pack(&message, bytes);
    for (size_t end = 0; end < size; end++) {
        uint8_t *copy = malloc(end + 1); /* so that a sanitizer sees a byte too many */
        memcpy(copy, bytes, end);
        struct apx_span span = {copy, end};
        struct apx_predict_request request;
        struct apx_error error;
        if (apx_predict_decode(&span, 1, &request, &error) == APX_OK) {
            /* The end of a field: then whatever came before it must be a whole request. */
            CHECK(end > sizeof values);
            apx_predict_request_fini(&request);
        }
        free(copy);
    }
}

/* Decode the message; the text of the refusal, "" if it was taken. */
static const char *refusal(const Auspex__V1__BatchPredictRequest *message)
{
    static char text[600];
    uint8_t bytes[4096];
    struct apx_span span = {bytes, pack(message, bytes)};
    struct apx_predict_request request;
    struct apx_error error;
    text[0] = '\0';
    if (apx_predict_decode(&span, 1, &request, &error) == APX_OK)
        apx_predict_request_fini(&request);
    else
        snprintf(text, sizeof text, "%s: %s", error.field, error.message);
    return text;
}

static void refusals_name_the_field(void)
{
    Auspex__V1__BatchPredictRequest message = sample();
    CHECK_STR(refusal(&message), "");

    char empty[] = "", long_name[200];
    message.model = empty;
    CHECK_HAS(refusal(&message), "model: ");
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    message.model = long_name;
    CHECK_HAS(refusal(&message), "model: 199 bytes");

    message = sample();
    message.rows = 4;
    CHECK_HAS(refusal(&message), "values: 120 bytes do not make 4 rows x 2 steps x 5 features");
    message = sample();
    message.values.len -= 1;
    CHECK_HAS(refusal(&message), "values: ");
    message = sample();
    message.rows = message.steps = message.features = UINT32_MAX; /* the product overflows */
    CHECK_HAS(refusal(&message), "rows: ");
    message.rows = APX_LIMIT_REQUEST_ROWS;
    CHECK_HAS(refusal(&message), "steps: ");
    message.steps = APX_LIMIT_REQUEST_STEPS;
    CHECK_HAS(refusal(&message), "values: ");
    message = sample();
    message.steps = APX_LIMIT_REQUEST_STEPS;
    CHECK_HAS(refusal(&message), "values: ");
    message.steps++;
    CHECK_HAS(refusal(&message), "steps: 65537, at most 65536 are allowed");
    message = sample();
    message.features = 0;
    CHECK_HAS(refusal(&message), "features: ");

    message = sample();
    message.n_keys = 2;
    CHECK_HAS(refusal(&message), "keys: 2 keys for 3 rows");
    char bad_text[] = "\xff";
    char *bad_keys[ROWS] = {key_a, bad_text, key_c};
    message = sample();
    message.keys = bad_keys;
    CHECK_HAS(refusal(&message), "keys: key 1 is not UTF-8");
    static const char *const not_utf8[] = {"\xc0\x80",         "\xe0\x80\x80", "\xed\xa0\x80",
                                           "\xf4\x90\x80\x80", "\xe2\x82",     "\x80",
                                           "\xf5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof not_utf8 / sizeof not_utf8[0]; i++) {
        char text[8];
        snprintf(text, sizeof text, "%s", not_utf8[i]);
        message = sample();
        message.version = text;
        CHECK_HAS(refusal(&message), "version: is not UTF-8");
    }
    char fine[] = "\xf0\x9f\x98\x80\xe2\x82\xac\xed\x9f\xbf\xc2\x80";
    message = sample();
    message.version = fine;
    CHECK_STR(refusal(&message), "");

    char long_key[1100];
    memset(long_key, 'k', sizeof long_key);
    long_key[APX_LIMIT_KEY_BYTES] = '\0';
    char *long_keys[ROWS] = {key_a, key_b, long_key};
    message = sample();
    message.keys = long_keys;
    CHECK_STR(refusal(&message), "");
    long_key[APX_LIMIT_KEY_BYTES] = 'k';
    long_key[APX_LIMIT_KEY_BYTES + 1] = '\0';
    CHECK_HAS(refusal(&message), "keys: key 2 has 1025 bytes");

    uint32_t bad_lengths[ROWS] = {2, 3, 1};
    message = sample();
    message.lengths = bad_lengths;
    CHECK_HAS(refusal(&message), "lengths: row 1: 3 is not in 1 to 2");
    bad_lengths[1] = 0;
    CHECK_HAS(refusal(&message), "lengths: row 1: 0 is not in 1 to 2");
    message = sample();
    message.n_lengths = 1;
    CHECK_HAS(refusal(&message), "lengths: 1 lengths for 3 rows");

    message = sample();
    message.nan_policy = (Auspex__V1__NanPolicy)4;
    CHECK_HAS(refusal(&message), "nan_policy: unknown policy 4");
    message.nan_policy = (Auspex__V1__NanPolicy)-1;
    CHECK_HAS(refusal(&message), "nan_policy: unknown policy");

    message = sample();
    message.value_type = (Auspex__V1__ValueType)3;
    CHECK_HAS(refusal(&message), "value_type: unknown type 3");
    message.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64;
    CHECK_HAS(refusal(&message),
              "values: 120 bytes do not make 3 rows x 2 steps x 5 features of float64");
    message.value_type = AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT32;
    CHECK_STR(refusal(&message), "");
    message.output_type = (Auspex__V1__ValueType)-1;
    CHECK_HAS(refusal(&message), "output_type: unknown type");
}

static void odd_but_valid_forms_are_read(void)
{
    /* Unknown fields of every wire type, a field twice (the last one counts), lengths one by one.
     */
    static const uint8_t bytes[] = {
        0x0a, 1,    'x',                                /* model "x" */
        0xf8, 0x07, 0x96, 0x01,                         /* field 127, varint */
        0xfd, 0x07, 1,    2,    3,    4,                /* field 127, fixed32 */
        0xf9, 0x07, 1,    2,    3,    4,    5, 6, 7, 8, /* field 127, fixed64 */
        0xfa, 0x07, 2,    9,    9,                      /* field 127, bytes */
        0x0d, 0,    0,    0,    0,       /* field 1 as fixed32: not a name, skipped */
        0x0a, 2,    'o',  'k',           /* model "ok" */
        0x18, 2,    0x20, 1,    0x28, 1, /* rows 2, steps 1, features 1 */
        0x32, 8,    0,    0,    0x80, 0x3f, 0, 0, 0, 0x40, /* values 1, 2 */
        0x40, 1,    0x42, 1,    1,                         /* lengths: 1 alone, then packed 1 */
    };
    struct apx_span span = {bytes, sizeof bytes};
    struct apx_predict_request request;
    struct apx_error error;
    if (!CHECK(apx_predict_decode(&span, 1, &request, &error) == APX_OK))
        return;
    float two[2];
    apx_values_fetch(&request, 0, sizeof two, two);
    CHECK_STR(request.model, "ok");
    CHECK_NEAR(two[1], 2, 0);
    CHECK_EQ(request.lengths[1], 1);
    CHECK_EQ(request.nan_policy, APX_NAN_UNSPECIFIED);
    CHECK_EQ(request.value_type, APX_F32);
    CHECK_EQ(request.output_type, APX_F32);
    apx_predict_request_fini(&request);

    static const struct {
        uint8_t bytes[12];
        size_t size;
    } broken[] = {
        {{0x0b}, 1},       /* a group */
        {{0x00, 0x00}, 2}, /* field number 0 */
        {{0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 11}, /* no end */
        {{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
         11},                                      /* 2^64 - 1 bytes */
        {{0x42, 1, 0x80}, 3},                      /* a packed length cut */
        {{0x18, 0xff, 0xff, 0xff, 0xff, 0x7f}, 6}, /* rows beyond 32 bits */
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        span = (struct apx_span){broken[i].bytes, broken[i].size};
        CHECK(apx_predict_decode(&span, 1, &request, &error) != APX_OK);
    }
    CHECK_EQ(apx_predict_decode(NULL, 0, &request, &error), APX_EINVAL);
}

static void check_reply(enum apx_dtype type, uint32_t rows, uint32_t width, const uint8_t *blob,
                        size_t blob_size, uint64_t time)
{
    struct apx_reply_plan plan = {.model = "cpu",
                                  .version = "12",
                                  .rows = rows,
                                  .width = width,
                                  .value_type = type,
                                  .keys_bytes = blob_size};
    size_t value_size = apx_dtype_size(type);
    struct apx_error error;
    if (!CHECK(apx_reply_plan(&plan, &error) == APX_OK))
        return;
    uint8_t *bytes = malloc(plan.capacity);
    apx_reply_begin(&plan, blob, bytes);
    for (size_t i = 0; i < (size_t)rows * width; i++) {
        float narrow = (float)i;
        double wide = (double)i;
        const void *value = type == APX_F32 ? (const void *)&narrow : (const void *)&wide;
        memcpy(bytes + plan.values_at + i * value_size, value, value_size);
    }
    memset(bytes + plan.status_at, APX_ROW_OUTPUT_NOT_FINITE, rows);
    size_t size = apx_reply_end(&plan, time, time / 2, time * 2, bytes);
    CHECK(size <= plan.capacity);
    Auspex__V1__BatchPredictReply *reply =
        auspex__v1__batch_predict_reply__unpack(NULL, size, bytes);
    free(bytes);
    REQUIRE(reply != NULL);
    CHECK_STR(reply->model, "cpu");
    CHECK_STR(reply->version, "12");
    CHECK_EQ(reply->rows, rows);
    CHECK_EQ(reply->outputs, width);
    CHECK_EQ(reply->values.len, (size_t)rows * width * value_size);
    CHECK_EQ(reply->value_type, type == APX_F64 ? AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_FLOAT64
                                                : AUSPEX__V1__VALUE_TYPE__VALUE_TYPE_UNSPECIFIED);
    for (size_t i = 0; i < (size_t)rows * width; i++) {
        float narrow;
        double wide;
        memcpy(type == APX_F32 ? (void *)&narrow : (void *)&wide,
               reply->values.data + i * value_size, value_size);
        CHECK_NEAR(type == APX_F32 ? (double)narrow : wide, (double)i, 0);
    }
    CHECK_EQ(reply->status.len, rows);
    for (size_t i = 0; i < rows; i++)
        CHECK_EQ(reply->status.data[i], AUSPEX__V1__ROW_STATUS__ROW_OUTPUT_NOT_FINITE);
    CHECK_EQ(reply->n_keys, blob_size > 0 ? 3 : 0);
    if (blob_size > 0)
        CHECK_STR(reply->keys[2], "vm-\xc3\xa9");
    CHECK_EQ(reply->queue_us, time);
    CHECK_EQ(reply->compute_us, time / 2);
    CHECK_EQ(reply->total_us, time * 2);
    auspex__v1__batch_predict_reply__free_unpacked(reply, NULL);
}

static void protobuf_reads_the_replies(void)
{
    static const uint8_t blob[] = "\x3a\x04vm-a\x3a\x00\x3a\x05vm-\xc3\xa9";
    for (int i = 0; i < 2; i++) {
        enum apx_dtype type = i == 0 ? APX_F32 : APX_F64;
        check_reply(type, 0, 2, NULL, 0, 0);
        check_reply(type, 1, 1, NULL, 0, 7);
        check_reply(type, 3, 4, blob, sizeof blob - 1, 1000000);
        check_reply(type, 3, 40, blob, sizeof blob - 1, UINT64_C(1) << 62);
        check_reply(type, 300, 7, NULL, 0, 127);
    }
    struct apx_reply_plan plan = {.model = "m",
                                  .version = "1",
                                  .rows = APX_LIMIT_REQUEST_ROWS,
                                  .width = 20,
                                  .value_type = APX_F32};
    struct apx_error unused;
    CHECK_EQ(apx_reply_plan(&plan, &unused), APX_ELIMIT);
    plan.rows /= 2;
    CHECK_EQ(apx_reply_plan(&plan, &unused), APX_OK);
    plan.value_type = APX_F64;
    CHECK_EQ(apx_reply_plan(&plan, &unused), APX_ELIMIT);
    plan.rows = APX_LIMIT_REQUEST_ROWS;
    plan.width = 1000;
    struct apx_error error;
    CHECK_EQ(apx_reply_plan(&plan, &error), APX_ELIMIT);
    CHECK_STR(error.field, "rows");
}

int main(void)
{
    RUN(reads_what_protobuf_wrote_however_it_is_cut);
    RUN(float64_is_read_to_the_last_byte);
    RUN(every_cut_off_message_is_refused_or_incomplete);
    RUN(refusals_name_the_field);
    RUN(odd_but_valid_forms_are_read);
    RUN(protobuf_reads_the_replies);
    return check_report();
}
