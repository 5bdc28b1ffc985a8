/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_forest.h - a forest as the CUDA kernels keep it: one block of memory without pointers, the
 * header first.
 *
 * Nodes stay in preorder, so a left child follows its parent. Two forms:
 *
 *   compact   8 bytes; float thresholds, no sets, fewer than 32767 features, right children less
 *             than 65536 nodes away
 *   general   24 bytes; anything. A float threshold is exact as a double, so it serves both.
 *
 * Groups are runs of trees whose compact nodes fit a stage of shared memory together; a larger tree
 * is a group of its own and walked in global memory. */
#ifndef APX_CUDA_FOREST_H
#define APX_CUDA_FOREST_H

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CUDA_FOREST_STAGE = 4096 }; /* nodes: 32 KB */

struct cuda_node {
    uint32_t value;   /* the threshold's bits; of a leaf: its index */
    uint16_t feature; /* CUDA_NODE_NAN_RIGHT or'ed in; CUDA_NODE_LEAF: a leaf */
    uint16_t right;   /* how far the right child is */
};
#define CUDA_NODE_NAN_RIGHT 0x8000u
#define CUDA_NODE_LEAF      0x7fffu

struct cuda_wide_node {
    double threshold;
    int32_t feature; /* -1: a leaf */
    int32_t set;
    uint32_t right; /* how far the right child is; of a leaf: its index */
    uint32_t nan_right;
};

/* Offsets are in bytes from the header's start. */
struct cuda_forest {
    uint64_t bytes;
    uint64_t roots;       /* uint32_t [trees + 1], in nodes */
    uint64_t nodes;       /* cuda_node or cuda_wide_node */
    uint64_t groups;      /* uint32_t [group_count + 1], in trees; compact only */
    uint64_t leaf_values; /* [leaves, 1 or outputs], as the forest sums */
    uint64_t leaf_ids;    /* uint32_t [leaves] */
    uint64_t tree_output; /* uint32_t [trees] */
    uint64_t set_begin;   /* uint32_t [sets + 1] */
    uint64_t bounds;      /* double */
    uint64_t base;        /* [outputs], as the forest sums */
    uint64_t constant, begin, coefficient_feature, coefficient; /* of linear leaves */
    uint32_t features, outputs, trees, group_count;
    uint32_t sum;   /* enum apx_forest_sum */
    uint32_t depth; /* of a balanced tree of that size, for estimates */
    uint8_t is_compact, compares_double, sums_double, has_tree_output, is_linear;
};

size_t apx_cuda_forest_pack_bound(const struct apx_forest_desc *desc);
size_t apx_cuda_forest_pack(const struct apx_forest_desc *desc, void *memory);

#ifdef __cplusplus
}
#endif
#endif
