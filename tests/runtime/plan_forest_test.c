/* SPDX-License-Identifier: Apache-2.0 */
/* Forest nodes in a session: outputs, margins and leaves; float32 where float64 is declared; the
 * same bits however a batch is cut; nothing allocated when steady. The model is LightGBM text made
 * here, and an oracle that walks the same arrays. */
#include "runtime/base/memory.h"
#include "tests/runtime/run_case.h"

#define TREES    23
#define SPLITS   14
#define FEATURES 6

struct tree {
    int feature[SPLITS], left[SPLITS], right[SPLITS];
    double threshold[SPLITS], value[SPLITS + 1];
};

static struct rng rng = {11};
static struct tree trees[TREES];
static char text[1 << 18];

/* Split s hangs on a leaf of the tree so far: the left child keeps the leaf, the right is new. */
static void grow(struct tree *tree)
{
    for (int s = 0; s < SPLITS; s++) {
        int leaf = (int)rng_below(&rng, (size_t)s + 1);
        for (int p = 0; p < s; p++) {
            tree->left[p] = tree->left[p] == ~leaf ? s : tree->left[p];
            tree->right[p] = tree->right[p] == ~leaf ? s : tree->right[p];
        }
        tree->feature[s] = (int)rng_below(&rng, FEATURES);
        tree->threshold[s] = (double)rng_real(&rng);
        tree->left[s] = ~leaf;
        tree->right[s] = ~(s + 1);
    }
    for (int l = 0; l <= SPLITS; l++)
        tree->value[l] = (double)rng_real(&rng) / 3;
}

static size_t put_ints(size_t at, const char *name, const int *list, int count)
{
    at += (size_t)snprintf(text + at, sizeof text - at, "%s=", name);
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i > 0 ? " " : "", list[i]);
    return at + (size_t)snprintf(text + at, sizeof text - at, "\n");
}

static size_t put_doubles(size_t at, const char *name, const double *list, int count)
{
    at += (size_t)snprintf(text + at, sizeof text - at, "%s=", name);
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.17g", i > 0 ? " " : "", list[i]);
    return at + (size_t)snprintf(text + at, sizeof text - at, "\n");
}

/* Missing type NaN, default left: decision type 10. */
static void write_model(void)
{
    int kinds[SPLITS];
    size_t at = (size_t)snprintf(
        text, sizeof text,
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        "max_feature_idx=%d\nobjective=binary sigmoid:1\nfeature_names=a b c d e f\n"
        "feature_infos=[-1:1] [-1:1] [-1:1] [-1:1] [-1:1] [-1:1]\n\n",
        FEATURES - 1);
    for (int s = 0; s < SPLITS; s++)
        kinds[s] = 10;
    for (int t = 0; t < TREES; t++) {
        grow(&trees[t]);
        at += (size_t)snprintf(text + at, sizeof text - at, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n",
                               t, SPLITS + 1);
        at = put_ints(at, "split_feature", trees[t].feature, SPLITS);
        at = put_doubles(at, "threshold", trees[t].threshold, SPLITS);
        at = put_ints(at, "decision_type", kinds, SPLITS);
        at = put_ints(at, "left_child", trees[t].left, SPLITS);
        at = put_ints(at, "right_child", trees[t].right, SPLITS);
        at = put_doubles(at, "leaf_value", trees[t].value, SPLITS + 1);
        at += (size_t)snprintf(text + at, sizeof text - at, "is_linear=0\nshrinkage=1\n\n\n");
    }
    snprintf(text + at, sizeof text - at, "end of trees\n");
}

static int oracle_leaf(const struct tree *tree, const double *x)
{
    int node = 0;
    while (node >= 0) {
        double v = x[tree->feature[node]];
        node = isnan(v) || v <= tree->threshold[node] ? tree->left[node] : tree->right[node];
    }
    return ~node;
}

/* Floats, so that both types hold the same numbers; some on thresholds would be doubles, and some
 * missing. */
