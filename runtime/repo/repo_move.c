/* SPDX-License-Identifier: Apache-2.0 */
/* repo_move.c - move a pointer, and write down who moved it, when and why. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/repo/repo_files.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void login_name(char *name, size_t size)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) == 0 && found != NULL)
        snprintf(name, size, "%s", found->pw_name);
    else
        snprintf(name, size, "uid %ld", (long)geteuid());
}

/* Writes promotions/promotion-<UTC>.json under a name that nobody has. path gets it. */
static enum apx_status write_record(const struct apx_repo *repo, const char *model,
                                    const char *action, const char *alias, int64_t from, int64_t to,
                                    const struct apx_repo_move *move, char path[APX_REPO_PATH],
                                    struct apx_error *error)
{
    char time[32], login[256], name[64];
    struct stat about;
    apx_repo_path(repo, model, 0, "promotions", path);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return apx_fail(error, APX_EIO, path, "cannot make %s: %s", path, strerror(errno));
    do { /* the lock is held: only the clock's grain can give a name twice */
        apx_repo_time(time);
        snprintf(name, sizeof name, "promotions/promotion-%s.json", time);
        apx_repo_path(repo, model, 0, name, path);
    } while (stat(path, &about) == 0);
    login_name(login, sizeof login);
    const char *who = move != NULL && move->who != NULL ? move->who : login;
    const char *why = move != NULL && move->why != NULL ? move->why : "";
    json_error_t problem;
    json_t *record = json_pack_ex(&problem, 0, "{s:s, s:s, s:s, s:s*, s:o, s:o, s:s, s:s}", "time",
                                  time, "action", action, "model", model, "alias", alias, "from",
                                  from > 0 ? json_integer(from) : json_null(), "to",
                                  to > 0 ? json_integer(to) : json_null(), "who", who, "why", why);
    if (record == NULL && json_error_code(&problem) == json_error_invalid_utf8)
        return apx_fail(error, APX_EINVAL, "who", "who and why must be UTF-8 text");
    return apx_repo_write_object(path, record, error);
}

enum apx_status apx_repo_move_current(const struct apx_repo *repo, const char *model,
                                      const char *action, int64_t from, int64_t version,
                                      const struct apx_repo_move *move, struct apx_error *error)
{
    char record[APX_REPO_PATH], path[APX_REPO_PATH], time[32];
    enum apx_status status =
        write_record(repo, model, action, NULL, from, version, move, record, error);
    if (status != APX_OK)
        return status;
    apx_repo_time(time);
    json_t *object = from > 0
                         ? json_pack("{s:I, s:s, s:I}", "version", (json_int_t)version, "since",
                                     time, "previous", (json_int_t)from)
                         : json_pack("{s:I, s:s}", "version", (json_int_t)version, "since", time);
    apx_repo_path(repo, model, 0, "current.json", path);
    status = apx_repo_write_object(path, object, error);
    if (status != APX_OK)
        unlink(record);
    return status;
}

static enum apx_status no_such_version(const char *model, int64_t version, struct apx_error *error)
{
    return apx_fail(error, APX_ENOTFOUND, "version", "model \"%s\" has no version %lld", model,
                    (long long)version);
}

/* A model laid out by hand has no current.json until its first move: the newest version is current,
 * and stays so. The caller holds the lock. */
static enum apx_status settle_current(struct apx_repo *repo, const char *model,
                                      struct apx_repo_current *current, struct apx_error *error)
{
    enum apx_status status = apx_repo_read_current(repo, model, current, error);
    if (status != APX_OK || current->version > 0)
        return status;
    return apx_repo_resolve(repo, model, "", &current->version, NULL, 0, error);
}

