/* SPDX-License-Identifier: Apache-2.0 */
/* train_run.c - the stages of a run, in order.
 *
 * What can be refused is refused before the training starts: configuration, data, output directory,
 * repository. What was trained is stored only after the exported file has reproduced the trainer's
 * forecasts; the repository comes first and the output directory, whose rename hardly ever fails,
 * last. */
#include "train/train_run.h"

#include <cblas.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/fail.h"
#include "runtime/repo.h"
#include "train/environment.h"
#include "train/file_hash.h"
#include "train/progress.h"
#include "train/report.h"
#include "train/run_folder.h"

struct run {
    const struct apx_train_options *options;
    int threads;
    uint32_t caps;
    struct apx_train_config config;
    struct apx_dataset data;
    struct apx_parts parts;
    struct apx_net net;
    struct apx_learner_data shape;
    struct apx_crew *crew;
    struct apx_learner learner;
    struct apx_run_folder folder;
    struct apx_repo *repo;
    struct apx_fit fit;
    struct apx_evaluation evaluation;
    struct apx_export_names names;
    struct apx_export_match match;
    double seconds;
    int64_t version; /* 0: not stored in a repository */
    json_t *json;
};

static enum apx_status no_memory(struct apx_error *error)
{
    return apx_fail(error, APX_ENOMEM, "", "out of memory");
}

static int allowed_threads(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (count > APX_LIMIT_CREW ? APX_LIMIT_CREW : count);
}

/* --output and --repository replace the configuration's; both become absolute, as does the default,
 * so that the snapshot means the same wherever it is read. */
static enum apx_status settle_paths(struct run *run, struct apx_error *error)
{
    struct apx_train_config *config = &run->config;
    const char *given[] = {run->options->output, run->options->repository};
    char **field[] = {&config->directory, &config->repository};
    char here[4096], *fallback = NULL;
    if (getcwd(here, sizeof here) == NULL)
        return apx_fail(error, APX_EIO, "", "the current directory: %s", strerror(errno));
    if (config->directory == NULL && asprintf(&fallback, "trained/%s", config->name) >= 0)
        config->directory = fallback;
    if (config->directory == NULL)
        return no_memory(error);
    for (int i = 0; i < 2; i++) {
        char *path = NULL, *whole = NULL;
        if (given[i] != NULL)
            path = strdup(given[i]);
        else if (*field[i] != NULL)
            path = apx_train_config_path(config, *field[i]);
        else
            continue;
        if (path == NULL)
            return no_memory(error);
        if (path[0] == '/')
            whole = path;
        else if (asprintf(&whole, "%s/%s", here, path) < 0)
            whole = NULL;
        if (whole != path)
            free(path);
        if (whole == NULL)
            return no_memory(error);
        free(*field[i]);
        *field[i] = whole;
    }
    return APX_OK;
}

static enum apx_status make_net(struct run *run, struct apx_error *error)
{
    static const enum apx_act acts[] = {APX_ACT_NONE, APX_ACT_RELU, APX_ACT_TANH, APX_ACT_SIGMOID};
    const struct apx_train_config *config = &run->config;
    size_t outputs = config->horizon * run->data.targets;
    struct apx_net_desc desc = {.cell = (enum apx_net_cell)config->cell,
                                .steps = config->steps,
                                .features = run->data.features,
                                .outputs = outputs,
                                .layer_count = config->layers.count,
                                .dense_count = config->dense.count,
                                .dense_act = acts[config->activation],
                                .caps = run->caps};
    memcpy(desc.layers, config->layers.item, sizeof desc.layers);
    memcpy(desc.dense, config->dense.item, sizeof desc.dense);
    size_t *residual = NULL;
    if (config->residual) {
        residual = malloc(outputs * sizeof *residual);
        if (residual == NULL)
            return no_memory(error);
        for (size_t k = 0; k < outputs; k++)
            residual[k] = (size_t)run->data.target_feature[k % run->data.targets];
        desc.residual = residual;
    }
    enum apx_status status = apx_net_init(&run->net, &desc, error);
    free(residual);
    if (status != APX_OK)
        return status;
    run->shape = (struct apx_learner_data){.x = run->parts.x,
                                           .y = run->parts.y,
                                           .features = run->data.features,
                                           .targets = run->data.targets,
                                           .steps = config->steps,
                                           .horizon = config->horizon};
    struct apx_learner_options options = {.seed = config->seed,
                                          .loss = (enum apx_learner_loss)config->loss,
                                          .huber_delta = (float)config->huber_delta,
                                          .dropout = (float)config->dropout,
                                          .clip_norm = config->clip_norm,
                                          .l2 = config->l2,
                                          .beta1 = config->beta1,
                                          .beta2 = config->beta2,
                                          .epsilon = config->epsilon,
                                          .batch = config->batch};
    status = apx_crew_create(run->threads, &run->crew, error);
    if (status == APX_OK)
        status =
            apx_learner_init(&run->learner, &run->net, &run->shape, run->crew, &options, error);
    return status;
}