static void fill(double *x, size_t rows)
{
    for (size_t i = 0; i < rows * FEATURES; i++)
        x[i] = rng_below(&rng, 20) == 0 ? (double)NAN : (double)(float)rng_real(&rng);
}

struct loaded {
    struct apx_model *model;
    struct apx_session *session;
};

static struct loaded load(const char *what, const char *isa, int threads, size_t slice_rows)
{
    struct loaded l = {0};
    struct apx_error error = {0};
    const struct apx_load_options options = {.isa = isa, .trees = what};
    const struct apx_session_options how = {.threads = threads, .slice_rows = slice_rows};
    if (apx_model_load_memory(text, strlen(text), &options, &l.model, &error) != APX_OK) {
        fprintf(stderr, "%s [%s]\n", error.message, error.field);
        REQUIRE(false);
    }
    REQUIRE(apx_session_create(l.model, &how, &l.session, &error) == APX_OK);
    return l;
}

static void unload(struct loaded *l)
{
    apx_session_destroy(l->session);
    apx_model_destroy(l->model);
}

static void run(const struct loaded *l, enum apx_dtype dtype, void *x, size_t rows, void *y,
                size_t bytes)
{
    struct apx_error error = {0};
    struct apx_tensor in = {
        .dtype = dtype, .rank = 2, .dims = {(int64_t)rows, FEATURES}, .data = x};
    struct apx_tensor out = {.data = y, .bytes = bytes};
    if (apx_session_run(l->session, &in, 1, &out, 1, &error) != APX_OK) {
        fprintf(stderr, "%s [%s]\n", error.message, error.field);
        CHECK(false);
    }
}

#define MOST 3000
static double x[MOST * FEATURES], y[MOST], again[MOST];
static float narrow[MOST * FEATURES];
static int32_t leaves[MOST * TREES];

static void computes_what_it_should(void)
{
    struct loaded scores = load(NULL, NULL, 1, 0), margins = load("margin", NULL, 1, 0),
                  leaf = load("leaf", NULL, 1, 0);
    CHECK_EQ(apx_model_output(scores.model, 0)->dtype, APX_F64);
    CHECK_EQ(apx_model_output(leaf.model, 0)->dtype, APX_I32);
    CHECK_EQ(apx_model_output(leaf.model, 0)->dims[1], TREES);
    fill(x, MOST);
    run(&scores, APX_F64, x, MOST, y, sizeof y);
    run(&margins, APX_F64, x, MOST, again, sizeof again);
    run(&leaf, APX_F64, x, MOST, leaves, sizeof leaves);
    for (size_t n = 0; n < MOST; n++) {
        double sum = 0;
        for (int t = 0; t < TREES; t++) {
            int want = oracle_leaf(&trees[t], x + n * FEATURES);
            CHECK_EQ(leaves[n * TREES + (size_t)t], want);
            sum += trees[t].value[want];
        }
        CHECK(again[n] == sum);
        CHECK_NEAR(y[n], 1 / (1 + exp(-sum)), 1e-15);
    }
    unload(&scores);
    unload(&margins);
    unload(&leaf);
}

static void takes_float_for_double(void)
{
    struct loaded l = load("margin", NULL, 2, 0);
    fill(x, MOST);
    for (size_t i = 0; i < MOST * FEATURES; i++)
        narrow[i] = (float)x[i];
    for (size_t rows = 1; rows <= MOST; rows = rows * 3 + 1) {
        run(&l, APX_F64, x, rows, y, sizeof y);
        run(&l, APX_F32, narrow, rows, again, sizeof again);
        CHECK(memcmp(y, again, rows * sizeof *y) == 0);
    }
    unload(&l);
}

