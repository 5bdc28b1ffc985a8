/* SPDX-License-Identifier: Apache-2.0 */
/* calls_bench - what a call costs beside its kernels.
 *
 *   calls_bench [--rows N] [--rounds N] [MODEL...]
 *
 * Nanoseconds of apx_session_run and of apx_session_shape, of one thread, one row and the same
 * numbers call after call, so that nothing but the call's own work is left. Built-in models are so
 * small that their kernel takes a few nanoseconds; where it can be called alone it is, and "over"
 * is what the session adds. A real model's weights push the session's own memory out of the first
 * cache between two calls: "cool" is a run after 48 KiB of other memory have been read, which time
 * is taken off. "new" are calls of 1 to 8 rows more in turn, more shapes than a session or a lane
 * remembers, their kernels included. Rounds of all alternate; of each the median is printed, and
 * the least behind it. It is the thread's own time, so that other programs disturb little. Two
 * builds are compared by running their programs in turn.
 *
 *   tree       one split over two features
 *   tree f64   the same in float64, given float32
 *   dense      4 to 1
 *   lstm       two layers of 4 over 2 steps, as PyTorch exports them; no kernel alone
 *   MODEL      a file, with zeros for its rows; 10 for free dimensions but the rows' */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"
#include "runtime/onnx_build.h"

#define MOST_TENSORS  16
#define MOST_ROUNDS   1000
#define ROUND_SECONDS 0.001
#define SWEPT_BYTES   ((size_t)48 << 10)
#define FREE_EXTENT   10
#define NEW_SHAPES    8

/* A kernel by itself. */
struct alone {
    void (*run)(const struct alone *alone);
    const struct apx_forest_row *forest;
    struct apx_forest_args forest_args;
    const struct apx_dense_row *dense;
    struct apx_dense_args dense_args;
    struct apx_dense_desc dense_desc;
    void *packed, *scratch;
};

struct subject {
    const char *name;
    struct apx_model *model;
    struct apx_session *session;
    size_t inputs, outputs;
    struct apx_tensor in[MOST_TENSORS], out[MOST_TENSORS];
    int row_axis[MOST_TENSORS];
    int64_t rows, more; /* of a call; beside them, of a new one */
    struct alone alone;
};

enum { RUN, SHAPE, SWEEP, SWEEP_RUN, NEW, KERNEL, WAYS };

static char *swept; /* [SWEPT_BYTES] */

static void stop(const char *name, const char *message)
{
    fprintf(stderr, "calls_bench: %s: %s\n", name, message);
    exit(1);
}

static void *take(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        stop("memory", "there is none left");
    memset(memory, 0, (bytes + 127) / 64 * 64);
    return memory;
}

/* ---- models ---------------------------------------------------------------------------------- */

static struct apx_onnx *begin(enum apx_dtype dtype, int rank, const char *const *in)
{
    struct apx_onnx *onnx = apx_onnx_create("calls");
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_opset(onnx, "ai.onnx.ml", 3);
    apx_onnx_input(onnx, "x", dtype, rank, in);
    apx_onnx_output(onnx, "y", APX_F32, 2, (const char *[]){"n", "1"});
    return onnx;
}

static struct apx_onnx *make_tree(enum apx_dtype dtype)
{
    struct apx_onnx *onnx = begin(dtype, 2, (const char *[]){"n", "2"});
    const int64_t zeros[3] = {0}, nodes[3] = {0, 1, 2}, when_true[3] = {1}, when_false[3] = {2};
    const float values[3] = {0.5f}, weights[2] = {1, 2};
    apx_onnx_node(onnx, "ai.onnx.ml", "TreeEnsembleRegressor", "tree", (const char *[]){"x"}, 1,
                  (const char *[]){"y"}, 1);
    apx_onnx_ints(onnx, "nodes_treeids", zeros, 3);
    apx_onnx_ints(onnx, "nodes_nodeids", nodes, 3);
    apx_onnx_ints(onnx, "nodes_featureids", zeros, 3);
    apx_onnx_texts(onnx, "nodes_modes", (const char *[]){"BRANCH_LT", "LEAF", "LEAF"}, 3);
    apx_onnx_floats(onnx, "nodes_values", values, 3);
    apx_onnx_ints(onnx, "nodes_truenodeids", when_true, 3);
    apx_onnx_ints(onnx, "nodes_falsenodeids", when_false, 3);
    apx_onnx_ints(onnx, "target_treeids", zeros, 2);
    apx_onnx_ints(onnx, "target_nodeids", nodes + 1, 2);
    apx_onnx_ints(onnx, "target_ids", zeros, 2);
    apx_onnx_floats(onnx, "target_weights", weights, 2);
    apx_onnx_int(onnx, "n_targets", 1);
    return onnx;
}

