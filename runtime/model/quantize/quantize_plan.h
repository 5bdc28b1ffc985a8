/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_plan.h - what becomes of each recurrent layer; shared by the files of this folder. */
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
    const int8_t *w, *r;  /* [directions, gates*hidden, input or hidden]; w NULL: stays float */
    const float *w_float; /* then */
    const float *w_scale, *r_scale; /* [directions, gates*hidden] */
    const float *bias;              /* [directions, 2*gates*hidden] or NULL: none in the file */
};

/* Node `node` of the inferred and simplified graph, an LSTM or GRU. APX_EUNSUPPORTED: it cannot be
 * quantised, the error's text says why; APX_ENOMEM. */
enum apx_status apx_quantize_layer_make(struct apx_graph *graph, int node, int64_t opset,
                                        const struct apx_quantize_options *options,
                                        struct apx_quantized_layer *layer, struct apx_error *error);

/* The model file in which node replaced[i] of the model's graph is layers[i], with the functions
 * that these need, and without what nothing reads any more. Release *out with free(). */
struct apx_quantize_rewrite {
    const void *model; /* Onnx__ModelProto, unpacked */
    const char *directory;
    const size_t *replaced; /* [count] ascending */
    const struct apx_quantized_layer *layers;
    size_t count;
    int weight_levels;
};
enum apx_status apx_quantize_write(const struct apx_quantize_rewrite *rewrite, void **out,
                                   size_t *out_bytes, struct apx_error *error);

#endif
