/* SPDX-License-Identifier: Apache-2.0 */
/* load_bench - what comes before the steady state: loading, the first call, and what later calls
 * allocate.
 *
 *   load_bench [--isa WORD] [--rows N] [--most N] [--rounds N] [--processor-time] MODEL...
 *
 * Each round is a new process, forked before anything of the library has run: it loads the file,
 * opens a session of one thread, calls it once and then again and again, as nothing else was
 * warmed for it. Medians over the processes are printed, the greatest behind them. "again" is the
 * median of the later calls, "times" the median over the processes of first / again. Free
 * dimensions but the rows' are 10, numbers uniform in +-1.
 *
 * Allocations are counted at malloc and its kin, which this program replaces: 1,000 calls of one
 * row, 1,000 of --most rows, 1,000 of as many rows as chance wants up to --most, after one call of
 * --most rows; the first column is what that first call allocates. A counter that counts nothing
 * while a model is loaded is an error. */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "runtime/auspex.h"

#define MOST_TENSORS  16
#define MOST_ROUNDS   1000
#define LATER_CALLS   31
#define COUNTED_CALLS 1000
#define FREE_EXTENT   10

/* ---- every way to malloc, counted ------------------------------------------------------------ */

static _Atomic long mallocs; /* workers may allocate too */

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

/* ---- a model, called ------------------------------------------------------------------------- */

struct settings {
    const char *isa;
    int64_t rows, most;
    int rounds;
    clockid_t timer;
};

struct subject {
    struct apx_model *model;
    struct apx_session *session;
    size_t inputs, outputs;
    struct apx_tensor in[MOST_TENSORS], out[MOST_TENSORS];
    int row_axis[MOST_TENSORS];
    double load_s, open_s;
};

static void stop(const char *name, const char *message)
{
    fprintf(stderr, "load_bench: %s: %s\n", name, message);
    exit(1);
}

static double now(const struct settings *settings)
{
    struct timespec time;
    clock_gettime(settings->timer, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void set_rows(struct subject *subject, int64_t rows)
{
    for (size_t i = 0; i < subject->inputs; i++)
        if (subject->row_axis[i] >= 0)
            subject->in[i].dims[subject->row_axis[i]] = rows;
}

/* Whole numbers are all 1. */
static void fill(struct apx_tensor *tensor, size_t count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        const float value = (float)(state >> 8) * 0x1p-23f - 1;
        if (tensor->dtype == APX_F32)
            ((float *)tensor->data)[i] = value;
        else if (tensor->dtype == APX_F64)
            ((double *)tensor->data)[i] = (double)value;
        else
            ((char *)tensor->data)[i * apx_dtype_size(tensor->dtype)] = 1;
    }
}

/* Touched: pages of the caller's buffers are no part of a first call. */
static void *take(const char *path, size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    if (memory == NULL)
        stop(path, "out of memory");
    memset(memory, 0x5a, bytes);
    memset(memory, 0, bytes);
    return memory;
}

static void open_subject(const char *path, const struct settings *settings, struct subject *subject)
{
    struct apx_error error = {0};
    const struct apx_load_options load = {.isa = settings->isa};
    const double start = now(settings);
    if (apx_model_load(path, &load, &subject->model, &error) != APX_OK)
        stop(path, error.message);
    const double loaded = now(settings);
    if (apx_session_create(subject->model, &(struct apx_session_options){.threads = 1},
                           &subject->session, &error) != APX_OK)
        stop(path, error.message);
    subject->load_s = loaded - start;
    subject->open_s = now(settings) - loaded;
    subject->inputs = apx_model_input_count(subject->model);
    subject->outputs = apx_model_output_count(subject->model);
    if (subject->inputs > MOST_TENSORS || subject->outputs > MOST_TENSORS)
        stop(path, "more than 16 inputs or outputs");
    const int64_t most = settings->rows > settings->most ? settings->rows : settings->most;
    for (size_t i = 0; i < subject->inputs; i++) {
        const struct apx_tensor_info *info = apx_model_input(subject->model, i);
        struct apx_tensor *in = &subject->in[i];
        in->dtype = info->dtype;
        in->rank = info->rank;
        subject->row_axis[i] = info->row_axis;
        size_t count = 1;
        for (int d = 0; d < info->rank; d++) {
            in->dims[d] = info->dims[d] >= 0    ? info->dims[d]
                          : d == info->row_axis ? most
                                                : FREE_EXTENT;
            count *= (size_t)in->dims[d];
        }
        in->data = take(path, count * apx_dtype_size(in->dtype));
        fill(in, count);
    }
}

/* Room for the outputs of `rows` rows. Sizes are asked of a session of its own, so that the one
 * that is measured has seen no shape before its first call. */
static void make_outputs(const char *path, struct subject *subject, int64_t rows)
{
    struct apx_error error = {0};
    struct apx_session *other;
    if (apx_session_create(subject->model, &(struct apx_session_options){.threads = 1}, &other,
                           &error) != APX_OK)
        stop(path, error.message);
    set_rows(subject, rows);
    if (apx_session_shape(other, subject->in, subject->inputs, subject->out, subject->outputs,
                          &error) != APX_OK)
        stop(path, error.message);
    apx_session_destroy(other);
    for (size_t i = 0; i < subject->outputs; i++)
        subject->out[i].data = take(path, subject->out[i].bytes);
}

static void call(const char *path, struct subject *subject)
{
    struct apx_error error = {0};
    if (apx_session_run(subject->session, subject->in, subject->inputs, subject->out,
                        subject->outputs, &error) != APX_OK)
        stop(path, error.message);
}

/* ---- one process ----------------------------------------------------------------------------- */

struct found {
    double load_s, open_s, first_s, again_s;
    long loading, first, one, most, changing; /* allocations */
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void time_calls(const char *path, const struct settings *settings, struct found *found)
{
    struct subject subject = {0};
    double times[LATER_CALLS];
    open_subject(path, settings, &subject);
    found->load_s = subject.load_s;
    found->open_s = subject.open_s;
    make_outputs(path, &subject, settings->rows);
    for (int i = -1; i < LATER_CALLS; i++) {
        const double start = now(settings);
        call(path, &subject);
        *(i < 0 ? &found->first_s : &times[i]) = now(settings) - start;
    }
    qsort(times, LATER_CALLS, sizeof *times, ascending);
    found->again_s = times[LATER_CALLS / 2];
}

static long count_calls(const char *path, struct subject *subject, int64_t least, int64_t most)
{
    uint32_t state = 1;
    const long before = mallocs;
    for (int i = 0; i < COUNTED_CALLS; i++) {
        state = state * 1664525u + 1013904223u;
        set_rows(subject, least + (int64_t)(state >> 8) % (most - least + 1));
        call(path, subject);
    }
    return mallocs - before;
}

static void count_allocations(const char *path, const struct settings *settings,
                              struct found *found)
{
    struct subject subject = {0};
    long before = mallocs;
    open_subject(path, settings, &subject);
    found->loading = mallocs - before;
    make_outputs(path, &subject, settings->most);
    before = mallocs;
    call(path, &subject);
    found->first = mallocs - before;
    found->one = count_calls(path, &subject, 1, 1);
    found->most = count_calls(path, &subject, settings->most, settings->most);
    found->changing = count_calls(path, &subject, 1, settings->most);
}

/* ---- all of them ----------------------------------------------------------------------------- */

typedef void in_process(const char *path, const struct settings *settings, struct found *found);

static void in_child(in_process *run, const char *path, const struct settings *settings,
                     struct found *found)
{
    int ends[2];
    fflush(stdout);
    const pid_t child = pipe(ends) == 0 ? fork() : -1;
    if (child < 0)
        stop(path, strerror(errno));
    if (child == 0) {
        run(path, settings, found);
        _exit(write(ends[1], found, sizeof *found) == (ssize_t)sizeof *found ? 0 : 1);
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], found, sizeof *found);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (got != (ssize_t)sizeof *found || status != 0)
        exit(1); /* the child has said why */
}

/* The median and, in brackets, the greatest. */
static void print_spread(const char *name, double *values, int count, double unit, const char *word)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    printf("  %s %.4g%s (%.4g)", name, values[count / 2] / unit, word, values[count - 1] / unit);
}

