/* SPDX-License-Identifier: Apache-2.0 */
/* repo.h - the model repository: immutable versions, and pointers to them.
 *
 *   DIR/<model>/<version>/model.onnx       versions 1, 2, 3, ...; or model.json or model.ubj
 *                                          (XGBoost), model.txt (LightGBM): exactly one of them
 *   DIR/<model>/<version>/metadata.json    metrics, config hash, data SHA-256, environment, parent;
 *                                          created, model_sha256, model_bytes are added
 *   DIR/<model>/current.json               {"version": N, "since", "previous"}: what is served by
 *                                          default; without this file the newest version is, so
 *                                          that a directory laid out by hand is a repository
 *   DIR/<model>/aliases.json               {"canary": N, ...}
 *   DIR/<model>/promotions/promotion-<UTC>.json   one record for every move of a pointer
 *
 * A kill at any instant leaves the old or the new state: versions are built in a hidden directory
 * and renamed; pointers are written beside, synced and renamed; what a killed writer left is swept
 * by the next. A move's record is written before the move: a kill between the two leaves a record
 * too many, never a move without one. Writers of one model exclude each
 * other with a lock on DIR/<model>/.lock. Readers need no lock. Model names and aliases: 1 to 128
 * of [A-Za-z0-9._-], not starting with '.'; an alias is not all digits. */
#ifndef APX_RUNTIME_REPO_H
#define APX_RUNTIME_REPO_H

#include "runtime/auspex.h"

#define APX_LIMIT_MODEL_NAME 128

struct apx_repo;

/* Open DIR; it is made if `create`. Errors: APX_ENOTFOUND, APX_EIO, APX_ENOMEM. */
enum apx_status apx_repo_open(const char *directory, bool create, struct apx_repo **out,
                              struct apx_error *error);
void apx_repo_close(struct apx_repo *repo); /* accepts NULL */

/* Copy the model file in, as it is, as the next version; it must load first (a bad model never
 * becomes a version). Tensors that an ONNX file keeps in files beside it come into the copy. What
 * it is stored as follows from its content, not from its name. metadata_json: text of a JSON
 * object, or NULL. The first version of a model also becomes current. APX_EINVAL (name, metadata),
 * what apx_model_load says, APX_EIO */
enum apx_status apx_repo_add(struct apx_repo *repo, const char *model, const char *file,
                             const char *metadata_json, int64_t *version, struct apx_error *error);

struct apx_repo_move {
    const char *who; /* NULL: the process owner's login name */
    const char *why; /* NULL: "" */
};
/* Point current at `version` and record the move; if it is there already, nothing changes.
 * APX_ENOTFOUND: no such model or version.
 * APX_EFORMAT: the model file is damaged (apx_repo_verify). */
enum apx_status apx_repo_promote(struct apx_repo *repo, const char *model, int64_t version,
                                 const struct apx_repo_move *move, struct apx_error *error);
/* Point current back at what it pointed at before the last move; a second rollback undoes the
 * first. *version: the new current.
 *   APX_ECONFLICT: there is nothing to go back to */
enum apx_status apx_repo_rollback(struct apx_repo *repo, const char *model,
                                  const struct apx_repo_move *move, int64_t *version,
                                  struct apx_error *error);
/* Point an alias at a version; version 0 removes the alias. */
enum apx_status apx_repo_alias(struct apx_repo *repo, const char *model, const char *alias,
                               int64_t version, const struct apx_repo_move *move,
                               struct apx_error *error);
/* Delete all versions but the `keep` newest (at least 1, so that no number is ever used again) and
 * those that current or an alias point at or a rollback would go back to. *removed: how many went.
 */
enum apx_status apx_repo_prune(struct apx_repo *repo, const char *model, int64_t keep,
                               int64_t *removed, struct apx_error *error);

/* reference: "" (current), digits (a version) or an alias. path (may be NULL) gets the model file's
 * path, at most path_size bytes with the NUL.
 *   APX_ENOTFOUND (field: "model" or "version"), APX_EFORMAT (a damaged pointer file, or, for the
 *   path, a version with two model files), APX_ELIMIT
 */
enum apx_status apx_repo_resolve(struct apx_repo *repo, const char *model, const char *reference,
                                 int64_t *version, char *path, size_t path_size,
                                 struct apx_error *error);

/* Compare the model file with the checksum in its metadata; a version laid out by hand has none and
 * passes. *is_checked (may be NULL): whether there was one.
 *   APX_EFORMAT: they differ, or there are two model files. APX_ENOTFOUND, APX_EIO */
enum apx_status apx_repo_verify(struct apx_repo *repo, const char *model, int64_t version,
                                bool *is_checked, struct apx_error *error);

/* Everything there is as JSON: [{"model","current","previous","versions":[{"version","created",
 * "file","bytes","sha256","metrics"}],"aliases":{...}}]. A model whose pointer files are damaged
 * has "error" instead of what they say, and so has a version with two model files. Release with
 * apx_string_release. */
enum apx_status apx_repo_list(struct apx_repo *repo, char **json, struct apx_error *error);

#endif