static void describe(const struct run *run)
{
    FILE *log = run->options->log;
    const struct apx_train_config *config = &run->config;
    if (run->options->quiet)
        return;
    for (size_t i = 0; i < run->data.notes.count; i++)
        fprintf(log, "note: %s\n", run->data.notes.item[i]);
    fprintf(log,
            "%zu series, %zu rows, %zu feature%s; windows of %zu rows: %zu train, %zu validation, "
            "%zu test\n",
            run->data.series_count, run->data.rows, run->data.features,
            run->data.features > 1 ? "s" : "", config->steps, run->parts.count[APX_PART_TRAIN],
            run->parts.count[APX_PART_VALIDATION], run->parts.count[APX_PART_TEST]);
    fprintf(log, "%s", config->cell == APX_NET_GRU ? "GRU" : "LSTM");
    for (size_t i = 0; i < run->net.rnn_count; i++)
        fprintf(log, " %zu", run->net.rnn[i].hidden);
    for (size_t i = 0; i + 1 < run->net.dense_count; i++)
        fprintf(log, "%s %zu", i == 0 ? ", dense" : "", run->net.dense[i].output);
    fprintf(log, ", %zu parameters, %d thread%s, seed %llu\n", run->net.parameters, run->threads,
            run->threads > 1 ? "s" : "", (unsigned long long)config->seed);
}

