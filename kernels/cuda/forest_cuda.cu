/* SPDX-License-Identifier: Apache-2.0 */
/* forest_cuda.cu - tree ensembles: one thread for each row, or one for each row and tree.
 *
 * Many rows: a block keeps a tile of rows in shared memory, feature-major, so that lane i reads
 * bank i whatever feature it asks for. Groups of trees pass through two stages of shared memory,
 * one being walked while the next one is copied. A thread walks four trees side by side and adds
 * their leaves one after the other: the order of trees, so the scalar row's bits.
 *
 * Few rows: the trees are the parallelism. A first kernel finds the leaves of all rows and trees, a
 * second one adds them in the order of trees, with the values brought to shared memory by all
 * threads and added by one for each row and output.
 *
 * Forests that are not compact, and rows too wide for shared memory, are walked in global memory.
 */
#include "kernels/cuda/cuda_forest_walk.cuh"
#include "kernels/cuda/cuda_tables.h"

#include <string.h>

namespace
{
enum {
    SIDE = 4,        /* trees side by side */
    MOST_TILE = 128, /* rows of a block */
    FEW_ROWS = 4096, /* up to here the second way, */
    FEW_EACH = 32,   /* and up to so many for each multiprocessor */
    FIND_THREADS = 128,
    ADD_THREADS = 256,
    ADD_CHUNK = 1024, /* values in shared memory at a time */
};

/* Sums of one row. One output's is a register, those of several lie where the margins go. */
template <typename Sum> struct forest_sums {
    Sum one;
    Sum *many; /* NULL: margins are not wanted */
};

template <typename Sum>
SIMT_INLINE struct forest_sums<Sum> forest_begin(const struct forest_job &job, size_t row) {
    struct forest_sums<Sum> sums;
    const unsigned outputs = job.header.outputs;
    sums.one = outputs > 0 ? forest_base<Sum>(job, 0) : (Sum)0;
    sums.many = job.margins != nullptr ? (Sum *)job.margins + row * outputs : nullptr;
    for (unsigned k = 0; k < outputs && outputs > 1 && sums.many != nullptr; k++)
        sums.many[k] = forest_base<Sum>(job, k);
    return sums;
}

/* A tree's leaf of the row. Of several outputs with a tree each, whose first tree it is shows in
 * the list of trees before it; only MIN and MAX look. */
template <typename Sum, typename X>
SIMT_INLINE void forest_take(const struct forest_job &job, size_t row, uint32_t tree, uint32_t leaf,
                             struct forest_sums<Sum> *sums)
{
    if (job.leaves != nullptr)
        job.leaves[row * job.header.trees + tree] =
            forest_part<uint32_t>(job, job.header.leaf_ids)[leaf];
    if (sums->many == nullptr)
        return;
    const unsigned outputs = job.header.outputs;
    if (outputs == 1) {
        sums->one =
            forest_add<Sum>(job, sums->one, forest_leaf<Sum, X>(job, row, leaf, 0), tree == 0);
    } else if (job.header.has_tree_output) {
        const uint32_t *output = forest_part<uint32_t>(job, job.header.tree_output);
        const uint32_t k = output[tree];
        bool first = job.header.sum != APX_FOREST_SUM;
        for (uint32_t t = 0; t < tree && first; t++)
            first = output[t] != k;
        sums->many[k] =
            forest_add<Sum>(job, sums->many[k], forest_leaf<Sum, X>(job, row, leaf, 0), first);
    } else {
        for (unsigned k = 0; k < outputs; k++)
            sums->many[k] = forest_add<Sum>(job, sums->many[k],
                                            forest_leaf<Sum, X>(job, row, leaf, k), tree == 0);
    }
}

template <typename Sum>
SIMT_INLINE void forest_end(const struct forest_job &job, const struct forest_sums<Sum> &sums)
{
    if (job.header.outputs == 1 && sums.many != nullptr)
        sums.many[0] = sums.one;
}

/* Begin to copy a group's nodes, if they fit a stage. */
SIMT_INLINE void forest_stage(const struct forest_job &job, uint32_t group, struct cuda_node *stage)
{
    const uint32_t *groups = forest_part<uint32_t>(job, job.header.groups);
    const uint32_t *roots = forest_part<uint32_t>(job, job.header.roots);
    const uint32_t first = roots[groups[group]], last = roots[groups[group + 1]];
    const struct cuda_node *nodes = forest_part<struct cuda_node>(job, job.header.nodes) + first;
    if (last - first > CUDA_FOREST_STAGE)
        return;
    for (uint32_t i = threadIdx.x; i < last - first; i += blockDim.x)
        simt_copy8(stage + i, nodes + i);
}

/* The leaves of COUNT trees from `tree` on, for the row in column `lane` of the tile. */
template <int COUNT>
SIMT_INLINE void forest_walk(const struct cuda_node *nodes, const uint32_t *roots, uint32_t origin,
                             const float *tile, unsigned pitch, unsigned lane, uint32_t leaf[SIDE])
{
    unsigned at[COUNT];
    bool moves;
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        at[i] = roots[i] - origin;
    do {
        moves = false;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const struct cuda_node node = forest_node(nodes, at[i]);
            if (forest_is_leaf(node)) {
                leaf[i] = node.value;
                continue;
            }
            const unsigned feature = node.feature & ~CUDA_NODE_NAN_RIGHT;
            at[i] += forest_step(node, tile[feature * pitch + lane]);
            moves = true;
        }
    } while (moves);
}

