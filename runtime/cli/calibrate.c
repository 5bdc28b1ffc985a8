/* SPDX-License-Identifier: Apache-2.0 */
/* calibrate.c - `auspex calibrate`: the same calls on the CPU and on the GPU, so that device "auto"
 * chooses by what was measured.
 *
 * The model is loaded once for each; the ladder of sizes and what follows from it is
 * runtime/device/crossover_measure.c. Standard error shows how far it is where that is a terminal.
 */
#include "runtime/cli/cli.h"
#include "runtime/cli/sample_calls.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/device/backend.h"
#include "runtime/device/crossover.h"
#include "runtime/device/cuda_open.h"

static const char help[] =
    "usage: auspex calibrate MODEL [--steps T] [--input FILE] [options]\n\n"
    "Time calls of a model on the CPU and on the GPU in turns, for more and more rows, find from\n"
    "how many rows on the GPU is sooner, and store that where device auto looks for it when it\n"
    "loads the same file with the same precision on the same GPU, driver, processor and "
    "instruction\n"
    "set. It holds for sessions of as many threads and calls of as many steps; auspex-serve has "
    "one\n"
    "thread a session. For batches beyond the sizes measured auto estimates. Sizes measured again\n"
    "take the place of what is stored of them. auspex inspect shows what is stored.\n\n"
    "  --rows N,N,...           rows of a call, ascending (1, 2, 4 ... 65536, as far as a call "
    "takes\n"
    "                           no longer than 0.2 s or --seconds, and then three sizes around "
    "the\n"
    "                           change)\n"
    "  --steps T                extent of the other free dimensions, such as the sequence length;\n"
    "                           needed where the model has one\n"
    "  --input FILE             rows to run, .npy or .csv as for predict, over and over (random\n"
    "                           numbers from -1 to 1); for models with one input\n"
    "  --seconds S              time to measure each number of rows (0.2); five calls of it on\n"
    "                           either side are made in any case\n"
    "  --cache DIR              folder to store it in ($XDG_CACHE_HOME/auspex, or "
    "~/.cache/auspex)\n"
    "  --isa WORD               as for auspex bench\n"
    "  --precision fp32|int8    (fp32); with the others auto has nothing to choose: the CPU alone\n"
    "                           computes fp16-weights, and CUDA devices alone "
    "fp16\n" CLI_THREADS_HELP "  --json                   the same for programs\n";

enum { ROWS = 1, STEPS, SECONDS, INPUT };
#define MOST_ROWS   65536 /* of the ladder that is not given */
#define REFINEMENTS 3
#define LONG_CALL   0.2 /* seconds after which that ladder ends */

struct job {
    struct apx_cli_calls calls;
    struct apx_cli_model_options options;
    long rows[APX_LIMIT_CROSSOVER_POINTS];
    int count; /* 0: not given */
    double seconds;
    bool as_json, shows_progress, has_told; /* a message is printed */
    struct apx_model *model[2];             /* CPU, GPU */
    struct apx_session *session[2];
    int64_t made_rows; /* for which the tensors are */
    struct apx_crossover_key key;
    struct apx_crossover found, stored; /* stored: with what earlier runs measured */
    int64_t left_out;                   /* from so many rows on; 0: nothing */
    bool has_no_room;                   /* the reason: the GPU's memory; otherwise LONG_CALL */
    char *directory;
};

/* ---- loading ----------------------------------------------------------------------------------
 */

/* What the library advises for a device that is not to be had is no advice here. */
static int nothing_to_measure(const struct job *job, const char *why, struct apx_error *error)
{
    static const char *const advices[] = {"; use device \"cpu\" or \"auto\"",
                                          "; use device \"cpu\""};
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
        char *advice = strstr(error->message, advices[i]);
        if (advice != NULL)
            memmove(advice, advice + strlen(advices[i]), strlen(advice + strlen(advices[i])) + 1);
    }
    return apx_cli_refuse("calibrate", job->calls.path, "nothing to measure: %s: %s", why,
                          error->message);
}

static int find_gpu(const struct job *job)
{
    const struct apx_backend *backend;
    struct apx_error error = {0};
    if (apx_backend_find("cuda", &backend, &error) == APX_OK)
        return CLI_DONE;
    return nothing_to_measure(job, "without a GPU auto runs everything on the CPU", &error);
}

