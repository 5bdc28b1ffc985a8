/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_take_in.h - one file of a model that keeps tensors in files beside it. */
#ifndef APX_MODEL_ONNX_TAKE_IN_H
#define APX_MODEL_ONNX_TAKE_IN_H

#include "runtime/auspex.h"

/* The model with all its data inside: *out_bytes bytes at *out, for free(); *out NULL if it has
 * them inside already, or is no ONNX file. directory: that of the model's file. Whether the model
 * can be loaded is not looked at.
 *   APX_EFORMAT  a place outside of the directory, or a file too short there
 *   APX_EIO (no such file), APX_ELIMIT (more than APX_LIMIT_FILE_BYTES), APX_EUNSUPPORTED (a type
 *   of tensor), APX_ENOMEM */
enum apx_status apx_onnx_take_in(const void *data, size_t bytes, const char *directory, void **out,
                                 size_t *out_bytes, struct apx_error *error);

#endif
