/* SPDX-License-Identifier: Apache-2.0 */
/* link_body.h - one row through a link, in float or in double. Included twice by link.c, which
 * defines REAL, LINK(name), MATH(function) and REAL_C(constant).
 *
 * A row's predictions are made in the caller's y: it is K or 2 wide, and its type need not be REAL.
 * Links that need more than one pass keep their intermediate values there only if the types are
 * equal; else they compute them again, so nothing is rounded twice. */

static REAL LINK(sigmoid)(REAL x)
{
    return REAL_C(1.0) / (REAL_C(1.0) + MATH(exp)(-x));
}

/* ln(1 + e^x) without overflow */
static REAL LINK(softplus)(REAL x)
{
    return MATH(log1p)(MATH(exp)(-MATH(fabs)(x))) + (x > REAL_C(0.0) ? x : REAL_C(0.0));
}

/* An approximation of erfinv by elementary functions, with the digits that ONNX's reference and
 * ONNX Runtime give its constants. */
static REAL LINK(probit)(REAL p)
{
    REAL x = REAL_C(2.0) * p - REAL_C(1.0);
    REAL sign = x < REAL_C(0.0) ? REAL_C(-1.0) : REAL_C(1.0);
    REAL logarithm = MATH(log)((REAL_C(1.0) - x) * (REAL_C(1.0) + x));
    REAL v = REAL_C(2.0) / (REAL_C(3.14159) * REAL_C(0.147)) + REAL_C(0.5) * logarithm;
    REAL square = v * v - REAL_C(1.0) / REAL_C(0.147) * logarithm;
    return REAL_C(1.41421356) * (sign * MATH(sqrt)(-v + MATH(sqrt)(square)));
}

static REAL LINK(one)(const struct apx_link *link, REAL m)
{
    const REAL a = (REAL)link->a;
    switch (link->kind) {
    case APX_LINK_SCALE:
        return m * a;
    case APX_LINK_SIGMOID:
        return LINK(sigmoid)(a * m);
    case APX_LINK_EXP:
        return MATH(exp)(m);
    case APX_LINK_LOG1P_EXP:
        return MATH(log1p)(MATH(exp)(m));
    case APX_LINK_SIGNED_SQUARE:
        return m < REAL_C(0.0) ? -m * m : m * m;
    case APX_LINK_HINGE:
        return m > REAL_C(0.0) ? REAL_C(1.0) : REAL_C(0.0);
    case APX_LINK_PROBIT:
        return LINK(probit)(m);
    case APX_LINK_ANOMALY:
        return -MATH(exp2)(-m * a) - (REAL)link->b;
    default:
        return m;
    }
}

static REAL LINK(margin)(const struct apx_link *link, const REAL *m, size_t i)
{
    return link->divide != 0.0 ? m[i] / (REAL)link->divide : m[i];
}

static void LINK(put)(void *y, bool y_double, size_t at, REAL value)
{
    if (y_double)
        ((double *)y)[at] = (double)value;
    else
        ((float *)y)[at] = (float)value;
}

/* The exponentials are made twice where y cannot hold them. Sum in double in any case. */
static void LINK(softmax)(const struct apx_link *link, size_t k, const REAL *m, void *y,
                          bool y_double, size_t at)
{
    const bool keep = y_double == (sizeof(REAL) == sizeof(double));
    REAL top = LINK(margin)(link, m, 0);
    for (size_t i = 1; i < k; i++) {
        REAL x = LINK(margin)(link, m, i);
        top = x > top ? x : top;
    }
    double sum = 0.0;
    for (size_t i = 0; i < k; i++) {
        REAL e = MATH(exp)(LINK(margin)(link, m, i) - top);
        sum += (double)e;
        if (keep)
            LINK(put)(y, y_double, at + i, e);
    }
    const REAL divisor = (REAL)sum;
    for (size_t i = 0; i < k; i++) {
        REAL e = keep ? ((const REAL *)y)[at + i] : MATH(exp)(LINK(margin)(link, m, i) - top);
        LINK(put)(y, y_double, at + i, e / divisor);
    }
}

