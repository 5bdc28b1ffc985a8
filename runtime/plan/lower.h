/* SPDX-License-Identifier: Apache-2.0 */
/* lower.h - from nodes to steps.
 *
 * apx_lower_<name> (named in ops.def) turns one node into steps by calling emitters. An emitter
 * appends a step and returns the view of its result. The first failure sticks: emitters given NULL
 * return NULL, so a chain of them is checked once, by the driver. */
#ifndef APX_PLAN_LOWER_H
#define APX_PLAN_LOWER_H

#include "kernels/kernels.h"
#include "runtime/plan/plan.h"

struct apx_lowering {
    struct apx_program *program;
    const struct apx_graph *graph;
    struct apx_view **views; /* [value_count] NULL: not computed yet */
    bool *done;              /* [node_count] lowered together with an earlier node */
    bool *last_only; /* [node_count] recurrent layers whose y is read at the last step only */
    int node;        /* being lowered */
    enum apx_status status;
    struct apx_error *error;
};

/* Sets the sticky failure (field: the node's name) and returns NULL. */
void *apx_lower_fail(struct apx_lowering *lo, enum apx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A failure that has filled lo->error already sticks; false for a failure. */
bool apx_lower_check(struct apx_lowering *lo, enum apx_status status);
/* Zeroed memory of the plan, or NULL with APX_ENOMEM stuck. */
void *apx_lower_take(struct apx_lowering *lo, size_t count, size_t size);

/* ---- views --------------------------------------------------------------------------------- */

/* Input i of the node as a view; NULL if it is left out or after a failure. */
struct apx_view *apx_lower_in(struct apx_lowering *lo, const struct apx_node *node, int i);
/* The view of value v; constants, fills and integers known from the extents are made on demand. */
struct apx_view *apx_lower_value(struct apx_lowering *lo, int v);
/* Output i of the node is this view. */
void apx_lower_set(struct apx_lowering *lo, const struct apx_node *node, int i,
                   struct apx_view *view);
/* Constant input i as a graph value, or NULL if it is left out. A computed one is refused. */
const struct apx_value *apx_lower_constant(struct apx_lowering *lo, const struct apx_node *node,
                                           int i);
/* Constant integers of input i, at most `capacity` of them: *count is set, -1 if left out. */
bool apx_lower_integers(struct apx_lowering *lo, const struct apx_node *node, int i,
                        int64_t *values, int capacity, int *count);
/* Constant input i as `count` elements; NULL if it is left out, or is not that (`what`, which then
 * sticks as a failure). */
const void *apx_lower_array(struct apx_lowering *lo, const struct apx_node *node, int i,
                            enum apx_dtype dtype, int64_t count, const char *what);
/* Constant int8 matrix [rows, columns] of input i with *scales [rows] of input `scale`, as the
 * kernels want them: -128 has no counterpart, and a scale is finite and not negative. */
const int8_t *apx_lower_int8(struct apx_lowering *lo, const struct apx_node *node, int i,
                             int64_t rows, int64_t columns, const char *what, int scale,
                             const float **scales);
/* The same for expressions over the symbols. */
bool apx_lower_dims(struct apx_lowering *lo, const struct apx_node *node, int i,
                    struct apx_dim *dims, int capacity, int *count);
/* An axis attribute or element made non-negative; fails when outside of rank. */
int apx_lower_axis(struct apx_lowering *lo, int64_t axis, int rank);
/* Extents of value v's tensor. */
const struct apx_dim *apx_lower_extents(struct apx_lowering *lo, const struct apx_node *node,
                                        int i);

/* A view in a new arena slot; order: apx_view_make_dense. */
struct apx_view *apx_lower_new(struct apx_lowering *lo, enum apx_dtype dtype, int rank,
                               const struct apx_dim *extent, const int *order);
struct apx_view *apx_lower_clone(struct apx_lowering *lo, const struct apx_view *view);
/* fp32 constant with `count` elements, rank 1 (0 for scalar); data is copied. */
struct apx_view *apx_lower_floats(struct apx_lowering *lo, const float *data, size_t count);
struct apx_view *apx_lower_scalar(struct apx_lowering *lo, enum apx_dtype dtype, double value);
/* Constant storage for later filling: *data is writable until the program is finished. */
struct apx_view *apx_lower_storage(struct apx_lowering *lo, enum apx_dtype dtype, int rank,
                                   const int64_t *dims, void **data);

/* A step with room for operands, which are NULL. params_bytes 0: none. */
struct apx_step *apx_lower_step(struct apx_lowering *lo, const struct apx_step_class *type,
                                int in_count, int out_count, size_t params_bytes);

/* ---- emitters ------------------------------------------------------------------------------ */

/* Dense in its own axis order: the view itself, or a copy. */
struct apx_view *apx_emit_standard(struct apx_lowering *lo, struct apx_view *view);
/* Dense in some order, which is given: the view itself, or a copy in standard order. */
struct apx_view *apx_emit_packed(struct apx_lowering *lo, struct apx_view *view, int *order);
struct apx_view *apx_emit_copy(struct apx_lowering *lo, struct apx_view *view, const int *order);
struct apx_view *apx_emit_reshape(struct apx_lowering *lo, struct apx_view *view, int rank,
                                  const struct apx_dim *extent);
struct apx_view *apx_emit_unary(struct apx_lowering *lo, enum apx_unary op, struct apx_view *x,
                                float alpha, float beta);
struct apx_view *apx_emit_binary(struct apx_lowering *lo, enum apx_binary op, struct apx_view *a,
                                 struct apx_view *b);
struct apx_view *apx_emit_compare(struct apx_lowering *lo, enum apx_compare op, struct apx_view *a,
                                  struct apx_view *b);
struct apx_view *apx_emit_logic(struct apx_lowering *lo, enum apx_logic op, struct apx_view *a,
                                struct apx_view *b);
struct apx_view *apx_emit_where(struct apx_lowering *lo, struct apx_view *condition,
                                struct apx_view *a, struct apx_view *b);
struct apx_view *apx_emit_cast(struct apx_lowering *lo, struct apx_view *x, enum apx_dtype to);
/* Reduce over axes marked in the mask; result keeps reduced axes as 1 if keep. `last`: ties of
 * ARGMAX and ARGMIN. */
struct apx_view *apx_emit_reduce(struct apx_lowering *lo, enum apx_reduce op, bool last,
                                 struct apx_view *x, unsigned mask, bool keep);
struct apx_view *apx_emit_softmax(struct apx_lowering *lo, bool logarithm, struct apx_view *x,
                                  unsigned mask);
/* Over the masked axes, which end the shape; scale and bias: as many elements, or NULL. */
struct apx_view *apx_emit_layer_norm(struct apx_lowering *lo, struct apx_view *x, unsigned mask,
                                     float epsilon, const float *scale, const float *bias);
/* x divided by its norm along an axis; a norm of 0 counts as 1. */
struct apx_view *apx_emit_normalise(struct apx_lowering *lo, enum apx_reduce norm,
                                    struct apx_view *x, int axis);
struct apx_view *apx_emit_concat(struct apx_lowering *lo, struct apx_view **parts, int count,
                                 int axis);
struct apx_view *apx_emit_gather(struct apx_lowering *lo, struct apx_view *data,
                                 struct apx_view *indices, int axis);
/* y[.., O] = act(x[.., K] w + bias). w: element (o, k) at w[o*w_out + k*w_in], alive as long as the
 * plan; bias [O] or NULL. */
struct apx_view *apx_emit_dense(struct apx_lowering *lo, struct apx_view *x, size_t output,
                                const float *w, ptrdiff_t w_out, ptrdiff_t w_in, const float *bias,
                                struct apx_activation act);
/* The same of int8 weights w[O,K] with scale[O], -127 to 127. */
struct apx_view *apx_emit_dense_int8(struct apx_lowering *lo, struct apx_view *x, size_t output,
                                     struct apx_dense_int8 int8, const int8_t *w,
                                     const float *scale, const float *bias,
                                     struct apx_activation act);
/* a . b over the last two axes, the axes before broadcast; both of rank 2 or more. */
struct apx_view *apx_emit_product(struct apx_lowering *lo, struct apx_view *a, struct apx_view *b);

/* MatMul of a and b, vectors among them, with the extents of value `out`. */
struct apx_view *apx_lower_product(struct apx_lowering *lo, struct apx_view *a, struct apx_view *b,
                                   const struct apx_value *out);

/* ---- driver -------------------------------------------------------------------------------- */

typedef void apx_lower_fn(struct apx_lowering *lo, const struct apx_node *node);
#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower)                 \
    apx_lower_fn apx_lower_##lower;
#include "runtime/model/ops.def"
#undef APX_OP

/* Append steps for every live node and for the outputs; field and text of `error` on failure.
 * last_only: [node_count], see above. */
enum apx_status apx_lower_graph(struct apx_program *program, bool *last_only,
                                struct apx_error *error);

#endif
