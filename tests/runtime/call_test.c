/* SPDX-License-Identifier: Apache-2.0 */
/* What a session remembers between calls never shows: shapes that come and go in any order, buffers
 * that change under the same shapes, refused calls between good ones, sessions side by side. What
 * each row must give comes from a session that ran one batch and nothing else. */
#include "tests/runtime/run_case.h"
#include "tests/runtime/tree_case.h"

#define MOST_ROWS  40
#define MOST_STEPS 5
#define WIDTH      3
#define HIDDEN     4
#define GUARD      16

static struct rng rng = {31};
static void *model_data;
static size_t model_bytes;

/* Rows of every length, and what they give. */
static struct {
    float x[MOST_ROWS * MOST_STEPS * WIDTH], k[MOST_ROWS];
    int32_t lengths[MOST_ROWS];
    float y[MOST_ROWS * HIDDEN], z[MOST_ROWS * MOST_STEPS * HIDDEN];
} known[MOST_STEPS + 1];

/* z [b,t,4] = LSTM over x up to each row's length; y [b,4] = its last step + k */
static void make_model(void)
{
    struct apx_error error = {0};
    struct apx_onnx *m = case_begin(17, "x:f[b,t,3] k:f[b,1] n:i[b]", "y z");
    struct apx_tensor w = run_random(&rng, 3, 1, 4 * HIDDEN, WIDTH),
                      r = run_random(&rng, 3, 1, 4 * HIDDEN, HIDDEN);
    int64_t perm[3] = {1, 0, 2};
    apx_onnx_tensor(m, "w", APX_F32, 3, w.dims, w.data);
    apx_onnx_tensor(m, "r", APX_F32, 3, r.dims, r.data);
    case_ints(m, "one", 1, 1LL);
    case_ints(m, "last", 0, -1LL);
    case_node(m, "Transpose", "x", "xt");
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "LSTM", "xt w r - n", "y4");
    apx_onnx_int(m, "hidden_size", HIDDEN);
    case_node(m, "Squeeze", "y4 one", "y3");
    case_node(m, "Transpose", "y3", "z");
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "Gather", "z last", "g");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "Add", "g k", "y");
    REQUIRE(apx_onnx_write_memory(m, &model_data, &model_bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    free(w.data);
    free(r.data);
}

static struct apx_model *load(void)
{
    struct apx_model *model;
    REQUIRE(apx_model_load_memory(model_data, model_bytes, NULL, &model, NULL) == APX_OK);
    return model;
}

static struct apx_session *open_session(const struct apx_model *model, int threads,
                                        size_t slice_rows)
{
    struct apx_session_options options = {.threads = threads, .slice_rows = slice_rows};
    struct apx_session *session;
    REQUIRE(apx_session_create(model, &options, &session, NULL) == APX_OK);
    return session;
}

/* Rows [first, first + rows) of `steps` steps. */
static void give(struct apx_tensor *in, int64_t first, int64_t rows, int64_t steps)
{
    in[0] = (struct apx_tensor){.dtype = APX_F32,
                                .rank = 3,
                                .dims = {rows, steps, WIDTH},
                                .data = known[steps].x + first * steps * WIDTH};
    in[1] = (struct apx_tensor){
        .dtype = APX_F32, .rank = 2, .dims = {rows, 1}, .data = known[steps].k + first};
    in[2] = (struct apx_tensor){
        .dtype = APX_I32, .rank = 1, .dims = {rows}, .data = known[steps].lengths + first};
}

static void make_known(void)
{
    for (int steps = 1; steps <= MOST_STEPS; steps++) {
        struct apx_tensor in[3];
        for (int i = 0; i < MOST_ROWS * steps * WIDTH; i++)
            known[steps].x[i] = rng_real(&rng);
        for (int i = 0; i < MOST_ROWS; i++) {
            known[steps].k[i] = rng_real(&rng);
            known[steps].lengths[i] = (int32_t)rng_below(&rng, (size_t)steps + 1);
        }
        struct apx_tensor out[2] = {{.data = known[steps].y, .bytes = sizeof known[steps].y},
                                    {.data = known[steps].z, .bytes = sizeof known[steps].z}};
        struct apx_model *model = load();
        struct apx_session *session = open_session(model, 1, 0);
        give(in, 0, MOST_ROWS, steps);
        REQUIRE(apx_session_run(session, in, 3, out, 2, NULL) == APX_OK);
        apx_session_destroy(session);
        apx_model_destroy(model);
    }
}

/* A buffer of exactly so many bytes, or more than are needed, somewhere in a guarded room. */
static void take_output(char *room, size_t size, size_t bytes, struct apx_tensor *out)
{
    memset(room, 0x5a, size);
    *out = (struct apx_tensor){.dtype = APX_I8, .rank = 7, .dims = {-3, 9}};
    if (rng_once(&rng, 5))
        return; /* not wanted */
    out->data = room + 4 * rng_below(&rng, 4);
    out->bytes = bytes + (rng_once(&rng, 2) ? rng_below(&rng, GUARD) : 0);
}

static void check_output(const char *room, size_t size, const struct apx_tensor *out,
                         const float *expected, size_t bytes)
{
    const char *data = out->data;
    size_t before = data != NULL ? (size_t)(data - room) : size, strange = 0;
    if (data != NULL)
        CHECK(memcmp(data, expected, bytes) == 0);
    for (size_t i = 0; i < size; i++)
        strange += (i < before || i >= before + bytes) && room[i] != 0x5a;
    CHECK_EQ(strange, 0);
}

static void check_good_call(struct apx_session *session)
{
    static char y_room[sizeof known[0].y + 64], z_room[sizeof known[0].z + 64];
    struct apx_tensor in[3], out[2], shape[2] = {{.data = y_room}, {.data = z_room}};
    size_t steps = 1 + rng_below(&rng, MOST_STEPS);
    size_t rows = rng_once(&rng, 4) ? rng_below(&rng, MOST_ROWS + 1) : rng_below(&rng, 7);
    size_t first = rng_below(&rng, MOST_ROWS - rows + 1);
    size_t y_bytes = rows * HIDDEN * sizeof(float), z_bytes = y_bytes * steps;
    give(in, (int64_t)first, (int64_t)rows, (int64_t)steps);
    if (rng_once(&rng, 3)) {
        CHECK_EQ(apx_session_shape(session, in, 3, shape, 2, NULL), APX_OK);
        CHECK_EQ(shape[0].bytes, y_bytes);
        CHECK_EQ(shape[1].bytes, z_bytes);
        CHECK(shape[0].data == y_room && shape[1].data == z_room);
        CHECK_EQ(shape[1].dims[1], steps);
    }
    in[0].bytes = rng_once(&rng, 2) ? 0 : rows * steps * WIDTH * sizeof(float);
    take_output(y_room, sizeof y_room, y_bytes, &out[0]);
    take_output(z_room, sizeof z_room, z_bytes, &out[1]);
    CHECK_EQ(apx_session_run(session, in, 3, out, 2, NULL), APX_OK);
    check_output(y_room, sizeof y_room, &out[0], known[steps].y + first * HIDDEN, y_bytes);
    check_output(z_room, sizeof z_room, &out[1], known[steps].z + first * steps * HIDDEN, z_bytes);
    CHECK_EQ(out[0].dtype, APX_F32);
    CHECK_EQ(out[0].rank, 2);
    CHECK_EQ(out[0].dims[0], rows);
    CHECK_EQ(out[0].dims[1], HIDDEN);
    CHECK_EQ(out[1].rank, 3);
    CHECK_EQ(out[1].dims[0], rows);
    CHECK_EQ(out[1].dims[1], steps);
    CHECK_EQ(out[1].dims[2], HIDDEN);
}

/* One thing wrong, of shapes that have mostly been seen: each is found, however often it comes. */
static void check_bad_call(struct apx_session *session)
{
    static float y[MOST_ROWS * HIDDEN], z[MOST_ROWS * MOST_STEPS * HIDDEN];
    struct apx_tensor in[3],
        out[2] = {{.data = y, .bytes = sizeof y}, {.data = z, .bytes = sizeof z}};
    size_t inputs = 3, outputs = 2, steps = 1 + rng_below(&rng, MOST_STEPS);
    int64_t rows = 1 + (int64_t)rng_below(&rng, 6);
    int32_t wrong[MOST_ROWS] = {0};
    const char *field, *part;
    give(in, 0, rows, (int64_t)steps);
    switch (rng_below(&rng, 16)) {
    case 0:
        field = "x", part = "float64", in[0].dtype = APX_F64;
        break;
    case 1:
        field = "n", part = "int64", in[2].dtype = APX_I64;
        break;
    case 2:
        field = "k", part = "1 dimensions", in[1].rank = 1;
        break;
    case 3:
        field = "x", part = "9 dimensions", in[0].rank = 9;
        break;
    case 4:
        field = "x", part = "negative", in[0].dims[1] = -1;
        break;
    case 5:
        field = "x", part = "dimension 2 is 4", in[0].dims[2] = 4;
        break;
    case 6:
        field = "k", part = "(b)", in[1].dims[0]++;
        break;
    case 7:
        field = "n", part = "(b)", in[2].dims[0]--;
        break;
    case 8:
        field = "x", part = "no data", in[0].data = NULL;
        break;
    case 9:
        field = "n", part = "no data", in[2].data = NULL;
        break;
    case 10:
        field = "k", part = "holds 3 bytes", in[1].bytes = 3;
        break;
    case 11:
        field = "y", part = "needs", out[0].bytes = (size_t)rows * HIDDEN * sizeof(float) - 1;
        break;
    case 12:
        field = "z", part = "its buffer has 0", out[1].bytes = 0;
        break;
    case 13:
        field = "inputs", part = "2 inputs", inputs = 2;
        break;
    case 14:
        field = "outputs", part = "1 outputs", outputs = 1;
        break;
    default: /* found by a step: the shapes are good, the data are not */
        wrong[rng_below(&rng, (size_t)rows)] = rng_once(&rng, 2) ? -1 : (int32_t)steps + 1;
        field = "LSTM", part = "sequence length", in[2].data = wrong;
    }
    for (int again = 0; again < 2; again++) {
        struct apx_error error = {0};
        CHECK_EQ(apx_session_run(session, in, inputs, out, outputs, &error), APX_EINVAL);
        CHECK_STR(error.field, field);
        CHECK_HAS(error.message, part);
        CHECK_EQ(apx_session_run(session, in, inputs, out, outputs, NULL), APX_EINVAL);
    }
}

/* Three sessions of one model, in turn. */
static void remembers_nothing_wrong(void)
{
    struct apx_model *model = load();
    struct apx_session *sessions[4] = {open_session(model, 1, 0), open_session(model, 1, 3),
                                       open_session(model, 2, 2), open_session(model, 3, 0)};
    CHECK(apx_model_rows_are_independent(model));
    for (int i = 0; i < 2000; i++) {
        struct apx_session *session = sessions[rng_below(&rng, 4)];
        if (rng_once(&rng, 4))
            check_bad_call(session);
        else
            check_good_call(session);
    }
    for (int i = 0; i < 4; i++)
        apx_session_destroy(sessions[i]);
    apx_model_destroy(model);
}

/* A session whose first call is refused. */
static void starts_with_a_refusal(void)
{
    struct apx_model *model = load();
    for (int i = 0; i < 60; i++) {
        struct apx_session *session = open_session(model, 1 + i % 2, 0);
        check_bad_call(session);
        check_good_call(session);
        check_bad_call(session);
        apx_session_destroy(session);
    }
    apx_model_destroy(model);
}

/* More bytes than there can be: a shape, but nothing that runs. */
static void refuses_what_cannot_be(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,t]", "y");
    case_node(m, "ReduceSum", "x one", "y");
    apx_onnx_int(m, "keepdims", 0);
    case_ints(m, "one", 1, 1LL);
    void *data;
    size_t bytes;
    struct apx_model *model;
    struct apx_error error = {0};
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    REQUIRE(apx_model_load_memory(data, bytes, NULL, &model, &error) == APX_OK);
    free(data);
    struct apx_session *session = open_session(model, 1, 0);
    float x[6] = {1, 2, 3, 4, 5, 6}, y[3] = {0};
    struct apx_tensor in = {.dtype = APX_F32, .rank = 2, .dims = {3, 2}, .data = x}, huge = in,
                      out = {.data = y, .bytes = sizeof y}, shape = {0};
    huge.dims[1] = INT64_MAX / 4;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(apx_session_shape(session, &huge, 1, &shape, 1, &error), APX_OK);
        CHECK_EQ(shape.bytes, sizeof y);
        CHECK_EQ(apx_session_run(session, &huge, 1, &out, 1, &error), APX_EINVAL);
        CHECK_STR(error.field, "x");
        CHECK_HAS(error.message, "too large");
        CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_OK);
        CHECK(y[0] == 3 && y[1] == 7 && y[2] == 11);
    }
    /* No elements: nothing to compute, however many rows. */
    in.dims[0] = (int64_t)1 << 40;
    in.dims[1] = 0;
    in.data = NULL;
    out.data = NULL;
    CHECK_EQ(apx_session_shape(session, &in, 1, &shape, 1, &error), APX_OK);
    CHECK_EQ(shape.bytes, sizeof(float) << 40);
    apx_session_destroy(session);
    apx_model_destroy(model);
}

