/* SPDX-License-Identifier: Apache-2.0 */
/* models.c - the catalogue of what is served, and the thread that keeps it in step.
 *
 * The catalogue is immutable once published; a change builds a new one out of the old one's
 * versions and newly loaded ones, and swaps the pointer under the mutex. Everything slow (reading
 * files, loading, releasing) happens on the watching thread, at low priority and outside of the
 * mutex, so that a call never waits for it.
 *
 * Whether the repository changed is told by a fingerprint of its pointer files, which the
 * repository replaces by renaming: a new inode and a new time. The fingerprint is taken before the
 * pointers are read, so that a move in between is seen the next time. */
#include "serve/models.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "serve/clock.h"
#include "serve/device_words.h"
#include "serve/log.h"

enum { POLL_SECONDS = 1, WATCHER_NICE = 10 };

/* A name of a version: "" or an alias. */
struct pointer {
    char reference[APX_LIMIT_MODEL_NAME + 1];
    struct apx_served *served; /* one reference; NULL: it never loaded */
};
struct entry {
    char name[APX_LIMIT_MODEL_NAME + 1];
    struct pointer *pointers; /* the first one is current */
    size_t pointer_count;
};
struct catalogue {
    struct entry *entries;
    size_t entry_count;
};

struct apx_models {
    struct apx_served_owner owner; /* first: what served versions are given */
    struct apx_models_options options;
    struct apx_repo *repo;
    uint64_t fingerprint;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    bool stopping, look_now;
    struct catalogue *catalogue;
    struct apx_served *retired;
};

static void catalogue_destroy(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    for (size_t i = 0; i < catalogue->entry_count; i++) {
        for (size_t p = 0; p < catalogue->entries[i].pointer_count; p++)
            apx_served_unref(catalogue->entries[i].pointers[p].served);
        free(catalogue->entries[i].pointers);
    }
    free(catalogue->entries);
    free(catalogue);
}

static const struct entry *find(const struct catalogue *catalogue, const char *name)
{
    for (size_t i = 0; catalogue != NULL && i < catalogue->entry_count; i++) {
        if (strcmp(catalogue->entries[i].name, name) == 0)
            return &catalogue->entries[i];
    }
    return NULL;
}

static struct apx_served *find_version(const struct entry *entry, int64_t version)
{
    for (size_t i = 0; entry != NULL && i < entry->pointer_count; i++) {
        struct apx_served *served = entry->pointers[i].served;
        if (served != NULL && served->version == version)
            return served;
    }
    return NULL;
}

static struct apx_served *find_reference(const struct entry *entry, const char *reference)
{
    for (size_t i = 0; entry != NULL && i < entry->pointer_count; i++) {
        if (strcmp(entry->pointers[i].reference, reference) == 0)
            return entry->pointers[i].served;
    }
    return NULL;
}

/* ---- reading the repository ----------------------------------------------------------------- */

static void mix(uint64_t *hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        *hash = (*hash ^ at[i]) * 1099511628211u; /* FNV-1a */
}

/* The order in which a directory is read must not matter, so the models' hashes are added up. */
static uint64_t fingerprint(const char *directory)
{
    static const char *const pointers[] = {"current.json", "aliases.json"};
    uint64_t sum = 1;
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        uint64_t hash = 14695981039346656037u;
        mix(&hash, entry->d_name, strlen(entry->d_name));
        for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
            char path[NAME_MAX + 32];
            struct stat info;
            snprintf(path, sizeof path, "%s/%s", entry->d_name, pointers[i]);
            if (fstatat(dirfd(dir), path, &info, 0) != 0)
                continue;
            const int64_t facts[] = {(int64_t)i, (int64_t)info.st_ino, info.st_mtim.tv_sec,
                                     info.st_mtim.tv_nsec, info.st_size};
            mix(&hash, facts, sizeof facts);
        }
        sum += hash;
    }
    closedir(dir);
    return sum;
}