static struct apx_onnx *make_dense(void)
{
    struct apx_onnx *onnx = begin(APX_F32, 2, (const char *[]){"n", "4"});
    const float w[4] = {1, 2, 3, 4}, b[1] = {5};
    apx_onnx_tensor(onnx, "w", APX_F32, 2, (int64_t[]){4, 1}, w);
    apx_onnx_tensor(onnx, "b", APX_F32, 1, (int64_t[]){1}, b);
    apx_onnx_node(onnx, "", "Gemm", "dense", (const char *[]){"x", "w", "b"}, 3,
                  (const char *[]){"y"}, 1);
    return onnx;
}

static void add_layer(struct apx_onnx *onnx, int layer, int64_t width)
{
    float weights[64];
    char name[4][8];
    for (int i = 0; i < 64; i++)
        weights[i] = (float)(i % 7) / 8 - 0.3f;
    for (int i = 0; i < 4; i++)
        snprintf(name[i], sizeof name[i], "%c%d", "wrxy"[i], layer);
    apx_onnx_tensor(onnx, name[0], APX_F32, 3, (int64_t[]){1, 16, width}, weights);
    apx_onnx_tensor(onnx, name[1], APX_F32, 3, (int64_t[]){1, 16, 4}, weights);
    apx_onnx_node(onnx, "", "LSTM", name[3], (const char *[]){name[2], name[0], name[1]}, 3,
                  (const char *[]){name[3]}, 1);
    apx_onnx_int(onnx, "hidden_size", 4);
    snprintf(name[2], sizeof name[2], "x%d", layer + 1);
    apx_onnx_node(onnx, "", "Squeeze", name[2], (const char *[]){name[3], "one"}, 2,
                  (const char *[]){name[2]}, 1);
}

static struct apx_onnx *make_lstm(void)
{
    struct apx_onnx *onnx = begin(APX_F32, 3, (const char *[]){"n", "2", "3"});
    const float w[4] = {1, 2, 3, 4};
    apx_onnx_tensor(onnx, "one", APX_I64, 1, (int64_t[]){1}, (int64_t[]){1});
    apx_onnx_tensor(onnx, "last", APX_I64, 0, NULL, (int64_t[]){-1});
    apx_onnx_tensor(onnx, "w", APX_F32, 2, (int64_t[]){4, 1}, w);
    apx_onnx_node(onnx, "", "Transpose", "steps_first", (const char *[]){"x"}, 1,
                  (const char *[]){"x0"}, 1);
    apx_onnx_ints(onnx, "perm", (int64_t[]){1, 0, 2}, 3);
    add_layer(onnx, 0, 3);
    add_layer(onnx, 1, 4);
    apx_onnx_node(onnx, "", "Gather", "last_step", (const char *[]){"x2", "last"}, 2,
                  (const char *[]){"h"}, 1);
    apx_onnx_int(onnx, "axis", 0);
    apx_onnx_node(onnx, "", "MatMul", "dense", (const char *[]){"h", "w"}, 2, (const char *[]){"y"},
                  1);
    return onnx;
}

/* ---- subjects -------------------------------------------------------------------------------- */

static void set_rows(struct subject *subject, int64_t rows)
{
    for (size_t i = 0; i < subject->inputs; i++)
        if (subject->row_axis[i] >= 0)
            subject->in[i].dims[subject->row_axis[i]] = rows;
}

/* Zeros, float32 where a float64 input may be given so. */
static void open_session(struct subject *subject, bool narrow)
{
    struct apx_error error = {0};
    if (apx_session_create(subject->model, &(struct apx_session_options){.threads = 1},
                           &subject->session, &error) != APX_OK)
        stop(subject->name, error.message);
    subject->inputs = apx_model_input_count(subject->model);
    subject->outputs = apx_model_output_count(subject->model);
    if (subject->inputs > MOST_TENSORS || subject->outputs > MOST_TENSORS)
        stop(subject->name, "more than 16 inputs or outputs");
    for (size_t i = 0; i < subject->inputs; i++) {
        const struct apx_tensor_info *info = apx_model_input(subject->model, i);
        struct apx_tensor *in = &subject->in[i];
        in->dtype = narrow && info->dtype == APX_F64 ? APX_F32 : info->dtype;
        in->rank = info->rank;
        subject->row_axis[i] = info->row_axis;
        size_t bytes = apx_dtype_size(in->dtype);
        for (int d = 0; d < info->rank; d++) {
            in->dims[d] = info->dims[d] >= 0    ? info->dims[d]
                          : d == info->row_axis ? subject->rows + NEW_SHAPES
                                                : FREE_EXTENT;
            bytes *= (size_t)in->dims[d];
        }
        in->data = take(bytes);
    }
    if (apx_session_shape(subject->session, subject->in, subject->inputs, subject->out,
                          subject->outputs, &error) != APX_OK)
        stop(subject->name, error.message);
    for (size_t i = 0; i < subject->outputs; i++)
        subject->out[i].data = take(subject->out[i].bytes);
    set_rows(subject, subject->rows);
}

