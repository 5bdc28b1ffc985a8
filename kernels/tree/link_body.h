/* SPDX-License-Identifier: Apache-2.0 */
/* link_body.h - links in float or in double. Included twice by link.c, which defines REAL,
 * LINK(name), MATH(function) and REAL_C(constant).
 *
 * Margins come in through x[LINK_CHUNK] on the stack and go out from there, so that neither the
 * type of y nor `divide` shows in the formulas. */

/* x = the margins, divided */
static void LINK(load)(const struct apx_link *link, size_t count, const REAL *m, REAL *x)
{
    const REAL divide = (REAL)link->divide;
    if (divide == REAL_C(0.0))
        memcpy(x, m, count * sizeof *x);
    else
        for (size_t i = 0; i < count; i++)
            x[i] = m[i] / divide;
}

static void LINK(store)(size_t count, const REAL *x, void *y, bool y_double, size_t at)
{
    for (size_t i = 0; i < count && y_double; i++)
        ((double *)y)[at + i] = (double)x[i];
    for (size_t i = 0; i < count && !y_double; i++)
        ((float *)y)[at + i] = (float)x[i];
}

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

/* Links that look at one margin at a time. */
static void LINK(map)(const struct apx_link *link, size_t count, REAL *x)
{
    const REAL a = (REAL)link->a, b = (REAL)link->b;
#define EACH(expression)                                                                           \
    for (size_t i = 0; i < count; i++)                                                             \
        x[i] = (expression);                                                                       \
    break
    switch (link->kind) {
    case APX_LINK_SCALE:
        EACH(x[i] * a);
    case APX_LINK_SIGMOID:
        EACH(LINK(sigmoid)(a * x[i]));
    case APX_LINK_SIGMOID_XGB:
        EACH((REAL)link_sigmoid_xgb((float)x[i]));
    case APX_LINK_EXP:
        EACH(MATH(exp)(x[i]));
    case APX_LINK_LOG1P_EXP:
        EACH(MATH(log1p)(MATH(exp)(x[i])));
    case APX_LINK_SIGNED_SQUARE:
        EACH(x[i] < REAL_C(0.0) ? -x[i] * x[i] : x[i] * x[i]);
    case APX_LINK_HINGE:
        EACH(x[i] > REAL_C(0.0) ? REAL_C(1.0) : REAL_C(0.0));
    case APX_LINK_PROBIT:
        EACH(LINK(probit)(x[i]));
    case APX_LINK_ANOMALY:
        EACH(-MATH(exp2)(-x[i] * a) - b);
    default:
        break;
    }
#undef EACH
}

static size_t LINK(chunk)(size_t left)
{
    return left < LINK_CHUNK ? left : LINK_CHUNK;
}

/* x[i] = e^(x[i] - top), and their sum. Where zeros are skipped, margins within 1e-7 of 0 count as
 * 0 and stay out of the sum; a row of them alone gives NaN, as in ONNX Runtime. */
static double LINK(exponentials)(bool skip_zeros, REAL top, size_t count, REAL *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        const bool is_zero = skip_zeros && MATH(fabs)(x[i]) <= REAL_C(1e-7);
        x[i] = is_zero ? x[i] * MATH(exp)(-top) : MATH(exp)(x[i] - top);
        sum += is_zero ? 0.0 : (double)x[i];
    }
    return sum;
}