template <typename Sum, typename X>
__global__ void __launch_bounds__(MOST_TILE, 4) forest_tile_kernel(const struct forest_job job)
{
    struct cuda_node *stages = (struct cuda_node *)simt_shared();
    float *tile = (float *)(stages + 2 * CUDA_FOREST_STAGE);
    const uint32_t *roots = forest_part<uint32_t>(job, job.header.roots);
    const uint32_t *groups = forest_part<uint32_t>(job, job.header.groups);
    const struct cuda_node *all = forest_part<struct cuda_node>(job, job.header.nodes);
    const unsigned lane = threadIdx.x, pitch = job.tile;
    const size_t row = (size_t)blockIdx.x * job.tile + lane;
    const bool exists = row < job.rows;
    if (job.header.group_count > 0)
        forest_stage(job, 0, stages);
    const X *x = (const X *)job.x + (ptrdiff_t)row * job.x_row;
    for (unsigned f = 0; f < job.header.features && exists; f++)
        tile[f * pitch + lane] = (float)x[f];
    struct forest_sums<Sum> sums = {
    };
    if (exists)
        sums = forest_begin<Sum>(job, row);
    for (uint32_t group = 0; group < job.header.group_count; group++) {
        const uint32_t begin = groups[group], end = groups[group + 1];
        simt_copy_wait();
        simt_sync(); /* this stage is there, and nobody walks the other one any more */
        if (group + 1 < job.header.group_count)
            forest_stage(job, group + 1, stages + (group + 1) % 2 * CUDA_FOREST_STAGE);
        if (!exists)
            continue;
        const bool staged = roots[end] - roots[begin] <= CUDA_FOREST_STAGE;
        const struct cuda_node *nodes = staged ? stages + group % 2 * CUDA_FOREST_STAGE : all;
        const uint32_t origin = staged ? roots[begin] : 0;
        uint32_t t = begin, leaf[SIDE];
        for (; t + SIDE <= end; t += SIDE) {
            forest_walk<SIDE>(nodes, roots + t, origin, tile, pitch, lane, leaf);
#pragma unroll
            for (int i = 0; i < SIDE; i++)
                forest_take<Sum, X>(job, row, t + i, leaf[i], &sums);
        }
        for (; t < end; t++) {
            forest_walk<1>(nodes, roots + t, origin, tile, pitch, lane, leaf);
            forest_take<Sum, X>(job, row, t, leaf[0], &sums);
        }
    }
    if (exists)
        forest_end<Sum>(job, sums);
}

