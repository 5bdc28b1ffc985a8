/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_build.h - write ONNX files, node by node.
 *
 * The builder remembers its first failure; adders after it do nothing, and apx_onnx_write reports
 * it. So a caller checks once. All text and data are copied. IR version 8; call apx_onnx_opset for
 * each domain. */
#ifndef APX_RUNTIME_ONNX_BUILD_H
#define APX_RUNTIME_ONNX_BUILD_H

#include "runtime/auspex.h"

struct apx_onnx;

/* NULL if out of memory. */
struct apx_onnx *apx_onnx_create(const char *graph_name);
void apx_onnx_destroy(struct apx_onnx *onnx); /* accepts NULL */

void apx_onnx_opset(struct apx_onnx *onnx, const char *domain, int64_t version);
void apx_onnx_metadata(struct apx_onnx *onnx, const char *key, const char *value);
/* dims[i]: a decimal number, or the name of a free dimension. */
void apx_onnx_input(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                    const char *const *dims);
void apx_onnx_output(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                     const char *const *dims);
/* A constant, dense row-major. */
void apx_onnx_tensor(struct apx_onnx *onnx, const char *name, enum apx_dtype dtype, int rank,
                     const int64_t *dims, const void *data);
/* A node; the attribute functions below apply to the node added last. An empty input name leaves an
 * optional input out. */
void apx_onnx_node(struct apx_onnx *onnx, const char *domain, const char *op_type, const char *name,
                   const char *const *inputs, int input_count, const char *const *outputs,
                   int output_count);
void apx_onnx_int(struct apx_onnx *onnx, const char *attribute, int64_t value);
void apx_onnx_float(struct apx_onnx *onnx, const char *attribute, float value);
void apx_onnx_text(struct apx_onnx *onnx, const char *attribute, const char *value);
void apx_onnx_ints(struct apx_onnx *onnx, const char *attribute, const int64_t *values, int count);
void apx_onnx_floats(struct apx_onnx *onnx, const char *attribute, const float *values, int count);
void apx_onnx_texts(struct apx_onnx *onnx, const char *attribute, const char *const *values,
                    int count);
/* A tensor as an attribute, dense row-major. */
void apx_onnx_tensor_attribute(struct apx_onnx *onnx, const char *attribute, enum apx_dtype dtype,
                               int rank, const int64_t *dims, const void *data);

/* The attribute has the value that the call of the function gives to the function's attribute. */
enum apx_onnx_kind { APX_ONNX_INT, APX_ONNX_FLOAT };
void apx_onnx_reference(struct apx_onnx *onnx, const char *attribute, enum apx_onnx_kind kind,
                        const char *of_function);

/* A function that the model brings along: nodes added up to the matching apx_onnx_end are its body.
 * Its nodes are of ai.onnx under `opset`. */
void apx_onnx_function_begin(struct apx_onnx *onnx, const char *domain, const char *name,
                             int64_t opset, const char *const *inputs, int input_count,
                             const char *const *outputs, int output_count,
                             const char *const *attributes, int attribute_count);
/* A graph as an attribute of the node added last; inputs, outputs, tensors and nodes added up to
 * the matching apx_onnx_end are its. */
void apx_onnx_graph_begin(struct apx_onnx *onnx, const char *attribute, const char *name);
void apx_onnx_end(struct apx_onnx *onnx);

/* Write the file so that a kill leaves the old one or the new one (temporary file, sync, rename).
 */
enum apx_status apx_onnx_write(struct apx_onnx *onnx, const char *path, struct apx_error *error);
/* The bytes instead; release with free(). */
enum apx_status apx_onnx_write_memory(struct apx_onnx *onnx, void **data, size_t *bytes,
                                      struct apx_error *error);

#endif
