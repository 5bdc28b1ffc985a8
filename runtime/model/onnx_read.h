/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_read.h - bytes of an ONNX file to a validated graph. */
#ifndef APX_MODEL_ONNX_READ_H
#define APX_MODEL_ONNX_READ_H

#include "runtime/model/graph.h"

/* Read ONNX bytes. The bytes may come from anywhere: every size, index, name and nesting depth is
 * checked against the limits in graph.h before it is used. Local functions are inlined; dead nodes
 * are dropped; nodes end up in topological order. Tensors in external files are read from
 * `directory` (NULL: refused), never from outside of it. `allocator` may be
 * NULL (malloc). *out is NULL on failure.
 *   APX_EFORMAT, APX_EUNSUPPORTED (an unknown operator: its name and node), APX_ELIMIT, APX_ENOMEM
 */
enum apx_status apx_onnx_read(const void *data, size_t bytes, const char *directory,
                              const struct apx_allocator *allocator, struct apx_graph **out,
                              struct apx_error *error);

#endif
