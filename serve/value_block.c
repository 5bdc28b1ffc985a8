/* SPDX-License-Identifier: Apache-2.0 */
/* value_block.c - see the header. Values lie in the network's buffers where they fell, so each is
 * moved by memcpy, which costs nothing; loops have no early end, so that they become vector code.
 */
#include "serve/value_block.h"

#include <string.h>

void apx_block_copy(enum apx_dtype from_type, const void *from, size_t count,
                    enum apx_dtype to_type, void *to)
{
    const char *in = from;
    char *out = to;
    if (from_type == to_type) {
        memcpy(out, in, count * apx_dtype_size(from_type));
    } else if (to_type == APX_F32) {
        for (size_t i = 0; i < count; i++) {
            double wide;
            memcpy(&wide, in + i * sizeof wide, sizeof wide);
            float narrow = (float)wide;
            memcpy(out + i * sizeof narrow, &narrow, sizeof narrow);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            float narrow;
            memcpy(&narrow, in + i * sizeof narrow, sizeof narrow);
            double wide = narrow;
            memcpy(out + i * sizeof wide, &wide, sizeof wide);
        }
    }
}

/* Not finite: all bits of the exponent are set. */
static bool are_finite_f32(const char *values, size_t count)
{
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i * sizeof bits, sizeof bits);
        found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return found == 0;
}

static bool are_finite_f64(const char *values, size_t count)
{
    const uint64_t exponent = UINT64_C(0x7ff0000000000000);
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, values + i * sizeof bits, sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return found == 0;
}

bool apx_block_is_finite(enum apx_dtype type, const void *values, size_t count)
{
    return type == APX_F32 ? are_finite_f32(values, count) : are_finite_f64(values, count);
}

void apx_block_fill_nan(enum apx_dtype type, void *values, size_t count)
{
    static const float narrow = __builtin_nanf("");
    static const double wide = __builtin_nan("");
    const void *nan = type == APX_F32 ? (const void *)&narrow : (const void *)&wide;
    size_t size = apx_dtype_size(type);
    for (size_t i = 0; i < count; i++)
        memcpy((char *)values + i * size, nan, size);
}
