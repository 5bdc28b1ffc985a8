/* SPDX-License-Identifier: Apache-2.0 */
/* model_format.h - bytes of any model file to a graph: the file itself tells whose it is. */
#ifndef APX_MODEL_FORMAT_H
#define APX_MODEL_FORMAT_H

#include "runtime/model/graph.h"

enum apx_model_format { APX_MODEL_ONNX, APX_MODEL_XGBOOST, APX_MODEL_LIGHTGBM };
/* Told by the first bytes; what is neither is taken for ONNX. */
enum apx_model_format apx_model_format_guess(const void *data, size_t bytes);

/* Reads it with that format's reader, whose errors these are; directory: as for apx_onnx_read.
 *   APX_EUNSUPPORTED  also: a file known to be something else, such as a pickle, by its name */
enum apx_status apx_model_read(const void *data, size_t bytes, const char *directory,
                               const struct apx_allocator *allocator, struct apx_graph **out,
                               struct apx_error *error);

#endif
