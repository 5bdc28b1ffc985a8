/* SPDX-License-Identifier: Apache-2.0 */
/* unary_body.h - y = f(x) for the operations that the vector vocabulary can say.
 *
 * Every operation has the signature (x, alpha, beta) -> y; APX_UNARY_VECTOR makes the loop.
 * Semantics are ONNX's; NaN passes through all of them.
 *
 * Included by unary_<isa>.c after simd_f32_<isa>.h. */
#include "kernels/cpu/activations.h"
#include "kernels/elementwise/unary_rows.h"

#define APX_UNARY_VECTOR(name, expression)                                                         \
    APX_INLINE vf name##_of(vf x, vf alpha, vf beta)                                               \
    {                                                                                              \
        (void)alpha;                                                                               \
        (void)beta;                                                                                \
        return (expression);                                                                       \
    }                                                                                              \
    void APX_ENTRY(unary, name)(size_t count, const float *x, float *y, float alpha, float beta)   \
    {                                                                                              \
        const vf a = vf_set1(alpha), b = vf_set1(beta);                                            \
        size_t i = 0;                                                                              \
        for (; i + VF_LANES <= count; i += VF_LANES)                                               \
            vf_store(y + i, name##_of(vf_load(x + i), a, b));                                      \
        if (i < count)                                                                             \
            vf_store_first(y + i, name##_of(vf_load_first(x + i, count - i), a, b), count - i);    \
    }

#define ZERO vf_set1(0.0f)
#define ONE  vf_set1(1.0f)

/* max(0, min(1, alpha x + beta)) */
APX_INLINE vf hard_sigmoid_at(vf x, vf alpha, vf beta)
{
    return vf_max(ZERO, vf_min(ONE, vf_fma(alpha, x, beta)));
}

/* -1, 0, 1; NaN stays. */
APX_INLINE vf sign_at(vf x)
{
    vf y = vf_select(vf_lt(ZERO, x), ONE, x);
    return vf_select(vf_lt(x, ZERO), vf_set1(-1.0f), y);
}

/* x < 0 ? alpha (e^(x/alpha) - 1) : x */
APX_INLINE vf celu_at(vf x, vf alpha)
{
    vf negative = vf_mul(alpha, vf_elu(vf_div(x, alpha), ONE));
    return vf_select(vf_lt(x, ZERO), negative, x);
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the form of ONNX's Gelu with approximate=tanh */
APX_INLINE vf gelu_tanh_at(vf x)
{
    vf cube = vf_mul(vf_mul(x, x), vf_mul(x, vf_set1(0.044715f)));
    vf t = vf_tanh(vf_mul(vf_set1(0.7978845608028654f), vf_add(x, cube)));
    return vf_mul(vf_mul(vf_set1(0.5f), x), vf_add(ONE, t));
}

APX_UNARY_VECTOR(abs, vf_abs(x))
APX_UNARY_VECTOR(neg, vf_neg(x))
APX_UNARY_VECTOR(sqrt, vf_sqrt(x))
APX_UNARY_VECTOR(exp, vf_exp(x))
APX_UNARY_VECTOR(reciprocal, vf_div(ONE, x))
APX_UNARY_VECTOR(floor, vf_floor(x))
APX_UNARY_VECTOR(ceil, vf_ceil(x))
APX_UNARY_VECTOR(round, vf_round(x))
APX_UNARY_VECTOR(sign, sign_at(x))
APX_UNARY_VECTOR(relu, vf_max(ZERO, x))
APX_UNARY_VECTOR(tanh, vf_tanh(x))
APX_UNARY_VECTOR(sigmoid, vf_sigmoid(x))
APX_UNARY_VECTOR(hard_sigmoid, hard_sigmoid_at(x, alpha, beta))
APX_UNARY_VECTOR(leaky_relu, vf_select(vf_lt(x, ZERO), vf_mul(alpha, x), x))
APX_UNARY_VECTOR(thresholded_relu, vf_select(vf_le(x, alpha), ZERO, x))
APX_UNARY_VECTOR(elu, vf_elu(x, alpha))
/* gamma is beta: gamma (x > 0 ? x : alpha (e^x - 1)) */
APX_UNARY_VECTOR(selu, vf_mul(beta, vf_elu(x, alpha)))
APX_UNARY_VECTOR(celu, celu_at(x, alpha))
APX_UNARY_VECTOR(softsign, vf_softsign(x))
APX_UNARY_VECTOR(hard_swish, vf_mul(x, hard_sigmoid_at(x, vf_set1(1.0f / 6.0f), vf_set1(0.5f))))
APX_UNARY_VECTOR(gelu_tanh, gelu_tanh_at(x))
APX_UNARY_VECTOR(clip, vf_min(beta, vf_max(alpha, x)))
APX_UNARY_VECTOR(silu, vf_mul(x, vf_sigmoid(x)))
