/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - `auspex bench`: how long a call takes, for several numbers of rows.
 *
 * Inputs are random from a fixed seed, or the rows of a file over and over: which way a row takes
 * through a tree, and so the time, depends on its numbers. Each number of rows is first run until
 * its memory is reserved and the clock is up, then for a fixed time; the median says what a call
 * costs, the 99th percentile what a waiting caller may meet. */
#include "runtime/cli/cli.h"
#include "runtime/cli/sample_calls.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: auspex bench MODEL [--rows 1,64,1024] [--steps T] [--input FILE] [options]\n\n"
    "Time calls with random inputs, or the rows of a file: median and 99th percentile of one call, "
    "rows a second at the\n"
    "median, and the kernels that ran; of tree ensembles, too, the time that a tree takes for a\n"
    "row.\n\n"
    "  --rows N,N,...           rows of a call (1,64,1024)\n"
    "  --steps T                extent of the other free dimensions, such as the sequence length;\n"
    "                           needed where the model has one\n"
    "  --input FILE             rows to run, .npy or .csv as for predict, over and over (random\n"
    "                           numbers from -1 to 1); for models with one input\n"
    "  --seconds S              time to measure each number of rows (0.5)\n" CLI_MODEL_HELP
        CLI_THREADS_HELP "  --json                   a list of results, for programs\n";

enum { ROWS = 1, STEPS, SECONDS, INPUT };
#define MOST_ROW_COUNTS 64
#define MOST_CALLS      1000000
#define LEAST_CALLS     5

struct job {
    struct apx_cli_calls calls;
    struct apx_cli_model_options options;
    long rows[MOST_ROW_COUNTS];
    int count;
    double seconds;
    bool rows_given, as_json;
    struct apx_model *model;
    struct apx_session *session;
    int64_t *times; /* [MOST_CALLS] ns */
    json_t *about, *kernels;
};

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int measure(struct job *job, int64_t rows, size_t *calls)
{
    struct apx_error error = {0};
    int64_t ns;
    int status = apx_cli_calls_make(&job->calls, job->session, rows);
    if (status != CLI_DONE)
        return status;
    int64_t budget = (int64_t)(job->seconds * 1e9), warm_up = apx_cli_now() + budget / 5, end = 0;
    *calls = 0;
    for (;;) {
        if (apx_cli_calls_run(&job->calls, job->session, &ns, &error) != APX_OK)
            return apx_cli_failed("bench", job->calls.path, &error);
        int64_t after = apx_cli_now();
        if (end == 0) { /* the first call reserves memory: it never counts */
            end = after >= warm_up ? after + budget : 0;
            continue;
        }
        job->times[(*calls)++] = ns;
        if ((after >= end && *calls >= LEAST_CALLS) || *calls == MOST_CALLS)
            break;
    }
    qsort(job->times, *calls, sizeof *job->times, ascending);
    return CLI_DONE;
}

/* The kernels' names, each once, in the plan's order. */
static int find_kernels(struct job *job)
{
    struct apx_error error = {0};
    char *text;
    size_t i, j;
    json_t *step, *known;
    if (apx_model_describe(job->model, &text, &error) != APX_OK)
        return apx_cli_failed("bench", job->calls.path, &error);
    job->about = json_loads(text, 0, NULL);
    apx_string_release(text);
    job->kernels = json_array();
    json_array_foreach (json_object_get(job->about, "steps"), i, step) {
        json_t *kernel = json_object_get(step, "kernel");
        bool seen = !json_is_string(kernel);
        json_array_foreach (job->kernels, j, known)
            seen |= json_equal(known, kernel) != 0;
        if (!seen)
            json_array_append(job->kernels, kernel);
    }
    return CLI_DONE;
}

/* Trees of all ensembles together. */
static long long trees_of(const struct job *job)
{
    size_t i;
    json_t *forest;
    long long trees = 0;
    json_array_foreach (json_object_get(job->about, "forests"), i, forest)
        trees += json_integer_value(json_object_get(forest, "trees"));
    return trees;
}

static json_t *result(const struct job *job, int64_t rows, size_t calls)
{
    int64_t median = job->times[calls / 2], p99 = job->times[(calls * 99 + 99) / 100 - 1];
    json_t *json = json_object();
    json_object_set_new(json, "rows", json_integer(rows));
    json_object_set_new(json, "steps",
                        job->calls.has_steps ? json_integer(job->calls.steps) : json_null());
    json_object_set_new(json, "threads", json_integer(apx_session_threads(job->session)));
    json_object_set(json, "device", json_object_get(job->about, "device"));
    json_object_set(json, "isa", json_object_get(job->about, "isa"));
    json_object_set(json, "precision", json_object_get(job->about, "precision"));
    json_object_set_new(json, "calls", json_integer((json_int_t)calls));
    json_object_set_new(json, "median_ns", json_integer(median));
    json_object_set_new(json, "p99_ns", json_integer(p99));
    json_object_set_new(json, "rows_per_s",
                        json_real((double)rows * 1e9 / (double)(median > 0 ? median : 1)));
    if (trees_of(job) > 0)
        json_object_set_new(json, "ns_per_tree_row",
                            json_real((double)median / (double)rows / (double)trees_of(job)));
    json_object_set(json, "kernels", job->kernels);
    return json;
}

