/* SPDX-License-Identifier: Apache-2.0 */
/* simd_f32_cuda.cuh - the vector vocabulary with one lane, the thread: what rnn_cell.h and
 * activations.h need of it. The same bits as simd_f32_scalar.h; what goes through the C library
 * (vf_map) has those of CUDA's library.
 *
 * The table of vf_exp2_eighths_biased lies at the very start of the block's shared memory, where
 * lanes that want different entries do not wait for each other: kernels call vf_make_table, and a
 * barrier, before their first cell. */
#ifndef APX_CUDA_SIMD_F32_CUDA_CUH
#define APX_CUDA_SIMD_F32_CUDA_CUH

#include "kernels/cuda/simt.cuh"

#include "kernels/cpu/vector_names.h"

#undef APX_INLINE
#define APX_INLINE SIMT_INLINE
#undef APX_UNROLL_FOR
#ifdef __CUDACC__
#    define APX_UNROLL_FOR(i, n) _Pragma("unroll") for (int i = 0; i < (n); i++)
#else
#    define APX_UNROLL_FOR(i, n) for (int i = 0; i < (n); i++)
#endif

enum { VF_TABLE_BYTES = 32 };

typedef float vf;
typedef bool vm;

APX_INLINE vf vf_set1(float a)
{
    return a;
}
APX_INLINE vf vf_add(vf a, vf b)
{
    return simt_add(a, b);
}
APX_INLINE vf vf_sub(vf a, vf b)
{
    return simt_add(a, -b);
}
APX_INLINE vf vf_mul(vf a, vf b)
{
    return simt_mul(a, b);
}
APX_INLINE vf vf_div(vf a, vf b)
{
    return simt_div(a, b);
}
APX_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return simt_fma(a, b, c);
}
APX_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return simt_fma(-a, b, c);
}
APX_INLINE vf vf_min(vf a, vf b)
{
    return a < b ? a : b;
}
APX_INLINE vf vf_max(vf a, vf b)
{
    return a > b ? a : b;
}
APX_INLINE vf vf_abs(vf a)
{
    return simt_float(simt_bits(a) & 0x7fffffffu);
}
APX_INLINE vf vf_neg(vf a)
{
    return -a;
}
APX_INLINE vf vf_copysign(vf a, vf b)
{
    return simt_float((simt_bits(a) & 0x7fffffffu) | (simt_bits(b) & 0x80000000u));
}
APX_INLINE vm vf_lt(vf a, vf b)
{
    return a < b;
}
APX_INLINE vm vf_le(vf a, vf b)
{
    return a <= b;
}
APX_INLINE vf vf_select(vm m, vf a, vf b)
{
    return m ? a : b;
}
APX_INLINE vf vf_exp2_biased(vf a)
{
    return simt_float((simt_bits(a) << 23) + 0x3f800000u);
}
#define vf_map(f, a) vf_map_##f(a)
APX_INLINE vf vf_map_apx_softplus_one(vf x)
{
    return simt_add(log1pf(expf(-fabsf(x))), x > 0.0f ? x : 0.0f);
}
APX_INLINE void vf_make_table()
{
    const uint32_t significand[8] = APX_EXP2_EIGHTHS;
#ifdef __CUDACC__
#    pragma unroll
#endif
    for (unsigned i = 0; i < 8; i++)
        if (threadIdx.x == i % blockDim.x)
            ((uint32_t *)simt_shared())[i] = significand[i];
}
APX_INLINE vf vf_exp2_eighths_biased(vf a)
{
    const uint32_t bits = simt_bits(a);
    return simt_float((bits << 20) + ((const uint32_t *)simt_shared())[bits & 7]);
}

#endif
