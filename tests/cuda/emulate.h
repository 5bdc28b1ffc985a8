/* SPDX-License-Identifier: Apache-2.0 */
/* emulate.h - a small machine for kernels/cuda: the other meaning of simt.cuh.
 *
 * Every CUDA thread is a fiber. The blocks of one cluster are there together, clusters come one
 * after the other. A fiber runs until it waits for a barrier; the scheduler then takes the next
 * one, in an order that changes with every pass, one warp being left behind as far as barriers
 * permit, so that a missing barrier shows. It is stricter than the machine: a thread that leaves
 * while others wait for it is a failure, shared memory begins as NaN and ends where the launch said
 * (behind it is NaN, and a fence), and asynchronous copies happen only when they are waited for.
 *
 * Failures are reported on stderr and end the program: a kernel that hangs or diverges has no
 * result that could be compared. */
#ifndef APX_TESTS_CUDA_EMULATE_H
#define APX_TESTS_CUDA_EMULATE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#define SIMT_INLINE static inline
#define SIMT_MEMBER inline
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

struct emulated_index {
    unsigned x;
};
struct emulated_here {
    emulated_index thread, block, block_size, grid_size;
};
/* Where the running fiber is. */
const emulated_here &emulated_where();
#define threadIdx (emulated_where().thread)
#define blockIdx  (emulated_where().block)
#define blockDim  (emulated_where().block_size)
#define gridDim   (emulated_where().grid_size)

unsigned char *emulated_shared();
void emulated_sync_block();
void emulated_sync_warp();
void emulated_cluster_arrive();
void emulated_cluster_wait();
unsigned emulated_cluster_rank();
void *emulated_peer(void *shared, unsigned rank);
void emulated_copy(void *shared, const void *global, size_t bytes);
void emulated_copy_wait();
/* What this lane gives and, once all lanes of the warp have given, what lane `from` gave; it stays
 * until the lanes meet again. */
void emulated_give(const void *value, size_t bytes);
const void *emulated_given(unsigned from);
unsigned emulated_lane();
int emulated_launch(unsigned grid, unsigned block, unsigned cluster, size_t shared,
                    const std::function<void()> &kernel);
/* What the machine has: larger launches are refused with cudaErrorInvalidValue. */
extern size_t emulated_shared_limit;
extern unsigned emulated_cluster_limit;

uint16_t emulated_to_half(float value);
float emulated_from_half(uint16_t half);