static void open_built(struct subject *subject, struct apx_onnx *onnx)
{
    struct apx_error error = {0};
    void *data;
    size_t bytes;
    if (apx_onnx_write_memory(onnx, &data, &bytes, &error) != APX_OK ||
        apx_model_load_memory(data, bytes, NULL, &subject->model, &error) != APX_OK)
        stop(subject->name, error.message);
    apx_onnx_destroy(onnx);
    free(data);
    open_session(subject, true);
}

static void open_file(struct subject *subject)
{
    struct apx_error error = {0};
    if (apx_model_load(subject->name, NULL, &subject->model, &error) != APX_OK)
        stop(subject->name, error.message);
    open_session(subject, false);
}

static void run_forest(const struct alone *alone)
{
    alone->forest->run(&alone->forest_args);
}

static void run_dense(const struct alone *alone)
{
    alone->dense->run(&alone->dense_args);
}

/* The tree of make_tree. */
static void take_forest_alone(struct subject *subject, bool compares_double)
{
    struct alone *alone = &subject->alone;
    const uint32_t roots[2] = {0, 3}, ids[2] = {0, 1}, tree_output[1] = {0}, no_sets[1] = {0};
    const struct apx_tree_node nodes[3] = {{.threshold = 0.5, .set = -1, .left = 1, .right = 2},
                                           {.feature = -1, .set = -1, .left = 0},
                                           {.feature = -1, .set = -1, .left = 1}};
    const double values[2] = {1, 2}, base[1] = {0};
    const struct apx_forest_desc desc = {.features = 2,
                                         .outputs = 1,
                                         .trees = 1,
                                         .node_count = 3,
                                         .leaf_count = 2,
                                         .roots = roots,
                                         .nodes = nodes,
                                         .tree_output = tree_output,
                                         .leaf_values = values,
                                         .leaf_ids = ids,
                                         .set_begin = no_sets,
                                         .base = base,
                                         .compares_double = compares_double};
    alone->forest = apx_forest_select(apx_cpu_caps(), &desc);
    alone->packed = take(alone->forest->pack_bound(&desc));
    alone->forest->pack(&desc, alone->packed);
    alone->scratch = take(alone->forest->scratch_bytes(alone->packed));
    alone->forest_args = (struct apx_forest_args){.packed = alone->packed,
                                                  .rows = (size_t)subject->rows,
                                                  .x = subject->in[0].data,
                                                  .x_row = 2,
                                                  .margins = subject->out[0].data,
                                                  .scratch = alone->scratch};
    alone->run = run_forest;
}

static void take_dense_alone(struct subject *subject)
{
    struct alone *alone = &subject->alone;
    const float w[4] = {1, 2, 3, 4}, b[1] = {5};
    alone->dense_desc = (struct apx_dense_desc){.input = 4, .output = 1};
    alone->dense = apx_dense_select(apx_cpu_caps(), &alone->dense_desc);
    alone->packed = take(alone->dense->packed_bytes(&alone->dense_desc));
    alone->dense->pack(&alone->dense_desc,
                       &(struct apx_dense_weights){.w = w, .w_out = 4, .w_in = 1, .bias = b},
                       alone->packed);
    alone->dense_args = (struct apx_dense_args){.desc = &alone->dense_desc,
                                                .packed = alone->packed,
                                                .rows = (size_t)subject->rows,
                                                .x = subject->in[0].data,
                                                .x_row = 4,
                                                .y = subject->out[0].data,
                                                .y_row = 1};
    alone->run = run_dense;
}