/* Rows and nodes in global memory. */
template <typename Sum, typename X>
__global__ void __launch_bounds__(MOST_TILE) forest_plain_kernel(const struct forest_job job)
{
    const size_t row = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= job.rows)
        return;
    struct forest_sums<Sum> sums = forest_begin<Sum>(job, row);
    for (uint32_t t = 0; t < job.header.trees; t++)
        forest_take<Sum, X>(job, row, t, forest_find<X>(job, row, t), &sums);
    forest_end<Sum>(job, sums);
}

/* Few rows: the leaves of all rows and trees; neighbours are rows of a tree. */
template <typename X>
__global__ void __launch_bounds__(FIND_THREADS) forest_find_kernel(const struct forest_job job)
{
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const size_t tree = i / job.rows, row = i % job.rows;
    if (tree >= job.header.trees)
        return;
    const uint32_t leaf = forest_find<X>(job, row, tree);
    job.found[i] = leaf;
    if (job.leaves != nullptr)
        job.leaves[row * job.header.trees + tree] =
            forest_part<uint32_t>(job, job.header.leaf_ids)[leaf];
}

/* And their sums. A block has `tile` rows of one output (blockIdx.x % outputs). */
template <typename Sum, typename X>
__global__ void __launch_bounds__(ADD_THREADS) forest_add_kernel(const struct forest_job job)
{
    Sum *values = (Sum *)simt_shared(); /* [chunk of trees][tile] */
    const unsigned outputs = job.header.outputs, k = blockIdx.x % outputs;
    const size_t first = (size_t)(blockIdx.x / outputs) * job.tile;
    const unsigned rows = job.rows - first < job.tile ? (unsigned)(job.rows - first) : job.tile;
    const unsigned chunk = ADD_CHUNK / job.tile;
    const uint32_t *output = forest_part<uint32_t>(job, job.header.tree_output);
    const bool apart = job.header.has_tree_output && outputs > 1;
    Sum sum = forest_base<Sum>(job, k);
    bool is_first = true;
    for (uint32_t begin = 0; begin < job.header.trees; begin += chunk) {
        const uint32_t left = job.header.trees - begin, count = left < chunk ? left : chunk;
        for (unsigned i = threadIdx.x; i < count * rows; i += blockDim.x) {
            const uint32_t tree = begin + i / rows;
            const unsigned r = i % rows;
            if (!apart || output[tree] == k)
                values[i / rows * job.tile + r] = forest_leaf<Sum, X>(
                    job, first + r, job.found[(size_t)tree * job.rows + first + r],
                    job.header.has_tree_output ? 0 : k);
        }
        simt_sync();
        for (uint32_t t = 0; t < count && threadIdx.x < rows; t++) {
            if (apart && output[begin + t] != k)
                continue;
            sum = forest_add<Sum>(job, sum, values[t * job.tile + threadIdx.x], is_first);
            is_first = false;
        }
        simt_sync();
    }
    if (threadIdx.x < rows)
        ((Sum *)job.margins)[(first + threadIdx.x) * outputs + k] = sum;
}

/* ---- host ------------------------------------------------------------------------------------ */

bool supports(const struct apx_cuda_device *, const struct apx_forest_desc *desc)
{
    /* Of linear leaves MIN and MAX compare what is not yet rounded to float. */
    return desc->linear == nullptr || desc->sum == APX_FOREST_SUM || desc->sums_double;
}

struct cuda_forest header_of(const void *header)
{
    struct cuda_forest out;
    memcpy(&out, header, sizeof out);
    return out;
}

size_t scratch_bytes(const void *header, size_t rows)
{
    return (rows < FEW_ROWS ? rows : (size_t)FEW_ROWS) * header_of(header).trees * sizeof(uint32_t);
}

unsigned blocks_for(size_t count, size_t each)
{
    return (unsigned)((count + each - 1) / each);
}

