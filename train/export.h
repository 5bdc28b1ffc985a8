/* SPDX-License-Identifier: Apache-2.0 */
/* export.h - the trained network with its scalers as one ONNX file, and the proof that it is the
 * same network.
 *
 *   input  window   [rows, steps, features]      real units
 *   output forecast [rows, horizon * targets]    real units, all targets of the first row ahead,
 *                                                then those of the second, ...
 * Opset 17. Metadata of the file: auspex_version, config_sha256, trained_on (SHA-256 over those of
 * the data files), seed, steps, horizon, step_seconds, features, targets, units (JSON lists). */
#ifndef APX_TRAIN_EXPORT_H
#define APX_TRAIN_EXPORT_H

#include "train/evaluate.h"

struct apx_export_names {
    char config_sha256[65];
    char data_sha256[65]; /* over the files' own, one a line */
};

void apx_export_data_sha256(const struct apx_dataset *data, char hex[65]);

/* Errors: those of apx_onnx_write; APX_ENOMEM. */
enum apx_status apx_export_onnx(const struct apx_train_config *config,
                                const struct apx_dataset *data, const struct apx_parts *parts,
                                const struct apx_net *net, const float *params,
                                const struct apx_export_names *names, const char *path,
                                struct apx_error *error);

/* How far the engine's forecasts may lie from the trainer's: a share of the target's scale, plus a
 * few units in the last place of float32, since real units may be far larger than their spread. */
#define APX_EXPORT_TOLERANCE 1e-5
#define APX_EXPORT_ULPS      4

struct apx_export_match {
    size_t windows;
    double worst; /* largest difference in real units */
    double share; /* largest difference as a share of its target's scale */
    double
        allowed; /* largest difference as a share of what is tolerated: at most 1 if it matches */
};

/* Run the file on the raw test windows and compare with `expected` [test windows, outputs].
 *   APX_ECONFLICT: they differ by more than is tolerated; what loading and running report */
enum apx_status apx_export_read_back(const struct apx_dataset *data, const struct apx_parts *parts,
                                     const struct apx_learner_data *shape, const char *path,
                                     int threads, const float *expected,
                                     struct apx_export_match *match, struct apx_error *error);

#endif
