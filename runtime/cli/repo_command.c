/* SPDX-License-Identifier: Apache-2.0 */
/* repo_command.c - `auspex repo`: the model repository from the command line. */
#include "runtime/base/file.h"
#include "runtime/cli/cli.h"
#include "runtime/repo.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: auspex repo list     --repository DIR [--model NAME]\n"
    "       auspex repo add      --repository DIR --model NAME FILE [--metadata FILE.json]\n"
    "       auspex repo promote  --repository DIR --model NAME --version N [--who W] [--why W]\n"
    "       auspex repo rollback --repository DIR --model NAME [--who W] [--why W]\n"
    "       auspex repo alias    --repository DIR --model NAME ALIAS --version N|--remove\n"
    "                            [--who W] [--why W]\n"
    "       auspex repo verify   --repository DIR --model NAME [--version N]\n"
    "       auspex repo prune    --repository DIR --model NAME --keep N\n\n"
    "FILE is ONNX, XGBoost's JSON or UBJSON, or LightGBM's text, and is stored as it is.\n"
    "A model's versions are numbered from 1 and never change. What is served by default is the\n"
    "current version: the first one, until promote or rollback points at another. Every move of a\n"
    "pointer is recorded with who (your login name), when and why. verify compares the model file\n"
    "with the checksum taken when it was added. prune keeps the newest N versions and all that\n"
    "current, a rollback or an alias needs.\n\n"
    "  --json                   the result for programs\n";

enum { REPOSITORY = 1, MODEL, VERSION, WHO, WHY, KEEP, METADATA, REMOVE };

struct job {
    const char *action;
    const char *directory, *model, *metadata, *argument;
    long version, keep; /* 0: not given */
    bool as_json, remove;
    struct apx_repo_move move;
    struct apx_repo *repo;
};

static int failed(const struct job *job, const struct apx_error *error)
{
    char command[32];
    snprintf(command, sizeof command, "repo %s", job->action);
    return apx_cli_failed(command, NULL, error);
}

/* {"model": ..., KEY: number}, or `sentence`. */
static void print_number(const struct job *job, const char *key, int64_t number,
                         const char *sentence)
{
    if (!job->as_json) {
        puts(sentence);
        return;
    }
    json_t *json = json_pack("{s:s,s:I}", "model", job->model, key, (json_int_t)number);
    json_dumpf(json, stdout, 0);
    putchar('\n');
    json_decref(json);
}

/* ---- actions: each returns the exit status -------------------------------------------------- */

/* The first few numbers of a version's metrics; --json has them all. */
static void print_metrics(json_t *metrics)
{
    const int most = 3;
    int shown = 0;
    const char *name;
    json_t *value;
    json_object_foreach (metrics, name, value)
        if (json_is_number(value) && shown++ < most)
            printf("  %s %.5g", name, json_number_value(value));
}

static void print_model(json_t *model)
{
    size_t i;
    json_t *version, *alias;
    const char *name;
    const char *error = json_string_value(json_object_get(model, "error"));
    int64_t current = json_integer_value(json_object_get(model, "current"));
    printf("%s%s%s\n", json_string_value(json_object_get(model, "model")),
           error != NULL ? ": " : "", error != NULL ? error : "");
    json_array_foreach (json_object_get(model, "versions"), i, version) {
        int64_t number = json_integer_value(json_object_get(version, "version"));
        const char *file = json_string_value(json_object_get(version, "file"));
        const char *damage = json_string_value(json_object_get(version, "error"));
        printf("  %6lld  %.19s  %10lld bytes  %s", (long long)number,
               json_string_value(json_object_get(version, "created")),
               (long long)json_integer_value(json_object_get(version, "bytes")),
               file != NULL     ? file
               : damage != NULL ? damage
                                : "");
        if (number == current)
            printf("  current");
        json_object_foreach (json_object_get(model, "aliases"), name, alias)
            if (json_integer_value(alias) == number)
                printf("  %s", name);
        print_metrics(json_object_get(version, "metrics"));
        putchar('\n');
    }
}

