/* SPDX-License-Identifier: Apache-2.0 */
/* simd_f32_avx512.h - the vector vocabulary with sixteen lanes. Meanings: simd_f32_scalar.h. */
#ifndef APX_KERNELS_SIMD_F32_AVX512_H
#define APX_KERNELS_SIMD_F32_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/vector_names.h"

#define VF_ISA         avx512
#define VF_LANES       16
#define VF_TILE_ROWS   6 /* 6 x 4 accumulators, 4 weights: 28 of 32 registers */
#define VF_SIDE_BLOCKS 2 /* half as many sums fill the pipes */

typedef __m512 vf;
typedef __mmask16 vm;

APX_INLINE vf vf_set1(float a)
{
    return _mm512_set1_ps(a);
}
APX_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
APX_INLINE vf vf_load_half(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
APX_INLINE void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}
APX_INLINE __mmask16 vf_first_mask(size_t count)
{
    return (__mmask16)((1u << count) - 1u);
}
APX_INLINE vf vf_load_first(const float *p, size_t count)
{
    return _mm512_maskz_loadu_ps(vf_first_mask(count), p);
}
APX_INLINE void vf_store_first(float *p, vf a, size_t count)
{
    _mm512_mask_storeu_ps(p, vf_first_mask(count), a);
}
APX_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
APX_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
APX_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
APX_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
APX_INLINE vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
APX_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
APX_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
APX_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
APX_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
APX_INLINE vf vf_abs(vf a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
APX_INLINE vf vf_neg(vf a)
{
    return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a);
}
APX_INLINE vf vf_copysign(vf a, vf b)
{
    return _mm512_or_ps(vf_abs(a), _mm512_and_ps(_mm512_set1_ps(-0.0f), b));
}
APX_INLINE vm vf_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
APX_INLINE vm vf_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
APX_INLINE vf vf_select(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
APX_INLINE vf vf_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
APX_INLINE vf vf_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
APX_INLINE vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
APX_INLINE vf vf_exp2_biased(vf a)
{
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(a), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
}
APX_INLINE vf vf_exp2_eighths_biased(vf a)
{
    static const uint32_t significand[8] __attribute__((aligned(32))) = APX_EXP2_EIGHTHS;
    /* Twice, as the instruction looks at four bits. */
    const __m512i table =
        _mm512_broadcast_i64x4(_mm256_load_si256((const __m256i *)(const void *)significand));
    const __m512i bits = _mm512_castps_si512(a);
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_slli_epi32(bits, 20), _mm512_permutexvar_epi32(bits, table)));
}
APX_INLINE vf vf_map(float (*f)(float), vf a)
{
    float lane[VF_LANES];
    vf_store(lane, a);
    for (int i = 0; i < VF_LANES; i++)
        lane[i] = f(lane[i]);
    return vf_load(lane);
}

#endif