static bool is_wanted(const struct apx_models *models, const char *name)
{
    for (int i = 0; i < models->options.name_count; i++) {
        if (strcmp(models->options.names[i], name) == 0)
            return true;
    }
    return models->options.name_count == 0;
}

/* What `reference` shall point at: the version already loaded, or a new one. On failure: what it
 * pointed at before, which may be nothing. */
static struct apx_served *load_pointer(struct apx_models *models, const struct entry *old,
                                       const struct entry *building, const char *name,
                                       const char *reference, int64_t version,
                                       struct apx_error *error)
{
    struct apx_served *served = find_version(building, version);
    if (served == NULL)
        served = find_version(old, version);
    if (served != NULL) {
        apx_served_ref(served);
        return served;
    }
    char digits[24], path[PATH_MAX];
    snprintf(digits, sizeof digits, "%" PRId64, version);
    int64_t start = apx_now_ns(), resolved;
    const struct apx_load_options load = {
        .size = sizeof load, .device = models->options.device, .cache = models->options.cache};
    enum apx_status status =
        apx_repo_resolve(models->repo, name, digits, &resolved, path, sizeof path, error);
    if (status == APX_OK)
        status = apx_served_load(name, version, path, models->options.workers, &load,
                                 &models->owner, &served, error);
    if (status == APX_OK) {
        char device[64];
        apx_device_words(served->model, device, sizeof device);
        APX_LOG(APX_LOG_INFO, "model_loaded", APX_LOG_TEXT("model", name),
                APX_LOG_INT("version", version), APX_LOG_TEXT("reference", reference),
                APX_LOG_TEXT("device", device), APX_LOG_INT("ms", (apx_now_ns() - start) / 1000000),
                APX_LOG_INT("ns_per_row_step", served->ns_per_unit));
        const char *notice = apx_model_notice(served->model);
        if (notice != NULL)
            APX_LOG(APX_LOG_WARN, "model_notice", APX_LOG_TEXT("model", name),
                    APX_LOG_INT("version", version), APX_LOG_TEXT("message", notice));
        return served;
    }
    served = find_reference(old, reference);
    if (served != NULL)
        apx_served_ref(served);
    APX_LOG(APX_LOG_ERROR, "model_refused", APX_LOG_TEXT("model", name),
            APX_LOG_INT("version", version), APX_LOG_TEXT("reference", reference),
            APX_LOG_TEXT("status", apx_status_name(error->status)),
            APX_LOG_TEXT("field", error->field), APX_LOG_TEXT("message", error->message),
            APX_LOG_TEXT("serving", served != NULL ? served->version_text : "nothing"));
    return served;
}

static void add_pointer(struct apx_models *models, const struct entry *old, struct entry *entry,
                        const char *reference, const json_t *version, struct apx_error *error)
{
    struct pointer *pointer = &entry->pointers[entry->pointer_count];
    snprintf(pointer->reference, sizeof pointer->reference, "%s", reference);
    if (json_is_integer(version))
        pointer->served = load_pointer(models, old, entry, entry->name, reference,
                                       json_integer_value(version), error);
    entry->pointer_count++;
}

/* The model's pointer files are damaged: what they said before still holds. */
static bool keep_pointers(const struct entry *old, struct entry *entry, const char *message,
                          struct apx_error *error)
{
    size_t count = old != NULL ? old->pointer_count : 1;
    entry->pointers = calloc(count, sizeof *entry->pointers);
    if (entry->pointers == NULL)
        return false;
    entry->pointer_count = count;
    for (size_t i = 0; old != NULL && i < count; i++) {
        entry->pointers[i] = old->pointers[i];
        if (entry->pointers[i].served != NULL)
            apx_served_ref(entry->pointers[i].served);
    }
    apx_fail(error, APX_EFORMAT, entry->name, "%s", message);
    const struct apx_served *current = entry->pointers[0].served;
    APX_LOG(APX_LOG_ERROR, "model_refused", APX_LOG_TEXT("model", entry->name),
            APX_LOG_TEXT("status", apx_status_name(APX_EFORMAT)), APX_LOG_TEXT("message", message),
            APX_LOG_TEXT("serving", current != NULL ? current->version_text : "nothing"));
    return true;
}

