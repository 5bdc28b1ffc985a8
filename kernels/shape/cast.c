/* SPDX-License-Identifier: Apache-2.0 */
/* cast.c - conversions between element types.
 *
 * Every source type goes through double or int64, which hold all of them exactly (int64 itself
 * never goes through double on its way to an integer). Floats to integers truncate and saturate,
 * NaN gives 0: C leaves those undefined, so the bounds are checked first. Integers to narrower
 * integers keep the low bits. */
#include <assert.h>
#include <math.h>

#include "kernels/kernels.h"

/* The numbers of enum apx_dtype (runtime/auspex.h). */
enum { F32 = 1, F64, I32, I64, BOOL, U8 = 6, I8 };

static double load_real(int type, const void *x, size_t i)
{
    return type == F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static int64_t load_integer(int type, const void *x, size_t i)
{
    switch (type) {
    case I32:
        return ((const int32_t *)x)[i];
    case I64:
        return ((const int64_t *)x)[i];
    case I8:
        return ((const int8_t *)x)[i];
    case BOOL:
        return ((const uint8_t *)x)[i] != 0;
    default:
        assert(type == U8);
        return ((const uint8_t *)x)[i];
    }
}

static int64_t saturate(double v, int64_t least, int64_t greatest)
{
    if (isnan(v))
        return 0;
    if (v <= (double)least)
        return least;
    if (v >= (double)greatest)
        return greatest;
    return (int64_t)v;
}

static void store_real(int type, void *y, size_t i, double v)
{
    switch (type) {
    case F32:
        ((float *)y)[i] = (float)v;
        return;
    case F64:
        ((double *)y)[i] = v;
        return;
    case I32:
        ((int32_t *)y)[i] = (int32_t)saturate(v, INT32_MIN, INT32_MAX);
        return;
    case I64:
        ((int64_t *)y)[i] = saturate(v, INT64_MIN, INT64_MAX);
        return;
    case BOOL:
        ((uint8_t *)y)[i] = v != 0.0;
        return;
    case U8:
        ((uint8_t *)y)[i] = (uint8_t)saturate(v, 0, UINT8_MAX);
        return;
    default:
        assert(type == I8);
        ((int8_t *)y)[i] = (int8_t)saturate(v, INT8_MIN, INT8_MAX);
    }
}

static void store_integer(int type, void *y, size_t i, int64_t v)
{
    switch (type) {
    case F32:
        ((float *)y)[i] = (float)v;
        return;
    case F64:
        ((double *)y)[i] = (double)v;
        return;
    case I32:
        ((int32_t *)y)[i] = (int32_t)(uint32_t)(uint64_t)v;
        return;
    case I64:
        ((int64_t *)y)[i] = v;
        return;
    case BOOL:
        ((uint8_t *)y)[i] = v != 0;
        return;
    case U8:
        ((uint8_t *)y)[i] = (uint8_t)(uint64_t)v;
        return;
    default:
        assert(type == I8);
        ((int8_t *)y)[i] = (int8_t)(uint8_t)(uint64_t)v;
    }
}

void apx_cast(size_t count, int from, const void *x, int to, void *y)
{
    if (from == F32 || from == F64) {
        for (size_t i = 0; i < count; i++)
            store_real(to, y, i, load_real(from, x, i));
    } else {
        for (size_t i = 0; i < count; i++)
            store_integer(to, y, i, load_integer(from, x, i));
    }
}