static inline unsigned char *simt_shared()
{
    return emulated_shared();
}
static inline float simt_fma(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline float simt_mul(float a, float b)
{
    return a * b;
}
static inline float simt_add(float a, float b)
{
    return a + b;
}
static inline float simt_div(float a, float b)
{
    return a / b;
}
static inline double simt_add(double a, double b)
{
    return a + b;
}
static inline double simt_mul(double a, double b)
{
    return a * b;
}
static inline uint32_t simt_bits(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline float simt_float(uint32_t bits)
{
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
static inline void simt_sync()
{
    emulated_sync_block();
}
static inline void simt_sync_warp()
{
    emulated_sync_warp();
}
static inline unsigned simt_cluster_rank()
{
    return emulated_cluster_rank();
}
static inline void simt_cluster_arrive()
{
    emulated_cluster_arrive();
}
static inline void simt_cluster_wait()
{
    emulated_cluster_wait();
}
template <typename T> static inline T *simt_peer(T *shared, unsigned rank)
{
    return static_cast<T *>(emulated_peer(shared, rank));
}
static inline void simt_copy4(void *shared, const void *global)
{
    emulated_copy(shared, global, 4);
}
static inline void simt_copy8(void *shared, const void *global)
{
    emulated_copy(shared, global, 8);
}
static inline void simt_copy16(void *shared, const void *global)
{
    emulated_copy(shared, global, 16);
}
static inline void simt_copy_wait()
{
    emulated_copy_wait();
}
static inline float simt_bounded(float a, float bound)
{
    return a > bound ? bound : a < -bound ? -bound : a;
}
static inline uint32_t simt_halves(float low, float high)
{
    return emulated_to_half(simt_bounded(low, 65504.0f)) |
           (uint32_t)emulated_to_half(simt_bounded(high, 65504.0f)) << 16;
}
static inline float simt_half_to_float(uint16_t half)
{
    return emulated_from_half(half);
}
/* The fragments' layouts: simt.cuh. Products are exact in float64, their sum is rounded once. */
static inline void simt_mma_f16(float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    struct operands {
        uint32_t a[4], b[2];
    } mine;
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    emulated_give(&mine, sizeof mine);
    const unsigned row = emulated_lane() / 4, column = emulated_lane() % 4 * 2;
    double total[4] = {(double)sum[0], (double)sum[1], (double)sum[2], (double)sum[3]};
    for (unsigned k = 0; k < 16; k++) {
        const unsigned quarter = k % 8 / 2, shift = k % 2 * 16;
        const operands *left = static_cast<const operands *>(emulated_given(row * 4 + quarter));
        double x[2], y[2];
        for (unsigned i = 0; i < 2; i++) { /* row `row` + 8 i of a, column `column` + i of b */
            const operands *right =
                static_cast<const operands *>(emulated_given((column + i) * 4 + quarter));
            x[i] = (double)emulated_from_half((uint16_t)(left->a[k / 8 * 2 + i] >> shift));
            y[i] = (double)emulated_from_half((uint16_t)(right->b[k / 8] >> shift));
        }
        for (unsigned i = 0; i < 4; i++)
            total[i] += x[i / 2] * y[i % 2];
    }
    for (unsigned i = 0; i < 4; i++)
        sum[i] = (float)total[i];
    emulated_sync_warp();
}
/* Sums wrap, as the machine's do. */
static inline void simt_mma_s8(int32_t sum[4], const uint32_t a[4], const uint32_t b[2])
{
    struct operands {
        uint32_t a[4], b[2];
    } mine;
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    emulated_give(&mine, sizeof mine);
    const unsigned row = emulated_lane() / 4, column = emulated_lane() % 4 * 2;
    for (unsigned quarter = 0; quarter < 4; quarter++) {
        const operands *left = static_cast<const operands *>(emulated_given(row * 4 + quarter));
        for (unsigned i = 0; i < 4; i++) { /* row `row` + 8 (i / 2), column `column` + i % 2 */
            const operands *right =
                static_cast<const operands *>(emulated_given((column + i % 2) * 4 + quarter));
            for (unsigned k = 0; k < 8; k++) {
                const unsigned shift = k % 4 * 8;
                const int8_t x = (int8_t)(uint8_t)(left->a[k / 4 * 2 + i / 2] >> shift);
                const int8_t y = (int8_t)(uint8_t)(right->b[k / 4] >> shift);
                sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)(x * y));
            }
        }
    }
    emulated_sync_warp();
}
static inline int32_t simt_round(float a)
{
    return (int32_t)nearbyintf(a);
}
static inline float simt_to_float(int32_t a)
{
    return (float)a;
}
static inline uint32_t simt_shuffle_xor(uint32_t value, unsigned mask)
{
    emulated_give(&value, sizeof value);
    uint32_t there;
    memcpy(&there, emulated_given(emulated_lane() ^ mask), sizeof there);
    emulated_sync_warp();
    return there;
}
static inline void simt_or(int32_t *shared, int32_t bits)
{
    *shared |= bits;
}
static inline float simt_fast_exp(float x)
{
    return expf(x);
}
static inline float simt_fast_reciprocal(float x)
{
    return 1.0f / x;
}

struct simt_shape {
    unsigned grid, block, cluster;
    size_t shared;
};

/* Set: launches are handed over with their stream, to be run whenever a stream's turn comes; NULL:
 * they run at once. */
typedef int emulated_queue(const std::function<int()> &launch, void *stream);
extern emulated_queue *emulated_enqueue;

template <typename... Parameters, typename... Arguments>
static int simt_launch(void (*kernel)(Parameters...), const struct simt_shape &shape, void *stream,
                       Arguments... arguments)
{
    const auto launch = [=] {
        return emulated_launch(shape.grid, shape.block, shape.cluster, shape.shared,
                               [&] { kernel(arguments...); });
    };
    return emulated_enqueue != nullptr ? emulated_enqueue(launch, stream) : launch();
}

static inline bool simt_enter(int, int *before)
{
    *before = 0;
    return true;
}
static inline void simt_leave(int)
{
}

#endif