static void gives_the_same_bits_however_it_is_cut(void)
{
    static const char *const isas[] = {"scalar", "avx2", "avx512", NULL};
    struct loaded whole = load(NULL, NULL, 1, 0);
    fill(x, MOST);
    run(&whole, APX_F64, x, MOST, y, sizeof y);
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
        for (int threads = 1; threads <= 3; threads++)
            for (size_t slice = 1; slice <= 4096; slice *= 8) {
                if (slice == 1 && threads > 1)
                    continue; /* slow, and the slices of 8 say the same */
                struct loaded cut = load(NULL, isas[i], threads, slice);
                memset(again, 0, sizeof again);
                run(&cut, APX_F64, x, MOST, again, sizeof again);
                CHECK(memcmp(y, again, sizeof y) == 0);
                unload(&cut);
            }
    for (size_t n = 0; n < 200; n++) {
        run(&whole, APX_F64, x + n * FEATURES, 1, again, sizeof again);
        CHECK(memcmp(&y[n], again, sizeof *y) == 0);
    }
    unload(&whole);
}

static void explains_wrong_requests(void)
{
    struct apx_model *model;
    struct apx_error error = {0};
    struct apx_load_options options = {.trees = "twigs"};
    CHECK_EQ(apx_model_load_memory(text, strlen(text), &options, &model, &error), APX_EINVAL);
    CHECK_STR(error.field, "trees");
    CHECK_HAS(error.message, "margin or leaf");
    struct apx_onnx *onnx = case_begin(17, "x:f[b,4]", "y");
    void *data;
    size_t bytes;
    case_node(onnx, "Relu", "x", "y");
    REQUIRE(apx_onnx_write_memory(onnx, &data, &bytes, &error) == APX_OK);
    options.trees = "leaf";
    CHECK_EQ(apx_model_load_memory(data, bytes, &options, &model, &error), APX_EINVAL);
    CHECK_HAS(error.message, "this model has 0");
    free(data);
    apx_onnx_destroy(onnx);
}

/* ---- an allocator that counts, and fails on demand ------------------------------------------- */

static long calls, alive, fail_at;

static void *count_alloc(void *context, size_t align, size_t bytes)
{
    (void)context;
    if (++calls == fail_at)
        return NULL;
    const struct apx_allocator *usual = apx_allocator_default();
    void *memory = usual->alloc(usual->context, align, bytes);
    alive += memory != NULL;
    return memory;
}

static void count_release(void *context, void *memory)
{
    (void)context;
    const struct apx_allocator *usual = apx_allocator_default();
    alive -= memory != NULL;
    usual->release(usual->context, memory);
}

static void survives_each_failing_allocation(void)
{
    const struct apx_allocator allocator = {.alloc = count_alloc, .release = count_release};
    const struct apx_load_options options = {.allocator = &allocator};
    const struct apx_session_options how = {.threads = 1};
    enum apx_status status = APX_ENOMEM;
    fill(x, 100);
    for (fail_at = 1; status != APX_OK && fail_at < 100000; fail_at++) {
        struct apx_model *model = NULL;
        struct apx_session *session = NULL;
        struct apx_error error = {0};
        calls = 0;
        status = apx_model_load_memory(text, strlen(text), &options, &model, &error);
        if (status == APX_OK)
            status = apx_session_create(model, &how, &session, &error);
        if (status == APX_OK) {
            struct apx_tensor in = {
                .dtype = APX_F64, .rank = 2, .dims = {100, FEATURES}, .data = x};
            struct apx_tensor out = {.data = y, .bytes = sizeof y};
            status = apx_session_run(session, &in, 1, &out, 1, &error);
            long before = calls;
            if (status == APX_OK) {
                CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_OK);
                in.dims[0] = 1;
                CHECK_EQ(apx_session_run(session, &in, 1, &out, 1, &error), APX_OK);
                CHECK_EQ(calls, before); /* steady calls allocate nothing */
            }
        }
        CHECK(status == APX_OK || status == APX_ENOMEM);
        apx_session_destroy(session);
        apx_model_destroy(model);
        CHECK_EQ(alive, 0);
    }
    CHECK_EQ(status, APX_OK);
    CHECK(fail_at > 20);
    fail_at = 0;
}

int main(void)
{
    write_model();
    RUN(computes_what_it_should);
    RUN(takes_float_for_double);
    RUN(gives_the_same_bits_however_it_is_cut);
    RUN(explains_wrong_requests);
    RUN(survives_each_failing_allocation);
    return check_report();
}
