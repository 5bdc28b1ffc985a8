/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_plan.h - what becomes of each recurrent layer; shared by the files of this folder. */
#ifndef APX_MODEL_QUANTIZE_PLAN_H
#define APX_MODEL_QUANTIZE_PLAN_H

#include "runtime/model/graph.h"
#include "runtime/model/quantize/quantized_body.h"
#include "runtime/quantize.h"

/* A layer with its int8 weights. Memory is the graph's. */
struct apx_quantized_layer {
    struct apx_quantized_variant variant;
    int node; /* of the graph; -1: a node of the file that the graph does not have */
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
