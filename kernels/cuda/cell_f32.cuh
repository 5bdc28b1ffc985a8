/* SPDX-License-Identifier: Apache-2.0 */
/* cell_f32.cuh - sigmoid and tanh with the bits of kernels/cpu/activations.h, where the reduction,
 * the polynomial and the errors are explained: the same operations in the same order. */
#ifndef APX_CUDA_CELL_F32_CUH
#define APX_CUDA_CELL_F32_CUH

#include "kernels/cuda/simt.cuh"

/* 2^n for a = 0x1.8p23 + n, n in -127 .. 128. */
SIMT_INLINE float cell_exp2_biased(float a)
{
    return simt_float((simt_bits(a) << 23) + 0x3f800000u);
}

SIMT_INLINE float cell_expm1_reduced(float r)
{
    float q = simt_fma(0x1.6bec08p-10f, r, 0x1.12276ap-7f);
    q = simt_fma(q, r, 0x1.555674p-5f);
    q = simt_fma(q, r, 0x1.5554b0p-3f);
    q = simt_fma(q, r, 0x1.fffffep-2f);
    return simt_fma(q, simt_mul(r, r), r);
}

/* x = n ln 2 + r: 2^n, and e^r - 1. */
SIMT_INLINE float cell_reduce(float x, float *scale)
{
    const float biased = simt_fma(x, 0x1.715476p0f, 0x1.8p23f);
    const float n = simt_add(biased, -0x1.8p23f);
    *scale = cell_exp2_biased(biased);
    return cell_expm1_reduced(simt_fma(-n, 0x1.62e430p-1f, x));
}

SIMT_INLINE float cell_sigmoid(float x)
{
    const float magnitude = simt_float(simt_bits(x) & 0x7fffffffu);
    float scale, down = -magnitude;
    down = -88.03f > down ? -88.03f : down; /* NaN passes */
    const float p = cell_reduce(down, &scale);
    const float e = simt_fma(scale, p, scale);
    return simt_div(x < 0.0f ? e : 1.0f, simt_add(1.0f, e));
}

SIMT_INLINE float cell_tanh(float x)
{
    const float magnitude = simt_float(simt_bits(x) & 0x7fffffffu);
    float scale, twice = simt_add(magnitude, magnitude);
    twice = 20.0f < twice ? 20.0f : twice;
    const float p = cell_reduce(twice, &scale);
    const float u = simt_fma(scale, p, simt_add(scale, -1.0f));
    const float t = simt_div(u, simt_add(u, 2.0f));
    return simt_float((simt_bits(t) & 0x7fffffffu) | (simt_bits(x) & 0x80000000u));
}

#endif