/* Margins within 1e-7 of 0 count as 0 and stay out of the sum; a row of them alone has no softmax
 * and gives NaN, as in ONNX Runtime. */
static bool LINK(counts)(REAL m)
{
    return !(MATH(fabs)(m) <= REAL_C(1e-7));
}

static void LINK(softmax_zero)(const struct apx_link *link, size_t k, const REAL *m, void *y,
                               bool y_double, size_t at)
{
    REAL top = LINK(margin)(link, m, 0);
    for (size_t i = 1; i < k; i++) {
        REAL x = LINK(margin)(link, m, i);
        top = x > top ? x : top;
    }
    REAL sum = REAL_C(0.0);
    for (size_t i = 0; i < k; i++) {
        REAL x = LINK(margin)(link, m, i);
        sum += LINK(counts)(x) ? MATH(exp)(x - top) : REAL_C(0.0);
    }
    for (size_t i = 0; i < k; i++) {
        REAL x = LINK(margin)(link, m, i);
        REAL e = LINK(counts)(x) ? MATH(exp)(x - top) : x * MATH(exp)(-top);
        LINK(put)(y, y_double, at + i, e / sum);
    }
}

static void LINK(row)(const struct apx_link *link, size_t k, const REAL *m, void *y, bool y_double,
                      size_t at)
{
    REAL first = LINK(margin)(link, m, 0);
    switch (link->kind) {
    case APX_LINK_SIGMOID_XGB:
        for (size_t i = 0; i < k; i++)
            LINK(put)(y, y_double, at + i, (REAL)link_sigmoid_xgb((float)LINK(margin)(link, m, i)));
        break;
    case APX_LINK_SOFTMAX:
        LINK(softmax)(link, k, m, y, y_double, at);
        break;
    case APX_LINK_SOFTMAX_ZERO:
        LINK(softmax_zero)(link, k, m, y, y_double, at);
        break;
    case APX_LINK_ARGMAX: {
        size_t best = 0;
        for (size_t i = 1; i < k; i++)
            if (m[i] > m[best])
                best = i;
        LINK(put)(y, y_double, at, (REAL)best);
        break;
    }
    case APX_LINK_SORT:
        for (size_t i = 0; i < k; i++)
            LINK(put)(y, y_double, at + i, LINK(margin)(link, m, i));
        if (y_double)
            link_double_sort((double *)y + at, k);
        else
            link_float_sort((float *)y + at, k);
        break;
    case APX_LINK_EXPECTILE:
        LINK(put)(y, y_double, at, first);
        for (size_t i = 1; i < k; i++) {
            first += REAL_C(1e-6) + LINK(softplus)(LINK(margin)(link, m, i));
            LINK(put)(y, y_double, at + i, first);
        }
        break;
    case APX_LINK_PAIR:
        LINK(put)(y, y_double, at, REAL_C(1.0) - first);
        LINK(put)(y, y_double, at + 1, first);
        break;
    case APX_LINK_PAIR_NEGATIVE:
        LINK(put)(y, y_double, at, -first);
        LINK(put)(y, y_double, at + 1, first);
        break;
    case APX_LINK_PAIR_SIGMOID: /* 1 - sigmoid(m) is sigmoid(-m), without losing digits */
        LINK(put)(y, y_double, at, LINK(sigmoid)(-first));
        LINK(put)(y, y_double, at + 1, LINK(sigmoid)(first));
        break;
    case APX_LINK_PAIR_SOFTMAX: {
        const struct apx_link plain = {.kind = APX_LINK_SOFTMAX};
        const REAL pair[2] = {-first, first};
        LINK(softmax)(&plain, 2, pair, y, y_double, at);
        break;
    }
    default:
        for (size_t i = 0; i < k; i++)
            LINK(put)(y, y_double, at + i, LINK(one)(link, LINK(margin)(link, m, i)));
    }
}
