/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.c - reductions of x[outer, K, inner] over K.
 *
 * Sums are kept in double, k ascending: one order per output whatever the shape around it, and no
 * growth of rounding errors with K. Inner columns go side by side, a chunk at a time. */
#include <assert.h>
#include <math.h>

#include "kernels/kernels.h"

#define CHUNK 64

/* Sums over K of term(v) for `count` neighbouring columns. */
#define SUM_COLUMNS(start, update)                                                                 \
    do {                                                                                           \
        for (size_t c = 0; c < count; c++)                                                         \
            sum[c] = (start);                                                                      \
        for (size_t i = 0; i < k; i++)                                                             \
            for (size_t c = 0; c < count; c++) {                                                   \
                const double v = (double)x[i * inner + c];                                         \
                sum[c] = (update);                                                                 \
            }                                                                                      \
    } while (0)

static void reduce_columns(enum apx_reduce op, size_t k, size_t inner, size_t count, const float *x,
                           float *y)
{
    double sum[CHUNK], top[CHUNK];
    switch (op) {
    case APX_REDUCE_SUM:
    case APX_REDUCE_MEAN:
    case APX_REDUCE_LOG_SUM:
        SUM_COLUMNS(0.0, sum[c] + v);
        break;
    case APX_REDUCE_PROD:
        SUM_COLUMNS(1.0, sum[c] * v);
        break;
    case APX_REDUCE_L1:
        SUM_COLUMNS(0.0, sum[c] + fabs(v));
        break;
    case APX_REDUCE_L2:
    case APX_REDUCE_SUM_SQUARE:
        SUM_COLUMNS(0.0, sum[c] + v * v);
        break;
    case APX_REDUCE_MAX:
        SUM_COLUMNS(-INFINITY, isnan(sum[c]) || sum[c] > v ? sum[c] : v);
        break;
    case APX_REDUCE_MIN:
        SUM_COLUMNS(INFINITY, isnan(sum[c]) || sum[c] < v ? sum[c] : v);
        break;
    case APX_REDUCE_LOG_SUM_EXP:
        SUM_COLUMNS(-INFINITY, isnan(sum[c]) || sum[c] > v ? sum[c] : v);
        for (size_t c = 0; c < count; c++)
            top[c] = isinf(sum[c]) ? 0.0 : sum[c]; /* infinity - infinity is no number */
        SUM_COLUMNS(0.0, sum[c] + exp(v - top[c]));
        break;
    case APX_REDUCE_ARGMAX:
    case APX_REDUCE_ARGMIN:
        assert(false);
    }
    for (size_t c = 0; c < count; c++) {
        double value = sum[c];
        if (op == APX_REDUCE_MEAN)
            value /= (double)k;
        else if (op == APX_REDUCE_L2)
            value = sqrt(value);
        else if (op == APX_REDUCE_LOG_SUM)
            value = log(value);
        else if (op == APX_REDUCE_LOG_SUM_EXP)
            value = log(value) + top[c];
        y[c] = (float)value;
    }
}

static void arg_columns(bool greatest, bool last, size_t k, size_t inner, size_t count,
                        const float *x, int64_t *y)
{
    assert(k > 0);
    for (size_t c = 0; c < count; c++) {
        float best = x[c];
        int64_t where = 0;
        for (size_t i = 1; i < k; i++) {
            const float v = x[i * inner + c];
            const bool better = greatest ? v > best : v < best;
            if (better || (last && v == best)) {
                best = v;
                where = (int64_t)i;
            }
        }
        y[c] = where;
    }
}

void apx_reduce_f32(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner,
                    const float *x, void *y)
{
    const bool arg = op == APX_REDUCE_ARGMAX || op == APX_REDUCE_ARGMIN;
    for (size_t o = 0; o < outer; o++)
        for (size_t first = 0; first < inner; first += CHUNK) {
            const size_t count = inner - first < CHUNK ? inner - first : CHUNK;
            const float *from = x + o * k * inner + first;
            const size_t to = o * inner + first;
            if (arg)
                arg_columns(op == APX_REDUCE_ARGMAX, last, k, inner, count, from,
                            (int64_t *)y + to);
            else
                reduce_columns(op, k, inner, count, from, (float *)y + to);
        }
}

static int64_t reduce_integers(enum apx_reduce op, size_t k, size_t inner, const int64_t *x)
{
    /* Unsigned: sums and products wrap. */
    uint64_t sum = op == APX_REDUCE_PROD;
    int64_t most = op == APX_REDUCE_MAX ? INT64_MIN : INT64_MAX;
    for (size_t i = 0; i < k; i++) {
        const int64_t v = x[i * inner];
        const uint64_t u = (uint64_t)v;
        if (op == APX_REDUCE_MAX)
            most = v > most ? v : most;
        else if (op == APX_REDUCE_MIN)
            most = v < most ? v : most;
        else if (op == APX_REDUCE_PROD)
            sum *= u;
        else if (op == APX_REDUCE_SUM_SQUARE)
            sum += u * u;
        else
            sum += op == APX_REDUCE_L1 && v < 0 ? 0 - u : u;
    }
    if (op == APX_REDUCE_MAX || op == APX_REDUCE_MIN)
        return most;
    return op == APX_REDUCE_MEAN && k > 0 ? (int64_t)sum / (int64_t)k : (int64_t)sum;
}

static int64_t find_integer(bool greatest, bool last, size_t k, size_t inner, const int64_t *x)
{
    assert(k > 0);
    size_t where = 0;
    for (size_t i = 1; i < k; i++) {
        const int64_t v = x[i * inner], best = x[where * inner];
        if ((greatest ? v > best : v < best) || (last && v == best))
            where = i;
    }
    return (int64_t)where;
}

void apx_reduce_i64(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner,
                    const int64_t *x, int64_t *y)
{
    const bool arg = op == APX_REDUCE_ARGMAX || op == APX_REDUCE_ARGMIN;
    for (size_t o = 0; o < outer; o++)
        for (size_t c = 0; c < inner; c++) {
            const int64_t *from = x + o * k * inner + c;
            y[o * inner + c] = arg ? find_integer(op == APX_REDUCE_ARGMAX, last, k, inner, from)
                                   : reduce_integers(op, k, inner, from);
        }
}
