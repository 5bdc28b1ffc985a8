/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_stack.cuh - several layers, one behind the other, in one launch: a wavefront.
 *
 * For few rows a layer is bound by the chain of a step, not by work, so layers that run at the same
 * time cost little more than one. The first blocks of a cluster own the lowest layer, the next ones
 * the layer above, and so on; all take the same tile of rows. In turn t a layer is at step t - 2 l:
 *
 *   turn       0   1   2   3   4
 *   layer 0    0   1   2   3   4    its h goes to the x of layer 1 as well
 *   layer 1            0   1   2    which it may read from the next barrier on
 *
 * Two turns and not one, since the x half of a step is summed before the barrier that opens its
 * turn, as in a layer alone; and the three buffers of x are enough for the same reason as there.
 * Every block comes to every barrier, those too that have no step.
 *
 * Each sum is made by the same code in the same order, so bits are those of one launch a layer. */
#ifndef APX_CUDA_RNN_F32_STACK_CUH
#define APX_CUDA_RNN_F32_STACK_CUH

#include "kernels/cuda/rnn_f32_body.cuh"

/* By value to the kernel. */
struct rnn_f32_stack {
    unsigned layers, cluster;
    struct rnn_f32_job layer[APX_CUDA_MOST_STACKED]; /* x of all but the first is not looked at */
};

template <class Cell, int TILE>
SIMT_INLINE void rnn_f32_run_stack(const struct rnn_f32_stack &stack)
{
    const unsigned rank = simt_cluster_rank();
    struct rnn_f32_role role = {stack.cluster, 0, 0, 0, RNN_F32_LAG * (stack.layers - 1)};
    unsigned own = 0;
    while (rank >= role.first + stack.layer[own].cut.cluster)
        role.first += stack.layer[own++].cut.cluster;
    role.late = RNN_F32_LAG * own;
    role.above = own + 1 < stack.layers ? stack.layer[own + 1].cut.cluster : 0;
    rnn_f32_run<Cell, TILE, true>(stack.layer[own], role);
}

/* descs: [layers] of args */
static inline void rnn_f32_descs(const struct apx_rnn_args *args, size_t layers,
                                 const struct apx_rnn_desc **descs)
{
    for (size_t l = 0; l < layers; l++)
        descs[l] = args[l].desc;
}

/* args: [cut.layers] */
static inline struct rnn_f32_stack rnn_f32_make_stack(const struct rnn_f32_stack_cut &cut,
                                                      const struct apx_rnn_args *args,
                                                      int32_t *fault)
{
    struct rnn_f32_stack stack = {};
    stack.layers = cut.layers;
    stack.cluster = cut.cluster;
    for (unsigned l = 0; l < cut.layers; l++)
        stack.layer[l] = rnn_f32_make_job(&args[l], fault, cut.layer[l]);
    return stack;
}

static inline struct simt_shape rnn_f32_stack_shape(const struct rnn_f32_stack_cut &cut,
                                                    size_t rows)
{
    const size_t tiles = (rows + cut.layer[0].rows - 1) / cut.layer[0].rows;
    return {(unsigned)(tiles * cut.cluster), cut.threads, cut.cluster, cut.shared};
}

#endif
