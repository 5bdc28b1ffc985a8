/* SPDX-License-Identifier: Apache-2.0 */
/* simt.cuh - what the kernels need of the machine, in words that have two meanings: instructions
 * of the GPU, or functions of an emulator that runs the same source on a processor.
 *
 * nvcc takes the first half. Any other C++ compiler takes the file that APX_SIMT_EMULATOR names
 * (tests/cuda/emulate.h): threads become fibers there, barriers are checked for threads that never
 * come, and copies are put off to the last moment. So no kernel line goes untested where there is
 * no GPU; only the bodies of the few functions below do.
 *
 * Sums whose order is part of the contract are written with simt_fma, simt_mul and simt_add, which
 * no compiler fuses or reorders. */
#ifndef APX_CUDA_SIMT_CUH
#define APX_CUDA_SIMT_CUH

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__

#    include <cuda_fp16.h>
#    include <cuda_runtime.h>

#    define SIMT_INLINE static __device__ __forceinline__
#    define SIMT_MEMBER __device__ __forceinline__

/* The block's dynamic shared memory, 128-byte aligned. */
SIMT_INLINE unsigned char *simt_shared()
{
    extern __shared__ __align__(128) unsigned char simt_memory[];
    return simt_memory;
}

SIMT_INLINE float simt_fma(float a, float b, float c)
{
    return __fmaf_rn(a, b, c);
}
SIMT_INLINE float simt_mul(float a, float b)
{
    return __fmul_rn(a, b);
}
SIMT_INLINE float simt_add(float a, float b)
{
    return __fadd_rn(a, b);
}
SIMT_INLINE float simt_div(float a, float b)
{
    return __fdiv_rn(a, b);
}
SIMT_INLINE double simt_add(double a, double b)
{
    return __dadd_rn(a, b);
}
SIMT_INLINE double simt_mul(double a, double b)
{
    return __dmul_rn(a, b);
}
SIMT_INLINE uint32_t simt_bits(float a)
{
    return __float_as_uint(a);
}
SIMT_INLINE float simt_float(uint32_t bits)
{
    return __uint_as_float(bits);
}

/* All threads of the block; all of the warp. */
SIMT_INLINE void simt_sync()
{
    __syncthreads();
}
SIMT_INLINE void simt_sync_warp()
{
    __syncwarp();
}
/* Clusters. Arriving publishes what the block wrote to its own and other blocks' shared memory;
 * waiting makes it seen. simt_peer: the same place in the shared memory of block `rank`. Only
 * launches with clusters of more than one block call these. */
SIMT_INLINE unsigned simt_cluster_rank()
{
#    if __CUDA_ARCH__ >= 900
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
#    else
    return 0;
#    endif
}
SIMT_INLINE void simt_cluster_arrive()
{
#    if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#    endif
}
SIMT_INLINE void simt_cluster_wait()
{
#    if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#    endif
}
template <typename T> SIMT_INLINE T *simt_peer(T *shared, unsigned rank)
{
#    if __CUDA_ARCH__ >= 900
    uint64_t there;
    asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"((uint64_t)shared), "r"(rank));
    return (T *)there;
#    else
    return rank == 0 ? shared : nullptr;
#    endif
}

/* From global to shared memory behind the thread's back; simt_copy_wait: all of this thread's are
 * there (for itself: others need a barrier as well). */
SIMT_INLINE void simt_copy4(void *shared, const void *global)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global)
                 : "memory");
}
SIMT_INLINE void simt_copy8(void *shared, const void *global)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global)
                 : "memory");
}
SIMT_INLINE void simt_copy16(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(global)
                 : "memory");
}
SIMT_INLINE void simt_copy_wait()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* Bounded to -bound .. bound; NaN stays. */
SIMT_INLINE float simt_bounded(float a, float bound)
{
    float y;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(bound));
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(y), "f"(-bound));
    return y;
}
/* Two numbers rounded to halves, the first in the low bits, bounded by the largest half; and back.
 */
SIMT_INLINE uint32_t simt_halves(float low, float high)
{
    const __half2 pair =
        __floats2half2_rn(simt_bounded(low, 65504.0f), simt_bounded(high, 65504.0f));
    return *reinterpret_cast<const uint32_t *>(&pair);
}
SIMT_INLINE float simt_half_to_float(uint16_t half)
{
    return __half2float(__ushort_as_half(half));
}

