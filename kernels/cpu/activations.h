/* SPDX-License-Identifier: Apache-2.0 */
/* activations.h - exp, expm1, sigmoid, tanh and the other activations, written once over the vector
 * vocabulary (include a simd_f32_<isa>.h first). Every ISA gives the same bits.
 *
 * All rest on one reduction, x = n ln 2 + r with |r| <= ln(2)/2, and one polynomial for
 * p(r) = e^r - 1 = r + r^2 q(r), q of degree 4, found by minimising the relative error of p
 * (1.3e-8, at most a quarter of a unit in the last place). Then e^x = 2^n (1 + p) and
 * e^x - 1 = 2^n p + (2^n - 1), which loses nothing near 0.
 *
 *   sigmoid(x) = e^-|x| / (1 + e^-|x|) for x < 0, else 1 / (1 + e^-|x|)
 *   tanh(x)    = sign(x) u / (u + 2), u = e^2|x| - 1
 *
 * Both keep their relative accuracy everywhere. Largest errors against float64 over all 2^32
 * floats:
 *
 *   exp      1.05 ulp
 *   sigmoid  2.64 ulp for x > -20, 4.5 ulp down to -87; 9e-8 absolute
 *   tanh     2.57 ulp; 9e-8 absolute
 *
 * (tests/kernels/activations_test.c holds them to it: an even sample by default, all when asked.)
 * NaN gives NaN; the infinities give the limits. */
#ifndef APX_KERNELS_ACTIVATIONS_H
#define APX_KERNELS_ACTIVATIONS_H

#include <float.h>

#include "kernels/kernels.h"

/* Adding it rounds to an integer, which then sits in the low bits (vf_exp2_biased). */
#define VF_ROUND_BIAS 0x1.8p23f
#define VF_LOG2_E     0x1.715476p0f
#define VF_LN2_HIGH   0x1.62e430p-1f   /* ln 2 to 24 bits */
#define VF_LN2_LOW    -0x1.05c610p-29f /* the rest */

/* e^r - 1 */
APX_INLINE vf vf_expm1_reduced(vf r)
{
    vf q = vf_fma(vf_set1(0x1.6bec08p-10f), r, vf_set1(0x1.12276ap-7f));
    q = vf_fma(q, r, vf_set1(0x1.555674p-5f));
    q = vf_fma(q, r, vf_set1(0x1.5554b0p-3f));
    q = vf_fma(q, r, vf_set1(0x1.fffffep-2f));
    return vf_fma(q, vf_mul(r, r), r);
}

/* e^x - 1 for x in [-88.03, 88.03]. One constant for ln 2 suffices: its error is n 2^-29, which
 * matters only where |n| is large. */
APX_INLINE vf vf_expm1_within(vf x)
{
    vf biased = vf_fma(x, vf_set1(VF_LOG2_E), vf_set1(VF_ROUND_BIAS));
    vf n = vf_sub(biased, vf_set1(VF_ROUND_BIAS));
    vf p = vf_expm1_reduced(vf_fnma(n, vf_set1(VF_LN2_HIGH), x));
    vf scale = vf_exp2_biased(biased);
    return vf_fma(scale, p, vf_sub(scale, vf_set1(1.0f)));
}

/* e^x for x <= 0; below -87.68, where the result is not normal any more, 0. */
APX_INLINE vf vf_exp_decay(vf x)
{
    x = vf_max(vf_set1(-88.03f), x); /* n = -127, whose scale is 0 */
    vf biased = vf_fma(x, vf_set1(VF_LOG2_E), vf_set1(VF_ROUND_BIAS));
    vf n = vf_sub(biased, vf_set1(VF_ROUND_BIAS));
    vf p = vf_expm1_reduced(vf_fnma(n, vf_set1(VF_LN2_HIGH), x));
    vf scale = vf_exp2_biased(biased);
    return vf_fma(scale, p, scale);
}

