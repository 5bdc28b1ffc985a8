/* SPDX-License-Identifier: Apache-2.0 */
/* models.h - which versions are served under which names, following the repository.
 *
 * Of each model, what `current` and the aliases point at is loaded. A pointer that moves has its
 * version loaded and tried beside the old one, and only then swapped in; a version that fails
 * leaves the old one in place. Calls under way finish on the version they started with. */
#ifndef APX_SERVE_MODELS_H
#define APX_SERVE_MODELS_H

#include "serve/served.h"

struct apx_models;

struct apx_models_options {
    const char *repository;
    const char *const *names; /* serve these; each must load for create to succeed */
    int name_count;           /* 0: all there are */
    int workers;
    const char *device, *cache;     /* as in apx_load_options */
    void (*changed)(void *context); /* something became served or ceased to be; may be NULL */
    void *context;
};

/* Loads what there is and starts to watch the repository.
 *   APX_ENOTFOUND, APX_EIO    the repository, or a model that was asked for (field: its name)
 *   what apx_served_load says about such a model, or about all models of the repository
 *   APX_ENOMEM */
enum apx_status apx_models_create(const struct apx_models_options *options, struct apx_models **out,
                                  struct apx_error *error);
/* No reference may be left but the catalogue's own. Accepts NULL. */
void apx_models_destroy(struct apx_models *models);
/* Look at the repository now instead of within a second. */
void apx_models_wake(struct apx_models *models);

/* reference: "" (current), digits or an alias. *out carries a reference of its own.
 *   APX_ENOTFOUND   (field "model" or "version") */
enum apx_status apx_models_acquire(struct apx_models *models, const char *name,
                                   const char *reference, struct apx_served **out,
                                   struct apx_error *error);
/* Is this model served; for "": is any? *known (may be NULL): is there such a model at all? */
bool apx_models_serving(struct apx_models *models, const char *name, bool *known);

#endif