static void close_subject(struct subject *subject)
{
    for (size_t i = 0; i < subject->inputs; i++)
        free(subject->in[i].data);
    for (size_t i = 0; i < subject->outputs; i++)
        free(subject->out[i].data);
    free(subject->alone.packed);
    free(subject->alone.scratch);
    apx_session_destroy(subject->session);
    apx_model_destroy(subject->model);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* A byte of each line. */
static void sweep(void)
{
    const volatile char *from = swept;
    for (size_t i = 0; i < SWEPT_BYTES; i += 64)
        (void)from[i];
}

static bool call(struct subject *subject, int way)
{
    if (way == SWEEP || way == SWEEP_RUN)
        sweep();
    if (way == SWEEP)
        return true;
    if (way == KERNEL) {
        subject->alone.run(&subject->alone);
        return true;
    }
    if (way == NEW) {
        subject->more = subject->more % NEW_SHAPES + 1;
        set_rows(subject, subject->rows + subject->more);
    }
    if (way != SHAPE)
        return apx_session_run(subject->session, subject->in, subject->inputs, subject->out,
                               subject->outputs, NULL) == APX_OK;
    struct apx_tensor shapes[MOST_TENSORS];
    for (size_t i = 0; i < subject->outputs; i++)
        shapes[i].data = NULL;
    return apx_session_shape(subject->session, subject->in, subject->inputs, shapes,
                             subject->outputs, NULL) == APX_OK;
}

/* Nanoseconds a call. */
static double time_round(struct subject *subject, int way, long count)
{
    bool ok = true;
    double start = now();
    for (long i = 0; i < count; i++)
        ok &= call(subject, way);
    double end = now();
    set_rows(subject, subject->rows);
    if (!ok)
        stop(subject->name, "a call failed");
    return (end - start) * 1e9 / (double)count;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct figure {
    double median, least;
};

static struct figure figure_of(double *times, int rounds)
{
    qsort(times, (size_t)rounds, sizeof *times, ascending);
    return (struct figure){times[rounds / 2], times[0]};
}

static void measure(struct subject *subject, int rounds)
{
    static double times[WAYS][MOST_ROUNDS];
    struct figure of[WAYS];
    long count[WAYS] = {0};
    int ways = subject->alone.run != NULL ? WAYS : KERNEL;
    for (int way = 0; way < ways; way++) {
        double each = time_round(subject, way, 200);
        count[way] = (long)(ROUND_SECONDS * 1e9 / each) + 1;
    }
    for (int round = 0; round < rounds; round++)
        for (int way = 0; way < ways; way++)
            times[way][round] = time_round(subject, way, count[way]);
    for (int way = 0; way < ways; way++)
        of[way] = figure_of(times[way], rounds);
    printf("%-10s run %7.1f (%.1f)  cool %7.1f (%.1f)  new %7.1f (%.1f)  shape %5.1f (%.1f)",
           subject->name, of[RUN].median, of[RUN].least, of[SWEEP_RUN].median - of[SWEEP].median,
           of[SWEEP_RUN].least - of[SWEEP].least, of[NEW].median, of[NEW].least, of[SHAPE].median,
           of[SHAPE].least);
    if (ways == WAYS)
        printf("  kernel %5.1f (%.1f)  over %5.1f (%.1f)", of[KERNEL].median, of[KERNEL].least,
               of[RUN].median - of[KERNEL].median, of[RUN].least - of[KERNEL].least);
    printf("\n");
}

static long parse_count(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > most) {
        fprintf(stderr, "usage: calls_bench [--rows N] [--rounds N] [MODEL...]\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rows", required_argument, NULL, 'n'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    long rows = 1, rounds = 201;
    swept = take(SWEPT_BYTES);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'n')
            rows = parse_count(optarg, 1 << 20);
        else
            rounds = parse_count(option == 'r' ? optarg : "", MOST_ROUNDS);
    }
    printf("ns a call: median (least) of %ld rounds, %ld row%s, %s\n", rounds, rows,
           rows == 1 ? "" : "s", apx_caps_name(apx_cpu_caps()));
    for (int k = 0; k < 4; k++) {
        static const char *const names[] = {"tree", "tree f64", "dense", "lstm"};
        struct subject subject = {.name = names[k], .rows = rows};
        struct apx_onnx *onnx = k == 2   ? make_dense()
                                : k == 3 ? make_lstm()
                                         : make_tree(k == 1 ? APX_F64 : APX_F32);
        open_built(&subject, onnx);
        if (k < 2)
            take_forest_alone(&subject, k == 1);
        else if (k == 2)
            take_dense_alone(&subject);
        measure(&subject, (int)rounds);
        close_subject(&subject);
    }
    for (int i = optind; i < argc; i++) {
        struct subject subject = {.name = argv[i], .rows = rows};
        open_file(&subject);
        measure(&subject, (int)rounds);
        close_subject(&subject);
    }
    free(swept);
    return 0;
}
