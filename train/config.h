/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - a training run as its YAML file and --set options describe it.
 *
 * Strict: an unknown key, a wrong type, a number out of its bounds or a key given twice is an error
 * with file, line and what was expected. Relative paths are relative to the file. config.def lists
 * the keys. */
#ifndef APX_TRAIN_CONFIG_H
#define APX_TRAIN_CONFIG_H

#include <stdio.h>

#include "train/net.h"

#define APX_LIMIT_CONFIG_BYTES ((size_t)1 << 20)
#define APX_LIMIT_CONFIG_TEXT  4096 /* bytes of one value */

struct apx_config_texts {
    size_t count;
    char **item; /* [count], owned */
};
struct apx_config_widths {
    size_t count;
    size_t item[APX_NET_LAYERS];
};

/* The enums follow the order of the words in config.def. */
enum apx_config_missing { APX_MISSING_DROP, APX_MISSING_INTERPOLATE, APX_MISSING_ERROR };
enum apx_config_scaler { APX_SCALER_STANDARD, APX_SCALER_MINMAX };
enum apx_config_act { APX_CONFIG_NONE, APX_CONFIG_RELU, APX_CONFIG_TANH, APX_CONFIG_SIGMOID };
enum apx_config_decay { APX_DECAY_NONE, APX_DECAY_EXPONENTIAL, APX_DECAY_COSINE };

struct apx_train_config {
    char *path;   /* the file's */
    char *folder; /* its directory, for relative paths */

    uint64_t seed;
    struct apx_config_texts files, columns, targets, units;
    char *time, *separator; /* NULL: null */
    int missing;            /* enum apx_config_missing */
    size_t missing_limit;
    size_t steps, horizon;
    double split_train, split_validation, split_test;
    int scaler; /* enum apx_config_scaler */
    int cell;   /* enum apx_net_cell */
    struct apx_config_widths layers, dense;
    int activation; /* enum apx_config_act */
    double dropout;
    bool residual;
    size_t epochs, batch;
    int loss; /* enum apx_learner_loss */
    double huber_delta, learning_rate;
    int decay; /* enum apx_config_decay */
    double decay_factor, decay_floor, clip_norm, l2;
    size_t patience;
    double min_delta, beta1, beta2, epsilon;
    size_t season;
    char *name, *directory, *repository;
};

/* Read the file, apply sets[set_count] ("key=value", the value as YAML) and check what several keys
 * say together. On failure there is nothing to release.
 *   APX_ENOTFOUND, APX_EIO; APX_EFORMAT not YAML; APX_EINVAL a key or value (field: the key);
 *   APX_ELIMIT; APX_ENOMEM */
enum apx_status apx_train_config_read(const char *path, const char *const *sets, size_t set_count,
                                      struct apx_train_config *config, struct apx_error *error);
/* The same from `bytes` bytes of YAML at `text`; `name` stands for the file in messages and for
 * relative paths. */
enum apx_status apx_train_config_parse(const char *name, const char *text, size_t bytes,
                                       const char *const *sets, size_t set_count,
                                       struct apx_train_config *config, struct apx_error *error);
void apx_train_config_fini(struct apx_train_config *config);

/* `path` as seen from the file's folder; released with free(). NULL if out of memory. */
char *apx_train_config_path(const struct apx_train_config *config, const char *path);

/* All keys as YAML that reads back to the same configuration. `output` false: without the section
 * output, which does not change what is learnt: the text whose hash names the configuration. */
void apx_train_config_write(const struct apx_train_config *config, bool output, FILE *file);
/* The keys with defaults and help, for people. */
void apx_train_config_help(FILE *file);

#endif
