/* SPDX-License-Identifier: Apache-2.0 */
/* unary_libm.c - the unary operations that go through the C library, one element at a time. */
#include <math.h>

#include "kernels/elementwise/unary_rows.h"

#define APX_UNARY_LIBM(name, expression)                                                           \
    void apx_unary_scalar_##name(size_t count, const float *x, float *y, float alpha, float beta)  \
    {                                                                                              \
        (void)alpha;                                                                               \
        (void)beta;                                                                                \
        for (size_t i = 0; i < count; i++) {                                                       \
            const float v = x[i];                                                                  \
            y[i] = (expression);                                                                   \
        }                                                                                          \
    }

static float softplus(float v)
{
    return log1pf(expf(-fabsf(v))) + (v > 0.0f ? v : 0.0f);
}

APX_UNARY_LIBM(log, logf(v))
APX_UNARY_LIBM(erf, erff(v))
APX_UNARY_LIBM(sin, sinf(v))
APX_UNARY_LIBM(cos, cosf(v))
APX_UNARY_LIBM(softplus, softplus(v))
APX_UNARY_LIBM(gelu, 0.5f * v * (1.0f + erff(v * 0.70710678118654752f)))
APX_UNARY_LIBM(mish, v *tanhf(softplus(v)))