static bool add_entry(struct apx_models *models, const struct catalogue *old,
                      struct catalogue *catalogue, json_t *model, struct apx_error *error)
{
    const char *name = json_string_value(json_object_get(model, "model"));
    if (name == NULL || !is_wanted(models, name))
        return true;
    json_t *aliases = json_object_get(model, "aliases");
    struct entry *entry = &catalogue->entries[catalogue->entry_count];
    const struct entry *before = find(old, name);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    const char *damage = json_string_value(json_object_get(model, "error"));
    if (damage != NULL) {
        if (!keep_pointers(before, entry, damage, error))
            return false;
        catalogue->entry_count++;
        return true;
    }
    entry->pointers = calloc(1 + json_object_size(aliases), sizeof *entry->pointers);
    if (entry->pointers == NULL)
        return false;
    catalogue->entry_count++;
    add_pointer(models, before, entry, "", json_object_get(model, "current"), error);
    const char *alias;
    json_t *version;
    json_object_foreach (aliases, alias, version)
        add_pointer(models, before, entry, alias, version, error);
    return true;
}

/* A catalogue of what the repository says now. *error: why the last version that failed did. */
static enum apx_status read_catalogue(struct apx_models *models, const struct catalogue *old,
                                      struct catalogue **out, struct apx_error *error)
{
    *out = NULL;
    char *text;
    enum apx_status status = apx_repo_list(models->repo, &text, error);
    if (status != APX_OK)
        return status;
    json_t *list = json_loads(text, 0, NULL);
    apx_string_release(text);
    if (!json_is_array(list)) {
        json_decref(list);
        return apx_fail(error, APX_EFORMAT, "", "the repository's list is no JSON array");
    }
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (catalogue != NULL)
        catalogue->entries = calloc(json_array_size(list) + 1, sizeof *catalogue->entries);
    bool fits = catalogue != NULL && catalogue->entries != NULL;
    size_t index;
    json_t *model;
    json_array_foreach (list, index, model)
        fits = fits && add_entry(models, old, catalogue, model, error);
    json_decref(list);
    if (!fits) {
        catalogue_destroy(catalogue);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    *out = catalogue;
    return APX_OK;
}

static void log_moves(const struct catalogue *old, const struct catalogue *new)
{
    for (size_t i = 0; i < new->entry_count; i++) {
        const struct entry *entry = &new->entries[i];
        for (size_t p = 0; p < entry->pointer_count; p++) {
            const struct pointer *pointer = &entry->pointers[p];
            struct apx_served *before = find_reference(find(old, entry->name), pointer->reference);
            if (pointer->served != NULL && pointer->served != before)
                APX_LOG(APX_LOG_INFO, "model_serving", APX_LOG_TEXT("model", entry->name),
                        APX_LOG_TEXT("reference", pointer->reference),
                        APX_LOG_TEXT("version", pointer->served->version_text),
                        APX_LOG_TEXT("before", before != NULL ? before->version_text : ""));
        }
    }
    for (size_t i = 0; old != NULL && i < old->entry_count; i++) {
        if (find(new, old->entries[i].name) == NULL)
            APX_LOG(APX_LOG_WARN, "model_gone", APX_LOG_TEXT("model", old->entries[i].name));
    }
}

/* Bring the catalogue in step; `asked`: even if no pointer moved, so that a version that was
 * refused for a reason since mended is tried again. The old one is read without the mutex: this
 * thread alone replaces it. */
static enum apx_status refresh(struct apx_models *models, bool asked, struct apx_error *error)
{
    uint64_t now = fingerprint(models->options.repository);
    if (now == models->fingerprint && models->catalogue != NULL && !asked)
        return APX_OK;
    struct catalogue *old = models->catalogue, *new;
    enum apx_status status = read_catalogue(models, old, &new, error);
    if (status != APX_OK)
        return status; /* the fingerprint stays: it is tried again */
    models->fingerprint = now;
    log_moves(old, new);
    pthread_mutex_lock(&models->mutex);
    models->catalogue = new;
    pthread_mutex_unlock(&models->mutex);
    catalogue_destroy(old);
    if (models->options.changed != NULL)
        models->options.changed(models->options.context);
    return APX_OK;
}

/* ---- the watching thread -------------------------------------------------------------------- */

static void retire(struct apx_served_owner *owner, struct apx_served *served)
{
    struct apx_models *models = (struct apx_models *)owner;
    pthread_mutex_lock(&models->mutex);
    served->next_retired = models->retired;
    models->retired = served;
    pthread_cond_signal(&models->wake);
    pthread_mutex_unlock(&models->mutex);
}

static void destroy_retired(struct apx_served *list)
{
    while (list != NULL) {
        struct apx_served *next = list->next_retired;
        APX_LOG(APX_LOG_INFO, "model_released", APX_LOG_TEXT("model", list->name),
                APX_LOG_INT("version", list->version));
        apx_served_destroy(list);
        list = next;
    }
}

static void *watch(void *argument)
{
    struct apx_models *models = argument;
    static struct apx_log_limit limit;
    /* Loading a version may take seconds of computing, which the calls need more. On Linux this
     * concerns the calling thread alone. */
    setpriority(PRIO_PROCESS, 0, WATCHER_NICE);
    pthread_mutex_lock(&models->mutex);
    while (!models->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += POLL_SECONDS;
        int waited = 0;
        while (!models->stopping && !models->look_now && models->retired == NULL && waited == 0)
            waited = pthread_cond_timedwait(&models->wake, &models->mutex, &until);
        bool asked = models->look_now;
        models->look_now = false;
        struct apx_served *retired = models->retired;
        models->retired = NULL;
        pthread_mutex_unlock(&models->mutex);
        destroy_retired(retired);
        struct apx_error error;
        int64_t omitted;
        if (refresh(models, asked, &error) != APX_OK && apx_log_allow(&limit, &omitted))
            APX_LOG(APX_LOG_ERROR, "repository_unreadable",
                    APX_LOG_TEXT("status", apx_status_name(error.status)),
                    APX_LOG_TEXT("message", error.message));
        pthread_mutex_lock(&models->mutex);
    }
    pthread_mutex_unlock(&models->mutex);
    return NULL;
}

void apx_models_wake(struct apx_models *models)
{
    pthread_mutex_lock(&models->mutex);
    models->look_now = true;
    pthread_cond_signal(&models->wake);
    pthread_mutex_unlock(&models->mutex);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* At start: is everything there that has to be? `cause` tells of the last version that failed. */
static enum apx_status check_start(const struct apx_models *models, const struct apx_error *cause,
                                   struct apx_error *error)
{
    const struct catalogue *catalogue = models->catalogue;
    for (int i = 0; i < models->options.name_count; i++) {
        const char *name = models->options.names[i];
        const struct entry *entry = find(catalogue, name);
        if (entry == NULL)
            return apx_fail(error, APX_ENOTFOUND, name, "no model \"%s\" in %s", name,
                            models->options.repository);
        if (entry->pointers[0].served == NULL) {
            if (cause->status != APX_OK)
                return apx_fail(error, cause->status, name, "%s", cause->message);
            return apx_fail(error, APX_ENOTFOUND, name, "model \"%s\" has no current version",
                            name);
        }
    }
    bool any = catalogue->entry_count == 0; /* an empty repository may yet be filled */
    for (size_t i = 0; i < catalogue->entry_count; i++) {
        for (size_t p = 0; p < catalogue->entries[i].pointer_count; p++)
            any = any || catalogue->entries[i].pointers[p].served != NULL;
    }
    if (!any && cause->status != APX_OK)
        return apx_fail(error, cause->status, cause->field, "no model could be loaded: %s",
                        cause->message);
    return APX_OK;
}

enum apx_status apx_models_create(const struct apx_models_options *options, struct apx_models **out,
                                  struct apx_error *error)
{
    *out = NULL;
    struct apx_models *models = calloc(1, sizeof *models);
    if (models == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    models->owner.retire = retire;
    models->options = *options;
    models->options.changed = NULL; /* not while it is being made */
    pthread_mutex_init(&models->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&models->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    struct apx_error cause = {0};
    enum apx_status status = apx_repo_open(options->repository, false, &models->repo, error);
    if (status == APX_OK) {
        status = refresh(models, false, &cause);
        if (status != APX_OK)
            apx_fail(error, status, cause.field, "%s", cause.message);
    }
    if (status == APX_OK)
        status = check_start(models, &cause, error);
    if (status == APX_OK && models->catalogue->entry_count == 0)
        APX_LOG(APX_LOG_WARN, "no_models", APX_LOG_TEXT("repository", options->repository));
    models->options.changed = options->changed;
    if (status == APX_OK) {
        int failed = pthread_create(&models->thread, NULL, watch, models);
        models->has_thread = failed == 0;
        if (failed != 0)
            status = apx_fail(error, APX_ENOMEM, "", "cannot start a thread: %s", strerror(failed));
    }
    if (status != APX_OK) {
        apx_models_destroy(models);
        return status;
    }
    *out = models;
    return APX_OK;
}

void apx_models_destroy(struct apx_models *models)
{
    if (models == NULL)
        return;
    if (models->has_thread) {
        pthread_mutex_lock(&models->mutex);
        models->stopping = true;
        pthread_cond_signal(&models->wake);
        pthread_mutex_unlock(&models->mutex);
        pthread_join(models->thread, NULL);
    }
    catalogue_destroy(models->catalogue);
    destroy_retired(models->retired);
    apx_repo_close(models->repo);
    pthread_cond_destroy(&models->wake);
    pthread_mutex_destroy(&models->mutex);
    free(models);
}

static bool is_digits(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

enum apx_status apx_models_acquire(struct apx_models *models, const char *name,
                                   const char *reference, struct apx_served **out,
                                   struct apx_error *error)
{
    pthread_mutex_lock(&models->mutex);
    const struct entry *entry = find(models->catalogue, name);
    struct apx_served *served = is_digits(reference)
                                    ? find_version(entry, strtoll(reference, NULL, 10))
                                    : find_reference(entry, reference);
    if (served != NULL)
        apx_served_ref(served);
    pthread_mutex_unlock(&models->mutex);
    *out = served;
    if (served != NULL)
        return APX_OK;
    if (entry == NULL)
        return apx_fail(error, APX_ENOTFOUND, "model", "no model \"%s\" is served", name);
    if (reference[0] == '\0')
        return apx_fail(error, APX_ENOTFOUND, "version", "model \"%s\" has no current version",
                        name);
    return apx_fail(error, APX_ENOTFOUND, "version",
                    "model \"%s\" has no version \"%s\" that current or an alias points at", name,
                    reference);
}

bool apx_models_serving(struct apx_models *models, const char *name, bool *known)
{
    bool serving = false;
    pthread_mutex_lock(&models->mutex);
    const struct catalogue *catalogue = models->catalogue;
    const struct entry *entry = find(catalogue, name);
    if (known != NULL)
        *known = name[0] == '\0' || entry != NULL;
    for (size_t i = 0; name[0] == '\0' && i < catalogue->entry_count; i++)
        serving = serving || catalogue->entries[i].pointers[0].served != NULL;
    serving = serving || (entry != NULL && entry->pointers[0].served != NULL);
    pthread_mutex_unlock(&models->mutex);
    return serving;
}