/* e^x for every x: overflow to infinity and gradual underflow, hence two scales. */
APX_INLINE vf vf_exp(vf x)
{
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-104.0f), x));
    vf biased = vf_fma(x, vf_set1(VF_LOG2_E), vf_set1(VF_ROUND_BIAS));
    vf n = vf_sub(biased, vf_set1(VF_ROUND_BIAS));
    vf r = vf_fnma(n, vf_set1(VF_LN2_HIGH), x);
    r = vf_fnma(n, vf_set1(VF_LN2_LOW), r);
    vf p = vf_add(vf_expm1_reduced(r), vf_set1(1.0f));
    vf half = vf_fma(n, vf_set1(0.5f), vf_set1(VF_ROUND_BIAS));
    vf rest = vf_add(vf_sub(n, vf_sub(half, vf_set1(VF_ROUND_BIAS))), vf_set1(VF_ROUND_BIAS));
    return vf_mul(vf_mul(p, vf_exp2_biased(half)), vf_exp2_biased(rest));
}

APX_INLINE vf vf_sigmoid(vf x)
{
    vf e = vf_exp_decay(vf_neg(vf_abs(x)));
    vf one = vf_set1(1.0f);
    return vf_div(vf_select(vf_lt(x, vf_set1(0.0f)), e, one), vf_add(one, e));
}

APX_INLINE vf vf_tanh(vf x)
{
    /* From 2|x| = 17.33 on u/(u+2) rounds to 1. */
    vf twice = vf_min(vf_set1(20.0f), vf_add(vf_abs(x), vf_abs(x)));
    vf u = vf_expm1_within(twice);
    return vf_copysign(vf_div(u, vf_add(u, vf_set1(2.0f))), x);
}

/* x < 0 ? alpha (e^x - 1) : x */
APX_INLINE vf vf_elu(vf x, vf alpha)
{
    vf e = vf_expm1_within(vf_min(vf_set1(0.0f), vf_max(vf_set1(-88.03f), x)));
    return vf_select(vf_lt(x, vf_set1(0.0f)), vf_mul(alpha, e), x);
}

APX_INLINE vf vf_softsign(vf x)
{
    vf a = vf_min(vf_set1(FLT_MAX), vf_abs(x));
    return vf_copysign(vf_div(a, vf_add(vf_set1(1.0f), a)), x);
}

/* ln(1 + e^x) */
static inline float apx_softplus_one(float x)
{
    return log1pf(expf(-fabsf(x))) + (x > 0.0f ? x : 0.0f);
}

/* Within [-bound, bound]; NaN stays. */
APX_INLINE vf vf_bound(vf x, float bound)
{
    return vf_min(vf_set1(bound), vf_max(vf_set1(-bound), x));
}

APX_INLINE vf vf_activate(struct apx_activation act, vf x)
{
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    const vf alpha = vf_set1(act.alpha), beta = vf_set1(act.beta);
    switch (act.kind) {
    case APX_ACT_NONE:
        return x;
    case APX_ACT_RELU:
        return vf_max(zero, x);
    case APX_ACT_TANH:
        return vf_tanh(x);
    case APX_ACT_SIGMOID:
        return vf_sigmoid(x);
    case APX_ACT_HARD_SIGMOID:
        return vf_max(zero, vf_min(one, vf_fma(alpha, x, beta)));
    case APX_ACT_LEAKY_RELU:
        return vf_select(vf_lt(x, zero), vf_mul(alpha, x), x);
    case APX_ACT_THRESHOLDED_RELU:
        return vf_select(vf_le(x, alpha), zero, x);
    case APX_ACT_SCALED_TANH:
        return vf_mul(alpha, vf_tanh(vf_mul(beta, x)));
    case APX_ACT_AFFINE:
        return vf_fma(alpha, x, beta);
    case APX_ACT_ELU:
        return vf_elu(x, alpha);
    case APX_ACT_SOFTSIGN:
        return vf_softsign(x);
    case APX_ACT_SOFTPLUS:
        return vf_map(apx_softplus_one, x);
    }
    return x;
}

#endif