/* The same shape as float64 and as float32: the type belongs to what is remembered. */
static void tells_widths_apart(void)
{
    struct tree_lists t = tree_stump("BRANCH_LEQ", 0.25f, false);
    struct apx_onnx *m = case_begin(17, "x:d[n,1]", "y");
    tree_node(m, &t, "x", "y");
    void *data;
    size_t bytes;
    struct apx_model *model;
    struct apx_error error = {0};
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    REQUIRE(apx_model_load_memory(data, bytes, NULL, &model, &error) == APX_OK);
    free(data);
    struct apx_session *session = open_session(model, 1, 2); /* the second slice begins at row 2 */
    /* What lies behind them would give other answers. */
    double wide[8] = {1, -1, 0, 1, NAN, NAN, NAN, NAN};
    float narrow[8] = {1, 1, -1, 0, NAN, NAN, NAN, NAN}, y[4];
    for (int i = 0; i < 50; i++) {
        bool is_narrow = rng_once(&rng, 2);
        int64_t rows = 1 + (int64_t)rng_below(&rng, 4);
        struct apx_tensor out = {.data = y, .bytes = sizeof y},
                          in = {.dtype = is_narrow ? APX_F32 : APX_F64,
                                .rank = 2,
                                .dims = {rows, 1},
                                .bytes = (size_t)rows * (is_narrow ? 4 : 8),
                                .data = is_narrow ? (void *)narrow : wide};
        CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_OK);
        for (int n = 0; n < rows; n++)
            CHECK_EQ(y[n], is_narrow ? narrow[n] <= 0.25f : wide[n] <= 0.25);
        in.dtype = APX_F64;
        in.bytes = (size_t)rows * 8 - 1;
        CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_EINVAL);
        CHECK_HAS(error.message, "holds");
    }
    apx_session_destroy(session);
    apx_model_destroy(model);
}

int main(void)
{
    make_model();
    make_known();
    RUN(remembers_nothing_wrong);
    RUN(starts_with_a_refusal);
    RUN(refuses_what_cannot_be);
    RUN(tells_widths_apart);
    free(model_data);
    run_end();
    return check_report();
}