static int load(struct job *job, const void *data, size_t bytes, const char *directory)
{
    static const char *const devices[] = {"cpu", "cuda"};
    struct apx_error error = {0};
    job->options.load.directory = directory;
    for (int i = 1; i >= 0; i--) { /* the GPU is what may be missing */
        job->options.load.device = devices[i];
        enum apx_status status =
            apx_model_load_memory(data, bytes, &job->options.load, &job->model[i], &error);
        if (status == APX_EUNSUPPORTED && i == 1 &&
            strstr(error.message, "device \"cuda\"") != NULL)
            return nothing_to_measure(job, "auto runs this model on the CPU", &error);
        if (status != APX_OK)
            return apx_cli_failed("calibrate", job->calls.path, &error);
    }
    return CLI_DONE;
}

/* A session begins with a call, which may take its time. */
static int open_sessions(struct job *job)
{
    const struct apx_session_options options = {.threads = job->options.threads};
    struct apx_error error = {0};
    for (int i = 0; i < 2; i++)
        if (apx_session_create(job->model[i], &options, &job->session[i], &error) != APX_OK)
            return apx_cli_failed("calibrate", job->calls.path, &error);
    return CLI_DONE;
}

/* The instruction set that the CPU's plan was made for. */
static int make_key(struct job *job, const void *data, size_t bytes)
{
    struct apx_cuda_machine machine;
    struct apx_error error = {0};
    char *text;
    if (apx_cuda_open(NULL, &machine, &error) != APX_OK ||
        apx_model_describe(job->model[0], &text, &error) != APX_OK)
        return apx_cli_failed("calibrate", job->calls.path, &error);
    json_t *about = json_loads(text, 0, NULL);
    const char *isa = json_string_value(json_object_get(about, "isa"));
    apx_crossover_key_make(data, bytes, job->options.load.precision, machine.device[0].name,
                           machine.count, machine.device[0].driver, isa != NULL ? isa : "",
                           &job->key);
    json_decref(about);
    apx_string_release(text);
    return CLI_DONE;
}