/* sum += a b for a tile of 16 x 16 by 16 x 8, spread over the warp, whose lanes must be together
 * (simt_sync_warp after they may have parted). With g = lane / 4 and
 * q = lane % 4, low half first:
 *   a[0] row g, columns 2q, 2q+1   a[1] row g+8   a[2] row g, columns 2q+8, 2q+9   a[3] row g+8
 *   b[0] rows 2q, 2q+1, column g   b[1] rows 2q+8, 2q+9
 *   sum[0] row g, column 2q   sum[1] column 2q+1   sum[2], sum[3] row g+8 */
SIMT_INLINE void simt_mma_f16(float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* sum += a b for a tile of 16 x 32 by 32 x 8 bytes with signs, sums of 32 bits; the words lie as
 * those of simt_mma_f16, four numbers of a row of a or a column of b in each, the first in the low
 * bits:
 *   a[0] row g, columns 4q .. 4q+3   a[1] row g+8   a[2] row g, columns 4q+16 ..   a[3] row g+8
 *   b[0] rows 4q .. 4q+3, column g   b[1] rows 4q+16 ..
 *   sum  as there */
SIMT_INLINE void simt_mma_s8(int32_t sum[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* To the nearest integer, halves to even, for what fits; and back, rounded likewise. */
SIMT_INLINE int32_t simt_round(float a)
{
    return __float2int_rn(a);
}
SIMT_INLINE float simt_to_float(int32_t a)
{
    return __int2float_rn(a);
}

/* What lane (own ^ `mask`) of the warp gives: all lanes come together for it. */
SIMT_INLINE uint32_t simt_shuffle_xor(uint32_t value, unsigned mask)
{
    return __shfl_xor_sync(0xffffffffu, value, (int)mask);
}
/* *shared |= bits, whoever else does so at the same time. */
SIMT_INLINE void simt_or(int32_t *shared, int32_t bits)
{
    atomicOr(shared, bits);
}

/* e^x and 1/x within some units in the last place; flushes what is not normal. */
SIMT_INLINE float simt_fast_exp(float x)
{
    return __expf(x);
}
SIMT_INLINE float simt_fast_reciprocal(float x)
{
    return __fdividef(1.0f, x);
}

struct simt_shape {
    unsigned grid, block;
    unsigned cluster; /* blocks; divides grid */
    size_t shared;    /* bytes */
};

/* Lets a kernel have all the shared memory that a block of the current device may opt in to: always
 * that and never what one launch wants, since another thread's launch of the same kernel may come
 * between setting and launching. */
static inline cudaError_t simt_opt_in(const void *kernel)
{
    int device = 0, most = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error == cudaSuccess)
        error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    return error;
}

/* Enqueue a kernel; 0 or CUDA's error number. */
template <typename... Parameters, typename... Arguments>
static int simt_launch(void (*kernel)(Parameters...), const struct simt_shape &shape, void *stream,
                       Arguments... arguments)
{
    cudaError_t error = cudaSuccess;
    if (shape.shared > 48 * 1024)
        error = simt_opt_in((const void *)kernel);
    if (error != cudaSuccess)
        return (int)error;
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = shape.cluster;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(shape.grid);
    config.blockDim = dim3(shape.block);
    config.dynamicSmemBytes = shape.shared;
    config.stream = (cudaStream_t)stream;
    config.attrs = &cluster;
    config.numAttrs = shape.cluster > 1 ? 1 : 0;
    return (int)cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}

/* The host's side. Makes a device current for this thread; before: for simt_leave. */
static inline bool simt_enter(int device, int *before)
{
    return cudaGetDevice(before) == cudaSuccess && cudaSetDevice(device) == cudaSuccess;
}
static inline void simt_leave(int before)
{
    (void)cudaSetDevice(before);
}

#else
#    include APX_SIMT_EMULATOR
#endif

/* Some of CUDA's error numbers. */
enum {
    SIMT_NO_MEMORY = 2,
    SIMT_LAUNCH_FAILED = 719,
    SIMT_UNKNOWN = 999,
};

#endif