enum apx_status apx_repo_promote(struct apx_repo *repo, const char *model, int64_t version,
                                 const struct apx_repo_move *move, struct apx_error *error)
{
    int lock;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status == APX_OK)
        status = apx_repo_lock(repo, model, &lock, error);
    if (status != APX_OK)
        return status;
    struct apx_repo_current current;
    if (!apx_repo_has_version(repo, model, version))
        status = no_such_version(model, version, error);
    if (status == APX_OK)
        status = apx_repo_verify(repo, model, version, NULL, error);
    if (status == APX_OK)
        status = settle_current(repo, model, &current, error);
    if (status == APX_OK && version != current.version)
        status =
            apx_repo_move_current(repo, model, "promote", current.version, version, move, error);
    apx_repo_unlock(lock);
    return status;
}

enum apx_status apx_repo_rollback(struct apx_repo *repo, const char *model,
                                  const struct apx_repo_move *move, int64_t *version,
                                  struct apx_error *error)
{
    int lock;
    struct apx_repo_current current;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status == APX_OK)
        status = apx_repo_lock(repo, model, &lock, error);
    if (status != APX_OK)
        return status;
    status = apx_repo_read_current(repo, model, &current, error);
    if (status == APX_OK && current.previous == 0)
        status = apx_fail(error, APX_ECONFLICT, "model",
                          "model \"%s\" has nothing to go back to: current never moved", model);
    else if (status == APX_OK && !apx_repo_has_version(repo, model, current.previous))
        status = apx_fail(error, APX_ECONFLICT, "version",
                          "version %lld of model \"%s\" is gone: promote another",
                          (long long)current.previous, model);
    if (status == APX_OK)
        status = apx_repo_move_current(repo, model, "rollback", current.version, current.previous,
                                       move, error);
    if (status == APX_OK)
        *version = current.previous;
    apx_repo_unlock(lock);
    return status;
}

enum apx_status apx_repo_alias(struct apx_repo *repo, const char *model, const char *alias,
                               int64_t version, const struct apx_repo_move *move,
                               struct apx_error *error)
{
    char path[APX_REPO_PATH], record[APX_REPO_PATH];
    int lock;
    json_t *aliases = NULL;
    enum apx_status status = apx_repo_check_name("model", model, error);
    if (status == APX_OK)
        status = apx_repo_check_name("alias", alias, error);
    if (status == APX_OK && strspn(alias, "0123456789") == strlen(alias))
        status =
            apx_fail(error, APX_EINVAL, "alias", "alias \"%s\" would read as a version", alias);
    /* One that exists, from before this rule, can still be removed. */
    if (status == APX_OK && version != 0 && strcmp(alias, "current") == 0)
        status = apx_fail(error, APX_EINVAL, "alias",
                          "alias \"current\" would read as the current version: promote moves it");
    if (status == APX_OK)
        status = apx_repo_lock(repo, model, &lock, error);
    if (status != APX_OK)
        return status;
    if (version != 0 && !apx_repo_has_version(repo, model, version))
        status = no_such_version(model, version, error);
    if (status == APX_OK)
        status = apx_repo_read_aliases(repo, model, &aliases, error);
    if (status != APX_OK)
        goto done;
    int64_t from = json_integer_value(json_object_get(aliases, alias));
    if (version == 0 && from == 0) {
        status = apx_fail(error, APX_ENOTFOUND, "alias", "model \"%s\" has no alias \"%s\"", model,
                          alias);
        goto done;
    }
    status = write_record(repo, model, version > 0 ? "alias" : "unalias", alias, from, version,
                          move, record, error);
    if (status != APX_OK)
        goto done;
    int changed = version > 0 ? json_object_set_new(aliases, alias, json_integer(version))
                              : json_object_del(aliases, alias);
    apx_repo_path(repo, model, 0, "aliases.json", path);
    if (changed == 0)
        status = apx_repo_write_object(path, json_incref(aliases), error);
    else
        status = apx_fail(error, APX_ENOMEM, path, "out of memory for %s", path);
    if (status != APX_OK)
        unlink(record);
done:
    json_decref(aliases);
    apx_repo_unlock(lock);
    return status;
}
