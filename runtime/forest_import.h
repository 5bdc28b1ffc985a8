/* SPDX-License-Identifier: Apache-2.0 */
/* forest_import.h - a model of XGBoost or LightGBM as an ONNX file. */
#ifndef APX_RUNTIME_FOREST_IMPORT_H
#define APX_RUNTIME_FOREST_IMPORT_H

#include "runtime/auspex.h"

/* What was written. */
struct apx_import_report {
    char source[128]; /* "xgboost 3.1.0, binary:logistic" */
    const char *op;   /* the operator that holds the trees; static */
    enum apx_dtype dtype;
    size_t trees, splits, leaves, features, outputs;
    size_t sets; /* columns that sets of categories became */
    size_t bytes;
};

/* Read the file `source`, XGBoost's JSON or UBJSON or LightGBM's text, and write the ONNX file
 * `target`, whole or not at all. The graph has the input "input" [rows, features] and the output
 * "output" [rows, outputs] of the library's predict(), and runs wherever ai.onnx.ml does.
 *   APX_ENOTFOUND, APX_EIO   a file cannot be read or written
 *   APX_EFORMAT              neither format, or damaged
 *   APX_EUNSUPPORTED         what ONNX cannot say; what is ONNX already
 *   APX_ELIMIT, APX_ENOMEM */
enum apx_status apx_forest_import(const char *source, const char *target,
                                  struct apx_import_report *report, struct apx_error *error);

#endif