static int open_model(struct job *job)
{
    struct apx_error error = {0};
    char *data, *directory = apx_file_directory(job->calls.path);
    size_t bytes;
    if (directory == NULL)
        return apx_cli_refuse("calibrate", NULL, "out of memory");
    int status = CLI_DONE;
    if (apx_file_read(job->calls.path, APX_LIMIT_FILE_BYTES, &data, &bytes, &error) != APX_OK)
        status = apx_cli_failed("calibrate", job->calls.path, &error);
    if (status == CLI_DONE)
        status = load(job, data, bytes, directory);
    if (status == CLI_DONE)
        status = make_key(job, data, bytes);
    if (status == CLI_DONE && apx_crossovers_prepare(job->directory, &job->key, &error) != APX_OK)
        status = apx_cli_failed("calibrate", NULL, &error);
    if (status == CLI_DONE)
        status = open_sessions(job);
    free(data);
    free(directory);
    return status;
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static enum apx_status call(void *context, bool on_gpu, int64_t rows, int64_t *ns,
                            struct apx_error *error)
{
    struct job *job = context;
    if (rows != job->made_rows) {
        const int64_t fixed = job->calls.fixed_rows;
        if (apx_cli_calls_make(&job->calls, job->session[0], fixed > 0 ? fixed : rows) !=
            CLI_DONE) {
            job->has_told = true;
            return APX_EINVAL;
        }
        job->made_rows = rows;
    }
    return apx_cli_calls_run(&job->calls, job->session[on_gpu], ns, error);
}

static void tell(void *context, const struct apx_crossover_point *point)
{
    const struct job *job = context;
    if (job->shows_progress)
        fprintf(stderr, "\rauspex calibrate: %lld rows: CPU %.1f us, GPU %.1f us\033[K",
                (long long)point->rows, (double)point->cpu_ns / 1e3, (double)point->gpu_ns / 1e3);
}

static int check(const struct job *job)
{
    if (apx_model_rows_are_independent(job->model[0]) ||
        (job->calls.fixed_rows > 0 && !job->calls.has_steps && job->count == 0))
        return CLI_DONE;
    if (job->calls.fixed_rows > 0 && job->count > 0)
        return apx_cli_refuse("calibrate", job->calls.path,
                              "its calls are of one size; leave --rows out");
    return apx_cli_refuse("calibrate", job->calls.path,
                          "its rows depend on one another, so that there is no number of rows to "
                          "choose by; device auto goes by its estimate");
}

/* Which sizes of the ladder were not come to. */
static void note_left_out(struct job *job, const struct apx_crossover_ladder *ladder)
{
    const struct apx_crossover_point *last = &job->found.points[job->found.point_count - 1];
    for (int i = ladder->count - 1; i >= 0 && ladder->rows[i] > last->rows; i--)
        job->left_out = ladder->rows[i];
    job->has_no_room = ladder->most_ns == 0 ||
                       (last->cpu_ns <= ladder->most_ns && last->gpu_ns <= ladder->most_ns);
}

static int measure(struct job *job)
{
    const struct apx_crossover_probe probe = {
        .context = job, .call = call, .tell = job->shows_progress ? tell : NULL};
    int64_t rows[APX_LIMIT_CROSSOVER_POINTS];
    struct apx_crossover_ladder ladder = {
        .rows = rows, .count = job->count, .budget_ns = (int64_t)(job->seconds * 1e9)};
    struct apx_error error = {0};
    for (int i = 0; i < job->count; i++)
        rows[i] = job->rows[i];
    if (job->calls.fixed_rows > 0) {
        rows[0] = 1; /* one call, whatever is in it */
        ladder.count = 1;
    } else if (job->count == 0) {
        for (int64_t n = 1; n <= MOST_ROWS; n *= 2)
            rows[ladder.count++] = n;
        ladder.most_ns = (int64_t)(fmax(job->seconds, LONG_CALL) * 1e9);
        ladder.refinements = REFINEMENTS;
    }
    enum apx_status status = apx_crossover_measure(&probe, &ladder, &job->found, &error);
    if (job->shows_progress)
        fputs("\r\033[K", stderr);
    if (status != APX_OK)
        return job->has_told ? CLI_FAILED : apx_cli_failed("calibrate", job->calls.path, &error);
    note_left_out(job, &ladder);
    const time_t now = time(NULL);
    struct tm utc;
    strftime(job->found.measured, sizeof job->found.measured, "%Y-%m-%dT%H:%M:%SZ",
             gmtime_r(&now, &utc));
    job->found.threads = apx_session_threads(job->session[0]);
    job->found.steps = job->calls.has_steps ? job->calls.steps : 0;
    return CLI_DONE;
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static bool is_new(const struct job *job, int64_t rows)
{
    for (int i = 0; i < job->found.point_count; i++)
        if (job->found.points[i].rows == rows)
            return true;
    return false;
}

static void print_choice(const struct job *job)
{
    const struct apx_crossover *stored = &job->stored;
    const long long least = stored->points[0].rows, from = stored->from_rows,
                    most = stored->points[stored->point_count - 1].rows;
    const char *others = job->calls.fixed_rows > 0 ? "" : "; beyond: estimated";
    if (job->calls.fixed_rows > 0)
        printf("auto      the %s takes every call\n", from > 0 ? "GPU" : "CPU");
    else if (from > least)
        printf("auto      the GPU takes batches of %lld rows and more (measured up to %lld)\n",
               from, most);
    else if (from > 0)
        printf("auto      from %lld row%s up to %lld the GPU (measured)%s\n", least,
               least == 1 ? "" : "s", most, others);
    else
        printf("auto      up to %lld row%s the CPU (measured)%s\n", most, most == 1 ? "" : "s",
               others);
}

/* path: NULL where it could not be stored. */
static void print(const struct job *job, const char *path)
{
    const struct apx_crossover *found = &job->stored;
    bool has_old = false;
    printf("%s, %s: %s on %s, %d thread%s, and on %s", job->calls.path, job->key.precision,
           job->key.isa, job->key.cpu, found->threads, found->threads == 1 ? "" : "s",
           job->key.gpu);
    if (found->steps > 0)
        printf(", %lld steps", (long long)found->steps);
    printf("\n      rows        CPU us        GPU us  sooner\n");
    for (int i = 0; i < found->point_count; i++) {
        const bool is_old = !is_new(job, found->points[i].rows);
        has_old |= is_old;
        printf("%10lld %13.3f %13.3f  %s%s\n", (long long)found->points[i].rows,
               (double)found->points[i].cpu_ns / 1e3, (double)found->points[i].gpu_ns / 1e3,
               found->points[i].gpu_ns < found->points[i].cpu_ns ? "GPU" : "CPU",
               is_old ? " *" : "");
    }
    if (has_old)
        puts("          * of an earlier run; remove the file to be rid of them");
    if (job->left_out > 0 && job->has_no_room)
        printf("left out  %lld rows and more: the GPU cannot take them\n",
               (long long)job->left_out);
    else if (job->left_out > 0)
        printf("left out  %lld rows and more: a call takes longer than %.4g s\n",
               (long long)job->left_out, fmax(job->seconds, LONG_CALL));
    print_choice(job);
    if (path != NULL)
        printf("stored    %s\n", path);
    else
        puts("stored    nowhere");
}

/* What was measured is told even if it cannot be stored. */
static int store(struct job *job)
{
    struct apx_error error = {0};
    char *path = NULL;
    job->stored = job->found;
    enum apx_status status =
        apx_crossovers_store(job->directory, &job->key, &job->stored, &path, &error);
    if (job->as_json) {
        json_t *json = apx_crossover_json(&job->stored);
        json_object_set_new(json, "precision", json_string(job->key.precision));
        json_object_set_new(json, "gpu", json_string(job->key.gpu));
        json_object_set_new(json, "driver", json_string(job->key.driver));
        json_object_set_new(json, "cpu", json_string(job->key.cpu));
        json_object_set_new(json, "isa", json_string(job->key.isa));
        json_object_set_new(json, "left_out_from_rows",
                            job->left_out > 0 ? json_integer((json_int_t)job->left_out)
                                              : json_null());
        json_object_set_new(json, "file", path != NULL ? json_string(path) : json_null());
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(json);
    } else {
        print(job, path);
    }
    free(path);
    if (status != APX_OK)
        return apx_cli_failed("calibrate", NULL, &error);
    return apx_cli_finish("calibrate");
}

/* ---- the command ------------------------------------------------------------------------------
 */

static int read_rows(struct job *job)
{
    job->count = apx_cli_rows("calibrate", optarg, job->rows, APX_LIMIT_CROSSOVER_POINTS);
    for (int i = 1; i < job->count; i++)
        if (job->rows[i] <= job->rows[i - 1])
            return apx_cli_usage("calibrate", "--rows ascend; %ld follows %ld", job->rows[i],
                                 job->rows[i - 1]);
    return job->count > 0 ? CLI_DONE : CLI_USAGE;
}

static int read_options(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {{"isa", required_argument, NULL, CLI_ISA},
                                            {"precision", required_argument, NULL, CLI_PRECISION},
                                            {"cache", required_argument, NULL, CLI_CACHE},
                                            CLI_THREADS_OPTION,
                                            {"rows", required_argument, NULL, ROWS},
                                            {"steps", required_argument, NULL, STEPS},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"input", required_argument, NULL, INPUT},
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = apx_cli_next("calibrate", argc, argv, options)) != -1;) {
        if (option == CLI_HELP || option == '?')
            return option;
        if (option == CLI_JSON) {
            job->as_json = true;
        } else if (option == ROWS) {
            if (read_rows(job) != CLI_DONE)
                return '?';
        } else if (option == STEPS) {
            if (apx_cli_calls_steps(&job->calls, optarg) != CLI_DONE)
                return '?';
        } else if (option == INPUT) {
            if (apx_cli_calls_input(&job->calls, optarg) != CLI_DONE)
                return '?';
        } else if (option == SECONDS) {
            if (!apx_cli_seconds("calibrate", optarg, &job->seconds))
                return '?';
        } else if (apx_cli_model_option("calibrate", option, optarg, &job->options) != CLI_DONE) {
            return '?';
        }
    }
    const char *precision = job->options.load.precision;
    if (precision != NULL && strncmp(precision, "fp16", 4) == 0) {
        apx_cli_usage("calibrate",
                      "with precision %s device auto never chooses between devices, so there is "
                      "nothing to calibrate: %s computes it",
                      precision, precision[4] == '\0' ? "device cuda alone" : "the CPU alone");
        return '?';
    }
    job->calls.path = apx_cli_single("calibrate", argc, argv, "a model file");
    return job->calls.path != NULL ? 0 : '?';
}

int apx_cli_calibrate(int argc, char **argv)
{
    struct job job = {.calls = {.command = "calibrate"}, .seconds = 0.2};
    int option = read_options(argc, argv, &job);
    if (option == CLI_HELP) {
        fputs(help, stdout);
        return apx_cli_finish("calibrate");
    }
    if (option != 0)
        return CLI_USAGE;
    job.shows_progress = isatty(STDERR_FILENO) != 0;
    job.directory = apx_crossover_directory(job.options.load.cache);
    int status = job.directory != NULL
                     ? find_gpu(&job)
                     : apx_cli_refuse("calibrate", NULL,
                                      "there is no folder to store it in; give --cache DIR");
    if (status == CLI_DONE)
        status = open_model(&job);
    if (status == CLI_DONE) {
        status = apx_cli_calls_open(&job.calls, job.model[0]);
        if (status == CLI_DONE)
            status = check(&job);
        if (status == CLI_DONE)
            status = measure(&job);
        if (status == CLI_DONE)
            status = store(&job);
        apx_cli_calls_close(&job.calls);
    }
    for (int i = 0; i < 2; i++) {
        apx_session_destroy(job.session[i]);
        apx_model_destroy(job.model[i]);
    }
    free(job.directory);
    return status;
}
