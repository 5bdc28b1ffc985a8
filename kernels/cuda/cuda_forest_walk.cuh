/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_forest_walk.cuh - from a row to its leaf in a tree, and from leaves to margins, for all
 * forms of forests; what forest_scalar.c defines. */
#ifndef APX_CUDA_FOREST_WALK_CUH
#define APX_CUDA_FOREST_WALK_CUH

#include "kernels/cuda/cuda_forest.h"
#include "kernels/cuda/simt.cuh"

/* By value to the kernels. */
struct forest_job {
    struct cuda_forest header;
    const unsigned char *packed;
    const void *x;
    ptrdiff_t x_row;
    size_t rows;
    void *margins;
    uint32_t *leaves;
    uint32_t *found; /* [trees][rows]: leaves, between the two kernels for few rows */
    bool x_is_double;
    unsigned tile; /* rows of a block that keeps them in shared memory */
};

template <typename T> SIMT_INLINE const T *forest_part(const struct forest_job &job, uint64_t at)
{
    return (const T *)(job.packed + at);
}

/* The row's value as float and as double comparisons see it. */
template <typename X>
SIMT_INLINE double forest_value(const struct forest_job &job, size_t row, size_t feature)
{
    const X x = ((const X *)job.x)[(ptrdiff_t)row * job.x_row + (ptrdiff_t)feature];
    return job.header.compares_double ? (double)x : (double)(float)x;
}

/* A compact node's next one, as a distance; 0 at a leaf. */
SIMT_INLINE unsigned forest_step(const struct cuda_node &node, float x)
{
    const bool right =
        x != x ? (node.feature & CUDA_NODE_NAN_RIGHT) != 0 : x >= simt_float(node.value);
    return right ? node.right : 1;
}

SIMT_INLINE bool forest_is_leaf(const struct cuda_node &node)
{
    return node.feature == CUDA_NODE_LEAF;
}

SIMT_INLINE struct cuda_node forest_node(const struct cuda_node *nodes, unsigned at)
{
    const uint2 word = *(const uint2 *)(nodes + at);
    return {word.x, (uint16_t)word.y, (uint16_t)(word.y >> 16)};
}

/* The leaf of a row that lies in global memory. */
template <typename X>
SIMT_INLINE uint32_t forest_find(const struct forest_job &job, size_t row, size_t tree)
{
    const uint32_t root = forest_part<uint32_t>(job, job.header.roots)[tree];
    if (job.header.is_compact) {
        const struct cuda_node *nodes = forest_part<struct cuda_node>(job, job.header.nodes) + root;
        const X *x = (const X *)job.x + (ptrdiff_t)row * job.x_row;
        struct cuda_node node = forest_node(nodes, 0);
        for (unsigned at = 0; !forest_is_leaf(node); node = forest_node(nodes, at))
            at += forest_step(node, (float)x[node.feature & ~CUDA_NODE_NAN_RIGHT]);
        return node.value;
    }
    const uint32_t *set_begin = forest_part<uint32_t>(job, job.header.set_begin);
    const double *bounds = forest_part<double>(job, job.header.bounds);
    const struct cuda_wide_node *node =
        forest_part<struct cuda_wide_node>(job, job.header.nodes) + root;
    while (node->feature >= 0) {
        const double x = forest_value<X>(job, row, (size_t)node->feature);
        bool right = x >= node->threshold;
        if (x != x) {
            right = node->nan_right != 0;
        } else if (node->set >= 0) {
            right = false;
            for (uint32_t i = set_begin[node->set]; i < set_begin[node->set + 1]; i++)
                right ^= bounds[i] <= x;
        }
        node += right ? node->right : 1;
    }
    return node->right;
}

/* A leaf's value for an output (0 unless leaves hold one for each). */
template <typename Sum, typename X>
SIMT_INLINE Sum forest_leaf(const struct forest_job &job, size_t row, uint32_t leaf,
                            unsigned output)
{
    const unsigned width = job.header.has_tree_output ? 1 : job.header.outputs;
    const Sum plain = forest_part<Sum>(job, job.header.leaf_values)[(size_t)leaf * width + output];
    if (!job.header.is_linear)
        return plain;
    const uint32_t *begin = forest_part<uint32_t>(job, job.header.begin) + leaf;
    double sum = forest_part<double>(job, job.header.constant)[leaf];
    for (uint32_t i = begin[0]; i < begin[1]; i++) {
        const double x = forest_value<X>(
            job, row, forest_part<uint32_t>(job, job.header.coefficient_feature)[i]);
        if (x != x)
            return plain;
        sum = simt_add(sum, simt_mul(forest_part<double>(job, job.header.coefficient)[i], x));
    }
    return (Sum)sum;
}

/* One more value; `first`: of this output's trees. */
template <typename Sum>
SIMT_INLINE Sum forest_add(const struct forest_job &job, Sum sum, Sum value, bool first)
{
    if (job.header.sum == APX_FOREST_SUM)
        return simt_add(sum, value);
    if (first)
        return value;
    return (job.header.sum == APX_FOREST_MIN ? value < sum : value > sum) ? value : sum;
}

/* What an output begins with. */
template <typename Sum> SIMT_INLINE Sum forest_base(const struct forest_job &job, unsigned output)
{
    return job.header.sum == APX_FOREST_SUM ? forest_part<Sum>(job, job.header.base)[output]
                                            : (Sum)0;
}

#endif