static enum apx_status prepare(struct run *run, struct apx_error *error)
{
    const struct apx_train_options *options = run->options;
    run->threads = options->threads > 0 ? options->threads : allowed_threads();
    openblas_set_num_threads(1); /* parallel over chunks instead: see learner.h */
    enum apx_status status = apx_environment_caps(&run->caps, error);
    if (status == APX_OK)
        status = apx_train_config_read(options->config_path, options->sets, options->set_count,
                                       &run->config, error);
    if (status == APX_OK)
        status = apx_config_sha256(&run->config, run->names.config_sha256, error);
    if (status == APX_OK)
        status = settle_paths(run, error);
    if (status == APX_OK)
        status = apx_dataset_read(&run->config, &run->data, error);
    if (status != APX_OK)
        return status;
    apx_export_data_sha256(&run->data, run->names.data_sha256);
    status = apx_parts_make(&run->config, &run->data, &run->parts, error);
    if (status == APX_OK)
        status = make_net(run, error);
    if (status == APX_OK)
        describe(run);
    if (status != APX_OK || options->check)
        return status;
    status = apx_run_folder_open(run->config.directory, &run->folder, error);
    if (status == APX_OK && run->config.repository != NULL)
        status = apx_repo_open(run->config.repository, true, &run->repo, error);
    return status;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static enum apx_status train(struct run *run, struct apx_error *error)
{
    struct apx_progress progress;
    apx_progress_init(&progress, run->options->quiet ? NULL : run->options->log,
                      run->config.epochs);
    struct apx_fit_watch watch = {&progress, apx_progress_step, apx_progress_epoch};
    double begin = now();
    enum apx_status status = apx_fit_run(&run->config, &run->learner, &run->parts,
                                         run->options->stop, &watch, &run->fit, error);
    run->seconds = now() - begin;
    apx_progress_fini(&progress);
    if (status != APX_OK)
        return status;
    if (!run->options->quiet)
        fprintf(run->options->log, "%s after %zu epochs, %.1f s; best epoch %zu\n",
                apx_fit_stop_text(run->fit.stop), run->fit.epochs, run->seconds, run->fit.best);
    return apx_evaluate(&run->data, &run->parts, &run->learner, run->fit.params, &run->evaluation,
                        error);
}

static struct apx_report report_of(const struct run *run)
{
    return (struct apx_report){.config = &run->config,
                               .data = &run->data,
                               .parts = &run->parts,
                               .net = &run->net,
                               .fit = &run->fit,
                               .evaluation = &run->evaluation,
                               .match = &run->match,
                               .names = &run->names,
                               .threads = run->threads,
                               .seconds = run->seconds};
}

/* The snapshot names every file by its absolute path: it is read from elsewhere. */
static enum apx_status absolute_files(struct run *run, struct apx_error *error)
{
    struct apx_config_texts files = {0};
    files.item = calloc(run->data.series_count + 1, sizeof *files.item);
    if (files.item == NULL)
        return no_memory(error);
    for (; files.count < run->data.series_count; files.count++) {
        const char *path = run->data.series[files.count].path;
        files.item[files.count] = realpath(path, NULL);
        if (files.item[files.count] == NULL) {
            enum apx_status status =
                apx_fail(error, APX_EIO, "data.files", "%s: %s", path, strerror(errno));
            for (size_t i = 0; i < files.count; i++)
                free(files.item[i]);
            free(files.item);
            return status;
        }
    }
    for (size_t i = 0; i < run->config.files.count; i++)
        free(run->config.files.item[i]);
    free(run->config.files.item);
    run->config.files = files;
    return APX_OK;
}

static enum apx_status write_files(struct run *run, struct apx_error *error)
{
    static const char *const names[] = {"metrics.json", "config.yaml", "history.csv"};
    for (int i = 0; i < 3; i++) {
        char *path = apx_run_folder_path(&run->folder, names[i]);
        FILE *file = path != NULL ? fopen(path, "w") : NULL;
        enum apx_status status = APX_OK;
        if (path == NULL)
            return no_memory(error);
        if (file == NULL) {
            status = apx_fail(error, APX_EIO, "output.directory", "%s: %s", path, strerror(errno));
            free(path);
            return status;
        }
        if (i == 0) {
            json_dumpf(run->json, file, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
            putc('\n', file);
        } else if (i == 1) {
            fprintf(file, "# Written by auspex train %s from %s.\n", apx_version(),
                    run->config.path);
            apx_train_config_write(&run->config, true, file);
        } else {
            apx_report_history(&run->fit, file);
        }
        bool failed = ferror(file) != 0;
        failed = fclose(file) != 0 || failed;
        if (failed)
            status = apx_fail(error, APX_EIO, "output.directory", "%s: %s", path, strerror(errno));
        free(path);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

/* The report with what makes it a version's: when it was made and from what it descends. */
static enum apx_status add_version(struct run *run, const char *model_path, struct apx_error *error)
{
    int64_t parent = 0;
    char stamp[32];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    bool has_parent =
        apx_repo_resolve(run->repo, run->config.name, "", &parent, NULL, 0, NULL) == APX_OK;
    struct apx_report report = report_of(run);
    json_t *metadata = json_copy(run->json);
    /* what a listing of versions shows; the whole tables stay beside it */
    json_object_set(metadata, "scores", json_object_get(metadata, "metrics"));
    json_object_set_new(metadata, "metrics", apx_report_summary(&report));
    json_object_set_new(metadata, "trained", json_string(stamp));
    json_object_set_new(metadata, "parent", has_parent ? json_integer(parent) : json_null());
    char *text = json_dumps(metadata, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(metadata);
    if (text == NULL)
        return no_memory(error);
    enum apx_status status =
        apx_repo_add(run->repo, run->config.name, model_path, text, &run->version, error);
    free(text);
    return status;
}

static enum apx_status store(struct run *run, struct apx_error *error)
{
    char *path = apx_run_folder_path(&run->folder, "model.onnx");
    if (path == NULL)
        return no_memory(error);
    enum apx_status status = apx_export_onnx(&run->config, &run->data, &run->parts, &run->net,
                                             run->fit.params, &run->names, path, error);
    if (status == APX_OK)
        status = apx_export_read_back(&run->data, &run->parts, &run->shape, path, run->threads,
                                      run->evaluation.test, &run->match, error);
    if (status == APX_OK) {
        struct apx_report report = report_of(run);
        run->json = apx_report_json(&report);
        if (run->json == NULL)
            status = no_memory(error);
    }
    if (status == APX_OK)
        status = absolute_files(run, error);
    if (status == APX_OK)
        status = write_files(run, error);
    if (status == APX_OK && run->repo != NULL)
        status = add_version(run, path, error);
    free(path);
    if (status == APX_OK)
        status = apx_run_folder_commit(&run->folder, error);
    return status;
}

static enum apx_status tell(struct run *run, struct apx_error *error)
{
    FILE *out = run->options->out;
    struct apx_report report = report_of(run);
    if (run->options->json) {
        json_object_set_new(run->json, "directory", json_string(run->config.directory));
        json_object_set_new(run->json, "version",
                            run->version > 0 ? json_integer(run->version) : json_null());
        json_dumpf(run->json, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putc('\n', out);
    } else {
        apx_report_table(&report, out);
        fprintf(out,
                "\nThe exported model reproduces the trainer's %zu test forecasts to %.2g of their "
                "scale.\n",
                run->match.windows, run->match.share);
        fprintf(out, "%s: model.onnx, metrics.json, config.yaml, history.csv\n",
                run->config.directory);
        if (run->version > 0)
            fprintf(out, "%s: %s version %lld\n", run->config.repository, run->config.name,
                    (long long)run->version);
    }
    if (fflush(out) != 0 || ferror(out))
        return apx_fail(error, APX_EIO, "", "the report cannot be written: %s", strerror(errno));
    return APX_OK;
}

enum apx_status apx_train_run(const struct apx_train_options *options, struct apx_error *error)
{
    struct run run = {.options = options, .folder = {.lock = -1}};
    enum apx_status status = prepare(&run, error);
    if (status == APX_OK && !options->check) {
        status = train(&run, error);
        if (status == APX_OK)
            status = store(&run, error);
        if (status == APX_OK)
            status = tell(&run, error);
    }
    json_decref(run.json);
    apx_evaluation_fini(&run.evaluation);
    apx_fit_fini(&run.fit);
    apx_repo_close(run.repo);
    apx_run_folder_close(&run.folder);
    if (run.learner.net != NULL)
        apx_learner_fini(&run.learner);
    apx_crew_destroy(run.crew);
    apx_net_fini(&run.net);
    apx_parts_fini(&run.parts);
    apx_dataset_fini(&run.data);
    apx_train_config_fini(&run.config);
    return status;
}
