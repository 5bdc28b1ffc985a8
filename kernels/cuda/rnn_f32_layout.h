/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_layout.h - weights of the fp32 recurrent kernels, and how a launch is cut.
 *
 * Packed, floats, k over x then h:
 *
 *   LSTM   bias [4][H] (Wb + Rb)                   then [k over I+H][unit][i o f c]
 *   GRU    bias [4][H] (z, r, candidate, Rb of it) then [k over I+H][gate z r h][unit]
 *
 * GRU's third bias is Wb of the candidate with reset after, Wb + Rb with reset before, whose fourth
 * is not used. One k of one LSTM unit is one load of 16 bytes; three gates lie apart, so that
 * neighbouring lanes read neighbouring words.
 *
 * The same weights serve every cut: a block of a cluster copies the columns of its units. */
#ifndef APX_CUDA_RNN_F32_LAYOUT_H
#define APX_CUDA_RNN_F32_LAYOUT_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/cuda_rows.h"

/* Units and inputs that the kernels take. */
enum { RNN_F32_MOST_UNITS = 1024, RNN_F32_MOST_INPUT = 4096 };

/* How a launch is cut. A cluster of `cluster` blocks takes `rows` rows through all steps; each of
 * its blocks has `units` units (the last maybe fewer) of each, `groups` groups of `tile` rows: one
 * thread for each unit of each group. */
struct rnn_f32_cut {
    unsigned cluster, units, tile, groups;
    unsigned rows;    /* tile * groups */
    unsigned first_k; /* weights from this k on lie in shared memory; 0: all */
    size_t shared;    /* bytes of a block */
    double seconds;   /* estimate for the whole batch */
};

enum { RNN_F32_LAG = 2 }; /* turns that a layer of a stack is behind the one below */

/* How a launch of several layers is cut, the lowest first (rnn_f32_stack.cuh): one cluster takes a
 * tile of rows through all of them. Each layer's cut is as if it were alone but that its `cluster`
 * is the number of its blocks, any number; tile and groups are the same in all. */
struct rnn_f32_stack_cut {
    unsigned layers, cluster; /* blocks of all layers */
    unsigned threads;         /* of a block */
    size_t shared;            /* bytes of a block */
    double seconds;           /* estimate for the whole batch */
    struct rnn_f32_cut layer[APX_CUDA_MOST_STACKED];
};

/* Bytes of shared memory of a block beside its weights. */
size_t apx_rnn_f32_state_bytes(const struct apx_rnn_desc *desc, bool reset_before, unsigned rows);
/* The rest of a cut whose cluster, tile and groups are set (powers of two; tile up to 8); false if
 * the device or the layer does not permit it. */
bool apx_rnn_f32_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates, bool reset_before, struct rnn_f32_cut *cut);
/* The fastest cut by estimate; `gates` 3 or 4, `reset_before` for GRU of that form. All cuts give
 * the same bits. Returns false if there is none. */
bool apx_rnn_f32_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     unsigned gates, bool reset_before, size_t rows, size_t steps,
                     struct rnn_f32_cut *out);

/* The same for layers that may be a stack: x of each is y of the one before, all walk in one
 * direction and, GRU, have one form. cut->layers, and cluster, tile and groups of each layer are
 * set; descs: [cut->layers] */
bool apx_rnn_f32_stack_complete(const struct apx_cuda_device *device,
                                const struct apx_rnn_desc *const *descs, unsigned gates,
                                bool reset_before, struct rnn_f32_stack_cut *cut);
/* Returns false, too, for layers that are no stack. descs: [layers] */
bool apx_rnn_f32_stack_cut(const struct apx_cuda_device *device,
                           const struct apx_rnn_desc *const *descs, size_t layers, unsigned gates,
                           bool reset_before, size_t rows, size_t steps,
                           struct rnn_f32_stack_cut *out);

/* Enqueue with a cut: 0 or CUDA's error number. For checks and for measuring cuts; rows choose by
 * apx_rnn_f32_cut and apx_rnn_f32_stack_cut. A stack's args: [cut->layers] */
int apx_lstm_f32_cuda_launch(const struct rnn_f32_cut *cut, const struct apx_rnn_args *args,
                             int32_t *fault, void *stream);
int apx_gru_f32_cuda_launch(const struct rnn_f32_cut *cut, const struct apx_rnn_args *args,
                            int32_t *fault, void *stream);
int apx_lstm_f32_cuda_launch_stack(const struct rnn_f32_stack_cut *cut,
                                   const struct apx_rnn_args *args, int32_t *fault, void *stream);
int apx_gru_f32_cuda_launch_stack(const struct rnn_f32_stack_cut *cut,
                                  const struct apx_rnn_args *args, int32_t *fault, void *stream);

size_t apx_rnn_f32_packed_bytes(const struct apx_rnn_desc *desc, unsigned gates);
void apx_lstm_f32_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                            void *packed);
void apx_gru_f32_cuda_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                           void *packed);

#ifdef __cplusplus
}
#endif
#endif