static int list(const struct job *job)
{
    struct apx_error error = {0};
    char *text;
    size_t i;
    json_t *model;
    if (apx_repo_list(job->repo, &text, &error) != APX_OK)
        return failed(job, &error);
    json_t *all = json_loads(text, 0, NULL), *shown = json_array();
    apx_string_release(text);
    json_array_foreach (all, i, model) {
        const char *name = json_string_value(json_object_get(model, "model"));
        if (job->model == NULL || strcmp(name, job->model) == 0)
            json_array_append(shown, model);
    }
    int status = CLI_DONE;
    if (job->model != NULL && json_array_size(shown) == 0) {
        status = apx_cli_refuse("repo list", NULL, "there is no model \"%s\" in %s", job->model,
                                job->directory);
    } else if (job->as_json) {
        json_dumpf(shown, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        json_array_foreach (shown, i, model)
            print_model(model);
        if (json_array_size(shown) == 0)
            printf("%s holds no models\n", job->directory);
    }
    json_decref(shown);
    json_decref(all);
    return status;
}

static int add(const struct job *job)
{
    struct apx_error error = {0};
    char *metadata = NULL, sentence[256];
    size_t bytes;
    int64_t version;
    if (job->metadata != NULL &&
        apx_file_read(job->metadata, (size_t)1 << 20, &metadata, &bytes, &error) != APX_OK)
        return failed(job, &error);
    enum apx_status status =
        apx_repo_add(job->repo, job->model, job->argument, metadata, &version, &error);
    free(metadata);
    if (status != APX_OK)
        return apx_cli_failed("repo add", status == APX_EINVAL ? NULL : job->argument, &error);
    snprintf(sentence, sizeof sentence, "%s: added version %lld", job->model, (long long)version);
    print_number(job, "version", version, sentence);
    return CLI_DONE;
}

static int promote(const struct job *job)
{
    struct apx_error error = {0};
    char sentence[256];
    if (apx_repo_promote(job->repo, job->model, job->version, &job->move, &error) != APX_OK)
        return failed(job, &error);
    snprintf(sentence, sizeof sentence, "%s: current is version %ld", job->model, job->version);
    print_number(job, "version", job->version, sentence);
    return CLI_DONE;
}

static int rollback(const struct job *job)
{
    struct apx_error error = {0};
    char sentence[256];
    int64_t version;
    if (apx_repo_rollback(job->repo, job->model, &job->move, &version, &error) != APX_OK)
        return failed(job, &error);
    snprintf(sentence, sizeof sentence, "%s: current is version %lld again", job->model,
             (long long)version);
    print_number(job, "version", version, sentence);
    return CLI_DONE;
}

static int alias(const struct job *job)
{
    struct apx_error error = {0};
    char sentence[512];
    if (apx_repo_alias(job->repo, job->model, job->argument, job->version, &job->move, &error) !=
        APX_OK)
        return failed(job, &error);
    if (job->remove)
        snprintf(sentence, sizeof sentence, "%s: %s is removed", job->model, job->argument);
    else
        snprintf(sentence, sizeof sentence, "%s: %s is version %ld", job->model, job->argument,
                 job->version);
    print_number(job, "version", job->version, sentence);
    return CLI_DONE;
}

static int verify(const struct job *job)
{
    struct apx_error error = {0};
    int64_t version = job->version;
    bool is_checked = false;
    enum apx_status status = APX_OK;
    if (version == 0)
        status = apx_repo_resolve(job->repo, job->model, "", &version, NULL, 0, &error);
    if (status == APX_OK)
        status = apx_repo_verify(job->repo, job->model, version, &is_checked, &error);
    if (status != APX_OK)
        return failed(job, &error);
    if (job->as_json) {
        json_t *json = json_pack("{s:s,s:I,s:b}", "model", job->model, "version",
                                 (json_int_t)version, "checked", (int)is_checked);
        json_dumpf(json, stdout, 0);
        putchar('\n');
        json_decref(json);
    } else if (is_checked) {
        printf("%s: version %lld is whole\n", job->model, (long long)version);
    } else {
        printf("%s: version %lld has no checksum to compare with\n", job->model,
               (long long)version);
    }
    return CLI_DONE;
}

static int prune(const struct job *job)
{
    struct apx_error error = {0};
    char sentence[256];
    int64_t removed;
    if (apx_repo_prune(job->repo, job->model, job->keep, &removed, &error) != APX_OK)
        return failed(job, &error);
    snprintf(sentence, sizeof sentence, "%s: removed %lld version%s", job->model,
             (long long)removed, removed == 1 ? "" : "s");
    print_number(job, "removed", removed, sentence);
    return CLI_DONE;
}

static const struct action {
    const char *name;
    int (*run)(const struct job *job);
    const char *argument; /* what it is; NULL: none */
    bool model, version, move;
} actions[] = {
    {"list", list, NULL, false, false, false},
    {"add", add, "the model file", true, false, false},
    {"promote", promote, NULL, true, true, true},
    {"rollback", rollback, NULL, true, false, true},
    {"alias", alias, "the alias", true, true, true},
    {"verify", verify, NULL, true, false, false},
    {"prune", prune, NULL, true, false, false},
};

/* ---- options -------------------------------------------------------------------------------- */

/* Every option is either used by the action or refused. */
static int check(const struct action *action, const char *command, int argc, char **argv,
                 struct job *job)
{
    bool takes_version = action->version || strcmp(action->name, "verify") == 0;
    bool takes_keep = strcmp(action->name, "prune") == 0;
    if (job->directory == NULL)
        return apx_cli_usage(command, "give --repository DIR");
    if (action->model && job->model == NULL)
        return apx_cli_usage(command, "give --model NAME");
    if (action->version && job->version == 0 && !job->remove)
        return apx_cli_usage(command, "give --version N");
    if (takes_keep && job->keep == 0)
        return apx_cli_usage(command, "give --keep N");
    const char *stray = job->version != 0 && (!takes_version || job->remove)        ? "--version"
                        : job->keep != 0 && !takes_keep                             ? "--keep"
                        : job->remove && strcmp(action->name, "alias") != 0         ? "--remove"
                        : job->metadata != NULL && strcmp(action->name, "add") != 0 ? "--metadata"
                        : job->move.who != NULL && !action->move                    ? "--who"
                        : job->move.why != NULL && !action->move                    ? "--why"
                                                                                    : NULL;
    if (stray != NULL)
        return apx_cli_usage(command, "%s does not go with %s", stray,
                             job->remove && strcmp(stray, "--version") == 0 ? "--remove"
                                                                            : action->name);
    if (action->argument != NULL) {
        job->argument = apx_cli_single(command, argc, argv, action->argument);
        return job->argument != NULL ? CLI_DONE : CLI_USAGE;
    }
    if (optind < argc)
        return apx_cli_usage(command, "\"%s\" is one argument too many", argv[optind]);
    return CLI_DONE;
}

static int read_option(const char *command, int option, const char *value, struct job *job)
{
    switch (option) {
    case REPOSITORY:
        job->directory = value;
        break;
    case MODEL:
        job->model = value;
        break;
    case WHO:
        job->move.who = value;
        break;
    case WHY:
        job->move.why = value;
        break;
    case METADATA:
        job->metadata = value;
        break;
    case REMOVE:
        job->remove = true;
        break;
    case CLI_JSON:
        job->as_json = true;
        break;
    case VERSION:
        if (!apx_cli_number(value, 1, 1000000000000000000, &job->version))
            return apx_cli_usage(command, "--version is a number from 1, not \"%s\"", value);
        break;
    case KEEP:
        if (!apx_cli_number(value, 1, 1000000000, &job->keep))
            return apx_cli_usage(command, "--keep is a number from 1, not \"%s\"", value);
        break;
    default:
        return CLI_USAGE;
    }
    return CLI_DONE;
}

int apx_cli_repo(int argc, char **argv)
{
    static const struct option options[] = {{"repository", required_argument, NULL, REPOSITORY},
                                            {"model", required_argument, NULL, MODEL},
                                            {"version", required_argument, NULL, VERSION},
                                            {"who", required_argument, NULL, WHO},
                                            {"why", required_argument, NULL, WHY},
                                            {"keep", required_argument, NULL, KEEP},
                                            {"metadata", required_argument, NULL, METADATA},
                                            {"remove", no_argument, NULL, REMOVE},
                                            {"json", no_argument, NULL, CLI_JSON},
                                            {"help", no_argument, NULL, CLI_HELP},
                                            {NULL, 0, NULL, 0}};
    const struct action *action = NULL;
    struct job job = {0};
    struct apx_error error = {0};
    char command[32];
    if (argc < 2)
        return apx_cli_usage("repo", "say list, add, promote, rollback, alias, verify or prune");
    if (strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return apx_cli_finish("repo");
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[1], actions[i].name) == 0)
            action = &actions[i];
    if (action == NULL)
        return apx_cli_usage(
            "repo", "\"%s\" is not list, add, promote, rollback, alias, verify or prune", argv[1]);
    job.action = action->name;
    snprintf(command, sizeof command, "repo %s", action->name);
    argc--, argv++;
    for (int option; (option = apx_cli_next("repo", argc, argv, options)) != -1;) {
        if (option == CLI_HELP) {
            fputs(help, stdout);
            return apx_cli_finish("repo");
        }
        if (read_option(command, option, optarg, &job) != CLI_DONE)
            return CLI_USAGE;
    }
    int status = check(action, command, argc, argv, &job);
    if (status != CLI_DONE)
        return status;
    bool create = strcmp(action->name, "add") == 0;
    if (apx_repo_open(job.directory, create, &job.repo, &error) != APX_OK)
        return failed(&job, &error);
    status = action->run(&job);
    apx_repo_close(job.repo);
    return status == CLI_DONE ? apx_cli_finish(command) : status;
}