static void measure(const char *path, const struct settings *settings)
{
    static double load[MOST_ROUNDS], open[MOST_ROUNDS], first[MOST_ROUNDS], again[MOST_ROUNDS],
        times[MOST_ROUNDS];
    struct found found = {0};
    for (int i = 0; i < settings->rounds; i++) {
        in_child(time_calls, path, settings, &found);
        load[i] = found.load_s;
        open[i] = found.open_s;
        first[i] = found.first_s;
        again[i] = found.again_s;
        times[i] = found.first_s / found.again_s;
    }
    printf("%s:", path);
    print_spread("load", load, settings->rounds, 1e-3, " ms");
    print_spread("session", open, settings->rounds, 1e-6, " us");
    print_spread("first", first, settings->rounds, 1e-6, " us");
    print_spread("again", again, settings->rounds, 1e-6, " us");
    print_spread("times", times, settings->rounds, 1, "");
    in_child(count_allocations, path, settings, &found);
    if (found.loading == 0)
        stop(path, "the counter of allocations counts nothing");
    printf("\n    allocations: %ld in loading, %ld in the first call of %lld rows; in 1,000 calls: "
           "%ld of 1 row, %ld of %lld rows, %ld of 1 to %lld rows\n",
           found.loading, found.first, (long long)settings->most, found.one, found.most,
           (long long)settings->most, found.changing, (long long)settings->most);
}

static long parse_count(const char *text, long most)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > most) {
        fprintf(stderr, "usage: load_bench [--isa WORD] [--rows N] [--most N] [--rounds N] "
                        "[--processor-time] MODEL...\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"isa", required_argument, NULL, 'i'},      {"rows", required_argument, NULL, 'n'},
        {"most", required_argument, NULL, 'm'},     {"rounds", required_argument, NULL, 'r'},
        {"processor-time", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    struct settings settings = {.rows = 1, .most = 64, .rounds = 21, .timer = CLOCK_MONOTONIC};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'i')
            settings.isa = optarg;
        else if (option == 'n')
            settings.rows = parse_count(optarg, 1 << 20);
        else if (option == 'm')
            settings.most = parse_count(optarg, 1 << 20);
        else if (option == 'p')
            settings.timer = CLOCK_PROCESS_CPUTIME_ID;
        else
            settings.rounds = (int)parse_count(option == 'r' ? optarg : "", MOST_ROUNDS);
    }
    if (optind == argc)
        parse_count("", 1);
    printf("median (greatest) of %d processes, %lld row%s, one thread, %s; %s\n", settings.rounds,
           (long long)settings.rows, settings.rows == 1 ? "" : "s",
           settings.isa != NULL ? settings.isa : apx_caps_name(apx_cpu_caps()),
           settings.timer == CLOCK_MONOTONIC ? "time" : "processor time");
    for (int i = optind; i < argc; i++)
        measure(argv[i], &settings);
    return 0;
}