static REAL LINK(largest)(size_t count, const REAL *x, REAL top)
{
    for (size_t i = 0; i < count; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* A row wider than LINK_CHUNK: its exponentials are made twice. */
static void LINK(softmax_wide)(const struct apx_link *link, size_t k, const REAL *m, void *y,
                               bool y_double, size_t at)
{
    const bool skip_zeros = link->kind == APX_LINK_SOFTMAX_ZERO;
    REAL x[LINK_CHUNK], top = -(REAL)INFINITY;
    double sum = 0.0;
    for (size_t first = 0, count; first < k; first += count) {
        count = LINK(chunk)(k - first);
        LINK(load)(link, count, m + first, x);
        top = LINK(largest)(count, x, top);
    }
    for (size_t first = 0, count; first < k; first += count) {
        count = LINK(chunk)(k - first);
        LINK(load)(link, count, m + first, x);
        sum += LINK(exponentials)(skip_zeros, top, count, x);
    }
    for (size_t first = 0, count; first < k; first += count) {
        count = LINK(chunk)(k - first);
        LINK(load)(link, count, m + first, x);
        LINK(exponentials)(skip_zeros, top, count, x);
        for (size_t i = 0; i < count; i++)
            x[i] /= (REAL)sum;
        LINK(store)(count, x, y, y_double, at + first);
    }
}

/* x[k] in place */
static void LINK(softmax_row)(bool skip_zeros, size_t k, REAL *x)
{
    const REAL top = LINK(largest)(k, x, -(REAL)INFINITY);
    const REAL sum = (REAL)LINK(exponentials)(skip_zeros, top, k, x);
    for (size_t i = 0; i < k; i++)
        x[i] /= sum;
}

static void LINK(softmax)(const struct apx_link *link, size_t rows, size_t k, const REAL *m,
                          void *y, bool y_double)
{
    REAL x[LINK_CHUNK];
    for (size_t n = 0; n < rows && k > LINK_CHUNK; n++)
        LINK(softmax_wide)(link, k, m + n * k, y, y_double, n * k);
    for (size_t n = 0, count; n < rows && k <= LINK_CHUNK; n += count) {
        count = rows - n < LINK_CHUNK / k ? rows - n : LINK_CHUNK / k;
        LINK(load)(link, count * k, m + n * k, x);
        for (size_t i = 0; i < count; i++)
            LINK(softmax_row)(link->kind == APX_LINK_SOFTMAX_ZERO, k, x + i * k);
        LINK(store)(count * k, x, y, y_double, n * k);
    }
}

static void LINK(argmax)(size_t k, const REAL *m, void *y, bool y_double, size_t at)
{
    size_t best = 0;
    for (size_t i = 1; i < k; i++)
        best = m[i] > m[best] ? i : best;
    const REAL index = (REAL)best;
    LINK(store)(1, &index, y, y_double, at);
}

static void LINK(expectile)(const struct apx_link *link, size_t k, const REAL *m, void *y,
                            bool y_double, size_t at)
{
    REAL total = REAL_C(0.0), x;
    for (size_t i = 0; i < k; i++) {
        LINK(load)(link, 1, m + i, &x);
        total = i == 0 ? x : total + (REAL_C(1e-6) + LINK(softplus)(x));
        LINK(store)(1, &total, y, y_double, at + i);
    }
}

static void LINK(pairs)(const struct apx_link *link, size_t rows, const REAL *m, void *y,
                        bool y_double)
{
    enum { HALF = LINK_CHUNK / 2 };
    REAL x[HALF], pair[LINK_CHUNK];
    for (size_t first = 0, count; first < rows; first += count) {
        count = rows - first < HALF ? rows - first : HALF;
        LINK(load)(link, count, m + first, x);
        for (size_t i = 0; i < count; i++) {
            REAL *to = pair + 2 * i;
            to[0] = -x[i];
            to[1] = x[i];
            if (link->kind == APX_LINK_PAIR)
                to[0] = REAL_C(1.0) - x[i];
            if (link->kind == APX_LINK_PAIR_SIGMOID) { /* 1 - sigmoid(x), without losing digits */
                to[0] = LINK(sigmoid)(-x[i]);
                to[1] = LINK(sigmoid)(x[i]);
            }
            if (link->kind == APX_LINK_PAIR_SOFTMAX)
                LINK(softmax_row)(false, 2, to);
        }
        LINK(store)(2 * count, pair, y, y_double, 2 * first);
    }
}

/* One margin after the other, whatever the rows. */
static void LINK(each)(const struct apx_link *link, size_t total, const REAL *m, void *y,
                       bool y_double)
{
    REAL x[LINK_CHUNK];
    for (size_t first = 0, count; first < total; first += count) {
        count = LINK(chunk)(total - first);
        LINK(load)(link, count, m + first, x);
        LINK(map)(link, count, x);
        LINK(store)(count, x, y, y_double, first);
    }
}

static void LINK(run)(const struct apx_link *link, size_t rows, size_t k, const REAL *m, void *y,
                      bool y_double)
{
    switch (link->kind) {
    case APX_LINK_SOFTMAX:
    case APX_LINK_SOFTMAX_ZERO:
        LINK(softmax)(link, rows, k, m, y, y_double);
        break;
    case APX_LINK_ARGMAX:
        for (size_t n = 0; n < rows; n++)
            LINK(argmax)(k, m + n * k, y, y_double, n);
        break;
    case APX_LINK_SORT:
        LINK(each)(link, rows * k, m, y, y_double);
        for (size_t n = 0; n < rows; n++)
            link_sort(y, y_double, n * k, k);
        break;
    case APX_LINK_EXPECTILE:
        for (size_t n = 0; n < rows; n++)
            LINK(expectile)(link, k, m + n * k, y, y_double, n * k);
        break;
    case APX_LINK_PAIR:
    case APX_LINK_PAIR_NEGATIVE:
    case APX_LINK_PAIR_SIGMOID:
    case APX_LINK_PAIR_SOFTMAX:
        LINK(pairs)(link, rows, m, y, y_double);
        break;
    default:
        LINK(each)(link, rows * k, m, y, y_double);
    }
}
