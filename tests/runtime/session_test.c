/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what they refuse, that rows do not depend on company, that steady calls do not
 * allocate, that every failing allocation is survived. */
#include <dlfcn.h>
#include <errno.h>

#include "runtime/base/memory.h"
#include "tests/runtime/run_case.h"

static struct rng rng = {6};

/* ---- every way to malloc, counted ------------------------------------------------------------ */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#    define COUNTS_MALLOC 1
static _Atomic long mallocs;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes)
{
    mallocs++;
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t size)
{
    mallocs++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t bytes)
{
    mallocs++;
    return __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t align, size_t bytes)
{
    mallocs++;
    return __libc_memalign(align, bytes);
}
int posix_memalign(void **out, size_t align, size_t bytes)
{
    mallocs++;
    *out = __libc_memalign(align, bytes);
    return *out != NULL ? 0 : ENOMEM;
}
#else
#    define COUNTS_MALLOC 0
static long mallocs;
#endif

/* ---- an allocator that counts, and fails on demand ------------------------------------------- */

struct counter {
    _Atomic long calls, alive;
    long fail_at; /* the call that returns NULL; 0: none */
};

static void *count_alloc(void *context, size_t align, size_t bytes)
{
    struct counter *counter = context;
    if (++counter->calls == counter->fail_at)
        return NULL;
    const struct apx_allocator *plain = apx_allocator_default();
    void *memory = plain->alloc(plain->context, align, bytes);
    counter->alive += memory != NULL;
    return memory;
}

static void count_release(void *context, void *memory)
{
    struct counter *counter = context;
    const struct apx_allocator *plain = apx_allocator_default();
    counter->alive -= memory != NULL;
    plain->release(plain->context, memory);
}

/* ---- a model with a bit of everything -------------------------------------------------------- */

static void *model_data;
static size_t model_bytes;

