/* SPDX-License-Identifier: Apache-2.0 */
/* simd_f32_scalar.h - the vector vocabulary with one lane: the definition of what each word means.
 *
 * The other simd_f32_<isa>.h give the same bits per lane (any NaN for a NaN). Compiled for the
 * x86-64 baseline, where fmaf is a call into the C library, which uses the instruction if there is
 * one. */
#ifndef APX_KERNELS_SIMD_F32_SCALAR_H
#define APX_KERNELS_SIMD_F32_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/half.h"
#include "kernels/cpu/vector_names.h"

#define VF_ISA   scalar
#define VF_LANES 1
/* Rows of a tile that is four vectors wide: what fits the registers. */
#define VF_TILE_ROWS 3
/* Blocks of units side by side for a single row, so that enough sums are under way. */
#define VF_SIDE_BLOCKS 3

typedef float vf;
typedef int vm; /* the result of a comparison */

APX_INLINE vf vf_set1(float a)
{
    return a;
}
APX_INLINE vf vf_load(const float *p)
{
    return *p;
}
/* Of half precision. */
APX_INLINE vf vf_load_half(const uint16_t *p)
{
    return apx_half_value(*p);
}
APX_INLINE void vf_store(float *p, vf a)
{
    *p = a;
}
/* The first `count` (1 .. VF_LANES) lanes; the others load as zero and are not stored. */
APX_INLINE vf vf_load_first(const float *p, size_t count)
{
    (void)count;
    return *p;
}
APX_INLINE void vf_store_first(float *p, vf a, size_t count)
{
    (void)count;
    *p = a;
}
APX_INLINE vf vf_add(vf a, vf b)
{
    return a + b;
}
APX_INLINE vf vf_sub(vf a, vf b)
{
    return a - b;
}
APX_INLINE vf vf_mul(vf a, vf b)
{
    return a * b;
}
APX_INLINE vf vf_div(vf a, vf b)
{
    return a / b;
}
APX_INLINE vf vf_sqrt(vf a)
{
    return sqrtf(a);
}
/* a*b + c and c - a*b, rounded once. */
APX_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return fmaf(a, b, c);
}
APX_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return fmaf(-a, b, c);
}
/* The second operand where either is NaN or both are zero: put the data second and NaN passes. */
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
    return fabsf(a);
}
APX_INLINE vf vf_neg(vf a)
{
    return -a;
}
/* |a| with the sign of b. */
APX_INLINE vf vf_copysign(vf a, vf b)
{
    return copysignf(a, b);
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
APX_INLINE vf vf_floor(vf a)
{
    return floorf(a);
}
APX_INLINE vf vf_ceil(vf a)
{
    return ceilf(a);
}
/* To the nearest integer, halves to even. */
APX_INLINE vf vf_round(vf a)
{
    return rintf(a);
}
/* 2^n for a = 0x1.8p23 + n, n an integer in -127 .. 128: 0 for -127, infinity for 128. The low bits
 * of such a float are n in two's complement, so a shift puts them where the exponent is. */
APX_INLINE vf vf_exp2_biased(vf a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    vf scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}
/* 2^(m/8), rounded, for a = 0x1.8p23 + m, m an integer in -1008 .. 1016. The low three bits of m
 * choose a significand, less what they themselves add to it when m is shifted to the exponent. */
APX_INLINE vf vf_exp2_eighths_biased(vf a)
{
    static const uint32_t significand[8] = APX_EXP2_EIGHTHS;
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits = (bits << 20) + significand[bits & 7];
    vf scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}
/* f of every lane. */
APX_INLINE vf vf_map(float (*f)(float), vf a)
{
    return f(a);
}

#endif
