/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_plan.h - what becomes of each layer; shared by the files of this folder. */
#ifndef APX_MODEL_QUANTIZE_PLAN_H
#define APX_MODEL_QUANTIZE_PLAN_H

#include "runtime/model/graph.h"
#include "runtime/model/quantize/quantized_body.h"
#include "runtime/quantize.h"

#define APX_QUANTIZE_LOOP_OUTPUTS 4

/* A layer that the file writes as a Loop: the values outside of it, by their names in the file. */
struct apx_quantized_loop {
    int node;              /* of the graph: the operator that the reader put in its place */
    size_t at;             /* of the file's graph: the Loop */
    const char *sequence;  /* [T,N,I] of which step t reads [t] */
    const char *trips;     /* how many steps; a number */
    const char *states[2]; /* h, c [N,H] before the first step; NULL: none */
    const char *last[2];   /* h, c after the last, NULL: not read */
    const char *y[APX_QUANTIZE_LOOP_OUTPUTS]; /* [T,N,H] */
    int y_count;
};

/* All such layers of a graph as it was read, before inference: loops[*count], the graph's memory.
 * APX_ENOMEM. model: Onnx__ModelProto. */
enum apx_status apx_quantize_find_loops(struct apx_graph *graph, const void *model,
                                        struct apx_quantized_loop **loops, size_t *count,
                                        struct apx_error *error);

/* A layer with its int8 weights. Memory is the graph's. */
struct apx_quantized_layer {
    struct apx_quantized_variant variant;
    int node;                              /* of the graph */
    const struct apx_quantized_loop *loop; /* NULL: an LSTM or GRU node of the file */
    int directions, gates;
    int64_t input, hidden;
    float input_scale;    /* 0: W stays float */
    float input_bound;    /* the |x| that it is made for */
    const int8_t *w, *r;  /* [directions, gates*hidden, input or hidden]; w NULL: stays float */
    const float *w_float; /* then */
    const float *w_scale, *r_scale; /* [directions, gates*hidden] */
    const float *bias;              /* [directions, 2*gates*hidden] or NULL: none in the file */
};

/* Node `node` of the inferred and simplified graph, an LSTM or GRU. APX_EUNSUPPORTED: it cannot be
 * quantised, the error's text says why; APX_ENOMEM. */
enum apx_status apx_quantize_layer_make(struct apx_graph *graph, int node, int64_t opset,
                                        const struct apx_quantize_options *options,
                                        const char *name, struct apx_quantized_layer *layer,
                                        struct apx_error *error);

/* A dense layer with its int8 weights. Memory is the graph's. */
struct apx_quantized_dense {
    int64_t opset, input, output;
    int levels;
    float input_scale, input_bound;
    const int8_t *w;      /* [output, input] */
    const float *w_scale; /* [output] */
    const float *bias;    /* [output] or NULL */
};

/* Whether the LSTM or GRU has all of the operator's default activations. */
bool apx_quantize_has_defaults(const struct apx_node *node);
/* Whether the node is a product with a constant matrix. */
bool apx_quantize_is_dense(const struct apx_graph *graph, const struct apx_node *node);
/* As apx_quantize_layer_make, for such a node. *wants_range: it is for lack of a range alone that
 * it cannot. */
enum apx_status apx_quantize_dense_make(struct apx_graph *graph, int node,
                                        const struct apx_quantize_options *options,
                                        const char *name, struct apx_quantized_dense *dense,
                                        bool *wants_range, struct apx_error *error);

/* ---- what both kinds need ----------------------------------------------------------------------
 */

/* The scale of value v where it is the input of the layer `name`: of the options' range, or 1 / L
 * for what lies in [-1, 1] whatever the data are; 0: nothing is known. *bound: the |v| that it is
 * made for. */
float apx_quantize_input_scale(const struct apx_graph *graph, int v,
                               const struct apx_quantize_options *options, const char *name,
                               float *bound);
/* Whether a layer is among what makes value v, as far as first operands tell. */
bool apx_quantize_is_computed(const struct apx_graph *graph, int v);
/* Rows of `columns` weights as integers and scales, in the options' levels or in those that suit
 * each row. False: a weight is not finite. */
bool apx_quantize_rows(const float *from, size_t rows, size_t columns,
                       const struct apx_quantize_options *options, int8_t *to, float *scales);

/* A node of the file and what takes its place: one of the two. */
struct apx_quantize_item {
    size_t at; /* in the file's graph */
    const struct apx_quantized_layer *layer;
    const struct apx_quantized_dense *dense;
};

/* The model file in which node items[i].at of the model's graph is what items[i] says, with the
 * functions that these need, and without what nothing reads any more. Release *out with free(). */
struct apx_quantize_rewrite {
    const void *model; /* Onnx__ModelProto, unpacked */
    const char *directory;
    const struct apx_quantize_item *items; /* [count] ascending in `at` */
    size_t count;
    int64_t opset;
    int levels, weight_levels;
};
enum apx_status apx_quantize_write(const struct apx_quantize_rewrite *rewrite, void **out,
                                   size_t *out_bytes, struct apx_error *error);
/* The model whose outputs are these values of its graph, as float32. Release *out with free(). */
enum apx_status apx_quantize_write_probe(const void *model, const char *const *values, size_t count,
                                         void **out, size_t *out_bytes, struct apx_error *error);

#endif