/* y [b,2] = softmax(dense(last step of LSTM(x * scale))), z [b,t,4] = all steps, i [b] = argmax */
static void make_model(void)
{
    struct apx_error error = {0};
    struct apx_onnx *m = case_begin(17, "x:f[b,t,3]", "y z i");
    struct apx_tensor w = run_random(&rng, 3, 1, 16, 3), r = run_random(&rng, 3, 1, 16, 4),
                      d = run_random(&rng, 2, 4, 2);
    int64_t perm[3] = {1, 0, 2};
    apx_onnx_tensor(m, "w", APX_F32, 3, w.dims, w.data);
    apx_onnx_tensor(m, "r", APX_F32, 3, r.dims, r.data);
    apx_onnx_tensor(m, "d", APX_F32, 2, d.dims, d.data);
    case_floats(m, "scale", 0.5f, 1, 3);
    case_ints(m, "one", 1, 1LL);
    case_ints(m, "last", 0, -1LL);
    case_node(m, "Mul", "x scale", "s");
    case_node(m, "Transpose", "s", "xt");
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "LSTM", "xt w r", "y4");
    apx_onnx_int(m, "hidden_size", 4);
    case_node(m, "Squeeze", "y4 one", "y3");
    case_node(m, "Transpose", "y3", "z");
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "Gather", "z last", "g");
    apx_onnx_int(m, "axis", 1);
    case_node(m, "MatMul", "g d", "p");
    case_node(m, "Softmax", "p", "y");
    case_node(m, "ArgMax", "y", "i");
    apx_onnx_int(m, "axis", 1);
    apx_onnx_int(m, "keepdims", 0);
    REQUIRE(apx_onnx_write_memory(m, &model_data, &model_bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    free(w.data);
    free(r.data);
    free(d.data);
}

static struct apx_model *load(const struct apx_load_options *options)
{
    struct apx_model *model;
    struct apx_error error = {0};
    if (apx_model_load_memory(model_data, model_bytes, options, &model, &error) != APX_OK)
        fprintf(stderr, "%s\n", error.message);
    REQUIRE(model != NULL);
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

/* Outputs of `rows` rows at `x`; room for 1000 x 6 x 4. */
struct results {
    float y[2000], z[24000];
    int64_t i[1000];
};

static enum apx_status run_rows(struct apx_session *session, const float *x, int64_t rows,
                                int64_t steps, struct results *out, struct apx_error *error)
{
    /* The library does not write to inputs. */
    struct apx_tensor in = {.dtype = APX_F32, .rank = 3, .dims = {rows, steps, 3}};
    memcpy(&in.data, &x, sizeof x);
    struct apx_tensor outs[3] = {{.data = out->y, .bytes = sizeof out->y},
                                 {.data = out->z, .bytes = sizeof out->z},
                                 {.data = out->i, .bytes = sizeof out->i}};
    return apx_session_run(session, &in, 1, outs, 3, error);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void describes_tensors(void)
{
    struct apx_model *model = load(NULL);
    CHECK_EQ(apx_model_input_count(model), 1);
    CHECK_EQ(apx_model_output_count(model), 3);
    const struct apx_tensor_info *x = apx_model_input(model, 0), *i = apx_model_output(model, 2);
    CHECK_STR(x->name, "x");
    CHECK_EQ(x->dtype, APX_F32);
    CHECK_EQ(x->rank, 3);
    CHECK_EQ(x->dims[0], -1);
    CHECK_STR(x->dim_names[1], "t");
    CHECK_EQ(x->dims[2], 3);
    CHECK(x->dim_names[2] == NULL);
    CHECK_EQ(x->row_axis, 0);
    CHECK_EQ(i->dtype, APX_I64);
    CHECK_EQ(i->rank, 1);
    CHECK(apx_model_rows_are_independent(model));
    CHECK(apx_model_metadata(model, "none") == NULL);
    apx_model_destroy(model);
    apx_model_destroy(NULL);
    apx_session_destroy(NULL);
}

/* A row alone, in a batch of 1000, by any number of threads, in slices of any size: the same bits.
 */
static void gives_each_row_its_bits(void)
{
    static struct results batch, other;
    struct apx_model *model = load(NULL);
    struct apx_tensor x = run_random(&rng, 3, 1000, 6, 3);
    struct apx_session *one = open_session(model, 1, 0);
    CHECK_EQ(apx_session_threads(one), 1);
    REQUIRE(run_rows(one, x.data, 1000, 6, &batch, NULL) == APX_OK);
    static const struct {
        int threads;
        size_t slice_rows;
    } ways[] = {{1, 1}, {1, 7}, {2, 0}, {2, 13}, {4, 1}, {4, 64}, {3, 999}, {2, 100000}};
    for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
        struct apx_session *session = open_session(model, ways[k].threads, ways[k].slice_rows);
        CHECK_EQ(apx_session_threads(session), ways[k].threads);
        memset(&other, 0, sizeof other);
        REQUIRE(run_rows(session, x.data, 1000, 6, &other, NULL) == APX_OK);
        CHECK(memcmp(&batch, &other, sizeof batch) == 0);
        apx_session_destroy(session);
    }
    for (size_t row = 0; row < 1000; row += 37) {
        REQUIRE(run_rows(one, (float *)x.data + row * 18, 1, 6, &other, NULL) == APX_OK);
        CHECK(memcmp(other.y, batch.y + row * 2, 2 * sizeof(float)) == 0);
        CHECK(memcmp(other.z, batch.z + row * 24, 24 * sizeof(float)) == 0);
        CHECK_EQ(other.i[0], batch.i[row]);
    }
    apx_session_destroy(one);
    apx_model_destroy(model);
    free(x.data);
}

/* NaN in one row is that row's own affair. */
static void keeps_bad_numbers_to_their_row(void)
{
    static struct results clean, dirty;
    struct apx_model *model = load(NULL);
    struct apx_session *session = open_session(model, 1, 0);
    struct apx_tensor x = run_random(&rng, 3, 40, 6, 3);
    REQUIRE(run_rows(session, x.data, 40, 6, &clean, NULL) == APX_OK);
    ((float *)x.data)[17 * 18 + 2] = NAN;
    REQUIRE(run_rows(session, x.data, 40, 6, &dirty, NULL) == APX_OK);
    for (size_t row = 0; row < 40; row++) {
        bool same = memcmp(clean.z + row * 24, dirty.z + row * 24, 24 * sizeof(float)) == 0;
        CHECK_EQ(same, row != 17);
    }
    CHECK(isnan(dirty.z[17 * 24 + 23]));
    apx_session_destroy(session);
    apx_model_destroy(model);
    free(x.data);
}

static void takes_empty_batches(void)
{
    static struct results out;
    struct apx_model *model = load(NULL);
    struct apx_session *session = open_session(model, 2, 0);
    float nothing[1] = {0};
    CHECK_EQ(run_rows(session, nothing, 0, 6, &out, NULL), APX_OK);
    struct apx_tensor in = {.dtype = APX_F32, .rank = 3, .dims = {0, 6, 3}};
    struct apx_tensor outs[3] = {{0}};
    CHECK_EQ(apx_session_shape(session, &in, 1, outs, 3, NULL), APX_OK);
    CHECK_EQ(outs[1].rank, 3);
    CHECK_EQ(outs[1].dims[0], 0);
    CHECK_EQ(outs[1].dims[1], 6);
    CHECK_EQ(outs[1].bytes, 0);
    CHECK_EQ(apx_session_run(session, &in, 1, outs, 3, NULL), APX_OK);
    apx_session_destroy(session);
    apx_model_destroy(model);
}

/* An output that is not wanted is not computed into anybody's memory. */
static void leaves_out_outputs(void)
{
    static struct results all;
    struct apx_model *model = load(NULL);
    struct apx_session *session = open_session(model, 2, 3);
    struct apx_tensor x = run_random(&rng, 3, 20, 6, 3);
    REQUIRE(run_rows(session, x.data, 20, 6, &all, NULL) == APX_OK);
    for (int wanted = 0; wanted < 3; wanted++) {
        static char room[sizeof all.z];
        struct apx_tensor outs[3] = {{0}};
        outs[wanted].data = room;
        outs[wanted].bytes = sizeof room;
        CHECK_EQ(apx_session_run(session, &x, 1, outs, 3, NULL), APX_OK);
        const void *expected = wanted == 0 ? (void *)all.y : wanted == 1 ? (void *)all.z : all.i;
        size_t bytes = wanted == 0 ? 160 : wanted == 1 ? 1920 : 160;
        CHECK(memcmp(room, expected, bytes) == 0);
        CHECK_EQ(outs[(wanted + 1) % 3].dims[0], 20);
    }
    apx_session_destroy(session);
    apx_model_destroy(model);
    free(x.data);
}

static void refuses(struct apx_session *session, struct apx_tensor in, size_t in_count,
                    size_t out_count, const char *field, const char *part)
{
    static struct results out;
    struct apx_tensor outs[4] = {{.data = out.y, .bytes = sizeof out.y},
                                 {.data = out.z, .bytes = sizeof out.z},
                                 {.data = out.i, .bytes = sizeof out.i}};
    struct apx_error error = {0};
    CHECK_EQ(apx_session_run(session, &in, in_count, outs, out_count, &error), APX_EINVAL);
    CHECK_STR(error.field, field);
    CHECK_HAS(error.message, part);
    CHECK_EQ(error.status, APX_EINVAL);
}

static void refuses_wrong_tensors(void)
{
    struct apx_model *model = load(NULL);
    struct apx_session *session = open_session(model, 1, 0);
    struct apx_tensor x = run_random(&rng, 3, 20, 6, 3), bad = x;
    refuses(session, x, 0, 3, "inputs", "1 and 3");
    refuses(session, x, 1, 2, "outputs", "1 and 3");
    bad.dtype = APX_F64;
    refuses(session, bad, 1, 3, "x", "float64");
    bad = x;
    bad.rank = 2;
    refuses(session, bad, 1, 3, "x", "2 dimensions");
    bad = x;
    bad.dims[2] = 4;
    refuses(session, bad, 1, 3, "x", "dimension 2 is 4; the model takes 3");
    bad = x;
    bad.dims[1] = -1;
    refuses(session, bad, 1, 3, "x", "negative");
    bad = x;
    bad.data = NULL;
    refuses(session, bad, 1, 3, "x", "no data");
    bad = x;
    bad.bytes--;
    refuses(session, bad, 1, 3, "x", "bytes");
    bad = x;
    bad.dims[0] = 5000; /* outputs no longer fit */
    bad.bytes = 0;
    refuses(session, bad, 1, 3, "y", "needs 40000 bytes");
    bad.dims[0] = INT64_MAX / 2;
    refuses(session, bad, 1, 3, "y", "size");
    apx_session_destroy(session);
    apx_model_destroy(model);
    free(x.data);
}

/* Two inputs that disagree about a free dimension. */
static void refuses_disagreement(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,2] w:f[b,2]", "y");
    case_node(m, "Add", "x w", "y");
    struct apx_tensor in[2] = {run_random(&rng, 2, 3, 2), run_random(&rng, 2, 4, 2)};
    CHECK(!run_case_list(m, 2, in));
    CHECK_EQ(run_status, APX_EINVAL);
    CHECK_STR(run_error.field, "w");
    CHECK_HAS(run_error.message, "is 4, but 3 in input \"x\"");
    run_release(in, 2);
}

static void refuses_option(struct apx_load_options options, enum apx_status status,
                           const char *field)
{
    struct apx_model *model = NULL;
    struct apx_error error = {0};
    CHECK_EQ(apx_model_load_memory(model_data, model_bytes, &options, &model, &error), status);
    CHECK(model == NULL);
    CHECK_STR(error.field, field);
    CHECK(error.message[0] != '\0');
}

static void refuses_wrong_options(void)
{
    struct apx_error error = {0};
    struct apx_model *model;
    refuses_option((struct apx_load_options){.precision = "fp8"}, APX_EINVAL, "precision");
    refuses_option((struct apx_load_options){.device = "cpu", .precision = "fp16"},
                   APX_EUNSUPPORTED, "precision");
    refuses_option((struct apx_load_options){.isa = "neon"}, APX_EINVAL, "isa");
    refuses_option((struct apx_load_options){.device = "tpu"}, APX_EINVAL, "device");
    refuses_option((struct apx_load_options){.size = 10000}, APX_EINVAL, "size");
    for (size_t size = 1; size < 2 * sizeof size; size++) /* no struct ends there */
        if (size != sizeof size)
            refuses_option((struct apx_load_options){.size = size}, APX_EINVAL, "size");
    model = load(&(struct apx_load_options){.size = sizeof(size_t), .isa = "neon"}); /* not in it */
    apx_model_destroy(model);
    refuses_option((struct apx_load_options){.max_file_bytes = 10}, APX_ELIMIT, "");
    CHECK_EQ(apx_model_load("/nowhere/model.onnx", NULL, &model, &error), APX_ENOTFOUND);
    CHECK_EQ(apx_model_load_memory("nonsense", 8, NULL, &model, &error), APX_EFORMAT);
    setenv("AUSPEX_ISA", "mmx", 1);
    refuses_option((struct apx_load_options){0}, APX_EINVAL, "AUSPEX_ISA");
    refuses_option((struct apx_load_options){.isa = "scalar"}, APX_EINVAL, "AUSPEX_ISA");
    setenv("AUSPEX_ISA", "avx2", 1);
    refuses_option((struct apx_load_options){.isa = "neon"}, APX_EINVAL, "isa");
    model = load(&(struct apx_load_options){.isa = "scalar"});
    CHECK(apx_model_notice(model) == NULL);
    apx_model_destroy(model);
    setenv("AUSPEX_ISA", "scalar", 1);
    model = load(NULL);
    char *text;
    REQUIRE(apx_model_describe(model, &text, NULL) == APX_OK);
    CHECK_HAS(text, "\"isa\": \"scalar\"");
    CHECK(strstr(text, "avx") == NULL);
    apx_string_release(text);
    unsetenv("AUSPEX_ISA");
    struct apx_session *session;
    struct apx_session_options options = {.threads = -1};
    CHECK_EQ(apx_session_create(model, &options, &session, &error), APX_EINVAL);
    CHECK_STR(error.field, "threads");
    options = (struct apx_session_options){.size = 3};
    CHECK_EQ(apx_session_create(model, &options, &session, &error), APX_EINVAL);
    CHECK_STR(error.field, "size");
    CHECK_HAS(error.message, "size is 3; say sizeof(struct apx_session_options), or 0");
    CHECK(session == NULL);
    options.size = sizeof options + 8;
    CHECK_EQ(apx_session_create(model, &options, &session, &error), APX_EINVAL);
    CHECK_HAS(error.message, "newer version");
    apx_model_destroy(model);
}

/* Without the plug-in the CPU serves "auto", and "cuda" says what is missing. */
static void explains_missing_devices(void)
{
    struct apx_model *model = load(&(struct apx_load_options){.device = "auto"});
    apx_model_destroy(model);
    void *plugin = dlopen("libauspex_cuda.so", RTLD_NOW);
    if (plugin != NULL)
        return; /* this machine has it: its own tests ask more */
    struct apx_load_options options = {.device = "cuda"};
    struct apx_error error = {0};
    CHECK_EQ(apx_model_load_memory(model_data, model_bytes, &options, &model, &error), APX_EDEVICE);
    CHECK_HAS(error.message, "device \"cuda\": ");
}

/* After one call of each size, calls of these and of smaller batches allocate nothing. */
static void allocates_nothing_when_steady(void)
{
    static struct results out;
    struct counter counter = {0};
    const struct apx_allocator allocator = {count_alloc, count_release, &counter};
    struct apx_model *model = load(&(struct apx_load_options){.allocator = &allocator});
    for (int threads = 1; threads <= 3; threads++) {
        struct apx_session *session = open_session(model, threads, 0);
        struct apx_tensor x = run_random(&rng, 3, 1000, 6, 3);
        REQUIRE(run_rows(session, x.data, 1000, 6, &out, NULL) == APX_OK);
        REQUIRE(run_rows(session, x.data, 1000, 3, &out, NULL) == APX_OK);
        long before = counter.calls, plain_before = mallocs;
        for (int k = 0; k < 1000; k++) {
            const int64_t changing = 1 + k * 37 % 1000, steps = 1 + k % 6;
            CHECK_EQ(run_rows(session, x.data, 1, 6, &out, NULL), APX_OK);
            CHECK_EQ(run_rows(session, x.data, 64, 6, &out, NULL), APX_OK);
            CHECK_EQ(run_rows(session, x.data, changing, steps, &out, NULL), APX_OK);
        }
        CHECK_EQ(counter.calls - before, 0);
        CHECK_EQ(mallocs - plain_before, 0);
        apx_session_destroy(session);
        free(x.data);
    }
    apx_model_destroy(model);
    CHECK_EQ(counter.alive, 0);
    CHECK(counter.calls > 0);
#if COUNTS_MALLOC
    CHECK(mallocs > 0); /* the counter counts */
#endif
}

/* A session has made a call of one row (free extents: 1) when it is opened: the caller's first one
 * finds its memory there. Smaller models only: what takes long anyhow is not run unasked. */
static void is_warm_when_opened(void)
{
    static struct results out;
    struct counter counter = {0};
    const struct apx_allocator allocator = {count_alloc, count_release, &counter};
    struct apx_model *model = load(&(struct apx_load_options){.allocator = &allocator});
    struct apx_session *session = open_session(model, 1, 0);
    struct apx_tensor x = run_random(&rng, 3, 2, 6, 3);
    const long before = counter.calls, plain_before = mallocs;
    CHECK_EQ(run_rows(session, x.data, 1, 1, &out, NULL), APX_OK);
    CHECK_EQ(counter.calls - before, 0);
    CHECK_EQ(mallocs - plain_before, 0);
    CHECK_EQ(run_rows(session, x.data, 2, 6, &out, NULL), APX_OK);
    CHECK(counter.calls > before); /* more room: the counter counts */
    apx_session_destroy(session);
    apx_model_destroy(model);
    CHECK_EQ(counter.alive, 0);
    free(x.data);
}

/* Load, open and run with each allocation failing once: an error every time, and nothing is left.
 */
static void survives_each_failing_allocation(void)
{
    static struct results out;
    struct apx_tensor x = run_random(&rng, 3, 50, 6, 3);
    long fail_at = 1, failures = 0;
    for (;; fail_at++) {
        struct counter counter = {.fail_at = fail_at};
        const struct apx_allocator allocator = {count_alloc, count_release, &counter};
        const struct apx_load_options options = {.allocator = &allocator};
        struct apx_model *model = NULL;
        struct apx_session *session = NULL;
        struct apx_error error = {0};
        enum apx_status status =
            apx_model_load_memory(model_data, model_bytes, &options, &model, &error);
        if (status == APX_OK)
            status = apx_session_create(model, &(struct apx_session_options){.threads = 2},
                                        &session, &error);
        if (status == APX_OK) {
            status = run_rows(session, x.data, 50, 6, &out, &error);
            if (status != APX_OK) /* the session stays usable */
                CHECK_EQ(run_rows(session, x.data, 50, 6, &out, NULL), APX_OK);
        }
        bool has_failed = counter.calls >= fail_at;
        if (status != APX_OK) {
            failures++;
            CHECK_EQ(status, APX_ENOMEM);
            CHECK_EQ(error.status, APX_ENOMEM);
        }
        apx_session_destroy(session);
        apx_model_destroy(model);
        CHECK_EQ(counter.alive, 0);
        if (!has_failed)
            break;
    }
    CHECK(failures >= 20);
    free(x.data);
}

int main(void)
{
    make_model();
    RUN(describes_tensors);
    RUN(gives_each_row_its_bits);
    RUN(keeps_bad_numbers_to_their_row);
    RUN(takes_empty_batches);
    RUN(leaves_out_outputs);
    RUN(refuses_wrong_tensors);
    RUN(refuses_disagreement);
    RUN(refuses_wrong_options);
    RUN(explains_missing_devices);
    RUN(allocates_nothing_when_steady);
    RUN(is_warm_when_opened);
    RUN(survives_each_failing_allocation);
    free(model_data);
    run_end();
    return check_report();
}
