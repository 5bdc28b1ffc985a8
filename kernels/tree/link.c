/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - from margins to predictions, as the libraries compute them.
 *
 * What users compare are digits, so every formula is taken operation by operation, in the order and
 * the precision of the library that trained the model, with the C library's own exp, log1p and
 * exp2: on one machine the bits are those of XGBoost and of LightGBM. A polynomial of ours would be
 * faster and off by one here and there; at 3 to 6 ns a value the C library costs a few trees.
 *
 * Where ONNX Runtime loses digits on the way (1 - v for the lower half of its logistic), the
 * formula of the standard is kept instead.
 *
 * Every link is written once, in link_body.h, for float and for double. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "kernels/kernels.h"

size_t apx_link_outputs(const struct apx_link *link, size_t margins)
{
    switch (link->kind) {
    case APX_LINK_ARGMAX:
        return 1;
    case APX_LINK_PAIR:
    case APX_LINK_PAIR_NEGATIVE:
    case APX_LINK_PAIR_SIGMOID:
    case APX_LINK_PAIR_SOFTMAX:
        return 2;
    default:
        return margins;
    }
}

/* XGBoost's: the bound keeps exp finite, 1e-16 does nothing in float. */
static float link_sigmoid_xgb(float m)
{
    const float x = 88.7f < -m ? 88.7f : -m; /* NaN stays */
    return 1.0f / (expf(x) + 1.0f + 1e-16f);
}

/* Heap sort, for K up to tens of thousands without memory of its own. NaN goes to the end. */
#define LINK_SORT(real)                                                                            \
    static bool link_##real##_before(real a, real b)                                               \
    {                                                                                              \
        return a < b || (isnan(b) && !isnan(a));                                                   \
    }                                                                                              \
    static void link_##real##_sink(real *y, size_t root, size_t end)                               \
    {                                                                                              \
        for (size_t child; (child = 2 * root + 1) < end; root = child) {                           \
            if (child + 1 < end && link_##real##_before(y[child], y[child + 1]))                   \
                child++;                                                                           \
            if (!link_##real##_before(y[root], y[child]))                                          \
                return;                                                                            \
            real moved = y[root];                                                                  \
            y[root] = y[child];                                                                    \
            y[child] = moved;                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void link_##real##_sort(real *y, size_t count)                                          \
    {                                                                                              \
        for (size_t i = count / 2; i-- > 0;)                                                       \
            link_##real##_sink(y, i, count);                                                       \
        for (size_t end = count; end-- > 1;) {                                                     \
            real greatest = y[0];                                                                  \
            y[0] = y[end];                                                                         \
            y[end] = greatest;                                                                     \
            link_##real##_sink(y, 0, end);                                                         \
        }                                                                                          \
    }
LINK_SORT(float)
LINK_SORT(double)

static void link_sort(void *y, bool y_double, size_t at, size_t count)
{
    if (y_double)
        link_double_sort((double *)y + at, count);
    else
        link_float_sort((float *)y + at, count);
}

#define LINK_CHUNK 128

#define REAL       float
#define LINK(name) link_float_##name
#define MATH(name) name##f
#define REAL_C(c)  c##f
#include "kernels/tree/link_body.h"
#undef REAL
#undef LINK
#undef MATH
#undef REAL_C

#define REAL       double
#define LINK(name) link_double_##name
#define MATH(name) name
#define REAL_C(c)  c
#include "kernels/tree/link_body.h"

void apx_link_run(const struct apx_link *link, size_t rows, size_t k, const void *margins,
                  bool margins_double, void *y, bool y_double)
{
    if (margins_double)
        link_double_run(link, rows, k, margins, y, y_double);
    else
        link_float_run(link, rows, k, margins, y, y_double);
}
