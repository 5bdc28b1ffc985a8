/* SPDX-License-Identifier: Apache-2.0 */
/* infer.h - what inference functions and the lowering share: arguments of nodes in normal form.
 *
 * One function per `infer` column of ops.def, apx_infer_<name>: reads the node's inputs, which are
 * inferred already, and sets its outputs. Such a function may be called twice for one node: when it
 * finds that two symbols are one, the merge happens at once and the node is inferred again. */
#ifndef APX_MODEL_INFER_H
#define APX_MODEL_INFER_H

#include "runtime/model/graph.h"

#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower)                 \
    enum apx_status apx_infer_##infer(struct apx_graph *graph, struct apx_node *node,              \
                                      struct apx_error *error);
#include "runtime/model/ops.def"
#undef APX_OP

/* ---- arguments in normal form; also for the lowering, after apx_graph_infer */

/* Input or output `i` of the node; NULL if it is left out or there are fewer. */
struct apx_value *apx_node_in(const struct apx_graph *graph, const struct apx_node *node, int i);
struct apx_value *apx_node_out(const struct apx_graph *graph, const struct apx_node *node, int i);

/* The value's integers if all are known numbers: fills at most `limit`, sets *count. False if it is
 * NULL, not known, or longer than `limit`. */
bool apx_value_ints(const struct apx_value *value, int limit, int64_t *ints, int *count);
/* The one number in a constant (or filled) value, of any element type; false if it is none. */
bool apx_value_number(const struct apx_value *value, double *number);
/* False: an int64 of which the double may be a neighbour. */
bool apx_fill_is_exact(enum apx_dtype dtype, double number);

/* Attribute or input axis in [-rank, rank) to [0, rank). APX_EFORMAT outside. */
enum apx_status apx_node_axis(const struct apx_node *node, int64_t axis, int rank, int *out,
                              struct apx_error *error);
/* Axes given by input `i` as is_axis[rank]; *given is false if the input is left out or empty.
 * APX_EUNSUPPORTED if they are not known, APX_EFORMAT if one is outside or given twice. */
enum apx_status apx_node_axes(const struct apx_graph *graph, const struct apx_node *node, int i,
                              int rank, bool *is_axis, bool *given, struct apx_error *error);

/* One axis of a Slice: elements start, start+step, ... (extent of them). A call must have
 * 0 <= start and, if extent > 0, 0 <= start + (extent-1)*step < the input's extent; it is to be
 * refused otherwise: with free extents, clipping to the input cannot be an expression. */
struct apx_slice_axis {
    struct apx_dim start, extent;
    int64_t step; /* never 0 */
};
/* axes[rank of input 0]. */
enum apx_status apx_node_slice(const struct apx_graph *graph, const struct apx_node *node,
                               struct apx_slice_axis *axes, struct apx_error *error);

/* ---- for inference functions */

/* Set output `i`, if it is wanted. APX_ELIMIT for a rank above APX_MAX_RANK. */
enum apx_status apx_infer_set(struct apx_graph *graph, const struct apx_node *node, int i,
                              enum apx_dtype dtype, int rank, const struct apx_dim *dims,
                              struct apx_error *error);
/* Follow the elements of output `i` (rank 0 or 1); nothing happens if one is unknown, if there are
 * too many or if the output is not wanted. */
enum apx_status apx_infer_follow(struct apx_graph *graph, const struct apx_node *node, int i,
                                 const struct apx_dim *elems, int count, struct apx_error *error);
/* Output `i` is filled if `from` is, with the same number. */
void apx_infer_fill(struct apx_graph *graph, const struct apx_node *node, int i,
                    const struct apx_value *from);
/* The two extents are one: symbols merge, a symbol takes on a number. APX_EFORMAT if they differ,
 * APX_EUNSUPPORTED if that cannot be told. `what` names them in the message. */
enum apx_status apx_infer_meet(struct apx_graph *graph, const struct apx_node *node,
                               const struct apx_dim *a, const struct apx_dim *b, const char *what,
                               struct apx_error *error);
/* Multidirectional broadcast of [*rank] dims with other[other_rank], in place. */
enum apx_status apx_infer_broadcast_dims(struct apx_graph *graph, const struct apx_node *node,
                                         struct apx_dim *dims, int *rank,
                                         const struct apx_dim *other, int other_rank,
                                         struct apx_error *error);
/* Product of dims[count]; unknown if it does not fit. */
struct apx_dim apx_infer_product(const struct apx_dim *dims, int count);
/* Elements from start towards end, end excluded; unknown if that is no expression. step != 0. */
struct apx_dim apx_infer_range_extent(const struct apx_dim *start, const struct apx_dim *end,
                                      int64_t step);
/* APX_EFORMAT unless the value, if there is one, has that rank. */
enum apx_status apx_infer_need_rank(const struct apx_node *node, const struct apx_value *value,
                                    const char *what, int rank, struct apx_error *error);
/* Input `i`, if given, is dims[rank]: ranks are compared, extents meet. */
enum apx_status apx_infer_need_dims(struct apx_graph *graph, const struct apx_node *node, int i,
                                    const char *what, int rank, const struct apx_dim *dims,
                                    struct apx_error *error);
/* Output 0 as MatMul of inputs 0 and `second` has it, of type dtype. */
enum apx_status apx_infer_matrix_product(struct apx_graph *graph, struct apx_node *node, int second,
                                         enum apx_dtype dtype, struct apx_error *error);
/* APX_EFORMAT unless all inputs given have the dtype of input 0. */
enum apx_status apx_infer_same_dtype(const struct apx_graph *graph, const struct apx_node *node,
                                     struct apx_error *error);

#endif