static void print(const struct job *job, json_t *results)
{
    size_t i;
    json_t *entry;
    int threads = apx_session_threads(job->session);
    printf("%s on %s, %s, %s, %d thread%s", job->calls.path,
           json_string_value(json_object_get(job->about, "device")),
           json_string_value(json_object_get(job->about, "isa")),
           json_string_value(json_object_get(job->about, "precision")), threads,
           threads == 1 ? "" : "s");
    if (job->calls.has_steps)
        printf(", %ld steps", job->calls.steps);
    if (trees_of(job) > 0)
        printf(", %lld tree%s", trees_of(job), trees_of(job) == 1 ? "" : "s");
    printf("\n      rows     median us        p99 us        rows/s     calls%s\n",
           trees_of(job) > 0 ? "  ns/tree/row" : "");
    json_array_foreach (results, i, entry) {
        printf("%10lld %13.3f %13.3f %13.0f %9lld",
               (long long)json_integer_value(json_object_get(entry, "rows")),
               (double)json_integer_value(json_object_get(entry, "median_ns")) / 1e3,
               (double)json_integer_value(json_object_get(entry, "p99_ns")) / 1e3,
               json_real_value(json_object_get(entry, "rows_per_s")),
               (long long)json_integer_value(json_object_get(entry, "calls")));
        if (trees_of(job) > 0)
            printf(" %12.3f", json_real_value(json_object_get(entry, "ns_per_tree_row")));
        putchar('\n');
    }
    printf("kernels:");
    json_array_foreach (job->kernels, i, entry)
        printf(" %s", json_string_value(entry));
    putchar('\n');
}

/* A model without free rows has one number of them. */
static int check_rows(struct job *job)
{
    const int64_t fixed = job->calls.fixed_rows;
    if (fixed == 0)
        return CLI_DONE;
    if (job->rows_given && (job->count != 1 || job->rows[0] != fixed))
        return apx_cli_refuse("bench", job->calls.path,
                              "the model is fixed to %lld row%s a call; leave --rows out, or "
                              "export it with a free batch dimension",
                              (long long)fixed, fixed == 1 ? "" : "s");
    job->rows[0] = fixed;
    job->count = 1;
    return CLI_DONE;
}

static int run(struct job *job)
{
    job->times = malloc(MOST_CALLS * sizeof *job->times);
    if (job->times == NULL)
        return apx_cli_refuse("bench", NULL, "out of memory");
    int status = apx_cli_calls_open(&job->calls, job->model);
    if (status == CLI_DONE)
        status = check_rows(job);
    if (status == CLI_DONE)
        status = find_kernels(job);
    json_t *results = json_array();
    for (int i = 0; status == CLI_DONE && i < job->count; i++) {
        size_t calls;
        status = measure(job, job->rows[i], &calls);
        if (status == CLI_DONE)
            json_array_append_new(results, result(job, job->rows[i], calls));
    }
    if (status == CLI_DONE && job->as_json) {
        json_dumpf(results, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (status == CLI_DONE) {
        print(job, results);
    }
    json_decref(results);
    return status == CLI_DONE ? apx_cli_finish("bench") : status;
}

static int read_options(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {CLI_MODEL_OPTIONS,
                                            CLI_THREADS_OPTION,
                                            {"rows", required_argument, NULL, ROWS},
                                            {"steps", required_argument, NULL, STEPS},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"input", required_argument, NULL, INPUT},
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = apx_cli_next("bench", argc, argv, options)) != -1;) {
        if (option == CLI_HELP || option == '?')
            return option;
        if (option == CLI_JSON) {
            job->as_json = true;
        } else if (option == ROWS) {
            job->rows_given = true;
            job->count = apx_cli_rows("bench", optarg, job->rows, MOST_ROW_COUNTS);
            if (job->count == 0)
                return '?';
        } else if (option == STEPS) {
            if (apx_cli_calls_steps(&job->calls, optarg) != CLI_DONE)
                return '?';
        } else if (option == INPUT) {
            if (apx_cli_calls_input(&job->calls, optarg) != CLI_DONE)
                return '?';
        } else if (option == SECONDS) {
            if (!apx_cli_seconds("bench", optarg, &job->seconds))
                return '?';
        } else if (apx_cli_model_option("bench", option, optarg, &job->options) != CLI_DONE) {
            return '?';
        }
    }
    job->calls.path = apx_cli_single("bench", argc, argv, "a model file");
    return job->calls.path != NULL ? 0 : '?';
}

int apx_cli_bench(int argc, char **argv)
{
    struct job job = {
        .calls = {.command = "bench"}, .rows = {1, 64, 1024}, .count = 3, .seconds = 0.5};
    int option = read_options(argc, argv, &job);
    if (option == CLI_HELP) {
        fputs(help, stdout);
        return apx_cli_finish("bench");
    }
    if (option != 0)
        return CLI_USAGE;
    int status = apx_cli_load("bench", job.calls.path, &job.options, &job.model, &job.session);
    if (status != CLI_DONE)
        return status;
    status = run(&job);
    apx_cli_calls_close(&job.calls);
    free(job.times);
    json_decref(job.kernels);
    json_decref(job.about);
    apx_session_destroy(job.session);
    apx_model_destroy(job.model);
    return status;
}