template <typename Sum, typename X>
int launch_few(struct forest_job &job, const struct apx_cuda_device *device, void *stream)
{
    int code = 0;
    if (job.header.trees > 0)
        code = simt_launch(
            forest_find_kernel<X>,
            {blocks_for((size_t)job.header.trees * job.rows, FIND_THREADS), FIND_THREADS, 1, 0},
            stream, job);
    if (code != 0 || job.margins == nullptr || job.header.outputs == 0)
        return code;
    /* As many rows a block as leave no multiprocessor idle. */
    job.tile = 1;
    while (job.tile < 32 && job.rows > (size_t)job.tile * (size_t)device->multiprocessors)
        job.tile *= 2;
    return simt_launch(forest_add_kernel<Sum, X>,
                       {blocks_for(job.rows, job.tile) * job.header.outputs, ADD_THREADS, 1,
                        ADD_CHUNK * sizeof(Sum)},
                       stream, job);
}

template <typename Sum, typename X>
int launch_many(struct forest_job &job, const struct apx_cuda_device *device, void *stream)
{
    const size_t stages = 2 * CUDA_FOREST_STAGE * sizeof(struct cuda_node);
    const size_t a_row = job.header.features * sizeof(float);
    /* Two blocks a multiprocessor hide each other's copies; few rows are spread over all. */
    job.tile = MOST_TILE;
    while (job.tile > 32 && (stages + job.tile * a_row > device->shared_bytes / 2 ||
                             job.rows < (size_t)job.tile * (size_t)device->multiprocessors))
        job.tile /= 2;
    if (job.header.is_compact && stages + job.tile * a_row <= device->shared_bytes)
        return simt_launch(forest_tile_kernel<Sum, X>,
                           {blocks_for(job.rows, job.tile), job.tile, 1, stages + job.tile * a_row},
                           stream, job);
    return simt_launch(forest_plain_kernel<Sum, X>,
                       {blocks_for(job.rows, MOST_TILE), MOST_TILE, 1, 0}, stream, job);
}

template <typename Sum, typename X>
int launch_typed(struct forest_job &job, const struct apx_cuda_device *device, void *stream)
{
    const bool few = job.rows <= FEW_ROWS && job.rows <= (size_t)device->multiprocessors * FEW_EACH;
    return few ? launch_few<Sum, X>(job, device, stream) : launch_many<Sum, X>(job, device, stream);
}

int launch(const struct apx_cuda_device *device, const void *header,
           const struct apx_forest_args *args, void *stream)
{
    struct forest_job job = {};
    job.header = header_of(header);
    job.packed = (const unsigned char *)args->packed;
    job.x = args->x;
    job.x_row = args->x_row;
    job.x_is_double = args->x_is_double;
    job.rows = args->rows;
    job.margins = args->margins;
    job.leaves = args->leaves;
    job.found = (uint32_t *)args->scratch;
    if (job.header.sums_double)
        return job.x_is_double ? launch_typed<double, double>(job, device, stream)
                               : launch_typed<double, float>(job, device, stream);
    return job.x_is_double ? launch_typed<float, double>(job, device, stream)
                           : launch_typed<float, float>(job, device, stream);
}

double seconds(const struct apx_cuda_device *device, const void *header, size_t rows)
{
    const struct cuda_forest forest = header_of(header);
    const double visits = (double)rows * forest.trees * (forest.depth + 2.0);
    const double bytes = (double)rows * forest.features * sizeof(float);
    const double rate = device->multiprocessors * device->clock * 32.0 / 6.0;
    /* Few rows: a chain of loads from L2, and a chain of additions. */
    const double chain = (forest.depth + 2.0) * 300.0 + forest.trees * 9.0;
    return chain / device->clock + visits / rate +
           (bytes + (double)forest.bytes) / device->memory_rate;
}
} // namespace

const struct apx_cuda_forest_row apx_forest_cuda = {
    "forest_cuda", supports, apx_cuda_forest_pack_bound, apx_cuda_forest_pack, scratch_bytes,
    launch,        seconds};
