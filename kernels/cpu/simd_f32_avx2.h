/* SPDX-License-Identifier: Apache-2.0 */
/* simd_f32_avx2.h - the vector vocabulary with eight lanes. Meanings: simd_f32_scalar.h. */
#ifndef APX_KERNELS_SIMD_F32_AVX2_H
#define APX_KERNELS_SIMD_F32_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/vector_names.h"

#define VF_ISA         avx2
#define VF_LANES       8
#define VF_TILE_ROWS   3 /* 3 x 4 accumulators, 3 weights, 1 broadcast: 16 registers */
#define VF_SIDE_BLOCKS 3 /* 3 x 3 or 3 x 4 sums */

typedef __m256 vf;
typedef __m256 vm;

APX_INLINE vf vf_set1(float a)
{
    return _mm256_set1_ps(a);
}
APX_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
APX_INLINE vf vf_load_half(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
APX_INLINE void vf_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a);
}
APX_INLINE __m256i vf_first_mask(size_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
APX_INLINE vf vf_load_first(const float *p, size_t count)
{
    return _mm256_maskload_ps(p, vf_first_mask(count));
}
APX_INLINE void vf_store_first(float *p, vf a, size_t count)
{
    _mm256_maskstore_ps(p, vf_first_mask(count), a);
}
APX_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
APX_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
APX_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
APX_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
APX_INLINE vf vf_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
APX_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
APX_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
APX_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
APX_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
APX_INLINE vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
APX_INLINE vf vf_neg(vf a)
{
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a);
}
APX_INLINE vf vf_copysign(vf a, vf b)
{
    return _mm256_or_ps(vf_abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), b));
}
APX_INLINE vm vf_lt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
APX_INLINE vm vf_le(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
APX_INLINE vf vf_select(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, m);
}
APX_INLINE vf vf_floor(vf a)
{
    return _mm256_floor_ps(a);
}
APX_INLINE vf vf_ceil(vf a)
{
    return _mm256_ceil_ps(a);
}
APX_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
APX_INLINE vf vf_exp2_biased(vf a)
{
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
}
APX_INLINE vf vf_exp2_eighths_biased(vf a)
{
    static const uint32_t significand[8] __attribute__((aligned(32))) = APX_EXP2_EIGHTHS;
    const __m256i table = _mm256_load_si256((const __m256i *)(const void *)significand);
    const __m256i bits = _mm256_castps_si256(a);
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(bits, 20), _mm256_permutevar8x32_epi32(table, bits)));
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
